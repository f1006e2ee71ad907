"""The files of a new graph: a spec that is composed of components, a test, and the components that do not exist yet."""

from __future__ import annotations

import json
import os
import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import yaml

from seldon_spec.cli.scaffold import class_name_of, fill, flow, make_files, shared_files
from seldon_spec.config.build_spec import default_name
from seldon_spec.config.checks.class_body import ClassSource
from seldon_spec.config.checks.class_source import read_class
from seldon_spec.config.graph_steps import is_label
from seldon_spec.config.loader import load
from seldon_spec.config.model import SPEC_FILE, ServiceType, Spec
from seldon_spec.config.paths import is_file
from seldon_spec.errors import SeldonSpecError

_Role: TypeAlias = Literal["input", "model", "router", "combiner", "output"]
"""What a component does in a graph; input and output: a transformer of requests, and one of responses."""

_DEFAULT_COLUMNS = 2


class CannotCompose(SeldonSpecError):
    """No graph can be composed of the named components."""


@dataclass(frozen=True, slots=True)
class Part:
    """A component of the new graph.

    Attributes:
        name: in the graph.
        path: its folder, relative to that of the graph.
        columns: the number of columns of its input; None: it declares no inputs, or others than one table.
        has_inputs: whether it declares inputs.
    """

    name: str
    path: str
    role: _Role
    columns: int | None
    has_inputs: bool


def make_graph_files(folder: Path, texts: Sequence[str]) -> dict[str, str]:
    """Return the texts of the files of a new graph and of its new components, by path.

    Args:
        folder: of the graph.
        texts: the components: the path of a folder, relative to that of the graph, or ``PATH=SERVICE_TYPE`` for a new
            one.

    Raises:
        CannotCompose: there is no such folder, or no graph can be composed.
        SpecError: the spec of a component has errors.
    """
    files: dict[str, str] = {}
    parts = []
    for text in texts:
        path, _, service_type = text.partition("=")
        path = posixpath.normpath(path)
        name = _name_of(folder, path)
        if service_type:
            new = _make_component(folder, path, service_type)
            files |= {f"{path}/{file}": content for file, content in new.items()}
            parts.append(_describe_new(name, path, service_type, yaml.safe_load(new[SPEC_FILE])))
        else:
            parts.append(_describe(name, path, _load(folder, path)))
    names = [part.name for part in parts]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise CannotCompose(f"{twice} is named twice: give each component its own folder")
    steps, called = _compose(parts)
    values = {"name": default_name(folder.resolve().name.replace(".", "-"))}
    return files | {
        SPEC_FILE: fill("graph.yaml.txt", values) + _render_graph(steps) + _render_components(parts),
        "test_graph.py": fill("test.txt", values) + _render_test(parts, called),
        "requirements.txt": fill("graph.requirements.txt", values),
        **shared_files(None, values["name"]),
    }


def _name_of(folder: Path, path: str) -> str:
    """Return the name of a component in a folder: that of the folder, as a DNS label."""
    own = (folder / path).resolve().name
    name = own if is_label(own) else "-".join(re.findall("[a-z0-9]+", own.lower()))[:63].rstrip("-")
    if not name:
        raise CannotCompose(f'no name can be made of the folder "{path}": name it with letters a to z and digits')
    return name


def _load(folder: Path, path: str) -> Spec:
    place = Path(os.path.normpath(folder / path))  # the folder of the graph may not exist yet
    if not is_file(place / SPEC_FILE):
        raise CannotCompose(
            f"there is no {place / SPEC_FILE}; to create the component, write {path}=MODEL or another of"
            f" {', '.join(ServiceType)}"
        )
    return load(place, {})


def _make_component(folder: Path, path: str, text: str) -> dict[str, str]:
    if text.upper() not in ServiceType.__members__:
        raise CannotCompose(f"{path}={text}: the service type is none of {', '.join(ServiceType)}")
    if posixpath.isabs(path) or path.startswith("..") or is_file(folder / path / SPEC_FILE):
        reason = "exists" if is_file(folder / path / SPEC_FILE) else "would be outside the graph's folder"
        raise CannotCompose(f"{path}={text}: the component {reason}; name an existing one without a service type")
    return make_files(ServiceType[text.upper()], class_name_of(Path(path)))


def _describe_new(name: str, path: str, text: str, tree: dict[str, Any]) -> Part:
    inputs = tree.get("inputs") or []
    columns = len(inputs) if inputs and isinstance(inputs[0], str) else None
    return Part(name, path, _find_role(ServiceType[text.upper()]), columns, bool(inputs))


def _describe(name: str, path: str, spec: Spec) -> Part:
    role = _find_role(spec.service_type)
    if role == "input" and spec.class_name is not None:
        source = read_class(spec.folder, spec.class_name)
        hooks = source.hooks if isinstance(source, ClassSource) else frozenset[str]()
        prefixes = {hook.removesuffix("_raw").removesuffix("_rest").removesuffix("_grpc") for hook in hooks}
        if "transform_output" in prefixes and "transform_input" not in prefixes:
            role = "output"
    is_table = len(spec.inputs) == 1 and len(spec.inputs[0].shape) == 2
    columns = spec.inputs[0].shape[1] if is_table and spec.inputs[0].shape[1] > 0 else None
    return Part(name, path, role, columns, bool(spec.inputs))


def _find_role(service_type: ServiceType) -> _Role:
    if service_type is ServiceType.ROUTER:
        return "router"
    if service_type is ServiceType.COMBINER:
        return "combiner"
    return "model" if service_type is ServiceType.MODEL else "input"


def _compose(parts: Sequence[Part]) -> tuple[list[Any], list[str]]:
    """Return the steps, and the names of the components that every request reaches."""

    def named(role: str) -> list[str]:
        return [part.name for part in parts if part.role == role]

    models, deciders = named("model"), [*named("router"), *named("combiner")]
    if len(deciders) > 1:
        raise CannotCompose(f"{' and '.join(deciders)}: name one ROUTER or COMBINER, and add the other to {SPEC_FILE}")
    if deciders and not models:
        raise CannotCompose(f"{deciders[0]} needs at least one MODEL")
    middle: list[Any] = list(models)
    called = models
    if named("router"):
        middle, called = [{"route": deciders[0], "to": models}], deciders
    elif named("combiner"):
        middle, called = [{"combine": deciders[0], "of": models}], [*models, *deciders]
    elif len(models) > 1:
        middle, called = [{"split": dict.fromkeys(models, 1)}], []
    before, after = named("input"), named("output")
    return [*before, *middle, *after], [*before, *called, *after]


def _render_graph(steps: Sequence[Any]) -> str:
    if all(isinstance(step, str) for step in steps):
        return f"graph: {flow(list(steps))}\n"
    lines = [part for step in steps for part in _render_step(step, is_item=len(steps) > 1)]
    return "\n".join(["graph:", *lines, ""])


def _render_step(step: Any, *, is_item: bool) -> list[str]:
    if isinstance(step, str):
        return [f"  - {step}"]
    first, rest = ("  - ", "    ") if is_item else ("  ", "  ")
    return [f"{rest if index else first}{key}: {flow(value)}" for index, (key, value) in enumerate(step.items())]


def _render_components(parts: Sequence[Part]) -> str:
    """Return the entries of the components whose folders do not have their names."""
    entries = {part.name: part.path for part in parts if part.path != part.name}
    return (
        "\n".join(["components:", *(f"  {flow({name: path})[1:-1]}" for name, path in entries.items()), ""])
        if entries
        else ""
    )


def _render_check(called: Sequence[str]) -> str:
    """Return what a test asserts of the components that responded; of a split, any."""
    path = 'response.get_json()["meta"]["requestPath"]'
    names = ", ".join(json.dumps(name) for name in sorted(called))
    return f"assert {path}.keys() >= {{{names}}}" if names else f"assert {path}"


def _render_test(parts: Sequence[Part], called: Sequence[str]) -> str:
    columns = next((part.columns for part in parts if part.columns is not None), _DEFAULT_COLUMNS)
    row = [float(value) for value in range(1, columns + 1)]
    values = {"row": json.dumps([row]), "check": _render_check(called)}
    contract = fill("graph.contract.test.txt", {}) if _has_contract(parts) else ""
    return fill("graph.test.txt", values) + contract


def _has_contract(parts: Sequence[Part]) -> bool:
    """Return whether every component that may get a request as it is declares its inputs, and so validates it."""
    for role in ("input", "router"):
        first = next((part for part in parts if part.role == role), None)
        if first is not None:
            return first.has_inputs
    models = [part.has_inputs for part in parts if part.role == "model"]
    return bool(models) and all(models)

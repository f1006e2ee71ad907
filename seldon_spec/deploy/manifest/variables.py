"""The variables of a container: what the image does not contain, and what users edit in a SeldonDeployment."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Container, Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from seldon_spec.config.build_spec import plain
from seldon_spec.config.contract import ColumnSpec, TensorSpec
from seldon_spec.config.graph import describe_step
from seldon_spec.config.layers.environment import generic_variable
from seldon_spec.config.masking import find_literals
from seldon_spec.config.model import SecretRef, Spec
from seldon_spec.config.schema.lookup import field_schema, is_section, own_path
from seldon_spec.deploy.manifest.secrets import build_secret_variables, find_secret, list_tokens
from seldon_spec.deploy.manifest.tree import Commented, Tree
from seldon_spec.deploy.manifest.workload import Workload, find_spec, list_specs
from seldon_spec.errors import FieldPath, OriginKind

DRAIN_SECONDS = 5
"""How long a server without an operator's preStop continues to accept connections after SIGTERM."""

_NOT_LISTED = ("deployment", "unit", "graph", "components", "environment")

_FREE = ("parameters", "environment")
"""The mappings whose keys are set one by one; one variable sets those that the image does not contain."""


def build_variables(workload: Workload, *, drains: bool) -> list[Tree]:
    """Return the variables of a container whose image has the spec's file.

    They are references to secrets, the ``environment`` of the graph of a component, values of variables and flags of
    the command, URLs of components, and the delay of the shutdown. Literal secrets are left out.

    Args:
        workload: of the container.
        drains: whether to set a delay if the spec has none.
    """
    values: dict[FieldPath, Any] = {}
    places: dict[FieldPath, FieldPath] = {}
    for path, value in list_outside(workload):
        is_free = own_path(path)[0] in _FREE
        at = path[:-1] if is_free else path
        if not has_literal(path, value):
            values[at] = {**values.get(at, {}), path[-1]: value} if is_free else value
            places.setdefault(at, path)
    drain = list(_build_drain(workload)) if drains else []
    drained = {each["name"] for each in drain}
    outside = [
        {"name": name, "value": workload.with_origin(to_text(value), *places[at])}
        for at, value in values.items()
        if (name := workload.variable(at)) not in drained
    ]
    secrets = build_secret_variables(workload)
    shared = _build_graph_environment(workload, {each["name"] for each in secrets})
    return [*secrets, *shared, *outside, *_build_urls(workload), *drain]


def list_outside(workload: Workload) -> Iterator[tuple[FieldPath, Any]]:
    """Yield the values of a workload that its image does not contain, by their paths; ``image`` does not matter."""
    for at, spec in list_specs(workload):
        for path, value in _list_single_values(spec):
            is_apart = len(path) > 1 and path[0] == "components" and path[1] in workload.urls and not at
            if path[0] != "image" and not is_apart and is_outside_image(workload, (*at, *path)):
                yield (*at, *path), value


def _list_single_values(spec: Spec) -> Iterator[tuple[FieldPath, Any]]:
    """Yield the values of a spec that are set, each key of ``parameters`` and ``environment`` alone."""
    for path, value in list_values(spec):
        if path[0] not in _FREE:
            yield path, value
    for key in _FREE:
        for name, value in getattr(spec, key).items():
            yield (key, name), plain(value)
    if spec.graph is not None:
        yield ("graph",), describe_step(spec.graph)
    for name, component in spec.components.items():
        for key in ("url", "timeout_seconds", "token"):
            value = plain(getattr(component, key))
            if value is not None:
                yield ("components", name, key), value


def is_outside_image(workload: Workload, path: FieldPath) -> bool:
    """Return whether the image has no file with a value: it is set by a variable or a flag, or in the graph's file."""
    spec, own = find_spec(workload.spec, path)
    origins = [origin for at, origin in spec.origins.items() if at[: len(own)] == own]
    if any(origin.kind in (OriginKind.ENVIRONMENT, OriginKind.FLAG) for origin in origins):
        return True
    graph = workload.graph.folder / workload.graph.file
    files = {origin.position.file for origin in origins if origin.position is not None}
    return bool(workload.at) and workload.has_own_image and any(_is_same(file, graph) for file in files)


def _is_same(file: str, other: Path) -> bool:
    return os.path.realpath(file) == os.path.realpath(other)


def list_values(spec: Spec) -> Iterator[tuple[FieldPath, Any]]:
    """Yield the values of a spec that are set, as JSON with references, by the path of the key that a variable has.

    Mappings with free keys are one value, except for ``environment``, whose entries are variables themselves.
    """
    for field in fields(spec):
        if field.name not in _NOT_LISTED:
            yield from _list_values(spec, (field.name,), getattr(spec, field.name))


def _list_values(spec: Spec, path: FieldPath, value: Any) -> Iterator[tuple[FieldPath, Any]]:
    schema = field_schema(path)
    if schema is None:
        return
    if is_section(schema) and is_dataclass(value) and not isinstance(value, SecretRef):
        for field in fields(value):
            yield from _list_values(spec, (*path, field.name), getattr(value, field.name))
    elif any(origin[: len(path)] == path for origin in spec.origins):
        yield path, _shorten(value)


def _shorten(value: Any) -> Any:
    """Return a value as JSON, with the keys of tensors and columns that differ from their defaults."""
    if isinstance(value, (TensorSpec, ColumnSpec)):
        values = {each.name: getattr(value, each.name) for each in fields(value)}
        defaults = {each.name: each.default for each in fields(value)}
        return {name.rstrip("_"): _shorten(each) for name, each in values.items() if each != defaults[name]}
    return [_shorten(each) for each in value] if isinstance(value, tuple) else plain(value)


def _variable(workload: Workload, path: FieldPath, value: Any) -> Tree:
    return {"name": workload.variable(path), "value": workload.with_origin(to_text(value), *path)}


def to_text(value: Any) -> str:
    """Return the text of a variable that the loader reads as a value: a text unchanged, other values as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def build_all_variables(workload: Workload, skipped: frozenset[FieldPath]) -> list[Tree]:
    """Return a variable for each value that is set, except for those at and below ``skipped``, and literal secrets."""
    return [
        _variable(workload, path, value)
        for path, value in list_values(workload.spec)
        if not any(path[: len(each)] == each for each in skipped) and not has_literal(path, value)
    ]


def build_plain_variables(workload: Workload) -> list[Tree]:
    """Return the plain variables of ``environment``, without literal secrets."""
    return [
        {"name": name, "value": workload.with_origin(value, "environment", name)}
        for name, value in workload.spec.environment.items()
        if isinstance(value, str) and not has_literal(("environment", name), value)
    ]


def _build_graph_environment(workload: Workload, known: Container[str]) -> Iterator[Tree]:
    """Yield the ``environment`` of the graph of a component, which all components have in one process."""
    whole = workload.whole
    environment = whole.spec.environment if workload.at else {}
    for name, value in environment.items():
        is_own = name in known or name in workload.spec.environment
        if is_own or has_literal(("environment", name), plain(value)):
            continue
        if isinstance(value, SecretRef):
            secret, key = find_secret(whole, value.from_env or value.from_file or "")
            source = {"secretKeyRef": {"name": secret, "key": key}}
            yield {"name": name, "valueFrom": whole.with_origin(source, "environment", name)}
        else:
            yield {"name": name, "value": whole.with_origin(value, "environment", name)}


def has_literal(path: FieldPath, value: Any) -> bool:
    """Return whether a value contains a literal secret, which no manifest may contain."""
    return any(True for _ in find_literals(path, value))


def _build_urls(workload: Workload) -> Iterator[Tree]:
    for name, url in workload.urls.items():
        at = ("components", name)
        yield {"name": generic_variable((*at, "url")), "value": workload.with_origin(url, "deployment", "apart")}
    for name, reference in list_tokens(workload).items():
        text = json.dumps(plain(reference))
        yield {"name": generic_variable(("components", name, "token")), "value": text}


def _build_drain(workload: Workload) -> Iterator[Tree]:
    """Yield the delay of the shutdown if the spec has none, and a grace period that is longer."""
    shutdown = workload.spec.server.shutdown
    if shutdown.delay_seconds:
        return
    path = ("server", "shutdown", "delay_seconds")
    yield {
        "name": generic_variable(path),
        "value": workload.with_origin(str(DRAIN_SECONDS), *path, plus=f"0 + {DRAIN_SECONDS}"),
    }
    own = grace_seconds(workload, drains=True)
    if own != shutdown.grace_seconds:
        path = ("server", "shutdown", "grace_seconds")
        plus = f"{shutdown.grace_seconds:g} + {own - shutdown.grace_seconds:g}"
        yield {"name": generic_variable(path), "value": workload.with_origin(f"{own:g}", *path, plus=plus)}


def grace_seconds(workload: Workload, *, drains: bool) -> float:
    """Return the grace period of the server, in seconds; that of a short one gets the delay in addition."""
    shutdown = workload.spec.server.shutdown
    is_short = drains and not shutdown.delay_seconds and shutdown.grace_seconds <= DRAIN_SECONDS
    return max(shutdown.grace_seconds, 1) + DRAIN_SECONDS if is_short else shutdown.grace_seconds


def termination_seconds(workload: Workload, *, drains: bool, sleeps: int = 0) -> Commented:
    """Return the grace period of the pod, in seconds.

    Workers that have not ended are killed 5 seconds after the server's own grace period. ``sleeps`` is what an
    operator's preStop takes before SIGTERM.
    """
    own = grace_seconds(workload, drains=drains)
    plus = f"{own:g} + 5{f' + {sleeps} for preStop' if sleeps else ''}"
    return workload.with_origin(math.ceil(own) + 5 + sleeps, "server", "shutdown", "grace_seconds", plus=plus)

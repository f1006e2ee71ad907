"""Convert the layered values of a spec, which the rules accepted, to its frozen dataclasses, and back to JSON."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from enum import Enum
from keyword import iskeyword
from pathlib import Path
from types import MappingProxyType, UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from seldon_spec.config.contract import ColumnSpec, TensorSpec
from seldon_spec.config.deployment import DeploymentSpec
from seldon_spec.config.layers.layered_values import LayeredValues
from seldon_spec.config.model import (
    REFERENCE_KEYS,
    FlaskSpec,
    ImageSpec,
    PortsSpec,
    SecretRef,
    ServerSpec,
    ServiceType,
    Spec,
    UnitSpec,
)
from seldon_spec.config.model_files.formats import FORMATS, ModelFormat
from seldon_spec.config.model_files.inspect import find_model
from seldon_spec.config.model_files.spec import ModelSpec
from seldon_spec.config.model_files.urls import find_local, name_of

T = TypeVar("T")


def default_name(class_name: str) -> str:
    """Return the default name of a component: the class in kebab-case, e.g. ``iris-classifier``."""
    words = re.findall(r"[A-Z]+(?![a-z])[0-9]*|[A-Z]?[a-z]+[0-9]*|[0-9]+", class_name.rpartition(".")[2])
    return "-".join(word.lower() for word in words)[:63].rstrip("-") or "model"


def build_spec(values: LayeredValues, folder: Path, file: str, component: str | None = None) -> Spec:
    """Return the spec of the values, without the steps and components of a graph.

    Args:
        values: the values of all layers.
        folder: of the class.
        file: the name of the file.
        component: the name of the component whose entry is the spec; the default of the name of a graph.
    """
    tree = values.tree
    class_name: str | None = tree.get("class_name")
    service_type = ServiceType(tree.get("service_type", "MODEL"))
    model = _make_model(tree.get("model"), folder, service_type)
    named = class_name or (None if model is None else Path(name_of(model.path)).stem.replace(".", "-"))
    return Spec(
        class_name=class_name,
        folder=folder,
        name=tree.get("name") or default_name(named or component or folder.resolve().name.replace(".", "-")),
        service_type=service_type if named else ServiceType.MODEL,
        version=tree.get("version"),
        parameters=MappingProxyType({k: with_references(v) for k, v in tree.get("parameters", {}).items()}),
        flask=_make(FlaskSpec, tree.get("flask", {})),
        ports=_make(PortsSpec, tree.get("ports", {})),
        server=_make(ServerSpec, tree.get("server", {})),
        image=_make(ImageSpec, tree.get("image", {})),
        environment=MappingProxyType({k: with_references(v) for k, v in tree.get("environment", {}).items()}),
        inputs=make_tensors(tree.get("inputs", []), "input-0"),
        outputs=make_tensors(tree.get("outputs", []), "output-0"),
        platform=tree.get("platform"),
        deployment=_make(DeploymentSpec, tree.get("deployment", {})),
        model=model,
        unit=UnitSpec(name=tree.get("name"), version=tree.get("version"), **tree.get("unit", {})),
        file=file,
        origins=MappingProxyType(values.origins),
    )


def _make_model(entry: Mapping[str, Any] | None, folder: Path, service_type: ServiceType) -> ModelSpec | None:
    """Return the model file, with the format of the file and its default method unless they are given."""
    if entry is None:
        return None
    model = _make(ModelSpec, entry)
    if model.format is None:
        found = find_model(find_local(folder, model.path, model.sha256), model.path)
        model = replace(model, format=None if found is None else found.format)
    row = FORMATS.get(model.format or "")
    if model.method is not None or row is None:
        return model
    return replace(model, method=find_default_method(row, service_type))


def find_default_method(row: ModelFormat, service_type: ServiceType) -> str:
    """Return the method of a format that is called unless ``model.method`` is set."""
    is_transform = service_type is ServiceType.TRANSFORMER and _TRANSFORM in row.methods
    return _TRANSFORM if is_transform else row.methods[0]


_TRANSFORM = "transform"


def make_tensors(entries: Sequence[Any], default_name: str) -> tuple[TensorSpec, ...]:
    """Return declared tensors; a list of column names is one FP64 tensor."""
    if entries and isinstance(entries[0], str):
        return (TensorSpec(default_name, "FP64", (-1, len(entries)), columns=tuple(map(_make_column, entries))),)
    return tuple(_make_tensor(entry) for entry in entries)


def _make_tensor(entry: Mapping[str, Any]) -> TensorSpec:
    values = {**entry, "columns": [_make_column(column) for column in entry.get("columns", ())]}
    return replace(_make(TensorSpec, values), example=_to_tuples(entry.get("example")))


def _to_tuples(value: Any) -> Any:
    """Return nested lists as nested tuples, which can be hashed."""
    return tuple(map(_to_tuples, value)) if isinstance(value, list) else value


def _make_column(entry: str | Mapping[str, Any]) -> ColumnSpec:
    return ColumnSpec(entry) if isinstance(entry, str) else _make(ColumnSpec, entry)


def _make(cls: type[T], values: Mapping[str, Any]) -> T:
    """Return a section as its dataclass; the field of a key that is a keyword of Python ends with an underscore."""
    hints = get_type_hints(cls)
    named = {f"{key}_" if iskeyword(key) else key: value for key, value in values.items()}
    return cls(**{name: _typed(hints[name], value) for name, value in named.items()})


def _typed(hint: Any, value: Any) -> Any:
    """Convert a JSON value to ``hint``, the type of a field of a dataclass."""
    types = get_args(hint) if isinstance(hint, UnionType) else (hint,)
    for each in types:
        if isinstance(value, Mapping) and is_dataclass(each) and each is not SecretRef:
            return _make(each, value)  # type: ignore[arg-type]
        if isinstance(each, type) and issubclass(each, Enum):
            return each(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)  # an integer in JSON Schema
    if get_origin(types[0]) is tuple:
        return tuple(with_references(value if isinstance(value, list) else [value]))
    if get_origin(types[0]) is Mapping:
        return MappingProxyType(dict(value))
    return tuple(value) if isinstance(value, list) else with_references(value)


def with_references(value: Any) -> Any:
    """Replace each ``{from_env: …}`` and ``{from_file: …}`` in a value by a reference."""
    if isinstance(value, dict):
        if len(value) == 1 and REFERENCE_KEYS.issuperset(value) and all(isinstance(v, str) for v in value.values()):
            return SecretRef(**value)
        return {key: with_references(item) for key, item in value.items()}
    return [with_references(item) for item in value] if isinstance(value, list) else value


def plain(value: Any) -> Any:
    """Convert a value of a spec to JSON; of a secret, to its reference."""
    if isinstance(value, SecretRef):
        return {"from_env": value.from_env} if value.from_env is not None else {"from_file": value.from_file}
    if isinstance(value, Enum):
        return value.value
    if is_dataclass(value):
        return {f.name.rstrip("_"): plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def with_full_paths(spec: Spec) -> Spec:
    """Return a spec whose folders, those of its components included, do not depend on the working directory."""
    components = {
        name: each if each.spec is None else replace(each, spec=with_full_paths(each.spec))
        for name, each in spec.components.items()
    }
    return replace(spec, folder=spec.folder.resolve(), components=MappingProxyType(components))


def select_component(graph: Spec, name: str) -> Spec:
    """Return the spec of a local component of a graph, with the warnings and notes about it.

    It has the variables of the graph too, as in the process of the graph.
    """
    spec = graph.components[name].spec
    assert spec is not None
    about = [
        each
        for each in graph.diagnostics
        if each.origin.position is None or Path(each.origin.position.file).parent == spec.folder
    ]
    shared = {key: _with_full_path(value, graph.folder) for key, value in graph.environment.items()}
    return replace(spec, diagnostics=tuple(about), environment=MappingProxyType({**shared, **spec.environment}))


def _with_full_path(value: str | SecretRef, folder: Path) -> str | SecretRef:
    if isinstance(value, SecretRef) and value.from_file is not None:
        return SecretRef(from_file=str(folder.absolute() / value.from_file))
    return value


def list_local(spec: Spec) -> Iterator[Spec]:
    """Yield the specs of all components in this process, those of nested graphs after the graph."""
    for component in spec.components.values():
        if component.url is None and component.spec is not None:
            yield component.spec
            yield from list_local(component.spec)

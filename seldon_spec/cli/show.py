"""The effective spec as text or JSON, each value with its origin; secrets are not shown."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from seldon_spec.config.build_spec import plain
from seldon_spec.config.graph import describe_step
from seldon_spec.config.masking import find_literals, redact
from seldon_spec.config.model import SecretRef, Spec
from seldon_spec.config.model_files.urls import show_path
from seldon_spec.config.schema.describe import show_flow
from seldon_spec.config.schema.lookup import field_schema, groups_keys, is_section, join, own_path
from seldon_spec.errors import FieldPath, Origin, OriginKind

_SECTIONS = (
    "class_name",
    "model",
    "service_type",
    "name",
    "version",
    "parameters",
    "flask",
    "ports",
    "server",
    "image",
    "environment",
    "inputs",
    "outputs",
    "platform",
    "deployment",
    "unit",
)
_OF_A_CLASS = ("class_name", "model", "service_type", "parameters")
_OF_A_COMPONENT = (*_OF_A_CLASS, "name", "version", "environment", "inputs", "outputs", "platform")
"""The sections of a component that have an effect in the process of its graph.

Those of its ``deployment`` that are set are shown too: they have an effect in pods of its own.
"""
_OF_ENTRIES = ("url", "timeout_seconds", "token", "ca")


Leaf = tuple[FieldPath, Any, Origin]
"""A value with its path and its origin."""


def leaves(spec: Spec, around: FieldPath = ()) -> Iterator[Leaf]:
    """Yield every value of the spec with its path and origin, in the order of the keys of the file.

    Those of a graph are followed by those of its components.

    Args:
        spec: the spec.
        around: the path of the component that it is; ``()``: it is the served spec.
    """
    for name in _OF_A_COMPONENT if around else _SECTIONS:
        if name not in _list_unused(spec):
            for path, value in _leaves((name,), getattr(spec, name), around):
                yield (*around, *path), value, spec.origin(*path)
    for path, value in _list_component_values(spec, around) if around else ():
        yield (*around, *path), value, spec.origin(*path)
    if spec.graph is not None:
        yield (*around, "graph"), describe_step(spec.graph), spec.origin("graph")
    for name, component in spec.components.items():
        at = ("components", name)
        for key in _OF_ENTRIES:
            value = getattr(component, key)
            if value is not None:
                yield (*around, *at, key), value, spec.origin(*at, key)
        if component.spec is None:
            yield (*around, *at, "service_type"), component.service_type, spec.origin(*at, "service_type")
        else:
            yield from leaves(component.spec, (*around, *at))


def _list_unused(spec: Spec) -> tuple[str, ...]:
    """Return the sections that a spec of this kind does not have."""
    if spec.graph is not None:
        return _OF_A_CLASS
    return ("model",) if spec.model is None else ("class_name", "parameters")


def _list_component_values(spec: Spec, around: FieldPath) -> Iterator[tuple[FieldPath, Any]]:
    """Yield the values of a component that are not sections of ``_OF_A_COMPONENT``."""
    if spec.graph is None:
        yield ("server", "validate_requests"), spec.server.validate_requests
    for path, value in _leaves(("deployment",), spec.deployment, around):
        if path in spec.origins:
            yield path, value


def _leaves(path: FieldPath, value: Any, around: FieldPath) -> Iterator[tuple[FieldPath, Any]]:
    schema = field_schema((*around, *path))
    if is_dataclass(value) and (schema is None or is_section(schema)) and not isinstance(value, SecretRef):
        for f in fields(value):
            if path == ("unit",) and f.name in ("name", "version"):
                continue  # shown as keys of the spec
            yield from _leaves((*path, f.name), getattr(value, f.name), around)
    elif isinstance(value, Mapping) and groups_keys((*around, *path)):
        for key, item in value.items():
            yield (*path, key), item
    else:
        yield path, value


class _Redactor:
    """Converts values of a spec to plain ones without secrets."""

    def __init__(self, spec: Spec) -> None:
        literals = (found for path, value, _ in leaves(spec) for found in find_literals(path, plain(value)))
        self._secrets = {secret for _, secret in literals if isinstance(secret, str)}

    def __call__(self, path: FieldPath, value: Any) -> Any:
        return redact(path, plain(value), self._secrets)


def render_text(spec: Spec, chosen: Iterable[Leaf] | None = None) -> str:
    """Render one line per value: ``server.threads = 8  <- GUNICORN_THREADS (seldon.yaml:6:12 said 4)``.

    Args:
        spec: the spec.
        chosen: the values; None: all.
    """
    lines, redact_value = [], _Redactor(spec)
    for path, value, origin in leaves(spec) if chosen is None else chosen:
        shown = redact_value(path, value)
        text = show_flow(shown) if own_path(path) == ("graph",) else json.dumps(shown, ensure_ascii=False)
        lines.append(f"{join(path)} = {text}  <- {_origin(spec, path, origin, redact_value)}")
    return "".join(f"{line}\n" for line in lines)


def _origin(spec: Spec, path: FieldPath, origin: Origin, redact_value: _Redactor) -> str:
    if origin.kind is OriginKind.DEFAULT:
        return _default(spec, path)
    if origin.below is None:
        return str(origin)
    overridden = json.dumps(redact_value(path, origin.replaced), ensure_ascii=False)
    return f"{origin} ({origin.below} said {overridden})"


def _default(spec: Spec, path: FieldPath) -> str:
    """Return where a value that is not set comes from."""
    inner, around = spec, None
    while path[:1] == ("components",) and len(path) > 2:
        component = inner.components[path[1]].spec
        if component is None:
            return "default"
        inner, around, path = component, inner, path[2:]
    if path == ("name",):
        if inner.class_name is not None:
            return f"from class_name ({inner.origin('class_name')})"
        if inner.model is not None:
            return f"from model.path ({inner.origin('model', 'path')})"
        is_entry = around is not None and around.folder == inner.folder
        return f"from {'the key in components' if is_entry else 'the folder'} ({inner.origin('graph')})"
    if path == ("model", "format") and inner.model is not None and inner.model.format is not None:
        return f"from the file {show_path(inner.model.path)}"
    derived = inner.graph is not None and path in (("inputs",), ("outputs",)) and getattr(inner, path[0])
    return "from the components" if derived else "default"


def render_json(spec: Spec, chosen: Iterable[Leaf] | None = None) -> str:
    """Render values as JSON, with the origin of each one that is not a default: ``{"spec": …, "origins": …}``.

    Args:
        spec: the spec.
        chosen: the values; None: all.
    """
    values: dict[str, Any] = {}
    origins: dict[str, Any] = {}
    redact_value = _Redactor(spec)
    for path, value, origin in leaves(spec) if chosen is None else chosen:
        section = values
        for step in path[:-1]:
            section = section.setdefault(step, {})
        section[path[-1]] = redact_value(path, value)
        if origin.kind is not OriginKind.DEFAULT:
            origins[join(path)] = _origin_json(path, origin, redact_value)
    if chosen is None:
        for name in ("parameters", "environment") if spec.class_name is not None else ("environment",):
            values.setdefault(name, {})
    return json.dumps({"spec": values, "origins": origins}, indent=2, ensure_ascii=False) + "\n"


def _origin_json(path: FieldPath, origin: Origin, redact_value: _Redactor) -> dict[str, Any]:
    described: dict[str, Any] = {"kind": origin.kind.value, "name": origin.name}
    if origin.position is not None:
        described |= {"line": origin.position.line, "column": origin.position.column}
    if origin.below is not None:
        described["above"] = {
            **_origin_json(path, origin.below, redact_value),
            "value": redact_value(path, origin.replaced),
        }
    return described

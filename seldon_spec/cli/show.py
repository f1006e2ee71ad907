"""The effective spec as text or JSON, each value with its origin; secrets are not shown."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from seldon_spec.config.build_spec import plain
from seldon_spec.config.masking import find_literals, redact
from seldon_spec.config.model import SecretRef, Spec
from seldon_spec.config.schema.lookup import groups_keys, join
from seldon_spec.errors import FieldPath, Origin, OriginKind

_SECTIONS = (
    "class_name",
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
    "unit",
)


def leaves(spec: Spec) -> Iterator[tuple[FieldPath, Any, Origin]]:
    """Yield every value of the spec with its path and origin, in the order of the keys of the file."""
    for name in _SECTIONS:
        for path, value in _leaves((name,), getattr(spec, name)):
            yield path, value, spec.origin(*path)


def _leaves(path: FieldPath, value: Any) -> Iterator[tuple[FieldPath, Any]]:
    if is_dataclass(value) and not isinstance(value, SecretRef):
        for f in fields(value):
            if path == ("unit",) and f.name in ("name", "version"):
                continue  # shown as keys of the spec
            yield from _leaves((*path, f.name), getattr(value, f.name))
    elif isinstance(value, Mapping) and groups_keys(path):
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


def render_text(spec: Spec) -> str:
    """Render one line per value: ``server.threads = 8  <- GUNICORN_THREADS (seldon.yaml:6:12 said 4)``."""
    lines, redact_value = [], _Redactor(spec)
    for path, value, origin in leaves(spec):
        text = json.dumps(redact_value(path, value), ensure_ascii=False)
        lines.append(f"{join(path)} = {text}  <- {_origin(spec, path, origin, redact_value)}")
    return "\n".join(lines) + "\n"


def _origin(spec: Spec, path: FieldPath, origin: Origin, redact_value: _Redactor) -> str:
    if origin.kind is OriginKind.DEFAULT:
        return f"from class_name ({spec.origin('class_name')})" if path == ("name",) else "default"
    if origin.below is None:
        return str(origin)
    overridden = json.dumps(redact_value(path, origin.replaced), ensure_ascii=False)
    return f"{origin} ({origin.below} said {overridden})"


def render_json(spec: Spec) -> str:
    """Render the spec as JSON, with the origin of each value that is not a default: ``{"spec": …, "origins": …}``."""
    values: dict[str, Any] = {}
    origins: dict[str, Any] = {}
    redact_value = _Redactor(spec)
    for path, value, origin in leaves(spec):
        section = values
        for step in path[:-1]:
            section = section.setdefault(step, {})
        section[path[-1]] = redact_value(path, value)
        if origin.kind is not OriginKind.DEFAULT:
            origins[join(path)] = _origin_json(path, origin, redact_value)
    for name in ("parameters", "environment"):
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

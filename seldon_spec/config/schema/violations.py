"""Turn violations of the schema into diagnostics. Imported only for a value that the schema rejects."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from seldon_spec.config.schema.describe import TYPE_NAMES, clip, describe, show_value
from seldon_spec.config.schema.locations import SourceLocations
from seldon_spec.config.schema.lookup import (
    Schema,
    field_schema,
    is_reference,
    is_sensitive,
    join,
    load_schema,
    types_of,
)
from seldon_spec.config.schema.suggest import suggest_key, suggest_reference, suggest_value
from seldon_spec.config.secret_names import HIDDEN, names_secret
from seldon_spec.errors import Diagnostic, FieldPath, Origin, is_index

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError


def find_violations(
    value: object, path: FieldPath, schema: Schema, locations: SourceLocations
) -> dict[tuple[FieldPath, str], Diagnostic]:
    """Validate a value with jsonschema.

    Returns:
        The diagnostics by the path of the value or object that violates the schema and, for a key, its name.
    """
    from jsonschema import Draft202012Validator

    found: dict[tuple[FieldPath, str], Diagnostic] = {}
    # The first violation of a value is reported: a wrong type explains a range or a form that does not match.
    validator = Draft202012Validator(load_schema()).evolve(schema=schema)  # references are resolved in the whole schema
    for error in sorted(validator.iter_errors(value), key=lambda each: each.validator != "type"):
        at = (*path, *(str(step) for step in error.absolute_path))
        for where, diagnostic in _convert(error, at, locations):
            found.setdefault(where, diagnostic)
    _join_missing_keys(found)
    return found


def _join_missing_keys(found: dict[tuple[FieldPath, str], Diagnostic]) -> None:
    """Report the missing keys of an object together, in the diagnostic of an unknown key if it has one."""
    by_object: dict[FieldPath, list[tuple[FieldPath, str]]] = {}
    for where, diagnostic in found.items():
        if diagnostic.code == "missing-key":
            by_object.setdefault(where[0], []).append(where)
    for at, missing in by_object.items():
        *most, last = (f'"{key}"' for _, key in missing)
        names = f"{', '.join(most)} or {last}" if most else last
        unknown = next((w for w, d in found.items() if w[0] == at and d.code == "unknown-key"), None)
        if unknown is not None:
            found[unknown] = replace(found[unknown], notes=(f"{join(at)} has no {names}",))
        elif len(missing) > 1:
            found[missing[0]] = replace(
                found[missing[0]], message=f"{join(at)} has no {names}", allowed=None, help=None
            )
        for where in missing if unknown is not None else missing[1:]:
            del found[where]


def _convert(
    error: ValidationError, at: FieldPath, locations: SourceLocations
) -> Iterator[tuple[tuple[FieldPath, str], Diagnostic]]:
    schema = field_schema(at) or {}
    rule = str(error.validator)
    if "propertyNames" in error.absolute_schema_path:
        key = str(error.instance)
        yield (at, key), _invalid_key((*at, key), schema["propertyNames"], locations)
    elif rule == "additionalProperties":
        instance: Any = error.instance
        for key in sorted(set(instance) - set(schema.get("properties", {}))):
            yield (at, key), _unknown_key((*at, key), schema, locations)
    elif rule == "required":
        if at[-1:] and is_index(at[-1]):
            missing = str(error.message).split("'")[1]
            yield (at, missing), missing_key(at, missing, locations.key(at))
    else:
        yield (at, ""), invalid_value(CODES.get(rule, "reference"), at, error.instance, schema, locations)


CODES = {
    "type": "type",
    "enum": "enum",
    "pattern": "form",
    "minimum": "range",
    "maximum": "range",
    "exclusiveMinimum": "range",
    "minLength": "form",
    "maxLength": "form",
    "minItems": "form",
    "maxItems": "form",
}
"""Codes of diagnostics by keyword of the schema; ``reference`` for any other keyword."""


def invalid_value(code: str, at: FieldPath, value: object, schema: Schema, locations: SourceLocations) -> Diagnostic:
    """Return the diagnostic of a value that its schema rejects."""
    if code == "enum":
        shown = json.dumps(value, ensure_ascii=False)
        message = f"{HIDDEN if names_secret(shown) else clip(shown)} is not a valid {join(at)}"
    else:
        message = f"invalid {join(at)}" if code == "form" else f"{join(at)} {_complaint(code, schema)}"
    written = locations.written(at)
    return Diagnostic(
        code,
        message,
        locations.value(at),
        path=at,
        found=_found(at, value, written),
        allowed=describe(schema),
        help=suggest_reference(code, schema) if is_sensitive(at) else suggest_value(code, at, value, written, schema),
    )


def _complaint(code: str, schema: Schema) -> str:
    types = types_of(schema)
    if code == "type" and is_reference(schema):
        return "is neither text nor a reference" if "string" in types else "is not a reference to a secret"
    if code == "type":
        names = [{"object": "mapping", "array": "list", "boolean": "boolean"}.get(t, TYPE_NAMES[t]) for t in types]
        article = {"integer": "an integer", "text": "text", "null": "null"}
        return "is not " + " or ".join(article.get(name, f"a {name}") for name in names if name != "null")
    if code == "range":
        return "is out of range"
    return "needs exactly one of from_env and from_file" if is_reference(schema) else "is not allowed"


def _found(at: FieldPath, value: object, written: str | None) -> str:
    if is_sensitive(at) and isinstance(value, (str, int, float)):
        return HIDDEN
    shown = show_value(value)
    if written is not None and isinstance(value, (bool, int, float)) and written not in shown:
        return f"{clip(written)}, which YAML reads as {shown}"
    return shown


def _unknown_key(at: FieldPath, schema: Schema, locations: SourceLocations) -> Diagnostic:
    known = list(schema.get("properties", {}))
    return Diagnostic(
        "unknown-key",
        f'there is no key "{clip(join(at))}"',
        locations.key(at),
        path=at,
        allowed=", ".join(known) if 0 < len(known) <= 8 else None,
        help=suggest_key(at, known),
    )


def missing_key(at: FieldPath, key: str, origin: Origin) -> Diagnostic:
    """Return the diagnostic of a required key that the object at ``at`` does not have."""
    child = field_schema((*at, key))
    assert child is not None
    return Diagnostic(
        "missing-key",
        f'{join(at)} has no "{key}"',
        origin,
        path=(*at, key),
        allowed=describe(child),
        help=f"add {key}: …",
    )


def _invalid_key(at: FieldPath, schema: Schema, locations: SourceLocations) -> Diagnostic:
    return Diagnostic(
        "key-form",
        f'"{clip(at[-1])}" cannot be a key of {join(at[:-1])}',
        locations.key(at),
        path=at,
        allowed=schema.get("x-allowed"),
    )

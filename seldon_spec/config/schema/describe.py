"""Values and the constraints of fields as diagnostics show them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from seldon_spec.config.schema.lookup import Schema, is_reference, types_of

TYPE_NAMES = {
    "string": "text",
    "integer": "integer",
    "number": "number",
    "boolean": "true or false",
    "null": "null",
    "object": "a mapping",
    "array": "a list",
}


def describe(schema: Schema) -> str:
    """Return a description of the values that a field allows."""
    types = types_of(schema)
    null = " or null" if "null" in types else ""
    if "enum" in schema:
        values = [str(value) for value in schema["enum"] if value is not None]
        return f"one of {', '.join(values)}{null}"
    if "x-allowed" in schema:
        return f"{schema['x-allowed']}{null}"
    names = [TYPE_NAMES[name] for name in types if name != "null"]
    if is_reference(schema):
        names[names.index("a mapping")] = "a reference {from_env: NAME} or {from_file: PATH}"
    elif names == ["a mapping"] and schema.get("examples"):
        return f"a mapping{null}, e.g. {show_flow(schema['examples'][0])}"
    return f"{' or '.join(names) or 'any value'}{_describe_range(schema)}{null}"


def _describe_range(schema: Schema) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    if "exclusiveMinimum" in schema:
        bound = f", more than {schema['exclusiveMinimum']}"
        return bound if high is None else f"{bound}, at most {high}"
    if low is not None and high is not None:
        return f", {low} to {high}"
    if low is not None:
        return f", {low} or more"
    return "" if high is None else f", at most {high}"


def show_flow(value: object) -> str:
    """Return a value as one line of YAML, e.g. ``{max_rows: 64}``."""
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key}: {show_flow(item)}' for key, item in value.items())}}}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(show_flow(item) for item in value)}]"
    if isinstance(value, str) and re.fullmatch(r"[A-Za-z_/][^\s#:,{}\[\]]*", value):
        return value
    return json.dumps(value, ensure_ascii=False)


def show_value(value: object) -> str:
    """Return a value as a diagnostic shows it, with its type."""
    if value is None:
        return "nothing (null)"
    if isinstance(value, bool):
        return f"{str(value).lower()} (boolean)"
    if isinstance(value, (int, float)):
        return f"{clip(repr(value))} (number)"
    if isinstance(value, str):
        return f"{clip(json.dumps(value, ensure_ascii=False))} (text)"
    return "a list" if isinstance(value, (list, tuple)) else "a mapping"


def clip(text: str, limit: int = 80) -> str:
    """Return a text, cut to ``limit`` characters."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"

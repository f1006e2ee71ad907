"""The canonical form of values that can be written in several ways."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from seldon_spec.config.schema.lookup import Schema, field_schema, groups_keys, own_path, types_of
from seldon_spec.errors import FieldPath


def normalise(value: Any, path: FieldPath, written: Callable[[FieldPath], str | None] = lambda _: None) -> Any:
    """Return a JSON value in its canonical form.

    Writes the text of a component as its path or URL, removes sections that are null but must not be, replaces a number
    or a boolean by its written text where the schema requires text, and corrects the case of enum values that are not
    case-sensitive.

    Args:
        value: the value of the field at ``path``; ``()`` is the whole file.
        path: the path of the field.
        written: returns the text of a scalar as the file has it.
    """
    schema = field_schema(path) or {}
    if isinstance(value, str) and own_path(path)[:1] == ("components",) and len(own_path(path)) == 2:
        return {"url" if "://" in value else "path": value}
    if isinstance(value, Mapping) and own_path(path)[:1] != ("parameters",) and groups_keys(path):
        return {
            key: normalise(item, (*path, key), written)
            for key, item in value.items()
            if item is not None or not groups_keys((*path, key)) or "null" in types_of(field_schema((*path, key)) or {})
        }
    if isinstance(value, (bool, int, float)) and "x-as-text" in schema:
        return written(path) or json.dumps(value)
    return match_case(value, schema)


def match_case(value: Any, schema: Schema) -> Any:
    """Return an enum value as the schema spells it, if the schema ignores case."""
    if isinstance(value, str) and "x-any-case" in schema:
        return next((choice for choice in schema["enum"] if choice.lower() == value.strip().lower()), value)
    return value

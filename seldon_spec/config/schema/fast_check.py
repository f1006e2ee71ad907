"""A fast check whether the schema accepts a value, without the import of jsonschema.

Supports only the keywords that ``schemas/seldon.schema.json`` uses; a test compares it with jsonschema, which validates
rejected values again to find the reasons.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from seldon_spec.config.schema.lookup import find_target

Schema = Mapping[str, Any]

_ANNOTATIONS = frozenset({"$schema", "$id", "$defs", "title", "description", "default", "examples"})


def accepts(value: Any, schema: Schema, root: Schema) -> bool:
    """Return whether the schema accepts a value.

    Args:
        value: as ``json.loads`` returns it.
        schema: the subschema to check it against.
        root: the whole schema, for references.

    Raises:
        KeyError: the schema uses an unsupported keyword.
    """
    if "$ref" in schema and not accepts(value, find_target(root, schema["$ref"]), root):
        return False
    rules = [key for key in schema if key not in _ANNOTATIONS and not key.startswith("x-") and key != "$ref"]
    return all(_RULES[rule](value, schema, root) for rule in rules)


def _is_integer(value: Any) -> bool:
    return (isinstance(value, int) and not isinstance(value, bool)) or (isinstance(value, float) and value.is_integer())


_TYPES: dict[str, Callable[[Any], bool]] = {
    "null": lambda value: value is None,
    "boolean": lambda value: isinstance(value, bool),
    "integer": _is_integer,
    "number": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
    "string": lambda value: isinstance(value, str),
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
}


def _has_type(value: Any, schema: Schema, _: Schema) -> bool:
    types = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
    return any(_TYPES[name](value) for name in types)


def _matches(value: Any, schema: Schema, _: Schema) -> bool:
    return not isinstance(value, str) or re.search(schema["pattern"], value) is not None


def _bound(keyword: str, has_type: Callable[[Any], bool], holds: Callable[[Any, Any], bool]) -> Any:
    """Return the rule of a keyword that compares values of one type with a number."""
    return lambda value, schema, _: not has_type(value) or holds(value, schema[keyword])


def _properties_fit(value: Any, schema: Schema, root: Schema) -> bool:
    if not isinstance(value, dict):
        return True
    return all(accepts(value[key], child, root) for key, child in schema["properties"].items() if key in value)


def _others_fit(value: Any, schema: Schema, root: Schema) -> bool:
    rest = schema["additionalProperties"]
    if not isinstance(value, dict) or rest is True:
        return True
    others = [key for key in value if key not in schema.get("properties", {})]
    return not others if rest is False else all(accepts(value[key], rest, root) for key in others)


def _names_fit(value: Any, schema: Schema, root: Schema) -> bool:
    return not isinstance(value, dict) or all(accepts(key, schema["propertyNames"], root) for key in value)


def _items_fit(value: Any, schema: Schema, root: Schema) -> bool:
    return not isinstance(value, list) or all(accepts(item, schema["items"], root) for item in value)


def _has_required(value: Any, schema: Schema, _: Schema) -> bool:
    return not isinstance(value, dict) or all(key in value for key in schema["required"])


_number, _string, _object = _TYPES["number"], _TYPES["string"], _TYPES["object"]

_RULES: dict[str, Callable[[Any, Schema, Schema], bool]] = {
    "type": _has_type,
    "enum": lambda value, schema, _: value in schema["enum"],
    "pattern": _matches,
    "minimum": _bound("minimum", _number, lambda value, bound: not value < bound),
    "maximum": _bound("maximum", _number, lambda value, bound: not value > bound),
    "exclusiveMinimum": _bound("exclusiveMinimum", _number, lambda value, bound: not value <= bound),
    "minLength": _bound("minLength", _string, lambda value, bound: len(value) >= bound),
    "maxLength": _bound("maxLength", _string, lambda value, bound: len(value) <= bound),
    "minItems": _bound("minItems", _TYPES["array"], lambda value, bound: len(value) >= bound),
    "maxItems": _bound("maxItems", _TYPES["array"], lambda value, bound: len(value) <= bound),
    "minProperties": _bound("minProperties", _object, lambda value, bound: len(value) >= bound),
    "maxProperties": _bound("maxProperties", _object, lambda value, bound: len(value) <= bound),
    "properties": _properties_fit,
    "additionalProperties": _others_fit,
    "propertyNames": _names_fit,
    "items": _items_fit,
    "required": _has_required,
}

"""The JSON Schema of seldon.yaml and the properties of its fields."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

from seldon_spec.config.secret_names import is_secret_name
from seldon_spec.errors import FieldPath, is_index

Schema = Mapping[str, Any]


def schema_text() -> str:
    """Return the text of the JSON Schema of seldon.yaml."""
    return (Path(__file__).parents[2] / "schemas" / "seldon.schema.json").read_text("utf-8")


@cache
def load_schema() -> Schema:
    """Return the JSON Schema of seldon.yaml; it is read once."""
    schema: Schema = json.loads(schema_text())
    return schema


def resolve(schema: Schema) -> Schema:
    """Return a subschema merged over the target of its ``$ref``."""
    if "$ref" not in schema:
        return schema
    return {**resolve(find_target(load_schema(), schema["$ref"])), **schema}


def find_target(root: Schema, reference: str) -> Schema:
    """Return the subschema of a reference, ``#/$defs/NAME`` or ``#/properties/NAME``."""
    _, section, name = reference.split("/")
    return root[section][name]  # type: ignore[no-any-return]


def own_path(path: FieldPath) -> FieldPath:
    """Return the path of a value in the spec of its component: ``components.iris.parameters.a`` is ``parameters.a``."""
    while path[:1] == ("components",) and len(path) > 2:
        path = path[2:]
    return path


def field_schema(path: FieldPath) -> Schema | None:
    """Return the subschema of the field at ``path``; None if the schema has no such field."""
    schema = load_schema()
    for step in path:
        child = _child(resolve(schema), step)
        if child is None:
            return None
        schema = child
    return resolve(schema)


def _child(schema: Schema, step: str) -> Schema | None:
    properties = schema.get("properties", {})
    if step in properties:
        return properties[step]  # type: ignore[no-any-return]
    if is_index(step) and "items" in schema:
        return schema["items"]  # type: ignore[no-any-return]
    rest = schema.get("additionalProperties", False)
    if rest is True:
        return {}
    return rest or None


def types_of(schema: Schema) -> tuple[str, ...]:
    """Return the JSON types of a field; empty if any type is allowed. Excludes the types that are converted to text."""
    types = schema.get("type", ())
    if "x-as-text" in schema:
        return tuple(name for name in types if name not in ("number", "boolean"))
    return (types,) if isinstance(types, str) else tuple(types)


def fields(schema: Schema | None = None, path: FieldPath = ()) -> Iterator[tuple[FieldPath, Schema]]:
    """Yield every field that is not a section, in the order of the schema."""
    for key, child in (load_schema() if schema is None else schema).get("properties", {}).items():
        if is_section(child):
            yield from fields(child, (*path, key))
        else:
            yield (*path, key), resolve(child)


def is_section(schema: Schema) -> bool:
    """Return whether a field is a mapping with fixed keys; it may also allow null."""
    return "x-section" in schema or (set(types_of(schema)) - {"null"} == {"object"} and "properties" in schema)


def takes_any_key(schema: Schema) -> bool:
    """Return whether a mapping allows keys that the schema does not list."""
    return schema.get("additionalProperties") not in (None, False)


def holds_sections(schema: Schema) -> bool:
    """Return whether the values of a mapping with free keys are sections: ``components``."""
    rest = schema.get("additionalProperties")
    return isinstance(rest, dict) and is_section(resolve(rest))


def is_reference(schema: Schema) -> bool:
    """Return whether a field takes a reference to a secret."""
    return "from_env" in schema.get("properties", {})


def groups_keys(path: FieldPath) -> bool:
    """Return whether the items at ``path`` have origins of their own: a section, or a mapping with free keys."""
    schema = field_schema(path)
    return schema is not None and (is_section(schema) or takes_any_key(schema))


def with_required_keys(schema: Schema | None = None, path: FieldPath = ()) -> Iterator[tuple[FieldPath, Schema]]:
    """Yield every mapping that has required keys, with its schema; without the items of lists."""
    for key, child in (load_schema() if schema is None else schema).get("properties", {}).items():
        if "required" in child:
            yield (*path, key), child
        if is_section(child):
            yield from with_required_keys(child, (*path, key))


def is_required(path: FieldPath) -> bool:
    """Return whether the field is a required key of its section."""
    parent = field_schema(path[:-1])
    return parent is not None and path[-1] in parent.get("required", ())


def join(path: FieldPath) -> str:
    """Return a path in its written form, e.g. ``server.workers`` or ``parameters[0].value``."""
    return "".join(f"[{step}]" if is_index(step) else f".{step}" for step in path).removeprefix(".")


def is_sensitive(path: FieldPath) -> bool:
    """Return whether a value may be a secret: by the schema for its own keys, by the name for any other key.

    ``x-secret`` marks a secret, ``x-public`` a mapping whose names say nothing about its values.
    """
    own = own_path(path)
    if own[:1] == ("graph",):  # the values are names of components, unless a key does not belong there
        return any(is_secret_name(key) for holder, key in pairwise(own) if holder != "split")
    schema = load_schema()
    for index, step in enumerate(path):
        if step in schema.get("properties", {}):
            schema = resolve(schema["properties"][step])
        elif holds_sections(schema):
            schema = resolve(schema["additionalProperties"])
        else:
            return any(is_secret_name(name) for name in path[index:])
        if "x-secret" in schema or "x-public" in schema:
            return "x-secret" in schema
    return False


def split_path(text: str) -> FieldPath:
    """Return the path of ``server.log.level``; the rest after the name of a mapping with free keys is one key."""
    steps = text.split(".")
    for index in range(1, len(steps)):
        schema = field_schema(tuple(steps[:index]))
        if schema is not None and takes_any_key(schema) and not holds_sections(schema):
            return (*steps[:index], ".".join(steps[index:]))
    return tuple(steps)

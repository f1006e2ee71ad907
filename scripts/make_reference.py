"""Write docs/reference.md from the JSON Schema and the loader's table of variables.

Run it after a change of either; a test compares the committed page with what this makes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from seldon_spec.config.layers.environment import generic_variable
from seldon_spec.config.layers.variables import ANNOTATIONS, TABLE, field_variables
from seldon_spec.config.schema.schema import Schema, describe, is_required, is_section, load_schema, resolve, types_of
from seldon_spec.errors import FieldPath

PAGE = Path(__file__).parents[1] / "docs" / "reference.md"
INTRODUCTION = """\
# Reference

<!-- Made by scripts/make_reference.py from schemas/seldon.schema.json: change the schema, then run the script. -->

Every key of `seldon.yaml`, and every variable that is read. Only `class_name` is required. A flag stands above a
variable, a variable above the file, and the file above the default; `seldon-spec show` prints where each value comes
from. `seldon-spec schema` prints the JSON Schema from which this page is made.

## Keys
"""
VARIABLES = """\
## Variables

Any field can be set by a variable of its own, which is named with each key above: `SELDON_SPEC__`, then the path in
capitals with two underscores between its steps. On the command line the same is `--set server.workers=4`. A text is
read by the type of its field: booleans are 1, true, t, yes, y, on and 0, false, f, no, n, off; lists and mappings are
JSON; `null` unsets a field that may be null. Under `SELDON_SPEC__PARAMETERS__NAME` the name is that of an argument of
the class, whatever its case.

The names that images made for Seldon Core already use are read too. Where such a name and a `SELDON_SPEC__` name set
the same field, the latter wins and a warning says so.

The others that Seldon's wrapper, images and operator know stand here with why they have no effect. Where a text asks
for one that is missing, a note says so at the start; what the operator sets on every container is never told.

| variable | sets |
|---|---|
"""
ANNOTATIONS_INTRODUCTION = """
## Annotations

In a pod, these annotations are read from the file that the operator mounts, `/etc/podinfo/annotations`. They stand
above the file and below every variable; one that cannot be read is left out with a warning.

| annotation | sets |
|---|---|
"""


def render_reference() -> str:
    """The whole page, the same for the same schema and table."""
    keys = "\n".join(_describe_properties(load_schema(), ()))
    return (
        f"{INTRODUCTION}\n{keys}\n{VARIABLES}{''.join(_variable_rows())}{ANNOTATIONS_INTRODUCTION}{_annotation_rows()}"
    )


def _variable_rows() -> Iterator[str]:
    for row in TABLE:
        yield f"| `{row.name}` | {row.does} |\n"
    yield "| `FLASK_<SETTING>` | `flask.<SETTING>`, for each setting above |\n"


def _annotation_rows() -> str:
    return "".join(f"| `{row.name}` | {row.does} |\n" for row in ANNOTATIONS)


def _describe_properties(schema: Schema, path: FieldPath) -> Iterator[str]:
    for key, child in schema.get("properties", {}).items():
        yield from _describe_key((*path, key), resolve(child))


def _describe_key(path: FieldPath, schema: Schema) -> Iterator[str]:
    yield f"### {_join(path)}\n"
    yield f"{schema['description']}\n"
    if not is_section(schema) or "null" in types_of(schema):
        yield from _describe_value(path, schema)
    if is_section(schema):
        yield from _describe_properties(schema, path)


def _describe_value(path: FieldPath, schema: Schema) -> Iterator[str]:
    yield f"- Allowed: {_escape(describe(schema))}"
    yield f"- Default: {_default(path, schema)}"
    yield f"- Variable: {' or '.join(f'`{name}`' for name in _variables(path))}"
    yield f"- Example:\n\n{_indent(_example(path, schema))}"


def _default(path: FieldPath, schema: Schema) -> str:
    if "x-default" in schema:
        return str(schema["x-default"])
    if is_required(path):
        return "none; it is required" + (f" in `{_join(path[:-1])}`" if path[1:] else "")
    return f"`{json.dumps(schema['default'], ensure_ascii=False)}`"


def _variables(path: FieldPath) -> list[str]:
    """The field's own variable, then Seldon's; a mapping of free names also takes one variable for each name."""
    own = {known: name for name, known in field_variables().items()}
    return [generic_variable(path), *([own[path]] if path in own else [])]


def _example(path: FieldPath, schema: Schema) -> str:
    value: Any = schema["examples"][0]
    for key in reversed(path):
        value = {key: value}
    return str(yaml.safe_dump(value, sort_keys=False, allow_unicode=True)).rstrip()


def _indent(text: str) -> str:
    return "".join(f"        {line}\n" for line in text.splitlines())


def _escape(text: str) -> str:
    """Markdown takes a bare asterisk, underscore or angle bracket of a description for its own."""
    return "".join(f"\\{character}" if character in "*_<>" else character for character in text)


def _join(path: FieldPath) -> str:
    return ".".join(path)


if __name__ == "__main__":
    PAGE.write_text(render_reference(), encoding="utf-8")

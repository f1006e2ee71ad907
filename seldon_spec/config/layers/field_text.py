"""Convert the text of a variable or flag to the type of its field, and set the field."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from seldon_spec.config.layers import parameters as seldon_parameters
from seldon_spec.config.layers.layered_values import LayeredValues
from seldon_spec.config.layers.parameters import set_entry
from seldon_spec.config.schema.check import check
from seldon_spec.config.schema.describe import describe
from seldon_spec.config.schema.locations import SourceLocations
from seldon_spec.config.schema.lookup import (
    Schema,
    field_schema,
    groups_keys,
    is_reference,
    is_section,
    is_sensitive,
    join,
    own_path,
    types_of,
)
from seldon_spec.config.schema.normalise import normalise
from seldon_spec.config.schema.suggest import suggest_reference
from seldon_spec.config.secret_names import HIDDEN, names_secret
from seldon_spec.config.yaml.problems import MAX_DEPTH
from seldon_spec.errors import DEFAULT_ORIGIN, Diagnostic, FieldPath, Origin, OriginKind


@dataclass(frozen=True, slots=True)
class Setting:
    """A text from a variable or flag for a field."""

    path: FieldPath
    text: str
    origin: Origin


@dataclass(frozen=True, slots=True)
class ArgumentHints:
    """Names and annotations of the arguments of ``__init__``, which determine how the text of a parameter is read."""

    names: tuple[str, ...] = ()
    annotations: Mapping[str, str] = field(default_factory=dict)


def flag(path: FieldPath, text: str, name: str | None = None) -> Setting:
    """Return the setting of a flag; ``name`` is the flag, by default ``--set``."""
    return Setting(path, text, Origin(OriginKind.FLAG, name or f"--set {join(path)}"))


def apply_setting(values: LayeredValues, setting: Setting, hints: Callable[[], ArgumentHints]) -> None:
    """Set a field from a text; diagnostics are appended to ``values.problems``."""
    schema = field_schema(setting.path)
    assert schema is not None
    try:
        if _is_parameter(setting.path):
            value = _read_parameter(values, setting, hints())
        else:
            value = read_text(setting.text, schema)
    except InvalidText as error:
        values.problems.append(_invalid_text(values, setting, schema, str(error)))
        return
    if _is_deep(value):
        values.problems.append(_invalid_text(values, setting, schema, f"has more than {MAX_DEPTH} levels"))
        return
    value = normalise(value, setting.path)
    locations = SourceLocations.single(setting.origin)
    problems = [] if _is_parameter(setting.path) else check(value, setting.path, locations)
    if problems:
        may_show = not any(is_sensitive(problem.path) for problem in problems)
        found = _found(values, setting) if may_show else HIDDEN
        values.problems.extend(replace(problem, found=found) for problem in problems)
        return
    parent = field_schema(setting.path[:-1])
    if parent is not None and is_reference(parent):
        values.set(setting.path[:-1], {setting.path[-1]: value}, setting.origin)
    elif setting.path == ("parameters",) and isinstance(value, list):
        for index, entry in enumerate(value):
            set_entry(values, str(index), entry, setting.origin)
    elif isinstance(value, dict) and groups_keys(setting.path):
        _set_leaves(values, setting.path, value, setting.origin)
    else:
        values.set(setting.path, value, setting.origin)


def _is_deep(value: Any) -> bool:
    """Return whether a value has more levels than a file may have; the schema is checked recursively."""
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [item for each in level for item in _items_of(each)]
    return bool(level)


def _items_of(value: Any) -> list[Any]:
    return list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []


def _is_parameter(path: FieldPath) -> bool:
    return path[0] == "parameters" and len(path) > 1


def _set_leaves(values: LayeredValues, path: FieldPath, value: Mapping[str, Any], origin: Origin) -> None:
    if not value and "null" in types_of(field_schema(path) or {}) and values.get(path) is None:
        values.open(path, origin)
    for key, item in value.items():
        schema = field_schema((*path, key))
        is_nested = path[:1] == ("components",) and groups_keys((*path, key))
        if isinstance(item, dict) and schema is not None and (is_section(schema) or is_nested):
            _set_leaves(values, (*path, key), item, origin)
        else:
            values.set((*path, key), item, origin)


class InvalidText(ValueError):
    """A text cannot be converted to the type of its field; the message follows the name of the field."""


def read_text(text: str, schema: Schema) -> Any:
    """Convert a text to one of the types that the schema of its field allows.

    Raises:
        InvalidText: the text cannot be converted.
    """
    types = types_of(schema)
    if not types:
        return _json_or_text(text, ("",))
    if "null" in types and text.strip().lower() == "null":
        return None
    openings = tuple("{" * ("object" in types) + "[" * ("array" in types))
    if "string" in types or (openings and text.lstrip().startswith(openings)):
        return _json_or_text(text, openings)
    if "boolean" in types:
        return _required(seldon_parameters.read_boolean(text), "is not a boolean")
    if "integer" in types:
        return _required(seldon_parameters.read_integer(text), "is not an integer")
    if "number" in types:
        return _read_number(text)
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidText(f"is not JSON, which {'a list' if types[0] == 'array' else 'a mapping'} requires") from None


def _required(value: Any, complaint: str) -> Any:
    if value is None:
        raise InvalidText(complaint)
    return value


def _read_number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise InvalidText("is not a number") from None
    if not math.isfinite(number):
        raise InvalidText("is not a finite number")
    return int(number) if number.is_integer() else number


def _json_or_text(text: str, openings: tuple[str, ...]) -> Any:
    """Return the value if the text is JSON that begins with one of ``openings``; else the text itself."""
    if text.lstrip().startswith(openings):
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return text
    return text


def _read_parameter(values: LayeredValues, setting: Setting, hints: ArgumentHints) -> Any:
    """Parse a parameter as JSON, unless the file's value or the annotation shows that the argument is text."""
    current = values.get(setting.path)
    annotation = hints.annotations.get(setting.path[1], "").strip("'\"").replace(" ", "")
    if isinstance(current, str) or annotation in (
        "str",
        "str|None",
        "None|str",
        "Optional[str]",
        "typing.Optional[str]",
    ):
        return setting.text
    try:
        return json.loads(setting.text)
    except (ValueError, RecursionError):
        return setting.text


def _invalid_text(values: LayeredValues, setting: Setting, schema: Schema, complaint: str) -> Diagnostic:
    allowed = describe(schema)
    if types_of(schema)[:1] == ("boolean",):
        allowed = seldon_parameters.BOOLEAN_WORDS
    return Diagnostic(
        "type",
        f"{join(setting.path)} {complaint}",
        setting.origin,
        path=setting.path,
        found=_found(values, setting),
        allowed=allowed,
        help=suggest_reference("type", schema),
    )


def _found(values: LayeredValues, setting: Setting) -> str:
    below = values.origins.get(setting.path, DEFAULT_ORIGIN)
    overridden = "" if below.kind is OriginKind.DEFAULT else f", overrides {below}"
    return f"{show_text(setting.path, setting.text)} ({setting.origin.kind.value}{overridden})"


def show_text(path: FieldPath, text: str) -> str:
    """Return a text for a diagnostic, hidden if it may contain a secret."""
    if is_sensitive(path) or own_path(path)[:1] in (("parameters",), ("environment",)) or names_secret(text):
        return HIDDEN
    is_json = '"' in text and "'" not in text and text.isprintable()
    quoted = f"'{text}'" if is_json else json.dumps(text, ensure_ascii=False)
    return quoted if len(quoted) <= 80 else f"{quoted[:79]}…"

"""Convert Seldon's list of parameters, ``[{name, type, value}]``.

The same rules apply to the file and to ``PREDICTIVE_UNIT_PARAMETERS``. Source: contract section 7.3.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from seldon_spec.config.layers.layered_values import LayeredValues
from seldon_spec.config.schema.lookup import is_sensitive
from seldon_spec.config.secret_names import HIDDEN
from seldon_spec.errors import Diagnostic, FieldPath, Origin

TRUE_WORDS = frozenset({"1", "true", "t", "yes", "y", "on"})
FALSE_WORDS = frozenset({"0", "false", "f", "no", "n", "off"})
BOOLEAN_WORDS = "1 true t yes y on, or 0 false f no n off"

TYPES = ("STRING", "INT", "FLOAT", "DOUBLE", "BOOL")

_ALLOWED = {"INT": "an integer", "FLOAT": "a number", "DOUBLE": "a number", "BOOL": BOOLEAN_WORDS, "STRING": "text"}


class NotOfType(ValueError):
    """A value cannot be converted to the type of its parameter; ``allowed`` describes valid values."""

    def __init__(self, type_name: str) -> None:
        self.allowed = _ALLOWED[type_name]
        super().__init__(f"is not {'an' if type_name == 'INT' else 'a'} {type_name}")


def read_boolean(text: str) -> bool | None:
    """Return the boolean that a word means, ignoring case; None for any other text."""
    word = text.strip().lower()
    if word in TRUE_WORDS:
        return True
    return False if word in FALSE_WORDS else None


def read_integer(text: str) -> int | None:
    """Return the integer in a text, which may have underscores as in Python; None for any other text."""
    # The cost of int() grows with the square of the length.
    if not re.fullmatch(r"\s*[-+]?[0-9]+(_[0-9]+)*\s*", text) or len(text) > 1000:
        return None
    return int(text)


def convert_entry(entry: Mapping[str, Any]) -> str | int | float | bool:
    """Convert the value of a parameter whose ``type`` is one of :data:`TYPES`.

    Raises:
        NotOfType: the value cannot be converted to the type.
    """
    type_name, value = entry["type"], entry["value"]
    if type_name == "STRING":
        return _as_text(value)
    text = _as_text(value)
    if type_name == "BOOL":
        boolean = read_boolean(text)
        if boolean is None:
            raise NotOfType(type_name)
        return boolean
    if isinstance(value, bool):
        raise NotOfType(type_name)
    return _integer(value, text) if type_name == "INT" else _number(type_name, text)


def _as_text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _integer(value: object, text: str) -> int:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    number = read_integer(text)
    if number is None:
        raise NotOfType("INT")
    return number


def _number(type_name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise NotOfType(type_name) from None


def set_entry(
    values: LayeredValues, index: str, entry: Mapping[str, Any], origin: Origin, path: FieldPath = ("parameters",)
) -> None:
    """Set one parameter of Seldon's list at ``path``; report a value that does not have the parameter's type."""
    name = entry["name"]
    try:
        value = convert_entry(entry)
    except NotOfType as error:
        shown = HIDDEN if is_sensitive(("parameters", name)) else json.dumps(entry["value"], ensure_ascii=False)
        values.problems.append(
            Diagnostic(
                "parameter-type",
                f'the parameter "{name}" {error}',
                origin,
                path=(*path, index, "value"),
                found=shown,
                allowed=error.allowed,
            )
        )
        return
    values.set((*path, name), value, origin)

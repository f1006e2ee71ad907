"""Seldon's parameter list, ``[{name, type, value}]``: text with the name of a type beside it.

Source of the rules: contract section 7.3. The loader reads the file's list and ``PREDICTIVE_UNIT_PARAMETERS`` alike.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

TRUE_WORDS = frozenset({"1", "true", "t", "yes", "y", "on"})
FALSE_WORDS = frozenset({"0", "false", "f", "no", "n", "off"})
BOOLEAN_WORDS = "1 true t yes y on, or 0 false f no n off"

TYPES = ("STRING", "INT", "FLOAT", "DOUBLE", "BOOL")

_ALLOWED = {"INT": "an integer", "FLOAT": "a number", "DOUBLE": "a number", "BOOL": BOOLEAN_WORDS, "STRING": "text"}


class NotOfType(ValueError):
    """A parameter's value cannot be read as its type; ``allowed`` says what could."""

    def __init__(self, kind: str) -> None:
        self.allowed = _ALLOWED[kind]
        super().__init__(f"is not {'an' if kind == 'INT' else 'a'} {kind}")


def read_boolean(text: str) -> bool | None:
    """The boolean that a text stands for, whatever its case; None if it stands for none."""
    word = text.strip().lower()
    if word in TRUE_WORDS:
        return True
    return False if word in FALSE_WORDS else None


def read_integer(text: str) -> int | None:
    """The integer that a text stands for; underscores between digits are allowed, as in Python."""
    # int() itself would take a text of any length, at a cost that grows with its square.
    if not re.fullmatch(r"\s*[-+]?[0-9]+(_[0-9]+)*\s*", text) or len(text) > 1000:
        return None
    return int(text)


def convert_entry(entry: Mapping[str, Any]) -> str | int | float | bool:
    """The value of one parameter whose ``type`` is one of :data:`TYPES`.

    Raises:
        NotOfType: the value cannot be read as the type.
    """
    kind, value = entry["type"], entry["value"]
    if kind == "STRING":
        return _as_text(value)
    text = _as_text(value)
    if kind == "BOOL":
        boolean = read_boolean(text)
        if boolean is None:
            raise NotOfType(kind)
        return boolean
    if isinstance(value, bool):
        raise NotOfType(kind)
    return _integer(value, text) if kind == "INT" else _number(kind, text)


def _as_text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _integer(value: object, text: str) -> int:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    number = read_integer(text)
    if number is None:
        raise NotOfType("INT")
    return number


def _number(kind: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise NotOfType(kind) from None

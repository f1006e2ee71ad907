"""The cells of a CSV file: what a column holds, and its cells as values."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from contextlib import suppress
from enum import Enum
from typing import Any

DELIMITERS = (",", ";", "\t", "|")

_MISSING = frozenset({"", "NA", "N/A", "NaN", "nan", "null", "NULL", "None"})
_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_NUMBER = re.compile(r"[+-]?(?:(?:0|[1-9]\d*)(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?|[+-]?inf(?:inity)?", re.IGNORECASE)
"""Not ``007``, which is text: a number would lose its zeros."""


class Kind(Enum):
    """What the cells of a column are."""

    NUMBER = "a number"
    BOOLEAN = "true or false"
    TEXT = "text"


def find_kind(cells: Sequence[str]) -> Kind:
    """Return what cells are; those of numbers and truth values may be missing."""
    values = {cell.strip() for cell in cells} - _MISSING
    if all(map(_NUMBER.fullmatch, values)):
        return Kind.NUMBER
    return Kind.BOOLEAN if values <= _BOOLEANS.keys() else Kind.TEXT


def kind_of(datatype: str) -> Kind:
    """Return what the cells of a column with a datatype of the Open Inference Protocol are."""
    return {"BYTES": Kind.TEXT, "BOOL": Kind.BOOLEAN}.get(datatype, Kind.NUMBER)


def is_number(cell: str) -> bool:
    """Return whether a cell is a number."""
    return _NUMBER.fullmatch(cell.strip()) is not None


def convert(cells: Sequence[str], kind: Kind, name: str) -> list[Any]:
    """Return the values of the cells of a column; None for those that are missing.

    Args:
        cells: of the column.
        kind: of the cells.
        name: of the column, for errors.

    Raises:
        ValueError: a cell is not of the kind.
    """
    if kind is Kind.TEXT:
        return [cell or None for cell in cells]
    if kind is Kind.NUMBER:
        with suppress(ValueError):
            if not any("_" in cell for cell in cells):  # Python reads 1_000
                return _read_numbers(cells)
    return [_convert_cell(cell, kind, name) for cell in cells]


def split(lines: Sequence[bytes], delimiter: str, errors: str = "strict") -> list[list[str]]:
    """Return the cells of each record.

    Args:
        lines: of the records.
        delimiter: of the cells.
        errors: what to do with bytes that are no UTF-8, as of ``bytes.decode``.

    Raises:
        ValueError: they are no UTF-8.
    """
    try:
        text = b"\n".join(lines).decode(errors=errors)
    except UnicodeDecodeError as error:
        raise ValueError(f"the row is not UTF-8: {error.reason}") from None
    if '"' not in text:
        return [line.split(delimiter) for line in text.split("\n")]
    csv.field_size_limit(max(csv.field_size_limit(), len(text)))  # of the process: it may only grow
    return list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))


def join_quoted(lines: list[bytes]) -> tuple[list[bytes], bytes]:
    """Join the lines of each record whose quoted values contain ends of lines; see ``line_reader.Join``."""
    records: list[bytes] = []
    parts: list[bytes] = []
    is_open = False
    for line in lines:
        is_open ^= line.count(b'"') % 2 == 1
        parts.append(line)
        if not is_open:
            records.append(b"\n".join(parts) if len(parts) > 1 else line)
            parts = []
    return records, b"\n".join(parts)


def find_delimiter(header: str) -> str:
    """Return the delimiter that a header has most often outside of quotes."""
    plain = re.sub(r'"[^"]*"', "", header)
    return max(DELIMITERS, key=plain.count)


def _read_numbers(cells: Sequence[str]) -> list[Any]:
    try:
        return list(map(int, cells))
    except ValueError:
        return list(map(float, cells))


def _convert_cell(cell: str, kind: Kind, name: str) -> Any:
    text = cell.strip()
    if text in _MISSING:
        return None
    if kind is Kind.BOOLEAN and text in _BOOLEANS:
        return _BOOLEANS[text]
    if kind is Kind.NUMBER and _NUMBER.fullmatch(text):
        return float(text) if re.search(r"[.eEnN]", text) else int(text)
    raise ValueError(f"column {name}: {cell[:60]!r} is not {kind.value}")

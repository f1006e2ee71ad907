"""The requests for rows of Python values, whichever format they were read from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from seldon_spec.inference.arrays import Array
from seldon_spec.inference.message import Message, PayloadType
from seldon_spec.protocols.seldon_v1.array_encoding import ArrayEncoding

_INTEGERS = frozenset({int})
_NUMBERS = frozenset({int, float, type(None)})


@dataclass(frozen=True, slots=True)
class NamedColumns:
    """The names of columns whose values have types of their own, as ``Message.table``.

    Attributes:
        columns: the names, in order.
    """

    columns: Sequence[str]


def message_of_columns(names: Sequence[str], columns: Sequence[Sequence[Any]]) -> Message:
    """Return the request for rows whose values are given column by column.

    Args:
        names: of the columns; empty: they have none.
        columns: of equal length; their values are numbers, text, truth values, None, lists or objects.

    Returns:
        An array of the shape (rows, columns). Integers that numpy can hold together are int64 or uint64; integers with
        floats or missing values are float64, with NaN for None. Anything else is an array of objects, which keeps
        each value.
    """
    numbers = _to_numbers(columns)
    if numbers is not None:
        return Message(PayloadType.ARRAY, numbers, list(names))
    return _message_of_objects(names, [list(row) for row in zip(*columns, strict=True)])


def message_of_rows(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> Message:
    """Return the same as ``message_of_columns`` for values that are given row by row.

    Args:
        names: of the columns; empty: they have none.
        rows: of equal length, at least one.
    """
    return message_of_columns(names, list(zip(*rows, strict=True)))


def _to_numbers(columns: Sequence[Sequence[Any]]) -> Array | None:
    """Return columns of numbers as an array of rows; None: a value is no number, or an integer is too large."""
    types: set[type] = set()
    for column in columns:
        types.update(map(type, column))
        if not types <= _NUMBERS:
            return None
    try:
        if types == _INTEGERS:
            array = np.array(columns)
            return np.ascontiguousarray(array.T) if array.dtype.kind in "iu" else None
        array = np.empty((len(columns[0]) if columns else 0, len(columns)))
        for index, column in enumerate(columns):
            array[:, index] = [math.nan if value is None else value for value in column]
    except OverflowError:
        return None
    return array


def _message_of_objects(names: Sequence[str], rows: list[list[Any]]) -> Message:
    array = np.empty((len(rows), len(rows[0]) if rows else 0), dtype=object)
    for index, row in enumerate(rows):
        for column, value in enumerate(row):  # one by one: numpy would take a list for a further dimension
            array[index, column] = value
    return Message(
        PayloadType.ARRAY,
        array,
        list(names),
        encoding=ArrayEncoding.NDARRAY,
        original=rows,
        table=NamedColumns(list(names)) if names else None,
    )

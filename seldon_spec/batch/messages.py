"""The requests for rows, for every format of an input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from seldon_spec.errors import PayloadError
from seldon_spec.inference.arrays import Array, flatten_nested
from seldon_spec.inference.message import Message, PayloadType
from seldon_spec.protocols.seldon_v1.array_encoding import ArrayEncoding

_INTEGERS = frozenset({int})
_BOOLEANS = frozenset({bool})
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


def message_of_values(values: list[Any]) -> Message:
    """Return the request for rows that are one value each: an array of equal shape, a number, text or a truth value.

    Returns:
        An array whose first axis is the rows, with the types of ``message_of_columns``.

    Raises:
        ValueError: the values differ in shape, or are nested too deeply.
    """
    try:
        shape, leaves, types = flatten_nested(values)
    except PayloadError as error:
        raise ValueError(str(error)) from None
    array = np.array(leaves, dtype=bool) if types == _BOOLEANS else _array_of(leaves, types)
    if array is not None:
        return Message(PayloadType.ARRAY, array.reshape(shape))
    objects = np.fromiter(leaves, dtype=object, count=len(leaves)).reshape(shape)
    return Message(PayloadType.ARRAY, objects, encoding=ArrayEncoding.NDARRAY, original=values)


def message_of_bytes(values: Sequence[bytes]) -> Message:
    """Return the request for rows of bytes: of one row the bytes, of several an array of them."""
    if len(values) == 1:
        return Message(PayloadType.BINARY, values[0])
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return Message(PayloadType.ARRAY, array)


def write_number_rows(array: Array) -> list[bytes] | None:
    """Return each row of an array of two dimensions as the JSON text of its numbers, separated by commas.

    Returns:
        None: it has no finite numbers, or no columns.
    """
    kind = array.dtype.kind
    if kind not in "iuf" or not array.size or (kind == "f" and not np.isfinite(array).all()):
        return None
    wide = array.astype(np.float64 if kind == "f" else np.uint64 if kind == "u" else np.int64, order="C", copy=False)
    return orjson.dumps(wide, option=orjson.OPT_SERIALIZE_NUMPY)[2:-2].split(b"],[")


def _to_numbers(columns: Sequence[Sequence[Any]]) -> Array | None:
    """Return columns of numbers as an array of rows; None: a value is no number, or an integer is too large."""
    types: set[type] = set()
    for column in columns:
        types.update(map(type, column))
        if not types <= _NUMBERS:
            return None
    leaves = [value for column in columns for value in column]
    array = _array_of(leaves, types)
    return (
        None
        if array is None
        else np.ascontiguousarray(array.reshape(len(columns), len(columns[0]) if columns else 0).T)
    )


def _array_of(leaves: list[Any], types: set[type]) -> Array | None:
    """Return numbers as an array of one dimension; None: one is no number, or an integer is too large."""
    if not types <= _NUMBERS:
        return None
    try:
        if types != _INTEGERS:
            return np.array(leaves, dtype=np.float64)  # NaN for None
        array = np.array(leaves)
    except OverflowError:
        return None
    return array if array.dtype.kind in "iu" else None


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

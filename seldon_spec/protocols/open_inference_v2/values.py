"""A tensor's values in JSON: numbers, texts and truth values to an array of its datatype, and back.

Integers are accepted as floats and whole floats as integers; nothing else is converted, and nothing wraps. Floats may
be null or one of the texts NaN, Infinity and -Infinity, which is also how they are written.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import chain
from typing import Any

import numpy as np

from seldon_spec.errors import PayloadError
from seldon_spec.inference.arrays import Array
from seldon_spec.inference.datatypes import BOOL, BYTES, Datatype, cast_floats, check_count, widen_bf16

_NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf, None: math.nan}
_NUMBERS = frozenset({int, float})
_LISTS = frozenset({list})


class _BadValue(Exception):
    """A value is not of its tensor's datatype; the text says which and why."""


class WrongValues(Exception):
    """A value is not of its tensor's datatype; the text says which and why.

    Attributes:
        values: all values of the tensor as they were sent, as a flat array.
    """

    def __init__(self, text: str, values: Array) -> None:
        super().__init__(text)
        self.values = values


def read_values(datatype: Datatype, shape: list[int], data: object, name: str, *, allows_null: bool = False) -> Array:
    """Return the array of a tensor's ``data``.

    Args:
        datatype: of the tensor.
        shape: of the tensor, without a negative size.
        data: a list, flat or nested as the shape; or a flat array of int64 or float64, read without lists.
        name: of the tensor, for messages.
        allows_null: whether integers, booleans and texts may be null, as floats may.

    Returns:
        An array that owns its memory; for BYTES of ``bytes`` objects. A mask hides null; it is None among texts.

    Raises:
        WrongValues: a value is not of the datatype.
        PayloadError: their count or nesting does not fit the shape.
    """
    if type(data) is list and data and type(data[0]) is not list:
        flat: Any = data
    else:
        flat = data if isinstance(data, np.ndarray) else _flatten(shape, data, name)
    check_count(shape, len(flat), name)
    try:
        if allows_null and isinstance(flat, list) and None in flat and (datatype in (BOOL, BYTES) or datatype.limits):
            return _read_with_null(datatype, flat).reshape(shape)
        return _reader(datatype)(datatype, flat).reshape(shape)
    except _BadValue as error:
        sent = flat if isinstance(flat, np.ndarray) else np.fromiter(flat, object, len(flat))
        raise WrongValues(f"input {name!r:.100}: {error}", sent) from None


def _reader(datatype: Datatype) -> Callable[[Datatype, Any], Array]:
    if datatype is BYTES:
        return _read_texts
    if datatype is BOOL:
        return _read_booleans
    return _read_floats if datatype.limits is None else _read_integers


def _read_with_null(datatype: Datatype, values: list[Any]) -> Array:
    missing = np.array([value is None for value in values])
    known = _reader(datatype)(datatype, [value for value in values if value is not None])
    array = np.full(len(values), None) if datatype is BYTES else np.zeros(len(values), datatype.dtype)
    array[~missing] = known
    return array if datatype is BYTES else np.ma.array(array, mask=missing)


def _flatten(shape: list[int], data: object, name: str) -> list[Any]:
    """Return the values in row-major order, from a flat list or from lists that are nested as the shape."""
    if not isinstance(data, list):
        raise PayloadError(f"input {name!r:.100}: data is not a list")
    if not data or type(data[0]) is not list:
        return data
    level: list[Any] = [data]
    for size in shape:
        if not _LISTS.issuperset(map(type, level)) or any(len(row) != size for row in level):
            raise PayloadError(f"input {name!r:.100}: the nested data does not fit the shape {shape}")
        level = list(chain.from_iterable(level))
    return level


def _read_integers(datatype: Datatype, values: Any) -> Array:
    assert datatype.limits is not None
    low, high = datatype.limits
    if not len(values):
        return np.empty(0, datatype.dtype)
    if isinstance(values, np.ndarray):
        if values.dtype.kind == "f":
            if not (np.isfinite(values).all() and (np.floor(values) == values).all()):
                raise _BadValue(f"a value of {datatype.name} is not a whole number")
            return _read_integers(datatype, [int(value) for value in values.tolist()])
        least, most = int(values.min()), int(values.max())
    else:
        types = set(map(type, values))
        if types != {int}:
            if not types <= _NUMBERS:
                raise _BadValue(_wrong_type(datatype, values, _NUMBERS))
            if not all(type(value) is int or value.is_integer() for value in values):
                raise _BadValue(f"a value of {datatype.name} is not a whole number")
            values = [int(value) for value in values]
        least, most = min(values), max(values)
    if least < low or most > high:
        raise _BadValue(f"{least if least < low else most!s:.40} is outside the range of {datatype.name}")
    return np.asarray(values, datatype.dtype)


def _read_floats(datatype: Datatype, values: Any) -> Array:
    if not isinstance(values, np.ndarray) and not _NUMBERS.issuperset(map(type, values)):
        values = [_read_float(datatype, value) for value in values]
    try:
        numbers = np.asarray(values, np.float64)
    except OverflowError:
        raise _BadValue(f"an integer is outside the range of {datatype.name}") from None
    if datatype.size == 8:
        return numbers
    try:
        return cast_floats(numbers, datatype)
    except OverflowError:
        raise _BadValue(f"a value is outside the range of {datatype.name}") from None


def _read_float(datatype: Datatype, value: object) -> float:
    if type(value) is float or type(value) is int:
        return value
    if (value is None or type(value) is str) and value in _NOT_FINITE:
        return _NOT_FINITE[value]
    raise _BadValue(f"{value!r:.40} is not a value of {datatype.name}")


def _read_booleans(datatype: Datatype, values: Any) -> Array:
    if isinstance(values, np.ndarray) or (values and set(map(type, values)) != {bool}):
        raise _BadValue(_wrong_type(datatype, values, frozenset({bool})))
    return np.array(values, np.bool_)


def _read_texts(datatype: Datatype, values: Any) -> Array:
    if isinstance(values, np.ndarray) or (values and set(map(type, values)) != {str}):
        raise _BadValue(_wrong_type(datatype, values, frozenset({str})))
    array = np.empty(len(values), object)
    try:
        array[:] = [value.encode() for value in values]
    except UnicodeEncodeError:
        raise _BadValue("a text of BYTES has half of a surrogate pair") from None
    return array


def _wrong_type(datatype: Datatype, values: Any, allowed: frozenset[type]) -> str:
    wrong = next((value for value in values if type(value) not in allowed), values[0])
    return f"{wrong!r:.40} is not a value of {datatype.name}"


def plain_values(array: Array, datatype: Datatype, name: str) -> list[Any]:
    """Return a tensor's values as a flat list that JSON can hold.

    Returns:
        Floats have the fewest digits that give the same value of their own type; NaN and infinity are texts.

    Raises:
        PayloadError: an element of BYTES is not UTF-8; such a tensor has only the binary form, which was not requested.
    """
    flat = array.ravel()
    if datatype is BYTES:
        try:
            return [element.decode() for element in flat.tolist()]
        except UnicodeDecodeError:
            raise PayloadError(
                f"output {name!r:.100}: an element is not UTF-8 and has no form in JSON; request it as binary_data"
            ) from None
    if datatype.limits is not None or datatype is BOOL:
        values: list[Any] = flat.tolist()
        return values
    if datatype.size == 2:
        flat = widen_bf16(flat) if datatype.name == "BF16" else flat.astype(np.float32)
    if flat.itemsize == 4:  # the text of a number of numpy has the digits of its type
        return [float(text) if math.isfinite(float(text)) else _name(float(text)) for text in map(str, flat)]
    return [value if math.isfinite(value) else _name(value) for value in flat.tolist()]


def _name(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"

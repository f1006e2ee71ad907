"""Values of a request as an array of the declared datatype; what cannot be converted is a problem of its place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from seldon_spec.errors import PayloadError
from seldon_spec.inference.arrays import Array
from seldon_spec.inference.contents import DECODERS
from seldon_spec.inference.contract.problems import Problems, ValueProblems, show
from seldon_spec.inference.contract.rules import ValueRule
from seldon_spec.inference.datatypes import BOOL, BYTES, Datatype, cast_floats

_NUMBERS = frozenset({int, float})


def convert_values(values: Sequence[Any], rule: ValueRule, problems: ValueProblems) -> Array:
    """Return JSON values as a flat array of the rule's datatype.

    Args:
        values: a flat list; None is a missing value.
        rule: gives the datatype.
        problems: get a problem for each value of another type; the array holds a missing one instead.

    Returns:
        Missing floats are NaN, missing elements of BYTES None; other missing values are hidden by a mask.
    """
    if rule.datatype is BYTES:
        return _convert_elements(values, rule, problems)
    types = set(map(type, values))
    if types <= _NUMBERS and rule.datatype is not BOOL:
        with suppress(OverflowError):  # one integer is too large for any float
            array = np.array(values) if values else np.empty(0)
            if array.dtype.kind in "iuf":  # not objects, for integers of more than 64 bits
                return convert_array(array, rule, problems)
    read: Callable[[object, Datatype], float | str]
    read = _read_boolean if rule.datatype is BOOL else _read_float if rule.is_float else _read_integer
    converted: list[Any] = []
    missing = np.zeros(len(values), np.bool_)
    for index, value in enumerate(values):
        if value is None:
            missing[index] = True
            converted.append(0)
        else:
            number = read(value, rule.datatype)
            if isinstance(number, str):
                problems.add(index, number)
                number = 0
            converted.append(number)
    if rule.is_float:
        array = cast_floats(np.array(converted, np.float64), rule.datatype)
        if missing.any():
            array[missing] = np.float32("nan").astype(array.dtype) if array.dtype.kind == "f" else _bf16_nan(array)
        return array
    array = np.array(converted, rule.datatype.dtype)
    return np.ma.array(array, mask=missing) if missing.any() else array


def missing_values(count: int, rule: ValueRule) -> Array:
    """Return an array of so many missing values."""
    return convert_values([None] * count, rule, ValueProblems(Problems(), rule.name))


def convert_array(array: Array, rule: ValueRule, problems: ValueProblems) -> Array:
    """Return an array of numbers, booleans or elements in the rule's datatype.

    Args:
        array: of any shape; a mask hides missing values. Elements of BYTES are text or bytes.
        rule: gives the datatype.
        problems: get a problem for each value that the datatype cannot hold.

    Returns:
        The same array if it has the datatype already.
    """
    datatype = rule.datatype
    if array.dtype == datatype.dtype and datatype is not BYTES:
        return array
    if datatype is BYTES or array.dtype.kind not in "biuf":
        flat = array.reshape(-1)
        return convert_values(_to_list(flat), rule, problems).reshape(array.shape)
    if rule.is_float:
        return _to_floats(array, datatype, problems)
    return _to_integers(array, rule, problems)


def _to_list(flat: Array) -> list[Any]:
    values: list[Any] = flat.tolist()  # None where a mask hides a value
    return values


def _to_floats(array: Array, datatype: Datatype, problems: ValueProblems) -> Array:
    if isinstance(array, np.ma.MaskedArray):
        array = np.ma.filled(array.astype(np.float64), np.nan)
    wide = array if array.dtype.kind == "f" else array.astype(np.float64)
    try:
        return cast_floats(wide, datatype)
    except OverflowError:
        flat = wide.reshape(-1)
        with np.errstate(over="ignore"):
            limit = 3.3895313892515355e38 if datatype.name == "BF16" else float(np.finfo(datatype.dtype).max)
        is_wrong = np.isfinite(flat) & (np.abs(flat) > limit)
        problems.add_where(is_wrong, lambda index: f"{show(flat[index])} is outside the range of {datatype.name}")
        return cast_floats(np.clip(wide, -limit, limit), datatype)


def _to_integers(array: Array, rule: ValueRule, problems: ValueProblems) -> Array:
    """Return whole numbers as integers, or 0 and 1 as booleans; NaN is a missing value."""
    datatype = rule.datatype
    flat: Any = np.ma.getdata(array).reshape(-1)
    missing = np.ma.getmaskarray(array).reshape(-1)
    if flat.dtype.kind == "f":
        missing = missing | np.isnan(flat)
    low, high = datatype.limits or (0, 1)
    is_whole = np.ones(len(flat), np.bool_)
    if flat.dtype.kind == "f":
        with np.errstate(invalid="ignore"):
            is_whole = np.isfinite(flat) & (np.floor(flat) == flat)
    in_range = (flat >= low) & (flat <= high) if flat.dtype.kind != "b" else np.ones(len(flat), np.bool_)
    if flat.dtype.kind == "f" and high == (1 << 63) - 1:
        in_range &= flat < float(1 << 63)  # the limit itself rounds up
    elif flat.dtype.kind == "f" and high == (1 << 64) - 1:
        in_range &= flat < float(1 << 64)
    what = "is not a boolean" if datatype is BOOL else f"is outside the range of {datatype.name}"
    problems.add_where(
        ~is_whole & ~missing,
        lambda index: f"{show(flat[index])} {what if datatype is BOOL else 'is not a whole number'}",
    )
    problems.add_where(is_whole & ~in_range & ~missing, lambda index: f"{show(flat[index])} {what}")
    fits = is_whole & in_range & ~missing
    converted = np.where(fits, flat, flat.dtype.type(0)).astype(datatype.dtype).reshape(array.shape)
    return np.ma.array(converted, mask=missing.reshape(array.shape)) if missing.any() else converted


def _read_float(value: object, datatype: Datatype) -> float | str:
    """Return the number that a value is, or what is wrong with it."""
    if type(value) is not float and type(value) is not int:
        return f"{show(value)} is not a number"
    try:
        number = float(value)
        cast_floats(np.array([number]), datatype)
    except OverflowError:
        return f"{show(value)} is outside the range of {datatype.name}"
    return number


def _read_integer(value: object, datatype: Datatype) -> int | str:
    """Return the whole number that a value is, or what is wrong with it."""
    if type(value) is float and value.is_integer():
        value = int(value)
    if type(value) is not int:
        return f"{show(value)} is not a {'whole ' if type(value) is float else ''}number"
    assert datatype.limits is not None
    low, high = datatype.limits
    return value if low <= value <= high else f"{show(value)} is outside the range of {datatype.name}"


def _read_boolean(value: object, _datatype: Datatype) -> bool | str:
    """Return the boolean that a value is, or what is wrong with it."""
    if type(value) is bool or (type(value) in _NUMBERS and value in (0, 1)):
        return bool(value)
    return f"{show(value)} is not a boolean"


def _bf16_nan(array: Array) -> Any:
    return np.uint16(0x7FC0) if array.dtype.kind == "u" else array.dtype.type("nan")


def _convert_elements(values: Sequence[Any], rule: ValueRule, problems: ValueProblems) -> Array:
    array: Array = np.empty(len(values), object)
    decode = DECODERS.get(rule.content_type or "")
    for index, value in enumerate(values):
        if value is None:
            continue
        if not isinstance(value, (str, bytes)):
            problems.add(index, f"{show(value)} is not text")
        elif decode is None:
            array[index] = value
        else:
            try:
                array[index] = decode(value)
            except (ValueError, RecursionError, PayloadError) as error:
                problems.add(index, f"{show(value)} is not {_CONTENT[rule.content_type or '']}: {error}")
    return array


_CONTENT = {
    "str": "text in UTF-8",
    "base64": "base64",
    "datetime": "a date and time of ISO 8601",
    "json": "JSON",
}

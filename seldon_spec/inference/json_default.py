"""Values of the user's code that JSON has no type for, converted to those that it has, the same for both transports.

Dates, decimals, UUIDs and dataclasses are converted as Flask did (contract section 4.2); the other rules are ours.
"""

from __future__ import annotations

import base64
import dataclasses
import datetime
import decimal
import fractions
import json
import uuid
from collections import UserString
from collections.abc import Callable, Collection, Iterator, Mapping, Set
from contextlib import suppress
from email.utils import format_datetime
from enum import Enum
from pathlib import PurePath
from typing import Any

import numpy as np

from seldon_spec.errors import UnwritableResult
from seldon_spec.inference.arrays import Array, is_masked

_LAST_YEAR = 9999
_FINE_UNITS = ("ps", "fs", "as")  # they span less than a year around 1970


def plain_value(value: object) -> Any:
    """Convert a value of another type one step towards JSON's null, booleans, numbers, text, lists and objects.

    Args:
        value: anything that is not one of those; what it holds need not be plain yet.

    Returns:
        Dates as HTTP dates in GMT, durations as seconds, bytes as text if they are UTF-8 and else as base64, missing
        values as None, enumeration members as their values, arrays and collections as lists, mappings and dataclasses
        as objects.

    Raises:
        UnwritableResult: there is no such form.
    """
    for types, convert in _CONVERSIONS:
        if isinstance(value, types):
            return convert(value)
    if type(value).__name__ == "NAType":  # pandas' missing value
        return None
    opened = open_container(value)
    if opened is not value:
        return opened
    array = find_array(value)
    if array is not None:
        return array.tolist()
    if isinstance(value, Set):
        with suppress(TypeError):  # what cannot be sorted has no order
            return sorted(value)
    if isinstance(value, (Collection, Iterator)):
        return list(value)
    raise UnwritableResult(f"Object of type {type(value).__name__} is not JSON serializable")


def open_container(value: Any) -> Any:
    """Return the content of a mapping, dataclass, pydantic model, enumeration member or UserString; else the value."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, UserString):  # a sequence of such texts, without end
        return value.data
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, type):
        return value
    if dataclasses.is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    dump = getattr(value, "model_dump", None)
    return dump() if callable(dump) else value


def find_array(value: Any) -> Array | None:
    """Return the array that a table, a tensor or a matrix of another library holds; None if it has none.

    Raises:
        UnwritableResult: it cannot be converted.
    """
    if isinstance(value, type):
        return None
    try:
        if hasattr(value, "detach"):  # a tensor of torch, which may be on a GPU
            value = value.detach().cpu()
        if hasattr(value, "__array__") or hasattr(value, "__array_interface__"):
            return natural_array(_without_missing(value))
        for name in ("to_numpy", "toarray", "numpy"):
            if callable(getattr(value, name, None)):
                return natural_array(np.asarray(getattr(value, name)()))
    except UnwritableResult:
        raise
    except Exception as error:
        raise UnwritableResult(f"{type(value).__name__} cannot be converted to an array: {error}") from error
    return None


def _without_missing(value: Any) -> Array:
    """Return the array of a value, with None or a mask where pandas has no value; floats of numpy keep NaN."""
    if is_masked(value):
        return np.ma.asarray(value)
    array = np.asarray(value)
    if array.dtype.kind not in "fO" or not callable(getattr(value, "isna", None)):
        return array
    with suppress(NotImplementedError):  # an index of several levels cannot say
        missing = np.asarray(value.isna())
        if array.dtype == object:
            array = array.copy()
            array[missing] = None
        elif missing.any() and not _has_numpy_types(value):
            array = np.ma.array(array, mask=missing)
    return array


def _has_numpy_types(table: Any) -> bool:
    """Return whether no column has a type of pandas' own, whose missing values are not NaN."""
    types = table.dtypes if hasattr(table, "columns") else [table.dtype]
    return all(isinstance(kind, np.dtype) for kind in types)


def natural_array(array: Array) -> Array:
    """Convert an array of dates to microseconds and of durations to seconds, for ``tolist()``.

    Raises:
        UnwritableResult: it holds a date that Python cannot.
    """
    if array.dtype.kind == "M":
        if np.datetime_data(array.dtype)[0] in _FINE_UNITS:
            array = array.astype("datetime64[us]")
        years = array.astype("datetime64[Y]").astype(np.int64) + 1970
        if not np.all(np.isnat(array) | ((years > 0) & (years <= _LAST_YEAR))):
            raise UnwritableResult(f"the result holds a date outside the years 1 to {_LAST_YEAR}")
        return array.astype("datetime64[us]")
    if array.dtype.kind == "m":
        seconds = array.astype("timedelta64[us]") / np.timedelta64(1, "s")
        missing = np.isnat(array)
        return np.ma.array(seconds, mask=missing) if missing.any() else seconds
    return array


def plain_tree(value: Any) -> Any:
    """Convert a value with all that it contains, keys included.

    Raises:
        UnwritableResult: something in it has no form in JSON.
    """
    if value is None or isinstance(value, (str, int, float)):
        return value
    if isinstance(value, dict):
        members: dict[str, Any] = {}
        for key, item in value.items():
            members[new_name(key, members)] = plain_tree(item)
        return members
    if isinstance(value, (list, tuple)):
        return [plain_tree(item) for item in value]
    return plain_tree(plain_value(value))


def new_name(key: object, members: Collection[str]) -> str:
    """Return the member name for a key; a key that is no text is written as JSON writes the value.

    Args:
        key: of a dict.
        members: the names in use.

    Raises:
        UnwritableResult: the key has no form as text, or another one has the same.
    """
    name = _name_of(key)
    if name in members:
        raise UnwritableResult(f"two keys of an object are both written as {name!r}")
    return name


def _name_of(key: object) -> str:
    if isinstance(key, str):
        return key
    if key is None or isinstance(key, (bool, int, float)):
        return json.dumps(key)
    plain = None if isinstance(key, tuple) else plain_value(key)
    if isinstance(plain, (dict, list, tuple)) or isinstance(key, tuple):
        raise UnwritableResult(f"the key of an object is text or another single value, not {type(key).__name__}")
    return _name_of(plain)


def _text_of(value: bytes | bytearray | memoryview) -> str:
    try:
        return str(value, "utf-8")
    except UnicodeDecodeError:
        return base64.b64encode(value).decode("ascii")


def _plain_number(value: np.bool_ | np.integer[Any] | np.floating[Any]) -> bool | int | float:
    if isinstance(value, np.bool_):
        return bool(value)
    return int(value) if isinstance(value, np.integer) else float(value)


def _http_date(value: datetime.date) -> str | None:
    if value != value:  # pandas' NaT, which is equal to nothing
        return None
    if not isinstance(value, datetime.datetime):
        value = datetime.datetime.combine(value, datetime.time())
    if value.tzinfo is None:
        value = value.replace(tzinfo=datetime.timezone.utc)
    return format_datetime(value.astimezone(datetime.timezone.utc), usegmt=True)


_CONVERSIONS: tuple[tuple[Any, Callable[[Any], Any]], ...] = (
    (np.timedelta64, lambda value: natural_array(np.asarray(value)).tolist()),  # one of numpy's integers, by its class
    ((np.bool_, np.integer, np.floating), _plain_number),
    (datetime.date, _http_date),
    (datetime.timedelta, datetime.timedelta.total_seconds),
    (datetime.time, datetime.time.isoformat),
    ((decimal.Decimal, uuid.UUID, PurePath), str),
    (fractions.Fraction, float),
    ((bytes, bytearray, memoryview), _text_of),
)

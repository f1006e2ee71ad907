"""Columns with a type each as a DataFrame of pandas or polars, and the columns of such a table as arrays.

Imports neither library before a class needs it.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from seldon_spec.errors import ComponentFailed, PayloadError, UnwritableResult
from seldon_spec.inference.arrays import Array, is_masked
from seldon_spec.inference.json_default import find_array

_NULL = frozenset({type(None)})
_INTEGERS = frozenset({int})
_NUMBERS = frozenset({int, float})
_BOOLEANS = frozenset({bool})
_STRINGS = frozenset({str})
_BYTES = frozenset({bytes})
_FILLERS: dict[frozenset[type], Any] = {_INTEGERS: 0, _BOOLEANS: False}


@dataclass(slots=True)
class Table:
    """The columns of a table.

    Attributes:
        names: of the columns; empty: they have none.
        columns: an array of two dimensions, or an array of one dimension for each column: with a mask for missing
            numbers and truth values, and of objects for text, with None for what is missing.
        is_typed: whether a column of objects without a value is known to hold text.
    """

    names: list[str]
    columns: Array | list[Array]
    is_typed: bool = False

    def __post_init__(self) -> None:
        if len(set(self.names)) < len(self.names):
            twice = next(name for name in self.names if self.names.count(name) > 1)
            raise PayloadError(f"two columns have the name {twice!r:.100}")


def read_column(values: list[Any]) -> Array:
    """Return the values of a column in the type that all of them have.

    Returns:
        int64 or uint64, float64 for integers and floats, or bool, with a mask for None; anything else is an array of
        objects.
    """
    types = frozenset(map(type, values)) - _NULL
    if (types and types <= _NUMBERS) or types == _BOOLEANS:
        filler = _FILLERS.get(types, math.nan)
        with suppress(OverflowError):  # an integer that no number of numpy can hold
            array = np.array([filler if value is None else value for value in values])
            if array.dtype != object and (array.dtype.kind == "f") is (float in types):
                mask = [value is None for value in values]
                return np.ma.array(array, mask=mask) if any(mask) else array
    return _objects(values)


def _objects(values: list[Any]) -> Array:
    return np.fromiter(values, dtype=object, count=len(values))  # unlike an assignment, it keeps lists as they are


def read_rows(rows: Sequence[Sequence[Any]]) -> list[Array]:
    """Return the columns of rows of equal length."""
    return [read_column(list(column)) for column in zip(*rows, strict=True)]


def import_library(name: str, what: str) -> Any:
    """Return a module that few models need.

    Args:
        name: of the module.
        what: what requires it, for the message.

    Raises:
        ComponentFailed: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        library = {"PIL": "Pillow"}.get(name.partition(".")[0], name)
        raise ComponentFailed(f"{what} requires {library}, which is not installed") from error


def make_pandas(table: Table, what: str = "a pandas.DataFrame") -> Any:
    """Return a pandas.DataFrame that shares no memory with the columns.

    Integers and truth values with missing ones have the nullable types of pandas (Int64, boolean), floats NaN. Columns
    of text have the type that pandas gives text. Columns without names are numbered.

    Raises:
        ComponentFailed: pandas is not installed.
    """
    pandas = import_library("pandas", what)
    columns = table.columns
    if isinstance(columns, np.ndarray) and columns.dtype != object and not is_masked(columns):
        return pandas.DataFrame(np.array(columns), columns=table.names or None)
    text = pandas.Series([""]).dtype
    made = [_pandas_column(pandas, column, text, is_typed=table.is_typed) for column in _each(columns)]
    frame = pandas.DataFrame(dict(enumerate(made)))
    frame.columns = table.names or pandas.RangeIndex(len(made))
    return frame


def _pandas_column(pandas: Any, column: Array, text: Any, *, is_typed: bool) -> Any:
    kind = column.dtype.kind
    if kind == "O":
        types = _types_of(column)
        is_text = types == _STRINGS or (is_typed and not types)
        with suppress(UnicodeError):  # half of a surrogate pair, where pandas stores text as UTF-8
            return pandas.Series(column, dtype=text if is_text else object)
        return pandas.Series(column, dtype=object)
    if not is_masked(column):
        return np.array(column)
    if kind == "f":
        return np.ma.filled(column, np.nan)
    make = pandas.arrays.BooleanArray if kind == "b" else pandas.arrays.IntegerArray
    return make(np.array(np.ma.getdata(column)), np.array(np.ma.getmaskarray(column)))


def make_polars(table: Table) -> Any:
    """Return a polars.DataFrame; missing values and NaN are null, and columns without names have those of polars.

    Raises:
        PayloadError: a text has half of a surrogate pair.
        ComponentFailed: polars is not installed.
    """
    polars = import_library("polars", "a polars.DataFrame")
    columns = _each(table.columns)
    names = table.names or [f"column_{index}" for index in range(len(columns))]
    try:
        return polars.DataFrame(
            [
                _polars_column(polars, name, column, is_typed=table.is_typed)
                for name, column in zip(names, columns, strict=True)
            ]
        )
    except UnicodeError as error:
        raise PayloadError("a text has half of a surrogate pair, which polars cannot hold") from error


def _polars_column(polars: Any, name: str, column: Array, *, is_typed: bool) -> Any:
    if column.dtype == object:
        types = _types_of(column)
        if types == _STRINGS or (is_typed and not types):
            dtype = polars.String
        else:
            dtype = polars.Binary if types == _BYTES else polars.Object if types else polars.Null
        return polars.Series(name, column.tolist(), dtype=dtype)
    if is_masked(column):
        data = np.array(np.ma.getdata(column))
        return polars.Series(name, column.tolist(), dtype=polars.Series(data[:0]).dtype)
    return polars.Series(name, np.array(column), nan_to_null=True)


def _each(columns: Array | list[Array]) -> list[Array]:
    return list(columns.T) if isinstance(columns, np.ndarray) else columns


def _types_of(column: Array) -> frozenset[type]:
    return frozenset(map(type, column.tolist())) - _NULL


# The tables that a class returns


def find_column(column: Any) -> Array | None:
    """Return a column of pandas or polars as an array, with a mask or None for missing values; else ``find_array``.

    Raises:
        UnwritableResult: it cannot be converted.
    """
    array = find_array(column)
    if array is None or not hasattr(column, "dtype"):
        return array
    kind = array.dtype.kind
    if callable(getattr(column, "null_count", None)):  # of polars, whose array has NaN for null and drops a final NUL
        is_exact = kind in "mM" or (kind in "biuf" and not column.null_count())
        return array if is_exact else read_column(column.to_list())
    plain = getattr(column.dtype, "numpy_dtype", None)
    if isinstance(plain, np.dtype) and plain.kind in "biuf":  # a nullable type of pandas
        filled: Array = column.to_numpy(dtype=plain, na_value=0)
        mask = np.asarray(column.isna())
        return np.ma.array(filled, mask=mask) if mask.any() else filled
    return array


def find_columns(table: Any) -> list[Array]:
    """Return the columns of a table, each in its own type.

    Raises:
        UnwritableResult: a column cannot be converted.
    """
    names = list(table.columns)
    each = [table.iloc[:, index] if hasattr(table, "iloc") else table[name] for index, name in enumerate(names)]
    columns = [find_column(column) for column in each]
    if any(column is None for column in columns):
        raise UnwritableResult(f"{type(table).__name__} has a column that cannot be converted to an array")
    return [column for column in columns if column is not None]


def has_one_type(table: Any) -> bool:
    """Return whether all columns of a table have the same type, and none has values of another library's type."""
    types = list(getattr(table, "dtypes", ()))
    return all(isinstance(kind, np.dtype) for kind in types) and len(set(types)) < 2


def join_columns(columns: Sequence[Array]) -> Array:
    """Return columns as an array of rows: of numbers in their common type, else of objects with None for missing."""
    if all(column.ndim == 1 and column.dtype.kind in "iuf" and not is_masked(column) for column in columns):
        return np.stack(columns, axis=1)
    table = np.empty((len(columns[0]), len(columns)), dtype=object)
    for index, column in enumerate(columns):
        gaps = np.isnan(column) if column.dtype.kind == "f" else np.ma.nomask
        table[:, index] = _objects((np.ma.array(column, mask=gaps) if np.any(gaps) else column).tolist())
    return table

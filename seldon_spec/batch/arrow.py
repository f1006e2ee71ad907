"""Columns of Arrow as arrays of numpy and as JSON values.

Imports pyarrow, which is optional, only when a file needs it.
"""

from __future__ import annotations

import base64
import importlib
import math
from datetime import date, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

from seldon_spec.errors import SeldonSpecError
from seldon_spec.inference.arrays import Array


def import_arrow(path: Path | str) -> Any:
    """Return the module pyarrow with its reader and writer of Parquet.

    Args:
        path: of the file that needs it, for the error.

    Raises:
        SeldonSpecError: it is not installed.
    """
    try:
        importlib.import_module("pyarrow.parquet")
        importlib.import_module("pyarrow.compute")
        return importlib.import_module("pyarrow")
    except ImportError as error:
        raise SeldonSpecError(
            f"{path}: Parquet requires pyarrow, which cannot be imported: {error}\n"
            "     = help: pip install 'seldon-spec[parquet]'"
        ) from None


def is_bytes(arrow: Any, kind: Any) -> bool:
    """Return whether a type is one of bytes."""
    types = arrow.types
    checks = (types.is_binary, types.is_large_binary, types.is_fixed_size_binary, types.is_binary_view)
    return any(check(kind) for check in checks)


def is_list(arrow: Any, kind: Any) -> bool:
    """Return whether a type is one of lists."""
    types = arrow.types
    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def to_numbers(arrow: Any, column: Any) -> Array | None:
    """Return a column of numbers as an array of one dimension, with NaN for missing ones; None: it has others."""
    column = _decode(arrow, column)
    kind, types = column.type, arrow.types
    if types.is_null(kind):
        return np.full(len(column), math.nan)
    if types.is_decimal(kind):
        column = column.cast(arrow.float64())
    elif not (types.is_integer(kind) or types.is_floating(kind)):
        return None
    return column.to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]


def lists_to_array(arrow: Any, column: Any) -> Array | None:
    """Return a column of lists of numbers as an array of two dimensions.

    Returns:
        None: the lists have other values or differ in length, or one is missing.
    """
    if column.null_count or not len(column):
        return None
    lengths = arrow.compute.unique(arrow.compute.list_value_length(column))
    values = to_numbers(arrow, column.flatten()) if len(lengths) == 1 else None
    return None if values is None else values.reshape(len(column), -1)


def to_values(arrow: Any, column: Any) -> list[Any]:
    """Return a column as JSON values.

    Dates and times are text of ISO 8601, in UTC if they have a zone; bytes are base64, and decimals are floats.
    """
    column = _decode(arrow, column)
    kind, types = column.type, arrow.types
    if types.is_timestamp(kind):
        text = (column.cast(arrow.timestamp(kind.unit, "UTC")) if kind.tz else column).cast(arrow.string())
        return arrow.compute.replace_substring(text, " ", "T", max_replacements=1).to_pylist()  # type: ignore[no-any-return]
    if types.is_date(kind) or types.is_time(kind):
        return column.cast(arrow.string()).to_pylist()  # type: ignore[no-any-return]
    values: list[Any] = column.to_pylist()
    plain = types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind) or types.is_string(kind)
    return values if plain else [_to_json(value) for value in values]


def _decode(arrow: Any, column: Any) -> Any:
    """Return a column without a dictionary, and in the type in which an extension of Arrow is stored."""
    if isinstance(column, arrow.ExtensionArray):
        column = column.storage
    return column.dictionary_decode() if arrow.types.is_dictionary(column.type) else column


def _to_json(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, (list, tuple)):
        return [_to_json(item) for item in value]
    if isinstance(value, dict):
        return {key: _to_json(item) for key, item in value.items()}
    return value

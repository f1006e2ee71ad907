"""The values that a call takes as messages of the inference core, and the messages of responses as such values.

Imports neither pandas nor polars: a table of theirs is recognised by the module of its class.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from seldon_spec.errors import PayloadError, UnwritableResult
from seldon_spec.inference.arrays import Array, array_from_nested
from seldon_spec.inference.component.tables import (
    Table,
    find_columns,
    has_one_type,
    join_columns,
    make_pandas,
    make_polars,
    read_rows,
)
from seldon_spec.inference.json_default import find_array
from seldon_spec.inference.message import KeepRows, Message, PayloadType
from seldon_spec.protocols.seldon_v1.array_encoding import ArrayEncoding

_TABLES = frozenset({"pandas", "polars"})


def find_table_library(value: object) -> str | None:
    """Return ``pandas`` or ``polars`` for a DataFrame of it; None for any other value."""
    kind = type(value)
    library = kind.__module__.partition(".")[0]
    return library if library in _TABLES and kind.__name__ == "DataFrame" else None


def has_arrays(value: object) -> bool:
    """Return whether a value is a dict of arrays, which are named tensors."""
    return isinstance(value, Mapping) and any(isinstance(each, np.ndarray) for each in value.values())


def make_message(value: Any, names: Sequence[str] | None = None, tags: Mapping[str, Any] | None = None) -> Message:
    """Return the message for the argument of a call.

    Args:
        value: see ``Client``; a message is used as it is.
        names: of the columns; None: those of the table, or none.
        tags: of the request.

    Raises:
        TypeError: no message has a form for it.
        ValueError: lists are no array, or a table cannot be converted.
    """
    try:
        message = _make_message(value)
    except (PayloadError, UnwritableResult) as error:
        raise ValueError(str(error)) from None
    if names is not None:
        message.names = list(names)
    message.meta = {"tags": dict(tags)} if tags else {}
    return message


def _make_message(value: Any) -> Message:
    if isinstance(value, Message):
        return value
    if type(value) is np.ndarray:
        return Message(PayloadType.ARRAY, value)
    if isinstance(value, str):
        return Message(PayloadType.TEXT, value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return Message(PayloadType.BINARY, bytes(value))
    if isinstance(value, (list, tuple)):
        rows = list(value)
        array = array_from_nested(rows)
        return Message(PayloadType.ARRAY, array, encoding=ArrayEncoding.NDARRAY, original=rows)
    if value is None or isinstance(value, (Mapping, bool, int, float)):
        return Message(PayloadType.JSON, dict(value) if isinstance(value, Mapping) else value)
    if find_table_library(value) is not None:
        columns = find_columns(value)
        array = value.to_numpy() if has_one_type(value) or not columns else join_columns(columns)
        return Message(PayloadType.ARRAY, array, [str(name) for name in value.columns], table=value)
    found = find_array(value)
    if found is None:
        raise TypeError(
            f"a call takes an array, a DataFrame, lists, text, bytes or a dict, not {type(value).__name__!r}"
        )
    return Message(PayloadType.ARRAY, found)


def find_kept_rows(sent: object) -> KeepRows:
    """Return whether the response to a value is to keep its rows: lists and columns have values of several types."""
    if isinstance(sent, (list, tuple)):
        return KeepRows.ALWAYS
    is_table = isinstance(sent, Message) or find_table_library(sent) is not None
    return KeepRows.IF_MIXED if is_table else KeepRows.NEVER


def restore(message: Message, sent: Any) -> Any:
    """Return the value of a response.

    Args:
        message: of the response; of named tensors the array or the dict that they are.
        sent: the argument of the call, whose kind the value has if the response has such a form.
    """
    payload = message.payload
    if message.payload_type is not PayloadType.ARRAY:
        return payload
    if isinstance(sent, (list, tuple)):
        return payload.tolist() if message.rows is None else message.rows
    if isinstance(sent, Message):
        return payload if message.rows is None else message.rows
    library = find_table_library(sent)
    if library is None or payload.ndim not in (1, 2):
        return payload
    table = message.table if isinstance(message.table, Table) else _read_table(message)
    if library == "polars":
        return make_polars(table)
    frame = make_pandas(table)
    with suppress(ValueError):  # another number of rows
        frame.index = sent.index
    return frame


def _read_table(message: Message) -> Table:
    array: Array = message.payload if message.payload.ndim == 2 else message.payload.reshape(-1, 1)
    names = [str(name) for name in message.names]
    if len(names) != array.shape[1] or len(set(names)) < len(names):
        names = []
    has_rows = bool(message.rows) and message.payload.ndim == 2
    return Table(names, read_rows(message.rows or ()) if has_rows else array)

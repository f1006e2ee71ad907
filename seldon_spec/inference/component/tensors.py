"""Several named tensors as the X and the names that a method with ``X, names`` takes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from seldon_spec.inference.arrays import Array
from seldon_spec.inference.message import AggregateMessage, Message, PayloadType, Tensor, join_messages


def tensors_to_array(message: Message) -> Message:
    """Return a message of tensors, or several joined, as the methods of a class get it.

    Returns:
        X is the array of a single tensor, with the message's names. Several tensors of shape [N] or [N, 1] are the
        columns of one array of their common type, an array of objects if one of them holds anything but numbers and
        truth values; the names are theirs. Any other tensors are a dict of arrays by name. Elements of type bytes
        are converted to text if all of a tensor are UTF-8.
    """
    if isinstance(message, AggregateMessage):
        return join_messages([tensors_to_array(part) for part in message.parts])
    if message.payload_type is not PayloadType.TENSORS:
        return message
    tensors: list[Tensor] = message.payload
    arrays = [_decode_text(tensor.array) for tensor in tensors]
    if len(arrays) == 1:
        return replace(message, payload_type=PayloadType.ARRAY, payload=arrays[0])
    names = [tensor.name for tensor in tensors]
    if not arrays or not _are_columns(arrays):
        return replace(
            message, payload_type=PayloadType.JSON, payload=dict(zip(names, arrays, strict=True)), names=names
        )
    columns = [array.reshape(-1) for array in arrays]
    is_numeric = all(column.dtype.kind in "biufc" for column in columns)
    table: Array = np.empty((len(columns[0]), len(columns)), np.result_type(*columns) if is_numeric else object)
    for index, column in enumerate(columns):
        table[:, index] = column
    return replace(message, payload_type=PayloadType.ARRAY, payload=table, names=names)


def _are_columns(arrays: list[Array]) -> bool:
    return len({len(array) if array.ndim else -1 for array in arrays}) == 1 and all(
        array.ndim == 1 or (array.ndim == 2 and array.shape[1] == 1) for array in arrays
    )


def _decode_text(array: Array) -> Array:
    if array.dtype != object:
        return array
    texts: Any = np.empty(array.shape, dtype=object)
    try:
        texts.flat = [str(item, "utf-8") if isinstance(item, bytes) else item for item in array.flat]
    except UnicodeDecodeError:
        return array
    return np.asarray(texts)

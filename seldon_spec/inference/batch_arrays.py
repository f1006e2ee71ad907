"""The rows of several requests in one array, and the rows of its result for each request.

The class promises that its result for a row does not depend on the others (``server.batching``). Floating point may
still differ in the last digits: a product of matrices adds in another order than one of a single row.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import replace
from itertools import accumulate
from typing import Any

import numpy as np

from seldon_spec.inference.arrays import Array, is_masked
from seldon_spec.inference.message import AggregateMessage, Message, NamedArrays, PayloadType, Tensor


def find_group(message: Message) -> Hashable | None:
    """Return a key that is equal for messages whose rows one array can hold.

    Returns:
        Datatype, shape of a row, and names, because the class gets one list of these; of tensors those of each; None:
        this message has no rows that can be joined with others.
    """
    payload, names = message.payload, message.names
    if message.payload_type is PayloadType.TENSORS:
        return _find_group_of(payload)
    if message.payload_type is not PayloadType.ARRAY or not isinstance(payload, np.ndarray):
        return None
    if payload.ndim < 2 or not len(payload):
        return None
    if not isinstance(names, (list, tuple)) or not all(type(name) is str for name in names):
        return None
    return payload.dtype, payload.shape[1:], tuple(names)


def _find_group_of(tensors: Sequence[Tensor]) -> Hashable | None:
    arrays = [tensor.array for tensor in tensors]
    if not arrays or any(array.ndim == 0 or not len(array) for array in arrays):
        return None
    if len({len(array) for array in arrays}) > 1:
        return None
    return tuple([(tensor.name, tensor.datatype, tensor.array.shape[1:], tensor.content_type) for tensor in tensors])


def count_joined_rows(message: Message) -> int:
    """Return the number of rows that ``concat_rows`` takes from a message of a group."""
    return len(message.payload[0].array if message.payload_type is PayloadType.TENSORS else message.payload)


def concat_rows(messages: Sequence[Message]) -> Message:
    """Return one message with the rows of all, in order; it shares nothing with them that the class could change.

    Args:
        messages: of one group.
    """
    first = messages[0]
    if first.payload_type is PayloadType.TENSORS:
        joined = [
            replace(tensor, array=_concat([message.payload[index].array for message in messages]))
            for index, tensor in enumerate(first.payload)
        ]
        return Message(PayloadType.TENSORS, joined, list(first.names), encoding=first.encoding)
    rows = np.concatenate([message.payload for message in messages])
    return Message(PayloadType.ARRAY, rows, list(first.names), encoding=first.encoding)


def _concat(arrays: Sequence[Array]) -> Array:
    concatenate: Any = np.ma.concatenate if any(map(is_masked, arrays)) else np.concatenate
    joined: Array = concatenate(arrays)
    return joined


def count_rows(message: Message) -> float:
    """Return the number of rows of a request; NaN if it has none."""
    payload = message.payload
    if type(payload) is np.ndarray:
        return payload.shape[0] if payload.ndim > 1 else 1
    if isinstance(message, AggregateMessage):
        return math.nan
    if message.payload_type is PayloadType.TENSORS and payload:
        shape = payload[0].array.shape
        return shape[0] if shape else 1
    shape = getattr(payload, "shape", None)
    if shape is None:
        return math.nan
    return shape[0] if len(shape) > 1 else 1


def split_rows(payload: Any, counts: Sequence[int]) -> list[Any] | None:
    """Split the rows of a result into one result for each request.

    Args:
        payload: what the class returned.
        counts: the number of rows of each request.

    Returns:
        Slices of the same type; None if the result does not have one row for each row of the requests.
    """
    if isinstance(payload, NamedArrays):
        parts = [split_rows(array, counts) for array in payload.values()]
        if not all(parts):
            return None
        return [NamedArrays(zip(payload, rows, strict=True)) for rows in zip(*parts, strict=True)] or None
    if not _has_rows(payload, sum(counts)):
        return None
    rows = getattr(payload, "iloc", payload)  # the rows of a table of pandas
    ends = list(accumulate(counts))
    return [rows[end - count : end] for count, end in zip(counts, ends, strict=True)]


def _has_rows(payload: Any, count: int) -> bool:
    if isinstance(payload, (list, tuple)):
        return len(payload) == count
    shape = getattr(payload, "shape", None)
    return hasattr(payload, "__array__") and isinstance(shape, tuple) and len(shape) > 0 and int(shape[0]) == count

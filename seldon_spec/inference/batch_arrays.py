"""The rows of several requests in one array, and the rows of its result back to each of them.

The class promises that what it says of a row does not depend on the others (``server.batching``). Floating point may
still differ in its last digits: a product of matrices adds up in another order than one of a single row.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from itertools import accumulate
from typing import Any

import numpy as np

from seldon_spec.inference.message import Message, PayloadType

_ARRAYS = frozenset({PayloadType.TENSOR, PayloadType.NDARRAY, PayloadType.TFTENSOR})


def find_group(message: Message) -> Hashable | None:
    """What messages have in common whose rows one array can hold.

    Returns:
        Kind, datatype, shape of a row, and names, for the class gets one list of these; None: this message has no
        rows that could stand beside others.
    """
    payload, names = message.payload, message.names
    if message.kind not in _ARRAYS or not isinstance(payload, np.ndarray) or payload.ndim < 2 or not len(payload):
        return None
    if not isinstance(names, (list, tuple)) or not all(type(name) is str for name in names):
        return None
    return message.kind, payload.dtype, payload.shape[1:], tuple(names)


def concat_rows(messages: Sequence[Message]) -> Message:
    """One message with the rows of all, in their order; it shares nothing with them that the class could change.

    Args:
        messages: of one group.
    """
    first = messages[0]
    return Message(first.kind, np.concatenate([message.payload for message in messages]), list(first.names))


def split_rows(payload: Any, counts: Sequence[int]) -> list[Any] | None:
    """A result's rows as one result for each request.

    Args:
        payload: what the class returned.
        counts: how many rows each request had.

    Returns:
        Slices of the same type; None if the result has no row for each row that was asked for.
    """
    if not _has_rows(payload, sum(counts)):
        return None
    rows = getattr(payload, "iloc", payload)  # a table of pandas counts its rows there
    ends = list(accumulate(counts))
    return [rows[end - count : end] for count, end in zip(counts, ends, strict=True)]


def _has_rows(payload: Any, count: int) -> bool:
    if isinstance(payload, (list, tuple)):
        return len(payload) == count
    shape = getattr(payload, "shape", None)
    return hasattr(payload, "__array__") and isinstance(shape, tuple) and len(shape) > 0 and int(shape[0]) == count

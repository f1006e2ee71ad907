"""The three encodings of an array in ``data``, and which one a response has (contract section 4.2)."""

from __future__ import annotations

from enum import Enum
from typing import Any

from seldon_spec.inference.arrays import array_from_leaves, array_from_nested, flatten_nested, is_numeric
from seldon_spec.inference.message import KeepRows, Message, Operation, PayloadType

_NUMBERS = frozenset({int, float})


class ArrayEncoding(Enum):
    """The member of ``data`` that holds an array."""

    TENSOR = "tensor"
    NDARRAY = "ndarray"
    TFTENSOR = "tftensor"

    __hash__ = object.__hash__  # Enum's own is a function in Python


def set_encoding(message: Message, operation: Operation) -> Message:
    """Set the encoding of a message that is to be written: that of the request, where the array allows it.

    Args:
        message: an array's ``encoding`` is that of the request, which is none for a request without an array.
        operation: the operation.

    Returns:
        The message itself.
    """
    if message.payload_type is not PayloadType.ARRAY:
        return message
    if message.encoding is ArrayEncoding.NDARRAY or not is_numeric(message.payload):
        message.encoding = ArrayEncoding.NDARRAY
    # the executor reads no 64-bit integers of a tftensor in the response of a router (contract section 7.6)
    elif message.encoding is not ArrayEncoding.TFTENSOR or operation is Operation.ROUTE:
        message.encoding = ArrayEncoding.TENSOR
    return message


def read_ndarray(
    nested: Any, names: Any, meta: dict[str, Any] | None, allowance: int, keeps_rows: KeepRows = KeepRows.NEVER
) -> Message:
    """Return the message of nested lists, or of an array that was read instead of them.

    Args:
        nested: the lists.
        names, meta: of the message.
        allowance: see ``array_from_nested``.
        keeps_rows: see ``Request``.

    Raises:
        PayloadError: they are no array.
    """
    if keeps_rows is KeepRows.NEVER or not isinstance(nested, list):
        return Message(PayloadType.ARRAY, array_from_nested(nested, allowance), names, meta, ArrayEncoding.NDARRAY)
    shape, leaves, types = flatten_nested(nested)
    array = array_from_leaves(shape, leaves, types, allowance)
    message = Message(PayloadType.ARRAY, array, names, meta, ArrayEncoding.NDARRAY)
    if keeps_rows is KeepRows.ALWAYS or not types <= _NUMBERS:
        message.rows = nested
    return message

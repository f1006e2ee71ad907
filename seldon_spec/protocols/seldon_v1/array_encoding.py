"""The three encodings of an array in ``data``, and which one a response has (contract section 4.2)."""

from __future__ import annotations

from enum import Enum

from seldon_spec.inference.arrays import is_numeric
from seldon_spec.inference.message import Message, Operation, PayloadType


class ArrayEncoding(Enum):
    """The member of ``data`` that holds an array."""

    TENSOR = "tensor"
    NDARRAY = "ndarray"
    TFTENSOR = "tftensor"


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

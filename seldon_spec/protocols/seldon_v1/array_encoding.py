"""The three encodings of an array in ``data``, and which one a response has (contract section 4.2)."""

from __future__ import annotations

from enum import Enum

from seldon_spec.inference.arrays import is_numeric
from seldon_spec.inference.message import Message, Operation


class ArrayEncoding(Enum):
    """The member of ``data`` that holds an array."""

    TENSOR = "tensor"
    NDARRAY = "ndarray"
    TFTENSOR = "tftensor"


def choose_encoding(message: Message, operation: Operation) -> ArrayEncoding:
    """Return the encoding of an array in a response.

    Args:
        message: an array; its ``encoding`` is that of the request, which is none for a request without an array.
        operation: the operation.
    """
    if message.encoding is ArrayEncoding.NDARRAY or not is_numeric(message.payload):
        return ArrayEncoding.NDARRAY
    # the executor reads no 64-bit integers of a tftensor in the response of a router (contract section 7.6)
    if message.encoding is ArrayEncoding.TFTENSOR and operation is not Operation.ROUTE:
        return ArrayEncoding.TFTENSOR
    return ArrayEncoding.TENSOR

"""Tensors in binary form, as raw contents on gRPC and behind the JSON on REST.

Little-endian, row-major, without padding; a BYTES element is its length as a uint32 and then its bytes.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable
from typing import TypeAlias

import numpy as np

from seldon_spec.errors import PayloadError, UnwritableResult
from seldon_spec.inference.arrays import Array
from seldon_spec.inference.datatypes import BYTES, Datatype, check_count

Raw: TypeAlias = "bytes | bytearray | memoryview"

_LENGTH = struct.Struct("<I")
_MAX_ELEMENT_BYTES = (1 << 32) - 1


def read_binary(datatype: Datatype, shape: list[int], raw: Raw, name: str) -> Array:
    """Return the tensor that bytes are.

    Args:
        datatype, shape: of the tensor; the shape has no negative size.
        raw: exactly its bytes.
        name: of the tensor, for messages.

    Returns:
        A view of the bytes, which is writable if they are; for BYTES an array of ``bytes`` objects.

    Raises:
        PayloadError: the bytes are not a tensor of this datatype and shape.
    """
    if datatype is BYTES:
        elements = _read_elements(raw, math.prod(shape), name)
        check_count(shape, len(elements), name)
        return make_objects(elements).reshape(shape)
    wanted = math.prod(shape) * datatype.size
    if len(raw) != wanted:
        raise PayloadError(
            f"input {name!r:.100}: {datatype.name} of shape {shape} is {wanted} bytes in binary form, not {len(raw)}"
        )
    check_count(shape, len(raw) // datatype.size, name)
    array = np.frombuffer(raw, datatype.dtype)
    if datatype.dtype.kind == "b" and array.size and array.view(np.uint8).max() > 1:
        array = array.view(np.uint8) != 0  # any other byte counts as true
    return array.reshape(shape)


def _read_elements(raw: Raw, most: int, name: str) -> list[bytes]:
    """Split the bytes of a BYTES tensor; at most one more than ``most`` elements."""
    elements: list[bytes] = []
    at, end = 0, len(raw)
    while at < end:
        if end - at < _LENGTH.size:
            raise PayloadError(f"input {name!r:.100}: {end - at} bytes are left over after the last element")
        (size,) = _LENGTH.unpack_from(raw, at)
        at += _LENGTH.size
        if size > end - at:
            raise PayloadError(f"input {name!r:.100}: an element of {size} bytes ends beyond the tensor's data")
        if len(elements) == most:
            raise PayloadError(f"input {name!r:.100}: the data has more elements than the shape, {most}")
        elements.append(bytes(raw[at : at + size]))
        at += size
    return elements


def make_objects(elements: list[bytes]) -> Array:
    """Return elements of BYTES as an array."""
    array = np.empty(len(elements), dtype=object)
    array[:] = elements
    return array


def write_binary(array: Array, datatype: Datatype) -> bytes | memoryview:
    """Return the bytes of a tensor, without a copy where the array is row-major and little-endian.

    Args:
        array: of the datatype's type; for BYTES of ``bytes`` objects.
        datatype: of the tensor.

    Raises:
        UnwritableResult: an element is longer than a uint32 says.
    """
    if datatype is BYTES:
        return _write_elements(array.ravel().tolist())
    ordered = np.ascontiguousarray(array, dtype=datatype.dtype)
    if not ordered.size:
        return b""
    return ordered.reshape(-1).view(np.uint8).data


def _write_elements(elements: Iterable[bytes]) -> bytes:
    parts: list[bytes] = []
    for element in elements:
        if len(element) > _MAX_ELEMENT_BYTES:
            raise UnwritableResult(f"an element of {len(element)} bytes is too long for BYTES")
        parts += (_LENGTH.pack(len(element)), element)
    return b"".join(parts)

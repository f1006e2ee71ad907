"""The wire format of protocol buffers, as far as the bodies need it; so no peer's message classes are imported."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeAlias

VARINT, FIXED64, LENGTH_DELIMITED, FIXED32 = 0, 1, 2, 5

Value: TypeAlias = "int | memoryview"


def encode_varint(number: int) -> bytes:
    """An unsigned number, seven bits a byte."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def encode_field(number: int, payload: bytes) -> bytes:
    """A length-delimited field: a text, bytes, a message or packed numbers."""
    return b"".join((encode_varint(number << 3 | LENGTH_DELIMITED), encode_varint(len(payload)), payload))


def encode_packed(number: int, values: Iterable[int]) -> bytes:
    """A packed field of varints."""
    return encode_field(number, b"".join(map(encode_varint, values)))


def read_varint(data: memoryview, at: int) -> tuple[int, int]:
    """A number, and where it ends.

    Raises:
        IndexError: the data end within it.
    """
    number = shift = 0
    while True:
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
        shift += 7


def read_fields(data: memoryview) -> Iterator[tuple[int, Value]]:
    """The fields of a message in order: each its number, and its varint or its bytes.

    Raises:
        ValueError: a field is cut short, or of a wire type that proto3 does not have.
    """
    at = 0
    while at < len(data):
        key, at = read_varint(data, at)
        wire_type = key & 7
        if wire_type == VARINT:
            number, at = read_varint(data, at)
            yield key >> 3, number
            continue
        if wire_type == LENGTH_DELIMITED:
            size, at = read_varint(data, at)
        elif wire_type in (FIXED64, FIXED32):
            size = 8 if wire_type == FIXED64 else 4
        else:
            raise ValueError(f"wire type {wire_type}")
        if at + size > len(data):
            raise ValueError("a field is cut short")
        yield key >> 3, data[at : at + size]
        at += size


def read_numbers(value: Value) -> Iterator[int]:
    """The varints of a packed field, or the one of a field that was not packed."""
    if isinstance(value, int):
        yield value
        return
    at = 0
    while at < len(value):
        number, at = read_varint(value, at)
        yield number


def read_bytes(data: memoryview, number: int) -> memoryview:
    """The bytes of the one length-delimited field of that number.

    Raises:
        ValueError: it is not there once, or is a number.
    """
    found = [value for key, value in read_fields(data) if key == number]
    if len(found) != 1 or isinstance(found[0], int):
        raise ValueError(f"field {number} is there {len(found)} times")
    return found[0]

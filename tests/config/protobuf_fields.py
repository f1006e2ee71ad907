"""Fields of protobuf for the model files of tests."""

from __future__ import annotations


def write_varint(value: int) -> bytes:
    head = b""
    while value > 0x7F:
        head += bytes([value & 0x7F | 0x80])
        value >>= 7
    return head + bytes([value])


def write_field(number: int, value: int | bytes) -> bytes:
    """Return a field of protobuf: an integer, or bytes."""
    if isinstance(value, int):
        return write_varint(number << 3) + write_varint(value % (1 << 64))
    return write_varint(number << 3 | 2) + write_varint(len(value)) + value

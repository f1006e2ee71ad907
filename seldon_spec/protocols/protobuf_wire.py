"""Members and numbers in the bytes of a protobuf message, in the form that protobuf's own writers produce."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

Wire: TypeAlias = "bytes | bytearray | memoryview"

_WITH_LENGTH = 2
_KIND = 0x87  # the bits of a tag for the kind of its value, and for more bytes of the tag


class NotPlain(Exception):
    """Only the protobuf library can read the message."""


def iter_members(wire: Wire, at: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield the members of a message: tag, start and end of the value, and start of the member.

    Raises:
        NotPlain: a member has no length, a number above 15, or a size above 28 bits, or it ends beyond ``end``.
        IndexError: the bytes end within a size.
    """
    while at < end:
        tag, size, start = wire[at], wire[at + 1], at + 2
        if tag & _KIND != _WITH_LENGTH:
            raise NotPlain
        if size > 0x7F:
            size, start = read_varint(wire, at + 1)
        begin, at = at, start + size
        if at > end:
            raise NotPlain
        yield tag, start, at, begin


def read_varint(wire: Wire, at: int) -> tuple[int, int]:
    """Return a number of up to 28 bits, and the position after it.

    Raises:
        NotPlain: it has more bits.
        IndexError: the bytes end within it.
    """
    number = wire[at]
    if number < 0x80:
        return number, at + 1
    number &= 0x7F
    for shift in (7, 14, 21):
        at += 1
        byte = wire[at]
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at + 1
    raise NotPlain


_ONE_BYTE = tuple(bytes((number,)) for number in range(0x80))


def write_varint(number: int) -> bytes:
    """Return a number that is not negative as a protobuf varint."""
    if number < len(_ONE_BYTE):
        return _ONE_BYTE[number]
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)

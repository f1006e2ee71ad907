"""Members and numbers in the bytes of a protobuf message, in the form that protobuf's own writers produce."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeAlias, TypeVar

Wire: TypeAlias = "bytes | bytearray | memoryview"
T = TypeVar("T")

SHORT_BYTES = 1024
"""Messages of up to this length are read and written by what is known of earlier ones."""

_WITH_LENGTH = 2
_KIND = 0x87  # the bits of a tag for the kind of its value, and for more bytes of the tag


class NotPlain(Exception):
    """Only the protobuf library can read the message."""


class KnownHeads(Generic[T]):
    """What messages have before the numbers at their end, and what was read from it.

    The requests of a client often differ in nothing but these numbers. Of each length of a message the last one is
    kept, so the number of heads is limited.
    """

    def __init__(self) -> None:
        self._by_length: dict[int, tuple[bytes, T]] = {}

    def find(self, wire: Wire) -> tuple[int, T] | None:
        """Return where the numbers of a message start, and what was read from its head; None: it is not known."""
        known = self._by_length.get(len(wire))
        if known is None or wire[: len(known[0])] != known[0]:
            return None
        return len(known[0]), known[1]

    def add(self, wire: Wire, start: int, found: T) -> None:
        """Add a message that ends with numbers.

        Args:
            wire: the message; a long one is not added.
            start: where its numbers start.
            found: what was read from the bytes before them; it must not be changed.
        """
        if len(wire) <= SHORT_BYTES:
            self._by_length[len(wire)] = bytes(wire[:start]), found


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

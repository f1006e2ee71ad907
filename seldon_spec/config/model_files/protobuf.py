"""Read the fields of a protobuf message from a file, without its schema. Large values are skipped, not read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

MAX_FIELDS = 500_000
"""The limit of the fields of a file, in messages of any depth."""

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MAX_VARINT_BYTES = 10


class NotProtobuf(Exception):
    """The bytes are no message, or it has more fields than the limit."""


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a message.

    Attributes:
        number: of the field.
        value: of an integer; 0 for any other type.
        start, end: the place of the bytes in the file; equal for an integer.
        is_bytes: whether it is text, bytes or a message.
    """

    number: int
    value: int
    start: int
    end: int
    is_bytes: bool


class MessageReader:
    """Reads messages of a file.

    Args:
        stream: of the file, which can seek.
        size: of the file in bytes.
    """

    def __init__(self, stream: BinaryIO, size: int) -> None:
        self._stream = stream
        self._size = size
        self._left = MAX_FIELDS

    def read(self, start: int = 0, end: int | None = None) -> Iterator[Field]:
        """Yield the fields of the message between two places of the file.

        Raises:
            NotProtobuf: there is no message.
        """
        position, end = start, self._size if end is None else end
        while position < end:
            self._left -= 1
            if self._left < 0:
                raise NotProtobuf
            tag, position = self._read_varint(position, end)
            number, wire_type = tag >> 3, tag & 7
            value, length = 0, 0
            if wire_type == _VARINT:
                value, position = self._read_varint(position, end)
            elif wire_type == _BYTES:
                length, position = self._read_varint(position, end)
            elif wire_type in (_FIXED64, _FIXED32):
                length = 8 if wire_type == _FIXED64 else 4
            else:
                raise NotProtobuf
            if number == 0 or length > end - position:
                raise NotProtobuf
            yield Field(number, value, position, position + length, wire_type == _BYTES)
            position += length

    def read_text(self, field: Field, limit: int) -> str:
        """Return the text of a field.

        Args:
            field: of text.
            limit: in bytes.

        Raises:
            NotProtobuf: it is longer, or is no printable text.
        """
        if not field.is_bytes or field.end - field.start > limit:
            raise NotProtobuf
        self._stream.seek(field.start)
        try:
            text = self._stream.read(field.end - field.start).decode()
        except UnicodeDecodeError:
            raise NotProtobuf from None
        if not text.isprintable():
            raise NotProtobuf
        return text

    def read_integers(self, field: Field) -> list[int]:
        """Return the integers of a repeated field, of 64 bits with a sign: one, or all of them in one value."""
        values, position = [field.value], field.start
        if field.is_bytes:
            values = []
            while position < field.end:
                value, position = self._read_varint(position, field.end)
                values.append(value)
        return [value - (1 << 64) if value >= 1 << 63 else value for value in values]

    def _read_varint(self, position: int, end: int) -> tuple[int, int]:
        """Return an integer, and the place behind it."""
        self._stream.seek(position)
        data = self._stream.read(min(_MAX_VARINT_BYTES, end - position))
        value = 0
        for index, byte in enumerate(data):
            value |= (byte & 0x7F) << (7 * index)
            if byte < 0x80:
                return value, position + index + 1
        raise NotProtobuf

"""Templates of header blocks (RFC 7541) that neither use nor change a dynamic table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from typing import Generic, TypeAlias, TypeVar

from seldon_spec.transport.bounded_cache import BoundedCache
from seldon_spec.transport.http2.huffman import decode_plain, decode_printable, is_plain, is_visible
from seldon_spec.transport.templates import MAX_BYTES, PRINTABLE

FIXED_FIELDS = frozenset(
    {
        b"connection",
        b"content-encoding",
        b"content-length",
        b"content-type",
        b"expect",
        b"grpc-accept-encoding",
        b"grpc-encoding",
        b"grpc-message-type",
        b"host",
        b"keep-alive",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
"""The fields, beside the pseudo-header fields, whose values decide how a request is read."""

_SPACE = 0x20
_HUFFMAN = 0x80

_LONG_BYTES = 64
"""The text of a shorter Huffman-coded value is shorter than the longest ID."""

_SHORT = _HUFFMAN + _LONG_BYTES
_MAX_VALUES = 512
_MAX_VALUES_BYTES = 1 << 20

Head = TypeVar("Head")

MakeVaried: TypeAlias = Callable[[Sequence[bytes]], Head | None]
"""Returns a head, given the values that differ; None: the whole block has to be read."""


class Use(Enum):
    """How a value that differs is used."""

    NONE = "it is only checked"
    TEXT = "it is decoded"
    ID = "it is passed on as it is encoded, with its length; empty: it cannot be used as an ID"


_TEXT, _ID = Use.TEXT, Use.ID


class ValueReader:
    """Reads the values of fields that are not short or not Huffman coded.

    Those that come again, such as tokens, are remembered.

    Args:
        is_id: returns True, or what counts as true, if a text is an ID that can be repeated. Each text of visible
            ASCII that is shorter than 128 characters is one.
    """

    def __init__(self, is_id: Callable[[bytes], object]) -> None:
        self.is_id = is_id
        self._values: BoundedCache[bytes] = BoundedCache(_MAX_VALUES, _MAX_VALUES_BYTES)

    def read(self, raw: bytes, is_huffman: bool) -> bytes | None:  # noqa: FBT001 - for each value of a block
        """Return a value, given as it is encoded, without its length.

        Returns:
            None if the value has to be validated elsewhere, since only plain text is always valid.
        """
        if not is_huffman:
            return _trimmed_only(raw) if 0 not in raw.translate(PRINTABLE) else None
        value = self._values.get(raw)
        if value is None:
            value = _trimmed_only(decode_printable(raw))
            if value is not None:
                self._values.offer(raw, value, len(raw) + len(value))
        return value


def _trimmed_only(value: bytes | None) -> bytes | None:
    """Return the value, but None if it is empty, or begins or ends with a space."""
    return None if not value or value[0] == _SPACE or value[-1] == _SPACE else value


class ConstantBlock(Generic[Head]):
    """The template of a block that is the same each time."""

    __slots__ = ("_block", "_head")

    def __init__(self, block: bytes, head: Head) -> None:
        self._block = block
        self._head = head

    def read(self, data: bytes) -> Head | None:
        """Return the head if this is the block."""
        return self._head if data == self._block else None


class _Known:
    """The last value of a gap that was not a short one in Huffman's code: many clients repeat it on a connection.

    Attributes:
        encoded: with its length.
        size: of that.
        value: None: the block has to be read field by field.
    """

    __slots__ = ("encoded", "size", "value")

    def __init__(self) -> None:
        self.encoded = b""
        self.size = 1  # which no value is equal to
        self.value: bytes | None = None


class BlockTemplate(Generic[Head]):
    """The template of blocks that differ in the values of some fields; belongs to one connection.

    Two templates with the same ``make`` are equal.

    The bounds of a template's length and number of fields, after decoding, are far below those of a header list.

    Args:
        block: one of these blocks.
        spans: where the values that differ begin, with their length, and end.
        uses: what each of them is needed for.
        make: makes the heads.
        values: reads the values.
    """

    __slots__ = ("_gaps", "_last", "_make", "_values")

    def __init__(
        self,
        block: bytes,
        spans: Sequence[tuple[int, int]],
        uses: Sequence[Use],
        make: MakeVaried[Head],
        values: ValueReader,
    ) -> None:
        starts, stops = zip(*spans, strict=True)
        segments = [block[start:stop] for start, stop in zip((0, *stops[:-1]), starts, strict=True)]
        self._gaps = [(segment, len(segment), use, _Known()) for segment, use in zip(segments, uses, strict=True)]
        self._last = block[stops[-1] :]
        self._make = make
        self._values = values

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BlockTemplate) and other._make is self._make

    def __hash__(self) -> int:
        return hash(self._make)

    def read(self, data: bytes) -> Head | None:
        """Return the head of a block; None: it has to be read field by field."""
        if len(data) > MAX_BYTES:
            return None
        at = 0
        values = []
        try:
            for segment, size, use, known in self._gaps:
                before = at + size
                if data[at:before] != segment:
                    return None
                first = data[before]
                value: bytes | None
                if _HUFFMAN < first < _SHORT:
                    start = before + 1
                    at = start + first - _HUFFMAN
                    value = data[start:at]
                    if use is _TEXT:
                        value = decode_plain(value)
                    elif is_visible(value):
                        value = data[before:at]
                    else:
                        value = b"" if is_plain(value) else None
                else:
                    at = before + known.size
                    if data[before:at] != known.encoded:
                        at = self._read_long(data, before, use, known)
                    value = known.value
                if value is None:
                    return None
                values.append(value)
        except IndexError:  # it ends too early
            return None
        return self._make(values) if at + len(self._last) == len(data) and data.endswith(self._last) else None

    def _read_long(self, data: bytes, at: int, use: Use, known: _Known) -> int:
        """Read a value that is not a short one in Huffman's code, and return where it ends.

        Raises:
            IndexError: ``data`` ends too early.
        """
        first, start = data[at], at + 1
        size = first & 0x7F
        if size == 0x7F:
            size, start = _read_long_size(data, start)
        stop = start + size
        if stop > len(data):
            raise IndexError
        encoded = data[at:stop]
        value = self._values.read(data[start:stop], first >= _HUFFMAN)
        if use is _ID and value is not None:
            value = encoded if self._values.is_id(value) else b""
        known.encoded, known.size, known.value = encoded, stop - at, value
        return stop


def decode_text(encoded: bytes) -> bytes:
    """Return the text of an ID that a template has given."""
    start = 1
    if encoded[0] & 0x7F == 0x7F:
        _, start = _read_long_size(encoded, start)
    raw = encoded[start:]
    text = decode_printable(raw) if encoded[0] >= _HUFFMAN else raw
    assert text is not None
    return text


def _read_long_size(data: bytes, at: int) -> tuple[int, int]:
    """Return a length of more than one byte, and where the text begins; one of more than three is none here."""
    size = 0x7F + data[at]
    if data[at] < 0x80:
        return size, at + 1
    return size - 0x80 + (data[at + 1] << 7), at + 2


def split_block(
    block: bytes, parts: Sequence[tuple[int, int, int]], names: Sequence[bytes]
) -> tuple[bytes, dict[int, bytes]]:
    """Split a block into what all blocks of its shape have in common, and the values that may differ.

    A field that occurs more than once does not vary, since it depends on all of its values what they mean.

    Args:
        block: the block.
        parts: where each field begins, how many bytes name it, and where it ends.
        names: of the fields.

    Returns:
        The key of the shape, and the values, as they are encoded, by the numbers of their fields.
    """
    common, values = [], {}
    for number, ((start, size, stop), name) in enumerate(zip(parts, names, strict=True)):
        middle = start + size
        if middle < stop and not name.startswith(b":") and name not in FIXED_FIELDS and names.count(name) == 1:
            values[number] = block[middle:stop]
            common.append(b"%d>%b" % (size, block[start:middle]))
        else:
            common.append(b"%d:%b" % (stop - start, block[start:stop]))
    return b"".join(common), values

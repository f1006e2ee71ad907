"""Templates of header blocks (RFC 7541) that neither use nor change a dynamic table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeAlias, TypeVar

from seldon_spec.transport.bounded_cache import BoundedCache
from seldon_spec.transport.http2.huffman import decode_plain, decode_printable, is_plain
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

_LONG_BYTES = 64
_MAX_VALUES = 512
_MAX_VALUES_BYTES = 1 << 20

Head = TypeVar("Head")

MakeVaried: TypeAlias = Callable[[Sequence[bytes]], Head | None]
"""Makes a head, given the values that differ; None: the whole block has to be read."""


class ValueReader:
    """Reads the values of fields that are not short or not Huffman coded.

    Those that come again, such as tokens, are remembered.
    """

    def __init__(self) -> None:
        self._values: BoundedCache[bytes] = BoundedCache(_MAX_VALUES, _MAX_VALUES_BYTES)

    def read(self, raw: bytes, is_huffman: bool) -> bytes | None:  # noqa: FBT001 - for each value of a block
        """Return a value, given as it is encoded, without its length.

        Returns:
            None if the value has to be judged elsewhere, for only plain text is always valid.
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


class BlockTemplate(Generic[Head]):
    """The template of blocks that differ in the values of some fields.

    The bounds of a template's length and number of fields, after decoding, are far below those of a header list.

    Args:
        block: one of these blocks.
        spans: where the values that differ begin, with their length, and end.
        wanted: whether each of them is looked at.
        make: makes the heads; values that are not wanted may be given as they were encoded.
        values: reads the values.
    """

    __slots__ = ("_gaps", "_last", "_make", "_read_value")

    def __init__(
        self,
        block: bytes,
        spans: Sequence[tuple[int, int]],
        wanted: Sequence[bool],
        make: MakeVaried[Head],
        values: ValueReader,
    ) -> None:
        starts, stops = zip(*spans, strict=True)
        segments = [block[start:stop] for start, stop in zip((0, *stops[:-1]), starts, strict=True)]
        self._gaps = tuple(
            (segment, len(segment), is_wanted) for segment, is_wanted in zip(segments, wanted, strict=True)
        )
        self._last = block[stops[-1] :]
        self._make = make
        self._read_value = values.read

    def read(self, data: bytes) -> Head | None:
        """Return the head of a block; None: it has to be read field by field."""
        if len(data) > MAX_BYTES:
            return None
        at = 0
        values = []
        try:
            for segment, size, is_wanted in self._gaps:
                if not data.startswith(segment, at):
                    return None
                start = at + size + 1
                first = data[start - 1]
                size = first & 0x7F
                if size == 0x7F:
                    size, start = _read_long_size(data, start)
                at = start + size
                value: bytes | None = data[start:at]
                if first < 0x80 or size >= _LONG_BYTES:
                    value = self._read_value(data[start:at], first >= 0x80)
                elif is_wanted:
                    value = decode_plain(data[start:at])
                elif not is_plain(data[start:at]):
                    return None
                if value is None:
                    return None
                values.append(value)
        except IndexError:  # it ends too early
            return None
        return self._make(values) if at + len(self._last) == len(data) and data.endswith(self._last) else None


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

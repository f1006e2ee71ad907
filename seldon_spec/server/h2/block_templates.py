"""Templates of header blocks (RFC 7541) that neither use nor change a dynamic table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeAlias, TypeVar

from seldon_spec.server.bounded_cache import BoundedCache
from seldon_spec.server.h2.huffman import decode_printable, is_plain
from seldon_spec.server.templates import MAX_BYTES

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
_PRINTABLE = bytes(range(0x20, 0x7F))

_LONG_BYTES = 64
_MAX_VALUES = 512
_MAX_VALUES_BYTES = 1 << 20

Head = TypeVar("Head")

MakeVaried: TypeAlias = Callable[[Sequence[bytes]], Head | None]
"""Makes a head, given the values that differ; None: the whole block has to be read."""


class ValueReader:
    """Reads the values of fields, and remembers the long ones that come again, such as tokens."""

    def __init__(self) -> None:
        self._values: BoundedCache[bytes] = BoundedCache(_MAX_VALUES, _MAX_VALUES_BYTES)

    def read(self, raw: bytes, *, is_huffman: bool, is_wanted: bool) -> bytes | None:
        """Return a value; None if it has to be judged elsewhere: plain text is valid by every rule.

        Args:
            raw: as it is encoded, without its length.
            is_huffman: whether Huffman's code is used.
            is_wanted: if not, the value may be returned as it is encoded.
        """
        is_long = len(raw) >= _LONG_BYTES
        value = self._values.get(raw) if is_huffman and is_long else None
        if value is not None:
            return value
        if not is_huffman:
            value = raw
        elif is_wanted or is_long:
            value = decode_printable(raw)
        else:
            return raw if is_plain(raw) else None
        if not value or value[0] == _SPACE or value[-1] == _SPACE or value.translate(None, _PRINTABLE):
            return None
        if is_huffman and is_long:
            self._values.offer(raw, value, len(raw) + len(value))
        return value


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

    __slots__ = ("_gaps", "_last", "_make", "_values", "_wanted")

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
        self._gaps = tuple((segment, len(segment)) for segment in segments)
        self._last = block[stops[-1] :]
        self._make = make
        self._values = values
        self._wanted = wanted

    def read(self, data: bytes) -> Head | None:
        """Return the head of a block; None: it has to be read field by field."""
        try:
            gaps = self._split(data)
        except IndexError:
            return None
        if gaps is None:
            return None
        read, values = self._values.read, []
        for (is_huffman, raw), is_wanted in zip(gaps, self._wanted, strict=True):
            value = read(raw, is_huffman=is_huffman, is_wanted=is_wanted)
            if value is None:
                return None
            values.append(value)
        return self._make(values)

    def _split(self, data: bytes) -> list[tuple[bool, bytes]] | None:
        """Return the values that differ, and whether each is in Huffman's code; None: this is another block.

        Raises:
            IndexError: this is another block, which ends too early.
        """
        if len(data) > MAX_BYTES:
            return None
        at = 0
        gaps = []
        for segment, size in self._gaps:
            if not data.startswith(segment, at):
                return None
            at += size
            first = data[at]
            size = first & 0x7F
            at += 1
            if size == 0x7F:
                size += data[at]
                at += 1
                if size >= 0x7F + 0x80:
                    size += (data[at] << 7) - 0x80
                    at += 1
            gaps.append((first >= 0x80, data[at : at + size]))
            at += size
        return gaps if at <= len(data) and data[at:] == self._last else None


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

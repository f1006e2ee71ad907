"""Header blocks (RFC 7541): fields to bytes, and bytes to fields; a block that is repeated is decoded once.

A client without a dynamic table sends the same bytes for the same fields, and the same bytes mean the same on every
connection. So the announced table size is 0, and a repeated block is found by its bytes. One that differs only in the
values of some fields is read by a template; most fields of a new block are known.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Generic, TypeVar

import hpack

from seldon_spec.transport.bounded_cache import BoundedCache
from seldon_spec.transport.http2.block_templates import (
    BlockTemplate,
    ConstantBlock,
    MakeVaried,
    Use,
    ValueReader,
    split_block,
)
from seldon_spec.transport.http2.frames import ErrorCode, H2ConnectionError
from seldon_spec.transport.templates import MAX_BYTES, RecentTemplates, Shapes
from seldon_spec.transport.templates import MAX_FIELDS as MAX_TEMPLATE_FIELDS

Fields = list[tuple[bytes, bytes]]
Head = TypeVar("Head")

MAX_BLOCK_BYTES = 20480
"""A longer block closes the connection, and so does one whose fields are together longer than this.

Between this and the limit that the settings announce, the block is decoded and only its request is refused.
"""

MAX_FIELDS = 200
"""A request with more fields is refused."""

_MAX_SIZE_UPDATES = 2
"""More of them at the start of a block have no effect (RFC 7541, section 4.2)."""

_MAX_SHIFT = 21
"""The bits of a length in the bytes before its last one; a block is far shorter than such a length."""

_MAX_BLOCKS = 512
_MAX_BLOCK_CACHE_BYTES = 1 << 20
_HEAD_OVERHEAD = 2048  # of a head, about

_MAX_PARTS = 1024
_MAX_PARTS_BYTES = 1 << 18
"""Limits of the names, and of the fields, that are cached by themselves."""

_ERRORS = (hpack.HPACKError, ValueError, IndexError)

logging.getLogger("hpack").setLevel(logging.WARNING)  # it would log every field, and tokens are among them


class HeaderBlockCache(Generic[Head]):
    """The heads of requests by their blocks, if there is no dynamic table; shared by all connections of a port.

    Args:
        make_head: returns the head of fields.
        vary: returns what makes the heads that differ from one only in the values of the fields with these names;
            None: ``make_head`` makes them.
        uses: how the values of fields that these heads depend on are used, by name.
        is_id: see ``ValueReader``.
    """

    def __init__(
        self,
        make_head: Callable[[Fields], Head],
        vary: Callable[[Head, Sequence[bytes]], MakeVaried[Head] | None] = lambda _head, _names: None,
        uses: Mapping[bytes, Use] | None = None,
        is_id: Callable[[bytes], object] = bool,
    ) -> None:
        self.make_head = make_head
        self._blocks: BoundedCache[Head] = BoundedCache(_MAX_BLOCKS, _MAX_BLOCK_CACHE_BYTES)
        self._shapes: Shapes[Callable[[], BlockTemplate[Head]]] = Shapes()
        self._vary = vary
        self._values = ValueReader(is_id)
        self._uses = uses or {}
        self._names: BoundedCache[bytes] = BoundedCache(_MAX_PARTS, _MAX_PARTS_BYTES)
        self._fields: BoundedCache[tuple[bytes, bytes]] = BoundedCache(_MAX_PARTS, _MAX_PARTS_BYTES)
        self._decoder = hpack.Decoder()
        self._decoder.header_table_size = 0

    def read(self, block: bytes, recent: RecentTemplates[Head]) -> Head:
        """Return the head of a block that none of the connection's templates matches.

        Args:
            block: the block.
            recent: the templates of the connection; one that reads such blocks is added.

        Raises:
            HPACKError, ValueError, IndexError: it is malformed, or it uses the dynamic table.
        """
        head = self._blocks.get(block)
        if head is not None:
            recent.add(ConstantBlock(block, head))
            return head
        parts = [*_split_fields(block)]
        fields = [self._read_field(block[start:stop], size) for start, size, stop in parts]
        if len(fields) > MAX_FIELDS:
            raise ValueError("too many fields")
        head = self.make_head(fields)
        if len(block) <= MAX_BYTES and len(parts) <= MAX_TEMPLATE_FIELDS:
            self._learn(block, head, parts, [name for name, _ in fields], recent)
        return head

    def _learn(
        self,
        block: bytes,
        head: Head,
        parts: Sequence[tuple[int, int, int]],
        names: Sequence[bytes],
        recent: RecentTemplates[Head],
    ) -> None:
        if self._blocks.offer(block, head, len(block) + _HEAD_OVERHEAD):
            recent.add(ConstantBlock(block, head))
            return
        key, values = split_block(block, parts, names)

        def build(varying: frozenset[int]) -> Callable[[], BlockTemplate[Head]] | None:
            numbers = [number for place, number in enumerate(values) if place in varying]
            varied = [names[number] for number in numbers]
            make = self._vary(head, varied)
            if make is None:
                return None
            spans = [(parts[number][0] + parts[number][1], parts[number][2]) for number in numbers]
            uses = [self._uses.get(name, Use.NONE) for name in varied]
            return partial(BlockTemplate, block, spans, uses, make, self._values)

        make_template = self._shapes.learn(key, [*values.values()], build)
        if make_template is not None:
            recent.add(make_template())

    def _read_field(self, raw: bytes, name_size: int) -> tuple[bytes, bytes]:
        """Return a field, given its bytes, of which the first ``name_size`` are the name."""
        field = self._fields.get(raw)
        if field is not None:
            return field
        raw_name = raw[:name_size]
        name = self._names.get(raw_name)
        if name is None:
            name = self._decode(raw_name if raw[0] >= 0x80 else raw_name + b"\0")[0]
            self._names.offer(raw_name, name, len(raw_name) + len(name))
        is_plain = raw[0] < 0x80 and raw[name_size] < 0x7F  # the value is neither indexed nor Huffman coded
        field = name, raw[name_size + 1 :] if is_plain else self._decode(raw)[1]
        self._fields.offer(raw, field, len(raw) + sum(map(len, field)))
        return field

    def _decode(self, raw: bytes) -> tuple[bytes, bytes]:
        ((name, value),) = self._decoder.decode(raw, raw=True)
        return name, value


def _split_fields(block: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield the start of each field of a block, the size of its name, and its end.

    Raises:
        ValueError: a part of the block is not a field.
        IndexError: the last field is incomplete.
    """
    at = 0
    while at < len(block):
        start, first = at, block[at]
        at += 1
        name_size = 1
        if first < 0x80:  # not a whole field of the static table
            if 0x20 <= first < 0x40:
                raise ValueError("a change of the table's size")
            mask = 0x3F if first >= 0x40 else 0x0F
            if not first & mask:
                at = _skip_text(block, at)
            elif first & mask == mask:  # the index continues in the next byte; the static table needs no third one
                at += 1
            name_size = at - start
            at = _skip_text(block, at)
        if at > len(block):
            raise IndexError("half a field")
        yield start, name_size, at


def _skip_text(block: bytes, at: int) -> int:
    """Return the end of a text that begins there with its length."""
    size = block[at] & 0x7F
    at += 1
    if size == 0x7F:
        shift, more = 0, 0x80
        while more >= 0x80:
            if shift > _MAX_SHIFT:
                raise ValueError("a length that is too long")
            more = block[at]
            at += 1
            size += (more & 0x7F) << shift
            shift += 7
    return at + size


class BlockReader(Generic[Head]):
    """Reads the header blocks of one connection, in their order: each may change the meaning of the next one.

    Attributes:
        cost: of the blocks since this was last set to 0, in units of the control-frame budget; a known block costs
            nothing.
    """

    __slots__ = ("_decoder", "_heads", "_is_stateless", "_is_table_closed", "_recent", "cost")

    def __init__(self, heads: HeaderBlockCache[Head]) -> None:
        self._heads = heads
        self._recent: RecentTemplates[Head] = RecentTemplates()
        self._decoder = hpack.Decoder(MAX_BLOCK_BYTES)
        self._is_stateless = self._is_table_closed = False
        self.cost = 0

    def close_table(self) -> None:
        """Forbid a dynamic table: the client has acknowledged the size 0."""
        self._is_table_closed = True

    def read(self, block: bytes) -> Head:
        """Return the head of a block.

        Raises:
            H2ConnectionError: it is malformed or too long; no later block could be read.
        """
        if self._is_stateless:
            head = self._recent.read(block)
            if head is not None:
                self.cost += len(block) >> 11
                return head
            self.cost += len(block) >> 9
            with contextlib.suppress(*_ERRORS):  # the connection's own decoder decides then
                return self._heads.read(block, self._recent)
        return self._heads.make_head(self.decode(block))

    def decode(self, block: bytes) -> Fields:
        """Return the fields of a block; raises what ``read`` raises."""
        self._check_size_updates(block)
        try:
            fields: Fields = [(name, value) for name, value in self._decoder.decode(block, raw=True)]
        except hpack.OversizedHeaderListError:
            raise H2ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, "the header fields are too long") from None
        except _ERRORS:
            raise H2ConnectionError(ErrorCode.COMPRESSION_ERROR, "the header block is malformed") from None
        self.cost += (len(block) >> 11) + (len(fields) >> 5)
        # A table of size 0 holds nothing; the client announces it after it has received our settings.
        self._is_stateless = self._decoder.header_table_size == 0
        return fields

    def _check_size_updates(self, block: bytes) -> None:
        at = count = 0
        while at < len(block) and 0x20 <= block[at] < 0x40:
            count += 1
            if count > _MAX_SIZE_UPDATES:
                raise H2ConnectionError(ErrorCode.COMPRESSION_ERROR, "too many updates of the table size")
            if self._is_table_closed and block[at] != 0x20:
                raise H2ConnectionError(ErrorCode.COMPRESSION_ERROR, "a table size above the acknowledged 0")
            if block[at] == 0x3F:  # the number continues
                at += 1
                while at < len(block) and block[at] >= 0x80:
                    at += 1
            at += 1
        self.cost += count


def write_fields(fields: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return a header block that neither needs nor changes a dynamic table."""
    return b"".join(b"\0" + write_text(name) + write_text(value) for name, value in fields)


def write_text(text: bytes) -> bytes:
    """Encode a name or a value."""
    size = len(text)
    if size < 127:
        return bytes((size,)) + text
    size -= 127
    length = bytearray((127,))
    while size >= 128:
        length.append(size & 0x7F | 0x80)
        size >>= 7
    length.append(size)
    return bytes(length) + text

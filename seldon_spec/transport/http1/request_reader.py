"""Requests of one HTTP/1.1 connection, from its bytes.

The bytes are copied and searched as little as possible: if a head is known and its body came with it, nothing is
parsed.
"""

from __future__ import annotations

import re
from enum import Enum

from seldon_spec.errors import HeadTooLarge, MalformedRequest
from seldon_spec.transport.abuse import AbuseBudget
from seldon_spec.transport.buffers import LARGE_BYTES, MmapBuffer
from seldon_spec.transport.http1.chunked import ChunkedBody
from seldon_spec.transport.http1.head import MAX_HEAD_BYTES, find_path, parse_head
from seldon_spec.transport.http1.head_cache import HeadCache, KnownHead
from seldon_spec.transport.http1.messages import Body, HttpApp, RequestHandler, RequestHead
from seldon_spec.transport.templates import RecentTemplates
from seldon_spec.transport.turns import Turn

_EMPTY_LINES = re.compile(rb"(?:\r\n){1,4096}")
_END_OF_HEAD = b"\r\n\r\n"


class Stage(Enum):
    """The part of a request that is read next."""

    HEAD = "the head"
    BODY = "the rest of a body of known length"
    CHUNKS = "the rest of a chunked body"


class Progress(Enum):
    """What was read in one step."""

    NONE = "nothing that is complete"
    PART = "chunks, and there are more"
    HEAD = "a head"
    REQUEST = "a whole request"


class RequestReader:
    """Reads the requests of one connection, one after the other.

    Args:
        app: its limit of bodies is used.
        heads: the heads that the port has seen before.
        budget: empty lines are work without progress.

    Attributes:
        buffer: what has been received and not been read.
        stage: what is read next.
        head, handler, body: of the request whose head, or whole, has been read last.
        received: bytes of the body since this was last set to 0.
    """

    __slots__ = (
        "_app",
        "_budget",
        "_chunks",
        "_heads",
        "_missing",
        "_partial",
        "_recent",
        "_searched",
        "body",
        "buffer",
        "handler",
        "head",
        "received",
        "stage",
    )

    head: RequestHead
    handler: RequestHandler
    _chunks: ChunkedBody

    def __init__(self, app: HttpApp, heads: HeadCache, budget: AbuseBudget) -> None:
        self._app = app
        self._heads = heads
        self._budget = budget
        self._recent: RecentTemplates[KnownHead] = RecentTemplates()
        self._partial: bytearray | MmapBuffer = bytearray()
        self._missing = 0
        self._searched = 0  # so many bytes of the buffer contain no end of a head
        self.buffer = bytearray()
        self.stage = Stage.HEAD
        self.body: Body = b""
        self.received = 0

    def read_whole(self, data: bytes) -> bool:
        """Read a request whose head is known and whose body came with it, as most do; False if it is another one.

        Args:
            data: what was received; the buffer is empty and the stage is ``HEAD``.
        """
        known = self._recent.read(data)
        if known is None:
            return False
        head, handler = known
        if len(data) - head.size != head.content_length or head.is_chunked:
            return False
        self.head, self.handler, self.body = head, handler, data[head.size :]
        return True

    def extend_body(self, data: bytes) -> bool:
        """Add what was received to a body of known length; False, without doing so, if more than that was received."""
        if self.stage is not Stage.BODY or len(data) > self._missing:
            return False
        self._partial.extend(data)
        self._missing -= len(data)
        self.received += len(data)
        return True

    @property
    def free(self) -> memoryview | None:
        """The memory for the rest of a large body; None: it is received in parts."""
        return self._partial.free if self.stage is Stage.BODY and isinstance(self._partial, MmapBuffer) else None

    def advance(self, size: int) -> bool:
        """Count bytes that were written to ``free``; True: the body is complete, or uses more memory."""
        partial = self._partial
        assert isinstance(partial, MmapBuffer)
        before = partial.allocated
        partial.advance(size)
        self._missing -= size
        self.received += size
        return not self._missing or partial.allocated != before

    def read(self, turn: Turn) -> Progress:
        """Read the next part of a request from the buffer.

        Raises:
            RequestError: the request is refused, and nothing behind it can be read.
        """
        if self.stage is Stage.HEAD:
            return Progress.HEAD if self._read_head() else Progress.NONE
        if self.stage is Stage.BODY:
            return Progress.REQUEST if self._read_body() else Progress.NONE
        return self._read_chunks(turn)

    def drop(self) -> None:
        """Drop everything that is buffered."""
        self.buffer.clear()
        self.body = b""
        self._partial = bytearray()
        if self.stage is Stage.CHUNKS:
            del self._chunks
        self.stage = Stage.HEAD

    def find_path(self) -> str:
        """Return the path of the request whose head is malformed or not complete; empty: it is not known."""
        return find_path(bytes(memoryview(self.buffer)[:MAX_HEAD_BYTES]))

    def count_buffered(self) -> int:
        """Return how many bytes are buffered."""
        size = len(self.buffer)
        if self.stage is Stage.BODY:
            partial = self._partial
            size += partial.allocated if isinstance(partial, MmapBuffer) else len(partial)
        elif self.stage is Stage.CHUNKS:
            size += len(self._chunks.content)
        return size

    @property
    def is_body_complete(self) -> bool:
        """True if no byte is missing of a body of known length."""
        return not self._missing

    def _read_head(self) -> bool:
        buffer = self.buffer
        if empty := _EMPTY_LINES.match(buffer):  # they are ignored, but not any number of them
            del buffer[: empty.end()]
            self._searched = 0
            if not self._budget.charge(empty.end() // 2):
                raise MalformedRequest("there are too many empty lines before a request")
        if buffer and not 65 <= buffer[0] <= 90 and buffer != b"\r":  # a method begins with a capital letter
            raise MalformedRequest("this is not a request of HTTP")
        end = buffer.find(_END_OF_HEAD, self._searched, MAX_HEAD_BYTES) + 4
        if end < 4:
            self._searched = max(len(buffer) - 3, 0)
            if len(buffer) >= MAX_HEAD_BYTES:
                raise HeadTooLarge(f"the request's head is longer than {MAX_HEAD_BYTES} bytes")
            return False
        self._searched = 0
        raw = bytes(memoryview(buffer)[:end])
        known = self._recent.read(raw) or self._heads.get(raw, self._recent)
        self.head = head = parse_head(raw) if known is None else known[0]
        del buffer[:end]
        self.received, self._missing = 0, head.content_length
        if head.is_chunked:
            self.stage, self._chunks = Stage.CHUNKS, ChunkedBody(self._app.max_body_bytes)
        else:
            self.stage = Stage.BODY
        # The stage is set: if the next line refuses the request, the response depends on its head.
        self.handler = self._heads.put(raw, head, self._recent) if known is None else known[1]
        self._partial = MmapBuffer(self._missing) if self._missing > LARGE_BYTES else bytearray()
        return True

    def _read_body(self) -> bool:
        size = min(len(self.buffer), self._missing)
        with memoryview(self.buffer) as view:
            self._partial.extend(view[:size])
        del self.buffer[:size]
        self._missing -= size
        self.received += size
        if self._missing:
            return False
        self.body = self._partial.view() if isinstance(self._partial, MmapBuffer) else self._partial
        self._partial = bytearray()
        self.stage = Stage.HEAD
        return True

    def _read_chunks(self, turn: Turn) -> Progress:
        before = len(self.buffer)
        is_whole = self._chunks.feed(self.buffer, turn)
        self.received += before - len(self.buffer)
        if not is_whole:
            return Progress.PART if self._chunks.has_more else Progress.NONE
        self.body = self._chunks.content
        del self._chunks
        self.stage = Stage.HEAD
        return Progress.REQUEST

"""One connection of HTTP/1.1: requests in, answers out, in their order and within bounds.

A connection has one request under way at a time; what a client sends ahead waits in a buffer, and once that is full, in
the client's. The bytes of a request are touched as little as can be: where a head is known and its body came with it,
nothing is parsed.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol, cast

from seldon_spec.errors import ClientTooSlow, HeadTooLarge, MalformedRequest, Overloaded, RequestError
from seldon_spec.transport.abuse import AbuseBudget
from seldon_spec.transport.buffers import LARGE_BYTES, MmapBuffer
from seldon_spec.transport.capacity import Capacity
from seldon_spec.transport.http1.chunked import ChunkedBody
from seldon_spec.transport.http1.head import MAX_HEAD_BYTES, parse_head
from seldon_spec.transport.http1.head_cache import HeadCache
from seldon_spec.transport.http1.messages import Body, HttpApp, RequestHead, ResponseHead
from seldon_spec.transport.listener import Connection
from seldon_spec.transport.tcp import count_acknowledged, count_unsent, has_unread, is_reset
from seldon_spec.transport.templates import RecentTemplates
from seldon_spec.transport.turns import Turn

_MAX_AHEAD_BYTES = 65536
"""How much of the requests behind the one under way is read before the client has to wait."""

_JOIN_BYTES = 16384
"""Up to this size head and body leave in one piece; a copy of more would cost more than a second one."""

_TLS_BYTES = 1 << 18
"""With TLS, more is written in pieces: what is written at once counts neither as buffered nor as unread."""

_LINGER_SECONDS = 2.0
_LINGER_BYTES = 64 << 20
"""After the last response, what the client is still sending is read and dropped for this long and up to this size.

A connection that is closed on unread bytes is reset, and the client would never see the response.
"""

_MIN_BYTES_PER_SECOND = 1024
"""How fast a client has to send a body, and to read a response, on average over ``body_timeout_seconds``."""

_FIRST_ERROR = 400

_COUNTED_BYTES = 16384
"""A connection that buffers less is not counted; so all of them together may have a little more than the limit."""

_FIRST_SECONDS = 1.0
"""How long a connection that was made while the server stops, or beyond the limit, may take to send its request."""

_EMPTY_LINES = re.compile(rb"(?:\r\n){1,4096}")
_END_OF_HEAD = b"\r\n\r\n"
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

STATUS_PREFIX = b"HTTP/1.1 "
"""The first bytes of every response.

They are sent as soon as the client has closed its side. A client that waits for the response expects them; one that
has closed its socket resets the connection, and its request is cancelled. Both look alike without them.
"""


class _State(Enum):
    """What a connection is at."""

    HEAD = "it waits for a request's head"
    BODY = "it waits for the rest of a body whose length is known"
    CHUNKS = "it waits for the rest of a body that comes in chunks"
    ANSWER = "a request is under way"
    LINGER = "it has sent its last answer, and drops what still comes"
    CLOSED = "nothing happens any more"


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """What a client may take of time and room; see the keys of the same name in ``ServerSpec``."""

    header_timeout_seconds: float
    body_timeout_seconds: float
    keep_alive_seconds: float


class Port(Protocol):
    """What a connection knows of the port that it came in at.

    Attributes:
        app: answers the requests.
        limits: what a client may take.
        heads: those that were seen before.
        capacity: what all connections of the worker share.
        scheme: of the URLs that lead here.
        address: host and port.
    """

    app: HttpApp
    limits: HttpLimits
    heads: HeadCache
    capacity: Capacity
    scheme: str
    address: tuple[str, int]

    @property
    def is_full(self) -> bool:
        """Whether there are more connections than there may be; the last one may only ask a probe."""

    def now(self) -> float:
        """The loop's clock."""

    def date_line(self) -> bytes:
        """The answers' ``date``, with its line break."""

    def add(self, connection: Connection) -> None:
        """A connection begins."""

    def discard(self, connection: Connection) -> None:
        """A connection has ended."""


class HttpConnection(Connection):
    """The server's side of one connection; it is the ``Exchange`` of the request that is under way."""

    __slots__ = (
        "_abuse",
        "_body",
        "_body_bytes",
        "_buffer",
        "_chunks",
        "_coming",
        "_dropped",
        "_has_begun",
        "_has_eof",
        "_is_advancing",
        "_is_choked",
        "_is_last",
        "_is_paused",
        "_is_prefixed",
        "_is_probe_only",
        "_is_used",
        "_is_waiting",
        "_listener",
        "_missing",
        "_read_bytes",
        "_received",
        "_recent",
        "_searched",
        "_state",
        "_transport",
        "client",
        "deadline",
        "head",
        "on_gone",
        "scheme",
        "server",
    )

    head: RequestHead
    _transport: asyncio.Transport
    _chunks: ChunkedBody

    def __init__(self, listener: Port) -> None:
        super().__init__()
        self._listener = listener
        self._state = _State.HEAD
        self._buffer = bytearray()
        self._recent: RecentTemplates[RequestHead] = RecentTemplates()
        self._body: Body = b""
        self._coming: bytearray | MmapBuffer = bytearray()
        self._missing = self._received = self._body_bytes = 0
        self._has_begun = self._is_advancing = self._is_choked = self._is_last = self._is_paused = False
        self._has_eof = self._is_prefixed = self._is_probe_only = self._is_used = self._is_waiting = False
        self._searched = 0  # how much of the buffer has no end of a head, so that no byte is searched twice
        self._dropped = self._read_bytes = 0
        self._abuse: AbuseBudget | None = None
        self.scheme = listener.scheme
        self.client = ""
        self.server = listener.address
        self.on_gone: Callable[[], object] | None = None
        self.deadline = math.inf

    # What the transport tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected."""
        self._transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        self.client = peer[0] if isinstance(peer, tuple) else ""
        self._await(self._listener.limits.keep_alive_seconds)
        self._listener.add(self)
        if self._listener.is_full:
            self._is_probe_only = self._is_last = True
            self._await(_FIRST_SECONDS)

    def data_received(self, data: bytes) -> None:
        """Some bytes have come."""
        state = self._state
        if state is _State.HEAD:
            if not self._buffer and self._is_whole(data):
                if len(data) >= _COUNTED_BYTES:
                    self._account()
                return
        elif state is _State.BODY and len(data) <= self._missing and not self._is_waiting:
            self._coming.extend(data)
            self._missing -= len(data)
            self._received += len(data)
            if self._missing:
                self._account()
                return
            data = b""
        elif state is _State.LINGER:
            self._drop(len(data))
            return
        self._buffer += data
        if not self._is_waiting:
            self._advance()

    def take_turn(self) -> None:
        """Go on with what was received before; see ``Worker``."""
        self._is_waiting = False
        if self._state is not _State.CLOSED:
            self._advance()

    def eof_received(self) -> bool:
        """The client has closed its side: keep the connection only for the responses to the requests that are whole.

        TLS has no half-closed connections that asyncio knows.
        """
        may_be_whole = self._state is _State.ANSWER or (self._state is _State.HEAD and self._is_choked)
        if not (may_be_whole or self._is_waiting) or self._transport.get_extra_info("sslcontext") is not None:
            return False
        self._has_eof = True
        self._follow_eof()
        return True

    def connection_lost(self, _error: Exception | None) -> None:
        """The connection is closed."""
        self._state = _State.CLOSED
        self._listener.discard(self)
        self._buffer.clear()
        self._give_up()

    def pause_writing(self) -> None:
        """The client does not read what it was sent."""
        self._is_choked = True
        self._read_bytes = count_acknowledged(self._transport)
        self._account()
        self._await(self._listener.limits.body_timeout_seconds)

    def resume_writing(self) -> None:
        """It does again."""
        self._is_choked = False
        self._account()
        if self._state is _State.HEAD:
            if self._is_last and not self._buffer:
                self._close()
                return
            self._await(self._listener.limits.keep_alive_seconds)
            if not self._is_waiting:
                self._advance()
        elif self._state is _State.ANSWER:
            self.deadline = 0.0 if self._has_eof else math.inf

    # What the listener tells

    def expire(self) -> None:
        """See ``Connection``."""
        if self._is_choked or self._state in (_State.LINGER, _State.CLOSED):
            if self._has_sent_more():
                self._await(self._listener.limits.body_timeout_seconds)
            else:
                self.abort()
        elif self._state is _State.ANSWER:  # and the client has closed its side
            if is_reset(self._transport):
                self.abort()
        elif self._is_waiting:  # not for the client
            self._await(self._listener.limits.header_timeout_seconds)
        elif self._received >= self._least_bytes():
            self._await_body()
        elif self._state is _State.HEAD and not self._buffer:
            self._close()
        else:
            self._refuse(ClientTooSlow("the rest of the request did not come in time"))

    def retire(self) -> None:
        """See ``Connection``."""
        self._is_last = True
        if self._state is not _State.HEAD or self._buffer or self._is_choked:
            return
        if self._is_used:
            self._close()
        else:  # its first request may be on its way
            self._await(_FIRST_SECONDS)

    @property
    def idle_since(self) -> float | None:
        """See ``Connection``."""
        if self._state is not _State.HEAD or self._buffer or self._is_choked or self._is_waiting:
            return None
        if self._is_probe_only:  # it has a place of its own, and soon ends by itself
            return None
        since = self.deadline - self._listener.limits.keep_alive_seconds
        if not self._is_used and self._listener.now() < since + _FIRST_SECONDS:  # its first request may be on its way
            return None
        return since

    def evict(self) -> None:
        """See ``Connection``."""
        self._close()

    def shed(self) -> None:
        """See ``Holder``."""
        if self._is_choked or self._state in (_State.LINGER, _State.CLOSED):
            self.abort()
        else:
            self._refuse(Overloaded("the server has buffered as many bytes as server.max_buffered_bytes allows"))

    def abort(self) -> None:
        """See ``Connection``."""
        self._transport.abort()

    # The request

    def _is_whole(self, data: bytes) -> bool:
        """Take a request whose head is known and whose body came with it, which is how most of them come."""
        if self._is_choked or self._is_probe_only:
            return False
        head = self._recent.read(data)
        if head is None or len(data) - head.size != head.content_length or head.is_chunked:
            return False
        self.head = head
        self._body = data[head.size :]
        self._begin()
        return True

    def _advance(self) -> None:
        """Go on with what is in the buffer, as far as it goes in one turn."""
        self._is_advancing = True
        turn = Turn()
        try:
            while self._step(turn):
                if not turn.take():
                    self._is_waiting = True
                    self._listener.capacity.turns.wait(self)
                    break
        except RequestError as error:
            self._refuse(error)
        finally:
            self._is_advancing = False
        self._throttle()
        if self._has_eof:
            self._follow_eof()

    def _step(self, turn: Turn) -> bool:
        """Take the next part of a request from the buffer; whether there may be another."""
        if self._state is _State.HEAD:
            return not self._is_choked and self._take_head()
        if self._state is _State.BODY:
            return self._take_body()
        return self._state is _State.CHUNKS and self._take_chunks(turn)

    def _take_head(self) -> bool:
        buffer = self._buffer
        if empty := _EMPTY_LINES.match(buffer):  # they are ignored, but not any number of them
            del buffer[: empty.end()]
            self._searched = 0
            if not self._charge(empty.end() // 2):
                raise MalformedRequest("there are too many empty lines before a request")
        if buffer and not 65 <= buffer[0] <= 90 and buffer != b"\r":  # a method begins with a capital letter
            raise MalformedRequest("this is not a request of HTTP")
        end = buffer.find(_END_OF_HEAD, self._searched, MAX_HEAD_BYTES) + 4
        if end < 4:
            self._searched = max(len(buffer) - 3, 0)
            self._await_head()
            return False
        self._searched = 0
        raw = bytes(memoryview(buffer)[:end])
        del buffer[:end]
        head = self._recent.read(raw) or self._listener.heads.find(raw, self._recent)
        is_new = head is None
        self.head = head = parse_head(raw) if head is None else head
        self._state, self._missing = _State.BODY, head.content_length  # first, so that a refusal knows its head
        if is_new:
            self._listener.heads.admit(raw, head, self._recent)
        if self._is_probe_only and not self._listener.app.is_probe(head):
            raise Overloaded("the server has as many connections as server.max_connections allows")
        self._await_body()
        if head.is_chunked:
            self._state, self._chunks = _State.CHUNKS, ChunkedBody(self._listener.app.max_body_bytes)
        else:
            self._coming = bytearray() if self._missing <= LARGE_BYTES else MmapBuffer(self._missing)
        if head.awaits_continue and not buffer and (head.is_chunked or head.content_length):
            self._transport.write(_CONTINUE)
        return True

    def _await_head(self) -> None:
        """Wait for the rest of a head, but neither for ever nor for any length of it."""
        buffer = self._buffer
        if not buffer:
            return
        if len(buffer) >= MAX_HEAD_BYTES:
            raise HeadTooLarge(f"the request's head is longer than {MAX_HEAD_BYTES} bytes")
        if not self._has_begun and not self._is_probe_only:
            self._has_begun = True
            self._await(self._listener.limits.header_timeout_seconds)

    def _take_body(self) -> bool:
        taken = self._buffer[: self._missing]
        del self._buffer[: self._missing]
        self._missing -= len(taken)
        self._received += len(taken)
        self._coming.extend(taken)
        if self._missing:
            return False
        self._body = self._coming.view() if isinstance(self._coming, MmapBuffer) else self._coming
        self._coming = bytearray()
        self._begin()
        return True

    def _take_chunks(self, turn: Turn) -> bool:
        before = len(self._buffer)
        is_whole = self._chunks.feed(self._buffer, turn)
        self._received += before - len(self._buffer)
        if not is_whole:
            return self._chunks.has_more
        self._body = self._chunks.content
        del self._chunks
        self._begin()
        return True

    def _charge(self, units: int) -> bool:
        """Charge work without progress; returns False when the connection has to end."""
        if self._abuse is None:  # most connections never need one
            self._abuse = AbuseBudget(self._listener.now())
        return self._abuse.charge(self._listener.now(), units)

    def _await_body(self) -> None:
        """Wait for the body, or the next part of it."""
        self._received = 0
        self._await(self._listener.limits.body_timeout_seconds)

    def _begin(self) -> None:
        self._state = _State.ANSWER
        self._received = 0
        self._body_bytes = len(self._body)
        self._is_used = True
        self._has_begun = False
        self.deadline = math.inf
        self.head.plan.begin(self)

    def take_body(self) -> Body:
        """See ``Exchange``."""
        body, self._body = self._body, b""
        return body

    # The answer

    def answer(self, head: ResponseHead, body: bytes, length: int | None = None) -> None:
        """See ``Exchange``."""
        if self._state is not _State.ANSWER:
            return
        self.on_gone = None
        if not head.has_body:
            body, length = b"", 0
        elif self.head.method == "HEAD":
            body, length = b"", len(body) if length is None else length
        is_last = self._is_last or not self.head.is_kept or not self._listener.limits.keep_alive_seconds
        is_last = is_last or (self._has_eof and not self._buffer)
        if head.status >= _FIRST_ERROR:
            is_last = not self._charge(1) or is_last
        elif self._abuse is not None:
            self._abuse.earn()
        self._send(head, body, len(body) if length is None else length, is_last=is_last)
        if is_last:
            self._end()
            return
        self._state = _State.HEAD
        if self.held:
            self._account()
        if self._is_choked:
            return
        self.deadline = self._listener.now() + self._listener.limits.keep_alive_seconds
        if self._buffer and not self._is_advancing and not self._is_waiting:
            self._advance()

    def _send(self, head: ResponseHead, body: bytes, length: int, *, is_last: bool) -> None:
        if is_last:
            end = b"connection: close\r\n\r\n"
        else:
            end = b"\r\n" if self.head.version != "1.0" else b"connection: keep-alive\r\n\r\n"
        measure = b"content-length: %d\r\n" % length if head.has_length else b""
        status_line = head.status_line
        if self._is_prefixed:
            status_line, self._is_prefixed = status_line.removeprefix(STATUS_PREFIX), False
        parts = (status_line, self._listener.date_line(), measure, head.lines, end)
        if len(body) <= _JOIN_BYTES:
            self._transport.write(b"".join((*parts, body)))
            return
        self._transport.write(b"".join(parts))
        if self.scheme == "http" or len(body) <= _TLS_BYTES:
            self._transport.write(body)
        else:
            view = memoryview(body)
            for at in range(0, len(body), _TLS_BYTES):
                self._transport.write(view[at : at + _TLS_BYTES])

    def _refuse(self, error: RequestError) -> None:
        """Send the last response of this connection: to a request that is not read to its end."""
        self._give_up()
        head, body = self._listener.app.refuse(error, None if self._state is _State.HEAD else self.head)
        self._send(head, body, len(body), is_last=True)
        self._linger()

    def _end(self) -> None:
        """End the connection after its last response."""
        if self._buffer or (not self._has_eof and has_unread(self._transport)):
            self._linger()
        else:
            self._close()

    def _linger(self) -> None:
        """Close this side, and drop what still comes until the client has read the response."""
        self._buffer.clear()
        self._body = b""
        self._coming = bytearray()
        if self._has_eof:
            self._close()
            return
        self._state = _State.LINGER
        self._is_waiting = False
        self._throttle()
        self._read_bytes = count_acknowledged(self._transport)
        self._await(self._listener.limits.body_timeout_seconds if self._is_choked else _LINGER_SECONDS)
        if self._transport.can_write_eof():
            self._transport.write_eof()

    def _drop(self, size: int) -> None:
        self._dropped += size
        if self._dropped > _LINGER_BYTES:
            self.abort()

    def _close(self) -> None:
        self._state = _State.CLOSED
        self._read_bytes = count_acknowledged(self._transport)
        self._await(self._listener.limits.body_timeout_seconds)  # for the client to read what it was sent
        self._transport.close()

    def _follow_eof(self) -> None:
        """Respond to what the client has sent before it closed its side, and close once there is nothing left."""
        if self._state is _State.ANSWER:
            if not self._is_prefixed:
                self._is_prefixed = True
                self._transport.write(STATUS_PREFIX)
            if not self._is_choked:
                self.deadline = 0.0  # to find out at each look of the listener's whether the client is gone
        elif not (self._is_choked or self._is_waiting) and self._state in (_State.HEAD, _State.BODY, _State.CHUNKS):
            self._close()

    def _give_up(self) -> None:
        """Tell whoever works on the answer that nobody waits for it any more."""
        on_gone, self.on_gone = self.on_gone, None
        if on_gone is not None:
            on_gone()

    def _account(self) -> None:
        """Count what is buffered; see ``Capacity``."""
        size = len(self._buffer)
        if self._state is _State.BODY:
            size += self.head.content_length - self._missing
        elif self._state is _State.CHUNKS:
            size += len(self._chunks.content)
        elif self._state is _State.ANSWER:
            size += self._body_bytes
        if self._is_choked:
            size += self._transport.get_write_buffer_size()
        if size < _COUNTED_BYTES:
            size = 0
        if size != self.held:
            self._listener.capacity.hold(self, size - self.held)

    def _throttle(self) -> None:
        """Read on only as long as the buffer has room."""
        self._account()
        is_full = self._is_waiting or (
            len(self._buffer) > _MAX_AHEAD_BYTES and self._state in (_State.HEAD, _State.ANSWER)
        )
        if is_full is not self._is_paused and not (self._has_eof or self._transport.is_closing()):
            self._is_paused = is_full
            if is_full:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()

    def _has_sent_more(self) -> bool:
        """Return True if the client has acknowledged enough of a response since the last call, but not yet all."""
        before, self._read_bytes = self._read_bytes, count_acknowledged(self._transport)
        return count_unsent(self._transport) > 0 and self._read_bytes - before >= self._least_bytes()

    def _least_bytes(self) -> float:
        """How many bytes a client has to send or read within ``body_timeout_seconds``."""
        return _MIN_BYTES_PER_SECOND * self._listener.limits.body_timeout_seconds

    def _await(self, seconds: float) -> None:
        self.deadline = self._listener.now() + seconds

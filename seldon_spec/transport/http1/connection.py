"""One connection of HTTP/1.1: requests and their responses, in order and within limits.

A connection handles one request at a time; what a client sends ahead is buffered, up to a limit.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass
from enum import Enum
from typing import Protocol, cast

from seldon_spec.errors import ClientTooSlow, Overloaded, RequestError
from seldon_spec.transport.abuse import AbuseBudget
from seldon_spec.transport.capacity import Capacity
from seldon_spec.transport.http1.body_receiver import BodyReceiver
from seldon_spec.transport.http1.cycle import HttpCycle
from seldon_spec.transport.http1.head_cache import HeadCache
from seldon_spec.transport.http1.messages import HttpApp
from seldon_spec.transport.http1.request_reader import Progress, RequestReader, Stage
from seldon_spec.transport.http1.response_writer import CLOSE, ResponseWriter
from seldon_spec.transport.listener import FIRST_REQUEST_SECONDS, Connection
from seldon_spec.transport.tcp import has_unread, is_reset
from seldon_spec.transport.turns import Turn

_MAX_AHEAD_BYTES = 65536
"""So much is buffered of the requests behind the current one."""

_LINGER_SECONDS = 2.0
_LINGER_BYTES = 64 << 20
"""After the last response, what the client is still sending is read and dropped for this long and up to this size.

A connection that is closed on unread bytes is reset, and the client would never see the response.
"""

_MIN_BYTES_PER_SECOND = 1024
"""The minimum rate of sending a body, and of reading a response, on average over ``body_timeout_seconds``."""

_COUNTED_BYTES = 16384
"""A connection that buffers less is not counted; so all of them together may have a little more than the limit."""


class _State(Enum):
    """The state of a connection."""

    READING = "a request is read"
    HANDLING = "a request is handled"
    LINGER = "the last response is sent; further input is discarded"
    CLOSED = "the connection is closed, at the latest when all is written"


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """The timeouts of connections: the keys of ``server`` of the same names."""

    header_timeout_seconds: float
    body_timeout_seconds: float
    keep_alive_seconds: float


class Port(Protocol):
    """The port of a connection.

    Attributes:
        app: handles the requests.
        limits: the timeouts.
        heads: the heads that were seen before.
        capacity: shared by all connections of the worker.
        scheme: of the URLs of this port.
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
        """True if there are more connections than the limit; the last one may only send a probe."""

    def now(self) -> float:
        """Return the time of the loop's clock."""

    def date_line(self) -> bytes:
        """Return the header ``date`` of a response, with its line break."""

    def add(self, connection: Connection) -> None:
        """Register a connection that is established."""

    def discard(self, connection: Connection) -> None:
        """Remove a connection that is closed."""


class HttpConnection(Connection):
    """The server side of one connection."""

    __slots__ = (
        "_budget",
        "_cycle",
        "_dropped",
        "_has_head_timeout",
        "_is_advancing",
        "_is_paused",
        "_is_probe_only",
        "_is_waiting",
        "_is_writing_paused",
        "_port",
        "_reader",
        "_receiver",
        "_state",
        "_writer",
    )

    def __init__(self, port: Port) -> None:
        super().__init__()
        self._port = port
        self._state = _State.READING
        self._budget = AbuseBudget(port.now)
        self._reader = RequestReader(port.app, port.heads, self._budget)
        self._writer = ResponseWriter(port.date_line, is_secure=port.scheme == "https")
        self._cycle = HttpCycle(self._reader, self._writer, self._budget, self._on_response, port.scheme, port.address)
        self._has_head_timeout = self._is_advancing = self._is_paused = self._is_probe_only = self._is_waiting = False
        self._is_writing_paused = False
        self._dropped, self.deadline = 0, math.inf

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._writer.open(self._transport)
        self._receiver = BodyReceiver(self, self._reader, self._transport, is_secure=self._port.scheme == "https")
        peer = transport.get_extra_info("peername")
        self._cycle.client = peer[0] if isinstance(peer, tuple) else ""
        self._cycle.is_last = not self._port.limits.keep_alive_seconds
        self._set_timeout(self._port.limits.keep_alive_seconds)
        self._port.add(self)
        if self._port.is_full:
            self._is_probe_only = self._cycle.is_last = True
            self._set_timeout(FIRST_REQUEST_SECONDS)

    def data_received(self, data: bytes) -> None:
        reader = self._reader
        if self._state is _State.READING:
            if reader.stage is Stage.HEAD:
                is_possible = not (reader.buffer or self._is_writing_paused or self._is_probe_only)
                if is_possible and reader.read_whole(data):
                    self._begin()
                    if len(data) >= _COUNTED_BYTES:
                        self._account()
                    return
            elif not self._is_waiting and reader.extend_body(data):
                if not reader.is_body_complete:
                    self._account()
                    self._receiver.start()
                    return
                data = b""
        elif self._state is _State.LINGER:
            self._dropped += len(data)
            if self._dropped > _LINGER_BYTES:
                self.abort()
            return
        reader.buffer += data
        if not self._is_waiting:
            self._advance()
            self._receiver.start()

    def take_turn(self) -> None:
        """Continue with what was received before."""
        self._is_waiting = False
        if self._state is not _State.CLOSED:
            self._advance()

    def eof_received(self) -> bool:
        """Keep the connection only for responses to whole requests, and not with TLS, which has no half-close."""
        may_be_complete = self._state is _State.HANDLING or (self._is_between_requests and self._is_writing_paused)
        if not (may_be_complete or self._is_waiting) or self._transport.get_extra_info("sslcontext") is not None:
            return False
        self._cycle.has_eof = True
        self._continue_after_eof()
        return True

    def connection_lost(self, _error: Exception | None) -> None:
        self._state = _State.CLOSED
        self._port.discard(self)
        self._reader.drop()  # now: the connection itself is freed by a garbage collection
        self._cycle.cancel()

    def pause_writing(self) -> None:
        self._is_writing_paused = True
        self._writer.count_from_here()
        self._account()
        self._set_timeout(self._port.limits.body_timeout_seconds)

    def resume_writing(self) -> None:
        self._is_writing_paused = False
        self._account()
        if self._is_between_requests:
            if self._cycle.is_last and not self._reader.buffer:
                self._close()
                return
            self._set_timeout(self._port.limits.keep_alive_seconds)
            if not self._is_waiting:
                self._advance()
        elif self._state is _State.HANDLING:
            self.deadline = 0.0 if self._cycle.has_eof else math.inf

    def expire(self) -> None:
        min_bytes = _MIN_BYTES_PER_SECOND * self._port.limits.body_timeout_seconds
        if self._is_writing_paused or self._state in (_State.LINGER, _State.CLOSED):
            if self._writer.has_progress(min_bytes):
                self._set_timeout(self._port.limits.body_timeout_seconds)
            else:
                self.abort()
        elif self._state is _State.HANDLING:  # and the client has closed its side
            if is_reset(self._transport):
                self.abort()
        elif self._is_waiting:  # not for the client
            self._set_timeout(self._port.limits.header_timeout_seconds)
        elif self._reader.received >= min_bytes:
            self._await_body()
        elif self._is_between_requests and not self._reader.buffer:
            self._close()
        else:
            self._refuse(ClientTooSlow("timed out while receiving the request"))

    def retire(self) -> None:
        self._cycle.is_last = True
        if not self._is_between_requests or self._reader.buffer or self._is_writing_paused:
            return
        if self.is_used:
            self._close()
        else:  # its first request may be on its way
            self._set_timeout(FIRST_REQUEST_SECONDS)

    @property
    def idle_since(self) -> float | None:
        if not self._is_between_requests or self._reader.buffer or self._is_writing_paused or self._is_waiting:
            return None
        if self._is_probe_only:  # it has a reserved place, and is closed after a second
            return None
        return self.deadline - self._port.limits.keep_alive_seconds

    def evict(self) -> None:
        self._close()

    def shed(self) -> None:
        if self._is_writing_paused or self._state in (_State.LINGER, _State.CLOSED):
            self.abort()
        else:
            self._refuse(Overloaded("the server has buffered as many bytes as server.max_buffered_bytes allows"))

    def abort(self) -> None:
        self._state = _State.CLOSED  # at once: a loop that is being closed runs its turns, but not connection_lost
        self._transport.abort()

    @property
    def _is_between_requests(self) -> bool:
        return self._state is _State.READING and self._reader.stage is Stage.HEAD

    def _advance(self) -> None:
        """Read requests from the buffer, for one turn."""
        self._is_advancing = True
        turn = Turn()
        try:
            while self._state is _State.READING and self._read_part(turn):
                if not turn.take():
                    self._is_waiting = True
                    self._port.capacity.turns.wait(self)
                    break
        except RequestError as error:
            self._refuse(error)
        finally:
            self._is_advancing = False
        self._throttle()
        if self._cycle.has_eof:
            self._continue_after_eof()

    def _read_part(self, turn: Turn) -> bool:
        """Read the next part of a request from the buffer; returns False if there is none."""
        reader = self._reader
        if reader.stage is Stage.HEAD and self._is_writing_paused:
            return False
        progress = reader.read(turn)
        if progress is Progress.HEAD:
            head = reader.head
            if self._is_probe_only and not self._port.app.is_probe(head):
                raise Overloaded("the server has as many connections as server.max_connections allows")
            self._await_body()
            if head.awaits_continue and not reader.buffer and (head.is_chunked or head.content_length):
                self._writer.write_continue()
        elif progress is Progress.REQUEST:
            self._begin()
        elif progress is Progress.NONE:
            if reader.stage is Stage.HEAD and reader.buffer and not (self._has_head_timeout or self._is_probe_only):
                self._has_head_timeout = True
                self._set_timeout(self._port.limits.header_timeout_seconds)
            return False
        return True

    def _await_body(self) -> None:
        """Start the timeout of the body, or of its next part."""
        self._reader.received = 0
        self._set_timeout(self._port.limits.body_timeout_seconds)

    def _begin(self) -> None:
        """Handle the request that has been read."""
        self._state = _State.HANDLING
        self._reader.received = 0
        self.is_used = True
        self._has_head_timeout = False
        self.deadline = math.inf
        self._cycle.begin()

    def _on_response(self, is_last: bool) -> None:  # noqa: FBT001 - for each request
        if is_last:
            if self._reader.buffer or (not self._cycle.has_eof and has_unread(self._transport)):
                self._linger()
            else:
                self._close()
            return
        self._state = _State.READING
        if self.held:
            self._account()
        if not self._is_writing_paused:
            self.deadline = self._port.now() + self._port.limits.keep_alive_seconds
            if self._reader.buffer and not self._is_advancing and not self._is_waiting:
                self._advance()

    def _refuse(self, error: RequestError) -> None:
        """Send the last response of this connection, to a request that is not read to its end."""
        self._cycle.cancel()
        if self._is_between_requests:
            head, body = self._port.app.refuse(error, None, self._reader.find_path())
        else:
            head, body = self._port.app.refuse(error, self._reader.head)
        self._writer.write(head, body, len(body), CLOSE)
        self._linger()

    def _linger(self) -> None:
        """Close the sending side, and discard input until the client has read the response."""
        self._receiver.stop()
        self._reader.drop()
        if self._cycle.has_eof:
            self._close()
            return
        self._state, self._is_waiting = _State.LINGER, False
        self._throttle()
        self._writer.count_from_here()
        self._set_timeout(self._port.limits.body_timeout_seconds if self._is_writing_paused else _LINGER_SECONDS)
        if self._transport.can_write_eof():
            self._transport.write_eof()

    def _close(self) -> None:
        """Close the connection once the client has read what was sent, within a timeout."""
        self._state = _State.CLOSED
        if self.held:
            self._account()
        self._writer.count_from_here()
        self._set_timeout(self._port.limits.body_timeout_seconds)
        self._transport.close()

    def _continue_after_eof(self) -> None:
        """Respond to what the client has sent before it closed its side, and close when there is nothing left."""
        if self._state is _State.HANDLING:
            self._writer.write_prefix()
            if not self._is_writing_paused:
                self.deadline = 0.0  # each sweep of the listener checks whether the client is gone
        elif self._state is _State.READING and not (self._is_writing_paused or self._is_waiting):
            self._close()

    def _account(self) -> None:
        """Report to the capacity what is buffered."""
        size = self._reader.count_buffered()
        if self._state is _State.HANDLING:
            size += self._cycle.body_bytes
        if self._is_writing_paused:
            size += self._transport.get_write_buffer_size()
        size = size if size >= _COUNTED_BYTES else 0
        if size != self.held:
            self._port.capacity.hold(self, size - self.held)

    def _throttle(self) -> None:
        """Pause reading while the buffer is full."""
        self._account()
        is_ahead = self._state is _State.HANDLING or self._is_between_requests
        is_full = self._is_waiting or (is_ahead and len(self._reader.buffer) > _MAX_AHEAD_BYTES)
        if is_full is not self._is_paused and not (self._cycle.has_eof or self._transport.is_closing()):
            self._is_paused = is_full
            if is_full:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()

    def _set_timeout(self, seconds: float) -> None:
        self.deadline = self._port.now() + seconds

"""One connection of HTTP/2 (RFC 9113), the server side: its state, its timeouts and its end."""

from __future__ import annotations

import asyncio
import math
from enum import Enum
from typing import cast

from seldon_spec.transport.http2 import frames as h2
from seldon_spec.transport.http2.body_rates import MIN_BYTES_PER_SECOND
from seldon_spec.transport.http2.control_frames import ControlFrames
from seldon_spec.transport.http2.frame_reader import MAX_FRAME_BYTES, FrameReader, Http1Request
from seldon_spec.transport.http2.frames import ErrorCode, H2ConnectionError
from seldon_spec.transport.http2.port import TOO_MANY_CONNECTIONS, Port
from seldon_spec.transport.http2.rate_limit import ControlFrameBudget
from seldon_spec.transport.http2.receive_windows import FIRST_WINDOW, MAX_STREAMS
from seldon_spec.transport.http2.stream_table import COUNTED_BYTES, StreamTable
from seldon_spec.transport.listener import FIRST_REQUEST_SECONDS, Connection
from seldon_spec.transport.tcp import count_acknowledged, count_unsent

MAX_HEADER_LIST_BYTES = 16384

_LINGER_SECONDS = 2.0
_GOAWAY_SECONDS = 1.0
"""A client has this long to acknowledge the first GOAWAY."""

_BUFFER_BYTES = 1 << 19
_SHUTDOWN_PINGS = b"retire 1", b"retire 2"
_STOPPING = "the server is shutting down"

_NOT_HTTP2 = b"this port speaks gRPC, over HTTP/2\n"
_HTTP1_RESPONSE = (
    b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%b"
    % (len(_NOT_HTTP2), _NOT_HTTP2)
)

_SETTINGS = h2.settings_frame(
    {
        h2.HEADER_TABLE_SIZE: 0,
        h2.MAX_CONCURRENT_STREAMS: MAX_STREAMS,
        h2.INITIAL_WINDOW_SIZE: FIRST_WINDOW,
        h2.MAX_FRAME_SIZE: MAX_FRAME_BYTES,
        h2.MAX_HEADER_LIST_SIZE: MAX_HEADER_LIST_BYTES,
    }
)


class _State(Enum):
    """The state of a connection."""

    PREFACE = "the client's preface is read"
    OPEN = "frames are read"
    LINGER = "GOAWAY sent; further input is discarded"
    CLOSED = "the connection is closed, at the latest when all is written"


class H2Connection(Connection):
    """The server side of one connection."""

    __slots__ = (
        "_blocked_until",
        "_bytes_read",
        "_control",
        "_counted",
        "_frame_deadline",
        "_goaway_deadline",
        "_is_paused",
        "_is_waiting",
        "_limits",
        "_port",
        "_reader",
        "_sender",
        "_state",
        "_streams",
    )

    def __init__(self, port: Port) -> None:
        super().__init__()
        self._port = port
        self._limits = port.limits
        rate_limit = ControlFrameBudget(port.now, self._on_flood)
        self._streams = StreamTable(self, port, rate_limit, self._close_after_last_stream)
        self._sender = self._streams.sender
        self._control = ControlFrames(self._streams, port.limits, rate_limit, self._on_ping_ack)
        self._reader = FrameReader(self._streams, self._control, self._on_preface)
        self._state = _State.PREFACE
        self._counted = self._bytes_read = 0
        self._blocked_until = self._goaway_deadline = math.inf
        self._is_paused = self._is_waiting = False
        self.deadline = self._frame_deadline = self._streams.received_at + self._limits.header_timeout_seconds

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(_BUFFER_BYTES)
        self._sender.open(self._transport)
        self._port.add(self)
        if self._port.is_full:
            self._streams.is_probe_only = True
            self._port.call_later(FIRST_REQUEST_SECONDS, self._end_reserved)

    def data_received(self, data: bytes) -> None:
        if self._state is _State.OPEN or self._state is _State.PREFACE:
            self._streams.received_at = self._port.now()
            self._read(data)

    def take_turn(self) -> None:
        """Continue with what was received before."""
        self._is_waiting = False
        if self._state is _State.OPEN and not self._sender.is_paused:
            self._read(None)

    def eof_received(self) -> None:
        """Close the connection: the client does not wait for responses."""

    def connection_lost(self, _error: Exception | None) -> None:
        self._state = _State.CLOSED
        self._port.discard(self)
        self._sender.close()
        self._stop_reading()

    def pause_writing(self) -> None:
        """Process no further input: the client does not read."""
        self._sender.is_paused = True
        self._start_read_timeout()
        self._throttle()

    def resume_writing(self) -> None:
        self._sender.is_paused = False
        self._blocked_until = math.inf
        self._throttle()
        self._sender.flush_streams()

    def _read(self, data: bytes | None) -> None:
        """Read frames; None: those that were interrupted."""
        reader = self._reader
        try:
            if data is None:
                reader.resume()
            elif not reader.feed(data):
                return
        except H2ConnectionError as error:
            self._fail(error)
            return
        except Http1Request:
            self._sender.write_frame(_HTTP1_RESPONSE)
            self._linger()
            return
        if self._state is _State.OPEN:
            self._frame_deadline = math.inf
            if reader.is_incomplete:
                self._frame_deadline = self._streams.received_at + self._limits.header_timeout_seconds
                self._lower_deadline(self._frame_deadline)
        buffered = len(reader.buffer)
        counted = buffered if buffered >= COUNTED_BYTES else 0
        if counted != self._counted:
            self._port.capacity.hold(self, counted - self._counted)
            self._counted = counted
        self._throttle()

    def _throttle(self) -> None:
        """Read from the transport only what can be processed, and nothing while the client does not read."""
        is_interrupted, is_blocked = self._reader.is_interrupted, self._sender.is_paused
        if is_interrupted and not (is_blocked or self._is_waiting):
            self._is_waiting = True
            self._port.capacity.turns.wait(self)
        is_paused = is_interrupted or is_blocked
        if is_paused is not self._is_paused and not self._transport.is_closing():
            self._is_paused = is_paused
            if is_paused:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()

    def _on_preface(self) -> None:
        self._state = _State.OPEN
        self._sender.write_frame(_SETTINGS + self._streams.windows.open())
        self._lower_deadline(self._streams.received_at + self._limits.keep_alive_seconds)

    def _on_flood(self) -> None:
        if self._state is _State.OPEN:
            self._fail(H2ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, "too many frames or calls without progress"))

    def _on_ping_ack(self, payload: bytes) -> None:
        """Continue the shutdown when the client has received the first GOAWAY.

        An acknowledgement may overtake the HEADERS of streams that the client had opened before, if it sends both at
        once. It does not overtake them a second time.
        """
        if self._goaway_deadline < math.inf:
            if payload == _SHUTDOWN_PINGS[0]:
                self._control.send_ping(_SHUTDOWN_PINGS[1])
            elif payload == _SHUTDOWN_PINGS[1]:
                self._refuse_streams()

    # Called by the listener

    def expire(self) -> None:
        now = self._port.now()
        if self._state is _State.LINGER and now < self._frame_deadline and count_unsent(self._transport):
            self.deadline = min(now + _LINGER_SECONDS, self._frame_deadline)
        elif self._state is not _State.OPEN or (self._blocked_until <= now and not self._is_client_reading()):
            self.abort()
        elif self._frame_deadline <= now:
            self._fail(H2ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, "timed out while receiving a frame"))
        else:
            self._streams.expire(now)
            if not self._control.keep_alive(now):
                self.abort()
            if self._goaway_deadline <= now:
                self._refuse_streams()
            self._set_deadline()

    def retire(self) -> None:
        if self._state is _State.PREFACE:  # its first requests may be on their way
            self._port.call_later(FIRST_REQUEST_SECONDS, self._retire_later)
        if self._state is not _State.OPEN or self._goaway_deadline < math.inf:
            return
        self._sender.write_frame(h2.goaway_frame(h2.MAX_STREAM_ID, ErrorCode.NO_ERROR, _STOPPING))
        self._control.send_ping(_SHUTDOWN_PINGS[0])
        self._goaway_deadline = self._port.now() + _GOAWAY_SECONDS
        self._lower_deadline(self._goaway_deadline)
        for stream in list(self._streams.list_streams()):
            stream.retire()

    def _retire_later(self) -> None:
        if self._state is _State.PREFACE:
            self._close()
        self.retire()

    def end(self) -> None:
        """Close the connection once what has been sent is written."""
        if self._state is _State.OPEN:
            self._sender.write_frame(h2.goaway_frame(self._streams.last_id, ErrorCode.NO_ERROR, _STOPPING))
        self._close()

    def _end_reserved(self) -> None:
        if self._state in (_State.PREFACE, _State.OPEN):
            self._fail(H2ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, TOO_MANY_CONNECTIONS))

    @property
    def idle_since(self) -> float | None:
        if self._streams or self._reader.buffer or self._state not in (_State.PREFACE, _State.OPEN):
            return None
        if self._streams.is_probe_only:  # it has a reserved place, and is closed after a second
            return None
        return self._streams.received_at

    def evict(self) -> None:
        self.end()

    def shed(self) -> None:
        if self._state is _State.OPEN and not self._sender.is_paused:
            text = "the server has buffered as many bytes as server.max_buffered_bytes allows"
            self._fail(H2ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, text))
        else:
            self.abort()

    def abort(self) -> None:
        self._state = _State.CLOSED  # at once: a loop that is being closed runs its turns, but not connection_lost
        self._sender.close()
        self._stop_reading()
        self._transport.abort()

    def _lower_deadline(self, at: float) -> None:
        self.deadline = min(self.deadline, at)

    def _set_deadline(self) -> None:
        if self._state is not _State.OPEN:
            return
        self.deadline = min(
            self._frame_deadline,
            self._blocked_until,
            math.inf if self._streams.is_draining else self._goaway_deadline,
            self._control.next_deadline(),
            self._streams.next_deadline(),
        )

    def _start_read_timeout(self) -> None:
        """Start to measure how much the client reads of what was written."""
        self._bytes_read = count_acknowledged(self._transport, self._sender.bytes_written)
        self._blocked_until = self._port.now() + self._limits.body_timeout_seconds
        self._lower_deadline(self._blocked_until)

    def _is_client_reading(self) -> bool:
        """Return True, and measure again, if the client has read enough since the last measurement."""
        before = self._bytes_read
        self._start_read_timeout()
        return self._bytes_read - before >= MIN_BYTES_PER_SECOND * self._limits.body_timeout_seconds

    # Closing

    def _refuse_streams(self) -> None:
        """Refuse new streams: those that the client had opened before it received the first GOAWAY are known."""
        if self._streams.is_draining or self._state is not _State.OPEN:
            return
        self._streams.is_draining = True
        self._sender.write_frame(h2.goaway_frame(self._streams.last_id, ErrorCode.NO_ERROR, _STOPPING))
        if not self._streams:
            self._close_after_last_stream()

    def _close_after_last_stream(self) -> None:
        """Close after the last response.

        The client closes first, if the transport allows it: frames that are on their way would make the system reset
        the connection, and the client might not receive the last response.
        """
        if self._state is not _State.OPEN:
            return
        if self._transport.can_write_eof():
            self._linger(self._limits.body_timeout_seconds)
        else:
            self._close()

    def _fail(self, error: H2ConnectionError) -> None:
        """Send the reason in a GOAWAY frame, and discard input until the client has read it.

        A connection that is closed on unread bytes is reset, and the client would never receive the reason.
        """
        if self._state in (_State.PREFACE, _State.OPEN):
            self._sender.write_frame(h2.goaway_frame(self._streams.last_id, error.code, str(error)))
            self._linger()

    def _linger(self, seconds: float = 0.0) -> None:
        """Discard input until the client closes, too.

        Args:
            seconds: limit of the time to read what has been written; the connection is closed earlier if all is read.
        """
        self._state = _State.LINGER
        self._stop_reading()
        self._sender.flush()
        self._sender.close()
        now = self._port.now()
        self.deadline, self._frame_deadline = now + _LINGER_SECONDS, now + seconds
        self._throttle()
        if self._transport.can_write_eof() and not self._transport.is_closing():
            self._transport.write_eof()

    def _close(self) -> None:
        """Close when all is written, within a timeout."""
        self._sender.flush()
        self._sender.close()
        self._state = _State.CLOSED
        self._stop_reading()
        self.deadline = self._port.now() + self._limits.body_timeout_seconds
        self._transport.close()

    def _stop_reading(self) -> None:
        self._reader.close()
        self._streams.close()
        self._counted = 0

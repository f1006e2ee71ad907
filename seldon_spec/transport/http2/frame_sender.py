"""The frames that a connection of HTTP/2 sends: within the client's windows, and not faster than it reads."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from seldon_spec.transport.http2.frames import (
    DATA,
    DEFAULT_MAX_FRAME_BYTES,
    DEFAULT_WINDOW,
    END_HEADERS,
    END_STREAM,
    HEAD_BYTES,
    HEADERS,
    INITIAL_WINDOW_SIZE,
    MAX_FRAME_SIZE,
    MAX_WINDOW,
    ErrorCode,
    H2ConnectionError,
    H2StreamError,
    frame_head,
)
from seldon_spec.transport.http2.stream_state import StreamState

_WHOLE_BYTES = 16384 - 5
"""Up to this size, a response is sent in one piece: any client accepts a frame of 16384 bytes."""

_ROUND_BYTES = 1 << 18
"""So much is written before the transport can report that the client does not read."""

_MAX_FRAME_BYTES = 1 << 18
"""Longer frames are not sent even if the client accepts them, so that streams take turns."""

_JOIN_BYTES = 1 << 16
"""Up to this size, frames are joined before they are written, which costs less than writing many small parts."""

_ACKS_PER_FRAME = 3
_MAX_ACKS = 1 << 14
"""For each DATA frame that is sent, a client may send a PING and two WINDOW_UPDATEs, as clients do that measure the
bandwidth or acknowledge every frame; so many of them may be outstanding."""

_LAST = END_HEADERS | END_STREAM


class FrameSender:
    """The sending side of one connection.

    Args:
        call_soon: of the event loop; all frames of one iteration are written together, in the next one.
        on_response_sent: called with a stream whose response has been sent completely.
        on_sending: called with a stream that starts to send a body that does not fit into one piece.
        hold: called with a stream and the number of bytes by which its buffers have grown.

    Attributes:
        hold: as above.
        is_paused: the client does not read; bodies are not sent.
        is_congested: so many bytes wait for the client that no further call may reach the model.
        allowed_acks: frames that the client may send in return for the DATA frames that it has received.
        bytes_sent: bytes of bodies that were sent in parts.
        bytes_unsent: bytes of bodies that wait for the client's windows, or for their turn.
        bytes_written: bytes that were written to the transport.
    """

    __slots__ = (
        "_call_soon",
        "_initial_window",
        "_is_scheduled",
        "_max_frame_bytes",
        "_on_response_sent",
        "_on_sending",
        "_parts",
        "_ready",
        "_size",
        "_transport",
        "_window",
        "allowed_acks",
        "bytes_sent",
        "bytes_unsent",
        "bytes_written",
        "hold",
        "is_congested",
        "is_paused",
    )

    def __init__(
        self,
        call_soon: Callable[..., Any],
        on_response_sent: Callable[[StreamState], None],
        on_sending: Callable[[StreamState], None],
        hold: Callable[[StreamState, int], None],
    ) -> None:
        self._call_soon = call_soon
        self._on_response_sent = on_response_sent
        self._on_sending = on_sending
        self.hold = hold
        self._transport: asyncio.Transport | None = None
        self._window = self._initial_window = DEFAULT_WINDOW
        self._max_frame_bytes = DEFAULT_MAX_FRAME_BYTES
        self._parts: list[bytes | memoryview] = []
        self._ready: deque[StreamState] = deque()
        self._size = self.allowed_acks = self.bytes_sent = self.bytes_unsent = self.bytes_written = 0
        self._is_scheduled = self.is_congested = self.is_paused = False

    def open(self, transport: asyncio.Transport) -> None:
        """Write to this transport."""
        self._transport = transport

    def close(self) -> None:
        """Write nothing from now on."""
        self._transport = None
        self._ready.clear()

    def write_frame(self, frames: bytes | memoryview) -> None:
        """Send complete frames, or parts of one, regardless of windows."""
        self._parts.append(frames)
        self._size += len(frames)
        self._schedule_flush()

    def _schedule_flush(self) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            self._call_soon(self.flush)

    def flush(self) -> None:
        """Write the frames to the transport."""
        self._is_scheduled = False
        parts, size = self._parts, self._size
        self._parts, self._size = [], 0
        if self._transport is None or not parts:
            return
        self.bytes_written += size
        if size <= _JOIN_BYTES:
            self._transport.write(b"".join(parts))
        else:
            self._transport.writelines(parts)

    # Responses

    def respond(
        self, stream: StreamState, headers: bytes, prefix: bytes, body: bytes | memoryview, trailers: bytes
    ) -> None:
        """Send a complete response.

        Args:
            stream: of the request.
            headers: block of the first headers.
            prefix: first bytes of the body.
            body: the rest, which is not copied if it is long.
            trailers: block of the last headers.
        """
        size = len(prefix) + len(body)
        if size > _WHOLE_BYTES or size > self._window or size > self._initial_window + stream.send_window:
            self.send_headers(stream, headers)
            stream.trailers = trailers
            self.send_data(stream, prefix, body)
            return
        self._window -= size
        self.allowed_acks += _ACKS_PER_FRAME
        stream_id = stream.stream_id
        self.write_frame(
            b"".join(
                (
                    frame_head(len(headers), HEADERS, END_HEADERS, stream_id),
                    headers,
                    frame_head(size, DATA, 0, stream_id),
                    prefix,
                    body,
                    frame_head(len(trailers), HEADERS, _LAST, stream_id),
                    trailers,
                )
            )
        )
        self._on_response_sent(stream)

    def send_trailers_only(self, stream: StreamState, headers: bytes) -> None:
        """Send a response without a body, in one header block."""
        self.write_frame(frame_head(len(headers), HEADERS, _LAST, stream.stream_id) + headers)
        self._on_response_sent(stream)

    def send_headers(self, stream: StreamState, headers: bytes) -> None:
        """Send the first headers of a response that follows in parts."""
        stream.has_sent_headers = True
        self.write_frame(frame_head(len(headers), HEADERS, END_HEADERS, stream.stream_id) + headers)

    def send_data(self, stream: StreamState, *parts: bytes | memoryview) -> None:
        """Send parts of a body, as far as the windows allow, and the rest as soon as they do."""
        if stream.send_buffer is None:
            stream.send_buffer = deque()
        if not stream.send_buffer:
            self._on_sending(stream)
        stream.send_buffer.extend(memoryview(part) for part in parts if part)
        size = sum(map(len, parts))
        self.bytes_unsent += size
        self.hold(stream, size)
        self._queue(stream)
        self.flush_streams()

    def send_trailers(self, stream: StreamState, trailers: bytes) -> None:
        """Send the last headers, after everything in ``send_buffer``."""
        stream.trailers = trailers
        if not stream.send_buffer:
            self._end_response(stream, trailers)

    def discard(self, stream: StreamState) -> None:
        """Send nothing more of the body of a stream."""
        if stream.send_buffer:
            self.bytes_unsent -= sum(map(len, stream.send_buffer))
        stream.send_buffer = None

    def flush_streams(self) -> None:
        """Send what the windows allow, one frame of each stream in turn."""
        ready = self._ready
        while ready and not self.is_paused and (self._window or not ready[0].send_buffer):
            stream = ready.popleft()
            stream.is_queued = False
            if stream.send_buffer:
                self._send_frame(stream, stream.send_buffer)
            if self._size >= _ROUND_BYTES:
                self.flush()

    def _queue(self, stream: StreamState) -> None:
        if not stream.is_queued and stream.send_buffer and self._initial_window + stream.send_window > 0:
            stream.is_queued = True
            self._ready.append(stream)

    def _send_frame(self, stream: StreamState, buffer: deque[memoryview]) -> None:
        view = buffer[0]
        most = self._max_frame_bytes if self._ready else _ROUND_BYTES
        size = min(len(view), self._window, self._initial_window + stream.send_window, most)
        if size <= 0:  # the client has made its windows smaller
            return
        if size == len(view):
            buffer.popleft()
        else:
            buffer[0] = view[size:]
        self._window -= size
        stream.send_window -= size
        stream.bytes_moved += size
        self.bytes_sent += size
        self.bytes_unsent -= size
        self.hold(stream, -size)
        self._write_data(stream.stream_id, view[:size])
        if buffer:
            self._queue(stream)
        elif stream.trailers is not None:
            self._end_response(stream, stream.trailers)
        else:
            stream.advance()

    def _write_data(self, stream_id: int, view: memoryview) -> None:
        """Write DATA frames, as long as the client accepts them."""
        size, most = len(view), self._max_frame_bytes
        count = -(-size // most)
        head = frame_head(most, DATA, 0, stream_id)
        for at in range(0, size - size % most, most):
            self._parts += (head, view[at : at + most])
        if rest := size % most:
            self._parts += (frame_head(rest, DATA, 0, stream_id), view[size - rest :])
        self.allowed_acks += _ACKS_PER_FRAME * count
        self._size += size + count * HEAD_BYTES
        self._schedule_flush()

    def _end_response(self, stream: StreamState, trailers: bytes) -> None:
        self.write_frame(frame_head(len(trailers), HEADERS, _LAST, stream.stream_id) + trailers)
        self._on_response_sent(stream)

    # The client's windows and settings

    def take_ack(self) -> bool:
        """Count a frame that a client may send in return for DATA; returns False if it may send none."""
        self.allowed_acks = min(self.allowed_acks, _MAX_ACKS) - 1
        if self.allowed_acks >= 0:
            return True
        self.allowed_acks = 0
        return False

    def extend_window(self, size: int) -> None:
        """Extend the window of the connection.

        Raises:
            H2ConnectionError: by 0, or beyond the maximum.
        """
        if not size:
            raise H2ConnectionError(ErrorCode.PROTOCOL_ERROR, "a window update of 0")
        self._window += size
        if self._window > MAX_WINDOW:
            raise H2ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, "a window beyond 2^31 - 1")
        self.flush_streams()

    def extend_stream_window(self, stream: StreamState, size: int) -> None:
        """Extend the window of one stream.

        Raises:
            H2StreamError: by 0, or beyond the maximum.
        """
        if not size:
            raise H2StreamError(stream.stream_id, ErrorCode.PROTOCOL_ERROR)
        stream.send_window += size
        if self._initial_window + stream.send_window > MAX_WINDOW:
            raise H2StreamError(stream.stream_id, ErrorCode.FLOW_CONTROL_ERROR)
        self._queue(stream)
        self.flush_streams()

    def apply_setting(self, key: int, value: int, streams: Iterable[StreamState]) -> None:
        """Apply a setting of the client.

        Args:
            key: of the setting.
            value: validated.
            streams: the open streams, whose windows depend on the initial window.

        Raises:
            H2ConnectionError: the window of a stream would be beyond the maximum.
        """
        if key == MAX_FRAME_SIZE:
            self._max_frame_bytes = min(value, _MAX_FRAME_BYTES)
        elif key == INITIAL_WINDOW_SIZE:
            self._initial_window = value
            for stream in streams:
                if value + stream.send_window > MAX_WINDOW:
                    raise H2ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, "a window beyond 2^31 - 1")
                self._queue(stream)
            self.flush_streams()

"""What leaves a connection of HTTP/2: as much as the client's windows allow, and no more than it reads."""

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
    HEADERS,
    INITIAL_WINDOW_SIZE,
    MAX_FRAME_SIZE,
    MAX_WINDOW,
    ErrorCode,
    H2ConnectionError,
    H2StreamError,
    frame_head,
)
from seldon_spec.transport.http2.stream import Stream

_WHOLE_BYTES = 16384 - 5
"""Up to this size an answer leaves in one piece: any client takes a frame of 16384 bytes."""

_ROUND_BYTES = 1 << 18
"""So much is handed to the transport before it is asked whether the client reads."""

_MAX_FRAME_BYTES = 1 << 18
"""Longer frames are not sent though a client take them: other streams shall have their turn."""

_JOIN_BYTES = 1 << 16
"""Up to this size what leaves together is copied together, which costs less than many small parts."""

_ACKS_PER_FRAME = 3
_MAX_ACKS = 1 << 14
"""For each DATA frame that is sent, a client may send a PING and two WINDOW_UPDATEs, as clients do that measure the
bandwidth or acknowledge every frame; so many of them may be outstanding."""

_LAST = END_HEADERS | END_STREAM


class FrameSender:
    """The sending side of one connection.

    Args:
        call_soon: the loop's; what is sent in one round of the loop is written at its end, at once.
        end: is called with a stream whose answer has been sent to its end.
        wait: is called with a stream that begins to send a body.
        hold: is called with a stream and the bytes that it has buffered more, or fewer.

    Attributes:
        is_choked: the client does not read; what can wait is not sent.
        acks: frames that the client may send for the DATA frames that it was sent.
        sent: bytes of the bodies of responses that have left in parts.
        unsent: bytes of responses that wait for the client's windows, or for their turn.
        written: bytes that were handed to the transport.
    """

    __slots__ = (
        "_call_soon",
        "_end",
        "_first_window",
        "_hold",
        "_is_due",
        "_max_frame_bytes",
        "_parts",
        "_ready",
        "_size",
        "_transport",
        "_wait",
        "_window",
        "acks",
        "is_choked",
        "sent",
        "unsent",
        "written",
    )

    def __init__(
        self,
        call_soon: Callable[..., Any],
        end: Callable[[Stream], None],
        wait: Callable[[Stream], None],
        hold: Callable[[Stream, int], None],
    ) -> None:
        self._call_soon = call_soon
        self._end = end
        self._wait = wait
        self._hold = hold
        self._transport: asyncio.Transport | None = None
        self._window = self._first_window = DEFAULT_WINDOW
        self._max_frame_bytes = DEFAULT_MAX_FRAME_BYTES
        self._parts: list[bytes | memoryview] = []
        self._ready: deque[Stream] = deque()
        self._size = self.acks = self.sent = self.unsent = self.written = 0
        self._is_due = self.is_choked = False

    def open(self, transport: asyncio.Transport) -> None:
        """Write to this transport."""
        self._transport = transport

    def close(self) -> None:
        """Write nothing any more."""
        self._transport = None
        self._ready.clear()

    def put(self, frames: bytes | memoryview) -> None:
        """Send whole frames, or parts of one, that no window holds back."""
        self._parts.append(frames)
        self._size += len(frames)
        if not self._is_due:
            self._is_due = True
            self._call_soon(self.flush)

    def flush(self) -> None:
        """Write what has been put."""
        self._is_due = False
        parts, size = self._parts, self._size
        self._parts, self._size = [], 0
        if self._transport is None or not parts:
            return
        self.written += size
        if size <= _JOIN_BYTES:
            self._transport.write(b"".join(parts))
        else:
            self._transport.writelines(parts)

    # Answers

    def respond(self, stream: Stream, head: bytes, prefix: bytes, body: bytes, tail: bytes) -> None:
        """See ``Carrier``."""
        size = len(prefix) + len(body)
        if size > _WHOLE_BYTES or size > self._window or size > self._first_window + stream.credit:
            self.begin(stream, head)
            stream.tail = tail
            self.send(stream, prefix, body)
            return
        self._window -= size
        self.acks += _ACKS_PER_FRAME
        stream_id = stream.stream_id
        self.put(
            b"".join(
                (
                    frame_head(len(head), HEADERS, END_HEADERS, stream_id),
                    head,
                    frame_head(size, DATA, 0, stream_id),
                    prefix,
                    body,
                    frame_head(len(tail), HEADERS, _LAST, stream_id),
                    tail,
                )
            )
        )
        self._end(stream)

    def respond_bare(self, stream: Stream, head: bytes) -> None:
        """See ``Carrier``."""
        self.put(frame_head(len(head), HEADERS, _LAST, stream.stream_id) + head)
        self._end(stream)

    def begin(self, stream: Stream, head: bytes) -> None:
        """See ``Carrier``."""
        stream.is_answering = True
        self.put(frame_head(len(head), HEADERS, END_HEADERS, stream.stream_id) + head)

    def send(self, stream: Stream, *parts: bytes) -> None:
        """Send the next parts of a body, as far as they may leave now, and the rest as soon as it may."""
        if stream.outgoing is None:
            stream.outgoing = deque()
        if not stream.outgoing:
            self._wait(stream)
        stream.outgoing.extend(memoryview(part) for part in parts if part)
        size = sum(map(len, parts))
        self.unsent += size
        self._hold(stream, size)
        self._queue(stream)
        self.pump()

    def drop(self, stream: Stream) -> None:
        """Send nothing more of a stream's body."""
        if stream.outgoing:
            self.unsent -= sum(map(len, stream.outgoing))
        stream.outgoing = None

    def finish(self, stream: Stream, tail: bytes) -> None:
        """See ``Carrier``."""
        stream.tail = tail
        if not stream.outgoing:
            self._send_tail(stream)

    def pump(self) -> None:
        """Send what the windows allow, a frame of each stream in turn."""
        ready = self._ready
        while ready and not self.is_choked and (self._window or not ready[0].outgoing):
            stream = ready.popleft()
            stream.is_queued = False
            if stream.outgoing:
                self._send_frame(stream, stream.outgoing)
            if self._size >= _ROUND_BYTES:
                self.flush()

    def _queue(self, stream: Stream) -> None:
        if not stream.is_queued and stream.outgoing and self._first_window + stream.credit > 0:
            stream.is_queued = True
            self._ready.append(stream)

    def _send_frame(self, stream: Stream, outgoing: deque[memoryview]) -> None:
        view = outgoing[0]
        size = min(len(view), self._window, self._first_window + stream.credit, self._max_frame_bytes)
        if size <= 0:  # the client has made its windows smaller
            return
        if size == len(view):
            outgoing.popleft()
        else:
            outgoing[0] = view[size:]
        self._window -= size
        stream.credit -= size
        stream.moved += size
        self.acks += _ACKS_PER_FRAME
        self.sent += size
        self.unsent -= size
        self._hold(stream, -size)
        self.put(frame_head(size, DATA, 0, stream.stream_id))
        self.put(view[:size])
        if outgoing:
            self._queue(stream)
        elif stream.tail is not None:
            self._send_tail(stream)
        else:
            stream.advance()

    def _send_tail(self, stream: Stream) -> None:
        assert stream.tail is not None
        self.put(frame_head(len(stream.tail), HEADERS, _LAST, stream.stream_id) + stream.tail)
        self._end(stream)

    # What the client allows

    def take_ack(self) -> bool:
        """Account for a frame with which a client may follow DATA that it was sent; False if there was none."""
        self.acks = min(self.acks, _MAX_ACKS) - 1
        if self.acks >= 0:
            return True
        self.acks = 0
        return False

    def widen(self, credit: int) -> None:
        """The client takes so many bytes more on this connection.

        Raises:
            ConnectionFault: more than a window can be.
        """
        if not credit:
            raise H2ConnectionError(ErrorCode.PROTOCOL_ERROR, "a window opened by nothing")
        self._window += credit
        if self._window > MAX_WINDOW:
            raise H2ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, "a window beyond 2^31 - 1")
        self.pump()

    def widen_stream(self, stream: Stream, credit: int) -> None:
        """The client takes so many bytes more on one stream.

        Raises:
            StreamFault: more than a window can be, or nothing.
        """
        if not credit:
            raise H2StreamError(stream.stream_id, ErrorCode.PROTOCOL_ERROR)
        stream.credit += credit
        if self._first_window + stream.credit > MAX_WINDOW:
            raise H2StreamError(stream.stream_id, ErrorCode.FLOW_CONTROL_ERROR)
        self._queue(stream)
        self.pump()

    def apply(self, key: int, value: int, streams: Iterable[Stream]) -> None:
        """Heed a setting of the client's.

        Args:
            key: which one.
            value: its value, which is known to be allowed.
            streams: those that there are; a first window is set for them, too.

        Raises:
            ConnectionFault: a stream's window would be more than one can be.
        """
        if key == MAX_FRAME_SIZE:
            self._max_frame_bytes = min(value, _MAX_FRAME_BYTES)
        elif key == INITIAL_WINDOW_SIZE:
            self._first_window = value
            for stream in streams:
                if value + stream.credit > MAX_WINDOW:
                    raise H2ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, "a window beyond 2^31 - 1")
                self._queue(stream)
            self.pump()

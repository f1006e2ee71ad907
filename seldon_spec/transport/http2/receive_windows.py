"""The flow-control windows in which a client sends requests (RFC 9113, section 5.2).

Memory is bounded by the windows of the streams. Each stream has a first window. What a longer message needs beyond it
is granted when its length is known, from one budget of the connection, so that every message that is granted can be
completed. The window of the connection is never what a client waits for.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from seldon_spec.transport.http2.frame_sender import FrameSender
from seldon_spec.transport.http2.frames import (
    DEFAULT_WINDOW,
    MAX_WINDOW,
    ErrorCode,
    H2ConnectionError,
    window_frame,
)
from seldon_spec.transport.http2.stream_state import StreamState

MAX_STREAMS = 128
FIRST_WINDOW = 1 << 17
"""All streams of a connection together may receive 16 MiB of requests whose length is not known yet."""

_MIN_UPDATE_BYTES = 16384
"""Padding is added to the window of a stream again at this size, or if the window is smaller than this."""


class ReceiveWindows:
    """The receive windows of one connection and its streams.

    Args:
        sender: sends the WINDOW_UPDATE frames.
        budget_bytes: limit of what all streams may reserve beyond their first windows.
        on_grant: called with a stream that was granted what it has reserved.
    """

    __slots__ = ("_budget_bytes", "_left", "_on_grant", "_remaining", "_reservations", "_sender", "_size")

    def __init__(self, sender: FrameSender, budget_bytes: int, on_grant: Callable[[StreamState], None]) -> None:
        self._sender = sender
        self._budget_bytes = self._remaining = budget_bytes
        self._on_grant = on_grant
        self._size = self._left = min(MAX_STREAMS * FIRST_WINDOW + 2 * budget_bytes, MAX_WINDOW)
        self._reservations: dict[StreamState, int] = {}

    def open(self) -> bytes:
        """Return the frame that opens the window of the connection."""
        return window_frame(0, self._size - DEFAULT_WINDOW)

    def spend(self, size: int) -> None:
        """Count received bytes in the window of the connection, and open it again in time."""
        self._left -= size
        if self._left < 0:
            raise H2ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, "more than the connection's window allows")
        if self._left < self._size >> 1:
            self._sender.write_frame(window_frame(0, self._size - self._left))
            self._left = self._size

    def ack_received(self, stream: StreamState, size: int) -> None:
        """Let the client send so many more bytes on a stream."""
        if size and not stream.is_closed:
            stream.receive_window += size
            self._sender.write_frame(window_frame(stream.stream_id, size))

    def spend_padding(self, stream: StreamState, size: int, content: int) -> bool:
        """Count padding in the window of a stream; returns True if a WINDOW_UPDATE was sent.

        Args:
            stream: the stream.
            size: of the padding of one frame.
            content: size of the rest of the frame, which is counted later.
        """
        stream.receive_window -= size
        stream.padding += size
        if stream.padding < _MIN_UPDATE_BYTES and stream.receive_window - content >= _MIN_UPDATE_BYTES:
            return False
        padding, stream.padding = stream.padding, 0
        self.ack_received(stream, padding)
        return True

    def reserve(self, stream: StreamState, size: int) -> None:
        """Let the client send so many bytes beyond the first window, as soon as the budget allows."""
        if not self._reservations and self._has_space(size):
            self._grant(stream, size)
        else:
            stream.deadline = math.inf  # the client does not cause the delay
            self._reservations[stream] = size

    def is_waiting(self, stream: StreamState) -> bool:
        """Return True if a reservation of the stream is not granted yet."""
        return stream in self._reservations

    def release(self, stream: StreamState) -> None:
        """Return what a closed stream has reserved, and grant the next reservations."""
        if not stream.reserved and self._reservations.pop(stream, None) is None:
            return
        self._return_reserved(stream, stream.reserved)

    def consume(self, stream: StreamState, size: int) -> None:
        """Let the client send so many more bytes of the next messages; what was reserved for this one is returned."""
        returned = min(size, stream.reserved)
        if returned:
            self._return_reserved(stream, returned)
        self.ack_received(stream, size - returned)

    def _return_reserved(self, stream: StreamState, size: int) -> None:
        self._remaining += size
        stream.reserved -= size
        for waiting, size in list(self._reservations.items()):
            if not self._has_space(size):
                break
            del self._reservations[waiting]
            self._grant(waiting, size)

    def clear(self) -> None:
        """Drop all reservations."""
        self._reservations.clear()

    def _has_space(self, size: int) -> bool:
        return size <= self._remaining or self._remaining == self._budget_bytes  # one is granted, whatever its size

    def _grant(self, stream: StreamState, size: int) -> None:
        self._remaining -= size
        stream.reserved += size
        self.ack_received(stream, size)
        self._on_grant(stream)

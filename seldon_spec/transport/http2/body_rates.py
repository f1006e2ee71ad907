"""The minimum rate at which a client sends the bodies of requests and reads those of responses."""

from __future__ import annotations

import math
from collections.abc import Collection

from seldon_spec.transport.http2.frame_sender import FrameSender
from seldon_spec.transport.http2.port import Port
from seldon_spec.transport.http2.stream import Stream
from seldon_spec.transport.http2.stream_state import StreamState
from seldon_spec.transport.listener import Connection

MIN_BYTES_PER_SECOND = 1024
"""The minimum rate of sending and reading bodies, on average over ``body_timeout_seconds``.

The rate is that of a connection: each of several streams that wait for the client has to get its share of it.
"""


class BodyRates:
    """The rates of the streams of one connection.

    Args:
        connection: its deadline is set to those of the streams.
        port: of the connection.

    Attributes:
        min_bytes: number of bytes that have to be sent or read within ``body_timeout_seconds``.
        sender: of the connection.
    """

    __slots__ = ("_connection", "_now", "_seconds", "min_bytes", "sender")

    sender: FrameSender

    def __init__(self, connection: Connection, port: Port) -> None:
        self._connection = connection
        self._now = port.now
        self._seconds = port.limits.body_timeout_seconds
        self.min_bytes = MIN_BYTES_PER_SECOND * self._seconds

    def start(self, stream: StreamState, now: float | None = None) -> None:
        """Start to measure a stream; ``now``: the loop's time, if it is known."""
        stream.bytes_moved = 0
        stream.sent_before = self.sender.bytes_sent
        stream.deadline = at = (self._now() if now is None else now) + self._seconds
        if at < self._connection.deadline:
            self._connection.deadline = at

    def find_slow(self, streams: Collection[Stream], now: float) -> list[Stream]:
        """Return the streams whose deadline has passed and that are too slow; the others are measured again.

        A response that waits behind others for the connection's window is as fast as all of them together.
        """
        waiting = sum(stream.deadline < math.inf for stream in streams)
        slow = []
        for stream in [each for each in streams if each.deadline <= now]:
            is_in_turn = stream.is_queued and self.sender.bytes_sent - stream.sent_before >= self.min_bytes
            is_fast = stream.bytes_moved >= self.min_bytes / waiting or is_in_turn
            if is_fast or (stream.send_buffer and self.sender.is_paused):
                self.start(stream, now)
            else:
                stream.deadline = math.inf
                slow.append(stream)
        return slow

"""The streams of one HTTP/2 connection: opened by header blocks, fed by DATA frames, closed by responses and resets."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Collection, Sequence

from seldon_spec.transport.http2 import frames as h2
from seldon_spec.transport.http2.body_rates import BodyRates
from seldon_spec.transport.http2.fields import MAX_BLOCK_BYTES, BlockReader, Fields
from seldon_spec.transport.http2.frame_sender import FrameSender
from seldon_spec.transport.http2.frames import ErrorCode, H2ConnectionError, H2StreamError
from seldon_spec.transport.http2.port import TOO_MANY_CONNECTIONS, Port
from seldon_spec.transport.http2.rate_limit import TINY_BYTES, ControlFrameBudget
from seldon_spec.transport.http2.receive_windows import MAX_STREAMS, ReceiveWindows
from seldon_spec.transport.http2.stream import Piece, Stream
from seldon_spec.transport.http2.stream_state import StreamState
from seldon_spec.transport.http2.validity import MalformedMessage, check_trailers
from seldon_spec.transport.listener import Connection

COUNTED_BYTES = 16384
"""Requests that are received in one smaller piece are not counted as buffered."""

_MAX_RESETS = 1024
_MAX_GAPS = 64
"""So many ranges of stream numbers that a client has left out are remembered."""


class StreamTable:
    """The streams of one connection.

    Args:
        connection: of the streams; its deadline is set to those of the streams.
        port: of the connection.
        rate_limit: counts resets, refused calls and the like.
        on_empty: called when the last stream is closed, and new ones are refused.

    Attributes:
        sender: of the connection.
        windows: of the connection.
        blocks: reads the header blocks.
        last_id: number of the last stream that the client has opened.
        received_at: time of the last input, by the loop's clock.
        is_draining: new streams are refused.
        is_probe_only: a stream that is not a probe closes the connection.
    """

    __slots__ = (
        "_budget_bytes",
        "_capacity",
        "_connection",
        "_gaps",
        "_on_empty",
        "_rate_limit",
        "_rates",
        "_resets",
        "_streams",
        "blocks",
        "is_draining",
        "is_probe_only",
        "last_id",
        "received_at",
        "sender",
        "windows",
    )

    def __init__(
        self, connection: Connection, port: Port, rate_limit: ControlFrameBudget, on_empty: Callable[[], None]
    ) -> None:
        self._connection = connection
        self._budget_bytes = port.limits.budget_bytes
        self._capacity = port.capacity
        self._rate_limit, self._on_empty = rate_limit, on_empty
        self._rates = rates = BodyRates(connection, port)
        self.sender = rates.sender = FrameSender(port.call_soon, self._on_response_sent, rates.start, self._hold)
        self.windows = ReceiveWindows(self.sender, self._budget_bytes, rates.start)
        self.blocks = BlockReader(port.heads)
        self._streams: dict[int, Stream] = {}
        self._resets: dict[int, None] = {}
        self._gaps: deque[range] = deque(maxlen=_MAX_GAPS)
        self.last_id, self.received_at = 0, port.now()
        self.is_draining = self.is_probe_only = False

    def __bool__(self) -> bool:
        """Return True if there are streams."""
        return bool(self._streams)

    def list_streams(self) -> Collection[Stream]:
        """Return the open streams."""
        return self._streams.values()

    def get(self, stream_id: int) -> Stream | None:
        """Return a stream if it is open."""
        return self._streams.get(stream_id)

    # Frames of the client

    def handle_block(self, block: bytes, flags: int, stream_id: int) -> None:
        """Process a complete header block: the headers of a request, or its trailers."""
        if len(block) > MAX_BLOCK_BYTES:
            raise H2ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, "the headers are too long")
        if stream_id <= self.last_id or not stream_id & 1:
            self._handle_trailers(block, flags, stream_id)
            return
        open_stream = self.blocks.read(block)
        cost = self.blocks.cost
        if cost and not self._count_block():
            return
        if stream_id - self.last_id > 2:
            self._gaps.append(range(self.last_id + 1, stream_id))
        if self.is_probe_only and not open_stream(self.sender, self.windows, stream_id).is_probe:
            raise H2ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, TOO_MANY_CONNECTIONS)
        self.last_id = stream_id
        self._connection.is_used = True
        if self.is_draining or len(self._streams) >= MAX_STREAMS:
            self.reset(stream_id, ErrorCode.REFUSED_STREAM)
            return
        stream = self._streams[stream_id] = open_stream(self.sender, self.windows, stream_id)
        stream.cost = cost
        if flags & h2.END_STREAM:
            stream.is_complete = True
        else:
            self._rates.start(stream, self.received_at)
        stream.open()
        if stream.is_complete and not stream.is_closed:
            if stream.content_left:
                self.reset(stream_id, ErrorCode.PROTOCOL_ERROR)
            else:
                stream.receive(b"", is_last=True)

    def _handle_trailers(self, block: bytes, flags: int, stream_id: int) -> None:
        self.check_is_opened(stream_id)
        stream = self._streams.get(stream_id)
        if stream is None and any(stream_id in gap for gap in self._gaps):
            raise H2ConnectionError(ErrorCode.PROTOCOL_ERROR, "a new stream with a smaller number than the last one")
        fields = self.blocks.decode(block)  # it may change the meaning of later blocks
        if not self._count_block():
            return
        ends = bool(flags & h2.END_STREAM)
        if stream is None:
            self._check_is_reset(stream_id, ends=ends)
            self._rate_limit.count_control_frame()
        elif stream.is_complete:
            raise H2StreamError(stream_id, ErrorCode.STREAM_CLOSED)
        elif not ends or not _are_trailers(fields):
            raise H2StreamError(stream_id, ErrorCode.PROTOCOL_ERROR)
        else:
            self.deliver(stream, b"", is_last=True)

    def _count_block(self) -> bool:
        """Count the cost of the header blocks since the last call; returns False if the connection is being closed."""
        cost, self.blocks.cost = self.blocks.cost, 0
        return self._rate_limit.count_control_frame(cost)

    def handle_data_frame(self, stream_id: int, size: int, content: int, *, ends: bool) -> Stream | None:
        """Process the head of a DATA frame.

        Args:
            stream_id: of the frame.
            size: of the payload, with padding.
            content: size without padding.
            ends: the frame is the last one of the stream.

        Returns:
            The stream to deliver the content to; None: it is discarded, since the client could not know yet that the
            stream is closed.

        Raises:
            H2ConnectionError: the stream was never opened, or the client itself has closed it.
            H2StreamError: the client has already sent everything, or more than the window allows.
        """
        self.windows.spend(size)
        stream = self._streams.get(stream_id)
        if stream is None:
            self.check_is_opened(stream_id)
            self._check_is_reset(stream_id, ends=ends)
        elif stream.is_complete:
            raise H2StreamError(stream_id, ErrorCode.STREAM_CLOSED)
        if not ends and (content < TINY_BYTES or stream is None):
            self._rate_limit.count_tiny_frame(content)
        if stream is None:
            return None
        if size > stream.receive_window:
            raise H2StreamError(stream_id, ErrorCode.FLOW_CONTROL_ERROR)
        if size > content and self.windows.spend_padding(stream, size - content, content):
            self._rate_limit.count_control_frame()
        return stream

    def deliver(self, stream: Stream, piece: Piece, *, is_last: bool) -> None:
        """Hand a part of the body to its stream."""
        if stream.is_closed:
            return
        size = len(piece)
        stream.receive_window -= size
        stream.bytes_moved += size
        if stream.content_left is not None:
            stream.content_left -= size
            if stream.content_left < 0 or (is_last and stream.content_left):
                self.reset(stream.stream_id, ErrorCode.PROTOCOL_ERROR)
                return
        if size and (not is_last or size >= COUNTED_BYTES or stream.held):
            self._hold(stream, size)
        if is_last:
            stream.is_complete = True
            stream.deadline = math.inf
        elif stream.deadline == math.inf and not self.windows.is_waiting(stream):
            self._rates.start(stream, self.received_at)
        stream.receive(piece, is_last=is_last)

    def deliver_run(self, stream: Stream, pieces: Sequence[Piece], size: int) -> None:
        """Hand parts of the body to their stream; they are no more than it expects."""
        stream.count_received(size)
        self._hold(stream, stream.receive_run(pieces, size))

    def handle_reset(self, stream_id: int) -> None:
        """Close a stream that the client has reset."""
        self.check_is_opened(stream_id)
        self._resets.pop(stream_id, None)
        self._rate_limit.count_control_frame()
        stream = self._streams.get(stream_id)
        if stream is not None:
            self._forget(stream)
            stream.lose()

    def extend_window(self, stream_id: int, size: int) -> None:
        """Extend the client's window of a stream, if the stream is open."""
        self.check_is_opened(stream_id)
        stream = self._streams.get(stream_id)
        if stream is not None:
            self.sender.extend_stream_window(stream, size)

    def check_is_opened(self, stream_id: int) -> None:
        """Check that a stream has been opened; it may be closed.

        Raises:
            H2ConnectionError: it has not been opened.
        """
        if stream_id > self.last_id or not stream_id & 1:
            raise H2ConnectionError(ErrorCode.PROTOCOL_ERROR, "a frame of a stream that has not been opened")

    def _check_is_reset(self, stream_id: int, *, ends: bool) -> None:
        """Check that the server has closed a stream before the client had, which could not know it yet.

        Raises:
            H2ConnectionError: the client itself had closed it.
        """
        if stream_id not in self._resets:
            raise H2ConnectionError(ErrorCode.STREAM_CLOSED, "a frame of a stream that has ended")
        if ends:
            del self._resets[stream_id]

    # Closing streams

    def reset(self, stream_id: int, code: ErrorCode) -> None:
        """Close a stream without a response, or in the middle of one."""
        stream = self._streams.get(stream_id)
        self._rate_limit.count_control_frame()
        self.sender.write_frame(h2.reset_frame(stream_id, code))
        if stream is None or not stream.is_complete:
            self._add_reset(stream_id)
        if stream is not None:
            self._forget(stream)
            stream.lose()

    def close(self) -> None:
        """Close all streams, and release what is buffered; no frames are sent."""
        streams, self._streams = self._streams, {}
        self.windows.clear()
        for stream in streams.values():
            stream.is_closed, stream.held = True, 0
            self.sender.discard(stream)
            stream.lose()
        self._capacity.hold(self._connection, -self._connection.held)

    def _on_response_sent(self, stream: StreamState) -> None:
        """Close a stream; a client that is still sending its request may stop."""
        if stream.is_successful:
            self._rate_limit.earn(1 + stream.cost)
        elif stream.is_refused:
            self._rate_limit.count_control_frame()
        if not stream.is_complete:
            self.sender.write_frame(h2.reset_frame(stream.stream_id, ErrorCode.NO_ERROR))
            self._add_reset(stream.stream_id)
        self._forget(stream)

    def _add_reset(self, stream_id: int) -> None:
        self._resets[stream_id] = None
        if len(self._resets) > _MAX_RESETS:
            del self._resets[next(iter(self._resets))]

    def _forget(self, stream: StreamState) -> None:
        stream.is_closed = True
        self.sender.discard(stream)
        if stream.held:
            self._hold(stream, -stream.held)
        self._streams.pop(stream.stream_id, None)
        self.windows.release(stream)
        if self.is_draining and not self._streams:
            self._on_empty()

    def _hold(self, stream: StreamState, size: int) -> None:
        """Count bytes that a stream has buffered, or released if ``size`` is negative."""
        stream.held += size
        self._capacity.hold(self._connection, size)
        sender, limit = self.sender, self._budget_bytes
        if not sender.is_congested:
            if sender.bytes_unsent > limit:
                sender.is_congested = True
                for each in self._streams.values():
                    each.hold()
        elif sender.bytes_unsent <= limit >> 1:
            sender.is_congested = False
            for each in list(self._streams.values()):
                each.release()

    def expire(self, now: float) -> None:
        """End the streams that are too slow."""
        for stream in self._rates.find_slow(self._streams.values(), now):
            if stream.send_buffer:
                self.reset(stream.stream_id, ErrorCode.CANCEL)
            elif not stream.is_complete:
                stream.expire()

    def next_deadline(self) -> float:
        """Return the time when ``expire`` is due."""
        return min((stream.deadline for stream in self._streams.values()), default=math.inf)


def _are_trailers(fields: Fields) -> bool:
    try:
        check_trailers(fields)
    except MalformedMessage:
        return False
    return True

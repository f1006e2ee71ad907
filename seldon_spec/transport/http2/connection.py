"""One connection of HTTP/2 (RFC 9113), the server's side: frames to streams, within bounds of room, time and patience.

Memory is bounded by the streams' windows. Each stream may send its first window at once; what a longer message needs
beyond it is granted when its length is known, and out of one budget for the connection, so that every message that has
been let in can also come to its end. The connection's own window is never what a client waits for.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol, cast

from seldon_spec.transport.abuse import AbuseBudget
from seldon_spec.transport.capacity import Capacity
from seldon_spec.transport.http2 import frames as h2
from seldon_spec.transport.http2.fields import MAX_BLOCK_BYTES, BlockReader, Fields, HeaderBlockCache
from seldon_spec.transport.http2.frame_sender import FrameSender
from seldon_spec.transport.http2.frames import ErrorCode, H2ConnectionError, H2StreamError
from seldon_spec.transport.http2.stream import Open, Piece, Stream
from seldon_spec.transport.http2.validity import MalformedMessage, check_trailers
from seldon_spec.transport.listener import Connection
from seldon_spec.transport.tcp import count_acknowledged, count_unsent
from seldon_spec.transport.turns import Turn

MAX_STREAMS = 128
FIRST_WINDOW = 1 << 17
"""Together what a client may send of requests whose length is not known yet: 16 MiB."""

MAX_FRAME_BYTES = 1 << 18
MAX_HEADER_LIST_BYTES = 16384

_MAX_CONTINUATIONS = 16
_MAX_CUT = 1024
_COUNTED_BYTES = 16384
"""Requests that come in one smaller piece are not counted as buffered."""

_VIEW_BYTES = 16384
"""Shorter pieces of a body are copied, lest they keep alive all that came with them."""

_MIN_BYTES_PER_SECOND = 1024
"""A client that sends or reads less, on average over ``body_timeout_seconds``, is too slow.

The rate is that of a connection: each of several streams that wait for the client has to have its share of it.
"""

_TINY_FRAMES = 16
"""So many short DATA frames are charged as one unit of the abuse budget: each is progress, but hardly any.

A client may write a message byte by byte, so the short frames of some thousand bytes have to be free.
"""

_TINY_BYTES = 64
_MIN_WINDOW_BYTES = 16384
"""Padding is given back to the window of a stream when it has this size, or when the window is smaller than this."""

_MAX_GAPS = 64
"""So many ranges of stream numbers that a client has left out are remembered."""

_LINGER_SECONDS = 2.0
_RETIRE_SECONDS = 1.0
"""How long a client has to say that it has seen the first GOAWAY, or to send what it has just connected for."""

_UNTIMED, _UNTIMED_COST = 8, 3
"""Most reads have no more than two calls, and need no turn: so many frames of DATA, of which others count as three."""

_TOO_MANY = "the server has as many connections as server.max_connections allows"

_BUFFER_BYTES = 1 << 19
_RETIRING, _ASKING = (b"retire 1", b"retire 2"), b"are you?"
_STOPPING = "the server is shutting down"

_NOT_HTTP2 = b"this port speaks gRPC, over HTTP/2\n"
_ANSWER_TO_HTTP1 = (
    b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%b"
    % (len(_NOT_HTTP2), _NOT_HTTP2)
)


class _State(Enum):
    """What a connection is at."""

    GREETING = "it waits for the client's preface"
    OPEN = "it takes frames"
    LINGER = "it has said its last word, and drops what still comes"
    CLOSED = "nothing happens any more"


@dataclass(frozen=True, slots=True)
class H2Limits:
    """What a client may take of room and time; for the times see the keys of the same name in ``ServerSpec``.

    Attributes:
        budget_bytes: of requests, beyond the streams' first windows; and of responses that the client has not read,
            before its further calls have to wait.
        keep_alive_seconds: a client that says nothing for so long is asked whether it is still there.
    """

    budget_bytes: int
    header_timeout_seconds: float
    body_timeout_seconds: float
    keep_alive_seconds: float


class Port(Protocol):
    """What a connection knows of the port that it came in at.

    Attributes:
        limits: what a client may take.
        heads: those that were seen before.
        capacity: what all connections of the worker share.
    """

    limits: H2Limits
    heads: HeaderBlockCache[Open]
    capacity: Capacity

    @property
    def is_full(self) -> bool:
        """Whether there are more connections than there may be; the last one may only ask a probe."""

    def now(self) -> float:
        """The loop's clock."""

    def call_soon(self, callback: Callable[[], None]) -> Any:
        """Have something called in the loop's next round."""

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Any:
        """Have something called after a time."""

    def add(self, connection: Connection) -> None:
        """A connection begins."""

    def discard(self, connection: Connection) -> None:
        """A connection has ended."""


class H2Connection(Connection):
    """The server's side of one connection; it is the ``Carrier`` of its streams."""

    __slots__ = (
        "_asked",
        "_awaited_pings",
        "_block",
        "_block_flags",
        "_blocks",
        "_budget",
        "_buffer",
        "_choked_until",
        "_claims",
        "_continuations",
        "_cut",
        "_earned",
        "_free",
        "_gaps",
        "_heard",
        "_is_acknowledged",
        "_is_congested",
        "_is_last",
        "_is_paused",
        "_is_probe_only",
        "_is_settled",
        "_is_waiting",
        "_kept",
        "_last_id",
        "_limits",
        "_missing",
        "_needed",
        "_outbox",
        "_overdue",
        "_padding",
        "_port",
        "_read_bytes",
        "_receiver",
        "_receiver_ends",
        "_retires",
        "_room",
        "_state",
        "_streams",
        "_tiny_frames",
        "_transport",
        "_window",
        "deadline",
    )

    _transport: asyncio.Transport

    def __init__(self, port: Port) -> None:
        super().__init__()
        self._port = port
        self._limits = limits = port.limits
        self._outbox = FrameSender(port.call_soon, self._end, self._await_reading, self._hold)
        self._blocks = BlockReader(port.heads)
        self._state = _State.GREETING
        self._buffer = bytearray()
        self._needed = 0
        self._missing = self._padding = self._kept = 0
        self._receiver: Stream | None = None
        self._receiver_ends = False
        self._block: bytearray | None = None
        self._block_flags = (0, 0)
        self._continuations = 0
        self._streams: dict[int, Stream] = {}
        self._cut: dict[int, None] = {}
        self._last_id = 0
        self._gaps: deque[range] = deque(maxlen=_MAX_GAPS)
        self._free = limits.budget_bytes
        self._claims: dict[Stream, int] = {}
        self._window = self._room = min(MAX_STREAMS * FIRST_WINDOW + 2 * limits.budget_bytes, h2.MAX_WINDOW)
        self._heard = port.now()
        self._budget = AbuseBudget(self._heard)
        self._earned = self._tiny_frames = self._awaited_pings = self._read_bytes = 0
        self._asked = 0.0
        self._overdue = self._heard + limits.header_timeout_seconds
        self._choked_until = self._retires = math.inf
        self._is_congested = self._is_settled = self._is_last = self._is_paused = self._is_waiting = False
        self._is_acknowledged = self._is_probe_only = False
        self.deadline = self._overdue

    # What the transport tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(_BUFFER_BYTES)
        self._outbox.open(self._transport)
        self._port.add(self)
        if self._port.is_full:
            self._is_probe_only = True
            self._port.call_later(_RETIRE_SECONDS, self._end_reserved)

    def data_received(self, data: bytes) -> None:
        """Some bytes have come."""
        state = self._state
        if state is not _State.OPEN and state is not _State.GREETING:
            return
        self._heard = self._port.now()
        if self._buffer or self._is_waiting:
            self._buffer += data
            if self._is_waiting or len(self._buffer) < self._needed:
                return
            data = self._take_buffer()
        self._go_on(data)

    def take_turn(self) -> None:
        """Go on with what was received before; see ``Worker``."""
        self._is_waiting = False
        if self._state is _State.OPEN and not self._outbox.is_choked:
            self._go_on(self._take_buffer())

    def _take_buffer(self) -> bytes:
        data = bytes(self._buffer)
        self._buffer.clear()
        if self._kept:
            self._port.capacity.hold(self, -self._kept)
            self._kept = 0
        return data

    def _go_on(self, data: bytes) -> None:
        try:
            self._take(data)
        except H2ConnectionError as fault:
            self._fail(fault)
        else:
            self._throttle()

    def _throttle(self) -> None:
        """Read only what can be processed, and nothing from a client that does not read."""
        is_paused = self._is_waiting or self._outbox.is_choked
        if is_paused is not self._is_paused and not self._transport.is_closing():
            self._is_paused = is_paused
            if is_paused:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()

    def _wait_for_turn(self) -> None:
        if not self._is_waiting:
            self._is_waiting = True
            self._port.capacity.turns.wait(self)

    def eof_received(self) -> None:
        """The client has closed its side: nobody waits for an answer any more, and the transport closes."""

    def connection_lost(self, _error: Exception | None) -> None:
        """The connection is closed."""
        self._state = _State.CLOSED
        self._port.discard(self)
        self._outbox.close()
        self._lose_streams()

    def pause_writing(self) -> None:
        """The client does not read what it was sent: nothing that could lead to more is taken from it."""
        self._outbox.is_choked = True
        self._watch_reading()
        self._throttle()

    def resume_writing(self) -> None:
        """It does again."""
        self._outbox.is_choked = False
        self._choked_until = math.inf
        if self._buffer:
            self._wait_for_turn()
        self._throttle()
        self._outbox.pump()

    # What the listener tells

    def expire(self) -> None:
        """Something is overdue, or was when this was noted."""
        now = self._port.now()
        if self._state is _State.LINGER and now < self._overdue and count_unsent(self._transport):
            self.deadline = min(now + _LINGER_SECONDS, self._overdue)
        elif self._state is not _State.OPEN or (self._choked_until <= now and not self._is_reading()):
            self.abort()
        elif self._overdue <= now:
            self._fail(H2ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, "the rest of a frame did not come in time"))
        else:
            self._expire_streams(now)
            self._ask(now)
            if self._retires <= now:
                self._retire_at_last()
            self._set_deadline()

    def retire(self) -> None:
        """Take no more requests once the client can know of it, and end after those under way."""
        if self._state is _State.GREETING:  # its first requests may be on their way
            self._port.call_later(_RETIRE_SECONDS, self._retire_late)
        if self._state is not _State.OPEN or self._retires < math.inf:
            return
        self._outbox.put(h2.goaway_frame(h2.MAX_STREAM_ID, ErrorCode.NO_ERROR, _STOPPING))
        self._ping(_RETIRING[0])
        self._retires = self._port.now() + _RETIRE_SECONDS
        self._due(self._retires)
        for stream in list(self._streams.values()):
            stream.retire()

    def _retire_late(self) -> None:
        if self._state is _State.GREETING:
            self._close()
        self.retire()

    def end(self) -> None:
        """End once what has been sent is written."""
        if self._state is _State.OPEN:
            self._outbox.put(h2.goaway_frame(self._last_id, ErrorCode.NO_ERROR, _STOPPING))
        self._close()

    def _end_reserved(self) -> None:
        if self._state in (_State.GREETING, _State.OPEN):
            self._fail(H2ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, _TOO_MANY))

    @property
    def idle_since(self) -> float | None:
        """See ``Connection``."""
        if self._streams or self._buffer or self._state not in (_State.GREETING, _State.OPEN):
            return None
        is_new = not self._last_id and self._port.now() < self._heard + _RETIRE_SECONDS
        return None if is_new else self._heard  # the first request of a new one may be on its way

    def evict(self) -> None:
        """See ``Connection``."""
        self.end()

    def shed(self) -> None:
        """See ``Holder``."""
        if self._state is _State.OPEN and not self._outbox.is_choked:
            text = "the server has buffered as many bytes as server.max_buffered_bytes allows"
            self._fail(H2ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, text))
        else:
            self.abort()

    def abort(self) -> None:
        """Cut the connection."""
        self._transport.abort()

    # Frames

    def _take(self, data: bytes) -> None:
        """Take what has come, from the beginning of a frame, or of what is left of one."""
        at = 0
        if self._state is _State.GREETING:
            at = self._greet(data)
        elif self._missing or self._padding:
            at = self._take_rest(data)
        at, is_interrupted = self._take_frames(data, at)
        if self._state is _State.GREETING:  # its deadline is set
            self._buffer += data
        elif self._state is _State.OPEN:
            self._keep(data, at, is_interrupted=is_interrupted)

    def _keep(self, data: bytes, at: int, *, is_interrupted: bool) -> None:
        """Buffer what is left, until the next turn or until the rest of a frame has come."""
        rest = len(data) - at
        if rest > 0:
            self._buffer += memoryview(data)[at:]
        if rest >= _COUNTED_BYTES:
            self._kept = rest
            self._port.capacity.hold(self, rest)
        self._overdue = math.inf
        if is_interrupted:
            if not self._outbox.is_choked:
                self._wait_for_turn()
            return
        if rest > 0:
            self._needed = h2.HEAD_BYTES if rest < h2.HEAD_BYTES else h2.HEAD_BYTES + _size_to_keep(data, at)
        if rest > 0 or self._block is not None:
            self._overdue = self._heard + self._limits.header_timeout_seconds
            self._due(self._overdue)

    def _take_rest(self, data: bytes) -> int:
        """Take more of a frame that is not kept, and of its padding; where the next one begins."""
        at = min(self._missing, len(data))
        if at:
            self._missing -= at
            if self._receiver is not None:
                self._deliver(self._receiver, _piece(data, 0, at), is_last=self._receiver_ends and not self._missing)
        if self._padding:
            padding = min(self._padding, len(data) - at)
            self._padding -= padding
            at += padding
        return at

    def _greet(self, data: bytes) -> int:
        """Take the preface; where the first frame begins, or 0 if it has not come to its end."""
        if not h2.PREFACE.startswith(data[: len(h2.PREFACE)]):
            if not 65 <= data[0] <= 90:  # a request of HTTP/1 begins with a capital letter
                raise H2ConnectionError(ErrorCode.PROTOCOL_ERROR, "this is not HTTP/2")
            self._outbox.put(_ANSWER_TO_HTTP1)
            self._linger()
            return len(data)
        if len(data) < len(h2.PREFACE):
            return 0
        self._state = _State.OPEN
        self._outbox.put(_HELLO + h2.window_frame(0, self._window - h2.DEFAULT_WINDOW))
        self._due(self._heard + self._limits.keep_alive_seconds)
        return len(h2.PREFACE)

    def _take_frames(self, data: bytes, at: int) -> tuple[int, bool]:
        """Take the whole frames, for one turn, and the beginning of one that need not be kept.

        Returns:
            Where what is left begins, and whether there may be whole frames in it.
        """
        end = len(data)
        turn: Turn | None = None
        untimed = _UNTIMED
        while end - at >= h2.HEAD_BYTES and self._state is _State.OPEN:
            high, low, kind, flags, stream_id = h2.read_head(data, at)
            size = high << 16 | low
            start = at + h2.HEAD_BYTES
            stop = start + size
            if size > MAX_FRAME_BYTES:
                raise H2ConnectionError(ErrorCode.FRAME_SIZE_ERROR, "a frame that is longer than the settings allow")
            is_data = kind == h2.DATA
            if stop > end and (not is_data or flags & h2.PADDED) and not self._may_begin(kind, size, end - start):
                break
            stream_id &= h2.MAX_STREAM_ID
            try:
                if is_data:
                    self._take_data(data, start, size, flags, stream_id)
                else:
                    self._take_other(kind, data[start:stop], flags, stream_id)
            except H2StreamError as fault:
                self._reset_id(fault.stream_id, fault.code)
            at = stop
            if at >= end:
                break
            untimed -= 1 if is_data else _UNTIMED_COST
            if untimed < 0:
                if turn is None:
                    turn = Turn()
                elif not turn.take() or self._outbox.is_choked:
                    return at, True
        return at, False

    def _may_begin(self, kind: int, size: int, available: int) -> bool:
        """Check a frame that is not whole; True if it can be taken as it comes, with what is available of it."""
        if kind == h2.DATA:
            return available > 0  # the length of the padding
        if kind <= h2.CONTINUATION:
            h2.check_size(kind, size, MAX_BLOCK_BYTES)
            return False
        self._missing, self._receiver = size - available, None
        return True

    def _take_data(self, data: bytes, start: int, size: int, flags: int, stream_id: int) -> None:
        """Take what there is of a DATA frame."""
        self._spend(size)
        content = size
        if flags & h2.PADDED:
            padding = data[start] if size else 0
            if padding >= size:
                raise H2ConnectionError(ErrorCode.PROTOCOL_ERROR, "more padding than payload")
            content -= 1 + padding
            start += 1
            self._padding = min(padding, max(0, start + content + padding - len(data)))
        stop = min(start + content, len(data))
        self._missing = start + content - stop
        self._receiver = None
        ends = bool(flags & h2.END_STREAM)
        stream = self._find_receiver(stream_id, ends=ends)
        if not ends and (content < _TINY_BYTES or stream is None):
            self._count_tiny_frame(content)
        if stream is None:
            return
        if size > stream.room:
            raise H2StreamError(stream_id, ErrorCode.FLOW_CONTROL_ERROR)
        if size > content:
            self._return_padding(stream, size - content, content)
        self._receiver, self._receiver_ends = stream, ends
        self._deliver(stream, _piece(data, start, stop), is_last=ends and not self._missing)

    def _count_tiny_frame(self, content: int) -> None:
        """Charge a DATA frame that has hardly any payload, or whose stream is over."""
        self._tiny_frames += 1
        if not content or self._tiny_frames >= _TINY_FRAMES:
            self._tiny_frames = 0
            self._charge()

    def _return_padding(self, stream: Stream, size: int, content: int) -> None:
        """Account for padding in a stream's window; it is given back in large pieces, unless the window is small."""
        stream.room -= size
        stream.padding += size
        if stream.padding >= _MIN_WINDOW_BYTES or stream.room - content < _MIN_WINDOW_BYTES:
            self._charge()
            padding, stream.padding = stream.padding, 0
            self.give_back(stream, padding)

    def _find_receiver(self, stream_id: int, *, ends: bool) -> Stream | None:
        """The stream that a DATA frame is for; None if the client could not know yet that it has ended.

        Raises:
            ConnectionFault: no DATA can come there.
            StreamFault: the client had sent everything.
        """
        if self._block is not None:
            raise H2ConnectionError(ErrorCode.PROTOCOL_ERROR, "a frame in the midst of a header block")
        stream = self._streams.get(stream_id)
        if stream is not None:
            if stream.is_complete:
                raise H2StreamError(stream_id, ErrorCode.STREAM_CLOSED)
            return stream
        self._check_is_known(stream_id)
        self._check_is_cut(stream_id, ends=ends)
        return None

    def _deliver(self, stream: Stream, piece: Piece, *, is_last: bool) -> None:
        if stream.is_over:
            return
        size = len(piece)
        stream.room -= size
        stream.moved += size
        if stream.content_left is not None:
            stream.content_left -= size
            if stream.content_left < 0 or (is_last and stream.content_left):
                self._reset_id(stream.stream_id, ErrorCode.PROTOCOL_ERROR)
                return
        if size and (not is_last or size >= _COUNTED_BYTES):
            self._hold(stream, size)
        if is_last:
            stream.is_complete = True
            stream.deadline = math.inf
        elif stream.deadline == math.inf and stream not in self._claims:
            self._await_bytes(stream, self._heard)
        stream.receive(piece, is_last=is_last)

    def _take_other(self, kind: int, payload: bytes, flags: int, stream_id: int) -> None:
        if self._block is not None and kind != h2.CONTINUATION:
            raise H2ConnectionError(ErrorCode.PROTOCOL_ERROR, "a frame in the midst of a header block")
        if not self._is_settled and kind != h2.SETTINGS:
            raise H2ConnectionError(ErrorCode.PROTOCOL_ERROR, "the first frame is not SETTINGS")
        take = _TAKERS.get(kind)
        if take is None:
            self._charge()
        else:
            take(self, payload, flags, stream_id)

    def _take_headers(self, payload: bytes, flags: int, stream_id: int) -> None:
        if flags & h2.PADDED:
            payload = h2.strip_padding(payload)
        if flags & h2.PRIORITIZED:
            if len(payload) < 5:
                raise H2ConnectionError(ErrorCode.FRAME_SIZE_ERROR, "a priority that is too short")
            payload = payload[5:]
        if flags & h2.END_HEADERS:
            self._take_block(payload, flags, stream_id)
        else:
            self._block = bytearray(payload)
            self._block_flags = flags, stream_id
            self._continuations = 0

    def _take_continuation(self, payload: bytes, flags: int, stream_id: int) -> None:
        if self._block is None or stream_id != self._block_flags[1]:
            raise H2ConnectionError(ErrorCode.PROTOCOL_ERROR, "a continuation of nothing")
        self._block += payload
        self._continuations += 1
        if self._continuations > _MAX_CONTINUATIONS or len(self._block) > MAX_BLOCK_BYTES:
            raise H2ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, "a header block without end")
        if flags & h2.END_HEADERS:
            block, self._block = bytes(self._block), None
            self._take_block(block, *self._block_flags)

    def _take_block(self, block: bytes, flags: int, stream_id: int) -> None:
        """Take a whole header block: a request's first headers, or its last."""
        if len(block) > MAX_BLOCK_BYTES:
            raise H2ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, "the headers are too long")
        if stream_id <= self._last_id or not stream_id & 1:
            self._take_trailers(block, flags, stream_id)
            return
        open_stream = self._blocks.read(block)
        cost = self._blocks.cost
        if cost and not self._charge_block():
            return
        if stream_id - self._last_id > 2:
            self._gaps.append(range(self._last_id + 1, stream_id))
        if self._is_probe_only and not open_stream(self, stream_id, FIRST_WINDOW).is_probe:
            raise H2ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, _TOO_MANY)
        self._last_id = stream_id
        if self._is_last or len(self._streams) >= MAX_STREAMS:
            self._reset_id(stream_id, ErrorCode.REFUSED_STREAM)
            return
        stream = self._streams[stream_id] = open_stream(self, stream_id, FIRST_WINDOW)
        stream.cost = cost
        if flags & h2.END_STREAM:
            stream.is_complete = True
        else:
            self._await_bytes(stream, self._heard)
        stream.open()
        if stream.is_complete and not stream.is_over:
            if stream.content_left:
                self._reset_id(stream_id, ErrorCode.PROTOCOL_ERROR)
            else:
                stream.receive(b"", is_last=True)

    def _charge_block(self) -> bool:
        """Charge what the header blocks since the last time have cost; False if the connection has to end."""
        cost, self._blocks.cost = self._blocks.cost, 0
        return self._charge(cost)

    def _take_trailers(self, block: bytes, flags: int, stream_id: int) -> None:
        self._check_is_known(stream_id)
        stream = self._streams.get(stream_id)
        if stream is None and any(stream_id in gap for gap in self._gaps):
            raise H2ConnectionError(ErrorCode.PROTOCOL_ERROR, "a new stream with a smaller number than the last one")
        fields = self._blocks.decode(block)  # it may change what later blocks mean
        if not self._charge_block():
            return
        ends = bool(flags & h2.END_STREAM)
        if stream is None:
            self._check_is_cut(stream_id, ends=ends)
            self._charge()
        elif stream.is_complete:
            raise H2StreamError(stream_id, ErrorCode.STREAM_CLOSED)
        elif not ends or not _are_trailers(fields):
            raise H2StreamError(stream_id, ErrorCode.PROTOCOL_ERROR)
        else:
            self._deliver(stream, b"", is_last=True)

    def _take_priority(self, payload: bytes, _flags: int, stream_id: int) -> None:
        if not stream_id:
            raise H2ConnectionError(ErrorCode.PROTOCOL_ERROR, "a priority of no stream")
        if len(payload) != 5:
            raise H2ConnectionError(ErrorCode.FRAME_SIZE_ERROR, "a priority of another size")
        self._charge()

    def _take_reset(self, payload: bytes, _flags: int, stream_id: int) -> None:
        h2.read_number(payload)
        self._check_is_known(stream_id)
        stream = self._streams.get(stream_id)
        self._cut.pop(stream_id, None)
        self._charge()
        if stream is not None:
            self._forget(stream)
            stream.lose()

    def _take_settings(self, payload: bytes, flags: int, stream_id: int) -> None:
        if stream_id:
            raise H2ConnectionError(ErrorCode.PROTOCOL_ERROR, "settings of a stream")
        if flags & h2.ACK:
            if payload:
                raise H2ConnectionError(ErrorCode.FRAME_SIZE_ERROR, "an acknowledgement with settings")
            if self._is_acknowledged:
                self._charge()
            self._is_acknowledged = True
            self._blocks.close_table()
            return
        self._is_settled = True
        self._charge()
        self._outbox.put(h2.SETTINGS_ACK)
        for key, value in dict(h2.read_settings(payload)).items():  # of a setting that is made often, the last one
            self._outbox.apply(key, value, self._streams.values())

    def _take_push(self, _payload: bytes, _flags: int, _stream_id: int) -> None:
        raise H2ConnectionError(ErrorCode.PROTOCOL_ERROR, "a promise from a client")

    def _take_ping(self, payload: bytes, flags: int, stream_id: int) -> None:
        if stream_id:
            raise H2ConnectionError(ErrorCode.PROTOCOL_ERROR, "a ping of a stream")
        if len(payload) != 8:
            raise H2ConnectionError(ErrorCode.FRAME_SIZE_ERROR, "a ping of another size")
        if not flags & h2.ACK:
            if not self._outbox.take_ack():
                self._charge()
            self._outbox.put(h2.ping_frame(payload, is_ack=True))
        elif not self._awaited_pings:
            self._charge()
        else:
            self._awaited_pings -= 1
            if self._retires < math.inf and payload in _RETIRING:
                self._go_on_retiring(payload)

    def _take_goaway(self, payload: bytes, _flags: int, stream_id: int) -> None:
        """The client opens no more streams, and closes when the last one has ended."""
        if stream_id:
            raise H2ConnectionError(ErrorCode.PROTOCOL_ERROR, "a farewell of a stream")
        if len(payload) < 8:
            raise H2ConnectionError(ErrorCode.FRAME_SIZE_ERROR, "a farewell that is too short")
        self._charge()

    def _take_window(self, payload: bytes, _flags: int, stream_id: int) -> None:
        """The client takes more bytes. That is progress if some of them leave now, or acknowledges what has left."""
        credit = h2.read_number(payload)
        before = self._outbox.acks
        if not stream_id:
            self._outbox.widen(credit)
        else:
            self._check_is_known(stream_id)
            stream = self._streams.get(stream_id)
            if stream is not None:
                self._outbox.widen_stream(stream, credit)
        if self._outbox.acks == before and not self._outbox.take_ack():
            self._charge()

    def _check_is_known(self, stream_id: int) -> None:
        """That a stream has been opened, be it over.

        Raises:
            ConnectionFault: it has not, or never could.
        """
        if stream_id > self._last_id or not stream_id & 1:
            raise H2ConnectionError(ErrorCode.PROTOCOL_ERROR, "a frame of a stream that has not been opened")

    def _check_is_cut(self, stream_id: int, *, ends: bool) -> None:
        """That we have ended a stream before the client had, so that it could not know yet.

        Raises:
            ConnectionFault: the client itself had ended it.
        """
        if stream_id not in self._cut:
            raise H2ConnectionError(ErrorCode.STREAM_CLOSED, "a frame of a stream that has ended")
        if ends:
            del self._cut[stream_id]

    # Room and patience

    def _spend(self, size: int) -> None:
        """Take bytes from the connection's window, and open it again in time."""
        self._room -= size
        if self._room < 0:
            raise H2ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, "more than the connection's window allows")
        if self._room < self._window >> 1:
            self._outbox.put(h2.window_frame(0, self._window - self._room))
            self._room = self._window

    def give_back(self, stream: Stream, size: int) -> None:
        """See ``Carrier``."""
        if size and not stream.is_over:
            stream.room += size
            self._outbox.put(h2.window_frame(stream.stream_id, size))

    def claim(self, stream: Stream, size: int) -> None:
        """See ``Carrier``."""
        if not self._claims and self._has_room(size):
            self._grant(stream, size)
        else:
            stream.deadline = math.inf  # it does not wait for the client
            self._claims[stream] = size

    def _has_room(self, size: int) -> bool:
        return size <= self._free or self._free == self._limits.budget_bytes  # one is let in, whatever its size

    def _grant(self, stream: Stream, size: int) -> None:
        self._free -= size
        stream.claimed += size
        self.give_back(stream, size)
        self._await_bytes(stream, self._port.now())

    def _release(self, stream: Stream) -> None:
        """Let the next ones in, where a message has gone."""
        self._free += stream.claimed
        stream.claimed = 0
        for waiting, size in list(self._claims.items()):
            if not self._has_room(size):
                break
            del self._claims[waiting]
            self._grant(waiting, size)

    def _charge(self, units: int = 1) -> bool:
        """Charge work that brings no request forward; False if there was too much, and the connection has ended.

        It raises nothing, because streams call it while they process what they have received.
        """
        self._budget.earn(self._earned)
        self._earned = 0
        is_left = self._budget.charge(self._heard, units)
        if not is_left and self._state is _State.OPEN:
            self._fail(H2ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, "too many frames or calls without progress"))
        return is_left

    # Memory

    def _hold(self, stream: Stream, size: int) -> None:
        """A stream has buffered so many bytes more, or fewer."""
        stream.held += size
        self._port.capacity.hold(self, size)
        unsent = self._outbox.unsent
        if not self._is_congested:
            if unsent > self._limits.budget_bytes:
                self._is_congested = True
                for each in self._streams.values():
                    each.hold()
        elif unsent <= self._limits.budget_bytes >> 1:
            self._is_congested = False
            for each in list(self._streams.values()):
                each.release()

    @property
    def is_congested(self) -> bool:
        """See ``Carrier``."""
        return self._is_congested

    # Answers

    def respond(self, stream: Stream, head: bytes, prefix: bytes, body: bytes, tail: bytes) -> None:
        """See ``Carrier``."""
        self._outbox.respond(stream, head, prefix, body, tail)

    def respond_bare(self, stream: Stream, head: bytes) -> None:
        """See ``Carrier``."""
        self._outbox.respond_bare(stream, head)

    def begin(self, stream: Stream, head: bytes) -> None:
        """See ``Carrier``."""
        self._outbox.begin(stream, head)

    def send(self, stream: Stream, body: bytes) -> None:
        """See ``Carrier``."""
        self._outbox.send(stream, body)

    def finish(self, stream: Stream, tail: bytes) -> None:
        """See ``Carrier``."""
        self._outbox.finish(stream, tail)

    def reset(self, stream: Stream, code: ErrorCode) -> None:
        """See ``Carrier``."""
        self._reset_id(stream.stream_id, code)

    def _reset_id(self, stream_id: int, code: ErrorCode) -> None:
        stream = self._streams.get(stream_id)
        self._charge()
        self._outbox.put(h2.reset_frame(stream_id, code))
        if stream is None or not stream.is_complete:
            self._cut_off(stream_id)
        if stream is not None:
            self._forget(stream)
            stream.lose()

    def _cut_off(self, stream_id: int) -> None:
        self._cut[stream_id] = None
        if len(self._cut) > _MAX_CUT:
            del self._cut[next(iter(self._cut))]

    def _end(self, stream: Stream) -> None:
        """The answer has been sent to its end; a client that still sends its request need not go on."""
        if stream.is_successful:
            self._earned += 1 + stream.cost
        elif stream.is_refused:
            self._charge()
        if not stream.is_complete:
            self._outbox.put(h2.reset_frame(stream.stream_id, ErrorCode.NO_ERROR))
            self._cut_off(stream.stream_id)
        self._forget(stream)

    def _forget(self, stream: Stream) -> None:
        stream.is_over = True
        self._outbox.drop(stream)
        if stream.held:
            self._hold(stream, -stream.held)
        self._streams.pop(stream.stream_id, None)
        if stream.claimed or (self._claims and self._claims.pop(stream, None) is not None):
            self._release(stream)
        if self._is_last and not self._streams:
            self._close_at_last()

    def _lose_streams(self) -> None:
        streams, self._streams = self._streams, {}
        self._claims.clear()
        for stream in streams.values():
            stream.is_over = True
            self._outbox.drop(stream)
            stream.lose()
        self._port.capacity.hold(self, -self.held)
        self._kept = 0

    # Time

    def _due(self, at: float) -> None:
        if at < self.deadline:
            self.deadline = at

    def _await_reading(self, stream: Stream) -> None:
        """The client has to read the body of a response."""
        self._await_bytes(stream, self._port.now())

    def _await_bytes(self, stream: Stream, now: float) -> None:
        """Begin to measure how many bytes of a stream's bodies come or leave."""
        stream.moved = 0
        stream.sent_before = self._outbox.sent
        stream.deadline = at = now + self._limits.body_timeout_seconds
        if at < self.deadline:
            self.deadline = at

    def _expire_streams(self, now: float) -> None:
        """End the streams of which too few bytes have moved; measure the others anew.

        A response that waits behind others for the connection's window is as fast as all of them together.
        """
        due = [each for each in self._streams.values() if each.deadline <= now]
        if not due:
            return
        waiting = sum(each.deadline < math.inf for each in self._streams.values())
        least = self._min_bytes() / waiting
        for stream in due:
            is_sending = bool(stream.outgoing)
            is_in_turn = stream.is_queued and self._outbox.sent - stream.sent_before >= self._min_bytes()
            if stream.moved >= least or is_in_turn or (is_sending and self._outbox.is_choked):
                self._await_bytes(stream, now)
                continue
            stream.deadline = math.inf
            if is_sending:
                self._reset_id(stream.stream_id, ErrorCode.CANCEL)
            elif not stream.is_complete:
                stream.expire()

    def _min_bytes(self) -> float:
        """How many bytes have to move in ``body_timeout_seconds``."""
        return _MIN_BYTES_PER_SECOND * self._limits.body_timeout_seconds

    def _watch_reading(self) -> None:
        """Begin to measure how much the client reads of what has been written."""
        self._read_bytes = count_acknowledged(self._transport, self._outbox.written)
        self._choked_until = self._port.now() + self._limits.body_timeout_seconds
        self._due(self._choked_until)

    def _is_reading(self) -> bool:
        """Return True, and measure anew, if the client has read enough since ``_watch_reading``."""
        before = self._read_bytes
        self._watch_reading()
        return self._read_bytes - before >= self._min_bytes()

    def _ask(self, now: float) -> None:
        """Ask a silent client whether it is there; it would not be missed otherwise if its machine is gone."""
        if self._asked > self._heard:
            if self._asked + self._limits.header_timeout_seconds <= now:
                self.abort()
        elif self._heard + self._limits.keep_alive_seconds <= now:
            self._asked = now
            self._ping(_ASKING)

    def _ping(self, payload: bytes) -> None:
        self._awaited_pings += 1
        self._outbox.put(h2.ping_frame(payload))

    def _set_deadline(self) -> None:
        if self._state is not _State.OPEN:
            return
        is_asked = self._asked > self._heard
        self.deadline = min(
            self._overdue,
            self._choked_until,
            math.inf if self._is_last else self._retires,
            self._asked + self._limits.header_timeout_seconds
            if is_asked
            else self._heard + self._limits.keep_alive_seconds,
            *(stream.deadline for stream in self._streams.values()),
        )

    # The end

    def _go_on_retiring(self, payload: bytes) -> None:
        """The client has seen the first GOAWAY.

        An acknowledgement may overtake the HEADERS of streams that the client had opened before, if it sends both at
        once. It does not overtake them a second time.
        """
        if payload == _RETIRING[0]:
            self._ping(_RETIRING[1])
        else:
            self._retire_at_last()

    def _retire_at_last(self) -> None:
        """All streams that the client has opened before it had seen the first GOAWAY have come."""
        if self._is_last or self._state is not _State.OPEN:
            return
        self._is_last = True
        self._outbox.put(h2.goaway_frame(self._last_id, ErrorCode.NO_ERROR, _STOPPING))
        if not self._streams:
            self._close_at_last()

    def _close_at_last(self) -> None:
        """Close after the last response.

        The client closes first, if the transport allows it: frames that are on their way would make the system reset
        the connection, and the client might not see the last response.
        """
        if self._state is not _State.OPEN:
            return
        if self._transport.can_write_eof():
            self._linger(self._limits.body_timeout_seconds)
        else:
            self._close()

    def _fail(self, fault: H2ConnectionError) -> None:
        """Say why it cannot go on, and drop what still comes until the client has read it.

        A connection that is closed on unread bytes is reset, and the client would never see the reason.
        """
        if self._state in (_State.GREETING, _State.OPEN):
            self._outbox.put(h2.goaway_frame(self._last_id, fault.code, str(fault)))
            self._linger()

    def _linger(self, seconds: float = 0.0) -> None:
        """Drop what still comes until the client closes, too.

        Args:
            seconds: how long the client may take to read what has been written; it is cut off earlier if it has.
        """
        self._state = _State.LINGER
        self._is_waiting = False
        self._buffer.clear()
        self._lose_streams()
        self._outbox.flush()
        self._outbox.close()
        now = self._port.now()
        self.deadline, self._overdue = now + _LINGER_SECONDS, now + seconds
        self._throttle()
        if self._transport.can_write_eof() and not self._transport.is_closing():
            self._transport.write_eof()

    def _close(self) -> None:
        """Close when all is written; a client that does not read it is cut off."""
        self._outbox.flush()
        self._outbox.close()
        self._state = _State.CLOSED
        self._lose_streams()
        self.deadline = self._port.now() + self._limits.body_timeout_seconds
        self._transport.close()


_TAKERS: dict[int, Callable[[H2Connection, bytes, int, int], None]] = {
    h2.HEADERS: H2Connection._take_headers,
    h2.PRIORITY: H2Connection._take_priority,
    h2.RST_STREAM: H2Connection._take_reset,
    h2.SETTINGS: H2Connection._take_settings,
    h2.PUSH_PROMISE: H2Connection._take_push,
    h2.PING: H2Connection._take_ping,
    h2.GOAWAY: H2Connection._take_goaway,
    h2.WINDOW_UPDATE: H2Connection._take_window,
    h2.CONTINUATION: H2Connection._take_continuation,
}
"""What takes a frame, by its kind."""


def _piece(data: bytes, start: int, stop: int) -> Piece:
    size = stop - start
    if size >= _VIEW_BYTES and 2 * size >= len(data):
        return memoryview(data)[start:stop]
    return data[start:stop]


def _size_to_keep(data: bytes, at: int) -> int:
    """How many bytes of a frame's payload are kept until they are whole; of DATA only the length of its padding."""
    return 1 if data[at + 3] == h2.DATA else int.from_bytes(data[at : at + 3], "big")


def _are_trailers(fields: Fields) -> bool:
    try:
        check_trailers(fields)
    except MalformedMessage:
        return False
    return True


_HELLO = h2.settings_frame(
    {
        h2.HEADER_TABLE_SIZE: 0,
        h2.MAX_CONCURRENT_STREAMS: MAX_STREAMS,
        h2.INITIAL_WINDOW_SIZE: FIRST_WINDOW,
        h2.MAX_FRAME_SIZE: MAX_FRAME_BYTES,
        h2.MAX_HEADER_LIST_SIZE: MAX_HEADER_LIST_BYTES,
    }
)

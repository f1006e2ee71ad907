"""The frames that one HTTP/2 connection receives, from its bytes (RFC 9113, section 4).

DATA is delivered as it arrives. Other frames are buffered until they are complete, and header blocks until they are
complete with their continuations.
"""

from __future__ import annotations

from collections.abc import Callable

from seldon_spec.transport.http2 import frames as h2
from seldon_spec.transport.http2.control_frames import ControlFrames
from seldon_spec.transport.http2.fields import MAX_BLOCK_BYTES
from seldon_spec.transport.http2.frames import ErrorCode, H2ConnectionError, H2StreamError
from seldon_spec.transport.http2.rate_limit import TINY_BYTES
from seldon_spec.transport.http2.stream import Piece, Stream
from seldon_spec.transport.http2.stream_table import StreamTable
from seldon_spec.transport.turns import Turn

MAX_FRAME_BYTES = 1 << 18

_MAX_CONTINUATIONS = 16

_VIEW_BYTES = 16384
"""Shorter pieces of a body are copied, so that they do not keep alive everything that was received with them."""

_UNTIMED, _UNTIMED_COST = 8, 3
"""Most reads have no more than two calls, and need no turn: so many DATA frames, of which others count as three."""


class Http1Request(Exception):
    """The client sends a request of HTTP/1."""


class FrameReader:
    """Reads the frames of one connection.

    Args:
        streams: get the header blocks and DATA.
        control: gets the other frames.
        on_preface: called when the client's preface is complete.

    Attributes:
        buffer: what has been received and not been read.
        is_interrupted: the turn has ended before all frames had been read.
        is_closed: nothing more is read.
    """

    __slots__ = (
        "_block",
        "_block_flags",
        "_continuations",
        "_control",
        "_has_preface",
        "_has_settings",
        "_missing",
        "_needed",
        "_on_preface",
        "_padding",
        "_receiver",
        "_receiver_ends",
        "_sender",
        "_streams",
        "buffer",
        "is_closed",
        "is_interrupted",
    )

    def __init__(self, streams: StreamTable, control: ControlFrames, on_preface: Callable[[], None]) -> None:
        self._streams = streams
        self._sender = streams.sender
        self._control = control
        self._on_preface = on_preface
        self._needed = self._missing = self._padding = self._continuations = 0
        self._receiver: Stream | None = None
        self._block: bytearray | None = None
        self._block_flags = (0, 0)
        self._receiver_ends = self._has_preface = self._has_settings = False
        self.buffer = bytearray()
        self.is_closed = self.is_interrupted = False

    def feed(self, data: bytes) -> bool:
        """Read what was received, for one turn.

        Returns:
            False if it is only buffered.

        Raises:
            H2ConnectionError: the connection has to be closed.
            Http1Request: the client does not use HTTP/2.
        """
        if self.buffer or self.is_interrupted:
            self.buffer += data
            if self.is_interrupted or len(self.buffer) < self._needed:
                return False
            data = bytes(self.buffer)
            self.buffer.clear()
        self._read(data)
        return True

    def resume(self) -> None:
        """Continue after the turn has ended; raises what ``feed`` raises."""
        self.is_interrupted = False
        data = bytes(self.buffer)
        self.buffer.clear()
        self._read(data)

    def close(self) -> None:
        """Read nothing more."""
        self.is_closed = True
        self.is_interrupted = False
        self.buffer.clear()

    @property
    def is_incomplete(self) -> bool:
        """True if a frame that is buffered, or a header block, is not complete."""
        return not self.is_interrupted and (bool(self.buffer) or self._block is not None)

    def _read(self, data: bytes) -> None:
        """Read what was received, from the beginning of a frame, or of the rest of one."""
        at = 0
        if not self._has_preface:
            at = self._read_preface(data)
            if not at:
                self.buffer += data
                return
        elif self._missing or self._padding:
            at = self._read_rest(data)
        at = self._read_frames(data, at)
        rest = len(data) - at
        if rest > 0 and not self.is_closed:
            self.buffer += memoryview(data)[at:]
            if rest < h2.HEAD_BYTES:
                self._needed = h2.HEAD_BYTES
            else:  # of DATA, only the length of the padding is buffered
                size = 1 if data[at + 3] == h2.DATA else int.from_bytes(data[at : at + 3], "big")
                self._needed = h2.HEAD_BYTES + size

    def _read_preface(self, data: bytes) -> int:
        """Return where the first frame begins; 0: the preface is not complete."""
        if not h2.PREFACE.startswith(data[: len(h2.PREFACE)]):
            if 65 <= data[0] <= 90:  # a request of HTTP/1 begins with a capital letter
                raise Http1Request
            raise H2ConnectionError(ErrorCode.PROTOCOL_ERROR, "this is not HTTP/2")
        if len(data) < len(h2.PREFACE):
            return 0
        self._has_preface = True
        self._on_preface()
        return len(h2.PREFACE)

    def _read_rest(self, data: bytes) -> int:
        """Read more of a frame that is not buffered, and of its padding; returns where the next frame begins."""
        at = min(self._missing, len(data))
        if at:
            self._missing -= at
            stream = self._receiver
            if stream is not None and not self._receiver_ends and at <= stream.count_expected():
                self._streams.deliver_run(stream, (memoryview(data)[:at],), at)
            elif stream is not None:
                is_last = self._receiver_ends and not self._missing
                self._streams.deliver(stream, _piece(data, 0, at), is_last=is_last)
        if self._padding:
            padding = min(self._padding, len(data) - at)
            self._padding -= padding
            at += padding
        return at

    def _read_frames(self, data: bytes, at: int) -> int:
        """Read complete frames, for one turn, and the beginning of one that is not buffered.

        Returns:
            Where the rest begins.
        """
        end = len(data)
        turn: Turn | None = None
        untimed = _UNTIMED
        while end - at >= h2.HEAD_BYTES and not self.is_closed:
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
                    stop = self._read_data(data, start, size, flags, stream_id)
                else:
                    self._read_other(kind, data[start:stop], flags, stream_id)
            except H2StreamError as error:
                self._streams.reset(error.stream_id, error.code)
            at = stop
            if at >= end:
                break
            untimed -= 1 if is_data else _UNTIMED_COST
            if untimed < 0:
                if turn is None:
                    turn = Turn()
                elif not turn.take() or self._sender.is_paused:
                    self.is_interrupted = not self.is_closed
                    break
        return at

    def _may_begin(self, kind: int, size: int, available: int) -> bool:
        """Check a frame that is not complete; returns True if what is available of it can be read now."""
        if kind == h2.DATA:
            return available > 0  # the length of the padding
        if kind <= h2.CONTINUATION:
            h2.check_size(kind, size, MAX_BLOCK_BYTES)
            return False
        self._missing, self._receiver = size - available, None
        return True

    def _read_data(self, data: bytes, start: int, size: int, flags: int, stream_id: int) -> int:
        """Read what is available of a DATA frame, and of those behind it; return where the next frame begins."""
        if self._block is not None:
            raise H2ConnectionError(ErrorCode.PROTOCOL_ERROR, "a frame in the middle of a header block")
        if not flags and (run_end := self._read_run(data, start - h2.HEAD_BYTES, stream_id)):
            return run_end
        content, next_frame = size, start + size
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
        stream = self._streams.handle_data_frame(stream_id, size, content, ends=ends)
        if stream is not None:
            self._receiver, self._receiver_ends = stream, ends
            self._streams.deliver(stream, _piece(data, start, stop), is_last=ends and not self._missing)
        return next_frame

    def _read_run(self, data: bytes, at: int, stream_id: int) -> int:
        """Read DATA frames of the same size and stream at once, if it receives a large message.

        Returns:
            Where the next frame begins; 0: they are read one by one.
        """
        stream = self._streams.get(stream_id)
        left = 0 if stream is None else stream.count_expected()
        size = data[at] << 16 | data[at + 1] << 8 | data[at + 2]
        if stream is None or not TINY_BYTES <= size <= left:
            return 0
        head, step, end, view = data[at : at + h2.HEAD_BYTES], h2.HEAD_BYTES + size, len(data), memoryview(data)
        pieces: list[memoryview] = []
        for _ in range(left // size):
            if not data.startswith(head, at):
                break
            pieces.append(view[at + h2.HEAD_BYTES : at + step])  # the last one may be incomplete
            at += step
        self._streams.windows.spend(size * len(pieces))
        self._missing, self._receiver, self._receiver_ends = max(0, at - end), stream, False
        self._streams.deliver_run(stream, pieces, size * len(pieces) - self._missing)
        return at

    def _read_other(self, kind: int, payload: bytes, flags: int, stream_id: int) -> None:
        if self._block is not None and kind != h2.CONTINUATION:
            raise H2ConnectionError(ErrorCode.PROTOCOL_ERROR, "a frame in the middle of a header block")
        if not self._has_settings:
            if kind != h2.SETTINGS:
                raise H2ConnectionError(ErrorCode.PROTOCOL_ERROR, "the first frame is not SETTINGS")
            self._has_settings = not flags & h2.ACK
        if kind == h2.HEADERS:
            self._read_headers(payload, flags, stream_id)
        elif kind == h2.CONTINUATION:
            self._read_continuation(payload, flags, stream_id)
        else:
            self._control.handle(kind, payload, flags, stream_id)

    def _read_headers(self, payload: bytes, flags: int, stream_id: int) -> None:
        if flags & h2.PADDED:
            payload = h2.strip_padding(payload)
        if flags & h2.PRIORITIZED:
            if len(payload) < 5:
                raise H2ConnectionError(ErrorCode.FRAME_SIZE_ERROR, "a priority that is too short")
            payload = payload[5:]
        if flags & h2.END_HEADERS:
            self._streams.handle_block(payload, flags, stream_id)
        else:
            self._block = bytearray(payload)
            self._block_flags = flags, stream_id
            self._continuations = 0

    def _read_continuation(self, payload: bytes, flags: int, stream_id: int) -> None:
        if self._block is None or stream_id != self._block_flags[1]:
            raise H2ConnectionError(ErrorCode.PROTOCOL_ERROR, "a CONTINUATION frame without a header block")
        self._block += payload
        self._continuations += 1
        if self._continuations > _MAX_CONTINUATIONS or len(self._block) > MAX_BLOCK_BYTES:
            raise H2ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, "a header block that is too long")
        if flags & h2.END_HEADERS:
            block, self._block = bytes(self._block), None
            self._streams.handle_block(block, *self._block_flags)


def _piece(data: bytes, start: int, stop: int) -> Piece:
    size = stop - start
    if size >= _VIEW_BYTES and 2 * size >= len(data):
        return memoryview(data)[start:stop]
    return data[start:stop]

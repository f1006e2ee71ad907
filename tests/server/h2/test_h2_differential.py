"""The same frames for our connection and for that of python-hyper h2: each frame has the same effect on both.

The same is the class: the connection goes on, a stream is reset, or the connection ends. Intended differences, all of
them allowed by RFC 9113:

- h2 ends the connection where we reset the stream: malformed requests, windows of streams that overflow or are opened
  by 0. An endpoint may treat a stream error as a connection error (5.4.2).
- h2 resets the stream, and we end the connection, for frames of a stream that the client itself has closed (5.1).
- h2 resets a stream again for frames that may have been on their way when we reset it; we ignore them (5.4.2).
- RST_STREAM of a stream that was never opened ends the connection here (6.4); h2 ignores it.
- A body whose length is announced and that does not come is malformed (8.1.1), also where HEADERS ends the stream.
- WINDOW_UPDATE of a stream number that was left out is ignored here, like one of any closed stream; h2 ends the
  connection.

Not compared: GOAWAY, behind which h2 takes no frames at all; a stream that depends on itself, which RFC 9113 allows and
h2 does not; HEADERS with padding and nothing else, which h2 refuses.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

from h2.config import H2Configuration
from h2.connection import H2Connection as HyperConnection
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes
from hypothesis import given, settings
from hypothesis import strategies as st

from seldon_spec.transport.capacity import Capacity
from seldon_spec.transport.http2 import frames as h2
from seldon_spec.transport.http2.connection import H2Connection
from seldon_spec.transport.http2.fields import Fields, HeaderBlockCache, write_fields
from seldon_spec.transport.http2.frame_reader import MAX_FRAME_BYTES
from seldon_spec.transport.http2.frames import ErrorCode, H2StreamError
from seldon_spec.transport.http2.port import H2Limits
from seldon_spec.transport.http2.receive_windows import FIRST_WINDOW, MAX_STREAMS
from seldon_spec.transport.http2.stream import Open, Piece, Stream
from seldon_spec.transport.http2.validity import MalformedMessage, check_request

Outcome = str | tuple[str, int]
"""``goes on``, or what ends, and the error code: ``stream`` or ``connection``."""

GOES_ON = "goes on"
CLOSED = ErrorCode.STREAM_CLOSED


class Silent(Stream):
    """A request that is never answered."""

    def open(self) -> None:
        pass

    def receive(self, piece: Piece, *, is_last: bool) -> None:
        pass

    def expire(self) -> None:
        pass


class Malformed(Silent):
    """A request that is reset."""

    def open(self) -> None:
        raise H2StreamError(self.stream_id, ErrorCode.PROTOCOL_ERROR)


def open_silent(length: int | None, *args: Any) -> Stream:
    stream = Silent(*args)
    stream.content_left = length
    return stream


def make_head(fields: Fields) -> Open:
    try:
        return partial(open_silent, check_request(fields))
    except MalformedMessage:
        return Malformed


class Wire:
    """A connection's environment: its port, its transport and the event loop."""

    def __init__(self) -> None:
        self.limits = H2Limits(1 << 20, 10, 60, 75)
        self.heads = HeaderBlockCache(make_head)
        self.is_full = False
        self.sent = b""
        self._due: list[Callable[[], None]] = []
        self.capacity = Capacity(cast("Any", self), 1 << 30)

    def now(self) -> float:
        return 0.0

    def call_soon(self, callback: Callable[[], None]) -> None:
        self._due.append(callback)

    def call_later(self, _seconds: float, _callback: Callable[[], None]) -> None: ...

    def add(self, _connection: Any) -> None: ...

    def discard(self, _connection: Any) -> None: ...

    def set_write_buffer_limits(self, _size: int) -> None: ...

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def is_closing(self) -> bool:
        return False

    def can_write_eof(self) -> bool:
        return False

    def write(self, data: bytes) -> None:
        self.sent += data

    def take(self) -> bytes:
        """What has been sent since this was last asked."""
        while self._due:
            self._due.pop(0)()
        sent, self.sent = self.sent, b""
        return sent


def effect(sent: bytes) -> Outcome:
    """What frames that a server has sent end."""
    outcome: Outcome = GOES_ON
    at = 0
    while at < len(sent):
        high, low, kind, _, _ = h2.read_head(sent, at)
        payload = sent[at + 9 : at + 9 + (high << 16 | low)]
        at += 9 + len(payload)
        if kind == h2.GOAWAY:
            return "connection", struct.unpack(">I", payload[4:8])[0]
        if kind == h2.RST_STREAM:
            outcome = "stream", struct.unpack(">I", payload)[0]
    return outcome


class Ours:
    def __init__(self) -> None:
        self._wire = Wire()
        self._connection = H2Connection(cast("Any", self._wire))
        self._connection.connection_made(cast("Any", self._wire))

    def take(self, data: bytes) -> Outcome:
        self._connection.data_received(data)
        return effect(self._wire.take())


class Theirs:
    def __init__(self) -> None:
        self._connection = HyperConnection(H2Configuration(client_side=False, header_encoding=None))
        self._connection.local_settings.update(
            {
                SettingCodes.MAX_CONCURRENT_STREAMS: MAX_STREAMS,
                SettingCodes.INITIAL_WINDOW_SIZE: FIRST_WINDOW,
                SettingCodes.MAX_FRAME_SIZE: MAX_FRAME_BYTES,
            }
        )
        self._connection.initiate_connection()
        self._connection.data_to_send()

    def take(self, data: bytes) -> Outcome:
        with contextlib.suppress(ProtocolError):  # it has sent GOAWAY
            self._connection.receive_data(data)
        return effect(self._connection.data_to_send())


PSEUDO = [(b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/a"), (b":authority", b"b")]
HEADS: dict[str, Fields] = {
    "a request": [*PSEUDO, (b"x", b"y")],
    "trailers": [(b"x", b"y")],
    "a request with a length": [*PSEUDO, (b"content-length", b"5")],
    "an upper-case name": [*PSEUDO, (b"X", b"y")],
    "no path": [*PSEUDO[:2], PSEUDO[3]],
    "the path twice": [*PSEUDO, PSEUDO[2]],
    "a late pseudo-header field": [*PSEUDO[:3], (b"x", b"y"), PSEUDO[3]],
    "an unknown pseudo-header field": [*PSEUDO, (b":x", b"y")],
    ":status": [*PSEUDO, (b":status", b"200")],
    "connection": [*PSEUDO, (b"connection", b"close")],
    "te": [*PSEUDO, (b"te", b"gzip")],
    "a space in front": [*PSEUDO, (b"x", b" y")],
    "another host": [*PSEUDO, (b"host", b"c")],
}

STREAMS = st.sampled_from([1, 1, 1, 3, 3, 5, 7])
ANY_STREAMS = st.sampled_from([0, 1, 1, 1, 2, 3, 3, 5, 9])


@dataclass(frozen=True)
class Sent:
    """Bytes that make one step, and what they are."""

    what: str
    stream_id: int
    data: bytes


def frame(what: str, kind: int, flags: int, stream_id: int, payload: bytes = b"") -> Sent:
    return Sent(what, stream_id, h2.frame_head(len(payload), kind, flags, stream_id) + payload)


def request(stream_id: int, head: str, ends: bool, padding: int | None, has_priority: bool, cut: int | None) -> Sent:
    """A header block, in one frame or in two."""
    payload = write_fields(HEADS[head])
    rest = b""
    flags = h2.END_STREAM if ends else 0
    if cut is None:
        flags |= h2.END_HEADERS
    else:
        rest = h2.frame_head(len(payload[cut:]), h2.CONTINUATION, h2.END_HEADERS, stream_id) + payload[cut:]
        payload = payload[:cut]
    if has_priority:
        flags |= h2.PRIORITIZED
        payload = bytes(5) + payload
    if padding is not None:
        flags |= h2.PADDED
        payload = bytes((padding,)) + payload + bytes(padding)
    whole = frame(head, h2.HEADERS, flags, stream_id, payload)
    return Sent(head, stream_id, whole.data + rest)


def data(stream_id: int, size: int, ends: bool, padding: int | None) -> Sent:
    flags = h2.END_STREAM if ends else 0
    payload = b"x" * size
    if padding is not None:
        flags |= h2.PADDED
        payload = bytes((padding,)) + payload + bytes(padding)
    return frame("DATA", h2.DATA, flags, stream_id, payload)


REQUESTS = st.builds(
    request,
    STREAMS,
    st.sampled_from([*["a request"] * 8, *HEADS]),
    st.booleans(),
    st.none() | st.integers(0, 9),
    st.booleans(),
    st.none() | st.integers(1, 20),
)
DATA = st.builds(data, STREAMS, st.sampled_from([0, 1, 2, 5, 300]), st.booleans(), st.none() | st.integers(0, 9))
OTHERS = st.one_of(
    st.builds(partial(frame, "PRIORITY", h2.PRIORITY, 0), ANY_STREAMS, st.sampled_from([bytes(5), bytes(4)])),
    st.builds(partial(frame, "RST_STREAM", h2.RST_STREAM, 0), ANY_STREAMS, st.sampled_from([bytes(4), bytes(3)])),
    st.builds(
        partial(frame, "SETTINGS", h2.SETTINGS),
        st.just(0),
        st.sampled_from([0, 0, 0, 1]),
        st.sampled_from([(4, 100), (4, 1 << 31), (5, 20000), (5, 100), (2, 1), (2, 2), (0x99, 7)]).map(
            lambda setting: struct.pack(">HI", *setting)
        )
        | st.just(bytes(5)),
    ),
    st.builds(partial(frame, "PING", h2.PING), st.sampled_from([0, 1]), st.sampled_from([0, 0, 1]), st.just(bytes(8))),
    st.builds(partial(frame, "PING", h2.PING, 0, 0), st.sampled_from([bytes(7), bytes(9)])),
    st.builds(
        partial(frame, "WINDOW_UPDATE", h2.WINDOW_UPDATE, 0),
        ANY_STREAMS,
        st.sampled_from([1, 100, 0, h2.MAX_WINDOW]).map(lambda size: struct.pack(">I", size)) | st.just(bytes(3)),
    ),
    st.builds(partial(frame, "PUSH_PROMISE", h2.PUSH_PROMISE, 4), STREAMS, st.just(bytes(4))),
    st.builds(partial(frame, "CONTINUATION", h2.CONTINUATION, 4), STREAMS, st.just(b"")),
    st.builds(partial(frame, "an unknown frame", 0x20), st.integers(0, 255), ANY_STREAMS, st.binary(max_size=9)),
)
STEPS = st.lists(st.one_of(REQUESTS, REQUESTS, DATA, DATA, OTHERS), max_size=10)


def is_intended(step: Sent, ours: Outcome, theirs: Outcome, gone: set[int]) -> bool:
    """Return True for a difference that is listed at the head of this module."""
    if GOES_ON not in (ours, theirs):
        return ours[0] == theirs[0] or ours[0] == "stream" or ours == ("connection", CLOSED)
    if theirs == GOES_ON:
        if step.what == "RST_STREAM":
            return ours == ("connection", ErrorCode.PROTOCOL_ERROR)
        return step.what == "a request with a length" and ours == ("stream", ErrorCode.PROTOCOL_ERROR)
    return theirs == ("stream", CLOSED) if step.stream_id in gone else step.what == "WINDOW_UPDATE"


@settings(max_examples=500, deadline=None)
@given(STEPS)
def test_every_frame_has_the_same_effect(steps: list[Sent]) -> None:
    ours, theirs = Ours(), Theirs()
    start = h2.PREFACE + h2.settings_frame({}) + h2.SETTINGS_ACK
    assert ours.take(start) == theirs.take(start) == GOES_ON
    gone: set[int] = set()
    for step in steps:
        got, expected = ours.take(step.data), theirs.take(step.data)
        if got != expected:
            assert is_intended(step, got, expected, gone), (step, got, expected)
        if "connection" in (got[0], expected[0]):
            break
        if "stream" in (got[0], expected[0]) or step.what == "RST_STREAM":
            gone.add(step.stream_id)

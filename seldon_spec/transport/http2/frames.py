"""The frames of HTTP/2: their types, their headers and their errors (RFC 9113, sections 4 to 7)."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from enum import IntEnum

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
"""The types of frames; others are ignored."""

END_STREAM = 0x1
ACK = 0x1
END_HEADERS = 0x4
PADDED = 0x8
PRIORITIZED = 0x20
"""The flags; their meaning depends on the type of the frame."""

HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, MAX_HEADER_LIST_SIZE = (
    range(1, 7)
)
"""The settings; others are ignored."""

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""The first bytes from a client."""

HEAD_BYTES = 9
MAX_WINDOW = (1 << 31) - 1
MAX_STREAM_ID = (1 << 31) - 1
DEFAULT_WINDOW = 65535
DEFAULT_MAX_FRAME_BYTES = 16384
_FRAME_SIZES = range(DEFAULT_MAX_FRAME_BYTES, 1 << 24)

MAX_SETTINGS = 32
"""A SETTINGS frame with more entries closes the connection."""

_MAX_GOAWAY_BYTES = 4096
_MAX_PADDING_BYTES = 1 + 255
_PRIORITY_BYTES = 5

_HEAD = struct.Struct(">BHBBI")  # the length is a byte and two, since no format has three
_SETTING = struct.Struct(">HI")
_NUMBER = struct.Struct(">I")
_TWO_NUMBERS = struct.Struct(">II")

read_head = _HEAD.unpack_from
"""Return the length (high byte, low bytes), the type, the flags and the stream of the frame at an offset."""


class ErrorCode(IntEnum):
    """The reason for closing a stream or a connection."""

    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    INTERNAL_ERROR = 2
    FLOW_CONTROL_ERROR = 3
    SETTINGS_TIMEOUT = 4
    STREAM_CLOSED = 5
    FRAME_SIZE_ERROR = 6
    REFUSED_STREAM = 7
    CANCEL = 8
    COMPRESSION_ERROR = 9
    CONNECT_ERROR = 10
    ENHANCE_YOUR_CALM = 11
    INADEQUATE_SECURITY = 12
    HTTP_1_1_REQUIRED = 13


class H2ConnectionError(Exception):
    """The connection has to be closed, with a GOAWAY frame of this code and text."""

    def __init__(self, code: ErrorCode, text: str) -> None:
        super().__init__(text)
        self.code = code


class H2StreamError(Exception):
    """A stream has to be reset, with a RST_STREAM frame of this code."""

    def __init__(self, stream_id: int, code: ErrorCode) -> None:
        super().__init__(code.name)
        self.stream_id = stream_id
        self.code = code


def frame_head(size: int, kind: int, flags: int, stream_id: int) -> bytes:
    """Return the header of a frame with so many bytes of payload."""
    return _HEAD.pack(size >> 16, size & 0xFFFF, kind, flags, stream_id)


def check_size(kind: int, size: int, max_block_bytes: int) -> None:
    """Check the length of an incomplete frame, before it is buffered.

    Args:
        kind: type of the frame; not DATA and not an unknown one, which are not buffered.
        size: of its payload.
        max_block_bytes: limit of a header block.

    Raises:
        H2ConnectionError: the frame is too long, or does not have the size of its type.
    """
    if kind in _FIXED_SIZES:
        if size != _FIXED_SIZES[kind]:
            raise H2ConnectionError(ErrorCode.FRAME_SIZE_ERROR, "a frame does not have the size of its type")
    elif kind == PUSH_PROMISE:
        raise H2ConnectionError(ErrorCode.PROTOCOL_ERROR, "a PUSH_PROMISE frame from a client")
    elif kind == SETTINGS:
        _check_settings_size(size)
    elif size > (_MAX_GOAWAY_BYTES if kind == GOAWAY else max_block_bytes + _MAX_PADDING_BYTES + _PRIORITY_BYTES):
        raise H2ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, "a frame that is too long")


def _check_settings_size(size: int) -> None:
    if size % _SETTING.size:
        raise H2ConnectionError(ErrorCode.FRAME_SIZE_ERROR, "a SETTINGS frame with an incomplete setting")
    if size > MAX_SETTINGS * _SETTING.size:
        raise H2ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, "a SETTINGS frame with too many settings")


_FIXED_SIZES = {PRIORITY: _PRIORITY_BYTES, RST_STREAM: 4, PING: 8, WINDOW_UPDATE: 4}


def settings_frame(settings: Mapping[int, int]) -> bytes:
    """Return a SETTINGS frame."""
    payload = b"".join(_SETTING.pack(*setting) for setting in settings.items())
    return frame_head(len(payload), SETTINGS, 0, 0) + payload


SETTINGS_ACK = frame_head(0, SETTINGS, ACK, 0)


_PING_HEAD, _PING_ACK_HEAD = frame_head(8, PING, 0, 0), frame_head(8, PING, ACK, 0)


def ping_frame(payload: bytes, *, is_ack: bool = False) -> bytes:
    """Return a PING frame of eight bytes, or its acknowledgement."""
    return (_PING_ACK_HEAD if is_ack else _PING_HEAD) + payload


def window_frame(stream_id: int, credit: int) -> bytes:
    """Return a WINDOW_UPDATE frame; stream 0 is the connection."""
    return frame_head(4, WINDOW_UPDATE, 0, stream_id) + _NUMBER.pack(credit)


def reset_frame(stream_id: int, code: ErrorCode) -> bytes:
    """Return a RST_STREAM frame."""
    return frame_head(4, RST_STREAM, 0, stream_id) + _NUMBER.pack(code)


def goaway_frame(last_id: int, code: ErrorCode, text: str = "") -> bytes:
    """Return a GOAWAY frame: no stream after ``last_id`` is, or will be, processed."""
    debug = text.encode()
    return frame_head(8 + len(debug), GOAWAY, 0, 0) + _TWO_NUMBERS.pack(last_id, code) + debug


def read_number(payload: bytes) -> int:
    """Return the number of 31 bits that is the payload of a RST_STREAM or WINDOW_UPDATE frame.

    Raises:
        H2ConnectionError: the payload has another size.
    """
    if len(payload) != 4:
        raise H2ConnectionError(ErrorCode.FRAME_SIZE_ERROR, "a frame does not have the size of its type")
    number: int = _NUMBER.unpack(payload)[0]
    return number & 0x7FFFFFFF


def read_settings(payload: bytes) -> Iterator[tuple[int, int]]:
    """Yield the settings of a SETTINGS frame, in their order.

    Raises:
        H2ConnectionError: a setting is incomplete or has a forbidden value, or there are too many.
    """
    _check_settings_size(len(payload))
    for key, value in _SETTING.iter_unpack(payload):
        if key == INITIAL_WINDOW_SIZE and value > MAX_WINDOW:
            raise H2ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, "an initial window beyond 2^31 - 1")
        if (key == ENABLE_PUSH and value > 1) or (key == MAX_FRAME_SIZE and value not in _FRAME_SIZES):
            raise H2ConnectionError(ErrorCode.PROTOCOL_ERROR, "a setting with a value that is not allowed")
        yield key, value


def strip_padding(payload: bytes) -> bytes:
    """Return the payload of a padded HEADERS frame without the padding.

    Raises:
        H2ConnectionError: there is more padding than payload.
    """
    if not payload or payload[0] >= len(payload):
        raise H2ConnectionError(ErrorCode.PROTOCOL_ERROR, "more padding than payload")
    return payload[1 : len(payload) - payload[0]]

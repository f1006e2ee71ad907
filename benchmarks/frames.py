"""HTTP/2 as bytes: frames, and calls of gRPC made of them. Header blocks use no dynamic table and no Huffman code."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from enum import IntEnum

from benchmarks.protowire import encode_field

PREDICT = "/seldon.protos.Model/Predict"
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
END_STREAM, END_HEADERS, PADDED, ACK = 1, 4, 8, 1


class Kind(IntEnum):
    """A frame type, RFC 9113 section 6."""

    DATA = 0
    HEADERS = 1
    PRIORITY = 2
    RST_STREAM = 3
    SETTINGS = 4
    PING = 6
    GOAWAY = 7
    WINDOW_UPDATE = 8
    CONTINUATION = 9


def text(words: str) -> bytes:
    """A SeldonMessage of text."""
    return encode_field(5, words.encode())


def message(wire: bytes, *, is_compressed: bool = False) -> bytes:
    """A message with gRPC's prefix."""
    return struct.pack(">BI", is_compressed, len(wire)) + wire


def frame(kind: int, payload: bytes = b"", flags: int = 0, stream: int = 0) -> bytes:
    """A frame."""
    return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload


def settings(values: Mapping[int, int]) -> bytes:
    """The SETTINGS frame."""
    return frame(Kind.SETTINGS, b"".join(struct.pack(">HI", *item) for item in values.items()))


def header(name: bytes, value: bytes) -> bytes:
    """A field of a header block; name and value are shorter than 127 bytes."""
    return b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value


HELLO = PREFACE + settings({})
HEAD = b"".join(
    header(name, value)
    for name, value in (
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", PREDICT.encode()),
        (b":authority", b"x"),
        (b"content-type", b"application/grpc"),
        (b"te", b"trailers"),
    )
)
WHOLE = message(text("x"))
CANCEL = struct.pack(">I", 8)


def open_call(stream: int, more: bytes = b"") -> bytes:
    """The HEADERS of a call of PREDICT, with more fields."""
    return frame(Kind.HEADERS, HEAD + more, END_HEADERS, stream)


def whole_call(stream: int) -> bytes:
    """A call with its message."""
    return open_call(stream) + frame(Kind.DATA, WHOLE, END_STREAM, stream)


OPEN = HELLO + open_call(1)
CALL = HELLO + whole_call(1)

"""The attacks: what each connection of an attacker sends, as bytes. No sockets here."""

from __future__ import annotations

import gzip
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

import numpy as np

from benchmarks.endurance import rest_request
from benchmarks.frames import (
    ACK,
    CALL,
    CANCEL,
    END_HEADERS,
    END_STREAM,
    HEAD,
    HELLO,
    OPEN,
    PADDED,
    PREFACE,
    Kind,
    frame,
    header,
    message,
    open_call,
    settings,
    text,
    whole_call,
)

_BLOCK_BYTES = 1 << 18
_NEW = 0x7E5A7D5B
"""Placeholder in a unit for the stream ID, which is new in each repetition."""
_FIRST_NEW = 3


class Protocol(Enum):
    """What the attacked port speaks."""

    HTTP1 = "HTTP/1.1"
    HTTP2 = "HTTP/2"


@dataclass(frozen=True, slots=True)
class Mode:
    """How many connections attack at once, and how much each sends.

    Args:
        most_bytes: of each connection, which is not replaced when it ends; None: sent without pause, and a connection
            that ends is replaced, until the time is over.
        share: of the time that an attack lasts.
    """

    name: str
    connections: int
    most_bytes: int | None = None
    share: float = 1.0


BURST, ONE, TWENTY = Mode("burst", 1, 8_000_000, share=0.5), Mode("one", 1), Mode("twenty", 20)
_SILENT = Mode("silent", 1, 0, share=0.5)


@dataclass(frozen=True, slots=True)
class Attack:
    """One attack.

    Args:
        id: what ``--attack`` calls it.
        unit: repeated without end.
        opening: the first bytes of a connection.
        reads: responses are read.
        piece: sent once per millisecond, in bytes; None: as fast as the server accepts.
    """

    id: str
    protocol: Protocol
    description: str
    unit: bytes
    opening: bytes = b""
    reads: bool = True
    piece: int | None = None
    modes: tuple[Mode, ...] = (BURST, ONE, TWENTY)

    def blocks(self) -> Iterator[bytes]:
        """What a connection sends after the opening, in blocks of many units."""
        if not self.unit:
            return
        count = max(1, _BLOCK_BYTES // len(self.unit))
        units = np.tile(np.frombuffer(self.unit, np.uint8), (count, 1))
        places = [found.start() for found in re.finditer(re.escape(struct.pack(">I", _NEW)), self.unit)]
        first = _FIRST_NEW
        while True:
            ids = np.arange(first, first + 2 * count, 2).astype(">u4").view(np.uint8).reshape(count, 4)
            for place in places:
                units[:, place : place + 4] = ids
            block = units.tobytes()
            yield block
            while not places:
                yield block
            first += 2 * count


def _http1(id: str, description: str, unit: bytes, opening: bytes = b"", **more: object) -> Attack:  # noqa: A002
    return Attack(id, Protocol.HTTP1, description, unit, opening, **more)  # type: ignore[arg-type]


def _http2(id: str, description: str, unit: bytes, opening: bytes = HELLO, **more: object) -> Attack:  # noqa: A002
    return Attack(id, Protocol.HTTP2, description, unit, opening, **more)  # type: ignore[arg-type]


_LIVE = rest_request("/live", method="GET")
_POST = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
_INITIAL_WINDOW = 4
_LARGEST = (1 << 31) - 1
_WINDOWLESS = PREFACE + settings({_INITIAL_WINDOW: 0})
_WIDE = (
    PREFACE + settings({_INITIAL_WINDOW: _LARGEST}) + frame(Kind.WINDOW_UPDATE, struct.pack(">I", _LARGEST - (1 << 16)))
)
_GZIPPED = open_call(_NEW, header(b"grpc-encoding", b"gzip")) + frame(
    Kind.DATA, message(gzip.compress(text("x" * 4_000_000), 9, mtime=0), is_compressed=True), END_STREAM, _NEW
)
_GZIPPED_CALLS = 15
"""Of a connection: as many as fit in the connection window that each starts with."""


def _window_update(increment: int, stream: int = 0) -> bytes:
    return frame(Kind.WINDOW_UPDATE, struct.pack(">I", increment), 0, stream)


def _block(block: bytes) -> bytes:
    """A request that is one header block."""
    return frame(Kind.HEADERS, block, END_HEADERS | END_STREAM, _NEW)


ATTACKS = {
    (attack.protocol, attack.id): attack
    for attack in (
        _http1("none", "a connection that sends nothing", b"", modes=(_SILENT,)),
        _http1("pipelined", "pipelined `GET /live`", _LIVE),
        _http1("unread", "pipelined `GET /live`, responses not read", _LIVE, reads=False),
        _http1(
            "chunks",
            "a body in chunks of one byte",
            b"1\r\n \r\n",
            opening=_POST + b"Transfer-Encoding: chunked\r\n\r\n",
        ),
        _http1("empty-lines", "empty lines before a request", b"\r\n"),
        _http1(
            "many-fields",
            "pipelined `GET /live` with 90 header fields",
            _LIVE[:-2] + b"".join(b"a%02d: 1\r\n" % number for number in range(90)) + b"\r\n",
        ),
        _http1("slow-head", "`GET /live`, one byte per millisecond", _LIVE, piece=1, modes=(ONE, TWENTY)),
        _http1(
            "slow-body",
            "a body, one byte per millisecond",
            b" ",
            _POST + b"Content-Length: 1000000\r\n\r\n",
            piece=1,
            modes=(ONE, TWENTY),
        ),
        _http1("idle", "4096 connections that send nothing", b"", modes=(Mode("4096", 4096, 0),)),
        _http2("none", "a connection that sends the preface only", b"", modes=(_SILENT,)),
        _http2("calls", "complete calls", whole_call(_NEW), _WIDE),
        _http2("unread", "complete calls, responses not read", whole_call(_NEW), _WIDE, reads=False),
        _http2("window-0", "complete calls with a window of 0", whole_call(_NEW), _WINDOWLESS, reads=False),
        _http2("refused", "refused calls: `GET /`", _block(b"\x82\x86\x84")),
        _http2("rapid-reset", "a call and its RST_STREAM", open_call(_NEW) + frame(Kind.RST_STREAM, CANCEL, 0, _NEW)),
        _http2("made-you-reset", "a call and a WINDOW_UPDATE of 0 for it", whole_call(_NEW) + _window_update(0, _NEW)),
        _http2("headers-twice", "a call and a second HEADERS for it", open_call(_NEW) * 2),
        _http2("unknown", "frames of an unknown type", frame(0xEE)),
        _http2("settings", "SETTINGS", settings({})),
        _http2("settings-ack", "SETTINGS ACK", frame(Kind.SETTINGS, b"", ACK)),
        _http2("ping", "PING", frame(Kind.PING, bytes(8))),
        _http2("ping-ack", "PING ACK", frame(Kind.PING, bytes(8), ACK)),
        _http2("priority", "PRIORITY", frame(Kind.PRIORITY, struct.pack(">IB", 0, 16), 0, _FIRST_NEW)),
        _http2("window-update-1", "WINDOW_UPDATE of 1 for the connection", _window_update(1)),
        _http2("window-update-0", "WINDOW_UPDATE of 0 for a closed stream", _window_update(0, 1), CALL),
        _http2("rst-stream", "RST_STREAM for a closed stream", frame(Kind.RST_STREAM, CANCEL, 0, 1), CALL),
        _http2("goaway", "GOAWAY", frame(Kind.GOAWAY, bytes(8))),
        _http2("empty-data", "empty DATA", frame(Kind.DATA, b"", 0, 1), OPEN),
        _http2(
            "padded-data",
            "DATA of one byte and 255 bytes of padding",
            frame(Kind.DATA, b"\xff" + b"x" + bytes(255), PADDED, 1),
            OPEN + frame(Kind.DATA, message(bytes(4_000_000))[:5], 0, 1),
        ),
        _http2("empty-fields", "header blocks with 1900 empty fields", _block(HEAD + header(b"", b"") * 1900)),
        _http2(
            "many-fields",
            "header blocks with 250 fields",
            _block(HEAD + b"".join(header(b"a%03d" % number, b"1") for number in range(250))),
        ),
        _http2("size-updates", "header blocks with 16 000 HPACK table size updates", _block(b"\x20" * 16_000 + HEAD)),
        _http2(
            "continuation",
            "CONTINUATION without end",
            frame(Kind.CONTINUATION, b"", 0, 1),
            HELLO + frame(Kind.HEADERS, HEAD, 0, 1),
        ),
        _http2(
            "gzip",
            "40 connections with a window of 0, 15 gzip-compressed calls of 4 MB each",
            _GZIPPED,
            _WINDOWLESS,
            modes=(Mode("forty", 40, _GZIPPED_CALLS * len(_GZIPPED)),),
        ),
    )
}

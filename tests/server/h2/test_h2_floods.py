"""Floods of every kind of frame: the connection is ended, others are served meanwhile, and memory is bounded."""

from __future__ import annotations

import itertools
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import hpack
import pytest

from seldon_spec.protocols.seldon_v1.proto import SeldonMessage
from seldon_spec.transport.http2 import frames as h2
from seldon_spec.transport.http2.fields import write_fields

Say = Any

CALLS = 20
"""At least so many calls of another client are made during each flood, and more until it is ended."""

LATENCY_SECONDS = 3.0
"""A wide bound: without limits, each of these floods delays other clients for as long as it lasts, or for 10 s more."""

GROWTH_BYTES = 64 << 20

SOURCE = "class Served:\n    def predict(self, X, names):\n        return X\n"
PREDICT = "/seldon.protos.Model/Predict"
FIELDS = [
    (b":method", b"POST"),
    (b":scheme", b"http"),
    (b":path", PREDICT.encode()),
    (b":authority", b"model"),
    (b"content-type", b"application/grpc"),
]
HEAD = write_fields(FIELDS)
BATCH = 3000


def frame(kind: int, flags: int = 0, stream_id: int = 0, payload: bytes = b"") -> bytes:
    return h2.frame_head(len(payload), kind, flags, stream_id) + payload


def request(stream_id: int, head: bytes = HEAD, *, ends: bool = False) -> bytes:
    return frame(h2.HEADERS, 5 if ends else 4, stream_id, head)


def each(make: Callable[[int], bytes]) -> Callable[[], Iterator[bytes]]:
    """Something for each of many streams."""

    def batches() -> Iterator[bytes]:
        for start in range(3, 1 << 30, 2 * BATCH):
            yield b"".join(make(stream_id) for stream_id in range(start, start + 2 * BATCH, 2))

    return batches


def again(flood: bytes, start: bytes = b"") -> Callable[[], Iterator[bytes]]:
    """The same bytes again and again, after a start."""

    def batches() -> Iterator[bytes]:
        yield start
        while True:
            yield flood * max(1, (1 << 18) // len(flood))

    return batches


def huffman(size: int) -> bytes:
    """The Huffman code of a long value, which is expensive to decode."""
    encoder = hpack.Encoder()
    encoder.header_table_size = 0
    code = encoder.encode([("x", "0" * size)], huffman=True)
    return bytes(code[code.index(b"\x40") :])


MESSAGE = b"\0\0\0\0\x03\x1a\x01x"
OPEN = request(1)
REFUSED = request(1, write_fields([*FIELDS[:2], (b":path", b"/no/one"), *FIELDS[3:]]))
MALFORMED = write_fields([*FIELDS, (b"connection", b"close")])
MANY_FIELDS = HEAD + 190 * b"\x00\x00\x00"
LONG_CODE = HEAD + huffman(15000)

ENDED = again(frame(h2.DATA, 1, 1, MESSAGE), OPEN)
ENDLESS = each(lambda i: request(i, HEAD + b"\0\1x\x7f" + 15000 * b"\x80", ends=True))
OTHER_CODES = {ENDED: h2.ErrorCode.STREAM_CLOSED, ENDLESS: h2.ErrorCode.COMPRESSION_ERROR}
"""The floods that are errors of another kind from their first frames on."""

CALLS_WITH_MANY_FIELDS = each(
    lambda i: request(i, HEAD + b"".join(b"\0\4%04x\1y" % n for n in range(i, i + 150))) + frame(0, 1, i, MESSAGE)
)
"""The one flood that is progress: expensive calls that succeed, which may go on."""

FLOODS: dict[str, Callable[[], Iterator[bytes]]] = {
    "PRIORITY": again(frame(h2.PRIORITY, 0, 1, bytes(5))),
    "SETTINGS": again(frame(h2.SETTINGS)),
    "full SETTINGS": again(frame(h2.SETTINGS, 0, 0, 32 * b"\0\x99\0\0\0\1")),
    "SETTINGS that move the windows": again(
        h2.settings_frame({h2.INITIAL_WINDOW_SIZE: 0}) + h2.settings_frame({h2.INITIAL_WINDOW_SIZE: 9}), OPEN
    ),
    "acknowledged SETTINGS": again(h2.SETTINGS_ACK),
    "PING": again(h2.ping_frame(bytes(8))),
    "acknowledged PING": again(h2.ping_frame(bytes(8), is_ack=True)),
    "GOAWAY": again(frame(h2.GOAWAY, 0, 0, bytes(8))),
    "unknown": again(frame(0x20)),
    "long unknown": again(frame(0x20, 0, 0, bytes(200))),
    "WINDOW_UPDATE of the connection": again(h2.window_frame(0, 1)),
    "WINDOW_UPDATE of a stream": again(h2.window_frame(1, 1), OPEN),
    "WINDOW_UPDATE of a closed stream": again(h2.window_frame(1, 1), REFUSED),
    "RST_STREAM of a closed stream": again(h2.reset_frame(1, h2.ErrorCode.CANCEL), REFUSED),
    "empty DATA": again(frame(h2.DATA, 0, 1), OPEN),
    "DATA of a byte": again(frame(h2.DATA, 0, 1, b"\0"), OPEN),
    "DATA of padding": again(frame(h2.DATA, 8, 1, b"\x00"), OPEN),
    "DATA of a byte and padding": again(frame(h2.DATA, 8, 1, b"\x04\0" + bytes(4)), OPEN),
    "DATA of a refused stream": again(frame(h2.DATA, 0, 1, b"\0"), REFUSED),
    "long DATA of a refused stream": again(frame(h2.DATA, 0, 1, bytes(1000)), REFUSED),
    "DATA of streams that have ended": ENDED,
    "HEADERS and RST_STREAM": each(
        lambda i: request(i) + frame(h2.DATA, 1, i, MESSAGE) + h2.reset_frame(i, h2.ErrorCode.CANCEL)
    ),
    "WINDOW_UPDATE by 0": each(lambda i: request(i) + frame(h2.DATA, 1, i, MESSAGE) + h2.window_frame(i, 0)),
    "windows that overflow": each(lambda i: request(i, ends=True) + h2.window_frame(i, h2.MAX_WINDOW)),
    "DATA behind the end": each(lambda i: request(i) + 2 * frame(h2.DATA, 1, i, MESSAGE)),
    "HEADERS twice": each(lambda i: request(i) + request(i)),
    "streams beyond the limit": each(request),
    "malformed requests": each(lambda i: request(i, MALFORMED, ends=True)),
    "lengths that do not match": each(lambda i: request(i, HEAD + b"\x0f\x0d\x019", ends=True)),
    "405": each(lambda i: request(i, write_fields([(b":method", b"GET"), *FIELDS[1:]]), ends=True)),
    "415": each(lambda i: request(i, write_fields(FIELDS[:4]), ends=True)),
    "UNIMPLEMENTED": each(lambda i: request(i, write_fields([*FIELDS[:2], (b":path", b"/x"), *FIELDS[3:]]), ends=True)),
    "calls without a message": each(lambda i: request(i, ends=True)),
    "fields twice": each(lambda i: request(i, HEAD + write_fields([FIELDS[4]]), ends=True)),
    "many fields": each(lambda i: request(i, MANY_FIELDS, ends=True)),
    "calls with many fields": CALLS_WITH_MANY_FIELDS,
    "long Huffman codes": each(lambda i: request(i, LONG_CODE + b"\0\1y\4" + struct.pack(">I", i), ends=True)),
    "updates of the table size": each(lambda i: request(i, b"\x20\x20" + HEAD, ends=True)),
    "lengths without end": ENDLESS,
    "messages that are given up": each(
        lambda i: request(i) + frame(h2.DATA, 0, i, b"\0\0\x10\0\0") + h2.reset_frame(i, h2.ErrorCode.CANCEL)
    ),
    "CONTINUATION without end": again(frame(h2.CONTINUATION, 0, 1), frame(h2.HEADERS, 0, 1, HEAD)),
    "metadata that are too long": each(lambda i: request(i, write_fields([*FIELDS, (b"x", b"y" * 16300)]), ends=True)),
}


@pytest.fixture(scope="module")
def server(start_for_module: Any) -> Any:
    return start_for_module(SOURCE).wait_until_ready()


def resident_bytes(server: Any) -> int:
    (worker,) = server.workers()
    return int(Path(f"/proc/{worker}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Flood(threading.Thread):
    """Sends as much as the server takes until told to stop, and reads all that comes.

    Attributes:
        codes: of each connection that the server has ended, the code of its GOAWAY.
    """

    def __init__(self, number: int, batches: Callable[[], Iterator[bytes]]) -> None:
        super().__init__()
        self._number = number
        self._batches = batches
        self.is_over = threading.Event()
        self.codes: list[int | None] = []

    def run(self) -> None:
        while not self.is_over.is_set():
            with socket.create_connection(("127.0.0.1", self._number), 20) as connection:
                connection.setblocking(False)
                self._flood(connection)

    def _flood(self, connection: socket.socket) -> None:
        received = bytearray()
        batches = self._batches()
        unsent = memoryview(h2.PREFACE + h2.settings_frame({}) + next(batches))
        while not self.is_over.is_set():
            is_idle = True
            try:
                sent = connection.send(unsent)
                unsent = unsent[sent:] or memoryview(next(batches))
                is_idle = False
            except BlockingIOError:
                pass
            except OSError:  # the server has closed; what it has said before may be there
                self.is_over.wait(0.05)
            try:
                if not (more := connection.recv(1 << 16)):
                    break
                received += more
                is_idle = False
            except BlockingIOError:
                pass
            except OSError:
                break
            if is_idle:
                self.is_over.wait(0.005)
        else:
            return
        self.codes.append(goaway_code(bytes(received)))


def goaway_code(received: bytes) -> int | None:
    at, code = 0, None
    while at + 9 <= len(received):
        high, low, kind, _, _ = h2.read_head(received, at)
        if kind == h2.GOAWAY:
            code = struct.unpack_from(">I", received, at + 13)[0]
        at += 9 + (high << 16 | low)
    return code


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the memory of a process is read from /proc")
@pytest.mark.parametrize("batches", FLOODS.values(), ids=FLOODS)
def test_others_are_served_and_memory_is_bounded(server: Any, batches: Callable[[], Iterator[bytes]]) -> None:
    wire = SeldonMessage(strData="x").SerializeToString()
    before = resident_bytes(server)
    flood = Flood(server.grpc_port, batches)
    slowest, peak = 0.0, 0
    options = [("grpc.use_local_subchannel_pool", 1)]
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}", options) as channel:
        call = channel.unary_unary(PREDICT, None, None)
        call(wire, timeout=20)
        flood.start()
        try:
            end = time.monotonic() + 20
            for count in itertools.count():
                now = time.monotonic()
                if now > end or (count >= CALLS and (flood.codes or batches is CALLS_WITH_MANY_FIELDS)):
                    break
                call(wire, timeout=20)
                slowest = max(slowest, time.monotonic() - now)
                peak = max(peak, resident_bytes(server))
        finally:
            flood.is_over.set()
            flood.join()
    assert slowest < LATENCY_SECONDS
    assert peak - before < GROWTH_BYTES
    if batches is CALLS_WITH_MANY_FIELDS:
        return
    code = OTHER_CODES.get(batches, h2.ErrorCode.ENHANCE_YOUR_CALM)
    assert code in flood.codes
    assert set(flood.codes) <= {code, None}  # None: the connection was reset before the client had read why

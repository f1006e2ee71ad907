"""What one client of HTTP/1.1 can take from the others: time of the event loop, and memory."""

from __future__ import annotations

import itertools
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

Start = Callable[..., Any]

SERVED = """
class Served:
    def predict(self, X, names):
        return "x" * int(X[5:]) if isinstance(X, str) and X.startswith("grow ") else X
"""
WAIT_SECONDS = 30
REQUESTS = 20
"""At least so many requests of another client are sent during each flood."""

LATENCY_SECONDS = 3.0
"""A wide bound: without turns, each of these floods delays others by as long as it lasts."""

GROWTH_BYTES = 64 << 20
READ_BYTES = 1 << 18
LIVE = b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


def again(unit: bytes, start: bytes = b"") -> Callable[[], Iterator[bytes]]:
    """The same bytes again and again, after a start."""

    def pieces() -> Iterator[bytes]:
        yield start
        yield from itertools.repeat(unit * (READ_BYTES // len(unit)))

    return pieces


def new_heads() -> Iterator[bytes]:
    for start in itertools.count(step=100):
        heads = (
            b"GET /live HTTP/1.1\r\nHost: x\r\nX: %d\r\n%b\r\n" % (i, b"A: b\r\n" * 200)
            for i in range(start, start + 100)
        )
        yield b"".join(heads)


def long_targets() -> Iterator[bytes]:
    for number in itertools.count():
        yield b"GET /%d?%b HTTP/1.1\r\nHost: x\r\n\r\n" % (number, b"a=%41&" * 5000)


FLOODS: dict[str, Callable[[], Iterator[bytes]]] = {
    "probes": again(LIVE),
    "paths that are not there": again(b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n"),
    "chunks of one byte": again(b"1\r\na\r\n", POST + b"Transfer-Encoding: chunked\r\n\r\n"),
    "chunks with extensions": again(b"1;a=b\r\na\r\n", POST + b"Transfer-Encoding: chunked\r\n\r\n"),
    "empty lines": again(b"\r\n"),
    "a head without end": again(b"A: b\r\n", LIVE[:-2]),
    "a trailer without end": again(b"A: b\r\n", POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n"),
    "new heads with many fields": new_heads,
    "long targets": long_targets,
    "malformed JSON": again(POST + b"Content-Length: 1\r\n\r\n{"),
    "small predictions": again(POST + b'Content-Length: 15\r\n\r\n{"strData":"a"}'),
    "malformed requests": again(b"\x00"),
}


@pytest.fixture(scope="module")
def server(start_for_module: Start) -> Iterator[Any]:
    server = start_for_module(SERVED).wait_until_ready()
    yield server
    assert server.stop() == 0
    assert "Traceback" not in server.log
    assert "another starts" not in server.log


def resident_bytes(server: Any) -> int:
    (pid,) = server.workers()
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * 4096


def connect(server: Any) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.http_port), WAIT_SECONDS)


def flood(server: Any, pieces: Callable[[], Iterator[bytes]], is_over: threading.Event, begun: threading.Event) -> None:
    """Send on one connection until the end, and on another one as soon as that is closed; responses are dropped."""
    while not is_over.is_set():
        with suppress(OSError), connect(server) as client:
            client.setblocking(False)
            for piece in pieces():
                send(client, memoryview(piece), is_over)
                begun.set()
                if is_over.is_set():
                    return


def send(client: socket.socket, piece: memoryview, is_over: threading.Event) -> None:
    while piece and not is_over.is_set():
        with suppress(BlockingIOError):
            piece = piece[client.send(piece) :]
        with suppress(BlockingIOError):
            if not client.recv(1 << 20):
                raise ConnectionResetError


@pytest.mark.parametrize("pieces", FLOODS.values(), ids=FLOODS)
def test_others_are_served_and_memory_is_bounded(server: Any, pieces: Callable[[], Iterator[bytes]]) -> None:
    assert server.predict("warm")[0] == 200
    before = resident_bytes(server)
    is_over, begun = threading.Event(), threading.Event()
    flooding = threading.Thread(target=flood, args=(server, pieces, is_over, begun))
    flooding.start()
    try:
        assert begun.wait(WAIT_SECONDS)
        for number in range(REQUESTS):
            started = time.monotonic()
            with connect(server) as client:
                client.sendall(LIVE)
                assert client.recv(100).startswith(b"HTTP/1.1 200 ")
            assert server.predict(str(number))[0] == 200
            assert time.monotonic() - started < LATENCY_SECONDS
    finally:
        is_over.set()
        flooding.join(WAIT_SECONDS)
    assert resident_bytes(server) - before < GROWTH_BYTES


def read_status(client: socket.socket) -> int:
    return int(client.makefile("rb").readline().split()[1])


def test_bodies_that_are_not_whole_are_bounded_together(start: Start) -> None:
    server = start(SERVED, server={"max_buffered_bytes": 4 << 20}).wait_until_ready()
    body = json.dumps({"strData": "x" * 1_000_000}).encode()
    raw = POST + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    with ExitStack() as stack:
        clients = [stack.enter_context(connect(server)) for _ in range(10)]
        for client in clients:
            client.sendall(raw[:900_000])
        assert server.predict("small")[0] == 200
        for client in clients:
            with suppress(OSError):  # it was refused before
                client.sendall(raw[900_000:])
        statuses = [read_status(client) for client in clients]
    assert sorted(statuses) == [200] * 4 + [503] * 6
    assert server.predict("small")[0] == 200
    server.wait_for("server.max_buffered_bytes, 4194304, is reached")


BODY = bytes(8 << 20)
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n" % (len(BODY), BODY)
OVER = {
    "of a probe, whose connection is kept": (b"GET /live HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b", 200),
    "of a chunked request that is refused": (CHUNKED + b"no size\r\n", 400),
    "of a lost connection": (POST + b"Content-Length: %d0\r\n\r\n%b", None),
    "of a lost connection, chunked": (CHUNKED, None),
}


@pytest.mark.parametrize(("request_", "status"), OVER.values(), ids=OVER)
def test_bodies_of_requests_that_are_over_use_no_memory(start: Start, request_: bytes, status: int | None) -> None:
    server = start(SERVED).wait_until_ready()
    raw = request_ if request_.startswith(CHUNKED) else request_ % (len(BODY), BODY)
    with ExitStack() as stack:
        before = resident_bytes(server)
        for _ in range(2 * GROWTH_BYTES // len(BODY)):
            client = stack.enter_context(connect(server))
            client.sendall(raw)
            if status is None:
                client.close()
            else:
                assert read_status(client) == status
        assert server.predict("small")[0] == 200
        assert resident_bytes(server) - before < GROWTH_BYTES


def test_a_body_of_the_limit_is_received(start: Start) -> None:
    size = (4 << 20) - 1000  # its last page is not full
    limits = {"max_buffered_bytes": size, "max_body_bytes": size}
    server = start(SERVED, server=limits).wait_until_ready()
    with connect(server) as client:
        client.sendall(POST + b"Content-Length: %d\r\n\r\n" % size + bytes(size - 1))
        assert server.predict("small")[0] == 200
        client.sendall(b"\0")
        assert read_status(client) == 400  # it is no JSON


def test_responses_that_are_not_read_are_bounded_together(start: Start) -> None:
    """Of 400 MB that are asked for, and of which the kernel takes a part."""
    server = start(SERVED, server={"max_buffered_bytes": 32 << 20}).wait_until_ready()
    assert server.predict("warm")[0] == 200
    before = resident_bytes(server)
    body = b'{"strData": "grow 20000000"}'
    with ExitStack() as stack:
        clients = [stack.enter_context(connect(server)) for _ in range(20)]
        for client in clients:
            client.sendall(POST + b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
            assert server.predict("small")[0] == 200
        assert resident_bytes(server) - before < 150_000_000
        for client in clients:
            with suppress(OSError):  # it has been cut off
                client.shutdown(socket.SHUT_WR)
        sizes = [len(read_rest(client)) for client in clients]
    assert sum(size > 20_000_000 for size in sizes) <= 4


def read_rest(client: socket.socket) -> bytes:
    received = b""
    with suppress(ConnectionResetError):
        while part := client.recv(1 << 20):
            received += part
    return received


def test_a_client_that_is_always_refused_is_disconnected_and_others_are_not(server: Any) -> None:
    refused = b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n"
    with connect(server) as one, connect(server) as two:
        with suppress(OSError):
            one.sendall(refused * 3000)
        assert read_rest(one).count(b"HTTP/1.1 404 ") < 3000
        for raw, status in ((refused, 404), (LIVE, 200)):
            two.sendall(raw)
            assert read_status(two) == status


def test_a_body_has_to_come_with_some_pace(start: Start) -> None:
    """Each piece comes in time, but all of them together are too slow; with a kilobyte a second they are not."""
    server = start(SERVED, server={"body_timeout_seconds": 1}).wait_until_ready()
    body = json.dumps({"strData": "x" * 10_000}).encode()
    raw = POST + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    with connect(server) as slow, connect(server) as steady:
        slow.sendall(raw[:-5000])
        steady.sendall(raw[:-5000])
        slow.settimeout(0.1)
        received = b""
        for at in itertools.count():  # a piece every tenth of a second
            with suppress(TimeoutError):
                received = slow.recv(100)
                break
            slow.sendall(raw[-5000 + at :][:1])
            steady.sendall(raw[-5000 + 300 * at :][:300])
        assert received.startswith(b"HTTP/1.1 408 ")
        assert read_status(steady) == 200

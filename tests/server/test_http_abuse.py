"""Clients that are slow, broken or hostile, over real sockets: each gets its due, and the others are answered."""

from __future__ import annotations

import json
import resource
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from typing import Any, BinaryIO

import pytest

Start = Callable[..., Any]

SERVED = """
import os, resource

class Served:
    def __init__(self):
        self.seen = []

    def predict(self, X, names):
        if X == "seen":
            return {"seen": self.seen}
        if X == "memory":
            return {"kilobytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}
        if X == "large":
            return "x" * 20_000_000
        if X == "gate":
            from gated import pass_gate
            pass_gate()
        self.seen.append(X)
        return X
"""

WAIT_SECONDS = 30
ANSWER_SECONDS = 5
"""Within this time everybody else is answered, whatever goes on."""

HASTY: dict[str, Any] = {"header_timeout_seconds": 0.5, "body_timeout_seconds": 0.5, "keep_alive_seconds": 1}


@pytest.fixture(scope="module", autouse=True)
def _many_files() -> Iterator[None]:
    """Servers inherit it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, 4096), hard), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def unharmed(server: Any) -> Iterator[Any]:
    """The server of several tests, which in the end has neither lost a worker nor met what nobody had thought of."""
    yield server.wait_until_ready()
    assert server.stop() == 0
    assert "Traceback" not in server.log
    assert "another starts" not in server.log


@pytest.fixture(scope="module")
def server(start_for_module: Start) -> Iterator[Any]:
    yield from unharmed(start_for_module(SERVED, server={"max_body_bytes": 16 << 20}))


@pytest.fixture(scope="module")
def hasty(start_for_module: Start) -> Iterator[Any]:
    """It waits for nobody."""
    yield from unharmed(start_for_module(SERVED, server=HASTY))


def connect(server: Any) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.http_port), WAIT_SECONDS)


def build(body: bytes | str, *headers: str, line: str = "POST /predict HTTP/1.1") -> bytes:
    raw = body.encode() if isinstance(body, str) else body
    lines = [line, "Host: x", "Content-Type: application/json", f"Content-Length: {len(raw)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + raw


def text(value: str) -> str:
    return json.dumps({"strData": value})


LIVE = b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n"
POST = "POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


def assert_serves(server: Any) -> None:
    """A client that does nothing wrong is answered, and soon."""
    with socket.create_connection(("127.0.0.1", server.http_port), ANSWER_SECONDS) as client:
        client.sendall(build(text("small")))
        status, _, body = read_answer(client.makefile("rb"))
        assert (status, json.loads(body)["strData"]) == (200, "small")


def read_answer(answers: BinaryIO) -> tuple[int, dict[str, str], bytes]:
    """The next answer of a connection."""
    status = int(answers.readline().split()[1])
    headers: dict[str, str] = {}
    while (line := answers.readline().decode().strip()) != "":
        name, _, value = line.partition(":")
        headers[name] = value.strip()
    return status, headers, answers.read(int(headers.get("content-length", 0)))


def read_rest(client: socket.socket) -> bytes:
    """Everything until the server closes, which it has to."""
    answer = b""
    try:
        while part := client.recv(1 << 20):
            answer += part
    except ConnectionResetError:
        pass
    return answer


def ask(server: Any, raw: bytes) -> bytes:
    """Send bytes, whoever listens to them, and read all answers until the server closes."""
    with connect(server) as client:
        with suppress(BrokenPipeError, ConnectionResetError):
            client.sendall(raw)
        return read_rest(client)


# Clients that take their time

SLOW: dict[str, bytes] = {
    "head": b"POST /predict HT",
    "head without its end": b"POST /predict HTTP/1.1\r\nHost: x\r\n",
    "body": POST.encode() + b"Content-Length: 15\r\n\r\n{",
    "no byte of a body": POST.encode() + b"Content-Length: 15\r\n\r\n",
    "chunk": POST.encode() + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{",
    "chunk's size": POST.encode() + b"Transfer-Encoding: chunked\r\n\r\n5",
    "trailer": POST.encode() + b"Transfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n",
    "after a continue": POST.encode() + b"Expect: 100-continue\r\nContent-Length: 15\r\n\r\n",
}


@pytest.mark.parametrize("half", SLOW.values(), ids=SLOW)
def test_half_a_request_is_told_that_it_took_too_long(hasty: Any, half: bytes) -> None:
    with connect(hasty) as client:
        client.sendall(half)
        assert_serves(hasty)
        answer = read_rest(client).removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"connection: close" in answer
    assert b"MICROSERVICE_REQUEST_TIMEOUT" in answer


def trickle(client: socket.socket, until: threading.Event) -> None:
    """Send a byte each tenth of a second."""
    with suppress(BrokenPipeError, ConnectionResetError):
        while not until.wait(0.1):
            client.sendall(b"b")


def test_a_head_that_trickles_is_not_waited_for_longer(hasty: Any) -> None:
    """Each byte of it in time, but not the whole."""
    with connect(hasty) as client:
        client.sendall(b"GET /live HTTP/1.1\r\nHost: x\r\nA: ")
        answered = threading.Event()
        with ThreadPoolExecutor(1) as pool:
            trickling = pool.submit(trickle, client, answered)
            assert client.recv(65536).startswith(b"HTTP/1.1 408 ")
            answered.set()
            trickling.result()
    assert_serves(hasty)


IDLE: dict[str, bytes] = {"that said nothing": b"", "that said an empty line": b"\r\n", "that was answered": LIVE}


@pytest.mark.parametrize("raw", IDLE.values(), ids=IDLE)
def test_an_idle_connection_is_closed_without_a_word(hasty: Any, raw: bytes) -> None:
    with connect(hasty) as client:
        client.sendall(raw)
        answer = read_rest(client)
    assert answer.count(b"HTTP/1.1") == (1 if raw == LIVE else 0)
    assert b"408" not in answer


def test_a_slow_body_whose_pieces_come_in_time_is_answered(server: Any) -> None:
    raw = build(text("slow"))
    with connect(server) as client:
        for byte in raw:
            client.sendall(bytes([byte]))
        assert read_answer(client.makefile("rb"))[0] == 200


def test_a_client_that_never_reads_its_answer_is_cut(hasty: Any) -> None:
    """Others get theirs meanwhile, and answers that nobody reads do not pile up."""
    before = _kilobytes(hasty)
    with ExitStack() as stack:
        deaf = [stack.enter_context(connect(hasty)) for _ in range(4)]
        for client in deaf:
            client.sendall(build(text("large")) * 20)
        assert_serves(hasty)
        for _ in range(2):  # an idle connection that is made now is closed later than the deaf ones are cut
            with connect(hasty) as idle:
                read_rest(idle)
        received = [len(read_rest(client)) for client in deaf]
    assert max(received) < 20_000_000  # not even one whole answer was sent
    assert _kilobytes(hasty) - before < 600_000  # of 1.6 GB that were asked for


def _kilobytes(server: Any) -> int:
    return int(server.predict("memory")[1]["jsonData"]["kilobytes"])


# Many clients


def test_a_thousand_connections(server: Any) -> None:
    with ExitStack() as stack:
        clients = [stack.enter_context(connect(server)) for _ in range(1000)]
        assert_serves(server)
        for number, client in enumerate(clients):
            client.sendall((LIVE, LIVE[:9], build(text("x"))[:-3])[number % 3])
        assert_serves(server)
        for client in clients[::3]:
            assert read_answer(client.makefile("rb"))[0] == 200
    assert_serves(server)


def test_of_too_many_connections_the_one_that_is_idle_the_longest_is_closed(start: Start) -> None:
    server = start(SERVED, server={"max_connections": 3}).wait_until_ready()
    with ExitStack() as stack:
        held = [stack.enter_context(connect(server)) for _ in range(3)]
        for client in held:
            client.sendall(LIVE)
            assert read_answer(client.makefile("rb"))[0] == 200
        for client in held[:2]:
            stack.enter_context(connect(server)).sendall(LIVE[:9])
            assert read_rest(client) == b""
        held[2].sendall(LIVE)
        assert read_answer(held[2].makefile("rb"))[0] == 200


def test_where_no_connection_is_idle_one_too_many_is_refused_and_probes_are_answered(start: Start) -> None:
    server = start(SERVED, server={"max_connections": 3}).wait_until_ready()
    with ExitStack() as stack:
        held = [stack.enter_context(connect(server)) for _ in range(3)]
        for client in held:
            client.sendall(build(text("x"))[:-3])
        silent = [stack.enter_context(connect(server)) for _ in range(100)]
        for _ in range(5):
            answer = ask(server, build(text("y")))
            assert answer.startswith(b"HTTP/1.1 503 ")
            assert b"MICROSERVICE_OVERLOADED" in answer
            assert ask(server, LIVE).startswith(b"HTTP/1.1 200 ")
        for client in silent:
            assert read_rest(client) == b""
        for client in held:
            client.sendall(build(text("x"))[-3:])
            assert read_answer(client.makefile("rb"))[0] == 200
        assert_serves(server)


FEW_FILES = """
import os, resource

class Served:
    def predict(self, X, names):
        if X == "few":
            held = len(os.listdir("/dev/fd"))
            resource.setrlimit(resource.RLIMIT_NOFILE, (held + 20, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
        return X
"""


def test_connections_for_which_there_are_no_files_wait_until_there_are(start: Start) -> None:
    server = start(FEW_FILES).wait_until_ready()
    assert server.predict("few")[0] == 200
    with ExitStack() as stack:
        for _ in range(50):
            stack.enter_context(connect(server))
        late = stack.enter_context(connect(server))
        late.sendall(LIVE)
        server.wait_for("cannot accept connections")
    assert_serves(server)
    with ExitStack() as stack:
        for _ in range(50):
            stack.enter_context(connect(server))
        server.wait_for("cannot accept connections")
        assert server.stop() == 0
    assert "Traceback" not in server.log


# Many requests


def mixed(count: int) -> list[bytes]:
    """Plain JSON, a query that the parser of forms reads, a probe, another method and chunks, in turn."""
    return [
        (
            build(text(str(number))),
            build(text(str(number)), line="POST /predict?json= HTTP/1.1"),
            LIVE,
            build(text(str(number)), line="GET /predict HTTP/1.1"),
            POST.encode() + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(text(str(number))),
        )[number % 5]
        for number in range(count)
    ]


def chunked(body: str, size: int = 4) -> bytes:
    parts = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(f"{len(part):x}\r\n{part}\r\n".encode() for part in [*parts, ""])


def send_in_pieces(client: socket.socket, raw: bytes, size: int) -> None:
    for start in range(0, len(raw), size):
        client.sendall(raw[start : start + size])


@pytest.mark.parametrize("size", [1 << 20, 7], ids=["at once", "in small pieces"])
def test_pipelined_requests_are_answered_in_their_order(server: Any, size: int) -> None:
    raw = b"".join(mixed(500 if size > 1000 else 50))
    with ThreadPoolExecutor(1) as pool, connect(server) as client:
        sending = pool.submit(send_in_pieces, client, raw, size)
        answers = client.makefile("rb")
        for number in range(500 if size > 1000 else 50):
            status, _, body = read_answer(answers)
            assert status == 200
            assert body == b"live" if number % 5 == 2 else json.loads(body)["strData"] == str(number)
        sending.result()
    assert_serves(server)


def test_pipelined_requests_before_a_malformed_one_are_answered(server: Any) -> None:
    answer = ask(server, b"".join(mixed(30)) + b"NONSENSE\r\n\r\n" + LIVE * 20)
    assert answer.count(b"HTTP/1.1 200 ") == 30
    assert answer.count(b"HTTP/1.1 400 ") == 1
    assert answer.rindex(b"HTTP/1.1 400 ") > answer.rindex(b"HTTP/1.1 200 ")
    assert_serves(server)


def test_requests_without_end_on_one_connection(server: Any) -> None:
    """Their client reads nothing until it has sent all; the others are served meanwhile."""
    count = 20_000
    with ThreadPoolExecutor(1) as pool, connect(server) as client:
        sending = pool.submit(client.sendall, LIVE * count)
        assert_serves(server)
        answers = client.makefile("rb")
        assert {read_answer(answers)[0] for _ in range(count)} == {200}
        sending.result()


# Bodies

CHUNKED: dict[str, tuple[bytes, int]] = {
    "a byte a chunk": (chunked(text("x" * 5000), 1), 200),
    "an extension": (b'f;a=b;c="d"\r\n{"strData":"x"}\r\n0;e\r\n\r\n', 200),
    "a trailer": (b'f\r\n{"strData":"x"}\r\n0\r\nA: b\r\nContent-Length: 5\r\n\r\n', 200),
    "zeros before the size": (b'0000f\r\n{"strData":"x"}\r\n0\r\n\r\n', 200),
    "no body": (b"0\r\n\r\n", 400),
    "no hexadecimal size": (b"xyz\r\n", 400),
    "a negative size": (b"-1\r\n", 400),
    "no size": (b"\r\n", 400),
    "a size of many digits": (b"0" * 100 + b"1\r\n", 400),
    "a size that is not the chunk's": (b"5\r\nabc\r\n0\r\n\r\n", 400),
    "bare line feeds": (b"5\nabcde\n0\n\n\r\n", 400),
    "a giant size": (b"FFFFFFFFFFFFFFF\r\n", 413),
    "a size without end": (b"1" * 100_000, 400),
    "an extension without end": (b"1;" + b"x" * 100_000, 400),
    "a trailer without end": (b"0\r\n" + b"A: b\r\n" * 20_000, 400),
    "more than there may be": (b"100000\r\n" + (b"x" * 0x100000 + b"\r\n100000\r\n") * 17, 413),
}


@pytest.mark.parametrize(("body", "status"), CHUNKED.values(), ids=CHUNKED)
def test_bodies_in_chunks(server: Any, body: bytes, status: int) -> None:
    head = POST + "Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = ask(server, head.encode() + body)
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert answer.count(b"HTTP/1.1") == 1
    assert_serves(server)


@pytest.mark.parametrize("offer", ["", "Connection: upgrade\r\nUpgrade: h2c\r\n"], ids=["", "with an upgrade"])
def test_a_client_that_expects_a_continue_gets_it_first(server: Any, offer: str) -> None:
    body = text("x").encode()
    with connect(server) as client:
        client.sendall(f"{POST}{offer}Expect: 100-continue\r\nContent-Length: {len(body)}\r\n\r\n".encode())
        answers = client.makefile("rb")
        assert read_answer(answers)[0] == 100
        client.sendall(body)
        assert read_answer(answers)[0] == 200


UPGRADES = {
    "h2c": ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA"),
    "websocket": ("Connection: keep-alive, upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"),
    "TLS": ("Upgrade: TLS/1.0", "connection: UPGRADE"),
    "several": ("Connection: Upgrade", "Upgrade: h2c", "upgrade: websocket, TLS/1.2"),
    "without a connection header": ("Upgrade: h2c",),
}


@pytest.mark.parametrize("offer", UPGRADES.values(), ids=UPGRADES)
@pytest.mark.parametrize("size", [1, 7, 1 << 20])
def test_an_offer_to_upgrade_is_ignored_and_the_body_is_read(server: Any, offer: tuple[str, ...], size: int) -> None:
    bodies = [build(text(f"body {number}"), *offer) for number in range(3)]
    lines = "".join(f"{line}\r\n" for line in offer)
    bodies.append(f"{POST}{lines}Transfer-Encoding: chunked\r\n\r\n".encode() + chunked(text("in chunks")))
    bodies.append(LIVE[:-2] + f"{lines}\r\n".encode())
    with connect(server) as client, client.makefile("rb") as answers:
        send_in_pieces(client, b"".join(bodies), size)
        for expected in ("body 0", "body 1", "body 2", "in chunks"):
            assert json.loads(read_answer(answers)[2])["strData"] == expected
        assert read_answer(answers)[2] == b"live"


def test_many_offers_at_once(server: Any) -> None:
    with connect(server) as client, client.makefile("rb") as answers:
        client.sendall((LIVE[:-2] + b"Connection: upgrade\r\nUpgrade: h2c\r\n\r\n") * 2000)
        assert {read_answer(answers)[2] for _ in range(2000)} == {b"live"}


@pytest.mark.parametrize("headers", ["", "Expect: 100-continue\r\n"], ids=["plain", "expects a continue"])
def test_a_body_of_100_gigabytes_is_refused_before_it_comes(server: Any, headers: str) -> None:
    with connect(server) as client:
        client.sendall(f"{POST}{headers}Content-Length: 100000000000\r\n\r\n".encode())
        answer = read_rest(client)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert_serves(server)


@pytest.mark.parametrize("is_chunked", [False, True], ids=["length", "chunks"])
def test_a_client_that_sends_without_end_after_a_refusal_is_cut(server: Any, is_chunked: bool) -> None:
    measure = (
        b"Transfer-Encoding: chunked\r\n\r\n" + (b"FFFFFF1\r\n")
        if is_chunked
        else b"Content-Length: 99999999999\r\n\r\n"
    )
    with connect(server) as client:
        client.sendall(POST.encode() + measure)
        assert_serves(server)
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            client.sendall(bytes(1 << 30))
    assert_serves(server)


def test_a_truncated_body_is_never_taken_for_a_request(server: Any) -> None:
    whole = build(text("truncated"))
    with connect(server) as client:
        client.sendall(whole[:-1])
        client.shutdown(socket.SHUT_WR)
        assert read_rest(client) == b""
    assert_serves(server)
    assert "truncated" not in server.predict("seen")[1]["jsonData"]["seen"]


# Heads

GET = "GET /live HTTP/1.1\r\nHost: x\r\n"
HEADS: dict[str, tuple[bytes, int]] = {
    "unknown method": (b"FETCH /live HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "method in lower case": (b"get /live HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "no version": (b"GET /live\r\nHost: x\r\n\r\n", 400),
    "half a version": (b"GET /live HTTP\r\nHost: x\r\n\r\n", 400),
    "version 0.9": (b"GET /live HTTP/0.9\r\nHost: x\r\n\r\n", 400),
    "version 2.0": (b"GET /live HTTP/2.0\r\nHost: x\r\n\r\n", 400),
    "version 9.9": (b"GET /live HTTP/9.9\r\nHost: x\r\n\r\n", 400),
    "preface of HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0", 400),
    "another protocol": (b"OPTIONS /live RTSP/1.0\r\nHost: x\r\n\r\n", 400),
    "bare line feeds": (b"GET /live HTTP/1.1\nHost: x\n\n\r\n\r\n", 400),
    "NUL in a value": (GET.encode() + b"A: b\0c\r\n\r\n", 400),
    "NUL in a name": (GET.encode() + b"A\0: b\r\n\r\n", 400),
    "NUL in the target": (b"GET /\0live HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "folded header": (GET.encode() + b"A: b\r\n c\r\n\r\n", 400),
    "space before a colon": (GET.encode() + b"A : b\r\n\r\n", 400),
    "no colon": (GET.encode() + b"abc\r\n\r\n", 400),
    "no name": (GET.encode() + b": b\r\n\r\n", 400),
    "no target": (b"GET  HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "a target without a path": (b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "two equal lengths": (build("", "Content-Length: 0"), 400),
    "two lengths": (build("", "Content-Length: 5"), 400),
    "length and chunks": (build("", "Transfer-Encoding: chunked") + b"0\r\n\r\n", 400),
    "coding gzip": (POST.encode() + b"Transfer-Encoding: gzip\r\n\r\n", 400),
    "coding gzip and chunked": (POST.encode() + b"Transfer-Encoding: gzip, chunked\r\n\r\n", 400),
    "negative length": (POST.encode() + b"Content-Length: -1\r\n\r\n", 400),
    "hexadecimal length": (POST.encode() + b"Content-Length: 0x1\r\n\r\n", 400),
    "huge length": (POST.encode() + b"Content-Length: " + b"9" * 50 + b"\r\n\r\n", 400),
    "length with many zeros": (POST.encode() + b"Content-Length: " + b"0" * 5000 + b"1\r\n\r\n", 400),
    "a line without end": (b"GET /" + b"a" * 70_000, 431),
    "a header without end": (GET.encode() + b"A: " + b"b" * 70_000, 431),
    "a head of 64 KiB": (GET.encode() + b"A: " + b"b" * 66_000 + b"\r\n\r\n", 431),
    "10,000 headers": (GET.encode() + b"".join(b"A%d: b\r\n" % n for n in range(10_000)) + b"\r\n", 431),
    "10,000 short headers": (GET.encode() + b"a:b\r\n" * 10_000 + b"\r\n", 431),
    "the first words of TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)), 400),
    "garbage": (bytes(range(256)) * 100, 400),
    "zeros": (bytes(100_000), 400),
    "line feeds": (b"\n" * 100_000, 400),
    "carriage returns": (b"\r" * 100_000, 400),
}


@pytest.mark.parametrize(("raw", "status"), HEADS.values(), ids=HEADS)
@pytest.mark.parametrize("port", ["http_port", "metrics_port"])
def test_a_malformed_head_is_refused_and_its_connection_closed(server: Any, raw: bytes, status: int, port: str) -> None:
    with socket.create_connection(("127.0.0.1", getattr(server, port)), WAIT_SECONDS) as client:
        client.sendall(raw)
        answer = read_rest(client)
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"connection: close" in answer
    assert_serves(server)


def test_empty_lines_before_a_request_are_overlooked(server: Any) -> None:
    with connect(server) as client:
        for byte in b"\r\n\r\n" + LIVE:
            client.sendall(bytes([byte]))
        assert read_answer(client.makefile("rb"))[0] == 200


# Payloads


def multipart(part: bytes, count: int) -> bytes:
    return (b"--edge\r\n" + part + b"\r\n") * count + b"--edge--\r\n"


FORM = "multipart/form-data; boundary=edge"
FIELD = b'Content-Disposition: form-data; name="a"\r\n\r\n1'
JSON_TYPE = "application/json"
PAYLOADS: dict[str, tuple[bytes, str, set[int]]] = {
    "deeply nested": (b"[" * 100_000, JSON_TYPE, {400}),
    "deeply nested and closed": (b'{"jsonData":' + b"[" * 100_000 + b"]" * 100_000 + b"}", JSON_TYPE, {400}),
    "deeply nested objects": (b'{"jsonData":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001, JSON_TYPE, {400}),
    "deeply nested arrays": (b'{"data":{"ndarray":' + b"[" * 100_000 + b"]" * 100_000 + b"}}", JSON_TYPE, {400}),
    "a number of 10 MB": (b'{"data":{"ndarray":[' + b"9" * 10_000_000 + b"]}}", JSON_TYPE, {400}),
    "a fraction of 10 MB": (b'{"data":{"ndarray":[0.' + b"9" * 10_000_000 + b"]}}", JSON_TYPE, {200, 400}),
    "a huge exponent": (b'{"data":{"ndarray":[1e999999999]}}', JSON_TYPE, {200, 400}),
    "a key of 10 MB": (b'{"' + b"k" * 10_000_000 + b'":1}', JSON_TYPE, {400}),
    "a huge shape": (b'{"data":{"tensor":{"shape":[999999999,999999999],"values":[1]}}}', JSON_TYPE, {400}),
    "a shape beyond numbers": (b'{"data":{"tensor":{"shape":[' + b"9" * 4000 + b'],"values":[1]}}}', JSON_TYPE, {400}),
    "lone surrogates": (b'{"strData":"\\ud800"}', JSON_TYPE, {200, 400}),
    "10,000 parts": (multipart(FIELD, 10_000), FORM, {400, 413}),
    "parts without headers": (multipart(b"\r\n1", 100), FORM, {400}),
    "parts without an end": (multipart(FIELD, 3)[:-20], FORM, {400}),
    "a part whose header has no end": (b"--edge\r\nA: " + b"b" * 1_000_000, FORM, {400, 413}),
    "an empty form": (b"", FORM, {400}),
    "a form without an edge": (multipart(FIELD, 3), "multipart/form-data", {400}),
    "many form fields": (b"a=1&" * 100_000, "application/x-www-form-urlencoded", {400, 413}),
}


@pytest.mark.parametrize(("body", "media_type", "statuses"), PAYLOADS.values(), ids=PAYLOADS)
def test_a_hostile_payload_is_answered(server: Any, body: bytes, media_type: str, statuses: set[int]) -> None:
    head = f"POST /predict HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: {media_type}\r\n"
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(ask, server, f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        assert_serves(server)
        status = int(asking.result().split()[1])
    assert status in statuses
    assert_serves(server)


def test_a_compressed_body_is_not_read(server: Any) -> None:
    answer = ask(server, build(b"\x1f\x8b" + bytes(100), "Content-Encoding: gzip", "Connection: close"))
    assert answer.startswith(b"HTTP/1.1 415 ")
    assert_serves(server)


# Clients that leave

HANDLERS = {"native": "", "Flask": '    import flask; model_error_handler = flask.Blueprint("nothing", __name__)\n'}


@pytest.mark.parametrize("handlers", HANDLERS.values(), ids=HANDLERS)
def test_what_a_client_that_is_gone_had_asked_for_is_not_begun(start: Start, gate: Any, handlers: str) -> None:
    """Closing a socket looks like closing one side of it, but what is sent to it comes back as a reset."""
    server = start(SERVED + handlers, access=True).wait_until_ready()
    assert server.rest("GET", "/metadata")[0] == 200  # Flask is loaded, if it is needed
    with ThreadPoolExecutor(1) as pool:
        busy = pool.submit(server.predict, "gate")
        gate.wait_until_entered()
        for number in range(5):
            with connect(server) as client:
                client.sendall(build(text(f"gone {number}")))
                assert server.rest("GET", "/live")[0] == 200  # by now it has been read
        for _ in range(5):
            server.wait_for(r"\b499\b")
        gate.release()
        assert busy.result()[0] == 200
    assert server.predict("last")[0] == 200
    assert server.predict("seen")[1]["jsonData"]["seen"] == ["gate", "last"]


def test_a_client_that_is_gone_while_it_is_answered_harms_nobody(server: Any) -> None:
    for _ in range(20):
        with connect(server) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # closed by a reset
            client.sendall(build(text("large")))
        assert_serves(server)
    assert server.predict()[0] == 200

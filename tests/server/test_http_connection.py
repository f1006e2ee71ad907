"""One connection of HTTP/1.1, fed any bytes in any pieces; and the chunked coding against a simpler reader of it."""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import Callable, Sequence
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seldon_spec.errors import HeadTooLarge, MalformedRequest, RequestError, TooLarge
from seldon_spec.protocols.seldon_v1.errors import describe
from seldon_spec.transport.capacity import Capacity
from seldon_spec.transport.http1.chunked import ChunkedBody
from seldon_spec.transport.http1.connection import HttpConnection, HttpLimits
from seldon_spec.transport.http1.head import MAX_HEAD_BYTES, parse_head
from seldon_spec.transport.http1.head_cache import HeadCache
from seldon_spec.transport.http1.messages import HttpApp, RequestCycle, RequestHead, ResponseHead
from seldon_spec.transport.listener import Connection
from seldon_spec.transport.templates import RecentTemplates
from seldon_spec.transport.turns import Turn

MAX_BODY_BYTES = 64
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Wire(asyncio.Transport):
    """A transport that keeps what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = bytearray()
        self.unsent_bytes = 0
        self.is_paused = False
        self.is_closed = self.is_aborted = self.has_ended = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.has_ended
        self.sent += data

    def write_eof(self) -> None:
        self.has_ended = True

    def can_write_eof(self) -> bool:
        return True

    def get_write_buffer_size(self) -> int:
        return self.unsent_bytes

    def pause_reading(self) -> None:
        assert not self.is_paused
        self.is_paused = True

    def resume_reading(self) -> None:
        assert self.is_paused
        self.is_paused = False

    def close(self) -> None:
        self.is_closed = True

    def abort(self) -> None:
        self.is_closed = self.is_aborted = True

    def is_closing(self) -> bool:
        return self.is_closed


class Echo:
    """An ``HttpApp`` that responds with the request: at once, or when ``respond`` is called."""

    max_body_bytes = MAX_BODY_BYTES

    def __init__(self, *, is_patient: bool = False) -> None:
        self.is_patient = is_patient
        self.begun: list[RequestCycle] = []
        self.after: Callable[[], None] = lambda: None

    def find_handler(self, _head: RequestHead) -> Echo:
        return self

    def vary(
        self, _head: RequestHead, _handler: object, _names: Sequence[bytes]
    ) -> Callable[[RequestHead, Sequence[bytes]], Echo]:
        return lambda head, _values: self.find_handler(head)

    def begin(self, exchange: RequestCycle) -> None:
        self.begun.append(exchange)
        if not self.is_patient:
            self.respond(exchange)

    def respond(self, exchange: RequestCycle) -> None:
        head = exchange.head
        exchange.respond(ResponseHead(200, []), f"{head.method} {head.path} ".encode() + bytes(exchange.take_body()))
        self.after()

    def is_probe(self, _head: RequestHead) -> bool:
        return False

    def refuse(self, error: RequestError, _head: RequestHead | None, _path: str = "") -> tuple[ResponseHead, bytes]:
        return ResponseHead(describe(error).http, []), type(error).__name__.encode()


class Door:
    """A port without a socket, whose clock stands until it is moved."""

    scheme = "http"
    address = ("127.0.0.1", 80)
    is_full = False

    def __init__(self, app: Echo, heads: HeadCache | None = None) -> None:
        self.app: HttpApp = app
        app.after = self.run
        self.limits = HttpLimits(header_timeout_seconds=1, body_timeout_seconds=2, keep_alive_seconds=4)
        self.heads = heads or HeadCache(app)
        self.clock = 0.0
        self.soon: list[Callable[[], None]] = []
        self.capacity = Capacity(cast("asyncio.AbstractEventLoop", self), 1 << 30)

    def call_soon(self, callback: Callable[[], None]) -> None:
        self.soon.append(callback)

    def time(self) -> float:
        return self.clock

    def run(self) -> None:
        """Have everything called that was to be called soon, as an event loop would."""
        while self.soon:
            self.soon.pop(0)()

    def now(self) -> float:
        return self.clock

    def date_line(self) -> bytes:
        return b"date: D\r\n"

    def add(self, connection: Connection) -> None:
        """Nobody counts here."""

    def discard(self, connection: Connection) -> None:
        """Nobody counts here."""


class DrivenConnection(HttpConnection):
    """A connection that takes all turns that it needs at once."""

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        cast("Door", self._port).run()


def connect(door: Door) -> tuple[HttpConnection, Wire]:
    connection, wire = DrivenConnection(door), Wire()
    connection.connection_made(wire)
    return connection, wire


def admit(heads: HeadCache, raw: bytes) -> None:
    heads.put(raw, parse_head(raw), RecentTemplates())


def is_over(wire: Wire) -> bool:
    return wire.is_closed or wire.has_ended


def request(line: str, *headers: str, body: bytes = b"") -> bytes:
    """A request with a host, unless that is among the headers."""
    host = [] if any(header.lower().startswith("host") for header in headers) else ["Host: x"]
    return "\r\n".join([line, *host, *headers, "", ""]).encode() + body


REQUESTS: tuple[bytes, ...] = (
    request("GET /a HTTP/1.1", "Host: x"),
    request("GET /b HTTP/1.1", "Host: x"),
    b"\r\n" + request("GET /a HTTP/1.1", "Host: x"),
    request("GET /a HTTP/1.0", "Host: x"),
    request("GET /a HTTP/1.0", "Host: x", "Connection: keep-alive"),
    request("GET /a HTTP/1.1", "Host: x", "Connection: close"),
    request("HEAD /a HTTP/1.1", "Host: x"),
    request("POST /c HTTP/1.1", "Host: x", "Content-Length: 5", body=b"hello"),
    request("POST /c HTTP/1.1", "Host: x", "Content-Length: 5", body=b"GET /"),
    request("POST /c HTTP/1.1", "Host: x", "Content-Length: 0"),
    request("POST /c HTTP/1.1", "Host: x", "Content-Length: 18", body=b"GET /x HTTP/1.1\r\n\r"),
    request(f"POST /c HTTP/1.1\r\nContent-Length: {MAX_BODY_BYTES}", body=b"x" * MAX_BODY_BYTES),
    request("POST /c HTTP/1.1", "Expect: 100-continue", "Content-Length: 2", body=b"ok"),
    request("POST /d HTTP/1.1", "Transfer-Encoding: chunked", body=b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: v\r\n\r\n"),
    request("POST /d HTTP/1.1", "Transfer-Encoding: Chunked", body=b"0\r\n\r\n"),
    # the rest is refused
    request(f"POST /c HTTP/1.1\r\nContent-Length: {MAX_BODY_BYTES + 1}", body=b"x" * (MAX_BODY_BYTES + 1)),
    request("POST /d HTTP/1.1", "Transfer-Encoding: chunked", body=b"x\r\n"),
    request("POST /d HTTP/1.1", "Transfer-Encoding: chunked", body=b"41\r\n"),
    request("POST /d HTTP/1.1", "Transfer-Encoding: chunked", "Content-Length: 3", body=b"0\r\n\r\n"),
    request("GET /a HTTP/2.0", "Host: x"),
    request("GET /a", "Host: x"),
    request("GET /a HTTP/1.1", "Host : x"),
    b"\x16\x03\x01 is no request of HTTP",
)


def cut(raw: bytes, places: Sequence[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(raw) + 1) for place in places), len(raw)]
    return [raw[start:end] for start, end in itertools.pairwise(edges)]


def answer_alone(raw: bytes) -> tuple[bytes, bool]:
    """What a request gets on a connection of its own, and whether that is over then."""
    connection, wire = connect(Door(Echo()))
    connection.data_received(raw)
    return bytes(wire.sent).replace(CONTINUE, b""), is_over(wire)


ALONE = {raw: answer_alone(raw) for raw in REQUESTS}


@given(
    sequence=st.lists(st.sampled_from(REQUESTS), max_size=8),
    places=st.lists(st.integers(0, 2000), max_size=12),
    known=st.lists(st.sampled_from(REQUESTS), max_size=4),
    is_patient=st.booleans(),
)
def test_any_requests_in_any_pieces_get_the_answers_that_each_gets_alone(
    sequence: list[bytes], places: list[int], known: list[bytes], is_patient: bool
) -> None:
    """Whatever heads were seen before, and whenever the application answers."""
    expected = b""
    for raw in sequence:
        answer, ends = ALONE[raw]
        expected += answer
        if ends:
            break
    app = Echo(is_patient=is_patient)
    door = Door(app)
    for raw in known:
        before, _ = connect(door)
        before.data_received(raw)
    app.begun.clear()
    connection, wire = connect(door)
    for piece in cut(b"".join(sequence), places):
        if not is_over(wire):
            connection.data_received(piece)
    while app.is_patient and app.begun:
        app.respond(app.begun.pop(0))
    assert bytes(wire.sent).replace(CONTINUE, b"") == expected


FRAGMENTS = (
    b"GET / HTTP/1.1\r\n", b"POST /p HTTP/1.1\r\n", b"POST /p HTTP/1.0\r\n", b"Content-Length: 3\r\n",
    b"Content-Length: 40\r\n", b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: gzip\r\n", b"a:b\r\n", b"\r\n",
    b"\n", b"\r", b"\0", b" ", b"3\r\nabc\r\n", b"0\r\n\r\n", b"-1\r\n", b"FFFFFFFFFFFFFFF\r\n", b"abc", b"Expect: 100-continue\r\n",
)  # fmt: skip


@given(
    st.lists(st.sampled_from(FRAGMENTS) | st.binary(max_size=8), max_size=20), st.lists(st.integers(0, 600), max_size=9)
)
def test_no_bytes_break_a_connection_and_their_pieces_decide_nothing(fragments: list[bytes], places: list[int]) -> None:
    raw = b"".join(fragments)
    outcomes = []
    for pieces in ([raw], cut(raw, places)):
        app = Echo()
        connection, wire = connect(Door(app))
        for piece in pieces:
            if not is_over(wire):
                connection.data_received(piece)
        outcomes.append((len(app.begun), bytes(wire.sent).replace(CONTINUE, b""), is_over(wire)))
    assert outcomes[0] == outcomes[1]


SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
AMBIGUOUS: dict[str, bytes] = {
    "both lengths": request("POST / HTTP/1.1", "Content-Length: 5", "Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
    "both, the other way": request("POST / HTTP/1.1", "Transfer-Encoding: chunked", "Content-Length: 5", body=b"0\r\n\r\n"),
    "two lengths": request("POST / HTTP/1.1", "Content-Length: 5", "Content-Length: 0", body=b"hello"),
    "two equal lengths": request("POST / HTTP/1.1", "Content-Length: 5", "Content-Length: 5", body=b"hello"),
    "a list of lengths": request("POST / HTTP/1.1", "Content-Length: 5, 5", body=b"hello"),
    "negative": request("POST / HTTP/1.1", "Content-Length: -5", body=b"hello"),
    "with a plus": request("POST / HTTP/1.1", "Content-Length: +5", body=b"hello"),
    "hexadecimal": request("POST / HTTP/1.1", "Content-Length: 0x5", body=b"hello"),
    "with an underscore": request("POST / HTTP/1.1", "Content-Length: 1_0", body=b"hello"),
    "beyond 64 bits": request("POST / HTTP/1.1", f"Content-Length: {2**64 + 5}", body=b"hello"),
    "zeros without end": request("POST / HTTP/1.1", f"Content-Length: {'0' * 5000}5", body=b"hello"),
    "no length": request("POST / HTTP/1.1", "Content-Length:", body=b"hello"),
    "space before the colon": request("POST / HTTP/1.1", "Content-Length : 5", body=b"hello"),
    "folded": request("POST / HTTP/1.1", "A: b", " Content-Length: 5", body=b"hello"),
    "folded coding": request("POST / HTTP/1.1", "Transfer-Encoding:", " chunked", body=b"0\r\n\r\n"),
    "gzip": request("POST / HTTP/1.1", "Transfer-Encoding: gzip", body=b"0\r\n\r\n"),
    "gzip and chunked": request("POST / HTTP/1.1", "Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n"),
    "two codings": request("POST / HTTP/1.1", "Transfer-Encoding: x", "Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
    "chunked twice": request("POST / HTTP/1.1", "Transfer-Encoding: chunked, chunked", body=b"0\r\n\r\n"),
    "identity": request("POST / HTTP/1.1", "Transfer-Encoding: identity", "Content-Length: 5", body=b"hello"),
    "no coding": request("POST / HTTP/1.1", "Transfer-Encoding:", "Content-Length: 5", body=b"hello"),
    "xchunked": request("POST / HTTP/1.1", "Transfer-Encoding: xchunked", body=b"0\r\n\r\n"),
    "a tab of another kind": request("POST / HTTP/1.1", "Transfer-Encoding: \x0bchunked", body=b"0\r\n\r\n"),
    "chunked in 1.0": request("POST / HTTP/1.0", "Transfer-Encoding: chunked", "Connection: keep-alive", body=b"0\r\n\r\n"),
    "bare line feeds": b"POST / HTTP/1.1\nHost: x\nContent-Length: 5\n\nhello",
    "one bare line feed": b"POST / HTTP/1.1\r\nHost: x\r\nA: b\nContent-Length: 5\r\n\r\nhello",
    "bare line feeds at the end": b"GET / HTTP/1.1\r\nHost: x\r\nA: b\n\n",
    "bare carriage return": b"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\rB: c\r\n\r\n",
    "a bare line feed in a chunk's size": request("POST / HTTP/1.1", "Transfer-Encoding: chunked", body=b"0\n\r\n\r\n"),
    "a bare line feed in an extension": request("POST / HTTP/1.1", "Transfer-Encoding: chunked", body=b"5;a\nb\r\nhello\r\n0\r\n\r\n"),
    "bare line feeds in a trailer": request("POST / HTTP/1.1", "Transfer-Encoding: chunked", body=b"0\r\nA: b\n\n"),
    "a chunk longer than it says": request("POST / HTTP/1.1", "Transfer-Encoding: chunked", body=b"1\r\nab\r\n0\r\n\r\n"),
    "a negative chunk": request("POST / HTTP/1.1", "Transfer-Encoding: chunked", body=b"-1\r\n\r\n0\r\n\r\n"),
    "version 2.0": b"GET / HTTP/2.0\r\nHost: x\r\n\r\n",
    "version 0.9": b"GET /\r\nHost: x\r\n\r\n",
    "another protocol": b"OPTIONS / RTSP/1.0\r\nHost: x\r\n\r\n",
    "two spaces": b"GET  / HTTP/1.1\r\nHost: x\r\n\r\n",
}  # fmt: skip


@pytest.mark.parametrize("ambiguous", AMBIGUOUS.values(), ids=AMBIGUOUS)
def test_an_ambiguous_request_is_refused_and_what_follows_it_never_looked_at(ambiguous: bytes) -> None:
    app = Echo()
    connection, wire = connect(Door(app))
    connection.data_received(ambiguous + SMUGGLED)
    if not is_over(wire):
        connection.data_received(SMUGGLED)
    assert app.begun == []
    assert wire.sent.startswith(b"HTTP/1.1 400 ")
    assert wire.sent.count(b"HTTP/1.1") == 1
    assert is_over(wire)


def test_a_body_that_is_too_long_is_refused_however_often_its_head_was_seen() -> None:
    door = Door(Echo())
    raw = request("POST /c HTTP/1.1", f"Content-Length: {MAX_BODY_BYTES + 1}", body=b"x" * (MAX_BODY_BYTES + 1))
    for _ in range(3):
        connection, wire = connect(door)
        connection.data_received(raw)
        assert wire.sent.startswith(b"HTTP/1.1 413 ")


BIG: dict[str, tuple[bytes, type[RequestError]]] = {
    "headers": (request("GET / HTTP/1.1", *["a:b"] * 257), HeadTooLarge),
    "length": (request("GET / HTTP/1.1", f"Content-Length: {MAX_BODY_BYTES + 1}"), TooLarge),
}


@pytest.mark.parametrize(("raw", "kind"), BIG.values(), ids=BIG)
def test_a_head_that_asks_too_much_is_not_kept(raw: bytes, kind: type[RequestError]) -> None:
    heads = HeadCache(Echo())
    for _ in range(3):
        with pytest.raises(kind):
            admit(heads, raw)
    assert heads.get(raw, RecentTemplates()) is None


def test_a_head_without_an_end_is_refused_at_its_bound() -> None:
    connection, wire = connect(Door(Echo()))
    connection.data_received(b"GET /" + b"a" * (MAX_HEAD_BYTES - 6))
    assert wire.sent == b""
    connection.data_received(b"a")
    assert wire.sent.startswith(b"HTTP/1.1 431 ")


def test_what_is_sent_ahead_is_bounded() -> None:
    app = Echo(is_patient=True)
    door = Door(app)
    connection, wire = connect(door)
    connection.data_received(REQUESTS[0])
    connection.data_received(REQUESTS[0] * 3000)
    assert wire.is_paused
    count = 0
    while app.begun:
        app.respond(app.begun.pop())
        count += 1
    assert count == 3001
    assert not wire.is_paused


def test_an_unread_answer_is_waited_for_only_as_long_as_it_is_read() -> None:
    door = Door(Echo())
    connection, wire = connect(door)
    connection.data_received(REQUESTS[0])
    least = 1024 * door.limits.body_timeout_seconds
    wire.unsent_bytes = int(2 * least + 100)
    connection.pause_writing()
    for left in (least + 100, 100):
        door.clock, wire.unsent_bytes = connection.deadline, int(left)
        connection.expire()
        assert not wire.is_aborted
        assert connection.deadline == door.clock + door.limits.body_timeout_seconds
    wire.unsent_bytes -= 99
    connection.expire()
    assert wire.is_aborted


def test_a_connection_whose_last_answer_is_unread_when_the_server_stops_is_closed_once_it_is_read() -> None:
    connection, wire = connect(Door(Echo()))
    connection.data_received(REQUESTS[0])
    wire.unsent_bytes = 100
    connection.pause_writing()
    connection.retire()
    assert not is_over(wire)
    wire.unsent_bytes = 0
    connection.resume_writing()
    assert is_over(wire)


def test_a_connection_that_is_reserved_for_a_probe_is_not_closed_as_idle() -> None:
    door = Door(Echo())
    door.is_full = True
    connection, _ = connect(door)
    assert connection.idle_since is None


def test_a_closing_connection_is_cut_if_its_client_never_reads() -> None:
    door = Door(Echo())
    connection, wire = connect(door)
    connection.data_received(request("GET / HTTP/1.1", "Connection: close"))
    assert wire.is_closed
    assert connection.deadline == door.limits.body_timeout_seconds
    sent = bytes(wire.sent)
    connection.expire()
    assert wire.is_aborted
    assert wire.sent == sent


LATE: dict[str, tuple[bytes, float, bytes]] = {
    "nothing": (b"", 4, b""),
    "an empty line": (b"\r\n", 1, b""),
    "half an empty line": (b"\r", 1, b"HTTP/1.1 408 "),
    "half a head": (b"GET / HT", 1, b"HTTP/1.1 408 "),
    "half a body": (request("POST / HTTP/1.1", "Content-Length: 5", body=b"he"), 2, b"HTTP/1.1 408 "),
    "half a chunk": (request("POST / HTTP/1.1", "Transfer-Encoding: chunked", body=b"5\r\nhe"), 2, b"HTTP/1.1 408 "),
}


@pytest.mark.parametrize(("raw", "seconds", "answer"), LATE.values(), ids=LATE)
def test_what_does_not_come_is_waited_for_within_its_bound(raw: bytes, seconds: float, answer: bytes) -> None:
    connection, wire = connect(Door(Echo()))
    for byte in raw:
        connection.data_received(bytes([byte]))
    assert connection.deadline == seconds
    connection.expire()
    assert wire.sent[:13] == answer
    assert is_over(wire)


def test_every_head_has_its_own_bound() -> None:
    connection, _ = connect(Door(Echo()))
    for piece in (b"\r", b"\n", REQUESTS[0], REQUESTS[0]):
        connection.data_received(piece)
    assert connection.deadline == 4
    connection.data_received(b"GET /")
    assert connection.deadline == 1


def test_a_refused_client_is_listened_to_for_a_bounded_while() -> None:
    connection, wire = connect(Door(Echo()))
    connection.data_received(b"no request")
    assert wire.has_ended
    for _ in range(65):
        connection.data_received(b"x" * (1 << 20))
    assert wire.is_aborted


# The chunked coding

SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(;[^\0-\x08\x0a-\x1f\x7f]*)?")
FIELD = re.compile(rb"[!-9;-~]+:[^\0-\x08\x0a-\x1f\x7f]*")
Outcome = tuple[str, bytes, bytes]
"""How it ended, the content, and what is left behind it."""


def read_whole(raw: bytes, max_bytes: int) -> Outcome:
    """Read a chunked body that lies there as a whole, without any thought of speed."""
    content = b""
    while b"\r\n" in raw:
        line, _, raw = raw.partition(b"\r\n")
        match = SIZE.fullmatch(line)
        if match is None:
            return "malformed", b"", b""
        size = int(match[1], 16)
        if len(content) + size > max_bytes:
            return "too large", b"", b""
        if size == 0:
            return read_trailer(raw, content)
        if len(raw) < size + 2:
            return "not whole", b"", b""
        if raw[size : size + 2] != b"\r\n":
            return "malformed", b"", b""
        content, raw = content + raw[:size], raw[size + 2 :]
    return "not whole", b"", b""


def read_trailer(raw: bytes, content: bytes) -> Outcome:
    while b"\r\n" in raw:
        line, _, raw = raw.partition(b"\r\n")
        if not line:
            return "whole", content, raw
        if FIELD.fullmatch(line) is None:
            return "malformed", b"", b""
    return "not whole", b"", b""


def read_in_pieces(pieces: Sequence[bytes], max_bytes: int) -> Outcome:
    body, buffer = ChunkedBody(max_bytes), bytearray()
    for number, piece in enumerate(pieces):
        buffer += piece
        try:
            is_whole = body.feed(buffer, Turn())
            while body.has_more:
                is_whole = body.feed(buffer, Turn())
            if is_whole:
                return "whole", bytes(body.content), bytes(buffer) + b"".join(pieces[number + 1 :])
        except MalformedRequest:
            return "malformed", b"", b""
        except TooLarge:
            return "too large", b"", b""
    return "not whole", b"", b""


def chunk(content: bytes, write: Callable[[int], str], extension: bytes) -> bytes:
    return write(len(content)).encode() + extension + b"\r\n" + content + b"\r\n"


WRITERS: tuple[Callable[[int], str], ...] = ("{:x}".format, "{:X}".format, "{:07x}".format)
CHUNK = st.builds(
    chunk, st.binary(min_size=1, max_size=20), st.sampled_from(WRITERS), st.sampled_from((b"", b";", b" ;a=b", b';a="x"', b" \t"))
)  # fmt: skip
ENDS = st.sampled_from((b"0\r\n\r\n", b"000;x\r\n\r\n", b"0\r\nA: b\r\nC:\r\n\r\n", b"0\r\n", b"0\r\nA\r\n\r\n", b""))
BROKEN = st.sampled_from(
    (b"\r\n", b"g\r\n", b"-1\r\n", b"5\r\nabc\r\n", b"1\nx\r\n", b"1;\0\r\nx\r\n", b"F" * 16 + b"\r\n")
)


@given(
    st.lists(CHUNK | BROKEN | st.binary(max_size=5), max_size=6),
    ENDS,
    st.binary(max_size=6),
    st.lists(st.integers(0, 300), max_size=20),
)
def test_chunks_in_any_pieces_are_what_a_simpler_reader_finds(
    parts: list[bytes], end: bytes, rest: bytes, places: list[int]
) -> None:
    raw = b"".join([*parts, end, rest])
    assert read_in_pieces(cut(raw, places), 50) == read_whole(raw, 50)


@given(st.lists(CHUNK, max_size=6), st.binary(max_size=6))
def test_chunks_of_a_byte_each_way(parts: list[bytes], rest: bytes) -> None:
    raw = b"".join(parts) + b"0\r\n\r\n"
    outcome = read_in_pieces([bytes([byte]) for byte in raw + rest], 1000)
    assert outcome[0] == "whole"
    assert outcome == read_whole(raw + rest, 1000)


CHUNK_BOUNDS: dict[str, tuple[bytes, str]] = {
    "a long size": (b"0" * 4096, "malformed"),
    "a long extension": (b"1;" + b"x" * 4096, "malformed"),
    "a long trailer": (b"0\r\n" + b"a: b\r\n" * 5000, "malformed"),
    "a giant size": (b"FFFFFFFFFFFFFFF\r\n", "too large"),
    "a size of too many digits": (b"0" * 15 + b"1\r\n", "malformed"),
}


@pytest.mark.parametrize(("raw", "outcome"), CHUNK_BOUNDS.values(), ids=CHUNK_BOUNDS)
def test_chunks_are_bounded(raw: bytes, outcome: str) -> None:
    assert read_in_pieces([raw], 1000)[0] == outcome
    assert read_in_pieces([bytes([byte]) for byte in raw], 1000)[0] == outcome

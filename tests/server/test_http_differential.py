"""HTTP/1.1 as the native engine parses it, against h11: what one accepts the other accepts, and finds the same in it.

Both get the same streams of requests: valid ones, and ones with a few bytes changed. Where they differ, the difference
has to be in ``DIFFERENCES``; each of those has an example, and is a difference indeed.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import itertools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, cast
from urllib.parse import unquote_to_bytes, urlsplit

import h11
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from seldon_spec.errors import RequestError
from seldon_spec.protocols.seldon_v1.errors import describe
from seldon_spec.transport.capacity import Capacity
from seldon_spec.transport.http1.connection import HttpConnection, HttpLimits
from seldon_spec.transport.http1.head_cache import HeadCache
from seldon_spec.transport.http1.messages import HttpApp, RequestCycle, RequestHead, ResponseHead
from seldon_spec.transport.listener import Connection

MAX_BODY_BYTES = 100_000


class Found(NamedTuple):
    """A request as a parser has found it."""

    method: str
    path: str
    query: bytes
    version: str
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes | None = None
    """None: its end has not come."""


@dataclass
class Outcome:
    """What a parser has made of a stream.

    Attributes:
        requests: those that are whole.
        starts: of h11's requests in the stream, also of the one after the last.
        pending: one whose head has been accepted, and whose body is not whole.
        end: ``open``: it waits for more; ``closed``: by a request; ``refused``.
    """

    requests: list[Found] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    pending: Found | None = None
    end: str = "open"


# The native engine


class Wire(asyncio.Transport):
    """A transport that keeps what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = bytearray()
        self.is_over = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.sent += data

    def write_eof(self) -> None:
        self.is_over = True

    def can_write_eof(self) -> bool:
        return True

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        """Nothing comes but what the test sends."""

    def resume_reading(self) -> None:
        """Nothing comes but what the test sends."""

    def close(self) -> None:
        self.is_over = True

    def abort(self) -> None:
        self.is_over = True

    def is_closing(self) -> bool:
        return self.is_over


class Recorder:
    """An application that notes down its requests, and responds to each with an empty body."""

    max_body_bytes = MAX_BODY_BYTES

    def __init__(self) -> None:
        self.requests: list[Found] = []
        self.pending: Found | None = None

    def find_handler(self, head: RequestHead) -> Recorder:
        self.pending = Found(head.method, head.path, head.query, head.version, head.headers)
        return self

    def vary(
        self, _head: RequestHead, _handler: object, _names: Sequence[bytes]
    ) -> Callable[[RequestHead, Sequence[bytes]], Recorder]:
        return lambda head, _values: self.find_handler(head)

    def begin(self, exchange: RequestCycle) -> None:
        self.find_handler(exchange.head)
        assert self.pending is not None
        self.requests.append(self.pending._replace(body=bytes(exchange.take_body())))
        self.pending = None
        exchange.respond(ResponseHead(200, []), b"")

    def is_probe(self, _head: RequestHead) -> bool:
        return True

    def refuse(self, error: RequestError, _head: RequestHead | None, _path: str = "") -> tuple[ResponseHead, bytes]:
        return ResponseHead(describe(error).http, []), b""


class Port:
    """What a connection knows of its port."""

    scheme = "http"
    address = ("127.0.0.1", 80)
    is_full = False
    limits = HttpLimits(header_timeout_seconds=1, body_timeout_seconds=1, keep_alive_seconds=1)

    def __init__(self, app: Recorder) -> None:
        self.app: HttpApp = app
        self.heads = HeadCache(app)
        self.soon: list[Callable[[], None]] = []
        self.capacity = Capacity(cast("asyncio.AbstractEventLoop", self), 1 << 30)

    def call_soon(self, callback: Callable[[], None]) -> None:
        self.soon.append(callback)

    def time(self) -> float:
        return 0.0

    def now(self) -> float:
        return 0.0

    def date_line(self) -> bytes:
        return b""

    def add(self, connection: Connection) -> None:
        """Connections are not counted."""

    def discard(self, connection: Connection) -> None:
        """Connections are not counted."""


def parse(pieces: Sequence[bytes]) -> Outcome:
    app, wire = Recorder(), Wire()
    port = Port(app)
    connection = HttpConnection(port)
    connection.connection_made(wire)
    for piece in pieces:
        if not wire.is_over:
            connection.data_received(piece)
        while port.soon:
            port.soon.pop(0)()
    is_refused = re.search(rb"HTTP/1\.1 [45]", wire.sent) is not None
    end = "refused" if is_refused else "closed" if wire.is_over else "open"
    return Outcome(app.requests, [], None if is_refused and app.pending is None else app.pending, end)


# h11


def parse_with_h11(raw: bytes) -> Outcome:
    outcome = Outcome(starts=[0])
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    if raw:  # none at all would be the end
        connection.receive_data(raw)
    body = bytearray()
    try:
        while True:
            event = connection.next_event()
            if isinstance(event, h11.Request):
                outcome.pending = read_event(event)
                body.clear()
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                assert outcome.pending is not None
                outcome.requests.append(outcome.pending._replace(body=bytes(body)))
                outcome.pending = None
                outcome.starts.append(len(raw) - len(connection.trailing_data[0]))
                connection.send(h11.Response(status_code=404, headers=[("Content-Length", "0")]))
                connection.send(h11.EndOfMessage())
                if connection.our_state is h11.MUST_CLOSE:
                    outcome.end = "closed"
                    return outcome
                connection.start_next_cycle()
            else:
                assert event is h11.NEED_DATA
                return outcome
    except h11.RemoteProtocolError:
        outcome.end = "refused"
        return outcome


def read_event(event: h11.Request) -> Found:
    target = event.target.decode()
    fields = list(event.headers)
    if target.startswith("/") or target == "*":
        path, _, query = target.partition("?")
    else:
        url = urlsplit(target)
        path = url.path or "/"
        _, _, query = target.partition("?")
        fields = [(b"host", url.netloc.encode()), *((name, value) for name, value in fields if name != b"host")]
    return Found(
        event.method.decode(),
        unquote_to_bytes(path).decode("latin-1"),
        query.encode(),
        event.http_version.decode(),
        tuple((bytes(name), bytes(value)) for name, value in fields),
    )


# The intended differences

METHODS = {"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"}
HEAD_END = re.compile(rb"\n\r?\n")


def head_of(rest: bytes) -> bytes:
    match = HEAD_END.search(rest)
    return rest if match is None else rest[: match.end()]


def body_of(rest: bytes) -> bytes:
    return rest[len(head_of(rest)) :]


def values_of(rest: bytes, name: bytes) -> list[bytes]:
    found = re.findall(rb"(?im)^" + name + rb":[ \t]*(.*?)[ \t]*\r?$", head_of(rest))
    return [bytes(value) for value in found]


def request_line(rest: bytes) -> list[bytes]:
    return rest.partition(b"\n")[0].rstrip(b"\r").split(b" ")


def has_other_method(rest: bytes) -> bool:
    return request_line(rest)[0].decode("latin-1") not in METHODS


def has_other_target(rest: bytes) -> bool:
    line = request_line(rest)
    path, _, query = (line[1] if len(line) > 1 else b"").partition(b"?")
    is_absolute = path[:7].lower() == b"http://" or path[:8].lower() == b"https://"
    return (
        not (is_absolute or path.startswith(b"/") or (path == b"*" and line[0] == b"OPTIONS" and not query))
        or any(byte in b'"#<>[\\]^`{|}' for byte in path)
        or any(byte in b'"#<>\\^`{|}' for byte in query)
        or re.search(rb"%(?![0-9A-Fa-f]{2})", path) is not None
        or (is_absolute and not is_plain_host(path.partition(b"://")[2].partition(b"/")[0]))
    )


def has_other_version(rest: bytes) -> bool:
    return request_line(rest)[-1] not in (b"HTTP/1.0", b"HTTP/1.1")


def has_malformed_host(rest: bytes) -> bool:
    return not all(map(is_plain_host, values_of(rest, b"host")))


def is_plain_host(value: bytes) -> bool:
    literal = re.fullmatch(rb"\[([0-9a-f:]+)\](:[0-9]*)?", value)
    if literal is not None:
        with contextlib.suppress(ValueError):
            return bool(ipaddress.IPv6Address(literal[1].decode()))
        return False
    return re.fullmatch(rb"[A-Za-z0-9._-]+(:[0-9]*)?", value) is not None


def has_obsolete_line(rest: bytes) -> bool:
    return re.search(rb"(?<!\r)\n|\n[ \t]", head_of(rest)) is not None


def has_control_character(rest: bytes) -> bool:
    return re.search(rb"[\0-\x08\x0b\x0c\x0e-\x1f\x7f]|\r(?!\n)", head_of(rest)) is not None


def has_repeated_field(rest: bytes) -> bool:
    names = (b"content-type", b"authorization", b"content-encoding", b"content-length")
    return any(len(values_of(rest, name)) > 1 for name in names) or b"," in b"".join(values_of(rest, b"content-length"))


def has_two_framings(rest: bytes) -> bool:
    return bool(values_of(rest, b"content-length")) and bool(values_of(rest, b"transfer-encoding"))


def has_chunks_in_1_0(rest: bytes) -> bool:
    return request_line(rest)[-1] == b"HTTP/1.0" and bool(values_of(rest, b"transfer-encoding"))


def is_kept_in_1_0(rest: bytes) -> bool:
    return request_line(rest)[-1] == b"HTTP/1.0" and b"keep-alive" in b",".join(values_of(rest, b"connection")).lower()


def is_long(rest: bytes) -> bool:
    lengths = values_of(rest, b"content-length")
    return any(length.isdigit() and int(length) > MAX_BODY_BYTES for length in lengths) or bool(
        values_of(rest, b"transfer-encoding") and re.search(rb"(?m)^[0-9A-Fa-f]{5,}", body_of(rest))
    )


def begins_with_an_empty_line(rest: bytes) -> bool:
    return rest.startswith(b"\r\n") or rest == b"\r"


def has_lenient_chunks(rest: bytes) -> bool:
    return bool(values_of(rest, b"transfer-encoding")) and (
        re.search(rb"(?m)^[0-9A-Fa-f]+[ \t]+;|;[^\r\n]*[\0-\x08\x0b\x0c\x0e-\x1f\x7f]|;[^\n]*\r(?!\n)", body_of(rest))
        is not None
    )


def has_odd_trailer(rest: bytes) -> bool:
    return bool(values_of(rest, b"transfer-encoding")) and (
        re.search(
            rb"(?im)^0+[ \t]*(;[^\n]*)?\r\n([^\r\n].*\r\n)*([ \t]|(content-length|transfer-encoding):|.*[^\r\n]\n)",
            body_of(rest),
        )
        is not None
    )


class Difference(NamedTuple):
    """A kind of request at which the parsers differ, on purpose.

    Attributes:
        is_met: whether a stream that begins with the request may be parsed differently.
        example: a request that is.
        is_accepted: whether the native engine is the one that accepts it.
    """

    is_met: Callable[[bytes], bool]
    example: bytes
    is_accepted: bool


HOST = b"Host: x\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
GET = b"GET / HTTP/1.1\r\n" + HOST + b"\r\n"
DIFFERENCES: dict[str, Difference] = {
    "methods that HTTP servers have no use for": Difference(
        has_other_method, b"BREW / HTTP/1.1\r\n" + HOST + b"\r\n", is_accepted=False
    ),
    "CONNECT, which is for proxies": Difference(
        has_other_method, b"CONNECT x:1 HTTP/1.1\r\n" + HOST + b"\r\n", is_accepted=False
    ),
    "targets that RFC 3986 does not allow": Difference(
        has_other_target, b"GET /<script> HTTP/1.1\r\n" + HOST + b"\r\n", is_accepted=False
    ),
    "an asterisk without OPTIONS": Difference(
        has_other_target, b"GET * HTTP/1.1\r\n" + HOST + b"\r\n", is_accepted=False
    ),
    "versions other than 1.0 and 1.1": Difference(
        has_other_version, b"GET / HTTP/1.2\r\n" + HOST + b"\r\n", is_accepted=False
    ),
    "malformed hosts": Difference(has_malformed_host, b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", is_accepted=False),
    "bare line feeds": Difference(has_obsolete_line, b"GET / HTTP/1.1\nHost: x\r\n\r\n", is_accepted=False),
    "folded lines": Difference(
        has_obsolete_line, b"GET / HTTP/1.1\r\n" + HOST + b"A: b\r\n c\r\n\r\n", is_accepted=False
    ),
    "control characters": Difference(
        has_control_character, b"GET / HTTP/1.1\r\n" + HOST + b"A: \x01\r\n\r\n", is_accepted=False
    ),
    "singular fields that are repeated": Difference(
        has_repeated_field, b"GET / HTTP/1.1\r\n" + HOST + b"Content-Type: a\r\n" * 2 + b"\r\n", is_accepted=False
    ),
    "lists of one length": Difference(
        has_repeated_field, b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 1, 1\r\n\r\na", is_accepted=False
    ),
    "a length and chunks": Difference(
        has_two_framings, CHUNKED[:-2] + b"Content-Length: 5\r\n\r\n0\r\n\r\n", is_accepted=False
    ),
    "chunks in HTTP/1.0": Difference(
        has_chunks_in_1_0, b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", is_accepted=False
    ),
    "bodies that are too large": Difference(
        is_long, b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 100001\r\n\r\n" + bytes(100001), is_accepted=False
    ),
    "line breaks and other bytes in an extension of a chunk": Difference(
        has_lenient_chunks, CHUNKED + b"1;\x01\r\na\r\n0\r\n\r\n", is_accepted=False
    ),
    "folded trailers": Difference(has_odd_trailer, CHUNKED + b"0\r\nA: b\r\n c\r\n\r\n", is_accepted=False),
    "HTTP/1.0 that keeps its connection": Difference(
        is_kept_in_1_0, b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" + GET, is_accepted=True
    ),
    "empty lines before a request": Difference(begins_with_an_empty_line, b"\r\n" + GET, is_accepted=True),
    "white space before an extension of a chunk": Difference(
        has_lenient_chunks, CHUNKED + b"1 ;a\r\na\r\n0\r\n\r\n", is_accepted=True
    ),
    "trailers that would be malformed headers": Difference(
        has_odd_trailer, CHUNKED + b"0\r\nContent-Length: x\r\n\r\n", is_accepted=True
    ),
}


def is_excused(raw: bytes, start: int) -> bool:
    return any(difference.is_met(raw[start:]) for difference in DIFFERENCES.values())


def find_difference(raw: bytes, ours: Outcome, theirs: Outcome) -> int | None:
    """Find the index of the first request that the parsers do not agree on; None: there is none."""
    for index, (one, other) in enumerate(zip(ours.requests, theirs.requests)):  # noqa: B905 - the lengths follow
        if one != other:
            return index
    count = min(len(ours.requests), len(theirs.requests))
    is_closed = {outcome.end for outcome in (ours, theirs) if len(outcome.requests) == count} == {"closed"}
    if len(ours.requests) != len(theirs.requests) or ours.pending != theirs.pending:
        return count - is_closed
    if ours.end == theirs.end:
        return None
    if "closed" in (ours.end, theirs.end):
        return count - 1
    return None if ours.pending is None else count  # one may see earlier than the other that half a head is malformed


@pytest.mark.parametrize("difference", DIFFERENCES.values(), ids=DIFFERENCES)
def test_each_difference_exists(difference: Difference) -> None:
    ours, theirs = parse([difference.example]), parse_with_h11(difference.example)
    index = find_difference(difference.example, ours, theirs)
    assert index is not None
    assert difference.is_met(difference.example[theirs.starts[index] :])
    assert (len(ours.requests) > len(theirs.requests)) is difference.is_accepted
    assert (ours.end == "refused") is not difference.is_accepted


# The streams


def build_request(line: bytes, headers: Sequence[bytes], body: bytes, chunks: Sequence[bytes] | None) -> bytes:
    framing = b"" if chunks is None and not body else b"Content-Length: %d\r\n" % len(body)
    if chunks is not None:
        framing, body = b"Transfer-Encoding: chunked\r\n", b"".join(chunks)
    return b"".join([line, b"\r\n", *(header + b"\r\n" for header in headers), framing, b"\r\n", body])


def write_chunks(parts: Sequence[tuple[bytes, bytes]], end: bytes) -> list[bytes]:
    return [b"%x%b\r\n%b\r\n" % (len(content), extension, content) for content, extension in parts] + [end]


TARGETS = (
    b"/", b"/live", b"/a%20b?c=%41&d=[e]", b"/p?q", b"/?", b"//x//y", b"http://h:80/a?b", b"http://h", b"HTTPS://h?q",
    b"*", b"/;a=1,b@c:d", b"/%ff", b"/a/../b",
)  # fmt: skip
LINES = st.builds(
    b"%b %b HTTP/%b".__mod__,
    st.tuples(
        st.sampled_from((b"GET", b"POST", b"PUT", b"HEAD", b"OPTIONS", b"DELETE", b"PATCH")),
        st.sampled_from(TARGETS),
        st.sampled_from((b"1.1", b"1.1", b"1.1", b"1.0")),
    ),
)
HEADERS = st.sampled_from(
    (
        b"A: b", b"a:", b"A:  b c \t", b"B:\tc", b"X-Y_z: \x80\xff", b"Cookie: a=b; c", b"cookie: d", b"Accept: a, b",
        b"Connection: keep-alive", b"Connection: close", b"connection: x, CLOSE", b"Connection:", b"Expect: 100-continue",
        b"Content-Type: text/plain", b"Authorization: Bearer x", b"Upgrade: h2c", b"Content-Length: 0", b"!#$%&'*+.^`|~: 1",
    )
)  # fmt: skip
HOSTS = st.sampled_from((b"Host: x", b"host:x:80", b"HOST: [::1]:5 ", b"Host: x", b"Host: x"))
BODIES = st.binary(max_size=12) | st.sampled_from((GET, b"0\r\n\r\n", b"\r\n"))
CHUNKS = st.builds(
    write_chunks,
    st.lists(st.tuples(BODIES.filter(bool), st.sampled_from((b"", b"", b";a", b";b=c", b" "))), max_size=3),
    st.sampled_from((b"0\r\n\r\n", b"0\r\n\r\n", b"00;x\r\n\r\n", b"0\r\nA: b\r\n\r\n")),
)
REQUESTS = st.builds(
    lambda line, host, headers, body, chunks: build_request(line, [host, *headers], body, chunks),
    LINES,
    HOSTS,
    st.lists(HEADERS, max_size=3),
    st.just(b"") | BODIES,
    st.none() | st.none() | CHUNKS,
)
BYTES = st.sampled_from(
    (
        b"\r", b"\n", b"\r\n", b"\r\n\r\n", b" ", b"\t", b":", b",", b";", b"0", b"1", b"f", b"-", b"+", b"\0", b"\x0b",
        b"\x7f", b"\xe9", b"/", b"?", b"#", b"%", b"<", b"@", b"[", b"A", b"a", b"Host: x\r\n", b"Content-Length: 1\r\n",
        b"Transfer-Encoding: chunked\r\n", b"Connection: close\r\n", b"GET / HTTP/1.1\r\n", b"HTTP/1.0", b"HTTP/2.0",
    )
)  # fmt: skip
CHANGES = st.lists(st.tuples(st.integers(0, 400), st.integers(0, 3), BYTES | st.binary(max_size=2)), max_size=3)


def change(raw: bytes, changes: Sequence[tuple[int, int, bytes]]) -> bytes:
    """Replace bytes at each place by others."""
    for place, size, inserted in changes:
        at = place % (len(raw) + 1)
        raw = raw[:at] + inserted + raw[at + size :]
    return raw


def cut(raw: bytes, places: Sequence[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(raw) + 1) for place in places), len(raw)]
    return [raw[start:end] for start, end in itertools.pairwise(edges)]


def assert_agreement(raw: bytes, places: Sequence[int]) -> None:
    ours, theirs = parse(cut(raw, places)), parse_with_h11(raw)
    index = find_difference(raw, ours, theirs)
    assert index is None or is_excused(raw, theirs.starts[index]), (raw, ours, theirs)


PLACES = st.lists(st.integers(0, 1000), max_size=8)


@settings(deadline=None)
@given(st.lists(REQUESTS, min_size=1, max_size=4), PLACES)
def test_streams_of_requests_are_parsed_alike(requests: list[bytes], places: list[int]) -> None:
    assert_agreement(b"".join(requests), places)


@settings(deadline=None)
@given(st.lists(REQUESTS, min_size=1, max_size=3), CHANGES, PLACES)
@example([CHUNKED + b"1\r\na\r\n0\r\n\r\n", GET], [], [])
@example([b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1 \t\r\n\r\na", GET], [], [3, 40])
def test_streams_with_changed_bytes_are_parsed_alike(
    requests: list[bytes], changes: list[tuple[int, int, bytes]], places: list[int]
) -> None:
    assert_agreement(change(b"".join(requests), changes), places)


@settings(deadline=None)
@given(st.lists(BYTES | REQUESTS | HEADERS, max_size=8), PLACES)
def test_streams_of_fragments_are_parsed_alike(fragments: list[bytes], places: list[int]) -> None:
    assert_agreement(b"".join(fragments), places)

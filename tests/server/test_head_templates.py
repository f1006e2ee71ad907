"""Heads of HTTP/1.1 read by templates: the same heads, and the same refusals, as without."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seldon_spec.errors import RequestError, Unauthenticated
from seldon_spec.protocols.seldon_v1.errors import describe
from seldon_spec.transport.http1.head import parse_head
from seldon_spec.transport.http1.head_cache import HeadCache, KnownHead
from seldon_spec.transport.http1.messages import FIXED_HEADERS, RequestCycle, RequestHandler, RequestHead, ResponseHead
from seldon_spec.transport.templates import MAX_BYTES, MAX_FIELDS, RecentTemplates

MAX_BODY_BYTES = 1000


class Handler:
    """The handler of a head, with values that it depends on."""

    def __init__(self, head: RequestHead) -> None:
        self.trace = head.find(b"traceparent")
        self.token = head.find(b"authorization")

    def begin(self, exchange: RequestCycle) -> None:
        """Nothing is answered here."""


class App:
    """Refuses the token ``bad``; counts the handlers that it searches."""

    max_body_bytes = MAX_BODY_BYTES

    def __init__(self) -> None:
        self.searches = 0

    def find_handler(self, head: RequestHead) -> Handler:
        self.searches += 1
        return self._check(head)

    def vary(
        self, _head: RequestHead, _handler: object, _names: Sequence[bytes]
    ) -> Callable[[RequestHead, Sequence[bytes]], Handler]:
        return lambda head, _values: self._check(head)

    def is_probe(self, _head: RequestHead) -> bool:
        return False

    def refuse(self, error: RequestError, _head: RequestHead | None, _path: str = "") -> tuple[ResponseHead, bytes]:
        return ResponseHead(describe(error).http, []), b""

    def _check(self, head: RequestHead) -> Handler:
        if head.find(b"authorization") == b"bad":
            raise Unauthenticated("a bad token")
        return Handler(head)


class Reader:
    """Reads heads as a connection does."""

    def __init__(self, cache: HeadCache) -> None:
        self.cache = cache
        self.recent: RecentTemplates[KnownHead] = RecentTemplates()

    def read(self, raw: bytes) -> RequestHead:
        return self.read_known(raw)[0]

    def read_known(self, raw: bytes) -> KnownHead:
        known = self.recent.read(raw) or self.cache.get(raw, self.recent)
        if known is None:
            head = parse_head(raw)
            known = head, self.cache.put(raw, head, self.recent)
        return known


def describe_head(head: RequestHead, handler: RequestHandler) -> tuple[object, ...]:
    assert isinstance(handler, Handler)
    names = [name for name, _ in head.headers]
    return (
        *(head.method, head.path, head.query, head.version, head.headers, head.content_length, head.size),
        *(head.is_chunked, head.is_kept, head.awaits_continue, handler.trace, handler.token),
        *(head.find(name) for name in (*names, b"missing")),
    )


def outcome(read: Callable[[], KnownHead]) -> object:
    try:
        return describe_head(*read())
    except RequestError as error:
        return type(error), str(error)


def raw_head(fields: Sequence[tuple[str, str]], line: str = "POST /predict HTTP/1.1") -> bytes:
    return "\r\n".join([line, *(f"{name}: {value}" for name, value in fields), "", ""]).encode("latin-1")


def varied(number: int, **changes: str) -> bytes:
    values = {"Host": "x", "traceparent": f"id-{number}", "User-Agent": "a b", "Content-Length": "3", **changes}
    return raw_head([*values.items()])


NAMES = st.sampled_from(
    ["traceparent", "X-Request-Id", "Authorization", "content-length", "Content-Type", "X-A", "x-a", "Cookie", "Accept"]
)
VALUES = st.one_of(
    st.sampled_from(["1", "22", "bad", "good", "", " edge ", "\t", "é", "a\rb", "a\nb", "a\0b", "a\x7fb", "9" * 30]),
    st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=20),
    st.integers(0, 2000).map(str),
)


@given(st.lists(NAMES, max_size=5), st.data())
def test_a_head_is_what_it_would_be_if_it_were_parsed_each_time(names: list[str], data: st.DataObject) -> None:
    cache = HeadCache(App())
    readers = [Reader(cache), Reader(cache)]
    lines = st.sampled_from(["POST /predict HTTP/1.1", "GET /a?b HTTP/1.0"])
    for number in range(data.draw(st.integers(3, 12))):
        fields = [("Host", "x"), *((name, data.draw(VALUES)) for name in names)]
        raw = raw_head(fields, data.draw(lines))
        expected = outcome(lambda raw=raw: Reader(HeadCache(App())).read_known(raw))  # type: ignore[misc]
        assert outcome(lambda raw=raw, number=number: readers[number % 2].read_known(raw)) == expected  # type: ignore[misc]


def test_heads_that_differ_in_some_values_are_planned_a_few_times_only() -> None:
    app = App()
    reader = Reader(HeadCache(app))
    for number in range(100):
        head = reader.read(varied(number, **{"Content-Length": str(number)}))
        assert (head.find(b"traceparent"), head.content_length) == (b"id-%d" % number, number)
    assert app.searches <= 3


def test_heads_that_differ_in_many_values_are_parsed_each_time() -> None:
    """A template for each of them would cost the client nothing, and the server much more than parsing."""
    app = App()
    reader = Reader(HeadCache(app))
    for number in range(40):
        fields = [("Host", "x"), *((f"X-{place}", f"{number}") for place in range(17))]
        assert reader.read(raw_head(fields)).find(b"x-16") == b"%d" % number
    assert app.searches == 40


def test_one_template_serves_other_connections_after_one_head() -> None:
    app = App()
    cache = HeadCache(app)
    for number in range(5):
        Reader(cache).read(varied(number))
    before, reader = app.searches, Reader(cache)
    for number in range(5, 100):
        reader.read(varied(number))
    assert app.searches == before + 1


def test_connections_that_mix_clients_keep_a_template_of_each() -> None:
    app = App()
    reader = Reader(HeadCache(app))
    for number in range(100):
        reader.read(varied(number))
        reader.read(varied(number, Accept="json"))
        reader.read(raw_head([("Host", "x")]))
    assert app.searches <= 8


@pytest.mark.parametrize("name", sorted(FIXED_HEADERS))
def test_a_header_that_decides_how_a_request_is_read_never_varies(name: bytes) -> None:
    app = App()
    reader = Reader(HeadCache(app))
    values = {"te": "trailers", "transfer-encoding": "chunked"}
    for number in range(10):
        value = values.get(name.decode(), f"v{number}")
        fields = [("Host", "x"), ("traceparent", "t")]
        if name == b"host":
            fields[0] = ("Host", value)
        else:
            fields.append((name.decode(), value))
        if name == b"transfer-encoding":
            fields[1] = ("traceparent", str(number))  # only one value is valid
        head = reader.read(raw_head(fields))
        assert head.find(name) == value.encode()
    assert app.searches == (10 if name not in (b"te", b"transfer-encoding") else app.searches)


BROKEN = {
    "bare carriage return": "a\rb",
    "bare line feed": "a\nX-New: b",
    "null": "a\0b",
    "control character": "a\x01b",
    "delete": "a\x7fb",
    "folded line": "a\r\n b",
}


@pytest.mark.parametrize("value", BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize("name", ["traceparent", "User-Agent"])
def test_a_broken_value_is_refused_as_it_is_without_a_template(name: str, value: str) -> None:
    reader = Reader(HeadCache(App()))
    for number in range(5):
        reader.read(varied(number, **{"User-Agent": f"agent {number}"}))
    raw = varied(6, **{name: value})
    expected = outcome(lambda: Reader(HeadCache(App())).read_known(raw))
    assert outcome(lambda: reader.read_known(raw)) == expected
    assert outcome(lambda: reader.read_known(varied(7))) == outcome(
        lambda: Reader(HeadCache(App())).read_known(varied(7))
    )


@pytest.mark.parametrize("length", ["", "-1", "+1", "1_0", "0x1", "1, 1", "9" * 21, str(MAX_BODY_BYTES + 1)])
def test_a_length_that_is_none_or_too_long_is_refused_as_it_is_without_a_template(length: str) -> None:
    reader = Reader(HeadCache(App()))
    for number in range(5):
        reader.read(varied(number, **{"Content-Length": str(number)}))
    raw = varied(6, **{"Content-Length": length})
    expected = outcome(lambda: Reader(HeadCache(App())).read_known(raw))
    assert outcome(lambda: reader.read_known(raw)) == expected


@pytest.mark.parametrize("is_varying", [True, False], ids=["varying token", "constant token"])
def test_a_token_is_checked_each_time(is_varying: bool) -> None:
    reader = Reader(HeadCache(App()))
    for number in range(10):
        reader.read(varied(number, Authorization=f"good-{number}" if is_varying else "good"))
    for _ in range(3):
        with pytest.raises(Unauthenticated):
            reader.read(varied(11, Authorization="bad"))
    assert reader.read(varied(12, Authorization="good")).find(b"authorization") == b"good"


def test_a_flood_of_unknown_heads_leaves_the_templates_of_others() -> None:
    app = App()
    cache = HeadCache(app)
    good, other = varied(0), raw_head([("Host", "x"), ("X-Constant", "1")])
    for number in range(5):
        Reader(cache).read(varied(number))
        Reader(cache).read(other)
    attacker = Reader(cache)
    for number in range(5000):
        attacker.read(raw_head([("Host", "x"), (f"X-{number}", "1")]))
    before = app.searches
    assert Reader(cache).read(other).find(b"x-constant") == b"1"
    assert app.searches == before
    reader = Reader(cache)
    reader.read(good)
    for number in range(50):
        reader.read(varied(number))
    assert app.searches == before + 1


HUGE = {
    "bytes": [("Host", "x"), ("traceparent", "{}"), ("X-Long", "a" * MAX_BYTES)],
    "fields": [("Host", "x"), ("traceparent", "{}"), *((f"X-{number}", "1") for number in range(MAX_FIELDS))],
}


@pytest.mark.parametrize("fields", HUGE.values(), ids=HUGE)
def test_a_huge_head_is_parsed_each_time(fields: list[tuple[str, str]]) -> None:
    app = App()
    reader = Reader(HeadCache(app))
    for number in range(10):
        reader.read(raw_head([(name, value.format(number)) for name, value in fields]))
    assert app.searches == 10


def test_a_value_that_makes_a_head_huge_is_parsed() -> None:
    app = App()
    reader = Reader(HeadCache(app))
    for number in range(5):
        reader.read(varied(number))
    before = app.searches
    reader.read(varied(6, traceparent="a" * MAX_BYTES))
    assert app.searches == before + 1

"""Header blocks read by templates: the same calls, and the same refusals, as where each field is read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import hpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seldon_spec.config.model import AuthSpec
from seldon_spec.observability.request_context import SOUND_ID
from seldon_spec.transport.http2 import frames as h2
from seldon_spec.transport.http2.block_templates import FIXED_FIELDS, MakeVaried, Use, decode_text
from seldon_spec.transport.http2.fields import BlockReader, Fields, HeaderBlockCache, write_fields
from seldon_spec.transport.http2.frames import H2ConnectionError
from seldon_spec.transport.http2.huffman import decode_printable, is_plain, is_visible
from seldon_spec.transport.templates import MAX_BYTES, MAX_FIELDS

PREDICT = (":path", "/seldon.protos.Model/Predict")
READ = (b"traceparent", b"grpc-timeout", b"authorization")
ID = b"x-request-id"


Seen = dict[bytes, bytes]


class Cache:
    """A cache whose heads are the values of some fields; counts the blocks that are read field by field."""

    def __init__(self) -> None:
        self.count = 0
        self.blocks: HeaderBlockCache[Seen] = HeaderBlockCache(
            self._make, self._vary, {**dict.fromkeys(READ, Use.TEXT), ID: Use.ID}, SOUND_ID.fullmatch
        )

    def reader(self) -> BlockReader[Seen]:
        reader = BlockReader(self.blocks)
        reader.decode(b"\x20")
        return reader

    def _make(self, fields: Fields) -> Seen:
        self.count += 1
        return _select(fields)

    def _vary(self, head: Seen, names: Sequence[bytes]) -> MakeVaried[Seen]:
        def make(values: Sequence[bytes]) -> Seen:
            given = dict(zip(names, values, strict=True))
            if given.get(ID):
                given[ID] = decode_text(given[ID])
            return {**head, **_select(given.items())}

        return make


def _select(fields: Iterable[tuple[bytes, bytes]]) -> Seen:
    """The fields that are read; of an ID that is not sound, nothing."""
    seen = {name: value for name, value in fields if name in (b":path", b"te", b"content-type", ID, *READ)}
    if ID in seen and SOUND_ID.fullmatch(seen[ID]) is None:
        seen[ID] = b""
    return seen


def encode(fields: Sequence[tuple[str, str]], *, huffman: bool = True) -> bytes:
    encoder = hpack.Encoder()
    encoder.header_table_size = 0
    block: bytes = encoder.encode([], huffman=huffman) + encoder.encode(fields, huffman=huffman)
    return block.lstrip(b"\x20")


def outcome(reader: BlockReader[Seen], block: bytes) -> object:
    try:
        return reader.read(block)
    except H2ConnectionError as fault:
        return fault.code, str(fault)


NAMES = st.sampled_from(
    ["traceparent", "grpc-timeout", "authorization", "x-request-id", "te", "content-type", "x-own", "via"]
)
VALUES = st.one_of(
    st.sampled_from(["1", "22", "", " edge", "edge ", "\t", "é", "a\rb", "a\0b", "x" * 100, "y" * 300, "|" * 127]),
    st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=20),
)


@given(st.lists(NAMES, max_size=5, unique=True), st.data())
def test_a_block_means_what_it_would_if_its_fields_were_read_each_time(names: list[str], data: st.DataObject) -> None:
    cache = Cache()
    readers = [cache.reader(), cache.reader()]
    for number in range(data.draw(st.integers(3, 12))):
        fields = [PREDICT, *((name, data.draw(VALUES)) for name in names)]
        block = encode(fields, huffman=data.draw(st.booleans()))
        if data.draw(st.booleans()):
            block = block[: data.draw(st.integers(0, len(block)))] + data.draw(st.binary(max_size=3))
        assert outcome(readers[number % 2], block) == outcome(Cache().reader(), block)


@settings(deadline=None)  # the tables are built when they are needed
@given(st.one_of(st.binary(max_size=12), st.text(st.characters(max_codepoint=0x7E), max_size=30).map(str.encode)))
def test_huffman_codes_are_read_as_hpack_reads_them(data: bytes) -> None:
    raw = encode([("a", data.decode("latin-1"))])[4:] if data.isascii() else data
    try:
        ((_, expected),) = hpack.Decoder().decode(b"\0\x01a" + write_length(raw) + raw, raw=True)
    except hpack.HPACKError:
        expected = None
    if expected is not None and any(not 0x20 <= byte < 0x7F for byte in expected):
        expected = None
    assert decode_printable(raw) == expected
    assert is_visible(raw) == (bool(expected) and b" " not in (expected or b""))
    assert is_plain(raw) == (bool(expected) and (expected or b"").strip(b" ") == expected)


def write_length(raw: bytes) -> bytes:
    """The length of a text in Huffman's code, less than 127."""
    return bytes((0x80 | len(raw),))


def varied(number: int, **changes: str) -> bytes:
    fields = {"traceparent": f"id-{number}", "user-agent": "me", **changes}
    return encode([PREDICT, *((name.replace("_", "-"), value) for name, value in fields.items())])


def test_blocks_that_differ_in_some_values_are_read_a_few_times_only() -> None:
    cache = Cache()
    reader = cache.reader()
    for number in range(100):
        assert b"id-%d" % number == reader.read(varied(number, authorization="Bearer " + "t" * 900))[b"traceparent"]
    assert cache.count <= 3


@pytest.mark.parametrize("name", [*sorted(FIXED_FIELDS), b":authority", b":scheme"])
def test_a_field_that_decides_how_a_request_is_read_never_varies(name: bytes) -> None:
    cache = Cache()
    reader = cache.reader()
    for number in range(10):
        reader.read(encode([(name.decode(), f"v{number}"), PREDICT, ("traceparent", f"{number}")]))
    assert cache.count == 10


def test_a_flood_of_unknown_blocks_leaves_the_templates_of_others() -> None:
    cache = Cache()
    constant = encode([PREDICT, ("x-constant", "1")])
    for number in range(5):
        cache.reader().read(varied(number))
        cache.reader().read(constant)
    attacker = cache.reader()
    for number in range(3000):
        attacker.read(write_fields([(b":path", b"/"), (b"x-%d" % number, b"1")]))
    before = cache.count
    cache.reader().read(constant)
    assert cache.count == before
    reader = cache.reader()
    for number in range(100):
        reader.read(varied(number))
    assert cache.count == before + 1


@pytest.mark.parametrize("is_long", [True, False], ids=["bytes", "fields"])
def test_a_huge_block_is_read_each_time(is_long: bool) -> None:
    cache = Cache()
    reader = cache.reader()
    more = [("x", "a" * 2 * MAX_BYTES)] if is_long else [(f"x-{number}", "1") for number in range(MAX_FIELDS)]
    for number in range(10):
        reader.read(encode([PREDICT, ("traceparent", f"{number}"), *more]))
    assert cache.count == 10


# Calls on a connection of a port


class Caller:
    """Calls on one connection, whose client says that it has no table."""

    def __init__(self, client: Any, say: Any) -> None:
        self.client, self.say = client, say
        self.stream_id = -1
        self.is_first = True

    def call(self, text: str, fields: dict[str, str]) -> tuple[dict[bytes, bytes], bytes]:
        self.stream_id += 2
        block = encode(
            [
                *((":method", "POST"), (":scheme", "http"), PREDICT, (":authority", "x")),
                *(("content-type", "application/grpc"), ("te", "trailers"), *fields.items()),
            ]
        )
        if self.is_first:
            self.is_first, block = False, b"\x20" + block
        self.client.send(
            self.say.frame(h2.HEADERS, h2.END_HEADERS, self.stream_id, block)
            + self.say.body(self.say.message(text), self.stream_id)
        )
        answer: tuple[dict[bytes, bytes], bytes] = self.client.answer(self.stream_id)
        return answer

    def status(self, text: str, **fields: str) -> bytes:
        return self.call(text, {name.replace("_", "-"): value for name, value in fields.items()})[0][b"grpc-status"]


def test_each_call_has_its_own_id(shared: Any, say: Any) -> None:
    with shared.raw() as client:
        caller = Caller(client, say)
        for number in range(10):
            fields, _ = caller.call("a", {"x-request-id": f"id-{number}", "traceparent": "t" * number})
            assert fields[b"seldon-puid"] == b"id-%d" % number
        fields, _ = caller.call("a", {"x-request-id": "not sound ü", "traceparent": "t"})
        assert fields[b"grpc-status"] == b"0"
        assert b"seldon-puid" not in fields


def test_each_call_has_its_own_deadline(shared: Any, say: Any) -> None:
    with shared.raw() as client:
        caller = Caller(client, say)
        for number in range(10):
            assert caller.status("a", grpc_timeout=f"{20 + number}S") == b"0"
        shared.model.release.clear()
        shared.model.entered.clear()
        try:
            assert caller.status("wait", grpc_timeout="50m") == b"4"
        finally:
            shared.model.release.set()
        assert caller.status("a", grpc_timeout="1 S") != b"0"
        assert caller.status("a", grpc_timeout="21S") == b"0"


@pytest.mark.parametrize("is_varying", [True, False], ids=["varying token", "constant token"])
def test_the_token_of_each_call_is_checked(serve_grpc: Any, say: Any, is_varying: bool) -> None:
    auth = AuthSpec(tokens=("first", "second"))
    with serve_grpc(auth=auth) as served, served.raw() as client:
        status = partial(Caller(client, say).status, "a")
        for number in range(10):
            token = ("first", "second")[number % 2] if is_varying else "first"
            assert status(authorization=f"Bearer {token}", traceparent=f"{number}") == b"0"
        for number, token in enumerate(("third", "firs", "first1", "FIRST")):
            assert status(authorization=f"Bearer {token}", traceparent=f"b{number}") == b"16", token
        assert status(traceparent="c") == b"16"
        assert status(authorization="Bearer second", traceparent="d") == b"0"

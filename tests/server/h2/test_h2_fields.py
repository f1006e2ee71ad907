"""Header blocks: what is read field by field is what a whole decoder reads."""

from __future__ import annotations

import logging

import hpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seldon_spec.server.h2.fields import BlockReader, Fields, HeaderBlockCache, write_fields
from seldon_spec.server.h2.frames import ConnectionFault

NAMES = st.sampled_from([":path", ":method", "content-type", "x-own", "via", "x" * 200, "accept-charset"])
FIELDS = st.lists(st.tuples(NAMES, st.text(max_size=300).map(lambda text: text.encode().decode("latin-1"))), max_size=8)
ALL_NAMES = [":path", ":method", "content-type", "x-own", "via", "x" * 200, "accept-charset"]


def raw(fields: list[tuple[str, str]]) -> Fields:
    return [(name.encode(), value.encode("utf-8")) for name, value in fields]


def stateless(heads: HeaderBlockCache[Fields]) -> BlockReader[Fields]:
    reader = BlockReader(heads)
    reader.decode(b"\x20")
    return reader


def read(block: bytes) -> Fields | None:
    """What hpack reads where there is no table; None: an error."""
    decoder = hpack.Decoder()
    decoder.header_table_size = 0
    try:
        return [(name, value) for name, value in decoder.decode(block, raw=True)]
    except (hpack.HPACKError, ValueError, IndexError):
        return None


@given(FIELDS, st.booleans())
def test_fields_come_back_however_they_are_encoded(fields: list[tuple[str, str]], is_huffman: bool) -> None:
    encoder = hpack.Encoder()
    encoder.header_table_size = 0
    encoder.encode([])
    block = encoder.encode(fields, huffman=is_huffman)
    reader = stateless(HeaderBlockCache(list, [name.encode() for name in ALL_NAMES]))
    for _ in range(2):  # new, and known
        assert reader.read(block) == raw(fields)


@given(FIELDS)
def test_fields_that_we_write(fields: list[tuple[str, str]]) -> None:
    assert read(write_fields(raw(fields))) == raw(fields)


BYTES = st.one_of(
    st.binary(max_size=60),
    st.lists(
        st.sampled_from([b"\x82", b"\x0f\x01\x01x", b"\x00\x01a\x01b", b"\x7f\x00\x00", b"\x1f\x2e\x02xy", b"\x0f"])
    ).map(b"".join),
)


@given(BYTES)
def test_any_bytes_mean_what_a_whole_decoder_says(block: bytes) -> None:
    class All(frozenset[bytes]):
        def __contains__(self, _: object) -> bool:
            return True

    heads: HeaderBlockCache[Fields] = HeaderBlockCache(list, ())
    heads._wanted = All()
    expected = read(block)
    for _ in range(2):
        reader = stateless(heads)
        if expected is None:
            with pytest.raises(ConnectionFault):
                reader.read(block)
        else:
            assert reader.read(block) == expected


def test_no_log_tells_what_headers_hold(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    block = write_fields([(b"authorization", b"Bearer secret")])
    reader = BlockReader(HeaderBlockCache(list, [b"authorization"]))
    assert reader.decode(block) == [(b"authorization", b"Bearer secret")]
    assert caplog.text == ""


def test_values_that_nobody_looks_at_are_not_decoded() -> None:
    reader = stateless(HeaderBlockCache(list, [b"wanted"]))
    encoder = hpack.Encoder()
    encoder.header_table_size = 0
    block = encoder.encode([("wanted", "yes"), ("other", "no")])
    head = reader.read(block[block.index(b"\x40") :])
    assert head == [(b"wanted", b"yes"), (b"other", b"\x82\xa8\xff")]

"""Header blocks: what is read field by field is what a whole decoder reads."""

from __future__ import annotations

import logging
import re

import hpack
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from seldon_spec.transport.http2.fields import BlockReader, Fields, HeaderBlockCache, write_fields
from seldon_spec.transport.http2.frames import ErrorCode, H2ConnectionError

NAMES = st.sampled_from([":path", ":method", "content-type", "x-own", "via", "x" * 200, "accept-charset"])
FIELDS = st.lists(st.tuples(NAMES, st.text(max_size=300).map(lambda text: text.encode().decode("latin-1"))), max_size=8)


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
    reader = stateless(HeaderBlockCache(list))
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
    assume(re.match(rb"([\x20-\x3e]|\x3f[\x80-\xff]*[\x00-\x7f]){3}", block) is None)  # "hpack/4.2, three updates"
    heads: HeaderBlockCache[Fields] = HeaderBlockCache(list)
    expected = read(block)
    for _ in range(2):
        reader = stateless(heads)
        if expected is None:
            with pytest.raises(H2ConnectionError):
                reader.read(block)
        else:
            assert reader.read(block) == expected


def test_no_log_tells_what_headers_hold(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    block = write_fields([(b"authorization", b"Bearer secret")])
    reader = BlockReader(HeaderBlockCache(list))
    assert reader.decode(block) == [(b"authorization", b"Bearer secret")]
    assert caplog.text == ""


BROKEN_CODES = {
    "padded by zeros": b"\x00\x01x\x81\x00",
    "padded by a whole byte": b"\x00\x01x\x82\x1f\xff",
    "the end-of-string code": b"\x00\x01x\x84\xff\xff\xff\xff",
    "a name padded by zeros": b"\x00\x81\x00\x01x",
}


@pytest.mark.parametrize("block", BROKEN_CODES.values(), ids=BROKEN_CODES)
@pytest.mark.parametrize("is_stateless", [True, False], ids=["without a table", "with a table"])
def test_broken_huffman_codes_are_errors_in_every_field(block: bytes, is_stateless: bool) -> None:
    heads: HeaderBlockCache[Fields] = HeaderBlockCache(list)
    for _ in range(2):
        reader = stateless(heads) if is_stateless else BlockReader(heads)
        with pytest.raises(H2ConnectionError) as caught:
            reader.read(block)
        assert caught.value.code is ErrorCode.COMPRESSION_ERROR

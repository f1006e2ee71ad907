"""What is read or written quickly is what the plain way gives: every bit of it, and every refusal."""

from __future__ import annotations

import json
import re
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from seldon_spec.errors import SeldonSpecError
from seldon_spec.inference.component.response import build_response_message, merge_meta
from seldon_spec.inference.message import Message, Operation, PayloadType
from seldon_spec.inference.request import LazyBody
from seldon_spec.protocols import json_numbers
from seldon_spec.protocols.json_style import JsonStyle
from seldon_spec.protocols.protobuf_wire import write_varint
from seldon_spec.protocols.seldon_v1 import proto_codec, proto_message
from seldon_spec.protocols.seldon_v1.array_encoding import ArrayEncoding, set_encoding
from seldon_spec.protocols.seldon_v1.fast import json_reader as json_read
from seldon_spec.protocols.seldon_v1.fast import json_writer as json_write
from seldon_spec.protocols.seldon_v1.fast import proto as wire
from seldon_spec.protocols.seldon_v1.json_codec import JsonCodec
from seldon_spec.protocols.seldon_v1.proto import SeldonMessage
from seldon_spec.protocols.seldon_v1.proto_codec import ProtoCodec

REST = JsonCodec()
GRPC = ProtoCodec()


def outcome(ask: Callable[[], Message]) -> Any:
    """All that a class could see of a message, or the error that the client gets."""
    try:
        message = ask()
    except SeldonSpecError as error:
        return type(error), str(error)
    payload = message.payload
    if isinstance(payload, np.ndarray):
        bits = repr(payload.tolist()) if payload.dtype == object else payload.tobytes()
        payload = (payload.dtype, payload.shape, bits, payload.flags.writeable, payload.flags.c_contiguous)
    return message.payload_type, message.encoding, payload, repr(message.names), repr(message.meta)


@contextmanager
def pieces_of(size: int) -> Iterator[None]:
    """Have arrays handled in pieces so small that a short example has many."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_numbers, "_PIECE_BYTES", size)
        patch.setattr(wire, "_BLOCK_BYTES", size)
        yield


def decode_json(text: bytes) -> Message:
    return REST.decode(Operation.PREDICT, text).message


def read_json(text: bytes) -> Message:
    return REST.read_message(Operation.PREDICT, json_read.read_plain(text))


def assert_json_is_read_alike(text: bytes) -> None:
    expected = outcome(lambda: read_json(text))
    assert outcome(partial(decode_json, text)) == expected
    assert outcome(lambda: REST.decode(Operation.PREDICT, memoryview(bytearray(text))).message) == expected
    for size in (5, 17, 1 << 18):
        with pieces_of(size):
            assert (
                outcome(lambda: REST.read_message(Operation.PREDICT, LazyBody(text, json_read.read_plain))) == expected
            )


def ndarray(value: str) -> bytes:
    return b'{"data":{"ndarray":%b}}' % value.encode()


def tensor(values: str, shape: str = "[2]") -> bytes:
    return f'{{"data":{{"tensor":{{"shape":{shape},"values":{values}}}}}}}'.encode()


PLAIN_JSON = {
    "floats": ndarray("[[1.5,2.5],[3.5,4.5]]"),
    "integers": ndarray("[[1,2],[3,4]]"),
    "mixed-in-one-row": ndarray("[[1,2.5]]"),
    "mixed-over-rows": ndarray("[[1,2],[3,4],[5,6],[7.5,8]]"),
    "one-dimension": ndarray("[1,2.5,3]"),
    "one-column": ndarray("[[1.5],[2],[3]]"),
    "one-number": ndarray("[1]"),
    "minus-zero": ndarray("[[-0.0,0.0]]"),
    "whole-minus-zero": ndarray("[-0,1]"),
    "whole-minus-zero-mixed": ndarray("[-0,1.5]"),
    "exponents": ndarray("[1e5,1E-5,-2e+3]"),
    "underflow": ndarray("[1e-400,5e-324]"),
    "many-digits": ndarray("[0.10000000000000000555111512312578270211815834045410156250]"),
    "many-digits-before-the-point": ndarray("[12345678901234567890123.5]"),
    "largest-64-bit": ndarray("[9223372036854775807,-9223372036854775808]"),
    "spaces": b' {\n"data" : {"ndarray"\t: [ [ 1 , 2.5 ] , \r\n[ 3 , 4 ] ] } } ',
    "tensor": tensor("[1.5,2]"),
    "tensor-of-integers": tensor("[1,2]"),
    "tensor-nested": tensor("[[1,2]]"),
    "tensor-inferred": tensor("[1,2,3,4]", "[-1,2]"),
    "values-before-shape": b'{"data":{"tensor":{"values":[1,2.5],"shape":[1,2]}}}',
    "names-before": b'{"data":{"names":["a","\\u00e9"],"ndarray":[[1,2]]}}',
    "names-after": '{"data":{"ndarray":[[1,2]],"names":["a","é"]}}'.encode(),
    "meta": b'{"meta":{"puid":"p","tags":{"a":[1,{"b":null}]}},"data":{"ndarray":[[1,2.5]]}}',
    "meta-after": b'{"data":{"ndarray":[[1,2.5]]},"meta":{"tags":{"x":1e16,"y":-0}}}',
    "meta-null": b'{"data":{"ndarray":[[1,2.5]]},"meta":null}',
    "meta-list": b'{"data":{"ndarray":[[1,2.5]]},"meta":{"tags":[1]}}',
    "unknown-beside": b'{"more":[true],"data":{"x":{"y":[]},"ndarray":[[1,2.5]]},"strData":"s"}',
    "half-a-surrogate-beside": b'{"data":{"names":["\\ud800"],"ndarray":[[1,2.5]]}}',
    "byte-order-mark": b'\xef\xbb\xbf{"data":{"ndarray":[[1,2.5]]}}',
    "shape-does-not-fit": tensor("[1,2,3]"),
    "shape-of-text": tensor("[1,2]", '["a"]'),
    "shape-missing": b'{"data":{"tensor":{"values":[1,2]}}}',
    "both-arrays": b'{"data":{"ndarray":[[1,2.5]],"tensor":{"shape":[1],"values":[7]}}}',
    "big-integer-beside": b'{"data":{"ndarray":[[1,2.5]]},"meta":{"tags":{"a":123456789012345678901}}}',
    "deep-beside": b'{"data":{"ndarray":[[1,2.5]]},"meta":{"tags":{"a":' + b"[" * 150 + b"]" * 150 + b"}}}",
    "deep-names": b'{"data":{"names":' + b"[" * 150 + b"]" * 150 + b',"ndarray":[[1,2.5]]}}',
}
"""Texts whose array is read without lists."""

OTHER_JSON = {
    "nothing": b"",
    "cut-off": b'{"data":{"ndarray":[[1,2.5],[3,4',
    "cut-off-after": b'{"data":{"ndarray":[[1,2.5],[3,4]]',
    "more-after": b'{"data":{"ndarray":[[1,2.5]]}} x',
    "empty": ndarray("[]"),
    "empty-rows": ndarray("[[],[]]"),
    "empty-row-among-others": ndarray("[[1],[],[2,3]]"),
    "empty-tensor": tensor("[]", "[0,3]"),
    "ragged": ndarray("[[1,2],[3]]"),
    "ragged-with-the-right-count": ndarray("[[1,2],[3],[4,5,6]]"),
    "rows-and-numbers": ndarray("[[1,2],3,[4,5]]"),
    "number-then-row": ndarray("[1,[2]]"),
    "three-dimensions": ndarray("[[[1,2],[3,4]]]"),
    "nested-lists-of-one": ndarray("[[[1]],[[2]]]"),
    "one-of-them-nested": ndarray("[[1],[[2]]]"),
    "text": ndarray('[["a",1]]'),
    "text-late": ndarray('[[1,2],[3,4],[5,6],[7,"8"]]'),
    "truth": ndarray("[[1,true]]"),
    "truths": ndarray("[[true,false]]"),
    "null": ndarray("[[1.5,null]]"),
    "object": ndarray('[[1.5,{"a":1}]]'),
    "nan": ndarray("[[1.5,NaN]]"),
    "infinity": ndarray("[[-Infinity,1]]"),
    "overflow": ndarray("[[1e400,1]]"),
    "unsigned-64-bit": ndarray("[9223372036854775808,1]"),
    "beyond-64-bit": ndarray("[18446744073709551616,1]"),
    "beyond-64-bit-negative": ndarray("[-9223372036854775809,1]"),
    "beyond-64-bit-and-float": ndarray("[18446744073709551616,1.5]"),
    "beyond-float": ndarray("[1" + "0" * 400 + ",1.5]"),
    "thousands-of-digits": ndarray("[" + "1" * 5000 + "]"),
    "leading-zero": ndarray("[01]"),
    "plus": ndarray("[+1]"),
    "bare-point": ndarray("[1.,.5]"),
    "no-comma": ndarray("[1 2]"),
    "no-comma-between-rows": ndarray("[[1,2][3,4]]"),
    "two-commas": ndarray("[[1,2],,[3,4]]"),
    "trailing-comma": ndarray("[[1,2],]"),
    "closed-twice": ndarray("[[1,2]],[3]]"),
    "scalar": ndarray("1.5"),
    "array-twice": b'{"data":{"ndarray":[[1,2.5]],"ndarray":[[3,4.5]]}}',
    "array-twice-then-text": b'{"data":{"ndarray":[[1,2.5]],"ndarray":"x"}}',
    "data-twice": b'{"data":{"ndarray":[[1,2.5]]},"data":{"ndarray":[[3]]}}',
    "array-elsewhere": b'{"ndarray":[1.5,2],"data":{"ndarray":[[3,4.5]]}}',
    "array-in-meta": b'{"meta":{"tags":{"values":[1,2.5]}},"data":{"ndarray":[[3,4.5]]}}',
    "array-in-text": b'{"data":{"ndarray":[[3,4.5]]},"x":"\\"ndarray\\":[1]"}',
    "key-that-ends-alike": b'{"a\\"ndarray":[1],"data":{"ndarray":[[3,4.5]]}}',
    "key-in-text-before": b'{"x":"ndarray","data":{"ndarray":[[3,4.5]]}}',
    "nan-beside": b'{"data":{"ndarray":[[1,2.5]]},"meta":{"tags":{"a":NaN}}}',
    "no-utf8-beside": b'{"data":{"ndarray":[[1,2.5]]},"meta":{"puid":"\xff"}}',
    "no-utf8-after-a-mark": b'\xef\xbb\xbf{"data":{"ndarray":[[1,2.5]]},"meta":{"puid":"\xff"}}',
    "byte-order-mark-twice": b"\xef\xbb\xbf" + b'\xef\xbb\xbf{"data":{"ndarray":[[1,2.5]]}}',
    "zero-byte": b'{"data":{"ndarray":[[1,2.5]]},"a":"\x00"}',
    "values-without-tensor": b'{"data":{"values":[1,2.5]}}',
    "list-of-messages": b'[{"data":{"ndarray":[[1,2.5]]}}]',
    "deep": ndarray("[" * 40 + "]" * 40),
    "deep-as-python-s-limit": b'{"jsonData":' + b"[" * 1000 + b"]" * 1000 + b"}",
    "deepest": b'{"jsonData":' + b"[" * 3000 + b"]" * 3000 + b"}",
    "json": b'{"jsonData":{"ndarray":[1,2.5]}}',
    "integer-in-json": b'{"jsonData":{"a":123456789012345678901,"b":-9223372036854775809,"c":"1234567890123456789012"}}',
    "minus-zero-in-json": b'{"jsonData":[-0,-0.0,-0e0]}',
    "overflow-in-json": b'{"jsonData":[1e400,-1e400]}',
    "duplicates-in-json": b'{"jsonData":{"a":1,"b":2,"a":3}}',
    "half-a-surrogate": b'{"strData":"\\udc00"}',
    "control-character": b'{"strData":"\n"}',
}


@pytest.mark.parametrize("text", [*PLAIN_JSON.values(), *OTHER_JSON.values()], ids=[*PLAIN_JSON, *OTHER_JSON])
def test_json_is_read_alike(text: bytes) -> None:
    assert_json_is_read_alike(text)


@pytest.mark.parametrize("text", PLAIN_JSON.values(), ids=PLAIN_JSON.keys())
def test_plain_arrays_are_read_without_lists(text: bytes) -> None:
    tree = json_read.read_with_array(text)
    data = tree["data"]
    assert any(isinstance(value, np.ndarray) for value in (data.get("ndarray"), data.get("tensor", {}).get("values")))


numbers = st.one_of(
    st.integers().map(str),
    st.integers(-3, 3).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.decimals(allow_nan=False, allow_infinity=False).map(str),
    st.sampled_from(["-0", "-0.0", "1e400", "1e-400", "9223372036854775808", "0.1", "1E5"]),
)
leaves = st.one_of(
    numbers, numbers, numbers, st.sampled_from(['"a"', "null", "true", "NaN", "[]", "[1]", "[[1]]", "{}", ""])
)


def listed(items: st.SearchStrategy[str], **sizes: Any) -> st.SearchStrategy[str]:
    joined = st.builds(
        lambda texts, comma: comma.join(texts), st.lists(items, **sizes), st.sampled_from([",", " , ", ",\n"])
    )
    return joined.map(lambda text: f"[{text}]")


def tables(items: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.integers(0, 4).flatmap(lambda width: listed(listed(items, min_size=width, max_size=width), max_size=5))


arrays = st.one_of(
    tables(numbers), listed(numbers, max_size=8), tables(leaves), listed(listed(leaves, max_size=3), max_size=4)
)
envelopes = st.sampled_from(
    [
        '{"data":{"ndarray":%s}}',
        '{"data":{"names":["a","b"],"ndarray":%s},"meta":{"puid":"p"}}',
        '{"meta":{"tags":{"values":[1]}},"data":{"ndarray" : %s , "names":[]}}',
        '{"data":{"tensor":{"shape":[2,-1],"values":%s}}}',
        '{"data":{"tensor":{"values":%s,"shape":[4]}},"strData":"x"}',
        '{"jsonData":%s}',
    ]
)


@settings(max_examples=300)
@given(envelopes, arrays)
def test_any_array_is_read_alike(envelope: str, array: str) -> None:
    assert_json_is_read_alike((envelope % array).encode())


@given(st.binary(max_size=30), st.data())
def test_broken_json_is_read_alike(junk: bytes, data: st.DataObject) -> None:
    text = data.draw(st.sampled_from(list(PLAIN_JSON.values())))
    place = data.draw(st.integers(0, len(text)))
    assert_json_is_read_alike(text[:place] + junk + text[place + data.draw(st.integers(0, 3)) :])


def test_long_arrays_are_read_alike() -> None:
    """Long enough for several pieces of the usual size, and for a row that is longer than one."""
    rows = np.random.default_rng(0).standard_normal((3, 20_000)).tolist()
    for value in (rows, [[number] for number in rows[0]], rows[0], list(range(200_000))):
        text = json.dumps({"data": {"ndarray": value}}).encode()
        assert json_read.read_with_array(text) is not None
        assert outcome(partial(decode_json, text)) == outcome(partial(read_json, text))


def test_threads_may_share_a_codec() -> None:
    texts = [json.dumps({"data": {"ndarray": [[number + 0.5] * 40] * 100}}).encode() for number in range(8)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda text: outcome(partial(decode_json, text)), texts * 4))
    assert found == [outcome(partial(read_json, text)) for text in texts] * 4


def test_a_raw_hook_s_changes_show_in_the_message() -> None:
    long = json.dumps({"data": {"ndarray": [[0.5] * 2000]}}).encode()
    for text in (ndarray("[[0.5]]"), long):
        request = REST.decode(Operation.PREDICT, text)
        assert request.raw == json.loads(text)
        request.raw["data"]["ndarray"] = [[7]]
        assert request.message.payload.tolist() == [[7]]
    request = GRPC.decode(Operation.PREDICT, SeldonMessage(strData="a").SerializeToString())
    request.raw.strData = "b"
    assert request.message.payload == "b"


# Answers as JSON.

_FLOAT = re.compile(rb"-?\d+(?:\.\d+)?[eE][-+]?\d+|-?\d+\.\d+")


def in_one_spelling(text: bytes) -> bytes:
    """The same text with each float as Python writes it; 1e16 and 1e+16 are one."""
    return _FLOAT.sub(lambda found: repr(float(found[0])).encode(), text)


def response(
    payload: Any,
    encoding: ArrayEncoding = ArrayEncoding.NDARRAY,
    meta: dict[str, Any] | None = None,
    class_names: Any = None,
    **own: Any,
) -> Message:
    request = Message(PayloadType.NOTHING, None, meta=meta, encoding=encoding)
    tags, metrics, path = own.get("tags", {}), own.get("metrics", ()), own.get("request_path", {})
    merged = merge_meta(Operation.PREDICT, request, tags, metrics, path)
    message = build_response_message(payload, Operation.PREDICT, request, merged, class_names)
    return set_encoding(message, Operation.PREDICT)


def written(write: Callable[[], bytes]) -> Any:
    try:
        return in_one_spelling(write())
    except SeldonSpecError as error:
        return type(error), str(error)


STYLES = {
    "default": JsonStyle(),
    "unsorted": JsonStyle(sort_keys=False),
    "utf8": JsonStyle(ascii=False),
    "pretty": JsonStyle(indent=2),
}


class Whole(int):
    def __repr__(self) -> str:
        return "mine"


TABLE = np.array([[1.5, -0.0], [1e16, 5e-324]])
ANSWERS: dict[str, Callable[[], Message]] = {
    "floats": lambda: response(TABLE),
    "tensor": lambda: response(TABLE, ArrayEncoding.TENSOR),
    "integers": lambda: response(np.arange(6).reshape(2, 3)),
    "unsigned": lambda: response(np.array([2**64 - 1], np.uint64), ArrayEncoding.TENSOR),
    "float32": lambda: response(np.array([[0.1, 1 / 3]], np.float32)),
    "float16": lambda: response(np.array([[0.1, 1 / 3]], np.float16), ArrayEncoding.TENSOR),
    "long-double": lambda: response(np.array([[0.1]], np.longdouble)),
    "other-byte-order": lambda: response(TABLE.astype(">f8")),
    "fortran": lambda: response(np.asfortranarray(TABLE), ArrayEncoding.TENSOR),
    "every-second": lambda: response(np.arange(12.0).reshape(3, 4)[::2, ::2]),
    "nan": lambda: response(np.array([[1.5, np.nan]])),
    "nan-late": lambda: response(np.array([*range(100), np.inf])),
    "nan-in-a-list": lambda: response([[1.5, float("nan")]]),
    "bools": lambda: response(np.array([[True]])),
    "complex": lambda: response(np.array([[1j]])),
    "moments": lambda: response(np.array(["2020-01-01"], "datetime64[s]")),
    "texts": lambda: response(np.array([["null"]])),
    "objects": lambda: response(np.array([[1, None]], dtype=object)),
    "empty": lambda: response(np.array([])),
    "empty-rows": lambda: response(np.zeros((2, 0))),
    "no-rows": lambda: response(np.zeros((0, 2)), ArrayEncoding.TENSOR),
    "no-dimension": lambda: response(np.float64(1.5)),
    "three-dimensions": lambda: response(np.zeros((1, 2, 1))),
    "list": lambda: response([[1, 2.5], [3, 4]]),
    "list-of-integers": lambda: response([[1, 2]], ArrayEncoding.TENSOR),
    "list-with-truth": lambda: response([[1, True]]),
    "list-of-large": lambda: response([[2**63]]),
    "list-of-larger": lambda: response([[2**64]]),
    "list-of-a-subclass": lambda: response([[Whole(3)]]),
    "list-of-numpy-s": lambda: response([[np.float32(0.1), np.int8(3)]]),
    "list-of-arrays": lambda: response([np.array([0.1], np.float32)]),
    "tuple": lambda: response((1.5, 2)),
    "names": lambda: response(TABLE, class_names=lambda _: ["b", 'a"é\ud800\x7f']),
    "names-null": lambda: response(TABLE, class_names=lambda _: None),
    "names-of-numpy": lambda: response(TABLE, class_names=lambda _: np.array(["a"])),
    "names-unwritable": lambda: response(TABLE, class_names=lambda _: {1, 2}),
    "names-default": lambda: response(TABLE, class_names=lambda default: default),
    "many-columns": lambda: response(np.zeros((1, 2000))),
    "puid": lambda: response(TABLE, meta={"puid": 'é"\n\ud800\x7f/'}),
    "puid-number": lambda: response(TABLE, meta={"puid": 5}),
    "path": lambda: response(TABLE, meta={"puid": "p", "requestPath": {"b": "i", "a": "é"}}, request_path={"m": "x:1"}),
    "path-number": lambda: response(TABLE, meta={"requestPath": {"b": 1e16}}),
    "path-deep": lambda: response(TABLE, meta={"requestPath": {"b": {"c": "d"}}}),
    "path-odd-key": lambda: response(TABLE, request_path={1: "x"}),
    "tags": lambda: response(TABLE, meta={"tags": {"z": float("nan"), "a": None}}, tags={"null": [1, "é"]}),
    "tags-unwritable": lambda: response(TABLE, tags={"z": {1}}),
    "metrics": lambda: response(TABLE, metrics=[{"key": "k", "type": "COUNTER", "value": 1}]),
    "metric-unwritable": lambda: response(TABLE, metrics=[{"key": "k", "type": "NONE", "value": 1}]),
    "text": lambda: response("null"),
    "json": lambda: response({"b": 1, "a": float("nan")}),
}


@pytest.mark.parametrize("style", STYLES.values(), ids=STYLES.keys())
@pytest.mark.parametrize("make", ANSWERS.values(), ids=ANSWERS.keys())
def test_json_is_written_alike(make: Callable[[], Message], style: JsonStyle) -> None:
    expected = written(lambda: json_write.write_plain(make(), style))
    assert written(lambda: json_write.write_message(make(), style)) == expected


@pytest.mark.parametrize("make", ANSWERS.values(), ids=ANSWERS.keys())
def test_protobuf_is_written_alike(make: Callable[[], Message]) -> None:
    def encode_or_fail(write: Callable[[Message], bytes]) -> Any:
        try:
            return write(make())
        except SeldonSpecError as error:
            return type(error), str(error)

    expected = encode_or_fail(proto_message.encode_plain)
    assert encode_or_fail(proto_message.encode_message) == expected
    with pieces_of(30):
        assert encode_or_fail(proto_message.encode_message) == expected


def test_default_names_that_a_class_changes_are_its_own() -> None:
    def add(default: list[str]) -> list[str]:
        default.append("more")
        return default

    assert response(TABLE, class_names=add).names == ["t:0", "t:1", "more"]
    assert list(response(TABLE).names) == ["t:0", "t:1"]


dtypes = st.one_of(
    st_numpy.floating_dtypes(endianness="?"), st_numpy.integer_dtypes(), st_numpy.unsigned_integer_dtypes()
)
results = st_numpy.arrays(dtypes, st_numpy.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
metas = st.fixed_dictionaries(
    {},
    optional={
        "puid": st.text(max_size=3),
        "tags": st.dictionaries(
            st.text(max_size=2), st.one_of(st.none(), st.floats(), st.text(max_size=2)), max_size=2
        ),
        "requestPath": st.dictionaries(st.text(max_size=2), st.text(max_size=3), max_size=3),
    },
)


@settings(max_examples=200)
@given(
    results,
    st.sampled_from([ArrayEncoding.NDARRAY, ArrayEncoding.TENSOR]),
    metas,
    st.lists(st.text(max_size=3), max_size=3),
    st.booleans(),
)
def test_any_result_is_written_alike(
    array: Any, encoding: ArrayEncoding, meta: dict[str, Any], names: list[str], has_names: bool
) -> None:
    answer = response(array, encoding, meta, class_names=(lambda _: names) if has_names else None)
    for style in STYLES.values():
        quick = written(partial(json_write.write_message, answer, style))
        assert quick == written(partial(json_write.write_plain, answer, style))
    assert proto_message.encode_message(answer) == proto_message.encode_plain(answer)


@given(st.recursive(st.one_of(st.integers(), st.floats(), st.booleans()), lambda inner: st.lists(inner, max_size=3)))
def test_any_list_is_written_alike(value: Any) -> None:
    rows = value if isinstance(value, list) else [value]
    try:
        answer = response(rows)
    except SeldonSpecError:  # it is ragged
        return
    for style in STYLES.values():
        quick = written(partial(json_write.write_message, answer, style))
        assert quick == written(partial(json_write.write_plain, answer, style))


# Requests as protobuf.


def read_proto(message: bytes) -> Message:
    return GRPC.read_message(Operation.PREDICT, proto_codec._parse_message(message))


def assert_proto_is_read_alike(message: bytes) -> None:
    expected = outcome(lambda: read_proto(message))
    for size in (30, 1 << 18):
        with pieces_of(size):
            assert outcome(lambda: GRPC.decode(Operation.PREDICT, message).message) == expected


def field(number: int, content: bytes) -> bytes:
    """A member with a length."""
    return write_varint(number << 3 | 2) + write_varint(len(content)) + content


def data(content: bytes) -> bytes:
    return field(3, content)


def doubles(*values: float) -> bytes:
    return np.array(values, "<f8").tobytes()


def value(number: float) -> bytes:
    return field(1, b"\x11" + doubles(number))


def row(*values: float) -> bytes:
    return field(1, field(6, b"".join(map(value, values))))


PUID = field(2, field(1, b"p"))
TENSOR = field(2, field(1, b"\x01\x02") + field(2, doubles(1.5, -0.0)))
SIGNALLING = bytes.fromhex("010000000000f07f")

PLAIN_PROTO = {
    "tensor": data(TENSOR),
    "tensor-names": PUID + data(field(1, b"a") + field(1, "é".encode()) + TENSOR),
    "tensor-before-names": data(TENSOR + field(1, b"a")),
    "tensor-nan": data(field(2, field(1, b"\x01") + field(2, SIGNALLING))),
    "tensor-shape-of-two-bytes": data(field(2, field(1, b"\xac\x02") + field(2, bytes(8 * 300)))),
    "tensor-values-first": data(field(2, field(2, doubles(1, 2)) + field(1, b"\x02"))),
    "data-before-meta": data(TENSOR) + PUID,
    "meta-empty": field(2, b"") + data(TENSOR),
    "meta-puid-empty": field(2, field(1, b"")) + data(TENSOR),
    "meta-long-puid": field(2, field(1, b"p" * 300)) + data(TENSOR),
    "meta-more": field(2, field(1, b"p") + field(4, field(1, b"k") + field(2, b"v"))) + data(TENSOR),
    "meta-twice-within": field(2, field(1, b"p") + field(1, b"q")) + data(TENSOR),
    "length-in-a-longer-form": b"\x1a" + bytes([len(TENSOR) | 0x80, 0]) + TENSOR,
    "row": data(field(3, row(1.5, -0.0))),
    "rows": PUID + data(field(1, b"a") + field(3, row(1.5, 2) * 3)),
    "rows-of-one": data(field(3, row(1.5) * 3)),
    "rows-of-many": data(field(3, row(*range(40)) * 3)),
    "rows-nan": data(field(3, field(1, field(6, field(1, b"\x11" + SIGNALLING))))),
    "flat": data(field(3, value(1.5) + value(-0.0))),
    "flat-many": data(field(3, value(1.5) * 50)),
}
"""Messages that are read without protobuf."""

OTHER_PROTO = {
    "nothing": b"",
    "text": field(5, b"a"),
    "status": field(1, b"") + data(TENSOR),
    "unknown-member": data(TENSOR) + field(15, b"a"),
    "unknown-number": data(TENSOR) + b"\x78\x01",
    "data-twice": data(TENSOR) + data(field(1, b"a")),
    "data-then-text": data(TENSOR) + field(5, b"a"),
    "meta-twice": PUID + PUID + data(TENSOR),
    "meta-no-utf8": field(2, field(1, b"\xff")) + data(TENSOR),
    "meta-broken": field(2, b"\x0a\x05a") + data(TENSOR),
    "meta-broken-and-shape-wrong": field(2, b"\x0a\x05a") + data(field(2, field(1, b"\x03") + field(2, doubles(1)))),
    "meta-one-byte": field(2, b"\x0a") + data(TENSOR),
    "name-no-utf8": data(field(1, b"\xff") + TENSOR),
    "name-surrogate": data(field(1, b"\xed\xa0\x80") + TENSOR),
    "no-array": data(field(1, b"a")),
    "tensor-twice": data(TENSOR + TENSOR),
    "tensor-and-rows": data(TENSOR + field(3, row(1))),
    "tensor-empty": data(field(2, b"")),
    "tensor-no-shape": data(field(2, field(2, doubles(1)))),
    "tensor-no-values": data(field(2, field(1, b"\x00"))),
    "tensor-half-a-value": data(field(2, field(1, b"\x01") + field(2, doubles(1)[:7]))),
    "tensor-one-and-a-half-values": data(field(2, field(1, b"\x01") + field(2, doubles(1, 2)[:12]))),
    "tensor-unpacked": data(field(2, b"\x08\x01" + b"\x11" + doubles(1))),
    "tensor-values-twice": data(field(2, field(1, b"\x02") + field(2, doubles(1)) + field(2, doubles(2)))),
    "tensor-negative": data(field(2, field(1, b"\xff" * 9 + b"\x01") + field(2, doubles(1)))),
    "tensor-shape-cut-off": data(field(2, field(1, b"\x81") + field(2, doubles(1)))),
    "tensor-wrong-shape": data(field(2, field(1, b"\x03") + field(2, doubles(1, 2)))),
    "tensor-giant": data(field(2, field(1, b"\x00\xff\xff\xff\x7f") + field(2, b""))),
    "length-too-long": b"\x1a" + b"\xff" * 9 + b"\x01" + TENSOR,
    "length-past-the-end": b"\x1a\x7f" + TENSOR,
    "inner-length-past-the-end": data(b"\x12\x7f" + TENSOR[2:]),
    "cut-off": data(TENSOR)[:-1],
    "tag-alone": data(TENSOR) + b"\x12",
    "rows-empty": data(field(3, b"")),
    "rows-of-none": data(field(3, field(1, field(6, b"")) * 2)),
    "rows-ragged": data(field(3, row(1, 2) + row(3))),
    "rows-ragged-with-the-right-size": data(field(3, row(1, 2) + row(3) + row(4, 5, 6))),
    "rows-nested": data(field(3, field(1, field(6, row(1))) * 2)),
    "rows-and-numbers": data(field(3, row(1, 2) + value(3))),
    "numbers-and-rows": data(field(3, value(3) + row(1, 2))),
    "flat-with-truth": data(field(3, value(1) + field(1, b"\x20\x01"))),
    "flat-with-text": data(field(3, value(1) + field(1, b"\x1a\x07abcdefg"))),
    "flat-another-type": data(field(3, value(1) + field(1, b"\x19" + doubles(1)))),
    "row-with-an-unknown-number": data(field(3, field(1, field(6, field(1, b"\x39" + doubles(1)))))),
    "row-as-an-object": data(field(3, field(1, field(5, value(1))))),
    "row-in-a-longer-form": data(field(3, b"\x0a\x8e\x00\x32\x8b\x00" + value(1))),
    "row-wide-beyond-its-bytes": data(field(3, b"\x0a\xff\xff\xff\x7f\x32\xff\xff\xff\x7f" + value(1))),
    "row-short": data(field(3, b"\x0a\x02\x32\x0b" + value(1))),
}


@pytest.mark.parametrize("message", [*PLAIN_PROTO.values(), *OTHER_PROTO.values()], ids=[*PLAIN_PROTO, *OTHER_PROTO])
def test_protobuf_is_read_alike(message: bytes) -> None:
    assert_proto_is_read_alike(message)


@pytest.mark.parametrize("message", PLAIN_PROTO.values(), ids=PLAIN_PROTO.keys())
def test_plain_arrays_are_read_without_protobuf(message: bytes) -> None:
    assert wire.read_message(message, lambda _: {}) is not None


def test_a_length_that_is_claimed_costs_nothing() -> None:
    tracemalloc.start()
    try:
        assert wire.read_message(OTHER_PROTO["row-wide-beyond-its-bytes"], lambda _: {}) is None
        assert tracemalloc.get_traced_memory()[1] < 1 << 16
    finally:
        tracemalloc.stop()


@settings(max_examples=300)
@given(st.data())
def test_broken_protobuf_is_read_alike(drawn: st.DataObject) -> None:
    message = drawn.draw(st.sampled_from(list(PLAIN_PROTO.values())))
    place = drawn.draw(st.integers(0, len(message)))
    junk = drawn.draw(st.one_of(st.binary(max_size=4), st.sampled_from([row(1, 2), value(1), field(1, b"a"), TENSOR])))
    assert_proto_is_read_alike(message[:place] + junk + message[place + drawn.draw(st.integers(0, 5)) :])


@given(st_numpy.arrays(np.float64, st_numpy.array_shapes(max_dims=3, max_side=4)), st.data())
def test_a_tensor_with_a_known_head_is_read_alike(array: Any, drawn: st.DataObject) -> None:
    sent = proto_message.encode_message(response(array, ArrayEncoding.TENSOR, {}))
    assert_proto_is_read_alike(sent)
    numbers = drawn.draw(st.binary(min_size=array.nbytes, max_size=array.nbytes))
    assert_proto_is_read_alike(sent[: -array.nbytes] + numbers)


@given(st_numpy.arrays(np.float64, st_numpy.array_shapes(max_dims=2, max_side=6)), st.booleans(), metas)
def test_any_numbers_come_back_over_protobuf(array: Any, is_tensor: bool, meta: dict[str, Any]) -> None:
    encoding = ArrayEncoding.TENSOR if is_tensor else ArrayEncoding.NDARRAY
    sent = proto_message.encode_message(response(array, encoding, meta))
    assert_proto_is_read_alike(sent)
    message = GRPC.decode(Operation.PREDICT, sent).message
    assert message.encoding is encoding
    assert (message.payload.shape, message.payload.tobytes()) == (array.shape, array.tobytes())


def test_what_was_read_belongs_to_the_class() -> None:
    """X may be written into and kept, and neither shows in the bytes that were sent."""
    for text in (ndarray("[[1.5]]"), ndarray("[" + ",".join(["[1.5,2.5]"] * 1000) + "]")):
        sent = bytearray(text)
        request = REST.decode(Operation.PREDICT, sent)
        request.message.payload[...] = 0
        assert sent == text
    for text in (data(TENSOR), data(field(3, row(1, 2)))):
        request = GRPC.decode(Operation.PREDICT, text)
        request.message.payload[...] = 0
        assert GRPC.decode(Operation.PREDICT, text).message.payload.any()

"""What is read or written without the general parsers is what they give: every bit of it, and every refusal."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seldon_spec.errors import SeldonSpecError
from seldon_spec.inference.datatypes import BYTES, find_datatype
from seldon_spec.inference.message import KeepRows, Tensor
from seldon_spec.protocols import json_numbers
from seldon_spec.protocols.open_inference_v2.binary import write_binary
from seldon_spec.protocols.open_inference_v2.fast import json_reader, json_writer
from seldon_spec.protocols.open_inference_v2.fast import proto as fast_proto
from seldon_spec.protocols.open_inference_v2.proto import ModelInferRequest, ModelInferResponse
from seldon_spec.protocols.open_inference_v2.proto_message import CONTENTS, build_response, read_request, write_plain
from seldon_spec.protocols.open_inference_v2.request import read_infer_request
from seldon_spec.protocols.open_inference_v2.values import plain_values

NUMERIC = ("INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64", "FP16", "FP32", "FP64", "BF16")


def outcome(read: Callable[[], Any]) -> Any:
    """All that a class could see of a request, or what the client gets."""
    try:
        tensors, options = read()
    except SeldonSpecError as error:
        return type(error), str(error)
    return options, [
        (
            tensor.name,
            tensor.datatype,
            tensor.array.dtype,
            tensor.array.shape,
            repr(tensor.array.tolist()) if tensor.array.dtype == object else tensor.array.tobytes(),
            tensor.parameters,
        )
        for tensor in tensors
    ]


@contextmanager
def pieces_of(size: int, least: int) -> Iterator[None]:
    """Have arrays handled in pieces so small, and from so short texts on, that a short example has many."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_numbers, "_PIECE_BYTES", size)
        patch.setattr(json_reader, "SHORT_BYTES", least)
        patch.setattr(fast_proto, "LONG_BYTES", least)
        yield


def _read_fast(wire: Any) -> Any:
    return json_reader.read_request(wire, None, KeepRows.NEVER)


def assert_json_is_read_alike(text: bytes) -> None:
    expected = outcome(lambda: read_infer_request(json_reader.read_plain(text)))
    for wire in (text, bytearray(text), memoryview(bytearray(text))):
        for least in (0, 1 << 20):
            with pieces_of(7, least):
                assert outcome(partial(_read_fast, wire)) == expected


NUMBERS = st.one_of(
    st.integers(-300, 300),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.floats(width=16),
    st.sampled_from([2**53 + 1, 2**63 - 1, 2**63, -(2**63), 2**64 - 1, 0.1, 1e300, -0.0, 5e-324]),
)
VALUES = st.one_of(NUMBERS, st.none(), st.booleans(), st.text(max_size=3), st.sampled_from(["NaN", "Infinity"]))


@st.composite
def inputs(draw: st.DrawFn) -> dict[str, Any]:
    shape = draw(st.lists(st.integers(0, 4), max_size=3))
    count = math.prod(shape)
    elements = draw(st.sampled_from([NUMBERS, st.integers(-100, 100), st.floats(), VALUES]))
    data: Any = draw(st.lists(elements, min_size=count, max_size=count))
    if draw(st.booleans()) and shape and count:
        array = np.empty(count, object)
        array[:] = data
        data = array.reshape(draw(st.permutations(shape)) if draw(st.integers(0, 9)) == 0 else shape).tolist()
    if draw(st.integers(0, 9)) == 0:
        data = draw(st.sampled_from([data[:-1], [*data, 1], None, 3, [data]]))
    datatype = draw(st.sampled_from([*NUMERIC, "BOOL", "BYTES", "FP128"]))
    name = draw(st.sampled_from(["x", "y", '"data":[1', "z"]))
    return {"name": name, "shape": shape, "datatype": datatype, "data": data}


@given(st.lists(inputs(), max_size=3), st.sampled_from([None, 1]), st.booleans())
def test_json_is_read_alike(tensors: list[dict[str, Any]], indent: int | None, has_more: bool) -> None:
    tree: dict[str, Any] = {"inputs": tensors}
    if has_more:
        tree["more"] = {"data": [1.5, float("nan")], "inputs": [{"data": [1]}]}
    assert_json_is_read_alike(json.dumps(tree, indent=indent).encode())


@given(inputs(), inputs(), st.permutations(["name", "shape", "datatype", "data"]), st.booleans())
def test_json_around_known_texts_is_read_alike(
    first: dict[str, Any], second: dict[str, Any], order: list[str], is_compact: bool
) -> None:
    """The requests of one client have the same text around their numbers."""
    for data in (first["data"], second["data"], first["data"]):
        tree = {"inputs": [{name: {**first, "data": data}[name] for name in order}]}
        assert_json_is_read_alike(json.dumps(tree, separators=(",", ":") if is_compact else None).encode())


@pytest.mark.parametrize(
    "text", ["[3,4]", "[3]", "[[3,4]]", '[3],"data":[3,4]', "[3,4}", "3", "[3,4]]", '["a",4]', "[1e999,4]"]
)
@pytest.mark.parametrize("known", ["[1,2]", '[1],"data":[1,2]', '[1,2],"shape":[2]'])
def test_a_text_in_the_place_of_numbers_is_read_alike(known: str, text: str) -> None:
    for datatype in ("FP64", "INT32", "BYTES"):
        for data in (known, text):
            assert_json_is_read_alike(_tensor(data, datatype))


def _tensor(data: str, datatype: str = "FP64", shape: str = "[2]", more: str = "") -> bytes:
    text = f'{{"inputs":[{{"name":"x","shape":{shape},"datatype":"{datatype}","data":{data}{more}}}]}}'
    return text.encode()


TEXTS: dict[str, bytes] = {
    "spaces": _tensor("[ 1 , 2 ]"),
    "table": _tensor("[[1],[2]]", shape="[2,1]"),
    "table-of-other-shape": _tensor("[[1,2]]"),
    "three-levels": _tensor("[[[1],[2]]]", shape="[1,2,1]"),
    "ragged": _tensor("[[1],[2,3]]", shape="[2,1]"),
    "rounded": _tensor("[9007199254740993, 2.0]", "INT64"),
    "repeated-member": _tensor("[1,2]", more=',"data":[3,4]'),
    "repeated-inputs": _tensor("[1,2]")[:-1] + b',"inputs":[]}',
    "other-data": b'{"data":[1,2],' + _tensor("[3,4]")[1:],
    "bare-words": _tensor("[NaN,-Infinity]"),
    "bare-word-elsewhere": _tensor("[1,2]", more=',"p":NaN'),
    "text-of-a-list": _tensor("[1,2]", more=',"p":"\\"data\\":[1,2]"'),
    "zeros": _tensor("[01,2]"),
    "plus": _tensor("[+1,2]"),
    "no-end": _tensor("[1,2]")[:-4],
    "comma": _tensor("[1,2,]"),
    "bom": b"\xef\xbb\xbf" + _tensor("[1,2]"),
    "utf-16": _tensor("[1,2]").decode().encode("utf-16"),
    "surrogate": _tensor("[1,2]", more=',"p":"\\ud800"'),
    "huge-exponent": _tensor("[1e999,2]"),
    "long-integer": _tensor("[18446744073709551616,2]"),
    "empty-list": _tensor("[1,2,[]]"),
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_texts_that_are_read_alike(text: bytes) -> None:
    assert_json_is_read_alike(text)


def test_a_long_list_of_numbers_is_read_without_lists() -> None:
    text = _tensor(json.dumps([0.5] * 2000), shape="[2000]")
    data = json_reader.read_json(text)["inputs"][0]["data"]
    assert isinstance(data, np.ndarray)
    assert data.dtype == np.float64


@st.composite
def tensors(draw: st.DrawFn) -> Tensor:
    shape = draw(st.lists(st.integers(0, 5), max_size=3))
    datatype = find_datatype(draw(st.sampled_from([*NUMERIC, "BOOL", "BYTES"])))
    count = math.prod(shape)
    if datatype is BYTES:
        array = np.empty(count, object)
        array[:] = draw(st.lists(st.text(max_size=4).map(str.encode), min_size=count, max_size=count))
    elif datatype.name == "BOOL":
        array = np.array(draw(st.lists(st.booleans(), min_size=count, max_size=count)), bool)
    else:
        raw = draw(st.binary(min_size=count * datatype.size, max_size=count * datatype.size))
        array = np.frombuffer(raw, datatype.dtype).copy()
        if array.dtype.kind == "f":
            array[np.isnan(array)] = np.nan  # a conversion to Python's float changes other bits of NaN
    parameters: dict[str, Any] = draw(st.sampled_from([{}, {"p": "q"}, {"p": 1.5}]))
    return Tensor(draw(st.text(min_size=1, max_size=3)), array.reshape(shape), datatype.name, parameters)


@given(st.lists(tensors(), max_size=3))
def test_json_is_written_as_the_plain_values(given_tensors: list[Tensor]) -> None:
    parts, size = json_writer.write_response({"id": "i"}, given_tensors, forms=False)
    assert size is None
    tree = json.loads(b"".join(parts))
    assert tree["id"] == "i"
    for tensor, output in zip(given_tensors, tree["outputs"], strict=True):
        expected = plain_values(tensor.array, find_datatype(tensor.datatype), tensor.name)
        assert repr(output["data"]) == repr(json.loads(json.dumps(expected)))
        assert (output["shape"], output.get("parameters", {})) == (list(tensor.array.shape), tensor.parameters)


@given(tensors(), st.sampled_from([None, "v7"]))
def test_a_short_response_in_json_is_the_general_one(tensor: Tensor, version: str | None) -> None:
    text = json_writer.write_short("m", version, [tensor])
    head = {"model_name": "m"} if version is None else {"model_name": "m", "model_version": version}
    if text is not None:
        assert [text] == json_writer.write_response(head, [tensor], forms=False)[0]
    elif tensor.datatype == "FP64" and not tensor.parameters and tensor.array.size <= 32:
        assert not np.isfinite(tensor.array).all()


@given(tensors(), st.sampled_from([None, "v7"]), st.booleans())
def test_a_short_response_in_protobuf_is_the_general_one(tensor: Tensor, version: str | None, is_raw: bool) -> None:
    text = fast_proto.write_short("m", version, [tensor], is_raw=is_raw)
    if text is not None:
        assert text == write_plain(build_response("m", version, None), [tensor], is_raw=is_raw)
    else:
        assert tensor.datatype != "FP64" or tensor.parameters or not tensor.array.size


@given(st.lists(tensors(), max_size=3, unique_by=lambda tensor: tensor.name), st.booleans())
def test_what_is_written_is_read_again(given_tensors: list[Tensor], is_binary: bool) -> None:
    parts, size = json_writer.write_response({}, given_tensors, is_binary, "inputs")
    body = b"".join(parts)
    found, _ = read_infer_request(json_reader.read_json(body[:size]), body[len(body) if size is None else size :])
    for tensor, read in zip(given_tensors, found, strict=True):
        assert (read.name, read.datatype, read.array.shape) == (tensor.name, tensor.datatype, tensor.array.shape)
        if tensor.array.dtype == object or tensor.array.dtype.kind == "f":  # NaN have one form in JSON
            np.testing.assert_array_equal(read.array, tensor.array)
        elif is_binary or tensor.datatype != "BF16":
            assert read.array.tobytes() == tensor.array.tobytes()


@given(st.lists(tensors(), max_size=3), st.booleans(), st.sampled_from([ModelInferRequest, ModelInferResponse]))
def test_protobuf_is_written_as_the_library_writes_it(
    given_tensors: list[Tensor],
    is_raw: bool,
    message: Any,
) -> None:
    expected = write_plain(message(id="i", model_name="m"), given_tensors, is_raw=is_raw)
    whole = message.FromString(expected)
    assert whole.SerializeToString() == expected
    for least in (0, 16, 1 << 20):
        with pieces_of(7, least):
            made = message(id="i", model_name="m")
            assert b"".join(fast_proto.write_message(made, given_tensors, is_raw=is_raw)) == expected
    if is_raw:
        contents = whole.raw_input_contents if message is ModelInferRequest else whole.raw_output_contents
        raw = [bytes(write_binary(t.array, find_datatype(t.datatype))) for t in given_tensors]
        assert list(contents) == raw


def _raw_request(given_tensors: list[Tensor], *, is_raw: bool) -> Any:
    request = ModelInferRequest(model_name="m", id="i")
    for tensor in given_tensors:
        entry = request.inputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.array.shape)
        if is_raw:
            request.raw_input_contents.append(bytes(write_binary(tensor.array, find_datatype(tensor.datatype))))
        elif tensor.datatype in CONTENTS:
            getattr(entry.contents, CONTENTS[tensor.datatype]).extend(tensor.array.ravel().tolist())
    return request


def _parse_fast(wire: Any) -> Any:
    return fast_proto.read_message(wire)


def assert_protobuf_is_read_alike(wire: bytes) -> None:
    expected = outcome(lambda: read_request(*fast_proto.parse_plain(wire)))
    for view in (wire, memoryview(wire)):
        with pieces_of(7, 0):
            assert outcome(partial(_parse_fast, view)) == expected


@given(st.lists(tensors(), max_size=3), st.booleans(), st.data())
def test_protobuf_is_read_alike(given_tensors: list[Tensor], is_raw: bool, data: st.DataObject) -> None:
    wire = _raw_request(given_tensors, is_raw=is_raw).SerializeToString()
    assert_protobuf_is_read_alike(wire)
    place = data.draw(st.integers(0, len(wire)))
    changed = data.draw(st.sampled_from([b"", b"\x00", b"\x2a", b"\x3a", b"\x80", b"\xff"]))
    assert_protobuf_is_read_alike(wire[:place] + changed + wire[place + data.draw(st.integers(0, 2)) :])


@given(tensors(), st.booleans(), st.data())
def test_a_request_with_a_known_head_is_read_alike(tensor: Tensor, is_raw: bool, data: st.DataObject) -> None:
    wire = _raw_request([tensor], is_raw=is_raw).SerializeToString()
    assert_protobuf_is_read_alike(wire)
    numbers = data.draw(st.binary(min_size=tensor.array.nbytes, max_size=tensor.array.nbytes))
    assert_protobuf_is_read_alike(wire[: len(wire) - len(numbers)] + numbers)


def _field(number: int, content: bytes) -> bytes:
    assert len(content) < 128
    return bytes([number << 3 | 2, len(content)]) + content


DOUBLE = np.array([1.5]).tobytes()
HEAD = _field(1, b"x") + _field(2, b"FP64") + _field(3, b"\x01")
WIRES: dict[str, bytes] = {
    "packed": _field(5, HEAD + _field(5, _field(7, DOUBLE))),
    "two-pieces": _field(5, HEAD + _field(5, _field(7, DOUBLE[:0]) + _field(7, DOUBLE))),
    "unpacked": _field(5, HEAD + _field(5, b"\x39" + DOUBLE)),
    "two-contents": _field(5, HEAD + _field(5, _field(7, DOUBLE)) + _field(5, b"")),
    "merged-contents": _field(5, HEAD + _field(5, b"") + _field(5, _field(7, DOUBLE))),
    "empty-contents": _field(5, HEAD + _field(5, b"")),
    "contents-first": _field(5, _field(5, _field(7, DOUBLE)) + HEAD),
    "half-a-double": _field(5, HEAD + _field(5, _field(7, DOUBLE[:4]))),
    "other-field": _field(5, HEAD + _field(5, _field(6, DOUBLE))),
    "raw-first": _field(7, DOUBLE) + _field(5, HEAD) + _field(1, b"m"),
    "name-twice": _field(1, b"a") + _field(5, HEAD) + _field(7, DOUBLE) + _field(1, b"m"),
    "unknown-field": _field(5, HEAD) + _field(7, DOUBLE) + _field(15, b"u"),
    "unknown-number": _field(5, HEAD) + b"\x78\x01" + _field(7, DOUBLE),
    "unpacked-shape": _field(5, _field(1, b"x") + _field(2, b"FP64") + b"\x18\x01") + _field(7, DOUBLE),
    "long-varint": b"\x2a\x95\x80\x00" + (HEAD + _field(5, _field(7, DOUBLE)))[:21],
}


@pytest.mark.parametrize("wire", WIRES.values(), ids=WIRES.keys())
def test_messages_that_are_read_alike(wire: bytes) -> None:
    assert_protobuf_is_read_alike(wire)


def test_large_contents_are_not_copied() -> None:
    raw = np.arange(2000.0)
    request = ModelInferRequest(model_name="m", raw_input_contents=[raw.tobytes()])
    request.inputs.add(name="x", datatype="FP64", shape=[2000])
    wire = request.SerializeToString()
    tensors_read, _ = fast_proto.read_message(wire)
    assert np.shares_memory(tensors_read[0].array, np.frombuffer(wire, np.uint8))

"""Requests of the Open Inference Protocol on both transports: what a class gets, and what is rejected."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from seldon_spec.config.contract import ColumnSpec, TensorSpec
from seldon_spec.errors import PayloadError, UnknownModel, UnsupportedOperation
from seldon_spec.inference.datatypes import find_datatype
from seldon_spec.inference.message import Operation, PayloadType, Tensor, TensorMessage
from seldon_spec.protocols.open_inference_v2.codec import InferBody, ModelInfo
from seldon_spec.protocols.open_inference_v2.json_codec import V2JsonCodec
from seldon_spec.protocols.open_inference_v2.proto import ModelInferRequest
from seldon_spec.protocols.open_inference_v2.proto_codec import V2ProtoCodec
from seldon_spec.protocols.open_inference_v2.proto_message import CONTENTS

MODEL = ModelInfo("model", "v1", aliases=frozenset({"unit"}))
JSON, PROTO = V2JsonCodec(MODEL), V2ProtoCodec(MODEL)


def read_json(body: Any, codec: V2JsonCodec = JSON) -> TensorMessage:
    message = codec.decode(Operation.PREDICT, body).message
    assert isinstance(message, TensorMessage)
    return message


def read_tree(tree: object) -> TensorMessage:
    return read_json(json.dumps(tree).encode())


def read_proto(request: Any, codec: V2ProtoCodec = PROTO) -> TensorMessage:
    message = codec.decode(Operation.PREDICT, request.SerializeToString()).message
    assert isinstance(message, TensorMessage)
    return message


def one(datatype: str, shape: Sequence[int], data: object) -> TensorMessage:
    return read_tree({"inputs": [{"name": "x", "datatype": datatype, "shape": list(shape), "data": data}]})


def binary(datatype: str, shape: Sequence[int], raw: bytes, more: bytes = b"", size: int | None = None) -> InferBody:
    parameters = {"binary_data_size": len(raw) if size is None else size}
    head = json.dumps(
        {"inputs": [{"name": "x", "datatype": datatype, "shape": list(shape), "parameters": parameters}]}
    ).encode()
    return InferBody(head + raw + more, len(head))


def proto(datatype: str, shape: Sequence[int], typed: Sequence[Any] | None = None, raw: bytes | None = None) -> Any:
    request = ModelInferRequest(model_name="model", id="7")
    tensor = request.inputs.add(name="x", datatype=datatype, shape=shape)
    if typed is not None:
        getattr(tensor.contents, CONTENTS[datatype]).extend(typed)
    if raw is not None:
        request.raw_input_contents.append(raw)
    return request


def elements(*items: bytes) -> bytes:
    return b"".join(struct.pack("<I", len(item)) + item for item in items)


def assert_tensor(tensor: Tensor, datatype: str, shape: Sequence[int], values: Sequence[Any]) -> None:
    assert (tensor.name, tensor.datatype, tensor.array.shape) == ("x", datatype, tuple(shape))
    assert tensor.array.dtype == find_datatype(datatype).dtype
    assert repr(tensor.array.ravel().tolist()) == repr(list(values))


VALUES: dict[str, tuple[str, list[int], list[Any]]] = {
    "bool": ("BOOL", [3], [True, False, True]),
    "int8": ("INT8", [2], [-128, 127]),
    "int16": ("INT16", [2], [-(2**15), 2**15 - 1]),
    "int32": ("INT32", [2, 1], [-(2**31), 2**31 - 1]),
    "int64": ("INT64", [3], [-(2**63), 2**53 + 1, 2**63 - 1]),
    "uint8": ("UINT8", [2], [0, 255]),
    "uint16": ("UINT16", [2], [0, 2**16 - 1]),
    "uint32": ("UINT32", [2], [0, 2**32 - 1]),
    "uint64": ("UINT64", [3], [0, 2**63, 2**64 - 1]),
    "fp32": ("FP32", [1, 2], [0.5, -1.25]),
    "fp64": ("FP64", [2, 2], [0.1, 5e-324, 1.7976931348623157e308, -0.0]),
    "bytes": ("BYTES", [2, 1], ["", "häé\n"]),
    "scalar": ("FP64", [], [2.5]),
    "no-rows": ("FP32", [0, 4], []),
}


@pytest.mark.parametrize(("datatype", "shape", "values"), VALUES.values(), ids=VALUES.keys())
def test_every_datatype_has_the_same_values_in_each_form(datatype: str, shape: list[int], values: list[Any]) -> None:
    sent = [value.encode() for value in values] if datatype == "BYTES" else values
    dtype = find_datatype(datatype).dtype
    raw = elements(*sent) if datatype == "BYTES" else np.array(values, dtype).tobytes()
    messages = [
        one(datatype, shape, values),
        one(datatype, shape, np.array(values, object).reshape(shape).tolist() if shape else values),
        read_json(binary(datatype, shape, raw)),
        read_proto(proto(datatype, shape, typed=sent)),
        read_proto(proto(datatype, shape, raw=raw)),
    ]
    for message in messages:
        assert message.payload_type is PayloadType.TENSORS
        assert_tensor(message.payload[0], datatype, shape, sent)


@pytest.mark.parametrize("datatype", ["FP16", "BF16"])
def test_half_floats_have_a_raw_form_and_a_json_form_only(datatype: str) -> None:
    bits = {"FP16": [0x3E00, 0xC100, 0x7C00], "BF16": [0x3FC0, 0xC020, 0x7F80]}[datatype]
    raw = struct.pack("<3H", *bits)
    for message in (
        one(datatype, [3], [1.5, -2.5, "Infinity"]),
        read_json(binary(datatype, [3], raw)),
        read_proto(proto(datatype, [3], raw=raw)),
    ):
        assert message.payload[0].array.tobytes() == raw
    with pytest.raises(PayloadError, match=f"input 'x': {datatype} has no typed contents"):
        read_proto(proto(datatype, [3]))


FLOATS: dict[str, tuple[str, str, list[str]]] = {
    "null": ("FP64", "null", ["nan"]),
    "words": ("FP32", "NaN, Infinity, -Infinity", ["nan", "inf", "-inf"]),
    "texts": ("FP64", '"NaN", "Infinity", "-Infinity"', ["nan", "inf", "-inf"]),
    "integers": ("FP64", "1, 2", ["1.0", "2.0"]),
    "whole-floats": ("INT64", "1.0, 9007199254740993, -0.0", ["1", "9007199254740993", "0"]),
    "whole-exponent": ("UINT8", "2e2", ["200"]),
}


@pytest.mark.parametrize(("datatype", "text", "expected"), FLOATS.values(), ids=FLOATS.keys())
@pytest.mark.parametrize("count", [1, 2000], ids=["short", "long"])
def test_numbers_that_are_written_in_other_ways(datatype: str, text: str, expected: list[str], count: int) -> None:
    shape = [len(expected) * count]
    body = f'{{"inputs":[{{"name":"x","datatype":"{datatype}","shape":{shape},"data":[{", ".join([text] * count)}]}}]}}'
    array = read_json(body.encode()).payload[0].array
    assert list(map(str, array.tolist())) == expected * count


def test_what_a_request_says_of_itself() -> None:
    tree = {
        "id": "ü\ud800",
        "model_name": "ignored",
        "parameters": {"a": 1, "b": "t", "c": 1.5, "d": True, "priority": 3, "triton_x": 1, "binary_data_output": True},
        "inputs": [{"name": "x", "shape": [1], "datatype": "INT8", "data": [1], "parameters": {"p": "q"}}],
        "outputs": [{"name": "o", "parameters": {"binary_data": False}}, {"name": "r"}],
        "unknown": [[[1]]],
    }
    message = read_json(InferBody(json.dumps(tree).encode(), None, "unit", "puid", {"x-user": "u"}))
    assert message.id == "ü\ud800"
    assert message.meta == {
        "puid": "puid",
        "tags": {"a": 1, "b": "t", "c": 1.5, "d": True},
        "inputs": {"x": {"p": "q"}},
        "headers": {"x-user": "u"},
    }
    assert message.parameters == {"a": 1, "b": "t", "c": 1.5, "d": True, "priority": 3, "triton_x": 1}
    assert message.outputs == ("o", "r")


def test_parameters_of_all_five_types_on_grpc() -> None:
    request = proto("INT8", [1], [1])
    request.model_version = "v1"
    parameters = request.parameters
    parameters["bool"].bool_param = False
    parameters["int"].int64_param = -(2**63)
    parameters["text"].string_param = "t"
    parameters["double"].double_param = 0.1
    parameters["unsigned"].uint64_param = 2**64 - 1
    request.inputs[0].parameters["p"].bool_param = True
    request.outputs.add(name="o")
    message = read_proto(request)
    expected = {"bool": False, "int": -(2**63), "text": "t", "double": 0.1, "unsigned": 2**64 - 1}
    assert message.meta == {"puid": "7", "tags": expected, "inputs": {"x": {"p": True}}}
    assert message.parameters == expected
    assert (message.version, message.outputs) == ("v1", ("o",))


def test_declared_columns_and_content_types_apply_unless_the_request_says_otherwise() -> None:
    inputs = (
        TensorSpec("t", "BYTES", (-1,), content_type="str"),
        TensorSpec("x", "FP64", (-1, 2), columns=(ColumnSpec("a"), ColumnSpec("b"))),
    )
    codec = V2JsonCodec(ModelInfo("model", inputs=inputs))
    table = {"name": "x", "shape": [1, 2], "datatype": "FP64", "data": [1, 2]}
    assert read_json(json.dumps({"inputs": [table]}).encode(), codec).names == ["a", "b"]
    text: dict[str, Any] = {"name": "t", "shape": [1], "datatype": "BYTES", "data": ["a"]}
    assert read_json(json.dumps({"inputs": [text]}).encode(), codec).payload[0].content_type == "str"
    text["parameters"] = {"content_type": "base64"}
    both = read_json(json.dumps({"inputs": [text, table]}).encode(), codec)
    assert [tensor.content_type for tensor in both.payload] == ["base64", None]
    assert both.names == []


COLUMNS: dict[str, tuple[str, list[int], list[str]]] = {
    "declared-name": ("x", [1, 2], ["a", "b"]),
    "other-name": ("y", [2, 2], ["a", "b"]),
    "wider": ("x", [1, 3], []),
    "narrower": ("y", [2, 1], []),
    "more-dimensions": ("y", [1, 2, 2], []),
}


@pytest.mark.parametrize(("name", "shape", "expected"), COLUMNS.values(), ids=COLUMNS.keys())
def test_a_single_tensor_has_the_columns_of_the_only_input_if_they_fit(
    name: str, shape: list[int], expected: list[str]
) -> None:
    codec = V2JsonCodec(
        ModelInfo("model", inputs=(TensorSpec("x", "FP64", (-1, 2), columns=(ColumnSpec("a"), ColumnSpec("b"))),))
    )
    entry = {"name": name, "shape": shape, "datatype": "FP64", "data": [0] * math.prod(shape)}
    assert read_json(json.dumps({"inputs": [entry]}).encode(), codec).names == expected


@pytest.mark.parametrize("datatype", ["FP64", "FP32", "INT64", "BYTES", "BOOL"])
def test_arrays_of_json_are_writable_and_those_of_binary_data_are_views(datatype: str) -> None:
    value: Any = {"BYTES": "a", "BOOL": True}.get(datatype, 1)
    values = [value] * 1500
    assert one(datatype, [1500], values).payload[0].array.flags.writeable
    if datatype != "BYTES":
        raw = np.array(values, find_datatype(datatype).dtype).tobytes()
        for message in (read_json(binary(datatype, [1500], raw)), read_proto(proto(datatype, [1500], raw=raw))):
            assert not message.payload[0].array.flags.writeable


def test_json_and_binary_inputs_together() -> None:
    inputs: list[dict[str, Any]] = [
        {"name": "a", "datatype": "INT16", "shape": [2], "parameters": {"binary_data_size": 4}},
        {"name": "b", "datatype": "FP64", "shape": [1], "data": [0.5]},
        {"name": "c", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": 5}},
        {"name": "d", "datatype": "BOOL", "shape": [2], "parameters": {"binary_data_size": 2}},
        {"name": "e", "datatype": "FP32", "shape": [0], "data": None, "parameters": {"binary_data_size": 0}},
    ]
    head = json.dumps({"inputs": inputs}).encode()
    body = InferBody(memoryview(head + b"\x01\x00\xff\xff" + elements(b"\xff") + b"\x02\x00"), len(head))
    arrays = {tensor.name: tensor.array.tolist() for tensor in read_json(body).payload}
    assert arrays == {"a": [1, -1], "b": [0.5], "c": [b"\xff"], "d": [True, False], "e": []}


def test_an_empty_binary_input_needs_no_header() -> None:
    tensor = {"name": "x", "datatype": "FP32", "shape": [0], "data": None, "parameters": {"binary_data_size": 0}}
    assert_tensor(read_tree({"inputs": [tensor]}).payload[0], "FP32", [0], [])


RAW: dict[str, tuple[TensorSpec, bytes, list[int], list[Any]]] = {
    "fixed": (TensorSpec("x", "INT16", (-1, 2)), b"\x01\x00\x02\x00", [1, 2], [1, 2]),
    "variable": (TensorSpec("x", "FP32", (-1, -1)), struct.pack("<3f", 1, 2, 3), [1, 3], [1.0, 2.0, 3.0]),
    "bytes": (TensorSpec("x", "BYTES", (-1, 1)), b"\xff\x00", [1, 1], [b"\xff\x00"]),
}


@pytest.mark.parametrize(("spec", "body", "shape", "values"), RAW.values(), ids=RAW.keys())
def test_a_request_that_is_only_the_data_of_an_input(
    spec: TensorSpec, body: bytes, shape: list[int], values: list[Any]
) -> None:
    message = read_json(InferBody(body, 0), V2JsonCodec(ModelInfo("model", inputs=(spec,))))
    assert_tensor(message.payload[0], spec.datatype, shape, values)
    assert message.encoding.is_binary


def _input(**changes: Any) -> bytes:
    entry = {"name": "x", "shape": [2], "datatype": "FP64", "data": [1, 2]} | changes
    return json.dumps({"inputs": [{key: value for key, value in entry.items() if value != "absent"}]}).encode()


_PLAIN: dict[str, Any] = {"name": "x", "shape": [1], "datatype": "INT8", "data": [1]}


def _request(**members: Any) -> bytes:
    return json.dumps({"inputs": [_PLAIN]} | members).encode()


MALFORMED: dict[str, tuple[Any, str]] = {
    "empty": (b"", "not JSON"),
    "no-json": (b"{", "not JSON"),
    "not-utf-8": (b'{"inputs":"\xff"}', "not JSON"),
    "deep": (b"[" * 100_000, "nested too deeply"),
    "list": (b"[]", "not a JSON object"),
    "no-inputs": (b"{}", "no list of inputs"),
    "inputs-object": (b'{"inputs":{}}', "no list of inputs"),
    "too-many": (json.dumps({"inputs": [1] * 1025}).encode(), "more than 1024 inputs"),
    "input-number": (b'{"inputs":[1]}', "an input is not an object"),
    "no-name": (_input(name="absent"), "an input has no name"),
    "no-datatype": (_input(datatype="absent"), "unknown datatype None"),
    "unknown-datatype": (_input(datatype="FP8"), "unknown datatype 'FP8'"),
    "no-shape": (_input(shape="absent"), "input 'x': the shape is not a list"),
    "shape-of-texts": (_input(shape=["2"]), "input 'x': the shape is not a list of integers"),
    "shape-of-floats": (_input(shape=[2.0]), "input 'x': the shape is not a list of integers"),
    "shape-of-truth": (_input(shape=[True, 2]), "input 'x': the shape is not a list of integers"),
    "negative": (_input(shape=[-1]), "input 'x': the shape .* has a negative size"),
    "dimensions": (_input(shape=[1] * 33), "more than 32 dimensions"),
    "huge": (_input(shape=[2**40, 2**40]), "does not fit its 2 values"),
    "huge-empty": (_input(shape=[0, 2**40], data=[]), "empty shape"),
    "too-few": (_input(data=[1]), "does not fit its 1 values"),
    "no-data": (_input(data="absent"), "input 'x' has neither data nor binary_data_size"),
    "data-null": (_input(data=None), "input 'x' has neither data"),
    "data-number": (_input(shape=[], data=1), "data is not a list"),
    "nesting": (_input(shape=[2, 2], data=[[1, 2, 3], [4]]), "input 'x': the nested data does not fit"),
    "nesting-of-other-shape": (_input(shape=[4], data=[[1, 2], [3, 4]]), "the nested data does not fit"),
    "text-as-number": (_input(data=["1", 2]), "input 'x': '1' is not a value of FP64"),
    "number-as-text": (_input(datatype="BYTES"), "input 'x': 1 is not a value of BYTES"),
    "number-as-truth": (_input(datatype="BOOL"), "input 'x': 1 is not a value of BOOL"),
    "truth-as-number": (_input(datatype="INT8", data=[True, 2]), "input 'x': True is not a value of INT8"),
    "null-as-integer": (_input(datatype="INT8", data=[None, 2]), "input 'x': None is not a value of INT8"),
    "fraction": (_input(datatype="INT32", data=[1.5, 2]), "input 'x': a value of INT32 is not a whole number"),
    "int8-range": (_input(datatype="INT8", data=[300, 2]), "input 'x': 300 is outside the range of INT8"),
    "uint64-range": (_input(datatype="UINT64", data=[2**64, 2]), "outside the range of UINT64"),
    "unsigned": (_input(datatype="UINT8", data=[-1, 2]), "-1 is outside the range of UINT8"),
    "fp32-range": (_input(datatype="FP32", data=[1e300, 2]), "outside the range of FP32"),
    "size-range": (_input(shape=[10**4000, 10**4000]), "the shape has a size above 9223372036854775807"),
    "long-integer": (_input(datatype="INT8", data=[10**4000, 2]), "input 'x': 10{39} is outside the range of INT8"),
    "bf16-range": (_input(datatype="BF16", data=[3.4e38, 2]), "outside the range of BF16"),
    "huge-integer": (_input(data=[10**400, 2]), "outside the range of FP64"),
    "surrogate": (_input(datatype="BYTES", data=["\ud800", "a"]), "half of a surrogate pair"),
    "two-names": (_request(inputs=[_PLAIN, _PLAIN]), "two inputs have the name 'x'"),
    "id": (_request(id=7), "the id is not a text"),
    "parameters": (_request(parameters=[]), "parameters of the request are not an object"),
    "parameter": (_request(parameters={"a": [1]}), "the parameter 'a' of the request"),
    "flag": (_request(parameters={"binary_data_output": 1}), "binary_data_output of the request is not a truth"),
    "content-type": (_input(parameters={"content_type": 1}), "content_type of input 'x' is not a text"),
    "outputs": (_request(outputs={}), "the requested outputs"),
    "output": (_request(outputs=[1]), "a requested output is not an object"),
    "output-name": (_request(outputs=[{}]), "a requested output has no name"),
    "output-twice": (_request(outputs=[{"name": "o"}] * 2), "an output is requested twice"),
    "classification": (_request(outputs=[{"name": "o", "parameters": {"classification": 2}}]), "not supported"),
    "shared-memory": (
        _input(data="absent", parameters={"shared_memory_region": "r"}),
        "shared memory is not supported",
    ),
    "both": (_input(parameters={"binary_data_size": 16}), "input 'x' has both data and binary_data_size"),
    "binary-short": (binary("INT32", [2], b"1234"), "INT32 of shape .* is 8 bytes in binary form, not 4"),
    "binary-long": (binary("INT32", [1], b"12345678"), "is 4 bytes in binary form, not 8"),
    "binary-beyond": (binary("INT32", [1], b"1234", size=8), "end beyond the body"),
    "binary-surplus": (binary("INT32", [1], b"1234", b"5"), "1 bytes of binary data belong to no input"),
    "binary-negative": (binary("INT32", [1], b"1234", size=-4), "binary_data_size is not a number of bytes"),
    "binary-huge": (binary("INT32", [2**40, 2**40], b"1234"), "not 4"),
    "binary-huge-empty": (binary("INT32", [0, 2**40], b""), "empty shape"),
    "bytes-cut": (binary("BYTES", [1], b"\x05\x00\x00\x00abc"), "input 'x': an element of 5 bytes ends beyond"),
    "bytes-rest": (binary("BYTES", [1], elements(b"a") + b"\x01"), "1 bytes are left over"),
    "bytes-more": (binary("BYTES", [1], elements(b"a", b"b")), "more elements than the shape"),
    "bytes-less": (binary("BYTES", [3], elements(b"a", b"b")), "does not fit its 2 values"),
    "header-negative": (InferBody(_request(), -1), "Inference-Header-Content-Length is -1"),
    "header-beyond": (InferBody(_request(), 10_000), "Inference-Header-Content-Length is 10000"),
    "raw-without-inputs": (InferBody(b"1234", 0), "needs a model with one declared input"),
}


@pytest.mark.parametrize(("body", "text"), MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed_requests_in_json(body: Any, text: str) -> None:
    with pytest.raises(PayloadError, match=text):
        read_json(body)


def _changed(**changes: Any) -> Any:
    request = proto(changes.pop("datatype", "INT32"), changes.pop("shape", [1]), changes.pop("typed", [1]))
    for name, value in changes.items():
        setattr(request, name, value)
    return request


def _with(*steps: Any, **changes: Any) -> Any:
    request = _changed(**changes)
    for step in steps:
        step(request)
    return request


MALFORMED_PROTO: dict[str, tuple[Any, str]] = {
    "shape": (_changed(shape=[2]), "input 'x': the shape .* does not fit its 1 values"),
    "negative": (_changed(shape=[-1]), "has a negative size"),
    "huge": (_changed(shape=[2**40, 2**40]), "does not fit its 1 values"),
    "datatype": (_with(lambda r: setattr(r.inputs[0], "datatype", "int32")), "unknown datatype 'int32'"),
    "name": (_with(lambda r: r.inputs[0].ClearField("name")), "an input has no name"),
    "range": (_changed(datatype="INT8", typed=[300]), "input 'x': 300 is outside the range of INT8"),
    "unsigned-range": (_changed(datatype="UINT16", typed=[70000]), "70000 is outside the range of UINT16"),
    "other-field": (
        _with(lambda r: setattr(r.inputs[0], "datatype", "FP64")),
        "FP64 is in fp64_contents, and int_contents is set",
    ),
    "second-field": (
        _with(lambda r: r.inputs[0].contents.bool_contents.append(True)),
        "INT32 is in int_contents, and bool_contents is set",
    ),
    "raw-and-typed": (_with(lambda r: r.raw_input_contents.append(b"1234")), "input 'x' has contents although"),
    "raw-and-empty": (
        _with(lambda r: r.inputs[0].contents.Clear(), lambda r: r.raw_input_contents.append(b"1234")),
        "input 'x' has contents although",
    ),
    "raw-count": (
        _with(lambda r: r.inputs[0].ClearField("contents"), lambda r: r.raw_input_contents.extend([b"1234", b""])),
        "1 inputs and 2 raw_input_contents",
    ),
    "raw-size": (
        _with(lambda r: r.inputs[0].ClearField("contents"), lambda r: r.raw_input_contents.append(b"12345")),
        "is 4 bytes in binary form, not 5",
    ),
    "inputs": (_with(lambda r: [r.inputs.add(name=f"i{i}") for i in range(1024)]), "more than 1024 inputs"),
    "raws": (_with(lambda r: r.raw_input_contents.extend([b""] * 5000)), "1 inputs and 5000 raw_input_contents"),
    "outputs": (_with(lambda r: [r.outputs.add(name=f"o{i}") for i in range(1025)]), "more than 1024 outputs"),
    "two-names": (_with(lambda r: r.inputs.append(r.inputs[0])), "two inputs have the name 'x'"),
    "parameter": (_with(lambda r: r.parameters["p"].SetInParent()), "the parameter 'p' of the request has no value"),
    "output": (_with(lambda r: r.outputs.add()), "a requested output has no name"),
    "output-twice": (
        _with(lambda r: r.outputs.add(name="o"), lambda r: r.outputs.add(name="o")),
        "an output is requested twice",
    ),
}


@pytest.mark.parametrize(("request_", "text"), MALFORMED_PROTO.values(), ids=MALFORMED_PROTO.keys())
def test_malformed_requests_in_protobuf(request_: Any, text: str) -> None:
    with pytest.raises(PayloadError, match=text):
        read_proto(request_)


@pytest.mark.parametrize("wire", [b"\xff", b"\x2a\x05abc", b"\x0a\x01\xff"], ids=["tag", "end", "utf-8"])
@pytest.mark.parametrize("size", [0, 5000], ids=["short", "long"])
def test_bytes_that_are_no_request(wire: bytes, size: int) -> None:
    padding = ModelInferRequest(id="x" * size).SerializeToString() if size else b""
    with pytest.raises(PayloadError, match="the request is not a ModelInferRequest"):
        PROTO.decode(Operation.PREDICT, padding + wire).message  # noqa: B018


NAMES: dict[str, tuple[str, str, str | None]] = {
    "own": ("model", "", None),
    "none": ("", "", None),
    "alias": ("unit", "v1", None),
    "other": ("else", "", "unknown model 'else'; the model is 'model'"),
    "version": ("model", "2", "unknown version '2' of model 'model'; its version is 'v1'"),
}


@pytest.mark.parametrize(("name", "version", "text"), NAMES.values(), ids=NAMES.keys())
def test_names_and_versions_on_grpc(name: str, version: str, text: str | None) -> None:
    request = proto("INT8", [1], [1])
    request.model_name, request.model_version = name, version
    if text is None:
        assert read_proto(request).version == (version or None)
        return
    with pytest.raises(UnknownModel, match=text):
        read_proto(request)


def test_a_router_takes_any_name() -> None:
    request = proto("INT8", [1], [1])
    request.model_name = "else"
    assert read_proto(request, V2ProtoCodec(ModelInfo("model", takes_any_name=True))).payload


def test_the_protocol_has_no_aggregate_on_grpc() -> None:
    with pytest.raises(UnsupportedOperation, match="aggregate"):
        PROTO.decode(Operation.AGGREGATE, b"")

"""Requests in every dialect: independent decoders find the array in them; responses are decoded."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from benchmarks import dialects, json_bodies, proto_bodies, protowire
from benchmarks.responses import WrongResponse, check_response
from benchmarks.servers import SERVERS
from benchmarks.workloads import MODELS, WORKLOADS, Array, Form, Workload
from seldon_spec.protocols.seldon_v1.proto import SeldonMessage

pytestmark = pytest.mark.benchmarks

MATRICES = arrays.arrays(np.float64, st.tuples(st.integers(1, 5), st.integers(1, 5)), elements=st.floats(-1e300, 1e300))


@pytest.mark.parametrize("form", [Form.NDARRAY, Form.TENSOR])
@given(array=MATRICES)
def test_a_seldon_message_is_what_protobuf_reads(form: Form, array: Array) -> None:
    wire = proto_bodies.encode_seldon(form, array)
    data = SeldonMessage.FromString(wire).data
    if form is Form.TENSOR:
        assert list(data.tensor.shape) == list(array.shape)
        assert list(data.tensor.values) == array.ravel().tolist()
    else:
        rows = [[cell.number_value for cell in row.list_value.values] for row in data.ndarray.values]
        assert rows == array.tolist()
    assert np.array_equal(proto_bodies.decode_seldon(wire), array)


def test_a_message_of_v2_has_its_numbers_where_the_protocol_has_them() -> None:
    wire = memoryview(proto_bodies.encode_v2(Form.TENSOR, np.array([[1.5, -2.0]])))
    assert bytes(protowire.read_bytes(wire, 1)) == b"model"
    tensor = protowire.read_bytes(wire, 5)
    assert bytes(protowire.read_bytes(tensor, 2)) == b"FP64"
    assert list(protowire.read_numbers(protowire.read_bytes(tensor, 3))) == [1, 2]
    doubles = protowire.read_bytes(protowire.read_bytes(tensor, 5), 7)
    assert np.frombuffer(doubles).tolist() == [1.5, -2.0]


@given(array=MATRICES)
def test_a_v2_response_is_decoded(array: Array) -> None:
    """A response has its outputs where a request has its inputs."""
    assert np.array_equal(proto_bodies.decode_v2(proto_bodies.encode_v2(Form.TENSOR, array)), array)


JSON_RESPONSES = {
    "seldon-ndarray": (dialects.SELDON_REST, {"data": {"names": [], "ndarray": [[1, 2.5]]}, "meta": {}}),
    "seldon-tensor": (dialects.SELDON_REST, {"data": {"tensor": {"shape": [1, 2], "values": [1, 2.5]}}}),
    "v2": (dialects.V2_REST, {"outputs": [{"name": "y", "shape": [1, 2], "datatype": "FP64", "data": [1, 2.5]}]}),
    "litserve": (dialects.LITSERVE, {"output": [[1, 2.5]]}),
    "bentoml": (dialects.BENTOML, [[1, 2.5]]),
}


@pytest.mark.parametrize(("dialect", "tree"), JSON_RESPONSES.values(), ids=JSON_RESPONSES)
def test_a_json_response_is_decoded(dialect: dialects.Dialect, tree: object) -> None:
    assert dialect.decode(json.dumps(tree).encode()).tolist() == [[1, 2.5]]


JSON_REQUESTS = {
    "ndarray": (json_bodies.encode_seldon, Form.NDARRAY, {"data": {"ndarray": [[1.0, 0.1]]}}),
    "tensor": (json_bodies.encode_seldon, Form.TENSOR, {"data": {"tensor": {"shape": [1, 2], "values": [1.0, 0.1]}}}),
    "v2": (
        json_bodies.encode_v2,
        Form.TENSOR,
        {"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP64", "data": [1.0, 0.1]}]},
    ),
    "litserve": (json_bodies.encode_litserve, Form.NDARRAY, {"input": [[1.0, 0.1]]}),
    "bentoml": (json_bodies.encode_bentoml, Form.NDARRAY, {"x": [[1.0, 0.1]]}),
}


@pytest.mark.parametrize(("encode", "form", "tree"), JSON_REQUESTS.values(), ids=JSON_REQUESTS)
def test_a_json_request_is_written(encode: object, form: Form, tree: object) -> None:
    assert callable(encode)
    assert json.loads(encode(form, np.array([[1.0, 0.1]]))) == tree


@pytest.mark.parametrize("workload", WORKLOADS.values(), ids=WORKLOADS)
def test_a_workload_s_request_holds_its_array(workload: Workload) -> None:
    """Exactly: JSON's shortest text of a double is read as the same double."""
    dialect = SERVERS["seldon-spec"].dialect(workload)
    assert dialect is not None
    array = workload.make_array()
    assert array.shape == workload.shape
    assert np.array_equal(dialect.decode(_make_response(workload.form, dialect.request(workload), array)), array)


def _make_response(form: Form, request: bytes, array: Array) -> bytes:
    """The response of an echo; the messages of the other forms are the same in both directions."""
    if form is Form.RAW:
        parts = [protowire.encode_field(number, array.tobytes()) for number in (7, 6)]
        assert request.endswith(parts[0])
        return request.removesuffix(parts[0]) + parts[1]
    return request.replace(b'"inputs"', b'"outputs"') if form in (Form.JSON, Form.BINARY) else request


def test_a_binary_request_says_where_its_json_ends() -> None:
    workload = WORKLOADS["v2-rest-binary-medium"]
    length = int(dialects.V2_BINARY.headers_of(workload)["Inference-Header-Content-Length"])
    body = dialects.V2_BINARY.request(workload)
    (tensor,) = json.loads(body[:length])["inputs"]
    assert tensor["parameters"]["binary_data_size"] == len(body) - length == 80_000


@given(number=st.integers(0, 2**64 - 1))
def test_a_varint_is_read_back(number: int) -> None:
    wire = protowire.encode_varint(number)
    assert protowire.read_varint(memoryview(wire), 0) == (number, len(wire))


@pytest.mark.parametrize("wire", [b"\x0a\x05abc", b"\x09abc", b"\x0b", b""], ids=["text", "double", "group", "nothing"])
def test_a_broken_message_is_refused(wire: bytes) -> None:
    with pytest.raises(ValueError, match=r"cut short|wire type|0 times"):
        protowire.read_bytes(memoryview(wire), 1)


ARRAY = np.array([[1.0, 2.0]])
WRONG = {
    "another number": (b'{"data":{"ndarray":[[1.0,2.0000000001]]}}', "1 of its 2 numbers"),
    "another shape": (b'{"data":{"ndarray":[[1.0],[2.0]]}}', r"shape is \(2, 1\)"),
    "no array": (b'{"data":{}}', "cannot be read"),
    "no JSON": (b"<html>", "cannot be read"),
    "ragged": (b'{"data":{"ndarray":[[1.0],[2.0,3.0]]}}', "cannot be read"),
}


@pytest.mark.parametrize(("body", "says"), WRONG.values(), ids=WRONG)
def test_a_wrong_response_is_reported(body: bytes, says: str) -> None:
    with pytest.raises(WrongResponse, match=says):
        check_response(body, dialects.SELDON_REST, MODELS["Identity"], ARRAY)


@pytest.mark.parametrize("message", [b"", b"\x1a\x00", b"\x08\x01"], ids=["empty", "data of nothing", "status"])
def test_a_message_without_an_array_is_reported(message: bytes) -> None:
    with pytest.raises(WrongResponse, match="cannot be read"):
        check_response(message, dialects.SELDON_GRPC, MODELS["Identity"], ARRAY)


def test_arithmetic_may_differ_in_the_last_bits_only() -> None:
    model = MODELS["SmallOp"]
    wanted = model.predict(ARRAY)
    assert wanted.shape == (1, 3)
    check_response(
        json.dumps({"data": {"ndarray": (wanted * (1 + 1e-12)).tolist()}}).encode(), dialects.SELDON_REST, model, wanted
    )
    with pytest.raises(WrongResponse):
        check_response(
            json.dumps({"data": {"ndarray": (wanted * 1.001).tolist()}}).encode(), dialects.SELDON_REST, model, wanted
        )

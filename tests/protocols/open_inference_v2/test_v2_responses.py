"""Responses of the Open Inference Protocol on both transports: what a class returns, as outputs."""

from __future__ import annotations

import datetime
import json
import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest

from seldon_spec.config.contract import TensorSpec
from seldon_spec.config.model import ServiceType, UnitSpec
from seldon_spec.errors import InferUnsupported, PayloadError, ResultError
from seldon_spec.inference.component.adapter import Adapter
from seldon_spec.inference.component.contract import SeldonResponse
from seldon_spec.inference.datatypes import find_datatype
from seldon_spec.inference.message import Message, Operation, PayloadType, join_messages
from seldon_spec.inference.request import EncodedResponse, Request
from seldon_spec.protocols.open_inference_v2.codec import InferBody, ModelInfo
from seldon_spec.protocols.open_inference_v2.json_codec import V2JsonCodec, V2PassthroughCodec
from seldon_spec.protocols.open_inference_v2.proto import ModelInferRequest, ModelInferResponse
from seldon_spec.protocols.open_inference_v2.proto_codec import V2ProtoCodec
from seldon_spec.protocols.open_inference_v2.proto_message import CONTENTS

MODEL = ModelInfo("model")
ONE_ROW = {"name": "x", "shape": [1, 2], "datatype": "FP64", "data": [1, 2]}


def record(metrics: object) -> list[dict[str, Any]]:
    assert isinstance(metrics, list)
    return list(metrics)


class Returning:
    def __init__(self, result: object) -> None:
        self.result = result

    def predict(self, X: Any, names: Any) -> Any:  # noqa: ARG002, N803
        return self.result


def send(
    user: object,
    body: Any,
    model: ModelInfo = MODEL,
    operation: Operation = Operation.PREDICT,
    service_type: ServiceType = ServiceType.MODEL,
) -> EncodedResponse:
    codec = V2JsonCodec(model)
    request = codec.decode(operation, body)
    return codec.encode(Adapter(user, UnitSpec(), service_type).call(request, record), request)


def send_tree(user: object, more: Mapping[str, Any] | None = None, model: ModelInfo = MODEL) -> Any:
    body = json.dumps({"inputs": [ONE_ROW], **(more or {})}).encode()
    return json.loads(send(user, body, model).body)


def send_proto(user: object, *, is_raw: bool = False, outputs: Sequence[str] = (), model: ModelInfo = MODEL) -> Any:
    request = ModelInferRequest(id="7")
    tensor = request.inputs.add(name="x", datatype="FP64", shape=[1, 2])
    if is_raw:
        request.raw_input_contents.append(struct.pack("<2d", 1, 2))
    else:
        tensor.contents.fp64_contents.extend([1, 2])
    for name in outputs:
        request.outputs.add(name=name)
    codec = V2ProtoCodec(model)
    decoded = codec.decode(Operation.PREDICT, request.SerializeToString())
    encoded = codec.encode(Adapter(user, UnitSpec()).call(decoded, record), decoded)
    return ModelInferResponse.FromString(encoded.body)


def test_a_declared_output_of_bf16_is_sent_as_such() -> None:
    bits = np.array([0x3FC0, 0xC020], "<u2").view(find_datatype("BF16").dtype)
    model = ModelInfo("model", outputs=(TensorSpec("y", "BF16", (-1,)),))
    user = Returning(bits)
    assert send_tree(user, model=model)["outputs"] == [
        {"name": "y", "shape": [2], "datatype": "BF16", "data": [1.5, -2.5]}
    ]
    response = send_proto(user, model=model)
    assert (response.outputs[0].datatype, response.raw_output_contents) == ("BF16", [b"\xc0\x3f\x20\xc0"])


def objects(*items: Any) -> Any:
    array = np.empty(len(items), object)
    array[:] = items
    return array


DAY = datetime.datetime(2024, 5, 1, 12, 30)
TABLE = pd.DataFrame({"i": np.array([1, 2], "i4"), "t": ["a", "b"], "f": [0.5, np.nan], "d": [DAY, DAY]})
STR, JSON, DATE = {"content_type": "str"}, {"content_type": "json"}, {"content_type": "datetime"}
ISO = "2024-05-01T12:30:00"

Output = tuple[str, str, list[int], list[Any], dict[str, Any]]
RESULTS: dict[str, tuple[Any, list[Output]]] = {
    "list": ([[1, 2]], [("output-0", "INT64", [1, 2], [1, 2], {})]),
    "floats": ([[1.5, 2]], [("output-0", "FP64", [1, 2], [1.5, 2.0], {})]),
    "number": (1.5, [("output-0", "FP64", [1], [1.5], {})]),
    "truth": (True, [("output-0", "BOOL", [1], [True], {})]),
    "nothing": (None, [("output-0", "BYTES", [1], ["null"], JSON)]),
    "scalar": (np.float32(1.5), [("output-0", "FP32", [1], [1.5], {})]),
    "flat": (np.array([1, 2], np.uint8), [("output-0", "UINT8", [2], [1, 2], {})]),
    "bool": (np.array([[True]]), [("output-0", "BOOL", [1, 1], [True], {})]),
    "half": (np.array([1.5], np.float16), [("output-0", "FP16", [1], [1.5], {})]),
    "big-endian": (np.array([1, 300], ">i2"), [("output-0", "INT16", [2], [1, 300], {})]),
    "order": (np.array([[1, 2], [3, 4]]).T, [("output-0", "INT64", [2, 2], [1, 3, 2, 4], {})]),
    "not-finite": (
        np.array([np.nan, np.inf, -np.inf, 1.0]),
        [("output-0", "FP64", [4], ["NaN", "Infinity", "-Infinity", 1.0], {})],
    ),
    "text": ("häé", [("output-0", "BYTES", [1], ["häé"], STR)]),
    "texts": (["a", "b"], [("output-0", "BYTES", [2], ["a", "b"], STR)]),
    "text-array": (np.array([["a"], ["bc"]]), [("output-0", "BYTES", [2, 1], ["a", "bc"], STR)]),
    "text-objects": (objects("a", "b"), [("output-0", "BYTES", [2], ["a", "b"], STR)]),
    "number-objects": (objects(1, 2.5), [("output-0", "FP64", [2], [1.0, 2.5], {})]),
    "numpy-objects": (
        objects(np.float32(1.5), np.int8(2), np.bool_(1)),
        [("output-0", "FP64", [3], [1.5, 2.0, 1.0], {})],
    ),
    "numpy-text-objects": (objects(np.str_("a"), "b"), [("output-0", "BYTES", [2], ["a", "b"], STR)]),
    "zoned-dates": (
        pd.DataFrame({"d": pd.to_datetime([DAY], utc=True)}),
        [("d", "BYTES", [1], [f"{ISO}+00:00"], DATE)],
    ),
    "bytes": (b"ab", [("output-0", "BYTES", [1], ["ab"], {})]),
    "bytes-objects": (objects(b"a", b"b"), [("output-0", "BYTES", [2], ["a", "b"], {})]),
    "dates": (np.array(["2024-05-01T12:30"], "M8[s]"), [("output-0", "BYTES", [1], [f"{ISO}.000000"], DATE)]),
    "date-objects": (objects(DAY), [("output-0", "BYTES", [1], [ISO], DATE)]),
    "dict-of-arrays": (
        {"a": np.array([1], np.int8), "b": [[0.5]], "c": ["x"]},
        [("a", "INT8", [1], [1], {}), ("b", "FP64", [1, 1], [0.5], {}), ("c", "BYTES", [1], ["x"], STR)],
    ),
    "dict": ({"a": 1, "b": [1]}, [("output-0", "BYTES", [1], ['{"a": 1, "b": [1]}'], JSON)]),
    "dict-ragged": ({"a": [[1], [1, 2]]}, [("output-0", "BYTES", [1], ['{"a": [[1], [1, 2]]}'], JSON)]),
    "empty-dict": ({}, [("output-0", "BYTES", [1], ["{}"], JSON)]),
    "nested": ([{"a": None}], [("output-0", "BYTES", [1], ['[{"a": null}]'], JSON)]),
    "ragged": ([[1], [1, 2]], [("output-0", "BYTES", [1], ["[[1], [1, 2]]"], JSON)]),
    "table": (
        TABLE,
        [
            ("i", "INT32", [2], [1, 2], {}),
            ("t", "BYTES", [2], ["a", "b"], STR),
            ("f", "FP64", [2], [0.5, "NaN"], {}),
            ("d", "BYTES", [2], [f"{ISO}.000000"] * 2, DATE),
        ],
    ),
    "no-rows": (np.zeros((0, 3), np.float32), [("output-0", "FP32", [0, 3], [], {})]),
}


@pytest.mark.parametrize(("result", "expected"), RESULTS.values(), ids=RESULTS.keys())
def test_results_as_json(result: Any, expected: list[Output]) -> None:
    tree = send_tree(Returning(result))
    assert tree.keys() == {"model_name", "outputs"}
    found = [(o["name"], o["datatype"], o["shape"], o["data"], o.get("parameters", {})) for o in tree["outputs"]]
    assert found == expected


def _typed(output: Any) -> list[Any]:
    values: list[Any] = list(getattr(output.contents, CONTENTS[output.datatype]))
    if output.datatype == "BYTES":
        return [value.decode() for value in values]
    names = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
    return [names.get(str(value), value) for value in values]


@pytest.mark.parametrize(("result", "expected"), RESULTS.values(), ids=RESULTS.keys())
def test_results_as_typed_contents(result: Any, expected: list[Output]) -> None:
    response = send_proto(Returning(result))
    if any(datatype == "FP16" for _, datatype, *_ in expected):
        assert response.raw_output_contents == [b"\x00\x3e"]
        assert not response.outputs[0].HasField("contents")
        return
    assert not response.raw_output_contents
    found = [
        (o.name, o.datatype, list(o.shape), _typed(o), {k: v.string_param for k, v in o.parameters.items()})
        for o in response.outputs
    ]
    assert found == expected


@pytest.mark.parametrize(("result", "expected"), RESULTS.values(), ids=RESULTS.keys())
def test_results_in_binary_form_are_the_same_on_both_transports(result: Any, expected: list[Output]) -> None:
    body = json.dumps({"inputs": [ONE_ROW], "parameters": {"binary_data_output": True}}).encode()
    encoded = send(Returning(result), body)
    headers = dict(encoded.headers)
    assert headers[b"content-type"] == b"application/octet-stream"
    size = int(headers[b"inference-header-content-length"])
    outputs = json.loads(encoded.body[:size])["outputs"]
    raw, at = [], size
    for output in outputs:
        assert "data" not in output
        end = at + output["parameters"]["binary_data_size"]
        raw.append(encoded.body[at:end])
        at = end
    assert at == len(encoded.body)
    assert [(output["name"], output["datatype"], output["shape"]) for output in outputs] == [e[:3] for e in expected]
    response = send_proto(Returning(result), is_raw=True)
    assert list(response.raw_output_contents) == raw
    assert not any(output.HasField("contents") for output in response.outputs)


def test_binary_data_is_little_endian_and_row_major() -> None:
    result = {"a": np.array([[1, 2], [3, 4]], ">i2").T, "b": objects(b"\xff", ""), "c": np.array([True, False])}
    response = send_proto(Returning(result), is_raw=True)
    assert list(response.raw_output_contents) == [
        struct.pack("<4h", 1, 3, 2, 4),
        b"\x01\x00\x00\x00\xff\x00\x00\x00\x00",
        b"\x01\x00",
    ]


def test_floats_of_32_bits_have_the_fewest_digits() -> None:
    for count in (1, 100):
        body = json.dumps({"inputs": [ONE_ROW]}).encode()
        text = send(Returning(np.full(count, 0.1, np.float32)), body).body
        assert text.count(b"0.1") == count
        assert b"0.10" not in text


ID = "ü\ud800"


def test_id_version_and_requested_outputs() -> None:
    result = {"a": [1], "b": [2], "c": [3]}
    tree = send_tree(
        Returning(result),
        {"id": ID, "parameters": {"binary_data_output": False}, "outputs": [{"name": "c"}, {"name": "a"}]},
        ModelInfo("model", "v1"),
    )
    assert (tree["id"], tree["model_name"], tree["model_version"]) == (ID, "model", "v1")
    assert [output["name"] for output in tree["outputs"]] == ["c", "a"]
    response = send_proto(Returning(result), outputs=["b"], model=ModelInfo("model", "v1"))
    assert (response.id, response.model_name, response.model_version) == ("7", "model", "v1")
    assert [output.name for output in response.outputs] == ["b"]
    with pytest.raises(PayloadError, match="there is no output 'd'; the outputs are a, b, c"):
        send_tree(Returning(result), {"outputs": [{"name": "d"}]})
    with pytest.raises(PayloadError, match="there is no output 'd'"):
        send_proto(Returning(result), outputs=["d"])


def test_the_name_of_the_model_is_that_of_the_request() -> None:
    body = InferBody(json.dumps({"inputs": [ONE_ROW]}).encode(), None, "alias")
    assert json.loads(send(Returning([1]), body).body)["model_name"] == "alias"


def test_an_output_may_be_binary_among_others_in_json() -> None:
    outputs = [{"name": "a", "parameters": {"binary_data": False}}, {"name": "b"}]
    body = json.dumps({"inputs": [ONE_ROW], "outputs": outputs, "parameters": {"binary_data_output": True}}).encode()
    encoded = send(Returning({"a": [1], "b": np.array([2], np.int8)}), body)
    size = int(dict(encoded.headers)[b"inference-header-content-length"])
    first, second = json.loads(encoded.body[:size])["outputs"]
    assert first["data"] == [1]
    assert second["parameters"] == {"binary_data_size": 1}
    assert encoded.body[size:] == b"\x02"


def test_bytes_that_are_not_utf_8_have_no_form_in_json() -> None:
    with pytest.raises(PayloadError, match=r"output 'output-0': an element is not UTF-8.*binary_data"):
        send_tree(Returning(b"\xff"))
    assert send_proto(Returning(b"\xff")).outputs[0].contents.bytes_contents == [b"\xff"]


UNSUPPORTED: dict[str, Any] = {
    "complex": np.array([1j]),
    "long-double": np.array([1], np.longdouble),
    "nested-in-dict": {"a": np.array([1j])},
}


@pytest.mark.parametrize("result", UNSUPPORTED.values(), ids=UNSUPPORTED.keys())
def test_types_that_the_protocol_does_not_have(result: Any) -> None:
    for send_one in (send_tree, send_proto):
        with pytest.raises(ResultError, match=r"output '(output-0|a)' has the type (complex|float|longdouble)"):
            send_one(Returning(result))


def test_two_columns_of_the_same_name_are_no_outputs() -> None:
    for table in (pd.DataFrame([[1, 2]], columns=["a", "a"]), pd.DataFrame([[1, 2]], columns=[1, "1"])):
        with pytest.raises(ResultError, match="two columns of the result have the same name"):
            send_tree(Returning(table))


class Named(Returning):
    def __init__(self, result: Any, names: list[str]) -> None:
        super().__init__(result)
        self.class_names = names


NAMED: dict[str, tuple[Any, list[str], tuple[str, ...], str, dict[str, Any]]] = {
    "one": ([[1]], ["score"], (), "score", {}),
    "one-flat": ([1], ["score"], (), "score", {}),
    "several": ([[1, 2]], ["a", "b"], (), "output-0", {"names": '["a", "b"]'}),
    "declared": ([[1, 2]], ["a", "b"], ("y",), "y", {"names": '["a", "b"]'}),
    "declared-flat": ([1], ["score"], ("y",), "y", {}),
    "other-count": ([[1, 2, 3]], ["a", "b"], (), "output-0", {}),
}


@pytest.mark.parametrize(("result", "names", "declared", "name", "parameters"), NAMED.values(), ids=NAMED.keys())
def test_names_of_classes_and_outputs(
    result: Any, names: list[str], declared: tuple[str, ...], name: str, parameters: dict[str, Any]
) -> None:
    outputs = tuple(TensorSpec(each, "INT64", (-1,)) for each in declared)
    (output,) = send_tree(Named(result, names), model=ModelInfo("model", outputs=outputs))["outputs"]
    assert (output["name"], output.get("parameters", {})) == (name, parameters)


class Tagging:
    def predict(self, X: Any, names: Any, meta: Any) -> Any:  # noqa: ARG002, N803
        meta.setdefault("tags", {})["own"] = np.int64(3)
        return SeldonResponse([1], {"list": [1, 2], "nan": float("nan"), "big": 2**70}, [])

    def tags(self) -> dict[str, Any]:
        return {"text": "t", "truth": True, "float": 0.5}

    def metrics(self) -> list[dict[str, Any]]:
        return [{"key": "k", "type": "GAUGE", "value": 1}]


TAGS = {"own": 3, "text": "t", "truth": True, "float": 0.5, "list": "[1, 2]", "nan": "NaN", "big": str(2**70)}


def test_tags_are_parameters_of_the_response_and_those_of_the_request_are_not() -> None:
    request = {"parameters": {"sent": "s", "text": "other"}}
    assert send_tree(Tagging(), request)["parameters"] == TAGS
    parameters = send_proto(Tagging()).parameters
    assert {name: getattr(p, p.WhichOneof("parameter_choice")) for name, p in parameters.items()} == TAGS


def test_metrics_are_in_the_response_where_clients_get_them() -> None:
    metrics = send_tree(Tagging(), model=ModelInfo("model", shows_metrics=True))["parameters"]["metrics"]
    assert json.loads(metrics) == [{"key": "k", "type": "GAUGE", "value": 1}]


class Outliers:
    def score(self, X: Any, names: Any) -> Any:  # noqa: ARG002, N803
        return [0.25, 1]

    def transform_input(self, X: Any, names: Any) -> Any:  # noqa: ARG002, N803
        return X * 2


def test_scores_of_an_outlier_detector() -> None:
    body = json.dumps({"inputs": [ONE_ROW]}).encode()
    tree = json.loads(send(Outliers(), body, service_type=ServiceType.OUTLIER_DETECTOR).body)
    assert tree["parameters"] == {"outlierScore": "[0.25, 1]"}
    assert tree["outputs"][0]["data"] == [2, 4]


class Transforming:
    def transform_output(self, X: Any, names: Any) -> Any:  # noqa: ARG002, N803
        return X + 1


class Unchanged:
    pass


TRANSFORMERS: dict[str, tuple[Any, list[tuple[str, str, list[Any]]]]] = {
    "input": (Outliers(), [("output-0", "FP64", [2, 4])]),
    "output": (Transforming(), [("output-0", "FP64", [2, 3])]),
    "neither": (Unchanged(), [("x", "FP64", [1, 2])]),
}


@pytest.mark.parametrize(("user", "expected"), TRANSFORMERS.values(), ids=TRANSFORMERS.keys())
def test_transformers(user: Any, expected: list[tuple[str, str, list[Any]]]) -> None:
    body = json.dumps({"inputs": [ONE_ROW]}).encode()
    tree = json.loads(send(user, body, service_type=ServiceType.TRANSFORMER).body)
    assert [(o["name"], o["datatype"], o["data"]) for o in tree["outputs"]] == expected


class Graph:
    def route(self, X: Any, names: Any) -> int:  # noqa: ARG002, N803
        return int(X[0, 1])

    def aggregate(self, arrays: Any, names: Any) -> Any:
        return [[float(array.sum()) for array in arrays], [len(each) for each in names]]


def test_routers_and_combiners() -> None:
    body = json.dumps({"inputs": [ONE_ROW]}).encode()
    for service_type in (ServiceType.ROUTER, ServiceType.COMBINER):
        with pytest.raises(InferUnsupported, match="Graph is a router or a combiner"):
            send(Graph(), body, service_type=service_type)
    assert send(Graph(), body, MODEL, Operation.ROUTE, ServiceType.ROUTER).body == b"[2]"
    part = {"model_name": "child", "id": "p", "outputs": [{**ONE_ROW, "name": "y"}], "parameters": {"sent": 1}}
    parts = json.dumps([part, {"outputs": [{"name": "z", "shape": [1], "datatype": "INT8", "data": [5]}]}]).encode()
    tree = json.loads(send(Graph(), parts, MODEL, Operation.AGGREGATE, ServiceType.COMBINER).body)
    assert tree["outputs"][0]["data"] == [3, 5, 0, 0]
    assert (tree["id"], tree.get("parameters")) == ("p", None)


AGGREGATES: dict[str, tuple[bytes, str]] = {
    "object": (b"{}", "not a list of inference responses"),
    "part": (b"[1]", "not a JSON object"),
    "inputs": (b'[{"inputs":[]}]', "no list of outputs"),
    "none": (b"[]", "no message to aggregate"),
}


@pytest.mark.parametrize(("body", "text"), AGGREGATES.values(), ids=AGGREGATES.keys())
def test_malformed_lists_of_responses(body: bytes, text: str) -> None:
    with pytest.raises(PayloadError, match=text):
        send(Graph(), body, MODEL, Operation.AGGREGATE, ServiceType.COMBINER)


class Raw:
    def __init__(self) -> None:
        self.got: Any = None

    def predict_raw(self, message: Any) -> Any:
        self.got = message
        return message


def _input(**changes: Any) -> bytes:
    more = {"id": "7", "parameters": {"sent": 1}}
    return json.dumps({"inputs": [{**ONE_ROW, **changes}], **more}).encode()


BYTES = {"datatype": "BYTES", "shape": [1]}
RAW: dict[str, tuple[bytes, dict[str, Any], list[Any]]] = {
    "array": (_input(), {"data": {"names": [], "ndarray": [[1.0, 2.0]]}}, [1, 2]),
    "text": (_input(**BYTES, data=["t"]), {"strData": "t"}, ["t"]),
    "bytes": (
        _input(**BYTES, data=["t"], parameters={"content_type": "bytes"}),
        {"binData": "dA=="},
        ["t"],
    ),
    "json": (
        _input(**BYTES, data=['{"a":{"b":1}}'], parameters={"content_type": "json"}),
        {"jsonData": {"a": {"b": 1}}},
        ['{"a": {"b": 1}}'],
    ),
}


@pytest.mark.parametrize(("body", "expected", "data"), RAW.values(), ids=RAW.keys())
def test_raw_hooks_get_and_return_messages_of_seldons_protocol(
    body: bytes, expected: dict[str, Any], data: list[Any]
) -> None:
    user = Raw()
    tree = json.loads(send(user, body).body)
    assert user.got == {**expected, "meta": {"puid": "7", "tags": {"sent": 1}}}
    assert (tree["id"], tree["outputs"][0]["data"]) == ("7", data)


def test_raw_hooks_on_grpc_get_protobuf_messages() -> None:
    user = Raw()
    response = send_proto(user)
    assert user.got.DESCRIPTOR.full_name == "seldon.protos.SeldonMessage"
    assert [[v.number_value for v in row.list_value.values] for row in user.got.data.ndarray.values] == [[1, 2]]
    assert response.outputs[0].contents.fp64_contents == [1, 2]


@pytest.mark.parametrize("codec", [V2JsonCodec(MODEL), V2ProtoCodec(MODEL)], ids=["json", "proto"])
def test_a_response_as_the_request_to_another_component(codec: Any) -> None:
    array = np.array([[1.5, 2]])
    message = Message(PayloadType.ARRAY, array, ["a", "b"], {"tags": {"t": 1}})
    received = codec.receive(message)
    sent = codec.decode(Operation.PREDICT, codec.write_request(message)).message
    for each in (received, sent):
        assert [(t.name, t.datatype, t.array.tolist()) for t in each.payload] == [("output-0", "FP64", [[1.5, 2]])]
        assert each.meta["tags"] == {"t": 1}
    received.payload[0].array[:] = 0
    assert array.tolist() == [[1.5, 2]]
    assert len(codec.receive(join_messages([message, message])).parts) == 2


def test_a_raw_response_goes_to_the_next_component_as_tensors() -> None:
    codec = V2JsonCodec(MODEL)
    request = codec.decode(Operation.PREDICT, _input())
    response = Adapter(Raw(), UnitSpec()).call(request, record)
    following = Request.from_response(Operation.PREDICT, response, codec)
    assert following.message.payload[0].array.tolist() == [[1, 2]]


FAILED = {"status": {"status": 1, "info": "failed", "code": 500}}
RAW_WRONG: dict[str, tuple[Any, str]] = {
    "no-message": (FAILED, "the response of a raw hook is no message: Invalid request data type"),
    "text": ("text", "the response of a raw hook is no message"),
}


@pytest.mark.parametrize(("result", "text"), RAW_WRONG.values(), ids=RAW_WRONG.keys())
def test_raw_hooks_that_return_no_message(result: Any, text: str) -> None:
    user = type("Model", (), {"predict_raw": lambda self, message: result})()  # noqa: ARG005
    with pytest.raises(ResultError, match=text):
        send(user, _input())


def test_payload_passthrough_passes_bodies_unchanged() -> None:
    class Reversing:
        def predict_raw(self, body: bytes) -> bytes:
            return body[::-1]

    codec = V2PassthroughCodec(MODEL)
    for body in (b"any bytes", InferBody(memoryview(b"any bytes"), 3, "model")):
        request = codec.decode(Operation.PREDICT, body)
        response = Adapter(Reversing(), UnitSpec()).call(request, record)
        assert codec.encode(response, request).body == b"setyb yna"
    with pytest.raises(PayloadError, match="PAYLOAD_PASSTHROUGH is on"):
        Adapter(Returning([1]), UnitSpec()).call(codec.decode(Operation.PREDICT, b"{}"), record)


@pytest.mark.parametrize("codec", [V2JsonCodec(MODEL), V2ProtoCodec(MODEL)], ids=["json", "proto"])
def test_operations_without_a_body(codec: Any) -> None:
    request = codec.decode(Operation.HEALTH, None)
    assert Adapter(Returning([1]), UnitSpec()).call(request, record).message.payload == "healthy"

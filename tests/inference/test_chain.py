# ruff: noqa: ARG002, N803, N806 - the signatures of the hooks are given
"""A component's response as the next one's request, in process, equals sending the encoded response."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pytest
from google.protobuf import json_format
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.wrappers_pb2 import StringValue
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from seldon_spec.config.model import UnitSpec
from seldon_spec.errors import SeldonSpecError
from seldon_spec.inference.component.adapter import Adapter
from seldon_spec.inference.component.contract import SeldonResponse
from seldon_spec.inference.message import Operation, join_messages
from seldon_spec.inference.request import Request, Response
from seldon_spec.protocols.seldon_v1.json_codec import JsonCodec
from seldon_spec.protocols.seldon_v1.proto import SeldonMessage, SeldonMessageList
from seldon_spec.protocols.seldon_v1.proto_codec import ProtoCodec

AnyCodec = JsonCodec | ProtoCodec

CODECS: Mapping[str, AnyCodec] = {"json": JsonCodec(), "protobuf": ProtoCodec()}
META = {"puid": "p", "tags": {"t": [1, "x"]}, "metrics": [{"key": "k", "type": "GAUGE", "value": 1.5}]}
PACKED = AnyMessage()
PACKED.Pack(StringValue(value="packed"))


class Fixed:
    """Returns a value, whatever the request is."""

    def __init__(self, value: Any, class_names: Any = None) -> None:
        self.value = value
        if class_names is not None:
            self.class_names = class_names

    def predict(self, X: Any, names: Any) -> Any:
        return self.value


class Raw:
    """Returns the raw request."""

    def predict_raw(self, message: Any) -> Any:
        return message

    def aggregate_raw(self, message: Any) -> Any:
        return message


class Same:
    def predict(self, X: Any, names: Any) -> Any:
        return X


class Describe:
    """Returns all that a method can see of its request, and changes all of it."""

    def predict(self, X: Any, names: Any, meta: Any) -> Any:
        seen = {"payload": describe(X), "names": json.dumps(names), "meta": json.dumps(meta, sort_keys=True)}
        if isinstance(X, np.ndarray) and X.dtype.kind in "fi":
            X += 1
        names.append("changed")
        meta.setdefault("tags", {})["changed"] = True
        return seen

    def aggregate(self, Xs: Any, names: Any) -> Any:
        return {"payloads": [describe(X) for X in Xs], "names": json.dumps(names)}


def describe(X: Any) -> Any:
    if isinstance(X, np.ndarray):
        assert X.flags.writeable
        assert X.flags.c_contiguous
        assert X.flags.owndata or X.base is not None
        return ["text" if X.dtype.kind == "U" else str(X.dtype), list(X.shape), repr(X.tolist())]
    return [type(X).__name__, json.dumps(X, sort_keys=True) if isinstance(X, dict) else str(X)]


def call(user: Any, request: Request) -> Response:
    return Adapter(user, UnitSpec(id="u", image="i:1")).call(request, lambda metrics: list(metrics))  # type: ignore[call-overload]


def outcome(make: Callable[[], Any]) -> Any:
    try:
        return make()
    except SeldonSpecError as error:
        return type(error)


def in_process(codec: AnyCodec, wire: bytes, first: Any, second: Any) -> bytes:
    request = Request.from_response(Operation.PREDICT, call(first, codec.decode(Operation.PREDICT, wire)), codec)
    return codec.encode(call(second, request), request).body


def by_wire(codec: AnyCodec, wire: bytes, first: Any, second: Any) -> bytes:
    request = codec.decode(Operation.PREDICT, wire)
    request = codec.decode(Operation.PREDICT, codec.encode(call(first, request), request).body)
    return codec.encode(call(second, request), request).body


def encoded(codec: AnyCodec, tree: Any) -> bytes:
    if isinstance(codec, JsonCodec):
        return json.dumps(tree).encode()
    wire: bytes = json_format.ParseDict(tree, SeldonMessage()).SerializeToString(deterministic=True)
    return wire


REQUESTS: dict[str, Any] = {
    "ndarray": {"data": {"names": ["a", "b"], "ndarray": [[1, 2.5]]}, "meta": META},
    "tensor": {"data": {"tensor": {"shape": [1, 2], "values": [1, 2]}}, "meta": {}},
    "tftensor": {"data": {"tftensor": {"dtype": "DT_FLOAT", "tensorShape": {"dim": [{"size": 1}]}, "floatVal": [2]}}},
    "texts": {"data": {"ndarray": [["a", "b"]]}},
    "json": {"jsonData": {"a": [1.5, None, True, "x"]}, "meta": META},
    "text": {"strData": "é"},
    "binary": {"binData": "AAEC"},
    "status": {"strData": "x", "status": {"info": "kept", "code": 7}},
}
RESULTS: dict[str, Any] = {
    "floats": np.array([[1.5, -0.0], [np.nan, np.inf]]),
    "float32": np.array([[0.1]], np.float32),
    "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "other-byte-order": np.array([[1.5]], ">f8"),
    "empty": np.array([]),
    "no-rows": np.zeros((0, 2)),
    "three-dimensions": np.zeros((1, 2, 1)),
    "bools": np.array([[True]]),
    "texts": np.array([["a", "b"]]),
    "objects": np.array([[1.5, None, "x"]], dtype=object),
    "moments": np.array([["2020-01-01"]], "datetime64[s]"),
    "list": [[1.5, 2.5]],
    "mixed-list": [[1.5, "a"]],
    "tuple": (1.5, 2.5),
    "table": pd.DataFrame({"x": [1.5], "y": [2.5]}),
    "dict": {"a": [1.5, None], "b": {"c": True}, "d": np.array([1.5])},
    "text": "é",
    "numpy-text": np.str_("x"),
    "bytes": b"\x00\xff",
    "bytearray": bytearray(b"\x00"),
    "own": SeldonResponse([[1.5]], {"own": [1.5, {"x": None}]}, [{"key": "m", "type": "COUNTER", "value": 2.0}]),
    "unknown": 5,
}
JSON_RESULTS: dict[str, Any] = {
    "masked": np.ma.array([[1.5, 2.5]], mask=[[False, True]]),
    "integers": np.arange(4).reshape(2, 2),
    "unsigned": np.array([[2**64 - 1]], np.uint64),
    "small": np.array([[200]], np.uint8),
    "large": [[2**70]],
    "with-truth": [[1, True]],
    "no-dimension": np.array(1.5),
    "keys": {1: np.int8(2), None: (1, 2)},
}
SECOND = {"describes": Describe, "returns-it": Same, "raw": Raw}


@pytest.mark.parametrize("make_second", SECOND.values(), ids=SECOND.keys())
@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS.keys())
@pytest.mark.parametrize("tree", [REQUESTS[name] for name in ("ndarray", "tensor", "tftensor", "text")])
@pytest.mark.parametrize("result", RESULTS.values(), ids=RESULTS.keys())
def test_any_result_is_the_same_request(result: Any, tree: Any, codec: AnyCodec, make_second: Any) -> None:
    wire = encoded(codec, tree)
    expected = outcome(lambda: by_wire(codec, wire, Fixed(result), make_second()))
    assert outcome(lambda: in_process(codec, wire, Fixed(result), make_second())) == expected


@pytest.mark.parametrize("make_second", SECOND.values(), ids=SECOND.keys())
@pytest.mark.parametrize("tree", [REQUESTS["ndarray"], REQUESTS["text"]], ids=["ndarray", "text"])
@pytest.mark.parametrize("result", JSON_RESULTS.values(), ids=JSON_RESULTS.keys())
def test_what_protobuf_cannot_hold_is_the_same_request_as_in_json(result: Any, tree: Any, make_second: Any) -> None:
    codec, wire = CODECS["json"], encoded(CODECS["json"], tree)
    expected = outcome(lambda: by_wire(codec, wire, Fixed(result), make_second()))
    assert outcome(lambda: in_process(codec, wire, Fixed(result), make_second())) == expected


@pytest.mark.parametrize("make_second", SECOND.values(), ids=SECOND.keys())
def test_an_any_of_protobuf_is_passed_on(make_second: Any) -> None:
    codec, wire = CODECS["protobuf"], encoded(CODECS["protobuf"], REQUESTS["text"])
    assert in_process(codec, wire, Fixed(PACKED), make_second()) == by_wire(codec, wire, Fixed(PACKED), make_second())


@pytest.mark.parametrize("make_second", SECOND.values(), ids=SECOND.keys())
@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS.keys())
@pytest.mark.parametrize("make_first", [Raw, Same], ids=["raw", "plain"])
@pytest.mark.parametrize("tree", REQUESTS.values(), ids=REQUESTS.keys())
def test_any_request_reaches_the_second_component(
    tree: Any, make_first: Any, codec: AnyCodec, make_second: Any
) -> None:
    wire = encoded(codec, tree)
    expected = outcome(lambda: by_wire(codec, wire, make_first(), make_second()))
    assert outcome(lambda: in_process(codec, wire, make_first(), make_second())) == expected
    assert expected is not None


NAMES: dict[str, Any] = {"tuple": ("x", "y"), "integers": [1, 2], "none": lambda: None, "texts": np.array(["x"])}


@pytest.mark.parametrize("names", NAMES.values(), ids=NAMES.keys())
def test_names_of_any_type(names: Any) -> None:
    codec, wire, first = CODECS["json"], encoded(CODECS["json"], REQUESTS["ndarray"]), Fixed([[1.5, 2.5]], names)
    for make_second in (Same, Raw):
        assert in_process(codec, wire, first, make_second()) == by_wire(codec, wire, first, make_second())


dtypes = st.one_of(
    st_numpy.boolean_dtypes(),
    st_numpy.floating_dtypes(endianness="?", sizes=(16, 32, 64)),
    st_numpy.integer_dtypes(endianness="?"),
    st_numpy.unsigned_integer_dtypes(endianness="?"),
    st_numpy.unicode_string_dtypes(max_len=3),
)
arrays = st_numpy.arrays(dtypes, st_numpy.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3))


@settings(max_examples=200)
@given(arrays, st.sampled_from(["ndarray", "tensor", "tftensor"]))
def test_any_array_is_the_same_request(array: Any, request_name: str) -> None:
    codec, wire = CODECS["json"], encoded(CODECS["json"], REQUESTS[request_name])
    for second in (Describe(), Raw()):
        expected = outcome(partial(by_wire, codec, wire, Fixed(array), second))
        assert outcome(partial(in_process, codec, wire, Fixed(array), second)) == expected


def test_a_component_that_changes_its_request_changes_no_earlier_response() -> None:
    codec = CODECS["json"]
    kept = np.array([[1.5]])
    response = call(Fixed(kept), codec.decode(Operation.PREDICT, encoded(codec, REQUESTS["ndarray"])))
    before = describe(kept), json.dumps(response.message.meta), list(response.message.names)
    call(Describe(), Request.from_response(Operation.PREDICT, response, codec))
    assert (describe(kept), json.dumps(response.message.meta), list(response.message.names)) == before


@pytest.mark.parametrize("make_second", [Describe, Raw], ids=["describes", "raw"])
@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS.keys())
def test_several_responses_are_one_aggregate_request(codec: AnyCodec, make_second: Any) -> None:
    firsts = [Fixed([[1.5]]), Fixed("x"), Raw(), Fixed({"a": 1.5})]
    responses, bodies = [], []
    for first in firsts:
        request = codec.decode(Operation.PREDICT, encoded(codec, REQUESTS["ndarray"]))
        responses.append(call(first, request))
        bodies.append(codec.encode(responses[-1], request).body)
    joined = join_messages([response.message for response in responses])
    whole = b"[" + b",".join(bodies) + b"]"
    if isinstance(codec, ProtoCodec):
        whole = SeldonMessageList(
            seldonMessages=[SeldonMessage.FromString(body) for body in bodies]
        ).SerializeToString()
    results = []
    for request in (Request(Operation.AGGREGATE, joined, codec), codec.decode(Operation.AGGREGATE, whole)):
        body = codec.encode(call(make_second(), request), request).body
        if isinstance(codec, JsonCodec):
            results.append(json.loads(body))
        else:
            kind = SeldonMessageList if make_second is Raw else SeldonMessage
            results.append(json_format.MessageToDict(kind.FromString(body)))
    assert results[0] == results[1]


@pytest.mark.parametrize(("source", "target"), [("json", "protobuf"), ("protobuf", "json")])
def test_a_raw_response_is_written_by_the_other_codec_of_its_protocol(source: str, target: str) -> None:
    request = CODECS[source].decode(Operation.PREDICT, encoded(CODECS[source], REQUESTS["json"]))
    body = CODECS[target].encode(call(Raw(), request), request).body
    tree = json.loads(body) if target == "json" else json_format.MessageToDict(SeldonMessage.FromString(body))
    assert tree == REQUESTS["json"]


def test_a_raw_hook_that_is_not_implemented_leaves_its_changes_in_the_message() -> None:
    class SeldonNotImplementedError(Exception):
        pass

    class Model(Same):
        def predict_raw(self, message: Any) -> Any:
            message["strData"] = "changed"
            raise SeldonNotImplementedError

    codec = CODECS["json"]
    assert json.loads(in_process(codec, encoded(codec, REQUESTS["text"]), Same(), Model()))["strData"] == "changed"

"""Both wires: the contract's golden bytes, what is refused, and that nothing else can happen."""

from __future__ import annotations

import base64
import contextlib
import datetime
import decimal
import json
import uuid
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from google.protobuf import json_format
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.wrappers_pb2 import StringValue
from hypothesis import given, settings
from hypothesis import strategies as st

from seldon_spec.config.model import FlaskSpec
from seldon_spec.errors import PayloadError, ResultError, UnwritableResult
from seldon_spec.inference.component.response import build_response_message, merge_meta
from seldon_spec.inference.message import FeedbackMessage, Message, Operation, PayloadType
from seldon_spec.inference.request import Request, Response
from seldon_spec.protocols.json_style import JsonStyle, write_json
from seldon_spec.protocols.seldon_v1.array_encoding import ArrayEncoding
from seldon_spec.protocols.seldon_v1.json_codec import JsonCodec
from seldon_spec.protocols.seldon_v1.proto import Feedback, SeldonMessage
from seldon_spec.protocols.seldon_v1.proto_codec import ProtoCodec

REST = JsonCodec()
GRPC = ProtoCodec()

# Requests, and the answers of an identity model: contract section 4.5.
GOLDEN = {
    "ndarray": (
        '{"data":{"names":["a","b"],"ndarray":[[1,2.5]]},"meta":{"puid":"p1","tags":{"k":1}}}',
        '{"data":{"names":["t:0","t:1"],"ndarray":[[1.0,2.5]]},"meta":{"puid":"p1","tags":{"k":1}}}',
        "12140a027031120e0a016b120911000000000000f03f1a260a03743a300a03743a311a1a0a1832160a0911000000000000f03f0a09"
        "110000000000000440",
    ),
    "tensor": (
        '{"data":{"tensor":{"shape":[2,1],"values":[1,2]}}}',
        '{"data":{"names":["t:0"],"tensor":{"shape":[2,1],"values":[1,2]}},"meta":{}}',
        "12001a1d0a03743a3012160a0202011210000000000000f03f0000000000000040",
    ),
    "json-object": (
        '{"jsonData":{"z":1,"a":[true,null]}}',
        '{"jsonData":{"a":[true,null],"z":1},"meta":{}}',
        "120032232a210a0f0a0161120a32080a0220010a0208000a0e0a017a120911000000000000f03f",
    ),
    "json-list": (
        '{"jsonData":[[1,2]]}',
        '{"data":{"names":["t:0","t:1"],"tensor":{"shape":[1,2],"values":[1,2]}},"meta":{}}',
        "12001a220a03743a300a03743a3112160a0201021210000000000000f03f0000000000000040",
    ),
    "text": ('{"strData":"é"}', '{"meta":{},"strData":"\\u00e9"}', "12002a02c3a9"),
    "binary": ('{"binData":"AAEC"}', '{"binData":"AAEC","meta":{}}', "12002203000102"),
    "mixed": (
        '{"data":{"ndarray":["a",1]}}',
        '{"data":{"names":[],"ndarray":["a","1"]},"meta":{}}',
        "12001a0e1a0c0a031a01610a051a03312e30",
    ),
    "empty": ('{"data":{"ndarray":[]}}', '{"data":{"names":[],"ndarray":[]},"meta":{}}', "12001a021a00"),
}


def to_proto(text: str) -> bytes:
    encoded: bytes = json_format.Parse(text, SeldonMessage()).SerializeToString()
    return encoded


def respond(payload: object, request: Request, class_names: Any = None, **own: Any) -> Response:
    """The response of a component whose method returned a value."""
    tags, metrics, path = own.get("tags", {}), own.get("metrics", ()), own.get("request_path", {})
    meta = merge_meta(request.operation, request.message, tags, metrics, path)
    return Response(build_response_message(payload, request.operation, request.message, meta, class_names))


def echo(codec: JsonCodec | ProtoCodec, wire: bytes) -> bytes:
    request = codec.decode(Operation.PREDICT, wire)
    return codec.encode(respond(request.message.payload, request), request).body


def read(codec: JsonCodec | ProtoCodec, wire: bytes) -> Message:
    return codec.decode(Operation.PREDICT, wire).message


def answer(
    codec: JsonCodec | ProtoCodec, payload: object, encoding: ArrayEncoding | None = ArrayEncoding.NDARRAY, **more: Any
) -> Any:
    """What a client reads of a result, as JSON."""
    sent = Message(PayloadType.TEXT, "")
    if encoding is not None:
        sent = Message(PayloadType.ARRAY, np.zeros(1), encoding=encoding)
    request = Request(Operation.PREDICT, sent, codec)
    wire = codec.encode(respond(payload, request, **more), request).body
    return json.loads(wire) if codec is REST else json_format.MessageToDict(SeldonMessage.FromString(wire))


@pytest.mark.parametrize(("request_text", "expected", "_"), GOLDEN.values(), ids=GOLDEN.keys())
def test_golden_json(request_text: str, expected: str, _: str) -> None:
    assert echo(REST, request_text.encode()) == (expected + "\n").encode()


@pytest.mark.parametrize(("request_text", "_", "expected"), GOLDEN.values(), ids=GOLDEN.keys())
def test_golden_protobuf(request_text: str, _: str, expected: str) -> None:
    assert echo(GRPC, to_proto(request_text)).hex() == expected


MALFORMED = {
    "nothing": b"",
    "null": b"null",
    "number": b"0",
    "list": b"[1]",
    "text": b'"x"',
    "no-json": b"{'strData':'x'}",
    "trailing-comma": b'{"strData":"x",}',
    "no-utf8": b'{"strData":"\xff"}',
    "no-payload": b"{}",
    "only-meta": b'{"meta":{"puid":"x"}}',
    "only-custom": b'{"customData":{}}',
    "meta-null": b'{"strData":"x","meta":null}',
    "meta-list": b'{"strData":"x","meta":[]}',
    "meta-text": b'{"strData":"x","meta":"y"}',
    "tags-list": b'{"strData":"x","meta":{"tags":[1]}}',
    "metrics-object": b'{"strData":"x","meta":{"metrics":{"a":1}}}',
    "path-text": b'{"strData":"x","meta":{"requestPath":"y"}}',
    "meta-deep": b'{"strData":"x","meta":{"tags":{"a":' + b"[" * 200 + b"]" * 200 + b"}}}",
    "data-null": b'{"data":null}',
    "data-number": b'{"data":1}',
    "tensor-null": b'{"data":{"tensor":null}}',
    "tensor-no-shape": b'{"data":{"tensor":{"values":[1]}}}',
    "tensor-no-values": b'{"data":{"tensor":{"shape":[1]}}}',
    "tensor-wrong-size": b'{"data":{"tensor":{"shape":[2,2],"values":[1]}}}',
    "tensor-giant": b'{"data":{"tensor":{"shape":[0,1000000000000],"values":[]}}}',
    "ragged": b'{"data":{"ndarray":[[1,2],[3]]}}',
    "tftensor": b'{"data":{"tftensor":{}}}',
    "base64": b'{"binData":"a"}',
    "base64-not-ascii": '{"binData":"é"}'.encode(),
    "base64-number": b'{"binData":1}',
    "deep-list": b'{"data":{"ndarray":' + b"[" * 60 + b"]" * 60 + b"}}",
    "deep-object": b'{"jsonData":' + b'{"a":' * 200 + b"1" + b"}" * 200 + b"}",
    "deepest": b'{"jsonData":' + b"[" * 200000 + b"]" * 200000 + b"}",
    "deep-in-array": b'{"data":{"ndarray":[{"a":' + b"[" * 200 + b"]" * 200 + b"}]}}",
    "digits": b'{"data":{"ndarray":[' + b"1" * 5000 + b"]}}",
    "utf16-cut": '{"strData":"x"}'.encode("utf-16")[:-1],
    "data-list": b'{"data":[[1,2,3]]}',
    "data-text": b'{"data":"abc"}',
    "names-text": b'{"data":{"names":"ab","ndarray":[[1,2]]}}',
    "names-object": b'{"data":{"names":{"a":1},"ndarray":[[1]]}}',
    "data-misspelt": b'{"data":{"ndarry":[[1]]}}',
    "data-misspelt-names": b'{"data":{"names":["a"],"nd_array":[[1]]}}',
    "instances": b'{"instances":[[1]]}',
    "inputs": b'{"inputs":[]}',
    "base64-other": b'{"binData":"!!!"}',
    "base64-two": b'{"binData":"AQ==AQ=="}',
    "base64-length": b'{"binData":"AAAAA"}',
    "data-uri-text": b'{"binData":"data:,abc"}',
    "data-uri-no-comma": b'{"binData":"data:text/plain;base64"}',
}


@pytest.mark.parametrize(
    "name", ["list", "data-list", "data-text", "data-misspelt", "instances", "inputs", "no-payload"]
)
def test_what_is_no_message_is_told_what_is_expected(name: str) -> None:
    with pytest.raises(PayloadError, match=r'the Seldon protocol expects \{"data": \{"ndarray": '):
        echo(REST, MALFORMED[name])


BINARY = bytes(range(256))
BASE64 = {
    "standard": base64.b64encode(BINARY).decode(),
    "url": base64.urlsafe_b64encode(BINARY).decode(),
    "url-without-padding": base64.urlsafe_b64encode(BINARY).decode().rstrip("="),
    "without-padding": base64.b64encode(BINARY).decode().rstrip("="),
    "lines": base64.encodebytes(BINARY).decode(),
    "lines-of-mime": base64.encodebytes(BINARY).decode().replace("\n", "\r\n"),
    "spaces": f" {base64.b64encode(BINARY).decode()}\t",
    "data-uri": f"data:application/octet-stream;base64,{base64.b64encode(BINARY).decode()}",
    "data-uri-short": f"data:;base64,{base64.urlsafe_b64encode(BINARY).decode()}",
    "data-uri-escaped": f"DATA:image/png;charset=x;BASE64,{quote(base64.b64encode(BINARY).decode())}",
}


@pytest.mark.parametrize("text", BASE64.values(), ids=BASE64)
def test_every_form_of_base64_is_read(text: str) -> None:
    answer = json.loads(echo(REST, json.dumps({"binData": text}).encode()))
    assert base64.b64decode(answer["binData"]) == BINARY


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"]
)
@pytest.mark.parametrize("text", ["é", "é" * 5000], ids=["short", "long"])
def test_json_may_be_in_any_form_of_unicode(encoding: str, text: str) -> None:
    wire = json.dumps({"strData": text}, ensure_ascii=False).encode(encoding)
    assert json.loads(echo(REST, wire))["strData"] == text


@pytest.mark.parametrize("wire", MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed_json_is_the_clients_mistake(wire: bytes) -> None:
    with pytest.raises(PayloadError) as caught:
        echo(REST, wire)
    assert len(str(caught.value)) < 500


MALFORMED_PROTO = {
    "no-protobuf": b"\xff\xff",
    "nothing": b"",
    "only-meta": to_proto('{"meta":{"puid":"x"}}'),
    "ragged": to_proto('{"data":{"ndarray":[[1,2],[3]]}}'),
    "tensor-no-shape": to_proto('{"data":{"tensor":{"values":[1]}}}'),
    "tensor-too-few": to_proto('{"data":{"tensor":{"shape":[2,8],"values":[1]}}}'),
    "tensor-too-many": to_proto('{"data":{"tensor":{"shape":[1],"values":[1,2]}}}'),
    "tensor-negative": to_proto('{"data":{"tensor":{"shape":[-1,2],"values":[1,2]}}}'),
    "tensor-giant": to_proto('{"data":{"tensor":{"shape":[0,2000000000],"values":[]}}}'),
    "no-utf8": b"\x2a\x01\xff",
}


@pytest.mark.parametrize("wire", MALFORMED_PROTO.values(), ids=MALFORMED_PROTO.keys())
def test_malformed_protobuf_is_the_clients_mistake(wire: bytes) -> None:
    with pytest.raises(PayloadError):
        echo(GRPC, wire)


def test_the_same_request_is_the_same_message_on_both_wires() -> None:
    text = '{"data":{"names":["a"],"ndarray":[["x"]]},"meta":{"puid":"p","tags":{"t":"u"},"requestPath":{"m":"i"}}}'
    rest, grpc = read(REST, text.encode()), read(GRPC, to_proto(text))
    assert (rest.encoding, rest.names, rest.meta) == (grpc.encoding, grpc.names, grpc.meta)
    assert rest.payload.tolist() == grpc.payload.tolist()


def test_integers_stay_integers_in_json_and_become_doubles_in_protobuf() -> None:
    text = '{"data":{"ndarray":[[9007199254740993]]}}'
    assert read(REST, text.encode()).payload.dtype == np.int64
    assert read(GRPC, to_proto(text)).payload.tolist() == [[9007199254740992.0]]


def test_meta_missing_is_none_in_json_and_empty_in_protobuf() -> None:
    assert read(REST, b'{"strData":""}').meta is None
    assert read(GRPC, to_proto('{"strData":""}')).meta == {}


@pytest.mark.parametrize("text", ['{"data":{}}', '{"data":{"names":["a"]}}'])
def test_data_without_an_array_is_an_empty_one(text: str) -> None:
    for message in (read(REST, text.encode()), read(GRPC, to_proto(text))):
        assert (message.encoding, message.payload.shape, message.payload.dtype) == (
            ArrayEncoding.NDARRAY,
            (0,),
            np.float64,
        )


@pytest.mark.parametrize(
    "text", ["[[1.5, 2.0]]", "[[1], [2]]", "[1, 2, 3]"], ids=["floats", "ints-as-rows", "one-dimension"]
)
def test_decoded_arrays_can_be_written(text: str) -> None:
    for wire in (f'{{"data":{{"ndarray":{text}}}}}',):
        for message in (read(REST, wire.encode()), read(GRPC, to_proto(wire))):
            message.payload[...] = 0
            assert not message.payload.any()


def test_a_tensor_of_protobuf_can_be_written() -> None:
    message = read(GRPC, to_proto('{"data":{"tensor":{"shape":[1],"values":[1]}}}'))
    message.payload[0] = 7
    assert message.payload.tolist() == [7]


# Results and what both wires make of them (contract section 4.2): payload, kind of the request, answer.
RESULTS = {
    "numbers-for-ndarray": (np.array([[1.5]]), ArrayEncoding.NDARRAY, {"data": {"names": ["t:0"], "ndarray": [[1.5]]}}),
    "numbers-for-tensor": (
        np.array([[1.5]]),
        ArrayEncoding.TENSOR,
        {"data": {"names": ["t:0"], "tensor": {"shape": [1, 1], "values": [1.5]}}},
    ),
    "numbers-for-text": (
        [[1.5]],
        None,
        {"data": {"names": ["t:0"], "tensor": {"shape": [1, 1], "values": [1.5]}}},
    ),
    "texts-for-tensor": (np.array([["a"]]), ArrayEncoding.TENSOR, {"data": {"names": ["t:0"], "ndarray": [["a"]]}}),
    "bools": (np.array([[True]]), ArrayEncoding.TENSOR, {"data": {"names": ["t:0"], "ndarray": [[True]]}}),
    "objects": (
        np.array([[None, "a"]], dtype=object),
        ArrayEncoding.TENSOR,
        {"data": {"names": ["t:0", "t:1"], "ndarray": [[None, "a"]]}},
    ),
    "float32": (
        np.array([[0.1]], np.float32),
        ArrayEncoding.NDARRAY,
        {"data": {"names": ["t:0"], "ndarray": [[0.10000000149011612]]}},
    ),
    "three-dimensions": (
        np.zeros((1, 2, 1)),
        ArrayEncoding.NDARRAY,
        {"data": {"names": ["t:0", "t:1"], "ndarray": [[[0.0], [0.0]]]}},
    ),
    "fortran": (
        np.asfortranarray(np.arange(4.0).reshape(2, 2)),
        ArrayEncoding.TENSOR,
        {"data": {"names": ["t:0", "t:1"], "tensor": {"shape": [2, 2], "values": [0.0, 1.0, 2.0, 3.0]}}},
    ),
    "dict": ({"a": [1.0, None, True]}, ArrayEncoding.NDARRAY, {"jsonData": {"a": [1.0, None, True]}}),
    "text": ("x", ArrayEncoding.NDARRAY, {"strData": "x"}),
    "numpy-text": (np.str_("x"), ArrayEncoding.NDARRAY, {"strData": "x"}),
    "bytes": (b"\x00", ArrayEncoding.NDARRAY, {"binData": "AA=="}),
    "bytearray": (bytearray(b"\x00"), ArrayEncoding.NDARRAY, {"binData": "AA=="}),
    "numpy-in-dict": (
        {"a": np.array([1.5]), "b": np.float32(2), "c": np.bool_(True)},
        None,
        {"jsonData": {"a": [1.5], "b": 2.0, "c": True}},
    ),
    "date-in-dict": (
        {"a": datetime.date(2020, 1, 1)},
        None,
        {"jsonData": {"a": "Wed, 01 Jan 2020 00:00:00 GMT"}},
    ),
    "decimal-in-dict": ({"a": decimal.Decimal("1.50")}, None, {"jsonData": {"a": "1.50"}}),
    "tuple": ((1.5, 2), ArrayEncoding.NDARRAY, {"data": {"ndarray": [1.5, 2.0]}}),
    "tuple-of-lists": (
        ([1.5],),
        ArrayEncoding.TENSOR,
        {"data": {"names": ["t:0"], "tensor": {"shape": [1, 1], "values": [1.5]}}},
    ),
    "list-of-arrays": ([np.array([1.5])], ArrayEncoding.NDARRAY, {"data": {"names": ["t:0"], "ndarray": [[1.5]]}}),
    "numpy-scalar": (np.array([np.float32(1.5)])[0], ArrayEncoding.TENSOR, {"data": {"tensor": {"values": [1.5]}}}),
    "moments": (
        np.array([["2020-01-01", "NaT"]], "datetime64[ns]"),
        ArrayEncoding.TENSOR,
        {"data": {"names": ["t:0", "t:1"], "ndarray": [["Wed, 01 Jan 2020 00:00:00 GMT", None]]}},
    ),
    "tuple-in-dict": ({"a": (1, np.int8(2))}, None, {"jsonData": {"a": [1, 2]}}),
    "number-as-key": ({1: "a", 2.5: "b"}, None, {"jsonData": {"1": "a", "2.5": "b"}}),
    "truth-as-key": ({True: "a"}, None, {"jsonData": {"true": "a"}}),
    "null-as-key": ({None: "a"}, None, {"jsonData": {"null": "a"}}),
    "numbers-for-tftensor": (
        np.array([[1.5]], np.float32),
        ArrayEncoding.TFTENSOR,
        {
            "data": {
                "names": ["t:0"],
                "tftensor": {
                    "dtype": "DT_FLOAT",
                    "tensorShape": {"dim": [{"size": "1"}, {"size": "1"}]},
                    "floatVal": [1.5],
                },
            }
        },
    ),
    "texts-for-tftensor": (np.array([["a"]]), ArrayEncoding.TFTENSOR, {"data": {"names": ["t:0"], "ndarray": [["a"]]}}),
    "uuid-in-dict": (
        {"a": uuid.UUID(int=0)},
        None,
        {"jsonData": {"a": "00000000-0000-0000-0000-000000000000"}},
    ),
}


@pytest.mark.parametrize("codec", [REST, GRPC], ids=["json", "protobuf"])
@pytest.mark.parametrize(("payload", "encoding", "expected"), RESULTS.values(), ids=RESULTS.keys())
def test_results(
    codec: JsonCodec | ProtoCodec, payload: object, encoding: ArrayEncoding | None, expected: dict[str, Any]
) -> None:
    found = answer(codec, payload, encoding)
    for data in [found["data"]] if "data" in found else []:  # protobuf leaves out what is empty
        for holder in (data, data.get("tensor", {})):
            for key in ("names", "shape"):
                if holder.get(key) == []:
                    del holder[key]
    assert found == {**expected, "meta": {}}


@dataclass
class Point:
    x: float
    y: Any


@pytest.mark.parametrize("codec", [REST, GRPC], ids=["json", "protobuf"])
def test_a_dataclass_is_an_object(codec: JsonCodec | ProtoCodec) -> None:
    assert answer(codec, {"p": Point(1.5, np.int8(2))})["jsonData"] == {"p": {"x": 1.5, "y": 2}}


@pytest.mark.parametrize("codec", [REST, GRPC], ids=["json", "protobuf"])
@pytest.mark.parametrize("payload", [None, 5, 5.5, True, {1}], ids=lambda payload: type(payload).__name__)
def test_results_that_the_contract_does_not_know(codec: JsonCodec | ProtoCodec, payload: object) -> None:
    with pytest.raises(ResultError, match="Unknown data type"):
        answer(codec, payload)


@pytest.mark.parametrize("codec", [REST, GRPC], ids=["json", "protobuf"])
def test_a_dataclass_alone_is_an_object(codec: JsonCodec | ProtoCodec) -> None:
    assert answer(codec, Point(1.5, {"a": np.array([2.5])}))["jsonData"] == {"x": 1.5, "y": {"a": [2.5]}}


class Table:
    """Like a DataFrame of pandas, which need not be installed."""

    columns = ("a", 2)

    def __array__(self, dtype: object = None, copy: object = None) -> Any:
        return np.array([[1.5, 2.0]])


@pytest.mark.parametrize("codec", [REST, GRPC], ids=["json", "protobuf"])
def test_a_table_is_an_array_that_names_its_columns(codec: JsonCodec | ProtoCodec) -> None:
    assert answer(codec, Table())["data"] == {"names": ["a", "2"], "ndarray": [[1.5, 2.0]]}
    assert answer(codec, Table(), class_names=lambda _: ["x", "y"])["data"]["names"] == ["x", "y"]
    assert answer(codec, {"t": Table()})["jsonData"] == {"t": [[1.5, 2.0]]}


def test_custom_data_is_unknown_to_rest_in_both_directions() -> None:
    """As in the original: JSON's form of an Any would need the type, which only the user's code knows."""
    with pytest.raises(PayloadError):
        read(REST, b'{"customData":{"@type":"type.googleapis.com/google.protobuf.StringValue","value":"x"}}')
    with pytest.raises(ResultError, match="no form on REST"):
        answer(REST, AnyMessage())


def test_a_tftensor_is_the_same_array_on_both_wires() -> None:
    text = (
        '{"data":{"names":["a"],"tftensor":{"dtype":"DT_INT64","tensor_shape":{"dim":[{"size":1}]},"int64Val":["7"]}}}'
    )
    for message in (read(REST, text.encode()), read(GRPC, to_proto(text))):
        assert (message.encoding, message.names) == (ArrayEncoding.TFTENSOR, ["a"])
        assert (message.payload.tolist(), message.payload.dtype) == ([7], np.dtype("int64"))


def _looped() -> dict[str, Any]:
    value: dict[str, Any] = {}
    value["self"] = value
    return value


UNWRITABLE = {
    "complex": np.array([[1 + 2j]]),
    "loop": _looped(),
    "tuple-key": {(1, 2): 3},
    "type": {"a": Point},
}


@pytest.mark.parametrize("codec", [REST, GRPC], ids=["json", "protobuf"])
@pytest.mark.parametrize("payload", UNWRITABLE.values(), ids=UNWRITABLE.keys())
def test_results_without_a_form(codec: JsonCodec | ProtoCodec, payload: object) -> None:
    with pytest.raises(UnwritableResult):
        answer(codec, payload, ArrayEncoding.TENSOR)


def test_a_list_goes_out_as_it_is_in_json_and_through_numpy_in_protobuf() -> None:
    assert answer(REST, [[1, "a"]])["data"]["ndarray"] == [[1, "a"]]
    assert answer(GRPC, [[1, "a"]])["data"]["ndarray"] == [["1", "a"]]


def test_a_lone_scalar_is_a_list_of_one_in_protobuf() -> None:
    assert answer(REST, np.array(3.5))["data"]["ndarray"] == 3.5
    assert answer(GRPC, np.array(3.5))["data"]["ndarray"] == [3.5]


def test_names_of_an_empty_list_are_left_out_by_protobuf() -> None:
    assert answer(REST, [1.5])["data"] == {"names": [], "ndarray": [1.5]}
    assert answer(GRPC, [1.5])["data"] == {"ndarray": [1.5]}


def test_class_names_are_asked_for_only_with_columns() -> None:
    asked: list[Any] = []

    def class_names(default: Any) -> list[str]:
        asked.append(default)
        return ["yes", "no"]

    assert answer(REST, [[1, 2]], class_names=class_names)["data"]["names"] == ["yes", "no"]
    assert answer(GRPC, [[1, 2]], class_names=class_names)["data"]["names"] == ["yes", "no"]
    assert asked == [["t:0", "t:1"]] * 2
    assert answer(REST, [1, 2], class_names=class_names)["data"]["names"] == []
    assert len(asked) == 2


def test_custom_data_is_the_any_of_the_users_protobuf() -> None:
    packed = AnyMessage()
    packed.Pack(StringValue(value="x"))
    wire = SeldonMessage(customData={"type_url": packed.type_url, "value": packed.value}).SerializeToString()
    request = GRPC.decode(Operation.PREDICT, wire)
    assert isinstance(request.message.payload, AnyMessage)
    assert SeldonMessage.FromString(echo(GRPC, wire)).customData.value == packed.value


@pytest.mark.parametrize("codec", [REST, GRPC], ids=["json", "protobuf"])
def test_meta_is_the_requests_with_the_components_over_it(codec: JsonCodec | ProtoCodec) -> None:
    text = (
        '{"strData":"x","meta":{"puid":"p","routing":{"r":1},"tags":{"a":"request","b":"request"},'
        '"metrics":[{"key":"k","type":"GAUGE","value":1.5}],"requestPath":{"m":"kept","n":"i"}}}'
    )
    request = codec.decode(Operation.PREDICT, text.encode() if codec is REST else to_proto(text))
    response = respond(
        "x",
        request,
        tags={"b": "own"},
        metrics=[{"key": "o", "type": "TIMER", "value": 2, "tags": {"x": "y"}}],
        request_path={"m": "own"},
    )
    wire = codec.encode(response, request).body
    tree = json.loads(wire) if codec is REST else json_format.MessageToDict(SeldonMessage.FromString(wire))
    assert tree["meta"] == {
        "puid": "p",
        "tags": {"a": "request", "b": "own"},
        "metrics": [
            {"key": "k", "type": "GAUGE", "value": 1.5},
            {"key": "o", "type": "TIMER", "value": 2, "tags": {"x": "y"}},
        ],
        "requestPath": {"m": "kept", "n": "i"},
    }


def test_what_the_class_does_to_meta_shows() -> None:
    request = REST.decode(Operation.PREDICT, b'{"strData":"x","meta":{}}')
    assert request.message.meta is not None
    request.message.meta["tags"] = {"seen": 1}
    assert json.loads(REST.encode(respond("x", request), request).body)["meta"] == {"tags": {"seen": 1}}
    request.message.meta["tags"] = 5
    with pytest.raises(UnwritableResult):
        REST.encode(respond("x", request), request)


STYLES = {
    "default": (FlaskSpec(), b'{"a":"\\u00e9","b":[1]}\n'),
    "unsorted": (FlaskSpec(JSON_SORT_KEYS=False), b'{"b":[1],"a":"\\u00e9"}\n'),
    "utf8": (FlaskSpec(JSON_AS_ASCII=False), '{"a":"é","b":[1]}\n'.encode()),
    "pretty": (FlaskSpec(JSONIFY_PRETTYPRINT_REGULAR=True), b'{\n  "a": "\\u00e9",\n  "b": [\n    1\n  ]\n}\n'),
    "debug": (FlaskSpec(DEBUG=True), b'{\n  "a": "\\u00e9",\n  "b": [\n    1\n  ]\n}\n'),
}


@pytest.mark.parametrize(("flask", "expected"), STYLES.values(), ids=STYLES.keys())
def test_json_styles(flask: FlaskSpec, expected: bytes) -> None:
    assert write_json({"b": [1], "a": "é"}, JsonStyle.from_flask(flask)) == expected


def test_half_a_surrogate_pair_is_escaped_in_any_style() -> None:
    wire = write_json("é\ud800", JsonStyle(ascii=False))
    assert wire == '"é\\ud800"\n'.encode()
    assert json.loads(wire) == "é\ud800"


@pytest.mark.parametrize("part", ["request", "response", "truth"])
def test_feedback_takes_the_same_base64(part: str) -> None:
    for text in BASE64.values():
        request = REST.decode(Operation.FEEDBACK, json.dumps({part: {"binData": text}}))
        assert getattr(request.raw, part).binData == BINARY
    for text in ("!!!", "a", "AQ==AQ==", "====", "=", "data:,abc"):
        with pytest.raises(PayloadError, match="binData"):
            REST.decode(Operation.FEEDBACK, json.dumps({part: {"binData": text}}))


@given(
    st.lists(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=2, max_size=2), max_size=3),
    st.floats(width=32, allow_nan=False, allow_infinity=False),
    st.dictionaries(st.text(min_size=1, max_size=3), st.integers(-(2**31), 2**31 - 1), max_size=3),
)
def test_feedback_is_the_same_on_both_wires(rows: list[list[float]], reward: float, routing: dict[str, int]) -> None:
    tree = {
        "request": {"data": {"names": ["a", "b"], "ndarray": rows}, "meta": {"puid": "p"}},
        "response": {"meta": {"routing": routing}},
        "reward": reward,
        "truth": {"data": {"tensor": {"shape": [len(rows)], "values": [row[0] for row in rows]}}},
    }
    proto = json_format.ParseDict(tree, Feedback()).SerializeToString()
    for request in (REST.decode(Operation.FEEDBACK, json.dumps(tree)), GRPC.decode(Operation.FEEDBACK, proto)):
        message = request.message
        assert isinstance(message, FeedbackMessage)
        assert (message.payload.tolist(), message.names, message.reward) == (rows, ["a", "b"], reward)
        assert (message.truth.tolist(), message.routing) == ([row[0] for row in rows], routing)


@pytest.mark.parametrize("codec", [REST, GRPC], ids=["json", "protobuf"])
def test_the_body_is_released_once_there_is_a_message(codec: JsonCodec | ProtoCodec) -> None:
    text = '{"data":{"ndarray":[[1]]}}'
    request = codec.decode(Operation.PREDICT, text.encode() if codec is REST else to_proto(text))
    assert request.raw is not None
    assert request.message is request.message
    assert request.body is None


@given(st.binary(max_size=200), st.sampled_from(list(Operation)))
def test_any_bytes_are_a_request_of_any_verb_or_refused(wire: bytes, operation: Operation) -> None:
    for codec in (REST, GRPC):
        with contextlib.suppress(PayloadError):
            assert isinstance(codec.decode(operation, wire).message, Message)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_refused(wire: bytes) -> None:
    for codec in (REST, GRPC):
        try:
            message = codec.decode(Operation.PREDICT, wire).message
        except PayloadError:
            continue
        assert isinstance(message, Message)


keys = st.sampled_from(
    "data jsonData strData binData meta tensor ndarray shape values names tags "
    "tftensor dtype floatVal request truth reward seldonMessages".split()
)
scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=4), st.just("AAEC"))
trees = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(keys, inner, max_size=4)),
    max_leaves=15,
)


@settings(max_examples=300)
@given(st.dictionaries(keys, trees, min_size=1, max_size=4))
def test_any_json_is_answered_or_refused(tree: dict[str, Any]) -> None:
    for operation in set(Operation) - {Operation.METADATA}:
        with contextlib.suppress(PayloadError, ResultError):
            request = REST.decode(operation, json.dumps(tree))
            REST.encode(respond(request.message.payload, request), request)


@given(st.lists(st.lists(st.floats(), min_size=3, max_size=3), max_size=5), st.sampled_from(["ndarray", "tensor"]))
def test_numbers_come_back_exactly(rows: list[list[float]], dress: str) -> None:
    data: dict[str, Any] = {"ndarray": rows}
    if dress == "tensor":
        data = {"tensor": {"shape": [len(rows), 3], "values": [value for row in rows for value in row]}}
    message = read(REST, json.dumps({"data": data}).encode())
    request = Request(Operation.PREDICT, message, REST)
    back = read(REST, REST.encode(respond(message.payload, request), request).body)
    np.testing.assert_array_equal(back.payload, message.payload)
    over = read(GRPC, GRPC.encode(respond(message.payload, request), request).body)
    np.testing.assert_array_equal(over.payload, message.payload.astype(float))


@given(st.binary(max_size=50))
def test_binary_comes_back_exactly(content: bytes) -> None:
    wire = json.dumps({"binData": base64.b64encode(content).decode()}).encode()
    assert json.loads(echo(REST, wire))["binData"] == base64.b64encode(content).decode()

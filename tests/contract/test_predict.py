"""One table of requests and answers; each row runs over REST and over gRPC against one running server."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest
from google.protobuf import json_format

from seldon_spec.protocols.seldon_v1.proto import SeldonMessage

MODEL = """
import threading

class SeldonMicroserviceException(Exception):
    def __init__(self, message, status_code=400, reason="MICROSERVICE_BAD_DATA"):
        self.message, self.status_code, self.reason = message, status_code, reason

class ContractModel:
    def __init__(self):
        self.thread = threading.get_ident()

    def predict(self, X, names, meta=None):
        assert threading.get_ident() == self.thread
        self.asked = X if isinstance(X, str) else None
        if self.asked == "raise":
            raise ValueError("bad value here")
        if self.asked == "exit":
            raise SystemExit(3)
        if self.asked == "seldon":
            raise SeldonMicroserviceException("teapot", 418, "MY_REASON")
        if self.asked == "none":
            return None
        if self.asked == "object":
            return {"a": object()}
        return X

    def metrics(self):
        return [{"type": "COUNTER", "key": "no_value"}] if self.asked == "bad-metric" else []

    def tags(self):
        return {"t": "own"} if self.asked == "tags" else {}
"""


@dataclass
class Row:
    """A request as JSON text, and its answer on both wires; ``grpc`` only where that wire must differ."""

    request: str
    answer: dict[str, Any] = field(default_factory=dict)
    grpc: dict[str, Any] | None = None


ROWS = {
    "ndarray": Row(
        '{"data":{"names":["a","b"],"ndarray":[[1,2.5]]},"meta":{"puid":"p1","tags":{"k":1}}}',
        {"data": {"names": ["t:0", "t:1"], "ndarray": [[1.0, 2.5]]}, "meta": {"puid": "p1", "tags": {"k": 1}}},
    ),
    "tensor": Row(
        '{"data":{"tensor":{"shape":[2,1],"values":[1,2]}}}',
        {"data": {"names": ["t:0"], "tensor": {"shape": [2, 1], "values": [1, 2]}}, "meta": {}},
    ),
    "tensor-without-rows": Row(
        '{"data":{"tensor":{"shape":[0,2],"values":[]}}}',
        {"data": {"names": ["t:0", "t:1"], "tensor": {"shape": [0, 2], "values": []}}, "meta": {}},
        {"data": {"names": ["t:0", "t:1"], "tensor": {"shape": [0, 2]}}, "meta": {}},
    ),
    "texts": Row(
        '{"data":{"ndarray":[["é","b"]]}}', {"data": {"names": ["t:0", "t:1"], "ndarray": [["é", "b"]]}, "meta": {}}
    ),
    "json": Row('{"jsonData":{"z":1,"a":[true,null]}}', {"jsonData": {"z": 1, "a": [True, None]}, "meta": {}}),
    "json-list": Row(
        '{"jsonData":[[1,2]]}',
        {"data": {"names": ["t:0", "t:1"], "tensor": {"shape": [1, 2], "values": [1, 2]}}, "meta": {}},
    ),
    "text": Row('{"strData":"é"}', {"strData": "é", "meta": {}}),
    "binary": Row('{"binData":"AAEC"}', {"binData": "AAEC", "meta": {}}),
    "tags": Row('{"strData":"tags","meta":{"tags":{"t":"r"}}}', {"strData": "tags", "meta": {"tags": {"t": "own"}}}),
    "one-dimension": Row(
        '{"data":{"ndarray":[1,2]}}',
        {"data": {"names": [], "ndarray": [1, 2]}, "meta": {}},
        {"data": {"ndarray": [1, 2]}, "meta": {}},
    ),
}


@dataclass
class Refusal:
    """A request, and how both wires refuse it."""

    request: str
    http: int
    grpc: str
    reason: str
    info: str = ""


BAD_DATA, INTERNAL = "MICROSERVICE_BAD_DATA", "MICROSERVICE_INTERNAL_ERROR"

REFUSALS = {
    "ragged": Refusal('{"data":{"ndarray":[[1,2],[3]]}}', 400, "INVALID_ARGUMENT", BAD_DATA),
    "tensor-size": Refusal('{"data":{"tensor":{"shape":[2,8],"values":[1]}}}', 400, "INVALID_ARGUMENT", BAD_DATA),
    "tensor-giant": Refusal(
        '{"data":{"tensor":{"shape":[0,2000000000],"values":[]}}}', 400, "INVALID_ARGUMENT", BAD_DATA
    ),
    "no-payload": Refusal('{"meta":{"puid":"x"}}', 400, "INVALID_ARGUMENT", BAD_DATA),
    "raise": Refusal('{"strData":"raise"}', 500, "UNKNOWN", INTERNAL, "bad value here"),
    "exit": Refusal('{"strData":"exit"}', 500, "UNKNOWN", INTERNAL, "3"),
    "seldon-exception": Refusal('{"strData":"seldon"}', 418, "UNKNOWN", "MY_REASON", "teapot"),
    "result-none": Refusal(
        '{"strData":"none"}',
        400,
        "UNKNOWN",
        BAD_DATA,
        "Unknown data type returned as payload (must be list or np array):None",
    ),
    "result-object": Refusal('{"strData":"object"}', 500, "UNKNOWN", INTERNAL),
    "bad-metric": Refusal('{"strData":"bad-metric"}', 500, "UNKNOWN", "MICROSERVICE_BAD_METRIC"),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, serve_spec: Any, spec_for: Callable[..., Any]) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("contract")
    (folder / "ContractModel.py").write_text(MODEL)
    with serve_spec(spec_for(folder, "ContractModel")) as running:
        yield running


def to_wire(text: str) -> bytes:
    wire: bytes = json_format.Parse(text, SeldonMessage()).SerializeToString()
    return wire


def assert_good(server: Any) -> None:
    assert server.post(b'{"strData":"good"}')[0] == 200
    assert SeldonMessage.FromString(server.call(to_wire('{"strData":"good"}'))).strData == "good"


@pytest.mark.parametrize("path", ["/predict", "/api/v1.0/predictions", "/api/v0.1/predictions"])
@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())
def test_answers_over_rest(server: Any, row: Row, path: str) -> None:
    status, headers, body = server.post(row.request.encode(), path)
    assert (status, headers["Content-Type"]) == (200, "application/json")
    assert body.endswith(b"\n")
    assert json.loads(body) == row.answer


@pytest.mark.parametrize("method", ["Model/Predict", "Seldon/Predict"])
@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())
def test_answers_over_grpc(server: Any, row: Row, method: str) -> None:
    answer = SeldonMessage.FromString(server.call(to_wire(row.request), f"/seldon.protos.{method}"))
    assert json_format.MessageToDict(answer) == (row.grpc or row.answer)


@pytest.mark.parametrize("row", REFUSALS.values(), ids=REFUSALS.keys())
def test_refusals_over_rest_and_the_next_request(server: Any, row: Refusal) -> None:
    status, headers, body = server.post(row.request.encode())
    assert (status, headers["Content-Type"]) == (row.http, "application/json")
    told = json.loads(body)
    assert told == {"status": {"code": -1, "info": told["status"]["info"], "reason": row.reason, "status": 1}}
    if row.info:
        assert told["status"]["info"] == row.info
    assert_good(server)


@pytest.mark.parametrize("row", REFUSALS.values(), ids=REFUSALS.keys())
def test_refusals_over_grpc_and_the_next_request(server: Any, row: Refusal) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        server.call(to_wire(row.request))
    error: Any = caught.value
    assert error.code() is grpc.StatusCode[row.grpc]
    if row.grpc == "UNKNOWN":
        assert error.details().startswith("Exception calling application: ")
    if row.info:
        assert error.details().endswith(row.info)
    assert_good(server)


MALFORMED_REST: dict[str, tuple[dict[str, Any], int, str]] = {
    "empty": ({"body": b""}, 400, "Can't find JSON in data"),
    "no-json": ({"body": b"{'a':1}"}, 400, "Can't find JSON in data"),
    "no-utf8": ({"body": b'{"strData":"\xff"}'}, 400, "Can't find JSON in data"),
    "list": ({"body": b"[1]"}, 400, "Invalid request data type"),
    "deep": ({"body": b'{"jsonData":' + b"[" * 100000 + b"]" * 100000 + b"}"}, 400, "Can't find JSON in data"),
    "digits": ({"body": b'{"jsonData":' + b"1" * 5000 + b"}"}, 400, "Can't find JSON in data"),
    "meta-null": ({"body": b'{"strData":"x","meta":null}'}, 400, "meta is not an object"),
    "no-type": ({"body": b'{"strData":"x"}', "headers": {}}, 400, "Can't find JSON in data"),
    "text-type": ({"body": b"{}", "headers": {"Content-Type": "text/plain"}}, 400, "Can't find JSON in data"),
    "form-no-json": (
        {"body": b"json=hello", "headers": {"Content-Type": "application/x-www-form-urlencoded"}},
        400,
        "Can't find JSON in data",
    ),
    "gzip": (
        {"body": b"x", "headers": {"Content-Type": "application/json", "Content-Encoding": "gzip"}},
        415,
        "Content-Encoding",
    ),
    "unknown-path": ({"path": "/nowhere", "body": b"{}"}, 404, "404 Not Found"),
    "trailing-slash": ({"path": "/predict/", "body": b"{}"}, 404, "404 Not Found"),
    "wrong-method": ({"path": "/api/v1.0/predictions", "method": "GET"}, 405, "405 Method Not Allowed"),
}


@pytest.mark.parametrize(("request_parts", "status", "info"), MALFORMED_REST.values(), ids=MALFORMED_REST.keys())
def test_malformed_rest_requests(server: Any, request_parts: dict[str, Any], status: int, info: str) -> None:
    parts = {"method": "POST", "path": "/predict", "headers": {"Content-Type": "application/json"}, **request_parts}
    found, headers, body = server.rest(**parts)
    assert (found, headers["Content-Type"]) == (status, "application/json")
    told = json.loads(body)["status"]
    assert info in told["info"]
    assert (told["code"], told["status"]) == (-1, 1)
    assert ("Allow" in headers) is (status == 405)
    assert_good(server)


@pytest.mark.parametrize("wire", [b"", b"\xff\xff", b"\x2a\x01\xff"], ids=["empty", "no-protobuf", "no-utf8"])
def test_malformed_grpc_requests(server: Any, wire: bytes) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        server.call(wire)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert_good(server)


def test_unknown_grpc_methods(server: Any) -> None:
    for method in ("/seldon.protos.Model/Nope", "/nothing.Service/Predict"):
        with pytest.raises(grpc.RpcError) as caught:
            server.call(b"", method)
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED

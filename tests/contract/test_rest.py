"""REST beyond the table: where the message is found, JSON's style, CORS, limits, probes, and Flask's settings."""

from __future__ import annotations

import http.client
import json
import socket
import urllib.parse
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from seldon_spec.config.model import FlaskSpec, ServerSpec, UnitSpec

MODEL = """
class RestModel:
    def predict(self, X, names=None):
        return X
"""


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory, serve_spec: Any, spec_for: Callable[..., Any]) -> Any:
    folder = tmp_path_factory.mktemp("rest")
    (folder / "RestModel.py").write_text(MODEL)
    return lambda **more: serve_spec(spec_for(folder, "RestModel", **more))


@pytest.fixture(scope="module")
def server(start: Any) -> Iterator[Any]:
    limits = ServerSpec(host="127.0.0.1", max_body_bytes=2_000_000, max_message_bytes=100_000)
    with start(server=limits, unit=UnitSpec(id="m1", image="reg:5000/org/img:1.2")) as running:
        yield running


MESSAGE = '{"strData":"ü€"}'
EXPECTED = {"meta": {"requestPath": {"m1": "reg:5000/org/img:1.2"}}, "strData": "ü€"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
JSON = {"Content-Type": "application/json"}


def query(text: str) -> str:
    return "/predict?" + urllib.parse.urlencode({"json": text})


def form(text: str) -> bytes:
    return urllib.parse.urlencode({"json": text}).encode()


SOURCES: dict[str, tuple[str, str, bytes | None, dict[str, str]]] = {
    "body": ("POST", "/predict", MESSAGE.encode(), JSON),
    "body-charset": ("POST", "/predict", MESSAGE.encode(), {"Content-Type": "application/json; charset=utf-8"}),
    "body-suffix": ("POST", "/predict", MESSAGE.encode(), {"Content-Type": "application/ld+json"}),
    "get-body": ("GET", "/predict", MESSAGE.encode(), JSON),
    "form": ("POST", "/predict", form(MESSAGE), FORM),
    "query": ("GET", query(MESSAGE), None, {}),
    "query-over-body": ("POST", query(MESSAGE), b'{"strData":"body"}', JSON),
    "form-over-query": ("POST", query('{"strData":"query"}'), form(MESSAGE), FORM),
}


@pytest.mark.parametrize("request_parts", SOURCES.values(), ids=SOURCES.keys())
def test_where_the_message_is_found(server: Any, request_parts: tuple[str, str, bytes | None, dict[str, str]]) -> None:
    status, _, body = server.rest(*request_parts)
    assert (status, json.loads(body)) == (200, EXPECTED)


def multipart(*parts: tuple[str, str | None, bytes]) -> tuple[bytes, dict[str, str]]:
    body = b""
    for name, filename, content in parts:
        file = f'; filename="{filename}"' if filename else ""
        body += f'--edge\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'.encode() + content + b"\r\n"
    return body + b"--edge--\r\n", {"Content-Type": "multipart/form-data; boundary=edge"}


PARTS: dict[str, tuple[list[tuple[str, str | None, bytes]], int, Any]] = {
    "data": ([("data", None, b'{"ndarray":[[1]]}')], 200, {"names": ["t:0"], "ndarray": [[1]]}),
    "text": ([("strData", None, b"plain")], 200, "plain"),
    "text-file": ([("strData", "a.txt", "é".encode())], 200, "é"),
    "binary-file": ([("binData", "a.bin", b"\x00\x01\x02")], 200, "AAEC"),
    "binary-text": ([("binData", None, b'"AAEC"')], 200, "AAEC"),
    "malformed": ([("data", None, b"{")], 400, None),
    "file-of-data": (
        [("data", "rows.json", b'{"ndarray":[[1,2]]}')],
        200,
        {"names": ["t:0", "t:1"], "ndarray": [[1, 2]]},
    ),
    "file-of-json-data": ([("jsonData", "a.json", b'{"a":1}')], 200, {"a": 1}),
    "file-in-utf-16": ([("jsonData", "a.json", '{"a":"é"}'.encode("utf-16"))], 200, {"a": "é"}),
    "file-with-a-mark": ([("strData", "a.txt", b"\xef\xbb\xbfx")], 200, "x"),
    "file-of-no-json": ([("data", "rows.csv", b"1,2")], 400, None),
    "data-list": ([("data", None, b"[[1,2]]")], 400, None),
    "data-text": ([("data", None, b'"abc"')], 400, None),
    "data-number": ([("data", None, b"5")], 400, None),
    "file-of-a-list": ([("data", "rows.json", b"[[1,2]]")], 400, None),
    "json": ([("json", None, b'{"data":{"ndarray":[[1]]}}')], 400, None),
    "twice": ([("strData", None, b"x"), ("strData", None, b"y")], 400, None),
    "field-and-file": ([("strData", None, b"x"), ("strData", "a.txt", b"y")], 400, None),
    "file-no-utf8": ([("strData", "a.txt", b"\xff")], 400, None),
    "unknown": ([("other", None, b"1")], 400, None),
}


@pytest.mark.parametrize(("parts", "status", "expected"), PARTS.values(), ids=PARTS.keys())
def test_multipart(server: Any, parts: list[tuple[str, str | None, bytes]], status: int, expected: Any) -> None:
    found, _, body = server.rest("POST", "/predict", *multipart(*parts))
    tree = json.loads(body)
    assert found == status
    if expected is not None:
        assert next(value for key, value in tree.items() if key != "meta") == expected


@pytest.mark.parametrize("path", ["/predict", "/send-feedback", "/aggregate", "/route"])
@pytest.mark.parametrize("body", [b"--edge", b"--other\r\n\r\n1\r\n--other--\r\n", b"no boundary"], ids=repr)
def test_a_multipart_body_without_a_readable_part_is_refused(server: Any, path: str, body: bytes) -> None:
    status, _, answer = server.rest("POST", path, body, {"Content-Type": "multipart/form-data; boundary=edge"})
    assert (status, json.loads(answer)["status"]["reason"]) == (400, "MICROSERVICE_BAD_DATA")


def test_a_form_may_be_as_long_as_a_body(server: Any) -> None:
    status, _, _ = server.rest("POST", "/predict", form(json.dumps({"strData": "x" * 1_000_000})), FORM)
    assert status == 200


def test_large_bodies_are_refused_with_the_contracts_body(server: Any) -> None:
    status, headers, body = server.post(b'{"strData":"' + b"x" * 2_000_000 + b'"}')
    assert (status, headers["Content-Type"]) == (413, "application/json")
    assert json.loads(body)["status"]["reason"] == "MICROSERVICE_BAD_DATA"
    assert server.post(b'{"strData":"x"}')[0] == 200


def test_large_chunked_bodies_are_refused(server: Any) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=20)
    chunks = (b"x" * 100_000 for _ in range(25))
    connection.request("POST", "/predict", chunks, JSON, encode_chunked=True)
    assert connection.getresponse().status == 413
    connection.close()
    assert server.post(b'{"strData":"x"}')[0] == 200


def test_an_announced_giant_is_refused_before_it_is_sent(server: Any) -> None:
    with socket.create_connection(("127.0.0.1", server.http_port), timeout=20) as client:
        client.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000000\r\n\r\n")
        assert client.recv(1000).startswith(b"HTTP/1.1 413 ")


def test_a_chunked_body_is_read(server: Any) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=20)
    connection.request("POST", "/predict", iter([b'{"str', b'Data":"x"}']), JSON, encode_chunked=True)
    assert json.loads(connection.getresponse().read())["strData"] == "x"
    connection.close()


def test_pipelined_requests_are_answered_in_order(server: Any) -> None:
    request = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
    bodies = [b'{"strData":"%d"}' % number for number in range(3)]
    with socket.create_connection(("127.0.0.1", server.http_port), timeout=20) as client:
        client.sendall(b"".join(request % (len(body), body) for body in bodies))
        received = b""
        while received.count(b'"strData"') < 3:
            received += client.recv(10000)
    positions = [received.index(b'"strData":"%d"' % number) for number in range(3)]
    assert positions == sorted(positions)


def test_grpc_messages_over_the_limit(server: Any) -> None:
    import grpc

    from seldon_spec.protocols.seldon_v1.proto import SeldonMessage

    with pytest.raises(grpc.RpcError) as caught:
        server.call(SeldonMessage(strData="x" * 200_000).SerializeToString())
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert server.call(SeldonMessage(strData="x").SerializeToString())


def test_cors(server: Any) -> None:
    _, headers, _ = server.post(b'{"strData":"x"}')
    assert headers["Access-Control-Allow-Origin"] == "*"
    _, headers, _ = server.rest("POST", "/predict", b"{", {**JSON, "Origin": "http://a.example"})
    assert (headers["Access-Control-Allow-Origin"], headers["Vary"]) == ("http://a.example", "Origin")
    asked = {"Origin": "http://a.example", "Access-Control-Request-Method": "POST"}
    asked["Access-Control-Request-Headers"] = "content-type"
    status, headers, body = server.rest("OPTIONS", "/predict", None, asked)
    assert (status, body) == (200, b"")
    assert headers["Access-Control-Allow-Headers"] == "content-type"
    assert "POST" in headers["Access-Control-Allow-Methods"]


PROBES = {"/live": b"live", "/ready": b"ready", "/health/ping": b"pong"}


@pytest.mark.parametrize(("path", "expected"), PROBES.items(), ids=PROBES.keys())
def test_probes(server: Any, path: str, expected: bytes) -> None:
    assert server.rest("GET", path)[::2] == (200, expected)
    assert server.rest("HEAD", path)[::2] == (200, b"")


@pytest.mark.parametrize("path", ["/health/status", "/api/v1.0/health/status"])
def test_health_status(server: Any, path: str) -> None:
    status, _, body = server.rest("GET", path)
    assert (status, json.loads(body)) == (200, {"meta": EXPECTED["meta"], "strData": "healthy"})


METRICS = {
    "page": ("GET", "/metrics", 200, "text/plain; version=0.0.4; charset=utf-8"),
    "head": ("HEAD", "/metrics", 200, "text/plain; version=0.0.4; charset=utf-8"),
    "other-path": ("GET", "/", 404, "text/html; charset=utf-8"),
    "post": ("POST", "/metrics", 405, "text/html; charset=utf-8"),
    "predict": ("POST", "/predict", 405, "text/html; charset=utf-8"),
}


@pytest.mark.parametrize(("method", "path", "status", "kind"), METRICS.values(), ids=METRICS.keys())
def test_the_metrics_port(server: Any, method: str, path: str, status: int, kind: str) -> None:
    found, headers, body = server.rest(method, path, port=server.metrics_port)
    assert (found, headers["Content-Type"], headers["Access-Control-Allow-Origin"]) == (status, kind, "*")
    assert (b"seldon_spec_request_duration_seconds" in body) is (path == "/metrics" and method == "GET")


def test_flask_settings_shape_answers_and_errors(start: Any) -> None:
    flask = FlaskSpec(JSON_SORT_KEYS=False, JSON_AS_ASCII=False, DEBUG=True, JSONIFY_MIMETYPE="application/vnd.x+json")
    with start(flask=flask) as running:
        status, headers, body = running.post('{"jsonData":{"z":"é","a":1}}'.encode())
        assert (status, headers["Content-Type"]) == (200, "application/vnd.x+json")
        assert body.decode() == '{\n  "jsonData": {\n    "z": "é",\n    "a": 1\n  },\n  "meta": {}\n}\n'
        _, headers, body = running.rest("GET", "/nowhere")
        assert headers["Content-Type"] == "application/vnd.x+json"
        assert body.startswith(b'{\n  "status": {\n    "status": 1,\n    "info": ')
        status, _, body = running.rest("GET", "/console")  # where Werkzeug's debugger would be
        assert status == 404
        assert b"Werkzeug" not in body


def test_only_settings_that_were_made_reach_flask(start: Any) -> None:
    from seldon_spec.config.model import Spec
    from seldon_spec.inference.assembly import dispatcher_for
    from seldon_spec.server.rest.flask_app import make_app

    def app_of(flask: FlaskSpec) -> Any:
        from pathlib import Path

        spec = Spec(class_name="RestModel", folder=Path(), name="m", flask=flask)
        return make_app(dispatcher_for(spec), spec)

    assert app_of(FlaskSpec(SESSION_COOKIE_NAME="s", SECRET_KEY="k")).config["SESSION_COOKIE_NAME"] == "s"
    assert "JSON_SORT_KEYS" not in app_of(FlaskSpec()).config
    assert app_of(FlaskSpec(MAX_FORM_MEMORY_SIZE=10)).request_class.max_form_memory_size == 10

"""The Open Inference Protocol over REST, by real servers: natively, through Flask, by uvicorn and by ``make_app``."""

from __future__ import annotations

import gzip
import http.client
import json
import re
import socket
import struct
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from typing import Any

import pytest

from seldon_spec import __version__, make_app
from seldon_spec.config.contract import TensorSpec
from seldon_spec.config.model import AuthSpec, FlaskSpec, ServerSpec, ServiceType, Spec, UnitSpec

CLASS = """
import numpy as np

class SeldonMicroserviceException(Exception):
    status_code = 409

    def __init__(self, message):
        self.message = message

class {name}:
    {handlers}

    def predict(self, X, names, meta=None):
        if isinstance(X, np.ndarray) and X.dtype == object and X.size == 1:
            word = X.reshape(-1)[0]
            if word == "raise":
                raise ValueError("of the class")
            if word == "seldon":
                raise SeldonMicroserviceException("its own")
            if word == "complex":
                return np.array([1j])
            if word == "meta":
                return {{"puid": meta.get("puid"), "tags": meta.get("tags"), "headers": meta["headers"]}}
            if word == "bytes":
                return b"\\xff"
        return X

    def tags(self):
        return {{"version": 3, "list": [1]}}

    def metrics(self):
        return [{{"type": "COUNTER", "key": "calls", "value": 1}}]
"""

HANDLERS = "import flask; model_error_handler = flask.Blueprint('nothing', __name__)"
"""A blueprint without handlers: it changes nothing, but every request has to go through Flask."""

MAX_BODY_BYTES = 100_000
VARIANTS = ("native", "flask", "uvicorn", "make_app")

Answer = tuple[int, Any, bytes]


class ViaMakeApp:
    """A client of the app that ``make_app`` returns."""

    def __init__(self, spec: Spec) -> None:
        self._app = make_app(spec)

    def rest(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        response = self._app.test_client().open(path, method=method, data=body, headers=dict(headers or {}))
        return response.status_code, response.headers, response.get_data()


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory, serve_in_thread: Any) -> Iterator[Callable[..., Any]]:
    names: list[str] = []
    with ExitStack() as stack:

        def begin(variant: str = "native", source: str = CLASS, **more: Any) -> Any:
            name = f"V2Rest{len(names)}"
            names.append(name)
            folder = tmp_path_factory.mktemp("v2")
            handlers = HANDLERS if variant == "flask" else "pass"
            (folder / f"{name}.py").write_text(source.format(name=name, handlers=handlers))
            server: dict[str, Any] = {"host": "127.0.0.1", "engine": "uvicorn" if variant == "uvicorn" else "native"}
            server |= {"max_body_bytes": MAX_BODY_BYTES, **more.pop("server", {})}
            fields: dict[str, Any] = {"server": ServerSpec(**server), "version": "v 2", **more}
            if variant == "make_app":
                return ViaMakeApp(Spec(class_name=name, folder=folder, name="model", **fields))
            return stack.enter_context(serve_in_thread(folder, name, **fields))

        yield begin
    for name in names:
        sys.modules.pop(name, None)


@pytest.fixture(scope="module", params=VARIANTS)
def served(request: pytest.FixtureRequest, serve: Callable[..., Any]) -> Any:
    return serve(request.param, unit=UnitSpec(id="node"))


INFER = "/v2/models/model/infer"


def tensor(data: Any, datatype: str = "FP32", shape: list[int] | None = None, **more: Any) -> dict[str, Any]:
    return {"name": "x", "datatype": datatype, "shape": [len(data)] if shape is None else shape, "data": data, **more}


def infer(served: Any, *inputs: dict[str, Any], path: str = INFER, headers: Any = None, **more: Any) -> Answer:
    return served.rest("POST", path, json.dumps({"inputs": list(inputs), **more}).encode(), headers)  # type: ignore[no-any-return]


def word(text: str) -> dict[str, Any]:
    return tensor([text], "BYTES")


def read(answer: Answer) -> Any:
    """Return the JSON value of a successful response."""
    status, headers, body = answer
    assert (status, headers["Content-Type"]) == (200, "application/json"), body
    return json.loads(body)


def read_error(answer: Answer, status: int) -> str:
    """Return the text of an error."""
    assert (answer[0], answer[1]["Content-Type"]) == (status, "application/json"), answer
    tree = json.loads(answer[2])
    assert list(tree) == ["error"]
    return str(tree["error"])


# Pages

MODEL = {"name": "model", "versions": ["v 2"], "platform": "", "inputs": [], "outputs": []}
SERVER = {
    "name": "seldon-spec",
    "version": __version__,
    "extensions": ["binary_tensor_data", "parameters", "statistics"],
}
PAGES: dict[str, Any] = {
    "/v2": SERVER,
    "/v2/": SERVER,
    "/v2/health/live": {"live": True},
    "/v2/health/ready": {"ready": True},
    "/v2/models": {"models": ["model"]},
    "/v2/models/model": MODEL,
    "/v2/models/%6Dodel": MODEL,
    "/v2/models/model/versions/v%202": MODEL,
    "/v2/models/node": {**MODEL, "name": "node"},
    "/v2/models/model/ready": {"name": "model", "ready": True},
    "/v2/models/node/versions/v%202/ready": {"name": "node", "ready": True},
}


@pytest.mark.parametrize(("path", "expected"), PAGES.items(), ids=PAGES)
def test_pages(served: Any, path: str, expected: Any) -> None:
    assert read(served.rest("GET", path)) == expected
    status, headers, body = served.rest("HEAD", path)
    assert (status, headers["Content-Type"], body) == (200, "application/json", b"")


INDEX = [{"name": "model", "version": "v 2", "state": "READY"}]


@pytest.mark.parametrize("body", [b"", b"{}", b'{"ready":true}', b'{"ready":false}'])
def test_the_index_of_the_repository(served: Any, body: bytes) -> None:
    assert read(served.rest("POST", "/v2/repository/index", body)) == INDEX


@pytest.mark.parametrize("body", [b"[", b"[]", b'{"ready":1}', b"\xff"])
def test_a_malformed_request_for_the_index(served: Any, body: bytes) -> None:
    read_error(served.rest("POST", "/v2/repository/index", body), 400)


@pytest.mark.parametrize("variant", ["native", "flask", "uvicorn"])
def test_statistics_count_the_requests_of_both_protocols(serve: Callable[..., Any], variant: str) -> None:
    served = serve(variant)
    infer(served, tensor([1, 2], shape=[2, 1]))
    served.rest("POST", "/predict", b'{"data":{"ndarray":[[1]]}}', {"Content-Type": "application/json"})
    infer(served, word("raise"))
    for path in ("/v2/models/stats", "/v2/models/model/stats", "/v2/models/model/versions/v%202/stats"):
        (found,) = read(served.rest("GET", path))["model_stats"]
        statistics = found["inference_stats"]
        assert (found["name"], found["version"]) == ("model", "v 2")
        assert [statistics[name]["count"] for name in ("success", "fail", "queue")] == [2, 1, 3]
        assert all(each["ns"] > 0 for each in statistics.values())
    read_error(served.rest("GET", "/v2/models/other/stats"), 404)


DECLARED = (TensorSpec("image", "UINT8", (-1, 2)),)
METADATA = {
    "platform": "own",
    "inputs": [
        {"name": "a", "datatype": "INT8", "shape": [-1]},
        {"messagetype": "tensor", "schema": {"names": ["a", "b"], "shape": [-1, 2]}},
        {"messagetype": "strData"},
    ],
    "outputs": [{"messagetype": "ndarray"}],
}


def test_metadata_of_the_class_and_of_the_file(serve: Callable[..., Any]) -> None:
    source = CLASS + f"\n    def init_metadata(self):\n        return {METADATA!r}\n".replace("{", "{{").replace(
        "}", "}}"
    )
    assert read(serve(source=source).rest("GET", "/v2/models/model")) == {
        **MODEL,
        "platform": "own",
        "inputs": [
            {"name": "a", "datatype": "INT8", "shape": [-1]},
            {"name": "input-1", "datatype": "FP64", "shape": [-1, 2]},
        ],
        "outputs": [{"name": "output-0", "datatype": "FP64", "shape": [-1]}],
    }
    served = serve(source=source, inputs=DECLARED, platform="mine")
    model = read(served.rest("GET", "/v2/models/model"))
    assert model["platform"] == "mine"
    assert model["inputs"] == [{"name": "image", "datatype": "UINT8", "shape": [-1, 2]}]


# Inference

FORMS: dict[str, tuple[str, str, dict[str, str]]] = {
    "no media type": (INFER, "model", {}),
    "form": (INFER, "model", {"Content-Type": "application/x-www-form-urlencoded"}),
    "octets": (INFER, "model", {"Content-Type": "application/octet-stream"}),
    "query": (f"{INFER}?json=1&x=%20", "model", {}),
    "version": ("/v2/models/model/versions/v%202/infer", "model", {}),
    "alias": ("/v2/models/node/infer", "node", {}),
    "identity": (INFER, "model", {"Content-Encoding": "identity"}),
    "accepts gzip": (INFER, "model", {"Accept-Encoding": "gzip, deflate"}),
}


@pytest.mark.parametrize(("path", "name", "headers"), FORMS.values(), ids=FORMS)
def test_requests_in_json(served: Any, path: str, name: str, headers: dict[str, str]) -> None:
    answer = infer(served, tensor([1.5, 2]), path=path, headers=headers, id="ü", model_name="other")
    assert read(answer) == {
        "model_name": name,
        "model_version": "v 2",
        "id": "ü",
        "parameters": {"version": 3, "list": "[1]"},
        "outputs": [{"name": "output-0", "datatype": "FP32", "shape": [2], "data": [1.5, 2.0]}],
    }
    assert answer[1].get("Content-Encoding") is None


def with_binary(*values: float, **more: Any) -> tuple[bytes, dict[str, str]]:
    """Return a body with a binary tensor, and its headers."""
    raw = struct.pack(f"<{len(values)}f", *values)
    entry = {"name": "x", "datatype": "FP32", "shape": [len(values)], "parameters": {"binary_data_size": len(raw)}}
    head = json.dumps({"inputs": [entry], **more}).encode()
    return head + raw, {"Inference-Header-Content-Length": str(len(head))}


def test_binary_tensors(served: Any) -> None:
    for values in ((1.0, 2.0), (1.0,), (3.0, 4.0, 5.0), (1.0, 2.0)):  # the headers of one connection differ
        body, headers = with_binary(*values, parameters={"binary_data_output": True})
        status, found, response = served.rest("POST", INFER, body, headers)
        assert (status, found["Content-Type"]) == (200, "application/octet-stream")
        size = int(found["Inference-Header-Content-Length"])
        assert json.loads(response[:size])["outputs"][0]["parameters"] == {"binary_data_size": 4 * len(values)}
        assert response[size:] == struct.pack(f"<{len(values)}f", *values)


@pytest.mark.parametrize("variant", ["native", "flask", "uvicorn"])
def test_the_length_of_the_json_may_differ_on_a_connection(serve: Callable[..., Any], variant: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", serve(variant).http_port, timeout=20)
    try:
        for number in range(40):
            body, headers = with_binary(*[float(number)] * (number % 7 + 1), id="x" * number)
            connection.request("POST", INFER, body, {"Inference-Header-Content-Length": f"x{number % 5}"})
            refused = connection.getresponse()
            read_error((refused.status, refused.headers, refused.read()), 400)
            connection.request("POST", INFER, body, headers)
            response = json.loads(connection.getresponse().read())
            assert response["outputs"][0]["data"] == [float(number)] * (number % 7 + 1)
    finally:
        connection.close()


def test_a_raw_request_has_the_only_declared_input(serve: Callable[..., Any]) -> None:
    served = serve(inputs=(TensorSpec("x", "FP32", (-1, 2)),))
    status, headers, response = served.rest(
        "POST", INFER, struct.pack("<2f", 1, 2), {"Inference-Header-Content-Length": "0"}
    )
    assert (status, headers["Content-Type"]) == (200, "application/octet-stream")
    assert response.endswith(struct.pack("<2f", 1, 2))


def test_the_class_gets_id_parameters_and_headers(served: Any) -> None:
    secrets = {"Authorization": "Bearer x", "Cookie": "c"}

    def ask(**headers: str) -> Any:
        answer = infer(served, word("meta"), headers=headers | secrets, id="i", parameters={"a": 1, "priority": 2})
        return json.loads(read(answer)["outputs"][0]["data"][0])

    meta = ask(**{"X-Own": "1"})
    assert (meta["puid"], meta["tags"]) == ("i", {"a": 1})
    assert meta["headers"]["x-own"] == "1"
    assert not {"authorization", "cookie", "content-length"} & set(meta["headers"])
    meta = ask(**{"Seldon-Puid": "p", "X-Own": "2"})
    assert (meta["puid"], meta["headers"]["x-own"]) == ("p", "2")


@pytest.mark.parametrize("variant", ["native", "flask"])
def test_a_response_without_an_id_and_a_version(serve: Callable[..., Any], variant: str) -> None:
    served = serve(variant, unit=UnitSpec(has_metrics_in_response=True), version=None)
    assert read(infer(served, tensor([1])))["outputs"]
    assert set(read(infer(served, tensor([1])))) == {"model_name", "parameters", "outputs"}
    read_error(served.rest("GET", "/v2/models/model/versions/1"), 404)


def test_responses_carry_the_headers_of_cors_and_the_requests_id(serve: Callable[..., Any]) -> None:
    for served in (serve(), serve("flask")):
        _, headers, _ = infer(served, tensor([1]), headers={"Origin": "https://page", "Seldon-Puid": "p"})
        assert (headers["Access-Control-Allow-Origin"], headers["Seldon-Puid"]) == ("https://page", "p")
        preflight = {"Origin": "https://page", "Access-Control-Request-Method": "POST"}
        status, headers, _ = served.rest("OPTIONS", INFER, None, preflight)
        assert (status, headers["Allow"]) == (200, "OPTIONS, POST")
        assert "POST" in headers["Access-Control-Allow-Methods"]


# Compression

COMPRESSIONS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", gzip.compress),
    "deflate": ("deflate", zlib.compress),
    "capitals": ("GZip", gzip.compress),
}


@pytest.mark.parametrize(("encoding", "compress"), COMPRESSIONS.values(), ids=COMPRESSIONS)
def test_compressed_requests(served: Any, encoding: str, compress: Callable[[bytes], bytes]) -> None:
    body, headers = with_binary(1, 2)
    answer = served.rest("POST", INFER, compress(body), headers | {"Content-Encoding": encoding})
    assert read(answer)["outputs"][0]["data"] == [1, 2]


CORRUPT: dict[str, tuple[str, bytes, int]] = {
    "not gzip": ("gzip", b"{}", 400),
    "empty": ("gzip", b"", 400),
    "cut": ("gzip", gzip.compress(b"{}")[:-9], 400),
    "surplus": ("gzip", gzip.compress(b"{}") + b"x", 400),
    "raw deflate": ("deflate", zlib.compress(b"{}")[2:-4], 400),
    "bomb": ("gzip", gzip.compress(bytes(50_000_000)), 413),
    "bomb of deflate": ("deflate", zlib.compress(b" " * (MAX_BODY_BYTES + 1)), 413),
    "just fits": ("deflate", zlib.compress(b" " * MAX_BODY_BYTES), 400),
    "unknown": ("br", b"{}", 415),
    "two": ("gzip, gzip", b"{}", 415),
}


@pytest.mark.parametrize(("encoding", "body", "status"), CORRUPT.values(), ids=CORRUPT)
def test_bodies_that_cannot_be_decompressed(served: Any, encoding: str, body: bytes, status: int) -> None:
    read_error(served.rest("POST", INFER, body, {"Content-Encoding": encoding}), status)


# Errors


def body_of(**more: Any) -> bytes:
    return json.dumps({"inputs": [tensor([1, 2])], **more}).encode()


def request_of(*inputs: Any, **more: Any) -> bytes:
    return json.dumps({"inputs": list(inputs), **more}).encode()


ERRORS: dict[str, tuple[int, str, str, bytes | None]] = {
    "no json": (400, "POST", INFER, b"{"),
    "utf-16": (
        400,
        "POST",
        INFER,
        '{"inputs":[{"name":"a","shape":[1],"datatype":"INT8","data":[1]}]}'.encode("utf-16"),
    ),
    "empty": (400, "POST", INFER, b""),
    "not utf-8": (400, "POST", INFER, b'{"id":"\xff"}'),
    "no object": (400, "POST", INFER, b"[]"),
    "no inputs": (400, "POST", INFER, b"{}"),
    "wrong type": (400, "POST", INFER, request_of(tensor(["x"]))),
    "fraction": (400, "POST", INFER, request_of(tensor([1.5], "INT32"))),
    "out of range": (400, "POST", INFER, request_of(tensor([300], "INT8"))),
    "unknown datatype": (400, "POST", INFER, request_of(tensor([1], "FLOAT"))),
    "shape": (400, "POST", INFER, request_of(tensor([1], shape=[2]))),
    "negative shape": (400, "POST", INFER, request_of(tensor([1], shape=[-1]))),
    "huge shape": (400, "POST", INFER, request_of(tensor([1], shape=[2**40, 2**40]))),
    "nested": (400, "POST", INFER, b"[" * 50_000),
    "two inputs of a name": (400, "POST", INFER, request_of(tensor([1]), tensor([1]))),
    "id": (400, "POST", INFER, body_of(id=1)),
    "unknown output": (400, "POST", INFER, body_of(outputs=[{"name": "other"}])),
    "no form in json": (400, "POST", INFER, request_of(word("bytes"))),
    "unknown model": (404, "POST", "/v2/models/other/infer", body_of()),
    "unknown version": (404, "POST", "/v2/models/model/versions/1/infer", body_of()),
    "unknown model's page": (404, "GET", "/v2/models/other", None),
    "unknown model's readiness": (404, "GET", "/v2/models/other/ready", None),
    "model not in ascii": (404, "GET", "/v2/models/%E6%97%A5%FF", None),
    "unknown path": (404, "POST", "/v2/models/model/generate", b"{}"),
    "config": (404, "GET", "/v2/models/model/config", None),
    "load": (404, "POST", "/v2/repository/models/model/load", b"{}"),
    "unknown path of the prefix": (404, "GET", "/v2/x", None),
    "method": (405, "GET", INFER, None),
    "method of a page": (405, "POST", "/v2/health/live", b""),
    "method of the server": (405, "DELETE", "/v2", None),
    "long": (413, "POST", INFER, b" " * (MAX_BODY_BYTES + 1)),
    "long for a page": (413, "POST", "/v2/repository/index", b" " * (MAX_BODY_BYTES + 1)),
    "long for no path": (413, "POST", "/v2/x", b" " * (MAX_BODY_BYTES + 1)),
    "exception": (500, "POST", INFER, request_of(word("raise"))),
    "own status": (409, "POST", INFER, request_of(word("seldon"))),
    "no datatype": (500, "POST", INFER, request_of(word("complex"))),
    "no router": (501, "POST", "/v2/models/model/route", body_of()),
    "no combiner": (501, "POST", "/v2/models/model/aggregate", b'[{"outputs":[]}]'),
}
TEXTS = {"exception": "of the class", "own status": "its own"}


@pytest.mark.parametrize("case", ERRORS)
def test_errors(served: Any, case: str) -> None:
    status, *request = ERRORS[case]
    answer = served.rest(*request)
    text = read_error(answer, status)
    assert text
    assert TEXTS.get(case, text) == text
    if status == 405:
        assert "OPTIONS" in answer[1]["Allow"]


LAYOUTS: dict[str, tuple[bytes, dict[str, str]]] = {
    "not a number": (with_binary(1)[0], {"Inference-Header-Content-Length": "x"}),
    "negative": (with_binary(1)[0], {"Inference-Header-Content-Length": "-1"}),
    "beyond the body": (with_binary(1)[0], {"Inference-Header-Content-Length": "1000"}),
    "surplus": (with_binary(1)[0] + b"1", with_binary(1)[1]),
    "too few": (with_binary(1)[0][:-1], with_binary(1)[1]),
    "raw without a declared input": (b"1234", {"Inference-Header-Content-Length": "0"}),
}


@pytest.mark.parametrize(("body", "headers"), LAYOUTS.values(), ids=LAYOUTS)
def test_malformed_binary_data(served: Any, body: bytes, headers: dict[str, str]) -> None:
    read_error(served.rest("POST", INFER, body, headers), 400)


def test_other_paths_keep_seldons_errors(served: Any) -> None:
    for path in ("/nothing", "/v20", "/v2x/models", "/v2.html"):
        status, _, body = served.rest("GET", path)
        assert (status, "status" in json.loads(body)) == (404, True)


def exchange(port: int, request: bytes) -> tuple[bytes, bytes]:
    """Send bytes; return head and body of the response."""
    with socket.create_connection(("127.0.0.1", port), 20) as client:
        client.sendall(request)
        response = b""
        while part := client.recv(65536):
            response += part
    head, _, body = response.partition(b"\r\n\r\n")
    return head, body


UNREADABLE: dict[str, tuple[bytes, bytes]] = {
    "long head": (b"431", b"Host: x\r\nX: %b\r\n\r\n" % (b"x" * 70_000)),
    "many headers": (b"431", b"Host: x\r\n%b\r\n" % (b"X: y\r\n" * 300)),
    "no host": (b"400", b"\r\n"),
    "odd length": (b"400", b"Host: x\r\nContent-Length: x\r\n\r\n"),
}


@pytest.mark.parametrize(("path", "key"), [(b"/v2/models/model/infer", "error"), (b"/predict", "status")])
@pytest.mark.parametrize("case", UNREADABLE)
def test_requests_whose_head_cannot_be_read(serve: Callable[..., Any], case: str, path: bytes, key: str) -> None:
    status, rest = UNREADABLE[case]
    head, body = exchange(serve().http_port, b"POST %b HTTP/1.1\r\n%b" % (path, rest))
    assert head.split()[1] == status
    assert re.search(rb"content-type: application/json\r\n", head)
    assert list(json.loads(body)) == [key]


def test_a_request_that_is_too_slow(serve: Callable[..., Any]) -> None:
    served = serve(server={"header_timeout_seconds": 0.5, "body_timeout_seconds": 0.5})
    for request in (
        b"POST /v2/models/model/infer HTTP/1.1\r\nHo",
        b"POST /v2/models/model/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{",
    ):
        head, body = exchange(served.http_port, request)
        assert (head.split()[1], list(json.loads(body))) == (b"408", ["error"])


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_style_of_seldons_json_has_no_effect(serve: Callable[..., Any], variant: str) -> None:
    flask = FlaskSpec(JSONIFY_MIMETYPE="application/x", JSONIFY_PRETTYPRINT_REGULAR=True)
    served = serve(variant, flask=flask)
    assert read(served.rest("GET", "/v2/models")) == {"models": ["model"]}
    assert read(infer(served, tensor([1])))["outputs"]
    read_error(served.rest("GET", "/v2/x"), 404)


# Tokens

OPEN = ("/v2/health/live", "/v2/health/ready")


@pytest.mark.parametrize("variant", VARIANTS)
def test_only_health_needs_no_token(serve: Callable[..., Any], variant: str) -> None:
    served = serve(variant, server={"auth": AuthSpec(("secret-token",))})
    paths = [path for path in PAGES if path not in OPEN]
    for path in OPEN:
        assert read(served.rest("GET", path))
    for method, path in [*(("GET", path) for path in paths), ("POST", INFER), ("GET", "/v2/x"), ("PUT", "/v2")]:
        answer = served.rest(method, path)
        read_error(answer, 401)
        assert answer[1]["WWW-Authenticate"] == "Bearer"
    token = {"Authorization": "Bearer secret-token"}
    assert read(served.rest("GET", "/v2", None, token))
    assert read(infer(served, tensor([1]), headers=token))


# Readiness

GATED = """
import gated

class Served:
    def __init__(self):
        gated.pass_gate()

    def predict(self, X, names):
        return X
"""


@pytest.mark.parametrize("engine", ["native", "uvicorn"])
def test_before_the_model_is_loaded(start: Callable[..., Any], gate: Any, engine: str) -> None:
    server = start(GATED, server={"engine": engine}).wait_for_addresses()
    gate.wait_until_entered()

    def ask(method: str, path: str, body: str | None = None) -> tuple[int, Any]:
        status, text = server.rest(method, path, body)
        return status, json.loads(text)

    assert ask("GET", "/v2/health/live") == (200, {"live": True})
    assert ask("GET", "/v2/health/ready") == (503, {"ready": False})
    assert ask("GET", "/v2/models/m/ready") == (503, {"name": "m", "ready": False})
    assert ask("GET", "/v2")[1]["name"] == "seldon-spec"
    assert ask("POST", "/v2/repository/index")[1][0]["state"] == "LOADING"
    assert ask("POST", "/v2/repository/index", '{"ready": true}') == (200, [])
    for method, path, status in (
        ("GET", "/v2/models/m", 503),
        ("POST", "/v2/models/m/infer", 503),
        ("GET", "/v2/models/other/ready", 404),
        ("GET", "/v2/x", 404),
        ("POST", "/v2/models/other/infer", 404),
    ):
        found, tree = ask(method, path, "{}" if method == "POST" else None)
        assert (found, list(tree)) == (status, ["error"])
    gate.release()
    server.wait_for("supervisor: ready")
    assert ask("GET", "/v2/health/ready") == (200, {"ready": True})
    assert ask("POST", "/v2/models/m/infer", json.dumps({"inputs": [tensor([1])]}))[0] == 200


BUSY = """
import gated

class Served:
    def predict(self, X, names):
        gated.pass_gate()
        return X
"""


@pytest.mark.parametrize("engine", ["native", "uvicorn"])
def test_a_full_queue_and_a_timeout(start: Callable[..., Any], gate: Any, engine: str) -> None:
    server = start(BUSY, timeout=1, server={"engine": engine, "max_queue": 0}).wait_until_ready()
    body = json.dumps({"inputs": [tensor([1])]})
    first = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=20)
    first.request("POST", "/v2/models/m/infer", body)
    gate.wait_until_entered()
    second = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=20)
    second.request("POST", "/v2/models/m/infer", body)
    response = second.getresponse()
    assert (response.status, response.headers["Retry-After"]) == (503, "1")
    assert "server.max_queue" in json.loads(response.read())["error"]
    response = first.getresponse()
    assert (response.status, list(json.loads(response.read()))) == (504, ["error"])
    assert server.rest("GET", "/v2/health/ready")[0] == 200
    gate.release()
    for connection in (first, second):
        connection.close()


# Routers, combiners and transformers, as Seldon Core's executor calls them

PARTS = """
class {name}:
    {handlers}

    def route(self, X, names):
        return int(X[0])

    def aggregate(self, Xs, names):
        return sum(Xs)

    def transform_input(self, X, names):
        return X + 1

    def transform_output(self, X, names):
        return X - 1
"""


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_router_and_a_combiner(serve: Callable[..., Any], variant: str) -> None:
    served = serve(variant, PARTS, service_type=ServiceType.ROUTER)
    assert read(infer(served, tensor([2]), path="/v2/models/any/route")) == [2]
    assert "router" in read_error(infer(served, tensor([2]), path="/v2/models/any/infer"), 501)
    assert read(served.rest("GET", "/v2/models/any/ready")) == {"name": "any", "ready": True}
    served = serve(variant, PARTS, service_type=ServiceType.COMBINER)
    parts = [{"model_name": "a", "outputs": [tensor([number, 1.0])]} for number in (1, 2)]
    answer = served.rest("POST", "/v2/models/any/aggregate", json.dumps(parts).encode())
    assert read(answer)["outputs"][0]["data"] == [3, 2]


def test_a_transformer(serve: Callable[..., Any]) -> None:
    served = serve(source=PARTS, service_type=ServiceType.TRANSFORMER)
    assert read(infer(served, tensor([1, 2])))["outputs"][0]["data"] == [2, 3]


def test_requests_are_logged_but_not_the_probes(start: Callable[..., Any]) -> None:
    server = start("class Served:\n    def predict(self, X, names): return X\n", access=True).wait_until_ready()
    server.rest("GET", "/v2/health/ready")
    server.rest("GET", "/v2")
    server.rest("POST", "/v2/models/m/infer", json.dumps({"inputs": [tensor([1])]}))
    server.rest("GET", "/v2/x")
    server.stop()
    assert server.count("GET /v2/health/ready") == 0
    for line in ("GET /v2 200", "POST /v2/models/m/infer 200", "GET /v2/x 404"):
        assert server.count(line) == 1

"""What a server has beside the operations: metadata, its description, custom services, error handlers, passthrough, time."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from google.protobuf import json_format

from seldon_spec.config.model import ServerSpec, Spec, UnitSpec
from seldon_spec.protocols.seldon_v1.proto import SeldonMessage, SeldonModelMetadata

Start = Callable[..., Any]


@pytest.fixture
def start(tmp_path: Any, serve_spec: Any, spec_for: Callable[..., Any]) -> Start:
    def begin(source: str, name: str, **more: Any) -> Any:
        (tmp_path / f"{name}.py").write_text(source)
        return serve_spec(spec_for(tmp_path, name, **more))

    return begin


def metadata_over_grpc(server: Any, method: str) -> Any:
    return json_format.MessageToDict(SeldonModelMetadata.FromString(server.call(b"", f"/seldon.protos.{method}")))


def test_metadata_on_both_transports(start: Start) -> None:
    source = """
class Told:
    def init_metadata(self):
        return {"name": "m", "inputs": [{"messagetype": "tensor", "schema": {"shape": [-1, 2]}},
                                        {"name": "x", "datatype": "FP32", "shape": [1]}]}
"""
    expected: dict[str, Any] = {
        "name": "m",
        "versions": ["2"],
        "platform": "",
        "inputs": [
            {"messagetype": "tensor", "schema": {"shape": [-1, 2]}},
            {"name": "x", "datatype": "FP32", "shape": [1]},
        ],
        "outputs": [],
        "custom": {"a": "b"},
    }
    unit = UnitSpec(image="i:2", metadata={"custom": {"a": "b"}})
    with start(source, "Told", unit=unit) as server:
        for path in ("/metadata", "/api/v1.0/metadata"):
            status, _, body = server.rest("GET", path)
            assert (status, json.loads(body)) == (200, expected)
        # protobuf leaves out what is empty, and writes its 64-bit sizes as text
        proto = {key: value for key, value in expected.items() if value}
        proto["inputs"] = [expected["inputs"][0], {"name": "x", "datatype": "FP32", "shape": ["1"]}]
        for method in ("Model/Metadata", "Seldon/ModelMetadata"):
            assert metadata_over_grpc(server, method) == proto


def test_invalid_metadata_are_an_error_on_rest_and_an_empty_message_on_grpc(start: Start) -> None:
    """The service orchestrator collects them over gRPC from all units, and must not fail for one of them."""
    with start("class Wrong:\n    init_metadata = lambda self: {'name': 1}\n", "Wrong") as server:
        status, _, body = server.rest("GET", "/metadata")
        assert (status, json.loads(body)["status"]["reason"]) == (500, "MICROSERVICE_BAD_METADATA")
        assert json.loads(body)["status"]["info"] == "Model metadata unavailable"
        assert metadata_over_grpc(server, "Model/Metadata") == {}
        assert server.post(b'{"strData":"x"}')[0] == 200


def test_the_description_of_the_interface(start: Start) -> None:
    with start("class Plain:\n    pass\n", "Plain") as server:
        status, headers, body = server.rest("GET", "/seldon.json")
        document = json.loads(body)
        assert (status, headers["Content-Type"], document["openapi"]) == (200, "application/json", "3.0.0")
        assert headers["Cache-Control"] == "no-cache"
        assert server.rest("GET", "/seldon.json", None, {"If-None-Match": headers["ETag"]})[::2] == (304, b"")
        for path, methods in document["paths"].items():
            assert server.rest(next(iter(methods)).upper(), path)[0] in (200, 400)


HANDLING = """
import flask

class AppError(Exception):
    pass

class Narrower(AppError):
    pass

class Handling:
    model_error_handler = flask.Blueprint("handlers", __name__)

    @model_error_handler.app_errorhandler(AppError)
    def handle(error):
        return flask.jsonify({"told": str(error)}), 423

    def predict(self, X, names):
        raise {"app": AppError("mine"), "narrower": Narrower("mine too"), "other": ValueError("other")}[X]
"""


def test_the_class_s_error_handlers_answer_on_rest_which_alone_has_flask(start: Start) -> None:
    with start(HANDLING, "Handling") as server:
        assert server.post(b'{"strData":"app"}')[::2] == (423, b'{"told":"mine"}\n')
        assert server.post(b'{"strData":"narrower"}')[::2] == (423, b'{"told":"mine too"}\n')
        status, _, body = server.post(b'{"strData":"other"}')
        assert (status, json.loads(body)["status"]["info"]) == (500, "other")
        status, _, body = server.post(b"{}")
        assert (status, json.loads(body)["status"]["reason"]) == (400, "MICROSERVICE_BAD_DATA")
        with pytest.raises(grpc.RpcError, match="mine"):
            server.call(SeldonMessage(strData="app").SerializeToString())


def test_error_handlers_answer_in_an_app_of_one_s_own(tmp_path: Any) -> None:
    from seldon_spec import make_app

    (tmp_path / "OwnHandling.py").write_text(HANDLING.replace("class Handling", "class OwnHandling"))
    client = make_app(Spec("OwnHandling", tmp_path, "own")).test_client()
    assert client.post("/predict", json={"strData": "app"}).status_code == 423


def test_a_custom_service_runs_beside_the_server_and_sees_its_state(start: Start) -> None:
    source = """
import http.server, threading

class Beside:
    def __init__(self):
        self.seen = 0
        self.port = 0
        self.listens = threading.Event()

    def predict(self, X, names):
        self.seen += 1
        self.listens.wait(20)
        return {"port": self.port}

    def custom_service(self):
        model = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.end_headers()
                self.wfile.write(str(model.seen).encode())

            def log_message(self, *args):
                pass

        with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
            self.port = server.server_port
            self.listens.set()
            server.handle_request()
        raise RuntimeError("enough")
"""
    with start(source, "Beside") as server:
        port = json.loads(server.post(b'{"strData":"x"}')[2])["jsonData"]["port"]
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        connection.request("GET", "/")
        assert connection.getresponse().read() == b"1"
        connection.close()
        assert server.post(b'{"strData":"x"}')[0] == 200


def test_bodies_that_pass_through(start: Start) -> None:
    """Only predict over REST: gRPC has no bodies, and other operations read theirs."""
    source = """
class Passing:
    def predict_raw(self, body):
        return body if isinstance(body, (bytes, str)) else {"strData": type(body).__name__}

    def transform_input(self, X, names):
        return X
"""
    with start(source, "Passing", unit=UnitSpec(is_passthrough=True)) as server:
        for kind in ({}, {"Content-Type": "text/plain"}, {"Content-Type": "application/json"}):
            status, headers, body = server.rest("POST", "/predict", b"\xff{", kind)
            assert (status, headers["Content-Type"], body) == (200, "application/json", b"\xff{")
        assert server.rest("GET", "/predict?json=q")[::2] == (200, b"q")
        assert json.loads(server.post(b'{"strData":"x"}', "/transform-input")[2])["strData"] == "x"
        answer = server.call(SeldonMessage(strData="x").SerializeToString())
        assert SeldonMessage.FromString(answer).strData == "SeldonMessage"


SLOW = """
import threading

release = threading.Event()

class Slow:
    def predict(self, X, names):
        release.wait(20)
        return X
"""


def test_a_request_s_time_counts_from_its_arrival_though_no_thread_has_taken_it(start: Start) -> None:
    """More requests than there are threads for them: those without one are told in time, too."""
    import sys

    limits = ServerSpec(host="127.0.0.1", request_timeout_seconds=1.5)
    with start(SLOW, "Slow", server=limits) as server, ThreadPoolExecutor(100) as pool:
        answers = [pool.submit(server.post, b'{"strData":"wait"}') for _ in range(100)]
        found = [future.result() for future in answers]
        sys.modules.pop("Slow").release.set()
        assert {status for status, _, _ in found} == {504}
        assert {json.loads(body)["status"]["reason"] for _, _, body in found} == {"MICROSERVICE_TIMEOUT"}


def test_an_async_class_is_served_on_one_event_loop(start: Start) -> None:
    source = """
import asyncio

class Awaiting:
    async def load(self):
        self.loop = asyncio.get_running_loop()

    async def predict(self, X, names):
        await asyncio.sleep(0)
        return {"same": asyncio.get_running_loop() is self.loop}

    async def tags(self):
        return {"t": 1}

    async def metrics(self):
        return [{"type": "GAUGE", "key": "g", "value": 1}]

    async def health_status(self):
        return "fine"
"""
    with start(source, "Awaiting") as server:
        answer = json.loads(server.post(b'{"strData":"x"}')[2])
        assert answer["jsonData"] == {"same": True}
        assert (answer["meta"]["tags"], answer["meta"]["metrics"][0]["key"]) == ({"t": 1}, "g")
        assert json.loads(server.rest("GET", "/health/status")[2])["strData"] == "fine"


def test_counters_are_right_over_threads(start: Start) -> None:
    source = """
class Counting:
    def predict(self, X, names):
        return X

    def metrics(self):
        return [{"type": "COUNTER", "key": "counted", "value": 1}]
"""
    limits = ServerSpec(host="127.0.0.1", threads=4)
    with start(source, "Counting", server=limits) as server, ThreadPoolExecutor(8) as pool:
        wire = SeldonMessage(strData="x").SerializeToString()
        for future in [pool.submit(server.call, wire) for _ in range(200)]:
            future.result()
        for future in [pool.submit(server.post, b'{"strData":"x"}') for _ in range(100)]:
            future.result()
        page = server.rest("GET", "/metrics", port=server.metrics_port)[2].decode()
    (line,) = [line for line in page.splitlines() if line.startswith("counted_total{")]
    assert line.endswith(" 300.0")

"""What a graph knows of each request: its ID, the headers that the graph reads, and its deadline."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

import seldon_spec
from seldon_spec.config.graph import CallStep, ChainStep, SplitStep, Step
from seldon_spec.config.model import AuthSpec, ComponentSpec, ServerSpec, ServiceType, Spec, UnitSpec
from seldon_spec.inference.component.adapter import Adapter
from seldon_spec.inference.component.build import build_component
from seldon_spec.inference.dispatcher import Dispatcher
from seldon_spec.inference.executor import ModelThreads
from seldon_spec.inference.graph.headers import find_kept_headers
from seldon_spec.process import worker
from seldon_spec.protocols.open_inference_v2.proto import message_class
from seldon_spec.protocols.seldon_v1.proto import SeldonMessage

WAIT_SECONDS = 20
PREDICT = "/seldon.protos.Model/Predict"
INFER = "/inference.GRPCInferenceService/ModelInfer"
INFER_REQUEST, INFER_RESPONSE = message_class("ModelInferRequest"), message_class("ModelInferResponse")
MADE_ID = re.compile(r"[0-9a-f]{16}-[0-9a-f]+")

SOURCE = """
import json, math, time
from seldon_spec.inference.call import WORKED_ON

class {name}:
    def predict(self, X, names):
        context = WORKED_ON.get()
        if context is None:
            return "none"
        shown = {{name: (context.find_header(name.encode()) or b"").decode() for name in {headers}}}
        remaining = context.call.deadline - time.perf_counter()
        return json.dumps({{**shown, "id": context.id, "remaining": None if remaining == math.inf else remaining}})
"""

THROUGH_FLASK = """
import flask
handlers = flask.Blueprint("handlers", __name__)
""" + SOURCE.replace(":\n", ":\n    model_error_handler = handlers\n", 1)

HEADERS = ("x-user", "x-other", "x-request-id", "traceparent")


def make_graph(folder: Path, name: str, step: Step, **components: ComponentSpec) -> dict[str, Any]:
    """The fields of a spec whose graph is the step, with the class as its component ``model``."""
    local = Spec(class_name=name, folder=folder, name="model")
    return {"graph": step, "components": {"model": ComponentSpec(ServiceType.MODEL, local), **components}}


def split_by(header: str) -> Step:
    return SplitStep("split", (1.0,), (CallStep("model"),), header)


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory, serve_in_thread: Any) -> Iterator[Callable[..., Any]]:
    """Starts a server of a graph whose model shows the context of its request."""
    with ExitStack() as stack:

        def begin(step: Step | None = None, source: str = SOURCE, **more: Any) -> Any:
            folder = tmp_path_factory.mktemp("context")
            name = f"Context{re.sub(r'[^a-zA-Z0-9]', '', folder.name)}"
            (folder / f"{name}.py").write_text(source.format(name=name, headers=HEADERS))
            server = ServerSpec(host="127.0.0.1", **more.pop("server", {}))
            graph = {} if step is None else make_graph(folder, name, step)
            return stack.enter_context(serve_in_thread(folder, name, server=server, **graph, **more))

        yield begin


class Client:
    """Sends requests on one connection; returns what the model shows, with the ID of the response as ``response_id``."""

    def __init__(self, running: Any, kind: str) -> None:
        self._running = running
        self._kind = kind
        self._connection = http.client.HTTPConnection("127.0.0.1", running.http_port, timeout=WAIT_SECONDS)

    def ask(self, timeout: float = WAIT_SECONDS, **headers: str) -> dict[str, Any]:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        text, identifier = getattr(self, f"_{self._kind}")(given, timeout)
        return {**json.loads(text), "response_id": identifier}

    def _rest(self, headers: dict[str, str], _timeout: float) -> tuple[str, str | None]:
        shown, identifier = self._post("/predict", {"strData": "x"}, headers)
        return shown["strData"], identifier

    def _v2(self, headers: dict[str, str], _timeout: float) -> tuple[str, str | None]:
        tensor = {"name": "x", "shape": [1], "datatype": "BYTES", "data": ["x"]}
        shown, identifier = self._post("/v2/models/model/infer", {"inputs": [tensor]}, headers)
        return shown["outputs"][0]["data"][0], identifier

    def _post(self, path: str, body: Any, headers: dict[str, str]) -> tuple[Any, str | None]:
        self._connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json", **headers})
        response = self._connection.getresponse()
        shown = response.read()
        assert response.status == 200, shown
        return json.loads(shown), response.headers["Seldon-Puid"]

    def _grpc(self, headers: dict[str, str], timeout: float) -> tuple[str, str | None]:
        wire, identifier = self._call(PREDICT, SeldonMessage(strData="x").SerializeToString(), headers, timeout)
        return SeldonMessage.FromString(wire).strData, identifier

    def _v2_grpc(self, headers: dict[str, str], timeout: float) -> tuple[str, str | None]:
        request = INFER_REQUEST(model_name="model")
        tensor = request.inputs.add(name="x", datatype="BYTES", shape=[1])
        tensor.contents.bytes_contents.append(b"x")
        wire, identifier = self._call(INFER, request.SerializeToString(), headers, timeout)
        response = INFER_RESPONSE.FromString(wire)
        return response.outputs[0].contents.bytes_contents[0].decode(), identifier

    def _call(self, method: str, wire: bytes, headers: dict[str, str], timeout: float) -> tuple[bytes, str | None]:
        unary = self._running.channel.unary_unary(method, None, None)
        body, call = unary.with_call(wire, timeout=timeout, metadata=tuple(headers.items()))
        return body, dict(call.initial_metadata()).get("seldon-puid")

    def close(self) -> None:
        self._connection.close()


@pytest.fixture
def connect(serve: Callable[..., Any]) -> Iterator[Callable[..., Client]]:
    """Starts a server, and returns a client of the given kind."""
    with ExitStack() as stack:

        def begin(kind: str, step: Step | None, source: str = SOURCE, **server: Any) -> Client:
            return stack.enter_context(closing(Client(serve(step, source, server=server), kind)))

        yield begin


CLIENTS = [
    (kind, engine, source)
    for kind in ("rest", "v2", "grpc", "v2_grpc")
    for engine, source in (("native", SOURCE), ("uvicorn", SOURCE), ("native", THROUGH_FLASK))
    if source is SOURCE or "grpc" not in kind
]


@pytest.mark.parametrize(("kind", "engine", "source"), CLIENTS)
def test_each_request_has_its_own_values_of_the_headers_that_the_graph_reads(
    connect: Callable[..., Client], kind: str, engine: str, source: str
) -> None:
    client = connect(kind, split_by("X-User"), source, engine=engine)
    for user in ("ann", "bob", "ann", "cy", "bob " + "x" * 200, "dan"):  # from the third on, a template reads them
        shown = client.ask(x_user=user, x_other="o")
        assert (shown["x-user"], shown["x-other"]) == (user, "")
    assert client.ask()["x-user"] == ""


@pytest.mark.parametrize(("kind", "engine", "source"), CLIENTS)
def test_every_response_of_a_graph_has_the_id_of_its_request(
    connect: Callable[..., Client], kind: str, engine: str, source: str
) -> None:
    client = connect(kind, CallStep("model"), source, engine=engine)
    made = [client.ask(x_user=user) for user in ("ann", "bob", "ann", "cy")]
    assert all(MADE_ID.fullmatch(shown["id"]) and shown["id"] == shown["response_id"] for shown in made)
    assert len({shown["id"] for shown in made}) == len(made)
    for own in ("own-1", "own-2", "own-3", "own-4"):
        shown = client.ask(seldon_puid=own)
        assert (shown["id"], shown["response_id"]) == (own, own)


@pytest.mark.parametrize(("kind", "engine", "source"), CLIENTS)
def test_the_header_of_a_split_may_be_that_of_the_id(
    connect: Callable[..., Client], kind: str, engine: str, source: str
) -> None:
    client = connect(kind, split_by("x-request-id"), source, engine=engine)
    for given in ("one", "two", "not an id", "three", "four", "t" * 200, "five"):
        shown = client.ask(x_request_id=given)
        assert shown["x-request-id"] == given
        assert shown["id"] == shown["response_id"]
        assert (shown["id"] == given) == (" " not in given and len(given) <= 128)


@pytest.mark.parametrize(("kind", "engine", "source"), CLIENTS)
def test_the_deadline_is_that_of_the_server_or_the_earlier_one_of_the_client(
    connect: Callable[..., Client], kind: str, engine: str, source: str
) -> None:
    client = connect(kind, CallStep("model"), source, engine=engine, request_timeout_seconds=100)
    assert 20 < client.ask(timeout=1000)["remaining"] <= 100
    if "grpc" in kind:
        assert 0 < client.ask(timeout=15)["remaining"] <= 15.5
    unlimited = connect(kind, CallStep("model"), source, engine=engine)
    remaining = unlimited.ask(timeout=15)["remaining"]
    assert (0 < remaining <= 15.5) if "grpc" in kind else remaining is None


@pytest.mark.parametrize("kind", ["rest", "v2", "grpc", "v2_grpc"])
def test_a_class_that_is_served_alone_has_no_contexts(connect: Callable[..., Client], kind: str) -> None:
    client = connect(kind, None, SOURCE.replace('"none"', "'{{\"id\": null}}'"))
    assert client.ask(x_user="ann") == {"id": None, "response_id": None}


@pytest.mark.parametrize("engine", ["native", "uvicorn"])
def test_refused_requests_of_a_graph_have_an_id(serve: Callable[..., Any], engine: str) -> None:
    running = serve(CallStep("model"), server={"engine": engine, "auth": AuthSpec(("secret",))})
    for method, path in (("POST", "/predict"), ("GET", "/nothing")):
        status, headers, _ = running.rest(method, path)
        assert status in (401, 404)
        assert MADE_ID.fullmatch(headers["Seldon-Puid"])
    with pytest.raises(grpc.RpcError) as refused:
        running.call(b"")
    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert MADE_ID.fullmatch(dict(refused.value.initial_metadata())["seldon-puid"])  # type: ignore[attr-defined]


def test_v2_metadata_of_a_varying_head_reach_the_class_as_they_were_sent(serve: Callable[..., Any]) -> None:
    source = """
import json

class {name}:
    def predict(self, X, names, meta=None):
        return json.dumps(meta)
"""
    running = serve(split_by("x-user"), source)
    request = INFER_REQUEST(model_name="model")
    request.inputs.add(name="x", datatype="BYTES", shape=[1]).contents.bytes_contents.append(b"x")
    infer = running.channel.unary_unary(INFER, None, INFER_RESPONSE.FromString)
    for user, own in (("ann", "1"), ("bob", "2"), ("cy", "3"), ("dan", "not an id"), ("eve", "5")):
        metadata = (("x-user", user), ("seldon-puid", own))
        response = infer(request.SerializeToString(), timeout=WAIT_SECONDS, metadata=metadata)
        shown = json.loads(response.outputs[0].contents.bytes_contents[0])
        assert (shown["headers"]["x-user"], shown["headers"]["seldon-puid"], shown["puid"]) == (user, own, own)


# make_app


def test_requests_of_an_app_have_ids_and_headers_too(tmp_path: Path) -> None:
    (tmp_path / "AppContext.py").write_text(SOURCE.format(name="AppContext", headers=HEADERS))
    server = ServerSpec(request_timeout_seconds=100)
    fields = make_graph(tmp_path, "AppContext", split_by("X-User"))
    app = seldon_spec.make_app(
        Spec(class_name="AppContext", folder=tmp_path, name="model", server=server, **fields)
    ).test_client()
    for user in ("ann", "bob"):
        response = app.post("/predict", json={"strData": "x"}, headers={"X-User": user, "Traceparent": "t"})
        shown = json.loads(json.loads(response.data)["strData"])
        assert (shown["x-user"], shown["traceparent"]) == (user, "")
        assert shown["id"] == response.headers["Seldon-Puid"]
        assert MADE_ID.fullmatch(shown["id"])
        assert 0 < shown["remaining"] <= 100
    response = app.post("/predict", json={"strData": "x"}, headers={"Seldon-Puid": "own"})
    assert response.headers["Seldon-Puid"] == json.loads(json.loads(response.data)["strData"])["id"] == "own"
    assert MADE_ID.fullmatch(app.get("/nothing").headers["Seldon-Puid"])
    assert "Seldon-Puid" not in app.get("/ready").headers


def test_an_app_of_a_class_repeats_the_ids_of_its_clients(tmp_path: Path) -> None:
    (tmp_path / "AppAlone.py").write_text(SOURCE.format(name="AppAlone", headers=HEADERS))
    app = seldon_spec.make_app(Spec(class_name="AppAlone", folder=tmp_path, name="model")).test_client()
    response = app.post("/predict", json={"strData": "x"})
    assert ("Seldon-Puid" in response.headers, json.loads(response.data)["strData"]) == (False, "none")
    response = app.post("/predict", json={"strData": "x"}, headers={"Seldon-Puid": "own"})
    assert response.headers["Seldon-Puid"] == "own"


# Which headers are kept


def spec_of(step: Step, **components: ComponentSpec) -> Spec:
    return Spec(class_name=None, folder=Path(), name="g", graph=step, components=components)


def test_the_kept_headers_are_those_of_all_splits_and_of_traces_for_remote_components() -> None:
    local = ComponentSpec(ServiceType.MODEL, Spec(class_name="M", folder=Path(), name="m"))
    remote = ComponentSpec(ServiceType.MODEL, url="http://m:9000")
    inner = ComponentSpec(ServiceType.MODEL, spec_of(split_by("X-Inner"), model=local))
    far = ComponentSpec(ServiceType.MODEL, spec_of(CallStep("model"), model=remote))
    assert find_kept_headers(Spec(class_name="M", folder=Path(), name="m")) is None
    assert find_kept_headers(spec_of(CallStep("model"), model=local)) == frozenset()
    chain = ChainStep((CallStep("inner"), split_by("X-User")))
    assert find_kept_headers(spec_of(chain, inner=inner, model=local)) == frozenset({b"x-user", b"x-inner"})
    traced = frozenset({b"traceparent", b"tracestate", b"b3"})
    assert find_kept_headers(spec_of(CallStep("model"), model=remote)) == traced
    assert find_kept_headers(spec_of(CallStep("far"), far=far)) == traced


# Readiness


class Changing(Adapter):
    """A component that is not always ready, as a graph with remote components."""

    def describe_state(self) -> str:
        return "component far is not ready"


@pytest.mark.parametrize("engine", ["native", "uvicorn"])
def test_readiness_follows_the_component_while_the_server_runs(
    serve: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    built: list[Adapter] = []

    class Served:
        def predict(self, X: Any, _names: Sequence[str]) -> Any:  # noqa: N803 - the contract's name
            return X

    def make_component() -> Adapter:
        component = build_component(Served, {}, UnitSpec(), ServiceType.MODEL)
        component.__class__ = Changing
        component.is_ready = False
        built.append(component)
        return component

    monkeypatch.setattr(
        worker, "dispatcher_for", lambda _spec, metrics, *_, **__: Dispatcher(make_component, ModelThreads(1), metrics)
    )
    running = serve(CallStep("model"), server={"engine": engine})
    health = health_pb2_grpc.HealthStub(running.channel)
    watched = health.Watch(health_pb2.HealthCheckRequest(), timeout=WAIT_SECONDS)
    statuses = (status.status for status in watched)
    serving, not_serving = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING

    for is_ready in (False, True, False, True):
        built[0].is_ready = is_ready
        assert next(statuses) == (serving if is_ready else not_serving)
        status, _, body = running.rest("GET", "/ready")
        assert (status == 200) is is_ready
        assert is_ready or b"component far is not ready" in body
        assert (running.rest("GET", "/v2/health/ready")[0] == 200) is is_ready
        index = json.loads(running.rest("POST", "/v2/repository/index", b"{}")[2])[0]
        assert index["state"] == ("READY" if is_ready else "UNAVAILABLE")
        assert running.post(b'{"strData": "x"}')[0] == 200
    watched.cancel()

"""The routes and RPCs of a graph: its metadata and state, and its components alone, over both protocols."""

from __future__ import annotations

import http.client
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import grpc
import openapi_spec_validator
import pytest
from jsonschema import Draft202012Validator

from seldon_spec import load, make_app
from seldon_spec.config.graph import CallStep, ChainStep, CombineStep
from seldon_spec.config.model import AuthSpec, ComponentSpec, FlaskSpec, ServerSpec, ServiceType, Spec, UnitSpec
from seldon_spec.errors import RemoteFailed
from seldon_spec.inference.assembly import dispatcher_for
from seldon_spec.inference.component.base import RecordMetrics
from seldon_spec.inference.message import KeepRows
from seldon_spec.inference.request import Request, Response
from seldon_spec.protocols.open_inference_v2.proto import message_class as v2_class
from seldon_spec.protocols.seldon_v1.proto import PACKAGE, Feedback, SeldonMessage, SeldonModelMetadata, message_class
from seldon_spec.server.rest.flask_app import make_app as make_flask_app
from tests.server.conftest import Gate, Server, launch

if TYPE_CHECKING:
    from tests.conftest import Running

Serve = Callable[..., AbstractContextManager["Running"]]

TOKEN = "a-token-of-the-graph"
AUTHORIZATION = {"Authorization": f"Bearer {TOKEN}"}

SOURCE = """
class SeldonMicroserviceException(Exception):
    status_code = 418
    def __init__(self, message, reason):
        self.message, self.reason = message, reason

class Scaler:
    def transform_input(self, X, names):
        return X * 10

class Bandit:
    def __init__(self):
        self.rewards = []
    def route(self, X, names):
        return int(X[0][0] // 10)
    def send_feedback(self, features, names, reward, truth, routing=None):
        self.rewards.append([reward, routing])
    def tags(self):
        return {"rewards": str(self.rewards)}

class Iris:
    def predict(self, X, names):
        return X + 1
    def init_metadata(self):
        return {"platform": "own", "custom": {"author": "A. Author"}}

class Broken:
    def predict(self, X, names):
        if X[0][0] == 20:
            raise SeldonMicroserviceException("no tea", "TEAPOT")
        raise ValueError("too odd")

class InnerBandit:
    def route(self, X, names):
        return int(X[0][1] == 0)

class Mean:
    def aggregate(self, Xs, names):
        return sum(Xs) / len(Xs)
"""

GRAPH_FILE = """
name: model
version: "7"
graph:
  - scaler
  - {route: bandit, to: [iris, pair, broken]}
components:
  scaler: {class_name: Parts.Scaler, service_type: TRANSFORMER, inputs: [length, width]}
  bandit: {class_name: Parts.Bandit, service_type: ROUTER}
  iris:
    class_name: Parts.Iris
    version: "2.0"
    inputs: [length, width]
    outputs: [{name: sums, datatype: FP64, shape: [-1, 2]}]
  pair:
    graph: {combine: mean, of: [one, {route: inner-bandit, to: [two, other]}]}
    components:
      one: {class_name: Parts.Iris}
      two: {class_name: Parts.Iris}
      other: {class_name: Parts.Broken}
      mean: {class_name: Parts.Mean, service_type: COMBINER}
      inner-bandit: {class_name: Parts.InnerBandit, service_type: ROUTER}
  broken: {class_name: Parts.Broken}
"""
"""A scaler, and a bandit that chooses a model, a nested graph, or a model that raises."""


def make_fields(folder: Path, **server: Any) -> dict[str, Any]:
    """Return the fields of the graph's spec, with other values of its sections ``server`` and ``flask``."""
    (folder / "Parts.py").write_text(SOURCE)
    (folder / "seldon.yaml").write_text(GRAPH_FILE)
    spec = load(folder, {})
    return {
        "version": spec.version,
        "graph": spec.graph,
        "components": spec.components,
        "flask": server.pop("flask", FlaskSpec()),
        "server": ServerSpec(host="127.0.0.1", auth=AuthSpec((TOKEN,)), **server),
    }


Send = Callable[..., "tuple[int, Any]"]

HANDLERS: dict[str, dict[str, Any]] = {
    "native": {},
    "Flask": {"flask": FlaskSpec(MAX_CONTENT_LENGTH=100_000)},
    "uvicorn": {"engine": "uvicorn"},
}


@pytest.fixture(scope="module", params=[*HANDLERS, "make_app"])
def send(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, serve_in_thread: Serve
) -> Iterator[Send]:
    """Sends a JSON value, or nothing, to a path of the graph; returns the status and the JSON of the response."""
    folder = tmp_path_factory.mktemp("graph")
    if request.param == "make_app":
        client = make_app(Spec(None, folder, "model", **make_fields(folder))).test_client()

        def by_app(path: str, body: Any = None, headers: Mapping[str, str] = AUTHORIZATION) -> tuple[int, Any]:
            method = "GET" if body is None else "POST"
            response = client.open(path, method=method, headers=dict(headers), json=body)
            return response.status_code, json.loads(response.data)

        yield by_app
        return
    with serve_in_thread(folder, None, **make_fields(folder, **HANDLERS[request.param])) as running:

        def by_server(path: str, body: Any = None, headers: Mapping[str, str] = AUTHORIZATION) -> tuple[int, Any]:
            method, sent = ("GET", None) if body is None else ("POST", json.dumps(body).encode())
            status, _, received = running.rest(method, path, sent, {"Content-Type": "application/json", **headers})
            return status, json.loads(received)

        yield by_server


def rows(*values: float) -> dict[str, Any]:
    return {"data": {"ndarray": [list(values)]}}


def tensor(*values: float) -> dict[str, Any]:
    return {"inputs": [{"name": "input-0", "datatype": "FP64", "shape": [1, 2], "data": list(values)}]}


IRIS = {
    "name": "iris",
    "versions": ["2.0"],
    "platform": "own",
    "inputs": [{"name": "input-0", "datatype": "FP64", "shape": [-1, 2]}],
    "outputs": [{"name": "sums", "datatype": "FP64", "shape": [-1, 2]}],
    "custom": {"author": "A. Author"},
}
READY = {"scaler": True, "bandit": True, "iris": True, "pair": True, "broken": True}
ROUTING = {"bandit": 1, "inner-bandit": 0, "combine": -1}
VISITED = {"scaler", "bandit", "pair", "one", "two", "inner-bandit", "mean"}
PAGES: dict[str, tuple[int, Any]] = {
    "/api/v1.0/metadata/iris": (200, IRIS),
    "/api/v0.1/metadata/iris": (200, IRIS),
    "/api/v1.0/status": (200, {"name": "model", "ready": True, "components": READY}),
    "/api/v0.1/status": (200, {"name": "model", "ready": True, "components": READY}),
    "/api/v1.0/health/status": (200, {"name": "model", "ready": True, "components": READY}),
    "/api/v1.0/status/pair": (200, {"name": "pair", "ready": True}),
    "/api/v0.1/status/iris": (200, {"name": "iris", "ready": True}),
    "/v2/models": (200, {"models": ["model", *READY]}),
    "/v2/models/iris/ready": (200, {"name": "iris", "ready": True}),
    "/v2/models/iris/versions/2.0/ready": (200, {"name": "iris", "ready": True}),
    "/v2/models/model/ready": (200, {"name": "model", "ready": True}),
    "/v2/models/iris": (
        200,
        {
            "name": "iris",
            "versions": ["2.0"],
            "platform": "own",
            "inputs": IRIS["inputs"],
            "outputs": IRIS["outputs"],
        },
    ),
}


@pytest.mark.parametrize(("path", "expected"), PAGES.items(), ids=PAGES)
def test_the_pages_show_the_graph_and_its_components(send: Send, path: str, expected: tuple[int, Any]) -> None:
    assert send(path) == expected


@pytest.mark.parametrize("version", ["v1.0", "v0.1"])
def test_the_metadata_of_the_graph_are_those_of_its_components_and_its_ends(send: Send, version: str) -> None:
    status, metadata = send(f"/api/{version}/metadata")
    assert status == 200
    assert set(metadata["models"]) == set(READY)
    assert metadata["models"]["iris"] == IRIS
    assert metadata | {"models": {}} == {
        "name": "model",
        "models": {},
        "graphinputs": IRIS["inputs"],
        "graphoutputs": IRIS["outputs"],
    }


def test_the_metadata_of_the_graph_as_of_one_model_are_its_own(send: Send) -> None:
    status, metadata = send("/metadata")
    assert (status, set(metadata)) == (200, set(IRIS))


@pytest.mark.parametrize("path", ["/api/v1.0/metadata/irsi", "/api/v0.1/status/irsi"])
def test_an_unknown_component_is_not_found(send: Send, path: str) -> None:
    status, body = send(path)
    assert (status, body["status"]["reason"]) == (404, "MICROSERVICE_BAD_DATA")
    known = "'scaler', 'bandit', 'iris', 'pair', 'broken'"
    assert body["status"]["info"] == f"unknown component 'irsi'; the components are {known}"


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/v2/models/irsi/infer", "unknown model 'irsi'; the models are 'model', 'scaler', 'bandit'"),
        ("/v2/models/iris/versions/7/infer", "unknown version '7' of model 'iris'; its version is '2.0'"),
        ("/v2/models/model/versions/2.0/infer", "unknown version '2.0' of model 'model'; its version is '7'"),
        ("/v2/models/broken/versions/7/infer", "unknown version '7' of model 'broken'; it has no versions"),
    ],
)
def test_an_unknown_model_or_version_is_not_found(send: Send, path: str, text: str) -> None:
    status, body = send(path, tensor(1, 2))
    assert (status, body["error"][: len(text)]) == (404, text)


ALONE: dict[str, tuple[Any, Any]] = {
    "/components/iris/predict": (rows(1, 2), [[2.0, 3.0]]),
    "/components/scaler/transform-input": (rows(1, 2), [[10.0, 20.0]]),
    "/components/bandit/route": (rows(21, 2), [[2]]),
    "/components/pair/predict": (rows(1, 2), [[2.0, 3.0]]),
    "/predict": (rows(1, 2), [[11.0, 21.0]]),
}


@pytest.mark.parametrize(("path", "case"), ALONE.items(), ids=ALONE)
def test_a_component_is_called_alone(send: Send, path: str, case: tuple[Any, Any]) -> None:
    status, body = send(path, case[0])
    assert status == 200
    assert body["data"]["ndarray"] == case[1]


V2_ALONE: dict[str, tuple[str, Any, list[float]]] = {
    "/v2/models/iris/infer": ("iris", tensor(1, 2), [2.0, 3.0]),
    "/v2/models/iris/versions/2.0/infer": ("iris", tensor(1, 2), [2.0, 3.0]),
    "/v2/models/scaler/infer": ("scaler", tensor(1, 2), [10.0, 20.0]),
    "/v2/models/pair/infer": ("pair", tensor(1, 2), [2.0, 3.0]),
    "/v2/models/model/infer": ("model", tensor(1, 2), [11.0, 21.0]),
}


@pytest.mark.parametrize(("path", "case"), V2_ALONE.items(), ids=V2_ALONE)
def test_a_component_is_a_model_of_the_open_inference_protocol(
    send: Send, path: str, case: tuple[str, Any, list[float]]
) -> None:
    status, body = send(path, case[1])
    assert status == 200, body
    assert (body["model_name"], body["outputs"][0]["data"]) == (case[0], case[2])


def test_the_outputs_of_a_component_have_their_declared_names(send: Send) -> None:
    _, body = send("/v2/models/iris/infer", tensor(1, 2))
    assert (body["outputs"][0]["name"], body["model_version"]) == ("sums", "2.0")


def test_a_router_of_the_open_inference_protocol_is_called_alone(send: Send) -> None:
    assert send("/v2/models/bandit/route", tensor(21, 2)) == (200, [2])


@pytest.mark.parametrize("path", ["/components/iris/route", "/components/bandit/predict", "/components/irsi/predict"])
def test_a_component_has_the_operations_of_its_service_type(send: Send, path: str) -> None:
    assert send(path, rows(1, 2))[0] == 404


@pytest.mark.parametrize("path", [*ALONE, *V2_ALONE, *PAGES, "/api/v1.0/metadata", "/api/v1.0/doc/"])
def test_the_routes_of_a_graph_need_the_token(send: Send, path: str) -> None:
    body = {**ALONE, **V2_ALONE}.get(path, (None, None))[0 if path in ALONE else 1]
    assert send(path, body, headers={})[0] == 401


ERRORS: dict[str, tuple[str, tuple[float, float], int, str, str]] = {
    "an exception with a status": ("/predict", (2, 2), 418, "TEAPOT", "component broken: no tea"),
    "any exception": ("/predict", (2.1, 2), 500, "MICROSERVICE_INTERNAL_ERROR", "component broken: too odd"),
    "of a component alone": (
        "/components/broken/predict",
        (2, 2),
        500,
        "MICROSERVICE_INTERNAL_ERROR",
        "component broken: too odd",
    ),
    "in a nested graph": ("/predict", (1, 0), 500, "MICROSERVICE_INTERNAL_ERROR", "component pair/other: too odd"),
    "a branch that there is not": ("/predict", (9, 0), 500, "ENGINE_INVALID_ROUTING", "component bandit: "),
}


@pytest.mark.parametrize(("path", "row", "status", "reason", "info"), ERRORS.values(), ids=ERRORS)
def test_errors_name_the_component(
    send: Send, path: str, row: tuple[float, float], status: int, reason: str, info: str
) -> None:
    received, body = send(path, rows(*row))
    assert (received, body["status"]["reason"]) == (status, reason)
    assert body["status"]["info"].startswith(info)
    name = path.split("/")[2] if "components" in path else "model"
    received, body = send(f"/v2/models/{name}/infer", tensor(*row))
    assert received == status
    assert body["error"].startswith(info)


def test_feedback_follows_the_routing_of_its_response(send: Send) -> None:
    _, response = send("/predict", rows(1, 2))
    assert response["meta"]["routing"] == ROUTING
    assert set(response["meta"]["requestPath"]) == VISITED
    assert send("/send-feedback", {"request": rows(1, 2), "response": response, "reward": 0.5})[0] == 200
    _, response = send("/components/bandit/route", rows(1, 2))
    assert response["meta"]["tags"]["rewards"].endswith("[0.5, 1]]")
    assert send("/components/bandit/send-feedback", {"reward": 0.25})[0] == 200
    _, response = send("/components/bandit/route", rows(1, 2))
    assert response["meta"]["tags"]["rewards"].endswith("[0.25, None]]")


def test_the_routing_is_a_parameter_of_the_open_inference_protocol(send: Send) -> None:
    _, response = send("/v2/models/model/infer", tensor(1, 2))
    assert json.loads(response["parameters"]["routing"]) == ROUTING
    _, response = send("/v2/models/iris/infer", tensor(1, 2))
    assert "routing" not in response.get("parameters", {})


def test_the_index_lists_the_components(send: Send) -> None:
    status, index = send("/v2/repository/index", {})
    assert status == 200
    assert {entry["name"]: entry["state"] for entry in index} == dict.fromkeys(["model", *READY], "READY")


def test_the_statistics_are_those_of_the_graph(send: Send) -> None:
    assert send("/v2/models/model/stats")[1]["model_stats"][0]["name"] == "model"
    status, body = send("/v2/models/iris/stats")
    assert (status, body["error"]) == (501, "components have no statistics; those of the graph are at model 'model'")


# The documents


def test_the_document_of_the_api_is_served_by_the_executor_s_path(send: Send) -> None:
    _, document = send("/seldon.json")
    openapi_spec_validator.validate(document)
    assert {"/components/iris/predict", "/api/v1.0/status/{component}"} <= set(document["paths"])
    assert send("/api/v1.0/doc/") == send("/api/v1.0/doc") == (200, document)


def test_the_openapi_document_lists_the_routes_of_the_graph(send: Send) -> None:
    _, document = send("/openapi.json")
    openapi_spec_validator.validate(document)
    pages = {path for path, item in document["paths"].items() if "get" in item}
    posted = {path for path, item in document["paths"].items() if "post" in item}
    assert {"/api/v1.0/metadata", "/api/v1.0/metadata/{component}", "/v2/models/scaler/ready"} <= pages
    assert {"/components/pair/predict", "/components/iris/send-feedback", "/v2/models/bandit/route"} <= posted
    for path, operation, body in _list_requests(document):
        status, response = send(path.replace("{component}", "iris"), body)
        assert status == 200, (path, response)
        content = operation["responses"]["200"]["content"]["application/json"]
        Draft202012Validator({**content["schema"], "components": document["components"]}).validate(response)


def _list_requests(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any], Any]]:
    """Yield each example of the document, and each page: its path, what is described of it, and the body."""
    for path, item in document["paths"].items():
        if "broken" in path:
            continue
        for operation in item.values():
            if "application/json" not in operation["responses"]["200"]["content"]:
                continue
            if "requestBody" not in operation:
                yield path, operation, None
            else:
                content = operation["requestBody"]["content"]["application/json"]
                for example in content.get("examples", {}).values():
                    yield path, operation, example["value"]


# gRPC


@pytest.fixture(scope="module", params=["native", "uvicorn"])
def call(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, serve_in_thread: Serve
) -> Iterator[Callable[..., Any]]:
    """Calls a method of the graph with a message; returns a message."""
    folder = tmp_path_factory.mktemp("graph")
    with serve_in_thread(folder, None, **make_fields(folder, engine=request.param)) as running:

        def by_channel(method: str, message: Any, response: Any, **more: Any) -> Any:
            unary = running.channel.unary_unary(method, None, response.FromString)
            metadata = (("authorization", f"Bearer {TOKEN}"),)
            return unary(message.SerializeToString(), timeout=20, metadata=metadata, **more)

        yield by_channel


NAMED = message_class(f"{PACKAGE}.SeldonModelMetadataRequest")
GRAPH = message_class(f"{PACKAGE}.SeldonGraphMetadata")
EMPTY = message_class("google.protobuf.Empty")
INFER, INFERRED = v2_class("ModelInferRequest"), v2_class("ModelInferResponse")
INFER_PATH = "/inference.GRPCInferenceService/ModelInfer"


def make_message(*values: float) -> Any:
    message = SeldonMessage()
    message.data.tensor.shape.extend([1, len(values)])
    message.data.tensor.values.extend(values)
    return message


def make_infer(name: str, *values: float) -> Any:
    message = INFER(model_name=name)
    given = message.inputs.add(name="input-0", datatype="FP64", shape=[1, len(values)])
    given.contents.fp64_contents.extend(values)
    return message


def test_the_metadata_of_the_graph_over_grpc(call: Callable[..., Any]) -> None:
    metadata = call("/seldon.protos.Seldon/GraphMetadata", EMPTY(), GRAPH)
    assert (metadata.name, set(metadata.models)) == ("model", set(READY))
    assert metadata.models["iris"].custom["author"] == "A. Author"
    assert [each.name for each in (*metadata.inputs, *metadata.outputs)] == ["input-0", "sums"]


@pytest.mark.parametrize(("name", "platform"), [("", ""), ("model", ""), ("iris", "own")])
def test_the_metadata_of_a_component_over_grpc(call: Callable[..., Any], name: str, platform: str) -> None:
    metadata = call("/seldon.protos.Seldon/ModelMetadata", NAMED(name=name), SeldonModelMetadata)
    assert metadata.platform == platform
    assert call("/seldon.protos.Model/Metadata", EMPTY(), SeldonModelMetadata).platform == ""


def test_an_unknown_component_over_grpc(call: Callable[..., Any]) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        call("/seldon.protos.Seldon/ModelMetadata", NAMED(name="irsi"), SeldonModelMetadata)
    error: Any = raised.value
    assert error.code() is grpc.StatusCode.NOT_FOUND
    assert error.details().startswith("unknown component 'irsi'")


def test_predictions_and_feedback_over_grpc(call: Callable[..., Any]) -> None:
    response = call("/seldon.protos.Seldon/Predict", make_message(1, 2), SeldonMessage)
    assert list(response.data.tensor.values) == [11, 21]
    assert dict(response.meta.routing) == ROUTING
    assert response.meta.requestPath["scaler"] == "scaler:latest"
    feedback = Feedback(request=make_message(1, 2), response=response, reward=2)
    call("/seldon.protos.Seldon/SendFeedback", feedback, SeldonMessage)
    response = call("/seldon.protos.Seldon/Predict", make_message(1, 2), SeldonMessage)
    assert response.meta.tags["rewards"].string_value.endswith("[2.0, 1]]")


def test_errors_over_grpc_name_the_component(call: Callable[..., Any]) -> None:
    for method, message, response, code, details in (
        (
            "/seldon.protos.Seldon/Predict",
            make_message(2.1, 2),
            SeldonMessage,
            grpc.StatusCode.UNKNOWN,
            "Exception calling application: component broken: too odd",
        ),
        (INFER_PATH, make_infer("model", 2.1, 2), INFERRED, grpc.StatusCode.INTERNAL, "component broken: too odd"),
        (INFER_PATH, make_infer("broken", 3, 2), INFERRED, grpc.StatusCode.INTERNAL, "component broken: too odd"),
    ):
        with pytest.raises(grpc.RpcError) as raised:
            call(method, message, response)
        error: Any = raised.value
        assert (error.code(), error.details()) == (code, details)


@pytest.mark.parametrize("compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip])
@pytest.mark.parametrize(
    ("name", "values"), [("", [11, 21]), ("model", [11, 21]), ("iris", [2, 3]), ("scaler", [10, 20])]
)
def test_a_component_is_a_model_over_grpc(
    call: Callable[..., Any], name: str, values: list[float], compression: grpc.Compression
) -> None:
    response = call(INFER_PATH, make_infer(name, 1, 2), INFERRED, compression=compression)
    assert list(response.outputs[0].contents.fp64_contents) == values
    assert response.model_name == (name or "model")
    assert ("routing" in response.parameters) == (name in ("", "model"))


def test_the_state_of_a_component_over_grpc(call: Callable[..., Any]) -> None:
    service, request, response = "/inference.GRPCInferenceService", "ModelReadyRequest", "ModelReadyResponse"
    assert call(f"{service}/ModelReady", v2_class(request)(name="pair"), v2_class(response)).ready
    request, response = "ModelMetadataRequest", "ModelMetadataResponse"
    assert call(f"{service}/ModelMetadata", v2_class(request)(name="iris"), v2_class(response)).platform == "own"
    with pytest.raises(grpc.RpcError):
        call(f"{service}/ModelMetadata", v2_class(request)(name="irsi"), v2_class(response))


# Handlers of the classes, and servers that are not ready

HANDLING = """
import flask

class FirstError(Exception):
    pass

class OtherError(Exception):
    pass

class First:
    model_error_handler = flask.Blueprint("handlers", __name__)

    @model_error_handler.app_errorhandler(FirstError)
    def handle(error):
        return flask.jsonify({"first": str(error)}), 423

    def predict(self, X, names):
        raise FirstError("one") if X == "first" else OtherError("two")

class Other:
    model_error_handler = flask.Blueprint("handlers", __name__)

    @model_error_handler.app_errorhandler(OtherError)
    def handle(error):
        return flask.jsonify({"other": str(error)}), 424

    def predict(self, X, names):
        raise OtherError("three")

class Plain:
    def predict(self, X, names):
        raise FirstError("four")
"""


@pytest.mark.parametrize(
    ("name", "status", "expected"),
    [
        ("first", 423, {"first": "one"}),
        ("other", 424, {"other": "three"}),
        ("plain", 500, "component plain: four"),
    ],
)
def test_the_error_handlers_of_a_component_handle_its_own_exceptions(
    tmp_path: Path, name: str, status: int, expected: Any
) -> None:
    (tmp_path / "Handling.py").write_text(HANDLING)
    components = {
        each.lower(): ComponentSpec(ServiceType.MODEL, Spec(f"Handling.{each}", tmp_path, each.lower()))
        for each in ("First", "Other", "Plain")
    }
    steps = CombineStep("average", None, tuple(map(CallStep, components)))
    client = make_app(Spec(None, tmp_path, "graph", graph=steps, components=components)).test_client()
    response = client.post(f"/components/{name}/predict", json={"strData": name})
    body = response.get_json()
    assert (response.status_code, body if status != 500 else body["status"]["info"]) == (status, expected)
    if name == "first":
        assert client.post("/predict", json={"strData": name}).get_json() == expected


class NotReady:
    """The client of a server that has not started yet."""

    metadata = None
    is_ready = False
    uses_flask = False
    error_blueprint = custom_service = None
    keeps_rows = KeepRows.NEVER
    plain = batchable = frozenset[Any]()

    def describe_state(self) -> str:
        return "component far is not ready"

    def close(self) -> None:
        """It holds no connections."""

    def call(self, _request: Request, _record: RecordMetrics) -> Response:
        raise RemoteFailed("connection refused", 503, "UNAVAILABLE")

    def batch_message(self, _request: Request) -> None:
        raise AssertionError

    call_batch = finish_batched = batch_message


def test_what_a_graph_shows_while_a_server_is_not_ready(tmp_path: Path) -> None:
    (tmp_path / "Parts.py").write_text(SOURCE)
    iris = Spec("Parts.Iris", tmp_path, "iris", unit=UnitSpec(id="iris", name="iris"))
    components = {
        "iris": ComponentSpec(ServiceType.MODEL, iris),
        "far": ComponentSpec(ServiceType.MODEL, url="http://far.example"),
    }
    steps = ChainStep(tuple(map(CallStep, components)))
    spec = Spec(None, tmp_path, "graph", graph=steps, components=components)
    dispatcher = dispatcher_for(spec, connect=lambda _name, _component, _graph: cast("Any", NotReady()))
    dispatcher.start().result()
    client = make_flask_app(dispatcher, spec).test_client()

    def get(path: str) -> tuple[int, Any]:
        response = client.get(path)
        return response.status_code, response.get_json()

    try:
        for path in ("/api/v1.0/metadata", "/api/v1.0/metadata/far"):
            status, body = get(path)
            assert (status, body["status"]["info"]) == (503, "component far: Model metadata unavailable")
        assert get("/api/v1.0/metadata/iris")[0] == 200
        state = {"name": "graph", "ready": False, "components": {"iris": True, "far": False}}
        assert get("/api/v1.0/status") == (503, state)
        assert get("/api/v1.0/status/far") == (503, {"name": "far", "ready": False})
        assert get("/api/v1.0/status/iris") == (200, {"name": "iris", "ready": True})
        assert get("/v2/models/far/ready")[0] == 503
        assert get("/v2/models/far")[1] == {"error": "component far: Model metadata unavailable"}
        index = client.post("/v2/repository/index", json={}).get_json()
        states = {entry["name"]: entry["state"] for entry in index}
        assert states == {"graph": "UNAVAILABLE", "iris": "READY", "far": "UNAVAILABLE"}
        assert client.post("/v2/repository/index", json={"ready": True}).get_json() == [
            {"name": "iris", "state": "READY"}
        ]
        response = client.post("/predict", json=rows(1, 2))
        assert (response.status_code, response.get_json()["status"]) == (
            503,
            {
                "status": 1,
                "code": -1,
                "reason": "MICROSERVICE_UNAVAILABLE",
                "info": "component far: connection refused",
            },
        )
    finally:
        dispatcher.stop()


@pytest.mark.parametrize("scheme", ["http", "grpc"])
def test_a_component_with_a_url_is_called_and_shown_like_the_others(
    tmp_path: Path, serve_folder: Callable[..., Any], scheme: str
) -> None:
    back, front = tmp_path / "back", tmp_path / "front"
    for folder, text in (
        (back, "class_name: Parts.Broken\nname: far\n"),
        (front, "name: front\ngraph: [scaler, far]\ncomponents:\n"),
    ):
        folder.mkdir()
        (folder / "Parts.py").write_text(SOURCE)
        (folder / "seldon.yaml").write_text(text)
    with serve_folder(back) as server, (front / "seldon.yaml").open("a") as spec:
        url = f"{scheme}://127.0.0.1:{server.http if scheme == 'http' else server.grpc}"
        spec.write("  scaler: {class_name: Parts.Scaler, service_type: TRANSFORMER}\n")
        spec.write(f"  far: {{url: '{url}', service_type: MODEL}}\n")
        spec.flush()
        with serve_folder(front) as running:
            assert _ask(running.http, "/api/v1.0/metadata/far")[1]["name"] == "far"
            assert set(_ask(running.http, "/api/v1.0/metadata")[1]["models"]) == {"scaler", "far"}
            assert _ask(running.http, "/api/v1.0/status/far") == (200, {"name": "far", "ready": True})
            for path in ("/predict", "/components/far/predict"):
                status, body = _ask(running.http, path, rows(3, 1))
                assert (status, body["status"]["info"]) == (500, "component far: too odd")
            status, body = _ask(running.http, "/predict", rows(2, 1))
            assert body["status"]["info"] == "component far: no tea"
            if scheme == "http":
                assert (status, body["status"]["reason"]) == (418, "TEAPOT")
            with grpc.insecure_channel(f"127.0.0.1:{running.grpc}") as channel:
                predict = channel.unary_unary("/seldon.protos.Seldon/Predict", None, SeldonMessage.FromString)
                with pytest.raises(grpc.RpcError) as raised:
                    predict(make_message(3, 1).SerializeToString(), timeout=20)
            error: Any = raised.value
            assert error.details() == "Exception calling application: component far: too odd"


def _ask(port: int, path: str, body: Any = None) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        method, sent = ("GET", None) if body is None else ("POST", json.dumps(body))
        connection.request(method, path, sent, {"Content-Type": "application/json"})
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


@pytest.fixture
def start_graph(
    tmp_path: Path, command_environ: dict[str, str], reserve_ports: Callable[[int], AbstractContextManager[list[int]]]
) -> Iterator[Callable[..., Server]]:
    """Start a server of the graph in a process of its own."""
    (tmp_path / "seldon.yaml").write_text(f"{GRAPH_FILE}server: {{host: 127.0.0.1, log: {{access: true}}}}\n")
    names = ("HTTP", "GRPC", "METRICS")
    servers = []
    with reserve_ports(3) as ports:
        places = {f"SELDON_SPEC__PORTS__{name}": str(port) for name, port in zip(names, ports, strict=True)}

        def start(source: str) -> Server:
            (tmp_path / "Parts.py").write_text(source)
            command = [sys.executable, "-m", "seldon_spec", "serve", str(tmp_path)]
            servers.append(launch(command, {**command_environ, **places}))
            return servers[-1]

        yield start
        for server in servers:
            server.end()


def test_requests_to_one_component_are_in_the_access_log(start_graph: Callable[..., Server]) -> None:
    server = start_graph(SOURCE).wait_until_ready()
    server.rest("POST", "/components/iris/predict", json.dumps(rows(1, 2)))
    server.wait_for(r"POST /components/iris/predict 200 .* ms")
    server.rest("GET", "/api/v1.0/metadata/iris")
    server.wait_for(r"GET /api/v1.0/metadata/iris 200")


def test_a_graph_that_is_being_built_is_not_ready(start_graph: Callable[..., Server], gate: Gate) -> None:
    server = start_graph(f"from gated import pass_gate\npass_gate()\n{SOURCE}").wait_for_addresses()
    gate.wait_until_entered()
    for path in ("/api/v1.0/status", "/api/v1.0/status/iris", "/api/v1.0/metadata", "/v2/models/iris/ready"):
        assert server.rest("GET", path)[0] == 503
    gate.release()
    server.wait_for("supervisor: ready")
    assert server.rest("GET", "/api/v1.0/status")[0] == 200

"""Responses of applications of Ray Serve, compared with those of the server for the same models."""

from __future__ import annotations

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import partial
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest

from seldon_spec.protocols.open_inference_v2.proto import (
    ModelInferRequest,
    ModelInferResponse,
    ModelStreamInferResponse,
)
from seldon_spec.protocols.seldon_v1.proto import PACKAGE, SeldonMessage, message_class

if TYPE_CHECKING:
    from tests.ray.conftest import Both, Gate

JSON = {"Content-Type": "application/json", "Seldon-Puid": "some-request"}
INFERENCE = "/inference.GRPCInferenceService"
SELDON = f"/{PACKAGE}.Seldon"
HEALTH = "/grpc.health.v1.Health"
TOKEN = ("authorization", "Bearer a-token-of-the-gate")

ERROR = b'{"data": {"ndarray": [[2, 3.5]]}}'
ROWS = b'{"data": {"ndarray": [[1.0, 2.0]]}}'
NEGATIVE = b'{"data": {"ndarray": [[-3.0, 2.0]]}}'
FEEDBACK = json.dumps(
    {"request": {"data": {"ndarray": [[1.0]]}}, "response": {"meta": {"routing": {"by-sign": 1}}}, "reward": 1.0}
).encode()


def _v2(values: list[float], name: str = "input-0") -> bytes:
    tensor = {"name": name, "shape": [1, len(values)], "datatype": "FP64", "data": values}
    return json.dumps({"id": "7", "inputs": [tensor]}).encode()


REST = {
    "prediction": ("limited", "POST", "/api/v1.0/predictions", ROWS),
    "short path": ("limited", "POST", "/predict", ROWS),
    "query": ("limited", "GET", "/predict?json=%7B%22data%22%3A%7B%22ndarray%22%3A%5B%5B1%2C2%5D%5D%7D%7D", None),
    "V2 prediction": ("limited", "POST", "/v2/models/limited/infer", _v2([1.0, 2.0])),
    "no JSON": ("limited", "POST", "/predict", b'{"data":'),
    "V2 no JSON": ("limited", "POST", "/v2/models/limited/infer", b'{"inputs":'),
    "wrong columns": ("limited", "POST", "/predict", b'{"data": {"ndarray": [[1.0]]}}'),
    "exception": ("limited", "POST", "/predict", NEGATIVE),
    "too large": ("limited", "POST", "/predict", b'{"data": {"ndarray": [[1.0, %s]]}}' % (b"2" * 2000)),
    "V2 too large": ("limited", "POST", "/v2/models/limited/infer", _v2([1.0] * 500)),
    "missing method": ("limited", "POST", "/route", ROWS),
    "unknown path": ("limited", "GET", "/nothing", None),
    "V2 unknown path": ("limited", "GET", "/v2/nothing", None),
    "V2 unknown model": ("limited", "POST", "/v2/models/other/infer", _v2([1.0, 2.0])),
    "wrong verb": ("limited", "DELETE", "/predict", None),
    "escaped path": ("limited", "GET", "/v2/models/limi%74ed", None),
    "preflight": ("limited", "OPTIONS", "/predict", None),
    "head": ("limited", "HEAD", "/metadata", None),
    "live": ("limited", "GET", "/live", None),
    "ready": ("limited", "GET", "/ready", None),
    "metadata": ("limited", "GET", "/metadata", None),
    "V2 metadata": ("limited", "GET", "/v2/models/limited", None),
    "server metadata": ("limited", "GET", "/v2", None),
    "OpenAPI": ("limited", "GET", "/seldon.json", None),
    "OpenAPI 3.1": ("limited", "GET", "/openapi.json", None),
    "graph": ("routed", "POST", "/api/v1.0/predictions", ROWS),
    "graph, other branch": ("routed", "POST", "/api/v1.0/predictions", NEGATIVE),
    "graph, V2": ("routed", "POST", "/v2/models/routed/infer", _v2([1.0, 2.0])),
    "graph, component": ("routed", "POST", "/v2/models/half/infer", _v2([1.0, 2.0])),
    "graph metadata": ("routed", "GET", "/api/v1.0/metadata", None),
    "component metadata": ("routed", "GET", "/api/v1.0/metadata/half", None),
    "component status": ("routed", "GET", "/api/v1.0/status/half", None),
    "feedback": ("routed", "POST", "/api/v1.0/feedback", FEEDBACK),
    "after feedback": ("routed", "POST", "/api/v1.0/predictions", ROWS),
    "parts": (
        "parts",
        "POST",
        "/api/v1.0/predictions",
        b'{"data": {"ndarray": [[0, 3.5]]}, "meta": {"tags": {"a": 1}}}',
    ),
    "parts, names": ("parts", "POST", "/api/v1.0/predictions", b'{"data": {"names": ["b", "x"], "ndarray": [[0, 2]]}}'),
    "parts, combiner": ("parts", "POST", "/api/v1.0/predictions", ROWS),
    "parts, V2": ("parts", "POST", "/v2/models/parts/infer", _v2([1.0, 2.0])),
    "parts, exception": ("parts", "POST", "/api/v1.0/predictions", ERROR),
    "parts, V2 exception": ("parts", "POST", "/v2/models/parts/infer", _v2([2.0, 3.5])),
    "parts, no branch": ("parts", "POST", "/api/v1.0/predictions", b'{"data": {"ndarray": [[9, 3.5]]}}'),
    "parts, no rows": ("parts", "POST", "/api/v1.0/predictions", b'{"strData": "text"}'),
    "parts, component": ("parts", "POST", "/v2/models/shift/infer", _v2([1.0, 2.0])),
    "parts metadata": ("parts", "GET", "/api/v1.0/metadata", None),
    "parts, component metadata": ("parts", "GET", "/api/v1.0/metadata/shift", None),
    "parts, component V2 metadata": ("parts", "GET", "/v2/models/shift", None),
    "parts, component status": ("parts", "GET", "/api/v1.0/status/learner", None),
    "no token": ("gate", "POST", "/predict", ROWS),
    "V2 no token": ("gate", "POST", "/v2/models/gate/infer", _v2([1.0, 2.0])),
}


@pytest.mark.parametrize(("name", "method", "path", "body"), REST.values(), ids=REST)
def test_rest_responses_are_those_of_the_server(
    models: Mapping[str, Both], name: str, method: str, path: str, body: bytes | None
) -> None:
    both = models[name]
    expected = both.server.request(method, path, body, JSON)
    assert both.ray.request(method, path, body, JSON) == expected


def test_the_class_runs_on_the_model_thread_with_the_variables_of_the_replica(models: Mapping[str, Both]) -> None:
    _, _, body = models["limited"].ray.request("POST", "/predict", ROWS, JSON)
    assert json.loads(body)["meta"]["tags"] == {"unit": "unit-7", "is_model_thread": True}


def _message(rows: list[list[float]]) -> bytes:
    message: Any = message_class(f"{PACKAGE}.SeldonMessage")()
    for row in rows:
        message.data.ndarray.values.add().list_value.extend(row)
    wire: bytes = message.SerializeToString()
    return wire


def _infer(values: list[float], model: str) -> bytes:
    request: Any = ModelInferRequest(model_name=model, id="7")
    request.inputs.add(name="input-0", datatype="FP64", shape=[1, len(values)]).contents.fp64_contents.extend(values)
    wire: bytes = request.SerializeToString()
    return wire


def _feedback() -> bytes:
    feedback: Any = message_class(f"{PACKAGE}.Feedback")(reward=1.0)
    feedback.response.meta.routing["by-sign"] = 1
    wire: bytes = feedback.SerializeToString()
    return wire


CALLS = {
    "prediction": ("limited", f"{SELDON}/Predict", _message([[1.0, 2.0]])),
    "prediction of a model": ("limited", f"/{PACKAGE}.Model/Predict", _message([[1.0, 2.0]])),
    "V2 prediction": ("limited", f"{INFERENCE}/ModelInfer", _infer([1.0, 2.0], "limited")),
    "no message": ("limited", f"{SELDON}/Predict", b"\xff\xff"),
    "V2 no message": ("limited", f"{INFERENCE}/ModelInfer", b"\xff\xff"),
    "wrong columns": ("limited", f"{SELDON}/Predict", _message([[1.0]])),
    "exception": ("limited", f"{SELDON}/Predict", _message([[-1.0, 2.0]])),
    "too large": ("limited", f"{SELDON}/Predict", _message([[1.0, 2.0]] * 100)),
    "V2 too large": ("limited", f"{INFERENCE}/ModelInfer", _infer([1.0] * 500, "limited")),
    "V2 unknown model": ("limited", f"{INFERENCE}/ModelInfer", _infer([1.0, 2.0], "other")),
    "missing method": ("limited", f"/{PACKAGE}.Router/Route", _message([[1.0, 2.0]])),
    "metadata": ("limited", f"{SELDON}/ModelMetadata", b""),
    "V2 metadata": ("limited", f"{INFERENCE}/ModelMetadata", _infer([], "limited")),
    "graph metadata of a class": ("limited", f"{SELDON}/GraphMetadata", b""),
    "live": ("limited", f"{INFERENCE}/ServerLive", b""),
    "ready": ("limited", f"{INFERENCE}/ServerReady", b""),
    "graph": ("routed", f"{SELDON}/Predict", _message([[1.0, 2.0]])),
    "graph, V2": ("routed", f"{INFERENCE}/ModelInfer", _infer([1.0, 2.0], "routed")),
    "graph metadata": ("routed", f"{SELDON}/GraphMetadata", b""),
    "feedback": ("routed", f"{SELDON}/SendFeedback", _feedback()),
    "parts": ("parts", f"{SELDON}/Predict", _message([[0.0, 3.5]])),
    "parts, combiner": ("parts", f"{SELDON}/Predict", _message([[1.0, 3.5]])),
    "parts, V2": ("parts", f"{INFERENCE}/ModelInfer", _infer([1.0, 2.0], "parts")),
    "parts, exception": ("parts", f"{SELDON}/Predict", _message([[2.0, 3.5]])),
    "parts, V2 exception": ("parts", f"{INFERENCE}/ModelInfer", _infer([2.0, 3.5], "parts")),
    "parts metadata": ("parts", f"{SELDON}/GraphMetadata", b""),
    "no token": ("gate", f"{SELDON}/Predict", _message([[1.0, 2.0]])),
    "live without token": ("gate", f"{INFERENCE}/ServerLive", b""),
    "health": ("limited", f"{HEALTH}/Check", b""),
    "health without token": ("gate", f"{HEALTH}/Check", b""),
    "health of a service": ("routed", f"{HEALTH}/Check", HealthCheckRequest(service=SELDON[1:]).SerializeToString()),
    "health of another": ("limited", f"{HEALTH}/Check", HealthCheckRequest(service="other").SerializeToString()),
    "health, no message": ("limited", f"{HEALTH}/Check", b"\xff\xff"),
}


@pytest.mark.parametrize(("name", "path", "message"), CALLS.values(), ids=CALLS)
def test_grpc_responses_are_those_of_the_server(
    models: Mapping[str, Both], name: str, path: str, message: bytes
) -> None:
    both = models[name]
    puid = ("seldon-puid", "some-request")
    (*expected, response), (*found, found_response) = (
        place.call(path, message, puid) for place in (both.server, both.ray)
    )
    assert found == expected
    read: Any = {"ModelInfer": ModelInferResponse.FromString, "Predict": SeldonMessage.FromString}.get(
        path.rpartition("/")[2], bytes
    )
    assert read(found_response) == read(response)  # parameters and tags have no order


STREAMS = {
    "predictions": [_infer([1.0, 2.0], "limited"), _infer([3.0, 4.0], "limited")],
    "an error between": [_infer([1.0, 2.0], "limited"), _infer([1.0], "limited"), _infer([3.0, 4.0], "limited")],
    "empty": [],
}


@pytest.mark.parametrize("messages", STREAMS.values(), ids=STREAMS)
def test_streams_have_the_responses_of_the_server(models: Mapping[str, Both], messages: list[bytes]) -> None:
    both = models["limited"]
    responses, code = both.server.stream(f"{INFERENCE}/ModelStreamInfer", messages)
    found, found_code = both.ray.stream(f"{INFERENCE}/ModelStreamInfer", messages)
    read = ModelStreamInferResponse.FromString  # parameters have no order
    assert (list(map(read, found)), found_code) == (list(map(read, responses)), code)
    assert len(found) == len(messages)


def test_the_health_of_a_replica_cannot_be_watched(models: Mapping[str, Both]) -> None:
    """As the protocol specifies, clients then consider it healthy."""
    place = models["limited"].ray
    with grpc.insecure_channel(f"127.0.0.1:{place.grpc_port}") as channel:
        call: Any = channel.unary_stream(f"{HEALTH}/Watch", None, None)(b"", timeout=60, metadata=place.metadata)
        assert call.code() is grpc.StatusCode.UNIMPLEMENTED


def test_a_replica_ends_requests_in_time_and_rejects_others_meanwhile(
    models: Mapping[str, Both], gates: tuple[Gate, Gate]
) -> None:
    """One request is in the model, and one may wait; the time of both has passed before the gate opens."""
    headers = {**JSON, "Authorization": "Bearer a-token-of-the-gate"}
    outcomes = []
    for place, gate in zip((models["gate"].ray, models["gate"].server), gates, strict=True):
        send = partial(place.request, "POST", "/predict", ROWS, headers)
        with ThreadPoolExecutor() as pool:
            running = pool.submit(send)
            gate.wait_for_call()
            others = [pool.submit(send), pool.submit(send)]
            rejected = next(as_completed(others)).result()
            rejected_call = place.call(f"{SELDON}/Predict", _message([[1.0]]), TOKEN)
            late = [each.result() for each in (running, *others) if each.result() != rejected]
        gate.open()
        outcomes.append((rejected, rejected_call, late))
    assert outcomes[0] == outcomes[1]
    (status, _, _), (code, _, _), late = outcomes[0]
    assert (status, code, [each[0] for each in late]) == (503, grpc.StatusCode.RESOURCE_EXHAUSTED, [504, 504])

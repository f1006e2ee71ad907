"""Graphs of folders, served by real processes: REST and gRPC, both engines, metrics, remote components."""

from __future__ import annotations

import json
import re
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import grpc
import pytest

from seldon_spec.protocols.seldon_v1.proto import Feedback, SeldonMessage

Serve = Callable[..., AbstractContextManager[Any]]

SCALER = """
class Scaler:
    def transform_input(self, X, names):
        return X * 10

    def tags(self):
        return {"scaled": True}
"""
MODEL = """
import os
import time


class Model:
    def __init__(self, add=0.0):
        with open("offset.txt") as file:  # relative to the folder of the component
            self.add = add + float(file.read())
        self.rewards = 0.0

    def predict(self, X, names):
        if X.size and X[0][0] == 660:
            raise ValueError("sixty-six")
        return X + self.add

    def metrics(self):
        return [{"type": "COUNTER", "key": "rows", "value": 1}]

    def send_feedback(self, X, names, reward, truth):
        self.rewards += reward
        return [[self.rewards]]
"""
ROUTER = """
class Choose:
    def __init__(self):
        self.seen = []

    def route(self, X, names):
        return int(X[0][0] > 50)

    def send_feedback(self, X, names, reward, truth, routing=None):
        self.seen.append([reward, routing])
        return [[reward, routing]]
"""
GRAPH = """
name: choice
version: "1"
graph:
  - scaler
  - route: chooser
    to: [model, {split: {model: 1, second: 1}, by: X-User, shadow: third}]
components:
  second: {path: model, parameters: {add: 2.0}}
  third: {path: model, parameters: {add: 3.0}}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("graph")
    (root / "seldon.yaml").write_text(GRAPH)
    sources = {
        "scaler": ("class_name: Scaler\nservice_type: TRANSFORMER\n", SCALER),
        "model": ('class_name: Model\nversion: "7"\nparameters: {add: 1.0}\n', MODEL),
        "chooser": ("class_name: Choose\nservice_type: ROUTER\n", ROUTER),
    }
    for name, (spec, source) in sources.items():
        (root / name).mkdir()
        (root / name / "seldon.yaml").write_text(spec)
        (root / name / "offset.txt").write_text("0")
        class_name = spec.split("\n", 1)[0].removeprefix("class_name: ")
        (root / name / f"{class_name}.py").write_text(source)
    return root


@pytest.fixture(scope="module", params=["native", "uvicorn"])
def server(request: pytest.FixtureRequest, folder: Path, serve_folder: Serve) -> Iterator[Any]:
    variables = {
        "SELDON_SPEC__SERVER__ENGINE": request.param,
        "SELDON_SPEC__COMPONENTS__SECOND__PARAMETERS__ADD": "4.5",
    }
    with serve_folder(folder, variables=variables) as running:
        yield running


def post(port: int, path: str, tree: Any, headers: Mapping[str, str] | None = None) -> tuple[int, Any, Any]:
    head = {"Content-Type": "application/json", **(headers or {})}
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", json.dumps(tree).encode(), head)
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            return response.status, json.load(response), response.headers
    except urllib.error.HTTPError as error:
        return error.code, json.load(error), error.headers


def predict(port: int, value: float, headers: Mapping[str, str] | None = None, **more: Any) -> tuple[int, Any, Any]:
    return post(port, "/api/v1.0/predictions", {"data": {"ndarray": [[value]]}, **more}, headers)


def test_a_prediction(server: Any) -> None:
    status, body, headers = predict(server.http, 1.0, {"Seldon-Puid": "my-id"})
    assert status == 200
    assert body["data"]["ndarray"] == [[11.0]]
    meta = body["meta"]
    assert meta["routing"] == {"chooser": 0}
    assert meta["requestPath"] == {"scaler": "scaler:latest", "chooser": "choose:latest", "model": "model:7"}
    assert meta["tags"] == {"scaled": True}
    assert headers["Seldon-Puid"] == "my-id"
    assert predict(server.http, 1.0)[2]["Seldon-Puid"]


def test_a_header_chooses_the_branch(server: Any) -> None:
    branches: dict[str, set[int]] = {}
    for number in range(40):
        user = f"user-{number % 20}"
        body = predict(server.http, 6.0, {"x-user": user})[1]
        branches.setdefault(user, set()).add(body["meta"]["routing"]["split"])
        assert body["data"]["ndarray"] == [[61.0 if body["meta"]["routing"]["split"] == 0 else 64.5]]
    assert all(len(found) == 1 for found in branches.values())
    assert {branch for found in branches.values() for branch in found} == {0, 1}


def test_a_header_of_grpc_chooses_the_same_branch(server: Any) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc}") as channel:
        call = channel.unary_unary("/seldon.protos.Seldon/Predict", None, SeldonMessage.FromString)
        for number in range(10):
            message = SeldonMessage()
            message.data.ndarray.append([6.0])
            response, details = call.with_call(
                message.SerializeToString(), metadata=(("x-user", f"user-{number}"),), timeout=20
            )
            by_rest = predict(server.http, 6.0, {"X-User": f"user-{number}"})[1]
            assert response.meta.routing["split"] == by_rest["meta"]["routing"]["split"]
            assert (
                dict(details.initial_metadata()).get("seldon-puid") or dict(details.trailing_metadata())["seldon-puid"]
            )


def test_feedback_of_a_response(server: Any) -> None:
    request = {"data": {"ndarray": [[6.0]]}}
    response = post(server.http, "/predict", request, {"X-User": "a"})[1]
    status, body, _ = post(server.http, "/api/v1.0/feedback", {"request": request, "response": response, "reward": 0.5})
    assert status == 200
    assert body["data"]["ndarray"] == [[0.5, 1.0]]  # of the router, which got its branch
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc}") as channel:
        feedback = Feedback(reward=0.25)
        feedback.response.meta.routing.update(response["meta"]["routing"])
        call = channel.unary_unary("/seldon.protos.Seldon/SendFeedback", None, SeldonMessage.FromString)
        acknowledged = call(feedback.SerializeToString(), timeout=20)
    assert list(acknowledged.data.tensor.values) == [0.25, 1.0]


def test_an_error_names_the_component_on_both_transports(server: Any) -> None:
    status, body, headers = predict(server.http, 66.0)
    assert status == 500
    assert re.match(r"component (model|second): .*sixty-six", body["status"]["info"])
    assert headers["Seldon-Puid"]
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc}") as channel:
        message = SeldonMessage()
        message.data.ndarray.append([66.0])
        with pytest.raises(grpc.RpcError, match=r"component (model|second): .*sixty-six"):
            channel.unary_unary("/seldon.protos.Model/Predict", None, None)(message.SerializeToString(), timeout=20)


def test_the_open_inference_protocol(server: Any) -> None:
    tensor = {"name": "x", "datatype": "FP64", "shape": [1, 1], "data": [1.0]}
    status, body, _ = post(server.http, "/v2/models/choice/infer", {"inputs": [tensor], "id": "5"})
    assert status == 200
    assert body["outputs"][0]["data"] == [11.0]
    assert json.loads(body["parameters"]["routing"]) == {"chooser": 0}
    status, body, _ = post(server.http, "/v2/models/choice/infer", {"inputs": [{**tensor, "data": [66.0]}]})
    assert status == 500
    assert re.match(r"component (model|second): .*sixty-six", body["error"])


def test_one_component_alone(server: Any) -> None:
    assert post(server.http, "/components/second/predict", {"data": {"ndarray": [[1.0]]}})[1]["data"] == {
        "names": ["t:0"],
        "ndarray": [[5.5]],
    }
    assert post(server.http, "/components/chooser/route", {"data": {"ndarray": [[70]]}})[1]["data"]["ndarray"] == [[1]]


def test_metrics_by_component_step_and_shadow(server: Any) -> None:
    for _ in range(5):
        predict(server.http, 6.0)
    post(server.http, "/components/third/predict", {"data": {"ndarray": [[1.0]]}})  # after the shadows
    with urllib.request.urlopen(f"http://127.0.0.1:{server.metrics}/metrics", timeout=20) as response:
        page = response.read().decode()
    shadow = [line for line in page.splitlines() if 'shadow="true"' in line]
    assert any(
        line.startswith("seldon_spec_component_seconds_count") and 'component="third"' in line for line in shadow
    )
    assert any(line.startswith("rows_total") and 'model_name="third"' in line for line in shadow)
    assert re.search(
        r'^seldon_spec_branches_total\{[^}]*branch="1"[^}]*step="chooser"[^}]*\} [1-9]', page, re.MULTILINE
    )
    assert re.search(r'^rows_total\{[^}]*model_name="model"[^}]*model_version="7"', page, re.MULTILINE)


def test_a_relative_path(folder: Path, serve_folder: Serve) -> None:
    command = (sys.executable, "-m", "seldon_spec", "serve", folder.name)
    with serve_folder(folder.parent, command) as server:
        assert predict(server.http, 1.0)[0] == 200


def test_the_model_metadata_of_a_server_over_grpc(tmp_path: Path, serve_folder: Serve) -> None:
    """Its message has no empty members."""
    (tmp_path / "iris").mkdir()
    (tmp_path / "iris" / "Iris.py").write_text("class Iris:\n    def predict(self, X, names):\n        return X\n")
    (tmp_path / "iris" / "seldon.yaml").write_text("class_name: Iris\n")
    with serve_folder(tmp_path / "iris") as iris:
        url = f"grpc://127.0.0.1:{iris.grpc}"
        (tmp_path / "seldon.yaml").write_text(f"name: g\ngraph: [iris]\ncomponents: {{iris: {{url: '{url}'}}}}\n")
        with (
            serve_folder(tmp_path) as graph,
            urllib.request.urlopen(f"http://127.0.0.1:{graph.http}/v2/models/iris") as response,
        ):
            found = json.load(response)
    assert {key: found[key] for key in ("platform", "inputs", "outputs")} == {
        "platform": "",
        "inputs": [],
        "outputs": [],
    }

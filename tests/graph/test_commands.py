"""The commands and the functions of the package, used with graphs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

import seldon_spec
from seldon_spec.cli import microservice
from seldon_spec.cli.main import run

Serve = Callable[..., AbstractContextManager[Any]]

SCALER = """
class Scaler:
    def transform_input(self, X, names, meta=None):
        if X.max() == 12345:
            raise RuntimeError("bad value")
        return X * 2
"""

MODEL = """
class Model:
    def __init__(self, added=1.0, fails=False):
        self.added = added
        if fails:
            raise OSError("no weights")

    def predict(self, X, names, meta=None):
        return X.sum(axis=1, keepdims=True) + self.added
"""

FILES = {
    "seldon.yaml": "name: pair\ngraph: [scaler, model]\n",
    "scaler/seldon.yaml": "class_name: Scaler\nservice_type: TRANSFORMER\ninputs: [a, b]\n",
    "scaler/Scaler.py": SCALER,
    "model/seldon.yaml": "class_name: Model\noutputs: [total]\n",
    "model/Model.py": MODEL,
}


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    return write(tmp_path, FILES)


def write(root: Path, files: dict[str, str]) -> Path:
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return root


def command(*words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own: each loads the classes anew."""
    words = (sys.executable, "-m", "seldon_spec", *words)
    return subprocess.run(words, cwd=cwd, capture_output=True, text=True, timeout=60, check=False)


def test_predict_in_this_process(pair: Path) -> None:
    done = command("predict", "[[1, 2]]", "--at", pair.name, cwd=pair.parent)
    assert done.returncode == 0, done.stderr
    response = json.loads(done.stdout)
    assert response["data"] == {"names": ["total"], "ndarray": [[7.0]]}
    assert response["meta"]["requestPath"] == {"scaler": "scaler:latest", "model": "model:latest"}


def test_predict_by_the_open_inference_protocol(pair: Path) -> None:
    done = command("predict", "[[1, 2]]", "--at", str(pair), "--protocol", "v2")
    assert done.returncode == 0, done.stderr
    response = json.loads(done.stdout)
    assert response["model_name"] == "pair"
    assert [(tensor["name"], tensor["data"]) for tensor in response["outputs"]] == [("output-0", [7.0])]


ERRORS = [
    (["[[1, 2, 3]]"], "error: component scaler: invalid request: "),
    (["[[1, 12345]]"], "error: component scaler: the class raised this exception"),
    (
        ["[[1, 2]]", "--set", "components.model.parameters.fails=true"],
        "error: component model: the class raised this exception",
    ),
]


@pytest.mark.parametrize(("words", "message"), ERRORS, ids=["bad request", "predict raises", "init raises"])
@pytest.mark.parametrize("protocol", ["v1", "v2"])
def test_errors_of_predict_name_the_component(words: list[str], message: str, protocol: str, pair: Path) -> None:
    done = command("predict", *words, "--at", str(pair), "--protocol", protocol)
    assert (done.returncode, done.stdout) == (1, "")
    assert message in done.stderr
    assert "seldon_spec/inference" not in done.stderr


def test_a_graph_whose_class_cannot_be_built_does_not_start(pair: Path) -> None:
    done = command("serve", str(pair), "--set", "components.model.parameters.fails=true")
    assert done.returncode == 1
    assert "OSError: no weights" in done.stderr
    assert "error: component model: the class raised this exception" in done.stderr


def test_the_log_names_the_component_that_is_loaded(pair: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        seldon_spec.make_app(seldon_spec.load(pair, {}))
    assert [record.message for record in caplog.records if record.name.endswith("progress")] == [
        "importing scaler (Scaler)",
        "loading scaler (Scaler)",
        "importing model (Model)",
        "loading model (Model)",
    ]


def test_make_app_serves_both_protocols(pair: Path) -> None:
    client = seldon_spec.make_app(seldon_spec.load(pair, {})).test_client()
    response = client.post("/api/v1.0/predictions", json={"data": {"ndarray": [[1, 2]]}})
    assert response.get_json()["data"]["ndarray"] == [[7.0]]
    tensor = {"name": "x", "datatype": "FP64", "shape": [1, 2], "data": [1, 2]}
    response = client.post("/v2/models/pair/infer", json={"inputs": [tensor]})
    assert response.get_json()["outputs"][0]["data"] == [7.0]
    response = client.post("/predict", json={"data": {"ndarray": [[1, 2, 3]]}})
    assert response.status_code == 400
    assert response.get_json()["status"]["info"].startswith("component scaler: ")


def test_the_contract_test_of_a_graph(pair: Path) -> None:
    seldon_spec.check_contract(pair)
    done = command("test", str(pair))
    assert done.returncode == 0, done.stdout
    assert "contract test of pair, in this process" in done.stdout
    assert "equal results: 250 comparisons OK" in done.stdout


def test_the_contract_test_finds_outputs_that_the_graph_does_not_declare(pair: Path) -> None:
    (pair / "seldon.yaml").write_text("name: pair\ngraph: [scaler, model]\noutputs: [one, two]\n")
    with pytest.raises(AssertionError, match=r"expected: output-0: the shape \[-1, 2\]"):
        seldon_spec.check_contract(pair, requests=5)


SPLIT = (
    "name: pair\ngraph:\n  split: {model: 1, other: 1}\ncomponents:\n  other: {path: model, parameters: {added: 2}}\n"
)


def test_the_contract_test_does_not_compare_what_is_split_at_random(
    pair: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (pair / "seldon.yaml").write_text(SPLIT)
    (pair / "model" / "seldon.yaml").write_text("class_name: Model\ninputs: [a, b]\noutputs: [total]\n")
    assert run(["test", str(pair)]) == 0
    printed = capsys.readouterr().out
    assert "note: a step of the graph splits requests at random: results are not compared" in printed
    assert "comparisons" not in printed


ROUTER = """
class Router:
    def route(self, X, names):
        return int(X[0, 0] > 0)
"""


def test_the_contract_test_does_not_send_rows_alone_that_a_router_would_send_elsewhere(
    pair: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (pair / "seldon.yaml").write_text(
        "name: pair\ngraph:\n  route: router\n  to: [model, other]\ncomponents:\n"
        "  other: {path: model, parameters: {added: 2}}\n  router: {class_name: Router, service_type: ROUTER}\n"
        "server: {validate_requests: warn}\n"
    )
    (pair / "Router.py").write_text(ROUTER)
    (pair / "model" / "seldon.yaml").write_text("class_name: Model\ninputs: [a, b]\noutputs: [total]\n")
    run(["test", str(pair)])
    printed = capsys.readouterr().out
    assert "equal results: 250 comparisons OK" in printed
    assert "no state between calls: 51 comparisons OK" in printed
    assert "rows alone" not in printed


def test_health_and_the_contract_test_of_a_running_graph(pair: Path, serve_folder: Serve) -> None:
    with serve_folder(pair) as server:
        environ = {**os.environ, **server.environ}
        words = [sys.executable, "-m", "seldon_spec"]
        done = subprocess.run([*words, "health"], cwd=pair, env=environ, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (0, f"ready: http://127.0.0.1:{server.http}\n")
        at = ["--at", f"http://127.0.0.1:{server.http}", "--at", f"grpc://127.0.0.1:{server.grpc}"]
        done = subprocess.run([*words, "test", *at], cwd=pair, env=environ, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    assert command("health", str(pair)).returncode == 1


def test_the_old_command_line_refers_to_the_new_one(
    pair: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(pair)
    assert microservice.run(["Model"]) == 1
    written = capsys.readouterr().err
    assert "this one has class_name and graph [graph-or-class]" in written
    assert "help: this command serves one class; for the graph, run: seldon-spec serve seldon.yaml" in written


def test_migrate_leaves_a_graph_alone(pair: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (pair / "Dockerfile").write_text(
        "FROM python:3.12\nENV MODEL_NAME Model\nCMD seldon-core-microservice $MODEL_NAME\n"
    )
    assert run(["migrate", str(pair)]) == 1
    assert "exists already; nothing was written" in capsys.readouterr().err
    assert (pair / "seldon.yaml").read_text() == FILES["seldon.yaml"]

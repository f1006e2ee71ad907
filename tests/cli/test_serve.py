"""Flags of ``serve``, ports that are taken, the name in metrics and metadata, and the stdout of ``predict``."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Mapping
from pathlib import Path

import pytest

from seldon_spec.config.layers.field_text import flag
from seldon_spec.config.loader import LoadOptions, load
from tests.conftest import OUR_COMMAND, Serve

MODEL = "class MyModel:\n    def predict(self, X, names):\n        return X\n"
COMMAND = (sys.executable, "-m", "seldon_spec")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "MyModel.py").write_text(MODEL)
    (tmp_path / "seldon.yaml").write_text("class_name: MyModel\n")
    return tmp_path


def _read(port: int, path: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as response:
        text: str = response.read().decode()
        return text


def _predict(port: int) -> None:
    body = json.dumps({"data": {"ndarray": [[1]]}}).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}/predict", body, {"Content-Type": "application/json"})
    urllib.request.urlopen(request, timeout=10).close()


NAMED = [
    ("none", "", {}, ("NOT_IMPLEMENTED", "NOT_IMPLEMENTED"), ("", [""])),
    ("the file's", "name: iris\nversion: '1.0'\n", {}, ("iris", "1.0"), ("iris", ["1.0"])),
    ("only a name", "name: iris\n", {}, ("iris", "NOT_IMPLEMENTED"), ("iris", [""])),
    ("the operator's", "name: iris\nversion: '1.0'\n", {"PREDICTIVE_UNIT_ID": "node", "PREDICTIVE_UNIT_IMAGE": "a/b:2"},
     ("node", "2"), ("a/b", ["2"])),
    ("the operator's id", "name: iris\nversion: '1.0'\n", {"PREDICTIVE_UNIT_ID": "node"}, ("node", "1.0"), ("iris", ["1.0"])),
    ("the metadata's", "name: iris\n", {"MODEL_METADATA": "{name: other, versions: [v9]}"},
     ("iris", "NOT_IMPLEMENTED"), ("other", ["v9"])),
    ("a variable's", "", {"SELDON_SPEC__NAME": "iris"}, ("iris", "NOT_IMPLEMENTED"), ("iris", [""])),
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "variables", "labels", "metadata"), [row[1:] for row in NAMED], ids=[row[0] for row in NAMED]
)
def test_name_and_version_are_in_metrics_and_metadata(
    folder: Path,
    serve_folder: Serve,
    text: str,
    variables: Mapping[str, str],
    labels: tuple[str, str],
    metadata: tuple[str, list[str]],
) -> None:
    (folder / "seldon.yaml").write_text(f"class_name: MyModel\n{text}")
    with serve_folder(folder, variables=variables) as server:
        _predict(server.http)
        page = _read(server.metrics, "/metrics")
        read = json.loads(_read(server.http, "/metadata"))
    line = next(line for line in page.splitlines() if 'model_name="' in line)
    assert f'model_name="{labels[0]}"' in line
    assert f'model_version="{labels[1]}"' in line
    assert (read["name"], read["versions"]) == metadata


def test_the_flags_of_serve_override_everything(folder: Path, serve_folder: Serve) -> None:
    (folder / "seldon.yaml").write_text("class_name: MyModel\nports: {http: 1}\nserver: {workers: 1, host: '::1'}\n")
    flags = "--port $PREDICTIVE_UNIT_HTTP_SERVICE_PORT --host 127.0.0.1 --workers 2 --set ports.http=2"
    command = ("sh", "-c", f"exec {sys.executable} -m seldon_spec serve {flags}")
    with serve_folder(folder, command, {"SELDON_SPEC__PORTS__HTTP": "1"}) as server:
        assert json.loads(_read(server.http, "/metadata"))["platform"] == ""


def test_a_flag_of_serve_is_named_where_it_is_wrong(folder: Path, command_environ: dict[str, str]) -> None:
    command = [*OUR_COMMAND, "--port", "x", "--workers", "0"]
    ended = subprocess.run(command, cwd=folder, env=command_environ, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "--port: error: ports.http is not an integer [type]" in ended.stderr
    assert "--workers: error: server.workers is out of range [range]" in ended.stderr


def test_the_origin_of_a_value_is_the_flag(folder: Path) -> None:
    path = ("ports", "http")
    spec = load(folder, {}, {path: "8080"}, options=LoadOptions({path: "--port"}))
    assert str(spec.origin(*path)) == "--port" == str(flag(path, "", "--port").origin)


TAKEN = [
    (OUR_COMMAND, ("--port PORT, ports.http in seldon.yaml", "--set ports.grpc=PORT", "--set ports.metrics=PORT")),
    (("seldon-core-microservice", "MyModel"), ("--http-port PORT", "--grpc-port PORT", "--metrics-port PORT")),
]


@pytest.mark.parametrize(("command", "remedies"), TAKEN, ids=["ours", "old"])
def test_every_port_in_use_is_reported_with_what_to_set(
    folder: Path, command: tuple[str, ...], remedies: tuple[str, ...], command_environ: dict[str, str]
) -> None:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in remedies]
    ports = [each.getsockname()[1] for each in held]
    (folder / "seldon.yaml").write_text(
        f"class_name: MyModel\nserver: {{host: 127.0.0.1}}\nports: {{http: {ports[0]}, grpc: {ports[1]}, metrics: {ports[2]}}}\n"
    )
    try:
        ended = subprocess.run(
            command, cwd=folder, env=command_environ, capture_output=True, text=True, check=False, timeout=60
        )
    finally:
        for each in held:
            each.close()
    assert ended.returncode == 1
    for key, port in zip(("http", "grpc", "metrics"), ports, strict=True):
        assert f"error: ports.{key}: cannot listen on 127.0.0.1:{port}: address already in use" in ended.stderr
    for remedy in remedies:
        assert remedy in ended.stderr


NOISY = """\
import atexit, os, subprocess, sys
print("noise of the import")
stdout = sys.stdout
class MyModel:
    def __init__(self):
        print("noise of __init__")
        os.write(1, b"noise of C\\n")
        subprocess.run(["echo", "noise of a process"], check=True)
        subprocess.Popen("sleep 0.1; echo noise afterwards", shell=True)
        atexit.register(print, "noise at the end", file=sys.stdout)
    def load(self):
        print("noise of load")
    def predict(self, X, names):
        print("noise of predict", file=stdout)
        return X
"""


def test_stdout_of_predict_holds_the_response_alone(folder: Path, command_environ: dict[str, str]) -> None:
    (folder / "MyModel.py").write_text(NOISY)
    command = [*COMMAND, "predict", "[[1]]"]
    ended = subprocess.run(command, cwd=folder, env=command_environ, capture_output=True, text=True, check=False)
    assert ended.returncode == 0
    assert json.loads(ended.stdout)["data"]["ndarray"] == [[1]]
    assert ended.stderr.count("noise") >= 6


FAILING = [
    ("raise ValueError('boom')", "ValueError: boom"),
    ("return object()", "Unknown data type returned as payload"),
]


@pytest.mark.parametrize(("body", "message"), FAILING, ids=["exception", "result"])
def test_predict_reports_a_failure_once(folder: Path, body: str, message: str, command_environ: dict[str, str]) -> None:
    (folder / "MyModel.py").write_text(f"class MyModel:\n    def predict(self, X, names):\n        {body}\n")
    command = [*COMMAND, "predict", "[[1]]"]
    ended = subprocess.run(command, cwd=folder, env=command_environ, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.count(message) == 1
    assert "ResultError" not in ended.stderr


@pytest.mark.parametrize("command", [["serve"], ["predict", "[[1]]"]], ids=lambda words: words[0])
def test_a_missing_argument_is_reported_once(folder: Path, command: list[str], command_environ: dict[str, str]) -> None:
    (folder / "MyModel.py").write_text(MODEL.replace("    def", "    def __init__(self, a): ...\n    def"))
    ended = subprocess.run(
        [*COMMAND, *command], cwd=folder, env=command_environ, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    assert ended.stderr.count("[missing-argument]") == 1
    assert "error: MyModel.__init__ needs" in ended.stderr


def test_health_says_that_the_server_is_ready(folder: Path, serve_folder: Serve) -> None:
    with serve_folder(folder) as server:
        ended = subprocess.run(
            [*COMMAND, "health"], cwd=folder, env=server.environ, capture_output=True, text=True, check=False
        )
    assert (ended.returncode, ended.stdout) == (0, f"ready: http://127.0.0.1:{server.http}\n")

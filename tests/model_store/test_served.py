"""Servers of models at URLs, the state of a server while it downloads, and the file in an image."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from io import BytesIO
from pathlib import Path

import joblib
import pytest
from sklearn.linear_model import LogisticRegression

from seldon_spec.app import load, make_app
from seldon_spec.model_store.fetch import download
from tests.model_store.conftest import Files

ReservePorts = Callable[[int], AbstractContextManager[list[int]]]

PATH = "/iris.joblib"


@pytest.fixture
def folder(files: Files, tmp_path: Path) -> Path:
    """A folder with a spec of a model at a URL."""
    stream = BytesIO()
    joblib.dump(LogisticRegression().fit([[0, 0], [1, 1], [2, 2]], ["a", "b", "c"]), stream)
    files.contents[PATH] = stream.getvalue()
    (tmp_path / "service").mkdir()
    (tmp_path / "service" / "seldon.yaml").write_text(f"model: {{path: '{files.url(PATH)}'}}\nserver: {{workers: 2}}\n")
    return tmp_path / "service"


@contextmanager
def _started(folder: Path, environ: dict[str, str], ports: list[int]) -> Iterator[subprocess.Popen[str]]:
    names = ("HTTP", "GRPC", "METRICS")
    variables = {f"PREDICTIVE_UNIT_{name}_SERVICE_PORT": str(port) for name, port in zip(names, ports, strict=True)}
    process = subprocess.Popen(
        [sys.executable, "-m", "seldon_spec", "serve", "--set", "server.host=127.0.0.1"],
        cwd=folder,
        env={**environ, **variables, "HOME": str(folder.parent)},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def _get(port: int, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def _read_until(process: subprocess.Popen[str], text: str) -> str:
    assert process.stderr is not None
    seen = ""
    for line in process.stderr:
        seen += line
        if text in line:
            return seen
    pytest.fail(seen)


def test_a_server_is_alive_and_not_ready_while_it_downloads(
    files: Files, folder: Path, command_environ: dict[str, str], reserve_ports: ReservePorts
) -> None:
    files.gate.clear()
    with reserve_ports(3) as ports, _started(folder, command_environ, ports) as process:
        assert files.arrived.wait(60)
        assert _get(ports[0], "/live")[0] == 200
        end, body = time.monotonic() + 60, ""
        while "downloading" not in body:  # the other worker may answer, and not have come so far
            assert time.monotonic() < end
            status, body = _get(ports[0], "/ready")
            assert status == 503
        files.gate.set()
        for worker in range(2):
            log = _read_until(process, "ready")
            assert worker or "downloading" in log
        assert _get(ports[0], "/ready")[0] == 200
        assert len(files.requests) == 1
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


def test_a_download_that_fails_ends_the_server(
    files: Files, folder: Path, command_environ: dict[str, str], reserve_ports: ReservePorts
) -> None:
    files.contents.clear()
    with reserve_ports(3) as ports, _started(folder, command_environ, ports) as process:
        _, log = process.communicate(timeout=60)
        assert process.returncode == 1
    assert f"error: model.path: {files.url(PATH)} cannot be downloaded: HTTP 404" in log
    assert "Traceback" not in log


def test_the_file_of_an_image_needs_no_download(files: Files, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder.parent))
    download(folder, files.url(PATH), None)
    files.contents.clear()
    client = make_app(load(folder, {})).test_client()
    body = json.dumps({"data": {"ndarray": [[2, 2], [0, 0]]}})
    response = client.post("/predict", data=body, content_type="application/json")
    assert response.get_json()["data"]["ndarray"] == ["c", "a"]
    assert len(files.requests) == 1
    assert not (Path(os.environ["HOME"]) / ".cache").exists()

"""Servers in threads of this process: for a path, a spec and a class, with both transports."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from types import ModuleType
from typing import IO, Any
from urllib.error import HTTPError
from urllib.parse import urlsplit

import grpc
import numpy as np
import pytest

import seldon_spec
from seldon_spec.cli.main import run
from seldon_spec.errors import BindFailed, ComponentFailed, SeldonSpecError, SpecError
from seldon_spec.protocols.seldon_v1.proto import SeldonMessage

SOURCE = """\
import os

class Scaler:
    def __init__(self, factor: float = 2):
        self.factor = factor
        self.folder = os.getcwd()

    def predict(self, X, names):
        return X * self.factor

    def tags(self):
        return {"mode": os.environ.get("SCALER_MODE", ""), "folder": self.folder}
"""


class Doubler:
    def predict(self, rows: Any, _names: object) -> Any:
        return rows * 2


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "Scaler.py").write_text(SOURCE)
    (tmp_path / "seldon.yaml").write_text("class_name: Scaler\nparameters: {factor: 3}\n")
    return tmp_path


def fetch(url: str, body: object = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=20) as response:
        text = response.read()
    return json.loads(text) if response.headers.get_content_type() == "application/json" else text.decode()


def predict(server: seldon_spec.RunningServer, value: float = 5) -> Any:
    return fetch(f"{server.url}/predict", {"data": {"ndarray": [[value]]}})


def first(server: seldon_spec.RunningServer) -> Any:
    return predict(server)["data"]["ndarray"][0][0]


def call_grpc(server: seldon_spec.RunningServer, value: float = 5) -> Any:
    assert server.grpc_url is not None
    message = SeldonMessage()
    message.data.tensor.shape.extend([1, 1])
    message.data.tensor.values.append(value)
    with grpc.insecure_channel(urlsplit(server.grpc_url).netloc) as channel:
        method = channel.unary_unary("/seldon.protos.Model/Predict", None, SeldonMessage.FromString)
        return method(message.SerializeToString(), timeout=20).data.tensor.values[0]


@pytest.fixture
def wait_for_threads() -> Callable[[], None]:
    """Return a function that waits for the end of the threads that servers have started since the start of the test."""
    before = set(threading.enumerate())

    def wait() -> None:
        for thread in set(threading.enumerate()) - before:
            if thread.name.startswith("seldon-spec"):
                thread.join(20)
                assert not thread.is_alive()

    return wait


TARGETS: Mapping[str, tuple[Callable[[Path], Any], float]] = {
    "text": (str, 15),
    "path": (lambda folder: folder / "seldon.yaml", 15),
    "spec": (lambda folder: seldon_spec.load(folder, {}), 15),
    "class": (lambda _: Doubler, 10),
}


@pytest.mark.parametrize(("make", "expected"), TARGETS.values(), ids=TARGETS)
def test_both_transports_respond(folder: Path, make: Callable[[Path], Any], expected: float) -> None:
    before = Path.cwd()
    with seldon_spec.serve(make(folder)) as server:
        assert urlsplit(server.url).hostname == "127.0.0.1"
        assert first(server) == call_grpc(server) == expected
        assert fetch(f"{server.url}/v2/health/ready") == {"ready": True}
        assert "seldon_spec_call_seconds" in fetch(server.metrics_url)
        assert server.is_running
        assert server.url in repr(server)
        assert Path.cwd() == before
    assert not server.is_running
    assert repr(server).endswith(", stopped>")


def test_the_class_is_loaded_in_the_folder_of_its_spec(folder: Path) -> None:
    with seldon_spec.serve(folder) as server:
        assert predict(server)["meta"]["tags"]["folder"] == str(folder)


TLS = Path(__file__).parent / "tls"
ADDRESSES = {
    "all-addresses": ("host: 0.0.0.0", "http://127.0.0.1:", "grpc://127.0.0.1:"),
    "ipv6": ("host: '::1'", "http://[::1]:", "grpc://[::1]:"),
    "tls": (
        f"tls: {{certificate: {TLS}/server.pem, key: {TLS}/server-key.pem}}",
        "https://127.0.0.1:",
        "grpcs://127.0.0.1:",
    ),
}


@pytest.mark.parametrize(("server", "url", "grpc_url"), ADDRESSES.values(), ids=ADDRESSES)
def test_the_urls_reach_the_server(folder: Path, server: str, url: str, grpc_url: str) -> None:
    (folder / "seldon.yaml").write_text(f"class_name: Scaler\nserver: {{{server}}}\n")
    with seldon_spec.serve(folder) as running:
        assert running.url.startswith(url)
        assert running.metrics_url.startswith(url)
        assert running.grpc_url is not None
        assert running.grpc_url.startswith(grpc_url)
        for each in (running.url, running.metrics_url, running.grpc_url):
            at = urlsplit(each)
            socket.create_connection((str(at.hostname), int(at.port or 0)), timeout=20).close()


def test_flags_and_variables_set_fields(folder: Path) -> None:
    environ = {"SELDON_SPEC__PORTS__GRPC": "null"}
    with seldon_spec.serve(folder, environ=environ, flags={("parameters", "factor"): "7"}) as server:
        assert first(server) == 35
        assert server.grpc_url is None


def test_a_class_takes_its_arguments_from_flags() -> None:
    class Adder:
        def __init__(self, offset: float) -> None:
            self.offset = offset

        def predict(self, rows: Any, _names: object) -> Any:
            return rows + self.offset

    with seldon_spec.serve(Adder, environ={}, flags={("parameters", "offset"): "0.5"}) as server:
        assert first(server) == 5.5


def test_two_servers_at_a_time(folder: Path) -> None:
    with seldon_spec.serve(folder) as one, seldon_spec.serve(Doubler) as two:
        assert (first(one), first(two)) == (15, 10)
        assert (call_grpc(one), call_grpc(two)) == (15, 10)
        one.stop()
        assert first(two) == 10


def test_stop_frees_the_ports(reserve_ports: Callable[[int], AbstractContextManager[list[int]]]) -> None:
    with reserve_ports(3) as ports:
        for _ in range(2):
            server = seldon_spec.serve(Doubler, ports=ports)
            assert server.url == f"http://127.0.0.1:{ports[0]}"
            assert server.grpc_url == f"grpc://127.0.0.1:{ports[1]}"
            assert server.metrics_url == f"http://127.0.0.1:{ports[2]}/metrics"
            with pytest.raises(BindFailed, match=f"ports.http: cannot listen on 127.0.0.1:{ports[0]}"):
                seldon_spec.serve(Doubler, ports={"http": ports[0], "grpc": None})
            server.stop()
            server.stop()


def test_an_unused_server_frees_its_ports(wait_for_threads: Callable[[], None]) -> None:
    server = seldon_spec.serve(Doubler)
    address = urlsplit(server.url)
    del server
    gc.collect()
    wait_for_threads()
    socket.create_server((str(address.hostname), int(address.port or 0))).close()


def test_a_class_that_fails_to_load(wait_for_threads: Callable[[], None]) -> None:
    class Broken:
        def load(self) -> None:
            raise OSError("no weights")

    with pytest.raises(ComponentFailed) as caught:
        seldon_spec.serve(Broken)
    assert isinstance(caught.value.__cause__, OSError)
    assert str(caught.value.__cause__) == "no weights"
    wait_for_threads()


def test_an_invalid_spec_prints_as_by_validate(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "seldon.yaml").write_text("class_name: Scaler\nserver: {workers: many}\n")
    with pytest.raises(SpecError) as caught:
        seldon_spec.serve(folder)
    assert run(["validate", str(folder)]) == 1
    assert f"{caught.value}\n" == capsys.readouterr().err


def test_inside_a_running_event_loop(folder: Path) -> None:
    async def use() -> tuple[float, float]:
        with seldon_spec.serve(folder) as server:
            loop = asyncio.get_running_loop()
            results = await asyncio.gather(*(loop.run_in_executor(None, first, server) for _ in range(2)))
        assert asyncio.get_running_loop() is loop
        return results[0], results[1]

    assert asyncio.run(use()) == (15, 15)


def test_a_redefined_class_is_served_by_the_next_call() -> None:
    cells: dict[str, Any] = {"np": np, "__name__": "__main__"}
    cell = "class Model:\n    def predict(self, X, names):\n        return np.full((1, 1), {})\n"
    for version in (1, 2):
        exec(cell.format(version), cells)
        with seldon_spec.serve(cells["Model"]) as server:
            assert first(server) == version


@pytest.mark.parametrize("has_file", [True, False], ids=["file", "notebook"])
def test_a_class_can_use_the_request_of_flask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_file: bool) -> None:
    source = "import flask\n\nclass Model:\n    def predict(self, X, names):\n        return [flask.request.path]\n"
    module = ModuleType("flask_model")
    if has_file:
        module.__file__ = str(tmp_path / "flask_model.py")
        (tmp_path / "flask_model.py").write_text(source)
    monkeypatch.setitem(sys.modules, "flask_model", module)
    exec(source, vars(module))
    with seldon_spec.serve(module.Model) as server:
        assert predict(server)["data"]["ndarray"] == ["/predict"]


def test_the_log_of_the_process_is_kept(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    (folder / "seldon.yaml").write_text("class_name: Scaler\nserver: {log: {format: json, level: ERROR}}\n")
    before = (list(logging.root.handlers), logging.root.level, sys.stdout)
    caplog.set_level(logging.INFO, "seldon_spec")
    with seldon_spec.serve(folder):
        assert (logging.root.handlers, logging.root.level, sys.stdout) == before
    assert "draining open requests" in caplog.text


def test_variables_are_set_while_a_server_needs_them(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SCALER_MODE", raising=False)
    file = folder / "seldon.yaml"
    file.write_text("class_name: Scaler\nenvironment: {SCALER_MODE: fast}\n")
    one, two = seldon_spec.serve(folder), seldon_spec.serve(folder)
    file.write_text("class_name: Scaler\nenvironment: {SCALER_MODE: slow}\n")
    with pytest.raises(SeldonSpecError, match=r"environment\.SCALER_MODE: another server"):
        seldon_spec.serve(folder)
    one.stop()
    assert predict(two)["meta"]["tags"]["mode"] == "fast"
    two.stop()
    assert "SCALER_MODE" not in os.environ
    with seldon_spec.serve(folder) as third:
        assert predict(third)["meta"]["tags"]["mode"] == "slow"


def test_stop_finishes_open_requests_until_its_timeout() -> None:
    started, end = threading.Event(), threading.Event()

    class Waiting:
        def predict(self, rows: Any, _names: object) -> Any:
            started.set()
            end.wait(20)
            return rows

    with ThreadPoolExecutor(2) as pool:
        server = seldon_spec.serve(Waiting)
        response = pool.submit(first, server)
        assert started.wait(20)
        stopping = pool.submit(server.stop)
        end.set()
        stopping.result()
        assert response.result() == 5
        started.clear()
        end.clear()
        server = seldon_spec.serve(Waiting)
        response = pool.submit(first, server)
        assert started.wait(20)
        address = urlsplit(server.url)
        server.stop(timeout=0)
        with pytest.raises(HTTPError, match="503") as caught:
            response.result()
        caught.value.close()
        with socket.create_server((str(address.hostname), int(address.port or 0))):
            end.set()


WRONG: Mapping[str, tuple[object, Mapping[str, Any], type[Exception], str]] = {
    "number": (5, {}, TypeError, "serve takes a path, a Spec or a class, not int"),
    "object": (Doubler(), {}, TypeError, "serve takes a path, a Spec or a class, not Doubler"),
    "two-ports": (Doubler, {"ports": (0, 0)}, ValueError, "zip"),
    "unknown-port": (Doubler, {"ports": {"rest": 0}}, TypeError, "rest"),
    "no-http": (Doubler, {"ports": {"http": None}}, ValueError, "None disables gRPC only"),
}


@pytest.mark.parametrize(("target", "options", "error", "text"), WRONG.values(), ids=WRONG)
def test_wrong_arguments(target: Any, options: Mapping[str, Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        seldon_spec.serve(target, **options)


def test_a_spec_has_its_flags_already(folder: Path) -> None:
    with pytest.raises(TypeError, match=r"pass them to seldon_spec\.load"):
        seldon_spec.serve(seldon_spec.load(folder, {}), flags={("name",): "other"})


SCRIPT = """\
import sys, threading, seldon_spec

started = threading.Event()

class Waiting:
    def predict(self, X, names):
        started.set()
        sys.stdin.readline()
        return X

"""


@contextlib.contextmanager
def running(script: str, environ: dict[str, str]) -> Iterator[tuple[subprocess.Popen[str], IO[str], IO[str]]]:
    """Run a script; the streams are its stdin and stdout."""
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT + script],
        env=environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield process, process.stdin, process.stdout
        finally:
            process.kill()


def test_the_exit_of_the_interpreter_waits_for_open_requests(command_environ: dict[str, str]) -> None:
    script = "server = seldon_spec.serve(Waiting)\nprint(server.url, flush=True)\nstarted.wait()\n"
    script += "import atexit; atexit.register(print, 'exiting', flush=True)\n"
    with ThreadPoolExecutor(1) as pool, running(script, command_environ) as (process, stdin, stdout):
        url = stdout.readline().strip()
        response = pool.submit(fetch, f"{url}/predict", {"data": {"ndarray": [[1]]}})
        assert stdout.readline() == "exiting\n"
        stdin.write("\n")
        stdin.flush()
        assert response.result()["data"]["ndarray"] == [[1]]
        assert process.wait(20) == 0


def test_without_background_it_serves_until_an_interrupt(command_environ: dict[str, str]) -> None:
    script = "import logging; logging.basicConfig(level=logging.INFO, stream=sys.stdout, format='%(message)s')\n"
    script += "print(seldon_spec.serve(Waiting, background=False))\n"
    with running(script, command_environ) as (process, _, stdout):
        url = next(line for line in stdout if line.startswith("REST on ")).split()[2].rstrip(",")
        assert fetch(f"{url}/ready") == "ready"
        process.send_signal(signal.SIGINT)
        assert stdout.read().endswith("<RunningServer waiting, stopped>\n")
        assert process.wait(20) == 0


def test_the_plugin(folder: Path, command_environ: dict[str, str]) -> None:
    (folder / "conftest.py").write_text('pytest_plugins = ["seldon_spec.pytest_plugin"]\n')
    (folder / "test_scaler.py").write_text(
        "from pathlib import Path\nfrom urllib.request import urlopen\n\nfrom Scaler import Scaler\n\nservers = []\n\n\n"
        "def test_ready(seldon_server):\n"
        "    servers.extend([seldon_server(Path(__file__).parent), seldon_server(Scaler, ports={'grpc': None})])\n"
        "    assert servers[1].grpc_url is None\n"
        "    for server in servers:\n        assert urlopen(f'{server.url}/ready').status == 200\n\n\n"
        "def test_stopped():\n    assert [server.is_running for server in servers] == [False, False]\n"
    )
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "."],
        cwd=folder,
        env=command_environ,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "2 passed" in result.stdout

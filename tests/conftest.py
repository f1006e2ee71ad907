"""The suite's own options, and a real server that every test of documents and examples can start."""

from __future__ import annotations

import contextlib
import functools
import gc
import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

import grpc
import hypothesis
import pytest
import typer

from seldon_spec.config.model import PortsSpec, ServerSpec, Spec
from seldon_spec.process.signals import ServerSignals
from seldon_spec.process.worker import WorkerContext, run_worker
from seldon_spec.process.worker_messages import READY
from seldon_spec.server.sockets import bind_sockets, port_of

hypothesis.settings.register_profile("without timings", deadline=None)
hypothesis.settings.load_profile("without timings")

START_SECONDS = 60
STOP_SECONDS = 30


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("seldon-spec")
    group.addoption("--rewrite-golden", action="store_true", help="write the golden files anew instead of comparing")
    group.addoption("--clients", metavar="DIR", help="the folder with the environments of other projects' clients")
    group.addoption("--screenshots", metavar="DIR", help="write images of the web page to the folder")
    group.addoption("--installed", action="store_true", help="the package under test has to be an installed wheel")


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable() -> Generator[None, Any, Any]:
    """Escape lone surrogates, which captured logs hold and pytest-xdist cannot send to its main process."""
    return _escape_surrogates((yield))


def _escape_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {key: _escape_surrogates(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_escape_surrogates(each) for each in value]
    return value


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, Any, Any]:
    """Exclude the collected tests from garbage collection: to scan them takes longer than most modules of tests."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()


@dataclass(frozen=True)
class RunningServer:
    """A ``seldon-spec serve`` that answers; its log is complete once the server has ended."""

    http: int
    grpc: int
    metrics: int
    environ: Mapping[str, str]


OUR_COMMAND = (sys.executable, "-m", "seldon_spec", "serve")


class Serve(Protocol):
    """Starts a server in a folder, by our command or by another, with further variables."""

    def __call__(
        self, folder: Path, command: Sequence[str] = OUR_COMMAND, variables: Mapping[str, str] = ...
    ) -> AbstractContextManager[RunningServer]: ...


@pytest.fixture(scope="session")
def command_environ() -> dict[str, str]:
    """An environment in which ``seldon-spec`` is the one under test, and no setting of the caller's is left."""
    kept = {name: os.environ[name] for name in ("HOME", "LANG", "TMPDIR") if name in os.environ}
    return {**kept, "PATH": os.pathsep.join([sysconfig.get_path("scripts"), os.environ["PATH"]]), "PYTHONWARNINGS": ""}


@pytest.fixture(scope="module", autouse=True)
def collect_garbage() -> Iterator[None]:
    """Raise what finalizers warn of, such as a file left open, in the module that caused it."""
    yield
    gc.collect()


@pytest.fixture(scope="session", autouse=True)
def build_command_line_once() -> Iterator[None]:
    """Keep the parser of the command line, which Typer builds in each call; that takes longer than most commands."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(typer.main, "get_command", functools.cache(typer.main.get_command))
        yield


@contextlib.contextmanager
def reserving(count: int) -> Iterator[list[int]]:
    """Reserve loopback ports: until the end, the kernel picks none of them for another socket of this machine.

    A server that sets SO_REUSEADDR can listen on them, since the sockets that hold them do not listen.
    """
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in held:
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            each.bind(("127.0.0.1", 0))
        yield [int(each.getsockname()[1]) for each in held]


@pytest.fixture(scope="session")
def reserve_ports() -> Callable[[int], AbstractContextManager[list[int]]]:
    """``reserving``, for the tests."""
    return reserving


@pytest.fixture(scope="session")
def serve_folder(command_environ: dict[str, str]) -> Serve:
    """Start a server in a folder on free loopback ports, wait until it is ready, and stop it at last."""

    @contextlib.contextmanager
    def serve(
        folder: Path, command: Sequence[str] = OUR_COMMAND, variables: Mapping[str, str] = MappingProxyType({})
    ) -> Iterator[RunningServer]:
        with reserving(3) as (http, grpc, metrics), tempfile.TemporaryFile("w+") as log:
            place = {
                "PREDICTIVE_UNIT_HTTP_SERVICE_PORT": str(http),
                "PREDICTIVE_UNIT_GRPC_SERVICE_PORT": str(grpc),
                "PREDICTIVE_UNIT_METRICS_SERVICE_PORT": str(metrics),
                "SELDON_SPEC__SERVER__HOST": "127.0.0.1",
            }
            environ = {**command_environ, **place, **variables}
            process = subprocess.Popen(command, cwd=folder, env=environ, stderr=log)
            try:
                _wait_until_ready(process, http)
                yield RunningServer(http, grpc, metrics, environ)
                process.send_signal(signal.SIGTERM)
                assert process.wait(timeout=STOP_SECONDS) == 0
            except BaseException:
                log.seek(0)
                sys.stderr.write(log.read())
                raise
            finally:
                process.kill()
                process.wait()

    return serve


def _wait_until_ready(process: subprocess.Popen[bytes], http: int) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        with contextlib.suppress(urllib.error.URLError, OSError):
            urllib.request.urlopen(f"http://127.0.0.1:{http}/ready", timeout=5).close()
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            pytest.fail(f"the server ended with exit code {process.wait(timeout=0.05)}")
    pytest.fail(f"the server was not ready after {START_SECONDS} seconds")


@dataclass
class Running:
    """A server and the simplest clients for it."""

    http_port: int
    metrics_port: int
    grpc_port: int
    channel: grpc.Channel = field(init=False)

    def __post_init__(self) -> None:
        # without the limit of a client, so that the server's own is what is tested
        self.channel = grpc.insecure_channel(
            f"127.0.0.1:{self.grpc_port}", options=[("grpc.max_receive_message_length", -1)]
        )

    def rest(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        port: int | None = None,
    ) -> tuple[int, Mapping[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", port or self.http_port, timeout=20)
        try:
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            return response.status, response.headers, response.read()  # type: ignore[return-value]
        finally:
            connection.close()

    def post(self, body: bytes, path: str = "/predict") -> tuple[int, Mapping[str, str], bytes]:
        return self.rest("POST", path, body, {"Content-Type": "application/json"})

    def call(self, wire: bytes, method: str = "/seldon.protos.Model/Predict") -> bytes:
        answer: bytes = self.channel.unary_unary(method, None, None)(wire, timeout=20)
        return answer


def make_spec(folder: Path, class_name: str, **more: Any) -> Spec:
    server = more.pop("server", ServerSpec(host="127.0.0.1"))
    return Spec(class_name=class_name, folder=folder, name="model", ports=PortsSpec(0, 0, 0), server=server, **more)


@contextlib.contextmanager
def serving(spec: Spec) -> Iterator[Running]:
    sockets = bind_sockets(spec)
    signals, ready = ServerSignals(), threading.Event()
    failures: list[BaseException] = []

    def run() -> None:
        try:
            run_worker(WorkerContext(spec, sockets, signals, lambda message: ready.set() if message == READY else None))
        except BaseException as error:
            failures.append(error)
            ready.set()

    thread = threading.Thread(target=run)
    assert sockets.grpc is not None
    running = Running(port_of(sockets.http), port_of(sockets.metrics), port_of(sockets.grpc))
    thread.start()
    try:
        assert ready.wait(20)
        if failures:
            raise failures[0]
        yield running
    finally:
        running.channel.close()
        if signals.callback is not None:
            signals.callback(signal.SIGTERM)
        thread.join(20)
        sockets.close()
    assert not thread.is_alive()


@pytest.fixture(scope="session")
def serve_in_thread() -> Callable[..., AbstractContextManager[Running]]:
    """Serves a class of a folder in a thread of this process; more keywords are fields of its Spec."""
    return lambda folder, class_name, **more: serving(make_spec(folder, class_name, **more))


@pytest.fixture
def enter_case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], list[str]]:
    """Change to the folder of a case in tests/cases, with its variables; return its further arguments.

    Cases of graphs whose classes are those of ``graph_parts.py`` run in a copy with this module.
    """

    def enter(case: Path) -> list[str]:
        folder = case
        graphs = case.rglob("seldon.yaml") if case.name.startswith("graph") else ()
        users = [file.parent.relative_to(case) for file in graphs if "parts." in file.read_text()]
        if users:
            folder = tmp_path / case.name
            shutil.copytree(case, folder)
            for user in users:
                shutil.copy(case.parents[1] / "graph_parts.py", folder / user / "parts.py")
        monkeypatch.chdir(folder)
        for line in _read_lines(case / "env"):
            monkeypatch.setenv(*line.split("=", 1))
        return _read_lines(case / "args")

    return enter


def _read_lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.is_file() else []

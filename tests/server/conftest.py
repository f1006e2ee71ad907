"""A server in a process of its own, as users start it: signals, exit codes and what it logs."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import queue
import re
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.server.preloaded import Forked, Preloaded

collect_ignore = [] if find_spec("schemathesis") else ["test_openapi_generated.py"]
"""Requires Python 3.11; pytest-xdist cannot skip a whole module."""

DRIVER = """
import json, sys
from pathlib import Path
from seldon_spec.process.run import serve
from seldon_spec.config.model import AuthSpec, LogFormat, LogSpec, PortsSpec, ServerSpec, ServiceType, ShutdownSpec, Spec
from seldon_spec.config.model import BatchingSpec, TlsSpec

given = json.loads(sys.argv[1])
if given["server"].get("batching"):
    given["server"]["batching"] = BatchingSpec(**given["server"]["batching"])
server = ServerSpec(
    host="127.0.0.1",
    workers=given["workers"],
    request_timeout_seconds=given["timeout"],
    shutdown=ShutdownSpec(given["grace"], given["delay"]),
    log=LogSpec(format=LogFormat(given["log"]), access=given["access"]),
    tls=TlsSpec(**given["tls"]) if given["tls"] else None,
    auth=AuthSpec(tuple(given["tokens"])) if given["tokens"] else None,
    **given["server"],
)
serve(Spec(
    class_name=given["class_name"], folder=Path(given["folder"]), name="m", server=server,
    ports=PortsSpec(*given["ports"]), service_type=ServiceType(given["service_type"]),
))
"""

WAIT_SECONDS = 20


def read_processes() -> dict[int, tuple[int, str]]:
    """Each process of the machine, with its parent and its state."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                words = (entry / "stat").read_text().rpartition(")")[2].split()
                found[int(entry.name)] = (int(words[1]), words[0])
    return found


class Watch:
    """Holds on to processes, and knows when they have ended, whose children they may be by then."""

    def __init__(self, pids: Iterable[int]) -> None:
        self._handles = [os.pidfd_open(pid) for pid in pids]

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *_exc: object) -> None:
        for handle in self._handles:
            os.close(handle)

    def all_end(self) -> bool:
        return all(select.select([handle], [], [], WAIT_SECONDS)[0] for handle in self._handles)


class Server:
    """A running process, first of a session of its own, and the lines it has logged."""

    def __init__(self, process: subprocess.Popen[str] | Forked) -> None:
        self.process = process
        self.lines: list[str] = []
        self._queue: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self._queue.put(line)
        self._queue.put(None)

    def wait_for(self, pattern: str) -> re.Match[str]:
        """The first line, of those not yet seen, in which the pattern is found."""
        while True:
            line = self._queue.get(timeout=WAIT_SECONDS)
            assert line is not None, f"{pattern} was never logged:\n" + "".join(self.lines)
            self.lines.append(line)
            if match := re.search(pattern, line):
                return match

    def wait_until_ready(self) -> Server:
        self.http_port = int(self.wait_for(r"REST on https?://127.0.0.1:(\d+)")[1])
        self.metrics_port = int(self.wait_for(r"metrics on https?://127.0.0.1:(\d+)")[1])
        self.grpc_port = int(self.wait_for(r"gRPC on 127.0.0.1:(\d+)")[1])
        self.wait_for(r'supervisor(: |", "message": ")ready')
        return self

    def count(self, pattern: str) -> int:
        """In how many of the lines seen the pattern is found."""
        return sum(re.search(pattern, line) is not None for line in self.lines)

    def wait_for_addresses(self) -> Server:
        self.http_port = int(self.wait_for(r"REST on https?://127.0.0.1:(\d+)")[1])
        return self

    def workers(self) -> set[int]:
        """The processes of the workers there are now."""
        return {pid for pid, (parent, state) in read_processes().items() if parent == self.process.pid and state != "Z"}

    def watch(self) -> Watch:
        """Of the workers there are now."""
        return Watch(self.workers())

    def rest(self, method: str, path: str, body: str | None = None, port: int | None = None) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", port or self.http_port, timeout=WAIT_SECONDS)
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def predict(self, text: str = "x") -> tuple[int, Any]:
        status, body = self.rest("POST", "/predict", json.dumps({"strData": text}))
        return status, json.loads(body)

    def metrics(self) -> str:
        return self.rest("GET", "/metrics", port=self.metrics_port)[1].decode()

    def call(self, wire: bytes, method: str = "/seldon.protos.Model/Predict") -> bytes:
        with grpc.insecure_channel(f"127.0.0.1:{self.grpc_port}") as channel:
            answer: bytes = channel.unary_unary(method, None, None)(wire, timeout=WAIT_SECONDS)
            return answer

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        """The exit code; what was logged until then is in ``lines``."""
        code = self.process.wait(WAIT_SECONDS)
        self._reader.join(WAIT_SECONDS)
        while (line := self._queue.get(timeout=1)) is not None:
            self.lines.append(line)
        return code

    @property
    def log(self) -> str:
        return "".join(self.lines)

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(WAIT_SECONDS)
        self._reader.join(WAIT_SECONDS)
        assert self.process.stderr is not None
        self.process.stderr.close()


def launch(command: Sequence[str], environ: Mapping[str, str] | None = None) -> Server:
    return Server(subprocess.Popen(command, env=environ, stderr=subprocess.PIPE, text=True, start_new_session=True))


class Gate:
    """Two pipes at which a model meets its test, in both directions, without either of them polling."""

    def __init__(self, folder: Path) -> None:
        self._entered, self._release = folder / "entered", folder / "release"
        os.mkfifo(self._entered)
        os.mkfifo(self._release)

    def wait_until_entered(self) -> None:
        entered = os.open(self._entered, os.O_RDONLY | os.O_NONBLOCK)
        try:
            assert select.select([entered], [], [], WAIT_SECONDS)[0], "the model has not met its test"
        finally:
            os.close(entered)

    def release(self) -> None:
        self._release.open("w").close()


GATED = """
import os
HERE = os.path.dirname(os.path.abspath(__file__))

def pass_gate():
    open(os.path.join(HERE, "entered"), "w").close()
    open(os.path.join(HERE, "release")).close()
"""


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    (tmp_path / "gated.py").write_text(GATED)
    return Gate(tmp_path)


def driver_argument(folder: Path, class_name: str, **more: Any) -> str:
    given = {"ports": [0, 0, 0], "workers": 1, "timeout": None, "grace": 10, "delay": 0, "log": "text", "access": False}
    given |= {"service_type": "MODEL", "tls": None, "tokens": [], "server": {}}
    return json.dumps(given | {"folder": str(folder), "class_name": class_name, **more})


@pytest.fixture(scope="session")
def preloaded() -> Iterator[Preloaded | None]:
    """What forks the servers; modules that test the processes themselves replace it by None, for new processes."""
    with Preloaded() as process:
        yield process


@contextlib.contextmanager
def starting(folder: Path, preloaded: Preloaded | None) -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def begin(source: str, prefix: Sequence[str] = (), **more: Any) -> Server:
        (folder / "Served.py").write_text(source)
        given = driver_argument(folder, "Served", **more)
        if preloaded is None or prefix:
            servers.append(launch([*prefix, sys.executable, "-c", DRIVER, given]))
        else:
            servers.append(Server(preloaded.start(DRIVER, given)))
        return servers[-1]

    try:
        yield begin
    finally:
        for server in servers:
            server.end()


@pytest.fixture
def start(tmp_path: Path, preloaded: Preloaded | None) -> Iterator[Callable[..., Server]]:
    with starting(tmp_path, preloaded) as begin:
        yield begin


class Beside:
    """A folder with a class and a seldon.yaml, and the server of our command that reads it."""

    def __init__(self, folder: Path, environ: Mapping[str, str], ports: Sequence[int]) -> None:
        self.folder, self._environ = folder, environ
        self._servers: list[Server] = []
        self._ports = dict(zip(("http", "grpc", "metrics"), ports, strict=True))

    def write_class(self, source: str) -> None:
        (self.folder / "Served.py").write_text(source)

    def write_spec(self, text: str = "", server: str = "", **ports: int) -> None:
        """The spec's other keys, and those of ``server``."""
        listed = ", ".join(f"{name}: {port}" for name, port in {**self._ports, **ports}.items())
        head = f"class_name: Served\nports: {{{listed}}}\nserver: {{host: 127.0.0.1{server and f', {server}'}}}\n"
        (self.folder / "seldon.yaml").write_text(head + text)

    def start(self, *words: str, prefix: Sequence[str] = (), **variables: str) -> Server:
        command = [*prefix, sys.executable, "-m", "seldon_spec", "serve", str(self.folder), *words]
        self._servers.append(launch(command, {**self._environ, **variables}))
        return self._servers[-1]

    def end(self) -> None:
        for server in self._servers:
            server.end()


@pytest.fixture
def beside(
    tmp_path: Path, command_environ: dict[str, str], reserve_ports: Callable[[int], AbstractContextManager[list[int]]]
) -> Iterator[Beside]:
    with reserve_ports(3) as ports:
        made = Beside(tmp_path, command_environ, ports)
        yield made
        made.end()


FIRST = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")


@pytest.fixture
def first() -> Sequence[str]:
    """The prefix of a command that is to be the first process, as in a container."""
    try:
        subprocess.run([*FIRST, "true"], capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("a process namespace of its own is not allowed here")
    return FIRST


@pytest.fixture(scope="module")
def start_for_module(
    tmp_path_factory: pytest.TempPathFactory, preloaded: Preloaded | None
) -> Iterator[Callable[..., Server]]:
    """Like ``start``, for servers that several tests ask; all of them serve one class."""
    with starting(tmp_path_factory.mktemp("served"), preloaded) as begin:
        yield begin

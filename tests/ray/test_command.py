"""The command ``ray``, on a cluster of its own and on an existing one."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import psutil
import pytest

from tests.ray.conftest import MODELS, START_SECONDS, TOKEN, Gate, Place
from tests.ray.existing_cluster import run_nodes

Reserve: TypeAlias = Callable[[int], AbstractContextManager[list[int]]]
JSON = {"Content-Type": "application/json", "Authorization": f"Bearer {TOKEN}"}
ROWS = b'{"data": {"ndarray": [[1.0, 2.0]]}}'


@dataclass
class Command:
    """A running command, and what it has written to stderr."""

    process: subprocess.Popen[str]
    place: Place
    lines: list[str] = field(default_factory=list)

    def wait_for(self, pattern: str) -> str:
        """Return the first line that a pattern matches; read until there is one."""
        assert self.process.stderr is not None
        timer = threading.Timer(START_SECONDS, self.process.kill)
        timer.start()
        try:
            for line in self.process.stderr:
                self.lines.append(line)
                if re.search(pattern, line):
                    return line
        finally:
            timer.cancel()
        pytest.fail(f"no line {pattern} in:\n{''.join(self.lines)}")

    def stop(self) -> int:
        """Send SIGTERM, and return the exit code."""
        self.process.terminate()
        return self.wait()

    def wait(self) -> int:
        """Return the exit code once the process has ended."""
        assert self.process.stderr is not None
        self.lines += self.process.stderr
        return self.process.wait(timeout=60)


@contextlib.contextmanager
def run_command(folder: Path, ports: list[int], environ: Mapping[str, str], *settings: str) -> Iterator[Command]:
    values = (f"ports.http={ports[0]}", f"ports.grpc={ports[1]}", *settings)
    options = [word for value in values for word in ("--set", value)]
    command = ["seldon-spec", "ray", str(folder), *options]
    process = subprocess.Popen(command, env=dict(environ), stderr=subprocess.PIPE, text=True)
    try:
        yield Command(process, Place(ports[0], ports[1]))
    finally:
        for each in [*psutil.Process(process.pid).children(recursive=True)] if process.poll() is None else []:
            with contextlib.suppress(psutil.Error):
                each.kill()
        process.kill()
        process.wait()
        assert process.stderr is not None
        process.stderr.close()


def list_addresses(port: int) -> set[str]:
    """Return the addresses on which a port is open."""
    found = psutil.net_connections("tcp")
    return {each.laddr.ip for each in found if each.status == psutil.CONN_LISTEN and each.laddr.port == port}


def test_a_cluster_lives_as_long_as_the_command(
    command_environ: dict[str, str], reserve_ports: Reserve, tmp_path: Path
) -> None:
    """It serves both protocols on loopback, says what is open more widely, and ends with the requests in flight."""
    gate = Gate(tmp_path)
    variables = {"GATE_FOLDER": str(tmp_path), "GATE_TOKEN": TOKEN}
    with (
        reserve_ports(2) as ports,
        run_command(MODELS / "gate", ports, {**command_environ, **variables}, "server.workers=2") as command,
    ):
        command.wait_for("ready after")
        text = "".join(command.lines)
        assert "server.workers has no effect on Ray" in text
        assert "starting replicas: gate 0 of 1" in text
        assert "0 of 0" not in text
        assert re.search(r"Ray listens on all addresses of this machine on ports .*raylet", text)
        assert list_addresses(ports[0]) == {"127.0.0.1"}
        assert list_addresses(ports[1]) == {"127.0.0.1"}
        assert command.place.request("POST", "/predict", ROWS, {"Content-Type": "application/json"})[0] == 401
        processes = psutil.Process(command.process.pid).children(recursive=True)
        assert any("haproxy" in each.name() for each in processes)
        with ThreadPoolExecutor() as pool:
            running = pool.submit(command.place.request, "POST", "/predict", ROWS, JSON)
            gate.wait_for_call()
            command.process.terminate()
            command.wait_for("stopping: draining open requests for up to 20 seconds")
            gate.open()
            status, _, body = running.result()
        assert (status, json.loads(body)["data"]) == (200, {"names": ["t:0", "t:1"], "ndarray": [[1.0, 2.0]]})
        assert command.wait() == 0
    gone, alive = psutil.wait_procs(processes, timeout=30)
    assert alive == []
    assert gone != []


@pytest.mark.parametrize(
    ("line", "number"),
    [("starting a cluster", signal.SIGTERM), ("Ray .* runs after", signal.SIGINT)],
    ids=["while Ray starts", "while Serve starts"],
)
def test_a_signal_ends_the_start(
    command_environ: dict[str, str], reserve_ports: Reserve, line: str, number: signal.Signals
) -> None:
    """Ray has a handler of its own in the first case, and turns the exception of ours into another in the second."""
    with reserve_ports(2) as ports, run_command(MODELS / "limited", ports, command_environ) as command:
        command.wait_for(line)
        command.process.send_signal(number)
        _, errors = command.process.communicate(timeout=60)
    assert command.process.returncode == 0, errors
    assert "Traceback" not in errors


FAILURES = {
    "class": (
        "class Model:\n    def load(self):\n        raise OSError('no weights')\n\n    def predict(self, X, names):\n"
        "        return X\n",
        r"Traceback .*\n  File \".*Model.py\", line 3, in load\n    raise OSError\('no weights'\)\nOSError: no weights\n"
        r"error: the class raised this exception; see the last lines above",
        (),
    ),
    "exit": (
        "import os\n\n\nclass Model:\n    def load(self):\n        os._exit(7)\n\n    def predict(self, X, names):\n"
        "        return X\n",
        r"error: Serve cannot start the replicas: model: the process exited while it loaded the class, or had too little",
        (),
    ),
    "resources": (
        "class Model:\n    def predict(self, X, names):\n        return X\n",
        r"error: the replicas need 1 GPU, and there is 0; 1048576 MiB of memory, and there are \d+ MiB "
        r"\(deployment.resources, deployment.replicas\)",
        ("deployment.resources.gpu=1", "deployment.resources.memory=1Ti"),
    ),
}


@pytest.mark.parametrize(("source", "error", "settings"), FAILURES.values(), ids=FAILURES)
def test_a_replica_that_cannot_start_ends_the_command(
    command_environ: dict[str, str],
    reserve_ports: Reserve,
    tmp_path: Path,
    source: str,
    error: str,
    settings: tuple[str, ...],
) -> None:
    (tmp_path / "Model.py").write_text(source)
    (tmp_path / "seldon.yaml").write_text("class_name: Model\n")
    with reserve_ports(2) as ports, run_command(tmp_path, ports, command_environ, *settings) as command:
        _, errors = command.process.communicate(timeout=START_SECONDS)
        assert command.process.returncode == 1
        assert re.search(error, errors), errors


def test_a_port_in_use_is_reported_before_a_cluster_starts(
    command_environ: dict[str, str], reserve_ports: Reserve
) -> None:
    environ = {**command_environ, "GATE_FOLDER": "/", "GATE_TOKEN": TOKEN}
    with reserve_ports(1) as (free,), socket.create_server(("127.0.0.1", 0)) as used:
        port = used.getsockname()[1]
        with run_command(MODELS / "gate", [port, free], environ) as command:
            _, errors = command.process.communicate(timeout=60)
    assert command.process.returncode == 1
    assert re.search(r"error: .*ports.http", errors)
    assert "starting a cluster" not in errors


@pytest.mark.parametrize(
    ("address", "error"),
    [("127.0.0.1:{}", "Connection refused"), ("not an address", "Invalid address format")],
    ids=["refused", "text"],
)
def test_a_cluster_that_cannot_be_reached_is_reported(
    command_environ: dict[str, str], reserve_ports: Reserve, address: str, error: str
) -> None:
    with reserve_ports(3) as ports:
        pass
    environ = {**command_environ, "RAY_ADDRESS": address.format(ports[2])}
    with run_command(MODELS / "limited", ports[:2], environ) as command:
        _, errors = command.process.communicate(timeout=60)
    assert command.process.returncode == 1
    assert re.search(f"error: the cluster {environ['RAY_ADDRESS']} cannot be used: .*{error}", errors)


@pytest.fixture(scope="module")
def nodes(command_environ: dict[str, str]) -> Iterator[tuple[Callable[[str], None], dict[str, str]]]:
    """A cluster with two nodes for replicas: a function that adds and removes one, and the variables of its clients."""
    with run_nodes(command_environ) as (do, environ):
        yield do, environ


SPREAD = """\
import os
from pathlib import Path

FOLDER = Path(__file__).parent


class Spread:
    def load(self):
        self.weights = (FOLDER / "weights.txt").read_text()

    def predict(self, X, names):
        return X

    def tags(self):
        names = ("PREDICTIVE_UNIT_ID", "STAGE")
        variables = {name: os.environ.get(name) for name in names}
        return {"pid": os.getpid(), "weights": self.weights, "files": sorted(os.listdir(FOLDER)), **variables}
"""


@pytest.fixture(scope="module")
def spread(
    nodes: tuple[Callable[[str], None], dict[str, str]],
    reserve_ports: Reserve,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Command]:
    """A model in two replicas, one on each node, which cannot read the folder of the command."""
    folder = tmp_path_factory.mktemp("spread")
    (folder / "Spread.py").write_text(SPREAD)
    (folder / "seldon.yaml").write_text("class_name: Spread\ndeployment: {replicas: 2}\n")
    (folder / "weights.txt").write_text("of the model")
    (folder / "notes.txt").write_text("not of the model")
    (folder / ".gitignore").write_text("weights.txt\n")
    (folder / ".dockerignore").write_text("notes.txt\n.gitignore\n.dockerignore\n")
    environ = {**nodes[1], "PREDICTIVE_UNIT_ID": "unit-8"}
    with reserve_ports(2) as ports, run_command(folder, ports, environ, "environment.STAGE=test") as command:
        command.wait_for("ready after")
        yield command


def _predict(place: Place) -> dict[str, object]:
    status, _, body = place.request("POST", "/predict", ROWS, {"Content-Type": "application/json"})
    assert status == 200, body
    tags: dict[str, object] = json.loads(body)["meta"]["tags"]
    return tags


def _wait_for_replicas(place: Place, others: frozenset[object] = frozenset()) -> set[object]:
    """Send requests until two replicas have responded, one of them none of the others; return their processes."""
    found: set[object] = set()
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        with contextlib.suppress(OSError, AssertionError, http.client.HTTPException):
            found.add(_predict(place)["pid"])
        if len(found) >= 2 and not found <= others:
            return found
    pytest.fail(f"only {found} responded")


def _find_outcome(place: Place) -> object:
    """Return the status of a prediction, or the name of the exception."""
    try:
        return place.request("POST", "/predict", ROWS, {"Content-Type": "application/json"})[0]
    except (OSError, http.client.HTTPException) as error:
        return type(error).__name__


def test_a_cluster_gets_the_files_of_an_image_and_the_variables(spread: Command) -> None:
    tags = _predict(spread.place)
    assert tags["weights"] == "of the model"
    assert "notes.txt" not in str(tags["files"])
    assert (tags["PREDICTIVE_UNIT_ID"], tags["STAGE"]) == ("unit-8", "test")


def test_a_second_command_needs_the_ports_that_serve_has(
    spread: Command, nodes: tuple[Callable[[str], None], dict[str, str]]
) -> None:
    with run_command(MODELS / "limited", [spread.place.rest_port + 1, spread.place.grpc_port], nodes[1]) as command:
        _, errors = command.process.communicate(timeout=START_SECONDS)
    assert command.process.returncode == 1
    assert f"ports.http is {spread.place.rest_port + 1}, and its port is {spread.place.rest_port};" in errors
    assert re.search(r"its application spread\d* has the path /, and this one is limited at /", errors)


def test_a_node_that_ends_under_load_is_replaced(
    spread: Command, nodes: tuple[Callable[[str], None], dict[str, str]]
) -> None:
    change = nodes[0]
    before = _wait_for_replicas(spread.place)
    outcomes: list[object] = []
    is_over = threading.Event()

    def send() -> None:
        while not is_over.is_set():
            outcomes.append(_find_outcome(spread.place))

    with ThreadPoolExecutor() as pool:
        clients = [pool.submit(send) for _ in range(4)]
        try:
            change("remove")
            removed_at = time.monotonic()
            change("add")
            _wait_for_replicas(spread.place, frozenset(before))
            seconds = time.monotonic() - removed_at
        finally:
            is_over.set()
        for client in clients:
            client.result()
    lost = [outcome for outcome in outcomes if outcome != 200]
    sys.stderr.write(f"{len(lost)} of {len(outcomes)} requests failed: {lost}, replaced after {seconds:.1f} seconds\n")
    assert len(lost) < len(outcomes) / 2
    assert [_predict(spread.place)["weights"] for _ in range(100)] == ["of the model"] * 100


def test_the_application_ends_with_the_command(spread: Command) -> None:
    """It is the last test of the module's cluster: Serve, which the command has started, ends as well."""
    assert spread.stop() == 0
    assert list_addresses(spread.place.rest_port) == set()

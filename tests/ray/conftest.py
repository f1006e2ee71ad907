"""One cluster of Ray for all tests of the folder, with our models, and servers of the same models."""

from __future__ import annotations

import contextlib
import http.client
import importlib.util
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import grpc
import pytest
import yaml

if TYPE_CHECKING:
    from tests.conftest import Serve

MODELS = Path(__file__).parent / "models"
NAMES = ("limited", "routed", "gate", "measured", "parts")
START_SECONDS = 240
TOKEN = "a-token-of-the-gate"

T = TypeVar("T")


collect_ignore = [] if importlib.util.find_spec("psutil") else ["test_batch.py", "test_command.py", "test_reaper.py"]
"""The modules that the environments of other groups cannot import."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.ray)


@dataclass(frozen=True)
class Place:
    """Where a model is served: by the server, or by an application of Ray Serve."""

    rest_port: int
    grpc_port: int
    metrics_port: int = 0
    prefix: str = ""
    metadata: tuple[tuple[str, str], ...] = ()

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, str | None, bytes]:
        """Return the status, the type and the body of the response."""
        connection = http.client.HTTPConnection("127.0.0.1", self.rest_port, timeout=60)
        with contextlib.closing(connection):
            connection.request(method, self.prefix + path, body, dict(headers or {}))
            response = connection.getresponse()
            return response.status, response.headers["content-type"], response.read()

    def call(self, path: str, message: bytes, *metadata: tuple[str, str]) -> tuple[grpc.StatusCode, str | None, bytes]:
        """Return the status, its text and the response message of a unary call."""
        with grpc.insecure_channel(f"127.0.0.1:{self.grpc_port}") as channel:
            method = channel.unary_unary(path, None, None)
            try:
                response = method(message, timeout=60, metadata=(*self.metadata, *metadata))
            except grpc.RpcError as error:
                failed: Any = error
                return failed.code(), failed.details(), b""
            return grpc.StatusCode.OK, None, response

    def stream(self, path: str, messages: list[bytes]) -> tuple[list[bytes], grpc.StatusCode]:
        """Return the response messages of a stream, and its status."""
        with grpc.insecure_channel(f"127.0.0.1:{self.grpc_port}") as channel:
            call: Any = channel.stream_stream(path, None, None)(iter(messages), timeout=60, metadata=self.metadata)
            responses = []
            with contextlib.suppress(grpc.RpcError):
                responses.extend(call)
            return responses, call.code()


class Gate:
    """The pipes of the models of one server."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("called", "opened", "slow"):
            os.mkfifo(folder / name)

    def wait_for_call(self) -> None:
        assert (self.folder / "called").read_text() == "called"

    def open(self, name: str = "opened") -> None:
        (self.folder / name).write_text("open")


@dataclass(frozen=True)
class Both:
    """A model on Ray, and the same model in the server."""

    ray: Place
    server: Place


@pytest.fixture(scope="session")
def gates(tmp_path_factory: pytest.TempPathFactory) -> tuple[Gate, Gate]:
    """The gate on Ray, and that of the server."""
    return Gate(tmp_path_factory.mktemp("ray")), Gate(tmp_path_factory.mktemp("server"))


@pytest.fixture(scope="session")
def cluster_folder() -> Iterator[Path]:
    """What Ray writes; its path is short enough for the sockets in it."""
    with tempfile.TemporaryDirectory(prefix="ray-") as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def applications(
    command_environ: dict[str, str],
    reserve_ports: Callable[[int], AbstractContextManager[list[int]]],
    gates: tuple[Gate, Gate],
    tmp_path_factory: pytest.TempPathFactory,
    cluster_folder: Path,
) -> Iterator[Mapping[str, Place]]:
    """The models on a cluster, by name: an application each, of the config that the command prints."""
    reserved = contextlib.ExitStack()  # until the end, since processes of Ray choose ports as well
    rest, calls = reserved.enter_context(reserve_ports(2))
    config = _join([_print_config(name, rest, calls, command_environ) for name in NAMES])
    file = tmp_path_factory.mktemp("config") / "serve.yaml"
    file.write_text(yaml.safe_dump(config))
    variables = {
        "GATE_FOLDER": str(gates[0].folder),
        "GATE_TOKEN": TOKEN,
        "PREDICTIVE_UNIT_ID": "unit-7",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(20),
        "RAY_SERVE_ENABLE_HA_PROXY": os.environ.get("RAY_SERVE_ENABLE_HA_PROXY", "0"),
        "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "30",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_metrics_report_interval_ms": "5000",
        "RAY_raylet_start_wait_time_s": "120",
    }
    with reserved, tempfile.TemporaryFile("w+") as log:
        command = [sys.executable, str(Path(__file__).with_name("cluster.py")), str(file), str(cluster_folder)]
        environ = {**command_environ, **variables}
        process = subprocess.Popen(command, env=environ, stdin=subprocess.PIPE, stdout=log, stderr=log)
        assert process.stdin is not None
        try:
            metrics = _read_metrics_port(cluster_folder, process)
            places = {name: Place(rest, calls, metrics, f"/{name}", (("application", name),)) for name in NAMES}
            for place in places.values():
                _wait_until_ready(place, process)
            yield places
            process.stdin.close()
            assert process.wait(timeout=60) == 0
        except BaseException:
            log.seek(0)
            sys.stderr.write(log.read())
            raise
        finally:
            process.stdin.close()
            process.kill()
            process.wait()


def _print_config(name: str, rest: int, calls: int, environ: Mapping[str, str]) -> dict[str, Any]:
    """Return the Serve config of a model whose folder is its image's."""
    folder = MODELS / name
    values = (f"image.workdir={folder}", f"ports.http={rest}", f"ports.grpc={calls}", "server.host=127.0.0.1")
    options = [part for value in values for part in ("--set", value)]
    command = ["seldon-spec", "manifest", str(folder), "--for", "ray", *options]
    done = subprocess.run(command, env=dict(environ), check=True, capture_output=True, text=True)
    config: dict[str, Any] = yaml.safe_load(done.stdout)
    config["applications"][0]["route_prefix"] = f"/{name}"
    return config


def _join(configs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return one config with the applications of all."""
    longest = max(configs, key=lambda config: config["http_options"].get("request_timeout_s", 0))
    return {**longest, "applications": [each for config in configs for each in config["applications"]]}


def _read_metrics_port(folder: Path, process: subprocess.Popen[bytes]) -> int:
    def read() -> int | None:
        with contextlib.suppress(FileNotFoundError, ValueError):  # not written completely
            return int((folder / "metrics_port").read_text())
        return None

    return _wait_for(read, process)


def _wait_until_ready(place: Place, process: subprocess.Popen[bytes]) -> None:
    def is_ready() -> bool:
        with contextlib.suppress(OSError):
            return place.request("GET", "/ready")[0] == 200
        return False

    _wait_for(is_ready, process)


def _wait_for(read: Callable[[], T | None], process: subprocess.Popen[bytes]) -> T:
    """Return the first value that is true."""
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        value = read()
        if value:
            return value
        with contextlib.suppress(subprocess.TimeoutExpired):
            pytest.fail(f"the cluster ended with exit code {process.wait(timeout=0.5)}")
    pytest.fail(f"the cluster was not ready after {START_SECONDS} seconds")


@pytest.fixture(scope="session")
def models(
    applications: Mapping[str, Place], serve_folder: Serve, gates: tuple[Gate, Gate]
) -> Iterator[Mapping[str, Both]]:
    """Each model on Ray and in the server."""
    variables = {"GATE_FOLDER": str(gates[1].folder), "GATE_TOKEN": TOKEN, "PREDICTIVE_UNIT_ID": "unit-7"}
    with contextlib.ExitStack() as stack:
        both = {}
        for name, place in applications.items():
            running = stack.enter_context(serve_folder(MODELS / name, variables=variables))
            both[name] = Both(place, Place(running.http, running.grpc, running.metrics))
        yield both

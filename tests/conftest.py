"""The suite's own options, and a real server that every test of documents and examples can start."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

import pytest

START_SECONDS = 60
STOP_SECONDS = 30


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("seldon-spec")
    group.addoption("--rewrite-golden", action="store_true", help="write the golden files anew instead of comparing")
    group.addoption("--installed", action="store_true", help="the package under test has to be an installed wheel")


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


@pytest.fixture(scope="session")
def serve_folder(command_environ: dict[str, str]) -> Serve:
    """Start a server in a folder on free loopback ports, wait until it is ready, and stop it at last."""

    @contextlib.contextmanager
    def serve(
        folder: Path, command: Sequence[str] = OUR_COMMAND, variables: Mapping[str, str] = MappingProxyType({})
    ) -> Iterator[RunningServer]:
        http, grpc, metrics = _find_free_ports(3)
        place = {
            "PREDICTIVE_UNIT_HTTP_SERVICE_PORT": str(http),
            "PREDICTIVE_UNIT_GRPC_SERVICE_PORT": str(grpc),
            "PREDICTIVE_UNIT_METRICS_SERVICE_PORT": str(metrics),
            "SELDON_SPEC__SERVER__HOST": "127.0.0.1",
        }
        environ = {**command_environ, **place, **variables}
        with tempfile.TemporaryFile("w+") as log:
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


def _find_free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [int(each.getsockname()[1]) for each in held]


def _wait_until_ready(process: subprocess.Popen[bytes], http: int) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        with contextlib.suppress(urllib.error.URLError, OSError):
            urllib.request.urlopen(f"http://127.0.0.1:{http}/ready", timeout=5).close()
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            pytest.fail(f"the server ended with exit code {process.wait(timeout=0.05)}")
    pytest.fail(f"the server was not ready after {START_SECONDS} seconds")

"""The clients of Triton and KServe against a running server, each in a process of its own environment.

They cannot be imported together, since both register the protocol's messages under the same names. ``make test-clients``
installs them and runs these tests.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conftest import RunningServer, Serve

HERE = Path(__file__).parent
SCRIPTS = {"triton_http": "triton", "triton_grpc": "triton", "kserve_sdk": "kserve"}
"""The scripts, and the name of the environment that each needs."""

CHECKS = [
    (script, check)
    for script in SCRIPTS
    for check in re.findall(r"^(?:async )?def (check_\w+)\(", (HERE / f"{script}.py").read_text("utf-8"), re.MULTILINE)
]
RUN_SECONDS = 120

pytestmark = pytest.mark.clients


@pytest.fixture(scope="module")
def server(serve_folder: Serve) -> Iterator[RunningServer]:
    with serve_folder(HERE / "echo") as running:
        yield running


@pytest.mark.parametrize(("script", "check"), CHECKS, ids=[f"{script}-{check[6:]}" for script, check in CHECKS])
def test_the_client_gets_what_it_expects(
    script: str, check: str, server: RunningServer, request: pytest.FixtureRequest
) -> None:
    folder = request.config.getoption("--clients")
    assert folder is not None, "run make test-clients, or pass --clients DIR"
    command = [f"{Path(folder).resolve()}/.venv-{SCRIPTS[script]}/bin/python", "-B", "-m", f"tests.clients.{script}"]
    done = subprocess.run(
        [*command, check, str(server.http), str(server.grpc)],
        cwd=HERE.parents[1],
        env={"PATH": server.environ["PATH"], "PYTHONWARNINGS": "ignore"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=RUN_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout

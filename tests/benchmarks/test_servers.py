"""The table of servers: what each is given and how it is started."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.compare import DEFAULT_SERVERS, TOOLS, find_missing, main
from benchmarks.environments import ENVIRONMENTS
from benchmarks.servers import SERVERS, Place, Server
from benchmarks.workloads import MODELS
from seldon_spec.spec.loader import load

needs_tools = pytest.mark.skipif(
    not all(map(shutil.which, TOOLS)), reason=f"not on the path: one of {', '.join(TOOLS)}"
)
PLACE = Place(http=1001, grpc=1002, metrics=1003, workers=2, model=MODELS["Identity"])


@pytest.mark.parametrize("server", SERVERS.values(), ids=SERVERS)
def test_a_server_is_started_on_its_ports(server: Server) -> None:
    """By its command or by its files; and no placeholder of the command is left."""
    words = server.words(PLACE, Path("/envs"))
    told = " ".join(words) + " ".join(
        text for name, text in server.files(PLACE).items() if isinstance(text, str) and not name.endswith(".py")
    )
    assert ("1001" in told) == (server.rest is not None)
    assert ("1002" in told) == (server.grpc is not None)
    assert not any("{" in word for word in words)


@pytest.mark.parametrize("server", SERVERS.values(), ids=SERVERS)
def test_a_server_s_environment_can_be_made(server: Server) -> None:
    assert server.environment is None or server.environment in ENVIRONMENTS
    assert server.environment or server.python(Path("/envs")) == Path(sys.executable)


def test_our_own_folder_is_one_that_the_loader_takes(tmp_path: Path) -> None:
    for name, text in SERVERS["seldon-spec"].files(PLACE).items():
        assert isinstance(text, str)
        (tmp_path / name).write_text(text)
    spec = load(tmp_path / "seldon.yaml", {}, {})
    assert (spec.class_name, spec.server.host, spec.server.workers) == ("identity.Identity", "127.0.0.1", 2)
    assert (spec.ports.http, spec.ports.grpc, spec.ports.metrics) == (1001, 1002, 1003)


def test_engines_stand_side_by_side_by_one_more_key() -> None:
    plain, other = (str(SERVERS[name].files(PLACE)["seldon.yaml"]) for name in ("seldon-spec", "seldon-spec-uvicorn"))
    assert json.loads(other.splitlines()[2].removeprefix("server: ")).pop("engine") == "uvicorn"
    assert other.replace(', "engine": "uvicorn"', "") == plain


@pytest.mark.parametrize(
    ("name", "workers", "can_use"), [("fixed-loop", 1, True), ("fixed-loop", 2, False), ("mlserver", 2, True)]
)
def test_a_server_of_one_process_has_no_use_for_more(name: str, workers: int, can_use: bool) -> None:
    assert SERVERS[name].can_use(workers) == can_use


@needs_tools
def test_a_server_that_would_be_left_out_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    server = replace(SERVERS["fixed-loop"], name="lone", environment=None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SERVERS, "lone", server)
        assert main(["--server", "lone", "--workers", "2"], {}) == 2
    assert "of no use with 2 workers: lone" in capsys.readouterr().err


def test_a_fixed_server_has_right_answers() -> None:
    server = SERVERS["fixed-loop"]
    assert server.rest is not None
    answer = server.files(PLACE)["rest-small.answer"]
    assert isinstance(answer, bytes)
    assert server.rest.decode(answer).shape == (1, 4)


def test_what_is_not_installed_is_told_with_its_command(tmp_path: Path) -> None:
    told = [line for line in find_missing(DEFAULT_SERVERS, tmp_path) if "environments" in line]
    assert [line.partition(": ")[2].split()[3] for line in told] == ["mlserver", "seldon312"]

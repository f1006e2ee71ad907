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
from benchmarks.server_files import Place
from benchmarks.servers import SERVERS, Server
from benchmarks.workloads import MODELS, WORKLOADS, Transport
from seldon_spec.config.loader import load

pytestmark = pytest.mark.benchmarks

needs_tools = pytest.mark.skipif(
    not all(map(shutil.which, TOOLS)), reason=f"not on the path: one of {', '.join(TOOLS)}"
)
PLACE = Place(http=1001, grpc=1002, metrics=1003, workers=2, model=MODELS["Identity"])


@pytest.mark.parametrize("server", SERVERS.values(), ids=SERVERS)
def test_a_server_is_started_on_its_ports(server: Server) -> None:
    """By its command or by its files; and no placeholder of the command is left."""
    words = server.words(PLACE, Path("/envs"))
    text = " ".join(words) + " ".join(
        text for name, text in server.files(PLACE).items() if isinstance(text, str) and not name.endswith(".py")
    )
    transports = {workload.transport for workload in WORKLOADS.values() if server.dialect(workload)}
    assert ("1001" in text) == (Transport.REST in transports)
    assert ("1002" in text) == (Transport.GRPC in transports)
    assert not any("{" in word for word in words)


@pytest.mark.parametrize("server", SERVERS.values(), ids=SERVERS)
def test_a_server_s_environment_can_be_made(server: Server) -> None:
    assert server.environment is None or server.environment in ENVIRONMENTS
    assert server.environment or server.python(Path("/envs")) == Path(sys.executable)


OURS = [name for name in SERVERS if name.startswith("seldon-spec") and "-file" not in name]


@pytest.mark.parametrize("name", OURS)
def test_our_own_folders_are_ones_that_the_loader_takes(name: str, tmp_path: Path) -> None:
    for file, text in SERVERS[name].files(PLACE).items():
        assert isinstance(text, str)
        (tmp_path / file).write_text(text)
    spec = load(tmp_path / "seldon.yaml", {}, {})
    assert (spec.class_name, spec.server.host, spec.server.workers) == ("identity.Identity", "127.0.0.1", 2)
    assert (spec.ports.http, spec.ports.grpc, spec.ports.metrics) == (1001, 1002, 1003)


@pytest.mark.parametrize("name", ["seldon-spec-file", "seldon-spec-file-batched"])
def test_our_folders_of_model_files_are_ones_that_the_loader_takes(name: str, tmp_path: Path) -> None:
    for file, content in SERVERS[name].files(replace(PLACE, model=MODELS["Logistic"])).items():
        (tmp_path / file).write_bytes(content.encode() if isinstance(content, str) else content)
    spec = load(tmp_path / "seldon.yaml", {}, {})
    assert spec.model is not None
    assert (spec.model.path, spec.model.format, spec.model.method) == ("model.joblib", "sklearn", "predict_proba")


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("seldon-spec-uvicorn", {"engine": "uvicorn"}),
        ("seldon-spec-batched", {"batching": {"max_rows": 256}}),
        ("seldon-spec-json", {"log": {"format": "json", "access": True}}),
        ("seldon-spec-traced", {"tracing": True}),
        ("seldon-spec-sampled", {"tracing": True}),
    ],
)
def test_what_stands_beside_the_plain_server_differs_by_a_key(name: str, keys: dict[str, object]) -> None:
    plain, other = (str(SERVERS[each].files(PLACE)["seldon.yaml"]).splitlines() for each in ("seldon-spec", name))
    assert [line for line in other if line not in plain] == [other[2]]
    assert _read_keys(other[2]) == {**_read_keys(plain[2]), **keys}


def _read_keys(line: str) -> dict[str, object]:
    keys: dict[str, object] = json.loads(line.removeprefix("server: "))
    return keys


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


def test_a_fixed_server_has_correct_responses() -> None:
    server = SERVERS["fixed-loop"]
    assert server.rest is not None
    response = server.files(PLACE)["rest-small.response"]
    assert isinstance(response, bytes)
    assert server.rest.decode(response).shape == (1, 4)


def test_a_model_of_one_width_is_asked_for_no_other() -> None:
    forest = MODELS["Forest"]
    assert [name for name, each in WORKLOADS.items() if forest.takes(each)] == [
        *("rest-small", "grpc-small", "v2-rest-small", "v2-grpc-small")
    ]
    assert [name for name, each in WORKLOADS.items() if not MODELS["Identity"].takes(each)] == []


@needs_tools
def test_a_workload_that_does_not_fit_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(MODELS, "Narrow", replace(MODELS["Identity"], name="Narrow", columns=4))
        assert main(["--server", "seldon-spec", "--model", "Narrow", "--workload", "rest-medium"], {}) == 2
    assert "Narrow takes 4 columns, unlike those of rest-medium" in capsys.readouterr().err


def test_a_module_that_is_not_installed_is_reported(tmp_path: Path) -> None:
    model = replace(MODELS["Identity"], requires=("json", "no_such_module", "no_such_package.part"))
    text = [line for line in find_missing(["seldon-spec"], tmp_path, model) if "import" in line]
    assert text == [f"{sys.executable} cannot import {name}" for name in ("no_such_module", "no_such_package.part")]


def test_what_is_not_installed_is_told_with_its_command(tmp_path: Path) -> None:
    text = [line for line in find_missing(DEFAULT_SERVERS, tmp_path) if "environments" in line]
    assert [line.partition(": ")[2].split()[3] for line in text] == ["mlserver", "seldon312"]

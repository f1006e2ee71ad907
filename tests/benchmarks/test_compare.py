"""A real, short comparison of our own server, and one that has to fail."""

from __future__ import annotations

import importlib.util
import itertools
import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import hpack
import numpy as np
import pytest

from benchmarks.compare import main
from benchmarks.comparison import Plan, compare
from benchmarks.grpc_load import Calls
from benchmarks.heads import Heads
from benchmarks.processes import find_tree, read_stats
from benchmarks.receiver import receiving_spans
from benchmarks.report import render_report
from benchmarks.results import Mode, Settings, read_results
from benchmarks.running import ServerFailed, start_server
from benchmarks.servers import SERVERS, Server
from benchmarks.workloads import MODELS, WORKLOADS

pytestmark = pytest.mark.benchmarks

ROOT = Path(__file__).parents[2]
MISSING = [tool for tool in ("wrk", "h2load") if shutil.which(tool) is None]
needs_tools = pytest.mark.skipif(bool(MISSING), reason=f"not on the path: {', '.join(MISSING)}")
needs_scikit = pytest.mark.skipif(
    importlib.util.find_spec("sklearn") is None, reason="scikit-learn is not installed; the models are its own"
)
needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="processes are read from Linux' /proc")

WRONG = """
class Identity:
    def predict(self, x, names=None):
        return x * 2
"""


@needs_linux
@needs_tools
def test_our_own_server_is_compared(tmp_path: Path, command_environ: dict[str, str]) -> None:
    """By the command of the README, over one workload of each load generator and each transport."""
    workloads = ("rest-small", "rest-large", "grpc-small")
    flags = [word for name in workloads for word in ("--workload", name)]
    found = tmp_path / "results.json"
    command = [sys.executable, "-m", "benchmarks.compare", "--server", "seldon-spec", *flags, "--json", str(found)]
    quick = ["--rounds", "1", "--starts", "1", "--seconds", "1", "--large", "1", "--connections", "2"]
    done = subprocess.run(
        [*command, *quick], cwd=ROOT, env=command_environ, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    results = read_results(found.read_text(encoding="utf-8"))
    (server,) = results.servers
    assert list(server.samples) == list(workloads)
    for samples in server.samples.values():
        (sample,) = samples
        assert sample.requests_per_second > 0
        assert sample.cpu_ms >= 0
        assert 0 < sample.p50_ms <= sample.p99_ms
        assert sample.peak_bytes > 0
    assert server.starts[0].resident_bytes >= server.starts[0].proportional_bytes > 0
    assert {"python", "seldon-spec", "numpy"} <= set(server.versions)
    assert all(f"### {name}" in done.stdout for name in workloads)


@needs_linux
@needs_tools
@needs_scikit
def test_batching_is_compared(tmp_path: Path, command_environ: dict[str, str]) -> None:
    """Its responses are correct, and each server has had requests on both transports."""
    settings = Settings(Mode.SPEED, "Logistic", 1, 1, 1, 4, 4, 1)
    servers = [SERVERS["seldon-spec"], SERVERS["seldon-spec-batched"]]
    workloads = [WORKLOADS["rest-small"], WORKLOADS["grpc-small"]]
    results = compare(Plan(settings, servers, workloads, [1], tmp_path, tmp_path, command_environ), lambda _line: None)
    assert [each.name for each in results.servers] == [each.name for each in servers]
    for server in results.servers:
        assert list(server.samples) == [each.name for each in workloads]


@needs_scikit
@pytest.mark.parametrize("name", ["Logistic", "Forest"])
def test_many_rows_have_the_results_of_each_but_for_their_last_digits(name: str) -> None:
    """As docs/operations.md describes batched calls."""
    rows = np.random.default_rng(7).standard_normal((1000, 4))
    singly = np.vstack([MODELS[name].predict(row[None]) for row in rows[:100]])
    np.testing.assert_allclose(MODELS[name].predict(rows)[:100], singly, rtol=1e-13, atol=0)


@needs_linux
@needs_tools
def test_what_observes_is_compared(tmp_path: Path, command_environ: dict[str, str]) -> None:
    """Each request leaves a line of JSON, and spans go to the benchmark's receiver."""
    names = ("seldon-spec-json", "seldon-spec-traced", "seldon-spec-sampled")
    settings = Settings(Mode.SPEED, "Identity", 1, 1, 1, 2, 2, 1)
    with receiving_spans() as variables:
        environ = {**command_environ, **variables}
        servers = [SERVERS[name] for name in names]
        plan = Plan(settings, servers, [WORKLOADS["rest-small"]], [1], tmp_path, tmp_path, environ)
        results = compare(plan, lambda _line: None)
    assert [each.name for each in results.servers] == list(names)
    logs = {folder.name.rpartition("-")[0]: (folder / "server.log").read_text() for folder in tmp_path.iterdir()}
    lines = [json.loads(line) for line in logs["seldon-spec-json"].splitlines()]
    assert sum(line.get("status") == 200 for line in lines) > 1
    assert all("WARNING" not in logs[name] for name in names[1:]), logs


@needs_linux
@needs_tools
def test_request_headers_are_compared(tmp_path: Path, command_environ: dict[str, str]) -> None:
    """In the same rounds; the IDs that the server knows by name are new in each request."""
    kinds = [heads.value for heads in Heads]
    settings = Settings(Mode.SPEED, "Identity", 1, 1, 1, 2, 2, 1, heads=tuple(kinds))
    workloads = [WORKLOADS["rest-small"], WORKLOADS["grpc-small"]]
    plan = Plan(settings, [SERVERS["seldon-spec-json"]], workloads, [1], tmp_path, tmp_path, command_environ)
    servers = compare(plan, lambda _line: None).servers
    assert [server.name for server in servers] == [f"seldon-spec-json, {kind}" for kind in kinds]
    assert all(list(server.samples) == [each.name for each in workloads] for server in servers)
    (folder,) = tmp_path.iterdir()
    lines = [json.loads(line) for line in (folder / "server.log").read_text().splitlines()]
    for transport in ("rest", "grpc"):
        ids = [line["puid"] for line in lines if line.get("transport") == transport]
        sent = [puid for puid in ids if re.fullmatch("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", puid)]
        assert len(set(sent)) > 5
        assert len(ids) - len(sent) > 10  # those that the server has made for the other kinds


@pytest.mark.parametrize("heads", list(Heads), ids=[heads.value for heads in Heads])
def test_calls_have_the_headers_of_a_client(heads: Heads) -> None:
    """Without a dynamic table, and with the same token on a connection."""
    calls = Calls("here:1", "/service/Method", heads)
    decoder = hpack.Decoder()
    decoded = [dict(decoder.decode(block, raw=True)) for block in itertools.islice(calls.of_connection(1), 3)]
    assert decoder.header_table_size == 0
    assert all((head[b":path"], head[b"te"]) == (b"/service/Method", b"trailers") for head in decoded)
    if heads in (Heads.PLAIN, Heads.FIXED):
        assert decoded[0] == decoded[1] == decoded[2]
    if heads is Heads.PLAIN:
        return
    for name in ("grpc-timeout", *heads.id_names):
        assert len({head[name.encode()] for head in decoded}) == (1 if heads is Heads.FIXED else 3)
    (token,) = {head[b"authorization"] for head in decoded}
    assert len(token) == len("Bearer ") + 900


def _spoil(server: Server, text: str) -> Server:
    """Our own server with another class in its folder."""

    def write(place: object) -> dict[str, str | bytes]:
        return {**server.files(place), "identity.py": text}  # type: ignore[arg-type]

    return Server("spoilt", server.command, write)


@needs_linux
@needs_tools
@pytest.mark.parametrize(
    ("text", "says"),
    [(WRONG, "4 of its 4 numbers differ"), ("raise SystemExit(3)", "it ended with exit code")],
    ids=["wrong responses", "no start"],
)
def test_a_comparison_fails_loudly(text: str, says: str, tmp_path: Path, command_environ: dict[str, str]) -> None:
    settings = Settings(Mode.SPEED, "Identity", 1, 1, 1, 1, 1, 1)
    server = _spoil(SERVERS["seldon-spec"], text)
    plan = Plan(settings, [server], [WORKLOADS["rest-small"]], [1], tmp_path, tmp_path, command_environ)
    said: list[str] = []
    with pytest.raises(ServerFailed, match=says):
        compare(plan, said.append)
    left = [pid for pid in read_stats() if _works_in(pid, tmp_path)]
    assert left == []


def _works_in(pid: int, folder: Path) -> bool:
    try:
        return Path(f"/proc/{pid}/cwd").readlink().is_relative_to(folder)
    except OSError:
        return False


@needs_linux
@needs_tools
def test_a_comparison_can_keep_going_without_a_server(tmp_path: Path, command_environ: dict[str, str]) -> None:
    """The report says which server is not installed, and which one failed."""
    spoilt = _spoil(SERVERS["seldon-spec"], WRONG)
    found = tmp_path / "results.json"
    flags = ["--keep-going", "--rounds", "1", "--starts", "1", "--seconds", "1", "--workload", "v2-rest-small"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SERVERS, "spoilt", replace(spoilt, v2=SERVERS["seldon-spec"].v2))
        servers = [word for name in ("triton", "spoilt", "seldon-spec") for word in ("--server", name)]
        assert main([*servers, *flags, "--envs", str(tmp_path), "--json", str(found)], command_environ) == 0
    results = read_results(found.read_text(encoding="utf-8"))
    absences = {each.name: each.absence for each in results.servers}
    assert absences == {"spoilt": "failed", "seldon-spec": "", "triton": "not installed"}
    report = render_report([results])
    assert "× is the ratio to seldon-spec" in report
    assert "| triton | not installed | - |" in report
    assert "| spoilt | failed | - |" in report


@needs_linux
def test_every_process_of_a_server_ends(tmp_path: Path, command_environ: dict[str, str]) -> None:
    one = start_server(SERVERS["seldon-spec"], MODELS["Identity"], 2, tmp_path, tmp_path, command_environ)
    try:
        start = one.wait_until_right()
        tree = find_tree(one.process.pid, read_stats())
        assert start.processes == len(tree) >= 2
    finally:
        one.stop()
    assert not tree & set(read_stats())


@needs_linux
def test_missing_programs_are_reported(tmp_path: Path, command_environ: dict[str, str]) -> None:
    command = [sys.executable, "-m", "benchmarks.compare", "--server", "mlserver", "--envs", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, env=command_environ, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert f"python -m benchmarks.environments mlserver --envs {tmp_path}" in done.stderr
    assert done.stdout == ""

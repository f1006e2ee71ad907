"""``serve --profile``: a flame graph of what the requests cost, whoever may not take one is told."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SOURCE = """
import math

class Served:
    def predict(self, X, names):
        return [burn(value) for value in X.ravel()]

def burn(value):
    return sum(math.sin(value + i) for i in range(200_000))
"""


@pytest.fixture
def folder(beside: Any) -> Path:
    beside.write_class(SOURCE)
    beside.write_spec()
    folder: Path = beside.folder
    return folder


def profile(beside: Any, file: Path) -> str:
    server = beside.start("--profile", str(file)).wait_until_ready()
    server.wait_for("profile: py-spy looks at the workers")
    for _ in range(60):  # seconds of work, of which each look at the stacks sees a hundredth
        body = json.dumps({"data": {"ndarray": [[1.0, 2.0, 3.0]]}})
        assert server.rest("POST", "/predict", body)[0] == 200
    assert server.stop() == 0
    if "ermission" in server.log or "not permitted" in server.log:
        pytest.skip("this machine lets no process look into another")
    assert f"profile: written to {file}" in server.log
    return file.read_text()


def test_a_flame_graph_shows_where_the_requests_spent_their_time(beside: Any, folder: Path) -> None:
    graph = profile(beside, folder / "flame.svg")
    assert graph.lstrip().startswith("<?xml")
    samples = re.findall(r"<title>burn \(Served\.py:\d+\) \(([\d,]+) samples", graph)
    assert sum(int(count.replace(",", "")) for count in samples) > 10


def test_speedscope_s_form_by_the_file_s_ending(beside: Any, folder: Path) -> None:
    tree = json.loads(profile(beside, folder / "profile.json"))
    assert "burn" in {frame["name"] for frame in tree["shared"]["frames"]}


@pytest.mark.parametrize("is_first", [False, True], ids=["beside others", "first process"])
def test_a_py_spy_that_ends_by_itself_is_told_of_at_once(
    beside: Any, folder: Path, request: pytest.FixtureRequest, is_first: bool
) -> None:
    prefix = request.getfixturevalue("first") if is_first else ()
    server = beside.start("--profile", str(folder / "flame.svg"), prefix=prefix).wait_until_ready()
    server.wait_for("profile: py-spy looks at the workers")
    while not (found := [place for place in Path("/proc").glob("[0-9]*") if _is_py_spy(place, folder)]):
        assert server.process.poll() is None  # a process has its new name a little later
    (profiler,) = found
    supervisor = int((profiler / "stat").read_text().rpartition(")")[2].split()[1])
    os.kill(int(profiler.name), signal.SIGKILL)
    server.wait_for("ERROR .*profile: there is none, for py-spy ended with -9")
    os.kill(supervisor, signal.SIGTERM)
    assert server.wait() == 0
    assert server.count("profile: ") == 2


def _is_py_spy(process: Path, folder: Path) -> bool:
    try:
        words = (process / "cmdline").read_text().split("\0")
    except OSError:  # it has ended
        return False
    return words[1:2] == ["record"] and str(folder / "flame.svg") in words


REFUSED = {
    "ending": ("profile.txt", 2, "ends in .svg for a flame graph"),
    "folder": ("nowhere/flame.svg", 1, "flame.svg cannot be written: No such file or directory"),
}


@pytest.mark.parametrize(("file", "code", "told"), REFUSED.values(), ids=REFUSED.keys())
def test_a_file_that_cannot_be_is_refused_before_anything_starts(
    beside: Any, folder: Path, file: str, code: int, told: str
) -> None:
    server = beside.start("--profile", str(folder / file))
    assert server.wait() == code
    assert told in " ".join(server.log.split())
    assert "REST on" not in server.log


def test_without_py_spy_one_line_says_what_to_install(folder: Path) -> None:
    """Where neither this Python's programs nor the path have it."""
    code = "import sys; from seldon_spec.cli.main import run; sys.exit(run(sys.argv[1:]))"
    hidden = f"import sys; sys.executable = {str(folder / 'bin' / 'python')!r}; {code}"
    ended = subprocess.run(
        [sys.executable, "-c", hidden, "serve", str(folder), "--profile", str(folder / "flame.svg")],
        capture_output=True, text=True, check=False, timeout=60, env={"PATH": str(folder)},
    )  # fmt: skip
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1] == (
        "error: a profile is taken by py-spy, which is not installed: pip install 'seldon-spec[profile]'"
    )

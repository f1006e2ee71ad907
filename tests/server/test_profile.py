"""``serve --profile``: a flame graph of what the requests cost, whoever may not take one is told."""

from __future__ import annotations

import json
import re
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
    samples = [int(count) for count in re.findall(r"<title>burn \(Served\.py:\d+\) \((\d+) samples", graph)]
    assert sum(samples) > 10


def test_speedscope_s_form_by_the_file_s_ending(beside: Any, folder: Path) -> None:
    tree = json.loads(profile(beside, folder / "profile.json"))
    assert "burn" in {frame["name"] for frame in tree["shared"]["frames"]}


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

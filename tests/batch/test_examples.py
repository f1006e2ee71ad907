"""The commands in the README of the example: a million rows in the process of the command, and some on a server."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.pages

EXAMPLES = Path(__file__).parents[2] / "examples"
BLOCK = re.compile(r"(?:^ {4}.*\n)+", re.MULTILINE)
RUN_SECONDS = 500


def read_blocks() -> list[list[str]]:
    """Return the lines of each indented block of the README."""
    text = (EXAMPLES / "batch" / "README.md").read_text(encoding="utf-8")
    return [[line[4:] for line in block.splitlines()] for block in BLOCK.findall(text)]


def run_commands(commands: list[str], folder: Path, environ: dict[str, str]) -> str:
    script = "\n".join(["set -e", *commands])
    return subprocess.run(
        ["/bin/sh", "-c", script],
        cwd=folder,
        env=environ,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=RUN_SECONDS,
    ).stdout


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, command_environ: dict[str, str]) -> Path:
    """A folder with copies of the examples, and a trained classifier."""
    pytest.importorskip("sklearn", reason="the example's own requirements are not installed")
    folder = tmp_path_factory.mktemp("root")
    for name in ("batch", "iris"):
        ignored = shutil.ignore_patterns("*.joblib", "__pycache__")
        shutil.copytree(EXAMPLES / name, folder / "examples" / name, ignore=ignored)
    run_commands(["python examples/iris/train.py"], folder, command_environ)
    return folder


def test_a_million_rows(root: Path, command_environ: dict[str, str]) -> None:
    commands, shown, _ = read_blocks()
    install, train, *steps = commands
    assert install.startswith("pip install ")
    assert train == "python examples/iris/train.py"
    assert run_commands(steps, root, command_environ).splitlines() == shown
    with (root / "flowers.csv").open() as data, (root / "scored.csv").open() as scored:
        next(data)
        next(scored)
        count = 0
        for row, line in zip(data, scored, strict=True):
            assert line.startswith(row[:-1])
            count += 1
    assert 0.999 < sum(map(float, line.split(",")[4:])) < 1.001
    assert count == 1_000_000
    assert not (root / "scored.csv.failed.jsonl").exists()


def test_rows_on_a_server(
    root: Path, command_environ: dict[str, str], serve_folder: Callable[..., AbstractContextManager[Any]]
) -> None:
    *_, (serve, *steps, stop) = read_blocks()
    assert serve == "seldon-spec serve examples/iris &"
    assert stop == "kill %1"
    with serve_folder(root / "examples" / "iris") as server:
        moved = [step.replace("localhost:9000", f"127.0.0.1:{server.http}") for step in steps]
        assert moved != steps
        run_commands(moved, root, command_environ)
    lines = (root / "few-scored.csv").read_text().splitlines()
    assert len(lines) == 1001
    assert lines[1] == read_blocks()[1][1]

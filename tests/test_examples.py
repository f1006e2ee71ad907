"""Every folder of examples is valid, renders, is served, and answers over REST and gRPC."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.conftest import Serve

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
NAMES = sorted(path.name for path in EXAMPLES.iterdir() if path.is_dir())
ROWS = {"minimal": [[1.5, 2.0], [3.0, 4.5]], "iris": [[5.1, 3.5, 1.4, 0.2], [6.3, 3.3, 6.0, 2.5]]}
"""What each example is asked."""


@pytest.fixture(params=NAMES)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy of an example, trained where it trains."""
    copy = tmp_path / str(request.param)
    shutil.copytree(EXAMPLES / request.param, copy, ignore=shutil.ignore_patterns("*.joblib", "__pycache__"))
    if (copy / "train.py").exists():
        pytest.importorskip("sklearn", reason="the example's own requirements are not installed")
        subprocess.run([sys.executable, "train.py"], cwd=copy, check=True, stdout=subprocess.DEVNULL)
    return copy


def run(words: list[str], folder: Path, environ: dict[str, str]) -> str:
    command = [sys.executable, "-m", "seldon_spec", *words]
    return subprocess.run(command, cwd=folder, env=environ, stdout=subprocess.PIPE, text=True, check=True).stdout


def check_answer(name: str, answer: Any) -> None:
    data = answer["data"]
    if name == "minimal":
        assert data["ndarray"] == ROWS[name]
    else:
        assert data["names"] == ["setosa", "versicolor", "virginica"]
        assert [row.index(max(row)) for row in data["ndarray"]] == [0, 2]
        assert answer["meta"]["tags"] == {"classifier": "LogisticRegression"}


def test_it_is_valid_and_renders(folder: Path, command_environ: dict[str, str]) -> None:
    run(["validate", "--strict"], folder, command_environ)
    assert "requirements.txt" in run(["dockerfile"], folder, command_environ)


def test_it_is_served_and_answers(folder: Path, command_environ: dict[str, str], serve_folder: Serve) -> None:
    rows = json.dumps(ROWS[folder.name])
    check_answer(folder.name, json.loads(run(["predict", rows], folder, command_environ)))
    with serve_folder(folder) as server:
        for url in (f"http://127.0.0.1:{server.http}", f"grpc://127.0.0.1:{server.grpc}"):
            check_answer(folder.name, json.loads(run(["predict", rows, "--at", url], folder, command_environ)))


@pytest.mark.parametrize("folder", ["iris"], indirect=True)
def test_the_demo_runs_to_its_end(folder: Path, command_environ: dict[str, str]) -> None:
    ended = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "demo.py"), str(folder)],
        cwd=folder,
        env=command_environ,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    assert [word for word in ("http://", "grpc://", "-> setosa", "-> virginica") if word not in ended.stdout] == []

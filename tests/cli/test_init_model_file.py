"""A project that serves a model file without a class: three commands from the file to a prediction."""

from __future__ import annotations

import json
import sys
import urllib.request
from collections.abc import Callable
from contextlib import AbstractContextManager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import joblib
import pytest
import yaml
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import FunctionTransformer

from seldon_spec.cli.main import run
from tests.config.test_model_files import Hostile

pytestmark = pytest.mark.pages

FILES = {"seldon.yaml", "requirements.txt", ".dockerignore", "seldon.schema.json"}

Serve = Callable[[Path], AbstractContextManager[Any]]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A file of joblib beside the folders of the tests."""
    path = tmp_path / "my.iris-model.joblib"
    joblib.dump(LogisticRegression().fit([[0, 0], [1, 1], [2, 2]], ["a", "b", "c"]), path)
    return path


def test_three_commands_lead_to_a_prediction(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], serve_folder: Serve
) -> None:
    folder = tmp_path / "iris"
    assert run(["init", str(folder), "--model", str(model)]) == 0
    assert {each.name for each in folder.iterdir()} == {*FILES, model.name}
    capsys.readouterr()
    assert run(["predict", "[[2, 2]]", "--at", str(folder)]) == 0
    assert json.loads(capsys.readouterr().out)["data"]["ndarray"] == ["c"]
    with serve_folder(folder) as server:
        request = urllib.request.Request(
            f"http://127.0.0.1:{server.http}/predict",
            json.dumps({"data": {"ndarray": [[0, 0]]}}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as response:
            assert json.load(response)["data"]["ndarray"] == ["a"]


def test_the_files_say_what_was_found(model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "iris"
    assert run(["init", str(folder), "--model", str(model)]) == 0
    assert yaml.safe_load((folder / "seldon.yaml").read_text()) == {
        "model": {"path": model.name},
        "name": "my-iris-model",
        "version": "0.1",
        "image": {"python": f"{sys.version_info.major}.{sys.version_info.minor}"},
    }
    names = ["joblib", "numpy", "scikit-learn"]
    assert (folder / "requirements.txt").read_text().split() == [f"{name}=={version(name)}" for name in names]
    assert run(["validate", "--strict", str(folder)]) == 0


def test_the_version_of_the_file_is_required(tmp_path: Path) -> None:
    model = tmp_path / "rings.json"
    model.write_text('{"learner": {}, "version": [2, 0, 3]}')
    assert run(["init", str(tmp_path / "rings"), "--model", str(model)]) == 0
    [line] = (tmp_path / "rings" / "requirements.txt").read_text().split()
    assert line.startswith("xgboost")
    assert line.endswith("==2.0.3")


def test_a_file_in_the_folder_is_not_copied(model: Path, tmp_path: Path) -> None:
    assert run(["init", str(tmp_path), "--model", str(model)]) == 0
    assert {each.name for each in tmp_path.iterdir()} == {*FILES, model.name}


def test_a_format_that_only_the_name_tells_is_written(tmp_path: Path) -> None:
    (tmp_path / "iris.skops").write_bytes(b"?")
    assert run(["init", str(tmp_path), "--model", str(tmp_path / "iris.skops")]) == 0
    assert yaml.safe_load((tmp_path / "seldon.yaml").read_text())["model"] == {
        "path": "iris.skops",
        "format": "sklearn",
    }


def test_nothing_of_the_file_is_executed(tmp_path: Path) -> None:
    target = tmp_path / "written"
    joblib.dump(FunctionTransformer(kw_args={"x": Hostile(target)}), tmp_path / "iris.joblib")
    assert run(["init", str(tmp_path / "iris"), "--model", str(tmp_path / "iris.joblib")]) == 0
    assert not target.exists()


@pytest.mark.parametrize(("text", "reason"), [(None, "there is no file"), ("hello", "a file of an unknown kind")])
def test_a_file_that_is_no_model_is_reported(
    text: str | None, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "model.bin"
    if text is not None:
        path.write_text(text)
    assert run(["init", str(tmp_path / "new"), "--model", str(path)]) == 1
    assert reason in capsys.readouterr().err
    assert not (tmp_path / "new").exists()

"""A new folder validates, serves and passes its own test unchanged, for every service type."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import yaml

from seldon_spec.cli.main import run
from seldon_spec.config.loader import load
from seldon_spec.config.model import ServiceType
from seldon_spec.config.schema.lookup import load_schema

pytestmark = pytest.mark.pages

Serve = Callable[[Path], AbstractContextManager[Any]]

FILES = {"seldon.yaml", "requirements.txt", ".dockerignore", "seldon.schema.json"}


KINDS = [*(["--service-type", kind.value] for kind in ServiceType), ["--infer"]]


def _init(folder: Path, kind: list[str]) -> None:
    assert run(["init", str(folder), *kind, "--class-name", "Fresh"]) == 0


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind[-1])
def test_a_new_folder_is_right_and_complete(
    kind: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "new" / "folder"
    _init(folder, kind)
    assert {path.name for path in folder.iterdir()} == {*FILES, "Fresh.py", "test_Fresh.py"}
    assert run(["validate", str(folder), "--strict"]) == 0
    assert load(folder, {}).service_type.value in (kind[-1], "MODEL")
    assert json.loads((folder / "seldon.schema.json").read_text()) == load_schema()
    assert (folder / "seldon.yaml").read_text().startswith("# yaml-language-server: $schema=./seldon.schema.json\n")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind[-1])
def test_a_new_folder_passes_its_own_test(kind: list[str], tmp_path: Path) -> None:
    _init(tmp_path, kind)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind[-1])
def test_a_new_folder_serves(kind: list[str], tmp_path: Path, serve_folder: Serve) -> None:
    _init(tmp_path, kind)
    with serve_folder(tmp_path):
        pass


def test_infer_is_a_method_of_a_model(tmp_path: Path) -> None:
    assert run(["init", str(tmp_path / "x"), "--infer", "--service-type", "ROUTER"]) == 2
    assert not (tmp_path / "x").exists()


def test_nothing_is_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "requirements.txt").write_text("mine\n")
    assert run(["init", str(tmp_path)]) == 1
    assert "already contains requirements.txt; nothing was written" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["requirements.txt"]
    assert (tmp_path / "requirements.txt").read_text() == "mine\n"


@pytest.mark.parametrize("name", ["my-model", "1Model", "class", "pkg.Model", "", "é"])
def test_a_name_that_no_class_can_have_is_wrong_usage(name: str, tmp_path: Path) -> None:
    assert run(["init", str(tmp_path / "x"), "--class-name", name]) == 2
    assert not (tmp_path / "x").exists()


def test_a_folder_that_cannot_be_created_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert run(["init", str(tmp_path / "file" / "below")]) == 1
    assert "cannot be written" in capsys.readouterr().err


GRAPHS = [
    (["iris=model"], ["iris"], True),
    (["scaler=TRANSFORMER", "iris=MODEL"], ["scaler", "iris"], False),
    (["iris=MODEL", "watch=OUTLIER_DETECTOR"], ["watch", "iris"], False),
    (["one=MODEL", "two=MODEL"], [{"split": {"one": 1, "two": 1}}], True),
    (["mean=COMBINER", "one=MODEL", "two=MODEL"], [{"combine": "mean", "of": ["one", "two"]}], True),
    (
        ["one=MODEL", "two=MODEL", "choose=ROUTER", "scaler=TRANSFORMER"],
        ["scaler", {"route": "choose", "to": ["one", "two"]}],
        False,
    ),
]
"""The components, the graph, and whether its test generates requests from declared inputs."""
GRAPH_IDS = ["one", "chain", "detector", "split", "combine", "route"]


@pytest.mark.parametrize(("components", "steps", "has_contract"), GRAPHS, ids=GRAPH_IDS)
def test_a_new_graph_is_right_and_passes_its_own_test(
    components: list[str], steps: list[Any], has_contract: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "fresh-graph"
    assert run(["init", str(folder), "--graph", *components]) == 0
    assert run(["validate", str(folder), "--strict"]) == 0
    assert run(["dockerfile", str(folder)]) == 0
    written = yaml.safe_load((folder / "seldon.yaml").read_text())
    assert (written["name"], written["graph"]) == (
        "fresh-graph",
        steps if len(steps) > 1 or components[1:] == [] else steps[0],
    )
    assert ("check_contract" in (folder / "test_graph.py").read_text()) is has_contract
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error", "test_graph.py"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout
    assert capsys.readouterr().err.endswith(f"{folder / 'seldon.yaml'}: OK\n")


def test_a_new_graph_serves(tmp_path: Path, serve_folder: Serve) -> None:
    assert run(["init", str(tmp_path), "--graph", "one=MODEL", "two=MODEL"]) == 0
    with serve_folder(tmp_path):
        pass


def test_a_graph_of_existing_folders_names_them_and_their_columns(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "shared" / "Iris_2").mkdir(parents=True)
    (tmp_path / "shared" / "Iris_2" / "seldon.yaml").write_text("class_name: M\ninputs: [a, b, c]\n")
    (tmp_path / "shared" / "Iris_2" / "M.py").write_text("class M:\n    def predict(self, X): return X\n")
    (tmp_path / "shared" / "labels").mkdir()
    (tmp_path / "shared" / "labels" / "seldon.yaml").write_text("class_name: L\nservice_type: TRANSFORMER\n")
    (tmp_path / "shared" / "labels" / "L.py").write_text("class L:\n    def transform_output_raw(self, X): return X\n")
    folder = tmp_path / "graph"
    assert run(["init", str(folder), "--graph", "../shared/labels", "../shared/Iris_2"]) == 0
    assert yaml.safe_load((folder / "seldon.yaml").read_text()) == {
        "name": "graph",
        "version": "0.1",
        "graph": ["iris-2", "labels"],
        "components": {"iris-2": "../shared/Iris_2", "labels": "../shared/labels"},
    }
    assert "[[1.0, 2.0, 3.0]]" in (folder / "test_graph.py").read_text()
    assert {path.name for path in folder.iterdir()} == {*FILES, "test_graph.py"}
    assert run(["validate", str(folder)]) == 0


WRONG_GRAPHS = [
    (["--graph", "iris"], 1, "write iris=MODEL"),
    (["--graph", "iris=NODE"], 1, "the service type is none of MODEL, ROUTER"),
    (["--graph", "../iris=MODEL"], 1, "outside the graph's folder"),
    (["--graph", "a/iris=MODEL", "b/iris=MODEL"], 1, "iris is named twice"),
    (["--graph", "a=ROUTER", "b=COMBINER", "c=MODEL"], 1, "name one ROUTER or COMBINER"),
    (["--graph", "a=ROUTER"], 1, "a needs at least one MODEL"),
    (["--graph", "é=MODEL"], 1, "no name can be made"),
    (["--graph"], 2, "--graph COMPONENT"),
    (["iris"], 2, "--graph COMPONENT"),
    (["--graph", "iris=MODEL", "--infer"], 2, "without options of a class"),
]


@pytest.mark.parametrize(
    ("words", "code", "message"), WRONG_GRAPHS, ids=[" ".join(words) for words, _, _ in WRONG_GRAPHS]
)
def test_a_graph_that_cannot_be_composed_is_reported(
    words: list[str], code: int, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["init", str(tmp_path / "new"), *words]) == code
    assert message in " ".join(capsys.readouterr().err.split())
    assert [*tmp_path.iterdir()] == []


def test_a_component_with_errors_is_reported_as_by_validate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "iris").mkdir()
    (tmp_path / "iris" / "seldon.yaml").write_text("class_name: Missing\n")
    assert run(["init", str(tmp_path), "--graph", "iris"]) == 1
    assert "[no-such-module]" in capsys.readouterr().err
    assert not (tmp_path / "seldon.yaml").exists()

"""``validate`` on a folder of models: every spec below it."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from seldon_spec.cli import spec_search
from seldon_spec.cli.main import run

ROOT = Path(__file__).parents[2]
CLASS = "class MyModel:\n    def predict(self, X, names): ...\n"


def _write(folder: Path, spec: str = "class_name: MyModel\n") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "seldon.yaml").write_text(spec)
    (folder / "MyModel.py").write_text(CLASS)


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("b/iris", "a", "b"):
        _write(tmp_path / "models" / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "models"


def test_each_spec_below_a_folder_is_reported(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["validate", "models"]) == 0
    assert capsys.readouterr().err.splitlines() == [
        "models/a/seldon.yaml: OK",
        "models/b/seldon.yaml: OK",
        "models/b/iris/seldon.yaml: OK",
        "Checked 3 files: 3 OK, 0 with errors.",
    ]
    _write(models / "c", "class_name: Nothing\n")
    assert run(["validate"]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert [line for line in lines if line.startswith("models/c/seldon.yaml:1:13: error: ")]
    assert lines[-1] == "Checked 4 files: 3 OK, 1 with errors."


def test_a_machine_format_has_the_findings_of_all(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _write(models / "c", "class_name: Nothing\n")
    _write(models / "d", "class: MyModel\n")
    assert run(["validate", "--format", "json", "models"]) == 1
    captured = capsys.readouterr()
    files = {each["origin"]["file"] for each in json.loads(captured.out)["diagnostics"]}
    assert (files, captured.err) == ({"models/c/seldon.yaml", "models/d/seldon.yaml"}, "")


def test_a_folder_with_a_spec_is_checked_alone(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _write(models / "b" / "iris", "class: MyModel\n")
    assert run(["validate", "models/b"]) == 0
    assert capsys.readouterr().err == "models/b/seldon.yaml: OK\n"


SKIPPED = [".git", ".venv", "node_modules", "build", "venv", "__pycache__"]


@pytest.mark.parametrize("name", SKIPPED)
def test_folders_of_tools_are_not_searched(name: str, models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _write(models / "a" / name / "x", "class: MyModel\n")
    assert run(["validate", "models"]) == 0
    assert "Checked 3 files" in capsys.readouterr().err


def test_environments_and_links_are_not_searched(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _write(models / "env" / "lib", "class: MyModel\n")
    (models / "env" / "pyvenv.cfg").touch()
    (models / "loop").symlink_to(models)
    assert run(["validate", "models"]) == 0
    assert "Checked 3 files" in capsys.readouterr().err


def test_an_empty_folder_gets_the_command_that_creates_a_spec(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["validate"]) == 1
    assert "run seldon-spec init to create one" in capsys.readouterr().err


@pytest.mark.parametrize(("limit", "what"), [("MAX_FOLDERS", "2 folders"), ("MAX_SPECS", "2 files named seldon.yaml")])
def test_a_search_is_limited(
    limit: str, what: str, models: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(spec_search, limit, 2)
    assert run(["validate", str(models)]) == 2
    assert f"{models} contains more than {what}" in capsys.readouterr().err


def test_a_folder_that_is_too_deep_is_named(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = [f"level-{number}" for number in range(spec_search.MAX_LEVELS)]
    _write(models.joinpath(*names), "class: MyModel\n")
    assert run(["validate", "models"]) == 1
    capsys.readouterr()
    (models.joinpath(*names) / "seldon.yaml").rename(models.joinpath(*names) / "other.yaml")
    _write(models.joinpath(*names, "deeper"), "class: MyModel\n")
    assert run(["validate", "models"]) == 0
    assert f"note: {Path('models', *names, 'deeper')} is not searched" in capsys.readouterr().err


def test_the_examples_of_this_repository(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The only errors are about model files that a training creates."""
    listed = subprocess.run(["git", "ls-files", "examples"], cwd=ROOT, capture_output=True, text=True, check=False)
    for name in listed.stdout.splitlines():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    run(["validate", "--format", "json", str(tmp_path / "examples")])
    findings = json.loads(capsys.readouterr().out)["diagnostics"]
    errors = [each for each in findings if each["severity"] == "error"]
    assert {(each["code"], each["path"]) for each in errors} == {("no-such-file", "model.path")}
    assert all("training" in each["help"] for each in errors)

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

from seldon_spec.cli.main import run
from seldon_spec.config.loader import load
from seldon_spec.config.model import ServiceType
from seldon_spec.config.schema.lookup import load_schema

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

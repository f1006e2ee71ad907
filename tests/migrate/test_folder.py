"""What ``migrate``, ``init`` and ``dockerfile --output`` read and write stays in the folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from seldon_spec.cli.main import run

CLASS = "class MyModel:\n    def predict(self, X, names):\n        return X\n"
DEPLOYMENT = "kind: SeldonDeployment\nspec: {predictors: [{graph: {name: hunter2, type: ROUTER}}]}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder to migrate, beside the directory ``elsewhere``."""
    (tmp_path / "elsewhere").mkdir()
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "MyModel.py").write_text(CLASS)
    return folder


def link(folder: Path, name: str, text: str) -> Path:
    """Make ``name`` in the folder a link to a file elsewhere with this text; returns that file."""
    target = folder.parent / "elsewhere" / Path(name).name
    target.write_text(text)
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).symlink_to(target)
    return target


READ = [
    (".s2i/environment", "MODEL_NAME=hunter2\n"),
    ("Dockerfile", "FROM hunter2\nENV MODEL_NAME=hunter2\n"),
    ("deploy.yaml", DEPLOYMENT),
    ("contract.json", '{"features": [{"name": "hunter2"}]}'),
    ("requirements.txt", "hunter2=1\nseldon-core\n"),
]


@pytest.mark.parametrize(("name", "text"), READ, ids=[row[0] for row in READ])
def test_a_link_out_of_the_folder_is_named_and_not_read(
    name: str, text: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = link(folder, name, text)
    run(["migrate", str(folder), "--write"])
    page = capsys.readouterr().err
    written = folder / "seldon.yaml"
    assert Path(name).name in page
    assert "link that leaves the folder" in page
    assert "hunter2" not in page.replace(str(folder), "")
    assert not written.exists() or "hunter2" not in written.read_text()
    assert target.read_text() == text


def test_a_directory_that_is_a_link_is_not_read(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder.parent / "elsewhere" / "environment").write_text("MODEL_NAME=hunter2\n")
    (folder / ".s2i").symlink_to("../elsewhere")
    assert run(["migrate", str(folder)]) == 1
    page = capsys.readouterr().err
    assert f"{folder / '.s2i'} is a link that leaves the folder" in page
    assert "hunter2" not in page


def test_a_class_behind_a_link_is_not_read(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    link(folder, "Other.py", "hunter2 = (\n")
    (folder / "Dockerfile").write_text("FROM python:3.11\nENV MODEL_NAME=Other\n")
    assert run(["migrate", str(folder)]) == 1
    page = capsys.readouterr().err
    assert f"{folder / 'Other.py'} is a link that leaves the folder; nothing was written" in page
    assert "hunter2" not in page


def test_a_link_within_the_folder_is_followed(folder: Path) -> None:
    (folder / "docker").write_text("FROM python:3.11-slim\nENV MODEL_NAME=MyModel\n")
    (folder / "Dockerfile").symlink_to("docker")
    assert run(["migrate", str(folder)]) == 0
    assert "class_name: MyModel" in (folder / "seldon.yaml").read_text()


@pytest.mark.parametrize("name", ["seldon.yaml", "sub/../seldon.yaml"])
@pytest.mark.parametrize("is_there", [True, False], ids=["file", "dangling"])
def test_nothing_is_written_through_a_link(
    name: str, is_there: bool, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = link(folder, "seldon.yaml", "mine")
    if not is_there:
        target.unlink()
    assert run(["migrate", str(folder), "--force"]) == 1
    assert f"{folder / 'seldon.yaml'} is a link that leaves the folder; nothing was written" in capsys.readouterr().err
    assert (target.read_text() == "mine") if is_there else not target.exists()


def test_requirements_in_a_linked_directory_are_left(folder: Path) -> None:
    target = folder.parent / "elsewhere" / "base.txt"
    target.write_text("seldon-core\n")
    (folder / "reqs").symlink_to("../elsewhere")
    (folder / "Dockerfile").write_text("FROM python:3.11\nRUN pip install -r reqs/base.txt\nENV MODEL_NAME=MyModel\n")
    run(["migrate", str(folder), "--write"])
    assert target.read_text() == "seldon-core\n"


@pytest.mark.parametrize("name", [".s2i/environment", "Dockerfile", "requirements.txt", "contract.json"])
def test_a_pipe_is_reported_and_not_opened(name: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    os.mkfifo(folder / name)
    assert run(["migrate", str(folder)]) == 1
    assert "is not a regular file" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["seldon.yaml", "requirements.txt", ".dockerignore"])
def test_init_writes_through_no_link(name: str, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / name).symlink_to("../elsewhere")
    assert run(["init", str(tmp_path / "new")]) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def test_a_dockerfile_is_not_written_through_a_link(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "seldon.yaml").write_text("class_name: MyModel\n")
    target = link(folder, "Dockerfile", "mine")
    assert run(["dockerfile", str(folder), "--output", str(folder / "Dockerfile")]) == 1
    assert f"{folder / 'Dockerfile'} is a link that leaves the folder" in capsys.readouterr().err
    assert target.read_text() == "mine"
    assert run(["dockerfile", str(folder), "--output", str(folder.parent / "elsewhere" / "new")]) == 0


def test_the_environment_of_an_s2i_build_is_found_one_directory_above(folder: Path) -> None:
    (folder.parent / "environment_v1").write_text("MODEL_NAME=MyModel\nSERVICE_TYPE=MODEL\nSIZE=3\n")
    (folder.parent / "environment_v2").write_text("MODEL_NAME=Other\n")
    assert run(["migrate", str(folder)]) == 0
    text = (folder / "seldon.yaml").read_text()
    assert "Written by seldon-spec migrate from ../environment_v1" in text
    assert 'SIZE: "3"' in text


def test_a_linked_environment_above_is_not_read(folder: Path) -> None:
    (folder.parent / "elsewhere" / "e").write_text("MODEL_NAME=MyModel\nA=hunter2\n")
    (folder.parent / "environment").symlink_to("elsewhere/e")
    assert run(["migrate", str(folder)]) == 0
    assert "hunter2" not in (folder / "seldon.yaml").read_text()

"""What has to be in an image before pip reads a requirements file."""

from __future__ import annotations

from pathlib import Path

import pytest

from seldon_spec.render.requirements import Needed, find_needed


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


INCLUDES = [
    ("short", "-r more.txt"),
    ("joined", "-rmore.txt"),
    ("long", "--requirement more.txt"),
    ("equals", "--requirement=more.txt"),
    ("constraint", "-c more.txt"),
    ("long-constraint", "--constraint more.txt"),
    ("comment", "-r more.txt  # the rest"),
    ("continued", "-r \\\n more.txt"),
    ("quoted", "-r 'more.txt'"),
    ("path", "-r ./sub/../more.txt"),
]


@pytest.mark.parametrize("line", [line for _, line in INCLUDES], ids=[name for name, _ in INCLUDES])
def test_an_included_file_is_needed(line: str, tmp_path: Path) -> None:
    write(tmp_path, {"requirements.txt": f"pandas\n{line}\n", "more.txt": "scipy"})
    assert find_needed(tmp_path, "requirements.txt") == Needed(("requirements.txt", "more.txt"), is_folder=False)


def test_a_ring_of_includes_ends(tmp_path: Path) -> None:
    write(tmp_path, {"a/a.txt": "-r ../b.txt", "b.txt": "-r a/a.txt"})
    assert find_needed(tmp_path, "a/a.txt") == Needed(("a/a.txt", "b.txt"), is_folder=False)


LINES = [
    ("name", "pandas", False),
    ("version", "pandas>=2,<3 ; python_version > '3.9'", False),
    ("extras", "uvicorn[standard]", False),
    ("url", "lib @ https://example.com/lib-1.0-py3-none-any.whl", False),
    ("bare-url", "https://example.com/lib-1.0-py3-none-any.whl", False),
    ("repository", "git+https://example.com/lib.git@main#egg=lib", False),
    ("editable-repository", "-e git+https://example.com/lib.git#egg=lib", False),
    ("index", "--index-url https://example.com/simple", False),
    ("links-url", "--find-links https://example.com/wheels", False),
    ("comment", "# ./lib", False),
    ("folder", "./lib", True),
    ("folder-itself", ".", True),
    ("folder-with-extras", ".[gpu]", True),
    ("editable", "-e lib", True),
    ("editable-long", "--editable=./lib", True),
    ("wheel", "lib-1.0-py3-none-any.whl", True),
    ("wheel-in-a-folder", "wheels/lib-1.0-py3-none-any.whl ; python_version > '3.9'", True),
    ("archive", "lib-1.0.tar.gz", True),
    ("file-url", "lib @ file:./lib", True),
    ("absolute-file-url", "lib @ file:///microservice/lib", True),
    ("links-folder", "--find-links wheels", True),
]


@pytest.mark.parametrize(("line", "is_folder"), [row[1:] for row in LINES], ids=[row[0] for row in LINES])
def test_a_local_requirement_needs_the_folder(line: str, is_folder: bool, tmp_path: Path) -> None:
    write(tmp_path, {"requirements.txt": f"{line}\n"})
    assert find_needed(tmp_path, "requirements.txt") == Needed(("requirements.txt",), is_folder=is_folder)


@pytest.mark.parametrize("line", ["-r missing.txt", "-r ../outside.txt", "-r /etc/hostname", "-r 'open"])
def test_what_is_not_in_the_folder_is_left_to_pip(line: str, tmp_path: Path) -> None:
    write(tmp_path, {"in/requirements.txt": line, "outside.txt": ""})
    assert find_needed(tmp_path / "in", "requirements.txt").files == ("requirements.txt",)


def test_no_file_needs_nothing(tmp_path: Path) -> None:
    assert find_needed(tmp_path, "requirements.txt") == Needed((), is_folder=False)

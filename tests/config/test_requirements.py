"""What has to be in an image before its requirements are installed, and what they say."""

from __future__ import annotations

from pathlib import Path

import pytest

from seldon_spec.config.checks.requirement_files import read_requirements
from seldon_spec.config.checks.requirements import LineKind, kind_of


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
    read = read_requirements(tmp_path, ["requirements.txt"])
    assert (read.files, read.parts, read.is_folder) == (("requirements.txt", "more.txt"), (), False)
    assert [found.text for found in read.lines] == ["pandas", "scipy"]


def test_a_ring_of_includes_ends(tmp_path: Path) -> None:
    write(tmp_path, {"a/a.txt": "-r ../b.txt", "b.txt": "-r a/a.txt"})
    assert read_requirements(tmp_path, ["a/a.txt"]).files == ("a/a.txt", "b.txt")


def test_several_files_are_read_in_order_and_once(tmp_path: Path) -> None:
    write(tmp_path, {"b.txt": "-r a.txt", "a.txt": "", "c.txt": ""})
    assert read_requirements(tmp_path, ["b.txt", "./a.txt", "c.txt"]).files == ("b.txt", "a.txt", "c.txt")


LINES: list[tuple[str, str, tuple[str, ...], bool]] = [
    ("name", "pandas", (), False),
    ("version", "pandas>=2,<3 ; python_version > '3.9'", (), False),
    ("extras", "uvicorn[standard]", (), False),
    ("url", "lib @ https://example.com/lib-1.0-py3-none-any.whl", (), False),
    ("bare-url", "https://example.com/lib-1.0-py3-none-any.whl", (), False),
    ("repository", "git+https://example.com/lib.git@main#egg=lib", (), False),
    ("repository-by-ssh", "git+ssh://git@example.com/lib.git", (), False),
    ("editable-repository", "-e git+https://example.com/lib.git#egg=lib", (), False),
    ("index", "--index-url https://example.com/simple", (), False),
    ("links-url", "--find-links https://example.com/wheels", (), False),
    ("comment", "# ./lib", (), False),
    ("folder", "./lib", ("lib",), False),
    ("folder-with-extras", "./lib[gpu]", ("lib",), False),
    ("folder-itself", ".", (), True),
    ("folder-itself-with-extras", ".[gpu]", (), True),
    ("folder-itself-editable", "-e .", (), True),
    ("editable", "-e lib", ("lib",), False),
    ("editable-long", "--editable=./lib", ("lib",), False),
    ("wheel", "lib-1.0-py3-none-any.whl", ("lib-1.0-py3-none-any.whl",), False),
    (
        "wheel-with-marker",
        "wheels/a-1-py3-none-any.whl ; python_version > '3.9'",
        ("wheels/a-1-py3-none-any.whl",),
        False,
    ),
    ("wheel-with-hash", "wheels/a-1-py3-none-any.whl --hash=sha256:00", ("wheels/a-1-py3-none-any.whl",), False),
    ("archive", "lib-1.0.tar.gz", ("lib-1.0.tar.gz",), False),
    ("file-url", "lib @ file:./lib", ("lib",), False),
    ("absolute-file-url", "lib @ file:///microservice/lib", (), True),
    ("links-folder", "--find-links wheels", ("wheels",), False),
    ("not-there", "./other", (), False),
    ("outside", "../lib", (), False),
]


@pytest.mark.parametrize(("line", "parts", "is_folder"), [row[1:] for row in LINES], ids=[row[0] for row in LINES])
def test_what_of_the_folder_a_line_installs(line: str, parts: tuple[str, ...], is_folder: bool, tmp_path: Path) -> None:
    names = ["lib/a.py", "lib-1.0-py3-none-any.whl", "wheels/a-1-py3-none-any.whl", "lib-1.0.tar.gz"]
    write(tmp_path / "in", {"requirements.txt": f"{line}\n", **dict.fromkeys(names, "")})
    write(tmp_path, {"lib/a.py": ""})
    read = read_requirements(tmp_path / "in", ["requirements.txt"])
    assert (read.files, read.parts, read.is_folder) == (("requirements.txt",), parts, is_folder)


@pytest.mark.parametrize("line", ["-r missing.txt", "-r ../outside.txt", "-r /etc/hostname", "-r 'open"])
def test_what_is_not_in_the_folder_is_left_to_the_installer(line: str, tmp_path: Path) -> None:
    write(tmp_path, {"in/requirements.txt": line, "outside.txt": ""})
    assert read_requirements(tmp_path / "in", ["requirements.txt"]).files == ("requirements.txt",)


def test_no_file_needs_nothing(tmp_path: Path) -> None:
    read = read_requirements(tmp_path, ["requirements.txt"])
    assert (read.files, read.parts, read.lines, read.is_folder) == ((), (), (), False)


HASHED = "a==1 \\\n    --hash=sha256:00 \\\n    --hash=sha256:01  # both\n"


@pytest.mark.parametrize(
    ("text", "is_hashed"),
    [(HASHED, True), ("--require-hashes\n", True), ("a  # --hash=sha256:00\n", False), ("a-hash\n", False)],
    ids=["hashes", "option", "comment", "name"],
)
def test_hashes_are_seen(text: str, is_hashed: bool, tmp_path: Path) -> None:
    write(tmp_path, {"requirements.txt": text})
    assert read_requirements(tmp_path, ["requirements.txt"]).is_hashed is is_hashed


NAMED = [
    ("plain", "requirements.txt", "flask\nseldon-spec\n", 2),
    ("spelling", "requirements.txt", "Seldon_Spec[x]>=0.1 ; python_version > '3.9'\n", 1),
    ("url", "requirements.txt", "seldon.spec @ https://example.com/x.whl\n", 1),
    ("wheel", "requirements.txt", "\n./wheels/seldon_spec-0.1.0-py3-none-any.whl\n", 2),
    ("continued", "requirements.txt", "a \\\n --hash=sha256:00\nseldon-spec\n", 3),
    ("other", "requirements.txt", "seldon-spec-extras\nseldon-speculation\nmy-seldon-spec\n", None),
    ("comment", "requirements.txt", "# seldon-spec\n", None),
    ("lock", "uv.lock", 'version = 1\n\n[[package]]\nname = "seldon-spec"\n', 4),
    ("project", "pyproject.toml", '[project]\ndependencies = ["flask>=3", "seldon-spec>=0.1"]\n', 2),
    ("conda", "environment.yml", "dependencies:\n  - python=3.12\n  - pip:\n    - seldon-spec==0.1\n", 4),
]


@pytest.mark.parametrize(("file", "text", "number"), [row[1:] for row in NAMED], ids=[row[0] for row in NAMED])
def test_a_package_is_found_by_its_name(file: str, text: str, number: int | None, tmp_path: Path) -> None:
    write(tmp_path, {file: text})
    found = read_requirements(tmp_path, [file]).find("seldon-spec")
    assert (found.number if found else None) == number


def test_a_line_knows_its_place(tmp_path: Path) -> None:
    write(tmp_path, {"a.txt": "\n  seldon-core  # old\n"})
    found = read_requirements(tmp_path, ["a.txt"]).find("seldon-core")
    assert found is not None
    place = found.position(tmp_path)
    assert (str(place), place.width, place.text) == (f"{tmp_path}/a.txt:2:3", 18, "  seldon-core  # old")


def test_a_lock_needs_its_project_beside_it(tmp_path: Path) -> None:
    write(tmp_path, {"sub/uv.lock": "", "sub/pyproject.toml": ""})
    assert read_requirements(tmp_path, ["sub/uv.lock"]).files == ("sub/uv.lock", "sub/pyproject.toml")


@pytest.mark.parametrize(
    ("file", "kind"),
    [
        ("requirements.txt", LineKind.PIP),
        ("a/uv.lock", LineKind.UV_LOCK),
        ("pyproject.toml", LineKind.PYPROJECT),
        ("conda/environment.yaml", LineKind.CONDA),
        ("my-environment.yml", LineKind.CONDA),
        ("conda.YAML", LineKind.CONDA),
        ("requirements.in", LineKind.PIP),
    ],
)
def test_a_name_tells_who_reads_a_file(file: str, kind: LineKind) -> None:
    assert kind_of(file) is kind

"""Golden folders: the files of an old image, and what ``migrate`` writes and says. Every new folder is a new case."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from seldon_spec import __version__
from seldon_spec.cli.main import run
from seldon_spec.config.loader import load

GOLDEN = Path(__file__).parents[1] / "golden" / "migrate"
CASES = sorted(path for path in GOLDEN.iterdir() if path.is_dir())
EXPECTED = ("expected.yaml", "expected.txt", "args")


def _copy(case: Path, to: Path) -> Path:
    folder = to / case.name
    shutil.copytree(case, folder, ignore=shutil.ignore_patterns(*EXPECTED))
    return folder


def _compare(expected: Path, text: str | None, *, is_rewriting: bool) -> None:
    """Hold a text against its file; None: there is to be none."""
    if is_rewriting:
        expected.unlink(missing_ok=True)
        if text is not None:
            expected.write_text(text, encoding="utf-8")
    assert text == (expected.read_text(encoding="utf-8") if expected.is_file() else None)


def test_there_are_cases_enough() -> None:
    assert len(CASES) >= 25


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_folder_is_migrated_as_it_should(
    case: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    pytestconfig: pytest.Config,
) -> None:
    folder = _copy(case, tmp_path)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    arguments = (case / "args").read_text().split() if (case / "args").is_file() else []
    monkeypatch.chdir(folder)
    code = run(["migrate", ".", *arguments])
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "hunter2" not in captured.err
    is_rewriting = pytestconfig.getoption("--rewrite-golden")
    said = captured.err.replace(f"seldon-spec>={__version__}", "seldon-spec>=VERSION") + f"exit code {code}\n"
    _compare(case / "expected.txt", said, is_rewriting=is_rewriting)
    written = folder / "seldon.yaml"
    is_new = written.is_file() and before.get(written) != written.read_bytes()
    text = written.read_text(encoding="utf-8") if is_new else None
    _compare(case / "expected.yaml", text, is_rewriting=is_rewriting)
    assert "hunter2" not in (text or "")
    if code == 0:
        spec = load(folder, {})
        assert spec.class_name or spec.graph or spec.model
    if "--write" not in arguments:
        changed = [path for path, data in before.items() if path.read_bytes() != data and path != written]
        assert changed == []


def test_what_this_package_rendered_is_no_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = _copy(GOLDEN / "s2i-minimal", tmp_path)
    monkeypatch.chdir(folder)
    assert run(["migrate", "."]) == 0
    first = (folder / "seldon.yaml").read_text()
    assert run(["dockerfile"]) == 0
    (folder / "Dockerfile").write_text(capsys.readouterr().out)
    assert run(["migrate", ".", "--force"]) == 0
    assert (folder / "seldon.yaml").read_text() == first


@pytest.mark.parametrize("target", ["missing", "a-file"])
def test_a_missing_folder_is_reported(target: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a-file").touch()
    assert run(["migrate", str(tmp_path / target)]) == 1
    assert "there is no folder" in capsys.readouterr().err


def test_a_folder_has_to_be_named() -> None:
    assert run(["migrate"]) == 2


def test_a_second_run_with_write_changes_nothing_more(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = _copy(GOLDEN / "requirements-written", tmp_path)
    assert run(["migrate", str(folder), "--write"]) == 1
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert run(["migrate", str(folder), "--write", "--force"]) == 1
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before

"""Golden pages: folders with a spec, variables and flags, and what ``validate`` says; one gate for every operation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from seldon_spec.cli.main import run

EnterCase = Callable[[Path], list[str]]

CASES = Path(__file__).parents[1] / "cases"
INVALID = sorted(path for path in (CASES / "invalid").iterdir() if path.is_dir())
VALID = sorted(path for path in (CASES / "valid").iterdir() if path.is_dir())


def _name(case: Path) -> str:
    return case.name


def _compare(expected: Path, page: str, *, is_rewriting: bool) -> None:
    if is_rewriting:
        expected.write_text(page)
    assert page == expected.read_text()


@pytest.mark.parametrize("case", INVALID, ids=_name)
def test_wrong_spec_gets_its_page(
    case: Path,
    enter_case: EnterCase,
    capsys: pytest.CaptureFixture[str],
    pytestconfig: pytest.Config,
) -> None:
    arguments = enter_case(case)
    assert run(["validate", *arguments]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    _compare(case / "expected.txt", captured.err, is_rewriting=pytestconfig.getoption("--rewrite-golden"))


@pytest.mark.parametrize("case", VALID, ids=_name)
def test_right_spec_is_fine(
    case: Path,
    enter_case: EnterCase,
    capsys: pytest.CaptureFixture[str],
    pytestconfig: pytest.Config,
) -> None:
    arguments = enter_case(case)
    assert run(["validate", *arguments]) == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    _compare(case / "expected.txt", captured.err, is_rewriting=pytestconfig.getoption("--rewrite-golden"))


VERBS = [["show"], ["dockerfile"], ["serve"], ["predict", "[[1]]"]]


@pytest.mark.parametrize("operation", VERBS, ids=lambda operation: operation[0])
@pytest.mark.parametrize("case", [case for case in INVALID if not case.name.startswith("strict-")], ids=_name)
def test_every_verb_refuses_with_the_same_page(
    case: Path,
    operation: list[str],
    enter_case: EnterCase,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = enter_case(case)
    assert run([*operation, *arguments]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == (case / "expected.txt").read_text()

"""Findings as a page: clipped to the terminal, coloured only on one, and safe to print."""

from __future__ import annotations

import os
import pty
import sys
from pathlib import Path

import pytest

from seldon_spec.errors import Diagnostic, Origin, OriginKind, Position, Severity
from seldon_spec.report import render_text, summarise


def _finding(text: str, column: int, width: int, **parts: object) -> Diagnostic:
    origin = Origin(OriginKind.FILE, "f", Position("f", 3, column, width, text))
    return Diagnostic("code", "message", origin, **parts)  # type: ignore[arg-type]


EXCERPTS = [
    ("plain", "key: value", 6, 5, 40, ["key: value", "     ^^^^^"]),
    ("tab before", "a:\tvalue", 4, 5, 40, ["a:\tvalue", "  \t^^^^^"]),
    ("wide before", "日: x", 4, 1, 40, ["日: x", "    ^"]),
    ("wide marked", "a: 日本", 4, 2, 40, ["a: 日本", "   ^^^^"]),
    ("combining", "e\u0301: x", 5, 1, 40, ["e\u0301: x", "   ^"]),
    ("behind the end", "key:", 5, 1, 40, ["key:", "    ^"]),
    ("long, near the start", "ab" + "x" * 100, 1, 2, 40, ["ab" + "x" * 30 + "…", "^^"]),
    ("long, at the end", "x" * 100 + "ab", 101, 2, 40, None),
    ("longer than the room", "x" * 100, 1, 100, 40, None),
]


@pytest.mark.parametrize(
    ("text", "column", "width", "terminal", "expected"), [e[1:] for e in EXCERPTS], ids=[e[0] for e in EXCERPTS]
)
def test_the_caret_stands_under_the_words(
    text: str, column: int, width: int, terminal: int, expected: list[str] | None
) -> None:
    _, line, caret, *_ = render_text([_finding(text, column, width)], width=terminal).splitlines()
    assert len(line) <= terminal
    assert "^" in caret
    if expected is not None:
        assert [line.removeprefix("   3 | "), caret.removeprefix("     | ")] == expected
    if len(text) <= 33:
        return
    marked = line[caret.index("^") : caret.rindex("^") + 1]
    assert marked.rstrip("…") in text
    assert text[column - 1 : column + 1] == marked[:2]


def test_control_characters_are_shown_not_sent() -> None:
    page = render_text([_finding("a: \x1b[2J", 4, 1, found="\x07bell")])
    assert "\x1b" not in page
    assert "\\x1b[2J" in page
    assert "\\x07bell" in page


def test_a_position_without_text_has_no_excerpt() -> None:
    assert render_text([_finding("", 1, 1)]) == "f:3:1: error: message [code]\n"


SUMMARIES = [
    ([], "f: OK"),
    ([Severity.WARNING, Severity.WARNING, Severity.NOTE], "f: OK, with 2 warnings and 1 note"),
    ([Severity.ERROR, Severity.WARNING], "Found 1 error in f."),
]


@pytest.mark.parametrize(("severities", "line"), SUMMARIES, ids=[line for _, line in SUMMARIES])
def test_the_last_line_counts(severities: list[Severity], line: str) -> None:
    assert summarise([_finding("x", 1, 1, severity=severity) for severity in severities], "f") == line


def _run_in_terminal(folder: Path, columns: int, **variables: str) -> str:
    """What ``validate`` writes to a terminal of so many columns."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(folder)
        environ = {**os.environ, "TERM": "xterm", "COLUMNS": str(columns), **variables}
        os.execve(sys.executable, [sys.executable, "-m", "seldon_spec", "validate"], environ)
    written = b""
    try:
        while chunk := os.read(terminal, 65536):
            written += chunk
    except OSError:  # Linux ends a terminal's last read so
        pass
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == 1
    return written.decode()


@pytest.fixture
def wrong(tmp_path: Path) -> Path:
    (tmp_path / "seldon.yaml").write_text(f"class_name: MyModel\nname: {'x' * 30}_{'y' * 60}!\n")
    (tmp_path / "MyModel.py").write_text("class MyModel:\n    def predict(self, X, names): ...\n")
    return tmp_path


# A thread of the test process is no reason for the warning: the child calls exec at once.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


def test_a_terminal_gets_colours_and_lines_that_fit(wrong: Path) -> None:
    written = _run_in_terminal(wrong, 60)
    assert "\x1b[1;31merror:\x1b[0m" in written
    excerpt = [line for line in written.splitlines() if line.startswith("   2 |")]
    assert len(excerpt) == 1
    assert len(excerpt[0]) <= 60


@pytest.mark.parametrize("variables", [{"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=["NO_COLOR", "dumb"])
def test_colour_can_be_refused(wrong: Path, variables: dict[str, str]) -> None:
    assert "\x1b" not in _run_in_terminal(wrong, 80, **variables)

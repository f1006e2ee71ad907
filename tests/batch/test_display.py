"""What the command shows: a bar on a terminal, and lines elsewhere."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from seldon_spec.batch.display import LineDisplay, describe, format_seconds
from seldon_spec.batch.runner import Progress

HALF = Progress(size=2000, position=1000, rows=5000, failed=2, seconds=4.0)


def test_a_line_has_rows_share_rate_time_left_and_failures() -> None:
    assert describe(HALF) == "5,000 rows, 50%, 1,250 rows/s, 4.0 s left, 2 failed"


def test_the_rate_is_that_of_this_run() -> None:
    progress = Progress(size=2000, position=1500, rows=7500, earlier_rows=5000, earlier_position=1000, seconds=2.0)
    assert describe(progress) == "7,500 rows, 75%, 1,250 rows/s, 2.0 s left"


@pytest.mark.parametrize(
    ("seconds", "text"), [(3.21, "3.2 s"), (42, "42 s"), (59.96, "60 s"), (65, "1 min 05 s"), (3900, "1 h 05 min")]
)
def test_durations(seconds: float, text: str) -> None:
    assert format_seconds(seconds) == text


def test_lines_appear_from_time_to_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("seldon_spec.batch.display.time.monotonic", lambda: now)
    stream = io.StringIO()
    shown = LineDisplay(stream)
    for now in (1.0, 9.9, 10.0, 10.1, 19.9, 20.5):  # noqa: B007 - the clock
        shown.update(HALF)
    assert stream.getvalue() == 2 * f"{describe(HALF)}\n"


def test_a_terminal_has_a_bar(tmp_path: Path, model: Callable[..., Path]) -> None:
    data = tmp_path / "in.csv"
    data.write_text("a,b\n" + "1,2\n" * 5000)
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "seldon_spec", "batch", str(data), "--path", str(model("Model")), "--output"]
    environ = {**os.environ, "TERM": "xterm", "COLUMNS": "120"}
    with subprocess.Popen([*command, str(tmp_path / "out.csv"), "--rows", "10"], stderr=theirs, env=environ) as process:
        os.close(theirs)
        shown = b""
        try:
            while part := os.read(ours, 65536):
                shown += part
        except OSError:  # the command has ended
            pass
        assert process.wait(60) == 0
    os.close(ours)
    assert "━".encode() in shown
    assert b"rows/s" in shown
    assert b"wrote 5,000 rows" in shown

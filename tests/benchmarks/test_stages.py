"""The table of the steps of a request: the page has it, and it can be made anew."""

from __future__ import annotations

import math
import shutil
import sys
from dataclasses import astuple
from pathlib import Path

import pytest

from benchmarks.machine import Machine
from benchmarks.report import place_in_page
from benchmarks.stages import KINDS, Measured, Row, main, read_measured, render_measured
from benchmarks.tables import write_table

pytestmark = pytest.mark.benchmarks

ROOT = Path(__file__).parents[2]
PUBLISHED = ROOT / "benchmarks" / "results" / "stages.json"
PAGE = ROOT / "docs" / "benchmarks.md"
MARKS = "<!-- stages: begin --><!-- stages: end -->"

needs_tools = pytest.mark.skipif(
    sys.platform != "linux" or not (shutil.which("wrk") and shutil.which("h2load")),
    reason="it needs Linux, wrk and h2load",
)


@needs_tools
def test_every_step_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found, page = tmp_path / "stages.json", tmp_path / "page.md"
    page.write_text(MARKS, encoding="utf-8")
    flags = ["--seconds", "1", "--rounds", "1", "--calls", "20"]
    assert main([*flags, "--json", str(found), "--page", str(page)]) == 0
    rows = read_measured(found.read_text(encoding="utf-8")).rows
    assert [row.name for row in rows] == [kind.name for kind in KINDS]
    assert all(math.isfinite(figure) for row in rows for figure in astuple(row)[1:])
    assert capsys.readouterr().out.removesuffix("\n") in page.read_text(encoding="utf-8")


def test_a_page_can_be_made_without_measuring(tmp_path: Path) -> None:
    machine = Machine("a processor", 2, 1 << 30, "a system", "6.1", "no tools", "2026-12-01")
    measured = Measured(machine, 1, 2, [Row("a request", 1, 2, 3, 4, 5, 6, 7)])
    source, page = tmp_path / "stages.json", tmp_path / "page.md"
    source.write_text(write_table(measured), encoding="utf-8")
    page.write_text(MARKS, encoding="utf-8")
    assert main(["--from", str(source), "--page", str(page)]) == 0
    assert "| a request | 1.0 | 2.0 | 3.0 | 4.0 | 5.0 | 6.0 | 7.0 | 18.0 |" in page.read_text(encoding="utf-8")


@pytest.mark.skipif(not PUBLISHED.exists(), reason="no results are published")
def test_the_published_page_is_made_of_the_published_table() -> None:
    text, page = PUBLISHED.read_text(encoding="utf-8"), PAGE.read_text(encoding="utf-8")
    measured = read_measured(text)
    assert write_table(measured) == text
    assert place_in_page(page, render_measured(measured), "stages") == page, "run python -m benchmarks.stages --from"

"""The table of the command ``ray`` beside ``serve``: the page has it, and it can be made anew."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from benchmarks.machine import Machine
from benchmarks.ray import HEADINGS, Measured, Row, main, read_measured, render_measured
from benchmarks.report import place_in_page
from benchmarks.tables import write_table

pytestmark = pytest.mark.benchmarks

ROOT = Path(__file__).parents[2]
PUBLISHED = ROOT / "benchmarks" / "results" / "ray.json"
PAGE = ROOT / "docs" / "benchmarks.md"
MARKS = "<!-- ray: begin --><!-- ray: end -->"


@pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("wrk") is None or shutil.which("h2load") is None,
    reason="needs Linux, wrk and h2load",
)
def test_every_figure_of_a_case_is_measured(tmp_path: Path) -> None:
    found = tmp_path / "ray.json"
    flags = ["--rounds", "1", "--seconds", "1", "--case", "serve, a class", "--json", str(found)]
    assert main(flags) == 0
    [row] = read_measured(found.read_text(encoding="utf-8")).rows
    figures = [getattr(row, name) for name in Row.__slots__ if name not in ("name", "idle_percent")]
    assert all(figure > 0 for figure in figures)


def test_a_page_can_be_made_without_measuring(tmp_path: Path) -> None:
    machine = Machine("a processor", 2, 1 << 30, "a system", "6.1", "no tools", "2026-11-30")
    row = Row("a server", 1.25, 50.4, 0.0, 1000.0, 0.5, 2000.0, 0.04, 300.0, 0.25, 4000.0)
    source, page = tmp_path / "ray.json", tmp_path / "page.md"
    source.write_text(write_table(Measured(machine, 3, 5, [row])), encoding="utf-8")
    page.write_text(MARKS, encoding="utf-8")
    assert main(["--from", str(source), "--page", str(page)]) == 0
    line = "| a server | 1.2 | 50 | 0.0 | 1000 | 0.50 | 2000 | 0.040 | 300 | 0.25 | 4000 |"
    assert line in page.read_text(encoding="utf-8")
    assert len(HEADINGS) == len(Row.__slots__)


@pytest.mark.skipif(not PUBLISHED.exists(), reason="no results are published")
def test_the_published_page_is_made_of_the_published_table() -> None:
    text, page = PUBLISHED.read_text(encoding="utf-8"), PAGE.read_text(encoding="utf-8")
    measured = read_measured(text)
    assert write_table(measured) == text
    report = render_measured(measured)
    assert place_in_page(page, report, "ray") == page, "run python -m benchmarks.ray --from FILE --page"

"""The table of what a graph adds to its components: the page has it, and it can be made anew."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from benchmarks.graphs import Measured, Row, main, read_measured, render_measured
from benchmarks.machine import Machine
from benchmarks.report import place_in_page
from benchmarks.tables import write_table

pytestmark = pytest.mark.benchmarks

ROOT = Path(__file__).parents[2]
PUBLISHED = ROOT / "benchmarks" / "results" / "graphs.json"
PAGE = ROOT / "docs" / "benchmarks.md"
MARKS = "<!-- graphs: begin --><!-- graphs: end -->"

needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="processes are read from Linux' /proc")


@needs_linux
def test_every_figure_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("sklearn")
    found, page = tmp_path / "graphs.json", tmp_path / "page.md"
    page.write_text(MARKS, encoding="utf-8")
    flags = ["--rounds", "1", "--calls", "3", "--starts", "1"]
    assert main([*flags, "--json", str(found), "--page", str(page)]) == 0
    values = [row.value for row in read_measured(found.read_text(encoding="utf-8")).rows]
    forms = [r"-?[\d.]+ ms", r"× [\d.]+", r"× [\d.]+", r"[\d.]+ ms", r"[\d.]+ ms", r"× [\d.]+"]
    assert len(values) == len(forms)
    assert all(re.fullmatch(*pair) for pair in zip(forms, values, strict=True))
    assert capsys.readouterr().out.removesuffix("\n") in page.read_text(encoding="utf-8")


def test_a_page_can_be_made_without_measuring(tmp_path: Path) -> None:
    machine = Machine("a processor", 2, 1 << 30, "a system", "6.1", "no tools", "2026-11-29")
    measured = Measured(machine, 1, 2, 3, [Row("a figure", "1 ms", "2 ms", "its parts")])
    source, page = tmp_path / "graphs.json", tmp_path / "page.md"
    source.write_text(write_table(measured), encoding="utf-8")
    page.write_text(MARKS, encoding="utf-8")
    assert main(["--from", str(source), "--page", str(page)]) == 0
    assert "| a figure | 1 ms | 2 ms | its parts |" in page.read_text(encoding="utf-8")


@pytest.mark.skipif(not PUBLISHED.exists(), reason="no results are published")
def test_the_published_page_is_made_of_the_published_table() -> None:
    text, page = PUBLISHED.read_text(encoding="utf-8"), PAGE.read_text(encoding="utf-8")
    measured = read_measured(text)
    assert write_table(measured) == text
    report = render_measured(measured)
    assert place_in_page(page, report, "graphs") == page, "run python -m benchmarks.graphs --from FILE --page"

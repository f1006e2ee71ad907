"""The table of batch scoring: the page has it, and it can be made anew."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from benchmarks.batch import (
    HEADINGS,
    CommandFailed,
    Measured,
    Row,
    main,
    read_measured,
    render_measured,
    run_command,
    write_inputs,
)
from benchmarks.machine import Machine
from benchmarks.report import place_in_page
from benchmarks.tables import write_table

pytestmark = pytest.mark.benchmarks

ROOT = Path(__file__).parents[2]
PUBLISHED = ROOT / "benchmarks" / "results" / "batch.json"
PAGE = ROOT / "docs" / "benchmarks.md"
MARKS = "<!-- batch: begin --><!-- batch: end -->"

linux = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")


def test_the_inputs_have_the_same_rows(tmp_path: Path) -> None:
    table, lines = write_inputs(tmp_path, 20, 5)
    rows = table.read_text().splitlines()
    assert (rows[0], len(rows)) == ("sepal_length,sepal_width,petal_length,petal_width", 21)
    assert [line.strip("[]").replace(" ", "") for line in lines.read_text().splitlines()] == rows[1:6]


@linux
def test_a_command_is_measured(tmp_path: Path) -> None:
    output = tmp_path / "out"
    copy = [shutil.which("cp"), write_inputs(tmp_path, 20, 0)[0], output]
    row = run_command("cp", copy, 20, output, 1)
    assert row.rows_per_second > 0
    assert row.peak_mib is not None
    assert 0 < row.peak_mib < 40
    with pytest.raises(CommandFailed, match="cp ended with 0"):
        run_command("cp", copy, 21, output, 1)
    with pytest.raises(CommandFailed, match="false ended with 1"):
        run_command("false", [shutil.which("false")], 20, output, 1)


def test_a_page_can_be_made_without_measuring(tmp_path: Path) -> None:
    machine = Machine("a processor", 2, 1 << 30, "a system", "6.1", "no tools", "2026-11-30")
    rows = [Row("one", 1_000_000, 1234567.8, 81.6, 2.345, 70.4), Row("other", 20_000, 432.1)]
    source, page = tmp_path / "batch.json", tmp_path / "page.md"
    source.write_text(write_table(Measured(machine, 3, rows)), encoding="utf-8")
    page.write_text(MARKS, encoding="utf-8")
    assert main(["--from", str(source), "--page", str(page)]) == 0
    text = page.read_text(encoding="utf-8")
    assert "| one | 1,000,000 | 1,234,568 | 82 | 2.35 | 70 |" in text
    assert "| other | 20,000 | 432 | – | – | – |" in text
    assert len(HEADINGS) == len(Row.__slots__)


@pytest.mark.skipif(not PUBLISHED.exists(), reason="no results are published")
def test_the_published_page_is_made_of_the_published_table() -> None:
    text, page = PUBLISHED.read_text(encoding="utf-8"), PAGE.read_text(encoding="utf-8")
    measured = read_measured(text)
    assert write_table(measured) == text
    assert place_in_page(page, render_measured(measured), "batch") == page, "run benchmarks.batch --from FILE --page"

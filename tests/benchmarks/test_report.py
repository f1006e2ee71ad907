"""The published results and the page that is rendered from them."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.all import find_reported
from benchmarks.machine import describe_machine
from benchmarks.report import place_in_page, render_report
from benchmarks.results import read_results

pytestmark = pytest.mark.benchmarks

ROOT = Path(__file__).parents[2]
PUBLISHED = find_reported(ROOT / "benchmarks" / "results")
PAGE = ROOT / "docs" / "benchmarks.md"


def test_the_published_page_is_rendered_from_the_published_results() -> None:
    page = PAGE.read_text(encoding="utf-8")
    comparisons = [read_results(each.read_text(encoding="utf-8")) for each in PUBLISHED]
    report = render_report(comparisons)
    headings = [line for line in report.splitlines() if line.startswith("## ")]
    assert len(headings) == len(set(headings)) == len(comparisons) + 2
    assert place_in_page(page, report) == page, "run python -m benchmarks.report with --page"


def test_this_machine_is_described() -> None:
    if Path("/proc/cpuinfo").exists():
        machine = describe_machine()
        assert machine.processor
        assert machine.cores >= 1

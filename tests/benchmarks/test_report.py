"""Results as JSON and as Markdown."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.figures import MEBIBYTE, Sample, Start
from benchmarks.machine import PACKAGES, Machine, describe_machine
from benchmarks.report import BEGIN, END, main, place_in_page, render_report
from benchmarks.results import Mode, Results, ServerResults, Settings, read_results, write_results

GOLDEN = Path(__file__).parent / "golden"
ROOT = Path(__file__).parents[2]
PUBLISHED = [
    ROOT / "benchmarks" / "results" / f"{name}.json"
    for name in ("speed", "scaling", "memory", "batching-logistic", "batching-forest", "observed", "heads")
]
PAGE = ROOT / "docs" / "benchmarks.md"

MACHINE = Machine(
    "A processor", 2, 8 * 1024 * MEBIBYTE, "A system 1", "6.1", "wrk 4.1, h2load nghttp2/1.5", "2026-01-31"
)
SETTINGS = Settings(Mode.SPEED, "Identity", 3, 2, 1, 16, 4, 3)


def _server(name: str, workers: int, speed: float, *workloads: str) -> ServerResults:
    return ServerResults(
        name,
        workers,
        note="as it comes",
        versions={"python": "3.11.7", name: "1.0"},
        starts=[Start(2.0 / speed, 80 * MEBIBYTE, 40.5 * MEBIBYTE, workers)],
        samples={
            each: [Sample(1000 * speed * n, 1 / speed, 2 / n, 30, (100 + n) * MEBIBYTE) for n in (1, 2, 3)]
            for each in workloads
        },
        request_bytes=dict.fromkeys(workloads, 2 * MEBIBYTE),
    )


RESULTS = {
    "speed": Results(
        MACHINE,
        SETTINGS,
        [_server("one", 1, 1.0, "rest-small"), _server("two", 1, 2.5, "rest-small", "grpc-small")],
    ),
    "scaling": Results(
        MACHINE,
        replace(SETTINGS, mode=Mode.SCALING),
        [
            _server("one", 1, 1.0, "rest-small"),
            _server("two", 1, 2.0, "rest-small"),
            _server("one", 2, 1.5, "rest-small"),
        ],
    ),
    "memory": Results(MACHINE, replace(SETTINGS, mode=Mode.MEMORY), [_server("one", 1, 1.0, "rest-large")]),
}


@pytest.mark.parametrize("name", [*RESULTS, "all"])
def test_the_report_is_the_golden_one(name: str, request: pytest.FixtureRequest) -> None:
    golden = GOLDEN / f"{name}.md"
    report = render_report(list(RESULTS.values()) if name == "all" else [RESULTS[name]])
    if request.config.getoption("--rewrite-golden"):
        golden.write_text(report, encoding="utf-8")
    assert report == golden.read_text(encoding="utf-8")


@pytest.mark.parametrize("results", RESULTS.values(), ids=RESULTS)
def test_results_are_read_back_from_json(results: Results) -> None:
    assert read_results(write_results(results)) == results


def test_a_comparison_may_have_a_title_of_its_own() -> None:
    plain = RESULTS["speed"]
    named = replace(plain, settings=replace(SETTINGS, title="By night"))
    assert render_report([plain, named]).count("## Speed") == 1
    assert render_report([plain, named]).count("## By night") == 1
    assert read_results(write_results(named)) == named


def test_a_page_keeps_what_stands_around_the_marks() -> None:
    page = f"# Title\n\n{BEGIN}\nold\n{END}\n\nAfter.\n"
    made = place_in_page(page, "new\n")
    assert made == f"# Title\n\n{BEGIN}\n\nnew\n\n{END}\n\nAfter.\n"
    assert place_in_page(made, "new\n") == made


@pytest.mark.parametrize(
    "page", ["", BEGIN, f"{END}{BEGIN}", f"{BEGIN}{BEGIN}{END}"], ids=["none", "one", "turned", "two"]
)
def test_a_page_without_its_marks_is_refused(page: str) -> None:
    with pytest.raises(ValueError, match="has to hold"):
        place_in_page(page, "new")


def test_the_command_rewrites_a_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results, page = tmp_path / "results.json", tmp_path / "page.md"
    results.write_text(write_results(RESULTS["speed"]))
    page.write_text(f"{BEGIN}{END}")
    assert main([str(results)]) == 0
    report = capsys.readouterr().out
    assert main([str(results), "--page", str(page)]) == 0
    assert page.read_text() == f"{BEGIN}\n\n{report}\n{END}"


def test_the_published_page_is_made_of_the_published_results() -> None:
    page = PAGE.read_text(encoding="utf-8")
    comparisons = [read_results(each.read_text(encoding="utf-8")) for each in PUBLISHED]
    report = render_report(comparisons)
    headings = [line for line in report.splitlines() if line.startswith("## ")]
    assert len(headings) == len(set(headings)) == len(comparisons) + 2
    assert place_in_page(page, report) == page, "run python -m benchmarks.report with --page"


def test_this_machine_is_described() -> None:
    machine = describe_machine() if Path("/proc/cpuinfo").exists() else MACHINE
    assert machine.processor
    assert machine.cores >= 1
    assert len(set(PACKAGES)) == len(PACKAGES)

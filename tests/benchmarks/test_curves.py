"""The command that makes the page, on a few loads of our own server; its curves, images and targets."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from benchmarks import targets
from benchmarks.affinity import divide_cores
from benchmarks.all import PAGE
from benchmarks.curve_page import IMAGES, draw, render_curves, show_bytes
from benchmarks.curve_results import (
    BODIES,
    COPY,
    KERNEL,
    LOAD,
    WORKERS,
    CurveResults,
    Point,
    read_curves,
    take_medians,
    write_curves,
)
from benchmarks.machine import describe_machine
from benchmarks.plots import make_linear, make_powers
from benchmarks.report import place_in_page

pytestmark = pytest.mark.benchmarks

ROOT = Path(__file__).parents[2]
PUBLISHED = targets.RESULTS / "curves.json"
MARKS = "\n".join(f"<!-- {topic}: begin -->\n<!-- {topic}: end -->" for topic in ("targets", "curves", "results"))
needs_tools = pytest.mark.skipif(not (shutil.which("wrk") and shutil.which("h2load")), reason="needs wrk and h2load")
needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")


@needs_linux
@needs_tools
def test_the_page_is_made_by_one_command(tmp_path: Path, command_environ: dict[str, str]) -> None:
    """Peers that are not installed are named; a step that is run by the Python of one is left out."""
    page = tmp_path / "page.md"
    page.write_text(MARKS, encoding="utf-8")
    flags = ["--results", str(tmp_path), "--page", str(page), "--envs", str(tmp_path)]
    command = [sys.executable, "-m", "benchmarks.all", "--quick", *flags, "v2", "model-files-logistic", "curves"]
    done = subprocess.run(
        command, cwd=ROOT, env=command_environ, capture_output=True, text=True, check=False, timeout=240
    )
    assert done.returncode == 0, done.stderr
    outcomes = done.stderr.splitlines()[-3:]
    assert outcomes == ["v2: done", "model-files-logistic: not installed", "curves: done"]
    text = page.read_text(encoding="utf-8")
    assert "| triton | not installed | - |" in text
    assert "mlserver-inproc: not installed." in text
    results = read_curves((tmp_path / "curves.json").read_text(encoding="utf-8"))
    assert {point.curve for point in results.points} == {"connections", BODIES, WORKERS, LOAD}
    for image in IMAGES:
        svg = ET.fromstring((tmp_path / "images" / f"curve-{image.name}.svg").read_text(encoding="utf-8"))
        assert f"](images/curve-{image.name}.svg)" in text
        assert int(svg.attrib["width"]) <= 390
    for name in ("v2-rest-small", "v2-rest-binary-large", "v2-grpc-small", "v2-grpc-large"):
        assert f"### {name}" in text
    assert "| not measured |" in text


@needs_linux
def test_the_load_generator_has_a_core_that_servers_have_not() -> None:
    cores = divide_cores()
    assert set(cores.all) == os.sched_getaffinity(0)
    assert len(cores.load) == 1
    assert len(cores.all) == 1 or not {*cores.load} & {*cores.servers}


TWO_WORKERS = [Point(WORKERS, "rest-small", count, requests_per_second=speed) for count, speed in ((1, 100), (2, 170))]
TAIL = [Point(LOAD, "seldon-spec", 70, 1, 1, 1.0, 2.5)]
LARGE = [
    Point(BODIES, "seldon-spec, REST, binary V2", targets.LARGE, cpu_ms=12.0),
    Point(BODIES, COPY, targets.LARGE, cpu_ms=2.0),
    Point(BODIES, KERNEL, targets.LARGE, cpu_ms=6.0),
]
ROWS = {
    "not met": (TWO_WORKERS, "rest-small: requests per second of two workers", "at least 1.8 | 1.7 | **not met** |"),
    "met": (TAIL, "rest-small at 70 %", "at most 3 | 2.5 | met |"),
    "at the limit": (LARGE, "REST, binary V2", "at most 1.5 | 1.5 | met |"),
    "not measured": ([], "rest-small at 70 %", "at most 3 | - | not measured |"),
}


@pytest.mark.parametrize(("points", "name", "result"), ROWS.values(), ids=ROWS)
def test_the_results_are_compared_with_the_targets(points: list[Point], name: str, result: str, tmp_path: Path) -> None:
    results = CurveResults(describe_machine(), 1, 1, points, {})
    text = write_curves(results)
    assert read_curves(text) == results
    (tmp_path / "curves.json").write_text(text, encoding="utf-8")
    (row,) = (line for line in targets.render_targets(tmp_path).splitlines() if line.startswith(f"| {name}"))
    assert row.endswith(result)


def test_a_load_of_several_rounds_has_the_median_of_each_figure() -> None:
    rounds = [Point(LOAD, "seldon-spec", 70, speed, None, p50, 4.0) for speed, p50 in ((10, 1.0), (30, 3.0), (20, 9.0))]
    other = Point(BODIES, COPY, 16, cpu_ms=2.0)
    assert take_medians([*rounds, other]) == [Point(LOAD, "seldon-spec", 70, 20, None, 3.0, 4.0), other]


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (make_powers([0.03, 200]).labels, ["0.01", "0.1", "1", "10", "100", "1,000"]),
        (make_powers([5, 5]).labels, ["1", "10"]),
        (make_linear([1, 3.4]).labels, ["0", "1", "2", "3", "4"]),
        (make_linear([0.7]).labels, ["0", "0.2", "0.4", "0.6", "0.8"]),
    ],
    ids=["powers", "one power", "linear", "below one"],
)
def test_an_axis_has_round_labels(labels: dict[float, str], expected: list[str]) -> None:
    assert list(labels.values()) == expected


def test_a_size_has_the_largest_unit() -> None:
    assert [show_bytes(size) for size in (16, 4096, 64 << 20)] == ["16 B", "4 KiB", "64 MiB"]


def test_the_published_targets_are_those_of_the_published_results() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert place_in_page(page, targets.render_targets(targets.RESULTS), "targets") == page, (
        "run benchmarks.targets --page"
    )


@pytest.mark.skipif(not PUBLISHED.exists(), reason="no curves are published")
def test_the_published_curves_are_those_of_the_published_results() -> None:
    text, page = PUBLISHED.read_text(encoding="utf-8"), PAGE.read_text(encoding="utf-8")
    results = read_curves(text)
    assert write_curves(results) == text
    assert place_in_page(page, render_curves(results), "curves") == page, "run benchmarks.curve_page --page"
    for image in IMAGES:
        assert (PAGE.parent / "images" / f"curve-{image.name}.svg").read_text(encoding="utf-8") == draw(image, results)

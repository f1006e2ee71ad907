"""The curves as images and a table in a page: ``python -m benchmarks.curve_page curves.json --page PAGE``.

The images are written into the folder ``images`` beside the page.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path

from benchmarks.curve_results import BODIES, CONNECTIONS, LOAD, WORKERS, CurveResults, Metric, Point, read_curves
from benchmarks.plots import Axis, Points, draw_chart, make_linear, make_powers, make_steps
from benchmarks.report import place_in_page, render_table, show_number

SPEED, CPU, P99 = map(attrgetter, ("requests_per_second", "cpu_ms", "p99_ms"))
_UNITS = ("B", "KiB", "MiB")


@dataclass(frozen=True, slots=True)
class Image:
    """One image: the values of ``metric`` for each series of a curve, or several metrics by the name of their line."""

    name: str
    curve: str
    title: str
    metrics: dict[str, Metric]
    make_axis: Callable[[Sequence[float]], Axis] = make_powers


def show_bytes(size: float) -> str:
    """Return a size in the largest unit that fits."""
    power = 2 if size >= 1 << 20 else 1 if size >= 1 << 10 else 0
    return f"{size / 1024**power:g} {_UNITS[power]}"


def _show_plain(value: float) -> str:
    return f"{value:g}"


@dataclass(frozen=True, slots=True)
class Curve:
    """How a curve is shown."""

    heading: str
    text: str
    x_title: str
    show_x: Callable[[float], str] = _show_plain


CURVES = {
    CONNECTIONS: Curve(
        "Over connections",
        "rest-small: one request after the other on each connection.",
        "connections",
    ),
    BODIES: Curve(
        "Over the size of bodies",
        "Arrays of doubles, sent and returned one after the other on one connection, as binary V2 over REST and raw V2"
        " over gRPC. `memcpy` is one copy of the body; `kernel alone` is a process that receives and sends as many"
        " bytes, and does nothing else.",
        "body",
        show_bytes,
    ),
    WORKERS: Curve(
        "Over workers",
        "seldon-spec with as many cores as workers, up to those of the machine: the last one is that of the load"
        " generator.",
        "workers",
    ),
    LOAD: Curve(
        "Over the load",
        "rest-small at a constant rate, at random times, on 32 connections: an open loop, in which the time that a"
        " request waits for a connection counts. The load is the share of the requests a second that the server"
        " handled from 16 connections.",
        "load in percent",
    ),
}
IMAGES = (
    Image("connections-speed", CONNECTIONS, "Requests per second", {"": SPEED}),
    Image("connections-cpu", CONNECTIONS, "CPU ms per request", {"": CPU}),
    Image("connections-p99", CONNECTIONS, "p99 ms", {"": P99}),
    Image("bodies-speed", BODIES, "Requests per second", {"": SPEED}),
    Image("bodies-cpu", BODIES, "CPU ms per request", {"": CPU}),
    Image("bodies-p99", BODIES, "p99 ms", {"": P99}),
    Image("workers-speed", WORKERS, "Requests per second, of one worker = 1", {"": SPEED}, make_linear),
    Image("workers-p99", WORKERS, "p99 ms", {"": P99}),
    Image("load-latency", LOAD, "Latency ms", {", p50": attrgetter("p50_ms"), ", p99": P99}),
)


def _lines(image: Image, results: CurveResults) -> dict[str, Points]:
    lines: dict[str, Points] = {
        f"{series}{suffix}": points
        for suffix, metric in image.metrics.items()
        for series, points in results.lines(image.curve, metric).items()
    }
    if image.make_axis is make_linear:
        for name, points in lines.items():
            lines[name] = [(x, value / points[0][1]) for x, value in points]
    return lines


def draw(image: Image, results: CurveResults) -> str:
    """Return an image as SVG."""
    lines = _lines(image, results)
    curve = CURVES[image.curve]
    places = sorted({x for points in lines.values() for x, _ in points})
    values = [value for points in lines.values() for _, value in points]
    return draw_chart(image.title, curve.x_title, lines, make_steps(places, curve.show_x), image.make_axis(values))


def render_curves(results: CurveResults) -> str:
    """Return the part of the page."""
    machine = results.machine
    absent = "".join(f" {name}: {reason}." for name, reason in results.absent.items())
    head = (
        f"{machine.date}, {machine.processor}, {machine.cores} cores, {machine.system}, Linux {machine.kernel}."
        f" Medians of {results.rounds} rounds; each load takes {results.seconds} s.{absent}"
    )
    return "\n\n".join([head, *(part for name in CURVES for part in _render(name, results))]) + "\n"


def _render(name: str, results: CurveResults) -> Iterator[str]:
    curve = CURVES[name]
    yield f"### {curve.heading}\n\n{curve.text}"
    yield "\n".join(
        f"![{image.title} over {curve.x_title}; the table below has the same values](images/curve-{image.name}.svg)"
        for image in IMAGES
        if image.curve == name
    )
    rows = [[point.series, curve.show_x(point.x), *_show(point)] for point in results.points if point.curve == name]
    yield render_table(["series", curve.x_title, "requests/s", "CPU ms per request", "p50 ms", "p99 ms"], rows)


def _show(point: Point) -> Iterator[str]:
    for value in (point.requests_per_second, point.cpu_ms, point.p50_ms, point.p99_ms):
        yield "-" if value is None else show_number(value) if value >= 0.01 else f"{value:.2g}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the images, and the part of the page between its marks."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.curve_page", description=__doc__)
    parser.add_argument("results", type=Path, help="the JSON of the curves")
    parser.add_argument("--page", type=Path, required=True, metavar="FILE")
    given = parser.parse_args(arguments)
    results = read_curves(given.results.read_text(encoding="utf-8"))
    images = given.page.parent / "images"
    images.mkdir(exist_ok=True)
    for image in IMAGES:
        (images / f"curve-{image.name}.svg").write_text(draw(image, results), encoding="utf-8")
    page = given.page.read_text(encoding="utf-8")
    given.page.write_text(place_in_page(page, render_curves(results), "curves"), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

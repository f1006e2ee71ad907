"""The targets, and whether the results meet them: ``python -m benchmarks.targets [--results DIR] [--page PAGE]``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.curve_results import BODIES, COPY, KERNEL, LOAD, WORKERS, CurveResults, Point, read_curves
from benchmarks.curves import FORMS, OURS
from benchmarks.figures import median_sample
from benchmarks.report import publish, render_table
from benchmarks.results import read_results

RESULTS = Path(__file__).parent / "results"
LARGE = 16 << 20
"""The body, in bytes, of which the target of large bodies is measured."""


@dataclass(frozen=True, slots=True)
class Target:
    """A ratio, and the limit that it has to reach, or not to exceed.

    Args:
        measure: the folder of the results to the ratio; LookupError or OSError if they have none.
    """

    text: str
    limit: float
    measure: Callable[[Path], float]
    is_most: bool = False


def _cpu(file: str, workload: str, server: str, ours: str = OURS) -> Callable[[Path], float]:
    """How many times the processor time of our server another one takes for a request."""

    def measure(folder: Path) -> float:
        results = read_results((folder / file).read_text(encoding="utf-8"))
        samples = {each.name: each.samples[workload] for each in results.servers if workload in each.samples}
        return median_sample(samples[server]).cpu_ms / median_sample(samples[ours]).cpu_ms

    return measure


def _curve(measure: Callable[[CurveResults], float]) -> Callable[[Path], float]:
    return lambda folder: measure(read_curves((folder / "curves.json").read_text(encoding="utf-8")))


def _find(results: CurveResults, curve: str, series: str, x: float) -> Point:
    found = (each for each in results.points if (each.curve, each.series, each.x) == (curve, series, x))
    for point in found:
        return point
    raise LookupError(f"{curve}, {series}, {x:g}")


def _value(figure: float | None) -> float:
    if figure is None:
        raise LookupError("the point has no such figure")
    return figure


def _large(form: str) -> Callable[[CurveResults], float]:
    def measure(results: CurveResults) -> float:
        ours = _find(results, BODIES, f"{OURS}, {form}", LARGE)
        least = [_value(_find(results, BODIES, series, LARGE).cpu_ms) for series in (COPY, KERNEL)]
        return _value(ours.cpu_ms) / sum(least)

    return measure


def _gain(workload: str) -> Callable[[CurveResults], float]:
    def measure(results: CurveResults) -> float:
        two, one = (_value(_find(results, WORKERS, workload, count).requests_per_second) for count in (2, 1))
        return two / one

    return measure


def _tail(results: CurveResults) -> float:
    point = _find(results, LOAD, OURS, 70)
    return _value(point.p99_ms) / _value(point.p50_ms)


_REAL, _FIXED = f"{OURS}, real", f"{OURS}, fixed"
TARGETS = (
    Target("rest-small: CPU of seldon-core", 40, _cpu("speed.json", "rest-small", "seldon-core")),
    Target("rest-small: CPU of mlserver-inproc", 12, _cpu("speed.json", "rest-small", "mlserver-inproc")),
    Target("grpc-small: CPU of seldon-core", 45, _cpu("speed.json", "grpc-small", "seldon-core")),
    Target("v2-rest-small: CPU of triton", 5, _cpu("v2.json", "v2-rest-small", "triton")),
    Target("v2-grpc-small: CPU of triton", 7, _cpu("v2.json", "v2-grpc-small", "triton")),
    *(
        Target(
            f"{workload}: CPU with headers that differ in each request, to the same ones in each",
            1.15,
            _cpu("heads.json", workload, _REAL, _FIXED),
            is_most=True,
        )
        for workload in ("rest-small", "grpc-small")
    ),
    *(
        Target(
            f"{form}, 16 MiB: CPU, to that of the kernel alone and one memcpy", 1.5, _curve(_large(form)), is_most=True
        )
        for form in FORMS
    ),
    *(
        Target(f"{workload}: requests per second of two workers, to one", 1.8, _curve(_gain(workload)))
        for workload in ("rest-small", "rest-medium", "grpc-small")
    ),
    Target("rest-small at 70 % of the capacity: p99, to p50", 3, _curve(_tail), is_most=True),
)


def render_targets(folder: Path) -> str:
    """Return the table."""
    return render_table(["ratio", "target", "measured", "result"], _rows(folder), numbers=False) + "\n"


def _rows(folder: Path) -> Iterator[Sequence[str]]:
    for target in TARGETS:
        limit = f"at {'most' if target.is_most else 'least'} {target.limit:g}"
        try:
            ratio = target.measure(folder)
        except (LookupError, OSError):
            yield target.text, limit, "-", "not measured"
            continue
        is_met = ratio <= target.limit if target.is_most else ratio >= target.limit
        yield target.text, limit, f"{ratio:.3g}", "met" if is_met else "**not met**"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table, and put it into a page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.targets", description=__doc__)
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="DIR", help="of the JSON files; %(default)s")
    parser.add_argument("--page", type=Path, metavar="FILE", help="rewrite the part between the marks of this page")
    given = parser.parse_args(arguments)
    publish("", render_targets(given.results), None, given.page, "targets")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The points of the curves, and their JSON."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, fields
from typing import Any

from benchmarks.machine import Machine

CONNECTIONS, BODIES, WORKERS, LOAD = "connections", "bodies", "workers", "load"
"""The curves."""
COPY, KERNEL = "memcpy", "kernel alone"
"""The series over bodies of what no server can avoid."""


@dataclass(frozen=True, slots=True)
class Point:
    """One load.

    Args:
        series: the server, its workload, or both.
        x: connections, bytes of a body, workers, or the share of the capacity in percent.
    """

    curve: str
    series: str
    x: float
    requests_per_second: float | None = None
    cpu_ms: float | None = None
    p50_ms: float | None = None
    p99_ms: float | None = None


_FIGURES = tuple(each.name for each in fields(Point) if each.default is None)
Metric = Callable[[Point], "float | None"]


@dataclass(frozen=True, slots=True)
class CurveResults:
    """All points, medians over the rounds, and the servers that have none, or not all, with the reason."""

    machine: Machine
    seconds: int
    rounds: int
    points: list[Point]
    absent: dict[str, str]

    def lines(self, curve: str, metric: Metric) -> dict[str, list[tuple[float, float]]]:
        """Return the values of each series of a curve."""
        lines: dict[str, list[tuple[float, float]]] = {}
        for point in self.points:
            value = metric(point)
            if point.curve == curve and value is not None:
                lines.setdefault(point.series, []).append((point.x, value))
        return lines


def take_medians(points: Iterable[Point]) -> list[Point]:
    """Return one point for each load, with the median of each figure by itself."""
    loads: dict[tuple[str, str, float], list[Point]] = {}
    for point in points:
        loads.setdefault((point.curve, point.series, point.x), []).append(point)
    return [
        Point(*load, *(_find_median(getattr(each, name) for each in repeated) for name in _FIGURES))
        for load, repeated in loads.items()
    ]


def _find_median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def write_curves(results: CurveResults) -> str:
    """As JSON, the same for the same results."""
    return json.dumps(asdict(results), indent=1) + "\n"


def read_curves(text: str) -> CurveResults:
    """From JSON.

    Raises:
        ValueError, KeyError, TypeError: it is not what ``write_curves`` writes.
    """
    tree: dict[str, Any] = json.loads(text)
    points = [Point(**each) for each in tree["points"]]
    return CurveResults(Machine(**tree["machine"]), tree["seconds"], tree["rounds"], points, tree["absent"])

"""The points of the curves, and their JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
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


Metric = Callable[[Point], "float | None"]


@dataclass(frozen=True, slots=True)
class CurveResults:
    """All points, and the servers that have none, or not all, with the reason."""

    machine: Machine
    seconds: int
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
    return CurveResults(Machine(**tree["machine"]), tree["seconds"], points, tree["absent"])

"""The figures of one round, and their medians over many rounds."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields

MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Load:
    """What a load generator saw: only right statuses, or it would have failed."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    response_bytes: int


@dataclass(frozen=True, slots=True)
class Sample:
    """One round of one workload on one server.

    Args:
        cpu_ms: processor time of all its processes for one request.
        peak_bytes: the most that each held during the load, added up.
    """

    requests_per_second: float
    cpu_ms: float
    p50_ms: float
    p99_ms: float
    peak_bytes: float


@dataclass(frozen=True, slots=True)
class Start:
    """One start of a server, up to its first correct response.

    Args:
        seconds: from the command to that response.
        resident_bytes: of all its processes, pages that they share counted for each.
        proportional_bytes: the same, shared pages counted once.
    """

    seconds: float
    resident_bytes: float
    proportional_bytes: float
    processes: float


def median_sample(samples: Sequence[Sample]) -> Sample:
    """The median of each figure by itself.

    Raises:
        statistics.StatisticsError: there are none.
    """
    return Sample(*(statistics.median(getattr(each, field.name) for each in samples) for field in fields(Sample)))


def median_start(starts: Sequence[Start]) -> Start:
    """The median of each figure by itself.

    Raises:
        statistics.StatisticsError: there are none.
    """
    return Start(*(statistics.median(getattr(each, field.name) for each in starts) for field in fields(Start)))


def find_quantile(values: Iterable[float], share: float) -> float:
    """The least value that at least ``share`` of the values do not exceed.

    Raises:
        ValueError: there are none.
    """
    ordered = sorted(values)
    if not ordered:
        raise ValueError("there is no quantile of nothing")
    return next(value for place, value in enumerate(ordered, 1) if place >= share * len(ordered))


def find_ratio(value: float, base: float) -> float | None:
    """How often the base goes into the value; None where the base is nothing."""
    return value / base if base else None

"""The number of replaced workers, counted by the supervisor."""

from __future__ import annotations

from typing import Literal, get_args

from seldon_spec.observability.metrics.definitions import RESTARTS
from seldon_spec.observability.metrics.segments import Segments
from seldon_spec.observability.metrics.series import Series

Reason = Literal["signal", "reload", "worn", "hung", "died"]
"""A SIGHUP, a changed file, ``max_requests`` reached, a call that does not return, a crash."""


class RestartCounter:
    """Counts in the supervisor's segment. Not thread-safe.

    The series of all reasons exist from the start: Prometheus sees no increase in a series that begins at 1.
    """

    def __init__(self, segments: Segments) -> None:
        self._segments = segments
        self._cells: dict[Reason, int] = {}
        for reason in get_args(Reason):
            series = Series(RESTARTS.kind, RESTARTS.name, (("reason", reason),))
            cell = segments.append_builtin(segments.supervisor, series.to_text(), series.size)
            assert cell is not None, "nothing else is in the supervisor's segment"
            self._cells[reason] = cell

    def count(self, reason: Reason) -> None:
        """Count one replaced worker."""
        self._segments.values[self._cells[reason]] += 1

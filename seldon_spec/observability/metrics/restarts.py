"""How often workers were replaced, counted by the supervisor."""

from __future__ import annotations

from typing import Literal, get_args

from seldon_spec.observability.metrics.definitions import RESTARTS
from seldon_spec.observability.metrics.segments import Segments
from seldon_spec.observability.metrics.series import Series

Reason = Literal["signal", "reload", "worn", "hung", "died"]
"""What led to it: a SIGHUP, a changed file, a worker that has served enough, that does not come back, that is gone."""


class RestartCounter:
    """Counts into the supervisor's slot. For one thread.

    Each reason's series is there from the start, at zero, for Prometheus sees no increase in a series that begins at 1.
    """

    def __init__(self, slots: Segments) -> None:
        self._slots = slots
        self._places: dict[Reason, int] = {}
        for reason in get_args(Reason):
            series = Series(RESTARTS.kind, RESTARTS.name, (("reason", reason),))
            place = slots.append_own(slots.supervisor, series.to_text(), series.size)
            assert place is not None, "nothing else is in the supervisor's slot"
            self._places[reason] = place

    def count(self, reason: Reason) -> None:
        """One more worker is started in another's place."""
        self._slots.values[self._places[reason]] += 1

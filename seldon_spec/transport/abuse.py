"""A limit on the work that a client causes without progress of a request: one budget for each connection."""

from __future__ import annotations

from collections.abc import Callable

_UNITS = 1000
_UNITS_PER_SECOND = 200


class AbuseBudget:
    """The units that one connection may still spend on work without progress.

    A unit is a frame, reset or refused request; what costs more is charged more. The budget starts full. Time and
    completed requests fill it again, never above its size, so a client cannot save up for a flood.

    Args:
        now: returns the time in seconds.
    """

    __slots__ = ("_left", "_now", "_refilled")

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._left = _UNITS
        self._refilled = now()

    def charge(self, units: int = 1) -> bool:
        """Spend units; returns False when the budget is exhausted and the connection has to be closed."""
        self._left -= units
        if self._left < 0:
            now = self._now()
            self._left += min(_UNITS, int((now - self._refilled) * _UNITS_PER_SECOND))
            self._refilled = now
        return self._left >= 0

    def earn(self, units: int = 1) -> None:
        """Return units, because a request has been completed."""
        left = self._left + units
        self._left = left if left < _UNITS else _UNITS

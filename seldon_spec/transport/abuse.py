"""What a client may make the server do without any progress of a request: one budget for each connection."""

from __future__ import annotations

_UNITS = 1000
_UNITS_PER_SECOND = 200


class AbuseBudget:
    """The units that one connection may still spend on work without progress.

    A unit is a frame, reset or refused request; what costs more is charged more. The budget starts full. Time and
    completed requests fill it again, never above its size, so a client cannot save up for a flood.

    Args:
        now: the event loop's clock, in seconds.
    """

    __slots__ = ("_left", "_refilled")

    def __init__(self, now: float) -> None:
        self._left = _UNITS
        self._refilled = now

    def charge(self, now: float, units: int = 1) -> bool:
        """Spend units; returns False when the budget is exhausted and the connection has to end.

        Args:
            now: the event loop's clock, in seconds.
            units: what the work is worth.
        """
        self._left -= units
        if self._left < 0:
            self._left += min(_UNITS, int((now - self._refilled) * _UNITS_PER_SECOND))
            self._refilled = now
        return self._left >= 0

    def earn(self, units: int = 1) -> None:
        """Get units back, because a request has been completed."""
        left = self._left + units
        self._left = left if left < _UNITS else _UNITS

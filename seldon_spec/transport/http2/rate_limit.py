"""A limit on the frames and calls of one HTTP/2 connection that bring no request forward."""

from __future__ import annotations

from collections.abc import Callable

from seldon_spec.transport.abuse import AbuseBudget

TINY_BYTES = 64
_TINY_FRAMES = 16
"""So many DATA frames with less payload are counted as one control frame: each is progress, but hardly any.

A client may write a message byte by byte, so the short frames of some thousand bytes have to be free.
"""


class ControlFrameBudget:
    """The control frames that a client may still send; successful calls and time refill it.

    No method raises an error, because streams call them while they process what they have received.

    Args:
        now: returns the time in seconds.
        on_exceeded: called when the budget is exhausted; the connection has to be closed.
    """

    __slots__ = ("_budget", "_earned", "_on_exceeded", "_tiny_frames")

    def __init__(self, now: Callable[[], float], on_exceeded: Callable[[], None]) -> None:
        self._budget = AbuseBudget(now)
        self._on_exceeded = on_exceeded
        self._earned = self._tiny_frames = 0

    def count_control_frame(self, units: int = 1) -> bool:
        """Count one control frame, or work of so many; returns False if the connection is being closed."""
        self._budget.earn(self._earned)
        self._earned = 0
        if self._budget.charge(units):
            return True
        self._on_exceeded()
        return False

    def count_tiny_frame(self, content: int) -> None:
        """Count a DATA frame with so few bytes, or one of a closed stream."""
        self._tiny_frames += 1
        if not content or self._tiny_frames >= _TINY_FRAMES:
            self._tiny_frames = 0
            self.count_control_frame()

    def earn(self, units: int) -> None:
        """Return units, because a call was successful."""
        self._earned += units

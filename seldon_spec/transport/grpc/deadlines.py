"""The deadlines of calls: one timer of the event loop for all that end at about the same time.

Most calls end long before their deadline, so setting and cancelling a timer for each would be expensive. A deadline is
rounded up by less than 2 %, but at least to the next millisecond.
"""

from __future__ import annotations

import asyncio
import math
import time
from typing import Protocol

_ROUNDING_BITS = 7
_MIN_UNIT = 2.0**-10
_SHORT_SECONDS = 0.125
"""A shorter deadline is rounded by the least unit."""

_MAX_KEPT_SECONDS = 60.0


class Expiring(Protocol):
    """A call with a deadline."""

    def expire_call(self) -> None:
        """End the call: the deadline has passed."""


class Slot:
    """The calls whose deadlines are the same after rounding.

    Attributes:
        ends_at: the deadline, by ``time.perf_counter``.
    """

    __slots__ = ("_calls", "_deadlines", "_is_kept", "_timer", "_when", "ends_at")

    def __init__(
        self, deadlines: Deadlines, when: float, ends_at: float, timer: asyncio.TimerHandle, *, is_kept: bool
    ) -> None:
        self.ends_at = ends_at
        self._deadlines = deadlines
        self._when = when
        self._timer = timer
        self._is_kept = is_kept
        self._calls: set[Expiring] = set()

    def add(self, call: Expiring) -> None:
        """Add a call."""
        self._calls.add(call)

    def discard(self, call: Expiring) -> None:
        """Remove a call, which has ended."""
        self._calls.discard(call)
        if not self._is_kept and not self._calls:
            self._timer.cancel()
            self._deadlines.drop(self._when)

    def expire(self) -> None:
        """End all calls."""
        for call in list(self._calls):
            call.expire_call()


class Deadlines:
    """The deadlines of one event loop.

    An empty slot stays until its time, since another call is likely to need it; one that is far away does not.

    Args:
        loop: the event loop.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._slots: dict[float, Slot] = {}

    def add(self, seconds: float, call: Expiring) -> Slot:
        """End a call after a time; returns the slot to discard it from when it ends earlier."""
        unit = _MIN_UNIT if seconds < _SHORT_SECONDS else math.ldexp(1.0, math.frexp(seconds)[1] - _ROUNDING_BITS)
        now = self._loop.time()
        when = math.ceil((now + seconds) / unit) * unit
        slot = self._slots.get(when)
        if slot is None:
            timer = self._loop.call_at(when, self._expire, when)
            ends_at = time.perf_counter() + when - now
            slot = self._slots[when] = Slot(self, when, ends_at, timer, is_kept=seconds <= _MAX_KEPT_SECONDS)
        slot.add(call)
        return slot

    def drop(self, when: float) -> None:
        """Forget an empty slot."""
        self._slots.pop(when, None)

    def _expire(self, when: float) -> None:
        slot = self._slots.pop(when, None)
        if slot is not None:
            slot.expire()

"""The stop signals of a worker, as its event loop sees them."""

from __future__ import annotations

import asyncio
import time

from seldon_spec.process.signals import REPLACE, STOPPING

FROM_PIPE, FROM_HANDLER = 0, 1
"""The sources of a signal."""


class StopRequest:
    """The stop signals of a worker: the first one starts the drain, the second one ends it.

    Attributes:
        is_replaced: another process serves already, so there is no need to report "not ready" for a while first.
    """

    def __init__(self) -> None:
        self.first = asyncio.Event()
        self.second = asyncio.Event()
        self.is_replaced = False
        self._requested_at = 0.0
        self._counts: dict[int, list[int]] = {}

    def on_signal(self, number: int, source: int = FROM_PIPE) -> None:
        """Handle a signal; signals of the user's class are ignored.

        Each signal arrives from two sources, one of which the class may block: from the signal pipe, unless an event
        loop of the class has replaced that, and from the handler on the main thread, when that runs Python code.
        """
        counts = self._counts.setdefault(number, [0, 0])
        counts[source] += 1
        if counts[source] <= counts[1 - source]:  # the other source has reported it already
            return
        if number == REPLACE:
            self.is_replaced = True
        elif number not in STOPPING:
            return
        elif self.first.is_set():
            self.second.set()
        if not self.first.is_set():
            self._requested_at = time.monotonic()
            self.first.set()

    def seconds_left(self, grace_seconds: float) -> float:
        """Return what is left of the grace period: nothing after a second signal."""
        if self.second.is_set() or not self.first.is_set():
            return 0.0
        return max(0.0, self._requested_at + grace_seconds - time.monotonic())

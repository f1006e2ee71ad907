"""How connections share the event loop: a connection works for one turn, and for the next one it waits in a queue."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import Protocol

TURN_UNITS = 64
"""What a connection may process in one turn: so many frames, requests, chunks or header fields."""

TURN_BYTES = 1 << 18
"""And so many bytes, which is one read of the event loop."""

_ITERATION_SECONDS = 0.004
"""How long the connections that wait are served in one iteration of the event loop; at least one of them is."""


class Worker(Protocol):
    """What waits for its next turn."""

    def take_turn(self) -> None:
        """Process what has been received, for one turn; wait again if there is more."""


class Turns:
    """The connections of an event loop that have received more than they could process in one turn.

    New events of other connections are handled between two iterations, so nobody waits longer than one iteration for
    each step of a request, however many connections are in the queue.

    Args:
        loop: the event loop.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: deque[Worker] = deque()
        self._is_scheduled = False

    def wait(self, worker: Worker) -> None:
        """Give a connection another turn in a later iteration; it must not be waiting yet."""
        self._waiting.append(worker)
        self._schedule()

    def _schedule(self) -> None:
        if self._waiting and not self._is_scheduled:
            self._is_scheduled = True
            self._loop.call_soon(self._serve)

    def _serve(self) -> None:
        self._is_scheduled = False
        end = time.perf_counter() + _ITERATION_SECONDS
        try:
            for _ in range(len(self._waiting)):
                self._waiting.popleft().take_turn()
                if time.perf_counter() >= end:
                    break
        finally:  # whatever happens to one of them, the others go on
            self._schedule()

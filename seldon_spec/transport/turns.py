"""Turns on the event loop: a connection processes input for one turn, then waits in a queue for the next one."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import Protocol

_TURN_UNITS = 256
_TURN_SECONDS = 0.001
"""A turn ends after so many units (frames, chunks, or parts of a request), or after so long if they are expensive.

The time is the thread's own, so that a turn is not cut short because a model thread holds the interpreter's lock.
Reading it is a system call, but it is never ahead of the usual time, which is read until a turn may be over by that.
"""

_ITERATION_SECONDS = 0.004
"""How long the connections that wait are served in one iteration of the event loop; at least one of them is."""

_PAUSE_SECONDS = 1e-6
"""How long the event loop sleeps between two iterations with turns; the system makes it about 60 microseconds.

A thread that waits for the interpreter's lock demands it once the lock has not been released for 5 ms. The event loop
releases it in each iteration, but too briefly for a thread that has to wake up first. Without a pause, a model thread
would wait until no connection needs a turn.
"""


class Turn:
    """What a connection may process before the others continue; starts when it is created."""

    __slots__ = ("_earliest_end", "_end", "_units")

    def __init__(self) -> None:
        self._units = _TURN_UNITS
        self._end = time.thread_time() + _TURN_SECONDS
        self._earliest_end = time.perf_counter() + _TURN_SECONDS

    def take(self) -> bool:
        """Count one unit; returns whether there is time for another one."""
        self._units -= 1
        if self._units <= 0:
            return False
        now = time.perf_counter()
        if now < self._earliest_end:
            return True
        left = self._end - time.thread_time()
        self._earliest_end = now + left
        return left > 0


class Worker(Protocol):
    """A connection that waits for its next turn."""

    def take_turn(self) -> None:
        """Process input for one turn; wait again if there is more."""


class Turns:
    """The connections of an event loop that have received more than they could process in one turn.

    Events of other connections are handled between two iterations, and model threads can continue. So each step of a
    request is delayed by one iteration at most, however many connections are in the queue.

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
        end = time.thread_time() + _ITERATION_SECONDS
        try:
            for _ in range(len(self._waiting)):
                self._waiting.popleft().take_turn()
                if time.thread_time() >= end:
                    break
        finally:  # an error of one connection does not stop the others
            self._schedule()
        if self._waiting:
            time.sleep(_PAUSE_SECONDS)

"""The copies of requests for shadows: how many wait, and how they run beside the requests."""

from __future__ import annotations

import contextvars
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from seldon_spec.errors import SeldonSpecError
from seldon_spec.inference.graph.work import Branch, CallPool, Work
from seldon_spec.inference.metrics_sink import MetricsSink

logger = logging.getLogger(__name__)

MAX_SHADOWS = 64
"""The copies that wait, of one graph; further ones are dropped and counted."""

MAX_SHADOW_BYTES = 64 << 20
"""The size of the messages of these copies, as far as it is known; a larger one is accepted if no other waits."""

_TURN_SECONDS = 0.002
"""How long shadows run before the next requests; one that has begun is completed."""

_MAX_CONCURRENT = 16
"""The calls of servers for shadows at once."""

Defer = Callable[[Callable[[], None]], object]
"""Runs a task on a model thread, after the requests that wait there already."""


@dataclass(slots=True)
class Shadow:
    """The copy of a request for a shadow.

    Args:
        name: of the shadow, in metrics and in the log.
        size: of the message in bytes.
        make_work: returns the steps of the shadow at work.
    """

    name: str
    size: int
    make_work: Callable[[], Work]
    _context: contextvars.Context = field(init=False)
    _branch: Branch = field(init=False)
    _turn: object = field(init=False, default=None)


class Shadows:
    """Runs the shadows of one graph on the model threads, on one of them at a time.

    They are in the queue of the model threads once, for a short turn, so that a request does not wait for all that were
    made before it. No model thread waits while a server responds to a shadow.

    Args:
        metrics: counts those that are dropped.
        defer: see ``Defer``.
    """

    def __init__(self, metrics: MetricsSink, defer: Defer) -> None:
        self._metrics = metrics
        self._defer = defer
        self._lock = threading.Lock()
        self._count = self._bytes = 0
        self._ready: deque[Shadow] = deque()
        self._is_queued = False
        self.calls = CallPool(_MAX_CONCURRENT, "seldon-spec-shadow")

    def reserve(self, name: str, size: int) -> bool:
        """Return whether another shadow may wait; if so, ``start`` it or ``release`` it."""
        with self._lock:
            is_full = self._count >= MAX_SHADOWS or (self._count > 0 and self._bytes + size > MAX_SHADOW_BYTES)
            if not is_full:
                self._count += 1
                self._bytes += size
        if is_full:
            self._metrics.count_dropped_shadow(name)
        return not is_full

    def release(self, size: int) -> None:
        """Take back what ``reserve`` has counted."""
        with self._lock:
            self._count -= 1
            self._bytes -= size

    def start(self, shadows: Iterable[Shadow]) -> None:
        """Run shadows after the requests that wait already; they see the request that this thread handles."""
        for shadow in shadows:
            shadow._context = contextvars.copy_context()
            shadow._branch = Branch(shadow.make_work(), self.calls.submit)
            self._ready.append(shadow)
        self._queue()

    def close(self) -> None:
        """End the threads for calls of servers."""
        self.calls.close()

    def _queue(self) -> None:
        with self._lock:
            if self._is_queued or not self._ready:
                return
            self._is_queued = True
        try:
            self._defer(self._run_next)
        except SeldonSpecError:  # the server is stopping, so that none of them runs any more
            self._ready.clear()

    def _run_next(self) -> None:
        ends_at = time.perf_counter() + _TURN_SECONDS
        try:
            while self._ready:
                shadow = self._ready.popleft()
                shadow._context.run(self._resume, shadow)
                del shadow  # its memory is not needed until the next one
                if time.perf_counter() > ends_at:
                    break
        finally:
            self._is_queued = False
            self._queue()

    def _resume(self, shadow: Shadow) -> None:
        branch = shadow._branch
        branch.resume()
        if branch.futures:
            turn = shadow._turn = object()
            for future in branch.futures:
                future.add_done_callback(partial(self._wake, shadow, turn))
            return
        self.release(shadow.size)
        error = branch.error
        if isinstance(error, SeldonSpecError):
            logger.warning("shadow %s: %s: %s", shadow.name, error.component or shadow.name, error)
        elif error is not None:
            logger.error("shadow %s: unexpected error", shadow.name, exc_info=error)

    def _wake(self, shadow: Shadow, turn: object, _future: Future[Any]) -> None:
        """Resume a shadow when the first of the futures is done that it waits for."""
        with self._lock:
            if shadow._turn is not turn:
                return
            shadow._turn = None
            self._ready.append(shadow)
        self._queue()

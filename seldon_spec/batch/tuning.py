"""How many rows a request has, and how many requests are in flight, by the rate that both achieve."""

from __future__ import annotations

import threading
from dataclasses import dataclass

_FIRST_ROWS = 16
_MAX_ROWS = 16384
_FIRST_CONCURRENCY = 2
MAX_CONCURRENCY = 32

_SHORT_SECONDS = 0.01
_LONG_SECONDS = 0.2
"""The time of a request on a server that works on one at a time: long enough that its overhead is small, and short
enough that progress is visible."""

_WINDOW_SECONDS = 0.4
_WINDOW_REQUESTS = 4
_BETTER = 1.08
_STEADY_SECONDS = 30.0


@dataclass(slots=True)
class _Window:
    """What was measured since the last change.

    Attributes:
        started: the time.
        rows: that got predictions.
        requests: that ended.
    """

    started: float
    rows: int = 0
    requests: int = 0


class Tuner:
    """Chooses the rows of a request and the number of requests in flight.

    The rows are doubled while a request is short. After that the number of requests is doubled while the rate grows,
    and halved when the server rejects requests.

    Args:
        rows: of a request; None: chosen.
        concurrency: requests in flight; None: chosen.
        max_rows: of a request, at most; None: unlimited.
        now: the time, in seconds.
    """

    def __init__(self, rows: int | None, concurrency: int | None, max_rows: int | None, now: float) -> None:
        self._chooses_rows = rows is None
        self._chooses_concurrency = concurrency is None
        self._max_rows = min(max_rows or _MAX_ROWS, _MAX_ROWS)
        self.rows = rows or min(_FIRST_ROWS, self._max_rows)
        self.concurrency = concurrency or _FIRST_CONCURRENCY
        self._window = _Window(now)
        self._best_rate: float | None = None
        self._steady_until = 0.0

    def limit_rows(self, max_rows: int) -> None:
        """Send at most so many rows from now on, because the server does not accept more."""
        self._max_rows = min(max_rows, self._max_rows)
        self.rows = min(self.rows, self._max_rows)

    def on_overload(self, now: float) -> None:
        """React to a request that the server rejected."""
        if self._chooses_concurrency:
            self.concurrency = max(1, self.concurrency // 2)
            self._restart(now)
            self._steady_until = now + _STEADY_SECONDS

    def on_request(self, rows: int, seconds: float, now: float) -> None:
        """React to the end of a request.

        Args:
            rows: that it had.
            seconds: from its start to its end.
            now: the time.
        """
        alone = seconds / self.concurrency
        if self._chooses_rows and rows == self.rows:
            if alone < _SHORT_SECONDS and self.rows < self._max_rows:
                self.rows = min(2 * self.rows, self._max_rows)
                return self._restart(now)
            if alone > _LONG_SECONDS and self.rows > 1:
                self.rows = max(1, self.rows // 2)
                return self._restart(now)
        self._window.rows += rows
        self._window.requests += 1
        if self._chooses_concurrency and now >= self._steady_until:
            self._compare(now)
        return None

    def _compare(self, now: float) -> None:
        """Compare the rate with the one before the last change of the number of requests."""
        seconds = now - self._window.started
        if seconds < _WINDOW_SECONDS or self._window.requests < _WINDOW_REQUESTS * self.concurrency:
            return
        rate = self._window.rows / seconds
        is_better = self._best_rate is None or rate > _BETTER * self._best_rate
        if is_better and self.concurrency < MAX_CONCURRENCY:
            self._best_rate = rate
            self.concurrency *= 2
            self._window = _Window(now)
        else:
            if not is_better:
                self.concurrency //= 2
            self._restart(now)
            self._steady_until = now + _STEADY_SECONDS

    def _restart(self, now: float) -> None:
        """Measure anew, with nothing to compare with."""
        self._window = _Window(now)
        self._best_rate = None


class Gate:
    """Lets a number of threads through that can change."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._inside = 0
        self._changed = threading.Condition()

    def set_limit(self, limit: int) -> None:
        """Change the number."""
        with self._changed:
            self._limit = limit
            self._changed.notify_all()

    def __enter__(self) -> None:
        with self._changed:
            while self._inside >= self._limit:
                self._changed.wait()
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._inside -= 1
            self._changed.notify()

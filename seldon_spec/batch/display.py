"""The progress of a run: a bar on a terminal, else a line from time to time."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, TextIO

from seldon_spec.batch.runner import Progress

_LINE_SECONDS = 10.0


class LineDisplay(AbstractContextManager["LineDisplay"]):
    """Prints a line every ten seconds.

    Args:
        stream: where.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._next = time.monotonic() + _LINE_SECONDS

    def update(self, progress: Progress) -> None:
        """Print a line if it is time."""
        if time.monotonic() >= self._next:
            self._next += _LINE_SECONDS
            print(describe(progress), file=self._stream, flush=True)

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        pass


class BarDisplay(AbstractContextManager["BarDisplay"]):
    """Draws a bar in the last line of a terminal.

    Args:
        stream: of the terminal.
    """

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TaskProgressColumn, TextColumn
        from rich.progress import Progress as Bar

        columns = (BarColumn(), TaskProgressColumn(), TextColumn("{task.description}"))
        self._bar: Any = Bar(*columns, console=Console(file=stream), transient=True, refresh_per_second=5)
        self._task = self._bar.add_task("")
        self._bar.start()

    def update(self, progress: Progress) -> None:
        """Draw the bar."""
        text = describe(progress, has_share=False)
        self._bar.update(self._task, total=progress.size or 1, completed=progress.position, description=text)

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._bar.stop()


def open_display(stream: TextIO) -> LineDisplay | BarDisplay:
    """Return the display for a stream."""
    return BarDisplay(stream) if stream.isatty() else LineDisplay(stream)


def describe(progress: Progress, *, has_share: bool = True) -> str:
    """Return the progress as a line."""
    parts = [f"{progress.rows:,} rows"]
    if has_share and progress.size:
        parts.append(f"{progress.position / progress.size:.0%}")
    parts.append(f"{progress.rate:,.0f} rows/s")
    left = _estimate(progress)
    if left is not None:
        parts.append(f"{format_seconds(left)} left")
    if progress.failed:
        parts.append(f"{progress.failed:,} failed")
    return ", ".join(parts)


def format_seconds(seconds: float) -> str:
    """Return a duration such as ``3.2 s`` or ``1 h 05 min``."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"


def _estimate(progress: Progress) -> float | None:
    """Return the seconds that are left, by the rate of this run; None: unknown."""
    done = progress.position - progress.earlier_position
    if done <= 0:
        return None
    return (progress.size - progress.position) * progress.seconds / done

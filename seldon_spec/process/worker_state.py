"""The state of the workers of a server: what ``replacement`` decides from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from seldon_spec.observability.metrics.restarts import Reason
from seldon_spec.process.worker_messages import READY, RECYCLE, STUCK

FIRST_BACKOFF_SECONDS = 0.1
REPEAT_SECONDS = 0.1
TEMPLATE = -1
"""The slot of a template process."""


@dataclass(frozen=True, slots=True)
class Process:
    """One worker process.

    Attributes:
        slot: the worker slot that it was started for, or ``TEMPLATE``.
        started_at: the time of the fork.
        messages: what it has reported; see ``worker_messages``.
        kill_at: when it is killed if it still runs; None: it has not been asked to exit.
    """

    pid: int
    slot: int
    started_at: float
    messages: frozenset[str] = frozenset()
    kill_at: float | None = None

    @property
    def is_ready(self) -> bool:
        """Whether it serves requests."""
        return READY in self.messages

    @property
    def needs_replacement(self) -> bool:
        """Whether it has asked for a replacement."""
        return RECYCLE in self.messages or STUCK in self.messages


@dataclass(frozen=True, slots=True)
class WorkerSlot:
    """The place of one of ``server.workers``.

    Attributes:
        current: the process that serves here, or the first one while it starts.
        replacement: the process that becomes the current one when it is ready.
        has_served: whether a process of this slot has ever been ready.
        backoff_seconds: the delay before the next start after a failure.
        start_at: when to start the next process after a failure; None: no start is scheduled.
        reason: the cause of the latest replacement.
    """

    index: int
    current: Process | None = None
    replacement: Process | None = None
    has_served: bool = False
    backoff_seconds: float = FIRST_BACKOFF_SECONDS
    start_at: float | None = None
    reason: Reason = "died"


@dataclass(frozen=True, slots=True)
class State:
    """The state of all workers.

    Attributes:
        slots: the worker slots; none once the server stops.
        max_processes: how many processes may run at one time, draining ones included; with one more than the slots,
            they are replaced one by one.
        grace_seconds: how long a process may drain.
        started_at: the start of the server.
        terminating: processes that have been asked to exit.
        queue: indices of the slots whose process is to be replaced, one after the other.
        is_announced: whether all slots have served, which is logged once.
        is_hastened: whether a second signal asked the server to stop at once.
        can_start: whether processes can be started; see ``StartsAllowed``.
    """

    slots: tuple[WorkerSlot, ...]
    max_processes: int
    grace_seconds: float
    started_at: float
    terminating: tuple[Process, ...] = ()
    queue: tuple[int, ...] = ()
    is_announced: bool = False
    is_stopping: bool = False
    is_hastened: bool = False
    can_start: bool = True

    @classmethod
    def initial(cls, workers: int, max_processes: int, grace_seconds: float, now: float) -> State:
        """Return the state of a server whose workers start at the next ``Tick``."""
        slots = tuple(WorkerSlot(index, start_at=now) for index in range(workers))
        return cls(slots, max_processes, grace_seconds, now)

    def processes(self) -> Iterator[Process]:
        """Yield every process."""
        for slot in self.slots:
            yield from (process for process in (slot.current, slot.replacement) if process is not None)
        yield from self.terminating

    def next_tick(self, now: float) -> float | None:
        """Return the time of the next ``Tick`` that does something; None: only another event can change the state."""
        times = [slot.start_at for slot in self.slots if slot.start_at is not None and self.can_start]
        times += [process.kill_at for process in self.terminating if process.kill_at is not None]
        if self.is_hastened:
            times.append(now + REPEAT_SECONDS)
        return min(times, default=None)

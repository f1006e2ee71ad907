"""The replacement policy of the workers: every event in every state that matters, without a process."""

from __future__ import annotations

import errno
import logging
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seldon_spec.errors import ComponentFailed
from seldon_spec.process.events import (
    Action,
    CountRestart,
    Discard,
    Event,
    Exited,
    Log,
    MessageReceived,
    PreloadFailed,
    Reload,
    SendSignal,
    Shutdown,
    Start,
    Started,
    StartFailed,
    StartsAllowed,
    Stop,
    Tick,
)
from seldon_spec.process.replacement import step
from seldon_spec.process.signals import REPLACE
from seldon_spec.process.worker_messages import EXCLUSIVE, READY, RECYCLE, STUCK
from seldon_spec.process.worker_state import State

GRACE_SECONDS = 20.0


@dataclass(frozen=True)
class After:
    """Time passes."""

    seconds: float


@dataclass(frozen=True)
class Forking:
    """From now on the system can, or cannot, fork a process."""

    is_possible: bool


@dataclass(frozen=True)
class Discarded:
    """A template process, which was started before, is not needed any more."""

    pid: int


Step: TypeAlias = Event | After | Forking | Discarded


def describe(action: Action) -> str:
    match action:
        case Start(slot, accept_when_ready):
            return f"start {slot}{', accept when ready' if accept_when_ready else ''}"
        case SendSignal(pid, number):
            return f"{'REPLACE' if number == REPLACE else signal.Signals(number).name} {pid}"
        case CountRestart(reason):
            return f"count {reason}"
        case Log(level, text, error):
            return f"{logging.getLevelName(level)}: {text}{'' if error is None else f' <{error}>'}"
        case Shutdown(error):
            return "shutdown" if error is None else f"shutdown: {error}"


@dataclass
class Workers:
    """Performs the actions of the policy as the supervisor does, but for processes that are numbers: 1, 2, 3..."""

    state: State
    now: float = 0.0
    can_fork: bool = True
    started: int = 0
    running: set[int] = field(default_factory=set)

    def do(self, given_step: Step) -> list[str]:
        """Handle an event and then a ``Tick``; return the actions."""
        if isinstance(given_step, After):
            self.now += given_step.seconds
        elif isinstance(given_step, Forking):
            self.can_fork = given_step.is_possible
        elif isinstance(given_step, Discarded):
            self.running.add(given_step.pid)
            return self._handle(Discard(given_step.pid))
        elif not isinstance(given_step, Tick):
            return self._handle(given_step) + self._handle(Tick())
        return self._handle(Tick())

    def _handle(self, event: Event) -> list[str]:
        if isinstance(event, Exited):
            self.running.remove(event.pid)
        self.state, actions = step(self.state, event, self.now)
        lines = []
        for action in actions:
            lines.append(describe(action))
            if isinstance(action, SendSignal):
                assert action.pid in self.running
            if isinstance(action, Start) and not self.state.is_stopping:
                lines += self._handle(self._start(action))
        return lines

    def _start(self, action: Start) -> Started | StartFailed:
        if not self.can_fork:
            return StartFailed(action.slot, OSError(errno.EAGAIN, os.strerror(errno.EAGAIN)))
        self.started += 1
        self.running.add(self.started)
        return Started(action.slot, self.started)


def make_workers(count: int) -> Workers:
    """Return workers that start at the next ``Tick``; one more process than workers may run."""
    return Workers(State.initial(count, count + 1, GRACE_SECONDS, 0.0))


def ready(pid: int) -> MessageReceived:
    return MessageReceived(pid, READY)


def recycle(pid: int) -> MessageReceived:
    return MessageReceived(pid, RECYCLE)


def stuck(pid: int) -> MessageReceived:
    return MessageReceived(pid, STUCK)


def exclusive(pid: int) -> MessageReceived:
    return MessageReceived(pid, EXCLUSIVE)


def crashed(pid: int) -> Exited:
    return Exited(pid, "was terminated by SIGKILL")


def exited(pid: int) -> Exited:
    return Exited(pid, "exited with code 0")


FAILURE = ComponentFailed("Served() raised ValueError: no weights")
FAILURE.__cause__ = ValueError("no weights")


def failed(pid: int) -> Exited:
    return Exited(pid, "exited with code 1", FAILURE)


HANGUP = Reload("signal", GRACE_SECONDS)
EDIT = Reload("reload", GRACE_SECONDS)

ONE: tuple[Step, ...] = (Tick(), ready(1))
TWO: tuple[Step, ...] = (Tick(), ready(1), ready(2))
KEPT = "replacement failed to start, keeping the current process"
CRASH_LOOP: tuple[Step, ...] = (*ONE, crashed(1), *(x for n in range(2, 11) for x in (After(30), crashed(n))))
NO_FORK = "[Errno 11] Resource temporarily unavailable"

CASES: dict[str, tuple[int, Sequence[Step], Step, list[str]]] = {
    # start-up
    "first start": (2, [], Tick(), ["start 0", "start 1"]),
    # the supervisor ignores the last one
    "first start: no fork": (2, [], Forking(False), ["start 0", f"shutdown: {NO_FORK}", "start 1"]),
    "first start: one ready": (2, [Tick(), After(2)], ready(2), ["INFO: worker 1 is ready in 2.0 s (process 2)"]),
    "first start: all ready": (
        2,
        [Tick(), ready(1), After(3)],
        ready(2),
        ["INFO: worker 1 is ready in 3.0 s (process 2)", "INFO: ready in 3.0 s"],
    ),
    "first start: exit": (
        2,
        [Tick(), ready(1)],
        crashed(2),
        ["shutdown: worker 1 was terminated by SIGKILL before it was ready", "SIGTERM 1"],
    ),
    "first start: the class raises": (2, [Tick()], failed(1), [f"shutdown: {FAILURE}", "SIGTERM 2"]),
    # template processes
    "nothing starts without a template process": (2, [StartsAllowed(is_allowed=False)], After(60), []),
    "first start with a template process": (
        2,
        [StartsAllowed(is_allowed=False)],
        StartsAllowed(is_allowed=True),
        ["start 0", "start 1"],
    ),
    "the model cannot be loaded at first": (
        1,
        [StartsAllowed(is_allowed=False)],
        PreloadFailed(FAILURE),
        [f"shutdown: {FAILURE}"],
    ),
    "a new model cannot be loaded": (
        1,
        ONE,
        PreloadFailed(FAILURE),
        [f"ERROR: the model cannot be loaded, keeping the current workers: {FAILURE} <no weights>"],
    ),
    "a crashed worker waits for a template process": (
        1,
        [*ONE, StartsAllowed(is_allowed=False), crashed(1), After(1)],
        StartsAllowed(is_allowed=True),
        ["start 0"],
    ),
    # replacements
    "recycle": (
        1,
        ONE,
        recycle(1),
        ["INFO: worker 0 (process 1) reached max_requests, replacing it", "start 0, accept when ready"],
    ),
    "stuck": (1, ONE, stuck(1), ["INFO: worker 0 (process 1) is stuck in a call, replacing it", "start 0"]),
    "SIGHUP": (2, TWO, HANGUP, ["start 0, accept when ready"]),
    "edit": (2, TWO, EDIT, ["start 0, accept when ready"]),
    "promote after recycle": (
        1,
        [*ONE, recycle(1)],
        ready(2),
        ["count worn", "REPLACE 1", "INFO: worker 0 is ready in 0.0 s (process 2)"],
    ),
    "promote after stuck": (
        1,
        [*ONE, stuck(1)],
        ready(2),
        ["count hung", "REPLACE 1", "INFO: worker 0 is ready in 0.0 s (process 2)"],
    ),
    "promote after SIGHUP": (
        2,
        [*TWO, HANGUP],
        ready(3),
        ["count signal", "REPLACE 1", "INFO: worker 0 is ready in 0.0 s (process 3)"],
    ),
    "promote after edit": (
        1,
        [*ONE, EDIT],
        ready(2),
        ["count reload", "REPLACE 1", "INFO: worker 0 is ready in 0.0 s (process 2)"],
    ),
    "the next one starts when the replaced process has exited": (
        2,
        [*TWO, HANGUP, ready(3)],
        exited(1),
        ["start 1, accept when ready"],
    ),
    "SIGHUP has replaced all": (2, [*TWO, HANGUP, ready(3), exited(1), ready(4)], exited(2), []),
    "two at once: the second waits": (
        2,
        [*TWO, recycle(1)],
        recycle(2),
        ["INFO: worker 1 (process 2) reached max_requests, replacing it"],
    ),
    "two at once: the second follows": (
        2,
        [*TWO, recycle(1), recycle(2), ready(3)],
        exited(1),
        ["start 1, accept when ready"],
    ),
    "recycle of a process that waits for its replacement": (2, [*TWO, HANGUP], recycle(2), []),
    "recycle while its replacement starts": (
        1,
        [*ONE, HANGUP],
        recycle(1),
        ["INFO: worker 0 (process 1) reached max_requests, replacing it"],
    ),
    "recycle while its replacement starts: no second one": (1, [*ONE, HANGUP, recycle(1), ready(2)], exited(1), []),
    "recycle of a process that drains": (1, [*ONE, HANGUP, ready(2)], recycle(1), []),
    # reload during other events
    "SIGHUP during the first start waits": (1, [Tick()], HANGUP, []),
    "SIGHUP during the first start follows": (
        1,
        [Tick(), HANGUP],
        ready(1),
        [
            "INFO: worker 0 is ready in 0.0 s (process 1)",
            "INFO: ready in 0.0 s",
            "start 0, accept when ready",
        ],
    ),
    "SIGHUP during a replacement waits": (1, [*ONE, HANGUP], HANGUP, []),
    "SIGHUP during a replacement follows": (
        1,
        [*ONE, HANGUP, HANGUP, ready(2)],
        exited(1),
        ["start 0, accept when ready"],
    ),
    "SIGHUP while the replaced process drains waits": (1, [*ONE, HANGUP, ready(2)], HANGUP, []),
    "edit during a replacement stops it": (1, [*ONE, EDIT], EDIT, ["SIGTERM 2"]),
    "edit during a replacement starts another": (1, [*ONE, EDIT, EDIT], exited(2), ["start 0, accept when ready"]),
    "a stopped replacement is ready too late": (1, [*ONE, EDIT, EDIT], ready(2), []),
    "edit while the first process loads stops it": (1, [Tick()], EDIT, ["SIGTERM 1"]),
    "edit while the first process loads starts another": (1, [Tick(), EDIT], exited(1), ["start 0"]),
    "edit while a process loads after a crash stops it": (
        1,
        [*ONE, crashed(1), After(0.1)],
        EDIT,
        ["SIGTERM 2"],
    ),
    "edit during the backoff starts at once": (1, [*ONE, crashed(1)], EDIT, ["start 0"]),
    # a process that must exit before its replacement starts
    "exclusive: exits first": (1, [Tick(), exclusive(1), ready(1)], HANGUP, ["count signal", "REPLACE 1"]),
    "exclusive: replacement follows": (1, [Tick(), exclusive(1), ready(1), HANGUP], exited(1), ["start 0"]),
    "exclusive: its replacement comes before the next worker": (
        2,
        [Tick(), exclusive(1), ready(1), ready(2)],
        HANGUP,
        ["count signal", "REPLACE 1"],
    ),
    # replacements that fail
    "replacement failed": (2, [*TWO, HANGUP], failed(3), [f"ERROR: worker 0: {KEPT}: {FAILURE} <no weights>"]),
    "replacement failed: the others are not tried": (2, [*TWO, HANGUP, failed(3)], After(1000), []),
    "replacement exited": (1, [*ONE, HANGUP], crashed(2), [f"ERROR: worker 0: {KEPT}: it was terminated by SIGKILL"]),
    "replacement failed: SIGHUP tries again": (2, [*TWO, HANGUP, failed(3)], HANGUP, ["start 0, accept when ready"]),
    "replacement of a stuck process failed: backoff": (1, [*ONE, stuck(1), failed(2)], After(0.09), []),
    "replacement of a stuck process failed: retry": (1, [*ONE, stuck(1), failed(2)], After(0.1), ["start 0"]),
    "replacement of a stuck process failed twice: backoff": (
        1,
        [*ONE, stuck(1), failed(2), After(0.1), failed(3)],
        After(0.19),
        [],
    ),
    "replacement of a stuck process failed twice: retry": (
        1,
        [*ONE, stuck(1), failed(2), After(0.1), failed(3)],
        After(0.2),
        ["start 0"],
    ),
    "replacement failed, the next one is ready: no third one": (
        1,
        [*ONE, recycle(1), failed(2), stuck(1), ready(3), exited(1)],
        After(0.1),
        [],
    ),
    "replacement cannot be forked": (
        1,
        [*ONE, Forking(False)],
        HANGUP,
        [
            "start 0, accept when ready",
            f"ERROR: worker 0 cannot be started: {NO_FORK}, retrying in 0.1 seconds",
        ],
    ),
    "replacement cannot be forked: retry": (
        1,
        [*ONE, Forking(False), HANGUP, Forking(True)],
        After(0.1),
        ["start 0, accept when ready"],
    ),
    # crashes
    "crash": (
        1,
        ONE,
        crashed(1),
        ["count died", "ERROR: worker 0 was terminated by SIGKILL, starting another in 0.1 seconds"],
    ),
    "crash: backoff": (1, [*ONE, crashed(1)], After(0.09), []),
    "crash: restart": (1, [*ONE, crashed(1)], After(0.1), ["start 0"]),
    "crash loop": (
        1,
        [*ONE, crashed(1), After(0.1)],
        failed(2),
        ["count died", "ERROR: worker 0 exited with code 1, starting another in 0.2 seconds <no weights>"],
    ),
    "crash loop: largest backoff": (
        1,
        [*CRASH_LOOP, After(30)],
        crashed(11),
        ["count died", "ERROR: worker 0 was terminated by SIGKILL, starting another in 30 seconds"],
    ),
    "crash after less than 10 seconds": (
        1,
        [*ONE, crashed(1), After(0.1), ready(2), After(9.9)],
        crashed(2),
        ["count died", "ERROR: worker 0 was terminated by SIGKILL, starting another in 0.2 seconds"],
    ),
    "crash after 10 seconds resets the backoff": (
        1,
        [*ONE, crashed(1), After(0.1), ready(2), After(10)],
        crashed(2),
        ["count died", "ERROR: worker 0 was terminated by SIGKILL, starting another in 0.1 seconds"],
    ),
    "crash of a process that was never ready does not reset the backoff": (
        1,
        [*ONE, crashed(1), After(0.1), After(60)],
        crashed(2),
        ["count died", "ERROR: worker 0 was terminated by SIGKILL, starting another in 0.2 seconds"],
    ),
    "a replacement resets the backoff": (
        1,
        [*ONE, crashed(1), After(0.1), ready(2), HANGUP, ready(3), exited(2)],
        crashed(3),
        ["count died", "ERROR: worker 0 was terminated by SIGKILL, starting another in 0.1 seconds"],
    ),
    "crash while its replacement starts": (
        1,
        [*ONE, HANGUP],
        crashed(1),
        ["count died", "ERROR: worker 0 was terminated by SIGKILL, its replacement is starting"],
    ),
    "crash while its replacement starts: ready": (
        1,
        [*ONE, HANGUP, crashed(1)],
        ready(2),
        ["INFO: worker 0 is ready in 0.0 s (process 2)"],
    ),
    "crash while its replacement starts: that fails as well": (
        1,
        [*ONE, HANGUP, crashed(1)],
        failed(2),
        ["count died", "ERROR: worker 0 exited with code 1, starting another in 0.1 seconds <no weights>"],
    ),
    "crash while waiting for its replacement": (2, [*TWO, HANGUP, crashed(2)], After(0.1), ["start 1"]),
    "crash while waiting for its replacement: no second one": (
        2,
        [*TWO, HANGUP, crashed(2), After(0.1), ready(3), ready(4)],
        exited(1),
        [],
    ),
    "crash while a process drains and another waits": (
        2,
        [*TWO, HANGUP, ready(3), crashed(3)],
        After(0.1),
        ["start 0"],
    ),
    "crash while a process drains: backoff": (1, [*ONE, HANGUP, ready(2), crashed(2)], exited(1), []),
    "crash: no fork": (
        1,
        [*ONE, crashed(1), Forking(False)],
        After(0.1),
        ["start 0", f"ERROR: worker 0 cannot be started: {NO_FORK}, retrying in 0.2 seconds"],
    ),
    "crash: no fork, retry": (
        1,
        [*ONE, crashed(1), Forking(False), After(0.1), Forking(True)],
        After(0.2),
        ["start 0"],
    ),
    # processes that do not exit
    "drain": (1, [*ONE, HANGUP, ready(2)], After(24.9), []),
    "drain: killed": (
        1,
        [*ONE, HANGUP, ready(2)],
        After(25),
        ["ERROR: worker 0 (process 1) did not exit in time, killing it", "SIGKILL 1"],
    ),
    "drain: killed once": (1, [*ONE, HANGUP, ready(2), After(25)], After(25), []),
    "drain: the newer grace period": (
        1,
        [*ONE, Reload("signal", 1.0), ready(2)],
        After(6),
        ["ERROR: worker 0 (process 1) did not exit in time, killing it", "SIGKILL 1"],
    ),
    "stuck: killed without a grace period": (
        1,
        [*ONE, stuck(1), ready(2)],
        After(5),
        ["ERROR: worker 0 (process 1) did not exit in time, killing it", "SIGKILL 1"],
    ),
    "template: killed without a grace period": (
        1,
        [*ONE, Discarded(2)],
        After(5),
        ["ERROR: template (process 2) did not exit in time, killing it", "SIGKILL 2"],
    ),
    "template: a stop gives it no more time": (
        1,
        [*ONE, Discarded(2), After(4), Stop()],
        After(1),
        ["ERROR: template (process 2) did not exit in time, killing it", "SIGKILL 2"],
    ),
    # stop
    "stop": (2, TWO, Stop(), ["shutdown", "SIGTERM 1", "SIGTERM 2"]),
    "stop during the first start": (2, [Tick(), ready(2)], Stop(), ["shutdown", "SIGTERM 1", "SIGTERM 2"]),
    "stop before the first start": (2, [], Stop(), ["shutdown"]),
    "stop during a replacement": (1, [*ONE, HANGUP], Stop(), ["shutdown", "SIGTERM 1", "SIGTERM 2"]),
    "stop while a process drains": (1, [*ONE, HANGUP, ready(2)], Stop(), ["shutdown", "SIGTERM 2", "SIGTERM 1"]),
    "stop during the backoff": (1, [*ONE, crashed(1)], Stop(), ["shutdown"]),
    "stop during the backoff: no start": (1, [*ONE, crashed(1), Stop()], After(1), []),
    "stop: the replacement is ready too late": (1, [*ONE, HANGUP, Stop()], ready(2), []),
    "stop: an exit is not a crash": (2, [*TWO, Stop()], exited(1), []),
    "stop: an exit during start-up is no failure": (2, [Tick(), Stop()], exited(1), []),
    "stop: SIGHUP": (1, [*ONE, Stop()], HANGUP, []),
    "stop: recycle": (1, [*ONE, Stop()], recycle(1), []),
    "stop: killed": (
        1,
        [*ONE, Stop()],
        After(25),
        ["ERROR: worker 0 (process 1) did not exit in time, killing it", "SIGKILL 1"],
    ),
    "second stop": (2, [*TWO, Stop()], Stop(), ["SIGTERM 1", "SIGTERM 2"]),
    "second stop is repeated": (2, [*TWO, Stop(), Stop(), exited(1)], After(0.1), ["SIGTERM 2"]),
}


@pytest.mark.parametrize(("count", "before", "event", "expected"), CASES.values(), ids=CASES)
def test_actions(count: int, before: Sequence[Step], event: Step, expected: list[str]) -> None:
    workers = make_workers(count)
    for each in before:
        workers.do(each)
    assert workers.do(event) == expected


NEXT: dict[str, tuple[Sequence[Step], float | None]] = {
    "first start": ([], 0.0),
    "serving": (ONE, None),
    "backoff": ([*ONE, crashed(1)], 0.1),
    "drain": ([*ONE, HANGUP, ready(2)], 25.0),
    "stop": ([*ONE, Stop()], 25.0),
    "second stop": ([*ONE, Stop(), Stop()], 0.1),
}


@pytest.mark.parametrize(("before", "expected"), NEXT.values(), ids=NEXT)
def test_time_of_the_next_tick(before: Sequence[Step], expected: float | None) -> None:
    workers = make_workers(1)
    for each in before:
        workers.do(each)
    assert workers.state.next_tick(workers.now) == expected


@given(st.data())
def test_any_events_keep_the_number_of_processes(data: st.DataObject) -> None:
    """Signals go to running processes only, and each worker has a process, or a start that is scheduled."""
    count = data.draw(st.integers(1, 3))
    workers = make_workers(count)
    workers.do(Tick())
    for pid in range(1, count + 1):
        workers.do(ready(pid))
    kinds = (ready, recycle, stuck, exclusive, crashed, failed)
    for _ in range(data.draw(st.integers(0, 30))):
        events: list[Step] = [HANGUP, EDIT, After(0.1), After(30), Forking(True), Forking(False)]
        events += [kind(pid) for pid in sorted(workers.running) for kind in kinds]
        workers.do(data.draw(st.sampled_from(events)))
        state = workers.state
        assert {process.pid for process in state.processes()} == workers.running
        assert len(workers.running) <= state.max_processes
        assert sum(slot.replacement is not None for slot in state.slots) <= 1
        exiting = {process.slot for process in state.terminating}
        assert all(slot.current or slot.start_at is not None or slot.index in exiting for slot in state.slots)
    assert [line for line in workers.do(Stop()) if line.startswith("SIGTERM")] == [
        f"SIGTERM {process.pid}" for process in workers.state.terminating
    ]
    for pid in sorted(workers.running):
        workers.do(exited(pid))
    assert not workers.state.terminating

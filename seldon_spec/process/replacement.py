"""The replacement policy: which worker processes to start, replace and terminate, and when.

A pure function of a state, an event and the time. It starts no process, sends no signal and reads no clock: the
supervisor reports the events and performs the actions.
"""

from __future__ import annotations

import logging
import signal
from dataclasses import replace
from typing import Any

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
from seldon_spec.process.signals import REPLACE
from seldon_spec.process.worker_messages import EXCLUSIVE, READY, RECYCLE, STUCK
from seldon_spec.process.worker_state import FIRST_BACKOFF_SECONDS, TEMPLATE, Process, State, WorkerSlot

MAX_BACKOFF_SECONDS = 30.0
STABLE_SECONDS = 10.0
"""A worker that has run this long resets the backoff of its slot."""
KILL_AFTER_SECONDS = 5.0
"""A worker is killed this long after the end of its grace period."""


def step(state: State, event: Event, now: float) -> tuple[State, tuple[Action, ...]]:
    """Return the state after an event, and the actions to perform, in order.

    Args:
        now: the time, by the clock of the times in the state.
    """
    transition = _Transition(state, now)
    transition.apply(event)
    return transition.state, tuple(transition.actions)


class _Transition:
    """The changes that one event makes."""

    def __init__(self, state: State, now: float) -> None:
        self.state = state
        self.actions: list[Action] = []
        self._now = now

    def apply(self, event: Event) -> None:
        match event:
            case Started():
                self._on_started(event)
            case StartFailed():
                self._on_start_failed(event)
            case MessageReceived():
                self._on_message(event)
            case Exited():
                self._on_exit(event)
            case Reload():
                self._on_reload(event)
            case StartsAllowed() | PreloadFailed() | Discard():
                self._on_template(event)
            case Stop() if self.state.is_stopping:
                self.state = replace(self.state, is_hastened=True)
            case Stop():
                self._shut_down(None)
            case Tick():
                self._on_tick()

    # Changes of the state

    def _update(self, index: int, **changes: Any) -> None:
        slots = tuple(replace(slot, **changes) if slot.index == index else slot for slot in self.state.slots)
        self.state = replace(self.state, slots=slots)

    def _enqueue(self, index: int) -> None:
        if index not in self.state.queue:
            self.state = replace(self.state, queue=(*self.state.queue, index))

    def _dequeue(self, index: int) -> None:
        self.state = replace(self.state, queue=tuple(each for each in self.state.queue if each != index))

    def _log(self, level: int, text: str, error: BaseException | None = None) -> None:
        self.actions.append(Log(level, text, error))

    def _back_off(self, index: int) -> None:
        """Schedule the next start of a slot, and double the delay of the one after it."""
        seconds = self.state.slots[index].backoff_seconds
        self._update(index, start_at=self._now + seconds, backoff_seconds=min(2 * seconds, MAX_BACKOFF_SECONDS))

    def _terminate(self, process: Process, number: int) -> None:
        """Ask a process to drain and exit; its slot no longer has it."""
        has_nothing_to_finish = STUCK in process.messages or process.slot == TEMPLATE
        grace_seconds = 0.0 if has_nothing_to_finish else self.state.grace_seconds
        process = replace(process, kill_at=self._now + grace_seconds + KILL_AFTER_SECONDS)
        self.state = replace(self.state, terminating=(*self.state.terminating, process))
        self.actions.append(SendSignal(process.pid, number))

    # Starts

    def _on_started(self, event: Started) -> None:
        process = Process(event.pid, event.slot, self._now)
        if self.state.slots[event.slot].current is None:
            self._update(event.slot, current=process)
        else:
            self._update(event.slot, replacement=process, start_at=None)

    def _on_start_failed(self, event: StartFailed) -> None:
        slot = self.state.slots[event.slot]
        if not slot.has_served:
            self._shut_down(event.error)
            return
        retry = f"retrying in {slot.backoff_seconds:g} seconds"
        self._log(logging.ERROR, f"worker {slot.index} cannot be started: {event.error}, {retry}")
        self._back_off(slot.index)

    # Messages

    def _on_message(self, event: MessageReceived) -> None:
        process = next(process for process in self.state.processes() if process.pid == event.pid)
        if process in self.state.terminating:
            return
        slot = self.state.slots[process.slot]
        is_current = process == slot.current
        process = replace(process, messages=process.messages | {event.message})
        self._update(slot.index, **{"current" if is_current else "replacement": process})
        if event.message == READY:
            self._on_ready(slot, process, is_current=is_current)
        elif event.message in (RECYCLE, STUCK) and is_current and slot.index not in self.state.queue:
            is_stuck = event.message == STUCK
            what = "is stuck in a call" if is_stuck else "reached max_requests"
            self._log(logging.INFO, f"worker {slot.index} (process {process.pid}) {what}, replacing it")
            if slot.replacement is None:
                self._update(slot.index, reason="hung" if is_stuck else "worn")
                self._enqueue(slot.index)

    def _on_ready(self, slot: WorkerSlot, process: Process, *, is_current: bool) -> None:
        self._update(slot.index, has_served=True)
        if not is_current:
            self._promote(slot, process)
        seconds = self._now - process.started_at
        self._log(logging.INFO, f"worker {slot.index} is ready in {seconds:.1f} s (process {process.pid})")
        if not self.state.is_announced and all(slot.has_served for slot in self.state.slots):
            self.state = replace(self.state, is_announced=True)
            self._log(logging.INFO, f"ready in {self._now - self.state.started_at:.1f} s")

    def _promote(self, slot: WorkerSlot, process: Process) -> None:
        """Make a replacement the current process of its slot."""
        self._update(slot.index, current=process, replacement=None, backoff_seconds=FIRST_BACKOFF_SECONDS)
        assert slot.current is not None
        self.actions.append(CountRestart(slot.reason))
        self._terminate(slot.current, REPLACE)

    # Exits

    def _on_exit(self, event: Exited) -> None:
        process = next(process for process in self.state.processes() if process.pid == event.pid)
        terminating = tuple(each for each in self.state.terminating if each != process)
        if process in self.state.terminating:
            self.state = replace(self.state, terminating=terminating)
            slot = None if self.state.is_stopping or process.slot == TEMPLATE else self.state.slots[process.slot]
            if slot is not None and slot.current is None and slot.start_at is None:
                self._update(slot.index, start_at=self._now)  # an exclusive process exits before its replacement starts
            return
        slot = self.state.slots[process.slot]
        if process == slot.replacement:
            self._on_replacement_failed(slot, event)
        elif slot.has_served:
            self._on_crash(slot, process, event)
        else:
            self._update(slot.index, current=None)
            text = f"worker {slot.index} {event.status} before it was ready"
            self._shut_down(event.failure or ComponentFailed(text))

    def _on_replacement_failed(self, slot: WorkerSlot, event: Exited) -> None:
        """Keep the current process; if it has asked for a replacement, try another one later."""
        self._update(slot.index, replacement=None)
        self.state = replace(self.state, queue=())  # the other replacements would fail as well
        why = str(event.failure or f"it {event.status}")
        cause = None if event.failure is None else event.failure.__cause__
        text = f"worker {slot.index}: replacement failed to start, keeping the current process: {why}"
        self._log(logging.ERROR, text, cause)
        for other in self.state.slots:
            if other.current is not None and other.current.needs_replacement:
                self._back_off(other.index)

    def _on_crash(self, slot: WorkerSlot, process: Process, event: Exited) -> None:
        self.actions.append(CountRestart("died"))
        ended = f"worker {slot.index} {event.status}"
        if slot.replacement is not None:
            self._update(slot.index, current=slot.replacement, replacement=None)
            self._log(logging.ERROR, f"{ended}, its replacement is starting")
            return
        self._update(slot.index, current=None)
        self._dequeue(slot.index)
        if process.is_ready and self._now - process.started_at >= STABLE_SECONDS:
            self._update(slot.index, backoff_seconds=FIRST_BACKOFF_SECONDS)
        seconds = self.state.slots[slot.index].backoff_seconds
        cause = None if event.failure is None else event.failure.__cause__
        self._log(logging.ERROR, f"{ended}, starting another in {seconds:g} seconds", cause)
        self._back_off(slot.index)

    # Template processes

    def _on_template(self, event: StartsAllowed | PreloadFailed | Discard) -> None:
        if isinstance(event, StartsAllowed):
            self.state = replace(self.state, can_start=event.is_allowed)
        elif isinstance(event, Discard):
            self._terminate(Process(event.pid, TEMPLATE, self._now), signal.SIGTERM)
        elif any(slot.has_served for slot in self.state.slots):
            text = f"the model cannot be loaded, keeping the current workers: {event.error}"
            self._log(logging.ERROR, text, event.error.__cause__)
        else:
            self._shut_down(event.error)

    # Reload and stop

    def _on_reload(self, event: Reload) -> None:
        self.state = replace(self.state, grace_seconds=event.grace_seconds)
        for slot in self.state.slots:
            if event.reason == "reload" and slot.replacement is not None:
                self._update(slot.index, replacement=None)
                self._terminate(slot.replacement, signal.SIGTERM)
            if event.reason == "reload" and slot.current is not None and not slot.current.is_ready:
                self._update(slot.index, current=None)  # its load may never return; another one starts when it exits
                self._terminate(slot.current, signal.SIGTERM)
                continue
            # the new code may start where the old one failed, so a scheduled start is due at once
            self._update(slot.index, reason=event.reason, start_at=None if slot.start_at is None else self._now)
            if slot.current is not None:
                self._enqueue(slot.index)

    def _shut_down(self, error: Exception | None) -> None:
        self.actions.append(Shutdown(error))
        kill_at = self._now + self.state.grace_seconds + KILL_AFTER_SECONDS
        terminating = tuple(
            process if process in self.state.terminating else replace(process, kill_at=kill_at)
            for process in self.state.processes()
        )
        self.state = replace(self.state, slots=(), queue=(), terminating=terminating, is_stopping=True)
        self.actions.extend(SendSignal(process.pid, signal.SIGTERM) for process in terminating)

    # Time

    def _on_tick(self) -> None:
        terminating = []
        for process in self.state.terminating:
            is_late = process.kill_at is not None and process.kill_at <= self._now
            terminating.append(replace(process, kill_at=None) if is_late else process)
            if is_late:
                name = "template" if process.slot == TEMPLATE else f"worker {process.slot}"
                self._log(logging.ERROR, f"{name} (process {process.pid}) did not exit in time, killing it")
                self.actions.append(SendSignal(process.pid, signal.SIGKILL))
            elif self.state.is_hastened:  # repeated, because two signals that arrive together count as one
                self.actions.append(SendSignal(process.pid, signal.SIGTERM))
        self.state = replace(self.state, terminating=tuple(terminating))
        if not self.state.can_start:
            return
        for slot in self.state.slots:
            if slot.start_at is not None and slot.start_at <= self._now:
                self._update(slot.index, start_at=None)
                if slot.current is None:
                    self.actions.append(Start(slot.index, accept_when_ready=False))
                elif slot.replacement is None:
                    self._enqueue(slot.index)
        self._replace_next()

    def _replace_next(self) -> None:
        """Start the next replacement, if there is room for one more process."""
        slots = self.state.slots
        reserved = sum(slot.current is None for slot in slots)  # each of these slots starts a process, now or later
        running = sum(process.slot != TEMPLATE for process in self.state.processes())
        has_room = running + reserved < self.state.max_processes
        if not has_room:
            return
        # a process that is not ready may have imported the old code: it is replaced once it is ready
        ready = (i for i in self.state.queue if (current := slots[i].current) is not None and current.is_ready)
        index = next(ready, None)
        if index is None:
            return
        slot, current = slots[index], slots[index].current
        assert current is not None
        self._dequeue(index)
        if EXCLUSIVE in current.messages:
            self._update(index, current=None)
            self.actions.append(CountRestart(slot.reason))
            self._terminate(current, REPLACE)
        else:
            self.actions.append(Start(index, accept_when_ready=STUCK not in current.messages))

"""The supervisor: a small process that forks the workers, replaces them, and stops them together.

It imports neither the model nor a protocol. The processes share the listening sockets and the metrics memory, both made
before the first fork. The loop below turns signals, messages and time into the events of ``replacement``, and performs
the actions that follow.
"""

from __future__ import annotations

import logging
import os
import selectors
import signal
import time
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, NoReturn

from seldon_spec.config.model import Spec
from seldon_spec.errors import ComponentFailed
from seldon_spec.observability.metrics import RestartCounter, Segments
from seldon_spec.observability.metrics.restarts import Reason
from seldon_spec.process.events import (
    Action,
    CountRestart,
    Event,
    Exited,
    Log,
    MessageReceived,
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
from seldon_spec.process.process_table import ProcessTable
from seldon_spec.process.replacement import step
from seldon_spec.process.signals import STOPPING, ServerSignals
from seldon_spec.process.spec_reloader import SpecReloader
from seldon_spec.process.worker_process import Shared, run_worker_process
from seldon_spec.process.worker_state import State
from seldon_spec.server.sockets import Sockets

if TYPE_CHECKING:
    import socket

    from seldon_spec.process.templates import Templates

logger = logging.getLogger(__name__)


class Supervisor:
    """Runs the workers of a spec.

    Args:
        spec: what they serve; ``server.workers`` is their number.
        sockets: shared by all of them.
        signals: SIGTERM and SIGINT stop all workers, SIGHUP replaces them one by one.
        segments: the metrics memory: one slot for each worker, and one for a replacement.
        reloader: the source of newer specs; None: the spec never changes.
    """

    def __init__(
        self,
        spec: Spec,
        sockets: Sockets,
        signals: ServerSignals,
        segments: Segments,
        reloader: SpecReloader | None = None,
    ) -> None:
        self._spec = spec
        self._sockets = sockets
        self._signals = signals
        self._segments = segments
        self._reloader = reloader
        self._restarts = RestartCounter(segments)
        self._selector = selectors.DefaultSelector()
        self._table = ProcessTable(segments, self._selector)
        self._templates: Templates | None = None
        grace_seconds = spec.server.shutdown.grace_seconds
        self._state = State.initial(spec.server.workers, segments.count, grace_seconds, time.monotonic())
        self._error: Exception | None = None
        self._parent_death_pipe = self._signal_pipe = (-1, -1)

    def run(self) -> None:
        """Start the workers and keep them running until a signal stops them.

        Raises:
            ComponentFailed: a worker could not be built at the first start.
            OSError: the system could not start a worker at the first start.
        """
        self._parent_death_pipe, self._signal_pipe = os.pipe(), os.pipe()
        os.set_blocking(self._signal_pipe[1], False)
        self._selector.register(self._signal_pipe[0], selectors.EVENT_READ)
        self._signals.write_to(self._signal_pipe[1])
        if self._reloader is not None:
            self._reloader.begin(self._spec)
        try:
            if self._spec.server.preload:
                self._preload()
            self._tick()
            while not self._state.is_stopping:
                self._wait()
        finally:
            if not self._state.is_stopping:
                self._handle(Stop())
                self._reap()  # an exception may have ended the loop before it handled a SIGCHLD
            while self._state.terminating:
                self._wait()
            self._signals.stop_writing()
            self._selector.close()
            for pipe in (*self._parent_death_pipe, *self._signal_pipe):
                os.close(pipe)
        if self._error is not None:
            raise self._error

    def _preload(self) -> None:
        """From now on, have a template process fork the workers."""
        from seldon_spec.process.templates import Templates, become_subreaper

        if become_subreaper():
            self._templates = Templates(
                lambda control: self._table.start_template(partial(self._fork_template, control))
            )
            self._handle(StartsAllowed(is_allowed=False))
        else:
            logger.warning("server.preload has no effect: it requires Linux")

    # Events

    def _wait(self) -> None:
        """Wait for the next events and handle them."""
        now = time.monotonic()
        next_template = None if self._templates is None else self._templates.start_at
        times = [at for at in (self._state.next_tick(now), self._next_check(), next_template) if at is not None]
        events = self._selector.select(max(0.0, min(times) - now) if times else None)
        for key, _ in events:  # messages first: the last ones of a process come before its exit
            if key.data is not None:
                for message in self._table.read_messages(key.data):
                    self._on_process(message)
        if any(key.data is None for key, _ in events):
            for number in os.read(self._signal_pipe[0], 1024):
                self._on_signal(number)
        self._check_files()
        self._tick()

    def _tick(self) -> None:
        if self._templates is not None:
            self._handle_all(self._templates.start_due())
        self._handle(Tick())

    def _on_process(self, event: MessageReceived | Exited) -> None:
        """Handle the message or the exit of a process."""
        if self._templates is not None and event.pid in self._templates:
            self._handle_all(self._templates.handle(event))
        else:
            self._handle(event)

    def _on_signal(self, number: int) -> None:
        if number == signal.SIGCHLD:
            self._reap()
        elif number in STOPPING:
            self._handle(Stop())
        elif number == signal.SIGHUP and self._signals.is_terminal_gone:
            if not self._signals.is_hangup_ignored:
                logger.info("the terminal was closed: stopping")
                self._handle(Stop())
        elif number == signal.SIGHUP and not self._state.is_stopping:
            logger.info("SIGHUP: replacing the workers one by one")
            self._reload("signal")

    def _reap(self) -> None:
        for event in self._table.reap():
            self._on_process(event)
        if os.getpid() == 1 or self._templates is not None:
            self._table.reap_orphans()

    def _next_check(self) -> float | None:
        """Return the time when the files have to be checked for changes; None: never."""
        return None if self._reloader is None or self._state.is_stopping else self._reloader.due

    def _check_files(self) -> None:
        due = self._next_check()
        if self._reloader is None or due is None or due > time.monotonic():
            return
        change = self._reloader.describe_change()
        if change:
            logger.info("reload: %s", change)
            self._reload("reload")

    def _reload(self, reason: Reason) -> None:
        """Read the spec again and replace every worker; an invalid spec changes nothing."""
        if self._reloader is not None:
            spec = self._reloader.read(self._spec)
            if spec is None:
                return
            self._spec = spec
        event = Reload(reason, self._spec.server.shutdown.grace_seconds)
        self._handle_all([event] if self._templates is None else self._templates.reload(event))

    # Actions

    def _handle_all(self, events: Sequence[Event]) -> None:
        for event in events:
            self._handle(event)

    def _handle(self, event: Event) -> None:
        self._state, actions = step(self._state, event, time.monotonic())
        for action in actions:
            self._perform(action)

    def _perform(self, action: Action) -> None:
        match action:
            case Start():
                self._start(action)
            case SendSignal():
                os.kill(action.pid, action.number)
            case CountRestart():
                self._restarts.count(action.reason)
            case Log():
                logger.log(action.level, "%s", action.text, exc_info=action.error)
            case Shutdown():
                self._sockets.close()
                self._error = action.error
                if self._templates is not None:
                    self._handle_all(self._templates.stop())

    def _start(self, action: Start) -> None:
        if self._state.is_stopping:  # an earlier start of the same step failed
            return
        try:
            pid = self._table.start_worker(partial(self._fork_worker, action))
        except (OSError, ComponentFailed) as error:
            self._handle(StartFailed(action.slot, error))
        else:
            self._handle(Started(action.slot, pid))

    # Forks

    def _fork_worker(self, action: Start, pipe: int, segment: int) -> int:
        template = None if self._templates is None else self._templates.current
        if template is not None:
            return template.fork_worker(action.slot, pipe, segment, accept_when_ready=action.accept_when_ready)

        def run_child() -> NoReturn:
            self._close_inherited_fds()
            run_worker_process(self._share(), action, pipe, segment)

        return self._signals.fork(run_child)

    def _fork_template(self, control: socket.socket, pipe: int) -> int:
        def run_child() -> NoReturn:
            from seldon_spec.process.template_process import run_template_process

            self._close_inherited_fds()
            is_first = not any(slot.has_served for slot in self._state.slots)
            run_template_process(self._share(), control, pipe, is_first=is_first)

        return self._signals.fork(run_child)

    def _share(self) -> Shared:
        return Shared(self._spec, self._sockets, self._signals, self._segments, self._parent_death_pipe[0])

    def _close_inherited_fds(self) -> None:
        """Close, in a child, what belongs to the supervisor alone."""
        self._selector.close()
        self._table.close_inherited_fds()
        if self._templates is not None:
            self._templates.close_inherited_fds()
        for pipe in (self._parent_death_pipe[1], *self._signal_pipe):
            os.close(pipe)

"""Several workers: forked from a small process that loads nothing, replaced when they die, stopped together.

Knows no transport and no model; its processes share sockets and the metrics' memory, both made before the first fork.
"""

from __future__ import annotations

import json
import logging
import os
import selectors
import signal
import sys
import time
import traceback
from dataclasses import dataclass, field

from seldon_spec.errors import ComponentFailed
from seldon_spec.metrics import Slots
from seldon_spec.server.signals import Stopped, StopSignals
from seldon_spec.server.sockets import Sockets
from seldon_spec.spec.model import Spec

logger = logging.getLogger(__name__)

_READY = b"ready\n"
_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 30.0
_STEADY_SECONDS = 10.0
"""A worker that lived this long is replaced at once; one that did not, after a pause that doubles."""
_KILL_AFTER_SECONDS = 5.0
"""How long a worker may outlive its grace period."""


class WorkerTraceback(Exception):
    """What a worker's class raised, as the worker printed it; an exception cannot leave its process."""

    def __str__(self) -> str:
        return "\n" + super().__str__()  # so that its first line stands alone where this is printed


@dataclass(slots=True)
class _Worker:
    """One slot of the supervisor, and the process that is in it."""

    index: int
    pid: int = 0
    pipe: int = -1
    heard: bytes = b""
    has_served: bool = False
    began: float = 0.0
    pause_seconds: float = _FIRST_PAUSE_SECONDS
    due: float | None = None

    @property
    def is_ready(self) -> bool:
        return self.heard == _READY


@dataclass(slots=True)
class Supervisor:
    """The workers of a spec.

    Args:
        spec: what they serve; ``server.workers`` is how many there are.
        sockets: shared by all of them.
        signals: SIGTERM and SIGINT, which are passed on.
        slots: the metrics' memory, a slot for each worker.
    """

    spec: Spec
    sockets: Sockets
    signals: StopSignals
    slots: Slots
    _workers: list[_Worker] = field(default_factory=list)
    _selector: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)
    _lifeline: tuple[int, int] = (-1, -1)
    _wake: tuple[int, int] = (-1, -1)
    _is_announced: bool = False

    def run(self) -> None:
        """Start the workers and keep them running until told to stop.

        Raises:
            ComponentFailed: a worker could not be built at the first start; all have been ended.
        """
        self._lifeline, self._wake = os.pipe(), os.pipe()
        self._selector.register(self._wake[0], selectors.EVENT_READ)
        self.signals.callback = lambda: os.write(self._wake[1], b"!")
        try:
            self._workers.extend(_Worker(index) for index in range(self.spec.server.workers))
            for worker in self._workers:
                self._start(worker)
            while self._watch():
                pass
        finally:
            self._stop()

    def _watch(self) -> bool:
        """Wait for the next event; False once a signal has come."""
        for key, _ in self._selector.select(self._next_pause()):
            if key.fd == self._wake[0]:
                os.read(self._wake[0], 1)  # only the next one means to hurry
                return False
            self._listen(key.data)
        for worker in self._workers:
            if worker.due is not None and worker.due <= time.monotonic():
                self._start(worker)
        return True

    def _next_pause(self) -> float | None:
        due = [worker.due for worker in self._workers if worker.due is not None]
        return max(0.0, min(due) - time.monotonic()) if due else None

    def _start(self, worker: _Worker) -> None:
        receiving, sending = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            os.close(receiving)
            self._become(worker, sending)
        os.close(sending)
        worker.pid, worker.pipe, worker.heard, worker.due = pid, receiving, b"", None
        worker.began = time.monotonic()
        self._selector.register(receiving, selectors.EVENT_READ, worker)

    def _become(self, worker: _Worker, sending: int) -> None:
        """Be the worker; this process never comes back from here."""
        code = 1
        try:
            self._let_go()
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all; the supervisor passes it on
            code = self._work(worker, sending)
        except Stopped:
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            # not sys.exit: a thread of the user's that never ends must not keep the process
            os._exit(code)

    def _let_go(self) -> None:
        """Close what belongs to the supervisor alone."""
        self.signals.callback = None
        self._selector.close()
        for pipe in (self._lifeline[1], *self._wake, *(other.pipe for other in self._workers if other.pipe >= 0)):
            os.close(pipe)

    def _work(self, worker: _Worker, sending: int) -> int:
        from seldon_spec.server.worker import run_worker

        try:
            run_worker(
                self.spec,
                self.sockets,
                self.signals,
                lambda: _tell(sending, _READY),
                self.slots,
                worker.index,
                self._lifeline[0],
            )
        except ComponentFailed as error:
            _tell(sending, _pack_failure(error))
            return 1
        return 0

    def _listen(self, worker: _Worker) -> None:
        heard = os.read(worker.pipe, 65536)
        worker.heard += heard
        if not heard:
            self._bury(worker)
        elif worker.is_ready:
            worker.has_served = True
            logger.info("worker %d is ready (process %d)", worker.index, worker.pid)
            self._announce()

    def _announce(self) -> None:
        if not self._is_announced and all(worker.is_ready for worker in self._workers):
            self._is_announced = True
            logger.info("ready: %d workers", len(self._workers))

    def _bury(self, worker: _Worker) -> None:
        """Take leave of a worker that has died, and say when the next takes its place.

        Raises:
            ComponentFailed: none has ever served in this slot.
        """
        end = self._reap(worker)
        if not worker.has_served:
            raise _unpack_failure(worker.heard, f"worker {worker.index} {end} before it was ready")
        if worker.is_ready and time.monotonic() - worker.began >= _STEADY_SECONDS:
            worker.pause_seconds = _FIRST_PAUSE_SECONDS
        worker.due = time.monotonic() + worker.pause_seconds
        logger.error("worker %d %s: another starts in %g seconds", worker.index, end, worker.pause_seconds)
        worker.pause_seconds = min(2 * worker.pause_seconds, _LONGEST_PAUSE_SECONDS)

    def _reap(self, worker: _Worker) -> str:
        """Wait for a process that has ended; how it ended, in words."""
        self._selector.unregister(worker.pipe)
        os.close(worker.pipe)
        _, status = os.waitpid(worker.pid, 0)
        worker.pid, worker.pipe = 0, -1
        code = os.waitstatus_to_exitcode(status)
        return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"

    def _stop(self) -> None:
        """End every worker: those that serve drain; those that outlast their grace are killed."""
        self.sockets.close()
        alive = [worker for worker in self._workers if worker.pid]
        for worker in alive:
            os.kill(worker.pid, signal.SIGTERM)
        deadline = time.monotonic() + self.spec.server.shutdown.grace_seconds + _KILL_AFTER_SECONDS
        self._await_ends(deadline)
        for worker in self._workers:
            if worker.pid:
                logger.error("worker %d does not end: killed", worker.index)
                os.kill(worker.pid, signal.SIGKILL)
                self._reap(worker)
        self.signals.callback = _ignore
        self._selector.close()
        for pipe in (*self._lifeline, *self._wake):
            os.close(pipe)

    def _await_ends(self, deadline: float) -> None:
        while any(worker.pid for worker in self._workers):
            left = deadline - time.monotonic()
            events = self._selector.select(max(0.0, left))
            if not events and left <= 0:
                return
            for key, _ in events:
                if key.fd == self._wake[0]:
                    os.read(self._wake[0], 1)
                    self._pass_on()
                elif not os.read(key.fd, 65536):
                    self._reap(key.data)

    def _pass_on(self) -> None:
        """A signal while stopping: the workers are in a hurry now."""
        for worker in self._workers:
            if worker.pid:
                os.kill(worker.pid, signal.SIGTERM)


def _ignore() -> None:
    """What a signal does once all workers have ended."""


def _tell(pipe: int, text: bytes) -> None:
    os.write(pipe, text)


def _pack_failure(error: ComponentFailed) -> bytes:
    cause = error.__cause__
    lines = "" if cause is None else "".join(traceback.format_exception(type(cause), cause, cause.__traceback__))
    # a pipe takes this much at once, whether or not anybody reads
    return json.dumps({"message": str(error)[:2000], "traceback": lines[-8000:]}).encode()


def _unpack_failure(heard: bytes, otherwise: str) -> ComponentFailed:
    try:
        told = json.loads(heard)
    except ValueError:
        return ComponentFailed(otherwise)
    failure = ComponentFailed(told["message"])
    if told["traceback"]:
        failure.trace = told["traceback"].rstrip()
        failure.__cause__ = WorkerTraceback(failure.trace)
    return failure

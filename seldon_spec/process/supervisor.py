"""The supervisor: a small process that forks the workers, replaces them, and ends them together.

It loads nothing of the model's and speaks no protocol. The processes share the listening sockets and the metrics'
memory, both made before the first fork. A worker tells what it is at over a pipe, a word a line; that it is gone the
system tells by SIGCHLD, for a pipe may be kept open by a process that the user's class has forked.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import selectors
import signal
import time
import traceback
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from seldon_spec.config.model import Spec
from seldon_spec.errors import ComponentFailed, Stopped
from seldon_spec.observability.logs import flush_streams
from seldon_spec.observability.metrics import RestartCounter, Segments
from seldon_spec.observability.metrics.restarts import Reason
from seldon_spec.process.profile import Profile
from seldon_spec.process.signals import REPLACE, STOPPING, ServerSignals
from seldon_spec.process.spec_reloader import SpecReloader
from seldon_spec.process.worker_messages import ALONE, HUNG, READY, WORN
from seldon_spec.server.sockets import Sockets

if TYPE_CHECKING:
    from seldon_spec.process.worker_exit import WorkerExit

logger = logging.getLogger(__name__)

_STEADY_SECONDS = 10.0
"""A worker that has served this long is replaced at once; one that has not, after a pause that doubles."""
_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 30.0
_HASTEN_SECONDS = 0.1
_KILL_AFTER_SECONDS = 5.0
"""How long a worker may outlive its grace period."""


class WorkerTraceback(Exception):
    """What a worker's class raised, as the worker printed it; an exception cannot leave its process."""

    def __str__(self) -> str:
        return "\n" + super().__str__()  # so that its first line stands alone where this is printed


@dataclass(slots=True, eq=False)
class _Process:
    """One worker process.

    Attributes:
        seat: the place among the workers that it has, or is to take.
        slot: its slot of the metrics' memory.
        pipe: where its words come from; -1: there is none any more.
        words: what it has told.
        kill_at: when it is killed; None: it is not to end.
    """

    seat: _WorkerSlot
    slot: int
    pid: int = 0
    pipe: int = -1
    heard: bytes = b""
    words: list[str] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)
    kill_at: float | None = None

    @property
    def is_ready(self) -> bool:
        return READY in self.words

    @property
    def is_spent(self) -> bool:
        """Whether it has asked for another to take its place."""
        return WORN in self.words or HUNG in self.words


@dataclass(slots=True, eq=False)
class _WorkerSlot:
    """The place of one worker, whichever process is in it.

    Attributes:
        current: the process that serves here, or is about to for the first time.
        successor: the process that is about to take its place.
        pause_seconds: before the next start, if this one fails.
        due: when the next one may start, after a failure.
        why: what the latest wish for another process came from.
    """

    index: int
    current: _Process | None = None
    successor: _Process | None = None
    has_served: bool = False
    pause_seconds: float = _FIRST_PAUSE_SECONDS
    due: float | None = None
    why: Reason = "died"

    @property
    def is_answering(self) -> bool:
        """Whether requests are in good hands until a successor can take them."""
        return self.current is not None and self.current.is_ready and HUNG not in self.current.words


@dataclass(slots=True)
class Supervisor:
    """The workers of a spec.

    Args:
        spec: what they serve; ``server.workers`` is how many there are.
        sockets: shared by all of them.
        signals: SIGTERM and SIGINT end all workers, SIGHUP replaces them one by one.
        slots: the metrics' memory, a slot for each worker and one for a successor.
        renewal: where SIGHUP finds a newer spec, and what else brings one; None: there is only this one.
        profile: begun once all workers are ready; None: none is wanted.
    """

    spec: Spec
    sockets: Sockets
    signals: ServerSignals
    slots: Segments
    renewal: SpecReloader | None = None
    profile: Profile | None = None
    _restarts: RestartCounter = field(init=False)
    _began: float = field(default_factory=time.monotonic)
    _seats: list[_WorkerSlot] = field(default_factory=list)
    _leaving: list[_Process] = field(default_factory=list)
    _stale: deque[_WorkerSlot] = field(default_factory=deque)
    _selector: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)
    _lifeline: tuple[int, int] = (-1, -1)
    _wake: tuple[int, int] = (-1, -1)
    _is_announced: bool = False
    _is_stopping: bool = False
    _is_hastened: bool = False

    def run(self) -> None:
        """Start the workers and keep them running until told to stop.

        Raises:
            ComponentFailed: a worker could not be built at the first start; all have been ended.
        """
        self._lifeline, self._wake = os.pipe(), os.pipe()
        os.set_blocking(self._wake[1], False)
        self._selector.register(self._wake[0], selectors.EVENT_READ)
        self.signals.write_to(self._wake[1])
        self._restarts = RestartCounter(self.slots)
        if self.renewal is not None:
            self.renewal.begin(self.spec)
        try:
            self._seats.extend(_WorkerSlot(index) for index in range(self.spec.server.workers))
            for seat in self._seats:
                seat.current = self._start(seat)
            while not self._is_stopping:
                self._wait(self._next_event())
                self._look_for_changes()
                self._start_due()
        finally:
            self._stop()

    # Signals

    def _heed(self, numbers: bytes) -> None:
        for number in numbers:
            if number == signal.SIGCHLD:
                self._reap()
            elif number == signal.SIGHUP and self.signals.is_terminal_gone:
                if not self.signals.is_hangup_ignored:
                    logger.info("the terminal was closed: stopping")
                    self._is_stopping = True
            elif number == signal.SIGHUP:
                logger.info("SIGHUP: the workers are replaced one by one")
                if self._reread():
                    self._renew("signal")
            elif number in STOPPING:
                self._is_hastened = self._is_stopping
                self._is_stopping = True

    # Time

    def _next_event(self) -> float | None:
        moments = [seat.due for seat in self._seats if seat.due is not None]
        moments += [process.kill_at for process in self._leaving if process.kill_at is not None]
        if self.renewal is not None and self.renewal.due is not None and not self._is_stopping:
            moments.append(self.renewal.due)
        if self._is_hastened:
            moments.append(time.monotonic() + _HASTEN_SECONDS)
        return max(0.0, min(moments) - time.monotonic()) if moments else None

    def _wait(self, seconds: float | None) -> None:
        """Wait for what happens next, and see to it; words come before signals, for they may be somebody's last."""
        events = self._selector.select(seconds)
        for key, _ in events:
            if key.data is not None:
                self._listen(key.data)
        if any(key.data is None for key, _ in events):
            self._heed(os.read(self._wake[0], 1024))
        for process in [each for each in self._leaving if each.kill_at is not None]:
            assert process.kill_at is not None
            if process.kill_at <= time.monotonic():
                logger.error("worker %d (process %d) does not end: killed", process.seat.index, process.pid)
                process.kill_at = None
                os.kill(process.pid, signal.SIGKILL)

    def _look_for_changes(self) -> None:
        if self.renewal is None or self.renewal.due is None or self.renewal.due > time.monotonic():
            return
        change = self.renewal.describe_change()
        if change:
            logger.info("reload: %s", change)
            if self._reread():
                self._abandon_successors()
                self._renew("reload")

    def _start_due(self) -> None:
        for seat in self._seats:
            if seat.due is not None and seat.due <= time.monotonic():
                seat.due = None
                if seat.current is None:
                    seat.current = self._restart(seat)
                elif seat.current.is_spent and seat not in self._stale:
                    self._stale.append(seat)
        self._replace_next()

    # Processes

    def _processes(self) -> Iterator[_Process]:
        for seat in self._seats:
            yield from (process for process in (seat.current, seat.successor) if process is not None)
        yield from self._leaving

    def _free_slot(self) -> int:
        taken = {process.slot for process in self._processes()}
        return next(slot for slot in range(self.slots.count) if slot not in taken)

    def _start(self, seat: _WorkerSlot) -> _Process:
        process = _Process(seat, self._free_slot())
        process.pipe, sending = os.pipe()
        os.set_blocking(process.pipe, False)
        flush_streams()
        try:
            with self.signals.held():  # a signal for the worker must not be heeded as if it were the supervisor's
                process.pid = os.fork()
                if process.pid == 0:
                    self._become(process, sending)
        except OSError:
            os.close(process.pipe)
            raise
        finally:
            os.close(sending)
        self._selector.register(process.pipe, selectors.EVENT_READ, process)
        return process

    def _restart(self, seat: _WorkerSlot) -> _Process | None:
        """Start another worker, or try it again later where the system has no room for one."""
        try:
            return self._start(seat)
        except OSError as error:
            logger.error("worker %d cannot be started: %s", seat.index, error)
            self._postpone(seat)
            return None

    def _become(self, process: _Process, sending: int) -> None:
        """Be the worker; this process never comes back from here."""
        from seldon_spec.process.worker_exit import WorkerExit

        code, ending = 1, WorkerExit()
        try:
            self._let_go(process)
            code = self._work(process, sending, ending)
        except Stopped:
            code = 0
        except BaseException:
            logger.critical("worker %d: unexpected", process.seat.index, exc_info=True)
        finally:
            ending.run(code)

    def _let_go(self, process: _Process) -> None:
        """Close what belongs to the supervisor alone, then hear signals as a worker."""
        self._selector.close()
        pipes = [other.pipe for other in self._processes() if other.pipe >= 0]
        for pipe in (process.pipe, self._lifeline[1], *self._wake, *pipes):
            os.close(pipe)
        self.signals.be_worker()

    def _work(self, process: _Process, sending: int, ending: WorkerExit) -> int:
        from seldon_spec.process.worker import run_worker

        def tell(word: str) -> None:
            with contextlib.suppress(BrokenPipeError):  # the supervisor is gone, which the lifeline tells of
                os.write(sending, f"{word}\n".encode())

        spec = replace(self.spec, folder=self.spec.folder.resolve())
        os.chdir(spec.folder)  # the class's relative files are found there
        try:
            run_worker(
                spec, self.sockets, self.signals, tell, self.slots, process.slot, process.seat.index,
                self._lifeline[0], is_relief=process.seat.is_answering, ending=ending,
            )  # fmt: skip
        except ComponentFailed as error:
            tell(_pack_failure(error))
            return 1
        return 0

    # What workers tell

    def _listen(self, process: _Process) -> None:
        """Hear what a worker has told; does not wait for more."""
        try:
            heard = os.read(process.pipe, 65536)  # a pipe holds no more
        except BlockingIOError:
            return
        if not heard:
            self._hang_up(process)
            return
        *lines, process.heard = (process.heard + heard).split(b"\n")
        for line in lines:
            self._hear(process, line.decode())

    def _hear(self, process: _Process, word: str) -> None:
        process.words.append(word)
        seat = process.seat
        if word == READY:
            self._take_seat(process)
            seconds = time.monotonic() - process.began
            logger.info("worker %d is ready in %.1f s (process %d)", seat.index, seconds, process.pid)
            self._announce()
        elif word in (WORN, HUNG) and process is seat.current and seat not in self._stale:
            why = "has served enough" if word == WORN else "does not come back from a call"
            logger.info("worker %d (process %d) %s: it is replaced", seat.index, process.pid, why)
            seat.why = "worn" if word == WORN else "hung"
            self._stale.append(seat)

    def _hang_up(self, process: _Process) -> None:
        """Close a worker's pipe."""
        if process.pipe >= 0:
            self._selector.unregister(process.pipe)
            os.close(process.pipe)
            process.pipe = -1

    def _take_seat(self, process: _Process) -> None:
        seat = process.seat
        seat.has_served = True
        if process is seat.successor and not self._is_stopping:  # else all of them have been told to end
            before, seat.current, seat.successor = seat.current, process, None
            seat.pause_seconds = _FIRST_PAUSE_SECONDS
            if before is not None:
                self._restarts.count(seat.why)
                self._dismiss(before)

    def _announce(self) -> None:
        if not self._is_announced and all(seat.has_served for seat in self._seats):
            self._is_announced = True
            logger.info("ready in %.1f s", time.monotonic() - self._began)
            if self.profile is not None:
                self.profile.start(os.getpid())

    # Replacing

    def _reread(self) -> bool:
        """Read the spec again, where that can be; False if it is wrong, and then all goes on as it is."""
        if self.renewal is not None:
            spec = self.renewal.read(self.spec)
            if spec is None:
                return False
            self.spec = spec
        return True

    def _renew(self, why: Reason) -> None:
        """Replace every worker, one by one; where none could start, what hindered it may be mended."""
        for seat in self._seats:
            seat.why = why
            if seat.due is not None:
                seat.due = time.monotonic()
            if seat.current is not None and seat not in self._stale:
                self._stale.append(seat)

    def _has_room(self) -> bool:
        """Whether a successor finds a slot, and leaves one to each worker that is to be started again."""
        empty = sum(seat.current is None for seat in self._seats)
        return len(list(self._processes())) + empty < self.slots.count

    def _replace_next(self) -> None:
        """Start the next successor, unless one is on its way already or has no slot yet."""
        if self._is_stopping or any(seat.successor is not None for seat in self._seats) or not self._has_room():
            return
        # one that is starting may have read the old code already, so its turn comes once it is ready
        seat = next((seat for seat in self._stale if seat.current is not None and seat.current.is_ready), None)
        if seat is None or seat.current is None:
            return
        self._stale.remove(seat)
        if ALONE in seat.current.words:
            current, seat.current = seat.current, None
            self._restarts.count(seat.why)
            self._dismiss(current)
        else:
            seat.successor = self._restart(seat)

    def _abandon_successors(self) -> None:
        """End those on their way, for they may have read the old code already; a slow one is not waited for."""
        for seat in self._seats:
            if seat.successor is not None:
                process, seat.successor = seat.successor, None
                self._dismiss(process, signal.SIGTERM)

    def _dismiss(self, process: _Process, number: signal.Signals = REPLACE) -> None:
        """Have a worker end once it has answered what it has."""
        patience = 0.0 if HUNG in process.words else self.spec.server.shutdown.grace_seconds
        process.kill_at = time.monotonic() + patience + _KILL_AFTER_SECONDS
        self._leaving.append(process)
        os.kill(process.pid, number)

    # Ends

    def _reap(self) -> None:
        """Take leave of every worker that has ended, and of strangers."""
        for process in list(self._processes()):
            pid, status = os.waitpid(process.pid, os.WNOHANG)
            if pid:
                self._bury(process, status)
        if self.profile is not None:
            self.profile.reap()
        if os.getpid() == 1:
            self._reap_strangers()

    def _reap_strangers(self) -> None:
        """Take leave of processes that the user's code started and left behind, as the first process has to."""
        own = {process.pid for process in self._processes()}
        if self.profile is not None and self.profile.pid is not None:
            own.add(self.profile.pid)
        with contextlib.suppress(ChildProcessError):  # there are no processes at all
            while True:
                info = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
                if info is None or info.si_pid in own:  # one of ours has only now ended, and is told of by a signal
                    return
                os.waitpid(info.si_pid, 0)

    def _bury(self, process: _Process, status: int) -> None:
        """Take leave of a worker that has ended, and say when the next takes its place.

        Raises:
            ComponentFailed: none has ever served in this seat.
        """
        if process.pipe >= 0:
            self._listen(process)  # to its last words
        self._hang_up(process)
        self.slots.release(process.slot)
        end, seat = _describe_end(status), process.seat
        if process in self._leaving:
            self._leaving.remove(process)
            if seat.current is None and seat.due is None and not self._is_stopping:
                seat.due = time.monotonic()
        elif process is seat.successor:
            self._give_up_successor(seat, process, end)
        elif not seat.has_served:
            seat.current = None
            raise _unpack_failure(process, f"worker {seat.index} {end} before it was ready")
        else:
            self._lose(seat, process, end)

    def _give_up_successor(self, seat: _WorkerSlot, process: _Process, end: str) -> None:
        """A successor could not start: the one before it goes on, and if it is spent, another is tried later."""
        seat.successor = None
        self._stale.clear()  # the others would fare no better
        why = _unpack_failure(process, f"it {end}")
        logger.error("worker %d goes on: its successor could not start: %s", seat.index, why, exc_info=why.__cause__)
        for other in self._seats:
            if other.current is not None and other.current.is_spent:
                self._postpone(other)

    def _lose(self, seat: _WorkerSlot, process: _Process, end: str) -> None:
        """A serving worker is gone."""
        seat.current = None
        self._restarts.count("died")
        if seat.successor is not None:  # the next is on its way already
            seat.current, seat.successor = seat.successor, None
            logger.error("worker %d %s", seat.index, end)
            return
        if seat in self._stale:  # the next one is new in any case
            self._stale.remove(seat)
        if process.is_ready and time.monotonic() - process.began >= _STEADY_SECONDS:
            seat.pause_seconds = _FIRST_PAUSE_SECONDS
        why = _unpack_failure(process, "").__cause__
        logger.error("worker %d %s: another starts in %g seconds", seat.index, end, seat.pause_seconds, exc_info=why)
        self._postpone(seat)

    def _postpone(self, seat: _WorkerSlot) -> None:
        """Have the next start wait, and the one after it longer."""
        seat.due = time.monotonic() + seat.pause_seconds
        seat.pause_seconds = min(2 * seat.pause_seconds, _LONGEST_PAUSE_SECONDS)

    def _stop(self) -> None:
        """End every worker: those that serve drain; those that outlast their grace are killed."""
        self._is_stopping = True
        if self.profile is not None:
            self.profile.stop()
        self.sockets.close()
        self._leaving = list(self._processes())
        self._seats = []
        deadline = time.monotonic() + self.spec.server.shutdown.grace_seconds + _KILL_AFTER_SECONDS
        for process in self._leaving:
            process.kill_at = deadline
            os.kill(process.pid, signal.SIGTERM)
        self._reap()  # those of whose end a signal told that was not heeded to its end
        while self._leaving:
            self._wait(self._next_event())
            if self._is_hastened:
                self._hasten()
        self.signals.write_no_more()
        self._selector.close()
        for pipe in (*self._lifeline, *self._wake):
            os.close(pipe)

    def _hasten(self) -> None:
        """A second signal has come: send one to the workers, again and again, for they see two that meet as one."""
        for process in self._leaving:
            os.kill(process.pid, signal.SIGTERM)


def _describe_end(status: int) -> str:
    """How a process ended, in words."""
    code = os.waitstatus_to_exitcode(status)
    names = {each.value: each.name for each in signal.Signals}  # some numbers have none
    return f"was ended by {names.get(-code, -code)}" if code < 0 else f"ended with exit code {code}"


def _pack_failure(error: ComponentFailed) -> str:
    cause = error.__cause__
    lines = "" if cause is None else "".join(traceback.format_exception(type(cause), cause, cause.__traceback__))
    # a pipe takes this much at once, whether or not anybody reads
    return json.dumps({"message": str(error)[:2000], "traceback": lines[-8000:]})


def _unpack_failure(process: _Process, otherwise: str) -> ComponentFailed:
    """The failure that a worker told of with its last word."""
    try:
        told = json.loads(process.words[-1])
    except (ValueError, IndexError):
        return ComponentFailed(otherwise)
    failure = ComponentFailed(told["message"])
    if told["traceback"]:
        failure.trace = told["traceback"].rstrip()
        failure.__cause__ = WorkerTraceback(failure.trace)
    return failure

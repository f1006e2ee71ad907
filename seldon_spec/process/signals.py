"""The signals of a serving process. Imports nothing heavy."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, NoReturn

from seldon_spec.errors import Stopped
from seldon_spec.observability.logs import flush_streams

STOPPING = frozenset({signal.SIGTERM, signal.SIGINT})
REPLACE: int = signal.SIGRTMIN + 5 if sys.platform == "linux" else signal.SIGURG
"""What the supervisor sends to a worker whose replacement serves: a signal that nothing in a process is likely to use.

The runtime of a Go library, which some database drivers are, takes SIGURG; that of .NET takes SIGRTMIN.
"""
_LOOPS = ("asyncio.unix_events", "uvloop.loop")
"""The modules whose signal handlers do nothing, because an event loop reads the signals from a pipe."""
_HANDLED = (*STOPPING, signal.SIGHUP, signal.SIGCHLD, REPLACE)


class ServerSignals:
    """A context in which the signals call ``callback`` with their number.

    Without a callback, SIGTERM and SIGINT raise Stopped, and the others do nothing. Python delivers signals to the main
    thread only; in another thread, the context does nothing.

    Attributes:
        is_stopping: whether Stopped was raised: a library may have replaced it by an exception of its own.
    """

    def __init__(self) -> None:
        self.is_stopping = False
        self.callback: Callable[[int], object] | None = None
        self._had_terminal = _has_terminal()
        self._pipe = self._class_pipe = -1
        self._forks_child = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> ServerSignals:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._handle) for number in _HANDLED}
        return self

    def __exit__(self, *_exc: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @property
    def is_terminal_gone(self) -> bool:
        """Whether the terminal that the server was started from is closed, which sends a SIGHUP as well."""
        return self._had_terminal and not _has_terminal()

    @property
    def is_hangup_ignored(self) -> bool:
        """Whether SIGHUP was ignored when the server was started, as with ``nohup``."""
        return self._before.get(signal.SIGHUP) is signal.SIG_IGN

    def write_to(self, pipe: int) -> None:
        """Write the number of each signal to a pipe, and do nothing else.

        The number is written when the signal arrives, not when Python runs the handler: a thread that starts to wait
        for the pipe at the same moment wakes up.

        Args:
            pipe: the end to write to, which does not block.
        """
        self._pipe = pipe
        signal.set_wakeup_fd(pipe, warn_on_full_buffer=False)
        self.callback = _ignore  # last: until the pipe has the signals, they raise Stopped

    def restore(self) -> None:
        """Handle SIGTERM again if the class's ``load`` has ignored it, reset it, or passed it to an event loop.

        Signals are written to the server's pipe again; ``pass_on`` writes them to that of an event loop of the class.
        """
        handler = signal.getsignal(signal.SIGTERM)
        if not callable(handler) or getattr(handler, "__module__", "") in _LOOPS:
            signal.signal(signal.SIGTERM, self._handle)
        pipe = signal.set_wakeup_fd(self._pipe, warn_on_full_buffer=False)
        if pipe not in (-1, self._pipe):
            with contextlib.suppress(OSError):  # the class has closed it
                self._class_pipe = os.dup(pipe)  # its number may be that of another file later

    def pass_on(self, numbers: bytes) -> None:
        """Write the numbers of signals to the pipe of an event loop of the class, if it has set one."""
        if self._class_pipe != -1:
            with contextlib.suppress(OSError):  # it is full or closed
                os.write(self._class_pipe, numbers)

    def stop_writing(self) -> None:
        """Ignore the signals from now on."""
        self.callback = _ignore
        signal.set_wakeup_fd(-1)

    def fork(self, run_child: Callable[[], NoReturn]) -> int:
        """Fork a process of the server and return its pid.

        Args:
            run_child: is called in the new process, which must not handle a signal as this one does: signals stay
                blocked until ``be_worker``.
        """
        flush_streams()  # otherwise the child writes the buffered text again
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _HANDLED)
        self._forks_child = True
        try:
            pid = os.fork()
            if pid == 0:
                try:
                    run_child()
                finally:  # a signal may raise Stopped at any time
                    os._exit(1)
        finally:
            self._forks_child = False
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return pid

    def be_worker(self) -> None:
        """After a fork, use the worker's signal handling: ignore what a terminal sends to all processes of a group.

        The handlers of a class that a template process has loaded are kept.
        """
        self.callback = None
        self._forks_child = False
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
            if signal.getsignal(number) == self._handle:
                signal.signal(number, signal.SIG_DFL if number == signal.SIGCHLD else signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _HANDLED)

    def reset_in_forks(self, after: Callable[[], object]) -> None:
        """Reset the signals to their default in the processes that the class forks from now on.

        They are blocked during the fork: a signal to the child must neither be lost nor written to the parent's pipe.

        Args:
            after: is called in each child as well.
        """
        held = threading.local()

        def hold() -> None:
            held.mask = signal.pthread_sigmask(signal.SIG_BLOCK, _HANDLED)

        def release() -> None:
            signal.pthread_sigmask(signal.SIG_SETMASK, held.mask)

        def reset() -> None:
            if not self._forks_child:
                signal.set_wakeup_fd(-1)
                for number in _HANDLED:
                    if signal.getsignal(number) == self._handle:
                        signal.signal(number, signal.SIG_DFL)
                after()
            release()

        os.register_at_fork(before=hold, after_in_parent=release, after_in_child=reset)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if self.callback is not None:
            self.callback(number)
        elif number in STOPPING:
            self.is_stopping = True
            raise Stopped


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK))
    except OSError:
        return False
    return True


def _ignore(_number: int) -> None:
    """Do nothing: the signal's number is written to a pipe, or the process is exiting."""

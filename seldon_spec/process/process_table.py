"""The worker processes of a supervisor: forks, message pipes, exit statuses and slots of the shared metrics memory."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from seldon_spec.errors import ComponentFailed
from seldon_spec.observability.metrics import Segments
from seldon_spec.process.events import Exited, MessageReceived
from seldon_spec.process.worker_messages import MESSAGES, unpack_failure

_PIPE_BYTES = 65536


@dataclass(slots=True)
class _Child:
    """A running process.

    Attributes:
        segment: its slot of the metrics memory; None: it is a template process.
        pipe: the end from which its messages are read; -1: it is closed.
        unread: the start of a message that is not complete.
        failure: why its class could not be built.
    """

    pid: int
    segment: int | None
    pipe: int
    unread: bytes = b""
    failure: ComponentFailed | None = None


class ProcessTable:
    """Worker processes, and the template processes that fork them.

    That a process has exited is known from its exit status (SIGCHLD) and not from the end of its pipe, which a process
    that the user's class has forked may keep open.

    Args:
        segments: the metrics memory; each worker has a slot of it.
        selector: reports the pipes that can be read; the data of their keys is the process's pid.
    """

    def __init__(self, segments: Segments, selector: selectors.BaseSelector) -> None:
        self._segments = segments
        self._selector = selector
        self._reading = -1  # of the latest process
        self._children: dict[int, _Child] = {}

    def start_worker(self, fork: Callable[[int, int], int]) -> int:
        """Start a process that has a slot of the metrics memory.

        Args:
            fork: forks the process and returns its pid, given the pipe to write messages to, and the slot.

        Raises:
            OSError: the system has no room for another process or pipe.
        """
        taken = {child.segment for child in self._children.values()}
        segment = next(index for index in range(self._segments.count) if index not in taken)
        return self._start(lambda pipe: fork(pipe, segment), segment)

    def start_template(self, fork: Callable[[int], int]) -> int:
        """Start a process that has none; see ``start_worker``."""
        return self._start(fork, None)

    def _start(self, fork: Callable[[int], int], segment: int | None) -> int:
        reading, writing = os.pipe()
        os.set_blocking(reading, False)
        self._reading = reading
        try:
            pid = fork(writing)
        except BaseException:
            os.close(reading)
            raise
        finally:
            os.close(writing)
        self._children[pid] = _Child(pid, segment, reading)
        self._selector.register(reading, selectors.EVENT_READ, pid)
        return pid

    def close_inherited_fds(self) -> None:
        """Close, in a child, the pipes from which this process reads."""
        os.close(self._reading)
        for child in self._children.values():
            if child.pipe >= 0:
                os.close(child.pipe)

    def read_messages(self, pid: int) -> list[MessageReceived]:
        """Return the messages that a process has sent; do not wait for more."""
        child = self._children[pid]
        try:
            data = os.read(child.pipe, _PIPE_BYTES)
        except BlockingIOError:
            return []
        if not data:
            self._close_pipe(child)
            return []
        *lines, child.unread = (child.unread + data).split(b"\n")
        messages = []
        for line in lines:
            with contextlib.suppress(ValueError, RecursionError):  # the user's class may write to any file descriptor
                text = line.decode()
                if text in MESSAGES:
                    messages.append(MessageReceived(pid, text))
                else:
                    child.failure = unpack_failure(text)
        return messages

    def reap(self) -> Iterator[MessageReceived | Exited]:
        """Yield the exits of processes, each after the messages that are left, as soon as it is reaped."""
        for child in list(self._children.values()):
            pid, status = os.waitpid(child.pid, os.WNOHANG)
            if pid:
                if child.pipe >= 0:
                    yield from self.read_messages(pid)
                self._close_pipe(child)
                if child.segment is not None:
                    self._segments.release(child.segment)
                del self._children[pid]
                yield Exited(pid, _describe_status(status), child.failure)

    def reap_orphans(self) -> None:
        """Reap orphaned processes, which the system hands to the process with PID 1 or to a subreaper."""
        with contextlib.suppress(ChildProcessError):  # there are no children at all
            while True:
                info = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
                if info is None or info.si_pid in self._children:  # a worker that has just exited: SIGCHLD follows
                    return
                os.waitpid(info.si_pid, 0)

    def _close_pipe(self, child: _Child) -> None:
        if child.pipe >= 0:
            self._selector.unregister(child.pipe)
            os.close(child.pipe)
            child.pipe = -1


def _describe_status(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    names = {each.value: each.name for each in signal.Signals}  # some signals have no name
    return f"was terminated by {names.get(-code, -code)}" if code < 0 else f"exited with code {code}"

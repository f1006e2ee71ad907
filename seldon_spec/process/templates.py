"""The template processes of ``server.preload``, seen from the supervisor.

A template process has loaded the model of a spec, and forks the workers, which share the memory of the model. It runs
the user's code, and the supervisor does not: so a model that hangs or crashes while it is loaded does not end the
server, and the memory of an old model is freed with its template process.
"""

from __future__ import annotations

import ctypes
import errno
import json
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress

from seldon_spec.errors import ComponentFailed
from seldon_spec.process.events import (
    Discard,
    Event,
    Exited,
    MessageReceived,
    PreloadFailed,
    Reload,
    StartsAllowed,
)
from seldon_spec.process.replacement import MAX_BACKOFF_SECONDS, STABLE_SECONDS
from seldon_spec.process.worker_state import FIRST_BACKOFF_SECONDS

logger = logging.getLogger(__name__)

_PR_SET_CHILD_SUBREAPER = 36
_FORK_SECONDS = 10.0
"""A template process that does not fork a worker within this time is killed."""


def become_subreaper() -> bool:
    """Make this process the parent of the workers that a template process forks; False: the system cannot."""
    return sys.platform == "linux" and not ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


class Template:
    """A running template process.

    Args:
        control: the supervisor's end of the socket on which the process is asked for workers; it exits when that is
            closed.

    Attributes:
        pid: -1 until it has been forked.
    """

    def __init__(self, control: socket.socket) -> None:
        self.control = control
        self.started_at = time.monotonic()
        self.pid = -1
        control.settimeout(_FORK_SECONDS)

    def fork_worker(self, slot: int, pipe: int, segment: int, *, accept_when_ready: bool) -> int:
        """Have the process fork a worker, a child of the supervisor, and return its pid.

        Raises:
            ComponentFailed: the process does not fork; it is killed.
            OSError: the system has no room for another process.
        """
        # the worker waits for a byte of the second pipe: without it, the supervisor does not know the worker
        reading, writing = os.pipe()
        request = json.dumps([slot, segment, accept_when_ready]).encode()
        try:
            socket.send_fds(self.control, [request], [pipe, reading])
            reply = self.control.recv(20)
            if not reply:
                raise ConnectionResetError("it has exited")
            if reply != b"0":
                os.write(writing, b"1")
        except OSError as error:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            raise ComponentFailed(f"the template process does not fork a worker: {error}") from None
        finally:
            os.close(reading)
            os.close(writing)
        if reply == b"0":
            raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        return int(reply)


class Templates:
    """The template process that forks the workers, and the next one while it loads its model.

    Its methods return the events for ``replacement``.

    Args:
        fork: forks a template process and returns its pid, given its end of the socket; raises OSError.

    Attributes:
        current: forks the workers; None: no process is ready.
        start_at: when to start the next one; None: not before another event.
    """

    def __init__(self, fork: Callable[[socket.socket], int]) -> None:
        self._fork = fork
        self._next: Template | None = None
        self._reload: Reload | None = None
        self._backoff_seconds = FIRST_BACKOFF_SECONDS
        self.current: Template | None = None
        self.start_at: float | None = time.monotonic()

    def __contains__(self, pid: int) -> bool:
        return any(template.pid == pid for template in self._list())

    def start_due(self) -> list[Event]:
        """Start a template process if it is time to."""
        if self.start_at is None or self.start_at > time.monotonic():
            return []
        self.start_at = None
        try:
            control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        except OSError as error:
            self._back_off()
            return [PreloadFailed(error)]
        self._next = Template(control)
        try:
            self._next.pid = self._fork(theirs)
        except OSError as error:
            return self._on_failure(self._next, error)
        finally:
            theirs.close()
        return []

    def reload(self, event: Reload) -> list[Event]:
        """Start another template process; once it is ready, the workers are replaced."""
        self._reload = event
        self.start_at = time.monotonic()
        return self._discard(self._next)

    def handle(self, event: MessageReceived | Exited) -> list[Event]:
        """Handle the message, or the exit, of one of the processes."""
        if self._next is not None and self._next.pid == event.pid:
            if isinstance(event, MessageReceived):
                return self._on_ready(self._next)
            text = f"the template process {event.status} before the model was loaded"
            return self._on_failure(self._next, event.failure or ComponentFailed(text))
        if self.current is None or isinstance(event, MessageReceived):
            return []
        logger.error("the template process %s, starting another", event.status)
        if time.monotonic() - self.current.started_at >= STABLE_SECONDS:
            self._backoff_seconds = FIRST_BACKOFF_SECONDS
        self._forget(self.current)
        if self._next is None:
            self._back_off()
        return [StartsAllowed(is_allowed=False)]

    def stop(self) -> list[Event]:
        """End all processes."""
        self.start_at = None
        return self._discard(self._next) + self._discard(self.current)

    def close_inherited_fds(self) -> None:
        """Close, in a child, the supervisor's ends of the sockets."""
        for template in self._list():
            template.control.close()

    def _list(self) -> list[Template]:
        return [template for template in (self.current, self._next) if template is not None]

    def _on_ready(self, template: Template) -> list[Event]:
        seconds = time.monotonic() - template.started_at
        logger.info("the model is loaded in %.1f s (template process %d)", seconds, template.pid)
        events = self._discard(self.current)
        self.current, self._next = template, None
        events.append(StartsAllowed(is_allowed=True))
        if self._reload is not None:
            events.append(self._reload)
            self._reload = None
        return events

    def _on_failure(self, template: Template, error: Exception) -> list[Event]:
        self._forget(template)
        if self.current is None:
            self._back_off()
        else:
            self._reload = None
        return [PreloadFailed(error)]

    def _back_off(self) -> None:
        self.start_at = time.monotonic() + self._backoff_seconds
        self._backoff_seconds = min(2 * self._backoff_seconds, MAX_BACKOFF_SECONDS)

    def _discard(self, template: Template | None) -> list[Event]:
        if template is None:
            return []
        self._forget(template)
        return [] if template.pid < 0 else [Discard(template.pid)]

    def _forget(self, template: Template) -> None:
        template.control.close()
        if template is self.current:
            self.current = None
        else:
            self._next = None

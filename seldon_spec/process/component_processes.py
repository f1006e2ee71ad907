"""Runs the components of a graph as processes of their own, for ``serve --apart``.

The calling process forks one process, the manager, which starts the components, writes their logs to its stderr and
restarts a component that exits. The manager has a session of its own: a signal from the terminal reaches only the
calling process, which stops the manager once its own requests are finished. No process is left if one of the others is
killed: the manager polls for its parent, and the system sends SIGTERM to components without a manager.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import logging
import os
import select
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import IO, NoReturn

from seldon_spec.errors import SeldonSpecError, Stopped
from seldon_spec.observability.logs import flush_streams

logger = logging.getLogger(__name__)

_TICK_SECONDS = 0.2
_MAX_RESTART_SECONDS = 30.0
_STABLE_SECONDS = 60.0
"""A component that has run for so long is restarted after one second; the delay doubles each time otherwise."""
_KEPT_LINES = 20
_MAX_LINE = 65536
_PR_SET_PDEATHSIG = 1
_STOP, _RELOAD, _SERVING = b"s", b"r", b"k"


class ComponentExited(SeldonSpecError):
    """A component has exited before it was ready."""


class ComponentProcesses:
    """The processes of the components, seen from the process that serves the graph.

    Args:
        commands: the command of each component, by its name.
        environ: the variables of their processes.
        format_line: returns a line of a component's log as it is written, given the name of the component and the line.
        stop_seconds: components that have not exited this long after they were stopped are killed.
    """

    def __init__(
        self,
        commands: Mapping[str, Sequence[str]],
        environ: Mapping[str, str],
        format_line: Callable[[str, str], str],
        stop_seconds: float,
    ) -> None:
        self._components = [_Component(name, command, environ) for name, command in commands.items()]
        self._format_line = format_line
        self._stop_seconds = stop_seconds
        self._pid = self._control = self._status = -1

    def start(self) -> None:
        """Start the manager, and through it the components; this process must have one thread."""
        control, self._control = os.pipe()
        self._status, status = os.pipe()
        flush_streams()
        parent = os.getpid()
        self._pid = os.fork()
        if self._pid == 0:
            os.close(self._control)
            os.close(self._status)
            _run_manager(_Manager(self._components, self._format_line, self._stop_seconds, parent, control, status))
        os.close(control)
        os.close(status)

    def check(self, seconds: float) -> None:
        """Wait this long for the exit of a component.

        Raises:
            ComponentExited: one has exited.
        """
        if not select.select([self._status], [], [], seconds)[0]:
            return
        data = b""
        while part := os.read(self._status, 65536):
            data += part
            if part.endswith(b"\n"):
                break
        if not data:
            raise ComponentExited("the process that runs the components has exited")
        name, reason, lines = json.loads(data.splitlines()[0])
        text = "\n".join(f"    {line}" for line in lines)
        raise ComponentExited(f"component {name} {reason} before it was ready; its last lines:\n{text}")

    def set_serving(self) -> None:
        """Restart components that exit from now on: all of them have been ready."""
        self._send(_SERVING)

    def reload(self) -> None:
        """Send SIGHUP to the components."""
        self._send(_RELOAD)

    def stop(self) -> None:
        """Send SIGTERM to the components and wait until they have exited; a signal meanwhile sends it again."""
        if self._pid < 0:
            return
        self._send(_STOP)
        while True:
            with contextlib.suppress(Stopped):
                with contextlib.suppress(ChildProcessError):  # reaped already, as an orphan of the first process
                    os.waitpid(self._pid, 0)
                break
            self._send(_STOP)
        self._pid = -1
        os.close(self._control)
        os.close(self._status)

    def _send(self, command: bytes) -> None:
        with contextlib.suppress(BrokenPipeError):  # the manager has exited
            os.write(self._control, command)


class _Component:
    """A component, and its current process.

    Attributes:
        process: None: it waits to be started.
        start_at: when to start it, by ``time.monotonic``.
        lines: the last lines of its log.
    """

    def __init__(self, name: str, command: Sequence[str], environ: Mapping[str, str]) -> None:
        self.name = name
        self.command = command
        self._environ = environ
        self.process: subprocess.Popen[bytes] | None = None
        self.start_at = self.started_at = 0.0
        self.lines: deque[str] = deque(maxlen=_KEPT_LINES)
        self._delay = 0.0
        self._output: IO[bytes] | None = None
        self._unread = b""

    def start(self) -> None:
        self.process = subprocess.Popen(  # noqa: S603 - our own command
            self.command,
            env=self._environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            preexec_fn=_exit_with_parent,
        )
        self.started_at = time.monotonic()
        self._output = self.process.stdout
        assert self._output is not None
        os.set_blocking(self._output.fileno(), False)

    def schedule_restart(self) -> float:
        """Start it again after a delay; returns the delay in seconds."""
        is_stable = time.monotonic() - self.started_at >= _STABLE_SECONDS
        self._delay = 1.0 if is_stable else min(max(1.0, 2 * self._delay), _MAX_RESTART_SECONDS)
        self.start_at = time.monotonic() + self._delay
        return self._delay

    @property
    def output(self) -> int | None:
        """The descriptor of its output; None: it is closed."""
        return None if self._output is None else self._output.fileno()

    def read_lines(self) -> list[str]:
        """Return the lines that it has written; do not wait for more."""
        if self._output is None:
            return []
        lines: list[bytes] = []
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self._output.fileno(), _MAX_LINE):
                *complete, self._unread = (self._unread + data).split(b"\n")
                lines += complete
                if len(self._unread) > _MAX_LINE:
                    lines.append(self._unread)
                    self._unread = b""
            self.close()
        texts = [line.decode(errors="backslashreplace") for line in lines]
        self.lines += texts
        return texts

    def close(self) -> None:
        if self._output is not None:
            self._output.close()
        self._output, self._unread = None, b""


class _Manager:
    """Runs the components; the whole life of a process that ``ComponentProcesses`` forks."""

    def __init__(
        self,
        components: Sequence[_Component],
        format_line: Callable[[str, str], str],
        stop_seconds: float,
        parent: int,
        control: int,
        status: int,
    ) -> None:
        self._components = components
        self._format_line = format_line
        self._stop_seconds = stop_seconds
        self._parent, self._control, self._status = parent, control, status
        self._is_serving = False
        self._kill_at = float("inf")

    @property
    def _is_stopping(self) -> bool:
        return self._kill_at != float("inf")

    def run(self) -> None:
        """Run the components until they are stopped, or the parent has exited."""
        os.setsid()
        for number in (signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, lambda *_: self._stop())
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        while not self._is_stopping or any(component.process is not None for component in self._components):
            self._start_due()
            outputs = [each.output for each in self._components if each.output is not None]
            ready, _, _ = select.select([*outputs, self._control], [], [], _TICK_SECONDS)
            if self._control in ready:
                self._read_commands()
            for component in self._components:
                self._write(component)
                self._check(component)
            if os.getppid() != self._parent and not self._is_stopping:
                self._stop()
            if time.monotonic() >= self._kill_at:
                self._signal(signal.SIGKILL)

    def _start_due(self) -> None:
        for component in self._components:
            if component.process is None and not self._is_stopping and component.start_at <= time.monotonic():
                try:
                    component.start()
                except (OSError, subprocess.SubprocessError) as error:  # the system has no room for it now
                    self._on_end(component, f"cannot be started: {error}")

    def _read_commands(self) -> None:
        for command in os.read(self._control, 1024):
            if command == _SERVING[0]:
                self._is_serving = True
            elif command == _RELOAD[0]:
                self._signal(signal.SIGHUP)
            elif command == _STOP[0]:
                self._stop()

    def _stop(self) -> None:
        if not self._is_stopping:
            self._kill_at = time.monotonic() + self._stop_seconds
        self._signal(signal.SIGTERM)

    def _signal(self, number: int) -> None:
        for component in self._components:
            if component.process is not None:
                component.process.send_signal(number)

    def _write(self, component: _Component) -> None:
        for line in component.read_lines():
            with contextlib.suppress(OSError):
                os.write(sys.stderr.fileno(), f"{self._format_line(component.name, line)}\n".encode())

    def _check(self, component: _Component) -> None:
        """Handle the exit of a component."""
        if component.process is None or component.process.poll() is None:
            return
        self._write(component)
        component.close()
        code = component.process.returncode
        reason = f"was terminated by signal {-code}" if code < 0 else f"exited with code {code}"
        component.process = None
        if not self._is_stopping:
            self._on_end(component, reason)

    def _on_end(self, component: _Component, reason: str) -> None:
        """Restart a component later, or before the graph serves, report that it does not run."""
        if self._is_serving:
            logger.error("component %s %s, restarting it in %g s", component.name, reason, component.schedule_restart())
            return
        component.start_at = float("inf")
        with contextlib.suppress(BrokenPipeError):
            os.write(self._status, json.dumps([component.name, reason, [*component.lines]]).encode() + b"\n")


def _run_manager(manager: _Manager) -> NoReturn:
    """Run the manager, and end its process."""
    code = 1
    try:
        manager.run()
        code = 0
    except BaseException:
        logger.critical("the process that runs the components: unexpected exception", exc_info=True)
    finally:
        os._exit(code)


def _exit_with_parent() -> None:
    """In a child: have the system send SIGTERM when the parent exits, where it can (Linux)."""
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)

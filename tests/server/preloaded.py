"""A process that has imported the package, and forks for each server: the imports take longer than most tests."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path

PRELOADED = """
import json, os, signal, socket, sys
import seldon_spec.observability.metrics, seldon_spec.process.supervisor, seldon_spec.process.worker
import seldon_spec.server.grpc.port, seldon_spec.transport.http1.connection, uvloop

tests = socket.socket(fileno=0)
while True:
    text, handles, _, _ = socket.recv_fds(tests, 1 << 20, 1)
    if not text:
        sys.exit()
    asked = json.loads(text)
    if "reap" in asked:
        reply = os.waitstatus_to_exitcode(os.waitpid(asked["reap"], 0)[1])
    else:
        reply = os.fork()
        if reply == 0:
            break
        os.close(handles[0])
    tests.send(b"%d" % reply)

tests.detach()
os.setsid()
os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
os.dup2(handles[0], 2)
os.closerange(3, 1 + max(map(int, os.listdir("/proc/self/fd"))))
os.environ.clear()
os.environ.update(asked["environ"])
os.chdir(asked["folder"])
sys.argv = ["-c", *asked["arguments"]]
exec(asked["program"])
"""


class Preloaded:
    """The process that forks; a context manager that ends it."""

    def __enter__(self) -> Preloaded:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            # without threads of OpenBLAS, with which Python warns of forks
            environ = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
            self._process = subprocess.Popen([sys.executable, "-c", PRELOADED], stdin=theirs.fileno(), env=environ)
        return self

    def __exit__(self, *_exc: object) -> None:
        self._socket.close()
        self._process.wait()

    def start(self, program: str, *arguments: str) -> Forked:
        """Run a program as ``python -c`` would, first of a session of its own."""
        reader, writer = os.pipe()
        asked = {"program": program, "arguments": arguments, "environ": {**os.environ}, "folder": str(Path.cwd())}
        try:
            socket.send_fds(self._socket, [json.dumps(asked).encode()], [writer])
        finally:
            os.close(writer)
        return Forked(self, int(self._socket.recv(20)), reader)

    def reap(self, pid: int) -> int:
        """Return the exit code of a process that has ended."""
        self._socket.send(json.dumps({"reap": pid}).encode())
        return int(self._socket.recv(20))


class Forked:
    """What the tests use of ``subprocess.Popen``."""

    def __init__(self, parent: Preloaded, pid: int, stderr: int) -> None:
        self.pid, self.stderr = pid, os.fdopen(stderr)
        self.returncode: int | None = None
        self._parent = parent
        self._handle = os.pidfd_open(pid)

    def poll(self) -> int | None:
        return self._wait(0)

    def wait(self, timeout: float | None = None) -> int:
        code = self._wait(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0)
        return code

    def _wait(self, timeout: float | None) -> int | None:
        if self.returncode is None and select.select([self._handle], [], [], timeout)[0]:
            os.close(self._handle)
            self.returncode = self._parent.reap(self.pid)
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

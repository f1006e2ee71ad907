"""A serving process receives its signals at any time."""

from __future__ import annotations

import hashlib
import os
import pty
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from seldon_spec.process.signals import ServerSignals


@pytest.fixture(scope="session")
def preloaded() -> None:
    """Start new processes: what they load and how they end is what is tested."""


def test_a_signal_is_written_when_it_arrives_and_not_when_python_handles_it() -> None:
    """Otherwise a signal that arrives just before the supervisor waits would not wake it."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    is_through = threading.Event()
    main = threading.get_ident()
    seen: list[tuple[bytes, bool]] = []

    def compute() -> None:
        hashlib.pbkdf2_hmac("sha256", b"", b"", 3_000_000)  # seconds in which this thread runs no Python

    def send() -> None:
        while sys._current_frames()[main].f_code is not compute.__code__:
            pass
        os.kill(os.getpid(), signal.SIGHUP)
        seen.append((os.read(reading, 1), is_through.is_set()))

    with ServerSignals() as signals:
        signals.write_to(writing)
        sender = threading.Thread(target=send)
        sender.start()
        compute()
        is_through.set()
        sender.join()
        signals.stop_writing()
    os.close(reading)
    os.close(writing)
    assert seen == [(bytes([signal.SIGHUP]), False)]


SERVED = """
from gated import pass_gate

class Served:
    def predict(self, X, names):
        if X == "gate":
            pass_gate()
        return X
"""
Start = Callable[..., Any]


def test_two_signals_that_are_read_at_once_end_the_drain(start: Start, gate: Any) -> None:
    server = start(SERVED, grace=60).wait_until_ready()
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(server.predict, "gate")
        gate.wait_until_entered()
        for number in (signal.SIGSTOP, signal.SIGTERM, signal.SIGINT, signal.SIGCONT):
            server.process.send_signal(number)
        assert server.wait() == 0
        assert asked.exception(20) is not None or asked.result()[0] == 503


def restarts(server: Any, reason: str) -> float:
    page = server.metrics()
    (line,) = [line for line in page.splitlines() if "restarts_total{" in line and f'reason="{reason}"' in line]
    return float(line.rpartition(" ")[2])


def test_sighup_of_the_process_group_replaces_each_worker_once(start: Start, gate: Any) -> None:
    server = start(SERVED, workers=2).wait_until_ready()
    before = server.workers()
    os.killpg(server.process.pid, signal.SIGHUP)
    for _ in range(2):
        server.wait_for("is ready in")
    while before & server.workers():
        pass
    assert server.predict()[0] == 200
    assert (restarts(server, "signal"), restarts(server, "died")) == (2, 0)
    assert server.stop() == 0


ON_TERMINAL = """
import fcntl, os, sys, termios
terminal = os.open(sys.argv[1], os.O_RDWR)
fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
os.execvp(sys.argv[2], sys.argv[2:])
"""


@pytest.fixture
def terminal() -> Iterator[tuple[list[str], Callable[[], None]]]:
    """The prefix of a command that runs on its own terminal, and a function that closes the terminal."""
    master, slave = pty.openpty()
    open_ends = {master}

    def close() -> None:
        if master in open_ends:
            open_ends.remove(master)
            os.close(master)

    yield [sys.executable, "-c", ON_TERMINAL, os.ttyname(slave)], close
    os.close(slave)
    close()


def test_a_closed_terminal_stops_the_server(start: Start, gate: Any, terminal: Any) -> None:
    prefix, close = terminal
    server = start(SERVED, prefix=prefix).wait_until_ready()
    server.process.send_signal(signal.SIGHUP)  # the terminal is still open
    server.wait_for("is ready in")
    with server.watch() as workers:
        close()
        assert server.wait() == 0
        assert workers.all_end()
    assert "the terminal was closed" in server.log


def test_with_nohup_the_server_outlives_its_terminal(start: Start, gate: Any, terminal: Any) -> None:
    prefix, close = terminal
    server = start(SERVED, prefix=[*prefix, "nohup"]).wait_until_ready()
    before = server.workers()
    close()
    os.kill(server.process.pid, signal.SIGHUP)  # as a shell does that ends
    assert server.predict()[0] == 200
    assert server.workers() == before
    assert server.stop() == 0
    assert "replacing" not in server.log

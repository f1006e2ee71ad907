"""How processes exit: all of them on a signal, and single workers that crash."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import resource
import signal
import socket
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest

from seldon_spec.protocols.seldon_v1.proto import SeldonMessage

Start = Callable[..., Any]

ENDING = """
import ctypes, os, time
from gated import pass_gate

class Served:
    def __init__(self):
        self.calls = 0

    def predict(self, X, names):
        self.calls += 1
        if X == "kill":
            os.kill(os.getpid(), 9)
        if X == "crash":
            ctypes.string_at(0)
        if X == "exit":
            os._exit(3)
        if X == "wait":
            pass_gate()
        return {"process": os.getpid(), "x": X}

    def metrics(self):
        return [
            {"type": "COUNTER", "key": "calls", "value": 1},
            {"type": "GAUGE", "key": "state", "value": self.calls},
        ]
"""

WIRE = SeldonMessage(strData="x").SerializeToString()


@pytest.fixture(scope="session")
def preloaded() -> None:
    """Start new processes: what they load and how they end is what is tested."""


def _process_of(response: tuple[int, Any]) -> int:
    assert response[0] == 200
    return int(response[1]["jsonData"]["process"])


def _is_stopped(process: int) -> bool:
    tasks = Path(f"/proc/{process}/task").glob("*/stat")
    return all(task.read_text().rpartition(")")[2].split()[0] == "T" for task in tasks)


class Direct:
    """A connection to one of the workers: the others are stopped while it is made."""

    def __init__(self, server: Any, worker: int) -> None:
        others = server.workers() - {worker}
        self._connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=20)
        for other in others:
            os.kill(other, signal.SIGSTOP)
            while not _is_stopped(other):  # each thread stops at a different time, and one of them accepts
                pass
        try:
            assert _process_of(self.predict("x")) == worker
        finally:
            for other in others:
                os.kill(other, signal.SIGCONT)

    def __enter__(self) -> Direct:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._connection.close()

    def predict(self, text: str) -> tuple[int, Any]:
        self._connection.request(
            "POST", "/predict", json.dumps({"strData": text}), {"Content-Type": "application/json"}
        )
        response = self._connection.getresponse()
        return response.status, json.loads(response.read())


# Stop


def _is_closed(port: int) -> bool:
    """Whether a connection was reset by the system, which had made it just as the port was closed."""
    try:
        socket.create_connection(("127.0.0.1", port), 20).close()
    except (ConnectionRefusedError, ConnectionResetError):
        return True
    return False


class Callers:
    """Clients that open a connection for each request until it is refused; each accepted one must get a response."""

    def __init__(self, server: Any) -> None:
        self.server = server
        self.answered = {"REST": 0, "gRPC": 0}
        self.lost: list[str] = []
        self._threads = [threading.Thread(target=each) for each in (self._ask_rest, self._ask_rest, self._ask_grpc)]

    def __enter__(self) -> Callers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive()

    def _ask_rest(self) -> None:
        while True:
            connection = http.client.HTTPConnection("127.0.0.1", self.server.http_port, timeout=20)
            try:
                connection.connect()
                connection.request("POST", "/predict", '{"strData": "x"}', {"Content-Type": "application/json"})
                response = connection.getresponse()
                body = json.loads(response.read())
                assert (response.status, body["jsonData"]["x"]) == (200, "x")
                self.answered["REST"] += 1
            except ConnectionRefusedError:
                return
            except (ConnectionResetError, BrokenPipeError) as error:  # the second, if the body was still to be sent
                if not _is_closed(self.server.http_port):
                    self.lost.append(f"REST: {error!r}")
                return
            except Exception as error:
                self.lost.append(f"REST: {error!r}")
                return
            finally:
                connection.close()

    def _ask_grpc(self) -> None:
        try:
            while True:
                assert b"x" in self.server.call(WIRE)
                self.answered["gRPC"] += 1
        except grpc.RpcError as error:
            is_refused = "refused" in str(error.details())
            is_reset = "reset by peer" in str(error.details()) and _is_closed(self.server.grpc_port)
            if error.code() is not grpc.StatusCode.UNAVAILABLE or not (is_refused or is_reset):
                self.lost.append(f"gRPC: {error.code()} {error.details()}")


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("delay", [0, 0.5], ids=["at-once", "with-delay"])
def test_every_accepted_request_gets_a_response(start: Start, gate: Any, workers: int, delay: float) -> None:
    server = start(ENDING, workers=workers, grace=20, delay=delay).wait_until_ready()
    with server.watch() as watch, Callers(server) as callers:
        while min(callers.answered.values()) < 20 and not callers.lost:
            time.sleep(0.01)
        server.process.send_signal(signal.SIGTERM)
        assert server.wait() == 0
        assert watch.all_end()
    assert callers.lost == []
    assert "killing" not in server.log


def test_an_interrupt_of_the_process_group_does_not_end_the_drain(start: Start, gate: Any) -> None:
    server = start(ENDING, workers=2, grace=1000).wait_until_ready()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(server.predict, "wait")
        gate.wait_until_entered()
        os.killpg(server.process.pid, signal.SIGINT)
        server.wait_for("draining open requests")
        gate.release()
        assert running.result()[0] == 200
    assert server.wait() == 0
    assert "Traceback" not in server.log


def test_a_signal_at_any_time_of_the_start_stops_it(start: Start) -> None:
    """After its fork a worker must neither miss a signal nor pass it to the supervisor."""
    for _ in range(8):
        server = start(ENDING.replace("from gated import pass_gate", ""), workers=2, grace=1000).wait_for_addresses()
        assert server.stop() == 0
        assert "killing" not in server.log


# As the first process of a container


def test_the_first_process_reaps_orphans_and_survives_the_end_of_its_only_worker(
    start: Start, first: Sequence[str]
) -> None:
    source = """
import os, time

class Served:
    def predict(self, X, names):
        if X == "kill":
            os.kill(os.getpid(), 9)
        if X == "orphan":
            if os.fork() == 0:  # the child's child is left behind, and ends only then
                if os.fork() == 0:
                    while os.getppid() != 1:
                        time.sleep(0.01)
                os._exit(0)
            os.wait()
        states = {}
        for name in filter(str.isdigit, os.listdir("/proc")):
            try:
                states[name] = open(f"/proc/{name}/stat").read().rpartition(")")[2].split()[0]
            except OSError:
                pass
        return {"pid": os.getpid(), "parent": os.getppid(), "processes": states}
"""
    server = start(source, prefix=first).wait_until_ready()
    for _ in range(3):
        assert server.predict("orphan")[1]["jsonData"]["parent"] == 1
    with pytest.raises(ConnectionError):
        server.predict("kill")
    server.wait_for("was terminated by SIGKILL")
    server.wait_for("is ready")
    while len(server.predict()[1]["jsonData"]["processes"]) > 2:  # the first process and its worker
        pass
    (inner,) = server.workers()  # of unshare, whose child is the supervisor
    os.kill(inner, signal.SIGTERM)
    assert server.wait() == 0
    assert "Traceback" not in server.log


# Crashes


@pytest.mark.parametrize(
    ("how", "end"),
    [("kill", "was terminated by SIGKILL"), ("crash", "was terminated by SIGSEGV"), ("exit", "exited with code 3")],
    ids=["killed", "crash-in-c", "exit"],
)
def test_a_crash_affects_one_worker_which_is_restarted(start: Start, gate: Any, how: str, end: str) -> None:
    server = start(ENDING, workers=2).wait_until_ready()
    busy, victim = server.workers()
    with ThreadPoolExecutor(1) as pool, Direct(server, busy) as to_busy, Direct(server, victim) as to_victim:
        running = pool.submit(to_busy.predict, "wait")
        gate.wait_until_entered()
        with pytest.raises(ConnectionError):
            to_victim.predict(how)
        server.wait_for(end)
        server.wait_for(r"worker \d is ready")
        gate.release()
        assert _process_of(running.result()) == busy
    assert busy in server.workers()
    assert victim not in server.workers()
    assert len(server.workers()) == 2
    assert server.stop() == 0


def test_a_grpc_call_whose_worker_crashes_is_unavailable(start: Start, gate: Any) -> None:
    server = start(ENDING).wait_until_ready()
    with pytest.raises(grpc.RpcError) as caught:
        server.call(SeldonMessage(strData="kill").SerializeToString())
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    server.wait_for(r"worker 0 is ready")
    assert b"x" in server.call(WIRE)
    assert server.stop() == 0


def _series(page: str, name: str) -> list[float]:
    return [float(line.split()[-1]) for line in page.splitlines() if line.startswith(f"{name}{{")]


def test_after_five_crashes_counters_are_kept_and_gauges_are_those_of_running_workers(start: Start, gate: Any) -> None:
    server = start(ENDING, workers=2).wait_until_ready()
    count = 0
    for _ in range(5):
        for _ in range(4):
            assert server.predict()[0] == 200
            count += 1
        os.kill(min(server.workers()), signal.SIGKILL)
        server.wait_for("was terminated by SIGKILL")
        server.wait_for(r"worker \d is ready")
        assert len(_series(server.metrics(), "state")) <= 2
    page = server.metrics()
    assert sum(_series(page, "calls_total")) == count
    assert len(_series(page, "state")) <= 2
    assert server.stop() == 0


def test_a_crash_is_detected_although_a_child_of_the_worker_still_runs(start: Start, gate: Any) -> None:
    """The child of a fork has all of the worker's files open, the pipe to the supervisor among them."""
    source = ENDING.replace(
        "        self.calls = 0\n",
        """        self.calls = 0
        if os.fork() == 0:
            try:
                pass_gate()
            finally:
                os._exit(0)
""",
        1,
    )
    server = start(source).wait_for_addresses()
    gate.wait_until_entered()
    server.wait_for("supervisor: ready")
    (first,) = server.workers()
    os.kill(first, signal.SIGKILL)
    server.wait_for("was terminated by SIGKILL")
    gate.release()
    gate.wait_until_entered()
    server.wait_for("worker 0 is ready")
    gate.release()
    assert server.predict()[0] == 200
    assert server.stop() == 0


@pytest.mark.parametrize("is_busy", [False, True], ids=["idle", "busy"])
def test_the_death_of_the_supervisor_leaves_no_process(start: Start, gate: Any, is_busy: bool) -> None:
    server = start(ENDING, workers=2, grace=0.5).wait_until_ready()
    workers = server.workers()
    assert len(workers) == 2
    with ThreadPoolExecutor(1) as pool, server.watch() as watch:
        if is_busy:
            stuck = pool.submit(server.predict, "wait")
            gate.wait_until_entered()
        server.process.kill()
        assert server.wait() == -signal.SIGKILL
        if is_busy:
            assert stuck.result()[0] == 503
        assert watch.all_end()


# Starts that fail

FRAGILE = """
import os
HERE = os.path.dirname(os.path.abspath(__file__))

class Served:
    def load(self):
        with open(os.path.join(HERE, "starts"), "a") as starts:
            starts.write("x")
        if os.path.exists(os.path.join(HERE, "broken")):
            raise ValueError("the weights are gone")

    def predict(self, X, names):
        return {"process": os.getpid()}
"""


def test_a_worker_that_cannot_restart_is_retried_with_a_backoff(start: Start, tmp_path: Path) -> None:
    server = start(FRAGILE).wait_until_ready()
    (tmp_path / "broken").touch()
    os.kill(min(server.workers()), signal.SIGKILL)
    pauses = [float(server.wait_for(r"starting another in ([\d.]+) seconds")[1]) for _ in range(4)]
    assert pauses == [0.1, 0.2, 0.4, 0.8]
    assert "ValueError: the weights are gone" in "".join(server.lines)
    with contextlib.suppress(OSError):  # no worker runs, or one that is about to fail
        assert server.rest("GET", "/ready")[0] == 503
    assert len((tmp_path / "starts").read_text()) <= 6
    (tmp_path / "broken").unlink()
    server.wait_for("worker 0 is ready")
    assert server.predict()[0] == 200
    assert server.rest("GET", "/ready")[0] == 200
    assert server.stop() == 0


def test_a_worker_that_the_system_cannot_start_is_retried(start: Start) -> None:
    server = start(FRAGILE).wait_until_ready()
    limits = resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE)
    (worker,) = server.workers()
    resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (4, limits[1]))
    os.kill(worker, signal.SIGKILL)
    server.wait_for("worker 0 cannot be started: .*Too many open files")
    resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, limits)
    server.wait_for("worker 0 is ready")
    assert server.predict()[0] == 200
    assert server.stop() == 0


# Stuck


def _predict_beside_the_stuck_worker(server: Any) -> tuple[int, Any]:
    """Return the first response of a worker that is not stuck; requests to the stuck one fail when it exits."""
    while True:
        with contextlib.suppress(ConnectionError):
            response: tuple[int, Any] = server.predict()
            if response[0] == 200:
                return response
            assert response[0] in (503, 504)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_stuck_worker_is_replaced(start: Start, gate: Any, workers: int) -> None:
    server = start(ENDING, workers=workers, timeout=1, server={"on_timeout": "replace"}).wait_until_ready()
    with server.watch() as watch:
        status, body = server.predict("wait")
        assert (status, body["status"]["reason"]) == (504, "MICROSERVICE_TIMEOUT")
        gate.wait_until_entered()
        stuck = int(server.wait_for(r"\(process (\d+)\) is stuck in a call")[1])
        server.wait_for(r"worker \d is ready")
        assert _process_of(_predict_beside_the_stuck_worker(server)) != stuck
        assert server.stop() == 0
        assert watch.all_end()


def test_a_stuck_worker_is_replaced_once_a_replacement_can_start(start: Start, tmp_path: Path, gate: Any) -> None:
    source = "from gated import pass_gate\n" + FRAGILE.replace(
        '        return {"process"', '        if X == "wait":\n            pass_gate()\n        return {"process"'
    )
    server = start(source, timeout=1, server={"on_timeout": "replace"}).wait_until_ready()
    (tmp_path / "broken").touch()
    assert server.predict("wait")[0] == 504
    gate.wait_until_entered()
    for _ in range(2):
        server.wait_for("worker 0: replacement failed to start, keeping the current process: .*the weights are gone")
    (tmp_path / "broken").unlink()
    server.wait_for("worker 0 is ready")
    _predict_beside_the_stuck_worker(server)
    assert server.stop() == 0

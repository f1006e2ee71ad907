"""Workers are replaced one by one, and no client that connects anew once sees a failure."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import grpc
import pytest

from seldon_spec.config.model import Spec
from seldon_spec.observability.metrics import Segments
from seldon_spec.process.signals import ServerSignals
from seldon_spec.process.supervisor import Supervisor, _Process, _WorkerSlot
from seldon_spec.process.worker_messages import READY
from seldon_spec.protocols.seldon_v1.proto import SeldonMessage

Start = Callable[..., Any]

VERSIONED = """
import os
from gated import pass_gate

class Served:
    def predict(self, X, names):
        if X == "wait":
            pass_gate()
        return {"version": 1, "process": os.getpid()}
"""

WIRE = SeldonMessage(strData="x").SerializeToString()
REQUESTS = 1500
"""Of each client, in the tests of load."""


class Load:
    """Clients that go on until they have had all their answers; each connects anew once where a connection fails."""

    def __init__(self, server: Any) -> None:
        self.server = server
        self.versions: Counter[int] = Counter()
        self.failures: list[str] = []
        self._enough = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(each,)) for each in (KeptAlive, NewEachTime, Channel)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._enough.set()
        for thread in self._threads:
            thread.join(120)
            assert not thread.is_alive()

    def _run(self, kind: Callable[[Any], Any]) -> None:
        client = kind(self.server)
        count = 0
        while count < REQUESTS or not self._enough.is_set():
            count += 1
            try:
                self.versions[client.ask()] += 1
            except Exception as error:
                self.failures.append(f"{kind.__name__}: {error!r}"[:300])
                break
        client.close()


class KeptAlive:
    """REST over one connection."""

    is_kept = True

    def __init__(self, server: Any) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=20)

    def ask(self) -> int:
        try:
            return self._ask()
        except (ConnectionError, http.client.BadStatusLine):
            self._connection.close()
            return self._ask()

    def _ask(self) -> int:
        self._connection.request("POST", "/predict", '{"strData": "x"}', {"Content-Type": "application/json"})
        response = self._connection.getresponse()
        body = response.read()
        if response.status != 200:
            raise AssertionError(f"{response.status} {body!r}")
        if not self.is_kept:
            self._connection.close()
        return int(json.loads(body)["jsonData"]["version"])

    def close(self) -> None:
        self._connection.close()


class NewEachTime(KeptAlive):
    """REST over a connection for each request."""

    is_kept = False


class Channel:
    """gRPC over one channel, which connects anew by itself."""

    def __init__(self, server: Any) -> None:
        self._channel = grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}")
        self._call = self._channel.unary_unary("/seldon.protos.Model/Predict", None, SeldonMessage.FromString)

    def ask(self) -> int:
        try:
            return self._ask()
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.UNAVAILABLE:
                raise
            return self._ask()

    def _ask(self) -> int:
        answer: Any = self._call(WIRE, timeout=20, wait_for_ready=True)
        return int(answer.jsonData.struct_value["version"])

    def close(self) -> None:
        self._channel.close()


def _edit(folder: Path, version: int) -> None:
    (folder / "Served.py").write_text(VERSIONED.replace('"version": 1', f'"version": {version}'))


def _process_of(answer: tuple[int, Any]) -> int:
    assert answer[0] == 200
    return int(answer[1]["jsonData"]["process"])


@pytest.mark.parametrize("workers", [1, 2])
def test_a_hang_up_under_load_fails_nobody_and_brings_the_new_code(
    start: Start, gate: Any, tmp_path: Path, workers: int
) -> None:
    server = start(VERSIONED, workers=workers).wait_until_ready()
    with server.watch() as before, Load(server) as load:
        for version in (2, 3):
            _edit(tmp_path, version)
            server.process.send_signal(signal.SIGHUP)
            for _ in range(workers):
                server.wait_for(r"worker \d is ready")
        assert before.all_end()
    assert load.failures == []
    assert load.versions[1] > 0
    assert load.versions[3] > 0
    assert sum(load.versions.values()) >= 3 * REQUESTS
    assert server.stop() == 0
    assert "Traceback" not in server.log


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_that_have_served_enough_are_replaced_and_fail_nobody(start: Start, gate: Any, workers: int) -> None:
    server = start(
        VERSIONED, workers=workers, server={"max_requests": 300, "max_requests_jitter": 100}
    ).wait_until_ready()
    with Load(server) as load:
        pass
    assert load.failures == []
    assert server.stop() == 0
    spent = re.findall(r"\(process (\d+)\) has served enough", server.log)
    assert len(spent) >= 2
    assert len(spent) == len(set(spent))


def test_a_replaced_worker_answers_what_it_has(start: Start, gate: Any) -> None:
    server = start(VERSIONED, grace=1000).wait_until_ready()
    (before,) = server.workers()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(server.predict, "wait")
        gate.wait_until_entered()
        server.process.send_signal(signal.SIGHUP)
        server.wait_for("worker 0 is ready")
        gate.release()
        assert _process_of(running.result()) == before
    assert server.stop() == 0


BROKEN = {
    "syntax": ("class Served\n", "SyntaxError"),
    "init": ("class Served:\n    def __init__(self):\n        raise ValueError('no weights')\n", "no weights"),
    "death": ("import os\nos._exit(7)\n", "it ended with exit code 7"),
}


@pytest.mark.parametrize(("source", "why"), BROKEN.values(), ids=BROKEN.keys())
def test_where_a_successor_cannot_start_the_old_one_goes_on(
    start: Start, gate: Any, tmp_path: Path, source: str, why: str
) -> None:
    server = start(VERSIONED, workers=2).wait_until_ready()
    before = server.workers()
    (tmp_path / "Served.py").write_text(source)
    server.process.send_signal(signal.SIGHUP)
    server.wait_for("worker 0 goes on: its successor could not start")
    assert server.predict()[0] == 200
    assert server.rest("GET", "/ready")[0] == 200
    assert server.workers() == before
    _edit(tmp_path, 2)
    with server.watch() as old:
        server.process.send_signal(signal.SIGHUP)
        for _ in range(2):
            server.wait_for(r"worker \d is ready")
        assert old.all_end()
    assert server.predict()[1]["jsonData"]["version"] == 2
    assert server.stop() == 0
    assert why in server.log
    assert server.log.count("could not start") == 1  # the other one was not even tried


STARTING = VERSIONED + (
    """
    def load(self):
        pass_gate()
"""
)


def test_a_hang_up_while_a_successor_starts_is_heeded_after_it(start: Start, gate: Any) -> None:
    server = start(STARTING).wait_for_addresses()
    gate.wait_until_entered()
    gate.release()
    server.wait_for("supervisor: ready")
    for _ in range(2):  # the second comes while the first is under way: its code has been read already
        server.process.send_signal(signal.SIGHUP)
        server.wait_for("SIGHUP")
        if server.log.count("SIGHUP") == 1:
            gate.wait_until_entered()
    gate.release()
    server.wait_for("worker 0 is ready")
    gate.wait_until_entered()
    gate.release()
    server.wait_for("worker 0 is ready")
    assert server.predict()[0] == 200
    assert server.stop() == 0
    assert server.log.count("worker 0 is ready") == 3


def test_a_successor_takes_no_connection_before_it_is_ready(start: Start, gate: Any) -> None:
    server = start(STARTING).wait_for_addresses()
    gate.wait_until_entered()
    gate.release()
    server.wait_for("supervisor: ready")
    (before,) = server.workers()
    server.process.send_signal(signal.SIGHUP)
    gate.wait_until_entered()
    for _ in range(20):
        assert server.rest("GET", "/ready")[0] == 200
        assert _process_of(server.predict()) == before
    gate.release()
    server.wait_for("worker 0 is ready")
    assert server.stop() == 0


def test_a_hang_up_during_the_first_start_is_heeded_after_it(start: Start, gate: Any) -> None:
    server = start(STARTING).wait_for_addresses()
    gate.wait_until_entered()
    server.process.send_signal(signal.SIGHUP)
    server.wait_for("SIGHUP")
    gate.release()
    server.wait_for("worker 0 is ready")
    gate.wait_until_entered()
    gate.release()
    server.wait_for("worker 0 is ready")
    assert server.stop() == 0


def test_the_end_comes_during_a_replacement(start: Start, gate: Any) -> None:
    server = start(STARTING, grace=1000).wait_for_addresses()
    gate.wait_until_entered()
    gate.release()
    server.wait_for("supervisor: ready")
    server.process.send_signal(signal.SIGHUP)
    gate.wait_until_entered()
    assert len(server.workers()) == 2
    assert server.stop() == 0
    assert "killed" not in server.log
    assert "Traceback" not in server.log


def test_a_worker_dies_while_its_successor_starts(start: Start, gate: Any) -> None:
    server = start(STARTING).wait_for_addresses()
    gate.wait_until_entered()
    gate.release()
    server.wait_for("supervisor: ready")
    (before,) = server.workers()
    server.process.send_signal(signal.SIGHUP)
    gate.wait_until_entered()
    (successor,) = server.workers() - {before}
    os.kill(before, signal.SIGKILL)
    server.wait_for("worker 0 was ended by SIGKILL")
    gate.release()
    server.wait_for("worker 0 is ready")
    assert server.workers() == {successor}
    assert _process_of(server.predict()) == successor
    assert server.stop() == 0


def test_a_worker_dies_while_its_predecessor_drains_and_another_waits_for_its_successor(
    start: Start, gate: Any
) -> None:
    """The only slot there is then is for the next one in the seat of the dead."""
    source = VERSIONED.replace(
        "pass_gate()\n        return", "log('held in %d', os.getpid())\n            pass_gate()\n        return"
    )
    server = start(f"import logging\nlog = logging.warning\n{source}", workers=2).wait_until_ready()
    seats = {pid: seat for seat, pid in re.findall(r"worker (\d) is ready in .* \(process (\d+)\)", server.log)}
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(server.predict, "wait")
        seat = seats[server.wait_for(r"held in (\d+)")[1]]
        gate.wait_until_entered()
        server.process.send_signal(signal.SIGHUP)
        successor = int(server.wait_for(rf"worker {seat} is ready in .* \(process (\d+)\)")[1])
        server.process.send_signal(signal.SIGHUP)
        server.wait_for("SIGHUP: the workers are replaced")
        os.kill(successor, signal.SIGKILL)
        server.wait_for(f"worker {seat} was ended by SIGKILL")
        server.wait_for(f"worker {seat} is ready")
        gate.release()
        assert held.result()[0] == 200
    assert server.stop() == 0
    assert "Traceback" not in server.log


def test_an_edit_ends_the_pause_before_the_next_start(tmp_path: Path) -> None:
    supervisor = Supervisor(Spec("Served", tmp_path, "served"), cast("Any", None), ServerSignals(), Segments(2))
    seat = _WorkerSlot(0, due=time.monotonic() + 1000)
    supervisor._seats = [seat]
    supervisor._renew("reload")
    assert supervisor._next_event() == 0
    assert not supervisor._stale


def test_a_custom_service_ends_before_its_successor_begins(start: Start, gate: Any, reserve_ports: Any) -> None:
    source = (
        VERSIONED
        + """
    def custom_service(self):
        import socket, logging
        with socket.create_server(("127.0.0.1", PORT)) as held:
            logging.getLogger("service").warning("service in %d", os.getpid())
            held.accept()
"""
    )
    with reserve_ports(1) as [port]:
        server = start(source.replace("PORT", str(port)), workers=2).wait_until_ready()
        seen = re.search(r"service in (\d+)", "".join(server.lines)) or server.wait_for(r"service in (\d+)")
        server.process.send_signal(signal.SIGHUP)
        second = server.wait_for(r"service in (\d+)")[1]
        assert second != seen[1]
        while len(re.findall(r"worker \d is ready", server.log)) < 4:
            server.wait_for(r"worker \d is ready")
        assert server.predict()[0] == 200
        assert server.stop() == 0
    assert "Address already in use" not in server.log


def test_a_successor_that_is_ready_too_late_dismisses_nobody(tmp_path: Path) -> None:
    """Its word is on the way while all are told to end, and the worker before it may be gone by then."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    supervisor = Supervisor(Spec("Served", tmp_path, "served"), cast("Any", None), ServerSignals(), Segments(2))
    seat = _WorkerSlot(0)
    seat.current, seat.successor = _Process(seat, 0, gone.pid), _Process(seat, 1, gone.pid)
    supervisor._leaving, supervisor._is_stopping = [seat.current, seat.successor], True
    supervisor._hear(seat.successor, READY)
    assert len(supervisor._leaving) == 2

"""Workers are replaced one by one; no client that reconnects once sees a failure."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest

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
    """Clients that send requests until each has all its responses; a client reconnects once if a connection fails."""

    def __init__(self, server: Any) -> None:
        self.server = server
        self.versions: Counter[int] = Counter()
        self.failures: list[str] = []
        self._enough = threading.Event()
        self._counted = threading.Condition()
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

    def wait_for(self, version: int) -> None:
        """Wait until a client has a response of this version of the class."""
        with self._counted:
            assert self._counted.wait_for(lambda: self.versions[version] > 0, 20)

    def _run(self, kind: Callable[[Any], Any]) -> None:
        client = kind(self.server)
        count = 0
        while count < REQUESTS or not self._enough.is_set():
            count += 1
            try:
                version = client.ask()
                with self._counted:
                    self.versions[version] += 1
                    self._counted.notify_all()
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
    """gRPC over one channel, which reconnects by itself."""

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
        response: Any = self._call(WIRE, timeout=20, wait_for_ready=True)
        return int(response.jsonData.struct_value["version"])

    def close(self) -> None:
        self._channel.close()


def _edit(folder: Path, version: int) -> None:
    (folder / "Served.py").write_text(VERSIONED.replace('"version": 1', f'"version": {version}'))


def _process_of(response: tuple[int, Any]) -> int:
    assert response[0] == 200
    return int(response[1]["jsonData"]["process"])


@pytest.mark.parametrize("workers", [1, 2])
def test_sighup_under_load_fails_no_request_and_serves_the_new_code(
    start: Start, gate: Any, tmp_path: Path, workers: int
) -> None:
    server = start(VERSIONED, workers=workers).wait_until_ready()
    with server.watch() as before, Load(server) as load:
        load.wait_for(1)
        for version in (2, 3):
            _edit(tmp_path, version)
            server.process.send_signal(signal.SIGHUP)
            for _ in range(workers):
                server.wait_for(r"worker \d is ready")
        assert before.all_end()
        load.wait_for(version)
    assert load.failures == []
    assert sum(load.versions.values()) >= 3 * REQUESTS
    assert server.stop() == 0
    assert "Traceback" not in server.log


@pytest.mark.parametrize("workers", [1, 2])
def test_max_requests_replaces_workers_and_fails_no_request(start: Start, gate: Any, workers: int) -> None:
    server = start(
        VERSIONED, workers=workers, server={"max_requests": 300, "max_requests_jitter": 100}
    ).wait_until_ready()
    with Load(server) as load:
        for _ in range(3):
            server.wait_for("reached max_requests")
    assert load.failures == []
    assert server.stop() == 0
    recycled = re.findall(r"\(process (\d+)\) reached max_requests", server.log)
    assert len(recycled) == len(set(recycled))


def test_a_replaced_worker_finishes_its_requests(start: Start, gate: Any) -> None:
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
    "death": ("import os\nos._exit(7)\n", "it exited with code 7"),
}


@pytest.mark.parametrize(("source", "why"), BROKEN.values(), ids=BROKEN.keys())
def test_a_replacement_that_cannot_start_keeps_the_current_process(
    start: Start, gate: Any, tmp_path: Path, source: str, why: str
) -> None:
    server = start(VERSIONED, workers=2).wait_until_ready()
    before = server.workers()
    (tmp_path / "Served.py").write_text(source)
    server.process.send_signal(signal.SIGHUP)
    server.wait_for("worker 0: replacement failed to start, keeping the current process")
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
    assert server.log.count("failed to start") == 1  # the other worker was not replaced


STARTING = VERSIONED + (
    """
    def load(self):
        pass_gate()
"""
)


def test_sighup_while_a_replacement_starts_takes_effect_after_it(start: Start, gate: Any) -> None:
    server = start(STARTING).wait_for_addresses()
    gate.wait_until_entered()
    gate.release()
    server.wait_for("supervisor: ready")
    for _ in range(2):  # at the second one, the replacement has imported its code already
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


def test_a_replacement_accepts_no_connection_before_it_is_ready(start: Start, gate: Any) -> None:
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


def test_sighup_during_the_first_start_takes_effect_after_it(start: Start, gate: Any) -> None:
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


def test_a_stop_during_a_replacement(start: Start, gate: Any) -> None:
    server = start(STARTING, grace=1000).wait_for_addresses()
    gate.wait_until_entered()
    gate.release()
    server.wait_for("supervisor: ready")
    server.process.send_signal(signal.SIGHUP)
    gate.wait_until_entered()
    assert len(server.workers()) == 2
    assert server.stop() == 0
    assert "killing" not in server.log
    assert "Traceback" not in server.log


def test_a_worker_crashes_while_its_replacement_starts(start: Start, gate: Any) -> None:
    server = start(STARTING).wait_for_addresses()
    gate.wait_until_entered()
    gate.release()
    server.wait_for("supervisor: ready")
    (before,) = server.workers()
    server.process.send_signal(signal.SIGHUP)
    gate.wait_until_entered()
    (replacement,) = server.workers() - {before}
    os.kill(before, signal.SIGKILL)
    server.wait_for("worker 0 was terminated by SIGKILL")
    gate.release()
    server.wait_for("worker 0 is ready")
    assert server.workers() == {replacement}
    assert _process_of(server.predict()) == replacement
    assert server.stop() == 0


def test_a_worker_crashes_while_its_predecessor_drains_and_another_waits_for_a_replacement(
    start: Start, gate: Any
) -> None:
    """The crashed worker's slot has precedence when one more process may start."""
    source = VERSIONED.replace(
        "pass_gate()\n        return", "log('held in %d', os.getpid())\n            pass_gate()\n        return"
    )
    server = start(f"import logging\nlog = logging.warning\n{source}", workers=2).wait_until_ready()
    slots = {pid: slot for slot, pid in re.findall(r"worker (\d) is ready in .* \(process (\d+)\)", server.log)}
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(server.predict, "wait")
        slot = slots[server.wait_for(r"held in (\d+)")[1]]
        gate.wait_until_entered()
        server.process.send_signal(signal.SIGHUP)
        replacement = int(server.wait_for(rf"worker {slot} is ready in .* \(process (\d+)\)")[1])
        server.process.send_signal(signal.SIGHUP)
        server.wait_for("SIGHUP: replacing the workers")
        os.kill(replacement, signal.SIGKILL)
        server.wait_for(f"worker {slot} was terminated by SIGKILL")
        server.wait_for(f"worker {slot} is ready")
        gate.release()
        assert held.result()[0] == 200
    assert server.stop() == 0
    assert "Traceback" not in server.log


def test_a_custom_service_exits_before_its_replacement_starts(start: Start, gate: Any, reserve_ports: Any) -> None:
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

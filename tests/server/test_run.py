"""The life of a server: start, busy, drain, stuck, and every way to end."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from seldon_spec.protocols.seldon_v1.proto import SeldonMessage

Start = Callable[..., Any]

ECHO = """
class Served:
    def predict(self, X, names):
        return X
"""

GATED_PREDICT = """
from gated import pass_gate

class Served:
    def predict(self, X, names):
        if X == "wait":
            pass_gate()
        return X
"""

GATED_INIT = """
from gated import pass_gate

class Served:
    def __init__(self):
        pass_gate()

    def predict(self, X, names):
        return X
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["term", "int"])
def test_a_server_serves_and_ends_with_success(start: Start, number: int) -> None:
    server = start(ECHO).wait_until_ready()
    assert server.predict()[0] == 200
    assert server.stop(number) == 0
    assert "stopped" in server.log
    assert "Traceback" not in server.log


def test_the_model_is_built_and_called_on_the_main_thread(start: Start) -> None:
    source = """
import sqlite3, threading

class Served:
    def __init__(self):
        self.database = sqlite3.connect(":memory:")  # refuses to be used on another thread
        self.threads = {threading.get_ident()}

    def predict(self, X, names):
        self.threads.add(threading.get_ident())
        (answer,) = self.database.execute("select 40 + 2").fetchone()
        return {"answer": answer, "threads": len(self.threads), "is_main": threading.current_thread() is threading.main_thread()}

    def tags(self):
        self.threads.add(threading.get_ident())
        return {}

    metrics = lambda self: self.threads.add(threading.get_ident()) or []
    health_status = lambda self: self.threads.add(threading.get_ident()) or "fine"
"""
    server = start(source).wait_until_ready()
    wire = SeldonMessage(strData="x").SerializeToString()
    with ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(server.predict) for _ in range(8)]
        calls = [pool.submit(server.call, wire) for _ in range(8)]
        asked = [pool.submit(server.rest, "GET", "/health/status") for _ in range(2)]
        assert all(future.result()[0] == 200 for future in answers + asked)
        assert all(future.result() for future in calls)
    assert server.predict()[1]["jsonData"] == {"answer": 42, "threads": 1, "is_main": True}


def test_probes_answer_while_the_model_is_busy_and_every_thread_waits(start: Start, gate: Any) -> None:
    server = start(GATED_PREDICT).wait_until_ready()
    with ThreadPoolExecutor(80) as pool:
        waiting = [pool.submit(server.predict, "wait")]
        gate.wait_until_entered()
        waiting += [pool.submit(server.predict) for _ in range(79)]  # more than there are threads
        for path in ("/live", "/ready", "/health/ping"):
            assert server.rest("GET", path)[0] == 200
        assert "seldon_spec" in server.metrics() or server.metrics() == ""
        assert _health(server) == health_pb2.HealthCheckResponse.SERVING
        gate.release()
        assert {future.result()[0] for future in waiting} == {200}


def _health(server: Any) -> Any:
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        request = health_pb2.HealthCheckRequest(service="seldon.protos.Model")
        return health_pb2_grpc.HealthStub(channel).Check(request, timeout=20).status


def test_reflection_describes_every_service(start: Start) -> None:
    server = start(ECHO).wait_until_ready()
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        database = ProtoReflectionDescriptorDatabase(channel)
        services = set(database.get_services())
        names = ("Generic", "Model", "Router", "Transformer", "OutputTransformer", "Combiner", "Seldon")
        assert {"grpc.health.v1.Health", *(f"seldon.protos.{name}" for name in names)} <= services
        assert database.FindFileContainingSymbol("tensorflow.TensorProto").package == "tensorflow"
        for service in services:
            assert database.FindFileContainingSymbol(service).service


def test_while_loading_requests_wait_and_only_live_is_answered(start: Start, gate: Any) -> None:
    server = start(GATED_INIT).wait_for_addresses()
    gate.wait_until_entered()
    assert server.rest("GET", "/live")[0] == 200
    assert server.rest("GET", "/ready")[0] == 503
    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(server.predict), pool.submit(server.rest, "GET", "/health/ping")]
        gate.release()
        assert [future.result()[0] for future in waiting] == [200, 200]
    assert server.rest("GET", "/ready")[0] == 200


def test_a_signal_while_loading_ends_at_once_with_success(start: Start, gate: Any) -> None:
    server = start(GATED_INIT, grace=1000).wait_for_addresses()
    gate.wait_until_entered()
    assert server.stop() == 0


def test_a_signal_drains_what_is_under_way(start: Start, gate: Any) -> None:
    server = start(GATED_PREDICT, grace=1000).wait_until_ready()
    wire = SeldonMessage(strData="y").SerializeToString()
    with ThreadPoolExecutor(1) as pool, grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        running = pool.submit(server.predict, "wait")
        gate.wait_until_entered()
        grpc.channel_ready_future(channel).result(20)
        queued = channel.unary_unary("/seldon.protos.Model/Predict", None, None).future(wire)
        # a connection's calls arrive in their order, so the answer to this one tells that the other is there
        health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=20)
        server.process.send_signal(signal.SIGTERM)
        server.wait_for("draining open requests")
        gate.release()
        assert running.result()[0] == 200
        assert SeldonMessage.FromString(queued.result(20)).strData == "y"
    assert server.wait() == 0


def test_while_the_delay_lasts_everything_is_answered_but_ready(start: Start, gate: Any) -> None:
    """Endpoints are withdrawn late: until then requests still come, over connections that are only now made."""
    server = start(GATED_PREDICT, grace=1000, delay=900).wait_until_ready()
    server.process.send_signal(signal.SIGTERM)
    server.wait_for("accepting connections for 900 seconds")
    assert server.rest("GET", "/ready")[0] == 503
    assert server.rest("GET", "/live")[0] == 200
    assert _health(server) == health_pb2.HealthCheckResponse.NOT_SERVING
    assert server.predict()[0] == 200
    assert server.call(SeldonMessage(strData="x").SerializeToString())
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(server.predict, "wait")
        gate.wait_until_entered()
        server.process.send_signal(signal.SIGTERM)  # ends the delay, and the drain with it
        assert running.result()[0] == 503
    assert server.wait() == 0


def test_a_stuck_model_does_not_hold_up_the_exit(start: Start, gate: Any) -> None:
    server = start(GATED_PREDICT, grace=0.2).wait_until_ready()
    with ThreadPoolExecutor(2) as pool:
        stuck = pool.submit(server.predict, "wait")
        gate.wait_until_entered()
        assert server.stop() == 0
        assert stuck.result()[0] == 503


def test_a_second_signal_ends_the_drain(start: Start, gate: Any) -> None:
    server = start(GATED_PREDICT, grace=1000).wait_until_ready()
    with ThreadPoolExecutor(2) as pool:
        stuck = pool.submit(server.predict, "wait")
        gate.wait_until_entered()
        server.process.send_signal(signal.SIGTERM)
        server.wait_for("stopping")
        assert server.stop() == 0
        assert stuck.result()[0] == 503


def test_a_request_that_takes_too_long(start: Start, gate: Any) -> None:
    server = start(GATED_PREDICT, timeout=1).wait_until_ready()
    status, body = server.predict("wait")
    assert (status, body["status"]["reason"]) == (504, "MICROSERVICE_TIMEOUT")
    with pytest.raises(grpc.RpcError) as caught:
        server.call(SeldonMessage(strData="x").SerializeToString())
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    gate.wait_until_entered()
    gate.release()
    assert server.predict()[0] == 200


FAILING = {
    "init": ("class Served:\n    def __init__(self):\n        raise ValueError('no weights')\n", "no weights"),
    "load": ("class Served:\n    def load(self):\n        raise ValueError('no weights')\n", "no weights"),
    "import": ("import nothing_of_that_name\n", "nothing_of_that_name"),
    "exit": ("raise SystemExit(0)\n", "SystemExit"),
    "no-class": ("x = 1\n", 'defines no class "Served"'),
}


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(("source", "text"), FAILING.values(), ids=FAILING.keys())
def test_a_class_that_cannot_be_built_ends_the_server(start: Start, source: str, text: str, workers: int) -> None:
    server = start(source, workers=workers)
    assert server.wait() == 1
    assert text in server.log
    assert server.log.rstrip().splitlines()[-1].startswith("seldon_spec.errors.ComponentFailed: ")
    assert "never retrieved" not in server.log


def test_a_worker_that_dies_before_it_is_ready_ends_the_server(start: Start) -> None:
    server = start("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n", workers=2)
    assert server.wait() == 1
    assert "was terminated by SIGKILL before it was ready" in server.log


@pytest.mark.parametrize("key", ["http", "grpc", "metrics"])
@pytest.mark.parametrize("is_shared", [False, True], ids=["plain", "reuseport"])
def test_a_port_in_use_is_told_with_its_key(start: Start, key: str, is_shared: bool) -> None:
    with socket.socket() as taken:
        if is_shared:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        server = start(ECHO, ports=[port if key == name else 0 for name in ("http", "grpc", "metrics")])
        assert server.wait() == 1
    expected = f"BindFailed: ports.{key}: cannot listen on 127.0.0.1:{port}: address already in use"
    assert expected in server.log.splitlines()[-1]


def test_without_grpc(start: Start) -> None:
    server = start(ECHO, ports=[0, None, 0]).wait_for_addresses()
    server.wait_for("supervisor: ready")
    assert server.predict()[0] == 200
    assert "gRPC" not in server.log
    assert server.stop() == 0


@pytest.mark.parametrize("service_type", ["ROUTER", "TRANSFORMER", "COMBINER", "OUTLIER_DETECTOR"])
def test_every_type_is_served(start: Start, service_type: str) -> None:
    server = start(ECHO, service_type=service_type).wait_until_ready()
    assert server.predict()[0] == 200
    assert server.stop() == 0


LINGERING = {
    "thread": "threading.Thread(target=event.wait, daemon=False).start()",
    "pool": "concurrent.futures.ThreadPoolExecutor(1).submit(event.wait)",
}


@pytest.mark.parametrize("begin", LINGERING.values(), ids=LINGERING.keys())
def test_a_thread_of_the_class_does_not_hold_up_the_command(tmp_path: Path, serve_folder: Any, begin: str) -> None:
    source = f"""
import concurrent.futures, threading

event = threading.Event()

class Lingering:
    def __init__(self):
        {begin}

    def predict(self, X, names):
        return X
"""
    (tmp_path / "Lingering.py").write_text(source)
    (tmp_path / "seldon.yaml").write_text("class_name: Lingering\n")
    with serve_folder(tmp_path) as server:  # which sees to it that the command ends, and with success
        assert server.http


@pytest.mark.parametrize("workers", ["1", "2"])
def test_the_command_shows_the_traceback_of_the_class_and_nothing_of_ours(
    tmp_path: Path, command_environ: dict[str, str], reserve_ports: Any, workers: str
) -> None:
    (tmp_path / "NoWeights.py").write_text("class NoWeights:\n    def load(self):\n        raise ValueError('gone')\n")
    (tmp_path / "seldon.yaml").write_text("class_name: NoWeights\nports: {http: 1, grpc: null, metrics: 2}\n")
    command = [sys.executable, "-m", "seldon_spec", "serve"]
    with reserve_ports(2) as (http, metrics):
        variables = {
            "SELDON_SPEC__SERVER__WORKERS": workers,
            "SELDON_SPEC__SERVER__HOST": "127.0.0.1",
            "SELDON_SPEC__PORTS__HTTP": str(http),
            "SELDON_SPEC__PORTS__METRICS": str(metrics),
        }
        ended = subprocess.run(
            command, cwd=tmp_path, env={**command_environ, **variables}, capture_output=True, text=True, check=False
        )
    assert ended.returncode == 1
    page = ended.stderr[ended.stderr.index("Traceback") :].splitlines()
    assert [line.strip() for line in page] == [
        "Traceback (most recent call last):",
        f'File "{tmp_path}/NoWeights.py", line 3, in load',
        "raise ValueError('gone')",
        "ValueError: gone",
        "error: the class raised this exception; see the last lines above",
    ]


def test_a_custom_service_runs_in_one_worker_and_in_its_successor(start: Start) -> None:
    source = (
        WORKING
        + """
    def custom_service(self):
        import logging
        logging.getLogger("service").warning("service in %d", os.getpid())
"""
    )
    server = start(source, workers=2)
    for _ in range(2):
        server.wait_for(r"worker \d is ready")
    server.wait_for("supervisor: ready")
    seen = re.search(r"service in (\d+)", server.log)
    first = (seen or server.wait_for(r"service in (\d+)"))[1]
    os.kill(int(first), signal.SIGKILL)
    assert server.wait_for(r"service in (\d+)")[1] != first
    assert server.stop() == 0
    assert server.log.count("service in") == 2


def test_a_server_of_all_interfaces_logs_urls_that_open(beside: Any) -> None:
    beside.write_class(ECHO)
    beside.write_spec()
    server = beside.start("--host", "0.0.0.0")
    server.http_port = int(server.wait_for(r"REST on http://localhost:(\d+) \(all interfaces\)$")[1])
    server.wait_for(r"metrics on http://localhost:\d+/metrics \(all interfaces\)$")
    server.wait_for(r"gRPC on localhost:\d+ \(all interfaces\)$")
    server.wait_for("supervisor: ready")
    assert server.predict()[0] == 200
    assert server.stop() == 0


def test_the_log_as_json(start: Start) -> None:
    server = start(ECHO.replace("return X", "raise ValueError('é')"), log="json", ports=[0, None, 0])
    server.http_port = int(server.wait_for(r"REST on http://127.0.0.1:(\d+)")[1])
    server.wait_for('"message": "ready in')
    assert server.predict()[0] == 500
    assert server.stop() == 0
    records = [json.loads(line) for line in server.lines]
    (failed,) = [record for record in records if record["level"] == "ERROR"]
    assert failed["message"] == "predict: é"
    assert failed["exception"].splitlines()[-1] == "ValueError: é"
    assert "seldon_spec" not in failed["exception"]


WORKING = """
import os

class Served:
    def predict(self, X, names):
        if X == "die":
            os.kill(os.getpid(), 9)
        return {"process": os.getpid()}

    def metrics(self):
        return [{"type": "COUNTER", "key": "worked", "value": 1}]
"""


def _worked(server: Any) -> float:
    return sum(float(line.split()[-1]) for line in server.metrics().splitlines() if line.startswith("worked_total{"))


def test_workers_share_the_ports_and_add_up_their_metrics(start: Start) -> None:
    server = start(WORKING, workers=2).wait_until_ready()
    wire = SeldonMessage(strData="x").SerializeToString()
    processes = {server.predict()[1]["jsonData"]["process"] for _ in range(10)}
    for _ in range(10):
        server.call(wire)
    assert server.process.pid not in processes
    assert [_worked(server) for _ in range(4)] == [20] * 4  # whichever worker is asked
    assert server.stop() == 0


def test_a_dead_worker_is_replaced_and_its_counters_go_on(start: Start) -> None:
    server = start(WORKING, workers=2).wait_until_ready()
    for _ in range(6):
        assert server.predict()[0] == 200
    with pytest.raises((ConnectionError, OSError)):
        server.predict("die")
    server.wait_for("was terminated by SIGKILL, starting another")
    server.wait_for(r"worker \d is ready")
    for _ in range(6):
        assert server.predict()[0] == 200
    assert _worked(server) == 12
    assert server.stop() == 0


def test_workers_drain(start: Start, gate: Any) -> None:
    server = start(GATED_PREDICT, workers=2, grace=1000).wait_until_ready()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(server.predict, "wait")
        gate.wait_until_entered()
        server.process.send_signal(signal.SIGTERM)
        server.wait_for("stopping")
        gate.release()
        assert running.result()[0] == 200
    assert server.wait() == 0


def test_workers_end_when_their_supervisor_is_killed(start: Start) -> None:
    server = start(WORKING, workers=2).wait_until_ready()
    server.process.kill()
    # the reader's end of the log comes only when no worker holds it any more
    server.wait_for("the supervisor has exited")
    assert server.wait() == -signal.SIGKILL


def test_workers_while_loading_end_at_once(start: Start, gate: Any) -> None:
    server = start(GATED_INIT, workers=2, grace=1000).wait_for_addresses()
    gate.wait_until_entered()
    assert server.stop() == 0


def test_the_supervisor_loads_nothing_heavy() -> None:
    code = (
        "import sys; import seldon_spec.process.run, seldon_spec.process.supervisor, seldon_spec.observability.metrics; "
        "print([name for name in ('flask', 'grpc', 'numpy', 'uvicorn', 'google.protobuf') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "[]\n"


def test_idle_connections_and_slow_requests_hold_nobody_up(start: Start) -> None:
    server = start(ECHO).wait_until_ready()
    address = ("127.0.0.1", server.http_port)
    half = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 15\r\n\r\n{"
    held = [socket.create_connection(address) for _ in range(100)]
    for number, connection in enumerate(held):
        connection.sendall(half if number % 2 else b"POST /pre")
    assert server.predict()[0] == 200
    held[1].sendall(b'"strData":"x"}')
    assert held[1].recv(1000).startswith(b"HTTP/1.1 200 ")
    for connection in held:
        connection.close()
    assert server.stop() == 0


def test_serve_in_another_thread_needs_no_signals() -> None:
    from seldon_spec.process.signals import ServerSignals

    seen: list[bool] = []

    def enter() -> None:
        with ServerSignals() as signals:
            seen.append(signals.callback is None)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert seen == [True]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_large_bodies_cost_little_more_than_their_size(start: Start) -> None:
    """Also after the first: what one has needed is used again, or given back."""
    server = start(ECHO, server={"max_message_bytes": 100_000_000}).wait_until_ready()
    process = re.search(r"process (\d+)", server.log)
    assert process is not None
    assert server.predict()[0] == 200
    idle = _memory(int(process[1]), "VmRSS")
    rows = [[number / 7 for number in range(1000)]] * 1100
    body = json.dumps({"data": {"ndarray": rows}})
    for _ in range(3):
        assert server.rest("POST", "/predict", body)[0] == 200
    assert _memory(int(process[1]), "VmHWM") - idle < 3 * len(body)


def _memory(process: int, name: str) -> int:
    (line,) = re.findall(rf"^{name}:\s+(\d+) kB$", Path(f"/proc/{process}/status").read_text(), re.MULTILINE)
    return int(line) * 1024

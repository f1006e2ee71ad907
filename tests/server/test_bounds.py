"""What a worker bears: how many requests wait, how long, and what a class may raise without ending it."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any
from urllib.parse import quote

import grpc
import pytest

from seldon_spec.protocols.seldon_v1.proto import SeldonMessage

Start = Callable[..., Any]

SERVED = """
from gated import pass_gate

class Served:
    def __init__(self):
        self.seen = []

    def predict(self, X, names):
        if X == "seen":
            return {"seen": self.seen}
        self.seen.append(X)
        if X == "gate":
            pass_gate()
        return X
"""

HANDLERS = {"native": "", "Flask": '    import flask; model_error_handler = flask.Blueprint("nothing", __name__)\n'}
"""What is added to the class, so that its requests are handled natively or through Flask."""
with_handlers = pytest.mark.parametrize("handlers", HANDLERS.values(), ids=HANDLERS)

PATHS = {"body": "/predict", "query": '/predict?json={"strData":"%s"}'}
"""A message as plain JSON, and one that takes precedence over the body and is read by the parser of forms."""

PREDICT = "/seldon.protos.Model/Predict"
engines = pytest.mark.parametrize("engine", ["native", "uvicorn"])


def ask(server: Any, path: str, value: str) -> tuple[int, dict[str, str], Any]:
    connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=30)
    try:
        path = path.replace("%s", quote(value))
        connection.request("POST", path, json.dumps({"strData": value}), {"Content-Type": "application/json"})
        response = connection.getresponse()
        return (
            response.status,
            {name.lower(): text for name, text in response.getheaders()},
            json.loads(response.read()),
        )
    finally:
        connection.close()


def wire(value: str) -> bytes:
    raw: bytes = SeldonMessage(strData=value).SerializeToString()
    return raw


def seen(server: Any) -> list[str]:
    values: list[str] = server.predict("seen")[1]["jsonData"]["seen"]
    return values


class Busy:
    """A server whose model is held at the gate."""

    def __init__(self, server: Any, gate: Any, pool: ThreadPoolExecutor) -> None:
        self.server = server
        self._gate = gate
        self._pool = pool
        self._held: list[Future[Any]] = [pool.submit(server.predict, "gate")]
        gate.wait_until_entered()

    def queue(self, ask_once: Callable[[], Any]) -> None:
        """Have one more request wait."""
        self._held.append(self._pool.submit(ask_once))

    def release(self) -> list[Any]:
        """Let everything go on; the answers of what has been held."""
        self._gate.release()
        return [each.result(30) for each in self._held]


@pytest.fixture
def hold(start: Start, gate: Any) -> Iterator[Callable[..., Busy]]:
    with ThreadPoolExecutor(16) as pool:

        def begin(handlers: str = "", **more: Any) -> Busy:
            server = start(SERVED + handlers, **more).wait_until_ready()
            while server.rest("GET", "/metadata")[0] == 504:
                pass  # until Flask is loaded, if it is needed
            return Busy(server, gate, pool)

        yield begin


@engines
@with_handlers
@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
def test_more_requests_than_may_wait_are_turned_away(hold: Any, engine: str, handlers: str, path: str) -> None:
    busy = hold(handlers, server={"engine": engine, "max_queue": 0})
    for _ in range(3):
        status, headers, body = ask(busy.server, path, "too many")
        assert (status, headers["retry-after"]) == (503, "1")
        assert body["status"]["reason"] == "MICROSERVICE_OVERLOADED"
        with pytest.raises(grpc.RpcError) as caught:
            busy.server.call(wire("too many"))
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert busy.server.rest("GET", "/ready")[0] == 200
        assert body["status"]["info"] == "queue full (server.max_queue=0)"
    assert [status for status, _ in busy.release()] == [200]
    assert ask(busy.server, path, "again")[0] == 200
    assert SeldonMessage.FromString(busy.server.call(wire("again"))).strData == "again"
    assert seen(busy.server) == ["gate", "again", "again"]


LOADING = """
from gated import pass_gate

class Served:
    def __init__(self):
        pass_gate()

    def predict(self, X, names):
        return X
"""


@pytest.fixture
def load(start: Start, gate: Any) -> Callable[..., Any]:
    """Starts a server whose class is held at the gate while it loads."""

    def begin(handlers: str, **more: Any) -> Any:
        server = start(LOADING + handlers, **more).wait_for_addresses()
        server.metrics_port = int(server.wait_for(r"metrics on http://127.0.0.1:(\d+)")[1])
        server.grpc_port = int(server.wait_for(r"gRPC on 127.0.0.1:(\d+)")[1])
        gate.wait_until_entered()
        return server

    return begin


@engines
@with_handlers
def test_while_the_class_loads_no_more_wait_than_may(load: Any, gate: Any, engine: str, handlers: str) -> None:
    server = load(handlers, server={"engine": engine, "max_queue": 2})
    with ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(ask, server, path, "waits") for path in PATHS.values()]
        waiting.append(pool.submit(server.call, wire("waits")))
        while not re.search(r"in_flight_requests\{.*\} 3.0", server.metrics()):
            pass
        for path in PATHS.values():
            status, headers, body = ask(server, path, "too many")
            assert (status, headers["retry-after"]) == (503, "1")
            assert body["status"]["reason"] == "MICROSERVICE_OVERLOADED"
        with pytest.raises(grpc.RpcError) as caught:
            server.call(wire("too many"))
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        gate.release()
        short, through, called = (each.result(30) for each in waiting)
    assert (short[0], through[0]) == (200, 200)
    assert SeldonMessage.FromString(called).strData == "waits"
    while not re.search(r"in_flight_requests\{.*\} 0.0", server.metrics()):
        pass


@engines
@with_handlers
def test_while_the_class_loads_pages_wait_for_its_handlers(load: Any, gate: Any, engine: str, handlers: str) -> None:
    server = load(handlers, server={"engine": engine})
    with ThreadPoolExecutor(3) as pool:
        waiting = [pool.submit(server.rest, "GET", path) for path in ("/seldon.json", "/nothing", "/health/ping")]
        while not re.search(r"in_flight_requests\{.*\} 2.0", server.metrics()):
            pass  # until the server has the two that count
        assert [server.rest("GET", path)[0] for path in ("/live", "/ready")] == [200, 503]
        assert not any(each.done() for each in waiting)
        gate.release()
        assert [each.result(30)[0] for each in waiting] == [200, 404, 200]


@engines
@with_handlers
def test_while_the_class_loads_requests_time_out(load: Any, gate: Any, engine: str, handlers: str) -> None:
    server = load(handlers, server={"engine": engine}, timeout=0.5)
    for path in PATHS.values():
        status, _, body = ask(server, path, "late")
        assert (status, body["status"]["reason"]) == (504, "MICROSERVICE_TIMEOUT")
        assert body["status"]["info"] == "no response within 0.5 seconds (server.request_timeout_seconds)"
    with pytest.raises(grpc.RpcError) as caught:
        server.call(wire("late"))
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert re.search(r"in_flight_requests\{.*\} 0.0", server.metrics())
    gate.release()
    while server.rest("GET", "/ready")[0] != 200:
        pass
    assert server.stop() == 0
    assert "Traceback" not in server.log


@engines
@with_handlers
def test_as_many_as_may_wait_are_answered_whichever_way_they_came(hold: Any, engine: str, handlers: str) -> None:
    busy = hold(handlers, server={"engine": engine, "max_queue": 3})
    for path in PATHS.values():
        busy.queue(partial(ask, busy.server, path, "waits"))
    busy.queue(partial(busy.server.call, wire("waits")))
    first, short, through, called = busy.release()
    assert (first[0], short[0], through[0]) == (200, 200, 200)
    assert SeldonMessage.FromString(called).strData == "waits"
    assert busy.server.predict()[0] == 200


@engines
@with_handlers
@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
def test_what_waits_too_long_is_never_begun(hold: Any, engine: str, handlers: str, path: str) -> None:
    busy = hold(handlers, server={"engine": engine}, timeout=1)
    status, _, body = ask(busy.server, path, "late")
    assert (status, body["status"]["reason"]) == (504, "MICROSERVICE_TIMEOUT")
    with pytest.raises(grpc.RpcError) as caught:
        busy.server.call(wire("late"))
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert busy.release()[0][0] == 504
    assert ask(busy.server, path, "last")[0] == 200
    assert seen(busy.server) == ["gate", "last"]


@pytest.mark.parametrize("how", ["deadline", "cancel"])
def test_a_call_that_its_client_gives_up_is_never_begun(hold: Any, how: str) -> None:
    busy = hold(access=True)
    with grpc.insecure_channel(f"127.0.0.1:{busy.server.grpc_port}") as channel:
        grpc.channel_ready_future(channel).result(20)
        predict = channel.unary_unary(PREDICT, None, None)
        given_up = predict.future(wire("given up"), timeout=1 if how == "deadline" else 30)
        if how == "cancel":
            while not re.search(r"^seldon_spec_in_flight_requests\{.*\} 2\.0$", busy.server.metrics(), re.MULTILINE):
                pass  # until the server has it
            given_up.cancel()  # type: ignore[no-untyped-call]
            with pytest.raises(grpc.FutureCancelledError):
                given_up.result()
        else:
            with pytest.raises(grpc.RpcError) as caught:
                given_up.result()
            assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        busy.server.wait_for("Predict (CANCELLED|DEADLINE_EXCEEDED)")
        last = predict.future(wire("last"), timeout=30)
        assert busy.release()[0][0] == 200
        assert SeldonMessage.FromString(last.result()).strData == "last"
    assert seen(busy.server) == ["gate", "last"]


RAISED = {
    "memory": "raise MemoryError('all of it')",
    "real memory": "return bytearray(1 << 60)",
    "exit": "import sys; sys.exit(3)",
    "interrupt": "raise KeyboardInterrupt",
    "generator exit": "raise GeneratorExit",
    "base exception": "raise BaseException('x')",
    "recursion": "return self.predict(X, names)",
    "cancelled": "import asyncio; raise asyncio.CancelledError",
    "stop iteration": "raise StopIteration",
    "not an instance": "raise ValueError",
    "broken text": "class Broken(Exception):\n    __str__ = None\n  raise Broken",
}


@engines
@pytest.mark.parametrize("threads", [1, 2])
@with_handlers
@pytest.mark.parametrize("statement", RAISED.values(), ids=RAISED)
def test_whatever_a_class_raises_the_next_request_is_answered(
    raising: Callable[..., Any], engine: str, threads: int, handlers: str, statement: str
) -> None:
    server = raising(engine, threads, handlers)
    status, _, body = ask(server, "/predict", statement)
    assert (status, body["status"]["reason"]) == (500, "MICROSERVICE_INTERNAL_ERROR")
    with pytest.raises(grpc.RpcError) as caught:
        server.call(wire(statement))
    assert caught.value.code() is grpc.StatusCode.UNKNOWN
    assert ask(server, "/predict", "return 'fine'")[2]["strData"] == "fine"
    assert SeldonMessage.FromString(server.call(wire("return 'fine'"))).strData == "fine"


@pytest.fixture(scope="module")
def raising(start_for_module: Start) -> Callable[..., Any]:
    """Servers of a class that runs what it is sent, by their settings."""
    source = """
class Served:
    def predict(self, X, names):
        code = "def run(self, X, names):\\n  " + X
        space = {}
        exec(code, space)
        return space["run"](self, X, names)
"""
    servers: dict[tuple[str, int, str], Any] = {}

    def get(engine: str, threads: int, handlers: str) -> Any:
        key = engine, threads, handlers
        if key not in servers:
            more = {"engine": engine, "threads": threads}
            servers[key] = start_for_module(source + handlers, server=more).wait_until_ready()
        return servers[key]

    return get

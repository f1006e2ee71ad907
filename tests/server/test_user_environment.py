"""The user's code runs as in any Python program: main thread, event loop, signals, forks, exit, working directory."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest

from seldon_spec.protocols.seldon_v1.proto import SeldonMessage

Start = Callable[..., Any]

# The event loop

BACKGROUND = {
    "task": """
    async def load(self):
        self.task = asyncio.create_task(self.count())
""",
    "task-of-a-plain-load": """
    def load(self):
        self.task = asyncio.get_event_loop().create_task(self.count())
""",
    "task-of-the-constructor": """
    def __init__(self):
        super().__init__()
        asyncio.get_event_loop().run_until_complete(self.begin())

    async def begin(self):
        self.task = asyncio.ensure_future(self.count())
""",
    "after-asyncio-run": """
    def load(self):
        asyncio.run(asyncio.sleep(0))

    def metrics(self):
        if not self.ticks:
            self.task = asyncio.get_event_loop().create_task(self.count())
        return []
""",
    "timer": """
    def load(self):
        self.again()

    def again(self):
        self.tick()
        asyncio.get_event_loop().call_later(0.005, self.again)
""",
    "from-another-thread": """
    def load(self):
        loop = asyncio.get_event_loop()
        threading.Thread(target=lambda: asyncio.run_coroutine_threadsafe(self.count(), loop), daemon=True).start()
""",
    "server": """
    async def load(self):
        self.server = await asyncio.start_server(self.greet, "127.0.0.1", 0)
        port = self.server.sockets[0].getsockname()[1]
        threading.Thread(target=self.connect, args=(port,), daemon=True).start()

    async def greet(self, reader, writer):
        with contextlib.suppress(asyncio.CancelledError):  # which the streams of Python 3.11 would log
            await self.count()

    def connect(self, port):
        with socket.create_connection(("127.0.0.1", port)) as held:
            held.recv(1)
""",
}

COUNTING = """
import asyncio, contextlib, os, socket, threading

class Base:
    def __init__(self):
        self.ticks = 0

    def tick(self):
        self.ticks += 1
        if self.ticks == 20:
            os.write(2, b"ticked\\n")

    async def count(self):
        try:
            while True:
                self.tick()
                await asyncio.sleep(0.005)
        finally:
            os.write(2, b"task ended\\n")

class Served(Base):
    def predict(self, X, names):
        return X
"""


@pytest.fixture(scope="session")
def preloaded() -> None:
    """Start new processes: what they load and how they end is what is tested."""


@pytest.mark.parametrize("methods", BACKGROUND.values(), ids=BACKGROUND.keys())
def test_background_work_runs_between_requests(start: Start, methods: str) -> None:
    server = start(COUNTING + methods).wait_until_ready()
    if "metrics" in methods:
        assert server.predict()[0] == 200
    if not server.count("ticked"):
        server.wait_for("ticked")  # without any further request
    assert server.predict()[0] == 200
    assert server.stop() == 0
    assert "Traceback" not in server.log
    assert server.count("task ended") == ("self.count" in methods)


def test_a_callback_from_another_thread_runs_while_several_threads_wait(start: Start) -> None:
    """Also if the last request was handled by another thread than that of the event loop."""
    source = """
import asyncio, os, threading

class Served:
    async def load(self):
        self.was_called = threading.Event()
        threading.Thread(target=self.call, args=(asyncio.get_running_loop(),), daemon=True).start()

    def call(self, loop):
        while self.was_called.wait():
            self.was_called.clear()
            asyncio.run_coroutine_threadsafe(asyncio.sleep(0), loop).result()
            os.write(2, b"called\\n")

    def predict(self, X, names):
        self.was_called.set()
        return X
"""
    server = start(source, server={"threads": 3}).wait_until_ready()
    for _ in range(30):
        assert server.predict()[0] == 200
        server.wait_for("called")
    assert server.stop() == 0
    assert "Traceback" not in server.log


OWN_LOOPS = {
    "its-own": "self.own = asyncio.new_event_loop(); asyncio.set_event_loop(self.own)",
    "asyncio-run": "asyncio.run(asyncio.sleep(0))",
    "a-closed-one": "loop = asyncio.new_event_loop(); asyncio.set_event_loop(loop); loop.close()",
    "a-policy": "asyncio.set_event_loop_policy(Policy())",
}


@pytest.mark.parametrize("statement", OWN_LOOPS.values(), ids=OWN_LOOPS.keys())
def test_the_current_event_loop_is_the_classs_or_ours(start: Start, statement: str) -> None:
    source = f"""
import asyncio

class Policy(asyncio.DefaultEventLoopPolicy):
    pass

class Served:
    own = None

    def load(self):
        {statement}

    async def later(self, X):
        return X

    def predict(self, X, names):
        loop = asyncio.get_event_loop()
        assert self.own in (loop, None)
        X = loop.run_until_complete(self.later(X))
        if self.own is None:
            asyncio.run(asyncio.sleep(0))  # which leaves no current loop
        return {{"x": X}}

    def __del__(self):
        if self.own is not None:
            self.own.close()
"""
    server = start(source).wait_until_ready()
    for _ in range(2):
        assert server.predict("a") == (200, {"jsonData": {"x": "a"}, "meta": {}})
    assert server.stop() == 0
    assert "Traceback" not in server.log


HOOKS = {
    "get_event_loop": "return {'x': asyncio.get_event_loop().run_until_complete(self.later(X))}",
    "closed": "loop = asyncio.get_event_loop(); x = loop.run_until_complete(self.later(X)); loop.close(); return {'x': x}",
    "asyncio-run": "return {'x': asyncio.run(self.later(X))}",
    "new-loop": "loop = asyncio.new_event_loop(); x = loop.run_until_complete(self.later(X)); loop.close(); return {'x': x}",
}


@pytest.mark.parametrize("body", HOOKS.values(), ids=HOOKS.keys())
@pytest.mark.parametrize("threads", [1, 2])
def test_a_plain_method_runs_coroutines(start: Start, body: str, threads: int) -> None:
    source = f"""
import asyncio

class Served:
    async def later(self, X):
        await asyncio.sleep(0)
        return X

    def predict(self, X, names):
        {body}
"""
    server = start(source, server={"threads": threads}).wait_until_ready()
    for _ in range(3):
        status, answer = server.predict("a")
        assert (status, answer.get("jsonData")) == (200, {"x": "a"}), answer
    assert server.stop() == 0


# Signals

ALARM = """
import signal, threading, time

class Served:
    def predict(self, X, names):
        signal.signal(signal.SIGALRM, self.give_up)
        signal.setitimer(signal.ITIMER_REAL, 0.05 if X == "slow" else 20)
        try:
            while X == "slow":
                time.sleep(20)
            return X
        except TimeoutError:
            return "gave up"
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)

    def give_up(self, *_):
        raise TimeoutError
"""


def test_an_alarm_limits_a_method(start: Start) -> None:
    server = start(ALARM).wait_until_ready()
    assert server.predict("slow") == (200, {"strData": "gave up", "meta": {}})
    assert server.predict("x") == (200, {"strData": "x", "meta": {}})
    assert server.stop() == 0


HANDLERS = {
    "returns": "signal.signal(signal.SIGTERM, lambda *_: os.write(2, b'handled\\n'))",
    "exits": "signal.signal(signal.SIGTERM, self.leave)",
    "asyncio": "asyncio.get_event_loop().add_signal_handler(signal.SIGTERM, os.write, 2, b'handled\\n')",
}


@pytest.mark.parametrize("statement", HANDLERS.values(), ids=HANDLERS.keys())
def test_a_handler_of_the_class_does_not_keep_the_server_from_draining(start: Start, gate: Any, statement: str) -> None:
    source = f"""
import asyncio, os, signal, sys
from gated import pass_gate

class Served:
    def load(self):
        {statement}

    def leave(self, *_):
        os.write(2, b"handled\\n")
        sys.exit(7)

    def predict(self, X, names):
        return X

    def send_feedback(self, *_):
        pass
"""
    server = start(source).wait_until_ready()
    assert server.predict()[0] == 200
    assert server.stop() == 0


TAKEN = {
    "ignored": "signal.signal(signal.SIGTERM, signal.SIG_IGN)",
    "default": "signal.signal(signal.SIGTERM, signal.SIG_DFL)",
    "asyncio-run": "asyncio.run(self.handle())",
    "loop-of-its-own": "self.loop = asyncio.SelectorEventLoop(); self.loop.add_signal_handler(signal.SIGTERM, int)",
}


@pytest.mark.parametrize("statement", TAKEN.values(), ids=TAKEN.keys())
def test_a_class_that_takes_the_signal_leaves_it_to_the_server(start: Start, statement: str) -> None:
    source = f"""
import asyncio, atexit, os, signal

class Served:
    def load(self):
        atexit.register(os.write, 2, b"ended\\n")
        self.loop = None
        {statement}

    async def handle(self):
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, int)

    def predict(self, X, names):
        return X

    def __del__(self):
        if self.loop is not None:
            self.loop.close()
"""
    server = start(source).wait_until_ready()
    assert server.predict()[0] == 200
    assert server.stop() == 0
    assert server.count("^ended") == 1
    assert "killing" not in server.log


def test_an_event_loop_of_the_class_gets_the_signals_that_it_handles(start: Start) -> None:
    source = """
import asyncio, os, signal

class Served:
    def load(self):
        self.loop, self.has_signal = asyncio.SelectorEventLoop(), asyncio.Event()
        self.loop.add_signal_handler(signal.SIGUSR1, self.has_signal.set)

    def predict(self, X, names):
        os.kill(os.getpid(), signal.SIGUSR1)
        self.loop.run_until_complete(asyncio.wait_for(self.has_signal.wait(), 20))
        return X
"""
    server = start(source).wait_until_ready()
    assert server.predict()[0] == 200
    assert server.stop() == 0


def test_the_event_loop_hears_a_signal_while_the_model_computes(start: Start, gate: Any) -> None:
    source = """
from gated import pass_gate

class Served:
    def predict(self, X, names):
        pass_gate()
        return X
"""
    server = start(source).wait_until_ready()
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(server.predict)
        gate.wait_until_entered()
        server.process.send_signal(signal.SIGTERM)
        server.wait_for("stopping: ")
        gate.release()
        assert held.result()[0] == 200
    assert server.wait() == 0


# The end

ENDS = {
    "atexit": "atexit.register(mark, 'ended')",
    "atexit-slow": "atexit.register(lambda: (time.sleep(1.5), mark('ended')))",
    "thread": "threading.Thread(target=lambda: (threading.main_thread().join(), mark('ended'))).start()",
    "executor": "self.pool = concurrent.futures.ThreadPoolExecutor(); self.pool.submit(lambda: (time.sleep(0.5), mark('ended')))",
    "weakref-finalize": "weakref.finalize(self, mark, 'ended')",
    "generator": "self.suspended = suspend(); next(self.suspended)",
    "del": "self.inner = Inner()",
}

ENDING = """
import atexit, concurrent.futures, os, pathlib, threading, time, weakref

def mark(word):
    os.write(2, word.encode() + b"\\n")

def suspend():
    try:
        yield
    finally:
        mark("ended")

class Inner:
    def __del__(self):
        mark("ended")

class Served:
    def load(self):
        {statement}

    def predict(self, X, names):
        return X
"""


@pytest.mark.parametrize("statement", ENDS.values(), ids=ENDS.keys())
def test_a_worker_ends_as_python_does(start: Start, statement: str) -> None:
    server = start(ENDING.replace("{statement}", statement)).wait_until_ready()
    assert server.predict()[0] == 200
    assert server.stop() == 0
    assert server.count("ended") == 1
    assert "Traceback" not in server.log


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM], ids=["replaced", "stopped"])
def test_each_worker_runs_its_handlers(start: Start, number: int) -> None:
    server = start(ENDING.replace("{statement}", ENDS["atexit"]), workers=2).wait_until_ready()
    server.process.send_signal(number)
    for _ in range(2):
        server.wait_for("ended")
    if number == signal.SIGHUP:
        server.stop()
    else:
        server.wait()
    assert server.count("ended") == (4 if number == signal.SIGHUP else 2)


def test_a_thread_that_never_ends_does_not_keep_the_server(start: Start) -> None:
    statement = (
        "threading.Thread(target=threading.Event().wait, name='endless').start(); atexit.register(mark, 'ended')"
    )
    server = start(ENDING.replace("{statement}", statement), grace=1).wait_until_ready()
    assert server.stop() == 0
    assert server.count("without waiting for threads of the class: endless") == 1
    assert server.count("^ended") == 1


def test_a_stop_interrupts_a_constructor(start: Start) -> None:
    source = """
import os, time

class Served:
    def __init__(self):
        try:
            os.write(2, b"loading\\n")
            time.sleep(600)
        finally:
            os.write(2, b"cleaned up\\n")

    def predict(self, X, names):
        return X
"""
    server = start(source)
    server.wait_for("^loading")
    assert server.stop() == 0
    assert server.count("cleaned up") == 1


def test_a_call_that_outlives_the_grace_period_is_interrupted(start: Start) -> None:
    source = """
import os, time

class Served:
    def predict(self, X, names):
        try:
            os.write(2, b"predicting\\n")
            time.sleep(600)
        finally:
            os.write(2, b"cleaned up\\n")
"""
    server = start(source, grace=0).wait_until_ready()
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(server.predict)
        server.wait_for("^predicting")
        assert server.stop() == 0
        assert held.exception() is not None or held.result()[0] == 503
    assert server.count("cleaned up") == 1


# Processes that the class starts

FORKING = """
import multiprocessing, os, signal, sys, time
from served_parts import double

class Served:
    def predict(self, X, names):
        return getattr(self, X.partition(":")[0])(X)

    def stay(self, X):
        pid = os.fork()
        if pid == 0:
            os.closerange(0, 3)  # else the log would not end
            signal.pause()
        return {"pid": pid}

    def end(self, X):
        pid = os.fork()
        if pid == 0:
            if X == "end:exit":
                sys.exit(3)
            if X == "end:raise":
                raise ValueError("in the child")
            return "in the child"
        return {"code": os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}

    def terminate(self, X):
        process = multiprocessing.get_context("fork").Process(target=time.sleep, args=(600,))
        process.start()
        process.terminate()
        process.join(10)
        return {"code": process.exitcode}

    def pool(self, X):
        with multiprocessing.get_context(X.partition(":")[2]).Pool(2) as pool:
            return {"doubled": pool.map(double, [1, 2])}
"""


@pytest.fixture
def forking(start: Start, tmp_path: Path) -> Any:
    (tmp_path / "served_parts.py").write_text("def double(x):\n    return 2 * x\n")
    return start(FORKING).wait_until_ready()


def test_a_forked_process_that_stays_keeps_neither_ports_nor_connections(forking: Any, start: Start) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", forking.http_port, timeout=20)
    connection.request("POST", "/predict", '{"strData": "stay"}', {"Content-Type": "application/json"})
    pid = json.loads(connection.getresponse().read())["jsonData"]["pid"]
    ports = [forking.http_port, forking.grpc_port, forking.metrics_port]
    assert forking.stop() == 0
    try:
        os.kill(pid, 0)
        assert connection.sock.recv(1) == b""
        connection.close()
        again = start(FORKING, ports=ports).wait_until_ready()
        assert again.predict("end:exit")[0] == 200
    finally:
        os.kill(pid, signal.SIGKILL)


CHILDREN: dict[str, Any] = {
    "end:exit": {"code": 3},
    "end:raise": {"code": 1},
    "end:return": {"code": 0},
    "terminate": {"code": -15},
}
CHILDREN |= {
    "pool:fork": {"doubled": [2, 4]},
    "pool:spawn": {"doubled": [2, 4]},
    "pool:forkserver": {"doubled": [2, 4]},
}


def test_processes_of_the_class_end_as_in_any_program(forking: Any) -> None:
    answers = {asked: forking.predict(asked) for asked in CHILDREN}
    assert answers == {asked: (200, {"jsonData": expected, "meta": {}}) for asked, expected in CHILDREN.items()}
    (count,) = re.findall(r'seldon_spec_request_duration_seconds_count\{.*method="predict".* (\S+)', forking.metrics())
    assert float(count) == len(CHILDREN)
    assert forking.stop() == 0


# Flask

FLASK = """
{imports}

class Served:
    {define} predict(self, X, names):
        {inner}
        return {{"tenant": request.headers.get("X-Tenant"), "app": current_app.name, "body": request.get_json()["strData"]}}
"""

IMPORTS = {
    "at-the-top": ("from flask import current_app, request", "def", "pass"),
    "in-the-method": ("import json", "def", "from flask import current_app, request"),
    "in-a-coroutine": ("import flask; from flask import current_app, request; import asyncio", "async def", "await asyncio.sleep(0)"),
}  # fmt: skip


@pytest.mark.parametrize(("imports", "define", "inner"), IMPORTS.values(), ids=IMPORTS.keys())
def test_flasks_context_of_a_rest_request(start: Start, imports: str, define: str, inner: str) -> None:
    source = FLASK.format(imports=imports, define=define, inner=inner)
    server = start(source, server={"batching": {"max_rows": 8, "max_delay_ms": 0}}).wait_until_ready()
    for tenant in ("blue", "red"):
        connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=20)
        headers = {"Content-Type": "application/json", "X-Tenant": tenant}
        connection.request("POST", "/predict", '{"strData": "x"}', headers)
        answer = json.loads(connection.getresponse().read())
        connection.close()
        assert answer["jsonData"] == {"tenant": tenant, "app": "seldon_spec", "body": "x"}
    with pytest.raises(grpc.RpcError, match="outside of"):
        server.call(SeldonMessage(strData="x").SerializeToString())
    assert server.stop() == 0


# The working directory


def test_relative_files_are_found_in_the_folder_of_the_spec(start: Start, tmp_path: Path) -> None:
    source = """
class Served:
    def __init__(self):
        with open("constant.txt") as file:
            self.constant = file.read()

    def predict(self, X, names):
        with open("late.txt") as file:
            return self.constant + file.read()
"""
    (tmp_path / "constant.txt").write_text("a")
    (tmp_path / "late.txt").write_text("b")
    assert Path.cwd() != tmp_path
    server = start(source).wait_until_ready()
    assert server.predict() == (200, {"strData": "ab", "meta": {}})
    assert server.stop() == 0

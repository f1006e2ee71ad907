"""``server.preload``: a template process loads the model, and forks the workers."""

from __future__ import annotations

import os
import re
import signal
import socket
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from seldon_spec.config.model import Spec
from seldon_spec.config.model_files.spec import ModelOptions, ModelSpec
from seldon_spec.errors import ComponentFailed
from seldon_spec.inference.assembly import LoadedClasses
from seldon_spec.inference.component.progress import Progress
from tests.server.conftest import Beside, Watch

Start = Callable[..., Any]

PRELOAD = {"preload": True}

SERVED = """
import os, random
from pathlib import Path
import numpy as np
from gated import pass_gate

class Served:
    version = 1

    def __init__(self):
        with Path(__file__).with_name("loads").open("a") as file:
            file.write("x")
        self.table = np.ones(TABLE_BYTES // 8)
        np.random.seed(1)

    def predict(self, X, names):
        if X == "wait":
            pass_gate()
        return {"process": os.getpid(), "version": self.version, "numbers": [random.random(), np.random.random()]}
"""
TABLE_BYTES = 128 << 20

SMALL = SERVED.replace("TABLE_BYTES", "64")
BROKEN = SMALL.replace("np.random.seed(1)", "raise ValueError('no weights')")
GATED = SMALL.replace("np.random.seed(1)", "pass_gate()")


@pytest.fixture(scope="session")
def preloaded() -> None:
    """Start new processes: their memory, and how they end, is what is tested."""


def _find_template(server: Any) -> int:
    """The latest template process."""
    return int(re.findall(r"template process (\d+)", server.log)[-1])


def _find_workers(server: Any) -> set[int]:
    workers: set[int] = server.workers() - {_find_template(server)}
    return workers


def _ask_each(server: Any, workers: set[int]) -> list[dict[str, Any]]:
    """The first response of each worker."""
    found: dict[int, dict[str, Any]] = {}
    while found.keys() != workers:
        status, body = server.predict()
        assert status == 200
        found.setdefault(body["jsonData"]["process"], body["jsonData"])
    return [*found.values()]


def _count_loads(folder: Path) -> int:
    return len((folder / "loads").read_text())


def _read_shared(pid: int) -> int:
    """The bytes of a process, of which those that it shares are divided by the number of processes."""
    match = re.search(r"^Pss: +(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    assert match is not None
    return int(match[1]) * 1024


def _is_refused(port: int) -> bool:
    """Whether the port is closed; the system may reset a connection that it made just before."""
    try:
        socket.create_connection(("127.0.0.1", port), 20).close()
    except (ConnectionRefusedError, ConnectionResetError):
        return True
    return False


def _kill(server: Any, pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    server.wait_for("was terminated by SIGKILL")


@pytest.mark.usefixtures("gate")
def test_the_workers_share_the_memory_of_the_model(start: Start) -> None:
    source = SERVED.replace("TABLE_BYTES", str(TABLE_BYTES))
    server = start(source, workers=4, server=PRELOAD).wait_until_ready()
    assert len(_find_workers(server)) == 4
    assert sum(_read_shared(pid) for pid in server.workers()) < 2 * TABLE_BYTES
    assert server.stop() == 0


@pytest.mark.usefixtures("gate")
def test_workers_have_different_random_numbers(start: Start) -> None:
    server = start(SMALL, workers=3, server=PRELOAD).wait_until_ready()
    numbers = [each["numbers"] for each in _ask_each(server, _find_workers(server))]
    assert all(len(set(column)) == 3 for column in zip(*numbers, strict=True))


SETTING = """
import logging, os

class Served:
    def __init__(self):
        logging.getLogger().addHandler(logging.FileHandler("own.log", delay=True))
        logging.getLogger().setLevel(logging.DEBUG)
        os.chdir("..")

    def predict(self, X, names):
        log = logging.getLogger()
        inherited = [fd for fd in map(int, os.listdir("/proc/self/fd")) if fd > 2 and is_inherited(fd)]
        return {"folder": os.getcwd(), "level": log.level, "handlers": list(map(str, log.handlers)), "fds": inherited}

def is_inherited(fd):
    try:
        return os.get_inheritable(fd)
    except OSError:  # of listdir
        return False
"""


def test_workers_have_what_the_class_has_set(start: Start, tmp_path: Path) -> None:
    """Its handlers and level of the log, and its working directory; and programs that it runs inherit nothing."""
    server = start(SETTING, server=PRELOAD).wait_until_ready()
    found = server.predict()[1]["jsonData"]
    own = f"<FileHandler {tmp_path}/own.log (NOTSET)>"
    handlers = ["<LogHandler <stderr> (NOTSET)>", own]
    assert found == {"folder": str(tmp_path.parent), "level": 10, "handlers": handlers, "fds": []}
    assert server.stop() == 0


@pytest.mark.usefixtures("gate")
def test_a_crashed_worker_is_replaced_without_another_load(start: Start, tmp_path: Path) -> None:
    server = start(SMALL, workers=2, server=PRELOAD).wait_until_ready()
    _kill(server, min(_find_workers(server)))
    server.wait_for(r"worker \d is ready")
    assert len(_ask_each(server, _find_workers(server))) == 2
    assert _count_loads(tmp_path) == 1
    assert server.stop() == 0


@pytest.mark.usefixtures("gate")
def test_a_killed_template_process_is_replaced(start: Start, tmp_path: Path) -> None:
    server = start(SMALL, workers=2, server=PRELOAD).wait_until_ready()
    before = _find_workers(server)
    _kill(server, _find_template(server))
    server.wait_for("the model is loaded")
    assert _find_workers(server) == before
    _kill(server, min(before))
    server.wait_for(r"worker \d is ready")
    assert len(_ask_each(server, _find_workers(server))) == 2
    assert _count_loads(tmp_path) == 2
    assert server.stop() == 0


@pytest.mark.usefixtures("gate")
def test_a_signal_to_all_processes_does_not_end_the_template_process_before_the_supervisor(
    start: Start, tmp_path: Path
) -> None:
    server = start(SMALL, server=PRELOAD).wait_until_ready()
    template = _find_template(server)
    os.kill(template, signal.SIGTERM)
    (worker,) = _find_workers(server)
    _kill(server, worker)
    server.wait_for("worker 0 is ready")
    assert server.workers() > {template}
    assert _count_loads(tmp_path) == 1
    assert server.stop() == 0


@pytest.mark.usefixtures("gate")
def test_a_hangup_loads_the_new_model_and_frees_the_old_one(start: Start, tmp_path: Path) -> None:
    server = start(SMALL, workers=2, server=PRELOAD).wait_until_ready()
    with server.watch() as old:
        (tmp_path / "Served.py").write_text(SMALL.replace("version = 1", "version = 2"))
        server.process.send_signal(signal.SIGHUP)
        server.wait_for("worker 0 is ready")
        server.wait_for("worker 1 is ready")
        assert old.all_end()
    assert {each["version"] for each in _ask_each(server, _find_workers(server))} == {2}
    assert _count_loads(tmp_path) == 2
    assert server.stop() == 0


def test_a_hangup_during_a_load_loads_the_newest_class(start: Start, gate: Any, tmp_path: Path) -> None:
    server = start(GATED, server=PRELOAD).wait_for_addresses()
    gate.wait_until_entered()
    (tmp_path / "Served.py").write_text(SMALL.replace("version = 1", "version = 2"))
    server.process.send_signal(signal.SIGHUP)
    server.wait_for("supervisor: ready")
    assert server.predict()[1]["jsonData"]["version"] == 2
    assert server.stop() == 0
    assert "Traceback" not in server.log


@pytest.mark.usefixtures("gate")
def test_a_model_that_cannot_be_loaded_keeps_the_old_one(start: Start, tmp_path: Path) -> None:
    server = start(SMALL, workers=2, server=PRELOAD).wait_until_ready()
    template, before = _find_template(server), _find_workers(server)
    (tmp_path / "Served.py").write_text(BROKEN)
    server.process.send_signal(signal.SIGHUP)
    server.wait_for("the model cannot be loaded, keeping the current workers: no weights")
    server.wait_for("ValueError: no weights")
    assert server.workers() >= before | {template}
    _kill(server, min(before))
    server.wait_for(r"worker \d is ready")
    assert {each["version"] for each in _ask_each(server, _find_workers(server))} == {1}
    assert server.stop() == 0


@pytest.mark.usefixtures("gate")
def test_a_hangup_without_a_template_process_replaces_the_workers_once_the_model_is_loaded(
    start: Start, tmp_path: Path
) -> None:
    server = start(SMALL, server=PRELOAD).wait_until_ready()
    with Watch(_find_workers(server)) as old:
        (tmp_path / "Served.py").write_text(BROKEN)
        os.kill(_find_template(server), signal.SIGKILL)
        server.wait_for("the model cannot be loaded")
        server.process.send_signal(signal.SIGHUP)
        server.wait_for("SIGHUP: replacing")
        server.wait_for("the model cannot be loaded")
        (tmp_path / "Served.py").write_text(SMALL.replace("version = 1", "version = 2"))
        server.wait_for("worker 0 is ready")
        assert old.all_end()
    assert server.predict()[1]["jsonData"]["version"] == 2
    assert server.stop() == 0


@pytest.mark.usefixtures("gate")
def test_a_function_that_does_not_return_in_a_fork_is_reported(start: Start) -> None:
    hanging = SMALL.replace("np.random.seed(1)", "os.register_at_fork(after_in_child=lambda: time.sleep(60))")
    server = start(f"import time\n{hanging}", server=PRELOAD).wait_for_addresses()
    with server.watch() as processes:
        server.wait_for("a function of os.register_at_fork does not return")
        assert server.wait() == 1
        assert processes.all_end()


@pytest.mark.usefixtures("gate")
def test_a_first_model_that_cannot_be_loaded_is_reported_as_by_a_worker(beside: Beside) -> None:
    beside.write_class(BROKEN)
    reports = []
    for preload in ("false", "true"):
        beside.write_spec(server=f"workers: 2, preload: {preload}")
        server = beside.start()
        code = server.wait()
        reports.append((code, [line for line in server.lines if not re.match(r"\d{4}-", line)]))
    assert reports[0] == reports[1]
    assert "no weights" in str(reports[0])


def test_the_server_is_alive_while_the_model_is_loaded(start: Start, gate: Any) -> None:
    server = start(GATED, server=PRELOAD).wait_for_addresses()
    gate.wait_until_entered()
    assert server.rest("GET", "/live")[0] == 200
    gate.release()
    server.wait_for("supervisor: ready")
    assert server.predict()[0] == 200
    assert server.stop() == 0


def test_a_signal_stops_the_load(start: Start, gate: Any) -> None:
    server = start(GATED, server=PRELOAD).wait_for_addresses()
    gate.wait_until_entered()
    with server.watch() as processes:
        assert server.stop() == 0
        assert processes.all_end()
    assert "Traceback" not in server.log


def test_a_template_process_that_is_killed_during_the_first_load_ends_the_server(start: Start, gate: Any) -> None:
    server = start(GATED, server=PRELOAD).wait_for_addresses()
    gate.wait_until_entered()
    (template,) = server.workers()
    os.kill(template, signal.SIGKILL)
    assert server.wait() == 1
    assert "the template process was terminated by SIGKILL before the model was loaded" in server.log


@pytest.mark.parametrize("is_loading", [True, False], ids=["loading", "serving"])
def test_the_death_of_the_supervisor_leaves_no_process(start: Start, gate: Any, *, is_loading: bool) -> None:
    server = start(GATED if is_loading else SMALL, workers=2, server=PRELOAD).wait_for_addresses()
    if is_loading:
        gate.wait_until_entered()
    else:
        server.wait_for("supervisor: ready")
    with server.watch() as processes:
        server.process.kill()
        assert processes.all_end()


def test_connections_are_refused_while_the_last_request_is_finished(start: Start, gate: Any) -> None:
    """The template process does not keep the ports open."""
    server = start(SMALL, server=PRELOAD).wait_until_ready()
    responses: list[Any] = []
    client = threading.Thread(target=lambda: responses.append(server.predict("wait")))
    client.start()
    gate.wait_until_entered()
    with Watch([_find_template(server)]) as template:
        server.process.send_signal(signal.SIGTERM)
        server.wait_for("draining")
        assert template.all_end()
    while not _is_refused(server.http_port):
        pass
    gate.release()
    client.join()
    assert responses[0][0] == 200
    assert server.wait() == 0


@pytest.mark.usefixtures("gate")
def test_what_workers_do_not_have_is_logged(start: Start) -> None:
    source = SMALL.replace(
        "np.random.seed(1)",
        "import threading\n        threading.Thread(target=pass_gate, name='poller', daemon=True).start()",
    )
    source += "\n    async def load(self):\n        import asyncio\n        asyncio.create_task(asyncio.sleep(60), name='refresher')\n"
    server = start(source, server=PRELOAD)
    server.wait_for("the workers do not have what was started at load: task refresher, thread poller")
    server.wait_for("supervisor: ready")
    assert server.stop() == 0


def test_a_model_file_whose_library_has_several_threads_is_refused(tmp_path: Path) -> None:
    """XGBoost and ONNX Runtime never return from a prediction in a process that was forked after they started them."""
    model = ModelSpec("model.ubj", "xgboost", options=ModelOptions(threads=2))
    spec = Spec(class_name="", name="m", folder=tmp_path, model=model)
    with pytest.raises(ComponentFailed, match=r"server\.preload requires model\.options\.threads: 1"):
        LoadedClasses(spec, Progress())


@pytest.mark.usefixtures("gate")
def test_orphans_are_reaped(start: Start) -> None:
    """The supervisor is the parent of all orphans, as the first process of a container is."""
    source = (
        SMALL
        + "\n    def tags(self):\n        os.waitpid(os.posix_spawn('/bin/sh', ['sh', '-c', 'sleep 0 &'], {}), 0)\n        return {}\n"
    )
    server = start(source, server=PRELOAD).wait_until_ready()
    for _ in range(5):
        assert server.predict()[0] == 200
    while len(_list_children(server.process.pid)) > 2:
        pass
    assert server.stop() == 0


def _list_children(pid: int) -> Sequence[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


GRAPH = """
components:
  first: {class_name: Served}
  second: {class_name: Second}
graph: [first, second]
"""


@pytest.mark.parametrize(
    ("variables", "loads"), [({}, 2), ({"SELDON_SPEC__COMPONENTS__SECOND__URL": "http://127.0.0.1:1"}, 1)]
)
def test_the_local_components_of_a_graph_are_loaded_once(
    beside: Beside, tmp_path: Path, variables: dict[str, str], loads: int
) -> None:
    beside.write_class(COUNTING)
    (tmp_path / "Second.py").write_text(COUNTING.replace("Served", "Second"))
    beside.write_spec(GRAPH, server="workers: 2, preload: true")
    spec = (tmp_path / "seldon.yaml").read_text()
    (tmp_path / "seldon.yaml").write_text(spec.replace("class_name: Served\n", "", 1))
    server = beside.start(**variables).wait_until_ready()
    assert (server.rest("POST", "/predict", '{"data": {"ndarray": [[1]]}}')[0] == 200) is (loads == 2)
    assert _count_loads(tmp_path) == loads
    assert server.stop() == 0


COUNTING = """
from pathlib import Path

class Served:
    def __init__(self):
        with Path(__file__).with_name("loads").open("a") as file:
            file.write("x")

    def predict(self, X, names):
        return X + 1
"""


@pytest.mark.parametrize(
    "server_keys", ["engine: uvicorn", "threads: 2", "log: {format: json, access: true}", "tracing: true"]
)
def test_other_keys_work_with_it(beside: Beside, tmp_path: Path, server_keys: str) -> None:
    beside.write_class(COUNTING)
    beside.write_spec(server=f"workers: 2, preload: true, {server_keys}")
    server = beside.start(OTEL_TRACES_EXPORTER="none").wait_until_ready()
    assert server.rest("POST", "/predict", '{"data": {"ndarray": [[1]]}}')[0] == 200
    assert _count_loads(tmp_path) == 1
    assert server.stop() == 0

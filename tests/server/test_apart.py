"""Components of a graph served alone, and a graph whose components are processes of their own on this machine."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from tests.server.conftest import GATED, WAIT_SECONDS, Gate, Server, Watch, launch, read_processes

SELDON_SPEC = (sys.executable, "-m", "seldon_spec")
COMMAND = (*SELDON_SPEC, "serve")

SPEC = """
name: scored
graph: [scaler, iris, labels]
components:
  labels: {class_name: Labels, service_type: TRANSFORMER}
  iris: {path: models/iris}
environment: {STAGE: test}
"""
SCALER = """
class Scaler:
    def transform_input(self, X, names):
        return X * 2
"""
IRIS = """
import os

class Iris:
    def __init__(self, offset=0):
        print("offset", offset, flush=True)
        self.offset = offset

    def predict(self, X, names):
        return X + self.offset

    def tags(self):
        return {"process": os.getpid(), "stage": os.environ.get("STAGE")}
"""
LABELS = """
class Labels:
    def transform_output(self, X, names):
        return X
"""


class GraphFolder:
    """The files of a graph, and servers of it."""

    def __init__(self, folder: Path, environ: Mapping[str, str], ports: list[int]) -> None:
        self.folder = folder
        self._environ = environ
        self._ports = ports
        self._servers: list[Server] = []
        self.write("seldon.yaml", SPEC)
        self.write("scaler/seldon.yaml", "class_name: Scaler\nservice_type: TRANSFORMER\n")
        self.write("scaler/Scaler.py", SCALER)
        self.write("models/iris/seldon.yaml", "class_name: Iris\nparameters: {offset: 1}\n")
        self.write("models/iris/Iris.py", IRIS)
        self.write("Labels.py", LABELS)

    def write(self, name: str, text: str) -> None:
        (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / name).write_text(text)

    def start(self, *words: str, prefix: str = "") -> Server:
        """Start a server; the ports are those of a component if there is a prefix."""
        keys = ("ports.http", "ports.grpc", "ports.metrics", "server.host")
        values = (*map(str, self._ports), "127.0.0.1")
        settings = [f"{prefix}{key}={value}" for key, value in zip(keys, values, strict=True)]
        flags = [word for setting in settings for word in ("--set", setting)]
        server = launch([*COMMAND, str(self.folder), *words, *flags], self._environ)
        server.http_port, server.grpc_port, server.metrics_port = self._ports
        self._servers.append(server)
        return server

    def run(self, *words: str, name: str = "serve") -> subprocess.CompletedProcess[str]:
        command = [*SELDON_SPEC, name, str(self.folder), *words]
        return subprocess.run(command, env=self._environ, capture_output=True, text=True, timeout=60, check=False)

    def end(self) -> None:
        for server in self._servers:
            server.end()


@pytest.fixture
def graph(
    tmp_path: Path, command_environ: dict[str, str], reserve_ports: Callable[[int], AbstractContextManager[list[int]]]
) -> Iterator[GraphFolder]:
    with reserve_ports(3) as ports:
        made = GraphFolder(tmp_path, command_environ, ports)
        yield made
        made.end()


def wait_until_serving(server: Server) -> Server:
    """Wait for the log of the process itself, whose lines begin with the time, not with a component's name."""
    server.wait_for(r"^[\d-]+ .*supervisor: ready in")
    return server


def predict(server: Server) -> Any:
    status, body = server.rest("POST", "/predict", json.dumps({"data": {"ndarray": [[1.0]]}}))
    assert status == 200, body
    return json.loads(body)


def descendants(pid: int) -> dict[int, str]:
    """The processes that a process has started, and those that they have started, with their command lines."""
    processes, found, last = read_processes(), dict[int, str](), {pid}
    while last:
        last = {child for child, (parent, state) in processes.items() if parent in last and state != "Z"}
        for child in last:
            found[child] = Path(f"/proc/{child}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    return found


def find_component(server: Server, name: str) -> int:
    """The first process of a component."""
    processes = read_processes()
    named = {pid for pid, line in descendants(server.process.pid).items() if f"--component {name} " in line}
    (pid,) = (pid for pid in named if processes[pid][0] not in named)
    return pid


@contextlib.contextmanager
def replacing(server: Server, count: int = 1) -> Iterator[None]:
    """A context whose body does something that replaces all workers, which have no children of their own."""
    processes = read_processes()
    parents = {parent for parent, _ in processes.values()}
    with Watch(descendants(server.process.pid).keys() - parents) as before:
        yield
        for _ in range(count):
            server.wait_for("worker 0 is ready in")
        assert before.all_end()


# One component


def test_a_component_is_served_alone_with_its_name_and_the_values_of_its_entry(graph: GraphFolder) -> None:
    server = graph.start(
        "--component", "iris", "--set", "components.iris.parameters.offset=5", prefix="components.iris."
    )
    wait_until_serving(server)
    body = predict(server)
    assert body["data"]["ndarray"] == [[6.0]]
    assert body["meta"]["requestPath"] == {"iris": "iris:latest"}
    assert body["meta"]["tags"]["stage"] == "test"  # a variable of the graph
    assert server.stop() == 0


WRONG_COMPONENTS = [
    (("--component", "irs"), 'the graph has no component "irs"', 'did you mean "iris"?'),
    (("--component", "xyz"), 'the graph has no component "xyz"', "its components are scaler, iris, labels"),
    (
        ("--component", "iris", "--set", "components.iris.url=http://iris:9000"),
        "iris is served at http://iris:9000",
        "remove components.iris.url",
    ),
    (("--component", "iris", "--apart"), "cannot be combined with --apart", ""),
    (("--transport", "grpc"), "needs --apart", ""),
]


@pytest.mark.parametrize(("words", "message", "remedy"), WRONG_COMPONENTS)
def test_wrong_arguments_exit_with_2_and_say_what_to_do(
    graph: GraphFolder, words: tuple[str, ...], message: str, remedy: str
) -> None:
    ended = graph.run(*words)
    shown = re.sub(r"[^\S ]|[│╭╮╰╯─]", "", ended.stderr)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert message in shown
    assert remedy in shown


@pytest.mark.parametrize("words", [("--component", "iris"), ("--apart",)])
def test_a_class_has_no_components(graph: GraphFolder, words: tuple[str, ...]) -> None:
    graph.write("seldon.yaml", "class_name: Labels\nservice_type: TRANSFORMER\n")
    ended = graph.run(*words)
    assert ended.returncode == 2
    assert "the spec is not a graph" in ended.stderr


def test_health_checks_the_server_of_a_component(graph: GraphFolder) -> None:
    server = wait_until_serving(graph.start("--component", "iris", prefix="components.iris."))
    at = ("--set", f"components.iris.ports.http={server.http_port}", "--set", "ports.http=1")
    done = graph.run(*at, "--component", "iris", name="health")
    assert (done.returncode, done.stdout) == (0, f"ready: http://127.0.0.1:{server.http_port}\n"), done.stderr
    done = graph.run(*at, name="health")
    assert done.returncode == 1
    assert "no response from 127.0.0.1:1" in done.stderr
    done = graph.run(*at, "--component", "irs", name="health")
    assert (done.returncode, 'did you mean "iris"?' in done.stderr) == (2, True), done.stderr


# All components in processes of their own


@pytest.mark.parametrize("transport", ["rest", "grpc"])
def test_a_graph_calls_its_components_in_processes_of_their_own(graph: GraphFolder, transport: str) -> None:
    server = wait_until_serving(graph.start("--apart", "--transport", transport))
    body = predict(server)
    assert body["data"]["ndarray"] == [[3.0]]
    assert [*body["meta"]["requestPath"]] == ["iris", "labels", "scaler"]
    processes = descendants(server.process.pid)
    assert "--component iris " in processes[body["meta"]["tags"]["process"]]
    assert {name for line in processes.values() for name in re.findall("--component (\\S+) ", line)} == {
        "scaler", "iris", "labels",
    }  # fmt: skip
    with Watch(processes) as watch:
        assert server.stop() == 0
        assert watch.all_end()
    assert re.search(r"^iris \| offset 1$", server.log, re.MULTILINE)
    ended = [line for line in server.log.splitlines() if line.endswith("run: stopped")]
    assert not ended[0].startswith(("scaler", "iris", "labels"))  # the front end has stopped first
    assert len(ended) == 4


def test_an_interrupt_from_the_terminal_fails_no_request(graph: GraphFolder) -> None:
    gate = Gate(graph.folder / "models" / "iris")
    graph.write("models/iris/gated.py", GATED)
    waiting = IRIS.replace("return X", "gated.pass_gate()\n        return X")
    graph.write("models/iris/Iris.py", f"import gated\n{waiting}")
    server = wait_until_serving(graph.start("--apart"))
    with ThreadPoolExecutor(1) as pool:
        response = pool.submit(predict, server)
        gate.wait_until_entered()
        os.killpg(server.process.pid, signal.SIGINT)
        server.wait_for("draining open requests")
        gate.release()
        assert response.result()["data"]["ndarray"] == [[3.0]]
    assert server.process.wait(WAIT_SECONDS) == 0


@pytest.mark.parametrize("is_front", [True, False])
def test_no_process_is_left_if_one_of_them_is_killed(graph: GraphFolder, is_front: bool) -> None:
    server = wait_until_serving(graph.start("--apart"))
    processes = descendants(server.process.pid)
    manager = read_processes()[find_component(server, "iris")][0]
    of_components = [pid for pid, line in processes.items() if "--component" in line]
    with Watch(processes if is_front else of_components) as watch:
        os.kill(server.process.pid if is_front else manager, signal.SIGKILL)
        assert watch.all_end()
    server.process.kill()
    server.process.wait()


def test_a_component_that_exits_is_restarted(graph: GraphFolder) -> None:
    server = wait_until_serving(graph.start("--apart"))
    first = predict(server)["meta"]["tags"]["process"]
    os.kill(find_component(server, "iris"), signal.SIGKILL)
    server.wait_for(r"component iris was terminated by signal 9, restarting it in 1 s")
    server.wait_for(r"^iris \| .*supervisor: ready in")
    server.wait_for(r"component iris: the server .* is ready")
    body = predict(server)
    assert body["data"]["ndarray"] == [[3.0]]
    assert body["meta"]["tags"]["process"] != first
    assert server.stop() == 0


def test_a_component_that_cannot_be_started_ends_all_with_its_last_lines(graph: GraphFolder) -> None:
    graph.write("models/iris/Iris.py", IRIS.replace("self.offset = offset", "raise ValueError('no weights')"))
    ended = graph.run("--apart")
    assert ended.returncode == 1
    assert "error: component iris exited with code 1 before it was ready; its last lines:" in ended.stderr
    report = ended.stderr.partition("its last lines:")[2]
    assert "    ValueError: no weights" in report
    assert "Traceback" not in re.sub("(?m)^.*\\| .*$|^    .*$", "", ended.stderr)


def test_a_signal_while_the_components_start_ends_them(graph: GraphFolder) -> None:
    graph.write(
        "models/iris/Iris.py", "import threading\nprint('waiting', flush=True)\nthreading.Event().wait()\n" + IRIS
    )
    server = graph.start("--apart")
    server.wait_for(r"^iris \| waiting")
    with Watch(descendants(server.process.pid)) as watch:
        assert server.stop() == 0
        assert watch.all_end()


def test_json_logs_name_the_component(graph: GraphFolder) -> None:
    server = graph.start(
        "--apart", "--set", "server.log.format=json", "--set", "components.iris.server.log.format=json"
    )
    server.wait_for(r'"message": "ready in (?!.*"component")')
    assert predict(server)["data"]["ndarray"] == [[3.0]]
    assert server.stop() == 0
    records = [json.loads(line) for line in server.log.splitlines()]
    named = {record.get("component") for record in records}
    assert named == {None, "scaler", "iris", "labels"}
    assert any(record.get("component") == "iris" and record["message"] == "offset 1" for record in records)


# Reload


def test_an_edit_of_any_component_is_served(graph: GraphFolder, tmp_path: Path) -> None:
    beside = tmp_path.with_name(f"{tmp_path.name}-beside")
    (tmp_path / "models" / "iris").rename(beside)
    graph.write("seldon.yaml", SPEC.replace("models/iris", f"../{beside.name}"))
    server = wait_until_serving(graph.start("--reload"))
    assert predict(server)["data"]["ndarray"] == [[3.0]]
    with replacing(server):
        (beside / "Iris.py").write_text(IRIS.replace("X + ", "X - "))
        server.wait_for(rf"reload: \.\./{beside.name}/Iris\.py has changed")
    assert predict(server)["data"]["ndarray"] == [[1.0]]
    with replacing(server):
        graph.write("scaler/Scaler.py", SCALER.replace("* 2", "* 3"))
        server.wait_for(r"reload: scaler/Scaler\.py has changed")
    assert predict(server)["data"]["ndarray"] == [[2.0]]
    assert server.stop() == 0


def test_a_component_alone_follows_its_own_files_and_those_of_its_graph(graph: GraphFolder) -> None:
    server = wait_until_serving(graph.start("--component", "iris", "--reload", prefix="components.iris."))
    with replacing(server):
        graph.write("models/iris/Iris.py", IRIS.replace("X + ", "X - "))
        server.wait_for(r"reload: models/iris/Iris\.py has changed")
    assert predict(server)["data"]["ndarray"] == [[0.0]]
    with replacing(server):
        graph.write("seldon.yaml", SPEC.replace("{path: models/iris}", "{path: models/iris, parameters: {offset: 4}}"))
        server.wait_for(r"reload: seldon\.yaml has changed")
    assert predict(server)["data"]["ndarray"] == [[-3.0]]
    assert server.stop() == 0


@pytest.mark.parametrize("is_signal", [True, False])
def test_a_reload_is_passed_on_to_the_components(graph: GraphFolder, is_signal: bool) -> None:
    server = wait_until_serving(graph.start("--apart", *(() if is_signal else ("--reload",))))
    with replacing(server, count=4):
        graph.write("models/iris/Iris.py", IRIS.replace("X + ", "X - "))
        if is_signal:
            server.process.send_signal(signal.SIGHUP)
            server.wait_for("^[0-9-]+ .*SIGHUP: replacing the workers one by one")
        else:
            server.wait_for(r"^[0-9-]+ .*reload: models/iris/Iris\.py has changed")
    assert predict(server)["data"]["ndarray"] == [[1.0]]
    assert server.stop() == 0

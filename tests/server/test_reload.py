"""An edit replaces the workers, SIGHUP reads the spec again, and no request fails meanwhile."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from seldon_spec.process.file_watcher import FileWatcher

SERVED = """
import os
import re

class Served:
    def __init__(self, factor=1):
        self.factor = factor

    def predict(self, X, names):
        return {"version": 1, "factor": self.factor, "a": os.environ.get("A"), "b": os.environ.get("B")}
"""
WORKING = "is ready in"


def version(number: int) -> str:
    return SERVED.replace('"version": 1', f'"version": {number}')


def predict(server: Any) -> Any:
    status, body = server.predict()
    assert status == 200
    return body["jsonData"]


@contextlib.contextmanager
def replacing(server: Any) -> Iterator[None]:
    """A context whose body does something that replaces the workers, once."""
    with server.watch() as before:
        yield
        server.wait_for(WORKING)
        assert before.all_end()


class Kept:
    """A client on one connection; it reconnects once if a worker that exits has closed it."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)

    def __enter__(self) -> Kept:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._connection.close()

    def ask(self) -> int:
        try:
            return self._ask()
        except (ConnectionError, http.client.HTTPException):
            self._connection.close()
            return self._ask()

    def _ask(self) -> int:
        self._connection.request("POST", "/predict", '{"strData": ""}', {"Content-Type": "application/json"})
        response = self._connection.getresponse()
        body = json.load(response)
        assert response.status == 200
        return int(body["jsonData"]["version"])


# Edits


@pytest.mark.parametrize("workers", [1, 2])
def test_an_edit_of_the_class_is_served_and_fails_no_request(beside: Any, workers: int) -> None:
    """Each edit has as many bytes as the one before, and most are made in the same second."""
    beside.write_class(SERVED)
    beside.write_spec(server=f"workers: {workers}")
    server = beside.start("--reload").wait_until_ready()
    with Kept(server.http_port) as client:
        assert client.ask() == 1
        for number in range(2, 6):
            before = server.workers()
            beside.write_class(version(number))
            server.wait_for(r"reload: Served\.py has changed")
            while before & server.workers():
                assert client.ask() in (number - 1, number)
            assert client.ask() == number
    assert server.stop() == 0
    assert "Traceback" not in server.log


def test_an_edit_of_a_component_is_served_inside_and_outside_of_the_folder(beside: Any, tmp_path: Path) -> None:
    shared = tmp_path.parent / f"{tmp_path.name}-shared"
    for folder in (shared, tmp_path / "inside"):
        folder.mkdir()
        (folder / "Served.py").write_text(SERVED.replace("def predict", "def transform_input"))
        (folder / "seldon.yaml").write_text("class_name: Served\nservice_type: TRANSFORMER\n")
    (shared / "Served.py").write_text(SERVED)
    (shared / "seldon.yaml").write_text("class_name: Served\n")
    beside.write_spec(f"components: {{shared: ../{shared.name}}}\n")
    spec = tmp_path / "seldon.yaml"
    spec.write_text(spec.read_text().replace("class_name: Served", "graph: [inside, shared]"))
    server = beside.start("--reload").wait_until_ready()
    assert predict(server)["version"] == 1
    with replacing(server):
        (shared / "Served.py").write_text(version(2))
    assert predict(server)["version"] == 2
    with replacing(server):
        (tmp_path / "inside" / "Served.py").write_text(version(3).replace("def predict", "def transform_input"))
    assert server.stop() == 0


def test_an_edit_of_the_spec_takes_effect_with_its_secrets_and_its_environment(beside: Any, tmp_path: Path) -> None:
    beside.write_class(SERVED)
    (tmp_path / "factor").write_text("5")
    beside.write_spec("environment: {A: old, B: old}\n")
    server = beside.start("--reload", B="real").wait_until_ready()
    assert predict(server) == {"version": 1, "factor": 1, "a": "old", "b": "real"}
    with replacing(server):
        beside.write_spec("parameters: {factor: {from_file: factor}}\nenvironment: {B: new}\n")
    assert predict(server) == {"version": 1, "factor": "5", "a": None, "b": "real"}
    with replacing(server):
        (tmp_path / "factor").write_text("7")
        server.wait_for("reload: factor has changed")
    assert predict(server)["factor"] == "7"
    assert server.stop() == 0


def test_a_metric_whose_type_an_edit_changes_is_exposed_with_the_new_one(beside: Any) -> None:
    source = SERVED + "\n    def metrics(self):\n        return [{'type': 'TIMER', 'key': 'a', 'value': 1000}]\n"
    beside.write_class(source)
    beside.write_spec()
    server = beside.start("--reload").wait_until_ready()
    predict(server)
    assert "# TYPE a histogram\n" in server.metrics()
    with replacing(server):
        beside.write_class(source.replace("TIMER", "GAUGE"))
    predict(server)
    page = server.metrics()
    assert "# TYPE a gauge\n" in page
    assert "# TYPE a histogram\n" not in page
    server.wait_for("leaves out the histogram a of an older worker")
    assert server.stop() == 0
    assert server.count("leaves out") == 1


def test_a_variable_of_one_spec_is_no_secret_of_the_next(beside: Any) -> None:
    beside.write_class(SERVED)
    beside.write_spec("environment: {A: old}\n")
    server = beside.start("--reload").wait_until_ready()
    beside.write_spec("parameters: {factor: {from_env: A}}\n")
    server.wait_for("the variable A is not set")
    server.wait_for("the spec is invalid: keeping the previous one")
    assert predict(server)["a"] == "old"
    assert server.stop() == 0


MISTAKES = {
    "key": ("parametrs: {factor: 2}\n", 'there is no key "parametrs"', r"\^{9}"),
    "no yaml": ("parameters: {factor: [}\n", "seldon.yaml:4:", r"\^"),
    "secret": ("parameters: {factor: {from_env: NOWHERE}}\n", "the variable NOWHERE is not set", r"\^"),
}


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
def test_an_invalid_spec_is_reported_and_the_previous_one_is_kept(beside: Any, mistake: tuple[str, str, str]) -> None:
    text, message, caret = mistake
    beside.write_class(SERVED)
    beside.write_spec("parameters: {factor: 1}\n")
    server = beside.start("--reload").wait_until_ready()
    before = server.workers()
    beside.write_spec(text)
    server.wait_for(message)
    server.wait_for(caret)
    server.wait_for("the spec is invalid: keeping the previous one")
    assert predict(server)["factor"] == 1
    assert server.workers() == before
    with replacing(server):
        beside.write_spec("parameters: {factor: 2}\n")
    assert predict(server)["factor"] == 2
    assert server.stop() == 0


def test_a_class_that_raises_is_reported_and_the_previous_one_is_kept(beside: Any) -> None:
    beside.write_class(SERVED)
    beside.write_spec()
    server = beside.start("--reload").wait_until_ready()
    for number in (2, 3):
        beside.write_class(f"{SERVED}\nraise ValueError('no weights in {number}')\n")
        server.wait_for("worker 0: replacement failed to start, keeping the current process")
        server.wait_for("Traceback")
        server.wait_for(f"ValueError: no weights in {number}")
        assert predict(server)["version"] == 1
    with replacing(server):
        beside.write_class(version(4))
    assert predict(server)["version"] == 4
    assert server.stop() == 0


def test_an_edit_while_a_slow_class_loads_does_not_wait_for_it(beside: Any, gate: Any) -> None:
    beside.write_class(SERVED)
    beside.write_spec()
    server = beside.start("--reload").wait_until_ready()
    beside.write_class(f"from gated import pass_gate\npass_gate()\n{version(2)}")
    gate.wait_until_entered()
    with replacing(server):
        beside.write_class(version(3))
    assert predict(server)["version"] == 3
    assert server.stop() == 0


def test_files_excluded_from_the_image_are_not_watched(beside: Any, tmp_path: Path) -> None:
    for name in ("__pycache__", "data"):
        (tmp_path / name).mkdir()
    beside.write_class(SERVED)
    beside.write_spec("image: {exclude: [data, notes.txt]}\n")
    server = beside.start("--reload").wait_until_ready()
    for name in ("data/rows.csv", "notes.txt", "__pycache__/Served.pyc", ".Served.py.swp"):
        (tmp_path / name).touch()
    (tmp_path / "weights.json").write_text("{}")
    server.wait_for(WORKING)
    assert server.stop() == 0
    assert server.count("supervisor: reload: ") == 1
    assert server.count(r"supervisor: reload: weights\.json has changed$") == 1


def test_a_change_that_requires_a_restart_is_logged(beside: Any) -> None:
    beside.write_class(SERVED)
    beside.write_spec()
    server = beside.start("--reload").wait_until_ready()
    with socket.create_server(("127.0.0.1", 0)) as held:
        with replacing(server):
            beside.write_spec("parameters: {factor: 2}\n", server="workers: 3", http=held.getsockname()[1])
            server.wait_for(r"WARNING .*server\.workers, ports\.http changed: restart required$")
        assert predict(server)["factor"] == 2
    assert server.stop() == 0
    assert server.count(WORKING) == 2


def test_the_log_has_the_format_of_the_newer_spec(beside: Any) -> None:
    beside.write_class(SERVED)
    beside.write_spec()
    server = beside.start("--reload").wait_until_ready()
    beside.write_spec(server="log: {format: json}")
    server.wait_for(r'"message": "worker 0 is ready in')
    assert server.stop() == 0


# SIGHUP


def test_sighup_reads_the_spec_again(beside: Any) -> None:
    beside.write_class(SERVED)
    beside.write_spec()
    server = beside.start().wait_until_ready()
    beside.write_spec("parametrs: {}\n")
    server.process.send_signal(signal.SIGHUP)
    server.wait_for('there is no key "parametrs"')
    server.wait_for("the spec is invalid: keeping the previous one")
    assert predict(server)["factor"] == 1
    beside.write_spec("parameters: {factor: 2}\n")
    with replacing(server):
        server.process.send_signal(signal.SIGHUP)
    assert predict(server)["factor"] == 2
    assert server.stop() == 0
    assert server.count(WORKING) == 2
    assert server.count("supervisor: reload: ") == 0


# The response of a probe

WAITS = {
    "importing": "from gated import pass_gate\npass_gate()\nclass Served:\n    predict = None\n",
    "loading": "from gated import pass_gate\nclass Served:\n    def load(self): pass_gate()\n    predict = None\n",
}
WAYS = {"short": "", "flask": "flask: {TRUSTED_HOSTS: ['127.0.0.1']}\n"}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("stage", WAITS)
@pytest.mark.parametrize("preload", ["false", "true"], ids=["worker", "template-process"])
def test_a_probe_reports_the_state_of_the_server(beside: Any, gate: Any, preload: str, stage: str, way: str) -> None:
    beside.write_class(WAITS[stage])
    beside.write_spec(way, server=f"preload: {preload}, shutdown: {{delay_seconds: 1000, grace_seconds: 1001}}")
    server = beside.start().wait_for_addresses()
    server.wait_for(f"INFO .*: {stage} Served$")
    gate.wait_until_entered()
    assert is_reported(server, rf"the server is starting: {stage} Served for \d+ s")
    gate.release()
    server.wait_for(r"worker 0 is ready in \d+\.\d s \(process \d+\)$")
    server.wait_for(r"supervisor: ready in \d+\.\d s$")
    assert server.rest("GET", "/ready")[0] == 200
    server.process.send_signal(signal.SIGTERM)
    server.wait_for("not ready, but accepting connections")
    assert is_reported(server, "the server is stopping")
    assert server.stop() == 0


def is_reported(server: Any, pattern: str) -> bool:
    status, body = server.rest("GET", "/ready")
    detail = json.loads(body)["status"]
    assert (status, detail["reason"]) == (503, "MICROSERVICE_UNAVAILABLE")
    return re.fullmatch(pattern, detail["info"]) is not None


# The file watcher


Look = Callable[[], list[str]]


def looking(watch: FileWatcher) -> Look:
    """Scan until two scans are equal."""
    return lambda: watch.find_changed() or watch.find_changed()


def edit(path: Path, text: str = "x") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_a_changed_file_is_returned_once_it_is_complete(tmp_path: Path) -> None:
    edit(tmp_path / "a.py")
    watch = FileWatcher(tmp_path, "seldon.yaml", [])
    assert watch.find_changed() == []
    edit(tmp_path / "a.py", "longer")
    edit(tmp_path / "b" / "c.txt")
    assert watch.find_changed() == []
    edit(tmp_path / "b" / "c.txt", "longer")
    assert watch.find_changed() == []
    assert watch.find_changed() == ["a.py", "b/c.txt"]
    assert watch.find_changed() == []
    (tmp_path / "b" / "c.txt").rename(tmp_path / "d.txt")
    assert looking(watch)() == ["b/c.txt", "d.txt"]


PATTERNS: dict[str, tuple[list[str], list[str]]] = {
    "everything": ([], ["a/b.csv", "a/c/d.csv", "e.txt", "seldon.yaml"]),
    "a folder": (["a"], ["e.txt", "seldon.yaml"]),
    "all but one below": (["a", "!a/c/d.csv"], ["a/c/d.csv", "e.txt", "seldon.yaml"]),
    "all but some anywhere": (["*", "!**/*.csv"], ["a/b.csv", "a/c/d.csv", "seldon.yaml"]),
    "all": (["**"], ["seldon.yaml"]),
    "what is never watched": (["!**/*"], ["a/b.csv", "a/c/d.csv", "e.txt", "seldon.yaml"]),
}


@pytest.mark.parametrize(("patterns", "watched"), PATTERNS.values(), ids=PATTERNS)
def test_patterns_select_the_watched_files(tmp_path: Path, patterns: list[str], watched: list[str]) -> None:
    watch = FileWatcher(tmp_path, "seldon.yaml", patterns)
    never = (".git/index", "a/__pycache__/b.pyc", ".venv/x.csv", "a/.b.csv.swp", "b.csv~", "a/#b.csv#", "a/.#b.csv")
    for name in ("a/b.csv", "a/c/d.csv", "e.txt", "seldon.yaml", *never):
        edit(tmp_path / name)
    assert looking(watch)() == watched


def test_other_patterns_lose_no_change(tmp_path: Path) -> None:
    edit(tmp_path / "a.txt")
    edit(tmp_path / "b.txt")
    watch = FileWatcher(tmp_path, "seldon.yaml", ["b.txt"])
    edit(tmp_path / "a.txt", "longer")
    watch.follow(["c.txt"])
    assert looking(watch)() == ["a.txt"]
    edit(tmp_path / "b.txt", "longer")
    assert looking(watch)() == ["b.txt"]


def test_links_are_followed_to_files_only(tmp_path: Path) -> None:
    outside, folder = tmp_path / "outside", tmp_path / "folder"
    edit(outside / "a.txt")
    folder.mkdir()
    (folder / "file").symlink_to(outside / "a.txt")
    (folder / "outside").symlink_to(outside)
    (folder / "round").symlink_to(folder)
    (folder / "nowhere").symlink_to(tmp_path / "nowhere")
    os.mkfifo(folder / "pipe")
    watch = FileWatcher(folder, "seldon.yaml", [])
    edit(outside / "a.txt", "longer")
    assert looking(watch)() == ["file"]


def test_the_deepest_of_too_many_files_are_not_watched(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    edit(tmp_path / "a.py")
    for number in range(20):
        edit(tmp_path / "data" / str(number))
    watch = FileWatcher(tmp_path, "seldon.yaml", [], max_files=10)
    watch.find_changed()
    assert caplog.text.count("has more than 10 files: not all are watched") == 1
    edit(tmp_path / "a.py", "longer")
    assert looking(watch)() == ["a.py"]


def test_a_noisy_file_is_excluded(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    watch = FileWatcher(tmp_path, "seldon.yaml", [])
    changes = []
    for number in range(10):
        edit(tmp_path / "server.log", "x" * number)
        edit(tmp_path / "seldon.yaml", "x" * number)
        edit(tmp_path / "Served.py", "x" * number)
        changes.append(looking(watch)())
    assert changes == 5 * [["Served.py", "seldon.yaml", "server.log"]] + 5 * [["Served.py", "seldon.yaml"]]
    assert caplog.text.count("server.log changes constantly and is no longer watched") == 1


def test_a_folder_that_is_gone_has_changed(tmp_path: Path) -> None:
    edit(tmp_path / "folder" / "a.py")
    watch = FileWatcher(tmp_path / "folder", "seldon.yaml", [])
    (tmp_path / "folder").rename(tmp_path / "elsewhere")
    assert looking(watch)() == ["a.py"]

"""Dispatchers of specs without a server, several of them in one process."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

import seldon_spec
from seldon_spec.inference.assembly import dispatcher_for
from seldon_spec.inference.dispatcher import Dispatcher
from seldon_spec.inference.message import Operation
from seldon_spec.observability.metrics import Exposition, Metrics
from seldon_spec.protocols.seldon_v1.json_codec import JsonCodec

JSON = JsonCodec()
WAIT_SECONDS = 10
FIRST, SECOND = "first", "second"

MODEL = """
from helpers import NAME, wait_for_start

class Model:
    def __init__(self):
        wait_for_start()

    def predict(self, X, names):
        import helpers
        import late_helpers
        return [[helpers.NAME, late_helpers.NAME, NAME]]

    def metrics(self):
        import helpers
        return [{"type": "COUNTER", "key": "calls", "value": 1}, {"type": helpers.TYPE, "key": "changing", "value": 1}]
"""

REQUEST = b'{"data":{"ndarray":[[1]]}}'


class Component:
    """The class of a folder; both have the same module names."""

    def __init__(self, folder: Path, name: str, metric_type: str) -> None:
        folder.mkdir()
        (folder / "seldon.yaml").write_text("class_name: Model\n")
        (folder / "Model.py").write_text(MODEL)
        (folder / "late_helpers.py").write_text(f"NAME = {name!r}\n")
        (folder / "helpers.py").write_text(
            "import threading\nstart = threading.Event()\n"
            f"NAME, TYPE = {name!r}, {metric_type!r}\ndef wait_for_start():\n    assert start.wait({WAIT_SECONDS})\n"
        )
        self.name = name
        self.folder = folder
        spec = seldon_spec.load(folder, {"PREDICTIVE_UNIT_ID": name})
        self.metrics = Metrics(spec.unit)
        self.dispatcher: Dispatcher = dispatcher_for(spec, self.metrics)

    def start(self) -> None:
        """Let the class be built; its module has to be imported."""
        from seldon_spec.inference.component.importer import import_class

        model: Any = import_class("Model", self.folder)
        model.__init__.__globals__["wait_for_start"].__globals__["start"].set()

    def predict(self) -> Any:
        response = self.dispatcher.submit(Operation.PREDICT, REQUEST, JSON).result(WAIT_SECONDS)
        return json.loads(response.body)["data"]["ndarray"]


@pytest.fixture
def components(tmp_path: Path) -> Iterator[tuple[Component, Component]]:
    """Two components, neither of them built."""
    both = (Component(tmp_path / FIRST, FIRST, "GAUGE"), Component(tmp_path / SECOND, SECOND, "TIMER"))
    yield both
    for component in both:
        component.dispatcher.stop()


def test_two_components_are_ready_and_drained_one_by_one(components: tuple[Component, Component]) -> None:
    first, second = components
    built = [component.dispatcher.start() for component in components]
    first.start()
    built[0].result(WAIT_SECONDS)
    assert (first.dispatcher.is_ready, second.dispatcher.is_ready) == (True, False)
    assert "Model" in second.dispatcher.describe_state()
    assert first.predict() == [[FIRST] * 3]
    second.start()
    built[1].result(WAIT_SECONDS)
    first.dispatcher.drain()
    assert (first.dispatcher.is_ready, second.dispatcher.is_ready) == (False, True)
    assert first.dispatcher.describe_state() == "the server is stopping"
    assert second.predict() == [[SECOND] * 3]


def test_interleaved_calls_and_one_page(
    components: tuple[Component, Component], caplog: pytest.LogCaptureFixture
) -> None:
    for component in components:
        component.dispatcher.start()
        component.start()
    count = 100
    with ThreadPoolExecutor(4) as pool:
        responses = list(pool.map(lambda component: (component.name, component.predict()), components * count))
    assert all(response == [[name] * 3] for name, response in responses)
    page = Exposition(*(component.metrics for component in components))
    for _ in range(2):
        text = page.render().decode()
        families = {family.name: family for family in text_string_to_metric_families(text)}
        lines = [line.rpartition(" ")[0] for line in text.splitlines()]
        assert len(set(lines)) == len(lines)
        for name in ("calls", "seldon_spec_call_seconds", "seldon_spec_request_duration_seconds"):
            samples = [sample for sample in families[name].samples if sample.name.endswith(("_count", "_total"))]
            assert {sample.labels["model_name"]: sample.value for sample in samples} == {FIRST: count, SECOND: count}
        loads = families["seldon_spec_model_load_seconds"].samples
        assert sorted(sample.labels["model_name"] for sample in loads) == [FIRST, SECOND]
        assert families["changing"].type == "histogram"  # that of the component that started last
        assert {sample.labels["model_name"] for sample in families["changing"].samples} == {SECOND}
    assert sum("leaves out the gauge changing" in record.getMessage() for record in caplog.records) == 1


def test_components_with_equal_labels_share_their_series() -> None:
    first, second = Metrics(), Metrics()
    for metrics in (first, second):
        metrics.observe_call("predict", "success", *[1.0] * 7)
        metrics.record("predict", [{"type": "COUNTER", "key": "k", "value": 1}])
        metrics.set_load_seconds(2)
    text = Exposition(first, second).render().decode()
    lines = dict(line.rsplit(" ", 1) for line in text.splitlines())
    assert len(lines) == len(text.splitlines())
    values = {name.partition("{")[0]: value for name, value in lines.items()}
    assert (values["k_total"], values["seldon_spec_call_seconds_count"]) == ("2.0", "2.0")
    assert values["seldon_spec_model_load_seconds"] == "2.0"


ALONE = """
import sys, threading
from concurrent.futures import ThreadPoolExecutor

FORBIDDEN = ("os.fork", "os.posix_spawn", "subprocess.Popen", "mmap.__new__", "socket.bind", "socket.connect")

def check(event, args):
    if event in FORBIDDEN:
        raise RuntimeError(event)

sys.addaudithook(check)

import seldon_spec
from seldon_spec.inference.assembly import dispatcher_for
from seldon_spec.inference.message import Operation
from seldon_spec.protocols.seldon_v1.json_codec import JsonCodec

dispatcher = dispatcher_for(seldon_spec.load(sys.argv[1], {}))
dispatcher.start().result(10)
request = b'{"data":{"ndarray":[[1]]}}'
with ThreadPoolExecutor(4) as pool:
    futures = [dispatcher.submit(Operation.PREDICT, request, JsonCodec()) for _ in range(20)]
    print({future.result(10).body for future in futures})
bad = dispatcher.submit(Operation.PREDICT, b'{"data":{"ndarray":[[-1]]}}', JsonCodec())
print(type(bad.exception(10)).__name__)
dispatcher.stop()
parts = ("server", "transport", "process", "observability")
print(sorted(name for name in sys.modules if name.startswith(tuple(f"seldon_spec.{part}" for part in parts))))
"""

BATCHED = """
class Model:
    def predict(self, X, names):
        self.value = X[0, 0]
        return X

    def metrics(self):
        return [{"type": "COUNTER", "key": "k", "value": 1}] if self.value > 0 else [{"key": "k"}]
"""


@pytest.mark.parametrize("server", ["", "server: {threads: 2}\n", "server: {batching: {max_rows: 8}}\n"])
def test_it_needs_no_process_socket_or_shared_memory(tmp_path: Path, server: str) -> None:
    (tmp_path / "seldon.yaml").write_text(f"class_name: Model\n{server}")
    (tmp_path / "Model.py").write_text(BATCHED)
    run = subprocess.run([sys.executable, "-c", ALONE, tmp_path], capture_output=True, text=True, timeout=60)
    shown = '{"data":{"names":["t:0"],"ndarray":[[1]]},"meta":{"metrics":[{"key":"k","type":"COUNTER","value":1}]}}'
    assert run.stdout.splitlines() == [repr({f"{shown}\n".encode()}), "BadMetric", "[]"], run.stderr

"""What a graph adds to the calls of its components: ``python -m benchmarks.graphs``.

It needs Linux and scikit-learn. The table is printed, and put into a page.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.endurance import WAIT_SECONDS, serving
from benchmarks.figures import find_quantile
from benchmarks.machine import Machine, describe_machine
from benchmarks.report import render_table
from benchmarks.running import running_command
from benchmarks.tables import add_flags, read_table, run
from benchmarks.workloads import SEED
from seldon_spec.config.loader import load
from seldon_spec.inference.assembly import dispatcher_for
from seldon_spec.inference.dispatcher import Dispatcher
from seldon_spec.inference.graph.graph import Graph
from seldon_spec.inference.message import Operation
from seldon_spec.inference.request import Codec, Request
from seldon_spec.protocols.component_codec import ComponentCodec
from seldon_spec.protocols.seldon_v1.json_codec import JsonCodec
from seldon_spec.remote import connect_component

HOPS = 10
"""The components that the long chain has more than the short one."""
SMALL, MEDIUM = (1, 4), (100, 100)
_JSON = JsonCodec()
_SERVED = """\
import numpy as np


class Served:
    def predict(self, X, names=None):
        return X


class Halved:
    def predict(self, X, names=None):
        return np.tanh(X / 2)
"""
_TRAINED = """\
from pathlib import Path

import joblib


class Trained:
    def __init__(self, file: str):
        self.model = joblib.load(Path(__file__).with_name(file))

    def predict(self, X, names=None):
        return self.model.predict_proba(X)
"""
_TRAIN = """\
import joblib
import numpy as np
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.tree import DecisionTreeClassifier

rows = np.random.default_rng(20).standard_normal((2000, 20))
classes = np.digitize(rows.sum(axis=1), (-2.0, 2.0))
models = {
    "forest": RandomForestClassifier(300, random_state=20),
    "boost": GradientBoostingClassifier(n_estimators=50, random_state=20),
    "linear": LogisticRegression(),
    "neighbours": KNeighborsClassifier(),
    "tree": DecisionTreeClassifier(random_state=20),
}
for name, model in models.items():
    joblib.dump(model.fit(rows, classes), f"{name}.joblib")
"""
TRAINED = ("forest", "boost", "linear", "neighbours", "tree")
"""The models that ``_TRAIN`` writes, the largest first."""


@dataclass(frozen=True, slots=True)
class Row:
    """One figure, with what it is made of."""

    name: str
    value: str
    goal: str
    parts: str


@dataclass(frozen=True, slots=True)
class Measured:
    """The table, and what it was made on."""

    machine: Machine
    rounds: int
    calls: int
    starts: int
    rows: list[Row]


read_measured = partial(read_table, table=Measured, row=Row)


def render_measured(measured: Measured) -> str:
    """The table as Markdown, and a sentence on how it was made."""
    machine = measured.machine
    rows = [[row.name, row.value, row.goal, row.parts] for row in measured.rows]
    return (
        f"{machine.date}, {machine.processor}, {machine.cores} cores, {machine.system}, Linux {machine.kernel}. Medians"
        f" of {measured.rounds} alternating rounds of {measured.calls} calls, and of {measured.starts} starts.\n\n"
        f"{render_table(['figure', 'value', 'goal', 'made of'], rows, numbers=False)}\n"
    )


def _write_spec(folder: Path, keys: Mapping[str, Any], name: str = "seldon.yaml") -> Path:
    text = "".join(f"{key}: {json.dumps(value)}\n" for key, value in keys.items())
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


@contextlib.contextmanager
def _building(folder: Path, graph: object, components: Mapping[str, Any]) -> Iterator[tuple[Graph, Dispatcher]]:
    """Build a graph in this process, whose remote components are ready, and its dispatcher."""
    spec = load(_write_spec(folder, {"graph": graph, "components": components}), {})
    dispatcher = dispatcher_for(spec, connect=connect_component)
    try:
        graph_component = dispatcher.start().result(WAIT_SECONDS)
        assert isinstance(graph_component, Graph)
        end = time.monotonic() + WAIT_SECONDS
        while not graph_component.is_ready:
            if time.monotonic() > end:
                raise RuntimeError(graph_component.describe_state())
            time.sleep(0.01)
        yield graph_component, dispatcher
    finally:
        dispatcher.stop()


def _make_body(shape: tuple[int, int]) -> bytes:
    array = np.random.default_rng(SEED).standard_normal(shape)
    return json.dumps({"data": {"ndarray": array.tolist()}}).encode()


def _make_requests(shape: tuple[int, int], count: int) -> list[Request]:
    """Return decoded requests, so that neither JSON nor its parser is measured."""
    body = _make_body(shape)
    requests = [_JSON.decode(Operation.PREDICT, body) for _ in range(count)]
    for request in requests:
        assert request.message is not None
    return requests


def _time_calls(
    call: Callable[[Request], object], shape: tuple[int, int], count: int, clock: Callable[[], float]
) -> list[float]:
    """Return the milliseconds of each call."""
    times = []
    for request in _make_requests(shape, count):
        began = clock()
        call(request)
        times.append((clock() - began) * 1e3)
    return times


def _call(graph: Graph) -> Callable[[Request], object]:
    return lambda request: graph.call(request, lambda _metrics: [])


def measure_hop(folder: Path, rounds: int, calls: int) -> Row:
    """The processor time that one more component in the process takes."""
    names = [f"hop-{number}" for number in range(HOPS + 1)]
    components: dict[str, Any] = {name: {"class_name": "Served"} for name in names}
    found: dict[int, list[float]] = {1: [], len(names): []}
    for _ in range(rounds):
        for count, times in found.items():
            used = {name: components[name] for name in names[:count]}
            with _building(folder, names[:count], used) as (graph, _):
                _time_calls(_call(graph), SMALL, calls // 10 + 1, time.thread_time)
                times.append(statistics.fmean(_time_calls(_call(graph), SMALL, calls, time.thread_time)))
    short, long = (statistics.median(times) for times in found.values())
    return Row(
        "processor time of one more component in the process, 1×4 doubles",
        f"{(long - short) / HOPS:.4f} ms",
        "0.03 ms",
        f"a chain of {len(names)}: {long:.3f} ms; of one: {short:.3f} ms",
    )


def measure_chain(folder: Path, rounds: int, calls: int) -> list[Row]:
    """A chain of three, compared with the sum of its three calls alone: as requests, and without JSON."""
    names = ["first", "second", "third"]
    codecs = [ComponentCodec(_JSON, name) for name in names]
    found: dict[str, list[float]] = {"requests": [], "requests alone": [], "calls": [], "calls alone": []}
    clock = time.perf_counter
    with _building(folder, names, {name: {"class_name": "Served.Halved"} for name in names}) as (graph, dispatcher):
        for _ in range(rounds):
            found["requests"].append(_time_requests(dispatcher, _JSON, calls))
            found["requests alone"].append(sum(_time_requests(dispatcher, codec, calls) for codec in codecs))
            found["calls"].append(statistics.median(_time_calls(_call(graph), MEDIUM, calls, clock)))
            alone = [_time_calls(graph.nodes[name].call, MEDIUM, calls, clock) for name in names]
            found["calls alone"].append(sum(map(statistics.median, alone)))
    rows = []
    for what in ("requests", "calls"):
        chain, total = statistics.median(found[what]), statistics.median(found[f"{what} alone"])
        note = "with the JSON of each request" if what == "requests" else "without JSON"
        name = f"a chain of three in the process, compared with its three calls alone, 100×100 doubles, {note}"
        rows.append(
            Row(name, f"× {chain / total:.2f}", "× 1.15", f"the chain: {chain:.3f} ms; the sum: {total:.3f} ms")
        )
    return rows


def _time_requests(dispatcher: Dispatcher, codec: Codec, count: int) -> float:
    """Return the median milliseconds of requests in JSON, one after the other, from body to body."""
    body, times = _make_body(MEDIUM), []
    for _ in range(count):
        began = time.perf_counter()
        dispatcher.submit(Operation.PREDICT, body, codec).result(WAIT_SECONDS)
        times.append((time.perf_counter() - began) * 1e3)
    return statistics.median(times)


def measure_remote(folder: Path, rounds: int, calls: int) -> list[Row]:
    """The time of one call of a component on another server, over gRPC and REST."""
    rows = []
    with serving(_SERVED, {}) as server:
        for scheme, port, goal in (("grpc", server.grpc, "0.5 ms"), ("http", server.http, "-")):
            entry = {"url": f"{scheme}://127.0.0.1:{port}", "service_type": "MODEL"}
            with _building(folder, "far", {"far": entry}) as (graph, _):
                times = [_time_calls(_call(graph), SMALL, calls, time.perf_counter) for _ in range(rounds)]
            p50, p99 = (statistics.median(find_quantile(each, share) for each in times) for share in (0.5, 0.99))
            name = f"one call of a component on another server over {scheme.upper()}, loopback, 1×4 doubles: p50"
            rows.append(
                Row(name.replace("HTTP", "REST").replace("GRPC", "gRPC"), f"{p50:.3f} ms", goal, f"p99: {p99:.3f} ms")
            )
    return rows


def measure_start(folder: Path, starts: int) -> Row:
    """The start of a graph of five models, compared with that of the largest alone."""
    (folder / "Trained.py").write_text(_TRAINED, encoding="utf-8")
    subprocess.run([sys.executable, "-c", _TRAIN], cwd=folder, check=True)
    components = {name: {"class_name": "Trained", "parameters": {"file": f"{name}.joblib"}} for name in TRAINED}
    specs = {
        "graph": _write_spec(folder, {"graph": {"average": list(TRAINED)}, "components": components}, "graph.yaml"),
        "alone": _write_spec(folder, components[TRAINED[0]], "alone.yaml"),
    }
    found: dict[str, list[float]] = {name: [] for name in specs}
    for _ in range(starts):
        for name, spec in specs.items():
            found[name].append(_time_start(spec))
    graph, alone = (statistics.median(found[name]) for name in ("graph", "alone"))
    return Row(
        "the start of a graph of five scikit-learn models, compared with the largest alone",
        f"× {graph / alone:.2f}",
        "× 1.3",
        f"the graph: {graph:.2f} s; a forest of 300 trees: {alone:.2f} s",
    )


def _time_start(spec: Path) -> float:
    """Return the seconds from the command until the server is ready."""
    with running_command(["serve", str(spec)]) as (_, _, seconds):
        return seconds


def measure(rounds: int, calls: int, starts: int) -> Measured:
    """Measure all rows."""
    with tempfile.TemporaryDirectory(prefix="graphs-") as name:
        folder = Path(name)
        (folder / "Served.py").write_text(_SERVED, encoding="utf-8")
        rows = [
            measure_hop(folder, rounds, calls),
            *measure_chain(folder, rounds, calls),
            *measure_remote(folder, rounds, calls),
            measure_start(folder, starts),
        ]
    return Measured(describe_machine(), rounds, calls, starts, rows)


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.graphs", description=__doc__)
    add = parser.add_argument
    add("--rounds", type=int, default=7, help="%(default)s")
    add("--calls", type=int, default=2000, help="in a round; %(default)s")
    add("--starts", type=int, default=5, help="of each server; %(default)s")
    add_flags(parser)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and print the table."""
    given = make_parser().parse_args(arguments)
    return run(
        given, lambda: measure(given.rounds, given.calls, given.starts), read_measured, render_measured, "graphs"
    )


if __name__ == "__main__":
    sys.exit(main())

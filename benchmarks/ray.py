"""The command ``ray`` beside ``serve``: ``python -m benchmarks.ray``.

It needs Linux, wrk, h2load and the extra ``ray``, on a machine that runs nothing else. The table is printed, and put
into a page.
"""

from __future__ import annotations

import argparse
import json
import statistics
import struct
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.figures import MEBIBYTE, Load
from benchmarks.load import GRPC, Pressure, load_by_h2load, load_by_wrk
from benchmarks.machine import Machine, describe_machine
from benchmarks.processes import Memory, read_memory, read_processor_seconds
from benchmarks.proto_bodies import encode_seldon
from benchmarks.report import render_table
from benchmarks.running import running_command
from benchmarks.tables import add_flags, read_table, run
from benchmarks.workloads import WORKLOADS, Workload

_SOURCE = """\
import numpy as np


class Served:
    def predict(self, X, names=None):
        return X


class BySign:
    def route(self, X, names=None):
        return int(np.asarray(X)[0][0] < 0)
"""
_CLASS = {"class_name": "Served"}
_TWO = {"deployment": {"replicas": 2}}
_PARTS = {name: {"class_name": "Models.Served"} for name in ("first", "second")}
_APART = {"deployment": {"resources": {"cpu": "100m"}}}
_ROUTED: dict[str, Any] = {
    "graph": {"route": "by-sign", "to": ["first", "second"]},
    "components": {"by-sign": {"class_name": "Models.BySign", "service_type": "ROUTER"}, **_PARTS},
}
_PYTHON_PROXY = {"RAY_SERVE_ENABLE_HA_PROXY": "0"}


@dataclass(frozen=True, slots=True)
class Case:
    """A server to measure: a command for a spec, and variables."""

    name: str
    command: str
    spec: Mapping[str, Any]
    variables: Mapping[str, str]


CASES = (
    Case("serve, a class", "serve", _CLASS, {}),
    Case("serve, a router and two models", "serve", _ROUTED, {}),
    Case("ray, a class", "ray", _CLASS, {}),
    Case("ray, a class, without HAProxy", "ray", _CLASS, _PYTHON_PROXY),
    Case("ray, a class in 2 replicas", "ray", {**_CLASS, **_TWO}, {}),
    Case("ray, a router and two models in each of 2 replicas", "ray", {**_ROUTED, **_TWO}, {}),
    Case(
        "ray, a router and two models, a deployment each",
        "ray",
        {**_ROUTED, "components": {name: {**each, **_APART} for name, each in _ROUTED["components"].items()}},
        {},
    ),
)


@dataclass(frozen=True, slots=True)
class Row:
    """The figures of one case.

    Attributes:
        start_seconds: until the first response with status 200 of ``/ready``.
        memory_mib: proportional set size of all processes, before the load.
        idle_percent: processor time of all processes without requests, of one core.
        rest_one, rest_many, medium_many, grpc_many: requests per second.
        rest_p50_ms, grpc_p50_ms: of one request at a time.
        cpu_ms: processor time of all processes for a request of ``rest_many``.
    """

    name: str
    start_seconds: float
    memory_mib: float
    idle_percent: float
    rest_one: float
    rest_p50_ms: float
    rest_many: float
    cpu_ms: float
    medium_many: float
    grpc_p50_ms: float
    grpc_many: float


@dataclass(frozen=True, slots=True)
class Measured:
    """The table, and what it was measured on."""

    machine: Machine
    rounds: int
    seconds: int
    rows: list[Row]


read_measured = partial(read_table, table=Measured, row=Row)


HEADINGS = (
    ("server", "{}"),
    ("start, s", "{:.1f}"),
    ("memory, MiB", "{:.0f}"),
    ("idle, % of a core", "{:.1f}"),
    ("REST, 1 connection: requests/s", "{:.0f}"),
    ("p50, ms", "{:.2f}"),
    ("16 connections: requests/s", "{:.0f}"),
    ("CPU, ms a request", "{:.3f}"),
    ("100×100, 4 connections: requests/s", "{:.0f}"),
    ("gRPC, 1 connection: p50, ms", "{:.2f}"),
    ("16 connections: requests/s", "{:.0f}"),
)


def render_measured(measured: Measured) -> str:
    """Return the table as Markdown, and a sentence on how it was made."""
    machine = measured.machine
    rows = [
        [form.format(getattr(row, each.name)) for each, (_, form) in zip(fields(Row), HEADINGS, strict=True)]
        for row in measured.rows
    ]
    return (
        f"{machine.date}, {machine.processor}, {machine.cores} cores, {machine.system}, Linux {machine.kernel}. Medians"
        f" of {measured.rounds} rounds of {measured.seconds} s; arrays of 1×4 doubles, an echo.\n\n"
        f"{render_table([heading for heading, _ in HEADINGS], rows)}\n"
    )


def measure_case(case: Case, rounds: int, seconds: int) -> Row:
    """Start a case, and measure every figure of its row."""
    with tempfile.TemporaryDirectory(prefix="ray-") as name:
        folder = Path(name)
        (folder / "Models.py").write_text(_SOURCE, encoding="utf-8")
        (folder / "Served.py").write_text(_SOURCE, encoding="utf-8")
        text = "".join(f"{key}: {json.dumps(value)}\n" for key, value in {"name": "model", **case.spec}.items())
        (folder / "seldon.yaml").write_text(text, encoding="utf-8")
        with running_command([case.command, name], case.variables) as (pid, ports, start_seconds):
            memory = read_memory(pid, Memory.PROPORTIONAL) / MEBIBYTE
            before = read_processor_seconds(pid)
            time.sleep(seconds)
            idle = (read_processor_seconds(pid) - before) / seconds * 100
            found: dict[str, list[float]] = {}
            for _ in range(rounds):
                for figure, value in _measure_round(pid, ports["http"], ports["grpc"], folder, seconds):
                    found.setdefault(figure, []).append(value)
            medians = {figure: statistics.median(values) for figure, values in found.items()}
            return Row(case.name, start_seconds, memory, idle, **medians)


def _measure_round(pid: int, http: int, grpc: int, folder: Path, seconds: int) -> Iterator[tuple[str, float]]:
    url, log = f"http://127.0.0.1:{http}/api/v1.0/predictions", folder / "h2load.log"
    small, medium = (_write_json(folder, WORKLOADS[name]) for name in ("rest-small", "rest-medium"))
    one = load_by_wrk(url, small, Pressure(seconds, 1, 1, 1))
    yield "rest_one", _rate(one)
    yield "rest_p50_ms", one.p50_ms
    before = read_processor_seconds(pid)
    many = load_by_wrk(url, small, Pressure(seconds, 16, 1, 1))
    yield "rest_many", _rate(many)
    yield "cpu_ms", (read_processor_seconds(pid) - before) * 1e3 / many.requests
    yield "medium_many", _rate(load_by_wrk(url, medium, Pressure(seconds, 4, 1, 1)))
    workload = WORKLOADS["grpc-small"]
    message = encode_seldon(workload.form, workload.make_array())
    body = folder / "message"
    body.write_bytes(struct.pack(">BI", 0, len(message)) + message)
    call = f"http://127.0.0.1:{grpc}/seldon.protos.Seldon/Predict"
    serial = load_by_h2load(call, body, log, Pressure(seconds, 1, 1, 100 * seconds), GRPC, is_serial=True)
    yield "grpc_p50_ms", serial.p50_ms
    yield "grpc_many", _rate(load_by_h2load(call, body, log, Pressure(seconds, 16, 1, 1), GRPC, is_serial=False))


def _write_json(folder: Path, workload: Workload) -> Path:
    file = folder / f"{workload.name}.json"
    file.write_text(json.dumps({"data": {"ndarray": workload.make_array().tolist()}}), encoding="utf-8")
    return file


def _rate(load: Load) -> float:
    return load.requests / load.seconds


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ray", description=__doc__)
    add = parser.add_argument
    add("--rounds", type=int, default=3, help="%(default)s")
    add("--seconds", type=int, default=5, help="of a round; %(default)s")
    add("--case", action="append", choices=[case.name for case in CASES], help="only these; can be repeated")
    add_flags(parser)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and print the table."""
    given = make_parser().parse_args(arguments)

    def measure() -> Measured:
        rows = []
        for case in CASES:
            if given.case is None or case.name in given.case:
                rows.append(measure_case(case, given.rounds, given.seconds))
                print(rows[-1], file=sys.stderr, flush=True)
        return Measured(describe_machine(), given.rounds, given.seconds, rows)

    return run(given, measure, read_measured, render_measured, "ray")


if __name__ == "__main__":
    sys.exit(main())

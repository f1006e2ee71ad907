"""Where the processor time of a request goes, step by step: ``python -m benchmarks.stages``.

It needs Linux, wrk and h2load. A server is loaded, and the time of its threads is read from /proc; the steps of the
thread that calls the class are measured in this process, without a server. The table is printed, and put into a page.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import json_bodies, proto_bodies
from benchmarks.dialects import frame
from benchmarks.endurance import OwnServer, serving
from benchmarks.load import GRPC, Pressure, load_by_h2load, load_by_wrk
from benchmarks.machine import Machine, describe_machine
from benchmarks.report import render_table
from benchmarks.tables import add_flags, read_table, run
from benchmarks.workloads import SEED, Array, Form
from seldon_spec.config.loader import load
from seldon_spec.inference.assembly import dispatcher_for
from seldon_spec.inference.call import Call
from seldon_spec.inference.message import Operation
from seldon_spec.inference.metrics_sink import MetricsSink
from seldon_spec.inference.processor import RequestProcessor
from seldon_spec.inference.request import Codec
from seldon_spec.observability.metrics import Metrics
from seldon_spec.protocols.open_inference_v2.codec import ModelInfo
from seldon_spec.protocols.open_inference_v2.json_codec import V2JsonCodec
from seldon_spec.protocols.open_inference_v2.proto_codec import V2ProtoCodec
from seldon_spec.protocols.seldon_v1.json_codec import JsonCodec
from seldon_spec.protocols.seldon_v1.proto_codec import ProtoCodec

CONNECTIONS, STREAMS = 16, 4
SMALL, MEDIUM = (1, 4), (100, 100)
SOURCE = "class Served:\n    def predict(self, X, names=None):\n        return X\n"
_WAIT_SECONDS = 30
_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
_MODEL = proto_bodies.V2_MODEL


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of request.

    Attributes:
        name: in the table.
        path: of the URL.
        encode: an array to the body or the message.
        codec: of the protocol.
        shape: of the array.
    """

    name: str
    path: str
    encode: Callable[[Array], bytes]
    codec: Codec
    shape: tuple[int, int]

    @property
    def is_rest(self) -> bool:
        """Whether it is sent over REST."""
        return self.codec.transport.value == "rest"

    def make_body(self) -> bytes:
        """Return the body or the message."""
        return self.encode(np.random.default_rng(SEED).standard_normal(self.shape))


def _seldon_json(array: Array) -> bytes:
    return json_bodies.encode_seldon(Form.NDARRAY, array)


def _seldon_proto(array: Array) -> bytes:
    return proto_bodies.encode_seldon(Form.TENSOR, array)


def _v2_json(array: Array) -> bytes:
    return json_bodies.encode_v2(Form.TENSOR, array)


def _v2_proto(array: Array) -> bytes:
    return proto_bodies.encode_v2(Form.TENSOR, array)


_INFER, _MODEL_INFER = f"/v2/models/{_MODEL}/infer", "/inference.GRPCInferenceService/ModelInfer"
KINDS = (
    Kind("Seldon, REST, 1×4", "/predict", _seldon_json, JsonCodec(), SMALL),
    Kind("Seldon, gRPC, 1×4", "/seldon.protos.Model/Predict", _seldon_proto, ProtoCodec(), SMALL),
    Kind("Open Inference, REST, 1×4", _INFER, _v2_json, V2JsonCodec(ModelInfo(_MODEL)), SMALL),
    Kind("Open Inference, gRPC, 1×4", _MODEL_INFER, _v2_proto, V2ProtoCodec(ModelInfo(_MODEL)), SMALL),
    Kind("Open Inference, gRPC, 100×100", _MODEL_INFER, _v2_proto, V2ProtoCodec(ModelInfo(_MODEL)), MEDIUM),
)


@dataclass(frozen=True, slots=True)
class Row:
    """The microseconds of one kind of request.

    Attributes:
        decode, call, encode, other: of the steps of the thread that calls the class, measured in this process.
        model_user: user time of that thread in a server.
        loop_user: user time of the event loop.
        system: of both threads.
    """

    name: str
    decode: float
    call: float
    encode: float
    other: float
    model_user: float
    loop_user: float
    system: float


@dataclass(frozen=True, slots=True)
class Measured:
    """The table, and what it was made on."""

    machine: Machine
    seconds: int
    rounds: int
    rows: list[Row]


read_measured = partial(read_table, table=Measured, row=Row)


def render_measured(measured: Measured) -> str:
    """As Markdown."""
    machine = measured.machine
    rows = []
    for row in measured.rows:
        figures = (row.decode, row.call, row.encode, row.other, row.model_user, row.loop_user, row.system)
        total = row.model_user + row.loop_user + row.system
        rows.append([row.name, *(f"{figure:.1f}" for figure in figures), f"{total:.1f}"])
    head = ["request", "decode", "call", "encode", "other", "model thread", "event loop", "kernel", "total"]
    return (
        f"{machine.date}, {machine.processor}, {machine.cores} cores, {machine.system}, Linux {machine.kernel}; "
        f"{CONNECTIONS} connections; medians of {measured.rounds} rounds of {measured.seconds} s. Microseconds for one "
        f"request.\n\n{render_table(head, rows)}\n"
    )


def measure_steps(kind: Kind, calls: int) -> tuple[float, float, float, float]:
    """Measure the steps of the thread that calls the class, in this process.

    Returns:
        The microseconds of decoding, the call, encoding and what else there is.

    Raises:
        RuntimeError: the request failed.
    """
    with tempfile.TemporaryDirectory(prefix="stages-") as name:
        folder = Path(name)
        (folder / "Served.py").write_text(SOURCE, encoding="utf-8")
        (folder / "seldon.yaml").write_text(f"class_name: Served\nname: {_MODEL}\n", encoding="utf-8")
        spec = load(folder / "seldon.yaml", {})
        metrics: MetricsSink = Metrics(spec.unit)
        dispatcher = dispatcher_for(spec, metrics)
        try:
            component = dispatcher.start().result(_WAIT_SECONDS)
            return _time_steps(kind, RequestProcessor(lambda: component, metrics), calls)
        finally:
            dispatcher.stop()


def _time_steps(kind: Kind, processor: RequestProcessor, calls: int) -> tuple[float, float, float, float]:
    body = kind.make_body()
    steps: list[list[float]] = []
    for _ in range(calls):
        call = Call(Operation.PREDICT, body, kind.codec, lambda _call: None)
        processor.process(call)
        if call.error is not None:
            raise RuntimeError(f"{kind.name}: {call.error}") from call.error
        decode, encode = call.decoded_at - call.dequeued_at, call.ended_at - call.predict_ended_at
        predict = call.predict_ended_at - call.predict_started_at
        steps.append([decode, predict, encode, call.ended_at - call.arrived_at - decode - predict - encode])
    decode, predict, encode, other = (statistics.median(step) * 1e6 for step in zip(*steps, strict=True))
    return decode, predict, encode, other


def _read_threads(pid: int) -> dict[int, tuple[int, int]]:
    """Return user and system time of each thread of a process, in ticks."""
    found = {}
    for task in (Path("/proc") / str(pid) / "task").iterdir():
        words = (task / "stat").read_text().rpartition(")")[2].split()
        found[int(task.name)] = int(words[11]), int(words[12])
    return found


def measure_threads(server: OwnServer, kind: Kind, seconds: int) -> tuple[float, float, float]:
    """Load a server.

    Returns:
        The microseconds of user time of the thread that calls the class, and of the event loop, and of system time.
    """
    (worker,) = server.processes() - {server.process.pid}
    pressure = Pressure(seconds, CONNECTIONS, STREAMS, 0)
    body = server.folder / "request"
    before = _read_threads(worker)
    if kind.is_rest:
        body.write_bytes(kind.make_body())
        load = load_by_wrk(f"http://127.0.0.1:{server.http}{kind.path}", body, pressure)
    else:
        body.write_bytes(frame(kind.make_body()))
        log = server.folder / "h2load.log"
        load = load_by_h2load(f"http://127.0.0.1:{server.grpc}{kind.path}", body, log, pressure, GRPC, is_serial=False)
    model = loop = system = 0
    for thread, (user, kernel) in _read_threads(worker).items():
        user_before, kernel_before = before.get(thread, (0, 0))
        system += kernel - kernel_before
        if thread == worker:  # the main thread calls the class
            model += user - user_before
        else:
            loop += user - user_before
    model_us, loop_us, system_us = (ticks / _TICKS_A_SECOND / load.requests * 1e6 for ticks in (model, loop, system))
    return model_us, loop_us, system_us


def measure_all(seconds: int, rounds: int, calls: int) -> list[Row]:
    """Return a row for each kind of request."""
    rows = []
    with serving(SOURCE, {"max_message_bytes": 1 << 25}, variables={"SELDON_SPEC__NAME": _MODEL}) as server:
        for kind in KINDS:
            steps = measure_steps(kind, calls)
            figures: Any = [measure_threads(server, kind, seconds) for _ in range(rounds)]
            rows.append(Row(kind.name, *steps, *map(statistics.median, zip(*figures, strict=True))))
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and write the results."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stages", description=__doc__)
    parser.add_argument("--seconds", type=int, default=4, metavar="N", help="of each load; %(default)s")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="%(default)s")
    parser.add_argument("--calls", type=int, default=20_000, metavar="N", help="in this process; %(default)s")
    add_flags(parser)
    given = parser.parse_args(arguments)

    def measure() -> Measured:
        rows = measure_all(given.seconds, given.rounds, given.calls)
        return Measured(describe_machine(), given.seconds, given.rounds, rows)

    return run(given, measure, read_measured, render_measured, "stages")


if __name__ == "__main__":
    sys.exit(main())

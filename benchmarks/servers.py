"""The servers, one row each: the files each is given, the command that starts it, the dialects it speaks.

Add a server by a row; what runs inside of a peer's environment lies in peers/.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import dialects, proto_bodies
from benchmarks.dialects import Dialect
from benchmarks.workloads import WORKLOADS, Form, Model, Transport, Workload

MAX_MESSAGE_BYTES = 200_000_000
PEERS = Path(__file__).parent / "peers"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a server runs: its ports on loopback, and what it is to serve."""

    http: int
    grpc: int
    metrics: int
    workers: int
    model: Model


Files = Mapping[str, str | bytes]


@dataclass(frozen=True, slots=True)
class Server:
    """One server to measure.

    Args:
        name: what ``--server`` calls it.
        command: its words, in which ``{python}`` and ``{bin}`` are of its environment, ``{class_name}`` is the model's,
            and the rest are fields of a Place.
        files: the files of its working folder, by name.
        rest: how it is asked over REST in workloads of the Seldon protocol; None if it is not.
        grpc: the same over gRPC.
        v2: how it is asked in the workloads of V2 that it supports.
        environment: the folder under ``--envs`` that it is installed in; None is this interpreter's.
        most_workers: of how many it can make use; None is of any number.
        is_fixed: it predicts nothing; its fixed responses are those of its model.
        requires: the modules that it needs beside its own.
        variables: more of its environment.
        note: what a reader has to know to read its figures.
    """

    name: str
    command: str
    files: Callable[[Place], Files]
    rest: Dialect | None = dialects.SELDON_REST
    grpc: Dialect | None = dialects.SELDON_GRPC
    v2: Mapping[Form, Dialect] = field(default_factory=dict)
    environment: str | None = None
    most_workers: int | None = None
    is_fixed: bool = False
    requires: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    note: str = ""

    def can_use(self, workers: int) -> bool:
        """Whether so many workers are of any use to it."""
        return self.most_workers is None or workers <= self.most_workers

    def dialect(self, workload: Workload) -> Dialect | None:
        """How it is asked in the workload; None if it does not support it."""
        if workload.form.is_v2:
            return self.v2.get(workload.form)
        return self.rest if workload.transport is Transport.REST else self.grpc

    def python(self, environments: Path) -> Path:
        """The interpreter that runs it."""
        return Path(sys.executable) if self.environment is None else environments / self.environment / "bin" / "python"

    def words(self, place: Place, environments: Path) -> list[str]:
        """The command, filled in."""
        python = self.python(environments)
        filled = {
            "python": python,
            "bin": python.parent,
            "class_name": place.model.class_name,
            "http": place.http,
            "grpc": place.grpc,
            "metrics": place.metrics,
            "workers": place.workers,
        }
        return [word.format_map(filled) for word in self.command.split()]


def _own(**server: Any) -> Callable[[Place], Files]:
    """A seldon.yaml, with more keys of its ``server`` as given, beside the class."""

    def write(place: Place) -> Files:
        settings = {"host": "127.0.0.1", "workers": place.workers, "max_message_bytes": MAX_MESSAGE_BYTES, **server}
        keys = {
            "class_name": place.model.class_name,
            "ports": {"http": place.http, "grpc": place.grpc, "metrics": place.metrics},
            "server": settings,
            "name": proto_bodies.V2_MODEL,
        }
        text = "".join(f"{key}: {json.dumps(value)}\n" for key, value in keys.items())
        return {"seldon.yaml": text, **_class(place)}

    return write


_FILE_METHODS = {"model.joblib": "predict_proba", "model.json": "predict", "model.onnx": "predict"}
"""The method of the model files of benchmarks/models, which every server of such files calls."""
_MLSERVER_RUNTIMES: Mapping[str, tuple[str, str | None]] = {
    "model.joblib": ("mlserver_sklearn.SKLearnModel", None),
    "model.json": ("mlserver_xgboost.XGBoostModel", None),
    "model.onnx": ("mlserver_onnx.Runtime", "mlserver_onnx.py"),
}
"""The runtime of each model file, and the file of benchmarks/peers that has it."""


def _own_file(**server: Any) -> Callable[[Place], Files]:
    """A seldon.yaml with a model file and no class; more keys of its ``server`` as given."""

    def write(place: Place) -> Files:
        settings = {"host": "127.0.0.1", "workers": place.workers, "max_message_bytes": MAX_MESSAGE_BYTES, **server}
        keys = {
            "name": proto_bodies.V2_MODEL,
            "model": {"path": place.model.file, "method": _FILE_METHODS.get(place.model.file or "")},
            "ports": {"http": place.http, "grpc": place.grpc, "metrics": place.metrics},
            "server": settings,
        }
        text = "".join(f"{key}: {json.dumps(value)}\n" for key, value in keys.items())
        return {"seldon.yaml": text, **place.model.write_file()}

    return write


def _mlserver_file(*, has_pool: bool = False, **model: Any) -> Callable[[Place], Files]:
    """Settings of MLServer for a model file, by its runtime for the format, or ours if it has none."""

    def write(place: Place) -> Files:
        file = str(place.model.file)
        runtime, peer = _MLSERVER_RUNTIMES.get(file, (None, None))
        parameters = {"uri": f"./{file}", "extra": {"predict_fn": _FILE_METHODS.get(file)}}
        settings = {
            "name": proto_bodies.V2_MODEL,
            "implementation": runtime,
            "parameters": parameters,
            **model,
        }
        files = {
            "settings.json": _write_mlserver_settings(place, has_pool=has_pool),
            **({} if peer is None else _peer(peer)),
        }
        return {**files, "model-settings.json": json.dumps(settings), **place.model.write_file()}

    return write


def _class(place: Place) -> Files:
    return {f"{place.model.module}.py": place.model.source}


def _peer(file: str) -> Files:
    return {file: (PEERS / file).read_text(encoding="utf-8")}


def _seldon_core(place: Place) -> Files:
    annotation = f'seldon.io/grpc-max-message-size="{MAX_MESSAGE_BYTES}"\n'
    return {"annotations": annotation, **_peer("seldon_core_launcher.py"), **_class(place)}


def _mlserver(*, has_pool: bool) -> Callable[[Place], Files]:
    """Settings of MLServer; its pool of processes for inference is its default."""

    def write(place: Place) -> Files:
        model = {
            "name": proto_bodies.V2_MODEL,
            "implementation": "mlserver_runtime.Runtime",
            "parameters": {"extra": {"class_name": place.model.class_name}},
        }
        files = {"settings.json": _write_mlserver_settings(place, has_pool=has_pool)}
        files["model-settings.json"] = json.dumps(model)
        return {**files, **_peer("mlserver_runtime.py"), **_class(place)}

    return write


def _write_mlserver_settings(place: Place, *, has_pool: bool) -> str:
    settings = {
        "host": "127.0.0.1",
        "http_port": place.http,
        "grpc_port": place.grpc,
        "metrics_port": place.metrics,
        "grpc_max_message_length": MAX_MESSAGE_BYTES,
        "parallel_workers": place.workers if has_pool else 0,
        "debug": False,
    }
    return json.dumps(settings)


def _litserve(place: Place) -> Files:
    return {**_peer("litserve_app.py"), **_class(place)}


def _bentoml(place: Place) -> Files:
    settings = {"class_name": place.model.class_name, "workers": place.workers}
    return {"settings.json": json.dumps(settings), **_peer("bentoml_app.py"), **_class(place)}


def _kserve(place: Place) -> Files:
    return {**_peer("kserve_app.py"), **_class(place)}


_TRITON_MODEL = """\
backend: "python"
max_batch_size: 0
input [{{ name: "x" data_type: TYPE_FP64 dims: [-1, -1] }}]
output [{{ name: "y" data_type: TYPE_FP64 dims: [-1, -1] }}]
instance_group [{{ kind: KIND_CPU count: {workers} }}]
parameters {{ key: "class_name" value: {{ string_value: "{class_name}" }} }}
"""


def _triton(place: Place) -> Files:
    model = _TRITON_MODEL.format(workers=place.workers, class_name=place.model.class_name)
    return {"config.pbtxt": model, **_peer("triton_launcher.py"), **_peer("triton_model.py"), **_class(place)}


def _fixed(file: str, dialect: Dialect) -> Callable[[Place], Files]:
    """Return a correct response to each workload of the dialect, to be sent for any request."""

    def write(place: Place) -> Files:
        responses = {
            f"{workload.name}.response": dialect.encode(workload.form, place.model.predict(workload.make_array()))
            for workload in WORKLOADS.values()
            if workload.transport is dialect.transport and not workload.form.is_v2 and place.model.takes(workload)
        }
        return {**_peer(file), **responses}

    return write


OWN_COMMAND = "{python} -m seldon_spec serve ."

SERVERS = {
    server.name: server
    for server in (
        Server("seldon-spec", OWN_COMMAND, _own(), v2=dialects.V2, note="a folder with a seldon.yaml and the class"),
        Server(
            "seldon-spec-uvicorn", OWN_COMMAND, _own(engine="uvicorn"), note="the same, with `server.engine: uvicorn`"
        ),
        Server(
            "seldon-spec-batched",
            OWN_COMMAND,
            _own(batching={"max_rows": 256}),
            note="the same as seldon-spec, with `server.batching.max_rows: 256`",
        ),
        Server(
            "seldon-spec-json",
            OWN_COMMAND,
            _own(log={"format": "json", "access": True}),
            note="the same, with `server.log: {format: json, access: true}`: a line per request, into a file",
        ),
        Server(
            "seldon-spec-traced",
            OWN_COMMAND,
            _own(tracing=True),
            requires=("opentelemetry.sdk",),
            note="the same, with `server.tracing: true`: all requests sampled, spans sent over HTTP to the benchmark's"
            " own process, which drops them and takes processor time that is not counted",
        ),
        Server(
            "seldon-spec-sampled",
            OWN_COMMAND,
            _own(tracing=True),
            requires=("opentelemetry.sdk",),
            variables={"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.01"},
            note="the same, with one request in a hundred sampled",
        ),
        Server(
            "seldon-core",
            "{python} seldon_core_launcher.py {class_name} --service-type MODEL --http-port {http} --grpc-port {grpc}"
            " --metrics-port {metrics} --workers {workers} --grpc-workers {workers}",
            _seldon_core,
            environment="seldon312",
            note="its defaults, with the limit of gRPC messages raised; it has no flag for an address,"
            " so it listens on all",
        ),
        Server(
            "mlserver",
            "{bin}/mlserver start .",
            _mlserver(has_pool=True),
            dialects.V2_REST,
            dialects.V2_GRPC,
            dialects.V2_WITHOUT_BINARY,
            environment="mlserver",
            note="its default: inference in a pool of processes, behind one that serves",
        ),
        Server(
            "mlserver-inproc",
            "{bin}/mlserver start .",
            _mlserver(has_pool=False),
            dialects.V2_REST,
            dialects.V2_GRPC,
            dialects.V2_WITHOUT_BINARY,
            environment="mlserver",
            most_workers=1,
            note="`parallel_workers: 0`, one process for all",
        ),
        Server(
            "seldon-spec-file",
            OWN_COMMAND,
            _own_file(),
            dialects.V2_REST,
            dialects.V2_GRPC,
            note="a folder with a seldon.yaml and a model file, over the Open Inference Protocol",
        ),
        Server(
            "seldon-spec-file-batched",
            OWN_COMMAND,
            _own_file(batching={"max_rows": 256}),
            dialects.V2_REST,
            dialects.V2_GRPC,
            note="the same, with `server.batching.max_rows: 256`",
        ),
        Server(
            "mlserver-file",
            "{bin}/mlserver start .",
            _mlserver_file(),
            dialects.V2_REST,
            dialects.V2_GRPC,
            environment="mlserver-runtimes",
            most_workers=1,
            note="MLServer's runtime for the format, with `parallel_workers: 0`",
        ),
        Server(
            "mlserver-file-pool",
            "{bin}/mlserver start .",
            _mlserver_file(has_pool=True),
            dialects.V2_REST,
            dialects.V2_GRPC,
            environment="mlserver-runtimes",
            note="the same with its default, inference in a pool of processes",
        ),
        Server(
            "mlserver-file-batched",
            "{bin}/mlserver start .",
            _mlserver_file(max_batch_size=256, max_batch_time=0.001),
            dialects.V2_REST,
            dialects.V2_GRPC,
            environment="mlserver-runtimes",
            most_workers=1,
            note="the same as mlserver-file, with `max_batch_size: 256` and `max_batch_time: 0.001`",
        ),
        Server(
            "kserve",
            "{python} kserve_app.py {class_name} --http_port {http} --grpc_port {grpc}"
            f" --grpc_max_send_message_length {MAX_MESSAGE_BYTES}"
            f" --grpc_max_receive_message_length {MAX_MESSAGE_BYTES}",
            _kserve,
            None,
            None,
            dialects.V2,
            environment="kserve",
            most_workers=1,
            note="the ModelServer of its SDK, with the limit of gRPC messages raised; it listens on all addresses",
        ),
        Server(
            "triton",
            "{python} triton_launcher.py --http-address=127.0.0.1 --http-port={http} --grpc-address=127.0.0.1"
            " --grpc-port={grpc} --metrics-address=127.0.0.1 --metrics-port={metrics} --disable-auto-complete-config",
            _triton,
            None,
            None,
            dialects.V2_ROUNDED,
            environment="triton",
            note="the server of the wheel of PyTriton without a graphics card; its Python backend has a process of the"
            " class for each worker",
        ),
        Server(
            "litserve",
            "{python} litserve_app.py {class_name} {http} {workers}",
            _litserve,
            dialects.LITSERVE,
            None,
            environment="litserve",
            note="for each worker a process that serves and one that predicts",
        ),
        Server(
            "bentoml",
            "{python} -m bentoml serve bentoml_app:Service --host 127.0.0.1 --port {http}",
            _bentoml,
            dialects.BENTOML,
            None,
            environment="bentoml",
            variables={"BENTOML_DO_NOT_TRACK": "True"},
            note="its defaults",
        ),
        Server(
            "fixed-granian",
            "{bin}/granian --interface wsgi --host 127.0.0.1 --port {http} --workers {workers} --log-level warning"
            " fixed_wsgi:app",
            _fixed("fixed_wsgi.py", dialects.FIXED_REST),
            dialects.FIXED_REST,
            None,
            environment="probes",
            is_fixed=True,
            note="predicts nothing: fixed responses, the upper bound for any WSGI application on granian",
        ),
        Server(
            "fixed-uvicorn",
            "{python} -m uvicorn fixed_asgi:app --host 127.0.0.1 --port {http} --workers {workers} --no-access-log"
            " --log-level warning",
            _fixed("fixed_asgi.py", dialects.FIXED_REST),
            dialects.FIXED_REST,
            None,
            environment="probes",
            is_fixed=True,
            note="predicts nothing: fixed responses, the upper bound for any server on uvicorn",
        ),
        Server(
            "fixed-loop",
            "{python} fixed_loop.py {http}",
            _fixed("fixed_loop.py", dialects.FIXED_REST),
            dialects.FIXED_REST,
            None,
            environment="probes",
            most_workers=1,
            is_fixed=True,
            note="predicts nothing: a bare loop of asyncio, uvloop and httptools, the upper bound for the client too",
        ),
        Server(
            "fixed-grpcio",
            "{python} fixed_grpcio.py {grpc}",
            _fixed("fixed_grpcio.py", dialects.FIXED_GRPC),
            None,
            dialects.FIXED_GRPC,
            environment="probes",
            most_workers=1,
            is_fixed=True,
            note="predicts nothing: the bound of any server on grpcio's asyncio",
        ),
    )
}

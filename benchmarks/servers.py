"""The servers, one row each: the files each is given, the command that starts it, the dialects it speaks.

Add a server by a row; what runs inside of a peer's environment lies in peers/.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import dialects
from benchmarks.dialects import Dialect
from benchmarks.server_files import (
    MAX_MESSAGE_BYTES,
    Files,
    Place,
    write_bentoml,
    write_fixed,
    write_kserve,
    write_litserve,
    write_mlserver,
    write_mlserver_file,
    write_own,
    write_own_file,
    write_seldon_core,
    write_triton,
)
from benchmarks.workloads import Form, Transport, Workload


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


OWN_COMMAND = "{python} -m seldon_spec serve ."

SERVERS = {
    server.name: server
    for server in (
        Server(
            "seldon-spec", OWN_COMMAND, write_own(), v2=dialects.V2, note="a folder with a seldon.yaml and the class"
        ),
        Server(
            "seldon-spec-uvicorn",
            OWN_COMMAND,
            write_own(engine="uvicorn"),
            note="the same, with `server.engine: uvicorn`",
        ),
        Server(
            "seldon-spec-batched",
            OWN_COMMAND,
            write_own(batching={"max_rows": 256}),
            note="the same as seldon-spec, with `server.batching.max_rows: 256`",
        ),
        Server(
            "seldon-spec-json",
            OWN_COMMAND,
            write_own(log={"format": "json", "access": True}),
            note="the same, with `server.log: {format: json, access: true}`: a line per request, into a file",
        ),
        Server(
            "seldon-spec-traced",
            OWN_COMMAND,
            write_own(tracing=True),
            requires=("opentelemetry.sdk",),
            note="the same, with `server.tracing: true`: all requests sampled, spans sent over HTTP to the benchmark's"
            " own process, which drops them and takes processor time that is not counted",
        ),
        Server(
            "seldon-spec-sampled",
            OWN_COMMAND,
            write_own(tracing=True),
            requires=("opentelemetry.sdk",),
            variables={"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.01"},
            note="the same, with one request in a hundred sampled",
        ),
        Server(
            "seldon-core",
            "{python} seldon_core_launcher.py {class_name} --service-type MODEL --http-port {http} --grpc-port {grpc}"
            " --metrics-port {metrics} --workers {workers} --grpc-workers {workers}",
            write_seldon_core,
            environment="seldon312",
            note="its defaults, with the limit of gRPC messages raised; it has no flag for an address,"
            " so it listens on all",
        ),
        Server(
            "mlserver",
            "{bin}/mlserver start .",
            write_mlserver(has_pool=True),
            dialects.V2_REST,
            dialects.V2_GRPC,
            dialects.V2_WITHOUT_BINARY,
            environment="mlserver",
            note="its default: inference in a pool of processes, behind one that serves",
        ),
        Server(
            "mlserver-inproc",
            "{bin}/mlserver start .",
            write_mlserver(has_pool=False),
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
            write_own_file(),
            dialects.V2_REST,
            dialects.V2_GRPC,
            note="a folder with a seldon.yaml and a model file, over the Open Inference Protocol",
        ),
        Server(
            "seldon-spec-file-batched",
            OWN_COMMAND,
            write_own_file(batching={"max_rows": 256}),
            dialects.V2_REST,
            dialects.V2_GRPC,
            note="the same, with `server.batching.max_rows: 256`",
        ),
        Server(
            "mlserver-file",
            "{bin}/mlserver start .",
            write_mlserver_file(),
            dialects.V2_REST,
            dialects.V2_GRPC,
            environment="mlserver-runtimes",
            most_workers=1,
            note="MLServer's runtime for the format, with `parallel_workers: 0`",
        ),
        Server(
            "mlserver-file-pool",
            "{bin}/mlserver start .",
            write_mlserver_file(has_pool=True),
            dialects.V2_REST,
            dialects.V2_GRPC,
            environment="mlserver-runtimes",
            note="the same with its default, inference in a pool of processes",
        ),
        Server(
            "mlserver-file-batched",
            "{bin}/mlserver start .",
            write_mlserver_file(max_batch_size=256, max_batch_time=0.001),
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
            write_kserve,
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
            write_triton,
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
            write_litserve,
            dialects.LITSERVE,
            None,
            environment="litserve",
            note="for each worker a process that serves and one that predicts",
        ),
        Server(
            "bentoml",
            "{python} -m bentoml serve bentoml_app:Service --host 127.0.0.1 --port {http}",
            write_bentoml,
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
            write_fixed("fixed_wsgi.py", dialects.FIXED_REST),
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
            write_fixed("fixed_asgi.py", dialects.FIXED_REST),
            dialects.FIXED_REST,
            None,
            environment="probes",
            is_fixed=True,
            note="predicts nothing: fixed responses, the upper bound for any server on uvicorn",
        ),
        Server(
            "fixed-loop",
            "{python} fixed_loop.py {http}",
            write_fixed("fixed_loop.py", dialects.FIXED_REST),
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
            write_fixed("fixed_grpcio.py", dialects.FIXED_GRPC),
            None,
            dialects.FIXED_GRPC,
            environment="probes",
            most_workers=1,
            is_fixed=True,
            note="predicts nothing: the bound of any server on grpcio's asyncio",
        ),
    )
}

"""Traces as an OTLP receiver gets them from a real server, over both transports."""

from __future__ import annotations

import gzip
import http.client
import http.server
import json
import re
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from seldon_spec.protocols.seldon_v1.proto import SeldonMessage

WAIT_SECONDS = 20
PREDICT = "/seldon.protos.Model/Predict"

SOURCE = """
import numpy as np
from opentelemetry import baggage, trace

class Served:
    def predict(self, X, names):
        with trace.get_tracer("own").start_as_current_span("own") as span:
            span.set_attribute("tenant", baggage.get_baggage("tenant") or "")
        if (X < 0).any():
            raise ValueError("below zero: " + ("?" if X.min() == -1 else "\\ud800"))
        return X
"""


@dataclass
class Seen:
    """One span that was received, and the resource that it is of."""

    name: str
    trace: str
    id: str
    parent: str
    state: str
    kind: int
    status: int
    message: str
    attributes: dict[str, Any]
    events: list[dict[str, Any]]
    links: list[str]
    begun: int
    ended: int
    resource: dict[str, Any]


def read_attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}


def read_spans(body: bytes) -> Iterator[Seen]:
    for part in ExportTraceServiceRequest.FromString(body).resource_spans:
        resource = read_attributes(part.resource.attributes)
        for span in (span for scope in part.scope_spans for span in scope.spans):
            yield Seen(
                span.name,
                span.trace_id.hex(),
                span.span_id.hex(),
                span.parent_span_id.hex(),
                span.trace_state,
                span.kind,
                span.status.code,
                span.status.message,
                read_attributes(span.attributes),
                [read_attributes(event.attributes) for event in span.events],
                [link.span_id.hex() for link in span.links],
                span.start_time_unix_nano,
                span.end_time_unix_nano,
                resource,
            )


class Receiver:
    """Takes spans over HTTP, as a collector does."""

    def __init__(self) -> None:
        self.spans: list[Seen] = []
        self.headers: list[str | None] = []
        received = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                received.headers.append(self.headers["x-tenant"])
                received.take(gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body)
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.end_headers()

            def log_message(self, *_args: object) -> None: ...

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    @property
    def variables(self) -> dict[str, str]:
        return {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{self._server.server_port}",
            "OTEL_BSP_SCHEDULE_DELAY": "3600000",  # so that what arrives is what the end of the server sends
        }

    def take(self, body: bytes) -> None:
        self.spans.extend(read_spans(body))

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


def ask(server: Any, path: str, body: bytes | None, **headers: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=WAIT_SECONDS)
    try:
        connection.request("POST" if body else "GET", path, body, {"Content-Type": "application/json", **headers})
        response = connection.getresponse()
        response.read()
        return response.status
    finally:
        connection.close()


def write_rows(values: Sequence[float]) -> bytes:
    return json.dumps({"data": {"tensor": {"shape": [len(values), 1], "values": values}}}).encode()


def call(server: Any, message: bytes, method: str = PREDICT, **metadata: str) -> str:
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        try:
            channel.unary_unary(method, None, None)(message, timeout=WAIT_SECONDS, metadata=tuple(metadata.items()))
        except grpc.RpcError as error:
            return str(error.code().name)
        return "OK"


def write_message(values: Sequence[float]) -> bytes:
    message = SeldonMessage(data={"tensor": {"shape": [len(values), 1], "values": values}})
    return bytes(message.SerializeToString())


ROWS, MESSAGE = write_rows([1.0, 2.0]), write_message([1.0, 2.0])
WRONG_ROWS, WRONG_MESSAGE, UNWRITABLE_ROWS = write_rows([-1.0]), write_message([-1.0]), write_rows([-2.0])
STAGES = ["queue", "decode", "call", "encode"]
OK, ERROR = 0, 2
SERVER = 2


@dataclass
class Case:
    """A request, and the trace that is to come of it.

    Attributes:
        ask: sends it with headers; returns the status.
        status: of HTTP, or gRPC's code.
        name: of its own span.
        children: those of that span, in the order of their starts.
        is_error: whether the span tells of one.
        attributes: some of the span's.
    """

    ask: Callable[..., int | str]
    status: int | str
    name: str
    children: Sequence[str]
    is_error: bool
    attributes: dict[str, Any]


HTTP = {"http.request.method": "POST", "url.path": "/predict", "http.route": "/predict"}
RPC = {"rpc.system": "grpc", "rpc.service": "seldon.protos.Model", "rpc.method": "Predict"}
CASES = {
    "rest": Case(
        lambda server, **more: ask(server, "/predict", ROWS, **more),
        200, "POST /predict", STAGES, False, {**HTTP, "http.response.status_code": 200, "seldon.rows": 2},
    ),
    "rest-with-a-query": Case(
        lambda server, **more: ask(server, "/predict?a=b", ROWS, **more),
        200, "POST /predict", STAGES, False, {**HTTP, "http.response.status_code": 200, "seldon.rows": 2},
    ),
    "rest-user-s-error": Case(
        lambda server, **more: ask(server, "/predict", WRONG_ROWS, **more),
        500, "POST /predict", STAGES[:3], True, {**HTTP, "http.response.status_code": 500, "error.type": "500"},
    ),
    "rest-unwritable-error": Case(
        lambda server, **more: ask(server, "/predict", UNWRITABLE_ROWS, **more),
        500, "POST /predict", STAGES[:3], True, {**HTTP, "http.response.status_code": 500, "error.type": "500"},
    ),
    "rest-unread": Case(
        lambda server, **more: ask(server, "/predict", b"{oops", **more),
        400, "POST /predict", STAGES[:2], False, {**HTTP, "http.response.status_code": 400},
    ),
    "rest-no-such-path": Case(
        lambda server, **more: ask(server, "/card/4711", None, **more),
        404, "GET", [], False, {"url.path": "/card/4711", "http.response.status_code": 404},
    ),
    "grpc": Case(
        lambda server, **more: call(server, MESSAGE, **more),
        "OK", PREDICT[1:], STAGES, False, {**RPC, "rpc.grpc.status_code": 0, "seldon.rows": 2},
    ),
    "grpc-user-s-error": Case(
        lambda server, **more: call(server, WRONG_MESSAGE, **more),
        "UNKNOWN", PREDICT[1:], STAGES[:3], True, {**RPC, "rpc.grpc.status_code": 2, "error.type": "UNKNOWN"},
    ),
    "grpc-unread": Case(
        lambda server, **more: call(server, b"\xff\xff", **more),
        "INVALID_ARGUMENT", PREDICT[1:], STAGES[:2], False, {**RPC, "rpc.grpc.status_code": 3},
    ),
}  # fmt: skip
NAMES = [*CASES]


def parent_of(name: str) -> tuple[str, str]:
    """The ids of the trace and of the span that a case's client says it has."""
    number = NAMES.index(name) + 1
    return f"{number:032x}", f"{number:016x}"


@dataclass
class Run:
    """What one server answered, and the spans that it has sent by its end."""

    answers: dict[str, int | str]
    spans: list[Seen]
    log: str

    def find(self, trace: str) -> list[Seen]:
        return sorted((span for span in self.spans if span.trace == trace), key=lambda span: span.begun)


BLUEPRINT = '    import flask; model_error_handler = flask.Blueprint("nothing", __name__)\n'
"""Added to a class, it has every REST request handled through Flask."""


@pytest.fixture(scope="module", params=["", BLUEPRINT], ids=["native", "Flask"])
def run(request: pytest.FixtureRequest, start_for_module: Callable[..., Any]) -> Run:
    receiver = Receiver()
    with pytest.MonkeyPatch.context() as patch:
        for name, text in receiver.variables.items():
            patch.setenv(name, text)
        server = start_for_module(SOURCE + request.param, server={"tracing": True}).wait_until_ready()
    answers = {}
    for name, case in CASES.items():
        trace, span = parent_of(name)
        more = {"traceparent": f"00-{trace}-{span}-01", "tracestate": "vendor=1", "baggage": "tenant=acme"}
        answers[name] = case.ask(server, **more, **{"seldon-puid": f"id-{name}"})
    for ask_it in (CASES["rest"].ask, CASES["rest-with-a-query"].ask, CASES["grpc"].ask):
        ask_it(server, traceparent=f"00-{'f' * 32}-{'f' * 16}-00")
    ask(server, "/predict", ROWS, **{"seldon-puid": "alone"})
    ask(server, "/live", None, traceparent=f"00-{'e' * 32}-{'e' * 16}-01")
    assert server.stop() == 0
    receiver.close()
    return Run(answers, receiver.spans, server.log)


@pytest.mark.parametrize("name", NAMES)
def test_a_request_is_a_span_with_its_stages(run: Run, name: str) -> None:
    case, (trace, caller) = CASES[name], parent_of(name)
    spans = run.find(trace)
    [own] = [span for span in spans if span.parent == caller]
    assert (run.answers[name], own.name, own.kind, own.state) == (case.status, case.name, SERVER, "vendor=1")
    assert own.attributes == {**own.attributes, **case.attributes, "seldon.puid": f"id-{name}"}
    assert (own.status, "error.type" in own.attributes) == ((ERROR, True) if case.is_error else (OK, False))
    children = [span for span in spans if span.parent == own.id]
    assert [span.name for span in children] == case.children
    assert all(own.begun <= span.begun <= span.ended <= own.ended for span in children)
    assert own.resource["service.name"] == "m"


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if "call" in case.children])
def test_the_user_s_own_spans_stand_below_the_call(run: Run, name: str) -> None:
    spans = run.find(parent_of(name)[0])
    [asked] = [span for span in spans if span.name == "call"]
    [own] = [span for span in spans if span.name == "own"]
    assert (own.parent, own.attributes["tenant"]) == (asked.id, "acme")


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.is_error])
def test_the_call_tells_what_the_class_raised(run: Run, name: str) -> None:
    [asked] = [span for span in run.find(parent_of(name)[0]) if span.name == "call"]
    [event] = asked.events
    assert (asked.status, asked.message) == (ERROR, "ValueError: below zero: ?")
    assert (event["exception.type"], event["exception.message"]) == ("ValueError", "below zero: ?")
    assert event["exception.stacktrace"].endswith("ValueError: below zero: ?\n")


def test_what_the_caller_does_not_sample_is_not_traced(run: Run) -> None:
    assert run.find("f" * 32) == []


def test_probes_are_not_traced(run: Run) -> None:
    assert run.find("e" * 32) == []


def test_a_request_without_a_parent_begins_a_trace(run: Run) -> None:
    [root] = [span for span in run.spans if span.attributes.get("seldon.puid") == "alone"]
    assert (root.parent, root.name) == ("", "POST /predict")
    assert sorted(span.name for span in run.find(root.trace)) == sorted(["POST /predict", *STAGES, "own"])


def test_the_server_has_nothing_to_say_of_it(run: Run) -> None:
    assert "opentelemetry" not in run.log.replace("in start_as_current_span", "")
    assert "tracing" not in run.log


GATED = """
from gated import pass_gate
from opentelemetry import trace

class Served:
    def predict(self, X, names):
        if X.shape[1] == 2:
            pass_gate()
        elif (X < 0).any():
            raise ValueError("negative")
        trace.get_tracer("own").start_span("own").end()
        return X
"""


def wait_until_queued(server: Any, count: int) -> None:
    while True:
        found = re.search(r"^seldon_spec_queued_requests\{.*\} (\S+)$", server.metrics(), re.MULTILINE)
        if found and float(found[1]) == count:
            return


def test_each_of_the_requests_that_one_call_answers_has_its_own_span(
    start: Callable[..., Any], gate: Any, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in receiver.variables.items():
        monkeypatch.setenv(name, text)
    server = start(GATED, server={"tracing": True, "batching": {"max_rows": 100}}).wait_until_ready()
    wide = json.dumps({"data": {"ndarray": [[1, 2]]}}).encode()
    with ThreadPoolExecutor(8) as pool:
        held = pool.submit(ask, server, "/predict", wide)
        gate.wait_until_entered()
        waiting = []
        for number in (1, 2, 3, 4):  # the first is not sampled
            head = f"00-{number:032x}-{number:016x}-{number > 1:02x}"
            waiting.append(pool.submit(ask, server, "/predict", ROWS, traceparent=head))
            wait_until_queued(server, number)
        gate.release()
        assert [each.result() for each in (held, *waiting)] == [200] * 5
    assert server.stop() == 0
    traces = {n: [span for span in receiver.spans if span.trace == f"{n:032x}"] for n in (1, 2, 3, 4)}
    calls = {n: [span for span in spans if span.name == "call"] for n, spans in traces.items()}
    servers = {n: span.id for n, spans in traces.items() for span in spans if span.kind == SERVER}
    assert [len(spans) for spans in calls.values()] == [0, 1, 1, 1]
    assert {spans[0].attributes["seldon.batch.requests"] for spans in calls.values() if spans} == {4}
    for number, spans in calls.items():
        for span in spans:
            assert sorted(span.links) == sorted(id_ for other, id_ in servers.items() if other != number)
    owns = [span for spans in traces.values() for span in spans if span.name == "own"]
    assert [span.parent for span in owns] == [calls[2][0].id]


def traced(beside: Any, receiver: Receiver, **variables: str) -> list[Seen]:
    """The spans of one request to the server that a command starts."""
    beside.write_class(SOURCE)
    server = beside.start(**{**receiver.variables, **variables}).wait_until_ready()
    assert ask(server, "/predict", ROWS) == 200
    assert server.stop() == 0
    return receiver.spans


WHOLE = {"POST /predict", "own", *STAGES}
VARIABLES: list[tuple[str, dict[str, str], set[str]]] = [
    ("tracing: true", {}, WHOLE),
    ("", {"TRACING": "1"}, WHOLE),
    ("", {"SELDON_SPEC__SERVER__TRACING": "true"}, WHOLE),
    ("tracing: true", {"OTEL_TRACES_SAMPLER": "always_off"}, set()),
    ("tracing: true", {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0"}, set()),
    ("tracing: true", {"OTEL_SDK_DISABLED": "true"}, set()),
    ("tracing: true", {"OTEL_TRACES_EXPORTER": "none"}, set()),
    ("tracing: false", {}, set()),
]


@pytest.mark.parametrize(("server", "variables", "names"), VARIABLES, ids=[" ".join([s, *v]) for s, v, _ in VARIABLES])
def test_the_standard_variables_rule(
    beside: Any, receiver: Receiver, server: str, variables: dict[str, str], names: set[str]
) -> None:
    beside.write_spec(server=server)
    assert {span.name for span in traced(beside, receiver, **variables)} == names


def test_the_resource_and_the_exporter_s_headers_come_from_the_variables(beside: Any, receiver: Receiver) -> None:
    beside.write_spec("environment: {OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment=test,service.name=other'}\n",
                      server="tracing: true")  # fmt: skip
    spans = traced(beside, receiver, OTEL_SERVICE_NAME="iris", OTEL_EXPORTER_OTLP_HEADERS="x-tenant=acme")
    resource = spans[0].resource
    assert (resource["service.name"], resource["deployment.environment"]) == ("iris", "test")
    assert set(receiver.headers) == {"acme"}


@pytest.mark.parametrize("where", ["variable", "spec"])
def test_spans_go_by_grpc_where_that_is_asked_for(beside: Any, receiver: Receiver, where: str) -> None:
    name = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"

    def export(body: bytes, _context: grpc.ServicerContext) -> bytes:
        receiver.take(body)
        return bytes(ExportTraceServiceResponse().SerializeToString())

    collector = grpc.server(futures.ThreadPoolExecutor(1))
    service, _, method = name.strip("/").partition("/")
    handlers = {method: grpc.unary_unary_rpc_method_handler(export)}
    collector.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    port = collector.add_insecure_port("127.0.0.1:0")
    collector.start()
    asked = {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
    written = f"environment: {json.dumps(asked)}\n" if where == "spec" else ""
    beside.write_spec(written, server="tracing: true")
    variables = {} if where == "spec" else asked
    spans = traced(beside, receiver, OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{port}", **variables)
    collector.stop(None).wait()
    assert {span.name for span in spans} == WHOLE


WRONG = [
    ({"OTEL_TRACES_EXPORTER": "pigeon"}, "OTEL_TRACES_EXPORTER is pigeon"),
    ({"OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"}, "OTEL_EXPORTER_OTLP_PROTOCOL is http/json"),
    ({"OTEL_PROPAGATORS": "pigeon"}, "pigeon"),
]


@pytest.mark.parametrize(("variables", "text"), WRONG, ids=[next(iter(variables)) for variables, _ in WRONG])
def test_what_is_not_there_ends_the_start_with_one_line(beside: Any, variables: dict[str, str], text: str) -> None:
    beside.write_class(SOURCE)
    beside.write_spec(server="tracing: true")
    server = beside.start(**variables)
    assert server.wait() == 1
    assert "Traceback" not in server.log
    [line] = [line for line in server.lines if line.startswith("error: ")]
    assert line.startswith("error: server.tracing: ")
    assert text in line


BLOCKER = "import sys; sys.modules.update({'opentelemetry.sdk': None, 'uvicorn': None})"


@pytest.mark.parametrize(
    ("server_keys", "message", "extra"),
    [
        ("tracing: true", "server.tracing needs packages that are not installed here", "tracing"),
        ("engine: uvicorn", "server.engine: uvicorn needs a package that is not installed here", "uvicorn"),
    ],
    ids=["tracing", "uvicorn"],
)
def test_a_missing_extra_is_reported_before_anything_starts(
    beside: Any, server_keys: str, message: str, extra: str
) -> None:
    (beside.folder / "sitecustomize.py").write_text(BLOCKER)
    beside.write_class(SOURCE)
    beside.write_spec(server=server_keys)
    server = beside.start(PYTHONPATH=str(beside.folder))
    assert server.wait() == 1
    assert "seldon.yaml:3:" in server.log
    assert f"error: {message} [missing-package]" in server.log
    assert f"pip install 'seldon-spec[{extra}]'" in server.log
    assert not {"Traceback", "REST on"} & set(re.findall(r"Traceback|REST on", server.log))


def test_an_old_deployment_that_asks_for_tracing_is_served_without_the_extra(beside: Any) -> None:
    (beside.folder / "sitecustomize.py").write_text(BLOCKER)
    beside.write_class(SOURCE)
    beside.write_spec()
    server = beside.start(PYTHONPATH=str(beside.folder), TRACING="1")
    server.wait_for("TRACING: warning: server.tracing needs packages that are not installed here: nothing is traced")
    server.wait_until_ready()
    assert server.stop() == 0


MODULES = """
import sys

class Served:
    def predict(self, X, names):
        return f"{sum(name.startswith('opentelemetry') for name in sys.modules)} modules"
"""


def test_nothing_is_imported_where_nothing_is_traced(start: Callable[..., Any]) -> None:
    server = start(MODULES).wait_until_ready()
    status, answer = server.predict()
    assert (status, answer["strData"]) == (200, "0 modules")


def test_a_receiver_that_is_gone_is_told_of_once_and_keeps_nobody(beside: Any) -> None:
    beside.write_class(SOURCE)
    beside.write_spec(server="tracing: true")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # and it does not listen
        address = f"http://127.0.0.1:{closed.getsockname()[1]}"
        server = beside.start(OTEL_EXPORTER_OTLP_ENDPOINT=address, OTEL_BSP_SCHEDULE_DELAY="1").wait_until_ready()
        assert [ask(server, "/predict", ROWS) for _ in range(20)] == [200] * 20
        server.wait_for("WARNING seldon_spec.observability.tracing")
        assert server.stop() == 0
    logged = [line for line in server.lines if "seldon_spec.observability.tracing" in line]
    assert len(logged) <= 3
    assert all(" WARNING " in line for line in logged)


def test_a_header_that_cannot_be_read_is_not_shown(beside: Any, receiver: Receiver) -> None:
    beside.write_spec(server="tracing: true")
    beside.write_class(SOURCE)
    server = beside.start(**receiver.variables, OTEL_EXPORTER_OTLP_HEADERS="a-very-secret-token").wait_until_ready()
    assert server.stop() == 0
    assert "Header format invalid!" in server.log
    assert "secret" not in server.log


def test_what_clients_send_as_context_is_not_shown(beside: Any, receiver: Receiver) -> None:
    beside.write_spec(server="tracing: true")
    beside.write_class(SOURCE)
    server = beside.start(**receiver.variables).wait_until_ready()
    parent = {"traceparent": f"00-{'1' * 32}-{'2' * 16}-01"}
    for headers in ({"baggage": "a secret"}, {"baggage": "secret" * 2000}, {"tracestate": "a secret", **parent}):
        assert ask(server, "/predict", ROWS, **headers) == 200
    assert server.stop() == 0
    assert server.count("WARNING seldon_spec.observability.tracing: ") == 3
    assert "secret" not in server.log

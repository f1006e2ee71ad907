"""Requests as OpenTelemetry traces; imported only by a worker with ``server.tracing``.

The SDK reads the standard ``OTEL_*`` variables itself, except those that select an exporter: the spec contains them.
"""

from __future__ import annotations

import contextlib
import logging
import math
import re
import threading
import time
import traceback
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import lru_cache
from importlib.metadata import entry_points
from typing import NamedTuple

from opentelemetry import propagate, trace
from opentelemetry.context import Context, attach, detach
from opentelemetry.propagators.textmap import Getter
from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import Link, Span, SpanKind, StatusCode

from seldon_spec import __version__
from seldon_spec.config.model import Spec
from seldon_spec.errors import ComponentFailed
from seldon_spec.inference.call import Call
from seldon_spec.observability.request_context import Find, RequestContext

logger = logging.getLogger(__name__)

_SERVER_ERRORS = {"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"}
"""The gRPC codes that are errors of the server (OpenTelemetry's semantic conventions for gRPC)."""

_OTLP = {"http/protobuf": "otlp_proto_http", "grpc": "otlp_proto_grpc"}
"""The exporters that OTEL_EXPORTER_OTLP_PROTOCOL can select."""

_FLUSH_SECONDS = 4.0
"""Limit for sending the last spans; the supervisor kills a worker 5 seconds after its grace period."""

_PRIVATE = ("opentelemetry.util.re", "opentelemetry.baggage", "opentelemetry.trace")
"""The SDK's loggers whose messages contain values of variables, which may be passwords, or of clients' headers."""

_REPEAT_SECONDS = 60.0
_MAX_LINKS = 16
_MAX_DESCRIPTIONS = 1024
_MESSAGE_CHARACTERS = 2000
_STACK_CHARACTERS = 8000


class _Trace(NamedTuple):
    """A request's span, and the context in which spans are its children."""

    span: Span
    context: Context


class _CurrentSpans(AbstractContextManager[None]):
    """Makes a context current; at its exit, ends the spans, and records in them what was raised."""

    def __init__(self, spans: Sequence[Span], context: Context) -> None:
        self._spans = spans
        self._context = context

    def __enter__(self) -> None:
        self._token = attach(self._context)

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        try:
            if error is not None:
                _record_error(self._spans, error)
        finally:
            detach(self._token)
            for span in self._spans:
                span.end()


class Tracing:
    """A ``Tracer``: the traces of one worker's requests.

    Args:
        provider: creates and exports the spans.
        rest_routes: the paths that spans may be named after. Other paths are chosen by clients, and would make any
            number of names.
        grpc_routes: the paths of gRPC methods, likewise.
        grpc_status_numbers: the number of each gRPC code.

    Attributes:
        headers: the names of the headers that identify a request's parent span, in lower case.
    """

    def __init__(
        self,
        provider: TracerProvider,
        rest_routes: Collection[str],
        grpc_routes: Collection[str],
        grpc_status_numbers: Mapping[str, int],
    ) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("seldon_spec", __version__)
        self._rest_routes = frozenset(rest_routes)
        self._grpc_routes = frozenset(grpc_routes)
        self._grpc_status_numbers = grpc_status_numbers
        self._describe = lru_cache(_MAX_DESCRIPTIONS)(self._describe_request)
        self.headers = tuple(sorted(name.lower().encode() for name in propagate.get_global_textmap().fields))

    def begin(self, headers: Find, request: RequestContext) -> _Trace:
        context = propagate.extract(headers, Context(), _HEADERS)
        name, attributes = self._describe(request.factory.transport, request.factory.method, request.factory.route)
        span = self._tracer.start_span(name, context, SpanKind.SERVER, attributes, start_time=request.started)
        return _Trace(span, trace.set_span_in_context(span, context))

    def end(self, request: RequestContext, call: Call | None, status: int | str) -> None:
        span: Span = request.trace.span
        if not span.is_recording():
            return
        span.set_attribute("seldon.puid", request.id)
        if call is not None:
            self._add_stages(request, call)
            if not math.isnan(call.rows):
                span.set_attribute("seldon.rows", int(call.rows))
        self._set_status(span, status)
        span.end()

    def watch(self, calls: Sequence[Call]) -> AbstractContextManager[None]:
        """Trace the call of the component that processes these calls.

        Spans of the user's code are children of the first of them that is sampled.
        """
        traces: list[_Trace] = [call.request_context.trace for call in calls if call.request_context is not None]
        sampled = [each for each in traces if each.span.is_recording()]
        spans = self._start_call_spans(sampled, len(calls)) if sampled else []
        context = next((each.context for each in (*sampled, *traces)), Context())
        return _CurrentSpans(spans, trace.set_span_in_context(spans[0], context) if spans else context)

    def watch_component(self, name: str, method: str) -> AbstractContextManager[None]:
        """Trace one call of a component of a graph.

        The span is a child of the current one: ``call``, or the component that contains the graph. Spans of the user's
        code are its children.
        """
        if not trace.get_current_span().is_recording():  # no request, or one that is not sampled
            return contextlib.nullcontext()
        attributes = {"seldon.component": name, "seldon.method": method}
        span = self._tracer.start_span(f"component {name}", attributes=attributes)
        return _CurrentSpans([span], trace.set_span_in_context(span))

    def close(self) -> None:
        """Send the remaining spans, within a time limit."""
        closing = threading.Thread(target=self._provider.shutdown, name="seldon-spec-tracing", daemon=True)
        closing.start()
        closing.join(_FLUSH_SECONDS)
        if closing.is_alive():
            logger.warning("cannot send the last spans within %g seconds", _FLUSH_SECONDS)

    def _start_call_spans(self, sampled: Sequence[_Trace], count: int) -> list[Span]:
        """Start a span in each sampled trace of a batch of ``count`` requests."""
        if count == 1:
            return [self._tracer.start_span("call", context) for _, context in sampled]
        links = [Link(span.get_span_context()) for span, _ in sampled[: _MAX_LINKS + 1]]
        return [
            self._tracer.start_span(
                "call",
                context,
                attributes={"seldon.batch.requests": count},
                links=[link for link in links if link.context != span.get_span_context()][:_MAX_LINKS],
            )
            for span, context in sampled
        ]

    def _add_stages(self, request: RequestContext, call: Call) -> None:
        """Add a span for each measured stage of a call, except the component's: ``watch`` made that one."""
        read = call.ended_at if math.isnan(call.decoded_at) else call.decoded_at  # decoding failed
        for name, begun, ended in (
            ("queue", call.arrived_at, call.dequeued_at),
            ("decode", call.dequeued_at, read),
            ("queue", call.decoded_at, call.predict_started_at),  # the wait for the rest of a batch
            ("encode", call.predict_ended_at, call.ended_at),
        ):
            if begun < ended:  # False if one is NaN
                start = request.started + round((begun - request.arrived) * 1e9)
                span = self._tracer.start_span(name, request.trace.context, start_time=start)
                span.end(start + round((ended - begun) * 1e9))

    def _describe_request(self, transport: str, method: str, route: str) -> tuple[str, dict[str, str]]:
        """Return the name of a span, and the attributes that are known at its start."""
        if transport == "grpc":
            service, _, procedure = route.strip("/").rpartition("/")
            attributes = {"rpc.system": "grpc", "rpc.service": service, "rpc.method": procedure}
            return route.strip("/") if route in self._grpc_routes else "grpc", attributes
        attributes = {"http.request.method": method, "url.path": route}
        if route not in self._rest_routes:
            return method, attributes
        return f"{method} {route}", {**attributes, "http.route": route}

    def _set_status(self, span: Span, status: int | str) -> None:
        """Set the status of a response; a client's error is no error of the server's span."""
        if isinstance(status, int):
            span.set_attribute("http.response.status_code", status)
            is_error = status >= 500
        else:
            span.set_attribute("rpc.grpc.status_code", self._grpc_status_numbers[status])
            is_error = status in _SERVER_ERRORS
        if is_error:
            span.set_attribute("error.type", str(status))
            span.set_status(StatusCode.ERROR)


def make_tracing(
    spec: Spec,
    *,
    rest_routes: Collection[str],
    grpc_routes: Collection[str],
    grpc_status_numbers: Mapping[str, int],
) -> Tracing:
    """Set up the tracing of this process; it becomes OpenTelemetry's global one, for the user's own spans.

    Args:
        spec: its environment is applied.
        rest_routes, grpc_routes, grpc_status_numbers: see ``Tracing``.

    Raises:
        Exception: a variable selects something that is not installed; each part of the SDK has errors of its own.
    """
    _reduce_sdk_logs()
    is_named = bool(OTELResourceDetector().detect().attributes.get(SERVICE_NAME))
    resource = Resource.create({} if is_named else {SERVICE_NAME: spec.name})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    for exporter in _make_exporters(spec):
        provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    return Tracing(provider, rest_routes, grpc_routes, grpc_status_numbers)


def _make_exporters(spec: Spec) -> Iterator[SpanExporter]:
    names = _find_setting(spec, spec.unit.traces_exporter, "OTEL_TRACES_EXPORTER") or "otlp"
    for name in dict.fromkeys(name.strip() for name in names.split(",")):
        if name != "none":
            found = [*entry_points(group="opentelemetry_traces_exporter", name=_entry_point_name(spec, name))]
            if not found:
                raise ValueError(f"OTEL_TRACES_EXPORTER is {name}, and no installed package has this exporter")
            yield found[0].load()()


def _entry_point_name(spec: Spec, name: str) -> str:
    """Return the name of an exporter's entry point; OTLP has one for each protocol."""
    if name != "otlp":
        return name
    variables = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
    protocol = _find_setting(spec, spec.unit.otlp_protocol, *variables) or "http/protobuf"
    if protocol not in _OTLP:
        raise ValueError(f"OTEL_EXPORTER_OTLP_PROTOCOL is {protocol}, and the choices are {' and '.join(_OTLP)}")
    return _OTLP[protocol]


def _find_setting(spec: Spec, given: str | None, *variables: str) -> str | None:
    """Return the value of a variable of the process, else of the first variable that the spec's environment sets."""
    return given or next((str(spec.environment[name]) for name in variables if spec.environment.get(name)), None)


class _RateLimitedHandler(logging.Handler):
    """Repeats the SDK's warnings, each at most once a minute: an unreachable receiver would cost a line per batch."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._logged_at: dict[tuple[str, int], float] = {}

    def emit(self, record: logging.LogRecord) -> None:
        source, now = (record.pathname, record.lineno), time.monotonic()
        if now - self._logged_at.get(source, -math.inf) >= _REPEAT_SECONDS:
            self._logged_at[source] = now
            is_private = record.name.startswith(_PRIVATE)
            text = re.sub("%[sd]", "…", str(record.msg)) if is_private else record.getMessage()
            logger.warning("%s", text[:_MESSAGE_CHARACTERS])


def _reduce_sdk_logs() -> None:
    """Log the SDK's own records as warnings of the server, at a limited rate."""
    sdk = logging.getLogger("opentelemetry")
    sdk.handlers, sdk.propagate = [_RateLimitedHandler()], False


class _HeaderGetter(Getter[Find]):
    """Reads a request's headers."""

    def get(self, carrier: Find, key: str) -> list[str] | None:
        value = carrier(key.lower().encode())
        return None if value is None else [value.decode("latin-1")]

    def keys(self, carrier: Find) -> list[str]:  # noqa: ARG002
        """Return no names: headers are only looked up by name."""
        return []


_HEADERS = _HeaderGetter()


def _record_error(spans: Iterable[Span], error: BaseException) -> None:
    """Record what the component raised: the user's own exception, if there is one."""
    cause = error.__cause__ if isinstance(error, ComponentFailed) and error.__cause__ is not None else error
    kind = f"{type(cause).__module__}.{type(cause).__qualname__}".removeprefix("builtins.")
    message = _clean(str(cause))[:_MESSAGE_CHARACTERS]
    stack = _clean("".join(traceback.format_exception(cause)))[-_STACK_CHARACTERS:]
    event = {"exception.type": kind, "exception.message": message, "exception.stacktrace": stack}
    for span in spans:
        span.add_event("exception", event)
        span.set_attribute("error.type", kind)
        span.set_status(StatusCode.ERROR, f"{kind}: {message}")


def _clean(text: str) -> str:
    """Return text that UTF-8 can encode: an exporter would drop the whole batch of spans otherwise."""
    return text.encode("utf-8", "replace").decode("utf-8")

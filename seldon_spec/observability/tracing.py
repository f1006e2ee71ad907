"""Requests as traces of OpenTelemetry; imported only by a worker that traces.

The SDK reads the standard ``OTEL_*`` variables itself, but for those that choose an exporter: they come with the spec.
"""

from __future__ import annotations

import contextlib
import logging
import math
import re
import threading
import time
import traceback
from collections.abc import Iterable, Iterator, Sequence
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
from seldon_spec.protocols.seldon_v1.grpc_methods import METHODS
from seldon_spec.protocols.seldon_v1.proto import PACKAGE
from seldon_spec.protocols.seldon_v1.routes import POSTED, READ_PATHS
from seldon_spec.transport.grpc.headers import STATUS

logger = logging.getLogger(__name__)

_REST_ROUTES = {*POSTED, *(path for paths in READ_PATHS.values() for path in paths)}
_GRPC_ROUTES = {f"/{PACKAGE}.{service}/{method}" for service, methods in METHODS.items() for method in methods}
"""What spans may be named after; other paths are the clients' choice, and would make any number of names."""

_FAULTS = {"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"}
"""The codes that tell of a fault of the server's (OpenTelemetry's semantic conventions for gRPC)."""

_OTLP = {"http/protobuf": "otlp_proto_http", "grpc": "otlp_proto_grpc"}
"""The exporters that OTEL_EXPORTER_OTLP_PROTOCOL may ask for."""

_FLUSH_SECONDS = 4.0
"""How long a worker that ends waits for the receiver; the supervisor kills it 5 seconds after its grace period."""

_PRIVATE = ("opentelemetry.util.re", "opentelemetry.baggage", "opentelemetry.trace")
"""The SDK's loggers that would show what a variable, which may be a password, or a client's header holds."""

_TOLD_AGAIN_SECONDS = 60.0
_MOST_LINKS = 16
_MOST_ATTRIBUTES = 1024
_MESSAGE_CHARACTERS = 2000
_STACK_CHARACTERS = 8000


class _Trace(NamedTuple):
    """A request's own span, and the context whose spans become its children."""

    span: Span
    context: Context


class Tracing:
    """The traces of one worker's requests.

    Args:
        provider: makes the spans, and has them sent.

    Attributes:
        headers: the names of the headers that tell of a request's parent, in lower case.
    """

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("seldon_spec", __version__)
        self.headers = tuple(sorted(name.lower().encode() for name in propagate.get_global_textmap().fields))

    def begin(self, headers: Find, note: RequestContext) -> _Trace:
        """See ``Tracer``."""
        context = propagate.extract(headers, Context(), _HEADERS)
        name, attributes = _describe(note.plan.transport, note.plan.method, note.plan.route)
        span = self._tracer.start_span(name, context, SpanKind.SERVER, attributes, start_time=note.started)
        return _Trace(span, trace.set_span_in_context(span, context))

    def end(self, note: RequestContext, call: Call | None, status: int | str) -> None:
        """See ``Tracer``."""
        span: Span = note.trace.span
        if not span.is_recording():
            return
        span.set_attribute("seldon.puid", note.id)
        if call is not None:
            self._add_stages(note, call)
            if not math.isnan(call.rows):
                span.set_attribute("seldon.rows", int(call.rows))
        _tell_status(span, status)
        span.end()

    @contextlib.contextmanager
    def watch(self, calls: Sequence[Call]) -> Iterator[None]:
        """A context in which the component is asked for the answer to these calls.

        What the user's code traces there belongs to the first of them that is sampled.
        """
        traces: list[_Trace] = [call.note.trace for call in calls if call.note is not None]
        sampled = [each for each in traces if each.span.is_recording()]
        spans = self._begin_calls(sampled, len(calls)) if sampled else []
        context = next((each.context for each in (*sampled, *traces)), Context())
        token = attach(trace.set_span_in_context(spans[0], context) if spans else context)
        try:
            yield
        except BaseException as error:
            _tell_error(spans, error)
            raise
        finally:
            detach(token)
            for span in spans:
                span.end()

    def close(self) -> None:
        """Send what has not been sent yet; no longer than the worker can wait."""
        closing = threading.Thread(target=self._provider.shutdown, name="seldon-spec-tracing", daemon=True)
        closing.start()
        closing.join(_FLUSH_SECONDS)
        if closing.is_alive():
            logger.warning("the last spans could not be sent within %g seconds", _FLUSH_SECONDS)

    def _begin_calls(self, sampled: Sequence[_Trace], count: int) -> list[Span]:
        """A span for each of the requests, of ``count``, that one call of the component answers."""
        if count == 1:
            return [self._tracer.start_span("call", context) for _, context in sampled]
        links = [Link(span.get_span_context()) for span, _ in sampled[: _MOST_LINKS + 1]]
        return [
            self._tracer.start_span(
                "call",
                context,
                attributes={"seldon.batch.requests": count},
                links=[link for link in links if link.context != span.get_span_context()][:_MOST_LINKS],
            )
            for span, context in sampled
        ]

    def _add_stages(self, note: RequestContext, call: Call) -> None:
        """What has been measured of a call, but for the component's part, of which ``watch`` has made a span."""
        read = call.ended if math.isnan(call.read) else call.read  # it could not be read
        for name, begun, ended in (
            ("queue", call.arrived, call.begun),
            ("decode", call.begun, read),
            ("queue", call.read, call.asked),  # for others to be answered with
            ("encode", call.told, call.ended),
        ):
            if begun < ended:  # and neither is NaN
                start = note.started + round((begun - note.arrived) * 1e9)
                span = self._tracer.start_span(name, note.trace.context, start_time=start)
                span.end(start + round((ended - begun) * 1e9))


def make_tracing(spec: Spec) -> Tracing:
    """The tracing of this process, which the user's own code finds as OpenTelemetry's global one.

    Args:
        spec: its environment is applied.

    Raises:
        Exception: a variable asks for what is not there; each part of the SDK has errors of its own.
    """
    _spare_words()
    is_named = bool(OTELResourceDetector().detect().attributes.get(SERVICE_NAME))
    resource = Resource.create({} if is_named else {SERVICE_NAME: spec.name})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    for exporter in _make_exporters(spec):
        provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    return Tracing(provider)


def _make_exporters(spec: Spec) -> Iterator[SpanExporter]:
    names = _find_asked(spec, spec.unit.traces_exporter, "OTEL_TRACES_EXPORTER") or "otlp"
    for name in dict.fromkeys(name.strip() for name in names.split(",")):
        if name != "none":
            found = [*entry_points(group="opentelemetry_traces_exporter", name=_choose_protocol(spec, name))]
            if not found:
                raise ValueError(f"OTEL_TRACES_EXPORTER asks for {name}, and no package that is installed has that")
            yield found[0].load()()


def _choose_protocol(spec: Spec, name: str) -> str:
    """The whole name of an exporter: that of OTLP is one of each protocol."""
    if name != "otlp":
        return name
    variables = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
    protocol = _find_asked(spec, spec.unit.otlp_protocol, *variables) or "http/protobuf"
    if protocol not in _OTLP:
        raise ValueError(f"OTEL_EXPORTER_OTLP_PROTOCOL is {protocol}, and there are {' and '.join(_OTLP)}")
    return _OTLP[protocol]


def _find_asked(spec: Spec, given: str | None, *variables: str) -> str | None:
    """What a variable of the process says or, where there is none, one that the spec itself sets."""
    return given or next((str(spec.environment[name]) for name in variables if spec.environment.get(name)), None)


class _Sparing(logging.Handler):
    """Passes on what the SDK warns of, each thing once a minute: a receiver that is gone costs no line a batch."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._told: dict[tuple[str, int], float] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Tell it, unless that was done a moment ago."""
        place, now = (record.pathname, record.lineno), time.monotonic()
        if now - self._told.get(place, -math.inf) >= _TOLD_AGAIN_SECONDS:
            self._told[place] = now
            is_private = record.name.startswith(_PRIVATE)
            text = re.sub("%[sd]", "…", str(record.msg)) if is_private else record.getMessage()
            logger.warning("%s", text[:_MESSAGE_CHARACTERS])


def _spare_words() -> None:
    """Have the SDK's own records told in few lines, and none of them as an error of the server's."""
    sdk = logging.getLogger("opentelemetry")
    sdk.handlers, sdk.propagate = [_Sparing()], False


class _HeaderGetter(Getter[Find]):
    """Reads a request's headers."""

    def get(self, carrier: Find, key: str) -> list[str] | None:
        """The values of a header."""
        value = carrier(key.lower().encode())
        return None if value is None else [value.decode("latin-1")]

    def keys(self, carrier: Find) -> list[str]:  # noqa: ARG002
        """Unknown: a request is only asked for names."""
        return []


_HEADERS = _HeaderGetter()


@lru_cache(_MOST_ATTRIBUTES)
def _describe(transport: str, method: str, route: str) -> tuple[str, dict[str, str]]:
    """A span's name, and what is known of its request from the start."""
    if transport == "grpc":
        service, _, procedure = route.strip("/").rpartition("/")
        attributes = {"rpc.system": "grpc", "rpc.service": service, "rpc.method": procedure}
        return route.strip("/") if route in _GRPC_ROUTES else "grpc", attributes
    attributes = {"http.request.method": method, "url.path": route}
    if route not in _REST_ROUTES:
        return method, attributes
    return f"{method} {route}", {**attributes, "http.route": route}


def _tell_status(span: Span, status: int | str) -> None:
    """How a request was answered; an answer that blames the client is no error of the server's span."""
    if isinstance(status, int):
        span.set_attribute("http.response.status_code", status)
        is_fault = status >= 500
    else:
        span.set_attribute("rpc.grpc.status_code", STATUS[status])
        is_fault = status in _FAULTS
    if is_fault:
        span.set_attribute("error.type", str(status))
        span.set_status(StatusCode.ERROR)


def _tell_error(spans: Iterable[Span], error: BaseException) -> None:
    """What the component raised: the user's own exception, if it is one."""
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
    """Text that UTF-8 can write: another would cost the whole batch of spans that it is in."""
    return text.encode("utf-8", "replace").decode("utf-8")

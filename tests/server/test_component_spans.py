"""The spans of the components of a graph: below the call, with their errors, and only in sampled traces."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from seldon_spec.config.model import LogSpec
from seldon_spec.errors import ComponentFailed, PayloadError
from seldon_spec.inference.component.response import build_response_message
from seldon_spec.inference.dispatcher import Dispatcher
from seldon_spec.inference.executor import ModelThreads
from seldon_spec.inference.message import KeepRows, Operation
from seldon_spec.inference.metrics_sink import NullMetrics
from seldon_spec.inference.request import EncodedResponse, Request, Response
from seldon_spec.observability.request_context import RequestLog, make_context
from seldon_spec.observability.tracing import Tracing
from seldon_spec.protocols.seldon_v1.json_codec import JsonCodec

SAMPLED, NOT_SAMPLED = (f"00-{'a' * 32}-{'b' * 16}-{flag}".encode() for flag in ("01", "00"))


class Chain:
    """Calls two components, the first of which contains another one."""

    error_blueprint = None
    metadata = None
    uses_flask = False
    is_ready = True
    keeps_rows = KeepRows.NEVER
    custom_service = None
    plain = batchable = frozenset[Any]()

    def __init__(self, tracing: Tracing) -> None:
        self._watch = tracing.watch_component

    def close(self) -> None:
        """It holds no connections."""

    def call(self, request: Request, _record: object) -> Response:
        payload = request.message.payload
        with self._watch("scaler", "transforminput"), self._watch("inner", "predict"):
            trace.get_tracer("own").start_span("own").end()
        with self._watch("iris", "predict"):
            if payload == "fail":
                raise ComponentFailed("iris failed") from ValueError("below zero")
            if payload == "refuse":
                raise PayloadError("no such column")
        return Response(build_response_message(payload, request.operation, request.message, {}))


Ask = Callable[[str, bytes], tuple[Future[EncodedResponse], dict[str, ReadableSpan]]]


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch) -> Ask:
    """Return a function that has a request processed, and returns its response and its spans by name."""

    def ask(text: str, parent: bytes) -> tuple[Future[EncodedResponse], dict[str, ReadableSpan]]:
        exporter, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        monkeypatch.setattr(trace, "get_tracer", provider.get_tracer)  # as a worker sets it for its process
        tracing = Tracing(provider, ["/predict"], [], {})
        plan = RequestLog(LogSpec(), tracing).plan({b"traceparent": parent}.get, "rest", "POST", "/predict")
        dispatcher = Dispatcher(lambda: Chain(tracing), ModelThreads(1), NullMetrics(), trace=tracing.watch)  # type: ignore[arg-type,return-value]
        dispatcher.start().result(10)
        future = dispatcher.submit(
            Operation.PREDICT, f'{{"strData":"{text}"}}'.encode(), JsonCodec(), make_context(plan)
        )
        future.exception(10)
        dispatcher.stop()
        return future, {span.name: span for span in exporter.get_finished_spans()}

    return ask


def parent_of(span: ReadableSpan) -> int:
    assert span.parent is not None
    return int(span.parent.span_id)


def id_of(span: ReadableSpan) -> int:
    assert span.context is not None
    return int(span.context.span_id)


def test_components_are_children_of_the_call(ask: Ask) -> None:
    future, spans = ask("x", SAMPLED)
    assert future.result().body == b'{"meta":{},"strData":"x"}\n'
    call, scaler, inner, iris = (
        spans[name] for name in ("call", "component scaler", "component inner", "component iris")
    )
    assert (parent_of(scaler), parent_of(iris), parent_of(inner)) == (id_of(call), id_of(call), id_of(scaler))
    assert parent_of(spans["own"]) == id_of(inner)
    assert dict(scaler.attributes or {}) == {"seldon.component": "scaler", "seldon.method": "transforminput"}
    assert {span.status.status_code for span in spans.values()} == {StatusCode.UNSET}


ERRORS = {"fail": ("ValueError", "below zero"), "refuse": ("seldon_spec.errors.PayloadError", "no such column")}


@pytest.mark.parametrize(("text", "kind", "message"), [(text, *error) for text, error in ERRORS.items()], ids=ERRORS)
def test_an_error_is_that_of_the_component_and_of_the_call(ask: Ask, text: str, kind: str, message: str) -> None:
    future, spans = ask(text, SAMPLED)
    assert future.exception() is not None
    for name in ("component iris", "call"):
        [event] = spans[name].events
        assert event.attributes is not None
        assert (event.attributes["exception.type"], event.attributes["exception.message"]) == (kind, message)
        assert (spans[name].status.status_code, (spans[name].attributes or {})["error.type"]) == (
            StatusCode.ERROR,
            kind,
        )
    assert spans["component scaler"].status.status_code == StatusCode.UNSET


@pytest.mark.parametrize("text", ["x", "fail"])
def test_a_request_that_is_not_sampled_has_no_spans(ask: Ask, text: str) -> None:
    future, spans = ask(text, NOT_SAMPLED)
    assert (future.exception() is None) == (text == "x")
    assert spans == {}

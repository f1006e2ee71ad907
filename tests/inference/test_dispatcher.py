"""The dispatcher: one way for every request, one thread for the model."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from seldon_spec.errors import BadMetric, ComponentFailed, NotServing, PayloadError, ResultError
from seldon_spec.inference.component.base import Component, RecordMetrics
from seldon_spec.inference.component.response import build_response_message
from seldon_spec.inference.dispatcher import Dispatcher
from seldon_spec.inference.executor import ModelThreads
from seldon_spec.inference.message import KeepRows, Message, Operation, Transport
from seldon_spec.inference.metrics_sink import MetricsSink, NullMetrics
from seldon_spec.inference.request import Request, Response
from seldon_spec.observability.metrics import DURATION, Exposition, Metrics
from seldon_spec.protocols.seldon_v1.json_codec import JsonCodec

JSON = JsonCodec()


class Echo:
    """A component that answers what it was asked, and remembers on which threads."""

    error_blueprint = None
    metadata = None
    uses_flask = False
    is_ready = True
    keeps_rows = KeepRows.NEVER
    custom_service = None
    plain = batchable = frozenset[tuple[Operation, Transport]]()

    def describe_state(self) -> str:
        return "ready"

    def __init__(self) -> None:
        self.threads = {threading.get_ident()}

    def call(self, request: Request, record: RecordMetrics) -> Response:
        payload = request.message.payload
        self.threads.add(threading.get_ident())
        if payload == "metric":
            record([{"key": "without a value"}])
        if payload == "fail":
            raise ComponentFailed("failed") from ValueError("failed")
        return self.finish_batched(request, None if payload == "none" else payload, record)

    def close(self) -> None:
        """It holds no connections."""

    def batch_message(self, request: Request) -> None:
        """It takes none."""

    def call_batch(self, operation: Operation, message: Message) -> None:
        """It takes none."""

    def finish_batched(self, request: Request, payload: Any, record: RecordMetrics) -> Response:  # noqa: ARG002
        return Response(build_response_message(payload, request.operation, request.message, {}))


def make_dispatcher(make: Any = Echo, threads: int = 1, metrics: MetricsSink | None = None) -> Dispatcher:
    return Dispatcher(make, ModelThreads(threads), metrics or NullMetrics())


def ask(dispatcher: Dispatcher, text: str) -> bytes:
    return dispatcher.submit(Operation.PREDICT, text.encode(), JSON).result(10).body


def test_a_request_is_decoded_answered_and_encoded_on_the_model_thread() -> None:
    made: list[Echo] = []

    def make() -> Component:
        made.append(Echo())
        return made[0]

    dispatcher = make_dispatcher(make)
    assert not dispatcher.is_ready
    dispatcher.start().result(10)
    assert dispatcher.is_ready
    assert ask(dispatcher, '{"strData":"x"}') == b'{"meta":{},"strData":"x"}\n'
    dispatcher.stop()
    assert len(made[0].threads) == 1
    assert threading.get_ident() not in made[0].threads


@pytest.mark.parametrize("threads", [1, 3])
def test_early_requests_wait_for_the_component(threads: int) -> None:
    release = threading.Event()

    def make() -> Component:
        release.wait(10)
        return Echo()

    dispatcher = make_dispatcher(make, threads)
    built = dispatcher.start()
    waiting = [dispatcher.submit(Operation.PREDICT, b'{"strData":"x"}', JSON) for _ in range(5)]
    assert not dispatcher.is_ready
    assert not any(future.done() for future in waiting)
    release.set()
    built.result(10)
    assert {future.result(10).body for future in waiting} == {b'{"meta":{},"strData":"x"}\n'}
    dispatcher.stop()


FAILURES: dict[str, tuple[str, type[Exception]]] = {
    "payload": ("nonsense", PayloadError),
    "component": ('{"strData":"fail"}', ComponentFailed),
    "metric": ('{"strData":"metric"}', BadMetric),
    "result": ('{"strData":"none"}', ResultError),
}


@pytest.mark.parametrize(("text", "kind"), FAILURES.values(), ids=FAILURES.keys())
def test_failures_are_the_futures_and_the_next_request_is_served(text: str, kind: type[Exception]) -> None:
    metrics = Metrics()
    dispatcher = make_dispatcher(metrics=metrics)
    dispatcher.start()
    with pytest.raises(kind):
        ask(dispatcher, text)
    assert ask(dispatcher, '{"strData":"x"}')
    dispatcher.stop()
    page = Exposition(metrics).render().decode()
    counts = [line for line in page.splitlines() if line.startswith(f"{DURATION}_count")]
    assert [line.rsplit(" ", 1)[1] for line in counts] == ["1.0", "1.0"]
    assert ['outcome="error"' in line for line in counts] == [True, False]


def test_a_component_that_cannot_be_built_serves_nothing() -> None:
    def make() -> Component:
        raise ComponentFailed("no weights")

    dispatcher = make_dispatcher(make)
    assert isinstance(dispatcher.start().exception(10), ComponentFailed)
    assert not dispatcher.is_ready
    with pytest.raises(NotServing):
        ask(dispatcher, '{"strData":"x"}')
    dispatcher.stop()


def test_draining_answers_but_is_not_ready() -> None:
    dispatcher = make_dispatcher()
    dispatcher.start().result(10)
    dispatcher.drain()
    assert not dispatcher.is_ready
    assert ask(dispatcher, '{"strData":"x"}')
    dispatcher.stop()
    with pytest.raises(NotServing):
        ask(dispatcher, '{"strData":"x"}')

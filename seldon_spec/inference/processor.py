"""The work of a model thread for a call: decode the request, call the component, encode the response."""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections.abc import Callable, Hashable, Sequence
from contextlib import AbstractContextManager
from functools import cache, partial
from typing import Any, NamedTuple, ParamSpec, TypeAlias, TypeVar

from seldon_spec.errors import ComponentFailed, RequestError, SeldonSpecError
from seldon_spec.inference.batch_arrays import concat_rows, count_joined_rows, count_rows, find_group, split_rows
from seldon_spec.inference.call import WORKED_ON, BaseContext, Call
from seldon_spec.inference.component.base import Component, RecordMetrics
from seldon_spec.inference.message import Operation
from seldon_spec.inference.metrics_sink import MetricsSink
from seldon_spec.inference.request import Request

logger = logging.getLogger(__name__)

Trace: TypeAlias = Callable[[Sequence[Call]], AbstractContextManager[object]]
"""Returns a context in which the component is called; spans of the user's code belong to these calls."""

P = ParamSpec("P")
R = TypeVar("R")

_SIZED = frozenset({bytes, bytearray, memoryview, str})
_MAX_IDS = 16


class DecodedCall(NamedTuple):
    """A call and its decoded request."""

    call: Call
    request: Request


class RequestProcessor:
    """Processes calls on the current thread; every call is finished exactly once.

    Args:
        find_component: returns the component, or raises NotServing.
        metrics: records the requests and the component's own metrics.
        trace: None: nothing is traced.
    """

    def __init__(
        self, find_component: Callable[[], Component], metrics: MetricsSink, trace: Trace | None = None
    ) -> None:
        self._find_component = find_component
        self._component: Component | None = None
        self._metrics = metrics
        self._observe = metrics.observe_call
        self._trace = trace
        self._recorder = cache(self._make_recorder)
        self._unbatchable: set[Operation] = set()
        self._failed_batches: set[Operation] = set()

    def process(self, call: Call) -> None:
        """Process one call."""
        if call.context is not None:  # most have none, and need not pay for it
            _run_for((call,), self._process, call)
        elif call.request_context is None:
            self._process(call)
        else:
            before = WORKED_ON.set(call.request_context)
            try:
                self._process(call)
            finally:
                WORKED_ON.reset(before)

    def _process(self, call: Call) -> None:
        request = self._decode(call)
        if request is not None:
            call.predict_started_at = call.decoded_at
            self._call_component(call, request)

    def decode(self, call: Call) -> DecodedCall | None:
        """Decode a call that can be part of a batch.

        Returns:
            None if it is finished already: it was cancelled, or it cannot be decoded.
        """
        request = _run_for((call,), self._decode, call)
        return None if request is None else DecodedCall(call, request)

    def find_group(self, decoded: DecodedCall) -> tuple[Hashable, int] | None:
        """Find the calls that a call can share a batch with.

        Returns:
            A key that is equal for all of them, and the number of rows; None: the call is processed alone.
        """
        operation, codec = decoded.call.operation, decoded.call.codec
        if operation in self._unbatchable or (operation, codec.transport) not in self._built.batchable:
            return None
        try:
            message = self._built.batch_message(decoded.request)
            group = None if message is None else find_group(message)
        except Exception:  # raised again when the call is processed alone
            return None
        return None if message is None or group is None else ((operation, group), count_joined_rows(message))

    def process_batch(self, batch: Sequence[DecodedCall]) -> None:
        """Process calls of one group with one call of the component, or one by one if that fails."""
        batch = [decoded for decoded in batch if _is_wanted(decoded.call)]  # they may have waited for each other
        payloads = None
        if len(batch) > 1:
            payloads = _run_for([decoded.call for decoded in batch], self._call_batch, batch)
        if payloads is None:
            for call, request in batch:
                if _is_wanted(call):
                    _mark_predict_started((call,))
                    _run_for((call,), self._call_component, call, request)
            return
        for (call, request), payload in zip(batch, payloads, strict=True):
            _run_for((call,), self._finish_batched, call, request, payload)

    # The steps of a call

    def _decode(self, call: Call) -> Request | None:
        wire, call.wire = call.wire, None  # first, because cancelling also clears it
        if call.is_unwanted:
            if call.is_held:
                call.wire = wire
            call.then(call)
            return None
        call.dequeued_at = time.perf_counter()
        try:
            component = self._component
            if component is None:
                component = self._component = self._find_component()
            if type(wire) in _SIZED:
                call.body_bytes = len(wire)
            else:
                call.body_bytes = getattr(wire, "body_bytes", math.nan)
            request = call.codec.decode(call.operation, wire)
            request.keeps_rows = component.keeps_rows
            del wire  # no caller holds a large body while its request is processed
            if request.target is None and (call.operation, call.codec.transport) in component.plain:
                call.rows = count_rows(request.message)
        except BaseException as error:
            self._fail(call, error)
            return None
        call.decoded_at = time.perf_counter()
        return request

    def _call_component(self, call: Call, request: Request) -> None:
        component, record = self._component, self._recorder(call.operation)
        assert component is not None  # decoding a call sets it
        try:
            if self._trace is None or call.request_context is None:
                response = component.call(request, record)
            else:
                with self._trace((call,)):
                    response = component.call(request, record)
            call.predict_ended_at = time.perf_counter()
            call.response = call.codec.encode(response, request)
        except BaseException as error:
            self._fail(call, error)
        else:
            self._finish(call, "success")

    def _call_batch(self, batch: Sequence[DecodedCall]) -> list[Any] | None:
        """Return the payload of each call; None if one of them may have caused an error, or the result has no rows."""
        operation, calls = batch[0].call.operation, [decoded.call for decoded in batch]
        _mark_predict_started(calls)
        try:
            with contextlib.nullcontext() if self._trace is None else self._trace(calls):
                found = [self._built.batch_message(request) for _, request in batch]
                messages = [message for message in found if message is not None]
                counts = [count_joined_rows(message) for message in messages]
                payload = self._built.call_batch(operation, concat_rows(messages))
            payloads = split_rows(payload, counts)
        except Exception as error:  # which request causes it shows when each is processed alone
            if operation not in self._failed_batches:  # once: a class may refuse every batch of this size
                self._failed_batches.add(operation)
                text = "%s: a batch of %d requests raised; each is processed alone, as after any failed batch: %s"
                logger.warning(text, operation.value, len(batch), error)
            return None
        ended_at = time.perf_counter()
        if payloads is None:
            self._unbatchable.add(operation)
            logger.error(
                "%s: server.batching is off from now on: the class did not return one row for each row of a batch of"
                " %d requests, or returned tags or metrics with it; each request is processed alone",
                operation.value,
                len(batch),
            )
            return None
        for call in calls:
            call.predict_ended_at = ended_at
        self._metrics.observe_batch(operation.value, len(batch), sum(counts))
        return payloads

    def _finish_batched(self, call: Call, request: Request, payload: Any) -> None:
        try:
            response = self._built.finish_batched(request, payload, self._recorder(call.operation))
            call.response = call.codec.encode(response, request)
        except BaseException as error:
            self._fail(call, error)
        else:
            self._finish(call, "success")

    def _fail(self, call: Call, error: BaseException) -> None:
        if call.request_context is not None and not call.request_context.logs_failure:
            pass
        elif isinstance(error, ComponentFailed):
            logger.error("%s: %s", _name(call, error), error, exc_info=error.__cause__)
        elif isinstance(error, RequestError):
            logger.warning("%s: %s: %s", _name(call, error), type(error).__name__, error)
        call.error = error
        self._finish(call, "error")

    def _finish(self, call: Call, outcome: str) -> None:
        call.ended_at = ended_at = time.perf_counter()
        self._observe(
            call.operation,
            outcome,
            ended_at - call.arrived_at,
            call.dequeued_at - call.arrived_at + call.waited_seconds,
            call.decoded_at - call.dequeued_at,
            call.predict_ended_at - call.predict_started_at,
            ended_at - call.predict_ended_at,
            call.rows,
            call.body_bytes,
        )
        call.then(call)

    @property
    def _built(self) -> Component:
        """The component; decoding a call sets it."""
        assert self._component is not None
        return self._component

    def _make_recorder(self, operation: Operation) -> RecordMetrics:
        return partial(self._metrics.record, operation.value)


def _is_wanted(call: Call) -> bool:
    """Return True if the call is to be completed; finish it here if it was cancelled.

    Holding a call has no effect once its request has been decoded.
    """
    if call.is_held or not call.is_unwanted:
        return True
    call.then(call)
    return False


def _mark_predict_started(calls: Sequence[Call]) -> None:
    now = time.perf_counter()
    for call in calls:
        call.predict_started_at, call.waited_seconds = now, now - call.decoded_at


def _run_for(calls: Sequence[Call], function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call a function with the context variables of a call, and with the ids of all calls in the log."""
    if len(calls) == 1 and calls[0].context is not None:
        return calls[0].context.run(partial(_run_with_ids, calls, function, *args, **kwargs))
    return _run_with_ids(calls, function, *args, **kwargs)


def _join_ids(contexts: Sequence[BaseContext]) -> str:
    more = [f"+{len(contexts) - _MAX_IDS}"] if len(contexts) > _MAX_IDS else []
    return ",".join([*(context.id for context in contexts[:_MAX_IDS]), *more])


def _run_with_ids(calls: Sequence[Call], function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    contexts = [call.request_context for call in calls if call.request_context is not None]
    if not contexts:
        return function(*args, **kwargs)
    before = WORKED_ON.set(contexts[0] if len(calls) == 1 else _join_ids(contexts))
    try:
        return function(*args, **kwargs)
    finally:
        WORKED_ON.reset(before)


def _name(call: Call, error: SeldonSpecError) -> str:
    """Return the operation that failed and, in a graph, the component in which it did."""
    operation = call.operation.value
    return operation if error.component is None else f"{operation}: component {error.component}"

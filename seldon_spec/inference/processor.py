"""What a model thread does with calls: read, ask the component, write the answer."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Hashable, Sequence
from contextlib import AbstractContextManager
from functools import cache, partial
from typing import Any, NamedTuple, ParamSpec, TypeAlias, TypeVar

from seldon_spec.errors import ComponentFailed, RequestError
from seldon_spec.inference.batch_arrays import concat_rows, find_group, split_rows
from seldon_spec.inference.call import WORKED_ON, Call
from seldon_spec.inference.component.base import Component, MetricsSink
from seldon_spec.inference.message import Operation, Request
from seldon_spec.observability.metrics import Metrics

logger = logging.getLogger(__name__)

Trace: TypeAlias = Callable[[Sequence[Call]], AbstractContextManager[object]]
"""Makes a context in which the component is asked, so that what the user's code traces belongs to these calls."""

P = ParamSpec("P")
R = TypeVar("R")

_SIZED = frozenset({bytes, bytearray, memoryview, str})
_MOST_IDS = 16


class DecodedCall(NamedTuple):
    """A call that has been read, and what it asks."""

    call: Call
    request: Request


class RequestProcessor:
    """Answers calls on the thread that it is called on; every call is finished once, whatever happens.

    Args:
        find_component: gives the component, or raises NotServing.
        metrics: where requests and the component's own metrics are counted.
        trace: None: nothing is traced.
    """

    def __init__(self, find_component: Callable[[], Component], metrics: Metrics, trace: Trace | None = None) -> None:
        self._find_component = find_component
        self._component: Component | None = None
        self._metrics = metrics
        self._observe = metrics.observe_call
        self._trace = trace
        self._recorder = cache(self._make_recorder)
        self._inseparable: set[Operation] = set()
        self._broken: set[Operation] = set()

    def answer(self, call: Call) -> None:
        """Answer one call."""
        if call.context is not None:  # most have none, and need not pay for it
            _working_on((call,), self._answer, call)
        elif call.note is None:
            self._answer(call)
        else:
            before = WORKED_ON.set(call.note)
            try:
                self._answer(call)
            finally:
                WORKED_ON.reset(before)

    def _answer(self, call: Call) -> None:
        request = self._read(call)
        if request is not None:
            call.asked = call.read
            self._ask(call, request)

    def read(self, call: Call) -> DecodedCall | None:
        """Read a call that may be answered together with others.

        Returns:
            None if it is finished already: nobody wants it, or it cannot be read.
        """
        request = _working_on((call,), self._read, call)
        return None if request is None else DecodedCall(call, request)

    def find_group(self, part: DecodedCall) -> Hashable | None:
        """What calls have in common that one call of the component can answer; None: it is to be answered alone."""
        operation, codec = part.call.operation, part.call.codec
        if operation in self._inseparable or (operation, codec.transport) not in self._built.batchable:
            return None
        group = find_group(part.request.message)
        return None if group is None else (operation, group)

    def answer_together(self, parts: Sequence[DecodedCall]) -> None:
        """Answer calls of one group by one call of the component, or each alone where that cannot be."""
        parts = [part for part in parts if _is_wanted(part.call)]  # they may have waited long for each other
        payloads = None
        if len(parts) > 1:
            payloads = _working_on([part.call for part in parts], self._ask_together, parts)
        if payloads is None:
            for call, request in parts:
                if _is_wanted(call):
                    _begin_asking((call,))
                    _working_on((call,), self._ask, call, request)
            return
        for (call, request), payload in zip(parts, payloads, strict=True):
            _working_on((call,), self._settle, call, request, payload)

    # The steps of a call

    def _read(self, call: Call) -> Request | None:
        wire, call.wire = call.wire, None  # first, for whoever gives up on a call lets go of it, too
        if call.is_unwanted:
            if call.is_held:
                call.wire = wire
            call.then(call)
            return None
        call.begun = time.perf_counter()
        try:
            component = self._component or self._remember_component()
            if type(wire) in _SIZED:
                call.body_bytes = len(wire)
            request = call.codec.decode(call.operation, wire)
            del wire  # nobody up the stack holds a large body while it is answered
            if (call.operation, call.codec.transport) in component.plain:
                shape = getattr(request.message.payload, "shape", None)
                if shape is not None:
                    call.rows = shape[0] if len(shape) > 1 else 1
        except BaseException as error:
            self._fail(call, error)
            return None
        call.read = time.perf_counter()
        return request

    def _ask(self, call: Call, request: Request) -> None:
        component, record = self._built, self._recorder(call.operation)
        try:
            if self._trace is None or call.note is None:
                result = component.call(request, record)
            else:
                with self._trace((call,)):
                    result = component.call(request, record)
            call.told = time.perf_counter()
            call.reply = call.codec.encode(result, request)
        except BaseException as error:
            self._fail(call, error)
        else:
            self._finish(call, "success")

    def _ask_together(self, parts: Sequence[DecodedCall]) -> list[Any] | None:
        """The payload of each; None if one of them may be at fault, or the result is not one of rows."""
        operation, calls = parts[0].call.operation, [part.call for part in parts]
        _begin_asking(calls)
        try:
            with contextlib.nullcontext() if self._trace is None else self._trace(calls):
                payload = self._built.call_batch(operation, concat_rows([request.message for _, request in parts]))
            payloads = split_rows(payload, [int(call.rows) for call in calls])
        except Exception as error:  # whose fault it is shows when each is asked alone
            self._tell_broken(operation, len(parts), error)
            return None
        told = time.perf_counter()
        if payloads is None:
            self._inseparable.add(operation)
            logger.error(
                "%s: server.batching is off from now on: what the class returned for %d requests has not one row for"
                " each of theirs, or has tags or metrics of its own; each is asked alone",
                operation.value,
                len(parts),
            )
            return None
        for call in calls:
            call.told = told
        self._metrics.observe_batch(operation.value, len(parts), sum(call.rows for call in calls))
        return payloads

    def _tell_broken(self, operation: Operation, count: int, error: Exception) -> None:
        """Say once that merged calls raise: a class that bears no more rows at a time would be asked twice for all."""
        if operation not in self._broken:
            self._broken.add(operation)
            text = "%s: one call for %d requests has raised, and each is asked alone, as after any such call: %s"
            logger.warning(text, operation.value, count, error)

    def _settle(self, call: Call, request: Request, payload: Any) -> None:
        try:
            result = self._built.settle(call.operation, payload, self._recorder(call.operation))
            call.reply = call.codec.encode(result, request)
        except BaseException as error:
            self._fail(call, error)
        else:
            self._finish(call, "success")

    def _fail(self, call: Call, error: BaseException) -> None:
        if isinstance(error, ComponentFailed):
            logger.error("%s: %s", call.operation.value, error, exc_info=error.__cause__)
        elif isinstance(error, RequestError):
            logger.warning("%s: %s: %s", call.operation.value, type(error).__name__, error)
        call.error = error
        self._finish(call, "error")

    def _finish(self, call: Call, outcome: str) -> None:
        call.ended = ended = time.perf_counter()
        self._observe(
            call.operation.value,
            outcome,
            ended - call.arrived,
            call.begun - call.arrived + call.waited_seconds,
            call.read - call.begun,
            call.told - call.asked,
            ended - call.told,
            call.rows,
            call.body_bytes,
        )
        call.then(call)

    @property
    def _built(self) -> Component:
        """The component; whoever has read a call has found it."""
        assert self._component is not None
        return self._component

    def _remember_component(self) -> Component:
        self._component = self._find_component()
        return self._component

    def _make_recorder(self, operation: Operation) -> MetricsSink:
        return partial(self._metrics.record, operation.value)


def _is_wanted(call: Call) -> bool:
    """Return True if the call is to be completed; finish it here if it was cancelled.

    Holding a call has no effect once its request has been decoded.
    """
    if call.is_held or not call.is_unwanted:
        return True
    call.then(call)
    return False


def _begin_asking(calls: Sequence[Call]) -> None:
    """The component is asked now, of what has waited since it was read."""
    asked = time.perf_counter()
    for call in calls:
        call.asked, call.waited_seconds = asked, asked - call.read


def _working_on(calls: Sequence[Call], do: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Do something in the context of a call, and with the IDs of all in the log; of many, those of the first."""
    if len(calls) == 1 and calls[0].context is not None:
        return calls[0].context.run(partial(_with_ids, calls, do, *args, **kwargs))
    return _with_ids(calls, do, *args, **kwargs)


def _with_ids(calls: Sequence[Call], do: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    ids = [call.note.id for call in calls if call.note is not None]
    if not ids:
        return do(*args, **kwargs)
    more = [f"+{len(ids) - _MOST_IDS}"] if len(ids) > _MOST_IDS else []
    before = WORKED_ON.set(",".join([*ids[:_MOST_IDS], *more]))
    try:
        return do(*args, **kwargs)
    finally:
        WORKED_ON.reset(before)

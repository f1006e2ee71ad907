"""The components of a graph, and what one request collects on its way through them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, Protocol, TypeAlias

from seldon_spec.config.model import ComponentSpec
from seldon_spec.errors import RequestTimeout, ResultError, SeldonSpecError
from seldon_spec.inference.call import WORKED_ON, BaseContext
from seldon_spec.inference.component.base import Component, RecordMetrics
from seldon_spec.inference.graph.shadows import Shadow, Shadows
from seldon_spec.inference.graph.values import Value, add_component
from seldon_spec.inference.graph.work import Submit, Work
from seldon_spec.inference.message import AggregateMessage, Message, Operation, TensorMessage, Transport
from seldon_spec.inference.metrics_sink import ComponentMetrics
from seldon_spec.inference.request import Codec, Request, Response

TraceComponent: TypeAlias = Callable[[str, str], AbstractContextManager[object]]
"""Returns a context in which a component is called, given its name and the method: a span of its own."""


_MAX_BRANCH = (1 << 31) - 1
"""What protobuf can hold."""


class Visit:
    """One request on its way through a graph and the graphs in it.

    Args:
        codec: of the client.
        submit: starts calls of servers.
        shadows: runs the copies for shadows.
        client: the client's message, if it has named tensors: components further on get its parameters as well.
        is_shadow: whether the request is a copy for a shadow.

    Attributes:
        call: of the client; None: it is not known, or it does not matter to a shadow.
        routing: the branch of each step that was reached.
        request_path: the images of the components that were called.
        copies: for shadows, which start after the response.
    """

    __slots__ = ("call", "client", "codec", "copies", "is_shadow", "request_path", "routing", "shadows", "submit")

    def __init__(
        self,
        codec: Codec,
        submit: Submit,
        shadows: Shadows,
        client: TensorMessage | None = None,
        *,
        is_shadow: bool = False,
    ) -> None:
        self.codec = codec
        self.submit = submit
        self.shadows = shadows
        self.client = client
        context = WORKED_ON.get()
        self.call = context.call if isinstance(context, BaseContext) and not is_shadow else None
        self.is_shadow = is_shadow
        self.routing: dict[str, int] = {}
        self.request_path: dict[str, str] = {}
        self.copies: list[Shadow] = []

    def count_body_bytes(self) -> int:
        """Return the size of the client's request; 0 if it is not known."""
        size = math.nan if self.call is None else self.call.body_bytes
        return 0 if math.isnan(size) else int(size)

    def for_shadow(self) -> Visit:
        """Return the visit of a copy of the request for a shadow."""
        return Visit(self.codec, self.shadows.calls.submit, self.shadows, self.client, is_shadow=True)


class Composite(Protocol):
    """A graph as a component of another one."""

    def run(self, request: Request, visit: Visit) -> Work:
        """Run the graph with a request, as a part of the visit of the graph around it."""


class Node:
    """A component of a graph.

    Args:
        name: unique within the graph.
        spec: of the component.
        component: this process's, or the client of a server.
        make_metrics: returns where its measurements go, given whether it is called as a shadow.
        trace: None: its calls are not traced.
        composite: the component, if it is a graph of this process.
        has_feedback: whether it gets feedback.

    Attributes:
        is_remote: whether a server of its own runs it.
    """

    def __init__(
        self,
        name: str,
        spec: ComponentSpec,
        component: Component,
        make_metrics: Callable[[bool], ComponentMetrics],
        trace: TraceComponent | None = None,
        composite: Composite | None = None,
        *,
        has_feedback: bool = False,
    ) -> None:
        self.name = name
        self.spec = spec
        self.component = component
        self.is_remote = spec.url is not None
        self.has_feedback = has_feedback
        self._composite = composite
        self._image = (spec.spec.unit.image or "") if spec.spec is not None else ""
        self._metrics = {is_shadow: make_metrics(is_shadow) for is_shadow in (False, True)}
        self._records: dict[tuple[Operation, bool], RecordMetrics] = {}
        self._trace = trace
        self._codecs: dict[Transport, Codec] = {}

    def call(self, request: Request, *, is_shadow: bool = False) -> Response:
        """Call the component.

        Raises:
            SeldonSpecError: as ``Component.call`` does; its ``component`` is this one.
        """
        operation = request.operation
        record = self._records.get((operation, is_shadow))
        if record is None:
            record = self._records[operation, is_shadow] = partial(self._metrics[is_shadow].record, operation.value)
        started = time.perf_counter()
        try:
            if self._trace is None:
                response = self.component.call(request, record)
            else:
                with self._trace(self.name, operation.value):
                    response = self.component.call(request, record)
        except SeldonSpecError as error:
            raise self._fail(error, operation, started, is_shadow=is_shadow) from error.__cause__
        self._metrics[is_shadow].observe(operation.value, "success", time.perf_counter() - started)
        return response

    def run(self, operation: Operation, value: Value, visit: Visit) -> Work:
        """Call an operation with a value, and return the response as one.

        Raises:
            RequestTimeout: the client does not wait for the response any more.
        """
        call = visit.call
        if call is not None and call.is_unwanted and not call.is_held:
            raise RequestTimeout(f"the client did not wait until component {self.name} was called")
        visit.request_path[self.name] = self._image
        codec = self._find_codec(visit.codec)
        is_plain = (operation, codec.transport) in self.component.plain
        request = value.to_request(operation, codec, is_plain=is_plain)
        request.keeps_rows = self.component.keeps_rows
        if is_plain:
            value.read_request(request, self.name)
        if visit.client is not None and value.response is not None:
            _add_client(request.message, visit.client)
        if self._composite is not None:
            return (yield from self._run_composite(self._composite, request, visit))
        if not self.is_remote:
            return Value(None, self.call(request, is_shadow=visit.is_shadow), self.name)
        response = yield partial(self.call, request, is_shadow=visit.is_shadow)
        value = Value(None, response, self.name)
        try:
            self._record_remote(value.message.meta or {}, visit)
        except ResultError as error:
            raise add_component(error, None if error.component else self.name) from None
        return value

    def _run_composite(self, composite: Composite, request: Request, visit: Visit) -> Work:
        started, operation = time.perf_counter(), request.operation
        try:
            value = yield from composite.run(request, visit)
        except SeldonSpecError as error:
            raise self._fail(error, operation, started, is_shadow=visit.is_shadow) from error.__cause__
        self._metrics[visit.is_shadow].observe(operation.value, "success", time.perf_counter() - started)
        return value

    def _fail(
        self, error: SeldonSpecError, operation: Operation, started: float, *, is_shadow: bool
    ) -> SeldonSpecError:
        self._metrics[is_shadow].observe(operation.value, "error", time.perf_counter() - started)
        return add_component(error, self.name)

    def _find_codec(self, codec: Codec) -> Codec:
        """Return the codec of messages to this component: that of the client, with the component's inputs."""
        if not codec.has_tensors:
            return codec
        found = self._codecs.get(codec.transport)
        if found is None:
            spec = self.spec.spec
            found = self._codecs[codec.transport] = codec.with_inputs(() if spec is None else spec.inputs)
        return found

    def _record_remote(self, meta: Mapping[str, Any], visit: Visit) -> None:
        """Record what a server reports of itself and, if it is a graph, of its components.

        Raises:
            ResultError: it reports branches that are no numbers.
        """
        path, routing = meta.get("requestPath"), meta.get("routing")
        if isinstance(path, dict):
            visit.request_path.update({name: image for name, image in path.items() if isinstance(image, str)})
        if not isinstance(routing, dict):
            return
        for name, branch in routing.items():
            if not isinstance(branch, (int, float)) or not -_MAX_BRANCH <= branch <= _MAX_BRANCH:
                raise ResultError(f"meta.routing: {branch!r:.100} is no branch of {name!r:.100}")
            visit.routing[name] = int(branch)


def read_client(message: TensorMessage) -> TensorMessage:
    """Return what further components get of the client's message, before the first component can change it."""
    meta = {key: _copy(value) for key, value in (message.meta or {}).items()}
    return TensorMessage(
        message.payload_type,
        [],
        meta=meta,
        id=message.id,
        parameters=dict(message.parameters),
        headers=dict(message.headers),
    )


def _copy(value: Any) -> Any:
    return dict(value) if isinstance(value, dict) else value


def _add_client(message: Message, client: TensorMessage) -> None:
    """Add to the request of a further component what the client said of its own: parameters, headers and ID."""
    sent = client.meta or {}
    meta = message.meta = dict(message.meta or {})
    meta |= {key: _copy(sent[key]) for key in ("puid", "headers") if key in sent}
    if sent.get("tags"):
        meta["tags"] = {**sent["tags"], **(meta.get("tags") or {})}
    for part in message.parts if isinstance(message, AggregateMessage) else (message,):
        if isinstance(part, TensorMessage):  # unchanged parameters are not in the response
            part.parameters, part.headers, part.id = dict(client.parameters), dict(client.headers), client.id

"""An inference graph as a component: it runs its steps for predictions, and sends feedback along their path.

Source: Seldon Core's executor, and its Java engine for ``meta``. Differences: docs/differences.md.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from seldon_spec.config.model import Spec
from seldon_spec.errors import SeldonSpecError, UnsupportedOperation
from seldon_spec.inference.call import is_copy
from seldon_spec.inference.component.base import RecordMetrics
from seldon_spec.inference.component.metadata import complete_metadata
from seldon_spec.inference.component.response import build_response_message
from seldon_spec.inference.component.service import start_service
from seldon_spec.inference.contract.validation import RequestValidation
from seldon_spec.inference.graph.entries import Entries, keep_more
from seldon_spec.inference.graph.feedback import list_receivers
from seldon_spec.inference.graph.nodes import Node, Visit, read_client
from seldon_spec.inference.graph.shadows import Defer, Shadows
from seldon_spec.inference.graph.steps import Runner, echo_request
from seldon_spec.inference.graph.values import Value
from seldon_spec.inference.graph.work import CallPool, Work, finish
from seldon_spec.inference.message import KeepRows, Message, Operation, PayloadType, TensorMessage, Transport
from seldon_spec.inference.metrics_sink import MetricsSink
from seldon_spec.inference.request import LazyBody, Request, Response

logger = logging.getLogger(__name__)

_MAX_CONCURRENT = 32
"""The calls of servers that a graph makes at once, beside those of its model threads."""


class Graph:
    """A graph of components.

    Args:
        spec: of the graph.
        nodes: its components by name, in call order.
        root: its steps.
        ends: the first and the last component, for its metadata.
        routers: the router of each step whose name is another one.
        metrics: of the process.
        defer: see ``Shadows``.

    Attributes:
        spec, nodes: see the arguments.
        metadata, plain, batchable, keeps_rows, uses_flask, error_blueprint, custom_service: see ``Component``.
        has_feedback: whether feedback is sent to one of its components.
    """

    def __init__(
        self,
        spec: Spec,
        nodes: Mapping[str, Node],
        root: Runner,
        ends: tuple[Node, Node],
        routers: Mapping[str, str],
        metrics: MetricsSink,
        defer: Defer,
    ) -> None:
        self.spec = spec
        self.nodes = nodes
        self._root = root
        self._first, self._last = ends
        self._routers = routers
        required = {node.name for node in root.list_nodes({})}
        self._required = [node.component for node in nodes.values() if node.name in required]
        self._calls = CallPool(_MAX_CONCURRENT, "seldon-spec-remote")
        self._shadows = Shadows(metrics, defer)
        local = [node.component for node in nodes.values() if not node.is_remote]
        self.has_feedback = any(node.has_feedback for node in nodes.values())
        self.metadata = complete_metadata({}, spec.unit, spec.inputs, spec.outputs, spec.platform)
        self._entries = Entries(root)
        self.plain = self._entries.plain
        self.keeps_rows = self._entries.keeps_rows
        self.batchable: frozenset[tuple[Operation, Transport]] = frozenset()
        self.uses_flask = any(component.uses_flask for component in local)
        self.error_blueprint = _join_blueprints([c.error_blueprint for c in local if c.error_blueprint is not None])
        services = [c.custom_service for c in local if c.custom_service is not None]
        self.custom_service = partial(_start_all, services) if services else None
        is_declared = ("inputs",) in spec.origins  # otherwise the components check their own
        self._validation = RequestValidation(spec.inputs, spec.server.validate_requests) if is_declared else None
        if self._validation is not None:
            self.keeps_rows = keep_more(self.keeps_rows, KeepRows.IF_MIXED)

    @property
    def is_ready(self) -> bool:
        """Whether every component accepts requests; one that only gets copies as a shadow may fail."""
        return all(component.is_ready for component in self._required)

    def describe_state(self) -> str:
        """Return which components are not ready, and why."""
        return "; ".join(each.describe_state() for each in self._required if not each.is_ready) or "ready"

    def describe_metadata(self) -> dict[str, Any]:
        """Return the metadata of the graph in the executor's format; those of a component are None if unknown."""
        models = {name: node.component.metadata for name, node in self.nodes.items()}
        first, last = models[self._first.name] or {}, models[self._last.name] or {}
        return {
            "name": self.spec.name,
            "models": models,
            "graphinputs": first.get("inputs", []),
            "graphoutputs": last.get("outputs", []),
        }

    def call(self, request: Request, record: RecordMetrics) -> Response:  # noqa: ARG002 - components have their own
        """Handle one request; see ``Component.call``.

        Raises:
            UnsupportedOperation: only components have it.
        """
        operation, target, request.target = request.operation, request.target, None
        if target is not None:
            node = self.nodes[target]
            request.keeps_rows = node.component.keeps_rows
            return node.call(request)
        if operation is Operation.PREDICT:
            return self._predict(request)
        if operation is Operation.FEEDBACK:
            return self._send_feedback(request)
        if operation is Operation.METADATA:
            return Response(Message(PayloadType.JSON, self.metadata))
        if operation is Operation.HEALTH:
            responses = [node.call(Request(operation, None, request.codec)) for node in self._list_local()]
            return responses[0] if responses else Response(Message(PayloadType.TEXT, "healthy", meta={}))
        raise UnsupportedOperation(f"{self.spec.name} is a graph: only its components have this operation")

    def _list_local(self) -> list[Node]:
        return [node for node in self.nodes.values() if not node.is_remote]

    def close(self) -> None:
        """Close the connections to the servers of components, and end the threads that call them."""
        self._calls.close()
        self._shadows.close()
        for node in self.nodes.values():
            node.component.close()

    def batch_message(self, _request: Request) -> None:
        """Return None: requests are processed alone."""

    def call_batch(self, operation: Operation, message: Message) -> Any:
        raise NotImplementedError

    def finish_batched(self, request: Request, payload: Any, record: RecordMetrics) -> Response:
        raise NotImplementedError

    # Predictions

    def run(self, request: Request, visit: Visit) -> Work:
        """Run the steps with a request, which may be of a graph around this one.

        Raises:
            PayloadError: its inputs are not as they are declared for this graph.
        """
        codec = request.codec
        if self._validation is not None:
            request = self._validate(self._validation, request)
        value = Value(request)
        if self._entries.reads_wire[codec.transport] and not codec.has_tensors and self._validation is None:
            value.wire = _write(request)
            value.is_shared = self._entries.reads_only_wire[codec.transport]
        return (yield from self._root.run(value, visit))

    def _predict(self, request: Request) -> Response:
        codec = request.codec
        message = request.message if codec.has_tensors else None
        client = read_client(message) if isinstance(message, TensorMessage) else None
        visit = Visit(codec, self._calls.submit, self._shadows, client)
        try:
            return _complete(finish(self.run(request, visit)), visit)
        finally:
            request.operation = Operation.PREDICT
            if visit.copies:
                self._shadows.start(visit.copies)

    def _validate(self, validation: RequestValidation, request: Request) -> Request:
        """Return the request with the inputs as they are declared for the graph.

        Raises:
            PayloadError: they are not.
        """
        message = request.message
        accepts = validation.quick_check
        if accepts is not None and accepts(message):
            return request
        checked = validation.read_table(message)
        return request if checked is None else Request.from_message(request.operation, checked, request.codec)

    # Feedback

    def _send_feedback(self, request: Request) -> Response:
        """Send feedback to the components on the path of its response, the last one first.

        Returns:
            The first component's response; without one, what a class without ``send_feedback`` responds.

        Raises:
            PayloadError: the path is not one of this graph.
            SeldonSpecError: of the first component. Errors of the others are logged and counted.
        """
        raw = request.raw  # first, because reading the message releases it
        message: Any = request.message
        for step, router in self._routers.items():
            if step in message.routing:  # a router finds its branch under its own name
                raw.response.meta.routing[router] = message.routing[step]
        wire = request.codec.write_raw(raw)
        receivers = self._list_receivers(message.routing)
        response: Response | None = None
        for index, node in reversed(list(enumerate(receivers))):
            if node.is_remote and is_copy():  # it has got the feedback already
                continue
            try:
                response = node.call(request.codec.decode(Operation.FEEDBACK, wire))
            except SeldonSpecError as error:
                if index == 0:
                    raise
                logger.error("feedback: component %s: %s", error.component, error, exc_info=error.__cause__)
        if response is not None:
            return response
        meta = {key: value for key, value in (message.meta or {}).items() if key == "puid"}
        return Response(build_response_message(np.array([]), Operation.FEEDBACK, message, meta))

    def _list_receivers(self, routing: Mapping[str, int]) -> list[Node]:
        """Return the components that get feedback.

        Raises:
            PayloadError: the routing is not one of this graph and the graphs in it.
        """
        receivers = list_receivers(self._root, routing)
        for node in receivers:
            if isinstance(node.component, Graph):
                node.component._list_receivers(routing)
        return receivers


def _write(request: Request) -> Any:
    """Return the bytes of a request, as they were sent if nothing has parsed them."""
    body = request.body
    wire = body.wire if isinstance(body, LazyBody) else None
    if wire is None:
        return request.codec.write_raw(request.raw)
    if isinstance(wire, memoryview):  # a component gets no view that it could change
        body.wire = wire = wire.toreadonly()
    return wire


def _complete(value: Value, visit: Visit) -> Response:
    """Return the response to the client, with the routing and the path of its request."""
    response = value.response
    if response is None:
        response = Response(echo_request(value.message))
    if response.codec is not None and response.is_raw_for(visit.codec):
        raw = response.codec.add_routing(response.raw, visit.routing, visit.request_path)
        return Response(raw=raw, codec=response.codec)
    message = response.message
    meta = dict(message.meta or {})
    meta["requestPath"] = {**visit.request_path, **(meta.get("requestPath") or {})}
    meta["routing"] = visit.routing
    message.meta = meta
    return response


def _join_blueprints(blueprints: Sequence[Any]) -> Any:
    """Return one blueprint of Flask with the handlers of several; None if there are none."""
    if len(blueprints) < 2:
        return blueprints[0] if blueprints else None
    from flask import Blueprint  # not at the top: only components that have a blueprint need it

    joined = Blueprint("components", __name__)
    for index, blueprint in enumerate(blueprints):
        joined.register_blueprint(blueprint, name=f"component-{index}")  # their own names may be equal
    return joined


def _start_all(services: Iterable[Callable[[], Any]]) -> None:
    for service in services:
        start_service(service)

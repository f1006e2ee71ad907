"""The handlers of REST requests; one handler serves all requests with the same head."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from seldon_spec.errors import NotServing, Overloaded
from seldon_spec.inference.message import Codec, Operation
from seldon_spec.observability.request_context import ContextFactory, RequestContext, make_context
from seldon_spec.protocols.route import Page
from seldon_spec.server.bridge import PendingCall
from seldon_spec.server.rest.lifecycle import RequestLifecycle, make_head
from seldon_spec.server.rest.responses import Response
from seldon_spec.transport.http1.messages import RequestCycle, RequestHead, ResponseHead


class OperationHandler:
    """Sends the body to the model threads.

    Args:
        lifecycle: of the port's requests.
        operation: the operation to call.
        codec: of its messages.
        head: of a response with the usual status.
        contexts: creates the contexts of the requests; None: they have none.
    """

    __slots__ = ("_bridge", "_head", "_lifecycle", "codec", "contexts", "operation")

    def __init__(
        self,
        lifecycle: RequestLifecycle,
        operation: Operation,
        codec: Codec,
        head: ResponseHead,
        contexts: ContextFactory | None,
    ) -> None:
        self._lifecycle = lifecycle
        self._bridge = lifecycle.bridge
        self._head = head
        self.operation = operation
        self.codec = codec
        self.contexts = contexts

    def with_contexts(self, contexts: ContextFactory | None) -> OperationHandler:
        """Return this handler for requests with other contexts."""
        return OperationHandler(self._lifecycle, self.operation, self.codec, self._head, contexts)

    def begin(self, cycle: RequestCycle) -> None:
        """Queue the call."""
        if not self._lifecycle.is_native:
            self._lifecycle.defer(self, cycle)
            return
        context = None if self.contexts is None else self.contexts.take()
        try:
            call = self._bridge.submit(self.operation, cycle.take_body(), self.codec, self._finish, cycle, context)
        except Overloaded as error:
            cycle.respond(*self._lifecycle.fail(error, cycle.head, context))
            return
        cancel = self._bridge.cancel if context is None else self._lifecycle.abandon
        cycle.on_gone = partial(cancel, call)

    def resume(self, call: PendingCall) -> None:
        """Queue a call that has waited for the component."""
        call.finish = self._finish
        self._bridge.queue(call)

    def _finish(self, call: PendingCall) -> None:
        cycle: RequestCycle = call.owner
        context: Any = call.request_context
        response = call.response
        if response is None:
            assert call.error is not None
            cycle.respond(*self._lifecycle.fail(call.error, cycle.head, context))
            return
        head = self._head
        if response.status is not None:
            head = make_head(response.status, self._lifecycle.responses.json_headers, cycle.head)
        cycle.respond(head if context is None else self._lifecycle.end(context, head), response.body)


class PageHandler:
    """Sends a response that does not depend on the component.

    Args:
        lifecycle: of the port's requests.
        respond: returns the response to a request.
        contexts: creates the contexts of the requests; None: they have none.
    """

    __slots__ = ("_lifecycle", "_respond", "codec", "contexts", "operation")

    def __init__(
        self,
        lifecycle: RequestLifecycle,
        respond: Callable[[RequestHead], Response],
        contexts: ContextFactory | None,
    ) -> None:
        self._lifecycle = lifecycle
        self._respond = respond
        self.operation = self.codec = None
        self.contexts = contexts

    def with_contexts(self, contexts: ContextFactory | None) -> PageHandler:
        """Return this handler for requests with other contexts."""
        return PageHandler(self._lifecycle, self._respond, contexts)

    def begin(self, cycle: RequestCycle) -> None:
        """Send the response, unless the component can have a handler of its own for the path."""
        if self._lifecycle.is_native:
            self._send(cycle, make_context(self.contexts))
        else:
            self._lifecycle.defer(self, cycle)

    def resume(self, call: PendingCall) -> None:
        """Send the response to a request that has waited for the component."""
        self._lifecycle.bridge.untrack(call)
        context: Any = call.request_context
        if context is not None:
            context.call = None
        self._send(call.owner, context)

    def _send(self, cycle: RequestCycle, context: RequestContext | None) -> None:
        status, headers, body = self._respond(cycle.head)
        cycle.respond(self._lifecycle.end(context, make_head(status, headers, cycle.head)), body)


class PreflightHandler:
    """Responds to a CORS preflight that has no token."""

    def __init__(self, response: Response, head: RequestHead) -> None:
        self._head = make_head(response.status, response.headers, head)

    def begin(self, cycle: RequestCycle) -> None:
        """Send the response."""
        cycle.respond(self._head, b"")


class ProbeHandler:
    """Serves a probe."""

    def __init__(self, lifecycle: RequestLifecycle, page: Page) -> None:
        self._lifecycle = lifecycle
        self._page = page

    def begin(self, cycle: RequestCycle) -> None:
        """Respond; as in the original, a ping waits until the model is loaded."""
        if self._page is Page.PING:
            self._lifecycle.when_built(cycle, partial(self._respond, cycle))
        else:
            self._respond(cycle)

    def _respond(self, cycle: RequestCycle) -> None:
        lifecycle = self._lifecycle
        if not lifecycle.serves_probes:
            lifecycle.run_probe(cycle)
        elif self._page is Page.READY and not lifecycle.dispatcher.is_ready:
            cycle.respond(*lifecycle.fail(NotServing(lifecycle.dispatcher.describe_state()), cycle.head, None))
        else:
            status, headers, body = lifecycle.responses.probe(self._page)
            cycle.respond(make_head(status, headers, cycle.head), body)

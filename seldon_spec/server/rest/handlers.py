"""The handlers of REST requests; one handler serves all requests with the same head."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from seldon_spec.errors import NotServing, Overloaded
from seldon_spec.inference.message import Operation
from seldon_spec.inference.request import Codec, EncodedResponse
from seldon_spec.observability.request_context import ContextFactory, RequestContext, make_context
from seldon_spec.protocols.route import Body, Page
from seldon_spec.server.bridge import PendingCall
from seldon_spec.server.rest.lifecycle import RequestLifecycle, make_head
from seldon_spec.server.rest.responses import Response
from seldon_spec.server.rest.router import Match
from seldon_spec.transport.http1.messages import RequestCycle, RequestHead, ResponseHead


class OperationHandler:
    """Sends the body to the model threads.

    Args:
        lifecycle: of the port's requests.
        operation: the operation to call.
        codec: of its messages.
        head: of a response with the usual status and headers.
        contexts: creates the contexts of the requests; None: they have none.
        waits: whether requests that arrive before the component is built wait for it; otherwise they fail.
    """

    __slots__ = ("_bridge", "_head", "_lifecycle", "codec", "contexts", "operation", "waits")

    def __init__(
        self,
        lifecycle: RequestLifecycle,
        operation: Operation,
        codec: Codec,
        head: ResponseHead,
        contexts: ContextFactory | None,
        *,
        waits: bool = True,
    ) -> None:
        self._lifecycle = lifecycle
        self._bridge = lifecycle.bridge
        self.waits = waits
        self._head = head
        self.operation = operation
        self.codec = codec
        self.contexts = contexts

    def varied(self, contexts: ContextFactory | None, codec: Codec | None = None) -> OperationHandler:
        """Return this handler for requests with other contexts and, unless it is None, another codec."""
        return OperationHandler(
            self._lifecycle, self.operation, codec or self.codec, self._head, contexts, waits=self.waits
        )

    def begin(self, cycle: RequestCycle) -> None:
        """Queue the call."""
        lifecycle = self._lifecycle
        if not lifecycle.is_native:
            if self.waits or lifecycle.is_built:
                lifecycle.defer(self, cycle)
            else:
                error = NotServing(lifecycle.dispatcher.describe_state())
                cycle.respond(*lifecycle.fail(error, cycle.head, make_context(self.contexts)))
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
        if response.status is not None or response.headers:
            head = _adapt(head, response)
        cycle.respond(head if context is None else self._lifecycle.end(context, head), response.content)


class PageHandler:
    """Sends a response that does not depend on the component.

    Args:
        lifecycle: of the port's requests.
        respond: returns the response to a request, given its body.
        contexts: creates the contexts of the requests; None: they have none.
        waits: whether the component can have a handler of its own for the path, so that requests wait for it.
    """

    __slots__ = ("_lifecycle", "_respond", "codec", "contexts", "operation", "waits")

    def __init__(
        self,
        lifecycle: RequestLifecycle,
        respond: Callable[[RequestHead, Body], Response],
        contexts: ContextFactory | None,
        *,
        waits: bool = True,
    ) -> None:
        self._lifecycle = lifecycle
        self._respond = respond
        self.waits = waits
        self.operation = self.codec = None
        self.contexts = contexts

    def varied(self, contexts: ContextFactory | None, _codec: Codec | None = None) -> PageHandler:
        """Return this handler for requests with other contexts; it has no codec."""
        return PageHandler(self._lifecycle, self._respond, contexts, waits=self.waits)

    def begin(self, cycle: RequestCycle) -> None:
        """Send the response, unless Flask is required or the component may have a handler of its own for the path."""
        if self._lifecycle.is_native or (not self.waits and self._lifecycle.serves_probes):
            self._send(cycle, cycle.take_body(), make_context(self.contexts))
        else:
            self._lifecycle.defer(self, cycle)

    def resume(self, call: PendingCall) -> None:
        """Send the response to a request that has waited for the component."""
        self._lifecycle.bridge.untrack(call)
        context: Any = call.request_context
        if context is not None:
            context.call = None
        self._send(call.owner, call.wire, context)

    def _send(self, cycle: RequestCycle, body: Body, context: RequestContext | None) -> None:
        status, headers, content = self._respond(cycle.head, body)
        cycle.respond(self._lifecycle.end(context, make_head(status, headers, cycle.head)), content)


class PreflightHandler:
    """Responds to a CORS preflight that has no token."""

    def __init__(self, response: Response, head: RequestHead) -> None:
        self._head = make_head(response.status, response.headers, head)

    def begin(self, cycle: RequestCycle) -> None:
        """Send the response."""
        cycle.respond(self._head, b"")


def _adapt(head: ResponseHead, response: EncodedResponse) -> ResponseHead:
    """Return the head with the status and the headers of a response that has others than usual."""
    names = {name for name, _ in response.headers}
    kept = [field for field in head.headers if field[0] not in names]
    return ResponseHead(response.status or head.status, [*response.headers, *kept])


class ProbeHandler:
    """Serves a probe.

    Args:
        lifecycle: of the port's requests.
        match: its route is that of the probe.
    """

    def __init__(self, lifecycle: RequestLifecycle, match: Match) -> None:
        assert match.route is not None
        self._lifecycle = lifecycle
        self._match = match
        self._page = match.route.page
        self._state_page = match.route.state_page

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
            if self._state_page is not None:
                response = lifecycle.responses.state(
                    self._state_page, lifecycle.dispatcher, self._match, cycle.take_body()
                )
            else:
                assert self._page is not None
                response = lifecycle.responses.probe(self._page)
            cycle.respond(make_head(response.status, response.headers, cycle.head), response.body)

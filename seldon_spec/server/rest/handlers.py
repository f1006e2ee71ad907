"""The native handlers of REST requests; one handler serves all requests with the same head."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from seldon_spec.errors import NotServing, Overloaded
from seldon_spec.inference.message import Codec, Operation
from seldon_spec.observability.request_context import ContextFactory, RequestContext, make_context
from seldon_spec.protocols.route import Page
from seldon_spec.server.bridge import PendingCall
from seldon_spec.server.rest.responses import Response, cors_headers
from seldon_spec.server.rest.router import Match
from seldon_spec.transport.http1.messages import RequestCycle, RequestHead, ResponseHead

if TYPE_CHECKING:
    from seldon_spec.server.rest.rest_app import RestApp


def make_head(status: int, headers: Iterable[tuple[str, str]], head: RequestHead | None) -> ResponseHead:
    """Return the head of a response, with the headers of CORS.

    Args:
        status, headers: of the response.
        head: of the request; None: it could not be parsed.
    """
    cors = cors_headers("", _no_header) if head is None else cors_headers(head.method, head.find)
    return ResponseHead(status, [(name.lower().encode(), value.encode("latin-1")) for name, value in (*headers, *cors)])


def _no_header(_name: bytes) -> None:
    """Return the value of a header of a request that could not be parsed."""


class OperationHandler:
    """Sends the body to the model threads.

    Args:
        app: the app of the port.
        operation: the operation to call.
        codec: of its messages.
        head: of a response with the usual status.
        contexts: creates the contexts of the requests; None: they have none.
    """

    __slots__ = ("_app", "_bridge", "_head", "codec", "contexts", "operation")

    def __init__(
        self, app: RestApp, operation: Operation, codec: Codec, head: ResponseHead, contexts: ContextFactory | None
    ) -> None:
        self._app = app
        self._bridge = app.bridge
        self._head = head
        self.operation = operation
        self.codec = codec
        self.contexts = contexts

    def with_contexts(self, contexts: ContextFactory | None) -> OperationHandler:
        """Return this handler for requests with other contexts."""
        return OperationHandler(self._app, self.operation, self.codec, self._head, contexts)

    def begin(self, cycle: RequestCycle) -> None:
        """Queue the call."""
        if not self._app.is_native:
            self._app.defer(self, cycle)
            return
        context = None if self.contexts is None else self.contexts.take()
        try:
            call = self._bridge.submit(self.operation, cycle.take_body(), self.codec, self._finish, cycle, context)
        except Overloaded as error:
            cycle.answer(*self._app.fail(error, cycle.head, context))
            return
        cycle.on_gone = partial(self._bridge.cancel, call) if context is None else partial(self._app.abandon, call)

    def resume(self, call: PendingCall) -> None:
        """Queue a call that has waited for the component."""
        call.finish = self._finish
        self._bridge.queue(call)

    def _finish(self, call: PendingCall) -> None:
        cycle: RequestCycle = call.owner
        context: Any = call.note
        reply = call.reply
        if reply is None:
            assert call.error is not None
            cycle.answer(*self._app.fail(call.error, cycle.head, context))
            return
        head = self._head if reply.status is None else self._app.json_head(reply.status, cycle.head)
        cycle.answer(head if context is None else self._app.end(context, head), reply.body)


class PageHandler:
    """Sends a response that does not depend on the component.

    Args:
        app: the app of the port.
        respond: returns the response to a request.
        contexts: creates the contexts of the requests; None: they have none.
    """

    __slots__ = ("_app", "_respond", "contexts")

    operation: Any = None
    codec: Any = None

    def __init__(
        self, app: RestApp, respond: Callable[[RequestHead], Response], contexts: ContextFactory | None
    ) -> None:
        self._app = app
        self._respond = respond
        self.contexts = contexts

    def with_contexts(self, contexts: ContextFactory | None) -> PageHandler:
        """Return this handler for requests with other contexts."""
        return PageHandler(self._app, self._respond, contexts)

    def begin(self, cycle: RequestCycle) -> None:
        """Send the response, unless the component can have a handler of its own."""
        if self._app.is_native:
            self._send(cycle, make_context(self.contexts))
        else:
            self._app.defer(self, cycle)

    def resume(self, call: PendingCall) -> None:
        """Send the response to a request that has waited for the component."""
        self._app.bridge.untrack(call)
        context: Any = call.note
        if context is not None:
            context.call = None
        self._send(call.owner, context)

    def _send(self, cycle: RequestCycle, context: RequestContext | None) -> None:
        status, headers, body = self._respond(cycle.head)
        cycle.answer(self._app.end(context, make_head(status, headers, cycle.head)), body)


class PreflightHandler:
    """Responds to a CORS preflight that has no token."""

    def __init__(self, response: Response, head: RequestHead) -> None:
        self._head = make_head(response.status, response.headers, head)

    def begin(self, cycle: RequestCycle) -> None:
        """Send the response."""
        cycle.answer(self._head, b"")


class ProbeHandler:
    """Serves a probe.

    Args:
        app: the app of the port.
        page: the probe.
        match: its route.
    """

    def __init__(self, app: RestApp, page: Page, match: Match) -> None:
        self._app = app
        self._page = page
        self._match = match

    def begin(self, cycle: RequestCycle) -> None:
        """Respond; as in the original, a ping waits until the model is loaded."""
        if self._page is Page.PING:
            self._app.when_built(cycle, partial(self.respond, cycle))
        else:
            self.respond(cycle)

    def respond(self, cycle: RequestCycle) -> None:
        """Respond now."""
        if not self._app.serves_probes:
            self._app.run_probe(cycle)
        elif self._page is Page.READY and not self._app.dispatcher.is_ready:
            error = NotServing(self._app.dispatcher.describe_state())
            cycle.answer(*self._app.fail(error, cycle.head, None, self._match))
        else:
            status, headers, body = self._app.responses.probe(self._page)
            cycle.answer(make_head(status, headers, cycle.head), body)

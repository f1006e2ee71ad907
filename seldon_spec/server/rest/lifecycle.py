"""What all REST handlers share: error responses, contexts, and requests that wait for the component or for Flask."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, Protocol

from seldon_spec.config.model import FlaskSpec, Spec
from seldon_spec.errors import Overloaded, SeldonSpecError
from seldon_spec.inference.dispatcher import Dispatcher
from seldon_spec.observability.request_context import (
    ID_HEADER,
    ContextFactory,
    RequestContext,
    RequestLog,
    make_context,
    working_on,
)
from seldon_spec.server.bridge import ExecutorBridge, PendingCall
from seldon_spec.server.rest.flask_runner import FlaskRunner
from seldon_spec.server.rest.responses import ResponseFactory, cors_headers
from seldon_spec.server.rest.router import Router
from seldon_spec.server.rest.wsgi import WsgiApp, WsgiResponse
from seldon_spec.transport.http1.messages import RequestCycle, RequestHead, ResponseHead

if TYPE_CHECKING:
    from seldon_spec.inference.component.base import Component

logger = logging.getLogger(__name__)


class DeferrableHandler(Protocol):
    """A handler whose requests wait until the component is built.

    Attributes:
        operation, codec: of the call; None: the component is not called.
        contexts: creates the contexts of the requests; None: they have none.
        waits: whether they wait for the component.
    """

    operation: Any
    codec: Any
    contexts: ContextFactory | None
    waits: bool

    def resume(self, call: PendingCall) -> None:
        """Handle a request natively, now that the component is built."""


class RequestLifecycle:
    """The requests of the REST port; belongs to the running event loop.

    Args:
        dispatcher: of the component.
        bridge: to the model threads.
        request_log: creates and ends the contexts of requests; probes have none.
        spec: its ``flask`` section is used.
        router: finds the error format of a path.
        responses: creates error responses.
        make_app: creates the Flask app, when a request needs it for the first time; in any thread.

    Attributes:
        is_built: whether the component is built.
        is_native: whether requests are handled natively: the component is built, and Flask is not required.
        serves_probes: whether probes are handled natively.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        bridge: ExecutorBridge,
        request_log: RequestLog,
        spec: Spec,
        router: Router,
        responses: ResponseFactory,
        make_app: Callable[[], WsgiApp],
    ) -> None:
        self._request_log = request_log
        self._router = router
        self._flask = FlaskRunner(bridge, make_app, self._respond, self._fail_call)
        self._waiting: dict[object, Callable[[], None]] = {}
        self._is_aborted = False
        self.dispatcher = dispatcher
        self.bridge = bridge
        self.responses = responses
        self.is_built = self.is_native = False
        self.serves_probes = not _decides_on_requests(spec.flask)

    def set_component(self, component: Component) -> None:
        """Handle the requests that have waited for the component; it decides whether Flask is required."""
        self.is_built = True
        if component.error_blueprint is not None:
            self._flask.reset()
        self.serves_probes = self.serves_probes and component.error_blueprint is None and not _has_signal_receivers()
        self.is_native = self.serves_probes and not component.uses_flask
        waiting, self._waiting = self._waiting, {}
        for resume in waiting.values():
            resume()

    def abort(self) -> None:
        """Stop responding: the component will never be ready, and the connections are about to be closed."""
        self._is_aborted, self.is_native = True, False
        self._waiting.clear()

    def close(self) -> None:
        """Stop the threads of Flask; do not wait for them."""
        self._flask.close()

    def when_built(self, cycle: RequestCycle, respond: Callable[[], None]) -> None:
        """Respond to a probe once the component is built."""
        if self.is_built:
            respond()
        elif not self._is_aborted:
            self._waiting[cycle] = respond
            cycle.on_gone = partial(self._waiting.pop, cycle, None)

    def defer(self, handler: DeferrableHandler, cycle: RequestCycle) -> None:
        """Handle a request through Flask, or once the component is built; timeout and queue limit apply at once."""
        if self._is_aborted:
            return
        context = make_context(handler.contexts)
        body = cycle.take_body()
        try:
            call = self.bridge.track(handler.operation, body, handler.codec, self._fail_call, cycle, context)
        except Overloaded as error:
            cycle.respond(*self.fail(error, cycle.head, context))
            return
        cycle.on_gone = partial(self.abandon, call)
        self.bridge.update_gauges()
        if self.is_built or not handler.waits:
            self._flask.run(call)
        else:
            self._waiting[call] = partial(self._resume, handler, call)

    def run_probe(self, cycle: RequestCycle) -> None:
        """Handle a probe through Flask."""
        no_operation: Any = None
        call = self.bridge.track(
            no_operation, cycle.take_body(), no_operation, self._fail_call, cycle, is_counted=False
        )
        cycle.on_gone = partial(self.abandon, call)
        self._flask.run(call, is_probe=True)

    def fail(
        self, error: BaseException, head: RequestHead, context: RequestContext | None
    ) -> tuple[ResponseHead, bytes]:
        """Return the response to a request that failed."""
        if not isinstance(error, SeldonSpecError):
            with working_on(context):
                logger.error("%s %s: unexpected error: %s", head.method, read_path(head.path), error, exc_info=error)
        status, headers, body = self.responses.error(error, self._router.find_protocol(head.path))
        return self.end(context, make_head(status, headers, head)), body

    def end(self, context: RequestContext | None, head: ResponseHead) -> ResponseHead:
        """Log a request whose response is known; return the head with the request's ID, if it has one."""
        if context is None:
            return head
        self._request_log.end(context, head.status)
        return head.extended(ID_HEADER, context.id.encode())

    def abandon(self, call: PendingCall) -> None:
        """Cancel the call of a client that has disconnected."""
        self._waiting.pop(call, None)
        self.bridge.cancel(call)
        context: Any = call.request_context
        if context is not None:
            self._request_log.abandon(context)

    def _resume(self, handler: DeferrableHandler, call: PendingCall) -> None:
        if self.is_native:
            handler.resume(call)
        else:
            self._flask.run(call)

    def _respond(self, call: PendingCall, response: WsgiResponse) -> None:
        context: Any = call.request_context
        call.owner.respond(self.end(context, response.head), response.body, response.length)

    def _fail_call(self, call: PendingCall) -> None:
        self._waiting.pop(call, None)
        cycle: RequestCycle = call.owner
        context: Any = call.request_context
        assert call.error is not None
        cycle.respond(*self.fail(call.error, cycle.head, context))


def make_head(status: int, headers: Iterable[tuple[str, str]], head: RequestHead | None) -> ResponseHead:
    """Return the head of a response, with the headers of CORS.

    Args:
        status, headers: of the response.
        head: of the request; None: it could not be parsed.
    """
    cors = cors_headers("", lambda _name: None) if head is None else cors_headers(head.method, head.find)
    pairs = [*headers, *cors]
    return ResponseHead(status, [(name.lower().encode(), value.encode("latin-1")) for name, value in pairs])


@lru_cache(maxsize=256)
def read_path(path: str) -> str:
    """Return a path as text, given one character per byte."""
    return path.encode("latin-1").decode(errors="replace")


def _decides_on_requests(flask: FlaskSpec) -> bool:
    """Return True if a setting of Flask decides which requests are handled."""
    return flask.MAX_CONTENT_LENGTH is not None or bool(flask.TRUSTED_HOSTS) or flask.SERVER_NAME is not None


def _has_signal_receivers() -> bool:
    """Return True if the class listens to Flask's signals, which only requests through Flask send."""
    signals = sys.modules.get("flask.signals")
    return signals is not None and any(getattr(value, "receivers", None) for value in vars(signals).values())

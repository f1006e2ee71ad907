"""The REST port: routes requests to native handlers, or to Flask where the class or a setting requires it.

Flask is required if the class brings handlers of its own, uses ``flask.request`` or listens to Flask's signals, or if a
Flask setting decides on requests. Both paths use the same route table and send the same bytes.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from seldon_spec.config.model import FlaskSpec, Spec
from seldon_spec.errors import Overloaded, RequestError, SeldonSpecError
from seldon_spec.inference.dispatcher import Dispatcher
from seldon_spec.observability.request_context import (
    ID_HEADER,
    ContextFactory,
    RequestContext,
    RequestLog,
    VaryingContextFactory,
    make_context,
    working_on,
)
from seldon_spec.protocols.json_style import JsonStyle
from seldon_spec.protocols.route import PROBES, Page
from seldon_spec.server.auth import TokenAuth
from seldon_spec.server.bridge import ExecutorBridge, PendingCall
from seldon_spec.server.rest.flask_runner import FlaskRunner
from seldon_spec.server.rest.handlers import OperationHandler, PageHandler, PreflightHandler, ProbeHandler, make_head
from seldon_spec.server.rest.protocols import rest_protocols
from seldon_spec.server.rest.request_message import BodyReader, FormLimits
from seldon_spec.server.rest.responses import Response, ResponseFactory
from seldon_spec.server.rest.router import Match, Router
from seldon_spec.server.rest.wsgi import WsgiApp, WsgiResponse
from seldon_spec.transport.http1.messages import RequestCycle, RequestHandler, RequestHead, ResponseHead

if TYPE_CHECKING:
    from seldon_spec.inference.component.base import Component

logger = logging.getLogger(__name__)


class RestApp:
    """The ``HttpApp`` of the REST port; belongs to the running event loop.

    Args:
        dispatcher: of the component.
        bridge: to the model threads.
        request_log: creates and ends the contexts of requests; probes have none.
        spec: its limits and its ``flask`` section are used.
        make_app: creates the Flask app, when a request needs it for the first time; in any thread.

    Attributes:
        is_native: whether requests are handled natively: the component is built, and Flask is not required.
        serves_probes: whether probes are handled natively.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        bridge: ExecutorBridge,
        request_log: RequestLog,
        spec: Spec,
        make_app: Callable[[], WsgiApp],
    ) -> None:
        style, protocols = JsonStyle.from_flask(spec.flask), rest_protocols(spec)
        self._request_log = request_log
        self._router = Router(protocols)
        self._codecs = {
            route: protocol.make_codec(route, style)
            for protocol in protocols
            for route in protocol.routes
            if route.operation is not None
        }
        self._reader = BodyReader(FormLimits(spec))
        self._auth = TokenAuth(spec.server.auth)
        self._flask = FlaskRunner(bridge, make_app, self._respond, self._fail_deferred)
        self._waiting: dict[object, Callable[[], None]] = {}
        self._is_built = self._is_aborted = False
        self.dispatcher = dispatcher
        self.bridge = bridge
        self.responses = ResponseFactory(protocols, style, spec.name)
        self.max_body_bytes = spec.server.max_body_bytes
        self.is_native = False
        self.serves_probes = not _decides_on_requests(spec.flask)

    def plan(self, head: RequestHead) -> RequestHandler:
        """Choose the handler of requests with this head.

        Raises:
            Unauthenticated: they need a token and have no valid one.
        """
        if self._auth.is_preflight(head.method, head.find):
            return PreflightHandler(self.responses.empty(), head)
        match = self._router.match(head.method, head.path)
        if match.needs_token:
            self._auth.check(head.find)
        route = match.route
        if route is not None and route.page in PROBES:
            return ProbeHandler(self, route.page, match)
        contexts = None if match.is_probe else self._make_contexts(head)
        if route is None:
            unmatched = self.responses.unmatched(match, head.method)
            return PageHandler(self, lambda _head: unmatched, contexts)
        if route.page is Page.OPENAPI:
            return PageHandler(self, partial(self._respond_openapi, match), contexts)
        assert route.operation is not None
        try:
            codec = self._reader.choose_codec(route, self._codecs[route], head.find, head.query)
        except RequestError as error:
            response = self.responses.error(error, match)
            return PageHandler(self, lambda _head: response, contexts)
        return OperationHandler(self, route.operation, codec, self.json_head(200, head), contexts)

    def vary(
        self, head: RequestHead, names: Sequence[bytes]
    ) -> Callable[[RequestHead, Sequence[bytes]], RequestHandler]:
        """Return a function that chooses the handler; beside the fixed headers, only token and context matter."""
        handler = head.plan
        if isinstance(handler, PreflightHandler):
            return lambda _head, _values: handler
        match = self._router.match(head.method, head.path)
        checks_token = b"authorization" in names and self._auth.is_closed and match.needs_token
        contexts: VaryingContextFactory | None = None
        if not match.is_probe and not self._request_log.headers.isdisjoint(names):
            places = {name: place for place, name in enumerate(names)}
            contexts = VaryingContextFactory(
                self._request_log, head.finder(), places, "rest", head.method, _read_path(head.path)
            )
        if contexts is None and not checks_token:
            return lambda _head, _values: handler

        def choose(head: RequestHead, values: Sequence[bytes]) -> RequestHandler:
            if checks_token:
                self._auth.check(head.find)
            if contexts is None:
                return handler
            assert isinstance(handler, (OperationHandler, PageHandler))
            return handler.with_contexts(contexts.plan(values))

        return choose

    def is_probe(self, head: RequestHead) -> bool:
        """Return True if a request is handled although there are too many connections."""
        return head.method in ("GET", "HEAD") and self._router.match(head.method, head.path).is_probe

    def set_component(self, component: Component) -> None:
        """Handle the requests that have waited for the component; it decides whether Flask is required."""
        self._is_built = True
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
        if self._is_built:
            respond()
        elif not self._is_aborted:
            self._waiting[cycle] = respond
            cycle.on_gone = partial(self._waiting.pop, cycle, None)

    def defer(self, handler: OperationHandler | PageHandler, cycle: RequestCycle) -> None:
        """Handle a request through Flask, or once the component is built; timeout and queue limit apply at once."""
        if self._is_aborted:
            return
        context = make_context(handler.contexts)
        try:
            call = self.bridge.track(
                handler.operation, cycle.take_body(), handler.codec, self._fail_deferred, cycle, context
            )
        except Overloaded as error:
            cycle.answer(*self.fail(error, cycle.head, context))
            return
        cycle.on_gone = partial(self.abandon, call)
        self.bridge.update_gauges()
        if self._is_built:
            self._flask.run(call)
        else:
            self._waiting[call] = partial(self._resume, handler, call)

    def run_probe(self, cycle: RequestCycle) -> None:
        """Handle a probe through Flask."""
        call = self.bridge.track(
            PageHandler.operation,
            cycle.take_body(),
            PageHandler.codec,
            self._fail_deferred,
            cycle,
            is_counted=False,
        )
        cycle.on_gone = partial(self.abandon, call)
        self._flask.run(call, is_probe=True)

    def fail(
        self, error: BaseException, head: RequestHead, context: RequestContext | None, match: Match | None = None
    ) -> tuple[ResponseHead, bytes]:
        """Return the response to a request that failed."""
        if not isinstance(error, SeldonSpecError):
            with working_on(context):
                logger.error("unexpected: %s", error, exc_info=error)
        match = match or self._router.match(head.method, head.path)
        status, headers, body = self.responses.error(error, match)
        return self.end(context, make_head(status, headers, head)), body

    def refuse(self, error: BaseException, head: RequestHead | None) -> tuple[ResponseHead, bytes]:
        """Return the response to a request that is malformed, or whose body is not received."""
        match = None if head is None else self._router.match(head.method, head.path)
        status, headers, body = self.responses.error(error, match)
        response = make_head(status, headers, head)
        if head is None or match is None or match.is_probe:
            return response, body
        return self.end(make_context(self._make_contexts(head)), response), body

    def json_head(self, status: int, head: RequestHead) -> ResponseHead:
        """Return the head of a JSON response."""
        return make_head(status, [("Content-Type", self.responses.content_type)], head)

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
        context: Any = call.note
        if context is not None:
            self._request_log.abandon(context)

    def _resume(self, handler: OperationHandler | PageHandler, call: PendingCall) -> None:
        if self.is_native:
            handler.resume(call)
        else:
            self._flask.run(call)

    def _respond(self, call: PendingCall, response: WsgiResponse) -> None:
        context: Any = call.note
        call.owner.answer(self.end(context, response.head), response.body, response.length)

    def _fail_deferred(self, call: PendingCall) -> None:
        self._waiting.pop(call, None)
        cycle: RequestCycle = call.owner
        context: Any = call.note
        assert call.error is not None
        cycle.answer(*self.fail(call.error, cycle.head, context))

    def _respond_openapi(self, match: Match, head: RequestHead) -> Response:
        known = head.find(b"if-none-match")
        return self.responses.openapi(match, None if known is None else known.decode("latin-1"))

    def _make_contexts(self, head: RequestHead) -> ContextFactory | None:
        return self._request_log.plan(head.finder(), "rest", head.method, _read_path(head.path))


@lru_cache(maxsize=256)
def _read_path(path: str) -> str:
    """Return the path as text, given one character per byte."""
    return path.encode("latin-1").decode(errors="replace")


def _decides_on_requests(flask: FlaskSpec) -> bool:
    """Return True if a setting of Flask decides which requests are handled."""
    return flask.MAX_CONTENT_LENGTH is not None or bool(flask.TRUSTED_HOSTS) or flask.SERVER_NAME is not None


def _has_signal_receivers() -> bool:
    """Return True if the class listens to Flask's signals, which only requests through Flask send."""
    signals = sys.modules.get("flask.signals")
    return signals is not None and any(getattr(value, "receivers", None) for value in vars(signals).values())

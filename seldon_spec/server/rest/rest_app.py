"""The REST port: routes requests to native handlers, or to Flask where the class or a setting requires it.

Flask is required if the class brings handlers of its own, uses ``flask.request`` or listens to Flask's signals, or if a
Flask setting decides on requests. Both paths use the same route table and send the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from seldon_spec.config.model import Spec
from seldon_spec.errors import RequestError
from seldon_spec.inference.dispatcher import Dispatcher
from seldon_spec.inference.request import Codec
from seldon_spec.observability.request_context import ContextFactory, RequestLog, VaryingContextFactory, make_context
from seldon_spec.protocols.route import Body, RequestInfo, Route
from seldon_spec.server.auth import TokenAuth
from seldon_spec.server.bridge import ExecutorBridge
from seldon_spec.server.rest.handlers import OperationHandler, PageHandler, PreflightHandler, ProbeHandler
from seldon_spec.server.rest.lifecycle import RequestLifecycle, make_head, read_path
from seldon_spec.server.rest.protocols import rest_protocols
from seldon_spec.server.rest.request_message import BodyReader, FormLimits
from seldon_spec.server.rest.responses import Response, ResponseFactory, json_headers
from seldon_spec.server.rest.router import Match, Router
from seldon_spec.server.rest.wsgi import WsgiApp
from seldon_spec.transport.http1.messages import RequestHandler, RequestHead, ResponseHead


class RestApp:
    """The ``HttpApp`` of the REST port; belongs to the running event loop.

    Args:
        dispatcher: of the component.
        bridge: to the model threads.
        request_log: creates and ends the contexts of requests; probes have none.
        spec: its limits and its ``flask`` section are used.
        make_app: creates the Flask app, when a request needs it for the first time; in any thread.

    Attributes:
        lifecycle: of the requests.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        bridge: ExecutorBridge,
        request_log: RequestLog,
        spec: Spec,
        make_app: Callable[[], WsgiApp],
    ) -> None:
        protocols = rest_protocols(spec, dispatcher)
        self._request_log = request_log
        self._router = Router(protocols)
        self._codecs = {
            route: protocol.make_codec(route)
            for protocol in protocols
            for route in protocol.routes
            if route.operation is not None
        }
        self._reader = BodyReader(FormLimits(spec))
        self._auth = TokenAuth(spec.server.auth)
        self._responses = ResponseFactory(protocols, self._auth)
        self.lifecycle = RequestLifecycle(
            dispatcher, bridge, request_log, spec, self._router, self._responses, make_app
        )
        self.max_body_bytes = spec.server.max_body_bytes

    def find_handler(self, head: RequestHead) -> RequestHandler:
        """Choose the handler of requests with this head.

        Raises:
            Unauthenticated: they need a token and have no valid one.
        """
        if self._auth.is_preflight(head.method, head.find):
            return PreflightHandler(self._responses.empty(), head)
        match = self._router.match(head.method, head.path)
        if match.needs_token:
            self._auth.check(head.find)
        route, waits = match.route, match.protocol.waits_for_model
        if route is not None and route.is_probe:
            return ProbeHandler(self.lifecycle, match)
        contexts = None if match.is_probe else self._make_contexts(head)
        if route is None:
            return self._fixed(self._responses.unmatched(match, head.method), match, contexts)
        if route.document is not None:
            return PageHandler(self.lifecycle, partial(self._show, route), contexts, waits=waits)
        if route.state_page is not None:
            show = partial(self._responses.state, route.state_page, self.lifecycle.dispatcher, match)
            return PageHandler(self.lifecycle, lambda _head, body: show(body), contexts, waits=False)
        assert route.operation is not None
        try:
            codec = self._choose_codec(route, match, head)
        except RequestError as error:
            return self._fixed(self._responses.error(error, match.protocol), match, contexts)
        success = make_head(200, json_headers(match.protocol.style), head)
        return OperationHandler(self.lifecycle, route.operation, codec, success, contexts, waits=waits)

    def _choose_codec(self, route: Route, match: Match, head: RequestHead) -> Codec:
        bind, codec = match.protocol.bind_codec, self._codecs[route]
        if bind is None:
            return self._reader.choose_codec(route, codec, head.find, head.query)
        return bind(codec, RequestInfo(head.find, lambda: head.headers, match.parameters))

    def vary(
        self, head: RequestHead, handler: RequestHandler, names: Sequence[bytes]
    ) -> Callable[[RequestHead, Sequence[bytes]], RequestHandler]:
        """Return a function that chooses the handler, for the headers that vary.

        Token and context depend on them, and the codec of a protocol that reads headers.
        """
        if isinstance(handler, PreflightHandler):
            return lambda _head, _values: handler
        match = self._router.match(head.method, head.path)
        checks_token = b"authorization" in names and self._auth.is_closed and match.needs_token
        contexts: VaryingContextFactory | None = None
        if not match.is_probe and not self._request_log.headers.isdisjoint(names):
            places = {name: place for place, name in enumerate(names)}
            path = read_path(head.path)
            contexts = VaryingContextFactory(self._request_log, head.find, places, "rest", head.method, path)
        binds = match.protocol.bind_codec is not None and not match.protocol.ignored_headers.issuperset(names)
        if binds and not isinstance(handler, OperationHandler):  # it may be an error of these headers
            return lambda head, _values: self.find_handler(head)
        if contexts is None and not checks_token and not binds:
            return lambda _head, _values: handler

        def choose(head: RequestHead, values: Sequence[bytes]) -> RequestHandler:
            if checks_token:
                self._auth.check(head.find)
            if contexts is None and not binds:
                return handler
            assert isinstance(handler, (OperationHandler, PageHandler))
            planned = handler.contexts if contexts is None else contexts.plan(values)
            if not binds:
                return handler.varied(planned)
            assert match.route is not None
            return handler.varied(planned, self._choose_codec(match.route, match, head))

        return choose

    def is_probe(self, head: RequestHead) -> bool:
        """Return True if a request is handled although there are too many connections."""
        return head.method in ("GET", "HEAD") and self._router.match(head.method, head.path).is_probe

    def refuse(self, error: BaseException, head: RequestHead | None, path: str = "") -> tuple[ResponseHead, bytes]:
        """Return the response to a request that is malformed, or whose body is not received."""
        protocol = self._router.find_protocol(path if head is None else head.path)
        status, headers, body = self._responses.error(error, protocol)
        response = make_head(status, headers, head)
        if head is None or self._router.match(head.method, head.path).is_probe:
            return response, body
        return self.lifecycle.end(make_context(self._make_contexts(head)), response), body

    def _fixed(self, response: Response, match: Match, contexts: ContextFactory | None) -> PageHandler:
        return PageHandler(
            self.lifecycle, lambda _head, _body: response, contexts, waits=match.protocol.waits_for_model
        )

    def _show(self, route: Route, head: RequestHead, _body: Body) -> Response:
        return self._responses.document(route, head.find)

    def _make_contexts(self, head: RequestHead) -> ContextFactory | None:
        return self._request_log.plan(head.find, "rest", head.method, read_path(head.path))

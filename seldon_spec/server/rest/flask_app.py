"""The Flask app: a view for each route of the protocols, the class's blueprint, and errors in the protocol's format.

Knows no sockets; any WSGI server can run it.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import json
import logging
import math
import time
from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from typing import Any

import flask
from flask.json.provider import JSONProvider
from werkzeug.exceptions import HTTPException

from seldon_spec.config.model import FlaskSpec, Spec
from seldon_spec.errors import ComponentFailed, NotServing, SeldonSpecError
from seldon_spec.inference.call import WORKED_ON, BaseContext
from seldon_spec.inference.component.base import Component
from seldon_spec.inference.dispatcher import Dispatcher
from seldon_spec.inference.message import Operation
from seldon_spec.inference.request import Codec, EncodedResponse
from seldon_spec.protocols.graph_state import find_raising
from seldon_spec.protocols.json_style import JsonStyle, write_json
from seldon_spec.protocols.route import Page, RequestInfo, Route
from seldon_spec.server.auth import TokenAuth
from seldon_spec.server.bridge import request_timeout
from seldon_spec.server.rest.flask_runner import CURRENT_CALL
from seldon_spec.server.rest.protocols import rest_protocols
from seldon_spec.server.rest.request_message import FormLimits, is_set, read_message
from seldon_spec.server.rest.responses import Response, ResponseFactory, cors_headers, json_headers
from seldon_spec.server.rest.router import Match, Router

logger = logging.getLogger(__name__)

_FAILURE = "seldon_spec_failure"


def make_app(dispatcher: Dispatcher, spec: Spec) -> flask.Flask:
    """Create the app; the dispatcher may be started before or after.

    Args:
        dispatcher: of the component. If the component is built and has an error blueprint, the blueprint handles the
            class's exceptions.
        spec: its ``flask`` section and its limits are used.
    """
    style = JsonStyle.from_flask(spec.flask)
    app = flask.Flask("seldon_spec", static_folder=None)
    app.request_class = FormLimits(spec).apply(flask.Request)
    app.json = _StyledJson(app, style)
    fields = [field.name for field in dataclasses.fields(FlaskSpec)]
    app.config.update({name: getattr(spec.flask, name) for name in fields if is_set(spec, name)})
    views = _Views(dispatcher, spec)
    views.add_to(app)
    component = dispatcher.component
    if component is not None and component.error_blueprint is not None:
        app.config[_FAILURE] = True
        app.register_blueprint(component.error_blueprint)
    app.register_error_handler(Exception, views.handle_error)
    app.after_request(_add_cors)
    return app


class _StyledJson(JSONProvider):
    """Flask's JSON in the style of the spec: for views that the class adds."""

    def __init__(self, app: flask.Flask, style: JsonStyle) -> None:
        super().__init__(app)
        self._style = style

    def dumps(self, obj: Any, **_kwargs: Any) -> str:
        return write_json(obj, self._style).decode().rstrip("\n")

    def loads(self, s: str | bytes, **kwargs: Any) -> Any:
        return json.loads(s, **kwargs)

    def response(self, *args: Any, **kwargs: Any) -> flask.Response:
        body = write_json(self._prepare_response_obj(args, kwargs), self._style)
        return flask.Response(body, mimetype=self._style.mimetype)


class _Views:
    """The views of the routes."""

    def __init__(self, dispatcher: Dispatcher, spec: Spec) -> None:
        protocols = rest_protocols(spec, dispatcher)
        self._dispatcher = dispatcher
        self._protocols = protocols
        self._router = Router(protocols)
        self._timeout_seconds = spec.server.request_timeout_seconds
        self._responses = ResponseFactory(protocols, TokenAuth(spec.server.auth))

    def add_to(self, app: flask.Flask) -> None:
        """Add a rule for each route; routes with one name share a view."""
        views: dict[str, Callable[..., flask.Response]] = {}
        for protocol in self._protocols:
            for route in protocol.routes:
                if route.operation is not None:
                    view = partial(self._call, route, route.operation, protocol.make_codec(route))
                else:
                    view = partial(self._show, route)
                rule = route.path.replace("{", "<").replace("}", ">")
                app.add_url_rule(rule, route.name, views.setdefault(route.name, view), methods=route.methods)

    def handle_error(self, error: Exception) -> flask.Response:
        """Return the response to an error in the format of the request's protocol."""
        protocol = self._router.find_protocol(_raw_path())
        failure = flask.g.pop(_FAILURE, None)
        if failure is not None:  # an exception of the class that none of its handlers has handled
            return _to_flask(self._responses.error(failure, protocol))
        if isinstance(error, HTTPException):
            # such as Allow, which a 405 must have
            headers = [each for each in error.get_headers() if each[0] not in ("Content-Type", "Content-Length")]
            return _to_flask(self._responses.http_error(error.code or 500, str(error), protocol, headers))
        if not isinstance(error, SeldonSpecError):
            request = flask.request
            logger.error("%s %s: unexpected error: %s", request.method, request.path, error, exc_info=error)
        return _to_flask(self._responses.error(error, protocol))

    def _match(self) -> Match:
        return self._router.match(flask.request.method, _raw_path())

    def _show(self, route: Route, **_parameters: str) -> flask.Response:
        if route.document is not None:
            return _to_flask(self._responses.document(route, _find_header))
        if route.page is Page.READY and not self._dispatcher.is_ready:
            raise NotServing(self._dispatcher.describe_state())
        if route.state_page is not None:
            body = flask.request.get_data()
            return _to_flask(self._responses.state(route.state_page, self._dispatcher, self._match(), body))
        assert route.page is not None
        return _to_flask(self._responses.probe(route.page))

    def _call(self, route: Route, operation: Operation, codec: Codec, **_parameters: str) -> flask.Response:
        component, match = self._dispatcher.component, self._match()
        is_cached = component is not None and component.uses_flask
        wire = None
        if match.protocol.bind_codec is not None:
            wire = flask.request.get_data(cache=is_cached)
            codec = match.protocol.bind_codec(codec, RequestInfo(_find_header, _list_headers, match.parameters))
        elif route.media_types:
            wire = read_message(flask.request, route.media_types, is_cached=is_cached)
        try:
            response = self._wait(operation, wire, codec)
        except ComponentFailed as failure:
            raise _for_handlers(failure, component) from failure.__cause__
        headers = dict(json_headers(match.protocol.style))
        headers |= {name.decode().title(): value.decode("latin-1") for name, value in response.headers}
        return flask.Response(response.body, response.status, headers)

    def _wait(self, operation: Operation, wire: Any, codec: Codec) -> EncodedResponse:
        """Call the component and wait for its response; in the server, the bridge enforces the timeout.

        Raises:
            NotServing: the request was cancelled.
            RequestTimeout: it timed out.
        """
        call = CURRENT_CALL.get()
        if call is not None:
            context, deadline = call.request_context, call.deadline
        else:
            worked_on = WORKED_ON.get()
            context = worked_on if isinstance(worked_on, BaseContext) else None
            deadline = time.perf_counter() + (self._timeout_seconds or math.inf)
        future = self._dispatcher.submit(operation, wire, codec, context, copy_context(), deadline)
        if call is not None:
            call.add_future(future)
        try:
            return future.result(self._timeout_seconds if call is None else None)
        except concurrent.futures.CancelledError:
            raise NotServing("the request was cancelled") from None
        except concurrent.futures.TimeoutError as error:
            future.cancel()
            raise request_timeout(self._timeout_seconds) from error


def _raw_path() -> str:
    """Return the path of the request as the router takes it."""
    return flask.request.path.encode().decode("latin-1")


def _find_header(name: bytes) -> bytes | None:
    value = flask.request.headers.get(name.decode())
    return None if value is None else value.encode("latin-1")


def _list_headers() -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode(), value.encode("latin-1")) for name, value in flask.request.headers]


def _to_flask(response: Response) -> flask.Response:
    return flask.Response(response.body, response.status, response.headers)


def _for_handlers(failure: ComponentFailed, component: Component | None) -> Exception:
    """Return the exception to raise for a failure of the class: its own exception if it has handlers for it."""
    cause = failure.__cause__
    if not flask.current_app.config.get(_FAILURE) or not isinstance(cause, Exception):
        return failure
    if component is None or find_raising(component, failure).error_blueprint is None:
        return failure
    setattr(flask.g, _FAILURE, failure)
    return cause


def _add_cors(response: flask.Response) -> flask.Response:
    if "Allow" in response.headers:
        response.headers["Allow"] = ", ".join(sorted(response.allow))
    for name, value in cors_headers(flask.request.method, _find_header):
        if name != "Vary":
            response.headers[name] = value
        elif value not in response.vary:
            response.headers.add(name, value)
    return response

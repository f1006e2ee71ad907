"""What the server does for a WSGI application that runs without it: tokens, limits of body and queue, and IDs."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterable
from typing import Any

from seldon_spec.config.model import LogSpec, Spec
from seldon_spec.errors import RequestError, TooLarge
from seldon_spec.inference.graph.headers import find_kept_headers
from seldon_spec.observability.request_context import ID_HEADER, RequestContext, RequestLog, make_context, working_on
from seldon_spec.server.auth import TokenAuth
from seldon_spec.server.bridge import RequestLimits
from seldon_spec.server.rest.protocols import rest_protocols
from seldon_spec.server.rest.responses import Response, ResponseFactory, cors_headers
from seldon_spec.server.rest.router import Router
from seldon_spec.server.rest.wsgi import Environ, WsgiApp


class LimitedApp:
    """A WSGI application that rejects the requests that the server rejects, with the same responses.

    The other requests get a context in the same cases as in the server, and their responses its ID.

    Args:
        app: handles the other requests.
        spec: its ``server`` section has the limits.
        count_at_work: returns how many requests the model threads can be processing.
    """

    def __init__(self, app: WsgiApp, spec: Spec, count_at_work: Callable[[], int]) -> None:
        protocols = rest_protocols(spec)
        self._app = app
        self._router = Router(protocols)
        self._auth = TokenAuth(spec.server.auth)
        self._max_body_bytes = spec.server.max_body_bytes
        self._responses = ResponseFactory(protocols, self._auth)
        self._limits = RequestLimits(max_queue=spec.server.max_queue)
        self._request_log = RequestLog(LogSpec(), kept_headers=find_kept_headers(spec))
        self._count_at_work = count_at_work
        self._in_flight = 0
        self._lock = threading.Lock()

    def __call__(self, environ: Environ, start_response: Any) -> Iterable[bytes]:
        """Handle one request."""
        method = environ["REQUEST_METHOD"]

        def find(name: bytes) -> bytes | None:
            value = environ.get("HTTP_" + name.decode().upper().replace("-", "_"))
            return None if value is None else value.encode("latin-1")

        def send(response: Response) -> list[bytes]:
            length = ("Content-Length", str(len(response.body)))
            start_response(f"{response.status} ", [*response.headers, *cors_headers(method, find), length])
            return [] if method == "HEAD" else [response.body]

        if self._auth.is_preflight(method, find):
            return send(self._responses.empty())
        match = self._router.match(method, environ["PATH_INFO"])
        contexts = None if match.is_probe else self._request_log.plan(find, "rest", method, environ["PATH_INFO"])
        context = make_context(contexts)
        if context is not None:
            start_response = _with_id(context, start_response)
        try:
            if match.needs_token:
                self._auth.check(find)
            self._read_body(environ)
            if match.is_probe:
                return self._app(environ, start_response)
            with self._lock:
                self._limits.admit(self._in_flight, self._count_at_work)
                self._in_flight += 1
        except RequestError as error:
            return send(self._responses.error(error, match.protocol))
        try:
            with working_on(context):
                return self._app(environ, start_response)
        finally:
            with self._lock:
                self._in_flight -= 1

    def _read_body(self, environ: Environ) -> None:
        """Check the size of the body; a chunked body is read, as the server does.

        Raises:
            TooLarge: it is larger than ``server.max_body_bytes``.
        """
        length = environ.get("CONTENT_LENGTH") or ""
        if not length and environ.get("wsgi.input_terminated"):
            body = environ["wsgi.input"].read(self._max_body_bytes + 1)
            length = environ["CONTENT_LENGTH"] = str(len(body))
            environ["wsgi.input"] = io.BytesIO(body)
        if length.isdecimal() and int(length) > self._max_body_bytes:
            raise TooLarge(f"the body is larger than server.max_body_bytes, {self._max_body_bytes}")


def _with_id(context: RequestContext, start_response: Any) -> Any:
    """Return a ``start_response`` that adds the request's ID to the headers, and ends the context."""

    def start(status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
        context.call = None  # break the reference cycle of call and context
        return start_response(status, [*headers, (ID_HEADER.decode().title(), context.id)], *exc_info)

    return start

"""The server's limits for a WSGI application that runs without the server: tokens, sizes, the queue."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterable
from typing import Any

from seldon_spec.config.model import Spec
from seldon_spec.errors import RequestError, TooLarge
from seldon_spec.protocols.json_style import JsonStyle
from seldon_spec.protocols.seldon_v1.errors import describe
from seldon_spec.protocols.seldon_v1.routes import (
    FAILURE_HEADERS,
    PROBE_TYPE,
    PROBES,
    cors_headers,
    failure_answer,
    preflight_headers,
)
from seldon_spec.server.auth import TokenAuth
from seldon_spec.server.bridge import RequestLimits
from seldon_spec.server.rest.wsgi import Environ, WsgiApp


class LimitedApp:
    """A WSGI application whose requests are refused where the server refuses them, with the same responses.

    Args:
        app: handles the other requests.
        spec: its ``server`` section has the limits.
        count_at_work: returns how many requests the model threads can be at.
    """

    def __init__(self, app: WsgiApp, spec: Spec, count_at_work: Callable[[], int]) -> None:
        self._app = app
        self._guard = TokenAuth(spec.server.auth)
        self._max_body_bytes = spec.server.max_body_bytes
        self._style = JsonStyle.from_flask(spec.flask)
        self._bounds = RequestLimits(max_queue=spec.server.max_queue)
        self._count_at_work = count_at_work
        self._under_way = 0
        self._lock = threading.Lock()

    def __call__(self, environ: Environ, start_response: Any) -> Iterable[bytes]:
        """Handle one request."""

        def find(name: bytes) -> bytes | None:
            value = environ.get("HTTP_" + name.decode().upper().replace("-", "_"))
            return None if value is None else value.encode("latin-1")

        origin = environ.get("HTTP_ORIGIN")
        if self._guard.is_preflight(environ["REQUEST_METHOD"], find):
            wanted = environ.get("HTTP_ACCESS_CONTROL_REQUEST_HEADERS")
            headers = [("Content-Type", PROBE_TYPE), *cors_headers(origin), *preflight_headers(wanted)]
            start_response("200 OK", [*headers, ("Content-Length", "0")])
            return []
        path = environ["PATH_INFO"]
        try:
            self._guard.check_rest(path, find)
            self._read_body(environ)
            if path in PROBES:
                return self._app(environ, start_response)
            self._enter()
        except RequestError as error:
            status, content_type, body = failure_answer(describe(error), self._style)
            headers = [("Content-Type", content_type), *cors_headers(origin), *FAILURE_HEADERS.get(type(error), ())]
            start_response(f"{status} ", [*headers, ("Content-Length", str(len(body)))])
            return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]
        try:
            return self._app(environ, start_response)
        finally:
            with self._lock:
                self._under_way -= 1

    def _read_body(self, environ: Environ) -> None:
        """Check the size of the body; one that comes in chunks is read, as the server does.

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

    def _enter(self) -> None:
        with self._lock:
            self._bounds.admit(self._under_way, self._count_at_work)
            self._under_way += 1

"""The metrics port: one page, independent of the model."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial

from seldon_spec.errors import RequestError, Unauthenticated
from seldon_spec.observability.metrics import CONTENT_TYPE
from seldon_spec.protocols.seldon_v1.errors import describe
from seldon_spec.server.auth import TokenAuth
from seldon_spec.transport.http1.messages import RequestCycle, RequestHandler, RequestHead, ResponseHead

logger = logging.getLogger(__name__)

_HTML = b"text/html; charset=utf-8"


class MetricsPage:
    """An ``HttpApp``; belongs to the running event loop.

    The page is rendered on another thread: with many series that takes longer than the event loop may be blocked.
    Requests that arrive meanwhile wait for the next page and share it, so that scrapes never pile up.

    Args:
        render: returns the page's bytes; never called twice at a time.
        path: where the page is.
        auth: checks the tokens.
    """

    max_body_bytes = 65536

    def __init__(self, render: Callable[[], bytes], path: str, auth: TokenAuth) -> None:
        self._render = render
        self._path = path
        self._auth = auth
        self._waiting: dict[RequestCycle, ResponseHead] = {}
        self._is_rendering = False

    def find_handler(self, head: RequestHead) -> RequestHandler:
        """Choose the handler of requests with this head."""
        try:
            self._auth.check(head.find)
        except Unauthenticated:
            response = _head(401, _HTML, head, (b"www-authenticate", b"Bearer"))
            return _Fixed(response, b"<h1>401 Unauthorized</h1>\n")
        if head.method not in ("GET", "HEAD"):
            response = _head(405, _HTML, head, (b"allow", b"GET, HEAD"))
            return _Fixed(response, b"<h1>405 Method Not Allowed</h1>\n")
        if head.path != self._path:
            return _Fixed(_head(404, _HTML, head), b"<h1>404 Not Found</h1>\n")
        return _Rendered(self, _head(200, CONTENT_TYPE.encode(), head))

    def vary(
        self, _head: RequestHead, _handler: RequestHandler, _names: Sequence[bytes]
    ) -> Callable[[RequestHead, Sequence[bytes]], RequestHandler]:
        """Return a function that checks the token of each request."""
        return lambda head, _values: self.find_handler(head)

    def is_probe(self, head: RequestHead) -> bool:
        """Return False: no scrape is exempt from the connection limit."""
        del head
        return False

    def refuse(self, error: RequestError, _head: RequestHead | None, _path: str = "") -> tuple[ResponseHead, bytes]:
        """Return the response to a malformed request."""
        failure = describe(error)
        return ResponseHead(failure.http, [(b"content-type", b"text/plain; charset=utf-8")]), failure.info.encode()

    def queue(self, cycle: RequestCycle, head: ResponseHead) -> None:
        """Respond with the next page."""
        self._waiting[cycle] = head
        cycle.on_gone = partial(self._waiting.pop, cycle, None)
        if not self._is_rendering:
            self._start()

    def _start(self) -> None:
        self._is_rendering = True
        served, self._waiting = self._waiting, {}
        for cycle in served:
            cycle.on_gone = partial(served.pop, cycle, None)
        rendering = asyncio.get_running_loop().run_in_executor(None, self._render)
        rendering.add_done_callback(partial(self._finish, served))

    def _finish(self, served: dict[RequestCycle, ResponseHead], rendering: asyncio.Future[bytes]) -> None:
        self._is_rendering = False
        if self._waiting:
            self._start()
        if rendering.cancelled():
            return
        error = rendering.exception()
        if error is not None:
            logger.error("the metrics page cannot be rendered: %s", error, exc_info=error)
        for cycle, head in list(served.items()):
            if error is None:
                cycle.respond(head, rendering.result())
            else:
                cycle.respond(_head(500, _HTML, cycle.head), b"<h1>500 Internal Server Error</h1>\n")


def _head(status: int, content_type: bytes, head: RequestHead, *more: tuple[bytes, bytes]) -> ResponseHead:
    origin = head.find(b"origin")
    allowed = [(b"access-control-allow-origin", origin or b"*")]
    return ResponseHead(
        status, [(b"content-type", content_type), *allowed, *([(b"vary", b"Origin")] if origin else []), *more]
    )


class _Fixed:
    """Sends a fixed response."""

    def __init__(self, head: ResponseHead, body: bytes) -> None:
        self._head = head
        self._body = body

    def begin(self, cycle: RequestCycle) -> None:
        """Send the response."""
        cycle.respond(self._head, self._body)


class _Rendered:
    """Sends the page."""

    def __init__(self, page: MetricsPage, head: ResponseHead) -> None:
        self._page = page
        self._head = head

    def begin(self, cycle: RequestCycle) -> None:
        """Wait for the next page."""
        self._page.queue(cycle, self._head)

"""The metrics port: one page, and nothing else. It never waits for the model."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial

from seldon_spec.errors import RequestError, Unauthenticated
from seldon_spec.metrics import CONTENT_TYPE
from seldon_spec.server.auth import Guard
from seldon_spec.server.http.exchange import AnswerHead, Exchange, Head, Plan
from seldon_spec.server.status import describe

logger = logging.getLogger(__name__)

_HTML = b"text/html; charset=utf-8"


class MetricsPage:
    """An ``HttpApp``; belongs to the running event loop.

    The page is rendered on another thread: with many series that takes longer than the event loop may be blocked.
    Requests that arrive meanwhile wait for the next page and share it, so that scrapes never pile up.

    Args:
        render: returns the page's bytes; never called twice at a time.
        path: where the page is.
        guard: checks the tokens.
    """

    max_body_bytes = 65536

    def __init__(self, render: Callable[[], bytes], path: str, guard: Guard) -> None:
        self._render = render
        self._path = path
        self._guard = guard
        self._waiting: dict[Exchange, AnswerHead] = {}
        self._is_rendering = False

    def plan(self, head: Head) -> Plan:
        """Choose the response to requests with this head."""
        try:
            self._guard.check_metrics(head.find)
        except Unauthenticated:
            answer = _head(401, _HTML, head, (b"www-authenticate", b"Bearer"))
            return _Fixed(answer, b"<h1>401 Unauthorized</h1>\n")
        if head.method not in ("GET", "HEAD"):
            answer = _head(405, _HTML, head, (b"allow", b"GET, HEAD"))
            return _Fixed(answer, b"<h1>405 Method Not Allowed</h1>\n")
        if head.path != self._path:
            return _Fixed(_head(404, _HTML, head), b"<h1>404 Not Found</h1>\n")
        return _Rendered(self, _head(200, CONTENT_TYPE.encode(), head))

    def vary(self, _head: Head, _names: Sequence[bytes]) -> Callable[[Head, Sequence[bytes]], Plan]:
        """Plan each anew, since the token may be another one."""
        return lambda head, _values: self.plan(head)

    def is_probe(self, head: Head) -> bool:
        """See ``HttpApp``."""
        del head
        return False

    def refuse(self, error: RequestError, _head: Head | None) -> tuple[AnswerHead, bytes]:
        """The answer to what is no request that can be read."""
        failure = describe(error)
        return AnswerHead(failure.http, [(b"content-type", b"text/plain; charset=utf-8")]), failure.info.encode()

    def queue(self, exchange: Exchange, head: AnswerHead) -> None:
        """Respond with the next page."""
        self._waiting[exchange] = head
        exchange.on_gone = partial(self._waiting.pop, exchange, None)
        if not self._is_rendering:
            self._start()

    def _start(self) -> None:
        self._is_rendering = True
        served, self._waiting = self._waiting, {}
        for exchange in served:
            exchange.on_gone = partial(served.pop, exchange, None)
        rendering = asyncio.get_running_loop().run_in_executor(None, self._render)
        rendering.add_done_callback(partial(self._finish, served))

    def _finish(self, served: dict[Exchange, AnswerHead], rendering: asyncio.Future[bytes]) -> None:
        self._is_rendering = False
        if self._waiting:
            self._start()
        if rendering.cancelled():
            return
        error = rendering.exception()
        if error is not None:
            logger.error("the metrics page cannot be rendered: %s", error, exc_info=error)
        for exchange, head in list(served.items()):
            if error is None:
                exchange.answer(head, rendering.result())
            else:
                exchange.answer(_head(500, _HTML, exchange.head), b"<h1>500 Internal Server Error</h1>\n")


def _head(status: int, content_type: bytes, head: Head, *more: tuple[bytes, bytes]) -> AnswerHead:
    origin = head.find(b"origin")
    allowed = [(b"access-control-allow-origin", origin or b"*")]
    return AnswerHead(
        status, [(b"content-type", content_type), *allowed, *([(b"vary", b"Origin")] if origin else []), *more]
    )


class _Fixed:
    """A response that is known."""

    def __init__(self, head: AnswerHead, body: bytes) -> None:
        self._head = head
        self._body = body

    def begin(self, exchange: Exchange) -> None:
        """Send it."""
        exchange.answer(self._head, self._body)


class _Rendered:
    """The page."""

    def __init__(self, page: MetricsPage, head: AnswerHead) -> None:
        self._page = page
        self._head = head

    def begin(self, exchange: Exchange) -> None:
        """Have it rendered and sent."""
        self._page.queue(exchange, self._head)

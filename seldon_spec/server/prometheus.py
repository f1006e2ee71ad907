"""The metrics port: one page, and nothing else. It never waits for the model."""

from __future__ import annotations

from collections.abc import Callable

from seldon_spec.errors import RequestError
from seldon_spec.metrics import CONTENT_TYPE
from seldon_spec.server.auth import Tokens
from seldon_spec.server.http.exchange import AnswerHead, Exchange, Head, Plan
from seldon_spec.server.status import describe

_HTML = b"text/html; charset=utf-8"


class MetricsPage:
    """An ``HttpApp``.

    Args:
        render: gives the page's bytes.
        path: where the page is.
        tokens: who may read it.
    """

    max_body_bytes = 65536

    def __init__(self, render: Callable[[], bytes], path: str, tokens: Tokens) -> None:
        self._render = render
        self._path = path
        self._tokens = tokens

    def plan(self, head: Head) -> Plan:
        """Choose the answer of the requests with this head."""
        if head.method not in ("GET", "HEAD"):
            answer = _head(405, _HTML, head, (b"allow", b"GET, HEAD"))
            return _Page(answer, lambda: b"<h1>405 Method Not Allowed</h1>\n")
        if head.path != self._path:
            return _Page(_head(404, _HTML, head), lambda: b"<h1>404 Not Found</h1>\n")
        if not self._tokens.allow(head.find(b"authorization")):
            answer = _head(401, _HTML, head, (b"www-authenticate", b"Bearer"))
            return _Page(answer, lambda: b"<h1>401 Unauthorized</h1>\n")
        return _Page(_head(200, CONTENT_TYPE.encode(), head), self._render)

    def refuse(self, error: RequestError, _head: Head | None) -> tuple[AnswerHead, bytes]:
        """The answer to what is no request that can be read."""
        failure = describe(error)
        return AnswerHead(failure.http, [(b"content-type", b"text/plain; charset=utf-8")]), failure.info.encode()


def _head(status: int, content_type: bytes, head: Head, *more: tuple[bytes, bytes]) -> AnswerHead:
    origin = head.find(b"origin")
    allowed = [(b"access-control-allow-origin", origin or b"*")]
    return AnswerHead(
        status, [(b"content-type", content_type), *allowed, *([(b"vary", b"Origin")] if origin else []), *more]
    )


class _Page:
    """One answer, made when it is asked for."""

    def __init__(self, head: AnswerHead, render: Callable[[], bytes]) -> None:
        self._head = head
        self._render = render

    def begin(self, exchange: Exchange) -> None:
        """Answer it."""
        exchange.answer(self._head, self._render())

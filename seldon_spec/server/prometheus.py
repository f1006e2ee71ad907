"""The metrics port: one page, and nothing else. It never waits for the model."""

from __future__ import annotations

from collections.abc import Callable

from seldon_spec.metrics import CONTENT_TYPE
from seldon_spec.server.asgi import Receive, Scope, Send, find_header, send_answer

_HTML = "text/html; charset=utf-8"


class MetricsPage:
    """An ASGI application.

    Args:
        render: gives the page's bytes.
        path: where the page is.
    """

    def __init__(self, render: Callable[[], bytes], path: str) -> None:
        self._render = render
        self._path = path

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Answer one request."""
        status, content_type, body = self._answer(scope)
        origin = find_header(scope, b"origin")
        headers = [(b"access-control-allow-origin", origin or b"*")]
        if origin:
            headers.append((b"vary", b"Origin"))
        if status == 405:
            headers.append((b"allow", b"GET, HEAD"))
        await send_answer(send, status, content_type, body, headers, is_head=scope["method"] == "HEAD")

    def _answer(self, scope: Scope) -> tuple[int, str, bytes]:
        if scope["method"] not in ("GET", "HEAD"):
            return 405, _HTML, b"<h1>405 Method Not Allowed</h1>\n"
        if scope["path"] != self._path:
            return 404, _HTML, b"<h1>404 Not Found</h1>\n"
        return 200, CONTENT_TYPE, self._render()

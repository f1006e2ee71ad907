"""An HTTP server of files in memory, which counts the requests that it gets."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


@dataclass
class Files:
    """The files of a server by path; ``gate`` holds all bodies back until it is set; ``arrived`` is set by the first request.

    ``is_short`` ends each body early, ``has_etags`` identifies its revision, ``login`` is the required Authorization.
    """

    port: int = 0
    contents: dict[str, bytes] = field(default_factory=dict)
    redirects: dict[str, str] = field(default_factory=dict)
    etags: dict[str, str] = field(default_factory=dict)
    is_short: bool = False
    login: str | None = None
    gate: threading.Event = field(default_factory=threading.Event)
    arrived: threading.Event = field(default_factory=threading.Event)
    requests: list[tuple[str, int]] = field(default_factory=list)
    logins: list[str | None] = field(default_factory=list)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def count(self, status: int) -> int:
        return sum(found == status for _, found in self.requests)


@pytest.fixture
def files() -> Iterator[Files]:
    """A running server."""
    state = Files()
    state.gate.set()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            etag = state.etags.get(path)
            state.logins.append(self.headers.get("Authorization"))
            if state.login is not None and self.headers.get("Authorization") != state.login:
                self._respond(401, b"")
            elif path in state.redirects:
                self._respond(302, b"", Location=state.redirects[path])
            elif path not in state.contents:
                self._respond(404, b"")
            elif etag is not None and self.headers.get("If-None-Match") == etag:
                self._respond(304, b"")
            else:
                self._respond(200, state.contents[path], **({} if etag is None else {"ETag": etag}))

        def _respond(self, status: int, body: bytes, **headers: str) -> None:
            state.requests.append((self.path, status))
            state.arrived.set()
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            state.gate.wait(30)
            self.wfile.write(body[: len(body) // 2] if state.is_short else body)

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.port = server.server_port
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield state
    state.gate.set()
    server.shutdown()
    thread.join()
    server.server_close()

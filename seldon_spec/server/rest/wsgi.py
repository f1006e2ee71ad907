"""A whole request to a WSGI application, and its whole answer back."""

from __future__ import annotations

import io
import re
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from contextvars import ContextVar
from typing import Any, NamedTuple, Protocol, TypeAlias

from seldon_spec.inference.call import BaseContext
from seldon_spec.transport.header_fields import FIRST_VALUE_FIELDS
from seldon_spec.transport.http1.messages import Body, RequestCycle, RequestHead, ResponseHead

Environ: TypeAlias = dict[str, Any]
Fields: TypeAlias = list[tuple[bytes, bytes]]

_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(rb"[^\x00-\x08\x0a-\x1f\x7f]*")
_CONNECTION_HEADERS = frozenset(
    {b"connection", b"keep-alive", b"te", b"trailer", b"trailers", b"transfer-encoding", b"upgrade"}
)
_SET_BY_ENGINE = frozenset({b"content-length", b"date"})

WAITER: ContextVar[Waiter | None] = ContextVar("waiter", default=None)
"""Of this thread's request; None where the server has none."""


class Waiter:
    """A request that a thread of the application's waits with, as long as somebody wants its answer.

    Args:
        note: of the request; None: nobody asks for one.
        waited_seconds: how long ago the request arrived.

    Attributes:
        arrived: when the request did, by ``time.monotonic``.
    """

    def __init__(self, note: BaseContext | None = None, waited_seconds: float = 0.0) -> None:
        self.note = note
        self.arrived = time.monotonic() - waited_seconds
        self._future: Future[Any] | None = None
        self._is_given_up = False

    def wait_for(self, future: Future[Any]) -> None:
        """The thread waits for this; it is cancelled when nobody does any more."""
        self._future = future
        if self._is_given_up:
            future.cancel()

    def give_up(self) -> None:
        """Nobody waits for the answer; what has not begun never will."""
        self._is_given_up = True
        if self._future is not None:
            self._future.cancel()


class WsgiApp(Protocol):
    """A WSGI application."""

    def __call__(self, environ: Any, start_response: Any, /) -> Iterable[bytes]:
        """Answer one request."""


class WsgiResponse(NamedTuple):
    """The arguments of ``RequestCycle.answer``."""

    head: ResponseHead
    body: bytes
    length: int | None


def make_environ(exchange: RequestCycle, body: Body) -> Environ:
    """The WSGI environment of a request whose body has been read."""
    head = exchange.head
    host, port = exchange.server
    environ: Environ = {
        "REQUEST_METHOD": head.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": head.path,
        "QUERY_STRING": head.query.decode("latin-1"),
        "SERVER_PROTOCOL": f"HTTP/{head.version}",
        "SERVER_NAME": host,
        "SERVER_PORT": str(port),
        "REMOTE_ADDR": exchange.client,
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": exchange.scheme,
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    _add_headers(environ, head)
    environ["CONTENT_LENGTH"] = str(len(body))
    environ.pop("HTTP_TRANSFER_ENCODING", None)  # it has been undone
    return environ


def _add_headers(environ: Environ, head: RequestHead) -> None:
    for raw_name, raw_value in head.headers:
        name = raw_name.decode("latin-1")
        if "_" in name:  # it would be taken for the header that has a dash in that place
            continue
        key = name.upper().replace("-", "_")
        if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            key = f"HTTP_{key}"
        value = raw_value.decode("latin-1")
        if key not in environ:
            environ[key] = value
        elif raw_name not in FIRST_VALUE_FIELDS:
            environ[key] += f",{value}"


def run_app(app: WsgiApp, environ: Environ) -> WsgiResponse:
    """Run the application to the end of its answer."""
    head: list[tuple[str, list[tuple[str, str]]]] = []

    def start_response(status: str, headers: list[tuple[str, str]], _exc_info: Any = None) -> Callable[[bytes], None]:
        head[:] = [(status, headers)]
        return written.append

    written: list[bytes] = []
    chunks = app(environ, start_response)
    try:
        written.extend(chunks)
    finally:
        close = getattr(chunks, "close", None)
        if close is not None:
            close()
    status, headers = head[0]
    fields = [(name.lower().encode("latin-1"), value.encode("latin-1").strip(b" \t")) for name, value in headers]
    length = _find_length(fields) if environ["REQUEST_METHOD"] == "HEAD" else None
    return WsgiResponse(ResponseHead(int(status.split(" ", 1)[0]), _select_fields(fields)), b"".join(written), length)


def _select_fields(fields: Fields) -> Fields:
    """Check the headers of the application's response, and select those that concern its client.

    The headers of a connection are the engine's, and so is the length: the body is there as a whole.
    """
    for name, value in fields:
        if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            raise ValueError(f"the response has a malformed header: {name!r}: {value!r}")
    lines = [value for name, value in fields if name == b"connection"]
    named = {option.strip(b" \t") for line in lines for option in line.lower().split(b",")}
    dropped = _CONNECTION_HEADERS | _SET_BY_ENGINE | named
    return [(name, value) for name, value in fields if name not in dropped and not name.startswith(b"proxy-")]


def _find_length(fields: Fields) -> int | None:
    """Find the length of the body that a GET request would get; None: there is none, or it is contradictory."""
    lengths = {value for name, value in fields if name == b"content-length"}
    value = lengths.pop() if len(lengths) == 1 else b""
    return int(value) if value.isdigit() else None

"""Runs a WSGI application: from a request of the transport to the complete response."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, Protocol, TypeAlias

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


class WsgiApp(Protocol):
    """A WSGI application."""

    def __call__(self, environ: Any, start_response: Any, /) -> Iterable[bytes]:
        """Handle one request."""


class WsgiResponse(NamedTuple):
    """The arguments of ``RequestCycle.respond``."""

    head: ResponseHead
    body: bytes
    length: int | None


def make_environ(cycle: RequestCycle, body: Body) -> Environ:
    """Return the WSGI environment of a request whose body has been received."""
    head = cycle.head
    host, port = cycle.server
    environ: Environ = {
        "REQUEST_METHOD": head.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": head.path,
        "QUERY_STRING": head.query.decode("latin-1"),
        "SERVER_PROTOCOL": f"HTTP/{head.version}",
        "SERVER_NAME": host,
        "SERVER_PORT": str(port),
        "REMOTE_ADDR": cycle.client,
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": cycle.scheme,
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    _add_headers(environ, head)
    environ["CONTENT_LENGTH"] = str(len(body))
    environ.pop("HTTP_TRANSFER_ENCODING", None)  # the transport has decoded it
    return environ


def _add_headers(environ: Environ, head: RequestHead) -> None:
    for raw_name, raw_value in head.headers:
        name = raw_name.decode("latin-1")
        if "_" in name:  # in WSGI it would be the header with a dash in its place
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
    """Run the application, and return its complete response."""
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
    """Check the headers of the application's response, and drop those that the transport sets itself."""
    for name, value in fields:
        if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            raise ValueError(f"the response has a malformed header: {name!r}: {value!r}")
    lines = [value for name, value in fields if name == b"connection"]
    named = {option.strip(b" \t") for line in lines for option in line.lower().split(b",")}
    dropped = _CONNECTION_HEADERS | _SET_BY_ENGINE | named
    return [(name, value) for name, value in fields if name not in dropped and not name.startswith(b"proxy-")]


def _find_length(fields: Fields) -> int | None:
    """Return the length of the body of the GET response; None: unknown or ambiguous."""
    lengths = {value for name, value in fields if name == b"content-length"}
    value = lengths.pop() if len(lengths) == 1 else b""
    return int(value) if value.isdigit() else None

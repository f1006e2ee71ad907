"""Requests and responses of HTTP/1.1, and the interface of the application that handles them; no sockets."""

from __future__ import annotations

import http
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, TypeAlias

from seldon_spec.errors import MalformedRequest, RequestError

Headers: TypeAlias = tuple[tuple[bytes, bytes], ...]
"""Names in lower case, and values."""

Body: TypeAlias = bytes | bytearray | memoryview

_LENGTH_DIGITS = 20
_FIRST_FINAL, _LAST_STATUS = 200, 599
_NO_CONTENT, _RESET_CONTENT, _NOT_MODIFIED = 204, 205, 304


class RequestHead:
    """The head of a request. It is not changed once it is known, so requests with the same bytes share one.

    Attributes:
        method: in upper case.
        path: percent-decoded, a character for each byte, as WSGI has it.
        query: the part behind the question mark, not decoded.
        version: ``1.1`` or ``1.0``.
        content_length: of the body in bytes; 0 if there is none or it is chunked.
        is_chunked: whether the body is chunked.
        is_kept: whether the connection may be used again.
        awaits_continue: whether the client sends the body only after a response ``100 Continue``.
        size: of the head in bytes, if it was read from a connection.

    Raises:
        MalformedRequest: the ``content-length`` is not a number.
    """

    __slots__ = (
        "_headers",
        "_layout",
        "_values",
        "awaits_continue",
        "content_length",
        "is_chunked",
        "is_kept",
        "method",
        "path",
        "query",
        "size",
        "version",
    )

    _layout: HeaderLayout | None
    _headers: Headers | None
    _values: Sequence[bytes]

    def __init__(self, method: str, path: str, query: bytes, version: str, headers: Headers) -> None:
        self.method = method
        self.path = path
        self.query = query
        self.version = version
        self.size = 0
        self._layout, self._headers, self._values = None, headers, ()
        first = dict(reversed(headers))
        length = first.get(b"content-length")
        self.content_length = 0 if length is None else _read_length(length)
        self.is_chunked = b"transfer-encoding" in first
        self.awaits_continue = b"expect" in first and version != "1.0" and b"100-continue" in self._list(b"expect")
        options = self._list(b"connection") if b"connection" in first else ()
        self.is_kept = b"close" not in options and (version != "1.0" or b"keep-alive" in options)

    def vary(self, layout: HeaderLayout, values: Sequence[bytes], content_length: int, size: int) -> RequestHead:
        """Return a head that differs from this one only in the values of some headers.

        Args:
            layout: defines which headers those are.
            values: of these headers.
            content_length, size: the attributes of the new head.
        """
        head = RequestHead.__new__(RequestHead)
        head.method = self.method
        head.path = self.path
        head.query = self.query
        head.version = self.version
        head.is_chunked = self.is_chunked
        head.awaits_continue = self.awaits_continue
        head.is_kept = self.is_kept
        head.content_length = content_length
        head.size = size
        head._layout, head._headers, head._values = layout, None, values
        return head

    @property
    def headers(self) -> Headers:
        """All headers, in their order."""
        if self._headers is None:
            assert self._layout is not None
            self._headers = self._layout.list_headers(self._values)
        return self._headers

    def find(self, name: bytes) -> bytes | None:
        """Return the first value of a header; ``name`` in lower case."""
        if self._layout is not None:
            return self._layout.find(self._values, name)
        return find_header(self.headers, name)

    def _list(self, name: bytes) -> set[bytes]:
        """Return the members of all lines of a list header, in lower case."""
        lines = [value for key, value in self.headers if key == name]
        return {member.strip(b" \t") for line in lines for member in line.lower().split(b",")}


class HeaderLayout(Protocol):
    """The headers that heads of one shape have in common, and the places of those that differ."""

    def list_headers(self, values: Sequence[bytes]) -> Headers:
        """Return all headers of the head with these values."""

    def find(self, values: Sequence[bytes], name: bytes) -> bytes | None:
        """Return the first value of a header of the head with these values."""


def find_header(headers: Headers, name: bytes) -> bytes | None:
    """Return the first value of a header; ``name`` in lower case."""
    return next((value for key, value in headers if key == name), None)


def _read_length(text: bytes) -> int:
    if not text.isdigit() or len(text) > _LENGTH_DIGITS:
        raise MalformedRequest("the content-length is not a number")
    return int(text)


class ResponseHead:
    """Status and headers of responses, without their length; shared by responses that have the same.

    Attributes:
        status: the number.
        headers: in their order.
        status_line, lines: status and headers as HTTP/1.1 writes them.
        has_body: whether a response of this status may have a body; if not, none is sent.
        has_length: whether a response of this status has a ``content-length``.

    Raises:
        ValueError: this is not the status of a final response.
    """

    __slots__ = ("has_body", "has_length", "headers", "lines", "status", "status_line")

    def __init__(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        if not _FIRST_FINAL <= status <= _LAST_STATUS:
            raise ValueError(f"{status} is not the status of a final response")
        self.status = status
        self.headers = tuple(headers)
        self.status_line = b"HTTP/1.1 %d %s\r\n" % (status, _phrase(status))
        self.lines = b"".join(b"%b: %b\r\n" % header for header in self.headers)
        self.has_body = status not in (_NO_CONTENT, _RESET_CONTENT, _NOT_MODIFIED)
        self.has_length = status not in (_NO_CONTENT, _NOT_MODIFIED)

    def extended(self, name: bytes, value: bytes) -> ResponseHead:
        """Return this head with one more header."""
        head = ResponseHead.__new__(ResponseHead)  # nothing is computed again
        head.status, head.status_line = self.status, self.status_line
        head.has_body, head.has_length = self.has_body, self.has_length
        head.headers = (*self.headers, (name, value))
        head.lines = b"".join((self.lines, name, b": ", value, b"\r\n"))
        return head


def _phrase(status: int) -> bytes:
    try:
        return http.HTTPStatus(status).phrase.encode()
    except ValueError:
        return b"Other"


class RequestCycle(Protocol):
    """One request and its response. Belongs to the event loop.

    Attributes:
        head: of the request.
        scheme: ``http`` or ``https``.
        client: the client's host; empty if there is none.
        server: host and port that the client has connected to.
        on_gone: set by the handler; called if the client disconnects before the response.
    """

    head: RequestHead
    scheme: str
    client: str
    server: tuple[str, int]
    on_gone: Callable[[], object] | None

    def take_body(self) -> Body:
        """Return the request's body, once: the cycle does not keep it."""

    def respond(self, head: ResponseHead, body: bytes | memoryview, length: int | None = None) -> None:
        """Send the response, exactly once.

        Args:
            head: status and headers.
            body: not sent if the request is a HEAD request, or the status has no body.
            length: the ``content-length`` of the response to a HEAD request; None: the length of ``body``.
        """


FIXED_HEADERS = frozenset(
    {
        b"access-control-request-headers",
        b"access-control-request-method",
        b"connection",
        b"content-encoding",
        b"content-type",
        b"expect",
        b"host",
        b"http2-settings",
        b"keep-alive",
        b"origin",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
"""The headers that the framing or the handler of a request may depend on: if one differs, the head is parsed."""


class RequestHandler(Protocol):
    """Handles requests with one head."""

    def begin(self, cycle: RequestCycle) -> None:
        """Start handling a request; its response is sent now or later."""


class HttpApp(Protocol):
    """The application behind a port."""

    @property
    def max_body_bytes(self) -> int:
        """Longer bodies are refused, chunked or not."""

    def find_handler(self, head: RequestHead) -> RequestHandler:
        """Return the handler of requests with this head.

        Raises:
            RequestError: they are refused, without reading their bodies.
        """

    def vary(
        self, head: RequestHead, handler: RequestHandler, names: Sequence[bytes]
    ) -> Callable[[RequestHead, Sequence[bytes]], RequestHandler]:
        """Return what finds the handlers of requests whose heads differ from one only in the values of some headers.

        Args:
            head: the one.
            handler: of requests with this head.
            names: of the headers; none of ``FIXED_HEADERS`` is among them.

        Returns:
            Takes a head and its values of these headers, and raises what ``find_handler`` raises.
        """

    def is_probe(self, head: RequestHead) -> bool:
        """Return True if requests with this head are handled even if there are too many connections."""

    def refuse(self, error: RequestError, head: RequestHead | None, path: str = "") -> tuple[ResponseHead, bytes]:
        """Return the response to a request that is refused.

        Args:
            error: the reason.
            head: of the request; None: it could not be read.
            path: of a request without a head, if it is known.
        """

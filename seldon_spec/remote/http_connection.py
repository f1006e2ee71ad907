"""One connection of HTTP/1.1 to a server, with a limit for the time of each request and the size of its response."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass

import httptools

from seldon_spec.remote.failures import TimeLimit

_RECEIVED_BYTES = 1 << 18
_JOINED_BYTES = 1 << 16
_FIRST_FINAL = 200  # the status of what is no interim response
"""A body up to this size is sent together with its head."""

_MAX_HEAD_BYTES = 1 << 16


class ResponseTooLarge(Exception):
    """The body of a response is larger than the limit."""


class NotHttp(OSError):
    """The server's bytes are no HTTP response, or it ends too early."""


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """A response.

    Attributes:
        headers: by their names in lower case; of repeated ones the last.
    """

    status: int
    body: bytes
    headers: Mapping[bytes, bytes]


class HttpConnection:
    """A connection that sends one request at a time.

    Args:
        tcp: connected; the connection closes it.
        max_bytes: of the body of a response.

    Attributes:
        sent_bytes: how many bytes of the current request the system has accepted.
        is_reusable: whether another request can be sent.
    """

    __slots__ = ("_max_bytes", "_poll", "_tcp", "is_reusable", "sent_bytes")

    def __init__(self, tcp: socket.socket, max_bytes: int) -> None:
        self._tcp = tcp
        self._max_bytes = max_bytes
        self._poll = select.poll()
        self._poll.register(tcp, select.POLLIN)
        self.sent_bytes = 0
        self.is_reusable = True

    def is_stale(self) -> bool:
        """Return whether an idle connection was closed by the server: its end, or anything else, can be read."""
        return bool(self._poll.poll(0))

    def exchange(self, head: bytes, body: bytes | memoryview, limit: TimeLimit) -> HttpResponse:
        """Send a request and return its response; an exception leaves the connection unusable.

        Raises:
            TimeoutError: the time is over.
            OSError: the connection was closed.
            NotHttp: the response is not complete, or no HTTP.
            ResponseTooLarge: the body is larger than ``max_bytes``.
            RemoteFailed: no time was left.
        """
        self.sent_bytes = 0
        self.is_reusable = False
        try:
            if len(body) <= _JOINED_BYTES:
                self._send(head + body, limit)
            else:
                self._send(head, limit)
                self._send(body, limit)
        except (BrokenPipeError, ConnectionResetError):
            if not self.sent_bytes:
                raise
            # the server may have rejected the request before it has read all of it
        return self._receive(limit)

    def shut_down(self) -> None:
        """End what another thread waits for."""
        with contextlib.suppress(OSError):  # the server has closed it
            # not the method of a TLS socket: after it, a thread that begins to send would do so in plain text
            socket.socket.shutdown(self._tcp, socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection."""
        self._tcp.close()

    def _send(self, data: bytes | memoryview, limit: TimeLimit) -> None:
        rest = memoryview(data)
        while rest:
            self._tcp.settimeout(limit.remaining())
            count = self._tcp.send(rest)
            self.sent_bytes += count
            rest = rest[count:]

    def _receive(self, limit: TimeLimit) -> HttpResponse:
        reader = _ResponseReader(self._max_bytes)
        reader.parser = parser = httptools.HttpResponseParser(reader)
        received = 0
        while not reader.is_complete:
            self._tcp.settimeout(limit.remaining())
            data = self._tcp.recv(_RECEIVED_BYTES)
            if not data:
                reader.end()
                break
            received += len(data)
            try:
                parser.feed_data(data)
            except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
                if reader.is_too_large:
                    raise ResponseTooLarge from None
                if not reader.is_complete:
                    raise NotHttp(f"what it sent is no HTTP response: {str(error)[:200]}") from None
                reader.is_last = True
            if received > _MAX_HEAD_BYTES and not reader.has_head:
                raise NotHttp(f"the head of its response has more than {_MAX_HEAD_BYTES} bytes")
        self.is_reusable = not reader.is_last and parser.get_http_version() == "1.1"
        return HttpResponse(parser.get_status_code(), b"".join(reader.parts), reader.headers)


class _ResponseReader:
    """Collects the body of one response; the parser calls its methods.

    Attributes:
        parser: set before its first call.
        parts: of the body.
        headers: see ``HttpResponse``.
        has_head: whether the head is complete.
        is_complete: whether the response is complete.
        is_last: whether the server closes the connection after it.
        is_too_large: whether the body has more than ``max_bytes``.
    """

    __slots__ = (
        "_has_length",
        "_left",
        "has_head",
        "headers",
        "is_complete",
        "is_last",
        "is_too_large",
        "parser",
        "parts",
    )

    parser: httptools.HttpResponseParser

    def __init__(self, max_bytes: int) -> None:
        self._left = max_bytes
        self._has_length = False
        self.parts: list[bytes] = []
        self.headers: dict[bytes, bytes] = {}
        self.has_head = self.is_complete = self.is_last = self.is_too_large = False

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        self.headers[name] = value
        if name == b"connection":
            self.is_last = self.is_last or b"close" in value.lower()
        elif name == b"content-length":
            self._has_length = True
            self._check(int(value) if value.isdigit() else 0)
        elif name == b"transfer-encoding":
            self._has_length = True

    def on_headers_complete(self) -> None:
        self.has_head = True

    def on_body(self, part: bytes) -> None:
        self._check(len(part))
        self._left -= len(part)
        self.parts.append(part)

    def on_message_complete(self) -> None:
        if self.parser.get_status_code() < _FIRST_FINAL:  # the response follows
            self.headers = {}
            self.has_head = self.is_last = self._has_length = False
        else:
            self.is_complete = True

    def end(self) -> None:
        """Handle the end of the connection, which is that of a body whose length is not known.

        Raises:
            NotHttp: the response is not complete.
        """
        if not self.has_head or self._has_length:
            begun = "the response was complete" if self.has_head else "it sent a response"
            raise NotHttp(f"it closed the connection before {begun}")
        self.is_last = True

    def _check(self, size: int) -> None:
        if size > self._left:
            self.is_too_large = True
            raise ResponseTooLarge


def open_connection(
    host: str, port: int, tls: ssl.SSLContext | None, max_bytes: int, limit: TimeLimit
) -> HttpConnection:
    """Connect to a server.

    Raises:
        OSError: the server cannot be reached, or its certificate is not trusted.
        RemoteFailed: no time was left.
    """
    limit.remaining()
    failure: OSError | None = None
    for family, kind, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        tcp = socket.socket(family, kind, protocol)
        try:
            tcp.settimeout(limit.remaining())
            tcp.connect(address)
            tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if tls is not None:
                tcp.settimeout(limit.remaining())
                tcp = tls.wrap_socket(tcp, server_hostname=host)
            return HttpConnection(tcp, max_bytes)
        except OSError as error:
            tcp.close()
            failure = failure or error
        except BaseException:
            tcp.close()
            raise
    raise failure or OSError(f"{host} has no address")

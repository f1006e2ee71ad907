"""The persistent connections to a server over HTTP/1.1: one request at a time on each, and the rule for retries."""

from __future__ import annotations

import errno
import ssl
from collections import deque
from urllib.parse import SplitResult

from seldon_spec.remote.failures import TimeLimit, too_large, unreachable
from seldon_spec.remote.http_connection import HttpConnection, HttpResponse, ResponseTooLarge, open_connection
from seldon_spec.remote.server import Metadata

_PORTS = {"http": 80, "https": 443}


class HttpPool:
    """Connections to one server, used from any thread; each request has one of its own, which is kept.

    Args:
        url: of the server; its path is not used.
        tls: verifies the server's certificate; None: plain text.
        headers: of every request, in addition to ``Host``.
        max_bytes: of the body of a response.
        owner: what closes the connections, for errors.

    Attributes:
        address: host and port.
    """

    def __init__(
        self, url: SplitResult, tls: ssl.SSLContext | None, headers: Metadata, max_bytes: int, owner: str = "component"
    ) -> None:
        self._host = str(url.hostname)
        self._port = url.port or _PORTS[url.scheme]
        host = f"[{self._host}]" if ":" in self._host else self._host
        self.address = f"{host}:{self._port}"
        self._tls = tls
        self._max_bytes = max_bytes
        self._owner = owner
        self._headers = _write_headers([("Host", self.address), *headers])
        self._idle: deque[HttpConnection] = deque()
        self._open: set[HttpConnection] = set()
        self._is_closed = False

    def request(self, path: str, body: bytes | memoryview | None, headers: Metadata, limit: TimeLimit) -> HttpResponse:
        """Return the response to a request: POST with a body, which is JSON unless a header says more of it, else GET.

        Raises:
            RemoteFailed: there is none, or it is too large.
        """
        lines = [f"{'GET' if body is None else 'POST'} {path} HTTP/1.1\r\n", self._headers, _write_headers(headers)]
        if body is not None:
            is_described = any(name == "content-type" for name, _ in headers)
            lines.append("" if is_described else "Content-Type: application/json\r\n")
            lines.append(f"Content-Length: {len(body)}\r\n")
        head = "".join([*lines, "\r\n"]).encode("latin-1")
        try:
            return self._exchange(head, b"" if body is None else body, limit)
        except ResponseTooLarge:
            raise too_large(self.address, self._max_bytes) from None
        except OSError as error:
            if isinstance(error, TimeoutError) and error.errno != errno.ETIMEDOUT:
                raise limit.expired() from None
            reason = f"the {self._owner} was closed" if self._is_closed else _describe(error)
            raise unreachable(self.address, reason) from None

    def close(self) -> None:
        """Close all connections; requests in flight fail."""
        self._is_closed = True
        for connection in list(self._open):
            connection.shut_down()
        while self._idle:
            self._drop(self._idle.pop())

    def _exchange(self, head: bytes, body: bytes | memoryview, limit: TimeLimit) -> HttpResponse:
        """Send a request, a second time if the server cannot have received a byte of the first one."""
        connection = self._take_idle()
        if connection is not None:
            try:
                return self._use(connection, head, body, limit)
            except OSError:
                if connection.sent_bytes:
                    raise
            return self._use(self._connect(limit), head, body, limit)
        try:
            connection = self._connect(limit)
        except ConnectionRefusedError:
            connection = self._connect(limit)
        return self._use(connection, head, body, limit)

    def _use(self, connection: HttpConnection, head: bytes, body: bytes | memoryview, limit: TimeLimit) -> HttpResponse:
        try:
            return connection.exchange(head, body, limit)
        finally:
            if connection.is_reusable and not self._is_closed:
                self._idle.append(connection)
            else:
                self._drop(connection)

    def _take_idle(self) -> HttpConnection | None:
        """Return the connection that was used last; those that the server has closed are dropped."""
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return None
            if not connection.is_stale():
                return connection
            self._drop(connection)

    def _connect(self, limit: TimeLimit) -> HttpConnection:
        connection = open_connection(self._host, self._port, self._tls, self._max_bytes, limit)
        self._open.add(connection)
        if self._is_closed:  # meanwhile
            connection.shut_down()
        return connection

    def _drop(self, connection: HttpConnection) -> None:
        self._open.discard(connection)
        connection.close()


def _write_headers(headers: Metadata) -> str:
    return "".join([f"{name}: {value}\r\n" for name, value in headers])


def _describe(error: OSError) -> str:
    """Return the reason of an error without the names of a library's files."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {(error.reason or 'unknown error').lower().replace('_', ' ')}"
    return error.strerror or str(error) or type(error).__name__

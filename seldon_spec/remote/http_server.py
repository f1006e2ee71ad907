"""A server of Seldon's protocol over REST, and the connections to it."""

from __future__ import annotations

import errno
import http
import json
import ssl
from collections import deque
from typing import Any
from urllib.parse import SplitResult

from seldon_spec.errors import RemoteFailed, ResultError
from seldon_spec.inference.message import Operation
from seldon_spec.protocols.seldon_v1.json_codec import JsonCodec
from seldon_spec.protocols.seldon_v1.routes import ROUTES
from seldon_spec.remote.failures import TimeLimit, find_grpc_code, too_large, unreachable
from seldon_spec.remote.http_connection import HttpConnection, HttpResponse, ResponseTooLarge, open_connection
from seldon_spec.remote.server import Metadata

_PATHS = {route.operation: route.path for route in reversed(ROUTES) if route.operation is not None}
_PORTS = {"http": 80, "https": 443}
_READY_PATHS = ("/ready", "/health/ping")
_ERRORS = range(400, 600)
_MAX_INFO = 4096
"""The characters of an error's text that are sent on, which may be in headers."""

_MAX_TEXT = 500
_MAX_START = 64
_OK = 200
_NOT_FOUND = 404


class HttpServer:
    """A server over REST, called from any thread; each call has a connection of its own, which is kept.

    Args:
        url: of the server; its path is the prefix of all paths.
        tls: verifies the server's certificate; None: plain text.
        token: the bearer token; None: the server requires none.
        max_bytes: of a response.

    Attributes:
        address: host and port.
        codec: of its messages.
    """

    def __init__(self, url: SplitResult, tls: ssl.SSLContext | None, token: str | None, max_bytes: int) -> None:
        self._host = str(url.hostname)
        self._port = url.port or _PORTS[url.scheme]
        host = f"[{self._host}]" if ":" in self._host else self._host
        self.address = f"{host}:{self._port}"
        self.codec = JsonCodec()
        self._tls = tls
        self._max_bytes = max_bytes
        self._prefix = url.path.rstrip("/")
        self._headers = f"Host: {self.address}\r\n" + (f"authorization: Bearer {token}\r\n" if token else "")
        self._idle: deque[HttpConnection] = deque()
        self._open: set[HttpConnection] = set()
        self._is_closed = False

    def send(
        self, operation: Operation, body: bytes | memoryview | None, metadata: Metadata, limit: TimeLimit
    ) -> bytes:
        """Send one request; see ``Server.send``."""
        response = self._request(_PATHS[operation], body, metadata, limit)
        if response.status != _OK:
            raise _failed(response)
        if not response.body[:_MAX_START].lstrip().startswith(b"{"):
            text = response.body[:_MAX_TEXT].decode("utf-8", "replace")
            raise ResultError(f"the response of {self.address} is no message: {text[:100]!r}")
        return response.body

    def read_metadata(self, metadata: Metadata, limit: TimeLimit) -> Any:
        """Return the metadata of its model; see ``Server.read_metadata``."""
        try:
            return json.loads(self.send(Operation.METADATA, None, metadata, limit))
        except (ValueError, RecursionError) as error:
            raise ResultError(f"the metadata of {self.address} are no JSON: {error}") from error

    def check_ready(self, limit: TimeLimit) -> None:
        """Check that it accepts requests; see ``Server.check_ready``.

        A server that has neither path is a foreign one, which accepts connections at least.
        """
        for path in _READY_PATHS:
            response = self._request(path, None, (), limit)
            if response.status != _NOT_FOUND:
                if response.status != _OK:
                    raise _failed(response)
                return

    def close(self) -> None:
        """Close all connections; requests in flight fail."""
        self._is_closed = True
        for connection in list(self._open):
            connection.shut_down()
        while self._idle:
            self._drop(self._idle.pop())

    def _request(
        self, path: str, body: bytes | memoryview | None, metadata: Metadata, limit: TimeLimit
    ) -> HttpResponse:
        """Return the response to a request.

        Raises:
            RemoteFailed: there is none, or it is too large.
        """
        lines = [f"{'GET' if body is None else 'POST'} {self._prefix}{path} HTTP/1.1\r\n", self._headers]
        lines += [f"{name}: {value}\r\n" for name, value in metadata]
        if body is not None:
            lines.append(f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n")
        head = "".join([*lines, "\r\n"]).encode("latin-1")
        try:
            return self._exchange(head, b"" if body is None else body, limit)
        except ResponseTooLarge:
            raise too_large(self.address, self._max_bytes) from None
        except OSError as error:
            if isinstance(error, TimeoutError) and error.errno != errno.ETIMEDOUT:
                raise limit.expired() from None
            reason = "the component was closed" if self._is_closed else _describe(error)
            raise unreachable(self.address, reason) from None

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


def _failed(response: HttpResponse) -> RemoteFailed:
    """Return the error that a response describes, in the format of Seldon's protocol or another one."""
    status = response.status
    http_status = status if status in _ERRORS else 502
    phrase = http.HTTPStatus(status).phrase if status in http.HTTPStatus._value2member_map_ else ""
    text = response.body.decode("utf-8", "replace").strip()
    try:
        tree = json.loads(text)
    except (ValueError, RecursionError):
        tree = None
    described = tree.get("status") if isinstance(tree, dict) else None
    found = described if isinstance(described, dict) else {}
    info = found.get("info") or (tree.get("error") if isinstance(tree, dict) else None) or text[:_MAX_TEXT]
    if not info or http_status != status:
        info = f"the server responded with HTTP status {status} {phrase}".rstrip()
    reason, code = found.get("reason"), found.get("code")
    return RemoteFailed(
        str(info)[:_MAX_INFO],
        http_status,
        find_grpc_code(http_status),
        reason if isinstance(reason, str) else None,
        code if type(code) is int else -1,
    )


def _describe(error: OSError) -> str:
    """Return the reason of an error without the names of a library's files."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {(error.reason or 'unknown error').lower().replace('_', ' ')}"
    return error.strerror or str(error) or type(error).__name__

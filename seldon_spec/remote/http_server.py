"""A server of Seldon's protocol over REST, and the connections to it."""

from __future__ import annotations

import http
import json
import ssl
from typing import Any
from urllib.parse import SplitResult

from seldon_spec.errors import RemoteFailed, ResultError
from seldon_spec.inference.message import Operation
from seldon_spec.protocols.seldon_v1.json_codec import JsonCodec
from seldon_spec.protocols.seldon_v1.routes import ROUTES
from seldon_spec.remote.failures import TimeLimit, find_grpc_code
from seldon_spec.remote.http_connection import HttpResponse
from seldon_spec.remote.http_pool import HttpPool
from seldon_spec.remote.server import Metadata

_PATHS = {route.operation: route.path for route in reversed(ROUTES) if route.operation is not None}
_READY_PATHS = ("/ready", "/health/ping")
_ERRORS = range(400, 600)
_MAX_INFO = 4096
"""The characters of an error's text that are sent on, which may be in headers."""

_MAX_TEXT = 500
_MAX_START = 64
_OK = 200
_ID = b"seldon-puid"
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
        self.codec = JsonCodec()
        self._prefix = url.path.rstrip("/")
        self._pool = HttpPool(url, tls, [("authorization", f"Bearer {token}")] if token else [], max_bytes)
        self.address = self._pool.address

    def send(
        self, operation: Operation, body: bytes | memoryview | None, metadata: Metadata, limit: TimeLimit
    ) -> bytes:
        """Send one request; see ``Server.send``."""
        response = self._pool.request(self._prefix + _PATHS[operation], body, metadata, limit)
        if response.status != _OK:
            raise read_failure(response)
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
            response = self._pool.request(self._prefix + path, None, (), limit)
            if response.status != _NOT_FOUND:
                if response.status != _OK:
                    raise read_failure(response)
                return

    def close(self) -> None:
        """Close all connections; requests in flight fail."""
        self._pool.close()


def read_failure(response: HttpResponse) -> RemoteFailed:
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
    failure = RemoteFailed(
        str(info)[:_MAX_INFO],
        http_status,
        find_grpc_code(http_status),
        reason if isinstance(reason, str) else None,
        code if type(code) is int else -1,
    )
    failure.request_id = response.headers.get(_ID, b"").decode("latin-1") or None
    return failure

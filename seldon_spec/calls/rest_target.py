"""A server over REST."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import SplitResult, quote

from seldon_spec.calls.errors import CallFailed, from_remote
from seldon_spec.calls.target import ANY_SIZE, OWNER, Incoming, Outgoing
from seldon_spec.errors import RemoteFailed
from seldon_spec.inference.message import Operation
from seldon_spec.remote.failures import TimeLimit
from seldon_spec.remote.http_connection import HttpResponse
from seldon_spec.remote.http_pool import HttpPool
from seldon_spec.remote.http_server import read_failure

_PATHS = {
    Operation.PREDICT: "/api/v1.0/predictions",
    Operation.TRANSFORM_INPUT: "/transform-input",
    Operation.TRANSFORM_OUTPUT: "/transform-output",
    Operation.ROUTE: "/route",
    Operation.AGGREGATE: "/aggregate",
    Operation.FEEDBACK: "/api/v1.0/feedback",
}
"""Those that a component, a graph and a gateway of Seldon Core have, where they differ."""

_READY = ("/ready", "/v2/health/ready", "/health/ping")
_JSON_SIZE = b"inference-header-content-length"
_ID = b"seldon-puid"
_OK = 200
_NOT_FOUND = 404
_NOT_SUPPORTED = frozenset({_NOT_FOUND, 405, 501})


class RestTarget:
    """A server over REST.

    Args:
        url: of the server; its path is the prefix of all paths.
        tls: verifies the server's certificate; None: plain text.
        headers: of every request.
        max_connections: the limit of connections; further calls wait for one.

    Attributes:
        address: host and port.
    """

    is_grpc = False

    def __init__(
        self, url: SplitResult, tls: ssl.SSLContext | None, headers: Mapping[str, str], max_connections: int
    ) -> None:
        self._prefix = url.path.rstrip("/")
        self._pool = HttpPool(url, tls, list(headers.items()), ANY_SIZE, OWNER)
        self._free = threading.BoundedSemaphore(max_connections)
        self.address = self._pool.address

    def send(self, request: Outgoing, limit: TimeLimit) -> Incoming:
        headers = [("seldon-puid", request.request_id)]
        if request.json_size is not None:
            headers.append(("content-type", "application/octet-stream"))
            headers.append((_JSON_SIZE.decode(), str(request.json_size)))
        path = _PATHS[request.operation] if request.model is None else f"{_model_path(request.model)}/infer"
        response = self._request(path, request.body, headers, limit, is_v2=request.is_v2)
        size = response.headers.get(_JSON_SIZE)
        request_id = response.headers.get(_ID)
        return Incoming(
            response.body,
            request.request_id if request_id is None else request_id.decode("latin-1"),
            int(size) if size is not None and size.isdigit() else None,
        )

    def list_models(self, limit: TimeLimit) -> list[str]:
        index = self._get("/v2/repository/index", limit, is_v2=True, body=b"{}") or []
        entries = index.get("models", ()) if isinstance(index, dict) else index
        return [entry["name"] for entry in entries]

    def list_extensions(self, limit: TimeLimit) -> Sequence[str] | None:
        server = self._get("/v2", limit, is_v2=True)
        return list(server.get("extensions") or ()) if isinstance(server, dict) else None

    def read_metadata(self, model: str, limit: TimeLimit, *, is_v2: bool) -> Any:
        path = _model_path(model) if is_v2 else "/metadata"
        return self._read_json(path, self._request(path, None, [], limit, is_v2=is_v2))

    def check_ready(self, model: str, limit: TimeLimit, *, is_v2: bool) -> None:
        paths = (f"{_model_path(model)}/ready",) if is_v2 and model else _READY
        for path in paths:
            if self._exists(path, limit, is_v2=is_v2):
                return
        raise CallFailed(f"{self.address} has no path for its readiness", _NOT_FOUND, "NOT_FOUND")

    def close(self) -> None:
        self._pool.close()

    def _exists(self, path: str, limit: TimeLimit, *, is_v2: bool) -> bool:
        """Return whether a page can be read; False if there is no such path."""
        try:
            self._request(path, None, [], limit, is_v2=is_v2)
        except CallFailed as error:
            if error.http_status != _NOT_FOUND:
                raise
            return False
        return True

    def _get(self, path: str, limit: TimeLimit, *, is_v2: bool, body: bytes | None = None) -> Any:
        """Return the JSON of a page; None if the server does not have it."""
        try:
            return self._read_json(path, self._request(path, body, [], limit, is_v2=is_v2))
        except CallFailed as error:
            if error.http_status not in _NOT_SUPPORTED:
                raise
            return None

    def _read_json(self, path: str, response: HttpResponse) -> Any:
        try:
            return json.loads(response.body)
        except ValueError as error:
            raise CallFailed(f"{path} of {self.address} is no JSON: {error}", 502, "INTERNAL") from None

    def _request(
        self, path: str, body: bytes | None, headers: list[tuple[str, str]], limit: TimeLimit, *, is_v2: bool
    ) -> HttpResponse:
        try:
            if not self._free.acquire(timeout=limit.remaining()):
                raise limit.expired()
            try:
                response = self._pool.request(self._prefix + path, body, headers, limit)
            finally:
                self._free.release()
            if response.status != _OK:
                raise read_failure(response)
        except RemoteFailed as error:
            raise from_remote(error, dict(headers).get("seldon-puid"), is_v2=is_v2) from None
        return response


def _model_path(model: str) -> str:
    return f"/v2/models/{quote(model, safe='')}"

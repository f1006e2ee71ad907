"""The channel to a server over gRPC, and the rule for retries."""

from __future__ import annotations

import threading
from typing import Any
from urllib.parse import SplitResult

import grpc
from google.protobuf.message import DecodeError

from seldon_spec.errors import RemoteFailed
from seldon_spec.remote.failures import TimeLimit, find_http_status, too_large, unreachable
from seldon_spec.remote.server import Metadata

_NOT_CONNECTED = ("failed to connect to all addresses", "DNS resolution failed", "Name resolution failure")
"""How the texts of grpcio start if a call has no connection, so that nothing was sent."""

_RECONNECT_SECONDS = 0.25
"""How long the one retry waits for a connection, which a server that was just restarted accepts."""

_OPTIONS = (
    ("grpc.max_send_message_length", -1),
    ("grpc.enable_http_proxy", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 100),
)
_MAX_INTEGER = (1 << 31) - 1
"""Of grpcio's options."""

_USER_ERROR_PREFIX = "Exception calling application: "
"""What servers of Seldon's protocol put before the text of an error of the user's class."""

_HEALTH = "/grpc.health.v1.Health/Check"

_ID = "seldon-puid"
"""The metadata of a response with the ID of the request."""


class GrpcChannel:
    """A channel to one server, used from any thread; it is opened on first use.

    Args:
        url: of the server.
        tls: verifies the server's certificate; None: plain text.
        metadata: of every call.
        max_bytes: of a response.
        owner: what closes the channel, for errors.

    Attributes:
        address: host and port.
    """

    def __init__(
        self,
        url: SplitResult,
        tls: grpc.ChannelCredentials | None,
        metadata: Metadata,
        max_bytes: int,
        owner: str = "component",
    ) -> None:
        host = f"[{url.hostname}]" if ":" in str(url.hostname) else url.hostname
        self.address = f"{host}:{url.port or 5000}"
        self._tls = tls
        self._metadata = tuple(metadata)
        self._max_bytes = min(max_bytes, _MAX_INTEGER)
        self._owner = owner
        self._lock = threading.Lock()
        self._channel: grpc.Channel | None = None
        self._is_closed = False
        self._calls: dict[str, Any] = {}

    def close(self) -> None:
        """Close the channel; requests in flight fail."""
        with self._lock:
            self._is_closed = True
            channel, self._channel = self._channel, None
            self._calls.clear()
        if channel is not None:
            channel.close()

    def call(self, method: str, body: bytes, metadata: Metadata, limit: TimeLimit) -> tuple[bytes, str | None]:
        """Return the response to a message, and the ID of the request, if the server sends it.

        Raises:
            RemoteFailed: there is none.
        """
        try:
            call = self._calls.get(method) or self._open(method)
            fields = (*self._metadata, *metadata)
            try:
                return _unpack(call.with_call(body, timeout=limit.remaining(), metadata=fields))
            except grpc.RpcError as error:
                if not _is_not_connected(error):
                    raise
                first = error
            seconds = limit.remaining()
            seconds = _RECONNECT_SECONDS if seconds is None else min(seconds, _RECONNECT_SECONDS)
            try:
                # the retry waits for a connection; then the whole time that is left applies again
                self._wait_until_connected(seconds)
            except grpc.FutureTimeoutError:
                raise first from None
            return _unpack(call.with_call(body, timeout=limit.remaining(), metadata=fields))
        except grpc.RpcError as error:
            raise self._failed(error, limit) from None
        except ValueError:  # grpcio's error for a call of a closed channel
            raise unreachable(self.address, f"the {self._owner} was closed") from None

    def check_health(self, limit: TimeLimit) -> None:
        """Check that the standard health service reports the server as serving.

        Raises:
            RemoteFailed: it does not; UNIMPLEMENTED: there is no such service.
        """
        from grpc_health.v1 import health_pb2

        wire, _ = self.call(_HEALTH, b"", (), limit)
        try:
            status = health_pb2.HealthCheckResponse.FromString(wire).status
        except DecodeError:
            status = health_pb2.HealthCheckResponse.UNKNOWN
        if status != health_pb2.HealthCheckResponse.SERVING:
            raise unreachable(self.address, "its health is not SERVING")

    def _wait_until_connected(self, seconds: float) -> None:
        """Wait for a connection.

        Raises:
            FutureTimeoutError: there is none in time.
        """
        channel = self._channel
        if channel is None:
            raise ValueError
        ready = grpc.channel_ready_future(channel)
        try:
            ready.result(timeout=seconds)
        finally:
            ready.cancel()

    def _open(self, method: str) -> Any:
        """Return the function that calls a method; the first use opens the channel, in the process that uses it."""
        with self._lock:
            if self._is_closed:
                raise ValueError
            if self._channel is None:
                options = (*_OPTIONS, ("grpc.max_receive_message_length", self._max_bytes))
                self._channel = (
                    grpc.insecure_channel(self.address, options=options)
                    if self._tls is None
                    else grpc.secure_channel(self.address, self._tls, options=options)
                )
            return self._calls.setdefault(method, self._channel.unary_unary(method, None, None))

    def _failed(self, error: Any, limit: TimeLimit) -> RemoteFailed:
        """Return the error of a call that has no response."""
        code, details = error.code().name, error.details() or ""
        if code == "DEADLINE_EXCEEDED" and limit.has_passed():
            return limit.expired()
        if _is_not_connected(error):
            return unreachable(self.address, details.rpartition("last error: ")[2])
        if self._is_closed and code == "CANCELLED":
            return unreachable(self.address, f"the {self._owner} was closed")
        if code == "RESOURCE_EXHAUSTED" and "Received message larger than max" in details:
            return too_large(self.address, self._max_bytes)
        if code == "UNKNOWN":
            details = details.removeprefix(_USER_ERROR_PREFIX)
        failure = RemoteFailed(details or f"the server responded with gRPC status {code}", find_http_status(code), code)
        failure.request_id = _find_id(error)
        return failure


def _unpack(result: tuple[bytes, Any]) -> tuple[bytes, str | None]:
    response, call = result
    return response, _find_id(call)


def _find_id(call: Any) -> str | None:
    return next((str(value) for name, value in call.initial_metadata() or () if name == _ID), None)


def _is_not_connected(error: Any) -> bool:
    return error.code() is grpc.StatusCode.UNAVAILABLE and (error.details() or "").startswith(_NOT_CONNECTED)

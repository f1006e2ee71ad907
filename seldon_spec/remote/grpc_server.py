"""A server of Seldon's protocol over gRPC, and the channel to it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import SplitResult

import grpc
from google.protobuf.message import DecodeError

from seldon_spec.config.model import ServiceType
from seldon_spec.errors import RemoteFailed, ResultError
from seldon_spec.inference.message import Message, Operation, PayloadType
from seldon_spec.protocols.seldon_v1.proto import PACKAGE, SeldonModelMetadata
from seldon_spec.protocols.seldon_v1.proto_codec import ProtoCodec
from seldon_spec.protocols.seldon_v1.raw_messages import to_tree
from seldon_spec.remote.failures import TimeLimit, find_http_status, too_large, unreachable
from seldon_spec.remote.server import Metadata

_METHODS = {
    Operation.PREDICT: "Model/Predict",
    Operation.TRANSFORM_INPUT: "Transformer/TransformInput",
    Operation.TRANSFORM_OUTPUT: "OutputTransformer/TransformOutput",
    Operation.ROUTE: "Router/Route",
    Operation.AGGREGATE: "Combiner/Aggregate",
    Operation.FEEDBACK: "Model/SendFeedback",
    Operation.METADATA: "Model/Metadata",
}
_ROUTER_FEEDBACK = "Router/SendFeedback"
_HEALTH = "/grpc.health.v1.Health/Check"
_HEALTHY = Message(PayloadType.TEXT, "healthy", meta={})

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


class GrpcServer:
    """A server over gRPC, called from any thread.

    Args:
        url: of the server.
        roots: the certificates of the authorities; None: those of the system.
        token: the bearer token; None: the server requires none.
        service_type: of the component.
        max_bytes: of a response.

    Attributes:
        address: host and port.
        codec: of its messages.
    """

    def __init__(
        self, url: SplitResult, roots: bytes | None, token: str | None, service_type: ServiceType, max_bytes: int
    ) -> None:
        host = f"[{url.hostname}]" if ":" in str(url.hostname) else url.hostname
        self.address = f"{host}:{url.port or 5000}"
        self.codec = ProtoCodec()
        self._is_secure = url.scheme == "grpcs"
        self._roots = roots
        self._metadata: tuple[tuple[str, str], ...] = (("authorization", f"Bearer {token}"),) if token else ()
        self._is_router = service_type is ServiceType.ROUTER
        self._max_bytes = min(max_bytes, _MAX_INTEGER)
        self._lock = threading.Lock()
        self._channel: grpc.Channel | None = None
        self._is_closed = False
        self._calls: dict[str, Callable[..., bytes]] = {}

    def send(
        self, operation: Operation, body: bytes | memoryview | None, metadata: Metadata, limit: TimeLimit
    ) -> bytes:
        """Send one request; see ``Server.send``. Seldon's protocol has no HEALTH here, so its health is read."""
        if operation is Operation.HEALTH:
            self.check_ready(limit)
            return self.codec.write_request(_HEALTHY)
        is_router = operation is Operation.FEEDBACK and self._is_router
        method = _ROUTER_FEEDBACK if is_router else _METHODS[operation]
        return self._call(f"/{PACKAGE}.{method}", bytes(body or b""), metadata, limit)

    def read_metadata(self, metadata: Metadata, limit: TimeLimit) -> Any:
        """Return the metadata of its model; see ``Server.read_metadata``."""
        wire = self.send(Operation.METADATA, None, metadata, limit)
        try:
            found = SeldonModelMetadata.FromString(wire)
        except DecodeError as error:
            raise ResultError(f"the metadata of {self.address} are no SeldonModelMetadata: {error}") from error
        tree = to_tree(found)
        for tensor in (*tree.get("inputs", ()), *tree.get("outputs", ())):
            if "shape" in tensor:  # 64-bit integers are text in protobuf's JSON
                tensor["shape"] = [int(size) for size in tensor["shape"]]
        return tree

    def check_ready(self, limit: TimeLimit) -> None:
        """Check that it accepts requests; see ``Server.check_ready``.

        A server without the standard health service is a foreign one, which can be reached at least.
        """
        from grpc_health.v1 import health_pb2

        try:
            wire = self._call(_HEALTH, b"", (), limit)
        except RemoteFailed as error:
            if error.grpc == "UNIMPLEMENTED":
                return
            raise
        try:
            status = health_pb2.HealthCheckResponse.FromString(wire).status
        except DecodeError:
            status = health_pb2.HealthCheckResponse.UNKNOWN
        if status != health_pb2.HealthCheckResponse.SERVING:
            raise unreachable(self.address, "its health is not SERVING")

    def close(self) -> None:
        """Close the channel; requests in flight fail."""
        with self._lock:
            self._is_closed = True
            channel, self._channel = self._channel, None
            self._calls.clear()
        if channel is not None:
            channel.close()

    def _call(self, method: str, body: bytes, metadata: Metadata, limit: TimeLimit) -> bytes:
        """Return the response to a message.

        Raises:
            RemoteFailed: there is none.
        """
        try:
            call = self._calls.get(method) or self._open(method)
            fields = (*self._metadata, *metadata)
            try:
                return call(body, timeout=limit.remaining(), metadata=fields)
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
            return call(body, timeout=limit.remaining(), metadata=fields)
        except grpc.RpcError as error:
            raise self._failed(error, limit) from None
        except ValueError:  # grpcio's error for a call of a closed channel
            raise unreachable(self.address, "the component was closed") from None

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

    def _open(self, method: str) -> Callable[..., bytes]:
        """Return the function that calls a method; the first use opens the channel, in the process that uses it."""
        with self._lock:
            if self._is_closed:
                raise ValueError
            if self._channel is None:
                options = (*_OPTIONS, ("grpc.max_receive_message_length", self._max_bytes))
                self._channel = (
                    grpc.secure_channel(self.address, grpc.ssl_channel_credentials(self._roots), options=options)
                    if self._is_secure
                    else grpc.insecure_channel(self.address, options=options)
                )
            call: Callable[..., bytes] = self._channel.unary_unary(method, None, None)
            return self._calls.setdefault(method, call)

    def _failed(self, error: Any, limit: TimeLimit) -> RemoteFailed:
        """Return the error of a call that has no response."""
        code, details = error.code().name, error.details() or ""
        if code == "DEADLINE_EXCEEDED" and limit.has_passed():
            return limit.expired()
        if _is_not_connected(error):
            return unreachable(self.address, details.rpartition("last error: ")[2])
        if self._is_closed and code == "CANCELLED":
            return unreachable(self.address, "the component was closed")
        if code == "RESOURCE_EXHAUSTED" and "Received message larger than max" in details:
            return too_large(self.address, self._max_bytes)
        if code == "UNKNOWN":
            details = details.removeprefix(_USER_ERROR_PREFIX)
        return RemoteFailed(details or f"the server responded with gRPC status {code}", find_http_status(code), code)


def _is_not_connected(error: Any) -> bool:
    return error.code() is grpc.StatusCode.UNAVAILABLE and (error.details() or "").startswith(_NOT_CONNECTED)

"""A server of Seldon's protocol over gRPC."""

from __future__ import annotations

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
from seldon_spec.remote.failures import TimeLimit
from seldon_spec.remote.grpc_channel import GrpcChannel
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
_HEALTHY = Message(PayloadType.TEXT, "healthy", meta={})


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
        metadata = [("authorization", f"Bearer {token}")] if token else []
        tls = grpc.ssl_channel_credentials(roots) if url.scheme == "grpcs" else None
        self._channel = GrpcChannel(url, tls, metadata, max_bytes)
        self.address = self._channel.address
        self.codec = ProtoCodec()
        self._is_router = service_type is ServiceType.ROUTER

    def send(
        self, operation: Operation, body: bytes | memoryview | None, metadata: Metadata, limit: TimeLimit
    ) -> bytes:
        """Send one request; see ``Server.send``. Seldon's protocol has no HEALTH here, so its health is read."""
        if operation is Operation.HEALTH:
            self.check_ready(limit)
            return self.codec.write_request(_HEALTHY)
        is_router = operation is Operation.FEEDBACK and self._is_router
        method = _ROUTER_FEEDBACK if is_router else _METHODS[operation]
        return self._channel.call(f"/{PACKAGE}.{method}", bytes(body or b""), metadata, limit)[0]

    def read_metadata(self, metadata: Metadata, limit: TimeLimit) -> Any:
        """Return the metadata of its model; see ``Server.read_metadata``."""
        return read_model_metadata(self.send(Operation.METADATA, None, metadata, limit), self.address)

    def check_ready(self, limit: TimeLimit) -> None:
        """Check that it accepts requests; see ``Server.check_ready``.

        A server without the standard health service is a foreign one, which can be reached at least.
        """
        try:
            self._channel.check_health(limit)
        except RemoteFailed as error:
            if error.grpc != "UNIMPLEMENTED":
                raise

    def close(self) -> None:
        """Close the channel; requests in flight fail."""
        self._channel.close()


def read_model_metadata(wire: bytes, address: str) -> Any:
    """Return the metadata that a server has sent as a JSON value.

    Raises:
        ResultError: the bytes are no SeldonModelMetadata.
    """
    try:
        found = SeldonModelMetadata.FromString(wire)
    except DecodeError as error:
        raise ResultError(f"the metadata of {address} are no SeldonModelMetadata: {error}") from error
    tree = to_tree(found)
    for tensor in (*tree.get("inputs", ()), *tree.get("outputs", ())):
        if "shape" in tensor:  # 64-bit integers are text in protobuf's JSON
            tensor["shape"] = [int(size) for size in tensor["shape"]]
    return tree

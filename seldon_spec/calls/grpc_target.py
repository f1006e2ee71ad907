"""A server over gRPC."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import SplitResult

import grpc
from google.protobuf.message import DecodeError

from seldon_spec.calls.errors import CallFailed, from_remote
from seldon_spec.calls.target import ANY_SIZE, OWNER, Incoming, Outgoing
from seldon_spec.errors import RemoteFailed, ResultError
from seldon_spec.inference.message import Operation
from seldon_spec.protocols.open_inference_v2.grpc_methods import INFER_PATHS, SERVICE
from seldon_spec.protocols.open_inference_v2.proto import message_class
from seldon_spec.protocols.seldon_v1.proto import PACKAGE
from seldon_spec.protocols.seldon_v1.proto import message_class as seldon_class
from seldon_spec.remote.failures import TimeLimit, unreachable
from seldon_spec.remote.grpc_channel import GrpcChannel
from seldon_spec.remote.grpc_server import read_model_metadata

_METADATA_NAME = re.compile(r"[0-9a-z_.-]+(?<!-bin)")
"""The names of metadata with text; the values of others are bytes."""

_METHODS = {
    Operation.PREDICT: "Seldon/Predict",
    Operation.TRANSFORM_INPUT: "Generic/TransformInput",
    Operation.TRANSFORM_OUTPUT: "Generic/TransformOutput",
    Operation.ROUTE: "Generic/Route",
    Operation.AGGREGATE: "Generic/Aggregate",
    Operation.FEEDBACK: "Seldon/SendFeedback",
}
"""Those that a component, a graph and a gateway of Seldon Core have, where they differ."""


class GrpcTarget:
    """A server over gRPC; all calls share one connection.

    Args:
        url: of the server.
        tls: verifies the server's certificate; None: plain text.
        headers: the metadata of every call.

    Attributes:
        address: host and port.

    Raises:
        ValueError: metadata cannot have one of the names.
    """

    is_grpc = True

    def __init__(self, url: SplitResult, tls: grpc.ChannelCredentials | None, headers: Mapping[str, str]) -> None:
        metadata = [(name.lower(), value) for name, value in headers.items()]
        for name, _ in metadata:
            if not _METADATA_NAME.fullmatch(name):
                raise ValueError(f"gRPC has no text metadata with the name {name!r:.100}")
        self._channel = GrpcChannel(url, tls, metadata, ANY_SIZE, OWNER)
        self.address = self._channel.address

    def send(self, request: Outgoing, limit: TimeLimit) -> Incoming:
        metadata = (("seldon-puid", request.request_id),)
        method = INFER_PATHS[0] if request.is_v2 else f"/{PACKAGE}.{_METHODS[request.operation]}"
        try:
            body, request_id = self._channel.call(method, request.body, metadata, limit)
        except RemoteFailed as error:
            raise from_remote(error, request.request_id, is_v2=request.is_v2) from None
        return Incoming(body, request_id or request.request_id)

    def list_models(self, limit: TimeLimit) -> list[str]:
        try:
            return [entry.name for entry in self._call_v2("RepositoryIndex", limit).models]
        except CallFailed as error:
            if error.grpc_code != "UNIMPLEMENTED":
                raise
            return []

    def list_extensions(self, limit: TimeLimit) -> Sequence[str] | None:
        try:
            return list(self._call_v2("ServerMetadata", limit).extensions)
        except CallFailed as error:
            if error.grpc_code != "UNIMPLEMENTED":
                raise
            return None

    def read_metadata(self, model: str, limit: TimeLimit, *, is_v2: bool) -> Any:
        if is_v2:
            found = self._call_v2("ModelMetadata", limit, name=model)
            return {
                "name": found.name,
                **({"versions": list(found.versions)} if found.versions else {}),
                "platform": found.platform,
                **{member: list(map(_read_tensor, getattr(found, member))) for member in ("inputs", "outputs")},
            }
        request = seldon_class(f"{PACKAGE}.SeldonModelMetadataRequest")(name=model)
        try:
            wire, _ = self._channel.call(f"/{PACKAGE}.Seldon/ModelMetadata", request.SerializeToString(), (), limit)
            return read_model_metadata(wire, self.address)
        except RemoteFailed as error:
            raise from_remote(error, None, is_v2=False) from None
        except ResultError as error:
            raise CallFailed(str(error), 502, "INTERNAL") from None

    def check_ready(self, model: str, limit: TimeLimit, *, is_v2: bool) -> None:
        try:
            if not is_v2:
                try:
                    self._channel.check_health(limit)
                except RemoteFailed as error:
                    if error.grpc != "UNIMPLEMENTED":
                        raise
                else:
                    return
            named = {"name": model} if model else {}
            if not self._call_v2("ModelReady" if model else "ServerReady", limit, **named).ready:
                raise unreachable(self.address, "it is not ready")
        except RemoteFailed as error:
            raise from_remote(error, None, is_v2=is_v2) from None

    def close(self) -> None:
        self._channel.close()

    def _call_v2(self, method: str, limit: TimeLimit, **members: Any) -> Any:
        """Return the response of a method of the Open Inference Protocol that has small messages."""
        request = message_class(f"{method}Request")(**members)
        try:
            wire, request_id = self._channel.call(f"/{SERVICE}/{method}", request.SerializeToString(), (), limit)
            return message_class(f"{method}Response").FromString(wire)
        except RemoteFailed as error:
            raise from_remote(error, None, is_v2=True) from None
        except DecodeError as error:
            text = f"the response of {self.address} is no {method}Response: {error}"
            raise CallFailed(text, 502, "INTERNAL", request_id=request_id) from None


def _read_tensor(tensor: Any) -> dict[str, Any]:
    return {"name": tensor.name, "datatype": tensor.datatype, "shape": list(tensor.shape)}

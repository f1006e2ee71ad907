"""The gRPC services of the Seldon protocol.

Source: contract section 1.3.
"""

from __future__ import annotations

from typing import Any

from seldon_spec.errors import UnsupportedOperation
from seldon_spec.inference.message import Operation
from seldon_spec.inference.request import Request
from seldon_spec.protocols.grpc_protocol import Decompress, DirectMethod, GrpcMethod, GrpcProtocol, ModelMethod
from seldon_spec.protocols.seldon_v1.errors import describe
from seldon_spec.protocols.seldon_v1.proto import PACKAGE, POOL
from seldon_spec.protocols.seldon_v1.proto_codec import ProtoCodec

METHODS: dict[str, dict[str, Operation | None]] = {
    "Generic": {
        "TransformInput": Operation.TRANSFORM_INPUT,
        "TransformOutput": Operation.TRANSFORM_OUTPUT,
        "Route": Operation.ROUTE,
        "Aggregate": Operation.AGGREGATE,
        "SendFeedback": Operation.FEEDBACK,
    },
    "Model": {"Predict": Operation.PREDICT, "SendFeedback": Operation.FEEDBACK, "Metadata": Operation.METADATA},
    "Router": {"Route": Operation.ROUTE, "SendFeedback": Operation.FEEDBACK},
    "Transformer": {"TransformInput": Operation.TRANSFORM_INPUT},
    "OutputTransformer": {"TransformOutput": Operation.TRANSFORM_OUTPUT},
    "Combiner": {"Aggregate": Operation.AGGREGATE},
    "Seldon": {
        "Predict": Operation.PREDICT,
        "SendFeedback": Operation.FEEDBACK,
        "ModelMetadata": Operation.METADATA,
        "GraphMetadata": None,
    },
}
"""The operation of each method, by service, for every service type; None: not available for a single component."""


class CompressedProtoCodec(ProtoCodec):
    """Decodes compressed messages; they are decompressed on a model thread, not on the event loop.

    Args:
        decompress: of the connection; ``decode`` raises what it raises.
    """

    def __init__(self, decompress: Decompress) -> None:
        self._decompress = decompress

    def decode(self, operation: Operation, wire: Any) -> Request:
        return ProtoCodec().decode(operation, self._decompress(wire))


def _make_codec(decompress: Decompress | None) -> ProtoCodec:
    return ProtoCodec() if decompress is None else CompressedProtoCodec(decompress)


def _make_method(operation: Operation | None) -> GrpcMethod:
    return DirectMethod(_refuse_graph_metadata) if operation is None else ModelMethod(operation)


def _refuse_graph_metadata(_request: bytes) -> bytes:
    raise UnsupportedOperation("GraphMetadata not available on the Model level.")


def _describe(error: BaseException) -> tuple[str, str]:
    failure = describe(error)
    return failure.grpc, failure.details


SELDON_V1 = GrpcProtocol(
    services={
        f"{PACKAGE}.{service}": {name: _make_method(operation) for name, operation in methods.items()}
        for service, methods in METHODS.items()
    },
    pool=POOL,
    make_codec=_make_codec,
    describe=_describe,
)
"""The services of the Seldon protocol."""

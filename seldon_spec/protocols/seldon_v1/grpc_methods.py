"""The gRPC services of the Seldon protocol.

Source: contract section 1.3.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from google.protobuf.message import DecodeError

from seldon_spec.config.model import Spec
from seldon_spec.errors import PayloadError, UnsupportedOperation
from seldon_spec.inference.dispatcher import Dispatcher
from seldon_spec.inference.message import Operation
from seldon_spec.inference.request import Request
from seldon_spec.protocols.graph_state import find_graph, read_component_metadata, read_graph_metadata
from seldon_spec.protocols.grpc_protocol import Decompress, DirectMethod, GrpcMethod, GrpcProtocol, ModelMethod
from seldon_spec.protocols.seldon_v1.errors import describe
from seldon_spec.protocols.seldon_v1.proto import PACKAGE, POOL, SeldonModelMetadata, message_class
from seldon_spec.protocols.seldon_v1.proto_codec import ProtoCodec, build_from_tree

_ModelMetadataRequest = message_class(f"{PACKAGE}.SeldonModelMetadataRequest")
_GraphMetadata = message_class(f"{PACKAGE}.SeldonGraphMetadata")

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


def seldon_v1_grpc(spec: Spec, dispatcher: Dispatcher) -> GrpcProtocol:
    """Return the services for the component or the graph of a spec.

    Args:
        spec: of the component or the graph.
        dispatcher: of it; the metadata of a graph are shown.
    """
    if spec.graph is None:
        return SELDON_V1

    def show_graph(_request: bytes) -> bytes:
        tree = read_graph_metadata(dispatcher)
        members = {**tree, "inputs": tree["graphinputs"], "outputs": tree["graphoutputs"]}
        return _encode({name: members[name] for name in ("name", "models", "inputs", "outputs")}, _GraphMetadata())

    def show_model(request: bytes) -> bytes:
        name = _read_name(request)
        is_whole = not name or (name == spec.name and name not in spec.components)
        found = find_graph(dispatcher).metadata if is_whole else read_component_metadata(dispatcher, name)
        return _encode(found or {}, SeldonModelMetadata())

    service = f"{PACKAGE}.Seldon"
    methods = {
        **SELDON_V1.services[service],
        "ModelMetadata": DirectMethod(show_model),
        "GraphMetadata": DirectMethod(show_graph),
    }
    return replace(SELDON_V1, services={**SELDON_V1.services, service: methods})


def _encode(tree: Mapping[str, Any], target: Any) -> bytes:
    encoded: bytes = build_from_tree(tree, target).SerializeToString(deterministic=True)
    return encoded


def _read_name(request: bytes) -> str:
    try:
        name: str = _ModelMetadataRequest.FromString(request).name
    except DecodeError as error:
        raise PayloadError(f"the request is not a SeldonModelMetadataRequest: {error}") from error
    return name

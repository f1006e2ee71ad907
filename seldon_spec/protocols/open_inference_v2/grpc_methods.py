"""The gRPC service of the Open Inference Protocol, with the calls of Triton's extensions that are served."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from google.protobuf.json_format import ParseDict
from google.protobuf.message import DecodeError

from seldon_spec.config.model import Spec
from seldon_spec.errors import NotServing, PayloadError
from seldon_spec.inference.dispatcher import Dispatcher
from seldon_spec.inference.message import Operation
from seldon_spec.inference.request import Codec, EncodedResponse, Request, Response
from seldon_spec.inference.served_spec import find_served_spec
from seldon_spec.protocols.component_codec import ComponentCodec
from seldon_spec.protocols.grpc_protocol import (
    Decompress,
    DirectMethod,
    GrpcMethod,
    GrpcProtocol,
    Metadata,
    ModelMethod,
    StreamMethod,
)
from seldon_spec.protocols.open_inference_v2.codec import InferBody, ModelInfo
from seldon_spec.protocols.open_inference_v2.errors import describe
from seldon_spec.protocols.open_inference_v2.head_codec import IGNORED_HEADERS, DescribingCodec
from seldon_spec.protocols.open_inference_v2.model_info import make_model_info
from seldon_spec.protocols.open_inference_v2.pages import (
    is_model_ready,
    show_index,
    show_model,
    show_server,
    show_statistics,
)
from seldon_spec.protocols.open_inference_v2.proto import (
    PACKAGE,
    POOL,
    ModelInferResponse,
    ModelStreamInferResponse,
    message_class,
)
from seldon_spec.protocols.open_inference_v2.proto_codec import V2ProtoCodec
from seldon_spec.protocols.protobuf_wire import NotPlain, iter_members, write_varint

SERVICE = f"{PACKAGE}.GRPCInferenceService"

INFER_PATHS = (f"/{SERVICE}/ModelInfer", f"/{SERVICE}/ModelStreamInfer")
"""The methods that call the model."""

_MODEL_NAME, _ID = 0x0A, 0x1A
"""The tags of two members of ``ModelInferRequest``."""

_INFER_RESPONSE = b"\x12"
"""The tag of ``ModelStreamInferResponse.infer_response``."""

IGNORED_METADATA = IGNORED_HEADERS | {
    b":authority",
    b":method",
    b":path",
    b":scheme",
    b"content-type",
    b"grpc-accept-encoding",
    b"grpc-encoding",
    b"grpc-timeout",
    b"te",
}
"""The header fields of a request that the class does not get."""


class CompressedCodec:
    """Decodes compressed messages; they are decompressed on a model thread, not on the event loop.

    Args:
        codec: of the messages.
        decompress: of the connection; ``decode`` raises what it raises.
    """

    def __init__(self, codec: Codec, decompress: Decompress) -> None:
        self._codec = codec
        self._decompress = decompress
        self.encode = codec.encode
        self.transport = codec.transport

    def __getattr__(self, name: str) -> Any:
        return getattr(self._codec, name)

    def decode(self, operation: Operation, wire: Any) -> Request:
        if isinstance(wire, InferBody):
            plain = InferBody(self._decompress(memoryview(wire.body)), puid=wire.puid, headers=wire.headers)
            return self._codec.decode(operation, plain)
        return self._codec.decode(operation, self._decompress(wire))


class GraphProtoCodec(V2ProtoCodec):
    """The codec of a graph, whose requests name the graph or one of its components.

    Args:
        model: the graph.
    """

    def __init__(self, model: ModelInfo) -> None:
        super().__init__(model)
        self._components = {name: ComponentCodec(V2ProtoCodec(info), name) for name, info in model.components.items()}

    def decode(self, operation: Operation, wire: Any) -> Request:
        body = wire.body if isinstance(wire, InferBody) else wire
        component = self._model.find_component(_read_text(body, _MODEL_NAME).decode(errors="replace"))
        if component is None:
            return super().decode(operation, wire)
        return self._components[component].decode(operation, wire)

    def encode(self, response: Response, request: Request) -> EncodedResponse:
        if request.codec is self:
            return super().encode(response, request)
        return request.codec.encode(response, request)


def open_inference_v2_grpc(spec: Spec, dispatcher: Dispatcher) -> GrpcProtocol:
    """Return the service for the model of a spec.

    Args:
        spec: of the model.
        dispatcher: of the component; its state is shown.
    """
    model = make_model_info(spec, find_served_spec(spec, dispatcher))

    def make_codec(decompress: Decompress | None) -> Codec:
        codec = GraphProtoCodec(model) if model.components else V2ProtoCodec(model)
        return codec if decompress is None else cast("Codec", CompressedCodec(codec, decompress))

    def bind_codec(codec: Codec, metadata: Metadata) -> Codec:
        return cast("Codec", DescribingCodec(codec, lambda: metadata, IGNORED_METADATA))

    def check_loaded() -> None:
        if dispatcher.component is None:
            raise NotServing(dispatcher.describe_state())

    methods: dict[str, GrpcMethod] = {
        **_make_direct_methods(model, dispatcher),
        "ModelInfer": ModelMethod(Operation.PREDICT),
        "ModelStreamInfer": StreamMethod(Operation.PREDICT, _wrap, _encode_error, _read_id),
    }
    return GrpcProtocol(
        services={SERVICE: methods},
        pool=POOL,
        make_codec=make_codec,
        describe=_describe,
        open_paths=frozenset({f"/{SERVICE}/ServerLive".encode(), f"/{SERVICE}/ServerReady".encode()}),
        bind_codec=bind_codec,
        ignored_metadata=IGNORED_METADATA,
        check_loaded=check_loaded,
    )


def _make_direct_methods(model: ModelInfo, dispatcher: Dispatcher) -> dict[str, GrpcMethod]:
    responders: dict[str, Callable[[Any], dict[str, Any]]] = {
        "ServerLive": lambda _request: {"live": True},
        "ServerReady": lambda _request: {"ready": dispatcher.is_ready},
        "ModelReady": lambda request: {"ready": is_model_ready(model, dispatcher, request.name, request.version)},
        "ServerMetadata": lambda _request: show_server(),
        "ModelMetadata": lambda request: show_model(model, dispatcher, request.name, request.version),
        "ModelStatistics": lambda request: show_statistics(model, dispatcher, request.name, request.version),
        "RepositoryIndex": lambda request: {"models": show_index(model, dispatcher, is_ready_only=request.ready)},
    }
    return {name: _make_direct_method(name, show) for name, show in responders.items()}


def _make_direct_method(name: str, show: Callable[[Any], dict[str, Any]]) -> DirectMethod:
    request_class, response_class = message_class(f"{name}Request"), message_class(f"{name}Response")

    def respond(wire: bytes) -> bytes:
        try:
            request = request_class.FromString(wire)
        except DecodeError as error:
            raise PayloadError(f"the request is not a {name}Request: {error}") from error
        encoded: bytes = ParseDict(show(request), response_class()).SerializeToString()
        return encoded

    return DirectMethod(respond)


def _describe(error: BaseException) -> tuple[str, str]:
    found = describe(error)
    return found.grpc, found.details


def _wrap(response: bytes) -> bytes:
    return b"".join((_INFER_RESPONSE, write_varint(len(response)), response))


def _encode_error(error: BaseException, identifier: bytes) -> bytes:
    response = ModelInferResponse(id=identifier.decode(errors="replace"))
    text = describe(error).details
    encoded: bytes = ModelStreamInferResponse(error_message=text, infer_response=response).SerializeToString()
    return encoded


def _read_id(request: bytes | memoryview) -> bytes:
    return _read_text(request, _ID)


def _read_text(request: Any, member: int) -> bytes:
    """Return a text of a request by its tag; empty if it has none, or is malformed."""
    try:
        for tag, start, end, _ in iter_members(request, 0, len(request)):
            if tag == member:
                return bytes(request[start:end])
    except (NotPlain, IndexError):
        return b""
    return b""

"""Requests and responses of the Open Inference Protocol in protobuf, for gRPC."""

from __future__ import annotations

from typing import Any

from seldon_spec.errors import UnsupportedOperation
from seldon_spec.inference.message import (
    WITHOUT_BODY,
    AggregateMessage,
    KeepRows,
    Message,
    Operation,
    PayloadType,
    Transport,
)
from seldon_spec.inference.request import Codec, EncodedResponse, Request, Response
from seldon_spec.protocols.open_inference_v2.codec import (
    InferBody,
    ModelInfo,
    OpenInferenceCodec,
    options_of,
    response_parameters,
    tag_parameters,
)
from seldon_spec.protocols.open_inference_v2.fast.proto import read_message, write_message, write_short
from seldon_spec.protocols.open_inference_v2.proto import ModelInferRequest
from seldon_spec.protocols.open_inference_v2.proto_message import build_response, write_parameters
from seldon_spec.protocols.open_inference_v2.response import output_tensors
from seldon_spec.protocols.seldon_v1.proto_codec import ProtoCodec
from seldon_spec.transport.buffers import join


class V2ProtoCodec(OpenInferenceCodec):
    """Protobuf bytes to a request, and a response to protobuf bytes.

    ``decode`` takes the message, or an ``InferBody`` where the metadata of the call say more of it.

    Args:
        model: the served model; requests for another one are rejected.
        raw_codec: see ``OpenInferenceCodec``; None: the codec of Seldon's protocol for protobuf.
    """

    transport = Transport.GRPC

    def __init__(self, model: ModelInfo, raw_codec: Codec | None = None) -> None:
        super().__init__(model, raw_codec or ProtoCodec())

    def decode(self, operation: Operation, wire: Any) -> Request:
        """Return a request; the message is parsed when it is read.

        Raises:
            UnsupportedOperation: the protocol has no call for the operation.
        """
        if operation in WITHOUT_BODY:
            return Request(operation, None, self)
        if operation in (Operation.AGGREGATE, Operation.FEEDBACK):
            raise UnsupportedOperation(f"the protocol has no {operation.value} on gRPC")
        return Request(operation, wire, self)

    def read_message(self, operation: Operation, body: Any, _keeps_rows: KeepRows = KeepRows.NEVER) -> Message:
        """Read the message of a request.

        Raises:
            PayloadError: the body is not a request.
            UnknownModel: it is for another model or version.
        """
        if operation in WITHOUT_BODY:
            return Message(PayloadType.NOTHING, None)
        described = body if type(body) is InferBody else None
        tensors, options = read_message(body if described is None else described.body)
        self._model.check(options.model_name, options.version or "")
        return self._message(tensors, options, described)

    def write_request(self, message: Message) -> bytes:
        if isinstance(message, AggregateMessage):
            raise UnsupportedOperation("the protocol has no aggregate on gRPC")
        tensors = output_tensors(message, ())
        request = ModelInferRequest(model_name=self._model.name)
        write_parameters(request.parameters, tag_parameters(message))
        return b"".join(write_message(request, tensors, is_raw=True))

    def encode(self, response: Response, request: Request) -> EncodedResponse:
        """Encode a response with the outputs and in the form, raw or typed, of the request.

        Raises:
            PayloadError: the request asks for an output that there is not.
            ResultError: the class returned something that has no form in the protocol.
        """
        message = response.message
        options = options_of(request.message)
        tensors = self._outputs(message, options.outputs)
        name, version = options.model_name or self._model.name, self._model.version
        parameters = response_parameters(message, shows_metrics=self._model.shows_metrics)
        if options.id is None and not parameters:
            text = write_short(name, version, tensors, is_raw=options.is_binary)
            if text is not None:
                return EncodedResponse(text)
        head = build_response(name, version, options.id)
        if parameters:
            write_parameters(head.parameters, parameters)
        return EncodedResponse(join(write_message(head, tensors, is_raw=options.is_binary)))

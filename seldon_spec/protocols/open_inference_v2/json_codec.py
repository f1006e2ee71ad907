"""Requests and responses of the Open Inference Protocol in JSON, with binary data behind it, for REST."""

from __future__ import annotations

from typing import Any

from seldon_spec.errors import PayloadError, ResultError
from seldon_spec.inference.message import (
    WITHOUT_BODY,
    AggregateMessage,
    KeepRows,
    Message,
    Operation,
    PayloadType,
    Transport,
    join_messages,
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
from seldon_spec.protocols.open_inference_v2.fast.json_reader import read_json, read_request
from seldon_spec.protocols.open_inference_v2.fast.json_writer import OutputForm, write_json, write_response, write_short
from seldon_spec.protocols.open_inference_v2.raw_request import read_raw_request
from seldon_spec.protocols.open_inference_v2.request import (
    MAX_TENSORS,
    InferOptions,
    RequestedOutput,
    read_infer_request,
)
from seldon_spec.protocols.seldon_v1.json_codec import JsonCodec, PassthroughCodec
from seldon_spec.transport.buffers import join

_EMPTY = b""
_OCTETS = (b"content-type", b"application/octet-stream")
_JSON_SIZE = b"inference-header-content-length"


class V2JsonCodec(OpenInferenceCodec):
    """JSON text, with binary data behind it, to a request, and a response to the same.

    ``decode`` takes the body, or an ``InferBody`` where the request's headers or its path say more of it.

    Args:
        model: the served model.
        raw_codec: see ``OpenInferenceCodec``; None: the codec of Seldon's protocol for JSON.
    """

    transport = Transport.REST

    def __init__(self, model: ModelInfo, raw_codec: Codec | None = None) -> None:
        super().__init__(model, raw_codec or JsonCodec())

    def decode(self, operation: Operation, wire: Any) -> Request:
        """Return a request; the body is parsed when its message is read."""
        return Request(operation, None if operation in WITHOUT_BODY else wire, self)

    def read_message(self, operation: Operation, body: Any, keeps_rows: KeepRows = KeepRows.NEVER) -> Message:
        """Read the message of a request, or of the list of responses of an ``aggregate`` request.

        Raises:
            PayloadError: the body is not a request.
        """
        if operation in WITHOUT_BODY:
            return Message(PayloadType.NOTHING, None)
        described = body if type(body) is InferBody else None
        wire = body if described is None else described.body
        name = None if described is None else described.model_name
        size = None if described is None else described.json_size
        if operation is Operation.AGGREGATE:
            return self._read_responses(read_json(wire), name)
        if size is None:
            tensors, options = read_request(wire, name, keeps_rows)
        elif size == 0:
            tensors = [read_raw_request(wire, self._model.find_tensors()[0])]
            options = InferOptions(is_binary=True, model_name=name or "")
        else:
            if not 0 < size <= len(wire):
                raise PayloadError(f"Inference-Header-Content-Length is {size}, and the body has {len(wire)} bytes")
            view = memoryview(wire)
            tensors, options = read_infer_request(read_json(view[:size]), view[size:], name, keeps_rows=keeps_rows)
        return self._message(tensors, options, described)

    def _read_responses(self, tree: object, name: str | None) -> AggregateMessage:
        if not isinstance(tree, list):
            raise PayloadError("the request is not a list of inference responses")
        if len(tree) > MAX_TENSORS:
            raise PayloadError(f"the request has more than {MAX_TENSORS} responses")
        parts = [read_infer_request(part, _EMPTY, name, "outputs") for part in tree]
        return join_messages([self._message(tensors, options, None) for tensors, options in parts])

    def write_request(self, message: Message) -> bytes:
        if isinstance(message, AggregateMessage):
            return b"[" + b",".join([self._write(part, InferOptions()).body for part in message.parts]) + b"]"
        return self._write(message, InferOptions(), "inputs").body

    def encode(self, response: Response, request: Request) -> EncodedResponse:
        """Encode a response with the outputs and in the form that the request asks for; that of a router is a list.

        Raises:
            PayloadError: the request asks for an output that there is not, or for one in JSON that has no such form.
            ResultError: the class returned something that has no form in the protocol.
        """
        message = response.message
        if request.operation is Operation.ROUTE:
            return EncodedResponse(write_json(_find_branch(message)))
        return self._write(message, options_of(request.message))

    def _write(self, message: Message, options: InferOptions, member: str = "outputs") -> EncodedResponse:
        tensors = self._outputs(message, options.outputs)
        name, version = options.model_name or self._model.name, self._model.version
        if member == "outputs":
            parameters = response_parameters(message, shows_metrics=self._model.shows_metrics)
            if options.id is None and not (parameters or options.is_binary or options.outputs):
                text = write_short(name, version, tensors)
                if text is not None:
                    return EncodedResponse(text)
        else:
            parameters = tag_parameters(message)
        head: dict[str, Any] = {"model_name": name}
        if version is not None:
            head["model_version"] = version
        if options.id is not None:
            head["id"] = options.id
        if parameters:
            head["parameters"] = parameters
        parts, json_size = write_response(head, tensors, _find_forms(options), member)
        if json_size is None:
            return EncodedResponse(parts[0])
        return EncodedResponse(join(parts), None, (_OCTETS, (_JSON_SIZE, b"%d" % json_size)))


class V2PassthroughCodec(V2JsonCodec):
    """Bodies to the class and back as they are; only its raw hook can read them.

    Args:
        model: the served model.
    """

    def __init__(self, model: ModelInfo) -> None:
        super().__init__(model, PassthroughCodec())

    def read_message(self, operation: Operation, body: Any, keeps_rows: KeepRows = KeepRows.NEVER) -> Message:
        """Return nothing for an operation without a body.

        Raises:
            PayloadError: for any other operation, because the class has no hook that reads the body.
        """
        if operation in WITHOUT_BODY:
            return super().read_message(operation, body, keeps_rows)
        raise PayloadError("PAYLOAD_PASSTHROUGH is on, and the class has no predict_raw that returned a response")

    def read_raw(self, operation: Operation, body: Any) -> bytes:  # noqa: ARG002 - it is the body for every operation
        """Return the body itself."""
        return bytes(body.body if type(body) is InferBody else body)

    def encode(self, response: Response, request: Request) -> EncodedResponse:
        """Return the class's own bytes or text.

        Raises:
            ResultError: it is neither.
        """
        if response.codec is None:
            return super().encode(response, request)
        return EncodedResponse(self.write_raw(response.raw))


def _find_forms(options: InferOptions) -> OutputForm:
    """Return whether each output is binary: one value for all outputs, or one for each."""
    outputs: tuple[RequestedOutput, ...] = options.outputs
    if not outputs:
        return options.is_binary
    return [options.is_binary if output.is_binary is None else output.is_binary for output in outputs]


def _find_branch(message: Message) -> list[int]:
    """Return the branch that a router chose, as the list that Seldon's executor reads."""
    payload = message.payload
    try:
        return [int(payload.reshape(-1)[0])]
    except (AttributeError, IndexError, TypeError, ValueError) as error:
        raise ResultError("the response of a router has no number of a branch") from error

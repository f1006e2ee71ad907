"""Requests and responses of the Open Inference Protocol, by the server's codecs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from google.protobuf.message import DecodeError

from seldon_spec.calls.errors import CallFailed
from seldon_spec.calls.target import Incoming, Outgoing
from seldon_spec.calls.values import find_table_library
from seldon_spec.errors import PayloadError
from seldon_spec.inference.arrays import Array
from seldon_spec.inference.component.infer import DEFAULT_INPUT
from seldon_spec.inference.component.tensors import decode_elements, table_of_tensors, tensors_to_array
from seldon_spec.inference.message import Message, Operation, PayloadType, Tensor, TensorMessage
from seldon_spec.protocols.open_inference_v2.codec import tag_parameters
from seldon_spec.protocols.open_inference_v2.fast.json_reader import read_json
from seldon_spec.protocols.open_inference_v2.fast.json_writer import write_response
from seldon_spec.protocols.open_inference_v2.fast.proto import write_message
from seldon_spec.protocols.open_inference_v2.proto import ModelInferRequest, ModelInferResponse
from seldon_spec.protocols.open_inference_v2.proto_message import read_request, write_parameters
from seldon_spec.protocols.open_inference_v2.request import read_infer_request, select_tags
from seldon_spec.protocols.open_inference_v2.response import output_tensors

_BYTES = (bytes, bytearray, memoryview)

_META = ("routing", "metrics")
"""The parameters of a response that are members of ``meta``, as JSON."""


def encode(message: Message, model: str, request_id: str, *, is_grpc: bool, is_binary: bool) -> Outgoing:
    """Return a request.

    Args:
        message: a dict of arrays has an input for each, a table one for each column, anything else is one input.
        model: its name.
        request_id: for the server's logs.
        is_grpc: whether it is protobuf, not JSON.
        is_binary: whether tensors are binary data behind the JSON.

    Raises:
        PayloadError, ResultError: the message has no form in the protocol.
    """
    tensors = output_tensors(message, (DEFAULT_INPUT,))
    if message.payload_type is PayloadType.BINARY:
        tensors[0].parameters = {"content_type": "bytes"}
    parameters = tag_parameters(message)
    if is_grpc:
        request = ModelInferRequest(model_name=model, id=request_id)
        write_parameters(request.parameters, parameters)
        return Outgoing(Operation.PREDICT, b"".join(write_message(request, tensors, is_raw=True)), request_id, model)
    if is_binary:
        parameters["binary_data_output"] = True
    head: dict[str, Any] = {"id": request_id}
    if parameters:
        head["parameters"] = parameters
    parts, json_size = write_response(head, tensors, is_binary, "inputs")
    return Outgoing(Operation.PREDICT, b"".join(parts), request_id, model, json_size)


def decode(response: Incoming, sent: object, *, is_grpc: bool) -> tuple[Message, dict[str, Array]]:
    """Return the message of a response, and its outputs by name.

    Args:
        response: the response.
        sent: the argument of the call.
        is_grpc: whether it is protobuf, not JSON.

    Raises:
        CallFailed: the bytes are no response.
    """
    try:
        tensors, parameters = _read_proto(response.body) if is_grpc else _read_json(response)
        for tensor in tensors:
            tensor.content_type = tensor.parameters.get("content_type")
            if tensor.content_type is None and tensor.array.dtype == object and not _is_text(tensor.array, sent):
                tensor.content_type = "bytes"
            if not tensor.array.flags.writeable:
                tensor.array = tensor.array.copy()
        message = _read_message(tensors, sent)
        outputs = {tensor.name: decode_elements(tensor) for tensor in tensors}
    except (PayloadError, DecodeError) as error:
        text = f"the response is none of the Open Inference Protocol: {error}"
        raise CallFailed(text, 502, "INTERNAL", request_id=response.request_id) from None
    message.meta = _read_meta(parameters)
    return message, outputs


def _read_json(response: Incoming) -> tuple[list[Tensor], Mapping[str, Any]]:
    view = memoryview(response.body)
    size = len(view) if response.json_size is None else response.json_size
    tensors, options = read_infer_request(read_json(view[:size]), view[size:], None, "outputs")
    return tensors, options.parameters


class _Outputs:
    """A ModelInferResponse with the members of a request: an output has the fields of an input."""

    outputs = ()

    def __init__(self, response: Any) -> None:
        self.inputs = response.outputs
        self.parameters = response.parameters
        self.id, self.model_name, self.model_version = response.id, response.model_name, response.model_version


def _read_proto(body: bytes) -> tuple[list[Tensor], Mapping[str, Any]]:
    response = ModelInferResponse.FromString(body)
    tensors, options = read_request(_Outputs(response), response.raw_output_contents)
    return tensors, options.parameters


def _read_message(tensors: list[Tensor], sent: object) -> Message:
    names = _read_names(tensors)
    is_json = len(tensors) == 1 and tensors[0].content_type == "json" and tensors[0].array.size == 1
    if isinstance(sent, Mapping) and not is_json:
        return Message(PayloadType.JSON, {tensor.name: decode_elements(tensor) for tensor in tensors}, names)
    message = tensors_to_array(TensorMessage(PayloadType.TENSORS, tensors, names))
    payload = message.payload
    if message.payload_type is PayloadType.ARRAY:
        if isinstance(sent, (str, *_BYTES)) and payload.shape == (1,):
            message.payload_type, message.payload = PayloadType.JSON, payload[0]
        elif find_table_library(sent) is not None and len(tensors) > 1:
            message.table = table_of_tensors(tensors, names)
    return message


def _is_text(array: Array, sent: object) -> bool:
    """Return whether elements of BYTES without a content type are text."""
    if isinstance(sent, _BYTES):
        return False
    try:
        b"".join(array.ravel().tolist()).decode()
    except UnicodeDecodeError:
        return False
    return True


def _read_names(tensors: Sequence[Tensor]) -> list[str]:
    """Return the names of columns: those of one output in its parameters, or those of several outputs."""
    if len(tensors) != 1:
        return [tensor.name for tensor in tensors]
    with suppress(ValueError, TypeError):
        names = json.loads(tensors[0].parameters.get("names") or "[]")
        if isinstance(names, list):
            return list(map(str, names))
    return []


def _read_meta(parameters: Mapping[str, Any]) -> dict[str, Any]:
    tags = select_tags(parameters)
    meta: dict[str, Any] = {}
    for name in _META:
        with suppress(ValueError, TypeError):
            meta[name] = json.loads(tags[name]) if name in tags else None
            tags.pop(name, None)
    return {**{name: value for name, value in meta.items() if value is not None}, "tags": tags}

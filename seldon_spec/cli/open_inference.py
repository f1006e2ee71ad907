"""A client of the Open Inference Protocol: one request over REST or gRPC, made from rows or given as a whole."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import SplitResult, quote

from seldon_spec.cli.client import send_rest
from seldon_spec.client import BadData, Credentials, NoResponse, open_channel, parse_url
from seldon_spec.errors import PayloadError

_MODELS = "/v2/models"
_SERVICE = "/inference.GRPCInferenceService"


def is_open_inference_url(url: str) -> bool:
    """Return whether the path of a URL is one of the protocol."""
    return parse_url(url).path.startswith("/v2")


def send(url: str, data: list[Any] | bytes, credentials: Credentials) -> str:
    """Send a request to the model of a URL; return the response as JSON text.

    Args:
        url: of the server, or of the model: ``http://HOST/v2/models/NAME``; by default, the server's only model.
        data: rows for the model's only input, or the JSON text of a complete request.
        credentials: TLS trust and authentication.

    Raises:
        BadData: a complete request is required, or it is malformed.
        NoResponse: the server cannot be reached, or the response is an error.
    """
    parts = parse_url(url)
    path = parts.path.rstrip("/").removesuffix("/infer")
    if parts.scheme.startswith("grpc"):
        return _send_grpc(parts, path, data, credentials)
    if path in ("", "/v2", _MODELS):
        path = _find_model(parts, credentials)
    if isinstance(data, list):
        metadata = json.loads(send_rest(parts, path, None, credentials))
        data = make_request(data, [(tensor["name"], tensor["datatype"]) for tensor in metadata["inputs"]])
    return send_rest(parts, f"{path}/infer", data, credentials)


def _find_model(parts: SplitResult, credentials: Credentials) -> str:
    """Return the path of the only model of a server."""
    models = json.loads(send_rest(parts, _MODELS, None, credentials))["models"]
    if len(models) != 1:
        raise NoResponse(f"the server has {len(models)} models; name one: {parts.scheme}://HOST{_MODELS}/NAME")
    return f"{_MODELS}/{quote(models[0], safe='')}"


def make_request(data: list[Any] | bytes, inputs: Sequence[tuple[str, str]]) -> bytes:
    """Return a request for the value of ``read_data``.

    Args:
        data: a list of rows is the array of the only input; a complete request is returned unchanged.
        inputs: name and datatype of each declared input; empty: the datatype is chosen by the values.

    Raises:
        BadData: there are several inputs, or the rows are not an array.
    """
    if not isinstance(data, list):
        return data
    if len(inputs) > 1:
        names = ", ".join(name for name, _ in inputs)
        raise BadData(f'the model has several inputs ({names}): write a complete request {{"inputs": [...]}}')
    shape: list[int] = []
    flat: list[Any] = data
    values: Any = data
    while isinstance(values, list):
        shape.append(len(values))
        values = values[0] if values else None
    for size in shape[1:]:
        if not all(isinstance(row, list) and len(row) == size for row in flat):
            raise BadData("DATA is not an array: its rows differ in length")
        flat = [value for row in flat for value in row]
    name, datatype = inputs[0] if inputs else ("input-0", _find_datatype(flat))
    tensor = {"name": name, "shape": shape, "datatype": datatype, "data": flat}
    return json.dumps({"inputs": [tensor]}).encode()


def _find_datatype(values: Sequence[Any]) -> str:
    types = {type(value) for value in values}
    for allowed, datatype in (({bool}, "BOOL"), ({int}, "INT64"), ({int, float}, "FP64"), ({str}, "BYTES")):
        if types and types <= allowed:
            return datatype
    if not types:
        return "FP64"
    raise BadData("DATA is not an array of numbers, of booleans or of texts")


def _send_grpc(parts: SplitResult, path: str, data: list[Any] | bytes, credentials: Credentials) -> str:
    from seldon_spec.protocols.open_inference_v2.fast.json_reader import read_json
    from seldon_spec.protocols.open_inference_v2.proto import ModelInferRequest
    from seldon_spec.protocols.open_inference_v2.proto_message import write_parameters, write_plain
    from seldon_spec.protocols.open_inference_v2.request import read_infer_request

    name = path.removeprefix(f"{_MODELS}/") if path.startswith(f"{_MODELS}/") else ""
    with open_channel(parts, credentials) as call:
        if isinstance(data, list):
            data = make_request(data, _read_inputs(call, name))
        try:
            tensors, options = read_infer_request(read_json(data))
        except PayloadError as error:
            raise BadData(f"DATA is not a request: {error}") from None
        request = ModelInferRequest(model_name=name, id=options.id or "")
        write_parameters(request.parameters, options.parameters)
        for output in options.outputs:
            request.outputs.add(name=output.name)
        response = call(f"{_SERVICE}/ModelInfer", write_plain(request, tensors, is_raw=True))
    return _response_to_json(response)


def _read_inputs(call: Callable[[str, bytes], bytes], name: str) -> list[tuple[str, str]]:
    from seldon_spec.protocols.open_inference_v2.proto import message_class

    request, response = message_class("ModelMetadataRequest")(name=name), message_class("ModelMetadataResponse")()
    response.ParseFromString(call(f"{_SERVICE}/ModelMetadata", request.SerializeToString()))
    return [(tensor.name, tensor.datatype) for tensor in response.inputs]


def _response_to_json(body: bytes) -> str:
    """Return a ModelInferResponse as the JSON of the protocol."""
    from seldon_spec.protocols.open_inference_v2.fast.json_writer import write_response
    from seldon_spec.protocols.open_inference_v2.proto import ModelInferRequest, ModelInferResponse
    from seldon_spec.protocols.open_inference_v2.proto_message import read_request

    response = ModelInferResponse.FromString(body)
    # an output has the fields of an input, so that the outputs are read as the inputs of a request
    outputs = ModelInferRequest(id=response.id, parameters=response.parameters)
    for output in response.outputs:
        outputs.inputs.add().ParseFromString(output.SerializeToString())
    head: dict[str, Any] = {"model_name": response.model_name}
    if response.model_version:
        head["model_version"] = response.model_version
    try:
        tensors, options = read_request(outputs, response.raw_output_contents)
        if options.id is not None:
            head["id"] = options.id
        parameters: Mapping[str, Any] = options.parameters
        if parameters:
            head["parameters"] = dict(parameters)
        parts, _ = write_response(head, tensors, forms=False)
    except PayloadError as error:
        raise NoResponse(f"the response has no form in JSON: {error}") from None
    return b"".join(parts).decode()

"""The encodings of the Open Inference Protocol: JSON, JSON with binary data, and protobuf with raw contents."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from seldon_spec.contract_test.case import Case, Values
from seldon_spec.contract_test.encoder import Encoder, Request, Unencodable, dump, is_float, load_json, to_json
from seldon_spec.contract_test.result import BadResponse, Result, read_error, read_tensors
from seldon_spec.errors import PayloadError
from seldon_spec.inference.arrays import Array
from seldon_spec.inference.datatypes import BYTES, cast_floats, find_datatype
from seldon_spec.inference.message import Tensor
from seldon_spec.protocols.open_inference_v2.binary import make_objects, write_binary
from seldon_spec.protocols.open_inference_v2.proto import ModelInferRequest, ModelInferResponse
from seldon_spec.protocols.open_inference_v2.proto_message import read_request, write_plain
from seldon_spec.protocols.open_inference_v2.request import read_infer_request

_JSON_SIZE = "inference-header-content-length"


@dataclass(frozen=True)
class V2Json(Encoder):
    """The Open Inference Protocol in JSON."""

    def encode(self, case: Case) -> Request:
        return Request(dump(infer_tree(case)))

    def decode(self, body: bytes, headers: Mapping[str, str]) -> Result:
        size = headers.get(_JSON_SIZE)
        end = len(body) if size is None else int(size)
        try:
            tensors, _ = read_infer_request(load_json(body[:end]), body[end:], None, "outputs")
        except PayloadError as error:
            raise read_error(error) from error
        return read_tensors(tensors)

    def list_malformed(self, example: Case) -> list[tuple[str, Request]]:
        bodies = {
            "text that is not JSON": b'{"inputs": ',
            "an empty body": b"",
            "a request without inputs": b"{}",
            "an input without data": dump(
                {"inputs": [{"name": example.inputs[0].name, "datatype": "FP64", "shape": [1, 1]}]}
            ),
        }
        return [(label, Request(body)) for label, body in bodies.items()]


@dataclass(frozen=True)
class V2Binary(V2Json):
    """The Open Inference Protocol in JSON with binary data behind it, for requests and responses."""

    def encode(self, case: Case) -> Request:
        inputs, contents = [], []
        for values in case.inputs:
            raw = bytes(write_binary(make_array(values), find_datatype(values.datatype)))
            contents.append(raw)
            head = {"name": values.name, "datatype": values.datatype, "shape": list(values.shape)}
            inputs.append({**head, "parameters": {"binary_data_size": len(raw)}})
        text = dump({"inputs": inputs, "parameters": {"binary_data_output": True}})
        return Request(b"".join((text, *contents)), len(text))

    def list_malformed(self, example: Case) -> list[tuple[str, Request]]:
        try:
            request = self.encode(example)
        except Unencodable:
            return []
        beyond = Request(request.body, len(request.body) + 1)
        return [
            ("a JSON length beyond the body", beyond),
            ("missing binary data", Request(request.body[:-1], request.json_size)),
        ]


@dataclass(frozen=True)
class V2Proto(Encoder):
    """The Open Inference Protocol in protobuf with raw contents.

    Attributes:
        model: the name in requests.
    """

    is_grpc: bool = True
    model: str = field(default="", compare=False)

    def encode(self, case: Case) -> Request:
        tensors = [Tensor(values.name, make_array(values), values.datatype) for values in case.inputs]
        return Request(write_plain(ModelInferRequest(model_name=self.model), tensors, is_raw=True))

    def decode(self, body: bytes, headers: Mapping[str, str]) -> Result:  # noqa: ARG002 - of the base class
        try:
            response = ModelInferResponse.FromString(body)
        except DecodeError as error:
            raise BadResponse(f"the response is no ModelInferResponse: {error}") from error
        # an output has the fields of an input, so that the outputs are read as the inputs of a request
        outputs = ModelInferRequest()
        for output in response.outputs:
            outputs.inputs.add().ParseFromString(output.SerializeToString())
        try:
            tensors, _ = read_request(outputs, response.raw_output_contents)
        except PayloadError as error:
            raise read_error(error) from error
        return read_tensors(tensors)

    def list_malformed(self, example: Case) -> list[tuple[str, Request]]:  # noqa: ARG002 - of the base class
        return [("bytes that are not protobuf", Request(b"\xff\xff\xff"))]


def infer_tree(case: Case) -> dict[str, Any]:
    """Return a case as a request of the Open Inference Protocol in JSON.

    Raises:
        Unencodable: a value is missing that is no float, or bytes are not UTF-8.
    """
    return {
        "inputs": [
            {
                "name": values.name,
                "datatype": values.datatype,
                "shape": list(values.shape),
                "data": [_infer_item(item, values, is_valid=case.is_valid) for item in values.items],
            }
            for values in case.inputs
        ]
    }


def _infer_item(item: Any, values: Values, *, is_valid: bool) -> Any:
    if item is None and is_valid and not is_float(values.datatype):
        raise Unencodable(f"{values.datatype} has no form for a missing value")
    if isinstance(item, bytes) and values.content_type == "bytes":
        try:
            return item.decode()
        except UnicodeDecodeError:
            raise Unencodable("an element is not UTF-8") from None
    return to_json(item, values)


def make_array(values: Values) -> Array:
    """Return the items as the array of their datatype.

    Raises:
        Unencodable: an item is no value of the datatype.
    """
    datatype = find_datatype(values.datatype)
    if datatype is BYTES:
        return make_objects([_to_bytes(item, values) for item in values.items]).reshape(values.shape)
    allowed: tuple[type, ...] = (bool,) if values.datatype == "BOOL" else (int,)
    if is_float(values.datatype):
        allowed = (int, float, type(None))
    if not all(type(item) in allowed for item in values.items):
        raise Unencodable(f"a value is not a value of {values.datatype}")
    try:
        if is_float(values.datatype):
            return cast_floats(np.array(values.items, np.float64), datatype).reshape(values.shape)
        return np.array(values.items, datatype.dtype).reshape(values.shape)
    except (OverflowError, ValueError) as error:
        raise Unencodable(f"a value is outside the range of {values.datatype}") from error


def _to_bytes(item: Any, values: Values) -> bytes:
    if isinstance(item, bytes):
        return base64.b64encode(item) if values.content_type == "base64" else item
    if isinstance(item, str):
        return item.encode()
    raise Unencodable("a value is neither text nor bytes")

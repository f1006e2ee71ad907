"""The protocols of a contract test: a case to a request, and a response to outputs."""

from __future__ import annotations

import base64
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from seldon_spec.contract_test.case import BASE64_TYPES, Case, Values, nest
from seldon_spec.contract_test.contract import Layout
from seldon_spec.contract_test.result import BadResponse, Result, read_error, read_tensors, read_tree
from seldon_spec.errors import PayloadError
from seldon_spec.inference.arrays import Array
from seldon_spec.inference.datatypes import BYTES, cast_floats, find_datatype
from seldon_spec.inference.message import Tensor
from seldon_spec.protocols.open_inference_v2.binary import make_objects, write_binary
from seldon_spec.protocols.open_inference_v2.proto import ModelInferRequest, ModelInferResponse
from seldon_spec.protocols.open_inference_v2.proto_message import read_request, write_plain
from seldon_spec.protocols.open_inference_v2.request import read_infer_request
from seldon_spec.protocols.seldon_v1.proto import SeldonMessage
from seldon_spec.protocols.seldon_v1.proto.json_form import ERRORS, message_to_tree, tree_to_message

JSON_SIZE = "inference-header-content-length"

_EXACT_INTEGERS = 1 << 53
"""The integers below it have exact doubles."""
_INT64 = 1 << 63


class Unencodable(Exception):
    """A protocol has no form for a case."""


@dataclass(frozen=True, slots=True)
class Request:
    """An encoded request.

    Attributes:
        json_size: the length of the JSON at the start of a body with binary data; None: there is no binary data.
    """

    body: bytes
    json_size: int | None = None

    @property
    def headers(self) -> dict[str, str]:
        """The headers of the request over HTTP."""
        if self.json_size is None:
            return {"Content-Type": "application/json"}
        return {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": str(self.json_size)}


@dataclass(frozen=True)
class Encoder(ABC):
    """One encoding of one protocol.

    Attributes:
        name: of the channel, for reports.
        protocol: ``v1`` or ``v2``.
        is_grpc: the transport.
    """

    name: str
    protocol: str
    is_grpc: bool = False

    @abstractmethod
    def encode(self, case: Case) -> Request:
        """Return the request.

        Raises:
            Unencodable: the protocol has no form for the values.
        """

    @abstractmethod
    def decode(self, body: bytes, headers: Mapping[str, str]) -> Result:
        """Return the outputs of a response of the status OK; the names of the headers are in lower case.

        Raises:
            BadResponse: it is malformed.
        """

    @abstractmethod
    def list_malformed(self, example: Case) -> list[tuple[str, Request]]:
        """Return what is no request of the protocol at all: a description and the request of each."""


@dataclass(frozen=True)
class V1Json(Encoder):
    """Seldon's protocol in JSON.

    Attributes:
        form: of arrays of numbers: ``ndarray`` or ``tensor``.
    """

    form: str = "ndarray"

    def encode(self, case: Case) -> Request:
        tree = message_tree(case, self.form)
        if any(isinstance(item, int) and not -_INT64 <= item < _INT64 for v in case.inputs for item in v.items):
            raise Unencodable("an integer is larger than an int64")
        return Request(dump(tree))

    def decode(self, body: bytes, headers: Mapping[str, str]) -> Result:  # noqa: ARG002 - of the base class
        return read_tree(_load(body))

    def list_malformed(self, example: Case) -> list[tuple[str, Request]]:  # noqa: ARG002 - of the base class
        bodies = {
            "text that is not JSON": b'{"data": ',
            "an empty body": b"",
            "a message without a payload": b'{"meta": {}}',
            "a list instead of a message": b"[1, 2]",
        }
        return [(label, Request(body)) for label, body in bodies.items()]


@dataclass(frozen=True)
class V1Proto(Encoder):
    """Seldon's protocol in protobuf."""

    is_grpc: bool = True

    def encode(self, case: Case) -> Request:
        tree = message_tree(case, "ndarray")
        for values in case.inputs:
            if any(isinstance(item, int) and abs(item) > _EXACT_INTEGERS for item in values.items):
                raise Unencodable("protobuf has doubles only, and an integer has no exact one")
        try:
            return Request(tree_to_message(tree, SeldonMessage()).SerializeToString())
        except ERRORS as error:
            raise Unencodable(str(error)) from error

    def decode(self, body: bytes, headers: Mapping[str, str]) -> Result:  # noqa: ARG002 - of the base class
        try:
            return read_tree(message_to_tree(SeldonMessage.FromString(body), is_bare=True))
        except ERRORS as error:
            raise BadResponse(f"the response is no SeldonMessage: {error}") from error

    def list_malformed(self, example: Case) -> list[tuple[str, Request]]:  # noqa: ARG002 - of the base class
        return [
            ("bytes that are not protobuf", Request(b"\xff\xff\xff")),
            ("a message without a payload", Request(b"")),
        ]


def message_tree(case: Case, form: str) -> dict[str, Any]:
    """Return a case as a message of Seldon's protocol in JSON.

    Raises:
        Unencodable: the form is ``tensor`` and there are not only numbers, or the inputs are no rows.
    """
    if case.layout is not Layout.TENSORS:
        return _table_tree(case, form)
    if not case.is_single or len(case.inputs) != 1:
        if form == "tensor":
            raise Unencodable("several inputs are jsonData")
        return {"jsonData": {values.name: _nested(values) for values in case.inputs}}
    values = case.inputs[0]
    if case.is_valid and values.datatype == "BYTES" and len(values.items) == 1 and values.items[0] is not None:
        if form == "tensor":
            raise Unencodable("it is one text or file")
        return _single_tree(values.items[0], values)
    return {"data": {form: _tensor(values.shape, values.items) if form == "tensor" else _nested(values)}}


def _single_tree(item: str | bytes, values: Values) -> dict[str, Any]:
    if values.content_type == "json":
        return {"jsonData": json.loads(item)}
    if isinstance(item, bytes):
        return {"binData": base64.b64encode(item).decode()}
    return {"strData": item}


def _table_tree(case: Case, form: str) -> dict[str, Any]:
    if case.layout is Layout.COLUMNS:
        names, values = list(case.columns), case.inputs[0]
        shape, items, nested = values.shape, values.items, _nested(values)
    else:
        names = [values.name for values in case.inputs]
        if len({len(values.items) for values in case.inputs}) != 1:
            raise Unencodable("the columns differ in length")
        columns = [[_element(item, values) for item in values.items] for values in case.inputs]
        items = tuple(item for row in zip(*columns, strict=True) for item in row)
        shape = (len(columns[0]), len(columns))
        nested = nest(items, shape)
        is_float = any(values.datatype in ("FP16", "BF16", "FP32", "FP64") for values in case.inputs)
        if is_float and any(isinstance(item, int) and abs(item) > _EXACT_INTEGERS for item in items):
            raise Unencodable("an integer beside floats has no exact double")
    return {"data": {"names": names, form: _tensor(shape, items) if form == "tensor" else nested}}


def _tensor(shape: tuple[int, ...], items: tuple[Any, ...]) -> dict[str, Any]:
    if not all(type(item) in (int, float) for item in items):
        raise Unencodable("a tensor has numbers only")
    return {"shape": list(shape), "values": list(items)}


def _nested(values: Values) -> Any:
    if not values.shape:
        raise Unencodable("an array without dimensions")
    return nest([_element(item, values) for item in values.items], values.shape)


def _element(item: Any, values: Values) -> Any:
    """Return an item as JSON has it: bytes as base64 text if the content type says so."""
    if not isinstance(item, bytes):
        return item
    if (values.content_type or "").startswith(BASE64_TYPES):
        return base64.b64encode(item).decode()
    raise Unencodable("bytes have no form in JSON")


@dataclass(frozen=True)
class V2Json(Encoder):
    """The Open Inference Protocol in JSON."""

    def encode(self, case: Case) -> Request:
        return Request(dump(infer_tree(case)))

    def decode(self, body: bytes, headers: Mapping[str, str]) -> Result:
        size = headers.get(JSON_SIZE)
        end = len(body) if size is None else int(size)
        try:
            tensors, _ = read_infer_request(_load(body[:end]), body[end:], None, "outputs")
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
        except ERRORS as error:
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
    if item is None and is_valid and not _is_float(values.datatype):
        raise Unencodable(f"{values.datatype} has no form for a missing value")
    if isinstance(item, bytes) and values.content_type == "bytes":
        try:
            return item.decode()
        except UnicodeDecodeError:
            raise Unencodable("an element is not UTF-8") from None
    return _element(item, values)


def make_array(values: Values) -> Array:
    """Return the items as the array of their datatype.

    Raises:
        Unencodable: an item is no value of the datatype.
    """
    datatype = find_datatype(values.datatype)
    if datatype is BYTES:
        return make_objects([_to_bytes(item, values) for item in values.items]).reshape(values.shape)
    allowed: tuple[type, ...] = (bool,) if values.datatype == "BOOL" else (int,)
    if _is_float(values.datatype):
        allowed = (int, float, type(None))
    if not all(type(item) in allowed for item in values.items):
        raise Unencodable(f"a value is not a value of {values.datatype}")
    try:
        if _is_float(values.datatype):
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


def _is_float(datatype: str) -> bool:
    return datatype in ("FP16", "BF16", "FP32", "FP64")


def dump(tree: Any) -> bytes:
    """Return JSON text."""
    return json.dumps(tree, ensure_ascii=False).encode()


def _load(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadResponse(f"the response is not JSON: {error}") from error


def make_encoders(model: str, *, has_rest: bool = True, has_grpc: bool = True, has_infer: bool = True) -> list[Encoder]:
    """Return the encoders of the protocols.

    Args:
        model: its name.
        has_rest, has_grpc: the transports.
        has_infer: whether the model has an inference of the Open Inference Protocol.
    """
    rest: list[Encoder] = [V1Json("v1 REST", "v1"), V1Json("v1 REST tensor", "v1", form="tensor")]
    grpc: list[Encoder] = [V1Proto("v1 gRPC", "v1")]
    if has_infer:
        rest += [V2Json("V2 REST", "v2"), V2Binary("V2 REST binary", "v2")]
        grpc += [V2Proto("V2 gRPC", "v2", model=model)]
    return [*(rest if has_rest else ()), *(grpc if has_grpc else ())]

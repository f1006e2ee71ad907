"""The outputs of an inference response: tensors for what a class returned."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from seldon_spec.errors import PayloadError, ResultError, UnwritableResult
from seldon_spec.inference.arrays import Array, fill_masked
from seldon_spec.inference.datatypes import BYTES, datatype_of
from seldon_spec.inference.json_default import plain_tree
from seldon_spec.inference.message import Message, PayloadType, Tensor
from seldon_spec.protocols.open_inference_v2.request import RequestedOutput

DEFAULT_OUTPUT = "output-0"

_TEXT = {"content_type": "str"}
_JSON = {"content_type": "json"}
_DATETIME = {"content_type": "datetime"}


def output_tensors(message: Message, names: Sequence[str]) -> list[Tensor]:
    """Return the tensors of a response message.

    Args:
        message: its payload is what a class returned.
        names: the declared names of the outputs; empty: none are declared.

    Returns:
        Tensors with a datatype; the elements of BYTES are ``bytes``.

    Raises:
        ResultError: an array has a type that the protocol has no datatype for.
    """
    payload = message.payload
    name = names[0] if len(names) == 1 else DEFAULT_OUTPUT
    if message.payload_type is PayloadType.ARRAY:
        return [_array_output(message, name, names)]
    if message.payload_type is PayloadType.TENSORS:
        return [_tensor(tensor.name, tensor.array, tensor.parameters) for tensor in payload]
    if message.payload_type is PayloadType.TEXT:
        return [_bytes_tensor(name, [payload.encode("utf-8", "surrogatepass")], _TEXT)]
    if message.payload_type is PayloadType.BINARY:
        return [_bytes_tensor(name, [bytes(payload)], {})]
    if message.payload_type is PayloadType.JSON:
        if isinstance(payload, dict) and payload and all(_is_array(value) for value in payload.values()):
            return [_tensor(str(key), _as_array(value), {}) for key, value in payload.items()]
        return [_bytes_tensor(name, [_json_text(payload)], _JSON)]
    raise ResultError(f"the protocol has no form for a result of type {type(payload).__name__}")


def select_outputs(tensors: list[Tensor], requested: Sequence[RequestedOutput]) -> list[Tensor]:
    """Return the requested outputs in the order of the request; all if none are requested.

    Raises:
        PayloadError: there is no output of a requested name.
    """
    if not requested:
        return tensors
    by_name = {tensor.name: tensor for tensor in tensors}
    for output in requested:
        if output.name not in by_name:
            raise PayloadError(f"there is no output {output.name!r:.100}; the outputs are {', '.join(by_name)[:200]}")
    return [by_name[output.name] for output in requested]


def _array_output(message: Message, name: str, declared: Sequence[str]) -> Tensor:
    array = message.payload
    parameters: dict[str, Any] = {}
    if not message.has_default_names and isinstance(message.names, (list, tuple)):
        columns = [str(column) for column in message.names]
        if not declared and len(columns) == 1:
            name = columns[0]
        elif array.ndim == 2 and len(columns) == array.shape[1]:
            parameters["names"] = json.dumps(columns)
    if message.original is not None and array.dtype == object and not _is_text(array):
        return _bytes_tensor(name, [_json_text(message.original)], {**parameters, **_JSON})
    return _tensor(name, array, parameters)


def _tensor(name: str, array: Array, parameters: Mapping[str, Any]) -> Tensor:
    """Return an output; a scalar becomes [1], text and dates become BYTES."""
    array = fill_masked(np.asanyarray(array))
    if array.ndim == 0:
        array = array.reshape(1)
    datatype = datatype_of(array)
    if datatype is not BYTES:
        return Tensor(name, array, datatype.name, parameters)
    if array.dtype.kind == "M":
        texts = np.datetime_as_string(array)
        return _bytes_tensor(
            name, [text.encode() for text in texts.ravel().tolist()], {**parameters, **_DATETIME}, array.shape
        )
    elements, is_text = [], True
    for value in array.ravel().tolist():
        if isinstance(value, str):
            elements.append(value.encode("utf-8", "surrogatepass"))
        elif isinstance(value, (bytes, bytearray, memoryview)):
            elements.append(bytes(value))
            is_text = False
        else:
            elements.append(_json_text(value))
    return _bytes_tensor(name, elements, {**parameters, **_TEXT} if is_text else parameters, array.shape)


def _bytes_tensor(
    name: str, elements: list[bytes], parameters: Mapping[str, Any], shape: tuple[int, ...] = (1,)
) -> Tensor:
    array = np.empty(len(elements), dtype=object)
    array[:] = elements
    return Tensor(name, array.reshape(shape), BYTES.name, parameters)


def _is_array(value: object) -> bool:
    return isinstance(value, (list, tuple, np.ndarray))


def _as_array(value: Any) -> Array:
    if isinstance(value, np.ndarray):
        return value
    try:
        return np.asarray(value)
    except (ValueError, TypeError, OverflowError) as error:
        raise UnwritableResult(f"a list in the result is no array: {error}") from error


def _is_text(array: Array) -> bool:
    return all(isinstance(value, (str, bytes)) for value in array.ravel().tolist())


def _json_text(value: object) -> bytes:
    try:
        return json.dumps(plain_tree(value), ensure_ascii=False, allow_nan=True).encode("utf-8", "surrogatepass")
    except (TypeError, ValueError, RecursionError) as error:
        raise UnwritableResult(f"the result has no form in JSON: {error}") from error

"""The outputs of an inference response: tensors for what a class returned."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from functools import lru_cache
from typing import Any

import numpy as np

from seldon_spec.errors import PayloadError, ResultError, UnwritableResult, short_repr
from seldon_spec.inference.arrays import Array, fill_masked
from seldon_spec.inference.component.infer import DEFAULT_OUTPUT
from seldon_spec.inference.component.tables import find_columns
from seldon_spec.inference.datatypes import BYTES, datatype_of
from seldon_spec.inference.json_default import find_array, plain_tree
from seldon_spec.inference.message import Message, PayloadType, Tensor
from seldon_spec.protocols.open_inference_v2.binary import make_objects
from seldon_spec.protocols.open_inference_v2.request import RequestedOutput

_TEXT = {"content_type": "str"}
_JSON = {"content_type": "json"}
_DATETIME = {"content_type": "datetime"}

_NUMBERS = frozenset({int, float, bool})
_STRINGS = frozenset({str})


def output_tensors(message: Message, names: Sequence[str]) -> list[Tensor]:
    """Return the tensors of a response message.

    Args:
        message: its payload is what a class returned.
        names: the declared names of the outputs; empty: none are declared.

    Returns:
        Tensors with a datatype; the elements of BYTES are ``bytes``.

    Raises:
        ResultError: an array has a type that the protocol has no datatype for, or two outputs have the same name.
    """
    payload_type, payload = message.payload_type, message.payload
    if payload_type is PayloadType.ARRAY:
        if message.table is not None:
            return [make_output(name, array, {}) for name, array in _columns(message.table, payload)]
        return [_array_output(message, names)]
    if payload_type is PayloadType.TENSORS:
        return [make_output(tensor.name, tensor.array, tensor.parameters) for tensor in payload]
    name = names[0] if len(names) == 1 else DEFAULT_OUTPUT
    if payload_type is PayloadType.TEXT:
        return [_bytes_output(name, [payload.encode("utf-8", "surrogatepass")], _TEXT)]
    if payload_type is PayloadType.BINARY:
        return [_bytes_output(name, [bytes(payload)], {})]
    if payload_type is PayloadType.JSON:
        arrays = _arrays_of(payload)
        if arrays is not None:
            return [make_output(key, array, {}) for key, array in arrays.items()]
        return [_bytes_output(name, [_json_text(payload)], _JSON)]
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


def _array_output(message: Message, declared: Sequence[str]) -> Tensor:
    array = message.payload
    name = declared[0] if len(declared) == 1 else DEFAULT_OUTPUT
    parameters: Mapping[str, Any] = {}
    if not message.has_default_names and isinstance(message.names, (list, tuple)):
        columns = [str(column) for column in message.names]
        if len(columns) == 1 and not declared:
            name = columns[0]
        elif array.ndim == 2 and len(columns) == array.shape[1]:
            parameters = {"names": _names_text(tuple(columns))}
    if message.original is not None and array.dtype == object and not _is_array(array):
        return _bytes_output(name, [_json_text(message.original)], {**parameters, **_JSON})
    return make_output(name, array, parameters)


@lru_cache(maxsize=16)
def _names_text(columns: tuple[str, ...]) -> str:
    """Return the names of columns as JSON; a model has the same in every response."""
    return json.dumps(columns)


def make_output(name: str, array: Array, parameters: Mapping[str, Any]) -> Tensor:
    """Return an output; a scalar has the shape [1]; text, dates and objects are BYTES.

    Raises:
        ResultError: the protocol has no datatype for the array.
    """
    if type(array) is not np.ndarray:
        array = np.asarray(fill_masked(array))
    if array.ndim == 0:
        array = array.reshape(1)
    datatype = datatype_of(array, name)
    if datatype is not BYTES:
        return Tensor(name, array, datatype.name, parameters)
    if array.dtype.kind == "M":
        texts = np.datetime_as_string(array).ravel().tolist()
        return _bytes_output(name, [text.encode() for text in texts], {**parameters, **_DATETIME}, array.shape)
    elements: list[Any] = array.ravel().tolist()
    types = set(map(type, elements))
    if any(issubclass(kind, np.generic) for kind in types):
        elements = [value.item() if isinstance(value, np.generic) else value for value in elements]
        types = set(map(type, elements))
    if types <= _NUMBERS and types:  # an array of objects that holds nothing but numbers
        plain = np.array(elements)
        if plain.dtype != object:
            return Tensor(name, plain.reshape(array.shape), datatype_of(plain, name).name, parameters)
    if types <= _STRINGS:
        parameters = {**parameters, **_TEXT}
    elif all(issubclass(kind, date) for kind in types):  # also pandas' own type
        parameters = {**parameters, **_DATETIME}
    return _bytes_output(name, [_element(value) for value in elements], parameters, array.shape)


def _element(value: Any) -> bytes:
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    if isinstance(value, date):
        return value.isoformat().encode()
    return _json_text(value)


def _bytes_output(
    name: str, elements: list[bytes], parameters: Mapping[str, Any], shape: tuple[int, ...] = (1,)
) -> Tensor:
    return Tensor(name, make_objects(elements).reshape(shape), BYTES.name, parameters)


def _columns(table: Any, array: Array) -> Iterator[tuple[str, Array]]:
    """Yield the columns of a table, each in its own type; ``array`` holds all of them in a common one.

    Raises:
        ResultError: two columns have the same name.
    """
    names = list(map(str, table.columns))
    if len(set(names)) < array.shape[1]:
        raise ResultError(f"two columns of the result have the same name: {short_repr(list(table.columns))}")
    columns = find_columns(table) if hasattr(table, "dtypes") else list(array.T)
    return zip(names, columns, strict=True)


def _arrays_of(payload: Any) -> dict[str, Array] | None:
    """Return the arrays of a dict of arrays or lists; None for any other value."""
    if not isinstance(payload, dict) or not payload:
        return None
    arrays = {}
    for name, value in payload.items():
        if isinstance(value, np.ndarray):
            array: Array | None = value
        elif isinstance(value, (list, tuple)):
            array = _array_of_list(value)
        else:
            array = None if isinstance(value, (str, bytes, dict)) else find_array(value)
        if array is None or (array.dtype == object and not _is_array(array)):
            return None
        arrays[str(name)] = array
    return arrays


def _array_of_list(value: Any) -> Array | None:
    try:
        return np.asarray(value)
    except (ValueError, TypeError, OverflowError):  # lists of different lengths
        return None


def _is_array(array: Array) -> bool:
    """Return whether every object of an array is an element of its own: none is a list, an object or nothing."""
    return not any(value is None or isinstance(value, (dict, list, tuple)) for value in array.ravel().tolist())


def _json_text(value: object) -> bytes:
    try:
        return json.dumps(plain_tree(value), ensure_ascii=False, allow_nan=True).encode("utf-8", "surrogatepass")
    except (TypeError, ValueError, RecursionError) as error:
        raise UnwritableResult(f"the result has no form in JSON: {error}") from error

"""A ModelInferRequest to tensors, and tensors to a ModelInferResponse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from seldon_spec.errors import PayloadError, UnwritableResult
from seldon_spec.inference.arrays import Array
from seldon_spec.inference.datatypes import BYTES, Datatype, check_count, check_shape, find_datatype
from seldon_spec.inference.message import Tensor
from seldon_spec.protocols.open_inference_v2.binary import Raw, make_objects, read_binary, write_binary
from seldon_spec.protocols.open_inference_v2.proto import ModelInferResponse, message_class
from seldon_spec.protocols.open_inference_v2.request import MAX_TENSORS, InferOptions, RequestedOutput, check_tensors
from seldon_spec.protocols.protobuf_wire import write_varint

CONTENTS = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}
"""The field of InferTensorContents for each datatype; the others have only the raw form."""

_WIDE = {"int_contents": np.int32, "uint_contents": np.uint32}
_BINARY_DATA = frozenset({"binary_data", "binary_data_output", "binary_data_size"})  # of REST; they mean nothing here


def read_request(
    request: Any, raw: Sequence[Raw], contents: Sequence[Any] | None = None
) -> tuple[list[Tensor], InferOptions]:
    """Read an inference request.

    Args:
        request: a ModelInferRequest.
        raw: its raw contents.
        contents: of each input, where the request is without them: an InferTensorContents, an array of its values, or
            None if it has none.

    Returns:
        The tensors; those of raw contents are views of them.

    Raises:
        PayloadError: the request is malformed.
    """
    inputs = request.inputs
    if len(inputs) > MAX_TENSORS:
        raise PayloadError(f"the request has more than {MAX_TENSORS} inputs")
    if raw and len(raw) != len(inputs):
        raise PayloadError(f"the request has {len(inputs)} inputs and {len(raw)} raw_input_contents")
    tensors: list[Tensor] = []
    for index, entry in enumerate(inputs):
        name = entry.name
        if not name:
            raise PayloadError("an input has no name")
        datatype = find_datatype(entry.datatype)
        shape = check_shape(list(entry.shape), name)
        parameters = _read_parameters(entry.parameters, f"input {name!r:.100}")
        typed = entry.contents if entry.HasField("contents") else None
        if contents is not None:
            typed = contents[index]
        if not raw:
            array = _read_typed(datatype, shape, typed, name)
        elif typed is not None:
            raise PayloadError(f"input {name!r:.100} has contents although the request has raw_input_contents")
        else:
            array = read_binary(datatype, shape, raw[index], name)
        tensors.append(Tensor(name, array, datatype.name, parameters))
    check_tensors(tensors)
    return tensors, InferOptions(
        request.id or None,
        _read_outputs(request.outputs),
        bool(raw),
        _read_parameters(request.parameters, "the request"),
        request.model_name,
        request.model_version or None,
    )


def _read_typed(datatype: Datatype, shape: list[int], contents: Any, name: str) -> Array:
    """Return the array of typed contents; it owns its memory."""
    field = CONTENTS.get(datatype.name)
    if field is None:
        raise PayloadError(f"input {name!r:.100}: {datatype.name} has no typed contents; use raw_input_contents")
    values: Any = ()
    if isinstance(contents, np.ndarray):
        if contents.dtype != datatype.dtype:
            other = "fp64_contents" if contents.itemsize == 8 else "fp32_contents"
            raise PayloadError(f"input {name!r:.100}: {datatype.name} is in {field}, and {other} is set")
        values = contents
    elif contents is not None:
        values = getattr(contents, field)
        fields = contents.ListFields()
        if fields and (len(fields) > 1 or fields[0][0].name != field):
            other = next(found.name for found, _ in fields if found.name != field)
            raise PayloadError(f"input {name!r:.100}: {datatype.name} is in {field}, and {other} is set")
    check_count(shape, len(values), name)
    if datatype is BYTES:
        return make_objects(list(values)).reshape(shape)
    if datatype.size < 4 and datatype.limits is not None:
        wide = np.fromiter(values, _WIDE[field], len(values))
        low, high = datatype.limits
        if wide.size and (wide.min() < low or wide.max() > high):
            wrong = int(wide.min() if wide.min() < low else wide.max())
            raise PayloadError(f"input {name!r:.100}: {wrong} is outside the range of {datatype.name}")
        return wide.astype(datatype.dtype).reshape(shape)
    array: Array = values if isinstance(values, np.ndarray) else np.fromiter(values, datatype.dtype, len(values))
    return array.reshape(shape)


def _read_parameters(fields: Any, what: str) -> dict[str, Any]:
    if not fields:
        return {}
    parameters = {}
    for name, parameter in fields.items():
        choice = parameter.WhichOneof("parameter_choice")
        if choice is None:
            raise PayloadError(f"the parameter {name!r:.100} of {what} has no value")
        if name not in _BINARY_DATA:
            parameters[name] = getattr(parameter, choice)
    return parameters


def _read_outputs(outputs: Any) -> tuple[RequestedOutput, ...]:
    if not outputs:
        return ()
    if len(outputs) > MAX_TENSORS:
        raise PayloadError(f"the request has more than {MAX_TENSORS} outputs")
    requested = []
    for output in outputs:
        if not output.name:
            raise PayloadError("a requested output has no name")
        if "classification" in output.parameters or "shared_memory_region" in output.parameters:
            raise PayloadError(f"output {output.name!r:.100}: classification and shared memory are not supported")
        requested.append(RequestedOutput(output.name))
    if len({output.name for output in requested}) < len(requested):
        raise PayloadError("an output is requested twice")
    return tuple(requested)


def build_response(model_name: str, version: str | None, identifier: str | None) -> Any:
    """Return a ModelInferResponse without outputs."""
    return ModelInferResponse(model_name=model_name, model_version=version or "", id=identifier or "")


def write_parameters(fields: Any, parameters: Mapping[str, Any]) -> None:
    """Write the parameters of a message or a tensor; an integer above 2^63 is unsigned."""
    for name, value in parameters.items():
        field = fields[name]
        if isinstance(value, bool):
            field.bool_param = value
        elif isinstance(value, str):
            field.string_param = value
        elif isinstance(value, float):
            field.double_param = value
        elif value < 1 << 63:
            field.int64_param = value
        else:
            field.uint64_param = value


_RAW_TAGS = {"ModelInferRequest": b"\x3a", "ModelInferResponse": b"\x32"}  # of the raw contents, with a length


def has_raw_only(tensors: Sequence[Tensor]) -> bool:
    """Return whether a tensor has no typed contents; then all tensors of the message are raw."""
    return any(tensor.datatype not in CONTENTS for tensor in tensors)


def make_tensor(message: Any, tensor: Tensor) -> Any:
    """Return an input or output for a message, without contents.

    Raises:
        UnwritableResult: a text has half of a surrogate pair.
    """
    made = _TENSORS[message.DESCRIPTOR.name]()
    _describe(made, tensor)
    return made


_TENSORS = {
    "ModelInferRequest": message_class("ModelInferRequest.InferInputTensor"),
    "ModelInferResponse": message_class("ModelInferResponse.InferOutputTensor"),
}


def _describe(entry: Any, tensor: Tensor) -> None:
    try:
        entry.name = tensor.name
        entry.datatype = tensor.datatype
        entry.shape.extend(tensor.array.shape)
        if tensor.parameters:
            write_parameters(entry.parameters, tensor.parameters)
    except UnicodeEncodeError as error:
        raise UnwritableResult(f"output {tensor.name!r:.100} has text without a form in UTF-8: {error}") from error


def set_contents(entry: Any, tensor: Tensor) -> None:
    """Write the typed contents of a tensor."""
    assert tensor.datatype is not None
    getattr(entry.contents, CONTENTS[tensor.datatype]).extend(tensor.array.ravel().tolist())


def write_plain(message: Any, tensors: Sequence[Tensor], *, is_raw: bool) -> bytes:
    """Write a request or a response by the library.

    Args:
        message: a ModelInferRequest or a ModelInferResponse without tensors.
        tensors: its inputs or outputs.
        is_raw: whether the contents have to be raw; they are also if a tensor has no typed form.

    Raises:
        UnwritableResult: a text has half of a surrogate pair.
    """
    if is_raw or has_raw_only(tensors):
        return b"".join(write_raw(message, tensors))
    entries = message.outputs if message.DESCRIPTOR.name == "ModelInferResponse" else message.inputs
    for tensor in tensors:
        entry = entries.add()
        _describe(entry, tensor)
        set_contents(entry, tensor)
    encoded: bytes = message.SerializeToString()
    return encoded


def write_raw(message: Any, tensors: Sequence[Tensor]) -> list[Raw]:
    """Return the parts of a request or a response with raw contents, which are not copied.

    Raises:
        UnwritableResult: a text has half of a surrogate pair.
    """
    kind = message.DESCRIPTOR.name
    entries = message.outputs if kind == "ModelInferResponse" else message.inputs
    contents: list[Any] = []
    for tensor in tensors:
        _describe(entries.add(), tensor)
        values = write_binary(tensor.array, find_datatype(tensor.datatype))
        contents += (_RAW_TAGS[kind], write_varint(len(values)), values)
    return [message.SerializeToString(), *contents]

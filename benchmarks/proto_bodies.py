"""Arrays as gRPC messages: of the Seldon protocol, and of the Open Inference Protocol (V2)."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

from benchmarks import protowire
from benchmarks.protowire import Value, encode_field, encode_packed, read_bytes, read_fields, read_numbers
from benchmarks.workloads import Array, Form

# SeldonMessage.data, DefaultData.tensor and .ndarray, Tensor.shape and .values
DATA, TENSOR, NDARRAY, SHAPE, VALUES = 3, 2, 3, 1, 2
# google.protobuf.ListValue.values, Value.number_value and .list_value
LIST_VALUES, NUMBER_VALUE, LIST_VALUE = 1, 2, 6
# ModelInferRequest.model_name and .inputs; ModelInferResponse.outputs has the same number as the latter
MODEL_NAME, TENSORS = 1, 5
# ModelInferRequest.raw_input_contents, ModelInferResponse.raw_output_contents
RAW_INPUT, RAW_OUTPUT = 7, 6
# InferInputTensor and InferOutputTensor: name, datatype, shape, contents; InferTensorContents: fp32 and fp64_contents
NAME, DATATYPE, V2_SHAPE, CONTENTS, FP32_CONTENTS, FP64_CONTENTS = 1, 2, 3, 5, 6, 7

V2_MODEL = "model"
"""What the peers that speak V2 call the one model they serve."""


def encode_seldon(form: Form, array: Array) -> bytes:
    """A SeldonMessage."""
    if form is Form.NDARRAY:
        return encode_field(DATA, encode_field(NDARRAY, _encode_list(array.tolist())))
    tensor = encode_packed(SHAPE, array.shape) + encode_field(VALUES, array.astype("<f8").tobytes())
    return encode_field(DATA, encode_field(TENSOR, tensor))


def decode_seldon(message: bytes) -> Array:
    """Return the array of a SeldonMessage of any payload type.

    Raises:
        ValueError: it holds no array.
    """
    data = read_bytes(memoryview(message), DATA)
    forms = {number: value for number, value in read_fields(data) if number in (TENSOR, NDARRAY)}
    match list(forms.items()):
        case [(number, memoryview() as body)] if number == TENSOR:
            shape = [size for key, value in read_fields(body) if key == SHAPE for size in read_numbers(value)]
            return _read_doubles(read_bytes(body, VALUES), shape)
        case [(_, memoryview() as body)]:
            return np.array(_decode_list(body), dtype=np.float64)
        case _:
            raise ValueError("the response has no array")


def encode_v2(_form: Form, array: Array) -> bytes:
    """A ModelInferRequest with ``fp64_contents``."""
    contents = encode_field(CONTENTS, encode_field(FP64_CONTENTS, array.astype("<f8").tobytes()))
    return _encode_v2_tensor(array, contents)


def encode_v2_raw(_form: Form, array: Array) -> bytes:
    """A ModelInferRequest with ``raw_input_contents``."""
    return _encode_v2_tensor(array, b"") + encode_field(RAW_INPUT, array.astype("<f8").tobytes())


def _encode_v2_tensor(array: Array, contents: bytes) -> bytes:
    tensor = encode_field(NAME, b"x") + encode_field(DATATYPE, b"FP64") + encode_packed(V2_SHAPE, array.shape)
    return encode_field(MODEL_NAME, V2_MODEL.encode()) + encode_field(TENSORS, tensor + contents)


def decode_v2(message: bytes) -> Array:
    """The array of a ModelInferResponse with one output of floating-point numbers, typed or raw.

    Raises:
        ValueError: it has another form.
    """
    tensor = read_bytes(memoryview(message), TENSORS)
    shape = [size for key, value in read_fields(tensor) if key == V2_SHAPE for size in read_numbers(value)]
    if any(number == RAW_OUTPUT for number, _ in read_fields(memoryview(message))):
        return _read_doubles(read_bytes(memoryview(message), RAW_OUTPUT), shape)
    contents = read_bytes(tensor, CONTENTS)
    if bytes(read_bytes(tensor, DATATYPE)) == b"FP32":
        return np.frombuffer(read_bytes(contents, FP32_CONTENTS), dtype="<f4").astype(np.float64).reshape(shape)
    return _read_doubles(read_bytes(contents, FP64_CONTENTS), shape)


def _read_doubles(packed: memoryview, shape: list[int]) -> Array:
    return np.frombuffer(packed, dtype="<f8").reshape(shape)


def _encode_list(items: list[Any]) -> bytes:
    return b"".join(encode_field(LIST_VALUES, _encode_value(item)) for item in items)


def _encode_value(item: Any) -> bytes:
    if isinstance(item, list):
        return encode_field(LIST_VALUE, _encode_list(item))
    return protowire.encode_varint(NUMBER_VALUE << 3 | protowire.FIXED64) + struct.pack("<d", item)


def _decode_list(message: memoryview) -> list[Any]:
    return [_decode_value(value) for _, value in read_fields(message)]


def _decode_value(message: Value) -> Any:
    assert isinstance(message, memoryview)
    ((number, value),) = read_fields(message)
    if number == LIST_VALUE and isinstance(value, memoryview):
        return _decode_list(value)
    if number == NUMBER_VALUE and isinstance(value, memoryview):
        return struct.unpack("<d", value)[0]
    raise ValueError("an element is no number")

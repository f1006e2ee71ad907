"""TensorFlow's tensors to arrays and back, as TensorFlow itself converts them; it need not be installed.

Source: contract sections 1.2 and 4.4.
"""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np

from seldon_spec.errors import PayloadError, UnwritableResult
from seldon_spec.inference.arrays import MAX_DIMENSIONS, MAX_EMPTY_DIMENSION, Array, fill_masked
from seldon_spec.protocols.seldon_v1.proto import TensorProto

PADDED_BYTES_ALWAYS = 1 << 20
"""How large a tensor may grow by repeating its last value, whatever its message holds."""

# number in the enum DataType, numpy's name, the member with its values where there is no tensor_content
_TYPES = (
    (1, "float32", "float_val"),
    (2, "float64", "double_val"),
    (3, "int32", "int_val"),
    (4, "uint8", "int_val"),
    (5, "int16", "int_val"),
    (6, "int8", "int_val"),
    (8, "complex64", "scomplex_val"),
    (9, "int64", "int64_val"),
    (10, "bool", "bool_val"),
    (17, "uint16", "int_val"),
    (18, "complex128", "dcomplex_val"),
    (19, "float16", "half_val"),
    (22, "uint32", "uint32_val"),
    (23, "uint64", "uint64_val"),
)
_BY_NUMBER = {number: (np.dtype(name), member) for number, name, member in _TYPES}
_BY_DTYPE = {np.dtype(name): (number, member) for number, name, member in _TYPES}
_STRING, _BFLOAT16 = 7, 14
_REFERENCE = 100  # a type's number as a reference is this much higher
_BITS = np.dtype("uint16")


def decode_tftensor(tensor: Any, allowance: int = PADDED_BYTES_ALWAYS) -> Array:
    """Turn a TensorProto into an array.

    Args:
        tensor: the message.
        allowance: how many bytes an array may have that is padded with its last value.

    Returns:
        A writable array that owns its memory, of the tensor's type; a bfloat16 becomes float32, which holds all its
        values, and strings are an array of objects of type bytes.

    Raises:
        PayloadError: the type is none that an array can hold, or the values do not fit the shape.
    """
    number = tensor.dtype - _REFERENCE if tensor.dtype > _REFERENCE else tensor.dtype
    shape = _shape_of(tensor)
    if number == _STRING:
        return _fill(_bytes_array(tensor), shape, allowance)
    if number == _BFLOAT16:
        patterns = _fill(_flat_values(tensor, _BITS, "half_val"), shape, allowance)
        return np.asarray((patterns.astype(np.uint32) << 16).view(np.float32))
    if number not in _BY_NUMBER:
        raise PayloadError(f"data.tftensor has a dtype that is not read here: {tensor.dtype}")
    dtype, member = _BY_NUMBER[number]
    return _fill(_flat_values(tensor, dtype, member), shape, allowance)


def _shape_of(tensor: Any) -> tuple[int, ...]:
    sizes = tuple(dim.size for dim in tensor.tensor_shape.dim)
    if tensor.tensor_shape.unknown_rank or min(sizes, default=0) < 0:
        raise PayloadError("data.tftensor has no definite shape")
    if len(sizes) > MAX_DIMENSIONS:
        raise PayloadError(f"data.tftensor has more than {MAX_DIMENSIONS} dimensions")
    if 0 in sizes and max(sizes) > MAX_EMPTY_DIMENSION:
        raise PayloadError(f"an empty data.tftensor has a size above {MAX_EMPTY_DIMENSION}")
    return sizes


def _bytes_array(tensor: Any) -> Array:
    if tensor.tensor_content:
        raise PayloadError("a data.tftensor of strings has them in string_val")
    flat = np.empty(len(tensor.string_val), dtype=object)
    flat[:] = list(tensor.string_val)
    return flat


def _flat_values(tensor: Any, dtype: np.dtype[Any], member: str) -> Array:
    if tensor.tensor_content:
        return _from_content(tensor.tensor_content, dtype, _count_of(tensor))
    values = getattr(tensor, member)
    if member == "half_val":
        return np.array(values, dtype=np.int32).astype(_BITS).view(dtype)
    if member == "int_val":  # its numbers are 32 bits wide, the tensor's may be fewer
        return np.array(values, dtype=np.int32).astype(dtype)
    if dtype.kind == "c":
        if len(values) % 2:
            raise PayloadError("data.tftensor has half a complex number")
        return np.array(values, dtype=dtype.char.lower()).view(dtype)
    return np.array(values, dtype=dtype)


def _count_of(tensor: Any) -> int:
    return math.prod(dim.size for dim in tensor.tensor_shape.dim)


def _from_content(content: bytes, dtype: np.dtype[Any], count: int) -> Array:
    if len(content) != count * dtype.itemsize:
        raise PayloadError(f"data.tftensor's content has {len(content)} bytes, not {count * dtype.itemsize}")
    flat = np.frombuffer(content, dtype=dtype.newbyteorder("<"))
    return flat.astype(dtype)  # a copy, writable and in this machine's byte order


def _fill(flat: Array, shape: tuple[int, ...], allowance: int) -> Array:
    """Give the values their shape; missing ones are the last one again, or zeros where there is none."""
    count = math.prod(shape)
    if flat.size > count:
        raise PayloadError(f"data.tftensor has {flat.size} values for the shape {list(shape)}")
    if flat.size < count:
        if count * flat.itemsize > allowance:
            raise PayloadError(
                f"data.tftensor of shape {list(shape)} holds only {flat.size} values; send them all, in tensorContent"
            )
        last: Any = flat[-1] if flat.size else (b"" if flat.dtype == object else 0)
        padding = np.full(count - flat.size, last, dtype=flat.dtype)
        flat = np.concatenate([flat, padding])
    return flat.reshape(shape)


def encode_tftensor(array: Array) -> Any:
    """Turn an array of numbers into a TensorProto.

    Returns:
        The message: more than one element is in ``tensor_content`` (complex numbers in their list), a single one
        in the list of its type.

    Raises:
        UnwritableResult: TensorFlow has no type for it.
    """
    array = fill_masked(array)
    native = array.dtype.newbyteorder("=")
    if native not in _BY_DTYPE:
        raise UnwritableResult(f"the result's type {array.dtype} has no form in a tftensor")
    number, member = _BY_DTYPE[native]
    tensor = TensorProto(dtype=number)
    tensor.tensor_shape.SetInParent()
    for size in array.shape:
        tensor.tensor_shape.dim.add(size=size)
    values = np.ascontiguousarray(array, dtype=native).ravel()
    if native.kind == "c":
        getattr(tensor, member).extend(values.view(native.char.lower()).tolist())
    elif values.size > 1:
        little = values.astype(native.newbyteorder("<")) if sys.byteorder == "big" else values
        tensor.tensor_content = little.tobytes()
    else:
        getattr(tensor, member).extend((values.view(_BITS) if member == "half_val" else values).tolist())
    return tensor

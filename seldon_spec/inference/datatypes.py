"""The datatypes of named tensors: names, widths and numpy types."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from seldon_spec.errors import PayloadError, ResultError
from seldon_spec.inference.arrays import MAX_DIMENSIONS, MAX_EMPTY_DIMENSION, Array

_INTEGERS = frozenset({int})
_MAX_SIZE = (1 << 63) - 1  # a product of larger ones can have too many digits for Python to show it


@dataclass(frozen=True, slots=True)
class Datatype:
    """A datatype of the protocol.

    Attributes:
        name: as it is on the wire.
        dtype: numpy's type in little-endian order; ``object`` for BYTES, whose elements are ``bytes``.
        size: bytes of an element in binary form; 0 for BYTES, whose elements differ in length.
        limits: the smallest and the largest integer; None: it holds no integers.
    """

    name: str
    dtype: np.dtype[Any]
    size: int
    limits: tuple[int, int] | None = None


def _integer(name: str, kind: str) -> Datatype:
    dtype = np.dtype(kind)
    info = np.iinfo(dtype)
    return Datatype(name, dtype, dtype.itemsize, (int(info.min), int(info.max)))


BYTES = Datatype("BYTES", np.dtype(object), 0)
BOOL = Datatype("BOOL", np.dtype("?"), 1)

_NUMERIC = (
    _integer("INT8", "<i1"),
    _integer("INT16", "<i2"),
    _integer("INT32", "<i4"),
    _integer("INT64", "<i8"),
    _integer("UINT8", "<u1"),
    _integer("UINT16", "<u2"),
    _integer("UINT32", "<u4"),
    _integer("UINT64", "<u8"),
    Datatype("FP16", np.dtype("<f2"), 2),
    Datatype("FP32", np.dtype("<f4"), 4),
    Datatype("FP64", np.dtype("<f8"), 8),
)
_BY_NAME = {datatype.name: datatype for datatype in (BOOL, *_NUMERIC, BYTES)}
_BY_DTYPE = {datatype.dtype: datatype for datatype in (BOOL, *_NUMERIC)}

NAMES = (*_BY_NAME, "BF16")


@cache
def _bf16() -> Datatype:
    """Make BF16's entry: elements are of ml_dtypes' type where that is installed, else their 16 bits as ``uint16``."""
    try:
        from ml_dtypes import bfloat16  # not at the top: few models need it
    except ImportError:
        return Datatype("BF16", np.dtype("<u2"), 2)
    return Datatype("BF16", np.dtype(bfloat16), 2)


def find_datatype(name: object) -> Datatype:
    """Return the datatype of a name.

    Raises:
        PayloadError: the protocol has none of that name.
    """
    found = _BY_NAME.get(name) if isinstance(name, str) else None
    if found is not None:
        return found
    if name == "BF16":
        return _bf16()
    raise PayloadError(f"unknown datatype {name!r:.40}; it is one of {', '.join(NAMES)}")


def datatype_of(array: Array, name: str) -> Datatype:
    """Return the datatype that an array is sent as; text and dates are BYTES.

    Args:
        array: the array.
        name: of the output, for messages.

    Raises:
        ResultError: the protocol has no datatype for it.
    """
    dtype = array.dtype
    found = _BY_DTYPE.get(dtype)
    if found is not None:
        return found
    if not dtype.isnative:
        found = _BY_DTYPE.get(dtype.newbyteorder("="))
    if found is not None:
        return found
    if dtype.kind in "OUSM":
        return BYTES
    if dtype.name == "bfloat16":
        return _bf16()
    raise ResultError(f"output {name!r:.100} has the type {dtype}, which no datatype of the protocol can hold")


def cast_floats(array: Array, datatype: Datatype) -> Array:
    """Return floats as elements of a datatype of floats, rounded to the nearest value.

    Raises:
        OverflowError: a finite value is outside the range of the datatype.
    """
    if array.dtype == datatype.dtype:
        return array
    with np.errstate(over="ignore"):
        narrow = array.astype(np.float32 if datatype.name == "BF16" else datatype.dtype)
    wide = narrow
    if datatype.name == "BF16":
        narrow = _round_to_bf16(narrow)
        wide, narrow = widen_bf16(narrow), narrow.view(datatype.dtype)
    if (np.isinf(wide) & np.isfinite(array)).any():
        raise OverflowError
    return narrow


def _round_to_bf16(array: Array) -> Array:
    """Return the bits of BF16 elements, as uint16, that are nearest to float32 elements; ties go to the even one."""
    bits = array.astype("<f4", copy=False).view(np.uint32)
    rounded = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)
    quiet = (bits >> np.uint32(16)) | np.uint32(0x40)  # rounding must not make a NaN infinite
    chosen: Array = np.where(np.isnan(array), quiet, rounded).astype("<u2")
    return chosen


def widen_bf16(array: Array) -> Array:
    """Return BF16 elements, given as their bits or as ml_dtypes' type, as float32."""
    wide: Array = (array.view("<u2").astype(np.uint32) << np.uint32(16)).view(np.float32)
    return wide


def check_shape(shape: object, name: str) -> list[int]:
    """Return the shape of a tensor of a request, whose sizes are integers of 0 and more.

    Raises:
        PayloadError: it is none, or has too many dimensions or too large ones.
    """
    if not isinstance(shape, list) or not _INTEGERS.issuperset(map(type, shape)):
        raise PayloadError(f"input {name!r:.100}: the shape is not a list of integers")
    if len(shape) > MAX_DIMENSIONS:
        raise PayloadError(f"input {name!r:.100}: the shape has more than {MAX_DIMENSIONS} dimensions")
    if shape and max(shape) > _MAX_SIZE:
        raise PayloadError(f"input {name!r:.100}: the shape has a size above {_MAX_SIZE}")
    if shape and min(shape) < 0:
        raise PayloadError(f"input {name!r:.100}: the shape {shape} has a negative size")
    return shape


def check_count(shape: list[int], count: int, name: str) -> None:
    """Check that a shape has as many elements as a tensor has values.

    Raises:
        PayloadError: it has not.
    """
    if math.prod(shape) != count:
        raise PayloadError(f"input {name!r:.100}: the shape {shape} does not fit its {count} values")
    if not count and shape and max(shape) > MAX_EMPTY_DIMENSION:
        raise PayloadError(f"input {name!r:.100}: the empty shape {shape} has a size above {MAX_EMPTY_DIMENSION}")

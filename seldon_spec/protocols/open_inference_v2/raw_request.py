"""A request that is nothing but the bytes of the only input (``Inference-Header-Content-Length: 0``)."""

from __future__ import annotations

import math
from collections.abc import Sequence

from seldon_spec.config.contract import TensorSpec
from seldon_spec.errors import PayloadError
from seldon_spec.inference.datatypes import BYTES, find_datatype
from seldon_spec.inference.message import Tensor
from seldon_spec.protocols.open_inference_v2.binary import Raw, make_objects, read_binary

_VARIABLE = -1


def read_raw_request(raw: Raw, inputs: Sequence[TensorSpec]) -> Tensor:
    """Read the only input, which has the declared type and shape.

    Args:
        raw: its bytes; those of BYTES are one element, without its length.
        inputs: as declared; the first dimension is that of the batch, which has one row.

    Raises:
        PayloadError: there is not one declared input, its shape has more than one variable size besides the batch, or
            the bytes do not fit it.
    """
    if len(inputs) != 1:
        raise PayloadError("a request without JSON needs a model with one declared input")
    (declared,) = inputs
    datatype, sizes = find_datatype(declared.datatype), list(declared.shape)
    if sizes and sizes[0] == _VARIABLE:
        sizes[0] = 1
    if datatype is BYTES:
        if any(size not in (1, _VARIABLE) for size in sizes):
            raise PayloadError(f"input {declared.name!r}: a request without JSON has one element")
        return Tensor(declared.name, make_objects([bytes(raw)]).reshape([1] * len(sizes)), datatype.name)
    if sizes.count(_VARIABLE) > 1:
        raise PayloadError(f"input {declared.name!r}: the shape {list(declared.shape)} has two variable sizes")
    if _VARIABLE in sizes:
        width = math.prod(size for size in sizes if size != _VARIABLE) * datatype.size
        sizes[sizes.index(_VARIABLE)] = len(raw) // width if width else 0
    return Tensor(declared.name, read_binary(datatype, sizes, raw, declared.name), datatype.name)

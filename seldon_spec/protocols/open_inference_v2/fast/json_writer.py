"""A response as JSON with binary data behind it; orjson writes the numbers."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
import orjson

from seldon_spec.inference.arrays import Array
from seldon_spec.inference.datatypes import BOOL, BYTES, Datatype, find_datatype, widen_bf16
from seldon_spec.inference.image_files import encode_images, is_image_type
from seldon_spec.inference.message import Tensor
from seldon_spec.protocols.open_inference_v2.binary import write_binary
from seldon_spec.protocols.open_inference_v2.values import plain_values

OutputForm: TypeAlias = "bool | Sequence[bool]"
"""Whether outputs are binary: one value for all, or one for each."""

_FEW = 32  # for so few numbers Python is faster than numpy
_EXACT = frozenset({"FP64", "INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64"})
"""The datatypes whose numbers have the same digits as Python's."""


def write_json(value: object) -> bytes:
    """Write a JSON value whose numbers are finite."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)
    except TypeError:  # half a surrogate pair, or an integer beyond 64 bits
        return json.dumps(value, separators=(",", ":"), default=_to_list).encode()


def _to_list(array: Array) -> Any:
    return array.tolist()


def write_short(model_name: str, version: str | None, tensors: Sequence[Tensor]) -> bytes | None:
    """Write a response without ID and parameters, if it has one output of few numbers; return None otherwise."""
    if len(tensors) != 1:
        return None
    tensor = tensors[0]
    datatype, array = tensor.datatype, tensor.array
    if tensor.parameters or array.size > _FEW or datatype not in _EXACT:
        return None
    values = orjson.dumps(array.ravel().tolist())
    if b"null" in values:  # orjson's form of NaN and infinity
        return None
    return b"".join((_short_head(model_name, version, tensor.name, datatype, array.shape), values, b"}]}"))


@lru_cache(maxsize=256)
def _short_head(model_name: str, version: str | None, name: str, datatype: str, shape: tuple[int, ...]) -> bytes:
    """Return a response with one output, up to its numbers."""
    head = {"model_name": model_name} if version is None else {"model_name": model_name, "model_version": version}
    text = write_json({**head, "outputs": [{"name": name, "shape": shape, "datatype": datatype, "data": []}]})
    return text.removesuffix(b"[]}]}")


def write_response(
    head: dict[str, Any], tensors: Sequence[Tensor], forms: OutputForm, member: str = "outputs"
) -> tuple[list[bytes | memoryview], int | None]:
    """Write a response.

    Args:
        head: its other members.
        tensors: its outputs.
        forms: which of them are binary.
        member: the name of the list of outputs.

    Returns:
        The parts of the body, and the length of its JSON, which is the first one; None: all of it is JSON.

    Raises:
        PayloadError: a tensor has no form in JSON.
    """
    outputs: list[dict[str, Any]] = []
    binary: list[bytes | memoryview] = []
    for index, tensor in enumerate(tensors):
        datatype = find_datatype(tensor.datatype)
        output: dict[str, Any] = {"name": tensor.name, "shape": tensor.array.shape, "datatype": tensor.datatype}
        if forms if isinstance(forms, bool) else forms[index]:
            raw = write_binary(tensor.array, datatype)
            binary.append(raw)
            output["parameters"] = {**tensor.parameters, "binary_data_size": len(raw)}
        else:
            if tensor.parameters:
                output["parameters"] = tensor.parameters
            array = tensor.array
            if datatype is BYTES and is_image_type(tensor.parameters.get("content_type")):
                array = encode_images(array)
            output["data"] = _values(array, datatype, tensor.name)
        outputs.append(output)
    text = write_json({**head, member: outputs})
    if not binary:
        return [text], None
    return [text, *binary], len(text)


def _values(array: Array, datatype: Datatype, name: str) -> Any:
    """Return the values for ``write_json``: an array where orjson writes it as JSON has it."""
    if datatype is BYTES:
        return plain_values(array, datatype, name)
    if array.size <= _FEW and (datatype.size == 8 or datatype.limits is not None or datatype is BOOL):
        values: list[Any] = array.ravel().tolist()
        if datatype.limits is not None or datatype is BOOL or all(map(math.isfinite, values)):
            return values
        return plain_values(array, datatype, name)
    if datatype.limits is None and datatype is not BOOL:
        if datatype.size == 2:
            array = widen_bf16(array) if datatype.name == "BF16" else array.astype(np.float32)
        if not np.isfinite(array).all():
            return plain_values(array, find_datatype("FP32" if array.itemsize == 4 else "FP64"), name)
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    return np.ascontiguousarray(array).reshape(-1)

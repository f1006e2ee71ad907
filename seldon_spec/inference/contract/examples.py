"""The kinds of declared inputs, and example values for them: those of the contract, or values within its bounds.

Values are those of JSON: an element of BYTES is text, and a file such as an image is base64.
"""

from __future__ import annotations

import base64
import math
import struct
import zlib
from collections.abc import Sequence
from dataclasses import replace
from enum import Enum
from typing import Any, cast

from seldon_spec.config.contract import Scalar, TensorSpec

_TEXTS = {
    "base64": base64.b64encode(b"data").decode(),
    "datetime": "2024-01-31T12:00:00Z",
    "json": "{}",
}
"""The example of an element of BYTES for its content type; of others it is plain text."""

_IMAGE_SIZE = 32


class ContractKind(Enum):
    """The form of the declared inputs.

    Attributes:
        COLUMNS: one input of two dimensions with named columns of one datatype.
        TABLE: several inputs of shape [-1] or [-1, 1], each a column with its own datatype.
        TENSORS: any other inputs.
    """

    COLUMNS = "columns"
    TABLE = "table"
    TENSORS = "tensors"


def kind_of(inputs: Sequence[TensorSpec]) -> ContractKind | None:
    """Return the kind of the inputs; None if none are declared."""
    if not inputs:
        return None
    if len(inputs) == 1:
        return ContractKind.COLUMNS if inputs[0].columns else ContractKind.TENSORS
    is_table = all(tensor.shape in ((-1,), (-1, 1)) for tensor in inputs)
    return ContractKind.TABLE if is_table else ContractKind.TENSORS


def list_columns(tensors: Sequence[TensorSpec]) -> tuple[TensorSpec, ...]:
    """Return each column as a tensor of shape [-1] with the column's own rules.

    Args:
        tensors: of kind COLUMNS or TABLE.
    """
    if kind_of(tensors) is not ContractKind.COLUMNS:
        return tuple(replace(tensor, shape=(-1,), example=_first(_declared_array(tensor))) for tensor in tensors)
    (tensor,) = tensors
    examples = _declared_array(tensor)
    row = examples[0] if examples and len(examples[0]) == len(tensor.columns) else [None] * len(tensor.columns)
    return tuple(
        replace(
            tensor,
            name=column.name,
            shape=(-1,),
            columns=(),
            optional=tensor.optional or column.optional,
            minimum=tensor.minimum if column.minimum is None else column.minimum,
            maximum=tensor.maximum if column.maximum is None else column.maximum,
            choices=column.choices or tensor.choices,
            example=value if column.example is None else column.example,
            description=column.description,
        )
        for column, value in zip(tensor.columns, row, strict=True)
    )


def example_row(inputs: Sequence[TensorSpec]) -> list[Scalar]:
    """Return a value for each column.

    Args:
        inputs: of kind COLUMNS or TABLE.
    """
    return [_first(example_array(column)) for column in list_columns(inputs)]


def example_array(tensor: TensorSpec) -> Any:
    """Return nested lists of the declared shape, in which a size of -1 is 1 unless the contract has an example.

    Returns:
        A single value for the shape [].
    """
    if tensor.columns:
        row = example_row([tensor])
        return [list(row) for _ in range(_size(tensor.shape[0]))]
    declared = _declared_array(tensor)
    if declared is not None:
        return declared
    return _fill(tensor.shape, example_value(tensor))


def example_tensor(tensor: TensorSpec) -> tuple[list[int], list[Scalar]]:
    """Return the shape of ``example_array`` and its values in row-major order."""
    shape, level = [], [example_array(tensor)]
    for size in tensor.shape:
        shape.append(len(level[0]) if level else _size(size))
        level = [value for values in level for value in values]
    return shape, level


def example_value(tensor: TensorSpec) -> Scalar:
    """Return an element that the datatype, the bounds and the choices allow; the middle of a range."""
    if tensor.choices:
        return tensor.choices[0]
    if tensor.datatype == "BOOL":
        return True
    if tensor.datatype == "BYTES":
        content_type = tensor.content_type or "str"
        if content_type.startswith("image/"):
            return base64.b64encode(make_png()).decode()
        return _TEXTS.get(content_type, "text")
    from seldon_spec.inference.datatypes import find_datatype  # not at the top: it loads numpy

    limits = find_datatype(tensor.datatype).limits
    low, high = tensor.minimum, tensor.maximum
    if limits is not None:
        low = None if low is None else math.ceil(max(low, limits[0]))
        high = None if high is None else math.floor(min(high, limits[1]))
    if low is not None and high is not None:
        return (low + high) // 2 if limits is not None else low / 2 + high / 2
    one = 1 if limits is not None else 1.0
    if low is not None:
        return max(low, one)
    return one if high is None else min(high, one)


def make_png() -> bytes:
    """Return a small image in PNG: a grey square in RGB."""
    header = struct.pack(">IIBBBBB", _IMAGE_SIZE, _IMAGE_SIZE, 8, 2, 0, 0, 0)
    line = b"\0" + b"\x80\x80\x80" * _IMAGE_SIZE
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(line * _IMAGE_SIZE)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )


def _declared_array(tensor: TensorSpec) -> list[Any] | None:
    """Return the contract's example, its first row if the number of rows is free; None if there is none."""
    example: Any = tensor.example
    depth, value = 0, example
    while isinstance(value, (list, tuple)):
        depth, value = depth + 1, value[0] if value else None
    if value is None:
        return None
    array, rank = _to_lists(example), len(tensor.shape)
    if depth == rank and tensor.shape[:1] == (-1,):
        array = array[:1]
    for _ in range(depth, rank):
        array = [array]
    return cast("list[Any]", array) if depth <= rank else None


def _to_lists(value: Any) -> Any:
    return [_to_lists(item) for item in value] if isinstance(value, (list, tuple)) else value


def _fill(shape: Sequence[int], value: Scalar) -> Any:
    if not shape:
        return value
    return [_fill(shape[1:], value) for _ in range(_size(shape[0]))]


def _size(size: int) -> int:
    return 1 if size == -1 else size


def _first(nested: Any) -> Any:
    while isinstance(nested, list):
        nested = nested[0]
    return nested

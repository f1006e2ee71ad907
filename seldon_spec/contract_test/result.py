"""The outputs of a response, the same for every protocol, and how they are compared."""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from seldon_spec.contract_test.case import nest
from seldon_spec.errors import PayloadError
from seldon_spec.inference.message import Tensor

TOLERANCE = 1e-6
"""The relative difference of floats between two protocols."""

_TOLERANCES = {"FP16": 1e-2, "BF16": 1e-1, "FP32": 1e-5}
"""Of narrower datatypes, which one protocol may compute in and another not."""


class BadResponse(Exception):
    """A response of the status OK is malformed."""


@dataclass(frozen=True, slots=True)
class Output:
    """An array of a response.

    Attributes:
        name: None: the protocol sends none.
        datatype: of the Open Inference Protocol; None: the protocol sends none.
        items: row-major; the elements of BYTES are text if they are UTF-8.
        columns: the names of the columns; empty: none are sent.
        is_one_of: whether the protocol sends only this one of the outputs of a model file.
    """

    name: str | None
    datatype: str | None
    shape: tuple[int, ...]
    items: tuple[Any, ...]
    columns: tuple[str, ...] = ()
    is_one_of: bool = False


Result = tuple[Output, ...]
"""The outputs of a response."""


def read_tree(tree: Any) -> Result:
    """Return the outputs of a message of Seldon's protocol.

    Raises:
        BadResponse: it has no payload, or a malformed one.
    """
    if not isinstance(tree, dict):
        raise BadResponse("the response is not a JSON object")
    if "data" in tree:
        return (_read_data(tree["data"]),)
    if "strData" in tree:
        return (Output(None, "BYTES", (1,), (tree["strData"],)),)
    if "binData" in tree:
        try:
            return (Output(None, "BYTES", (1,), (_to_text(base64.b64decode(tree["binData"], validate=True)),)),)
        except (binascii.Error, TypeError, ValueError) as error:
            raise BadResponse(f"binData is not base64: {error}") from error
    if "jsonData" in tree:
        return _read_json(tree["jsonData"])
    raise BadResponse("the response has none of data, strData, binData and jsonData")


def _read_data(data: Any) -> Output:
    if not isinstance(data, dict):
        raise BadResponse("data is not an object")
    names = tuple(map(str, data.get("names") or ()))
    is_default = all(name == f"t:{index}" for index, name in enumerate(names))
    columns = () if is_default else names
    if "tensor" in data:
        tensor = data["tensor"]
        shape, items = tuple(map(int, tensor.get("shape") or ())), tuple(tensor.get("values") or ())
        if math.prod(shape) != len(items):
            raise BadResponse(f"data.tensor has the shape {list(shape)} and {len(items)} values")
        return Output(None, None, shape, items, columns)
    shape, items = flatten(data.get("ndarray", []))
    return Output(None, None, shape, items, columns)


def _read_json(value: Any) -> Result:
    """Return an object of lists as one output for each, and any other value as a single item."""
    if isinstance(value, dict) and value and all(isinstance(each, list) for each in value.values()):
        return tuple(Output(name, None, *flatten(each)) for name, each in value.items())
    return (Output(None, None, (1,), (value,)),)


def flatten(value: Any) -> tuple[tuple[int, ...], tuple[Any, ...]]:
    """Return the shape and the items of nested lists; lists that differ in length are items themselves."""
    shape: list[int] = []
    level: list[Any] = [value]
    while level and all(isinstance(item, list) for item in level) and len({len(item) for item in level}) == 1:
        shape.append(len(level[0]))
        level = [child for item in level for child in item]
    return tuple(shape), tuple(level)


def read_tensors(tensors: Sequence[Tensor]) -> Result:
    """Return the outputs of a response of the Open Inference Protocol."""
    return tuple(_read_tensor(tensor) for tensor in tensors)


def _read_tensor(tensor: Tensor) -> Output:
    items = tensor.array.ravel().tolist()
    if tensor.datatype == "BYTES":
        items = [_to_text(item) for item in items]
        if tensor.parameters.get("content_type") == "json":
            try:
                items = [json.loads(item) for item in items]
            except ValueError as error:
                raise BadResponse(f"output {tensor.name!r} is not JSON: {error}") from error
    columns: Any = tensor.parameters.get("names")
    return Output(
        tensor.name,
        tensor.datatype,
        tensor.array.shape,
        tuple(items),
        tuple(json.loads(columns)) if isinstance(columns, str) else (),
    )


def _to_text(value: bytes) -> str | bytes:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value


def split_columns(output: Output, names: Sequence[str]) -> Result:
    """Return the columns of an array as outputs; the names of its own columns take precedence if they are the same."""
    width = output.shape[1]
    known = output.columns if set(output.columns) == set(names) else names
    return tuple(
        Output(name, output.datatype, output.shape[:1], output.items[index::width]) for index, name in enumerate(known)
    )


def find_difference(first: Result, second: Result) -> str | None:
    """Return how two responses to the same request differ; None if they are equal."""
    first, second = _align(first, second)
    if len(first) != len(second):
        return f"{len(first)} outputs and {len(second)} outputs"
    for one, other in zip(first, second, strict=True):
        label = one.name or other.name or "the result"
        if _columns_shape(one.shape) != _columns_shape(other.shape):
            return f"{label}: the shape {list(one.shape)} and the shape {list(other.shape)}"
        tolerance = max(_TOLERANCES.get(output.datatype or "", TOLERANCE) for output in (one, other))
        scale = max((abs(v) for v in (*one.items, *other.items) if _is_finite(v)), default=0.0)
        for index, (left, right) in enumerate(zip(one.items, other.items, strict=True)):
            if not is_equal(left, right, tolerance, scale):
                where = [] if len(one.items) == 1 else list(_unravel(index, one.shape))
                return f"{label}{where or ''}: {_show(left)} and {_show(right)}"
    return None


def _align(first: Result, second: Result) -> tuple[Result, Result]:
    """Return both results with the same number of outputs in the same order, where that is possible."""
    for one, other in ((first, second), (second, first)):
        named = [output for output in other if len(one) == 1 and one[0].is_one_of and output.name == one[0].name]
        if named:
            return (one, tuple(named)) if one is first else (tuple(named), one)
        if len(one) == 1 and len(other) > 1 and len(one[0].shape) == 2 and one[0].shape[1] == len(other):
            split = split_columns(one[0], [output.name or "" for output in other])
            return (split, _order(other, split)) if one is first else (_order(other, split), split)
    return first, _order(second, first)


def _order(result: Result, like: Result) -> Result:
    by_name = {output.name: output for output in result}
    names = [output.name for output in like]
    return tuple(by_name[name] for name in names) if set(names) == set(by_name) and None not in by_name else result


def _columns_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    return shape[:1] if len(shape) == 2 and shape[1] == 1 else shape


def _unravel(index: int, shape: Sequence[int]) -> Sequence[int]:
    at: list[int] = []
    for size in reversed(shape):
        at.insert(0, index % size)
        index //= size
    return at


def _is_finite(value: Any) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)


def is_equal(left: Any, right: Any, tolerance: float = TOLERANCE, scale: float = 0.0) -> bool:
    """Return whether two items are equal: integers and text exactly, floats with a relative tolerance.

    Args:
        left, right: the items; objects and lists are compared item by item. NaN equals NaN and None.
        tolerance: relative to the larger one, or to ``scale``.
        scale: the largest number of the array: a sum of large numbers has large rounding errors.
    """
    left, right = _nan_to_none(left), _nan_to_none(right)
    if isinstance(left, float) or isinstance(right, float):
        if not (isinstance(left, (int, float)) and isinstance(right, (int, float))):
            return False
        return math.isclose(left, right, rel_tol=tolerance, abs_tol=min(scale, 1e300) * tolerance)
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return left.keys() == right.keys() and all(is_equal(left[key], right[key], tolerance) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(is_equal(a, b, tolerance) for a, b in zip(left, right, strict=True))
    return bool(left == right)


def _nan_to_none(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value


def _show(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=repr)
    return text if len(text) <= 80 else f"{text[:80]}..."


def show_result(result: Result) -> str:
    """Return outputs as short text."""
    parts = [
        f"{output.name or 'data'}{list(output.shape)} {_show(nest(output.items, output.shape))}" for output in result
    ]
    return "; ".join(parts)


def match_declared(result: Result, names: Sequence[str]) -> Result | None:
    """Return the outputs of a message of Seldon's protocol under their declared names; None if they do not match."""
    if len(names) == 1 and len(result) == 1:
        return (replace(result[0], name=names[0]),)
    if len(result) == 1 and len(result[0].shape) == 2 and result[0].shape[1] == len(names):
        return split_columns(result[0], names)
    if {output.name for output in result} == set(names):
        return result
    return None


def read_error(error: PayloadError) -> BadResponse:
    """Return the error for a response that the reader of requests rejects."""
    return BadResponse(str(error).replace("input ", "output "))

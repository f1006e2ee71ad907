"""What the lines of an input are, and the requests that are made of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
import orjson
from google.protobuf.message import DecodeError

from seldon_spec.batch.processor.lines import NumberedLines
from seldon_spec.compat import prediction_pb2
from seldon_spec.compat.conversion import (
    array_to_grpc_datadef,
    array_to_rest_datadef,
    json_to_feedback,
    json_to_seldon_message,
    seldon_message_to_json,
)
from seldon_spec.inference.arrays import Array
from seldon_spec.inference.component.contract import SeldonMicroserviceException


class DataType(str, Enum):
    """What a line is: an array, a member of a message, or a whole message."""

    DATA = "data"
    JSON = "json"
    STR = "str"
    RAW = "raw"


class Method(str, Enum):
    """What a line is sent to."""

    PREDICT = "predict"
    FEEDBACK = "feedback"


@dataclass(frozen=True, slots=True)
class Form:
    """How lines are sent.

    Attributes:
        data_type: of the lines.
        method: of the deployment.
        payload_type: of arrays: ``ndarray``, ``tensor`` or ``tftensor``.
        batch_id: of the run; it is in every request.
    """

    data_type: DataType
    method: Method
    payload_type: str
    batch_id: str


@dataclass(frozen=True, slots=True)
class Prepared:
    """The request for lines.

    Attributes:
        body: the bytes.
        line_tags: for each line, the tags of its own message, which a request for several lines does not have.
    """

    body: bytes
    line_tags: Sequence[Mapping[str, Any]]


def prepare(lines: NumberedLines, form: Form, *, is_grpc: bool) -> Prepared:
    """Return the request for lines.

    Args:
        lines: one, or several that are sent together.
        form: of the request.
        is_grpc: whether it is protobuf, not JSON.

    Raises:
        ValueError: a line cannot be sent, or not with the others.
    """
    values = [parse(line) for line in lines.lines]
    tags = lines.list_tags(form.batch_id)[0] if len(values) == 1 else {"batch_id": form.batch_id}
    meta = {"meta": {"tags": tags}}
    line_tags: list[Mapping[str, Any]] = [{}] * len(values)
    try:
        if form.method is Method.FEEDBACK:
            return Prepared(_encode_feedback(_check_message(values[0]), is_grpc=is_grpc), line_tags)
        if form.data_type is DataType.RAW:
            line_tags = [_read_tags(_check_message(value)) for value in values]
            tree = _add_tags(values[0], tags) if len(values) == 1 else {**_join_messages(values), **meta}
        elif form.data_type is DataType.DATA:
            array = _join_arrays([_make_array(value) for value in values])
            if is_grpc:
                message = json_to_seldon_message(meta)
                message.data.CopyFrom(array_to_grpc_datadef(form.payload_type, array))
                return Prepared(message.SerializeToString(), line_tags)
            tree = {"data": array_to_rest_datadef(form.payload_type, array), **meta}
        else:
            tree = {"strData" if form.data_type is DataType.STR else "jsonData": values[0], **meta}
            if form.data_type is DataType.STR and not isinstance(values[0], str):
                raise ValueError("the line is not text")
        return Prepared(json_to_seldon_message(tree).SerializeToString() if is_grpc else _write_json(tree), line_tags)
    except SeldonMicroserviceException as error:
        raise ValueError(str(error)) from None


def parse(line: bytes) -> Any:
    """Return the value of JSON.

    Raises:
        ValueError: it is none.
    """
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:
        try:
            return json.loads(line)
        except RecursionError:
            raise ValueError("the line is nested too deeply") from None


def read_response(body: bytes, *, is_grpc: bool) -> dict[str, Any]:
    """Return the JSON of a response.

    Raises:
        ValueError: it is no message.
    """
    if is_grpc:
        try:
            return seldon_message_to_json(prediction_pb2.SeldonMessage.FromString(body))
        except (SeldonMicroserviceException, DecodeError) as error:
            raise ValueError(str(error)) from None
    found = parse(body)
    if not isinstance(found, dict):
        raise ValueError("it is no object")
    return found


def _write_json(tree: Any) -> bytes:
    try:
        return orjson.dumps(tree)
    except TypeError:  # an integer of more than 64 bits, or half of a surrogate pair
        return json.dumps(tree).encode()


def _encode_feedback(tree: dict[str, Any], *, is_grpc: bool) -> bytes:
    if not is_grpc:
        return _write_json(tree)
    encoded: bytes = json_to_feedback(tree).SerializeToString()
    return encoded


def _check_message(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("the line is no object")
    return value


def _read_tags(message: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the tags of a message.

    Raises:
        ValueError: they are no objects.
    """
    meta = message.get("meta") or {}
    tags = meta.get("tags") or {} if isinstance(meta, dict) else None
    if not isinstance(tags, dict):
        raise ValueError("meta or its tags are no object")
    return tags


def _add_tags(message: Mapping[str, Any], tags: Mapping[str, Any]) -> dict[str, Any]:
    meta = message.get("meta") or {}
    return {**message, "meta": {**meta, "tags": {**_read_tags(message), **tags}}}


def _make_array(value: Any) -> Array:
    """Return the array of a line; its integers are doubles, as in lists of protobuf."""
    array = np.array(value)
    return array.astype(np.float64) if array.dtype.kind in "iu" else array


def _join_arrays(arrays: Sequence[Array]) -> Array:
    """Return one array of those that have one row each; a single one may have any shape.

    Raises:
        ValueError: one of several has not one row, or they have different shapes.
    """
    if len(arrays) == 1:
        return arrays[0]
    if any(array.ndim == 0 or len(array) != 1 for array in arrays):
        raise ValueError("a line has not one row")
    if len({array.dtype.kind for array in arrays}) > 1:
        raise ValueError("the lines have values of different types")
    return np.concatenate(arrays)


def _join_messages(messages: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the payload of one message with the rows of several.

    Raises:
        ValueError: they do not have one row each of the same kind, width and names.
    """
    parts = [message.get("data") for message in messages]
    rows: list[Any] = []
    kinds = set()
    for part in parts:
        if not isinstance(part, dict):
            raise ValueError("a line has no data")
        kind, row = _read_row(part)
        kinds.add((kind, json.dumps(part.get("names"))))
        rows.append(row)
    if len(kinds) > 1:
        raise ValueError("the lines have different kinds or names")
    ((kind, names),) = kinds
    named = {} if names == "null" else {"names": json.loads(names)}
    if kind is None:
        return {"data": {**named, "ndarray": rows}}
    values = [value for row in rows for value in row]
    return {"data": {**named, "tensor": {"shape": [len(rows), *kind], "values": values}}}


def _read_row(data: Mapping[str, Any]) -> tuple[tuple[int, ...] | None, Any]:
    """Return the shape of the row of a tensor (None: of an ndarray), and its values.

    Raises:
        ValueError: it has not one row.
    """
    tensor = data.get("tensor")
    if isinstance(tensor, dict):
        shape, values = tensor.get("shape"), tensor.get("values")
        if isinstance(shape, list) and shape[:1] == [1] and isinstance(values, list):
            return tuple(shape[1:]), values
    rows = data.get("ndarray")
    if isinstance(rows, list) and len(rows) == 1:
        return None, rows[0]
    raise ValueError("a line has not one row")

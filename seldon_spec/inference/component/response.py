"""The response message for the value that a class returned: payload type, names and ``meta``.

Source: contract sections 4.2 and 4.3.
"""

from __future__ import annotations

import base64
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence, ValuesView
from typing import Any

import numpy as np

from seldon_spec.config.contract import TensorSpec
from seldon_spec.errors import PayloadError, ResultError, UnwritableResult, short_repr
from seldon_spec.inference.arrays import CACHED_WIDTH, Array, default_names, is_masked
from seldon_spec.inference.component.images import are_images, write_images
from seldon_spec.inference.component.infer import DEFAULT_OUTPUT
from seldon_spec.inference.component.tables import find_column, find_columns, has_one_type, join_columns
from seldon_spec.inference.json_default import natural_array, open_container
from seldon_spec.inference.message import (
    AggregateMessage,
    Message,
    NamedArrays,
    Operation,
    PayloadType,
    Tensor,
    TensorMessage,
)

_KEEP_META = frozenset({Operation.PREDICT, Operation.TRANSFORM_INPUT, Operation.TRANSFORM_OUTPUT, Operation.AGGREGATE})
"""The operations whose response keeps the request's ``meta``; the others keep only its puid."""

_MERGED = frozenset({"puid", "tags", "metrics", "requestPath"})

ClassNames = Callable[[Any], Any]
"""Takes the default column names; returns the class's own, or the default ones if it has none."""


def build_response_message(
    payload: Any,
    operation: Operation,
    request: Message,
    meta: dict[str, Any],
    class_names: ClassNames | None = None,
    output: TensorSpec | None = None,
) -> Message:
    """Build the message for the value that a class returned.

    Args:
        payload: the value.
        operation: the operation.
        request: the request's message.
        meta: the response's ``meta``; see ``merge_meta``.
        class_names: called only for arrays of two dimensions or more; None: the class has no ``class_names``.
        output: the only declared output, whose content type is the format of images; None: there is not one.

    Raises:
        PayloadError: the request has no message to aggregate. It is checked only here: the class gets such a request
            and its metrics are recorded, as in the original.
        ComponentFailed: ``class_names`` raised.
        ResultError: the contract does not allow the type of the value.
        UnwritableResult: the value cannot be converted to an array.
    """
    if operation is Operation.AGGREGATE and request.payload_type is PayloadType.NOTHING:
        raise PayloadError("Invalid request data type: there is no message to aggregate")
    if type(payload) is not np.ndarray and are_images(payload):
        return _image_message(payload, request, meta, output)
    if isinstance(payload, (list, np.ndarray)):
        return build_array_message(payload, request, meta, class_names)
    if isinstance(payload, dict):
        if isinstance(payload, NamedArrays):
            return _named_message(payload, request, meta)
        return Message(PayloadType.JSON, payload, None, meta)
    if isinstance(payload, (bytes, bytearray)):
        return Message(PayloadType.BINARY, payload, None, meta)
    if isinstance(payload, str):
        return Message(PayloadType.TEXT, payload, None, meta)
    if isinstance(payload, tuple):
        return build_array_message(list(payload), request, meta, class_names)
    if is_any(payload):
        return Message(PayloadType.CUSTOM, payload, None, meta)
    return _convert(payload, operation, request, meta, class_names, output)


def _convert(
    payload: Any,
    operation: Operation,
    request: Message,
    meta: dict[str, Any],
    class_names: ClassNames | None,
    output: TensorSpec | None,
) -> Message:
    """Build the message for a type of another library, or one of Python's rarer ones."""
    if isinstance(request, TensorMessage):
        if payload is None:
            return Message(PayloadType.JSON, None, None, meta)
        if isinstance(payload, (bool, int, float)):
            return build_array_message(np.asarray(payload), request, meta, None)
    if isinstance(payload, memoryview):
        return Message(PayloadType.BINARY, bytes(payload), None, meta)
    opened = open_container(payload)
    if opened is not payload:
        return build_response_message(opened, operation, request, meta, class_names, output)
    # a table of pandas or another library names its columns itself
    columns = getattr(payload, "columns", None)
    if columns is not None and hasattr(payload, "dtypes") and len(columns) and not has_one_type(payload):
        return _table_message(payload, request, meta, class_names)
    array = find_column(payload)
    if array is not None:
        message = build_array_message(array, request, meta, class_names, columns)
        message.table = None if columns is None else payload
        return message
    if isinstance(payload, (Sequence, Iterator, deque, ValuesView)):
        return build_array_message(list(payload), request, meta, class_names)
    shown = short_repr(payload)
    raise ResultError(f"Unknown data type returned as payload (must be list or np array):{shown}")


def _table_message(table: Any, request: Message, meta: dict[str, Any], class_names: ClassNames | None) -> Message:
    """Build the message for a table whose columns have types of their own."""
    columns = find_columns(table)
    message = build_array_message(join_columns(columns), request, meta, class_names, table.columns)
    message.table = table
    if len({column.dtype.kind == "f" for column in columns}) > 1 and message.payload.dtype.kind == "f":
        # integers stay integers in JSON
        message.original = [list(row) for row in zip(*[column.tolist() for column in columns], strict=True)]
    return message


def _image_message(images: Any, request: Message, meta: dict[str, Any], output: TensorSpec | None) -> Message:
    """Build the message for an image or a list of images.

    The output of a request of tensors is BYTES, of shape [N]. In Seldon's protocol an image is binary data, and several
    are an array of base64 text.
    """
    files, content_type = write_images(images, None if output is None else output.content_type)
    if isinstance(request, TensorMessage):
        name = DEFAULT_OUTPUT if output is None else output.name
        tensor = Tensor(name, files, parameters={"content_type": content_type})
        return Message(PayloadType.TENSORS, [tensor], [], meta, request.encoding)
    if not isinstance(images, (list, tuple)):
        return Message(PayloadType.BINARY, files[0], None, meta)
    texts = [base64.b64encode(file).decode("ascii") for file in files.tolist()]
    return build_array_message(np.array(texts, dtype=object), request, meta, None)


def _named_message(arrays: NamedArrays, request: Message, meta: dict[str, Any]) -> Message:
    """Build the message for named arrays.

    Without tensors in the request it is the array of one output, several of shape [N] or [N, 1] as the columns of one,
    or else an object of lists.
    """
    if isinstance(request, TensorMessage):
        sent = {
            id(tensor.array): tensor for tensor in request.payload
        }  # an input that is returned keeps its parameters
        tensors = [
            Tensor(name, array, parameters=sent[id(array)].parameters if id(array) in sent else {})
            for name, array in arrays.items()
        ]
        return Message(PayloadType.TENSORS, tensors, [], meta, request.encoding)
    values: list[Array] = list(arrays.values())
    if len(values) == 1:
        return build_array_message(values[0], request, meta, None)
    columns = [array.reshape(-1) for array in values if array.ndim == 1 or array.shape[1:] == (1,)]
    if len(columns) != len(values) or len({len(column) for column in columns}) != 1:
        return Message(PayloadType.JSON, {**arrays}, None, meta)
    if not all(column.dtype.kind in "biuf" for column in columns):
        return Message(PayloadType.JSON, {**arrays}, None, meta)
    return build_array_message(np.stack(columns, axis=1), request, meta, None, arrays)


def is_any(payload: object) -> bool:
    """Return whether a value is a ``google.protobuf.Any``, of any descriptor pool."""
    # by name: the user's Any is in another pool than ours
    descriptor = getattr(payload, "DESCRIPTOR", None)
    return getattr(descriptor, "full_name", None) == "google.protobuf.Any"


def build_array_message(
    payload: Any, request: Message, meta: dict[str, Any], class_names: ClassNames | None, columns: Any = None
) -> Message:
    """Build the message for an array or a list.

    Args:
        payload: the array or the list.
        request, meta, class_names: see ``build_response_message``.
        columns: the names of its columns, unless the class has ``class_names``; None: the default ones.

    Raises:
        ComponentFailed: ``class_names`` raised.
        UnwritableResult: the list cannot be converted to an array.
    """
    original = payload if isinstance(payload, list) else None
    array = _as_array(payload)
    if array.dtype.names is not None:  # a structured array is a table
        columns, array = array.dtype.names, np.array(array.tolist(), dtype=object)
    if array.ndim < 2:
        if class_names is not None and array.ndim and isinstance(request, TensorMessage):  # it may name the output
            return Message(PayloadType.ARRAY, array, class_names(["t:0"]), meta, request.encoding, original)
        return Message(PayloadType.ARRAY, array, [], meta, request.encoding, original, has_default_names=True)
    if columns is None and class_names is None:
        has_names = array.shape[1] <= CACHED_WIDTH or not isinstance(request, TensorMessage)  # tensors do not need them
        names: Any = default_names(array.shape[1]) if has_names else ()
        return Message(PayloadType.ARRAY, array, names, meta, request.encoding, original, has_default_names=True)
    names = list(default_names(array.shape[1])) if columns is None else [str(column) for column in columns]
    if class_names is not None:
        names = class_names(names)
    return Message(PayloadType.ARRAY, array, names, meta, request.encoding, original)


def _as_array(payload: Any) -> Array:
    if type(payload) is np.ndarray:
        array = payload
    elif isinstance(payload, list):
        array = _array_of_list(payload)
    else:
        array = payload if is_masked(payload) else np.asarray(payload)
    return natural_array(array) if array.dtype.kind in "mM" else array


def _array_of_list(items: list[Any]) -> Array:
    try:
        may_be_masked = items and isinstance(items[0], np.ndarray) and type(items[0]) is not np.ndarray
        if may_be_masked and any(map(is_masked, items)):
            return np.ma.array(items)
        return np.asarray(items)
    except (ValueError, TypeError, OverflowError, RecursionError, RuntimeError):  # lists of different lengths
        return np.fromiter(items, dtype=object, count=len(items))


def merge_meta(
    operation: Operation,
    request: Message,
    tags: Mapping[str, Any],
    metrics: Sequence[Mapping[str, Any]],
    request_path: Mapping[str, str],
) -> dict[str, Any]:
    """Merge the response's ``meta``: what the operation keeps of the request's, overridden by the component's own.

    Returns:
        ``tags``, ``metrics``, ``requestPath`` and ``puid``, without the empty ones; ``routing`` is never sent. The
            order shows where keys are not sorted.

    Raises:
        UnwritableResult: the component changed the request's ``meta`` into something unreadable.
    """
    before: Mapping[str, Any] = request.meta or {}
    if _MERGED.isdisjoint(before) and not (tags or metrics or request_path):
        return {}
    puid = before.get("puid")
    if operation not in _KEEP_META:
        before = {}
    old_tags, old_metrics, path = before.get("tags"), before.get("metrics"), before.get("requestPath")
    merged: dict[str, Any] = {}
    try:
        if old_tags and request.payload_type is PayloadType.TENSORS:
            old_tags = _without_parameters(old_tags, request)
        if old_tags or tags:
            merged["tags"] = {**(old_tags or {}), **tags}
        if old_metrics or metrics:
            merged["metrics"] = [*(old_metrics or ()), *metrics]
        if path or request_path:
            merged["requestPath"] = {**request_path, **(path or {})}
    except TypeError as error:
        raise UnwritableResult(f"the class made the request's meta unreadable: {error}") from error
    if puid:
        merged["puid"] = puid
    return merged


def _without_parameters(tags: Mapping[str, Any], request: Message) -> dict[str, Any]:
    """Return the tags that the component has set: without the parameters of a request of tensors, if unchanged."""
    parts = request.parts if isinstance(request, AggregateMessage) else (request,)
    sent: dict[str, Any] = {}
    for part in parts:
        if isinstance(part, TensorMessage):
            sent.update(part.parameters)
    return {name: value for name, value in tags.items() if name not in sent or sent[name] is not value}

"""How a result is dressed for the way back: its kind, its names and its ``meta``, the same for both wires.

Source: contract sections 4.2 and 4.3.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence, ValuesView
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from seldon_spec.errors import PayloadError, ResultError, UnwritableResult, short_repr
from seldon_spec.inference.arrays import Array, default_names, fill_masked, is_masked, is_numeric
from seldon_spec.inference.json_default import find_array, natural_array, open_container
from seldon_spec.inference.message import Message, Operation, PayloadType, Result

_CARRYING = frozenset({Operation.PREDICT, Operation.TRANSFORM_INPUT, Operation.TRANSFORM_OUTPUT, Operation.AGGREGATE})
"""The operations whose answer carries the request's ``meta`` on; the others keep only its puid."""


@dataclass(slots=True)
class ResponseMessage:
    """A dressed result.

    Attributes:
        kind: the member of the message that carries it.
        payload: an array for TENSOR, NDARRAY and TFTENSOR, else what the class returned.
        original: the list that the class returned, where it returned one and not an array.
        names: the columns' names, as the class gave them; anything at all.
        has_default_names: whether they are the default ones, for their count.
        meta: the members of ``meta`` that are not empty.
    """

    kind: PayloadType
    payload: Any
    names: Any
    meta: dict[str, Any]
    original: list[Any] | None = None
    has_default_names: bool = False


def build_response_message(result: Result, operation: Operation, like: Message) -> ResponseMessage:
    """Choose the dress of an answer.

    Raises:
        PayloadError: there was no message to aggregate, so there is none whose dress the answer could wear. It is told
            only now: the class hears of such a request, and counts it, as it did in the original.
        ResultError: the class returned a type that the contract does not know.
        UnwritableResult: it returned a list that is no array, or made the request's ``meta`` unreadable.
    """
    if operation is Operation.AGGREGATE and like.kind is PayloadType.NOTHING:
        raise PayloadError("Invalid request data type: there is no message to aggregate")
    meta = merge_meta(result, operation, like)
    payload = result.payload
    if isinstance(payload, (list, np.ndarray)):
        return _dress_array(payload, result, operation, like, meta)
    if isinstance(payload, dict):
        return ResponseMessage(PayloadType.JSON, payload, None, meta)
    if isinstance(payload, (bytes, bytearray)):
        return ResponseMessage(PayloadType.BINARY, payload, None, meta)
    if isinstance(payload, str):
        return ResponseMessage(PayloadType.TEXT, payload, None, meta)
    if isinstance(payload, tuple):
        return _dress_array(list(payload), result, operation, like, meta)
    if is_any(payload):
        return ResponseMessage(PayloadType.CUSTOM, payload, None, meta)
    return _dress_other(payload, result, operation, like, meta)


def _dress_other(
    payload: Any, result: Result, operation: Operation, like: Message, meta: dict[str, Any]
) -> ResponseMessage:
    """What other libraries and Python's rarer types hold as an array or an object."""
    if isinstance(payload, memoryview):
        return ResponseMessage(PayloadType.BINARY, bytes(payload), None, meta)
    opened = open_container(payload)
    if opened is not payload:
        return build_response_message(replace(result, payload=opened), operation, like)
    array = find_array(payload)
    if array is not None:
        # a table of pandas or another library names its columns itself
        return _dress_array(array, result, operation, like, meta, getattr(payload, "columns", None))
    if isinstance(payload, (Sequence, Iterator, deque, ValuesView)):
        return _dress_array(list(payload), result, operation, like, meta)
    shown = short_repr(payload)
    raise ResultError(f"Unknown data type returned as payload (must be list or np array):{shown}")


def is_any(payload: object) -> bool:
    """Whether a value is a ``google.protobuf.Any``, of whichever descriptor pool."""
    # by name: the user's Any lives in another pool than ours
    descriptor = getattr(payload, "DESCRIPTOR", None)
    return getattr(descriptor, "full_name", None) == "google.protobuf.Any"


def _dress_array(
    payload: Any, result: Result, operation: Operation, like: Message, meta: dict[str, Any], columns: Any = None
) -> ResponseMessage:
    original = payload if isinstance(payload, list) else None
    array = _as_array(payload)
    if array.dtype.names is not None:  # records, which are the rows of a table
        columns, array = array.dtype.names, np.array(array.tolist(), dtype=object)
    kind = _array_kind(operation, like.kind) if is_numeric(array) else PayloadType.NDARRAY
    if kind is PayloadType.TFTENSOR:
        array = fill_masked(array)
    if array.ndim < 2:
        return ResponseMessage(kind, array, [], meta, original, has_default_names=True)
    if columns is None and result.class_names is None:
        return ResponseMessage(kind, array, default_names(array.shape[1]), meta, original, has_default_names=True)
    names = list(default_names(array.shape[1])) if columns is None else [str(column) for column in columns]
    return ResponseMessage(
        kind, array, names if result.class_names is None else result.class_names(names), meta, original
    )


def _array_kind(operation: Operation, asked: PayloadType) -> PayloadType:
    """The dress of numbers: the request's, and a tensor for a request that was no array at all (section 4.2)."""
    if asked is PayloadType.NDARRAY:
        return PayloadType.NDARRAY
    # whoever asks for a branch reads no 64-bit integers in a tftensor (contract section 7.6)
    return (
        PayloadType.TFTENSOR
        if asked is PayloadType.TFTENSOR and operation is not Operation.ROUTE
        else PayloadType.TENSOR
    )


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


def merge_meta(result: Result, operation: Operation, like: Message) -> dict[str, Any]:
    """Merge the response's ``meta``: what the operation keeps of the request's, overridden by the component's own.

    Returns:
        ``tags``, ``metrics``, ``requestPath`` and ``puid``, without the empty ones; ``routing`` is never sent. The
            order shows where keys are not sorted.

    Raises:
        UnwritableResult: the component changed the request's ``meta`` into something unreadable.
    """
    before: Mapping[str, Any] = like.meta or {}
    puid = before.get("puid")
    if operation not in _CARRYING:
        before = {}
    tags, metrics, path = before.get("tags"), before.get("metrics"), before.get("requestPath")
    merged: dict[str, Any] = {}
    try:
        if tags or result.tags:
            merged["tags"] = {**(tags or {}), **result.tags}
        if metrics or result.metrics:
            merged["metrics"] = [*(metrics or ()), *result.metrics]
        if path or result.request_path:
            merged["requestPath"] = {**result.request_path, **(path or {})}
    except TypeError as error:
        raise UnwritableResult(f"meta has become unreadable: {error}") from error
    if puid:
        merged["puid"] = puid
    return merged

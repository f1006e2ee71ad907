"""How a result is dressed for the way back: its kind, its names and its ``meta``, the same for both wires.

Source: contract sections 4.2 and 4.3.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from seldon_spec.errors import PayloadError, ResultError, UnwritableResult
from seldon_spec.payload.array import Array, default_names, is_numeric
from seldon_spec.payload.message import Kind, Message, Result, Verb

_CARRYING = frozenset({Verb.PREDICT, Verb.TRANSFORM_INPUT, Verb.TRANSFORM_OUTPUT, Verb.AGGREGATE})
"""The verbs whose answer carries the request's ``meta`` on; the others keep only its puid."""


@dataclass(slots=True)
class Answer:
    """A dressed result.

    Attributes:
        kind: the member of the message that carries it.
        payload: an array for TENSOR, NDARRAY and TFTENSOR, else what the class returned.
        original: the list that the class returned, where it returned one and not an array.
        names: the columns' names, as the class gave them; anything at all.
        has_default_names: whether they are the default ones, for their count.
        meta: the members of ``meta`` that are not empty.
    """

    kind: Kind
    payload: Any
    names: Any
    meta: dict[str, Any]
    original: list[Any] | None = None
    has_default_names: bool = False


def dress_result(result: Result, verb: Verb, like: Message) -> Answer:
    """Choose the dress of an answer.

    Raises:
        PayloadError: there was no message to aggregate, so there is none whose dress the answer could wear. It is told
            only now: the class hears of such a request, and counts it, as it did in the original.
        ResultError: the class returned a type that the contract does not know.
        UnwritableResult: it returned a list that is no array, or made the request's ``meta`` unreadable.
    """
    if verb is Verb.AGGREGATE and like.kind is Kind.NOTHING:
        raise PayloadError("Invalid request data type: there is no message to aggregate")
    meta = merge_meta(result, verb, like)
    payload = result.payload
    if isinstance(payload, (list, np.ndarray)):
        return _dress_array(payload, result, verb, like, meta)
    if isinstance(payload, dict):
        return Answer(Kind.JSON, payload, None, meta)
    if isinstance(payload, (bytes, bytearray)):
        return Answer(Kind.BINARY, payload, None, meta)
    if isinstance(payload, str):
        return Answer(Kind.TEXT, payload, None, meta)
    if isinstance(payload, tuple):
        return _dress_array(list(payload), result, verb, like, meta)
    if hasattr(payload, "__array__"):  # numpy's scalars, and tables and tensors of libraries that we do not know
        return _dress_array(payload, result, verb, like, meta)
    if dataclasses.is_dataclass(payload) and not isinstance(payload, type):
        members = {field.name: getattr(payload, field.name) for field in dataclasses.fields(payload)}
        return Answer(Kind.JSON, members, None, meta)
    if is_any(payload):
        return Answer(Kind.CUSTOM, payload, None, meta)
    raise ResultError(f"Unknown data type returned as payload (must be list or np array):{_shown(payload)}")


def is_any(payload: object) -> bool:
    """Whether a value is a ``google.protobuf.Any``, of whichever descriptor pool."""
    # by name: the user's Any lives in another pool than ours
    descriptor = getattr(payload, "DESCRIPTOR", None)
    return getattr(descriptor, "full_name", None) == "google.protobuf.Any"


def _shown(payload: object) -> str:
    text = repr(payload)
    return text if len(text) <= 200 else f"{text[:200]}... ({type(payload).__name__})"


def _dress_array(payload: Any, result: Result, verb: Verb, like: Message, meta: dict[str, Any]) -> Answer:
    array = _as_array(payload)
    kind = _array_kind(verb, like.kind) if is_numeric(array) else Kind.NDARRAY
    original = payload if isinstance(payload, list) else None
    if array.ndim < 2:
        return Answer(kind, array, [], meta, original, has_default_names=True)
    # a table of pandas or another library names its columns itself
    columns = None if isinstance(payload, (list, np.ndarray)) else getattr(payload, "columns", None)
    if columns is None and result.class_names is None:
        return Answer(kind, array, default_names(array.shape[1]), meta, original, has_default_names=True)
    names = list(default_names(array.shape[1])) if columns is None else [str(column) for column in columns]
    return Answer(kind, array, names if result.class_names is None else result.class_names(names), meta, original)


def _array_kind(verb: Verb, asked: Kind) -> Kind:
    """The dress of numbers: the request's, and a tensor for a request that was no array at all (section 4.2)."""
    if asked is Kind.NDARRAY:
        return Kind.NDARRAY
    # whoever asks for a branch reads no 64-bit integers in a tftensor (contract section 7.6)
    return Kind.TFTENSOR if asked is Kind.TFTENSOR and verb is not Verb.ROUTE else Kind.TENSOR


def _as_array(payload: Any) -> Array:
    try:
        array = np.asarray(payload)
        # finer moments would become bare integers in a list
        return array.astype("datetime64[us]") if array.dtype.kind == "M" else array
    except (ValueError, TypeError, OverflowError, RecursionError, RuntimeError) as error:
        raise UnwritableResult(str(error)) from error


def merge_meta(result: Result, verb: Verb, like: Message) -> dict[str, Any]:
    """The answer's ``meta``: the request's as far as the verb carries it on, with the component's own laid over it.

    Returns:
        ``tags``, ``metrics``, ``requestPath`` and ``puid``, without the empty ones; ``routing`` is never sent. The
            order shows where keys are not sorted.

    Raises:
        UnwritableResult: the component changed the request's ``meta`` into something unreadable.
    """
    before: Mapping[str, Any] = like.meta or {}
    puid = before.get("puid")
    if verb not in _CARRYING:
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

"""How a result is dressed for the way back: its kind, its names and its ``meta``, the same for both wires.

Source: contract sections 4.2 and 4.3.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from seldon_spec.errors import ResultError, UnwritableResult
from seldon_spec.payload.array import Array, default_names, is_numeric
from seldon_spec.payload.message import Kind, Message, Result


@dataclass(slots=True)
class Answer:
    """A dressed result.

    Attributes:
        kind: the member of the message that carries it.
        payload: an array for TENSOR and NDARRAY, else what the class returned.
        original: the list that the class returned, where it returned one and not an array.
        names: the columns' names, as the class gave them; anything at all.
        meta: the members of ``meta`` that are not empty.
    """

    kind: Kind
    payload: Any
    names: Any
    meta: dict[str, Any]
    original: list[Any] | None = None


def dress_result(result: Result, like: Message) -> Answer:
    """Choose the dress of an answer.

    Raises:
        ResultError: the class returned a type that the contract does not know.
        UnwritableResult: it returned a list that is no array, or made the request's ``meta`` unreadable.
    """
    meta = merge_meta(result, like)
    payload = result.payload
    if isinstance(payload, (list, np.ndarray)):
        return _dress_array(result, like, meta)
    return Answer(_kind_of(payload), payload, None, meta)


def _kind_of(payload: object) -> Kind:
    if isinstance(payload, dict):
        return Kind.JSON
    if isinstance(payload, (bytes, bytearray)):
        return Kind.BINARY
    if isinstance(payload, str):
        return Kind.TEXT
    if _is_any(payload):
        return Kind.CUSTOM
    raise ResultError(f"Unknown data type returned as payload (must be list or np array):{_shown(payload)}")


def _is_any(payload: object) -> bool:
    # by name: the user's google.protobuf.Any lives in another descriptor pool than ours
    descriptor = getattr(payload, "DESCRIPTOR", None)
    return getattr(descriptor, "full_name", None) == "google.protobuf.Any"


def _shown(payload: object) -> str:
    text = repr(payload)
    return text if len(text) <= 200 else f"{text[:200]}... ({type(payload).__name__})"


def _dress_array(result: Result, like: Message, meta: dict[str, Any]) -> Answer:
    original = result.payload if isinstance(result.payload, list) else None
    array = _as_array(result.payload)
    # a request that was no array at all is answered by a tensor (contract section 4.2)
    kind = Kind.TENSOR if is_numeric(array) and like.kind is not Kind.NDARRAY else Kind.NDARRAY
    return Answer(kind, array, _names_of(array, result), meta, original)


def _as_array(payload: Any) -> Array:
    try:
        return np.asarray(payload)
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise UnwritableResult(str(error)) from error


def _names_of(array: Array, result: Result) -> Any:
    if array.ndim < 2:
        return []
    default = default_names(array)
    return default if result.class_names is None else result.class_names(default)


def merge_meta(result: Result, like: Message) -> dict[str, Any]:
    """The answer's ``meta``: the request's, with the component's own laid over it.

    Returns:
        ``tags``, ``metrics``, ``requestPath`` and ``puid``, without the empty ones; ``routing`` is never sent. The
            order shows where keys are not sorted.

    Raises:
        UnwritableResult: the component changed the request's ``meta`` into something unreadable.
    """
    before: Mapping[str, Any] = like.meta or {}
    try:
        merged = {
            "tags": {**(before.get("tags") or {}), **result.tags},
            "metrics": [*(before.get("metrics") or ()), *result.metrics],
            "requestPath": {**result.request_path, **(before.get("requestPath") or {})},
            "puid": before.get("puid"),
        }
    except TypeError as error:
        raise UnwritableResult(f"meta has become unreadable: {error}") from error
    return {key: value for key, value in merged.items() if value}

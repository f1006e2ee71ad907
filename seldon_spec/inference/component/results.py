"""Checks of what the user's methods return."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from seldon_spec.config.contract import TensorSpec
from seldon_spec.errors import ResultError
from seldon_spec.inference.component.failure import is_named


def name_outputs(outputs: Sequence[TensorSpec]) -> Callable[[Any], Any] | None:
    """Return a function from the default column names to those of the only declared output; None if it has none."""
    if len(outputs) != 1 or not outputs[0].columns:
        return None
    names = outputs[0].column_names
    return lambda default: list(names) if len(names) == len(default) else default


def check_route(branch: Any) -> int:
    """Return the number of the branch that a router chose; a truth value is none.

    Raises:
        ResultError: it is no integer.
    """
    if isinstance(branch, (int, np.integer)) and not isinstance(branch, bool):
        return int(branch)
    raise ResultError(f"Routing response must be int but got {str(branch)[:200]}")


def check_tags(tags: Any) -> Mapping[str, Any]:
    """Return the tags of a hook or a result; a falsy value means none.

    Raises:
        ResultError: they are no mapping.
    """
    if tags is None:
        return {}
    if isinstance(tags, Mapping):
        return tags
    if tags:
        raise ResultError(f"tags are a dict, not {type(tags).__name__}")
    return {}


def is_flat(payload: object) -> bool:
    """Return whether a result is an array or a list of fewer than two dimensions."""
    if isinstance(payload, (list, tuple)):
        return not (payload and (isinstance(payload[0], (list, tuple)) or getattr(payload[0], "ndim", 0) > 0))
    dimensions = getattr(payload, "ndim", None)
    return isinstance(dimensions, int) and dimensions < 2 and hasattr(payload, "shape")


def unwrap(result: Any) -> tuple[Any, Mapping[str, Any] | None, Any]:
    """Return the data, the tags and the metrics of a result; a SeldonResponse of seldon_core has all three."""
    if is_named(result, "SeldonResponse"):
        return result.data, getattr(result, "tags", None), getattr(result, "metrics", None)
    return result, None, None

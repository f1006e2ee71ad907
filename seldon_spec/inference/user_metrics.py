"""The metrics that a component returns: validation, and the form in which a response shows them.

Source: contract section 6.1. Whether Prometheus can expose a metric is a separate question (``observability.metrics``).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from numbers import Number
from typing import Any

from seldon_spec.errors import BadMetric, short_repr


class MetricType(str, Enum):
    """The three types that a class may use."""

    COUNTER = "COUNTER"
    GAUGE = "GAUGE"
    TIMER = "TIMER"


@dataclass(frozen=True, slots=True)
class UserMetric:
    """A valid metric; its key may still be a name that Prometheus does not accept.

    Attributes:
        value: of a timer, in seconds.
    """

    type: MetricType
    key: Any
    value: float
    tags: dict[str, str]


def read_metrics(metrics: object, method: str) -> tuple[list[UserMetric], list[dict[str, Any]]]:
    """Validate the return value of a ``metrics`` hook.

    Args:
        metrics: a list or another sequence, a set, an array, or an iterator; it is not changed.
        method: the value of the tag ``method``.

    Returns:
        The metrics, and the form in which the response shows them: plain values, and ``method`` added to the tags of
        each metric that has tags.

    Raises:
        BadMetric: it is not a list, or one of its items is not a metric.
    """
    try:
        items = _as_list(metrics)
        return [_parse(item) for item in items], [_show(item, method) for item in items]
    except Exception as error:  # includes what methods of the user's own values raise
        raise BadMetric(f"Bad metric created during request: {_describe(metrics)}: {error}") from error


def _as_list(metrics: object) -> list[Any]:
    if isinstance(metrics, list):
        return metrics
    if isinstance(metrics, (str, bytes, Mapping)) or not isinstance(metrics, Iterable):
        raise ValueError("metrics are not a list")
    return list(metrics)


def _parse(metric: object) -> UserMetric:
    if not isinstance(metric, Mapping) or not {"key", "value", "type"} <= metric.keys():
        raise ValueError("a metric is an object with key, value and type")
    kind = MetricType(metric["type"])
    value = _parse_value(metric["value"])
    return UserMetric(
        kind, metric["key"], value / 1000 if kind is MetricType.TIMER else value, _parse_tags(metric.get("tags") or {})
    )


def _show(metric: Mapping[str, Any], method: str) -> dict[str, Any]:
    value, tags = metric["value"], metric.get("tags")
    shown = {**metric, "value": value if type(value) in (int, float, bool) else _parse_value(value)}
    if tags:
        shown["tags"] = {**_parse_tags(tags), "method": method}
    return shown


def _parse_value(value: Any) -> float:
    if type(value) in (int, float):  # the usual case
        return float(value)
    if getattr(value, "size", None) == 1 and hasattr(value, "item"):  # an array with one number
        value = value.item()
    elif isinstance(value, (list, tuple)) and len(value) == 1:
        value = value[0]
    value + 1  # the contract's test for a number; it rejects text
    return float(value)


def _parse_tags(tags: object) -> dict[str, str]:
    if not isinstance(tags, Mapping):
        raise ValueError("a metric's tags are an object")
    return {_tag_text(name): _tag_text(value) for name, value in tags.items()}


def _tag_text(value: object) -> str:
    """Return a tag as text; a number, a bool or None is formatted as Python formats it."""
    if isinstance(value, str):
        return value
    if hasattr(value, "item"):  # a NumPy scalar
        value = value.item()
    if value is None or isinstance(value, Number):
        return str(value)
    raise ValueError(f"a tag is text or a number, not {type(value).__name__}")


def _describe(metrics: object) -> str:
    """Return the metrics as JSON, or their ``repr`` if JSON cannot express them."""
    try:
        return json.dumps(metrics, default=repr, sort_keys=False)[:500]
    except Exception:  # a tuple as a key, a loop, or a repr that raises
        return short_repr(metrics, 500)

"""The user's metrics: which are refused, and which Prometheus has no form for (contract section 6.1)."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from numbers import Number
from typing import Any

from seldon_spec.observability.metrics.definitions import ENDINGS, RESERVED, MetricKind

_KEY = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*\Z")
_LABEL = re.compile(r"(?!__)[a-zA-Z_][a-zA-Z0-9_]*\Z")


class MetricType(str, Enum):
    """The three types that a class may use."""

    COUNTER = "COUNTER"
    GAUGE = "GAUGE"
    TIMER = "TIMER"

    @property
    def kind(self) -> MetricKind:
        """What it is on the page."""
        return _KINDS[self]


_KINDS = {
    MetricType.COUNTER: MetricKind.COUNTER,
    MetricType.GAUGE: MetricKind.GAUGE,
    MetricType.TIMER: MetricKind.HISTOGRAM,
}


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric of the user's; a timer's value is in seconds."""

    type: MetricType
    key: Any
    value: float
    tags: dict[str, str]


def as_list(metrics: object) -> list[Any]:
    """The metrics that a hook gave, in a list or another sequence, a set, an array, or an iterator.

    Raises:
        ValueError: they are in nothing of the kind.
    """
    if isinstance(metrics, list):
        return metrics
    if isinstance(metrics, (str, bytes, Mapping)) or not isinstance(metrics, Iterable):
        raise ValueError("metrics are not a list")
    return list(metrics)


def check_metric(metric: object) -> Metric:
    """Read one metric as the contract has it; its key is not looked at.

    Raises:
        Exception: it is none; of any type, for a value's own methods may raise.
    """
    if not isinstance(metric, Mapping) or not {"key", "value", "type"} <= metric.keys():
        raise ValueError("a metric is an object with key, value and type")
    kind = MetricType(metric["type"])
    value = _check_value(metric["value"])
    return Metric(
        kind, metric["key"], value / 1000 if kind is MetricType.TIMER else value, _check_tags(metric.get("tags") or {})
    )


def check_exposable(metric: Metric) -> str:
    """The family of a metric, which is its exposed name without a histogram's endings.

    Raises:
        ValueError: Prometheus has no form for it, or its name is the server's own.
    """
    key = metric.key
    if not isinstance(key, str) or not _KEY.match(key):
        raise ValueError(f"{key!r:.100} is not a metric's name")
    for name in metric.tags:
        if not isinstance(name, str) or not _LABEL.match(name):
            raise ValueError(f"{key}: {name!r:.100} is not a label's name")
    if metric.type is MetricType.TIMER and "le" in metric.tags:
        raise ValueError(f"{key}: a timer's tag cannot be named le")
    if metric.type is not MetricType.GAUGE and not math.isfinite(metric.value):
        raise ValueError(f"{key}: a counter or a timer takes finite values")
    family = f"{key}_total" if metric.type is MetricType.COUNTER and not key.endswith("_total") else key
    for ending in ENDINGS[metric.type.kind]:
        if family + ending in RESERVED:
            raise ValueError(f"the name {family + ending} is the server's own")
    return family


def show(metric: Mapping[str, Any], method: str) -> dict[str, Any]:
    """A metric as the response shows it: plain values, and the method among its tags if it has any.

    Args:
        metric: the user's own, which ``check_metric`` has accepted; it is not changed.
        method: the value of the tag.
    """
    value, tags = metric["value"], metric.get("tags")
    shown = {**metric, "value": value if type(value) in (int, float, bool) else _check_value(value)}
    if tags:
        shown["tags"] = {**_check_tags(tags), "method": method}
    return shown


def _check_value(value: Any) -> float:
    if type(value) in (int, float):  # nearly every one
        return float(value)
    if getattr(value, "size", None) == 1 and hasattr(value, "item"):  # an array with one number
        value = value.item()
    elif isinstance(value, (list, tuple)) and len(value) == 1:
        value = value[0]
    value + 1  # what the contract asks of a value; it keeps text out
    return float(value)


def _check_tags(tags: object) -> dict[str, str]:
    if not isinstance(tags, Mapping):
        raise ValueError("a metric's tags are an object")
    return {_as_text(name): _as_text(value) for name, value in tags.items()}


def _as_text(value: object) -> str:
    """The text of a tag; a number, a truth value or None is written as Python writes it.

    Raises:
        ValueError: it is none of these.
    """
    if isinstance(value, str):
        return value
    if hasattr(value, "item"):  # a number of numpy's
        value = value.item()
    if value is None or isinstance(value, Number):
        return str(value)
    raise ValueError(f"a tag is text or a number, not {type(value).__name__}")

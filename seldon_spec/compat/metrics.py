"""Replacement for ``seldon_core.metrics``: metrics in the form that ``metrics()`` returns."""

from __future__ import annotations

from typing import Any

from seldon_spec.errors import BadMetric
from seldon_spec.inference.user_metrics import MetricType, read_metrics

__all__ = ["COUNTER", "GAUGE", "TIMER", "create_counter", "create_gauge", "create_timer", "validate_metrics"]

COUNTER = MetricType.COUNTER.value
GAUGE = MetricType.GAUGE.value
TIMER = MetricType.TIMER.value


def _create(key: str, kind: str, value: float) -> dict[str, Any]:
    """Return a metric.

    Raises:
        TypeError: the value is not a number.
    """
    value + 1
    return {"key": key, "type": kind, "value": value}


def create_counter(key: str, value: float) -> dict[str, Any]:
    """Return a counter that is incremented by ``value``."""
    return _create(key, COUNTER, value)


def create_gauge(key: str, value: float) -> dict[str, Any]:
    """Return a gauge with a value."""
    return _create(key, GAUGE, value)


def create_timer(key: str, value: float) -> dict[str, Any]:
    """Return a timer of ``value`` milliseconds."""
    return _create(key, TIMER, value)


def validate_metrics(metrics: object) -> bool:
    """Return whether ``metrics()`` may return this (contract section 6.1)."""
    try:
        read_metrics(metrics, "predict")
    except BadMetric:
        return False
    return True

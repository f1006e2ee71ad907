"""Metrics of a replica that applies copies of feedback, which another replica has counted."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, cast

from seldon_spec.config.model import UnitSpec
from seldon_spec.inference.call import is_copy
from seldon_spec.inference.metrics_sink import ComponentMetrics, MetricsSink, NullMetrics

_OF_REQUESTS = ("record", "observe", "observe_call")
"""The methods that record something of one request."""


def without_copies(metrics: MetricsSink) -> MetricsSink:
    """Return a sink that validates the metrics of copies of feedback, and passes on all other ones."""
    return cast("MetricsSink", _WithoutCopies(metrics))


class _WithoutCopies:
    def __init__(self, metrics: MetricsSink | ComponentMetrics) -> None:
        self._metrics = metrics
        self._none = NullMetrics()

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._metrics, name)
        return partial(_choose, method, getattr(self._none, name)) if name in _OF_REQUESTS else method

    def for_component(self, unit: UnitSpec, *, is_shadow: bool = False) -> ComponentMetrics:
        metrics = cast("MetricsSink", self._metrics).for_component(unit, is_shadow=is_shadow)
        return cast("ComponentMetrics", _WithoutCopies(metrics))


def _choose(method: Callable[..., Any], none: Callable[..., Any], *args: Any) -> Any:
    return (none if is_copy() else method)(*args)

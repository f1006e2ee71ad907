"""The metrics of a replica on Ray's metrics endpoint, with the names and the labels of the server's metrics page.

Ray adds ``ray_`` to each name, and labels of its own. A counter is a counter of Ray. Ray's histograms take one value at
a time, so the samples of a histogram are gauges with cumulative values, which PromQL reads like those of a histogram.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ray.util.metrics import Counter, Gauge

from seldon_spec.observability.metrics import ExposedSeries, Exposition, MetricKind, Metrics, describe_metric

logger = logging.getLogger(__name__)

_SECONDS = 5.0
"""The interval of the updates, half of the default of Ray's exports. Ray drops a gauge that is not set for two exports,
so each update sets all of them."""

_TOTAL = "_total"

_LABELS_OF_RAY = frozenset(("Component", "NodeAddress", "SessionName", "Version", "WorkerId"))
"""The labels that Ray sets, whatever their values are. Ours of these names are renamed, as Prometheus does."""


@dataclass(slots=True)
class _Target:
    """Where the samples of a series go.

    Attributes:
        metric: a ``Counter`` or a ``Gauge``; None: Ray cannot export them.
        labels: without ``le``.
        sent: the value of a counter so far.
    """

    metric: Any
    labels: Mapping[str, str]
    sent: float = 0.0


class MetricsExport:
    """Copies the metrics of this process to Ray at an interval.

    Args:
        metrics: are read.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._exposition = Exposition(metrics)
        self._lock = threading.Lock()
        self._targets: dict[tuple[ExposedSeries, str], _Target] = {}
        self._metrics: dict[tuple[str, tuple[str, ...]], Any] = {}
        self._kinds: dict[str, type] = {}
        self._logged: set[str] = set()

    async def run(self) -> None:
        """Update the metrics until the task is cancelled."""
        while True:
            await asyncio.sleep(_SECONDS)
            await asyncio.to_thread(self.update)

    def update(self) -> None:
        """Update the metrics; problems are logged."""
        with self._lock:
            try:
                for series, suffix, bound, value in self._exposition.read_samples():
                    self._send(series, suffix, bound, value)
            except Exception as error:
                self._log_once(f"cannot update the metrics: {error!r}")

    def _send(self, series: ExposedSeries, suffix: str, bound: str, value: float) -> None:
        target = self._targets.get((series, suffix))
        if target is None:
            target = self._targets[series, suffix] = self._make_target(series, suffix)
        if target.metric is None:
            return
        if series.metric[1] is not MetricKind.COUNTER:
            target.metric.set(value, {**target.labels, "le": bound} if bound else target.labels)
        elif value > target.sent:  # a counter of Ray starts with an increment, and cannot decrease
            target.metric.inc(value - target.sent, target.labels)
            target.sent = value

    def _make_target(self, series: ExposedSeries, suffix: str) -> _Target:
        labels = {
            f"exported_{name}" if name in _LABELS_OF_RAY else name: value.encode("ascii", "backslashreplace").decode()
            for name, value in series.labels
        }
        names = (*labels, "le") if suffix == "_bucket" else tuple(labels)
        try:
            return _Target(self._find_metric(series, suffix, names), labels)
        except ValueError as error:
            self._log_once(f"a metric is not exported to Ray: {error}")
            return _Target(None, labels)

    def _find_metric(self, series: ExposedSeries, suffix: str, labels: tuple[str, ...]) -> Any:
        """Return the metric of Ray for samples with these labels: it has one set of labels.

        Raises:
            ValueError: Ray does not allow the name.
        """
        name, kind = series.metric
        make = Counter if kind is MetricKind.COUNTER else Gauge
        exported = name.removesuffix(_TOTAL) if make is Counter else name + suffix  # Ray adds it again
        if ":" in exported:
            raise ValueError(f"the name {exported} contains a colon")
        if self._kinds.setdefault(exported, make) is not make:
            raise ValueError(f"Ray has the same name for the counter {exported}{_TOTAL} and the gauge {exported}")
        metric = self._metrics.get((exported, labels))
        if metric is None:
            metric = self._metrics[exported, labels] = make(exported, describe_metric(name), labels)
        return metric

    def _log_once(self, problem: str) -> None:
        if problem not in self._logged:
            self._logged.add(problem)
            logger.warning("%s (logged once)", problem)

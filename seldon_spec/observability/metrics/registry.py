"""One component's metrics in one worker."""

from __future__ import annotations

import logging
import math
import re
import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from seldon_spec.config.model import UnitSpec
from seldon_spec.inference.metrics_sink import CallTotals, GraphTotals
from seldon_spec.inference.user_metrics import MetricType, UserMetric, read_metrics
from seldon_spec.observability.metrics.call_buffer import CallBuffer, is_group
from seldon_spec.observability.metrics.definitions import (
    BATCHES,
    BRANCHES,
    COMPONENT,
    DROPPED_SHADOWS,
    IN_FLIGHT,
    LOAD,
    QUEUED,
    RESERVED_NAMES,
    SUFFIXES,
    WORKER_LABEL,
    MetricDefinition,
    MetricKind,
    NameRegistry,
)
from seldon_spec.observability.metrics.segments import Segments
from seldon_spec.observability.metrics.series import Series, observe, observe_time, sort_labels
from seldon_spec.observability.metrics.totals import read_graph_totals, read_totals

logger = logging.getLogger(__name__)

UNKNOWN = "NOT_IMPLEMENTED"

_KEY = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*\Z")
_LABEL = re.compile(r"(?!__)[a-zA-Z_][a-zA-Z0-9_]*\Z")
_KINDS = {
    MetricType.COUNTER: MetricKind.COUNTER,
    MetricType.GAUGE: MetricKind.GAUGE,
    MetricType.TIMER: MetricKind.HISTOGRAM,
}
_MAX_LOGGED = 100  # distinct problems; a class that makes up names for each request must not fill the log


_SHADOW = {"shadow": "true"}


@dataclass(frozen=True, slots=True)
class _Origin:
    """Where user metrics come from.

    Attributes:
        labels: added to each series; nothing if the page adds them.
        replaced: the tags of these names are left out, because the series have labels of these names.
        text: begins log messages about the metrics.
    """

    labels: Mapping[str, str]
    replaced: Collection[str]
    text: str


class Metrics:
    """One component's metrics in one worker, in shared memory; a ``MetricsSink``. Thread-safe.

    Args:
        unit: source of the component's standard labels.
        segments: the component's memory, shared with other workers; None: memory of this process.
        index: this worker's segment; counts that another process has left there are continued.

    Attributes:
        labels: the standard labels of the component, which all its series have. In a graph, the user series have those
            of their component instead.
        observe_call: ``CallBuffer.observe`` itself, because each request calls it.
    """

    def __init__(self, unit: UnitSpec | None = None, segments: Segments | None = None, index: int = 0) -> None:
        self.segments = segments or Segments()
        self.labels = standard_labels(unit or UnitSpec())
        self._index = index
        self._lock = threading.Lock()
        self._logged: set[str] = set()
        self._names = NameRegistry()
        self._cells: dict[Series, int] = {
            Series.from_text(entry.key): entry.cell
            for entry in self.segments.builtin_entries(index)
            if not is_group(entry.key)
        }
        self._origin = _Origin({}, self.labels, "")
        self._batches: dict[str, list[int | None]] = {}
        self._counters: dict[tuple[MetricDefinition, str, int | None], int] = {}
        self._values = self.segments.values
        self._in_flight, self._queued, self._load = (
            self.segments.gauge(index, number) for number in (IN_FLIGHT, QUEUED, LOAD)
        )
        self.segments.hold(index)
        self.observe_call = CallBuffer(self.segments, index, self._lock).observe

    def record(self, method: str, metrics: object) -> list[dict[str, Any]]:
        """Validate and count the return value of a ``metrics`` hook (contract sections 6.1 and 6.2).

        A metric that Prometheus cannot expose (its name, a tag's name, a name in use for another type) is logged once
        and left out of the page. The others are counted, and the response shows all of them.
        """
        return self._record(method, metrics, self._origin)

    def _record(self, method: str, metrics: object, origin: _Origin) -> list[dict[str, Any]]:
        checked, shown = read_metrics(metrics, method)
        for metric in checked:
            self._count(metric, method, origin)
        return shown

    def _count(self, metric: UserMetric, method: str, origin: _Origin) -> None:
        try:
            name = check_exposable(metric)
            kind = _KINDS[metric.type]
            replaced = (*origin.replaced, WORKER_LABEL) if kind is MetricKind.GAUGE else origin.replaced
            tags = {tag: value for tag, value in metric.tags.items() if tag not in replaced}
            series = Series(kind, name, sort_labels({**tags, **origin.labels, "method": method}))
            with self._lock:
                self._names.claim(series.kind, name)
                self._add(series, metric.value)
        except ValueError as error:
            problem = f"{origin.text}{error}"
            if problem not in self._logged and len(self._logged) < _MAX_LOGGED:
                self._logged.add(problem)
                logger.error("a metric is left out of the metrics page: %s (logged once)", problem)

    def _add(self, series: Series, value: float) -> None:
        cell = self._find_or_append(series, self.segments.append)
        if cell is None:
            return
        if series.kind is MetricKind.COUNTER:
            self._values[cell] += value
        elif series.kind is MetricKind.GAUGE:
            self._values[cell] = value
        else:
            observe_time(self._values, cell, value)

    def observe_batch(self, method: str, requests: int, rows: float) -> None:
        with self._lock:
            cells = self._batches.get(method)
            if cells is None:
                cells = self._batches[method] = [
                    self._find_builtin(definition, {"method": method}) for definition in BATCHES
                ]
            for cell, definition, value in zip(cells, BATCHES, (requests, rows), strict=True):
                if cell is not None:
                    observe(self._values, cell, definition.bounds, value)

    def read_totals(self, methods: Collection[str]) -> CallTotals:
        return read_totals(self.segments, methods)

    def read_graph_totals(self) -> GraphTotals:
        return read_graph_totals(self.segments)

    def set_requests(self, in_flight: int, queued: int) -> None:
        self._values[self._in_flight] = in_flight
        self._values[self._queued] = queued

    def set_load_seconds(self, seconds: float) -> None:
        self._values[self._load] = seconds

    def for_component(self, unit: UnitSpec, *, is_shadow: bool = False) -> _GraphComponent:
        return _GraphComponent(self, unit, is_shadow=is_shadow)

    def count_branch(self, step: str, branch: int) -> None:
        self._increment(BRANCHES, step, branch)

    def count_dropped_shadow(self, step: str) -> None:
        self._increment(DROPPED_SHADOWS, step)

    def _increment(self, definition: MetricDefinition, step: str, branch: int | None = None) -> None:
        with self._lock:
            key = definition, step, branch
            cell = self._counters.get(key)
            if cell is None:
                labels = {"step": step} if branch is None else {"step": step, "branch": str(branch)}
                cell = self._find_builtin(definition, labels)
                if cell is None:
                    return
                self._counters[key] = cell
            self._values[cell] += 1

    def _find_builtin(self, definition: MetricDefinition, labels: Mapping[str, str]) -> int | None:
        series = Series(definition.kind, definition.name, sort_labels(labels))
        return self._find_or_append(series, self.segments.append_builtin)

    def _find_or_append(self, series: Series, append: Callable[[int, str, int], int | None]) -> int | None:
        """Return a series' first cell; None if there is no space for a new series."""
        cell = self._cells.get(series)
        if cell is None:
            cell = append(self._index, series.to_text(), series.size)
            if cell is not None:
                self._cells[series] = cell
        return cell


class _GraphComponent:
    """One component's metrics in the process of its graph; a ``ComponentMetrics``. Thread-safe.

    Its user series contain the standard labels: one segment holds the series of all components, and a reader in another
    process does not know their labels.
    """

    def __init__(self, metrics: Metrics, unit: UnitSpec, *, is_shadow: bool) -> None:
        labels = standard_labels(unit)
        self._name = labels["model_name"]
        self._shadow = _SHADOW if is_shadow else {}
        self._metrics = metrics
        self._origin = _Origin({**labels, **self._shadow}, {*labels, *_SHADOW}, f"component {self._name}: ")
        self._lock = metrics._lock
        self._values = metrics.segments.values
        self._cells: dict[tuple[str, str], int] = {}

    def record(self, method: str, metrics: object) -> list[dict[str, Any]]:
        return self._metrics._record(method, metrics, self._origin)

    def observe(self, method: str, outcome: str, seconds: float) -> None:
        with self._lock:
            cell = self._cells.get((method, outcome))
            if cell is None:
                labels = {"component": self._name, "method": method, "outcome": outcome, **self._shadow}
                cell = self._metrics._find_builtin(COMPONENT, labels)
                if cell is None:
                    return
                self._cells[method, outcome] = cell
            observe(self._values, cell, COMPONENT.bounds, seconds)


def check_exposable(metric: UserMetric) -> str:
    """Return the name under which Prometheus sees a metric, without the suffixes of a histogram.

    Raises:
        ValueError: Prometheus cannot express it, or its name belongs to a built-in metric.
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
    name = f"{key}_total" if metric.type is MetricType.COUNTER and not key.endswith("_total") else key
    for suffix in SUFFIXES[_KINDS[metric.type]]:
        if name + suffix in RESERVED_NAMES:
            raise ValueError(f"the name {name + suffix} is reserved for a built-in metric")
    return name


def standard_labels(unit: UnitSpec) -> dict[str, str]:
    """Return the labels of all series of a component (contract section 6.2), with older names for the same values."""
    image, version = _split_image(unit.image)
    model_version = version if unit.image else unit.version or UNKNOWN
    deployment = unit.deployment_id or UNKNOWN
    return {
        "deployment_name": deployment,
        "model_name": unit.id or unit.name or UNKNOWN,
        "model_image": image,
        "model_version": model_version,
        "predictor_name": unit.predictor_id or UNKNOWN,
        "predictor_version": unit.predictor_version or UNKNOWN,
        "seldon_deployment_name": deployment,
        "image_name": image,
        "image_version": version,
    }


def _split_image(image: str | None) -> tuple[str, str]:
    if not image:
        return UNKNOWN, UNKNOWN
    name, _, version = image.rpartition(":")  # at the last colon: a registry may have one before its port
    return name, version

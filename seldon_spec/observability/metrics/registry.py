"""One worker's metrics: what it counts, and the page of all of them."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from typing import Any

from seldon_spec.config.model import UnitSpec
from seldon_spec.errors import BadMetric, short_repr
from seldon_spec.observability.metrics.call_buffer import CallBuffer, is_group
from seldon_spec.observability.metrics.definitions import BATCHES, IN_FLIGHT, LOAD, QUEUED, MetricKind, Names
from seldon_spec.observability.metrics.exposition import Exposition
from seldon_spec.observability.metrics.segments import Segments
from seldon_spec.observability.metrics.series import Series, observe, observe_time, sort_labels
from seldon_spec.observability.metrics.user_metrics import Metric, as_list, check_exposable, check_metric, show

logger = logging.getLogger(__name__)

UNKNOWN = "NOT_IMPLEMENTED"

_MOST_TOLD = 100  # problems in the log; names that a class makes up anew for each request must not fill it


class Metrics:
    """One worker's metrics. Safe for threads.

    Args:
        unit: what the labels of every series tell.
        slots: the memory that is shared with other workers; by default its own.
        index: this worker's slot; counters that another process has left there go on.

    Attributes:
        observe_call: ``CallBuffer.observe`` itself, since every request calls it.
    """

    def __init__(self, unit: UnitSpec | None = None, slots: Segments | None = None, index: int = 0) -> None:
        self._slots = slots or Segments()
        self._index = index
        self._standard = standard_labels(unit or UnitSpec())
        self._lock = threading.Lock()
        self._told: set[str] = set()
        self._names = Names()
        self._places: dict[Series, int] = {}
        self._batches: dict[str, list[int | None]] = {}
        self._values = self._slots.values
        self._in_flight, self._queued, self._load = (
            self._slots.gauge(index, number) for number in (IN_FLIGHT, QUEUED, LOAD)
        )
        self._page = Exposition(self._slots, self._standard)
        self._take_over()
        self._slots.hold(index)
        self.observe_call = CallBuffer(self._slots, index, self._lock).observe

    def _take_over(self) -> None:
        for entry in self._slots.own_entries(self._index):
            if not is_group(entry.key):
                self._places[Series.from_text(entry.key)] = entry.place

    def record(self, method: str, metrics: object) -> list[dict[str, Any]]:
        """Check the metrics that a hook gave, and then count them all (contract sections 6.1 and 6.2).

        A metric that Prometheus has no form for (its name, a tag's name, a name that is in use for another type) is
        told once in the log and left out of the page; the others are counted, and the answer shows them all.

        Args:
            method: the value of the label ``method``.
            metrics: the user's value; it is left as it is.

        Returns:
            The metrics as the answer shows them: one that has tags has the method among them.

        Raises:
            BadMetric: it is not a list, or one of them is no metric; then none is counted.
        """
        try:
            listed = as_list(metrics)
            checked = [check_metric(metric) for metric in listed]
            shown = [show(metric, method) for metric in listed]
        except Exception as error:  # also what the class's own values raise
            raise BadMetric(f"Bad metric created during request: {_describe(metrics)}: {error}") from error
        for metric in checked:
            self._count(metric, method)
        return shown

    def _count(self, metric: Metric, method: str) -> None:
        try:
            family = check_exposable(metric)
            # the standard labels stand above a tag of the same name, on the page
            own = {name: value for name, value in metric.tags.items() if name not in self._standard}
            series = Series(metric.type.kind, family, sort_labels({**own, "method": method}))
            with self._lock:
                self._names.claim(series.kind, family)
                self._add(series, metric.value)
        except ValueError as error:
            if str(error) not in self._told and len(self._told) < _MOST_TOLD:
                self._told.add(str(error))
                logger.error("a metric is left out of the metrics page: %s (told once)", error)

    def _add(self, series: Series, value: float) -> None:
        place = self._find(series, self._slots.append)
        if place is None:
            return
        if series.kind is MetricKind.COUNTER:
            self._values[place] += value
        elif series.kind is MetricKind.GAUGE:
            self._values[place] = value
        else:
            observe_time(self._values, place, value)

    def observe_batch(self, method: str, requests: int, rows: float) -> None:
        """Count one merged call of the model.

        Args:
            method: the value of the label ``method``.
            requests: how many it answers.
            rows: of all of them.
        """
        with self._lock:
            places = self._batches.get(method) or self._add_batches(method)
            for place, family, value in zip(places, BATCHES, (requests, rows), strict=True):
                if place is not None:
                    observe(self._values, place, family.edges, value)

    def _add_batches(self, method: str) -> list[int | None]:
        places = [
            self._find(Series(family.kind, family.name, (("method", method),)), self._slots.append_own)
            for family in BATCHES
        ]
        return self._batches.setdefault(method, places)

    def set_in_flight(self, requests: int) -> None:
        """Tell how many requests this worker has taken and not yet answered."""
        self._values[self._in_flight] = requests

    def set_queued(self, requests: int) -> None:
        """Tell how many requests of this worker's wait for a model thread."""
        self._values[self._queued] = requests

    def set_load_seconds(self, seconds: float) -> None:
        """Tell how long this worker took to build its model."""
        self._values[self._load] = seconds

    def render(self) -> bytes:
        """All workers' metrics, as Prometheus reads them."""
        return self._page.render()

    def _find(self, series: Series, append: Callable[[int, str, int], int | None]) -> int | None:
        """The place of a series' first value, which is made if need be; None: there is no room."""
        place = self._places.get(series)
        if place is None:
            place = append(self._index, series.to_text(), series.size)
            if place is not None:
                self._places[series] = place
        return place


def _describe(metrics: object) -> str:
    """The metrics as JSON, or as Python shows what has no form there."""
    try:
        return json.dumps(metrics, default=repr, sort_keys=False)[:500]
    except Exception:  # a key or a loop that JSON has no form for, or a repr that raises
        return short_repr(metrics, 500)


def standard_labels(unit: UnitSpec) -> dict[str, str]:
    """The labels that every series has (contract section 6.2), with the older names for the same values."""
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
    name, _, version = image.rpartition(":")  # at the last colon: a registry may have one for its port
    return name, version

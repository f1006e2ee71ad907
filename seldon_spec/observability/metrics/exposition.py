"""The metrics page: all segments of all components added up, in the Prometheus text format 0.0.4."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from itertools import chain, islice
from typing import TypeAlias, TypeVar

from seldon_spec.observability.metrics.call_buffer import is_group, read_calls
from seldon_spec.observability.metrics.definitions import (
    DROPPED,
    GAUGES,
    MetricKind,
    NameRegistry,
    describe_metric,
)
from seldon_spec.observability.metrics.registry import Metrics
from seldon_spec.observability.metrics.segments import SeriesCopy
from seldon_spec.observability.metrics.series import Labels, Series

logger = logging.getLogger(__name__)

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_SLICE_SECONDS = 0.001
_REST_SECONDS = 0.0002
_STEPS = 64
"""Number of steps between two checks of the clock."""

_NO_WORKER = -1

T = TypeVar("T")


class ExposedSeries:
    """A series on the page; there is one object for each.

    Attributes:
        kind, size, bounds: see ``Series``.
        metric: the name and the type.
        labels: including the standard labels of its component.
        label_text: the labels as the page has them.
    """

    __slots__ = ("bounds", "kind", "label_text", "labels", "metric", "size")

    def __init__(self, series: Series, labels: Labels) -> None:
        self.kind = series.kind
        self.size = series.size
        self.bounds = series.bounds
        self.metric = series.name, series.kind
        self.labels = labels
        self.label_text = ",".join(_label_text(name, value) for name, value in labels)


Sample: TypeAlias = tuple[ExposedSeries, str, str, float]
"""A line of the page: its series, the suffix of the metric's name, the value of the label ``le``, and its value.

Only the buckets of a histogram have the label; that of the others is empty.
"""


class _Totals:
    """The values on the page: a number for each counter and gauge, a list of cells for each histogram.

    Attributes:
        newest: for each metric, when the newest process that has it acquired its segment.
    """

    def __init__(self) -> None:
        self.numbers: dict[ExposedSeries, float] = {}
        self.histograms: dict[ExposedSeries, list[float]] = {}
        self.newest: dict[tuple[str, MetricKind], float] = {}

    def add_number(self, sample: ExposedSeries, value: float, held_since: float) -> None:
        before = 0.0 if sample.kind is MetricKind.GAUGE else self.numbers.get(sample, 0.0)
        self.numbers[sample] = before + value
        self._update_newest(sample, held_since)

    def add_histogram(self, sample: ExposedSeries, values: list[float], held_since: float) -> None:
        known = self.histograms.get(sample)
        self.histograms[sample] = values if known is None else [a + b for a, b in zip(known, values, strict=True)]
        self._update_newest(sample, held_since)

    def _update_newest(self, sample: ExposedSeries, held_since: float) -> None:
        if held_since > self.newest.get(sample.metric, -1):
            self.newest[sample.metric] = held_since


class _View:
    """The user series of one segment that have been read so far; each entry is read once.

    The lists have one item per entry: tuples would be more work for the garbage collector, which blocks all threads.
    """

    def __init__(self) -> None:
        self.releases = 0
        self.end = 0
        self.samples: list[ExposedSeries] = []
        self.cells: list[int] = []
        self.held_since: list[int] = []


class _Component:
    """One component on the page.

    Args:
        metrics: its memory, and the standard labels of its series; those of a component of a graph have their own.
        samples: those of its series, by key and worker; shared with other components that have the same labels.
    """

    def __init__(self, metrics: Metrics, samples: dict[tuple[str, int], ExposedSeries]) -> None:
        self.segments = metrics.segments
        self._labels = {name: (name, value) for name, value in metrics.labels.items()}
        self._samples = samples
        self._views = [_View() for _ in range(self.segments.count + 1)]

    def is_outdated(self, copies: list[SeriesCopy]) -> bool:
        """Whether series were moved or removed since the last page."""
        return [copy.releases for copy in copies] != [view.releases for view in self._views]

    def reset(self) -> None:
        """Forget all entries, so that they are read again."""
        self._samples.clear()
        self._views = [_View() for _ in self._views]

    def add_user_series(self, copies: list[SeriesCopy], totals: _Totals) -> None:
        """Add the user series of all segments to the totals."""
        for index, (copy, view) in enumerate(zip(copies, self._views, strict=True)):
            view.releases = copy.releases
            for entry in _with_pauses(copy.entries(view.end)):  # those added since the last page
                view.samples.append(self._find_user_sample(entry.key, index))
                view.cells.append(entry.cell)
                view.held_since.append(entry.held_since)
                view.end = entry.cell + entry.size
            values = memoryview(copy.content).cast("d")
            is_held = index < self.segments.count and self.segments.is_held(index)
            for sample, cell, held_since in _with_pauses(zip(view.samples, view.cells, view.held_since, strict=True)):
                if sample.kind is MetricKind.HISTOGRAM:
                    totals.add_histogram(sample, [*values[cell : cell + sample.size]], held_since)
                elif sample.kind is MetricKind.COUNTER or (is_held and not math.isnan(values[cell])):
                    totals.add_number(sample, values[cell], held_since)

    def add_builtin_series(self, totals: _Totals) -> None:
        """Add the built-in metrics of all segments to the totals."""
        segments = self.segments
        for index in range(segments.count + 1):
            groups = []
            for entry in _with_pauses(segments.builtin_entries(index)):
                if is_group(entry.key):
                    groups.append((entry.key, entry.cell))
                else:
                    series = Series.from_text(entry.key)
                    values = [segments.values[entry.cell + number] for number in range(entry.size)]
                    if series.kind is MetricKind.HISTOGRAM:
                        totals.add_histogram(self._find_sample(series), values, math.inf)
                    else:
                        totals.add_number(self._find_sample(series), values[0], math.inf)
            for series, values in read_calls(segments, index, groups) if groups else ():
                totals.add_histogram(self._find_sample(series), values, math.inf)
            for number, definition in enumerate(GAUGES):
                value = segments.values[segments.gauge(index, number)]
                if segments.is_held(index) and not math.isnan(value):  # else no process has set it
                    sample = self._find_sample(Series(MetricKind.GAUGE, definition.name, ()), index)
                    totals.add_number(sample, value, math.inf)
        dropped = self._find_sample(Series(DROPPED.kind, DROPPED.name, ()))
        totals.add_number(dropped, float(segments.count_dropped()), math.inf)

    def _find_user_sample(self, key: str, index: int) -> ExposedSeries:
        sample = self._samples.get((key, _NO_WORKER)) or self._samples.get((key, index))
        if sample is None:
            series = Series.from_text(key)
            sample = self._find_sample(series, index if series.kind is MetricKind.GAUGE else _NO_WORKER)
        return sample

    def _find_sample(self, series: Series, worker: int = _NO_WORKER) -> ExposedSeries:
        key = series.to_text(), worker
        sample = self._samples.get(key)
        if sample is None:
            labels = {**self._labels, **{label[0]: label for label in series.labels}}
            if worker != _NO_WORKER:
                labels["worker_id"] = ("worker_id", str(worker))
            sample = self._samples[key] = ExposedSeries(series, tuple(labels[name] for name in sorted(labels)))
        return sample


class Exposition:
    """The metrics of all components in all processes of a server. Rendered by one thread at a time.

    Each series has the standard labels of its component; the user series of a component of a graph contain them.
    Counters and histograms are sums over the processes, including those that exited. A gauge is the state of one
    process: sums would be wrong, and the last value set would hide the others. So each running process has a series of
    its own, with the number of its segment as the label ``worker_id``. A process that takes over a segment takes over
    its number, so there are never more series than segments.

    Where two processes or components use one name for different types, as after a class was edited, the type of the
    process that started last is exposed. The values of the other are left out, which is logged once.

    Rendering many series takes long. The thread sleeps now and then, so that the event loop gets the interpreter.

    Args:
        components: their metrics in this worker.
    """

    def __init__(self, *components: Metrics) -> None:
        samples: dict[tuple[tuple[str, str], ...], dict[tuple[str, int], ExposedSeries]] = {}
        self._components = [
            _Component(metrics, samples.setdefault(tuple(metrics.labels.items()), {})) for metrics in components
        ]
        self._logged: set[tuple[str, MetricKind]] = set()

    def render(self) -> bytes:
        """Return the page.

        Raises:
            InconsistentSegment: another process does not finish what it writes.
        """
        lines = _render_lines(self.read_samples())
        pieces: list[bytes] = []
        while piece := "".join(islice(lines, 1000)):
            pieces.append(piece.encode("utf-8", "replace"))
        return b"".join(pieces)

    def read_samples(self) -> Iterator[Sample]:
        """Yield what the page shows, in its order.

        Raises:
            InconsistentSegment: another process does not finish what it writes.
        """
        totals = self._read_totals()
        return _with_pauses(_list_samples(totals, self._choose_types(totals.newest)))

    def _read_totals(self) -> _Totals:
        all_copies = [component.segments.copy_series() for component in self._components]
        parts = list(zip(self._components, all_copies, strict=True))
        if any(component.is_outdated(copies) for component, copies in parts):
            for component in self._components:
                component.reset()
        totals = _Totals()
        for component, copies in parts:
            component.add_user_series(copies, totals)
            component.add_builtin_series(totals)
        return totals

    def _choose_types(self, newest: Mapping[tuple[str, MetricKind], float]) -> Iterator[tuple[str, MetricKind]]:
        """Yield the metrics to expose: of those that share a name, that of the newest process."""
        names = NameRegistry()
        for name, kind in sorted(newest, key=lambda metric: (-newest[metric], metric)):
            if self._is_unused(names, name, kind):
                yield name, kind

    def _is_unused(self, names: NameRegistry, name: str, kind: MetricKind) -> bool:
        try:
            names.claim(kind, name)
        except ValueError as error:
            if (name, kind) not in self._logged:
                self._logged.add((name, kind))
                text = "the metrics page leaves out the %s %s of an older worker: %s (logged once)"
                logger.warning(text, kind.value, name, error)
            return False
        return True


def _with_pauses(items: Iterable[T]) -> Iterator[T]:
    """Yield the items, and sleep after each slice of time."""
    pause_at = time.perf_counter() + _SLICE_SECONDS
    for number, item in enumerate(items):
        if number % _STEPS == 0 and time.perf_counter() >= pause_at:
            time.sleep(_REST_SECONDS)
            pause_at = time.perf_counter() + _SLICE_SECONDS
        yield item


def _list_samples(totals: _Totals, metrics: Iterable[tuple[str, MetricKind]]) -> Iterator[Sample]:
    series_of: dict[tuple[str, MetricKind], list[ExposedSeries]] = {metric: [] for metric in sorted(metrics)}
    for series in _with_pauses(chain(totals.numbers, totals.histograms)):
        known = series_of.get(series.metric)
        if known is not None:
            known.append(series)
    for (_, kind), all_series in series_of.items():
        for series in all_series:
            if kind is MetricKind.HISTOGRAM:
                yield from _list_histogram(series, totals.histograms[series])
            else:
                yield series, "", "", totals.numbers[series]


def _list_histogram(series: ExposedSeries, values: list[float]) -> Iterator[Sample]:
    count = 0.0
    for bound, bin_count in zip(_bound_texts(series.bounds), values, strict=False):
        count += bin_count
        yield series, "_bucket", bound, count
    yield series, "_count", "", count
    yield series, "_sum", "", values[-1]


@lru_cache(maxsize=64)
def _bound_texts(bounds: tuple[float, ...]) -> list[str]:
    return [_number(bound) for bound in (*bounds, math.inf)]


def _render_lines(samples: Iterable[Sample]) -> Iterator[str]:
    shown = None
    for series, suffix, bound, value in samples:
        if series.metric != shown:
            shown = name, kind = series.metric
            yield f"# HELP {name} {describe_metric(name)}\n# TYPE {name} {kind.value}\n"
        if bound:
            yield f'{name}{suffix}{{{series.label_text},le="{bound}"}} {_number(value)}\n'
        else:
            yield f"{name}{suffix}{{{series.label_text}}} {_number(value)}\n"


def _label_text(name: str, value: str) -> str:
    value = value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
    return f'{name}="{value}"'


_NOT_FINITE = {"inf": "+Inf", "-inf": "-Inf", "nan": "NaN"}


def _number(value: float) -> str:
    text = repr(value)
    return _NOT_FINITE.get(text, text)

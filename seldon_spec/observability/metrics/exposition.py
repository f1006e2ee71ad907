"""The page that Prometheus reads: all slots added up, in the text format 0.0.4."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice
from typing import TypeVar

from seldon_spec.observability.metrics.call_buffer import is_group, read_calls
from seldon_spec.observability.metrics.definitions import DROPPED, GAUGES, OWN, MetricKind, Names
from seldon_spec.observability.metrics.segments import Segments, SeriesCopy
from seldon_spec.observability.metrics.series import Series

logger = logging.getLogger(__name__)

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_SLICE_SECONDS = 0.001
_REST_SECONDS = 0.0002
_STEPS = 64
"""How many steps are done between two looks at the clock."""

_NO_WORKER = -1

T = TypeVar("T")


class _Sample:
    """A series as it is on the page; there is one object for each.

    Attributes:
        kind, size, edges: see ``Series``.
        of: the family and the kind.
        labels: as text, the standard ones included.
    """

    __slots__ = ("edges", "kind", "labels", "of", "size")

    def __init__(self, series: Series, labels: str) -> None:
        self.kind = series.kind
        self.size = series.size
        self.edges = series.edges
        self.of = series.family, series.kind
        self.labels = labels


class _Totals:
    """The values of the page: one for each counter and gauge, a list of cells for each histogram."""

    def __init__(self) -> None:
        self.numbers: dict[_Sample, float] = {}
        self.histograms: dict[_Sample, list[float]] = {}

    def add_number(self, sample: _Sample, value: float) -> None:
        self.numbers[sample] = self.numbers.get(sample, 0.0) + value

    def add_histogram(self, sample: _Sample, values: list[float]) -> None:
        _add(self.histograms, sample, values)


class _View:
    """What is known of the user's series in one slot: each entry is read once.

    Its lists have one item for each entry: tuples would be more work for the garbage collector, which blocks all
    threads.
    """

    def __init__(self) -> None:
        self.releases = 0
        self.end = 0
        self.samples: list[_Sample] = []
        self.places: list[int] = []
        self.stamps: list[int] = []


class Exposition:
    """The metrics of all processes. Rendered by one thread at a time.

    Counters and histograms are sums over the processes, those that have ended included. A gauge is the state of one
    process, so adding gauges up would be wrong and the last one set would hide the others: each process's stands for
    itself as long as it lives, under the label ``worker_id``, which is its slot's number. A process that takes over a
    slot takes over its number, so there are never more series than slots.

    Where two processes use one name for different types, as after a class was edited, the type of the process that
    started last is exposed. The values of the other are left out, which is logged once.

    Rendering many series takes long. The thread rests now and then, so that the event loop gets the interpreter.

    Args:
        slots: the memory.
        standard: labels that every series gets; they override its own.
    """

    def __init__(self, slots: Segments, standard: Mapping[str, str]) -> None:
        self._slots = slots
        self._standard = {name: _label_text(name, value) for name, value in standard.items()}
        self._views = [_View() for _ in range(slots.count + 1)]
        self._samples: dict[tuple[str, int], _Sample] = {}
        self._told: set[tuple[str, MetricKind]] = set()

    def render(self) -> bytes:
        """The page.

        Raises:
            Inconsistent: another process does not finish what it writes.
        """
        copies = self._slots.copy_series()
        self._update_views(copies)
        totals = _Totals()
        stamps: dict[tuple[str, MetricKind], float] = {}
        for index, (copy, view) in enumerate(zip(copies, self._views, strict=True)):
            values = memoryview(copy.content).cast("d")
            is_held = index < self._slots.count and self._slots.is_held(index)
            for sample, place, stamp in _at_ease(zip(view.samples, view.places, view.stamps, strict=True)):
                if sample.kind is MetricKind.HISTOGRAM:
                    totals.add_histogram(sample, [*values[place : place + sample.size]])
                elif sample.kind is MetricKind.COUNTER or (is_held and not math.isnan(values[place])):
                    totals.add_number(sample, values[place])
                else:  # a gauge that no process has set
                    continue
                if stamp > stamps.get(sample.of, -1):
                    stamps[sample.of] = stamp
        for sample, found in self._read_own():
            if sample.kind is MetricKind.HISTOGRAM:
                totals.add_histogram(sample, found)
            else:
                totals.add_number(sample, found[0])
            stamps[sample.of] = math.inf
        lines = self._render_families(totals, self._choose_types(stamps))
        pieces: list[bytes] = []
        easy = _at_ease(lines)
        while piece := "".join(islice(easy, 1000)):
            pieces.append(piece.encode("utf-8", "replace"))
        return b"".join(pieces)

    def _update_views(self, copies: list[SeriesCopy]) -> None:
        """Read the entries that were added since the last page; all of them if series were moved or removed."""
        releases = [copy.releases for copy in copies]
        if releases != [view.releases for view in self._views]:
            self._samples.clear()
            self._views = [_View() for _ in copies]
        for index, (copy, view) in enumerate(zip(copies, self._views, strict=True)):
            view.releases = copy.releases
            for entry in _at_ease(copy.entries(view.end)):
                sample = self._find_sample(entry.key, index)
                view.samples.append(sample)
                view.places.append(entry.place)
                view.stamps.append(entry.stamp)
                view.end = entry.place + entry.size

    def _find_sample(self, key: str, index: int) -> _Sample:
        sample = self._samples.get((key, _NO_WORKER)) or self._samples.get((key, index))
        if sample is None:
            series = Series.from_text(key)
            worker = index if series.kind is MetricKind.GAUGE else _NO_WORKER
            sample = self._samples[key, worker] = self._make_sample(series, worker)
        return sample

    def _make_sample(self, series: Series, worker: int = _NO_WORKER) -> _Sample:
        labels = {name: _label_text(name, value) for name, value in series.labels}
        if worker != _NO_WORKER:
            labels["worker_id"] = _label_text("worker_id", str(worker))
        labels.update(self._standard)
        return _Sample(series, ",".join(labels[name] for name in sorted(labels)))

    def _read_own(self) -> Iterator[tuple[_Sample, list[float]]]:
        """The server's own series; those of several slots are to be added up."""
        slots = self._slots
        own: dict[Series, list[float]] = {}  # few
        for index in range(slots.count + 1):
            groups = []
            for entry in slots.own_entries(index):
                if is_group(entry.key):
                    groups.append((entry.key, entry.place))
                else:
                    found = [slots.values[entry.place + number] for number in range(entry.size)]
                    _add(own, Series.from_text(entry.key), found)
            for series, found in read_calls(slots, index, groups) if groups else ():
                _add(own, series, found)
            for number, family in enumerate(GAUGES):
                value = slots.values[slots.gauge(index, number)]
                if slots.is_held(index) and not math.isnan(value):  # else no process has set it
                    yield self._make_sample(Series(MetricKind.GAUGE, family.name, ()), index), [value]
        own[Series(DROPPED.kind, DROPPED.name, ())] = [float(slots.count_dropped())]
        for series, found in own.items():
            yield self._make_sample(series), found

    def _choose_types(self, stamps: Mapping[tuple[str, MetricKind], float]) -> set[tuple[str, MetricKind]]:
        """The families that are exposed: of those that use one name, the one of the newest process."""
        names = Names()
        chosen = set()
        for family, kind in sorted(stamps, key=lambda each: (-stamps[each], each)):
            if self._is_free(names, family, kind):
                chosen.add((family, kind))
        return chosen

    def _is_free(self, names: Names, family: str, kind: MetricKind) -> bool:
        try:
            names.claim(kind, family)
        except ValueError as error:
            if (family, kind) not in self._told:
                self._told.add((family, kind))
                text = "the metrics page leaves out the %s %s of an older worker: %s (logged once)"
                logger.warning(text, kind.value, family, error)
            return False
        return True

    def _render_families(self, totals: _Totals, chosen: Iterable[tuple[str, MetricKind]]) -> Iterator[str]:
        families: dict[tuple[str, MetricKind], list[_Sample]] = {family: [] for family in sorted(chosen)}
        for sample in _at_ease(chain(totals.numbers, totals.histograms)):
            samples = families.get(sample.of)
            if samples is not None:
                samples.append(sample)
        for (name, kind), samples in families.items():
            text = OWN[name].text if name in OWN else "A metric of the model."
            yield f"# HELP {name} {text}\n# TYPE {name} {kind.value}\n"
            for sample in samples:
                if kind is MetricKind.HISTOGRAM:
                    yield from _render_histogram(sample, totals.histograms[sample])
                else:
                    yield f"{name}{{{sample.labels}}} {_number(totals.numbers[sample])}\n"


def _add(totals: dict[T, list[float]], key: T, values: list[float]) -> None:
    known = totals.get(key)
    totals[key] = values if known is None else [a + b for a, b in zip(known, values, strict=True)]


def _at_ease(items: Iterable[T]) -> Iterator[T]:
    """Iterate, and rest after each slice of time."""
    rest_at = time.perf_counter() + _SLICE_SECONDS
    for number, item in enumerate(items):
        if number % _STEPS == 0 and time.perf_counter() >= rest_at:
            time.sleep(_REST_SECONDS)
            rest_at = time.perf_counter() + _SLICE_SECONDS
        yield item


def _render_histogram(sample: _Sample, values: list[float]) -> Iterator[str]:
    name, _ = sample.of
    count = 0.0
    for edge, bin_count in zip((*sample.edges, math.inf), values, strict=False):
        count += bin_count
        yield f'{name}_bucket{{{sample.labels},le="{_number(edge)}"}} {_number(count)}\n'
    yield f"{name}_count{{{sample.labels}}} {_number(count)}\n"
    yield f"{name}_sum{{{sample.labels}}} {_number(values[-1])}\n"


def _label_text(name: str, value: str) -> str:
    value = value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
    return f'{name}="{value}"'


def _number(value: float) -> str:
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return "NaN" if math.isnan(value) else repr(value)

"""The series of the metrics page and their values, read from the segments of all processes.

A series is found once: its text is parsed when its entry appears. After that only values are read, those of all series
of a segment at once.
"""

from __future__ import annotations

import math
import time
from array import array
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from itertools import compress
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from seldon_spec.observability.metrics.call_buffer import is_group, read_calls
from seldon_spec.observability.metrics.definitions import DROPPED, GAUGES, MetricKind
from seldon_spec.observability.metrics.registry import Metrics
from seldon_spec.observability.metrics.segments import Entry
from seldon_spec.observability.metrics.series import Labels, Series, is_gauge, sort_labels

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

Metric: TypeAlias = tuple[str, MetricKind]
"""A name and a type."""

Addition: TypeAlias = "tuple[ValueBlock, Any, Any]"
"""Values of one segment: their block, their rows in it, or one row, and the values."""

_SLICE_SECONDS = 0.001
_REST_SECONDS = 0.0002

T = TypeVar("T")


def with_pauses(items: Iterable[T]) -> Iterator[T]:
    """Yield the items, and sleep after each slice of time, so that the event loop gets the interpreter."""
    pause_at = time.perf_counter() + _SLICE_SECONDS
    for item in items:
        if time.perf_counter() >= pause_at:
            time.sleep(_REST_SECONDS)
            pause_at = time.perf_counter() + _SLICE_SECONDS
        yield item


class ValueBlock:
    """The values of all series of one type and size: a row for each.

    Attributes:
        count: the number of rows.
    """

    def __init__(self, kind: MetricKind, size: int) -> None:
        self.kind = kind
        self.size = size
        self.count = 0
        self._values: Floats
        self._numbers: list[float] = []

    def set_values(self, additions: Iterable[Addition]) -> None:
        """Replace all values: a gauge has one or none, and the others are sums."""
        import numpy as np

        is_gauge = self.kind is MetricKind.GAUGE
        self._values = np.full((self.count, self.size), math.nan if is_gauge else 0.0)
        for _, rows, values in additions:
            if is_gauge:
                self._values[rows] = np.where(np.isnan(values), self._values[rows], values)
            else:
                self._values[rows] += values
        if self.size == 1:
            self._numbers = self._values.ravel().tolist()

    def read(self, rows: array[int]) -> list[float]:
        """Return the values of all lines of some rows; NaN for a gauge that no running process has set."""
        import numpy as np

        if self.kind is not MetricKind.HISTOGRAM:
            return [self._numbers[row] for row in rows]  # faster than NumPy if each metric has few series
        values = self._values[np.array(rows)]
        counts = values[:, :-1].cumsum(axis=1)
        lines: list[float] = np.column_stack((counts, counts[:, -1], values[:, -1])).ravel().tolist()
        return lines


class Family:
    """A metric: the series of one name and type.

    Attributes:
        bounds: of its buckets, if it is a histogram.
        block: has its values.
    """

    def __init__(self, metric: Metric, bounds: tuple[float, ...], block: ValueBlock) -> None:
        self.metric = metric
        self.bounds = bounds
        self.block = block
        self._series: list[ExposedSeries] = []
        self._rows = array("q")

    def add(self, series: ExposedSeries) -> int:
        """Add a series, and return its row in the block."""
        row = self.block.count
        self.block.count += 1
        self._series.append(series)
        self._rows.append(row)
        return row

    def read(self, count: int) -> Iterator[tuple[list[ExposedSeries], list[float]]]:
        """Yield series that have a value, and the values of all lines of these.

        Args:
            count: the number of lines of an item, approximately.
        """
        step = max(1, count // self.block.size)
        for first in range(0, len(self._rows), step):
            series = self._series[first : first + step]
            values = self.block.read(self._rows[first : first + step])
            if self.block.kind is MetricKind.GAUGE:
                is_set = [value == value for value in values]  # not NaN
                series, values = list(compress(series, is_set)), list(compress(values, is_set))
            if series:
                yield series, values


class ExposedSeries:
    """A series on the page; there is one object for each.

    Args:
        family: its metric.
        key: its text in the segments.
        series: read from the text.
        standard: the standard labels of its component.
        worker: the number of its segment; only for a gauge.

    Attributes:
        label_text: the labels as the page has them.
        row: of its values in the block of its family.
    """

    __slots__ = ("_key", "_standard", "_worker", "family", "label_text", "row")

    def __init__(self, family: Family, key: str, series: Series, standard: Mapping[str, str], worker: int) -> None:
        self.family = family
        self._key = key
        self._standard = standard
        self._worker = worker
        labels = self._merge_labels(series)
        self.label_text = ",".join([_label_text(name, labels[name]) for name in sorted(labels)])
        self.row = family.add(self)

    @property
    def metric(self) -> Metric:
        """The name and the type."""
        return self.family.metric

    @property
    def labels(self) -> Labels:
        """All labels. They are parsed anew each time: few callers need them, and many series are kept."""
        return sort_labels(self._merge_labels(Series.from_text(self._key)))

    def _merge_labels(self, series: Series) -> dict[str, str]:
        labels = {**self._standard, **dict(series.labels)}
        if series.kind is MetricKind.GAUGE:
            labels["worker_id"] = str(self._worker)
        return labels


@lru_cache(maxsize=1024)
def _label_text(name: str, value: str) -> str:
    value = value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
    return f'{name}="{value}"'


class Table:
    """All series of the page, of all components.

    Attributes:
        families: the metrics.
        series: by standard labels: the series of components that have the same labels, by text and worker.
    """

    def __init__(self) -> None:
        self.families: dict[Metric, Family] = {}
        self.series: defaultdict[Labels, dict[str | tuple[str, int], ExposedSeries]] = defaultdict(dict)
        self._blocks: dict[tuple[MetricKind, int], ValueBlock] = {}

    def find_family(self, series: Series) -> Family:
        """Return the metric of a series."""
        metric = series.name, series.kind
        family = self.families.get(metric)
        if family is None:
            block = self._blocks.setdefault((series.kind, series.size), ValueBlock(series.kind, series.size))
            bounds = series.bounds if series.kind is MetricKind.HISTOGRAM else ()
            family = self.families[metric] = Family(metric, bounds, block)
        return family

    def set_values(self, additions: Iterable[Addition]) -> None:
        """Replace all values."""
        by_block = defaultdict(list)
        for addition in additions:
            by_block[addition[0]].append(addition)
        for block in self._blocks.values():
            block.set_values(by_block[block])


class _View:
    """The entries of one segment that have been read so far; each is read once.

    Attributes:
        builtin_end, series_end: the cells behind them.
        groups: keys and cells of the groups of calls.
        parts: of each block, the first cells of the entries, and the rows of their series.
        newest: for each user metric, when the newest process that has it acquired its segment.
    """

    def __init__(self) -> None:
        self.builtin_end = self.series_end = 0
        self.groups: list[tuple[str, int]] = []
        self.parts: defaultdict[ValueBlock, tuple[array[int], array[int]]] = defaultdict(_make_part)
        self.newest: defaultdict[Family, int] = defaultdict(int)

    def add(self, entry: Entry, series: ExposedSeries) -> None:
        cells, rows = self.parts[series.family.block]
        cells.append(entry.cell)
        rows.append(series.row)


def _make_part() -> tuple[array[int], array[int]]:
    return array("q"), array("q")


class ComponentReader:
    """Reads the segments of one component, until one of them is released.

    Args:
        metrics: its memory, and the standard labels of its series; those of a component of a graph have their own.
        table: gets its series.
    """

    def __init__(self, metrics: Metrics, table: Table) -> None:
        self._segments = metrics.segments
        self._standard = metrics.labels
        self._table = table
        self._series = table.series[tuple(metrics.labels.items())]
        self._views = [_View() for _ in range(self._segments.count + 1)]

    def read(self) -> Iterator[Addition]:
        """Yield all values, after those series that are new have been added to the table."""
        segments = self._segments
        for index, view in enumerate(self._views):
            self._read_entries(index, view)
            is_held = segments.is_held(index)
            yield from self._read_values(view, is_held)
            for series, values in read_calls(segments, index, view.groups) if view.groups else ():
                yield self._locate(series, index, values)
            for number, definition in enumerate(GAUGES if is_held else ()):
                series = Series(MetricKind.GAUGE, definition.name, ())
                yield self._locate(series, index, segments.values[segments.gauge(index, number)])
        yield self._locate(Series(DROPPED.kind, DROPPED.name, ()), 0, segments.count_dropped())

    def read_state(self) -> object:
        """Return a value that changes whenever ``find_newest`` does."""
        return [(view.series_end, self._segments.is_held(index)) for index, view in enumerate(self._views)]

    def find_newest(self) -> Iterator[tuple[Metric, float]]:
        """Yield the user metrics, and when the newest process of a segment that has them acquired it."""
        for index, view in enumerate(self._views):
            is_held = self._segments.is_held(index)
            for family, since in view.newest.items():
                if is_held or family.block.kind is not MetricKind.GAUGE:
                    yield family.metric, since

    def _read_entries(self, index: int, view: _View) -> None:
        for entry in with_pauses(self._segments.builtin_entries(index, view.builtin_end)):
            view.builtin_end = entry.cell + entry.size
            if is_group(entry.key):
                view.groups.append((entry.key, entry.cell))
            else:
                view.add(entry, self._find(entry.key, index))
        for entry in with_pauses(self._segments.series_entries(index, view.series_end)):
            view.series_end = entry.cell + entry.size
            series = self._find(entry.key, index)
            view.add(entry, series)
            view.newest[series.family] = max(view.newest[series.family], entry.held_since)

    def _read_values(self, view: _View, is_held: bool) -> Iterator[Addition]:  # noqa: FBT001
        import numpy as np

        values = np.frombuffer(self._segments.bytes)
        for block, (cells, rows) in view.parts.items():
            if is_held or block.kind is not MetricKind.GAUGE:
                yield block, np.array(rows), values[np.array(cells)[:, None] + np.arange(block.size)]

    def _locate(self, series: Series, index: int, values: Any) -> Addition:
        found = self._find(series.to_text(), index)
        return found.family.block, found.row, values

    def _find(self, key: str, index: int) -> ExposedSeries:
        identity = (key, index) if is_gauge(key) else key
        series = self._series.get(identity)
        if series is None:
            parsed = Series.from_text(key)
            family = self._table.find_family(parsed)
            series = self._series[identity] = ExposedSeries(family, key, parsed, self._standard, index)
        return series

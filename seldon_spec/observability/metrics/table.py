"""The series of the metrics page and their values, read from the segments of all processes.

A series is found once: its text is parsed when its entry appears. After that only values are read, those of all series
of a segment at once.
"""

from __future__ import annotations

import math
import re
import time
from array import array
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from itertools import compress
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypeVar

from seldon_spec.observability.metrics.call_buffer import is_group, read_calls
from seldon_spec.observability.metrics.definitions import DROPPED, GAUGES, WORKER_LABEL, MetricKind
from seldon_spec.observability.metrics.registry import Metrics
from seldon_spec.observability.metrics.segments import Entry
from seldon_spec.observability.metrics.series import Labels, Series, is_gauge

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

_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_ESCAPED = re.compile(r"\\(.)")

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
        self._label_texts: list[str] = []
        self._rows = array("q")

    def add(self, label_text: str) -> int:
        """Add a series, and return its row in the block."""
        row = self.block.count
        self.block.count += 1
        self._label_texts.append(label_text)
        self._rows.append(row)
        return row

    def read(self, count: int) -> Iterator[tuple[list[str], list[float]]]:
        """Yield the labels of series that have a value, and the values of all lines of these.

        Args:
            count: the number of lines of an item, approximately.
        """
        step = max(1, count // self.block.size)
        for first in range(0, len(self._rows), step):
            labels = self._label_texts[first : first + step]
            values = self.block.read(self._rows[first : first + step])
            if self.block.kind is MetricKind.GAUGE:
                is_set = [value == value for value in values]  # not NaN
                labels, values = list(compress(labels, is_set)), list(compress(values, is_set))
            if labels:
                yield labels, values


class ExposedSeries(NamedTuple):
    """A series on the page.

    Attributes:
        metric: the name and the type.
        label_text: the labels as the page has them, including the standard labels of its component.
    """

    metric: Metric
    label_text: str

    @property
    def labels(self) -> Labels:
        """The names and values of the labels."""
        return tuple((name, _ESCAPED.sub(_unescape, value)) for name, value in _LABEL.findall(self.label_text))


def _unescape(found: re.Match[str]) -> str:
    return "\n" if found[1] == "n" else found[1]


@lru_cache(maxsize=1024)
def _label_text(name: str, value: str) -> str:
    value = value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
    return f'{name}="{value}"'


class Table:
    """All series of the page, of all components.

    There is no object for a series that the garbage collector tracks: a new page with many of them would cause a full
    collection, which blocks all threads.

    Attributes:
        families: the metrics.
        numbers: by standard labels: the numbers of the series of components that have the same labels, by their text;
            that of a gauge begins with its worker.
        family_of, row_of: by number: the metric of a series, and its row in the block.
    """

    def __init__(self) -> None:
        self.families: dict[Metric, Family] = {}
        self.numbers: defaultdict[Labels, dict[str, int]] = defaultdict(dict)
        self.family_of: list[Family] = []
        self.row_of = array("q")
        self._blocks: dict[tuple[MetricKind, int], ValueBlock] = {}

    def add(self, series: Series, labels: Mapping[str, str]) -> int:
        """Add a series with these labels, and return its number."""
        family = self._find_family(series)
        label_text = ",".join([_label_text(name, labels[name]) for name in sorted(labels)])
        self.family_of.append(family)
        self.row_of.append(family.add(label_text))
        return len(self.row_of) - 1

    def _find_family(self, series: Series) -> Family:
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

    def add(self, entry: Entry, family: Family, row: int) -> None:
        cells, rows = self.parts[family.block]
        cells.append(entry.cell)
        rows.append(row)


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
        self._numbers = table.numbers[tuple(metrics.labels.items())]
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
                view.add(entry, *self._find(entry.key, index))
        for entry in with_pauses(self._segments.series_entries(index, view.series_end)):
            view.series_end = entry.cell + entry.size
            family, row = self._find(entry.key, index)
            view.add(entry, family, row)
            view.newest[family] = max(view.newest[family], entry.held_since)

    def _read_values(self, view: _View, is_held: bool) -> Iterator[Addition]:  # noqa: FBT001
        import numpy as np

        values = np.frombuffer(self._segments.bytes)
        for block, (cells, rows) in view.parts.items():
            if is_held or block.kind is not MetricKind.GAUGE:
                yield block, np.array(rows), values[np.array(cells)[:, None] + np.arange(block.size)]

    def _locate(self, series: Series, index: int, values: Any) -> Addition:
        family, row = self._find(series.to_text(), index)
        return family.block, row, values

    def _find(self, key: str, index: int) -> tuple[Family, int]:
        """Return the metric of a series, and its row in the block."""
        identity = f"{index} {key}" if is_gauge(key) else key
        number = self._numbers.get(identity)
        if number is None:
            series = Series.from_text(key)
            labels = {**self._standard, **dict(series.labels)}
            if series.kind is MetricKind.GAUGE:
                labels[WORKER_LABEL] = str(index)
            number = self._numbers[identity] = self._table.add(series, labels)
        return self._table.family_of[number], self._table.row_of[number]

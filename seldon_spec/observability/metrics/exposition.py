"""The metrics page: all segments of all components added up, in the Prometheus text format 0.0.4."""

from __future__ import annotations

import io
import logging
import math
from collections.abc import Iterator
from functools import lru_cache
from typing import TypeAlias

from seldon_spec.observability.metrics.definitions import BUILTIN, NameRegistry, describe_metric
from seldon_spec.observability.metrics.registry import Metrics
from seldon_spec.observability.metrics.segments import retry
from seldon_spec.observability.metrics.table import (
    ComponentReader,
    ExposedSeries,
    Family,
    Metric,
    Table,
    with_pauses,
)

logger = logging.getLogger(__name__)

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_LINES = 256
"""The number of lines that are rendered without a pause."""

_FIRST_BYTES = 8 << 20
"""The buffer of the first page; the system provides memory only for what is written."""

_NAME = "\0"

Sample: TypeAlias = tuple[ExposedSeries, str, str, float]
"""A line of the page: its series, the suffix of the metric's name, the value of the label ``le``, and its value.

Only the buckets of a histogram have the label; that of the others is empty.
"""


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
        self._components = components
        self._table = Table()
        self._readers: list[ComponentReader] = []
        self._releases: list[list[int]] = []
        self._families: list[Family] = []
        self._state: list[object] = []
        self._logged: set[Metric] = set()
        self._page_bytes = _FIRST_BYTES

    def render(self) -> bytes:
        """Return the page.

        Raises:
            InconsistentSegment: another process does not finish what it writes.
        """
        page = io.BytesIO(bytes(self._page_bytes))  # growing would copy megabytes while no other thread can run
        shown = None
        for family, labels, values in self._read_parts():
            if family is not shown:
                shown, (name, kind) = family, family.metric
                page.write(f"# HELP {name} {describe_metric(name)}\n# TYPE {name} {kind.value}\n".encode())
            page.write(_render_part(family, labels, values).encode("utf-8", "replace"))
        page.truncate()
        text = page.getvalue()
        self._page_bytes = len(text) * 9 // 8
        return text

    def read_samples(self) -> Iterator[Sample]:
        """Yield what the page shows, in its order.

        Raises:
            InconsistentSegment: another process does not finish what it writes.
        """
        for family, labels, values in self._read_parts():
            all_series = [ExposedSeries(family.metric, label_text) for label_text in labels]
            lines = [(series, *line) for series in all_series for line in _list_lines(family.bounds)]
            yield from ((*line, value) for line, value in zip(lines, values, strict=True))

    def _read_parts(self) -> Iterator[tuple[Family, list[str], list[float]]]:
        """Yield the labels of series in the order of the page, some at a time, and the values of all their lines."""
        self._read_table()
        state = [len(self._table.families), *(reader.read_state() for reader in self._readers)]
        if state != self._state:
            self._state = state
            self._families = [self._table.families[metric] for metric in sorted(self._choose_types())]
        return with_pauses((family, *part) for family in self._families for part in family.read(_LINES))

    def _read_table(self) -> None:
        for _ in retry():
            releases = [metrics.segments.count_releases() for metrics in self._components]
            if releases != self._releases:  # series were moved or removed
                self._table, self._releases, self._state = Table(), releases, []
                self._readers = [ComponentReader(metrics, self._table) for metrics in self._components]
            additions = list(with_pauses(addition for reader in self._readers for addition in reader.read()))
            pairs = zip(self._components, releases, strict=True)
            if all(metrics.segments.is_consistent(before) for metrics, before in pairs):
                break
        self._table.set_values(with_pauses(additions))

    def _choose_types(self) -> Iterator[Metric]:
        """Yield the metrics to expose: of those that share a name, that of the newest process."""
        newest = {metric: math.inf for metric in self._table.families if metric[0] in BUILTIN}
        for reader in self._readers:
            for metric, since in reader.find_newest():
                newest[metric] = max(newest.get(metric, 0), since)
        names = NameRegistry()
        for name, kind in sorted(newest, key=lambda metric: (-newest[metric], metric)):
            if self._is_unused(names, (name, kind)):
                yield name, kind

    def _is_unused(self, names: NameRegistry, metric: Metric) -> bool:
        name, kind = metric
        try:
            names.claim(kind, name)
        except ValueError as error:
            if metric not in self._logged:
                self._logged.add(metric)
                text = "the metrics page leaves out the %s %s of an older worker: %s (logged once)"
                logger.warning(text, kind.value, name, error)
            return False
        return True


def _render_part(family: Family, labels: list[str], values: list[float]) -> str:
    show = repr if math.isfinite(sum(values)) else _number
    words = [each for each in labels for _ in range(2 * len(_list_lines(family.bounds)))]
    words[1::2] = map(show, values)
    return _template(family.bounds).replace(_NAME, family.metric[0]) * len(labels) % tuple(words)


@lru_cache(maxsize=64)
def _list_lines(bounds: tuple[float, ...]) -> list[tuple[str, str]]:
    """Return, for each line of a series, the suffix of the name and the value of the label ``le``."""
    if not bounds:
        return [("", "")]
    return [*(("_bucket", _number(bound)) for bound in (*bounds, math.inf)), ("_count", ""), ("_sum", "")]


@lru_cache(maxsize=64)
def _template(bounds: tuple[float, ...]) -> str:
    """Return the lines of one series, without the name, the labels and the values."""
    pairs = ((suffix, f',le="{le}"' if le else "") for suffix, le in _list_lines(bounds))
    return "".join(f"{_NAME}{suffix}{{%s{text}}} %s\n" for suffix, text in pairs)


_NOT_FINITE = {"inf": "+Inf", "-inf": "-Inf", "nan": "NaN"}


def _number(value: float) -> str:
    text = repr(value)
    return _NOT_FINITE.get(text, text)

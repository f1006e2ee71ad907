"""Totals of the built-in histograms, over all processes of a server."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator

from seldon_spec.inference.metrics_sink import CallTotals, Total
from seldon_spec.observability.metrics.call_buffer import is_group, read_calls
from seldon_spec.observability.metrics.definitions import BATCHES, CALLS, DURATION
from seldon_spec.observability.metrics.segments import Segments
from seldon_spec.observability.metrics.series import Series

_NAMES = dict(
    zip((definition.name for definition in CALLS[1:6]), ("queue", "decode", "call", "encode", "rows"), strict=True)
)
"""The attribute of ``CallTotals`` for each histogram whose count and sum it has."""


def read_totals(segments: Segments, methods: Collection[str]) -> CallTotals:
    """Return the totals of the requests for some methods."""
    totals: defaultdict[str, Total] = defaultdict(Total)

    def add(name: str, count: float, value: float) -> None:
        before = totals[name]
        totals[name] = Total(before.count + int(count), before.sum + value)

    for series, cells in _read_histograms(segments):
        labels = dict(series.labels)
        if labels["method"] not in methods:
            continue
        count, value = sum(cells[:-1]), cells[-1]
        if series.name == DURATION:
            add(labels["outcome"], count, value)
        elif series.name == BATCHES[0].name:
            add("batched", count, value)
        elif series.name in _NAMES:
            add(_NAMES[series.name], count, value)
    return CallTotals(**totals)


def _read_histograms(segments: Segments) -> Iterator[tuple[Series, list[float]]]:
    for index in range(segments.count + 1):
        groups = []
        for entry in segments.builtin_entries(index):
            if is_group(entry.key):
                groups.append((entry.key, entry.cell))
            elif f'"{BATCHES[0].name}"' in entry.key:  # before it is parsed: a graph has many other entries
                yield (
                    Series.from_text(entry.key),
                    [segments.values[entry.cell + number] for number in range(entry.size)],
                )
        yield from read_calls(segments, index, groups) if groups else ()

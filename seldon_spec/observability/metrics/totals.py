"""Totals of the built-in metrics, over all processes of a server."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator

from seldon_spec.inference.metrics_sink import BranchRequests, CallTotals, ComponentCalls, GraphTotals, Total
from seldon_spec.observability.metrics.call_buffer import is_group, read_calls
from seldon_spec.observability.metrics.definitions import BATCHES, BRANCHES, CALLS, COMPONENT, DURATION
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


def read_graph_totals(segments: Segments) -> GraphTotals:
    """Return the totals of the components and the steps of a graph."""
    calls: defaultdict[tuple[str, str, str, bool], Total] = defaultdict(Total)
    branches: Counter[tuple[str, int]] = Counter()
    for index in range(segments.count + 1):
        for entry in segments.builtin_entries(index):
            if is_group(entry.key):
                continue
            series = Series.from_text(entry.key)
            labels = dict(series.labels)
            cells = [segments.values[entry.cell + number] for number in range(entry.size)]
            if series.name == COMPONENT.name:
                key = labels["component"], labels["method"], labels["outcome"], "shadow" in labels
                before = calls[key]
                calls[key] = Total(before.count + int(sum(cells[:-1])), before.sum + cells[-1])
            elif series.name == BRANCHES.name:
                branches[labels["step"], int(labels["branch"])] += int(cells[0])
    return GraphTotals(
        tuple(ComponentCalls(*key, total.count, total.sum) for key, total in sorted(calls.items())),
        tuple(BranchRequests(*key, count) for key, count in sorted(branches.items())),
    )


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

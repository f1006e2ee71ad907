"""The page that Prometheus reads: all slots added up, in the text format 0.0.4."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from seldon_spec.metrics.families import GAUGES, OWN, Kind, Names
from seldon_spec.metrics.journal import is_group, read_calls
from seldon_spec.metrics.series import Labels, Series, sort_labels
from seldon_spec.metrics.slots import Slots

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def render_page(slots: Slots, standard: Mapping[str, str]) -> bytes:
    """All processes' metrics.

    Counters and histograms are sums over the processes, those that have ended included. A gauge is the state of one
    process, so adding gauges up would be wrong and the last one set would hide the others: each process's stands for
    itself as long as it lives, under the label ``worker_id``, which is its slot's number. A process that takes over a
    slot takes over its number, so there are never more series than slots.

    Args:
        slots: the memory.
        standard: labels that every series gets; they stand above its own.
    """
    return "".join(_render_families(_add_up(slots), standard)).encode("utf-8", "replace")


def _add_up(slots: Slots) -> dict[Series, list[float]]:
    totals: dict[Series, list[float]] = {}
    for index in range(slots.count + 1):
        for series, values in _read_slot(slots, index):
            known = totals.get(series)
            totals[series] = values if known is None else [a + b for a, b in zip(known, values, strict=True)]
    return totals


def _read_slot(slots: Slots, index: int) -> Iterator[tuple[Series, list[float]]]:
    groups = []
    for key, place, size in slots.entries(index):
        if is_group(key):
            groups.append((key, place))
            continue
        series = Series.from_text(key)
        if series.kind is not Kind.GAUGE:
            yield series, list(slots.values[place : place + size])
        else:
            yield from _read_gauge(slots, index, series, place)
    for number, family in enumerate(GAUGES):
        yield from _read_gauge(slots, index, Series(Kind.GAUGE, family.name, ()), slots.gauge(index, number))
    if groups:
        yield from read_calls(slots, index, groups)


def _read_gauge(slots: Slots, index: int, series: Series, place: int) -> Iterator[tuple[Series, list[float]]]:
    value = slots.values[place]
    if slots.is_held(index) and not math.isnan(value):  # else it is nobody's state any more, or not yet
        labels = sort_labels({**dict(series.labels), "worker_id": str(index)})
        yield Series(Kind.GAUGE, series.family, labels), [value]


def _render_families(totals: Mapping[Series, list[float]], standard: Mapping[str, str]) -> Iterator[str]:
    families: dict[tuple[str, Kind], list[tuple[Series, list[float]]]] = {}
    for series, values in totals.items():
        families.setdefault((series.family, series.kind), []).append((series, values))
    names = Names()
    for family, kind in sorted(families):
        try:
            names.claim(kind, family)
        except ValueError:  # two workers took one name for different kinds; the page must stay readable
            continue
        text = OWN[family].text if family in OWN else "A metric of the model."
        yield f"# HELP {family} {text}\n# TYPE {family} {kind.value}\n"
        for series, values in families[family, kind]:
            labels = _label_text(sort_labels({**dict(series.labels), **standard}))
            if kind is Kind.HISTOGRAM:
                yield from _render_histogram(series, labels, values)
            else:
                yield f"{family}{{{labels}}} {_number(values[0])}\n"


def _render_histogram(series: Series, labels: str, values: list[float]) -> Iterator[str]:
    count = 0.0
    for edge, bin_count in zip((*series.edges, math.inf), values, strict=False):
        count += bin_count
        yield f'{series.family}_bucket{{{labels},le="{_number(edge)}"}} {_number(count)}\n'
    yield f"{series.family}_count{{{labels}}} {_number(count)}\n"
    yield f"{series.family}_sum{{{labels}}} {_number(values[-1])}\n"


def _label_text(labels: Labels) -> str:
    return ",".join(f'{name}="{_escape(value)}"' for name, value in labels)


def _escape(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _number(value: float) -> str:
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return "NaN" if math.isnan(value) else repr(value)

"""A series: its identity, and the cells that it occupies."""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, MutableSequence
from dataclasses import dataclass

from seldon_spec.observability.metrics.definitions import BUCKET_BOUNDS, BUILTIN, MetricKind

Labels = tuple[tuple[str, str], ...]
"""Names and values, sorted by name."""


_parse = json.JSONDecoder().raw_decode  # without a search for white space around the text


@dataclass(frozen=True, slots=True)
class Series:
    """The identity of a series within one component.

    Attributes:
        name: of the metric, without the suffixes of a histogram.
        labels: without the standard labels of the component, except for the user series of a component of a graph.
    """

    kind: MetricKind
    name: str
    labels: Labels

    def to_text(self) -> str:
        """Return the series as text that ``from_text`` reads."""
        return json.dumps([self.kind.value, self.name, self.labels])

    @classmethod
    def from_text(cls, text: str) -> Series:
        """Return the series that ``to_text`` wrote."""
        (kind, metric, labels), _ = _parse(text)
        return cls(MetricKind(kind), metric, tuple(map(tuple, labels)))

    @property
    def bounds(self) -> tuple[float, ...]:
        """The bucket bounds of a histogram."""
        definition = BUILTIN.get(self.name)
        return BUCKET_BOUNDS if definition is None else definition.bounds

    @property
    def size(self) -> int:
        """The number of cells that it occupies."""
        return histogram_size(self.bounds) if self.kind is MetricKind.HISTOGRAM else 1


def is_gauge(text: str) -> bool:
    """Whether a text of ``Series.to_text`` describes a gauge."""
    return text.startswith(f'["{MetricKind.GAUGE.value}"')


def sort_labels(labels: Mapping[str, str]) -> Labels:
    """Return labels in the form that a series has them."""
    return tuple(sorted(labels.items()))


def histogram_size(bounds: tuple[float, ...]) -> int:
    """Return the number of cells of a histogram: a bin for each bound, one above the last bound, and the sum."""
    return len(bounds) + 2


def observe(values: MutableSequence[float], cell: int, bounds: tuple[float, ...], value: float) -> None:
    """Add a value to the histogram at a cell; a value equal to a bound counts in that bound's bucket."""
    values[cell + len(bounds) + 1] += value
    values[cell + bisect_left(bounds, value)] += 1


def observe_time(values: MutableSequence[float], cell: int, value: float) -> None:
    """Add a timer's seconds to the histogram at a cell, as the contract specifies (section 6.2).

    A value equal to a bound counts in the bucket above it; a negative value counts in no bucket.
    """
    values[cell + len(BUCKET_BOUNDS) + 1] += value
    if value >= 0:
        values[cell + bisect_right(BUCKET_BOUNDS, value)] += 1

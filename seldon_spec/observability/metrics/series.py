"""A series: what tells one from another, and the cells that it takes."""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, MutableSequence
from dataclasses import dataclass

from seldon_spec.observability.metrics.definitions import EDGES, OWN, MetricKind

Labels = tuple[tuple[str, str], ...]
"""Names and values, sorted by name."""


@dataclass(frozen=True, slots=True)
class Series:
    """What tells one series from another.

    Attributes:
        family: the exposed name without a histogram's endings.
        labels: those of this series; the ones that every series has come to them on the page.
    """

    kind: MetricKind
    family: str
    labels: Labels

    def to_text(self) -> str:
        """The series as text that ``from_text`` reads."""
        return json.dumps([self.kind.value, self.family, self.labels])

    @classmethod
    def from_text(cls, text: str) -> Series:
        """The series that ``to_text`` wrote."""
        kind, family, labels = json.loads(text)
        return cls(MetricKind(kind), family, tuple((name, value) for name, value in labels))

    @property
    def edges(self) -> tuple[float, ...]:
        """The edges of a histogram's buckets."""
        own = OWN.get(self.family)
        return EDGES if own is None else own.edges

    @property
    def size(self) -> int:
        """How many cells it takes."""
        return histogram_size(self.edges) if self.kind is MetricKind.HISTOGRAM else 1


def is_gauge(text: str) -> bool:
    """Whether a text of ``Series.to_text`` is that of a gauge."""
    return text.startswith(f'["{MetricKind.GAUGE.value}"')


def sort_labels(labels: Mapping[str, str]) -> Labels:
    """The labels of a series."""
    return tuple(sorted(labels.items()))


def histogram_size(edges: tuple[float, ...]) -> int:
    """How many cells a histogram takes: a bin for each edge, one above the last, and the sum."""
    return len(edges) + 2


def observe(values: MutableSequence[float], place: int, edges: tuple[float, ...], value: float) -> None:
    """Count a value into the histogram at a place; a value on an edge is in the bucket of this edge."""
    values[place + len(edges) + 1] += value
    values[place + bisect_left(edges, value)] += 1


def observe_time(values: MutableSequence[float], place: int, value: float) -> None:
    """Count a timer's seconds into the histogram at a place, as the contract has it (section 6.2).

    A value on an edge is in the bucket above it, and one below zero in none.
    """
    values[place + len(EDGES) + 1] += value
    if value >= 0:
        values[place + bisect_right(EDGES, value)] += 1

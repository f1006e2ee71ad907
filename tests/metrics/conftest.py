"""Parses a metrics page."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from seldon_spec.config.model import UnitSpec
from seldon_spec.observability.metrics import Exposition, Metrics, standard_labels

Samples = Callable[[Metrics], dict[str, dict[tuple[tuple[str, str], ...], float]]]


def read_samples(metrics: Metrics) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    """Return the values on the page by name and labels, without the standard labels."""
    standard = standard_labels(UnitSpec())
    found: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    for line in Exposition(metrics).render().decode().splitlines():
        if line.startswith("#") or re.match(r"seldon_spec_dropped_metrics_total\{.*\} 0.0", line):
            continue
        match = re.fullmatch(r"(\w+)\{(.*)\} (\S+)", line)
        assert match, line
        labels = re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', match[2])
        own = tuple((name, value) for name, value in labels if name not in standard)
        found.setdefault(match[1], {})[own] = float(match[3])
    return found


@pytest.fixture(scope="session")
def samples() -> Samples:
    return read_samples

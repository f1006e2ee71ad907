"""Medians, quantiles and ratios."""

from __future__ import annotations

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.figures import Sample, Start, find_quantile, find_ratio, median_sample, median_start

QUANTILES = [
    ("one", [7.0], 0.99, 7.0),
    ("the middle of three", [3.0, 1.0, 2.0], 0.5, 2.0),
    ("the lower middle of four", [4.0, 3.0, 2.0, 1.0], 0.5, 2.0),
    ("the last but one of a hundred", [float(n) for n in range(1, 101)], 0.99, 99.0),
    ("the greatest", [1.0, 2.0], 1.0, 2.0),
]


@pytest.mark.parametrize(
    ("values", "share", "found"), [row[1:] for row in QUANTILES], ids=[row[0] for row in QUANTILES]
)
def test_a_quantile(values: list[float], share: float, found: float) -> None:
    assert find_quantile(values, share) == found


@given(values=st.lists(st.floats(0, 1e9), min_size=1), share=st.floats(0.01, 1.0))
def test_a_quantile_is_the_least_that_enough_values_do_not_exceed(values: list[float], share: float) -> None:
    found = find_quantile(values, share)
    assert sum(value <= found for value in values) >= share * len(values)
    assert sum(value < found for value in values) < share * len(values)


def test_there_is_no_quantile_of_nothing() -> None:
    with pytest.raises(ValueError, match="nothing"):
        find_quantile([], 0.5)


def test_each_figure_has_a_median_of_its_own() -> None:
    samples = [Sample(1, 30, 5, 9, 2), Sample(3, 10, 4, 7, 1), Sample(2, 20, 6, 8, 3)]
    assert median_sample(samples) == Sample(2, 20, 5, 8, 2)
    assert median_start([Start(1.0, 10, 5, 1), Start(2.0, 20, 7, 1)]) == Start(1.5, 15, 6, 1)
    with pytest.raises(statistics.StatisticsError):
        median_sample([])


@pytest.mark.parametrize(("value", "base", "ratio"), [(6.0, 3.0, 2.0), (0.0, 3.0, 0.0), (6.0, 0.0, None)])
def test_a_ratio(value: float, base: float, ratio: float | None) -> None:
    assert find_ratio(value, base) == ratio

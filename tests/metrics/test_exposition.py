"""The samples of the metrics page, and their text."""

from __future__ import annotations

import pytest

from seldon_spec.config.model import UnitSpec
from seldon_spec.observability.metrics import BUCKET_BOUNDS, Exposition, MetricKind, Metrics

CITY = 'K\xf6ln "D"\n'
METRICS = {
    "counter": ({"type": "COUNTER", "key": "c", "value": 2.5, "tags": {"city": CITY}}, MetricKind.COUNTER, {}),
    "gauge": ({"type": "GAUGE", "key": "g", "value": float("inf")}, MetricKind.GAUGE, {"worker_id": "0"}),
}


@pytest.mark.parametrize(("metric", "kind", "more"), METRICS.values(), ids=METRICS)
def test_a_number_is_one_sample(metric: dict[str, object], kind: MetricKind, more: dict[str, str]) -> None:
    metrics = Metrics(UnitSpec(id="m"))
    metrics.record("predict", [metric])
    [(series, suffix, bound, value)] = [
        each for each in Exposition(metrics).read_samples() if not each[0].metric[0].startswith("seldon_spec")
    ]
    assert series.metric == ("c_total" if kind is MetricKind.COUNTER else "g", kind)
    assert (suffix, bound, value) == ("", "", metric["value"])
    tags = metric.get("tags", {})
    assert isinstance(tags, dict)
    assert dict(series.labels) == {**metrics.labels, "method": "predict", **tags, **more}


def test_the_samples_of_a_histogram_are_cumulative() -> None:
    metrics = Metrics()
    metrics.record("predict", [{"type": "TIMER", "key": "t", "value": value} for value in (0, 2000, 10**6)])
    found = [each[1:] for each in Exposition(metrics).read_samples() if each[0].metric[0] == "t"]
    buckets = [("_bucket", repr(bound), 1 + (bound > 2)) for bound in BUCKET_BOUNDS]
    assert found == [*buckets, ("_bucket", "+Inf", 3), ("_count", "", 3), ("_sum", "", 1002)]


def test_the_page_has_a_line_for_each_sample() -> None:
    metrics = Metrics()
    metrics.record("predict", [{"type": "TIMER", "key": "t", "value": 3}, METRICS["gauge"][0], METRICS["counter"][0]])
    metrics.observe_call("predict", "success", 1, 1, 1, 1, 1, 1, 1)
    exposition = Exposition(metrics)
    lines = [line for line in exposition.render().decode().splitlines() if not line.startswith("#")]
    names = [series.metric[0] + suffix for series, suffix, _, _ in exposition.read_samples()]
    assert [line.partition("{")[0] for line in lines] == names
    [city] = [line for line in lines if "city=" in line]
    assert 'city="K\xf6ln \\"D\\"\\n"' in city
    assert [line.rpartition(" ")[2] for line in lines if line.startswith("g{")] == ["+Inf"]

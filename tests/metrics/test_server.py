"""The server's other families: batches, gauges, restarts; and that their names are its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

import pytest

from seldon_spec.observability.metrics import Metrics, RestartCounter, Segments
from seldon_spec.observability.metrics.definitions import OWN, RESERVED
from seldon_spec.observability.metrics.restarts import Reason

if TYPE_CHECKING:
    from tests.metrics.conftest import Samples

GAUGES = {"seldon_spec_in_flight_requests": 7, "seldon_spec_queued_requests": 3, "seldon_spec_model_load_seconds": 0.25}


def set_gauges(metrics: Metrics) -> None:
    metrics.set_in_flight(7)
    metrics.set_queued(3)
    metrics.set_load_seconds(0.25)


def test_batches(samples: Samples) -> None:
    metrics = Metrics()
    for requests, rows in ((1, 1), (4, 100), (4, 100)):
        metrics.observe_batch("predict", requests, rows)
    found = samples(metrics)
    assert found["seldon_spec_batch_requests_count"] == {(("method", "predict"),): 3}
    assert found["seldon_spec_batch_rows_sum"] == {(("method", "predict"),): 201}
    buckets = found["seldon_spec_batch_requests_bucket"]
    assert [buckets[("method", "predict"), ("le", edge)] for edge in ("1.0", "2.0", "4.0", "+Inf")] == [1, 1, 3, 3]


def test_gauges_are_those_of_the_living(samples: Samples) -> None:
    slots = Segments(2)
    reader, other = Metrics(slots=slots), Metrics(slots=slots, index=1)
    assert samples(reader) == {}
    set_gauges(other)
    assert samples(reader) == {name: {(("worker_id", "1"),): value} for name, value in GAUGES.items()}
    slots.release(1)
    assert samples(reader) == {}
    Metrics(slots=slots, index=1)
    assert samples(reader) == {}


def test_restarts_are_counted_beside_the_workers_slots(samples: Samples) -> None:
    slots = Segments(1)
    restarts = RestartCounter(slots)
    metrics = Metrics(slots=slots)
    metrics.record("predict", [{"type": "COUNTER", "key": "mine", "value": 1}])
    name = "seldon_spec_worker_restarts_total"
    assert samples(metrics)[name] == {(("reason", reason),): 0 for reason in get_args(Reason)}
    for reason in ("died", "died", "worn"):
        restarts.count(reason)
    found = samples(metrics)
    assert {labels[0][1]: count for labels, count in found[name].items() if count} == {"died": 2, "worn": 1}
    assert found["mine_total"] == {(("method", "predict"),): 1}


@pytest.fixture
def full() -> Metrics:
    """Metrics in which there is something of every family."""
    slots = Segments(1)
    RestartCounter(slots)
    metrics = Metrics(slots=slots)
    metrics.observe_call("predict", "success", *[1.0] * 7)
    metrics.observe_batch("predict", 1, 1)
    set_gauges(metrics)
    return metrics


def test_each_family_is_on_the_page_with_a_help_of_its_own(full: Metrics) -> None:
    lines = full.render().decode().splitlines()
    helps = dict(line.removeprefix("# HELP ").split(" ", 1) for line in lines if line.startswith("# HELP "))
    assert helps == {name: family.text for name, family in OWN.items()}
    assert len(set(helps.values())) == len(OWN)
    assert {f"# TYPE {name} {family.kind.value}" for name, family in OWN.items()} <= set(lines)


OWN_NAMES = sorted(RESERVED)
TAKEN = [
    *(("GAUGE", name) for name in OWN_NAMES),
    *(("TIMER", name) for name in OWN_NAMES),
    *(("COUNTER", name) for name in OWN_NAMES if name.endswith("_total")),
    *(("COUNTER", name.removesuffix("_total")) for name in OWN_NAMES if name.endswith("_total")),
]


@pytest.mark.parametrize(("kind", "key"), TAKEN)
def test_no_user_s_metric_takes_a_name_of_the_server_s(
    full: Metrics, kind: str, key: str, caplog: pytest.LogCaptureFixture
) -> None:
    page = full.render()
    full.record("predict", [{"type": kind, "key": key, "value": 1}])
    assert full.render() == page
    assert [record.getMessage().count("is the server's own") for record in caplog.records] == [1]

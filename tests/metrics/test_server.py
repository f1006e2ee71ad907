"""The other built-in metrics: batches, gauges, restarts; and that all names are reserved."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

import pytest

from seldon_spec.config.model import UnitSpec
from seldon_spec.observability.metrics import Exposition, Metrics, RestartCounter, Segments
from seldon_spec.observability.metrics.definitions import BUILTIN, RESERVED_NAMES
from seldon_spec.observability.metrics.restarts import Reason

if TYPE_CHECKING:
    from tests.metrics.conftest import Samples

GAUGES = {"seldon_spec_in_flight_requests": 7, "seldon_spec_queued_requests": 3, "seldon_spec_model_load_seconds": 0.25}


def set_gauges(metrics: Metrics) -> None:
    metrics.set_requests(7, 3)
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


def test_gauges_are_those_of_running_workers(samples: Samples) -> None:
    segments = Segments(2)
    reader, other = Metrics(segments=segments), Metrics(segments=segments, index=1)
    assert samples(reader) == {}
    set_gauges(other)
    assert samples(reader) == {name: {(("worker_id", "1"),): value} for name, value in GAUGES.items()}
    segments.release(1)
    assert samples(reader) == {}
    Metrics(segments=segments, index=1)
    assert samples(reader) == {}


def test_restarts_are_counted_beside_the_workers_segments(samples: Samples) -> None:
    segments = Segments(1)
    restarts = RestartCounter(segments)
    metrics = Metrics(segments=segments)
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
    """Metrics with a value of every definition."""
    segments = Segments(1)
    RestartCounter(segments)
    metrics = Metrics(segments=segments)
    metrics.observe_call("predict", "success", *[1.0] * 7)
    metrics.observe_batch("predict", 1, 1)
    metrics.for_component(UnitSpec(id="iris")).observe("predict", "success", 0.5)
    metrics.count_branch("split", 0)
    metrics.count_dropped_shadow("split")
    set_gauges(metrics)
    return metrics


def test_each_definition_is_on_the_page_with_a_help_of_its_own(full: Metrics) -> None:
    lines = Exposition(full).render().decode().splitlines()
    helps = dict(line.removeprefix("# HELP ").split(" ", 1) for line in lines if line.startswith("# HELP "))
    assert helps == {name: definition.help for name, definition in BUILTIN.items()}
    assert len(set(helps.values())) == len(BUILTIN)
    assert {f"# TYPE {name} {definition.kind.value}" for name, definition in BUILTIN.items()} <= set(lines)


BUILTIN_NAMES = sorted(RESERVED_NAMES)
TAKEN = [
    *(("GAUGE", name) for name in BUILTIN_NAMES),
    *(("TIMER", name) for name in BUILTIN_NAMES),
    *(("COUNTER", name) for name in BUILTIN_NAMES if name.endswith("_total")),
    *(("COUNTER", name.removesuffix("_total")) for name in BUILTIN_NAMES if name.endswith("_total")),
]


@pytest.mark.parametrize(("kind", "key"), TAKEN)
def test_no_user_metric_takes_a_reserved_name(
    full: Metrics, kind: str, key: str, caplog: pytest.LogCaptureFixture
) -> None:
    page = Exposition(full).render()
    full.record("predict", [{"type": kind, "key": key, "value": 1}])
    assert Exposition(full).render() == page
    assert [record.getMessage().count("is reserved for a built-in metric") for record in caplog.records] == [1]

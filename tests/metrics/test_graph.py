"""Metrics of the components of a graph: their labels, their sums over workers, and their space."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from seldon_spec.config.model import UnitSpec
from seldon_spec.errors import BadMetric
from seldon_spec.inference.metrics_sink import BranchRequests, ComponentCalls, GraphTotals, NullMetrics
from seldon_spec.observability.metrics import Exposition, Metrics, Segments, standard_labels

if TYPE_CHECKING:
    from seldon_spec.inference.metrics_sink import ComponentMetrics
    from tests.metrics.conftest import Samples

FRONT = UnitSpec(name="front", version="9", deployment_id="d", predictor_id="p", predictor_version="v")
IRIS = UnitSpec(id="iris", image="reg:5000/iris:1", deployment_id="d", predictor_id="p", predictor_version="v")
BOOST = UnitSpec(id="boost", image="boost:2", deployment_id="d", predictor_id="p", predictor_version="v")
PREDICT = ("method", "predict")
Key = tuple[str, frozenset[tuple[str, str]]]


def metric(kind: str, key: str, value: float = 1, tags: Mapping[str, str] = {}) -> dict[str, Any]:
    return {"type": kind, "key": key, "value": value, "tags": {**tags}}


def front(segments: Segments | None = None, index: int = 0) -> Metrics:
    return Metrics(FRONT, segments, index)


def render(metrics: Metrics) -> str:
    return Exposition(metrics).render().decode()


def read(metrics: Metrics) -> dict[Key, float]:
    """Return the samples as Prometheus' parser reads them, by name and labels, without buckets; each is there once."""
    found: dict[Key, float] = {}
    for family in text_string_to_metric_families(render(metrics)):
        for sample in family.samples:
            if not sample.name.endswith("_bucket"):
                key = sample.name, frozenset(sample.labels.items())
                assert key not in found
                found[key] = sample.value
    return found


def key_of(name: str, unit: UnitSpec, *labels: tuple[str, str]) -> Key:
    return name, frozenset({*standard_labels(unit).items(), *labels})


def test_each_component_has_its_labels() -> None:
    metrics = front()
    for number, unit in enumerate((IRIS, BOOST), 1):
        metrics.for_component(unit).record("predict", [metric("COUNTER", "rows", number), metric("GAUGE", "depth", 7)])
    lines = [line for line in render(metrics).splitlines() if line.startswith(("rows_total", "depth"))]
    assert lines == [
        'depth{deployment_name="d",image_name="reg:5000/iris",image_version="1",method="predict",'
        'model_image="reg:5000/iris",model_name="iris",model_version="1",predictor_name="p",predictor_version="v",'
        'seldon_deployment_name="d",worker_id="0"} 7.0',
        'depth{deployment_name="d",image_name="boost",image_version="2",method="predict",model_image="boost",'
        'model_name="boost",model_version="2",predictor_name="p",predictor_version="v",seldon_deployment_name="d",'
        'worker_id="0"} 7.0',
        'rows_total{deployment_name="d",image_name="reg:5000/iris",image_version="1",method="predict",'
        'model_image="reg:5000/iris",model_name="iris",model_version="1",predictor_name="p",predictor_version="v",'
        'seldon_deployment_name="d"} 1.0',
        'rows_total{deployment_name="d",image_name="boost",image_version="2",method="predict",model_image="boost",'
        'model_name="boost",model_version="2",predictor_name="p",predictor_version="v",seldon_deployment_name="d"} 2.0',
    ]


STANDARD = (
    'deployment_name="d",image_name="NOT_IMPLEMENTED",image_version="NOT_IMPLEMENTED",{}model_image="NOT_IMPLEMENTED",'
    'model_name="front",model_version="9",{}predictor_name="p",predictor_version="v",seldon_deployment_name="d"'
)
BOUNDS = "1e-05 2.5e-05 5e-05 0.0001 0.00025 0.0005 0.001 0.0025 0.005 0.01 0.025 0.05 0.1 0.25 0.5 1.0 2.5 5.0 10.0 30.0 +Inf"


def test_the_page_of_a_graph() -> None:
    """The built-in series have the standard labels of the whole graph."""
    metrics = front()
    before = render(metrics)
    component, shadow = metrics.for_component(IRIS), metrics.for_component(IRIS, is_shadow=True)
    assert render(metrics) == before
    for seconds in (0.5, 0.5625):
        component.observe("inputtransform", "success", seconds)
    shadow.observe("predict", "error", 31)
    for branch in (1, -1, -2, 1):
        metrics.count_branch("split", branch)
    metrics.count_dropped_shadow("split-2")
    name = "seldon_spec_component_seconds"
    main, copies = (
        'component="iris",' + STANDARD.format(f'method="{method}",', f'outcome="{outcome}",') + more
        for method, outcome, more in (("inputtransform", "success", ""), ("predict", "error", ',shadow="true"'))
    )
    steps = STANDARD.format("", "")
    *numbers, last = BOUNDS.split()
    added = [
        "# HELP seldon_spec_branches_total Requests of a route or a split of a graph, by branch: its index, -1 for all, "
        "-2 for none.",
        "# TYPE seldon_spec_branches_total counter",
        *(
            f'seldon_spec_branches_total{{branch="{branch}",{steps},step="split"}} {count}'
            for branch, count in ((1, 2.0), (-1, 1.0), (-2, 1.0))
        ),
        f"# HELP {name} Seconds that a component of a graph took for one call.",
        f"# TYPE {name} histogram",
        *(
            f'{name}_bucket{{{main},le="{bound}"}} {0.0 if at < 14 else 1.0 if at == 14 else 2.0}'
            for at, bound in enumerate((*numbers, last))
        ),
        f"{name}_count{{{main}}} 2.0",
        f"{name}_sum{{{main}}} 1.0625",
        *(f'{name}_bucket{{{copies},le="{bound}"}} 0.0' for bound in numbers),
        f'{name}_bucket{{{copies},le="{last}"}} 1.0',
        f"{name}_count{{{copies}}} 1.0",
        f"{name}_sum{{{copies}}} 31.0",
    ]
    dropped = [
        "# HELP seldon_spec_dropped_shadow_requests_total Requests that were not copied to a shadow because too many "
        "copies were waiting.",
        "# TYPE seldon_spec_dropped_shadow_requests_total counter",
        f'seldon_spec_dropped_shadow_requests_total{{{steps},step="split-2"}} 1.0',
    ]
    assert render(metrics).splitlines() == [*added, *before.splitlines(), *dropped]


def test_a_tag_cannot_replace_a_label_of_the_component() -> None:
    metrics = front()
    tags = {"model_name": "front", "shadow": "true", "method": "mine", "x": "1"}
    shown = metrics.for_component(IRIS).record("predict", [metric("COUNTER", "k", tags=tags)])
    assert shown == [metric("COUNTER", "k", tags={**tags, "method": "predict"})]
    metrics.for_component(IRIS, is_shadow=True).record("predict", [metric("COUNTER", "k", 5, {"x": "1"})])
    found = read(metrics)
    assert found[key_of("k_total", IRIS, PREDICT, ("x", "1"))] == 1
    assert found[key_of("k_total", IRIS, PREDICT, ("x", "1"), ("shadow", "true"))] == 5


def test_a_class_that_is_served_alone_may_have_a_tag_shadow(samples: Samples) -> None:
    metrics = Metrics()
    metrics.record("predict", [metric("COUNTER", "k", tags={"shadow": "round"})])
    assert samples(metrics)["k_total"] == {(PREDICT, ("shadow", "round")): 1}


UNITS = [IRIS, BOOST, UnitSpec(id="front", version="9"), FRONT]
event = st.tuples(
    st.integers(0, 1),  # the worker
    st.sampled_from(UNITS),
    st.booleans(),
    st.sampled_from(["predict", "feedback"]),
    st.dictionaries(st.sampled_from(["a", "model_name", "shadow", "component"]), st.sampled_from(["1", "true"])),
    st.booleans(),  # whether the worker is replaced afterwards
)


@given(events=st.lists(event, max_size=20))
def test_series_differ_by_component_and_are_summed_over_workers(events: list[Any]) -> None:
    segments = Segments(2)
    workers = [front(segments, index) for index in range(2)]
    expected: Counter[Key] = Counter()
    for index, unit, is_shadow, method, tags, is_replaced in events:
        component = workers[index].for_component(unit, is_shadow=is_shadow)
        component.record(method, [metric("COUNTER", "k", 2, tags), metric("TIMER", "t", 4000, tags)])
        component.observe(method, "success", 0.5)
        workers[index].count_branch("split", len(tags))
        labels = {name: value for name, value in tags.items() if name not in ("model_name", "shadow")}
        labels |= {"method": method, **({"shadow": "true"} if is_shadow else {})}
        expected[key_of("k_total", unit, *labels.items())] += 2
        expected[key_of("t_count", unit, *labels.items())] += 1
        expected[key_of("t_sum", unit, *labels.items())] += 4
        built_in = labels | {"component": unit.id or "front", "outcome": "success"}
        built_in.pop("a", None)
        name = "seldon_spec_component_seconds"
        expected[key_of(f"{name}_count", FRONT, *built_in.items())] += 1
        expected[key_of(f"{name}_sum", FRONT, *built_in.items())] += 0.5  # type: ignore[assignment]
        expected[key_of("seldon_spec_branches_total", FRONT, ("step", "split"), ("branch", str(len(tags))))] += 1
        if is_replaced:
            segments.release(index)
            workers[index] = front(segments, index)
    for worker in workers:
        found = read(worker)
        assert found.pop(key_of("seldon_spec_dropped_metrics_total", FRONT)) == 0
        assert found == expected


def in_child(segments: Segments, index: int) -> None:
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            metrics = front(segments, index)
            component = metrics.for_component(IRIS)
            component.record("predict", [metric("COUNTER", "k", 10)])
            component.observe("predict", "error", 2)
            metrics.count_branch("split", 0)
            metrics.count_dropped_shadow("split")
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0


def test_processes_add_up_and_a_replacement_continues(samples: Samples) -> None:
    segments = Segments(2)
    reader = front(segments)
    for life, index in enumerate((0, 1, 1), 1):  # the third takes the place of the second
        segments.release(index)
        in_child(segments, index)
        found = samples(reader)
        series = (("component", "iris"), PREDICT, ("outcome", "error"))
        assert found["seldon_spec_component_seconds_count"] == {series: life}
        assert found["seldon_spec_component_seconds_sum"] == {series: 2 * life}
        assert found["seldon_spec_branches_total"] == {(("branch", "0"), ("step", "split")): life}
        assert found["seldon_spec_dropped_shadow_requests_total"] == {(("step", "split"),): life}
        assert read(reader)[key_of("k_total", IRIS, PREDICT)] == 10 * life


def test_a_new_version_of_a_component_has_series_of_its_own() -> None:
    """The counts of the version before it keep its labels, whatever the labels of the new graph are."""
    segments = Segments(2)
    for index, version in enumerate("12"):
        metrics = Metrics(UnitSpec(name="front", version=version), segments, index)
        metrics.for_component(UnitSpec(id="iris", version=version)).record("predict", [metric("COUNTER", "k")])
    segments.release(0)
    found = {labels: value for (name, labels), value in read(metrics).items() if name == "k_total"}
    assert found == {key_of("", UnitSpec(id="iris", version=version), PREDICT)[1]: 1 for version in "12"}


def test_components_that_disagree_on_a_type_leave_the_page_readable(caplog: pytest.LogCaptureFixture) -> None:
    metrics = front()
    for _ in range(2):
        metrics.for_component(IRIS).record("predict", [metric("TIMER", "a")])
        metrics.for_component(BOOST).record("predict", [metric("GAUGE", "a"), metric("COUNTER", "b")])
    found = read(metrics)
    assert (found[key_of("a_count", IRIS, PREDICT)], found[key_of("b_total", BOOST, PREDICT)]) == (2, 2)
    assert "component boost: the name a is in use for a histogram" in caplog.text
    assert len(caplog.records) == 1


def test_bad_metrics_are_rejected_and_reserved_names_left_out(caplog: pytest.LogCaptureFixture) -> None:
    metrics = front()
    component: ComponentMetrics = metrics.for_component(IRIS)
    before = render(metrics)
    with pytest.raises(BadMetric):
        component.record("predict", [metric("COUNTER", "k"), 5])
    component.record("predict", [metric("GAUGE", "seldon_spec_branches_total")])
    assert render(metrics) == before
    assert "component iris: the name seldon_spec_branches_total is reserved" in caplog.text


def test_the_largest_graph_has_space_and_more_harms_nothing_else(
    samples: Samples, caplog: pytest.LogCaptureFixture
) -> None:
    metrics = front(Segments(1, series_bytes=1 << 10))

    def observe(number: int) -> None:
        component = metrics.for_component(UnitSpec(id=f"component-{number}"))
        for method, outcome in (("inputtransform", "success"), ("outputtransform", "success"), ("feedback", "error")):
            component.observe(method, outcome, 1)
        metrics.count_branch(f"step-{number}", 0)

    for number in range(200):
        observe(number)
    assert len(samples(metrics)["seldon_spec_component_seconds_count"]) == 600
    assert len(samples(metrics)["seldon_spec_branches_total"]) == 200
    assert caplog.records == []
    for number in range(1000):
        observe(number)
    found = samples(metrics)
    assert set(list(found["seldon_spec_branches_total"].values())[:200]) == {2}
    assert 600 < len(found["seldon_spec_component_seconds_count"]) < 2000
    assert [record.getMessage().count("no space") for record in caplog.records] == [1]


def test_the_totals_are_those_of_all_workers() -> None:
    segments = Segments(2)
    for index in range(2):
        metrics = front(segments, index)
        metrics.for_component(IRIS).observe("predict", "success", 0.5)
        metrics.for_component(IRIS, is_shadow=True).observe("predict", "error", 0.25)
        metrics.count_branch("split", index)
        metrics.count_branch("split", -1)
    expected = GraphTotals(
        (
            ComponentCalls("iris", "predict", "error", shadow=True, count=2, sum=0.5),
            ComponentCalls("iris", "predict", "success", shadow=False, count=2, sum=1.0),
        ),
        (BranchRequests("split", -1, 2), BranchRequests("split", 0, 1), BranchRequests("split", 1, 1)),
    )
    assert front(segments).read_graph_totals() == expected
    segments.release(1)
    assert front(segments).read_graph_totals() == expected
    assert front().read_graph_totals() == NullMetrics().read_graph_totals()

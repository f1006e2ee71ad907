"""User metrics: what is rejected, how they appear, and that they are correct over threads and processes."""

from __future__ import annotations

import os
import threading
from decimal import Decimal
from fractions import Fraction
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from seldon_spec.config.model import UnitSpec
from seldon_spec.errors import BadMetric
from seldon_spec.inference.metrics_sink import NullMetrics
from seldon_spec.observability.metrics import BUCKET_BOUNDS, DURATION, Exposition, Metrics, Segments, standard_labels

if TYPE_CHECKING:
    from tests.metrics.conftest import Samples


def counter(key: str = "k", value: object = 1, **more: object) -> dict[str, Any]:
    return {"type": "COUNTER", "key": key, "value": value, **more}


def gauge(key: str = "g", value: object = 1, **more: object) -> dict[str, Any]:
    return {"type": "GAUGE", "key": key, "value": value, **more}


def timer(key: str = "t", value: object = 1, **more: object) -> dict[str, Any]:
    return {"type": "TIMER", "key": key, "value": value, **more}


def test_counters_gauges_and_timers(samples: Samples) -> None:
    metrics = Metrics()
    for value in (1, 2.5):
        metrics.record("predict", [counter("c", value), gauge("g", value), timer("t", value * 1000)])
    found = samples(metrics)
    assert found["c_total"] == {(("method", "predict"),): 3.5}
    assert found["g"] == {(("method", "predict"), ("worker_id", "0")): 2.5}
    assert found["t_count"] == {(("method", "predict"),): 2}
    assert found["t_sum"] == {(("method", "predict"),): 3.5}


def test_a_gauge_has_one_label_for_its_worker(samples: Samples) -> None:
    metrics = Metrics()
    for name, value in (("a", 1), ("b", 2)):
        tags = {"worker_id": name}
        metrics.record("predict", [gauge("g", value, tags=tags), counter("c", value, tags=tags)])
    found = samples(metrics)
    assert found["g"] == {(("method", "predict"), ("worker_id", "0")): 2}
    assert found["c_total"] == {
        (("method", "predict"), ("worker_id", name)): value for name, value in (("a", 1), ("b", 2))
    }


def test_total_is_not_doubled(samples: Samples) -> None:
    metrics = Metrics()
    metrics.record("predict", [counter("c_total")])
    assert "c_total" in samples(metrics)


def test_a_value_equal_to_a_bound_is_in_the_bucket_above(samples: Samples) -> None:
    metrics = Metrics()
    metrics.record("predict", [timer("t", 1), timer("t", 0), timer("t", -5), timer("t", 10**9)])
    buckets = {labels[-1][1]: value for labels, value in samples(metrics)["t_bucket"].items()}
    assert list(buckets) == [*map(repr, BUCKET_BOUNDS), "+Inf"]
    assert buckets["0.001"] == 1
    assert buckets["0.0012341553253454693"] == 2
    assert buckets["29.999999999999996"] == 2
    assert buckets["+Inf"] == 3
    assert samples(metrics)["t_count"][(("method", "predict"),)] == 3


def test_the_page_names_each_metric_once(samples: Samples) -> None:
    metrics = Metrics()
    metrics.record("predict", [counter("c", tags={"a": "1"}), counter("c", tags={"a": "2"})])
    metrics.record("feedback", [counter("c")])
    page = Exposition(metrics).render().decode()
    assert page.count("# TYPE c_total counter\n") == 1
    assert page.count("# HELP c_total ") == 1
    assert len(samples(metrics)["c_total"]) == 3


def test_labels_come_from_the_unit_and_override_tags() -> None:
    unit = UnitSpec(id="m", image="reg:5000/a/b:1", deployment_id="d", predictor_id="p", predictor_version="v")
    metrics = Metrics(unit)
    metrics.record("predict", [counter(tags={"model_name": "mine", "method": "mine", "x": 'a"b\\c\nd'})])
    (line,) = [line for line in Exposition(metrics).render().decode().splitlines() if line.startswith("k_total")]
    assert line == (
        'k_total{deployment_name="d",image_name="reg:5000/a/b",image_version="1",method="predict",'
        'model_image="reg:5000/a/b",model_name="m",model_version="1",predictor_name="p",predictor_version="v",'
        'seldon_deployment_name="d",x="a\\"b\\\\c\\nd"} 1.0'
    )


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (None, ("NOT_IMPLEMENTED", "NOT_IMPLEMENTED")),
        ("img:1", ("img", "1")),
        ("img", ("", "img")),
        ("img@sha256:ab", ("img@sha256", "ab")),
    ],
    ids=str,
)
def test_images(image: str | None, expected: tuple[str, str]) -> None:
    labels = standard_labels(UnitSpec(image=image))
    assert (labels["model_image"], labels["model_version"]) == expected


BAD: dict[str, Any] = {
    "no-list": counter(),
    "none": None,
    "text": "metrics",
    "number": 5,
    "not-an-object": [1],
    "no-key": [{"type": "COUNTER", "value": 1}],
    "no-value": [{"type": "COUNTER", "key": "k"}],
    "no-type": [{"key": "k", "value": 1}],
    "unknown-type": [{"type": "SUMMARY", "key": "k", "value": 1}],
    "lower-case-type": [{"type": "counter", "key": "k", "value": 1}],
    "unhashable-type": [{"type": [], "key": "k", "value": 1}],
    "text-value": [gauge(value="1")],
    "none-value": [gauge(value=None)],
    "complex-value": [gauge(value=1j)],
    "huge-value": [gauge(value=10**400)],
    "array-value": [gauge(value=np.array([1, 2]))],
    "tag-object": [counter(tags={"n": {}})],
    "tag-list": [counter(tags=[1])],
}


class Hostile:
    """A value of the user whose every method fails."""

    def __add__(self, other: object) -> Any:
        raise LookupError("no sum")

    def __repr__(self) -> str:
        raise LookupError("no text")


class FailingIterator:
    """An iterable of which no item can be read."""

    def __iter__(self) -> Any:
        return map(int, ["x"])


def looped() -> list[Any]:
    metrics: list[Any] = []
    metrics.append(metrics)
    return metrics


BAD |= {
    "tuple-key": [{("k",): 1}],
    "loop": looped(),
    "hostile-value": [gauge(value=Hostile())],
    "hostile-key": [{Hostile(): 1}],
    "hostile": Hostile(),
    "failing-iterator": FailingIterator(),
}


ALIKE: dict[str, tuple[Any, float, dict[str, str]]] = {
    "tuple": ((gauge(),), 1, {}),
    "generator": (lambda: (gauge() for _ in range(1)), 1, {}),
    "array": (np.array([gauge()]), 1, {}),
    "values": ({"a": gauge()}.values(), 1, {}),
    "mapping": ([MappingProxyType(gauge())], 1, {}),
    "array-of-one": ([gauge(value=np.array([2.5]))], 2.5, {}),
    "list-of-one": ([gauge(value=[3])], 3, {}),
    "tuple-of-one": ([gauge(value=(2.5,))], 2.5, {}),
    "array-of-one-row": ([gauge(value=np.array([[3]]))], 3, {}),
    "numpy": ([gauge(value=np.float32(0.5))], 0.5, {}),
    "decimal": ([gauge(value=Decimal("1.5"))], 1.5, {}),
    "fraction": ([gauge(value=Fraction(1, 2))], 0.5, {}),
    "truth": ([gauge(value=True)], 1, {}),
    "no-tags": ([gauge(tags=None)], 1, {}),
    "tag-number": (
        [gauge(tags={"n": 2, "f": 1.5, "b": True, "none": None})],
        1,
        {"n": "2", "f": "1.5", "b": "True", "none": "None"},
    ),
    "tag-numpy": ([gauge(tags={"n": np.int64(2), "s": np.str_("x")})], 1, {"n": "2", "s": "x"}),
}


@pytest.mark.parametrize(("given", "value", "tags"), ALIKE.values(), ids=ALIKE)
def test_what_is_like_a_list_a_number_or_a_text_is_taken(samples: Samples, given: Any, value: float, tags: Any) -> None:
    metrics = Metrics()
    (shown,) = metrics.record("predict", given() if callable(given) else given)
    assert (shown["value"], type(shown["value"])) in [(value, kind) for kind in (int, float, bool)]
    assert (shown.get("tags") or {}) == ({**tags, "method": "predict"} if tags else {})
    (labels,) = samples(metrics)["g"]
    assert {**dict(labels), **tags} == dict(labels)
    assert samples(metrics)["g"][labels] == value


UNEXPOSABLE = {
    "nan-counter": [counter(value=float("nan"))],
    "infinite-timer": [timer(value=float("inf"))],
    "dash": [counter("a-b")],
    "line-break": [counter("a\n")],
    "empty-key": [counter("")],
    "number-key": [counter(5)],  # type: ignore[arg-type]
    "tag-name": [counter(tags={"a-b": "x"})],
    "tag-reserved": [counter(tags={"__a": "x"})],
    "tag-le": [timer(tags={"le": "x"})],
    "own-name": [timer(DURATION)],
    "name-within-family": [gauge(f"{DURATION}_count")],
}


@pytest.mark.parametrize("metrics", UNEXPOSABLE.values(), ids=UNEXPOSABLE.keys())
def test_what_prometheus_has_no_form_for_harms_only_itself(
    samples: Samples, metrics: list[dict[str, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    page = Metrics()
    for _ in range(2):
        shown = page.record("predict", [counter("before"), *metrics, counter("after")])
        assert [metric["key"] for metric in shown] == ["before", metrics[0]["key"], "after"]
    found = samples(page)
    assert set(found) == {"before_total", "after_total"}
    assert found["after_total"] == {(("method", "predict"),): 2}
    assert len(caplog.records) == 1


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD.keys())
def test_bad_metrics_harm_nothing_else(samples: Samples, bad: object) -> None:
    metrics = Metrics()
    metrics.record("predict", [counter("good")])
    with pytest.raises(BadMetric, match="Bad metric created during request: "):
        metrics.record("predict", bad)
    with pytest.raises(BadMetric, match="Bad metric created during request: "):
        NullMetrics().record("predict", bad)
    if isinstance(bad, list):
        with pytest.raises(BadMetric):
            metrics.record("predict", [counter("good"), *bad])
    assert samples(metrics) == {"good_total": {(("method", "predict"),): 1}}


def test_one_name_has_one_type(samples: Samples, caplog: pytest.LogCaptureFixture) -> None:
    metrics = Metrics()
    metrics.record("predict", [timer("a"), gauge("a"), gauge("a_count"), timer("b")])
    metrics.record("predict", [counter("a_sum_total"), counter("a_total")])
    assert {"a_total", "a_sum_total", "b_count", "a_count"} <= set(samples(metrics))
    assert "a" not in samples(metrics)
    assert [record.message.count("in use for a histogram") for record in caplog.records] == [1, 1]


@pytest.mark.parametrize("value", [True, np.float32(1.5), np.int64(3), -1], ids=repr)
def test_values_that_count(samples: Samples, value: Any) -> None:
    metrics = Metrics()
    metrics.record("predict", [gauge("g", value)])
    assert samples(metrics)["g"][(("method", "predict"), ("worker_id", "0"))] == float(value)


def test_shown_metrics_have_the_method_among_their_tags_and_the_users_own_stay() -> None:
    mine = [counter(tags={"a": "b"}, more="kept"), gauge()]
    shown = Metrics().record("predict", mine)
    assert shown == [counter(tags={"a": "b", "method": "predict"}, more="kept"), gauge()]
    assert mine == [counter(tags={"a": "b"}, more="kept"), gauge()]


def test_threads_lose_nothing(samples: Samples) -> None:
    metrics = Metrics()

    def work() -> None:
        for _ in range(500):
            metrics.record("predict", [counter(), timer()])

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert samples(metrics)["k_total"][(("method", "predict"),)] == 2000
    assert samples(metrics)["t_count"][(("method", "predict"),)] == 2000


def _in_child(segments: Segments, index: int) -> None:
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            metrics = Metrics(segments=segments, index=index)
            metrics.record("predict", [counter("c", 10, tags={"t": "é"}), gauge("g", index), timer("t", 5)])
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0


def test_workers_add_up_and_a_replacement_continues(samples: Samples) -> None:
    segments = Segments(2)
    reader = Metrics(segments=segments, index=0)
    for index in (0, 1, 1):  # the third takes the place of the second
        segments.release(index)
        segments.hold(0)
        _in_child(segments, index)
    found = samples(reader)
    assert found["c_total"] == {(("method", "predict"), ("t", "é")): 30}
    assert found["t_count"] == {(("method", "predict"),): 3}
    assert found["g"] == {(("method", "predict"), ("worker_id", str(index))): index for index in (0, 1)}


def test_workers_that_disagree_on_a_type_leave_the_page_readable() -> None:
    segments = Segments(2)
    Metrics(segments=segments, index=0).record("predict", [timer("a")])
    Metrics(segments=segments, index=1).record("predict", [gauge("a")])
    page = Exposition(Metrics(segments=segments)).render().decode()
    assert page.count("# TYPE a ") == 1


def test_a_full_segment_drops_new_series_and_logs_it_once(samples: Samples, caplog: pytest.LogCaptureFixture) -> None:
    metrics = Metrics(segments=Segments(2, series_bytes=1 << 10), index=1)
    for number in range(50):
        metrics.record("predict", [counter(f"k{number}")])
        metrics.record("predict", [counter("k0")])
    found = samples(metrics)
    assert found["k0_total"][(("method", "predict"),)] == 51
    assert 1 < len(found) < 20
    assert len(caplog.records) == 1

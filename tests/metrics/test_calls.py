"""Measurements of calls, written by one process and read by another, whenever the first one exits."""

from __future__ import annotations

import itertools
import math
import os
import signal
import sys
import threading
from bisect import bisect_left
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seldon_spec.observability.metrics import Metrics, Segments, call_buffer
from seldon_spec.observability.metrics.definitions import CALLS, DURATION, MetricDefinition
from seldon_spec.observability.metrics.segments import BUFFER_ROWS

if TYPE_CHECKING:
    from tests.metrics.conftest import Samples

METHOD = (("method", "predict"),)
ONES = (1.0,) * 7
"""A call of which the sum of any histogram is its count."""

value = st.sampled_from([math.nan, 0.0, 1.0, 2.0, 30.0, 1e9, 2.0**28]) | st.floats(0, 1e9)
call = st.tuples(
    st.sampled_from(["predict", "feedback"]),
    st.sampled_from(["success", "error"]),
    st.lists(value, min_size=7, max_size=7),
)


def labels_of(definition: MetricDefinition, method: str, outcome: str) -> tuple[tuple[str, str], ...]:
    return (("method", method), *([("outcome", outcome)] if definition.name == DURATION else []))


@given(calls=st.lists(call, min_size=1, max_size=20), times=st.sampled_from([1, 60, 1000 // 7]))
def test_the_page_says_what_was_observed(samples: Samples, calls: list[Any], times: int) -> None:
    """Whether calls are in the buffer or flushed, of one group or of many."""
    metrics = Metrics()
    for method, outcome, values in calls * times:
        metrics.observe_call(method, outcome, *values)
    found = samples(metrics)
    for number, definition in enumerate(CALLS):
        expected: dict[Any, list[float]] = {}
        for method, outcome, values in calls * times:
            mine = expected.setdefault(labels_of(definition, method, outcome), [])
            if not math.isnan(values[number]):
                mine.append(values[number])
        assert found[f"{definition.name}_count"] == {labels: len(mine) for labels, mine in expected.items()}
        for labels, mine in expected.items():
            assert found[f"{definition.name}_sum"][labels] == pytest.approx(math.fsum(mine))
            bins = [0] * (len(definition.bounds) + 1)
            for each in mine:
                bins[bisect_left(definition.bounds, each)] += 1
            buckets = [n for key, n in found[f"{definition.name}_bucket"].items() if key[:-1] == labels]
            assert buckets == list(itertools.accumulate(bins))


def test_a_bucket_takes_the_values_up_to_its_edge(samples: Samples) -> None:
    metrics = Metrics()
    metrics.observe_call("predict", "success", *ONES[:5], 2, 1024)
    found = samples(metrics)
    rows, size = (
        {labels[-1][1]: count for labels, count in found[f"seldon_spec_request_{what}_bucket"].items()}
        for what in ("rows", "body_bytes")
    )
    assert [rows[bound] for bound in ("1.0", "2.0", "5.0", "1000000.0")] == [0, 1, 1, 1]
    assert [size[bound] for bound in ("256.0", "1024.0", "268435456.0")] == [0, 1, 1]


def test_threads_lose_no_call(samples: Samples) -> None:
    metrics = Metrics()

    def work(outcome: str) -> None:
        for _ in range(2 * BUFFER_ROWS):
            metrics.observe_call("predict", outcome, *ONES)

    threads = [threading.Thread(target=work, args=(outcome,)) for outcome in ("success", "error") * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = samples(metrics)
    assert list(found[f"{DURATION}_count"].values()) == [4 * BUFFER_ROWS, 4 * BUFFER_ROWS]
    assert found["seldon_spec_call_seconds_sum"] == {METHOD: 8 * BUFFER_ROWS}


def fork(work: Callable[[], object]) -> int:
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return pid


def observe_ones(segments: Segments, count: int) -> None:
    metrics = Metrics(segments=segments, index=1)
    for _ in range(count):
        metrics.observe_call("predict", "success", *ONES)


@pytest.mark.parametrize("count", [1, BUFFER_ROWS - 1, BUFFER_ROWS, BUFFER_ROWS + 1, 3 * BUFFER_ROWS + 7])
def test_a_replacement_continues_the_buffer(samples: Samples, count: int) -> None:
    segments = Segments(2)
    reader = Metrics(segments=segments, index=0)
    for life in (1, 2, 3):
        assert os.waitpid(fork(lambda: observe_ones(segments, count)), 0)[1] == 0
        found = samples(reader)
        assert found[f"{DURATION}_count"] == {(*METHOD, ("outcome", "success")): life * count}
        assert {found[f"{definition.name}_sum"][METHOD] for definition in CALLS[1:]} == {life * count}


def observe_until_killed(segments: Segments, steps: int) -> None:
    """Fill the buffer, and die in the call that flushes it, before the step of this number."""
    observe_ones(segments, BUFFER_ROWS)
    metrics = Metrics(segments=segments, index=1)
    left = steps

    def trace(frame: Any, event: str, _argument: object) -> Any:
        nonlocal left
        if frame.f_code.co_filename != call_buffer.__file__:
            return None
        left -= event == "line"
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return trace

    sys.settrace(trace)
    metrics.observe_call("predict", "success", *ONES)


def test_a_worker_killed_at_any_step_of_a_flush_loses_no_call(samples: Samples) -> None:
    counts: list[float] = []
    for steps in itertools.count(1):
        segments = Segments(2)
        reader = Metrics(segments=segments, index=0)
        status = os.waitpid(fork(lambda segments=segments, steps=steps: observe_until_killed(segments, steps)), 0)[1]  # type: ignore[misc]
        found = samples(reader)
        counts += found["seldon_spec_call_seconds_count"].values()
        assert found["seldon_spec_call_seconds_sum"] == {METHOD: counts[-1]}
        assert os.waitpid(fork(lambda segments=segments: observe_ones(segments, BUFFER_ROWS)), 0)[1] == 0  # type: ignore[misc]
        assert samples(reader)["seldon_spec_call_seconds_sum"] == {METHOD: counts[-1] + BUFFER_ROWS}
        if status == 0:
            break
        assert os.WTERMSIG(status) == signal.SIGKILL
    assert len(counts) > 20
    assert counts == sorted(counts)
    assert set(counts) == {BUFFER_ROWS, BUFFER_ROWS + 1}


def test_no_page_shows_half_a_flush(samples: Samples) -> None:
    segments = Segments(2)
    reader = Metrics(segments=segments, index=0)
    count = 400 * BUFFER_ROWS
    observe_ones(segments, 1)
    pid, before = fork(lambda: observe_ones(segments, count)), 0.0
    while True:
        has_ended = os.waitpid(pid, os.WNOHANG) != (0, 0)
        found = samples(reader)
        distinct = {
            found[f"{definition.name}_{ending}"][METHOD] for definition in CALLS[1:] for ending in ("count", "sum")
        }
        assert len(distinct) == 1
        (now,) = distinct
        assert now >= before
        before = now
        if has_ended:
            break
    assert before == count + 1


def test_calls_without_space_have_no_other_effect(samples: Samples, caplog: pytest.LogCaptureFixture) -> None:
    metrics = Metrics(segments=Segments(1))
    for number in range(300):
        metrics.observe_call(f"method{number}", "success", *ONES)
    metrics.set_requests(3, 3)
    found = samples(metrics)
    assert found["seldon_spec_queued_requests"] == {(("worker_id", "0"),): 3}
    assert 16 <= len(found["seldon_spec_call_seconds_count"]) < 300
    assert set(found["seldon_spec_call_seconds_count"].values()) == {1}
    assert [record.getMessage().count("no space") for record in caplog.records] == [1]

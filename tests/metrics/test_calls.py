"""What is observed of each call, written by one process and read by another, whenever the first one ends."""

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

from seldon_spec.observability.metrics import Metrics, Segments
from seldon_spec.observability.metrics import call_buffer as journal
from seldon_spec.observability.metrics.definitions import CALLS, DURATION, MetricDefinition
from seldon_spec.observability.metrics.segments import JOURNAL_ROWS

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


def labels_of(family: MetricDefinition, method: str, outcome: str) -> tuple[tuple[str, str], ...]:
    return (("method", method), *([("outcome", outcome)] if family.name == DURATION else []))


@given(calls=st.lists(call, min_size=1, max_size=20), times=st.sampled_from([1, 60, 1000 // 7]))
def test_the_page_says_what_was_observed(samples: Samples, calls: list[Any], times: int) -> None:
    """Whether it is in the journal or folded, of one group or of many."""
    metrics = Metrics()
    for method, outcome, values in calls * times:
        metrics.observe_call(method, outcome, *values)
    found = samples(metrics)
    for number, family in enumerate(CALLS):
        expected: dict[Any, list[float]] = {}
        for method, outcome, values in calls * times:
            mine = expected.setdefault(labels_of(family, method, outcome), [])
            if not math.isnan(values[number]):
                mine.append(values[number])
        assert found[f"{family.name}_count"] == {labels: len(mine) for labels, mine in expected.items()}
        for labels, mine in expected.items():
            assert found[f"{family.name}_sum"][labels] == pytest.approx(math.fsum(mine))
            bins = [0] * (len(family.edges) + 1)
            for each in mine:
                bins[bisect_left(family.edges, each)] += 1
            buckets = [n for key, n in found[f"{family.name}_bucket"].items() if key[:-1] == labels]
            assert buckets == list(itertools.accumulate(bins))


def test_a_bucket_takes_the_values_up_to_its_edge(samples: Samples) -> None:
    metrics = Metrics()
    metrics.observe_call("predict", "success", *ONES[:5], 2, 1024)
    found = samples(metrics)
    rows, size = (
        {labels[-1][1]: count for labels, count in found[f"seldon_spec_request_{what}_bucket"].items()}
        for what in ("rows", "body_bytes")
    )
    assert [rows[edge] for edge in ("1.0", "2.0", "5.0", "1000000.0")] == [0, 1, 1, 1]
    assert [size[edge] for edge in ("256.0", "1024.0", "268435456.0")] == [0, 1, 1]


def test_threads_lose_no_call(samples: Samples) -> None:
    metrics = Metrics()

    def work(outcome: str) -> None:
        for _ in range(2 * JOURNAL_ROWS):
            metrics.observe_call("predict", outcome, *ONES)

    threads = [threading.Thread(target=work, args=(outcome,)) for outcome in ("success", "error") * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = samples(metrics)
    assert list(found[f"{DURATION}_count"].values()) == [4 * JOURNAL_ROWS, 4 * JOURNAL_ROWS]
    assert found["seldon_spec_call_seconds_sum"] == {METHOD: 8 * JOURNAL_ROWS}


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


def observe_ones(slots: Segments, count: int) -> None:
    metrics = Metrics(slots=slots, index=1)
    for _ in range(count):
        metrics.observe_call("predict", "success", *ONES)


@pytest.mark.parametrize("count", [1, JOURNAL_ROWS - 1, JOURNAL_ROWS, JOURNAL_ROWS + 1, 3 * JOURNAL_ROWS + 7])
def test_a_successor_goes_on_with_the_journal(samples: Samples, count: int) -> None:
    slots = Segments(2)
    reader = Metrics(slots=slots, index=0)
    for life in (1, 2, 3):
        assert os.waitpid(fork(lambda: observe_ones(slots, count)), 0)[1] == 0
        found = samples(reader)
        assert found[f"{DURATION}_count"] == {(*METHOD, ("outcome", "success")): life * count}
        assert {found[f"{family.name}_sum"][METHOD] for family in CALLS[1:]} == {life * count}


def observe_until_killed(slots: Segments, steps: int) -> None:
    """Fill the journal, and die in the call that folds it, before its step of this number."""
    observe_ones(slots, JOURNAL_ROWS)
    metrics = Metrics(slots=slots, index=1)
    left = steps

    def trace(frame: Any, event: str, _argument: object) -> Any:
        nonlocal left
        if frame.f_code.co_filename != journal.__file__:
            return None
        left -= event == "line"
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return trace

    sys.settrace(trace)
    metrics.observe_call("predict", "success", *ONES)


def test_a_worker_killed_at_any_step_of_a_fold_leaves_every_call(samples: Samples) -> None:
    counts: list[float] = []
    for steps in itertools.count(1):
        slots = Segments(2)
        reader = Metrics(slots=slots, index=0)
        status = os.waitpid(fork(lambda slots=slots, steps=steps: observe_until_killed(slots, steps)), 0)[1]  # type: ignore[misc]
        found = samples(reader)
        counts += found["seldon_spec_call_seconds_count"].values()
        assert found["seldon_spec_call_seconds_sum"] == {METHOD: counts[-1]}
        assert os.waitpid(fork(lambda slots=slots: observe_ones(slots, JOURNAL_ROWS)), 0)[1] == 0  # type: ignore[misc]
        assert samples(reader)["seldon_spec_call_seconds_sum"] == {METHOD: counts[-1] + JOURNAL_ROWS}
        if status == 0:
            break
        assert os.WTERMSIG(status) == signal.SIGKILL
    assert len(counts) > 20
    assert counts == sorted(counts)
    assert set(counts) == {JOURNAL_ROWS, JOURNAL_ROWS + 1}


def test_no_page_shows_half_a_fold(samples: Samples) -> None:
    slots = Segments(2)
    reader = Metrics(slots=slots, index=0)
    count = 400 * JOURNAL_ROWS
    observe_ones(slots, 1)
    pid, before = fork(lambda: observe_ones(slots, count)), 0.0
    while True:
        has_ended = os.waitpid(pid, os.WNOHANG) != (0, 0)
        found = samples(reader)
        told = {found[f"{family.name}_{ending}"][METHOD] for family in CALLS[1:] for ending in ("count", "sum")}
        assert len(told) == 1
        (now,) = told
        assert now >= before
        before = now
        if has_ended:
            break
    assert before == count + 1


def test_calls_that_have_no_room_harm_nothing(samples: Samples, caplog: pytest.LogCaptureFixture) -> None:
    metrics = Metrics(slots=Segments(1))
    for number in range(100):
        metrics.observe_call(f"method{number}", "success", *ONES)
    metrics.set_queued(3)
    found = samples(metrics)
    assert found["seldon_spec_queued_requests"] == {(("worker_id", "0"),): 3}
    assert 16 <= len(found["seldon_spec_call_seconds_count"]) < 100
    assert set(found["seldon_spec_call_seconds_count"].values()) == {1}
    assert [record.getMessage().count("no room") for record in caplog.records] == [1]

"""Series over the lives of workers: changed types, unused names, full segments, and inconsistent states."""

from __future__ import annotations

import functools
import logging
import struct
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from seldon_spec.observability.metrics import Exposition, Metrics, Segments, call_buffer
from seldon_spec.observability.metrics import segments as memory
from seldon_spec.observability.metrics.segments import BUFFER_COLUMNS, InconsistentSegment

ONES = (1.0,) * 7

page_of = functools.cache(Exposition)


def metric(kind: str, key: str, value: float = 1, **tags: str) -> dict[str, Any]:
    return {"type": kind, "key": key, "value": value, "tags": tags}


def read(metrics: Metrics) -> dict[str, tuple[str, dict[str, float]]]:
    """Return the user metrics as Prometheus' parser reads them: type, and the sum of each sample's values by name."""
    found: dict[str, tuple[str, dict[str, float]]] = {}
    names: list[str] = []
    for family in text_string_to_metric_families(page_of(metrics).render().decode()):
        names.append(family.name)
        if not family.name.startswith("seldon_spec_"):
            values: dict[str, float] = {}
            for sample in family.samples:
                if not sample.name.endswith("_bucket"):
                    values[sample.name] = values.get(sample.name, 0) + sample.value
            found[family.name] = family.type, values
    assert len(names) == len(set(names))
    return found


class Lives:
    """Workers that replace each other in the segments of one server."""

    def __init__(self, count: int = 2, **more: int) -> None:
        self.segments = Segments(count, **more)
        self._running: dict[int, Metrics] = {}

    def start(self, *metrics: dict[str, Any]) -> Metrics:
        """Start a worker in a free segment, and record these metrics."""
        index = next(index for index in range(self.segments.count) if index not in self._running)
        self._running[index] = Metrics(segments=self.segments, index=index)
        self._running[index].record("predict", list(metrics))
        return self._running[index]

    def end(self, worker: Metrics) -> None:
        index = next(index for index, running in self._running.items() if running is worker)
        del self._running[index]
        self.segments.release(index)

    def replace(self, worker: Metrics, *metrics: dict[str, Any]) -> Metrics:
        """As a reload does: the next one serves, and then the one before it ends."""
        successor = self.start(*metrics)
        self.end(worker)
        return successor


CHANGES = {
    "timer to gauge": (metric("TIMER", "a", 1000), metric("GAUGE", "a", 7), {"a": ("gauge", {"a": 7})}),
    "gauge to timer": (
        metric("GAUGE", "a", 7),
        metric("TIMER", "a", 2000),
        {"a": ("histogram", {"a_count": 1, "a_sum": 2})},
    ),
    "counter to gauge": (metric("COUNTER", "a"), metric("GAUGE", "a_total", 7), {"a_total": ("gauge", {"a_total": 7})}),
    "gauge to counter": (metric("GAUGE", "a_total"), metric("COUNTER", "a", 3), {"a": ("counter", {"a_total": 3})}),
    "timer to the gauge of its count": (
        metric("TIMER", "a"),
        metric("GAUGE", "a_count", 7),
        {"a_count": ("gauge", {"a_count": 7})},
    ),
    "counter to counter": (metric("COUNTER", "a", 2), metric("COUNTER", "a", 3), {"a": ("counter", {"a_total": 5})}),
}


@pytest.mark.parametrize(("before", "after", "expected"), CHANGES.values(), ids=CHANGES)
def test_the_newest_type_is_exposed(
    before: dict[str, Any], after: dict[str, Any], expected: Any, caplog: pytest.LogCaptureFixture
) -> None:
    lives = Lives()
    old = lives.start(before)
    new = lives.start(after)
    assert read(new) == expected == read(old)  # while both run
    lives.end(old)
    assert read(new) == expected
    newer = lives.replace(new, after)
    assert set(read(newer)) == set(expected)
    logged = [record for record in caplog.records if "leaves out" in record.getMessage()]
    assert len(logged) <= 3  # once a process
    assert bool(logged) == (before["type"] != after["type"])


def test_a_type_that_comes_back_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    lives = Lives()
    worker = lives.start(metric("TIMER", "a", 1000))
    worker = lives.replace(worker, metric("GAUGE", "a", 7))
    worker = lives.replace(worker, metric("TIMER", "a", 2000))
    assert read(worker) == {"a": ("histogram", {"a_count": 2, "a_sum": 3})}


def test_counters_never_fall_over_many_lives() -> None:
    lives = Lives(3)
    workers = [lives.start(metric("COUNTER", "a"), metric("TIMER", "t", 1000)) for _ in range(2)]
    before = 0.0
    for number in range(20):
        workers.append(lives.start())
        lives.end(workers.pop(0))
        workers[-1].record("predict", [metric("COUNTER", "a", tag=str(number % 3)), metric("TIMER", "t", 1000)])
        found = read(workers[0])
        assert found["a"][1]["a_total"] == found["t"][1]["t_count"] == found["t"][1]["t_sum"] == 3 + number > before
        before = found["a"][1]["a_total"]


def test_names_that_are_used_no_more_make_room(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    lives = Lives(2, series_bytes=2048)
    worker = lives.start(metric("COUNTER", "kept"))
    for number in range(200):
        worker = lives.replace(worker, metric("COUNTER", "kept"), metric("COUNTER", f"renamed{number}"))
    found = read(worker)
    assert found["kept"] == ("counter", {"kept_total": 201})
    assert "renamed199" in found
    assert len(found) < 60
    assert lives.segments.count_dropped() == 0
    assert any("series that only exited workers had" in record.getMessage() for record in caplog.records)


def test_a_timer_that_is_used_no_more_makes_room_for_one_that_is() -> None:
    lives = Lives(2, series_bytes=1024)
    worker = lives.start(metric("TIMER", "before", 1000))
    for number in range(20):
        worker = lives.replace(worker, metric("TIMER", f"t{number}", 1000), metric("COUNTER", "kept"))
    found = read(worker)
    assert found["kept"][1]["kept_total"] == 20
    assert found["t19"] == ("histogram", {"t19_count": 1, "t19_sum": 1})


def test_a_full_segment_is_counted_and_harms_no_other_worker(caplog: pytest.LogCaptureFixture) -> None:
    lives = Lives(3, series_bytes=1024)
    full = lives.start(*(metric("COUNTER", f"k{number}") for number in range(50)))
    kept = len(read(full))
    assert 1 < kept < 50
    assert f" {50 - kept}.0\n" in page_of(full).render().decode().split("seldon_spec_dropped_metrics_total{")[1]
    other = lives.start(metric("COUNTER", "other"))
    assert "other" in read(other)
    assert [record.getMessage().count("no space") for record in caplog.records] == [1]
    next_one = lives.replace(full, metric("COUNTER", "other"))
    assert read(next_one)["other"] == ("counter", {"other_total": 2})


# States that another process may see, torn by hand


@pytest.fixture
def torn(monkeypatch: pytest.MonkeyPatch) -> Segments:
    """Segments that a reader tries twice, with two calls, a counter, and the totals of a worker that exited."""
    monkeypatch.setattr(call_buffer, "_TRIES", 2)
    monkeypatch.setattr(memory, "_TRIES", 2)
    lives = Lives(2)
    lives.end(lives.start(metric("COUNTER", "a", 2)))
    worker = lives.start(metric("COUNTER", "a"))
    for _ in range(2):
        worker.observe_call("predict", "success", *ONES)
    return lives.segments


def calls(segments: Segments) -> dict[str, float]:
    reader = Exposition(Metrics(segments=segments, index=1))
    families = {family.name: family for family in text_string_to_metric_families(reader.render().decode())}
    family = families.get("seldon_spec_call_seconds")
    return {} if family is None else {s.name: s.value for s in family.samples if not s.name.endswith("_bucket")}


def test_a_state_that_is_seen_before_its_row_counts_no_garbage(torn: Segments) -> None:
    whole = calls(torn)
    assert whole == {"seldon_spec_call_seconds_count": 2, "seldon_spec_call_seconds_sum": 2}
    torn.words[torn.buffer_state(0)] += 1
    assert calls(torn) == whole


@pytest.mark.parametrize("column", range(BUFFER_COLUMNS))
def test_a_row_that_is_seen_in_part_is_not_counted(torn: Segments, column: int) -> None:
    torn.words[torn.buffer(0) + column] ^= 1 << 40
    assert calls(torn)["seldon_spec_call_seconds_count"] == 1


def test_a_row_of_an_earlier_flush_is_not_counted(torn: Segments) -> None:
    torn.words[torn.buffer_state(0)] += 2 * call_buffer._FLUSH
    assert calls(torn) == {} or calls(torn)["seldon_spec_call_seconds_count"] == 0


def test_a_copy_that_is_seen_in_part_is_left_out(torn: Segments) -> None:
    (group,) = [entry for entry in torn.builtin_entries(0) if call_buffer.is_group(entry.key)]
    torn.values[group.cell] = 5.0
    assert calls(torn) == {}


def test_an_entry_that_is_seen_in_part_is_left_out_until_it_is_whole(torn: Segments) -> None:
    reader = Metrics(segments=torn, index=1)
    first = memory._FIRST_SERIES
    header = torn.words[first]
    torn.words[first] = 0
    assert read(reader) == {"a": ("counter", {"a_total": 2})}
    torn.words[first] = header
    assert read(reader) == {"a": ("counter", {"a_total": 3})}


def test_totals_that_do_not_agree_with_the_segments_are_never_shown(torn: Segments) -> None:
    reader = Metrics(segments=torn, index=1)
    totals = torn._totals_cell
    for cell in (totals, totals + 1, totals + 4):
        before = torn.words[cell]
        torn.words[cell] ^= 1
        with pytest.raises(InconsistentSegment):
            page_of(reader).render()
        torn.words[cell] = before
    used = memory._USED
    torn.words[used] += memory._RELEASE  # the segment is released, and the totals are those from before
    with pytest.raises(InconsistentSegment):
        page_of(reader).render()
    torn.words[used] -= memory._RELEASE
    assert read(reader) == {"a": ("counter", {"a_total": 3})}


def test_the_header_of_an_entry_has_whole_cells() -> None:
    assert struct.calcsize(memory._HEADER.format) % 8 == 0

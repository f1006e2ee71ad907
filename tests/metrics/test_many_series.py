"""A page with many series."""

from __future__ import annotations

from collections import Counter
from typing import Any

from seldon_spec.observability.metrics import Exposition, Metrics, Segments

COUNTS = {"COUNTER": 20_000, "GAUGE": 5_000, "TIMER": 200}
Samples = dict[str, dict[tuple[int, int], float]]


def record(worker: Metrics, numbers: range) -> None:
    found: list[dict[str, Any]] = [
        {"type": kind, "key": kind.lower(), "value": number, "tags": {"number": number}}
        for kind, count in COUNTS.items()
        for number in numbers
        if number < count
    ]
    worker.record("predict", found)


def read(page: Exposition) -> Samples:
    """Return the values by name and by the labels ``number`` and ``worker_id``; each is there once."""
    found: Samples = {"counter_total": {}, "gauge": {}, "timer_count": {}, "timer_sum": {}}
    for line in page.render().decode().splitlines():
        name, _, rest = line.partition("{")
        if name in found:
            number, worker = (rest.partition(f'{label}="')[2].partition('"')[0] for label in (",number", ",worker_id"))
            key = int(number), int(worker or 0)
            assert key not in found[name]
            found[name][key] = round(float(rest.rpartition(" ")[2]), 6)
    return found


def test_all_series_of_all_workers_are_complete_and_added_up() -> None:
    segments = Segments(3, series_bytes=8 << 20)
    page = Exposition(Metrics(segments=segments))
    counts: Counter[int] = Counter()
    for index in range(3):
        numbers = range(0, COUNTS["COUNTER"], index + 1)
        record(Metrics(segments=segments, index=index), numbers)
        counts.update(numbers)
        found = read(page)  # the page knows most series before the next worker adds its own
    segments.release(2)
    for samples, running in ((found, 3), (read(page), 2)):
        timers = range(COUNTS["TIMER"])
        assert samples == {
            "counter_total": {(number, 0): number * count for number, count in counts.items()},
            "gauge": {
                (number, index): number for index in range(running) for number in range(0, COUNTS["GAUGE"], index + 1)
            },
            "timer_count": {(number, 0): counts[number] for number in timers},
            "timer_sum": {(number, 0): round(number * counts[number] / 1000, 6) for number in timers},
        }

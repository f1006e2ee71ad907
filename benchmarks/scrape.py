"""What a scrape of many series costs, and how long it delays other requests: ``python -m benchmarks.scrape``.

The class adds its series with the first request of each worker. A timer on the event loop of each worker measures how
late its callbacks are, while one client scrapes and another one sends probes. On a machine with other load, raise the
priority: ``chrt -f 1 python -m benchmarks.scrape``.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import sys
import time
from collections.abc import Mapping, Sequence

from benchmarks.endurance import OwnServer, RestClient, rest_request, serving
from benchmarks.probe import Probe
from benchmarks.processes import Memory, read_memory, read_processor_seconds
from benchmarks.report import render_table, show_number

TIMER_LINES = 53
"""The series of one timer: 51 buckets, the count and the sum."""
INTERVAL_SECONDS = 0.25

_SCRAPE = rest_request("/metrics", method="GET")
_PREDICT = rest_request("/predict", b'{"data":{"ndarray":[[1.0]]}}')
_SOURCE = """\
import gc, mmap, os, random, time
from pathlib import Path

import uvloop


class Served:
    def __init__(self):
        self.added = [
            {{"type": {type!r}, "key": "orders", "value": random.random() * 100,
              "tags": {{"customer": f"c-{{number:05}}", "region": f"region-{{number % 7}}"}}}}
            for number in range({count})
        ]

    def load(self):
        file = Path(f"late-{{os.getpid()}}")
        file.write_bytes(bytes(8))
        self.late = memoryview(mmap.mmap(os.open(file, os.O_RDWR), 8)).cast("d")
        loop = next(each for each in gc.get_objects() if isinstance(each, uvloop.Loop))
        loop.call_soon_threadsafe(self.tick, loop, time.perf_counter())

    def tick(self, loop, due):
        self.late[0] = max(self.late[0], time.perf_counter() - due)
        loop.call_at(loop.time() + 0.002, self.tick, loop, time.perf_counter() + 0.002)

    def predict(self, X, names=None):
        return X

    def metrics(self):
        added, self.added = self.added, []
        return added

    def tags(self):
        return {{"process": os.getpid()}}
"""

HEAD = (
    *("series of the class", "on the page", "page MB", "first scrape: CPU ms", "delay of the event loop ms"),
    *("other scrapes: CPU ms", "delay of the event loop ms", "wait for /live ms", "delay without scrapes ms"),
    "memory bytes per series",
)
CASES: Mapping[str, tuple[int, str]] = {
    "counters": (1, "COUNTER"),
    "gauges": (1, "GAUGE"),
    "timers": (1, "TIMER"),
    "counters of 4 workers": (4, "COUNTER"),
    "gauges of 4 workers": (4, "GAUGE"),
    "timers of 4 workers": (4, "TIMER"),
}
"""The number of workers, and the type."""


def _take_delay(server: OwnServer) -> float:
    """Return the longest delay that a worker has measured since the last call, in milliseconds."""
    found = 0.0
    for file in server.folder.glob("late-*"):
        with file.open("r+b") as opened:
            found = max(found, memoryview(opened.read()).cast("d")[0])
            opened.seek(0)
            opened.write(bytes(8))
    return found * 1e3


def _add_series(server: OwnServer, workers: int) -> None:
    found: set[int] = set()
    while len(found) < workers:
        status, body = RestClient(server.http, is_kept=False).ask(_PREDICT)
        assert status == 200, body
        found.add(json.loads(body)["meta"]["tags"]["process"])


def measure(name: str, series: int, rounds: int, scrapes: int) -> list[str]:
    """Return a row of the table. The delays and waits are the longest of a round; all figures are medians of rounds."""
    workers, kind = CASES[name]
    count = series // {"COUNTER": 1, "GAUGE": workers, "TIMER": TIMER_LINES}[kind]
    with (
        serving(_SOURCE.format(type=kind, count=count), {"workers": workers}) as server,
        contextlib.closing(RestClient(server.metrics)) as client,
        contextlib.closing(Probe("live")) as probe,
    ):
        root, seconds = server.process.pid, scrapes * INTERVAL_SECONDS
        _add_series(server, workers)
        time.sleep(1.0)  # those requests are large: their memory is freed now
        _take_delay(server)
        memory, used = read_memory(root, Memory.PROPORTIONAL), read_processor_seconds(root)
        client.ask(_SCRAPE)
        first_cpu, first_delay = (read_processor_seconds(root) - used) * 1e3, _take_delay(server)
        _, page = client.ask(_SCRAPE)
        lines = page.count(b"\norders")
        memory = read_memory(root, Memory.PROPORTIONAL) - memory
        found = []
        for _ in range(rounds):
            probe.connect(server.http)
            _take_delay(server)
            used = read_processor_seconds(root)
            time.sleep(seconds)
            idle, delay_without = read_processor_seconds(root) - used, _take_delay(server)
            used, due = read_processor_seconds(root), time.perf_counter()
            for _ in range(scrapes):
                client.ask(_SCRAPE)
                due += INTERVAL_SECONDS
                time.sleep(max(0.0, due - time.perf_counter()))
            cpu = (read_processor_seconds(root) - used - idle) / scrapes * 1e3
            probe.begin(seconds)
            end = time.perf_counter() + seconds
            while time.perf_counter() < end:
                client.ask(_SCRAPE)
            found.append((cpu, _take_delay(server), probe.read().longest_ms, delay_without))
    medians = [statistics.median(values) for values in zip(*found, strict=True)]
    figures = map(show_number, (len(page) / 1e6, first_cpu, first_delay, *medians))
    return [name, f"{lines:,}", *figures, f"{memory / lines:,.0f}"]


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scrape", description=__doc__)
    add = parser.add_argument
    add("--case", action="append", choices=CASES, help="only this one; again for more")
    add("--series", type=int, default=20_000, help="on the page; %(default)s")
    add("--rounds", type=int, default=5, help="%(default)s")
    add("--scrapes", type=int, default=20, help="in a round; %(default)s")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and print the table."""
    given = make_parser().parse_args(arguments)
    rows = [measure(name, given.series, given.rounds, given.scrapes) for name in given.case or CASES]
    print(render_table(HEAD, rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())

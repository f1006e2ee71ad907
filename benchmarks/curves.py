"""How cost grows: ``python -m benchmarks.curves``.

Throughput, processor time and latency over the number of connections, the size of bodies, the number of workers and
the load that is offered. The load generator runs on the last core alone, and the servers on the others. Over the number
of workers, a server has as many cores as workers; the last of them may be the core of the load generator. Each round
measures everything once; the figures are medians over the rounds.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from benchmarks.affinity import Cores, divide_cores, pinned
from benchmarks.compare import KEPT_VARIABLES, ONE_THREAD, end, find_missing, find_missing_tools
from benchmarks.curve_results import (
    BODIES,
    CONNECTIONS,
    COPY,
    KERNEL,
    LOAD,
    WORKERS,
    CurveResults,
    Point,
    take_medians,
    write_curves,
)
from benchmarks.environments import DEFAULT_FOLDER
from benchmarks.figures import Sample
from benchmarks.floors import measure_copy, measure_kernel
from benchmarks.guard import guarding
from benchmarks.load import Pressure
from benchmarks.machine import describe_machine
from benchmarks.running import RunningServer, ServerFailed, start_server
from benchmarks.servers import SERVERS
from benchmarks.workloads import MODELS, WORKLOADS, Form, Transport, Workload

OURS = "seldon-spec"
PEERS = ("mlserver-inproc",)
CLOSING_PEER = "seldon-core"
"""It closes a connection after each response, and has no V2: it is measured over connections only."""
FORMS = {"REST, binary V2": (Transport.REST, Form.BINARY), "gRPC, raw V2": (Transport.GRPC, Form.RAW)}
CONNECTION_COUNTS = (1, 4, 16, 64, 256, 1000)
BODY_SIZES = (16, 256, 4 << 10, 64 << 10, 1 << 20, 16 << 20, 64 << 20)
WORKER_COUNTS = (1, 2, 3, 4)
PERCENTS = range(10, 100, 10)
"""Of the load that a server can handle."""


@dataclass(slots=True)
class Measurement:
    """The points until now, and what is needed for more."""

    seconds: int
    environments: Path
    folder: Path
    environ: Mapping[str, str]
    cores: Cores
    notify_guard: Callable[[int], None]
    points: list[Point] = field(default_factory=list)
    absent: dict[str, str] = field(default_factory=dict)

    @contextlib.contextmanager
    def running(self, name: str, workers: int = 1, cores: Sequence[int] = ()) -> Iterator[RunningServer]:
        """Start a server on these cores, or on those of servers."""
        folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.folder))
        with pinned(cores or self.cores.servers):
            one = start_server(SERVERS[name], MODELS["Identity"], workers, folder, self.environments, self.environ)
        try:
            self.notify_guard(one.process.pid)
            one.wait_until_right()
            yield one
        finally:
            one.stop()
            self.notify_guard(one.process.pid)

    @contextlib.contextmanager
    def series(self, name: str) -> Iterator[None]:
        """Record the failure of a server; the other servers are measured nevertheless."""
        try:
            yield
        except ServerFailed as error:
            self.absent[name] = "failed"
            print(error, file=sys.stderr)

    def add(self, curve: str, series: str, x: float, sample: Sample) -> None:
        """Keep a point, and report it."""
        figures = asdict(sample)
        del figures["peak_bytes"]
        self.points.append(Point(curve, series, x, **figures))
        print(f"{curve}, {series}, {x:g}: {sample.requests_per_second:.0f} requests/s", file=sys.stderr, flush=True)

    def press(self, connections: int) -> Pressure:
        """Return a load of so many connections."""
        return Pressure(self.seconds, connections, 4, 1)


def warm_up(one: RunningServer, workload: Workload) -> None:
    """A short load that is not kept."""
    one.measure(workload, Pressure(1, 16, 4, 1))


def measure_connections(to: Measurement, name: str, counts: Sequence[int]) -> None:
    """Small requests over REST, one after the other on each connection."""
    workload = WORKLOADS["rest-small"]
    with to.series(name), to.running(name) as one:
        warm_up(one, workload)
        for count in counts:
            to.add(CONNECTIONS, name, count, one.measure(workload, to.press(count)))


def measure_bodies(to: Measurement, name: str, sizes: Sequence[int]) -> None:
    """Arrays of growing size, one request after the other on one connection."""
    with to.series(name), to.running(name) as one:
        for label, (transport, form) in FORMS.items():
            if form not in SERVERS[name].v2:
                continue
            warm_up(one, WORKLOADS["v2-rest-small" if transport is Transport.REST else "v2-grpc-small"])
            for size in sizes:
                workload = Workload(f"{form.name}-{size}", transport, form, _shape(size), is_serial=True)
                to.add(BODIES, f"{name}, {label}", size, one.measure(workload, _press_serially(to, one, workload)))


def _shape(size: int) -> tuple[int, int]:
    """Rows of at most 1024 doubles."""
    count = size // 8
    return max(1, count // 1024), min(count, 1024)


def _press_serially(to: Measurement, one: RunningServer, workload: Workload) -> Pressure:
    """As many requests as fit into the time."""
    few = replace(to.press(1), serial_requests=3)
    return replace(few, serial_requests=max(3, round(1e3 * to.seconds / one.measure(workload, few).p50_ms)))


def measure_floors(to: Measurement, sizes: Sequence[int]) -> None:
    """What no server can avoid for a body."""
    for size in sizes:
        count = max(3, min(5000, (1 << 29) // size))
        to.points.append(Point(BODIES, KERNEL, size, cpu_ms=measure_kernel(size, count, to.cores.servers)))
        to.points.append(Point(BODIES, COPY, size, cpu_ms=measure_copy(size, 0.2)))


def measure_workers(to: Measurement, counts: Sequence[int]) -> None:
    """Small and medium requests to one server; each worker adds a core, the last one is that of the load generator."""
    for count in counts:
        with to.series(OURS), to.running(OURS, count, to.cores.all[:count]) as one:
            for name in ("rest-small", "rest-medium", "grpc-small"):
                warm_up(one, WORKLOADS[name])
                to.add(WORKERS, name, count, one.measure(WORKLOADS[name], to.press(16)))


def measure_load(to: Measurement, name: str, percents: Sequence[int]) -> None:
    """Small requests over REST at shares of the rate that the server reached with 16 connections."""
    workload = WORKLOADS["rest-small"]
    with to.series(name), to.running(name) as one:
        warm_up(one, workload)
        capacity = one.measure(workload, to.press(16)).requests_per_second
        for percent in percents:
            to.add(LOAD, name, percent, one.measure(workload, replace(to.press(32), rate=percent / 100 * capacity)))


def measure_all(to: Measurement, step: int) -> None:
    """Measure every curve; a step of more than 1 leaves out points."""
    missing = [name for name in (*PEERS, CLOSING_PEER) if find_missing([name], to.environments)]
    to.absent.update(dict.fromkeys(missing, "not installed"))
    names = [name for name in (OURS, *PEERS) if name not in missing]
    for name in names if CLOSING_PEER in missing else [*names, CLOSING_PEER]:
        measure_connections(to, name, CONNECTION_COUNTS[::step])
    for name in names:
        measure_bodies(to, name, BODY_SIZES[::step])
    measure_floors(to, BODY_SIZES[::step])
    measure_workers(to, WORKER_COUNTS[::step])
    for name in names:
        measure_load(to, name, PERCENTS[::step])


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Measure, and write the results; return 2 if something is not installed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.curves", description=__doc__)
    add = parser.add_argument
    add("--seconds", type=int, default=2, help="of each load; %(default)s")
    add("--rounds", type=int, default=3, help="how often each load is measured; %(default)s")
    add("--step", type=int, default=1, help="2 measures every second point; %(default)s")
    add("--envs", type=Path, default=DEFAULT_FOLDER, metavar="DIR", help="the peers' environments; %(default)s")
    add("--json", type=Path, metavar="FILE", help="write the figures there")
    given = parser.parse_args(arguments)
    if missing := [*find_missing_tools(), *find_missing([OURS], given.envs)]:
        print("\n".join(missing), file=sys.stderr)
        return 2
    allow_many_connections()
    cores = divide_cores()
    variables = {**{name: environ[name] for name in KEPT_VARIABLES if name in environ}, **ONE_THREAD}
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as folder, guarding() as notify_guard, pinned(cores.load):
        to = Measurement(given.seconds, given.envs, Path(folder), variables, cores, notify_guard)
        for _ in range(given.rounds):
            measure_all(to, given.step)
    points = take_medians(to.points)
    text = write_curves(CurveResults(describe_machine(), given.seconds, given.rounds, points, to.absent))
    if given.json:
        given.json.write_text(text, encoding="utf-8")
    else:
        print(text)
    return 0


def allow_many_connections() -> None:
    """Raise the limit of open files, which the servers inherit, as far as it goes."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


if __name__ == "__main__":
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)
    sys.exit(main(sys.argv[1:], os.environ))

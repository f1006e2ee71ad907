"""The whole run: all servers at once, measured in turn in each round, so that noise affects all equally."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from benchmarks.guard import guarding
from benchmarks.heads import Heads
from benchmarks.load import Pressure
from benchmarks.machine import describe_machine, read_versions
from benchmarks.results import Mode, Results, ServerResults, Settings
from benchmarks.running import RunningServer, ServerFailed, start_server
from benchmarks.servers import Server
from benchmarks.workloads import MODELS, Workload

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done.

    Args:
        workers: of each server, one comparison for each number.
        keeps_going: the results say which server failed; else its failure ends the comparison.
        environments: where the peers are installed.
        folder: an empty one, for the servers' files.
        environ: the variables that every server gets.
    """

    settings: Settings
    servers: Sequence[Server]
    workloads: Sequence[Workload]
    workers: Sequence[int]
    environments: Path
    folder: Path
    environ: Mapping[str, str]
    keeps_going: bool = False

    @property
    def pressures(self) -> Sequence[Pressure]:
        """The loads of a round, one after the other."""
        given = self.settings
        plain = Pressure(given.seconds, given.connections, given.streams, given.serial_requests)
        return [replace(plain, heads=Heads(name)) for name in given.heads] or [plain]


def compare(plan: Plan, say: Say) -> Results:
    """Run it; whatever happens, no process of a server is left.

    Raises:
        ServerFailed: a server did not start, or a response was wrong or failed, and the plan does not keep going.
    """
    found: list[ServerResults] = []
    with guarding() as notify_guard:
        for workers in plan.workers:
            runners = [
                _Runner(plan, each, workers, notify_guard, say, _begin_results(plan, each, workers))
                for each in plan.servers
                if each.can_use(workers)
            ]
            found += [results for each in runners for results in each.results]
            for workloads in _group(plan):
                _visit(runners, workloads, plan)
    return Results(describe_machine(), plan.settings, found)


def _begin_results(plan: Plan, server: Server, workers: int) -> list[ServerResults]:
    """A server's results with each kind of request headers."""
    versions = read_versions(server.python(plan.environments))
    names = [f"{server.name}, {heads}" for heads in plan.settings.heads] or [server.name]
    return [ServerResults(name, workers, server.note, versions) for name in names]


def _group(plan: Plan) -> Sequence[Sequence[Workload]]:
    """The workloads for one start of the servers each: memory that one took would hide what the next takes."""
    return [[each] for each in plan.workloads] if plan.settings.mode is Mode.MEMORY else [plan.workloads]


def _visit(runners: Sequence[_Runner], workloads: Sequence[Workload], plan: Plan) -> None:
    """Start all servers as often as requested; the last time all at once, for the rounds."""
    for _ in range(plan.settings.starts - 1):
        for each in runners:
            each.attempt(each.start_and_stop)
    with contextlib.ExitStack() as stack:
        running: dict[_Runner, RunningServer] = {}

        def start(runner: _Runner) -> None:
            running[runner] = stack.enter_context(runner.run())

        for each in runners:
            each.attempt(partial(start, each))
        for workload in workloads:
            asked = [(each, one) for each, one in running.items() if each.server.dialect(workload)]
            for each, one in asked:
                each.attempt(partial(each.warm_up, one, workload))
            for turn in range(plan.settings.rounds):
                for each, one in asked:
                    each.attempt(partial(each.measure, one, workload, turn))


@dataclass(frozen=True, slots=True, eq=False)
class _Runner:
    """One server of the plan, and where its figures go."""

    plan: Plan
    server: Server
    workers: int
    notify_guard: Callable[[int], None]
    say: Say
    results: Sequence[ServerResults]

    @contextlib.contextmanager
    def run(self) -> Iterator[RunningServer]:
        """Start the server in a new folder, wait for a correct response, and stop it at the end."""
        plan = self.plan
        folder = Path(tempfile.mkdtemp(prefix=f"{self.server.name}-", dir=plan.folder))
        model = MODELS[plan.settings.model]
        one = start_server(self.server, model, self.workers, folder, plan.environments, plan.environ)
        try:
            self.notify_guard(one.process.pid)
            start = one.wait_until_right()
            for results in self.results:
                results.starts.append(start)
            self.say(f"{self.server.name}, workers: {self.workers}, started in {start.seconds:.2f} s")
            yield one
        finally:
            one.stop()
            self.notify_guard(one.process.pid)

    def start_and_stop(self) -> None:
        """One start that is only timed."""
        with self.run():
            pass

    def attempt(self, action: Callable[[], None]) -> None:
        """Do it; if the plan keeps going, a failure of the server is recorded, and its next actions are left out."""
        if self.results[0].absence:
            return
        try:
            action()
        except ServerFailed as error:
            if not self.plan.keeps_going:
                raise
            for results in self.results:
                results.absence = "failed"
            self.say(str(error))

    def warm_up(self, one: RunningServer, workload: Workload) -> None:
        """A short round that is not kept."""
        for results, pressure in zip(self.results, self.plan.pressures, strict=True):
            results.request_bytes[workload.name] = len(one.request(workload))
            one.measure(workload, replace(pressure, seconds=1, serial_requests=1))

    def measure(self, one: RunningServer, workload: Workload, turn: int) -> None:
        """A round that is kept."""
        for results, pressure in zip(self.results, self.plan.pressures, strict=True):
            sample = one.measure(workload, pressure)
            results.samples.setdefault(workload.name, []).append(sample)
            self.say(
                f"{workload.name} {turn + 1}/{self.plan.settings.rounds} {results.name}:"
                f" {sample.requests_per_second:.1f} requests/s, {sample.cpu_ms:.3f} ms of CPU each"
            )

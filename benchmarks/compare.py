"""Measure servers side by side: ``python -m benchmarks.compare``. Ratios are to the first server that is named."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from benchmarks.comparison import Plan, compare
from benchmarks.environments import DEFAULT_FOLDER
from benchmarks.report import render_report
from benchmarks.results import Mode, Settings, write_results
from benchmarks.running import ServerFailed
from benchmarks.servers import SERVERS
from benchmarks.workloads import MODELS, WORKLOADS

DEFAULT_SERVERS = ("seldon-core", "mlserver", "mlserver-inproc", "seldon-spec")
TOOLS = {"wrk": "wrk", "h2load": "nghttp2-client"}
"""The load generators, and the Debian packages they are in."""
KEPT_VARIABLES = ("HOME", "LANG", "PATH", "TMPDIR")
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
"""Workers are what is compared, so arithmetic has one thread in each."""


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare", description=__doc__)
    add = parser.add_argument
    add("--server", action="append", choices=SERVERS, metavar="NAME", help=f"again for more; of {', '.join(SERVERS)}")
    add("--workload", action="append", choices=WORKLOADS, metavar="NAME", help=f"of {', '.join(WORKLOADS)}")
    add("--mode", type=Mode, default=Mode.SPEED, help="speed, scaling (1 and 2 workers) or memory (large bodies)")
    add("--model", default="Identity", choices=MODELS)
    add("--workers", type=_positive, default=1, help="of each server; scaling measures 1 and this many, at least 2")
    add("--rounds", type=_positive, default=5, help="of each workload; figures are their medians")
    add("--starts", type=_positive, default=3, help="of each server")
    add("--seconds", type=_positive, default=3, help="of load in a round")
    add("--connections", type=_positive, default=16)
    add("--streams", type=_positive, default=4, help="gRPC calls at once on a connection")
    add("--large", type=_positive, default=3, help="requests of a large body in a round")
    add("--envs", type=Path, default=DEFAULT_FOLDER, metavar="DIR", help="the peers' environments; %(default)s")
    add("--json", type=Path, metavar="FILE", help="write every figure of every round there")
    add("--markdown", type=Path, metavar="FILE", help="write the tables there; they are printed in any case")
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def find_missing(names: Sequence[str], environments: Path) -> list[str]:
    """What has to be installed first, a sentence each."""
    missing = [
        f"{tool} is not on the path; Debian has it in the package {package}"
        for tool, package in TOOLS.items()
        if shutil.which(tool) is None
    ]
    wanted = {SERVERS[name].environment for name in names if not SERVERS[name].python(environments).exists()}
    return missing + [
        f"{environments / name} is not there: python -m benchmarks.environments {name} --envs {environments}"
        for name in sorted(filter(None, wanted))
    ]


def _choose_workloads(given: Sequence[str] | None, mode: Mode) -> list[str]:
    if given:
        return list(given)
    return [name for name, each in WORKLOADS.items() if each.is_serial or mode is not Mode.MEMORY]


def _end(number: int, _frame: object) -> NoReturn:
    """Leave by an exception, so that the servers are stopped on the way out."""
    sys.exit(128 + number)


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run a comparison; 1 where a server failed or an answer was wrong, 2 where something is not installed."""
    given = make_parser().parse_args(arguments)
    names = given.server or DEFAULT_SERVERS
    if missing := find_missing(names, given.envs):
        print("\n".join(missing), file=sys.stderr)
        return 2
    workers = (1, max(2, given.workers)) if given.mode is Mode.SCALING else (given.workers,)
    if idle := [name for name in names if not any(map(SERVERS[name].can_use, workers))]:
        print(f"of no use with {given.workers} workers: {', '.join(idle)}", file=sys.stderr)
        return 2
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _end)
    settings = Settings(
        mode=given.mode,
        model=given.model,
        rounds=given.rounds,
        starts=given.starts,
        seconds=given.seconds,
        connections=given.connections,
        streams=given.streams,
        serial_requests=given.large,
    )
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as folder:
        plan = Plan(
            settings=settings,
            servers=[SERVERS[name] for name in names],
            workloads=[WORKLOADS[name] for name in _choose_workloads(given.workload, given.mode)],
            workers=workers,
            environments=given.envs,
            folder=Path(folder),
            environ={**{name: environ[name] for name in KEPT_VARIABLES if name in environ}, **ONE_THREAD},
        )
        try:
            results = compare(plan, lambda line: print(line, file=sys.stderr, flush=True))
        except ServerFailed as error:
            print(f"The comparison has failed. {error}", file=sys.stderr)
            return 1
    if given.json:
        given.json.write_text(write_results(results), encoding="utf-8")
    report = render_report([results])
    if given.markdown:
        given.markdown.write_text(report, encoding="utf-8")
    print(report)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))

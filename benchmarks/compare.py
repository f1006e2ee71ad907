"""Measure servers side by side: ``python -m benchmarks.compare``. Ratios are to the first server that is named."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import NoReturn

from benchmarks.comparison import Plan, compare
from benchmarks.environments import DEFAULT_FOLDER
from benchmarks.heads import Heads
from benchmarks.receiver import receiving_spans
from benchmarks.report import render_report
from benchmarks.results import Mode, ServerResults, Settings, write_results
from benchmarks.running import ServerFailed
from benchmarks.servers import SERVERS, Server
from benchmarks.workloads import MODELS, WORKLOADS, Model

DEFAULT_SERVERS = ("seldon-core", "mlserver", "mlserver-inproc", "seldon-spec")
TOOLS = {"wrk": "wrk", "h2load": "nghttp2-client"}
"""The load generators, and the Debian packages they are in."""
KEPT_VARIABLES = ("HOME", "LANG", "PATH", "TMPDIR")
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
"""Workers are what is compared, so arithmetic has one thread in each."""

_ASK_ABSENT = """
import sys
from importlib.util import find_spec
for name in sys.argv[1:]:
    try:
        is_there = find_spec(name) is not None
    except ImportError:  # what it is a part of is not there
        is_there = False
    if not is_there:
        print(name)
"""


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
    add(
        "--heads",
        type=Heads,
        action="append",
        help="plain, real (of a production client), fixed (the same, but constant) or unknown (under other names)",
    )
    add("--keep-going", action="store_true", help="without servers that are not installed or fail; the report says so")
    add("--title", default="", help="of the section in a report; default: the mode's")
    add("--envs", type=Path, default=DEFAULT_FOLDER, metavar="DIR", help="the peers' environments; %(default)s")
    add("--json", type=Path, metavar="FILE", help="write every figure of every round there")
    add("--markdown", type=Path, metavar="FILE", help="write the tables there; they are printed in any case")
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def find_missing_tools() -> list[str]:
    """The load generators that have to be installed first, a sentence each."""
    return [
        f"{tool} is not on the path; Debian has it in the package {package}"
        for tool, package in TOOLS.items()
        if shutil.which(tool) is None
    ]


def find_missing(names: Sequence[str], environments: Path, model: Model = MODELS["Identity"]) -> list[str]:
    """What the servers need and is not installed, a sentence each."""
    wanted = {SERVERS[name].environment for name in names if not SERVERS[name].python(environments).exists()}
    missing = [
        f"{environments / name} is not there: python -m benchmarks.environments {name} --envs {environments}"
        for name in sorted(filter(None, wanted))
    ]
    needs: dict[Path, set[str]] = {}
    for server in (SERVERS[name] for name in names):
        needs.setdefault(server.python(environments), set()).update(server.requires, model.requires)
    return missing + [
        f"{python} cannot import {module}"
        for python, modules in needs.items()
        if python.exists()
        for module in _find_absent(python, modules)
    ]


def _find_absent(python: Path, modules: set[str]) -> list[str]:
    """The modules that an interpreter does not find."""
    if not modules:
        return []
    asked = subprocess.run([python, "-c", _ASK_ABSENT, *sorted(modules)], capture_output=True, text=True, check=True)
    return asked.stdout.split()


def _choose_workloads(given: Sequence[str] | None, mode: Mode, model: Model, server: Server) -> list[str]:
    """Those given, or all that fit the model and the server."""
    if given:
        return list(given)
    return [
        name
        for name, each in WORKLOADS.items()
        if model.takes(each) and server.dialect(each) and (each.is_serial or mode is not Mode.MEMORY)
    ]


def end(number: int, _frame: object) -> NoReturn:
    """Raise an exception, so that the servers are stopped."""
    sys.exit(128 + number)


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run a comparison; return 1 if a server failed or a response was wrong, 2 if something is not installed."""
    given = make_parser().parse_args(arguments)
    names = given.server or DEFAULT_SERVERS
    model = MODELS[given.model]
    tools = find_missing_tools()
    missing = {name: lines for name in names if (lines := find_missing([name], given.envs, model))}
    if tools or missing:
        print("\n".join(dict.fromkeys([*tools, *chain(*missing.values())])), file=sys.stderr)
    names = [name for name in names if name not in missing]
    if tools or not names or (missing and not given.keep_going):
        return 2
    workers = (1, max(2, given.workers)) if given.mode is Mode.SCALING else (given.workers,)
    if idle := [name for name in names if not any(map(SERVERS[name].can_use, workers))]:
        print(f"of no use with {given.workers} workers: {', '.join(idle)}", file=sys.stderr)
        return 2
    workloads = [WORKLOADS[name] for name in _choose_workloads(given.workload, given.mode, model, SERVERS[names[0]])]
    if unfit := [each.name for each in workloads if not model.takes(each)]:
        print(f"{model.name} takes {model.columns} columns, unlike those of {', '.join(unfit)}", file=sys.stderr)
        return 2
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)
    settings = Settings(
        mode=given.mode,
        model=given.model,
        rounds=given.rounds,
        starts=given.starts,
        seconds=given.seconds,
        connections=given.connections,
        streams=given.streams,
        serial_requests=given.large,
        title=given.title,
        heads=tuple(heads.value for heads in given.heads or ()),
    )
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as folder, receiving_spans() as variables:
        plan = Plan(
            settings=settings,
            servers=[SERVERS[name] for name in names],
            workloads=workloads,
            workers=workers,
            environments=given.envs,
            folder=Path(folder),
            keeps_going=given.keep_going,
            environ={**{name: environ[name] for name in KEPT_VARIABLES if name in environ}, **ONE_THREAD, **variables},
        )
        try:
            results = compare(plan, lambda line: print(line, file=sys.stderr, flush=True))
        except ServerFailed as error:
            print(f"The comparison has failed. {error}", file=sys.stderr)
            return 1
    if not any(each.starts for each in results.servers):
        print("The comparison has failed: no server started.", file=sys.stderr)
        return 1
    results.servers.extend(
        ServerResults(name, workers[0], SERVERS[name].note, {}, absence="not installed") for name in missing
    )
    if given.json:
        given.json.write_text(write_results(results), encoding="utf-8")
    report = render_report([results])
    if given.markdown:
        given.markdown.write_text(report, encoding="utf-8")
    print(report)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))

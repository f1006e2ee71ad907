"""Batch scoring of the iris example, and Seldon Core's batch processor: ``python -m benchmarks.batch``.

It needs Linux, wrk, scikit-learn and the environment ``seldon312`` of ``benchmarks.environments``, on a machine that
runs nothing else. The table is printed, and put into a page.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np

from benchmarks.environments import DEFAULT_FOLDER
from benchmarks.figures import MEBIBYTE
from benchmarks.load import Pressure, load_by_wrk
from benchmarks.machine import Machine, describe_machine
from benchmarks.processes import find_tree, kill, read_stats
from benchmarks.report import render_table
from benchmarks.running import reserve_ports
from benchmarks.servers import OWN_COMMAND, SERVERS
from benchmarks.tables import add_flags, read_table, run
from seldon_spec.batch.number_text import write_request

EXAMPLE = Path(__file__).parents[1] / "examples" / "iris"
NAMES = ("sepal_length", "sepal_width", "petal_length", "petal_width")
REQUEST_ROWS = 16384
"""The rows of a request of ``batch``, once it has found out how many the server predicts in time."""
CONNECTIONS = 4
BATCH_SIZES = (1, 100)
WORKERS = (1, 4, 16)
START_SECONDS = 120

_RUN = """
import json, os, subprocess, sys, time
began = time.perf_counter()
process = subprocess.Popen(sys.argv[1:])
_, status, usage = os.wait4(process.pid, 0)
seconds = time.perf_counter() - began
cpu, peak = usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024
print(json.dumps([os.waitstatus_to_exitcode(status), seconds, cpu, peak]))
"""
"""A small process that starts the command: the memory of a process includes that of the one which started it."""


class CommandFailed(Exception):
    """A command failed, or its output is not complete."""


@dataclass(frozen=True, slots=True)
class Row:
    """The figures of one command.

    Attributes:
        rows: that it sent.
        rows_per_second: from the start of its process to the end, or of wrk's requests.
        share: of the capacity of the server, in percent; None: of another server, or of none.
        cpu_seconds: processor time of the command; None: not measured.
        peak_mib: resident memory of the command.
    """

    name: str
    rows: int
    rows_per_second: float
    share: float | None = None
    cpu_seconds: float | None = None
    peak_mib: float | None = None


@dataclass(frozen=True, slots=True)
class Measured:
    """The table, and what it was measured on."""

    machine: Machine
    rounds: int
    rows: list[Row]


read_measured = partial(read_table, table=Measured, row=Row)


HEADINGS = (
    ("command", "{}"),
    ("rows", "{:,}"),
    ("rows/s", "{:,.0f}"),
    ("of the capacity, %", "{:.0f}"),
    ("CPU of the client, s", "{:.2f}"),
    ("its memory, MiB", "{:.0f}"),
)


def render_measured(measured: Measured) -> str:
    """Return the table as Markdown, and a sentence on how it was made."""
    machine = measured.machine
    rows = [
        [_show(getattr(row, each.name), form) for each, (_, form) in zip(fields(Row), HEADINGS, strict=True)]
        for row in measured.rows
    ]
    return (
        f"{machine.date}, {machine.processor}, {machine.cores} cores, {machine.system}, Linux {machine.kernel}. Medians"
        f" of {measured.rounds} rounds.\n\n{render_table([heading for heading, _ in HEADINGS], rows)}\n"
    )


def _show(value: object, form: str) -> str:
    return "–" if value is None else form.format(value)


@contextlib.contextmanager
def _serving(server: str, folder: Path, environments: Path) -> Iterator[int]:
    """Serve the example in an empty folder, trained by the server's own scikit-learn; yield the port for REST.

    Raises:
        CommandFailed: it is not ready in time.
    """
    python = SERVERS[server].python(environments)
    for name in ("IrisClassifier.py", "train.py", "seldon.yaml"):
        shutil.copy(EXAMPLE / name, folder)
    subprocess.run([python, "train.py"], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    with contextlib.ExitStack() as stack:
        ports = dict(zip(("http", "grpc", "metrics"), reserve_ports(stack, 3), strict=True))
        if server == "seldon-spec":
            flags = [word for name, port in ports.items() for word in ("--set", f"ports.{name}={port}")]
            command = [*OWN_COMMAND.format(python=python).split(), "--host", "127.0.0.1", *flags]
        else:
            flags = [word for name, port in ports.items() for word in (f"--{name}-port", str(port))]
            command = [str(python.with_name("seldon-core-microservice")), "IrisClassifier", *flags]
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(folder)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            _wait_until_right(process, ports["http"])
            yield ports["http"]
        finally:
            kill(find_tree(process.pid, read_stats()))
            process.wait()


def _wait_until_right(process: subprocess.Popen[bytes], port: int) -> None:
    url, body = f"http://127.0.0.1:{port}/api/v1.0/predictions", write_request(NAMES, [b"5.1,3.5,1.4,0.2"])
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(request):  # noqa: S310 - loopback
            return
        time.sleep(0.05)
    raise CommandFailed(f"the server on port {port} was not ready within {START_SECONDS} seconds")


def write_inputs(folder: Path, rows: int, lines: int) -> tuple[Path, Path]:
    """Write rows of four numbers: a CSV file, and lines for the batch processor."""
    numbers = np.round(np.random.default_rng(0).random((rows, len(NAMES))) * 8, 1).tolist()
    table, arrays = folder / f"{rows}.csv", folder / f"{lines}.txt"
    table.write_text("".join(",".join(map(str, row)) + "\n" for row in [NAMES, *numbers]), encoding="ascii")
    arrays.write_text("".join(f"[{row}]\n" for row in numbers[:lines]), encoding="ascii")
    return table, arrays


def run_command(name: str, command: Sequence[object], rows: int, output: Path, extra: int) -> Row:
    """Run a command; return its figures.

    Args:
        name: of the row.
        command: its words.
        rows: that it sends.
        output: that it writes.
        extra: the lines of the output that are no rows.

    Raises:
        CommandFailed: it failed, or a row has no prediction.
    """
    output.unlink(missing_ok=True)
    done = subprocess.run(
        [sys.executable, "-I", "-c", _RUN, *map(str, command)], capture_output=True, text=True, check=True
    )
    code, seconds, cpu, peak = json.loads(done.stdout)
    text = output.read_bytes() if output.exists() else b""
    if code or text.count(b"\n") != rows + extra or b"FAILURE" in text:
        raise CommandFailed(f"{name} ended with {code}: {done.stderr[-2000:]}")
    return Row(name, rows, rows / seconds, None, cpu, peak / MEBIBYTE)


def measure_capacity(port: int, table: Path, folder: Path, seconds: int) -> Row:
    """Return the rows a second of the server, for requests as ``batch`` sends them."""
    with table.open("rb") as file:
        numbers = [line.rstrip(b"\n") for _, line in zip(range(REQUEST_ROWS + 1), file, strict=False)][1:]
    body = folder / "body.json"
    body.write_bytes(write_request(NAMES, numbers))
    load = load_by_wrk(f"http://127.0.0.1:{port}/api/v1.0/predictions", body, Pressure(seconds, CONNECTIONS, 1, 1))
    rows = load.requests * len(numbers)
    return Row(f"wrk, {CONNECTIONS} connections, {len(numbers)} rows a request", rows, rows / load.seconds)


def _measure_processor(name: str, program: Path, port: int, lines: Path, count: int, folder: Path) -> Iterator[Row]:
    """Yield the best row of each batch size."""
    output = folder / "responses.txt"
    place = ["-d", "iris", "-g", "seldon", "--host", f"127.0.0.1:{port}", "-i", lines, "-o", output, "-l", "error"]
    found: dict[int, list[Row]] = {}
    for size, workers in product(BATCH_SIZES, WORKERS):
        title = f"{name}, `--batch-size {size} --workers {workers}`"
        found.setdefault(size, []).append(
            run_command(title, [program, *place, "-s", size, "-w", workers], count, output, 0)
        )
        print(found[size][-1], file=sys.stderr, flush=True)
    for rows in found.values():
        yield max(rows, key=lambda row: row.rows_per_second)


def measure(given: argparse.Namespace, folder: Path) -> Iterator[Row]:
    """Yield the rows of the table."""
    table, lines = write_inputs(folder, given.rows, given.lines)
    small, _ = write_inputs(folder, given.rows // 10, 0)
    output, own, theirs = folder / "predicted.csv", folder / "own", folder / "theirs"
    command = [sys.executable, "-m", "seldon_spec", "batch"]
    own.mkdir()
    theirs.mkdir()
    with _serving("seldon-spec", own, given.envs) as port:
        at = ["--at", f"http://127.0.0.1:{port}", "--output", output]
        pairs = [
            (
                measure_capacity(port, table, folder, given.seconds),
                run_command("`seldon-spec batch --at`", [*command, table, *at], given.rows, output, 1),
            )
            for _ in range(given.rounds)
        ]
        capacity = statistics.median(row.rows_per_second for row, _ in pairs)
        yield Row(pairs[0][0].name, pairs[0][0].rows, capacity, 100.0)
        yield _find_median([row for _, row in pairs], capacity)
        yield run_command("`seldon-spec batch --at`", [*command, small, *at], given.rows // 10, output, 1)
        program = Path(sys.executable).with_name("seldon-batch-processor")
        yield from _measure_processor("our `seldon-batch-processor`", program, port, lines, given.lines, folder)
    alone = [*command, table, "--path", own, "--output", output]
    yield _find_median(
        [
            run_command("`seldon-spec batch --path`, with the model", alone, given.rows, output, 1)
            for _ in range(given.rounds)
        ]
    )
    with _serving("seldon-core", theirs, given.envs) as port:
        program = SERVERS["seldon-core"].python(given.envs).with_name("seldon-batch-processor")
        name = "seldon-core's `seldon-batch-processor` and server"
        yield from _measure_processor(name, program, port, lines, given.lines, folder)


def _find_median(rows: Sequence[Row], capacity: float | None = None) -> Row:
    row = sorted(rows, key=lambda row: row.rows_per_second)[len(rows) // 2]
    share = None if capacity is None else row.rows_per_second / capacity * 100
    return Row(row.name, row.rows, row.rows_per_second, share, row.cpu_seconds, row.peak_mib)


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.batch", description=__doc__)
    add = parser.add_argument
    add("--rounds", type=int, default=3, help="of the commands for CSV; %(default)s")
    add("--seconds", type=int, default=5, help="of wrk; %(default)s")
    add("--rows", type=int, default=1_000_000, help="of the CSV file, and a tenth of it; %(default)s")
    add("--lines", type=int, default=20_000, help="of the batch processors; %(default)s")
    add("--envs", type=Path, default=DEFAULT_FOLDER, metavar="DIR", help="of the peers; %(default)s")
    add_flags(parser)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and print the table."""
    given = make_parser().parse_args(arguments)

    def measure_all() -> Measured:
        rows = []
        with tempfile.TemporaryDirectory(prefix="batch-") as name:
            for row in measure(given, Path(name)):
                rows.append(row)
                print(row, file=sys.stderr, flush=True)
        return Measured(describe_machine(), given.rounds, rows)

    return run(given, measure_all, read_measured, render_measured, "batch")


if __name__ == "__main__":
    sys.exit(main())

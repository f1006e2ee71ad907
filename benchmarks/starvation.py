"""Attack servers side by side, and measure what other clients experience: ``python -m benchmarks.starvation``.

The servers of other projects are installed by ``python -m benchmarks.environments probes``, and nginx has to be on the
path. A server that is not installed is skipped. The tables are printed, and put into a page.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.attacks import ATTACKS, ONE, Attack, Mode, Protocol
from benchmarks.endurance import GrpcClient, RestClient, rest_request
from benchmarks.environments import DEFAULT_FOLDER
from benchmarks.figures import MEBIBYTE
from benchmarks.flood import Flood
from benchmarks.frames import PREDICT, text
from benchmarks.machine import Machine, describe_machine, read_versions
from benchmarks.probe import LIMIT_SECONDS, Probe, Waits
from benchmarks.processes import Memory, forget_peak, read_memory
from benchmarks.report import render_table
from benchmarks.running import START_SECONDS, RunningServer, start_server
from benchmarks.server_files import PEERS, Files, Place
from benchmarks.servers import OWN_COMMAND, Server
from benchmarks.tables import add_flags, read_table, run
from benchmarks.workloads import MODELS

_MODEL = MODELS["Identity"]
_MODES = tuple(dict.fromkeys(mode.name for attack in ATTACKS.values() for mode in attack.modes))
_DEFAULT_MODES = tuple(name for name in _MODES if name != ONE.name)
_AFTER_SECONDS = 0.1
_CONNECTIONS = 4096


@dataclass(frozen=True, slots=True)
class Target:
    """A server to attack.

    Args:
        ports: of each protocol that it speaks, the field of Place.
        packages: whose versions matter to its figures.
        probes: the well-behaved clients: ``live`` and ``rest`` use the port of HTTP/1.1, ``grpc`` that of HTTP/2.
        tool: has to be on the path.
    """

    server: Server
    ports: Mapping[Protocol, str]
    packages: tuple[str, ...] = ()
    probes: tuple[str, ...] = ("live", "rest")
    tool: str | None = None

    def find_missing(self, environments: Path) -> str | None:
        """What is not installed, or None."""
        python = self.server.python(environments)
        if not python.exists():
            return f"{python} does not exist"
        return f"{self.tool} is not on the path" if self.tool and shutil.which(self.tool) is None else None

    def read_versions(self, environments: Path) -> dict[str, str]:
        """Of Python and the packages, or of the tool."""
        if self.tool:
            shown = subprocess.run([self.tool, "-v"], capture_output=True, text=True, check=True)
            return {self.tool: (shown.stdout + shown.stderr).strip().rpartition("/")[2]}
        found = read_versions(self.server.python(environments))
        return {name: found[name] for name in ("python", *self.packages)}


def _own(place: Place) -> Files:
    """Our own server with its default limits."""
    ports = {"http": place.http, "grpc": place.grpc, "metrics": place.metrics}
    keys = {"class_name": place.model.class_name, "ports": ports, "server": {"host": "127.0.0.1"}}
    text = "".join(f"{key}: {json.dumps(value)}\n" for key, value in keys.items())
    return {"seldon.yaml": text, f"{place.model.module}.py": place.model.source}


def _peer(file: str) -> Callable[[Place], Files]:
    """A file of peers/, and the responses that it gives."""
    source = (PEERS / file).read_text(encoding="utf-8")

    def write(place: Place) -> Files:
        if file.endswith(".conf"):
            return {file: source.format(http=place.http, grpc=place.grpc)}
        return {file: source, "live.response": b"{}", "predict.response": b"{}"}

    return write


_HTTP1_ONLY = {Protocol.HTTP1: "http"}
_BOTH = {Protocol.HTTP1: "http", Protocol.HTTP2: "grpc"}

TARGETS = {
    target.server.name: target
    for target in (
        Target(
            Server("seldon-spec", OWN_COMMAND, _own, note="one worker, default limits"),
            _BOTH,
            ("seldon-spec", "uvloop", "httptools"),
            ("live", "rest", "grpc"),
        ),
        Target(
            Server(
                "grpcio",
                "{python} echo_grpcio.py {grpc}",
                _peer("echo_grpcio.py"),
                environment="probes",
                note="`grpc.aio` with its default limits; the response is the request",
            ),
            {Protocol.HTTP2: "grpc"},
            ("grpcio",),
            ("grpc",),
        ),
        Target(
            Server(
                "nginx",
                "nginx -e stderr -p . -c nginx.conf",
                _peer("nginx.conf"),
                note=f"one worker process with {_CONNECTIONS} connections; a fixed response, bodies are discarded",
            ),
            _BOTH,
            tool="nginx",
        ),
        Target(
            Server(
                "gunicorn",
                "{python} -m gunicorn fixed_wsgi:app --bind 127.0.0.1:{http} --worker-class gthread --threads 32",
                _peer("fixed_wsgi.py"),
                environment="probes",
                note="one worker with 32 threads, more than there are attacking connections",
            ),
            _HTTP1_ONLY,
            ("gunicorn",),
        ),
        Target(
            Server(
                "uvicorn",
                "{python} -m uvicorn fixed_asgi:app --host 127.0.0.1 --port {http} --no-access-log --log-level warning",
                _peer("fixed_asgi.py"),
                environment="probes",
                note="one worker, with uvloop and httptools",
            ),
            _HTTP1_ONLY,
            ("uvicorn", "uvloop", "httptools"),
        ),
        Target(
            Server(
                "granian",
                "{bin}/granian --interface asgi --host 127.0.0.1 --port {http} --log-level warning fixed_asgi:app",
                _peer("fixed_asgi.py"),
                environment="probes",
                note="one worker, both protocols on one port",
            ),
            {Protocol.HTTP1: "http", Protocol.HTTP2: "http"},
            ("granian",),
        ),
    )
}


@dataclass(frozen=True, slots=True)
class Row:
    """One attack in one mode on one server.

    Args:
        resident_bytes: of all of the server's processes: before, at most, after.
        ended: connections of the attacker that the server ended.
        waits: of each probe.
    """

    server: str
    protocol: str
    attack: str
    mode: str
    connections: int
    sent_bytes: int
    ended: int
    resident_bytes: tuple[int, int, int]
    waits: dict[str, Waits]


@dataclass(slots=True)
class Attacked:
    """All rows, and what they were measured on.

    Args:
        versions: of each server.
        skipped: of each server that was not measured, why.
    """

    machine: Machine
    seconds: float
    versions: dict[str, dict[str, str]] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)


def _read_row(**tree: Any) -> Row:
    waits = {name: Waits(**each) for name, each in tree["waits"].items()}
    return Row(**{**tree, "waits": waits, "resident_bytes": tuple(tree["resident_bytes"])})


read_attacked = partial(read_table, table=Attacked, row=_read_row)


@contextlib.contextmanager
def _started(target: Target, environments: Path) -> Iterator[RunningServer]:
    """A server that responds."""
    with tempfile.TemporaryDirectory(prefix="starvation-") as folder:
        running = start_server(target.server, _MODEL, 1, Path(folder), environments, os.environ)
        try:
            _wait_until_live(running, target)
            yield running
        finally:
            running.stop()


def _wait_until_live(running: RunningServer, target: Target) -> None:
    while time.perf_counter() - running.began < START_SECONDS and running.process.poll() is None:
        with contextlib.suppress(OSError):
            if _is_live(running.place, target):
                return
        time.sleep(0.02)
    log = (running.folder / "server.log").read_text(encoding="utf-8", errors="replace")
    raise RuntimeError(f"{target.server.name} did not start:\n{log[-3000:]}")


def _is_live(place: Place, target: Target) -> bool:
    if "live" in target.probes:
        return RestClient(place.http, is_kept=False).ask(rest_request("/live", method="GET"))[0] == 200
    socket.create_connection(("127.0.0.1", place.grpc)).close()  # a channel of grpcio waits a second to connect again
    client = GrpcClient(place.grpc)
    code, _ = client.ask(PREDICT, text("x"))
    client.close()
    return code == "OK"


def attack_server(
    running: RunningServer, target: Target, attack: Attack, mode: Mode, probes: Mapping[str, Probe], seconds: float
) -> Row:
    """Measure one row."""
    place, pid = running.place, running.process.pid
    watched = {name: probes[name] for name in target.probes}
    seconds *= mode.share
    forget_peak(pid)
    before = read_memory(pid, Memory.RESIDENT)
    with Flood(attack, mode, getattr(place, target.ports[attack.protocol])) as flood:
        for name, probe in watched.items():
            probe.connect(place.grpc if name == "grpc" else place.http)
        for probe in watched.values():
            probe.begin(seconds)
        flood.run(seconds, [probe.output for probe in watched.values()])
        waits = {name: probe.read() for name, probe in watched.items()}
        peak = read_memory(pid, Memory.PEAK)
    time.sleep(_AFTER_SECONDS)
    memory = (before, peak, read_memory(pid, Memory.RESIDENT))
    return Row(
        target.server.name,
        attack.protocol.value,
        attack.id,
        mode.name,
        mode.connections,
        flood.sent_bytes,
        flood.ended,
        memory,
        waits,
    )


def measure(
    servers: Sequence[str],
    attacks: Sequence[str] | None,
    modes: Sequence[str],
    seconds: float,
    environments: Path,
) -> Attacked:
    """Attack these servers; attacks: None means all. Each attack has a server of its own."""
    attacked = Attacked(describe_machine(), seconds)
    for name in servers:
        if missing := TARGETS[name].find_missing(environments):
            attacked.skipped[name] = missing
            print(f"{name} is skipped: {missing}", file=sys.stderr)
        else:
            attacked.versions[name] = TARGETS[name].read_versions(environments)
    with contextlib.ExitStack() as stack:
        probes = {kind: Probe(kind) for kind in ("live", "rest", "grpc")}
        for probe in probes.values():
            stack.callback(probe.close)
        for attack in ATTACKS.values():
            chosen = [mode for mode in attack.modes if mode.name in modes]
            for name in attacked.versions:
                target = TARGETS[name]
                if attack.protocol not in target.ports or not chosen or (attacks and attack.id not in attacks):
                    continue
                with _started(target, environments) as running:
                    for mode in chosen:
                        row = attack_server(running, target, attack, mode, probes, seconds)
                        attacked.rows.append(row)
                        print(_describe(row), file=sys.stderr, flush=True)
    return attacked


def _describe(row: Row) -> str:
    waits = ", ".join(f"{name} {each.longest_ms:.0f} ms ({each.failed} failed)" for name, each in row.waits.items())
    before, peak, after = (round(each / MEBIBYTE) for each in row.resident_bytes)
    return (
        f"{row.protocol} {row.attack} × {row.connections} ({row.mode}), {row.server}: longest {waits},"
        f" {before} → {peak} → {after} MiB,"
        f" {row.sent_bytes / 1e6:.1f} MB sent, {row.ended} ended"
    )


def render_attacked(attacked: Attacked) -> str:
    """The tables as Markdown."""
    machine = attacked.machine
    parts = [
        f"{machine.date}, {machine.processor}, {machine.cores} cores, {machine.system}, Linux {machine.kernel}. Server,"
        f" attacker and other clients share these cores. Each attack lasts {attacked.seconds:g} s."
    ]
    for protocol in Protocol:
        rows = [row for row in attacked.rows if row.protocol == protocol.value]
        for title, show in _TABLES.items():
            if rows:
                parts.append(f"### {protocol.value}: {title}\n\n{_render_rows(rows, protocol, show)}")
    parts.append(f"### Servers\n\n{_render_servers(attacked)}")
    return "\n\n".join(parts) + "\n"


Show = Callable[[Sequence[Row]], str]


def _render_rows(rows: Sequence[Row], protocol: Protocol, show: Show) -> str:
    servers = list(dict.fromkeys(row.server for row in rows))
    lines = []
    for attack in (each for each in ATTACKS.values() if each.protocol is protocol):
        found = {name: [row for row in rows if (row.attack, row.server) == (attack.id, name)] for name in servers}
        if any(found.values()):
            label = f"{attack.description} (`{attack.id}`)"
            lines.append([label, *(show(found[name]) if found[name] else "-" for name in servers)])
    return render_table(["attack", *servers], lines)


def _show_waits(kinds: Sequence[str], show: Callable[[Sequence[Waits]], str]) -> Show:
    """What some probes saw: a figure for one attacking connection and one for several; † if the server ended any."""

    def show_rows(rows: Sequence[Row]) -> str:
        cells = []
        for is_one in (True, False):
            group = [row for row in rows if (row.connections == 1) == is_one]
            if waits := [waits for row in group for kind, waits in row.waits.items() if kind in kinds]:
                cells.append(show(waits) + " †" * any(row.ended for row in group))
        return " / ".join(cells) or "-"

    return show_rows


def _show_longest(waits: Sequence[Waits]) -> str:
    longest = max(each.longest_ms for each in waits)
    failed = max(each.failed / each.requests for each in waits)
    limit = LIMIT_SECONDS * 1e3
    return (f"> {limit:,.0f}" if longest >= limit else f"{longest:,.0f}") + f" ({failed:.0%} failed)" * (failed > 0.005)


def _show_p99(waits: Sequence[Waits]) -> str:
    return f"{max(each.p99_ms for each in waits):,.0f}"


def _show_memory(rows: Sequence[Row]) -> str:
    before = min(row.resident_bytes[0] for row in rows)
    peak = max(row.resident_bytes[1] for row in rows)
    return f"{before / MEBIBYTE:,.0f} → {peak / MEBIBYTE:,.0f} → {rows[-1].resident_bytes[2] / MEBIBYTE:,.0f}"


_TABLES: dict[str, Show] = {
    "longest wait for `GET /live`, ms": _show_waits(["live"], _show_longest),
    "longest wait for a prediction, ms": _show_waits(["rest", "grpc"], _show_longest),
    "99th percentile of all waits, ms": _show_waits(["live", "rest", "grpc"], _show_p99),
    "memory before, at most and after, MiB": _show_memory,
}


def _render_servers(attacked: Attacked) -> str:
    rows = []
    for name in TARGETS:
        if name in attacked.versions:
            versions = ", ".join(f"{package} {version}" for package, version in attacked.versions[name].items())
            rows.append([name, versions, TARGETS[name].server.note])
        elif name in attacked.skipped:
            rows.append([name, "not measured", attacked.skipped[name]])
    return render_table(["server", "installed", "how it is run"], rows, numbers=False)


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.starvation", description=__doc__)
    add = parser.add_argument
    attacks = list(dict.fromkeys(id_ for _, id_ in ATTACKS))
    add("--server", action="append", choices=TARGETS, help="only this one; again for more")
    add("--attack", action="append", choices=attacks, metavar="ID", help=f"again for more; of {', '.join(attacks)}")
    add("--mode", action="append", choices=_MODES, help=f"again for more; by default {', '.join(_DEFAULT_MODES)}")
    add("--seconds", type=float, default=2.0, help="of an attack in one mode; %(default)s")
    add("--envs", type=Path, default=DEFAULT_FOLDER, metavar="DIR", help="the environments; %(default)s")
    add_flags(parser)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and print the tables."""
    given = make_parser().parse_args(arguments)

    def measure_all() -> Attacked:
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        servers = given.server or list(TARGETS)
        return measure(servers, given.attack, given.mode or _DEFAULT_MODES, given.seconds, given.envs)

    return run(given, measure_all, read_attacked, render_attacked)


if __name__ == "__main__":
    sys.exit(main())

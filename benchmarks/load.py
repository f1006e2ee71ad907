"""Load by wrk and by h2load, and their output read."""

from __future__ import annotations

import random
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.dialects import JSON
from benchmarks.figures import Load, find_quantile
from benchmarks.heads import Heads, make_tokens, make_values

POST_SCRIPT = Path(__file__).parent / "post.lua"
SPARE_SECONDS = 120


class LoadFailed(Exception):
    """A request failed, or the load generator itself."""


@dataclass(frozen=True, slots=True)
class Pressure:
    """How much is asked at once, for how long, or how often where requests go one after the other.

    Attributes:
        heads: None: the headers are the least, and h2load makes the calls of gRPC.
        rate: the requests sent in a second; None: each connection sends one after the other.
    """

    seconds: int
    connections: int
    streams: int
    serial_requests: int
    heads: Heads | None = None
    rate: float | None = None


def load_by_wrk(url: str, body: Path, pressure: Pressure, headers: Mapping[str, str] = JSON) -> Load:
    """POST the body over HTTP/1.1 with the headers that describe it, on many connections at once.

    Raises:
        LoadFailed: a status other than 2xx or 3xx, an error of a socket, or no response in time.
    """
    amount = ["-t1", f"-c{pressure.connections}", f"-d{pressure.seconds}s", "--timeout", "60s", *_flags(headers)]
    values = [] if pressure.heads in (None, Heads.PLAIN) else [str(_write_values(body, pressure.heads))]
    return parse_wrk(_run(["wrk", *amount, "-s", str(POST_SCRIPT), url, "--", str(body), *values], pressure))


def load_at_rate(url: str, body: Path, pressure: Pressure, rate: float, headers: Mapping[str, str]) -> Load:
    """POST the body over HTTP/1.1 so many times a second.

    Raises:
        LoadFailed: a status other than 200, a connection was closed, or no response in time.
    """
    amount = map(str, (pressure.connections, rate, pressure.seconds))
    lines = [f"{name}: {value}" for name, value in headers.items()]
    command = [sys.executable, "-m", "benchmarks.open_load", url, str(body), *amount, *lines]
    return parse_wrk(_run(command, pressure, Path(__file__).parents[1]))


def load_by_calls(url: str, body: Path, pressure: Pressure, heads: Heads) -> Load:
    """Make calls of gRPC with these headers, on many connections at once.

    Raises:
        LoadFailed: a call was reset, a connection was closed, or no response in time.
    """
    amount = map(str, (pressure.connections, pressure.streams, pressure.seconds))
    command = [sys.executable, "-m", "benchmarks.grpc_load", url, str(body), heads.value, *amount]
    return parse_wrk(_run(command, pressure, Path(__file__).parents[1]))


def _write_values(body: Path, heads: Heads) -> Path:
    """Write the values of the headers for post.lua beside the body."""
    numbers = random.Random(1)  # noqa: S311 - not a secret
    tokens = make_tokens(heads, numbers)
    rows = [
        "\t".join((trace, request, tokens[number % len(tokens)]))
        for number, (trace, request, _) in enumerate(make_values(heads, numbers))
    ]
    file = body.with_suffix(f".{heads.value}")
    file.write_text("\n".join((" ".join((*heads.id_names, "authorization")), *rows)), encoding="ascii")
    return file


def load_by_h2load(
    url: str, body: Path, log: Path, pressure: Pressure, kind: Sequence[str], *, is_serial: bool
) -> Load:
    """POST the body by h2load; ``kind`` are its flags for the protocol.

    Raises:
        LoadFailed: a status other than 200, or a request without a response.
    """
    amount = (
        [f"-n{pressure.serial_requests}", "-c1", "-m1"]
        if is_serial
        else [f"-D{pressure.seconds}", f"-c{pressure.connections}", f"-m{pressure.streams}"]
    )
    # Windows of 64 and 256 MB, so that no large response waits for the client.
    command = ["h2load", *kind, *amount, "-t1", "-w26", "-W28", "-d", str(body), f"--log-file={log}", url]
    log.unlink(missing_ok=True)  # h2load appends
    return parse_h2load(_run(command, pressure), log.read_text(encoding="ascii"))


def _flags(headers: Mapping[str, str]) -> list[str]:
    """Headers as both load generators take them."""
    return [word for name, value in headers.items() for word in ("-H", f"{name}: {value}")]


def use_http1(headers: Mapping[str, str]) -> Sequence[str]:
    """The flags of h2load for HTTP/1.1."""
    return ["--h1", *_flags(headers)]


GRPC = _flags({"content-type": "application/grpc", "te": "trailers"})


def _run(command: list[str], pressure: Pressure, folder: Path | None = None) -> str:
    seconds = pressure.seconds + SPARE_SECONDS
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=seconds)
    except subprocess.TimeoutExpired as error:
        raise LoadFailed(f"{command[0]} did not end within {seconds} seconds") from error
    if done.returncode != 0:
        raise LoadFailed(f"{command[0]} ended with exit code {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout


def parse_wrk(text: str) -> Load:
    """Read the lines that post.lua prints.

    Raises:
        LoadFailed: they are missing, there was no response, or a request failed.
    """
    figures = {name: float(value) for name, value in re.findall(r"^figure (\w+) (\S+)$", text, re.MULTILINE)}
    if not figures.get("requests") or figures["failed"]:
        raise LoadFailed(f"wrk saw failures, or no response:\n{text}")
    return Load(
        requests=int(figures["requests"]),
        seconds=figures["microseconds"] / 1e6,
        p50_ms=figures["p50_microseconds"] / 1e3,
        p99_ms=figures["p99_microseconds"] / 1e3,
        response_bytes=int(figures["bytes"]),
    )


def parse_h2load(text: str, log: str) -> Load:
    """Read h2load's summary, and its log: a line a request of begin, status and duration, both times in microseconds.

    Raises:
        LoadFailed: a status other than 200, a request failed, or there was no response.
    """
    rows = [(int(begin), status, int(took)) for begin, status, took in map(str.split, log.splitlines())]
    failed = re.search(r"^requests:.* (\d+) failed, (\d+) errored, (\d+) timeout", text, re.MULTILINE)
    data = re.search(r"^traffic:.*\((\d+)\) data", text, re.MULTILINE)
    if not rows or not failed or not data or any(map(int, failed.groups())) or {row[1] for row in rows} != {"200"}:
        raise LoadFailed(f"h2load saw failures, or no response:\n{text}")
    span = max(begin + took for begin, _, took in rows) - min(begin for begin, _, _ in rows)
    durations = [took / 1e3 for _, _, took in rows]
    return Load(len(rows), span / 1e6, find_quantile(durations, 0.5), find_quantile(durations, 0.99), int(data[1]))

"""What each key of ``server`` does, measured on real servers: ``python -m benchmarks.keys``.

It needs Linux, ``wrk``, and the extra ``seldon-spec[tracing]``. The table is printed, and put into a page.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from benchmarks.effects import (
    COMPUTES,
    DECLARES,
    HOLDS,
    TLS,
    WAITS,
    Effect,
    Pace,
    compare_speed,
    crowd,
    cut,
    end_in_a_call,
    end_late,
    fill,
    hang,
    log_failure,
    outlast,
    reload,
    send_large_body,
    send_large_message,
    share,
    show_certificate,
    show_page,
    show_token,
    trusting_anyone,
    wear_out,
)
from benchmarks.endurance import rest_request
from benchmarks.machine import Machine, describe_machine
from benchmarks.receiver import receiving_spans
from benchmarks.report import render_table
from benchmarks.tables import add_flags, read_table, run

_HEAD = b"POST /predict HTTP/1.1\r\nHost: localhost\r\n"
_BATCHING = {"batching": {"max_rows": 256}}

EFFECTS = (
    Effect(("engine",), {"engine": "uvicorn"}, compare_speed),
    Effect(("workers",), {"workers": 2}, compare_speed, served=COMPUTES),
    Effect(("threads",), {"threads": 8}, compare_speed, served=WAITS),
    Effect(("preload",), {"preload": True}, share, base={"workers": 4}, served=HOLDS),
    Effect(("max_requests",), {"max_requests": 100}, wear_out),
    Effect(("max_requests_jitter",), {"max_requests_jitter": 100}, wear_out, base={"max_requests": 100}),
    Effect(("max_connections",), {"max_connections": 4}, crowd),
    Effect(("max_queue",), {"max_queue": 2}, crowd),
    Effect(("max_buffered_bytes",), {"max_buffered_bytes": 2 << 20}, fill),
    Effect(("max_body_bytes",), {"max_body_bytes": 1000}, send_large_body),
    Effect(("max_message_bytes",), {"max_message_bytes": 1000}, send_large_message),
    Effect(("request_timeout_seconds",), {"request_timeout_seconds": 0.2}, outlast),
    Effect(("on_timeout",), {"on_timeout": "replace"}, hang, base={"request_timeout_seconds": 0.2}),
    Effect(("header_timeout_seconds",), {"header_timeout_seconds": 1}, cut(_HEAD, "a request head that does not end")),
    Effect(
        ("body_timeout_seconds",),
        {"body_timeout_seconds": 1},
        cut(_HEAD + b"Content-Length: 9\r\n\r\n{", "a body that does not end"),
    ),
    Effect(
        ("keep_alive_seconds",),
        {"keep_alive_seconds": 1},
        cut(rest_request("/ready", method="GET"), "a client that sends one request"),
    ),
    Effect(
        ("tls.certificate", "tls.key"), {"tls": TLS}, compare_speed, "server.pem, server-key.pem", tls=trusting_anyone()
    ),
    Effect(
        ("tls.client_ca",),
        {"tls": {**TLS, "client_ca": TLS["certificate"].replace("server", "ca")}},
        show_certificate,
        "ca.pem",
        tls=trusting_anyone("client"),
    ),
    Effect(("auth.tokens",), {"auth": {"tokens": {"from_env": "API_TOKENS"}}}, show_token),
    Effect(("batching.max_rows",), _BATCHING, compare_speed, served=COMPUTES),
    Effect(
        ("batching.max_delay_ms",),
        {"batching": {"max_rows": 256, "max_delay_ms": 5}},
        compare_speed,
        "5, with one client",
        base=_BATCHING,
        served=COMPUTES,
        connections=1,
    ),
    Effect(("log.level",), {"log": {"level": "ERROR"}}, log_failure),
    Effect(("log.format",), {"log": {"format": "json"}}, compare_speed),
    Effect(("log.access",), {"log": {"access": True}}, compare_speed),
    Effect(("validate_requests",), {"validate_requests": "off"}, compare_speed, served=DECLARES),
    Effect(("page",), {"page": False}, show_page),
    Effect(("tracing",), {"tracing": True}, compare_speed, "true, and every request sampled"),
    Effect(("shutdown.grace_seconds",), {"shutdown": {"grace_seconds": 1}}, end_in_a_call),
    Effect(("shutdown.delay_seconds",), {"shutdown": {"delay_seconds": 1}}, end_late),
    Effect(("serve --reload",), {}, reload, "-", flags=("--reload",)),
)


@dataclass(frozen=True, slots=True)
class Row:
    """What was seen of some keys."""

    keys: list[str]
    value: str
    effect: str


@dataclass(frozen=True, slots=True)
class Observed:
    """The table, and what it was made on."""

    machine: Machine
    rounds: int
    seconds: int
    rows: list[Row]


read_observed = partial(read_table, table=Observed, row=Row)


def render_observed(observed: Observed) -> str:
    """The table as Markdown, and a sentence on how it was made."""
    rows = [[", ".join(f"`{key}`" for key in row.keys), row.value, row.effect] for row in observed.rows]
    return (
        f"{observed.machine.date}, {observed.machine.processor}, {observed.machine.cores} cores, shared with the"
        f" client. Ratios compare with a server without the key; medians of {observed.rounds} alternating rounds of"
        f" {observed.seconds} s.\n\n{render_table(['key', 'value', 'effect'], rows, numbers=False)}\n"
    )


def _find_unknown_flags() -> set[str]:
    """The flags of the table that this ``serve`` does not have."""
    shown = subprocess.run([sys.executable, "-m", "seldon_spec", "serve", "--help"], capture_output=True, check=True)
    known = set(shown.stdout.decode().split())
    return {flag for effect in EFFECTS for flag in effect.flags[:1]} - known


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.keys", description=__doc__)
    add = parser.add_argument
    names = [", ".join(effect.keys) for effect in EFFECTS]
    add("--key", action="append", choices=names, metavar="KEY", help="only this row; again for more")
    add("--rounds", type=int, default=5, help="of a load; %(default)s")
    add("--seconds", type=int, default=3, help="of a round; %(default)s")
    add_flags(parser)
    return parser


def observe(names: Sequence[str] | None, rounds: int, seconds: int) -> Observed:
    """Observe the rows of that name, or all; those of a flag that ``serve`` does not have are left out."""
    unknown = _find_unknown_flags()
    rows = []
    with receiving_spans() as variables:
        pace = Pace(rounds, seconds, variables)
        for effect in EFFECTS:
            if (names is None or ", ".join(effect.keys) in names) and not unknown & set(effect.flags):
                rows.append(Row(list(effect.keys), effect.show_value(), effect.observe(effect, pace)))
                print(f"{', '.join(effect.keys)}: {rows[-1].effect}", file=sys.stderr, flush=True)
    return Observed(describe_machine(), rounds, seconds, rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Observe, and print the table."""
    given = make_parser().parse_args(arguments)
    return run(given, lambda: observe(given.key, given.rounds, given.seconds), read_observed, render_observed)


if __name__ == "__main__":
    sys.exit(main())

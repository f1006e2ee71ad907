"""A well-behaved client in a process of its own: ``python -m benchmarks.probe KIND``, driven by lines of JSON.

The first line is a port: it connects, and writes a line. The second is a number of seconds, in which it sends a request
each INTERVAL_SECONDS, one after the other; then it writes how long the responses took.
"""

from __future__ import annotations

import contextlib
import json
import math
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import IO

from benchmarks.endurance import GrpcClient, RestClient, rest_request
from benchmarks.frames import PREDICT, text

INTERVAL_SECONDS = 0.01
LIMIT_SECONDS = 10.0
_TEXT = text("x")
_LIVE = rest_request("/live", method="GET")
_PREDICT = rest_request("/predict", b'{"data":{"ndarray":[[1.0,2.0]]}}')


@dataclass(frozen=True, slots=True)
class Waits:
    """What one client saw.

    Args:
        longest_ms: until a response, or until the client gave up after LIMIT_SECONDS.
        p99_ms: of requests at a steady rate: a wait of more than one interval counts for the requests that it delayed.
        failed: requests with no response, or a wrong one.
    """

    longest_ms: float
    p99_ms: float
    requests: int
    failed: int


@contextlib.contextmanager
def _connected(kind: str, port: int) -> Iterator[Callable[[], bool]]:
    """Connect; what is yielded sends a request and returns whether its response was right."""
    client: GrpcClient | RestClient
    if kind == "grpc":
        client = GrpcClient(port, LIMIT_SECONDS)
    else:
        client = RestClient(port, is_kept=kind == "rest", seconds=LIMIT_SECONDS)
    _ask(client)
    yield partial(_ask, client)
    client.close()


def _ask(client: GrpcClient | RestClient) -> bool:
    if isinstance(client, GrpcClient):
        code, response = client.ask(PREDICT, _TEXT)
        return code == "OK" and response.endswith(_TEXT)
    try:
        return client.ask(_PREDICT if client.is_kept else _LIVE)[0] == 200
    except (OSError, ValueError):
        client.close()
        return False


def measure(ask: Callable[[], bool], seconds: float) -> Waits:
    """Send requests for so many seconds, and wait for the last response."""
    waits: list[float] = []
    failed = 0
    due = time.perf_counter()
    end = due + seconds
    while due < end:
        time.sleep(max(0.0, due - time.perf_counter()))
        began = time.perf_counter()
        failed += not ask()
        waits.append(time.perf_counter() - began)
        due = max(due + INTERVAL_SECONDS, time.perf_counter())
    steady = sorted(wait - n * INTERVAL_SECONDS for wait in waits for n in range(math.ceil(wait / INTERVAL_SECONDS)))
    p99 = steady[math.ceil(len(steady) * 0.99) - 1]
    return Waits(round(max(waits) * 1e3, 1), round(p99 * 1e3, 1), len(waits), failed)


class Probe:
    """Such a process, seen from the driver; ``close`` has to be called."""

    def __init__(self, kind: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.probe", kind],
            cwd=Path(__file__).parents[1],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    @property
    def output(self) -> IO[bytes]:
        """Readable once there are results."""
        assert self._process.stdout is not None
        return self._process.stdout

    def connect(self, port: int) -> None:
        """Make a connection of the kind; wait until it is there, or cannot be."""
        self._write(port)
        self.output.readline()

    def begin(self, seconds: float) -> None:
        """Have requests sent from now on."""
        self._write(seconds)

    def read(self) -> Waits:
        """Wait for the results."""
        return Waits(**json.loads(self.output.readline()))

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
        self.output.close()

    def _write(self, value: float) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(b"%r\n" % value)
        self._process.stdin.flush()


def main() -> int:
    """Measure whenever a line asks for it, until there are no more."""
    kind = sys.argv[1]
    for port in sys.stdin:
        with _connected(kind, json.loads(port)) as ask:
            print("connected", flush=True)
            waits = measure(ask, json.loads(sys.stdin.readline()))
        print(json.dumps(asdict(waits)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""A server under a mixture of everything for a long time: ``python -m benchmarks.soak``.

Prints the memory and the open files of each process after a warm-up and at the end, with all clients idle. Exits with 1
if one has grown by more than the allowed drift, or if a response was not the expected one.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.endurance import GrpcClient, OwnServer, RestClient, rest_request, serving
from seldon_spec.protocols.seldon_v1.proto import Feedback, SeldonMessage

SOURCE = """
class Served:
    def predict(self, X, names, meta=None):
        if isinstance(X, str) and X == "fail":
            raise ValueError("as asked")
        return X

    def send_feedback(self, X, names, reward, truth):
        return []

    def tags(self):
        return {"soaked": True}

    def metrics(self):
        return [
            {"type": "COUNTER", "key": "calls", "value": 1},
            {"type": "GAUGE", "key": "level", "value": 7},
            {"type": "TIMER", "key": "took", "value": 1.5, "tags": {"kind": "soak"}},
        ]
"""

MOST_WRONG = 1000
"""The number of wrong responses after which a client stops."""

_MULTIPART = b'--b\r\nContent-Disposition: form-data; name="strData"\r\n\r\ntext\r\n--b--\r\n'
_MEDIUM = [[row * 0.1 + column / 7 for column in range(30)] for row in range(30)]


def _json(path: str, value: Any) -> bytes:
    return rest_request(path, json.dumps(value).encode())


def _get(path: str) -> bytes:
    return rest_request(path, method="GET")


REST: tuple[tuple[int, bytes, int], ...] = (
    (20, _json("/predict", {"data": {"names": ["a", "b"], "ndarray": [[1.5, 2.5]]}}), 200),
    (10, _json("/api/v1.0/predictions", {"data": {"tensor": {"shape": [2, 2], "values": [1, 2, 3, 4]}}}), 200),
    (2, _json("/predict", {"data": {"ndarray": _MEDIUM}, "meta": {"puid": "p", "tags": {"a": 1}}}), 200),
    (8, _json("/predict", {"strData": "text"}), 200),
    (8, _json("/predict", {"binData": "AAEC"}), 200),
    (8, _json("/predict", {"jsonData": {"a": [1, {"b": None}]}}), 200),
    (4, _json("/predict", {"strData": "fail"}), 500),
    (4, rest_request("/predict", b'{"data": '), 400),
    (4, _json("/predict", {"data": {"tensor": {"shape": [3], "values": [1]}}}), 400),
    (2, _json("/no-such-path", {}), 404),
    (2, rest_request("/predict", _MULTIPART, "multipart/form-data; boundary=b"), 200),
    (2, rest_request("/predict", b"json=%7B%22strData%22%3A%22x%22%7D", "application/x-www-form-urlencoded"), 200),
    (4, _json("/send-feedback", {"request": {"data": {"ndarray": [[1]]}}, "reward": 1}), 200),
    (2, _get("/metadata"), 200),
    (6, _get("/ready"), 200),
    (4, _get("/live"), 200),
    (2, _get("/health/status"), 200),
)
"""What is asked over REST: how often, the request, the status."""

_SERVICE = "/seldon.protos.Model"


def _grpc_requests() -> tuple[tuple[int, str, bytes, str], ...]:
    """What is asked over gRPC: how often, the method, the message, the code."""
    tensor = SeldonMessage(data={"tensor": {"shape": [1, 4], "values": [1, 2, 3, 4]}})
    table = SeldonMessage()
    table.data.ndarray.extend([[1.0, 2.0], [3.0, 4.0]])
    feedback = Feedback(request=tensor, reward=1)
    return (
        (20, f"{_SERVICE}/Predict", tensor.SerializeToString(), "OK"),
        (8, f"{_SERVICE}/Predict", table.SerializeToString(), "OK"),
        (8, f"{_SERVICE}/Predict", SeldonMessage(strData="text").SerializeToString(), "OK"),
        (8, f"{_SERVICE}/Predict", SeldonMessage(binData=b"\0\1").SerializeToString(), "OK"),
        (4, f"{_SERVICE}/Predict", SeldonMessage(strData="fail").SerializeToString(), "UNKNOWN"),
        (4, f"{_SERVICE}/SendFeedback", feedback.SerializeToString(), "OK"),
        (2, f"{_SERVICE}/NoSuchMethod", b"", "UNIMPLEMENTED"),
        (4, "/grpc.health.v1.Health/Check", b"", "OK"),
    )


@dataclass(frozen=True, slots=True)
class Held:
    """What a process holds."""

    memory_bytes: int
    files: int


def read_held(pid: int) -> Held:
    """What a process holds now."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    memory = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))
    return Held(memory, sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir()))


class Clients:
    """Clients that each send their share of a phase over the connections that they keep between phases."""

    def __init__(self, server: OwnServer, rest: int, grpc: int) -> None:
        self._rest = [_RestMixture(server, start) for start in range(rest)]
        self._grpc = [_GrpcMixture(server, start) for start in range(grpc)]
        self.wrong: Counter[str] = Counter()

    def send(self, requests: int, grpc_percent: int) -> None:
        """Send this many requests, and wait for all responses."""
        calls = requests * grpc_percent // 100 if self._grpc else 0
        each_rest = (requests - calls) // len(self._rest)
        shares: list[tuple[Callable[[], str | None], int]] = [(each, each_rest) for each in self._rest]
        shares += [(each, calls // len(self._grpc)) for each in self._grpc]
        threads = [threading.Thread(target=self._repeat, args=share) for share in shares]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def close(self) -> None:
        """Close all connections."""
        for rest in self._rest:
            rest.close()
        for grpc in self._grpc:
            grpc.close()

    def _repeat(self, ask: Callable[[], str | None], count: int) -> None:
        for _ in range(count):
            try:
                wrong = ask()
            except Exception as error:
                wrong = repr(error)
            if wrong is not None:
                self.wrong[wrong[:300]] += 1
                if sum(self.wrong.values()) >= MOST_WRONG:  # the server is gone, or all is lost anyway
                    return


def _spread(weights: Sequence[int]) -> list[int]:
    """The indices of the rows, each as often as it weighs, well mixed and always in the same order."""
    places = [((turn + 0.5) / weight, row) for row, weight in enumerate(weights) for turn in range(weight)]
    return [row for _, row in sorted(places)]


class _RestMixture:
    def __init__(self, server: OwnServer, start: int) -> None:
        self._client = RestClient(server.http)
        self._scraper = RestClient(server.metrics)
        order = _spread([weight for weight, _, _ in REST])
        self._turns = itertools.cycle(order[start:] + order[:start])
        self._count = 0

    def __call__(self) -> str | None:
        self._count += 1
        if self._count % 200 == 0:
            expected = 200
            status, body = self._scraper.ask(_get("/metrics"))
        else:
            _, request, expected = REST[next(self._turns)]
            status, body = self._client.ask(request)
        return None if status == expected else f"REST: {status}, not {expected}: {body[:200]!r}"

    def close(self) -> None:
        self._client.close()
        self._scraper.close()


class _GrpcMixture:
    def __init__(self, server: OwnServer, start: int) -> None:
        self._client = GrpcClient(server.grpc)
        self._requests = _grpc_requests()
        order = _spread([weight for weight, _, _, _ in self._requests])
        self._turns = itertools.cycle(order[start:] + order[:start])

    def __call__(self) -> str | None:
        _, method, wire, expected = self._requests[next(self._turns)]
        code, _ = self._client.ask(method, wire)
        return None if code == expected else f"gRPC: {method}: {code}, not {expected}"

    def close(self) -> None:
        self._client.close()


def _drift(before: int, after: int) -> float:
    return 100 * (after - before) / before


def _report(before: dict[int, Held], after: dict[int, Held], most_drift: float) -> bool:
    """Print what has grown; whether it is little enough."""
    is_fine = before.keys() == after.keys()
    for pid in sorted(before.keys() & after.keys()):
        memory = _drift(before[pid].memory_bytes, after[pid].memory_bytes)
        files = _drift(before[pid].files, after[pid].files)
        is_fine = is_fine and max(memory, files) <= most_drift
        print(
            f"process {pid}: memory {before[pid].memory_bytes / 2**20:.1f} to {after[pid].memory_bytes / 2**20:.1f} MiB"
            f" ({memory:+.1f} %), open files {before[pid].files} to {after[pid].files} ({files:+.1f} %)"
        )
    if before.keys() != after.keys():
        print(f"the processes are others: {sorted(before)}, then {sorted(after)}")
    return is_fine


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    add = parser.add_argument
    add("--requests", type=int, default=1_000_000, help="after the warm-up; %(default)s")
    add("--warm-up", type=int, default=50_000, metavar="REQUESTS", help="%(default)s")
    add("--grpc", type=int, default=20, metavar="PERCENT", help="of the requests; %(default)s")
    add("--clients", type=int, default=6, help="of REST, and a third as many of gRPC; %(default)s")
    add("--workers", type=int, default=1, help="%(default)s")
    add("--drift", type=float, default=5.0, metavar="PERCENT", help="that may be; %(default)s")
    return parser


def main(arguments: Sequence[str]) -> int:
    """Run the test; return 1 for too much drift or a wrong response."""
    given = make_parser().parse_args(arguments)
    with (
        serving(SOURCE, {"workers": given.workers, "log": {"level": "CRITICAL"}}) as server,
        contextlib.closing(Clients(server, given.clients, -(-given.clients // 3))) as clients,
    ):
        clients.send(given.warm_up, given.grpc)
        before = {pid: read_held(pid) for pid in server.processes()}
        began = time.monotonic()
        clients.send(given.requests, given.grpc)
        seconds = time.monotonic() - began
        after = {pid: read_held(pid) for pid in server.processes()}
    print(f"{given.requests} requests in {seconds:.0f} s, {sum(clients.wrong.values())} wrong responses")
    for wrong, count in clients.wrong.most_common(10):
        print(f"  {count} times {wrong}")
    is_fine = _report(before, after, given.drift)
    return 0 if is_fine and not clients.wrong else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Replace workers under load: ``python -m benchmarks.restarts``. Exits with 1 if a request failed.

A client that loses its connection sends its request once more over a new one; that is counted, and is no failure.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from benchmarks.endurance import GrpcClient, OwnServer, RestClient, rest_request, serving
from seldon_spec.protocols.seldon_v1.proto import SeldonMessage

SOURCE = "class Served:\n    def predict(self, X, names):\n        return X\n"
REQUEST = rest_request("/predict", b'{"data": {"ndarray": [[1.0, 2.0, 3.0, 4.0]]}}')
METHOD = "/seldon.protos.Model/Predict"
WIRE: bytes = SeldonMessage(data={"tensor": {"shape": [1, 4], "values": [1, 2, 3, 4]}}).SerializeToString()
MOST_TOLD = 10
REPLACED_WITHIN_SECONDS = 60.0


@dataclass(slots=True)
class Count:
    """What became of the requests of one client."""

    kind: str
    sent: int = 0
    responses: int = 0
    reconnects: int = 0
    failures: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Share:
    """What one client sends: so many requests, and more until a worker has been replaced."""

    requests: int
    is_replaced: threading.Event
    end: float = field(default_factory=lambda: time.monotonic() + REPLACED_WITHIN_SECONDS)

    def is_done(self, sent: int) -> bool:
        """Whether that was enough."""
        return sent >= self.requests and (self.is_replaced.is_set() or time.monotonic() > self.end)


def _ask_rest(server: OwnServer, count: Count, share: Share, *, is_kept: bool) -> None:
    client = RestClient(server.http, is_kept)

    def ask() -> None:
        status, body = client.ask(REQUEST)
        if status != 200 or b"[[1.0,2.0,3.0,4.0]]" not in body:
            raise RuntimeError(f"{status} {body!r}")

    _repeat(ask, count, share)
    count.reconnects = client.reconnects
    client.close()


def _ask_grpc(server: OwnServer, count: Count, share: Share) -> None:
    client = GrpcClient(server.grpc)

    def ask() -> None:
        code, response = client.ask(METHOD, WIRE)
        if code != "OK" or not response:
            raise RuntimeError(code)

    _repeat(ask, count, share)
    count.reconnects = client.reconnects
    client.close()


def _repeat(ask: Callable[[], None], count: Count, share: Share) -> None:
    while not share.is_done(count.sent):
        count.sent += 1
        try:
            ask()
        except Exception as error:
            count.failures.append(repr(error)[:300])
        else:
            count.responses += 1


CLIENTS: dict[str, Callable[[OwnServer, Count, Share], None]] = {
    "REST, connection kept": lambda server, count, share: _ask_rest(server, count, share, is_kept=True),
    "REST, a connection each": lambda server, count, share: _ask_rest(server, count, share, is_kept=False),
    "gRPC, a channel": _ask_grpc,
}


def load(server: OwnServer, requests: int, meanwhile: Callable[[], bool]) -> list[Count]:
    """Send requests from two clients of each kind, and repeat an action until all have a response.

    Args:
        server: to send them to.
        requests: of all clients; they send more until ``meanwhile`` returns that a worker has been replaced.
        meanwhile: called again and again.
    """
    kinds = [kind for kind in CLIENTS for _ in range(2)]
    counts = [Count(kind) for kind in kinds]
    share = Share(-(-requests // len(kinds)), threading.Event())
    threads = [threading.Thread(target=CLIENTS[count.kind], args=(server, count, share)) for count in counts]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        if meanwhile():
            share.is_replaced.set()
    return counts


def _report(mode: str, counts: Sequence[Count], seconds: float, replaced: int) -> int:
    print(f"{mode}: {replaced} workers replaced in {seconds:.0f} s")
    for kind in CLIENTS:
        own = [count for count in counts if count.kind == kind]
        failures = [failure for count in own for failure in count.failures]
        print(
            f"  {kind:24} sent {sum(count.sent for count in own):7}, ok {sum(count.responses for count in own):7},"
            f" failed {len(failures)}, reconnects {sum(count.reconnects for count in own)}",
            flush=True,
        )
        for failure in failures[:MOST_TOLD]:
            print(f"    {failure}")
    if not replaced:
        print(f"  no worker was replaced within {REPLACED_WITHIN_SECONDS:.0f} s")
    return sum(len(count.failures) for count in counts) + (not replaced)


def run(mode: str, requests: int, workers: int, every_seconds: float, max_requests: int) -> int:
    """One mode; how many requests failed, and one more if no worker was replaced."""
    is_hung_up = mode == "hang-up"
    keys = {"workers": workers, "log": {"level": "INFO"}}
    if not is_hung_up:
        keys |= {"max_requests": max_requests, "max_requests_jitter": max_requests // 4}
    with serving(SOURCE, keys) as server:

        def count_replaced() -> int:
            return server.log.count(" is ready in ") - workers

        def meanwhile() -> bool:
            time.sleep(every_seconds if is_hung_up else 0.1)
            if is_hung_up:
                server.hang_up()
            return count_replaced() > 0

        began = time.monotonic()
        counts = load(server, requests, meanwhile)
        seconds = time.monotonic() - began
        replaced = count_replaced()
    return _report(mode, counts, seconds, replaced)


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.restarts", description=__doc__)
    add = parser.add_argument
    add("--requests", type=int, default=100_000, help="in each mode; %(default)s")
    add("--mode", action="append", choices=("hang-up", "max-requests"), help="both by default")
    add("--workers", type=int, default=2, help="%(default)s")
    add("--every", type=float, default=2.0, metavar="SECONDS", help="between two SIGHUPs; %(default)s")
    add("--max-requests", type=int, default=2000, help="of a worker, and up to a quarter more; %(default)s")
    return parser


def main(arguments: Sequence[str]) -> int:
    """Run it; 1 if a request failed or no worker was replaced."""
    given = make_parser().parse_args(arguments)
    modes = given.mode or ("hang-up", "max-requests")
    failed = [run(mode, given.requests, given.workers, given.every, given.max_requests) for mode in modes]
    return 1 if any(failed) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""The effect of a key of ``server`` on a real server, observed from outside."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import statistics
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from benchmarks.endurance import WAIT_SECONDS, GrpcClient, OwnServer, RestClient, rest_request, serving
from benchmarks.figures import Sample, median_sample
from benchmarks.frames import PREDICT, text
from benchmarks.load import Pressure, load_by_wrk
from benchmarks.processes import Memory, read_memory, read_processor_seconds
from benchmarks.report import show_number

T = TypeVar("T")

SOURCE = """
import os
import time

class Served:
    def predict(self, X, names):
        if not isinstance(X, str):
            return X
        if X == "fail":
            raise ValueError("as asked")
        if X.startswith("sleep "):
            time.sleep(float(X[6:]))
        return {"pid": os.getpid(), "version": 1}
"""
_COMPUTES = """
class Served:
    def predict(self, X, names):
        for _ in range(20_000):
            pass
        return X
"""
_WAITS = """
import time

class Served:
    def predict(self, X, names):
        time.sleep(0.01)
        return X
"""
_HOLDS = """
import numpy as np

class Served:
    def __init__(self):
        self.table = np.ones(32 << 20)

    def predict(self, X, names):
        return X
"""


@dataclass(frozen=True, slots=True)
class Served:
    """A class to serve: its source, its description in the table, and its declared columns."""

    source: str
    words: str = ""
    columns: tuple[str, ...] = ()


ECHO = Served(SOURCE)
COMPUTES = Served(_COMPUTES, "a model that runs 20,000 steps of Python per call: ")
WAITS = Served(_WAITS, "a model that waits for 10 ms: ")
HOLDS = Served(_HOLDS, "a model of 256 MiB and 4 workers: ")
DECLARES = Served(SOURCE, "a model with four declared columns: ", ("a", "b", "c", "d"))

CERTIFICATES = Path(__file__).parents[1] / "tests" / "tls"
TLS = {"certificate": str(CERTIFICATES / "server.pem"), "key": str(CERTIFICATES / "server-key.pem")}
_ROWS = b'{"data":{"ndarray":[[1.5,2.5,3.5,4.5]]}}'
_LOOK_SECONDS = 0.01
_BEGUN_SECONDS = 0.5
_AT_ONCE = 20
_FILLING = 8
_MOST_REQUESTS = 2000
_LONG_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Effect:
    """A row of the table.

    Args:
        keys: of ``server``, with dots; or a flag of the command.
        server: what is set.
        observe: starts a server that is set like this, and says what is seen.
        value: what the table shows instead of the keys' values.
        flags: of the command.
        base: what is set besides, also on a server that this one is compared with.
        served: the class.
        tls: how clients speak to it.
        connections: of a load.
    """

    keys: tuple[str, ...]
    server: Mapping[str, Any]
    observe: Callable[[Effect, Pace], str]
    value: str = ""
    flags: tuple[str, ...] = ()
    base: Mapping[str, Any] = field(default_factory=dict)
    served: Served = ECHO
    tls: ssl.SSLContext | None = None
    connections: int = 16

    def show_value(self) -> str:
        """What is set, as a seldon.yaml has it."""
        return self.value or ", ".join(json.dumps(_find(self.server, key)) for key in self.keys)

    def serve(self, pace: Pace) -> AbstractContextManager[OwnServer]:
        """A server that is set like this."""
        settings = {**self.base, **self.server}
        declared = {"SELDON_SPEC__INPUTS": json.dumps(self.served.columns)} if self.served.columns else {}
        variables = {**pace.variables, **declared}
        return serving(self.served.source, settings, flags=self.flags, variables=variables, tls=self.tls)


@dataclass(frozen=True, slots=True)
class Pace:
    """How long servers are compared.

    Args:
        rounds: of a load; figures are their medians.
        seconds: of a round.
        variables: more of the servers' environment.
    """

    rounds: int
    seconds: int
    variables: Mapping[str, str] = field(default_factory=dict)


def _find(server: Mapping[str, Any], key: str) -> Any:
    found: Any = server
    for step in key.split("."):
        found = found[step]
    return found


def ask(server: OwnServer, words: str, token: str = "") -> tuple[int, Any]:
    """Post a text on a new connection; return the status and the ``jsonData`` of the response, if any."""
    request = rest_request("/predict", json.dumps({"strData": words}).encode(), token=token)
    status, body = RestClient(server.http, is_kept=False, tls=server.tls).ask(request)
    return status, json.loads(body).get("jsonData")


def ask_at_once(server: OwnServer, count: int, words: str) -> Counter[int]:
    """Return the statuses of this many concurrent clients."""
    with ThreadPoolExecutor(count) as pool:
        return Counter(status for status, _ in pool.map(lambda _: ask(server, words), range(count)))


# Speed


def compare_speed(effect: Effect, pace: Pace) -> str:
    """Compare with a server without the key, in alternating rounds."""
    plain = replace(effect, server={}, flags=(), tls=None)
    with ExitStack() as stack:
        pair = [stack.enter_context(each.serve(pace)) for each in (plain, effect)]
        for each in pair:
            _load(each, effect.connections, 1)
        rounds = [[_load(each, effect.connections, pace.seconds) for each in pair] for _ in range(pace.rounds)]
    before, after = (median_sample(samples) for samples in zip(*rounds, strict=True))
    return (
        f"{effect.served.words}requests/s × {after.requests_per_second / before.requests_per_second:.2f},"
        f" CPU per request × {after.cpu_ms / before.cpu_ms:.2f},"
        f" p50 {show_number(before.p50_ms)} → {show_number(after.p50_ms)} ms"
    )


def _load(server: OwnServer, connections: int, seconds: int) -> Sample:
    body = server.folder.parent / "request.body"
    body.write_bytes(_ROWS)
    url = f"http{'s' if server.tls else ''}://127.0.0.1:{server.http}/predict"
    before = read_processor_seconds(server.process.pid)
    load = load_by_wrk(url, body, Pressure(seconds, connections, 1, 1))
    used = read_processor_seconds(server.process.pid) - before
    return Sample(load.requests / load.seconds, used / load.requests * 1e3, load.p50_ms, load.p99_ms, 0)


def share(effect: Effect, pace: Pace) -> str:
    """Compare the memory with that of a server without the key."""
    before, after = (_weigh(each, pace) for each in (replace(effect, server={}), effect))
    return f"{effect.served.words}{before} → {after} MiB of memory (PSS of all processes)"


def _weigh(effect: Effect, pace: Pace) -> int:
    """The MiB of all processes, once all workers serve."""
    with effect.serve(pace) as server:
        _wait_for(lambda: "supervisor: ready" in server.log, bool)
        return read_memory(server.process.pid, Memory.PROPORTIONAL) >> 20


# Bounds


def crowd(effect: Effect, pace: Pace) -> str:
    """Send many requests at the same time, and describe the responses."""
    with effect.serve(pace) as server:
        statuses = ask_at_once(server, _AT_ONCE, "sleep 0.2")
    return f"{_AT_ONCE} concurrent clients, 0.2 s of model time each: {_show_statuses(statuses)}"


def _show_statuses(statuses: Counter[int]) -> str:
    return ", ".join(f"{count} get {status}" for status, count in sorted(statuses.items()))


def fill(effect: Effect, pace: Pace) -> str:
    """Send large request bodies that are not complete, then the rest of each, and describe the responses."""
    request = rest_request("/predict", json.dumps({"strData": "x" * 1_000_000}).encode())
    with effect.serve(pace) as server, ExitStack() as stack:
        clients = [stack.enter_context(socket.create_connection(("127.0.0.1", server.http))) for _ in range(_FILLING)]
        for client in clients:
            client.sendall(request[:900_000])
        ask(server, "")  # the server has read the bodies when it responds
        statuses = Counter(_end_request(client, request[900_000:]) for client in clients)
    return f"{_FILLING} clients with 900,000 bytes of a body of 1,000,000: {_show_statuses(statuses)}"


def _end_request(client: socket.socket, rest: bytes) -> int:
    """Send the rest of a request, and return the status of its response."""
    with contextlib.suppress(OSError):  # the server has refused the request and closed the connection
        client.sendall(rest)
    return int(client.makefile("rb").readline().split()[1])


def send_large_body(effect: Effect, pace: Pace) -> str:
    """Post 2000 bytes, and describe the response."""
    with effect.serve(pace) as server:
        status, _ = ask(server, "x" * 2000)
    return f"a body of 2,000 bytes gets {status}"


def send_large_message(effect: Effect, pace: Pace) -> str:
    """Send a message of 2000 bytes, and describe the response."""
    with effect.serve(pace) as server:
        client = GrpcClient(server.grpc)
        code, _ = client.ask(PREDICT, text("x" * 2000))
        client.close()
    return f"a message of 2,000 bytes gets {code}"


def outlast(effect: Effect, pace: Pace) -> str:
    """Describe the response of a slow model, and when it arrives."""
    with effect.serve(pace) as server:
        began = time.perf_counter()
        status, _ = ask(server, "sleep 1")
        seconds = time.perf_counter() - began
    return f"a prediction of 1 s gets {status} after {seconds:.2f} s"


def hang(effect: Effect, pace: Pace) -> str:
    """Measure how long a worker with a hung model does not serve."""
    with effect.serve(pace) as server:
        _, before = ask(server, "who")
        status, _ = ask(server, f"sleep {_LONG_SECONDS}")
        seconds = _wait_for(lambda: ask(server, "who"), lambda response: response[0] == 200)
        _, after = ask(server, "who")
    other = "another" if after["pid"] != before["pid"] else "the same"
    return f"a prediction that hangs gets {status}, and {other} worker responds {seconds:.2f} s later"


def _wait_for(look: Callable[[], T], is_fine: Callable[[T], bool]) -> float:
    """Poll until the condition holds, and return the seconds.

    Raises:
        RuntimeError: it never is.
    """
    began = time.perf_counter()
    while not is_fine(look()):
        if time.perf_counter() - began > WAIT_SECONDS:
            raise RuntimeError(f"nothing has changed within {WAIT_SECONDS:.0f} seconds")
    return time.perf_counter() - began


def cut(sent: bytes, who: str) -> Callable[[Effect, Pace], str]:
    """Send these bytes only, and describe the response and when the connection is closed."""

    def observe(effect: Effect, pace: Pace) -> str:
        with effect.serve(pace) as server, socket.create_connection(("127.0.0.1", server.http), WAIT_SECONDS) as client:
            client.sendall(sent)
            began = time.perf_counter()
            heard = b""
            while part := client.recv(65536):
                heard += part
            seconds = time.perf_counter() - began
        return f"{who} gets {heard[9:12].decode()}, and the connection is closed after {seconds:.2f} s"

    return observe


# Workers


def wear_out(effect: Effect, pace: Pace) -> str:
    """Count the requests until workers are replaced, and the failed ones."""
    counts: Counter[int] = Counter()
    replaced: list[int] = []
    failed = 0
    with effect.serve(pace) as server:
        while len(replaced) < 3 and counts.total() < _MOST_REQUESTS:
            status, found = ask(server, "who")
            failed += status != 200
            counts[found["pid"]] += 1
            time.sleep(_LOOK_SECONDS)  # until the supervisor's line is there
            if server.log.count("reached max_requests") > len(replaced):
                replaced.append(counts[found["pid"]])
    return f"workers are replaced after {', '.join(map(str, replaced))} requests; {failed} of {counts.total()} fail"


def reload(effect: Effect, pace: Pace) -> str:
    """Measure how long an edit takes to be served."""
    took = []
    with effect.serve(pace) as server:
        for version in range(2, 2 + pace.rounds):
            edited = SOURCE.replace('"version": 1', f'"version": {version}')
            (server.folder / "Served.py").write_text(edited, encoding="utf-8")
            took.append(_wait_for(lambda: ask(server, "who"), _is_version(version)))
    return f"an edit of the class is served {statistics.median(took):.2f} s later"


def _is_version(number: int) -> Callable[[tuple[int, Any]], bool]:
    return lambda response: bool(response[1]["version"] == number)


# Who is let in


def show_certificate(effect: Effect, pace: Pace) -> str:
    """Describe the responses to clients without and with a certificate."""
    with effect.serve(pace) as server:
        shown = ask(server, "who")[0]
        try:
            hidden = f"gets {ask(replace(server, tls=trusting_anyone()), 'who')[0]}"
        except OSError:
            hidden = "fails in the TLS handshake"
    return f"a client with a certificate gets {shown}; one without {hidden}"


def show_page(effect: Effect, pace: Pace) -> str:
    """Describe the response of the path of the page."""
    with effect.serve(pace) as server, replace(effect, server={}).serve(pace) as plain:
        set_, unset = (
            RestClient(each.http, is_kept=False).ask(rest_request("/", method="GET"))[0] for each in (server, plain)
        )
    return f"`GET /` gets {set_}; by default {unset}"


def show_token(effect: Effect, pace: Pace) -> str:
    """Describe the responses to clients without and with a token."""
    variable, token = effect.server["auth"]["tokens"]["from_env"], "not-secret"
    with effect.serve(replace(pace, variables={**pace.variables, variable: token})) as server:
        statuses = [ask(server, "who", each)[0] for each in (token, "")]
        probe = _probe(server)
        client = GrpcClient(server.grpc)
        code, _ = client.ask(PREDICT, text("who"))
        client.close()
    shown, hidden = statuses
    return f"with the token, {shown}; without, {hidden} over REST and {code} over gRPC; `/ready` returns {probe}"


def trusting_anyone(certificate: str | None = None) -> ssl.SSLContext:
    """Return a client context that presents a certificate, if given, and verifies none."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if certificate is not None:
        context.load_cert_chain(CERTIFICATES / f"{certificate}.pem", CERTIFICATES / f"{certificate}-key.pem")
    return context


# Logs and the end


def log_failure(effect: Effect, pace: Pace) -> str:
    """Count the log lines of a start and of a failed request."""
    (started, failed), default = (_count_lines(each, pace) for each in (effect, replace(effect, server={})))
    return (
        f"{started} log lines at start and {failed} for an exception in the class;"
        f" by default {default[0]} and {default[1]}"
    )


def _count_lines(effect: Effect, pace: Pace) -> tuple[int, int]:
    with effect.serve(pace) as server:
        started = len(server.log.splitlines())
        ask(server, "fail")
        return started, len(server.log.splitlines()) - started


def end_in_a_call(effect: Effect, pace: Pace) -> str:
    """Measure how long a server takes to exit during a prediction."""
    with effect.serve(pace) as server, socket.create_connection(("127.0.0.1", server.http)) as client:
        client.sendall(rest_request("/predict", json.dumps({"strData": f"sleep {_LONG_SECONDS}"}).encode()))
        time.sleep(_BEGUN_SECONDS)
        began = time.perf_counter()
        server.process.terminate()
        status = server.process.wait(WAIT_SECONDS)
        seconds = time.perf_counter() - began
    return (
        f"with a prediction of {_LONG_SECONDS} s in progress the server exits after {seconds:.1f} s,"
        f" with exit code {status}"
    )


def end_late(effect: Effect, pace: Pace) -> str:
    """Measure how long connections are accepted after SIGTERM."""
    seen: Counter[str] = Counter()
    seconds = 0.0
    with effect.serve(pace) as server:
        server.process.terminate()
        began = time.perf_counter()
        while (statuses := _try_both(server)) is not None:
            seconds = time.perf_counter() - began
            seen[statuses] += 1
            time.sleep(_LOOK_SECONDS)
    return f"after SIGTERM {seen.most_common(1)[0][0]} for {seconds:.1f} s, then connections are refused"


def _try_both(server: OwnServer) -> str | None:
    """Return the statuses of a prediction and a probe; None if the connection is refused."""
    try:
        return f"predictions get {ask(server, 'who')[0]} and `/ready` {_probe(server)}"
    except OSError:
        return None


def _probe(server: OwnServer) -> int:
    return RestClient(server.http, is_kept=False).ask(rest_request("/ready", method="GET"))[0]

"""Measure the latency of a valid gRPC call while other clients misbehave.

    python -m benchmarks.held

Thirty connections of each kind are kept open; ``ok`` means that another client's small call completed within half a
second. The tables of tests/server cover much more.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from benchmarks.endurance import GrpcClient, OwnServer, serving
from benchmarks.frames import (
    CALL,
    CANCEL,
    HEAD,
    HELLO,
    OPEN,
    PREDICT,
    Kind,
    frame,
    message,
    open_call,
    text,
    whole_call,
)

HELD = 30
WITHIN_SECONDS = 0.5
ANSWER_SECONDS = 20.0

SOURCE = """
import time

class Served:
    def predict(self, X, names):
        if X.startswith("sleep "):
            time.sleep(float(X[6:]))
        return X
"""

HOLDING: dict[str, bytes] = {
    "says nothing": b"",
    "slow preface": HELLO[:10],
    "slow headers": HELLO + open_call(1)[:30],
    "headers without end": HELLO + frame(Kind.HEADERS, HEAD, 0, 1),
    "slow message": OPEN + frame(Kind.DATA, message(bytes(1000))[:6], 0, 1),
    "idle after a call": CALL,
    "never reads": CALL + b"".join(map(whole_call, range(3, 201, 2))),
}
"""What each connection sends, and then no more."""

ENDING: dict[str, tuple[bytes, bytes]] = {
    "REST": (b"POST /predict HTTP/1.1\r\nHost: x\r\n\r\n", b"HTTP/1.1 400 "),
    "garbage": (b"\x16\x03\x01\x02\x00\x01\x00" * 20, b""),
    "a frame too large": (HELLO + b"\xff\xff\xff\0\0\0\0\0\1", bytes([Kind.GOAWAY])),
    "a giant message": (OPEN + frame(Kind.DATA, b"\0\xff\xff\xff\xff", 0, 1), b"\x018"),
    "reset flood": (
        HELLO + b"".join(open_call(n) + frame(Kind.RST_STREAM, CANCEL, 0, n) for n in range(1, 9001, 2)),
        b"",
    ),
    "settings flood": (HELLO + frame(Kind.SETTINGS) * 20000, b""),
    "ping flood": (HELLO + frame(Kind.PING, b"12345678") * 20000, b""),
}  # fmt: skip
"""The bytes to send, and a part of the server's last bytes before it ends the call or the connection."""


def hold(server: OwnServer, sent: bytes) -> str:
    """A good call while others hold their connections."""
    held = [socket.create_connection(("127.0.0.1", server.grpc), ANSWER_SECONDS) for _ in range(HELD)]
    try:
        for each in held:
            each.sendall(sent)
        return judge(server)
    finally:
        for each in held:
            each.close()


def end(server: OwnServer, sent: bytes, expected: bytes) -> str:
    """Send these bytes, then make a valid call, and describe the responses."""
    heard = b""
    with socket.create_connection(("127.0.0.1", server.grpc), ANSWER_SECONDS) as client:
        try:
            client.sendall(sent)
            while part := client.recv(65536):
                heard += part
                if expected and expected in heard:
                    break
        except ConnectionError:
            pass  # an end, too
    verdict = judge(server)
    return verdict if expected in heard else f"not reported, {verdict}"


def judge(server: OwnServer) -> str:
    """Measure the latency of a valid call of a new client."""
    client = GrpcClient(server.grpc)
    began = time.perf_counter()
    code, response = client.ask(PREDICT, text("good"))
    seconds = time.perf_counter() - began
    client.close()
    is_fine = code == "OK" and b"good" in response and seconds < WITHIN_SECONDS
    return f"{'ok' if is_fine else 'NO'} {seconds:.2f} s"


def side_by_side(server: OwnServer) -> str:
    """Two calls of half a second: one thread takes a second for both."""
    clients = [GrpcClient(server.grpc) for _ in range(2)]
    began = time.perf_counter()
    with ThreadPoolExecutor(2) as pool:
        codes = list(pool.map(lambda client: client.ask(PREDICT, text("sleep 0.5"))[0], clients))
    seconds = time.perf_counter() - began
    for client in clients:
        client.close()
    return f"{'ok' if codes == ['OK', 'OK'] else 'NO'} {seconds:.1f} s"


def respawn(server: OwnServer) -> str:
    """Measure the latency of a call after the worker was killed."""
    client = GrpcClient(server.grpc)
    client.ask(PREDICT, text("x"))
    for worker in server.processes() - {server.process.pid}:
        os.kill(worker, signal.SIGKILL)
    began = time.perf_counter()
    while client.ask(PREDICT, text("x"))[0] != "OK":
        pass
    client.close()
    seconds = time.perf_counter() - began
    return f"{'ok' if seconds <= 1 else 'NO'} {seconds:.1f} s"


def drain(server: OwnServer) -> str:
    """Check that a call in progress completes after SIGTERM, and that all processes exit with 0."""
    client = GrpcClient(server.grpc)
    client.ask(PREDICT, text("x"))
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(client.ask, PREDICT, text("sleep 1.5"))
        time.sleep(0.5)
        began = time.perf_counter()
        server.process.terminate()
        code = running.result()[0]
    status = server.process.wait(ANSWER_SECONDS)
    client.close()
    return f"{'ok' if (code, status) == ('OK', 0) else 'NO'} {time.perf_counter() - began:.1f} s"


def main() -> int:
    """Print the table; 1 if something is not as it should be."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    verdicts: dict[str, str] = {}

    def note(name: str, ask: Callable[..., str], *given: Any) -> None:
        verdicts[name] = ask(*given)
        print(f"{name:22}{verdicts[name]}", flush=True)

    with serving(SOURCE, {}) as server:
        for name, sent in HOLDING.items():
            note(name, hold, server, sent)
        for name, (sent, expected) in ENDING.items():
            note(name, end, server, sent, expected)
        note("two of 0.5 s", side_by_side, server)
        note("respawn", respawn, server)
        note("drain", drain, server)
    return int(any(not verdict.startswith("ok") for verdict in verdicts.values()))


if __name__ == "__main__":
    sys.exit(main())

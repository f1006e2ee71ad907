"""Requests at a given rate, however fast the responses come: an open loop.

``python -m benchmarks.open_load URL BODY CONNECTIONS RATE SECONDS HEADER...`` sends them, at random times that are the
same in every run, and prints the same lines as post.lua. A duration begins when its request was due, so that the time
in which it waited for a free connection counts. The client takes a whole processor core, for it never sleeps.
"""

from __future__ import annotations

import gc
import itertools
import random
import re
import select
import socket
import sys
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.figures import find_quantile

_WAIT_SECONDS = 60


def load(
    address: tuple[str, int], request: bytes, connections: int, rate: float, seconds: float
) -> tuple[list[float], float, int]:
    """Return the duration of each request, the length of the load, both in seconds, and the length of a response.

    Raises:
        OSError: the server closed a connection, or did not respond.
        ValueError: a response is not like the first one.
    """
    clients = {client.fileno(): client for client in (_connect(address) for _ in range(connections))}
    length = [_ask(client, request) for client in clients.values()][-1]
    numbers = random.Random(1)  # noqa: S311 - not a secret
    times = itertools.accumulate(numbers.expovariate(rate) for _ in itertools.count())
    due = list(itertools.takewhile(lambda at: at < seconds, times))
    idle, asked, left = deque(clients), dict.fromkeys(clients, 0.0), dict.fromkeys(clients, length)
    durations: list[float] = []
    sent = 0
    gc.disable()
    with select.epoll() as poll:
        for number, client in clients.items():
            client.settimeout(0)
            poll.register(number, select.EPOLLIN)
        begun = time.perf_counter()
        while len(durations) < len(due):
            now = time.perf_counter() - begun
            if now > seconds + _WAIT_SECONDS:
                raise TimeoutError("the server does not follow")
            while idle and sent < len(due) and due[sent] <= now:
                number = idle.popleft()
                clients[number].sendall(request)
                asked[number] = due[sent]
                sent += 1
            for number, _ in poll.poll(0):
                data = clients[number].recv(1 << 16)
                if not data or (left[number] == length and not data.startswith(b"HTTP/1.1 200 ")):
                    raise ValueError(f"a response begins with {data[:100]!r}")
                left[number] -= len(data)
                if left[number] <= 0:
                    durations.append(time.perf_counter() - begun - asked[number])
                    left[number] = length
                    idle.append(number)
        took = time.perf_counter() - begun
    for client in clients.values():
        client.close()
    return durations, took, length


def _connect(address: tuple[str, int]) -> socket.socket:
    client = socket.create_connection(address, _WAIT_SECONDS)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client


def _ask(client: socket.socket, request: bytes) -> int:
    """Return the length of the response to one request, its head included."""
    client.sendall(request)
    received = b""
    while True:
        received += client.recv(1 << 16)
        head, end, body = received.partition(b"\r\n\r\n")
        size = re.search(rb"\r\ncontent-length: *(\d+)", head, re.IGNORECASE)
        if end and size and len(body) == int(size[1]):
            return len(received)
        if not received or (end and not size):
            raise ValueError(f"a response begins with {received[:100]!r}")


def main(arguments: Sequence[str]) -> int:
    """Send the requests that the arguments name, and print the figures."""
    url, file, connections, rate, seconds, *headers = arguments
    parts = urlsplit(url)
    assert parts.hostname
    assert parts.port
    body = Path(file).read_bytes()
    lines = [f"POST {parts.path} HTTP/1.1", f"Host: {parts.netloc}", *headers, f"Content-Length: {len(body)}", "", ""]
    request = "\r\n".join(lines).encode() + body
    durations, took, length = load((parts.hostname, parts.port), request, int(connections), float(rate), float(seconds))
    figures = {
        "requests": len(durations),
        "microseconds": round(took * 1e6),
        "bytes": len(durations) * length,
        "p50_microseconds": round(find_quantile(durations, 0.5) * 1e6),
        "p99_microseconds": round(find_quantile(durations, 0.99) * 1e6),
        "failed": 0,
    }
    print("\n".join(f"figure {name} {value}" for name, value in figures.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

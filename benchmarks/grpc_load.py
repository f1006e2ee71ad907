"""Calls of gRPC, each with headers of its own.

``python -m benchmarks.grpc_load URL BODY HEADS CONNECTIONS STREAMS SECONDS`` makes them.

h2load sends the same headers with every call. The calls are encoded before the load begins, with Huffman's code and
without a dynamic table, so that the client takes little of the machine. Prints the same lines as post.lua.
"""

from __future__ import annotations

import itertools
import random
import selectors
import socket
import struct
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import hpack

from benchmarks.figures import find_quantile
from benchmarks.heads import Heads, make_tokens, make_values

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PING, _GOAWAY, _WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
_END_STREAM = _ACK = 1
_END_HEADERS = 4
_MAX_WINDOW = (1 << 31) - 1
_FIRST_WINDOW = 65535
_FRAME_HEAD = struct.Struct(">BHBBI")
_WAIT_SECONDS = 60


def _frame(kind: int, flags: int, stream_id: int, payload: bytes) -> bytes:
    return _FRAME_HEAD.pack(len(payload) >> 16, len(payload) & 0xFFFF, kind, flags, stream_id) + payload


class Calls:
    """The header blocks of the calls, in turn; the token is that of a connection."""

    def __init__(self, authority: str, path: str, heads: Heads) -> None:
        self._encoder = hpack.Encoder()
        self._encoder.header_table_size = 0
        self._encoder.encode([])  # what says so is part of the next block
        fixed = {":method": "POST", ":scheme": "http", ":path": path, ":authority": authority}
        self._fixed = self._encode({**fixed, "content-type": "application/grpc", "te": "trailers"})
        numbers = random.Random(1)  # noqa: S311 - not a secret
        self._tokens = [b""]
        self._varied = [b""]
        if heads is not Heads.PLAIN:
            agent = {"user-agent": "grpc-python/1.66.1 grpc-c/43.0.0 (linux; chttp2)"}
            self._tokens = [self._encode({"authorization": token}) for token in make_tokens(heads, numbers)]
            names = ("grpc-timeout", *heads.id_names)
            self._varied = [
                self._encode({**agent, **dict(zip(names, (timeout, trace, request), strict=True))})
                for trace, request, timeout in make_values(heads, numbers)
            ]

    def _encode(self, fields: dict[str, str]) -> bytes:
        block: bytes = self._encoder.encode(fields.items(), huffman=True)
        return block.lstrip(b"\x20")

    def of_connection(self, number: int) -> Iterator[bytes]:
        """Yield the blocks of one connection; the first one says that there is no dynamic table."""
        token = self._tokens[number % len(self._tokens)]
        varied = itertools.islice(itertools.cycle(self._varied), number * 307 % len(self._varied), None)
        yield b"\x20" + self._fixed + next(varied) + token
        for part in varied:
            yield self._fixed + part + token


class Connection:
    """One connection, and the calls under way on it."""

    def __init__(self, address: tuple[str, int], blocks: Iterator[bytes], body: bytes) -> None:
        self.socket = socket.create_connection(address, _WAIT_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        settings = struct.pack(">HIHI", 2, 0, 4, _MAX_WINDOW)  # no push, and the window of each stream
        window = struct.pack(">I", _MAX_WINDOW - _FIRST_WINDOW)
        self.socket.sendall(_PREFACE + _frame(_SETTINGS, 0, 0, settings) + _frame(_WINDOW_UPDATE, 0, 0, window))
        self._blocks = blocks
        self._body = body
        self._next_id = 1
        self._begun: dict[int, float] = {}
        self._received = b""
        self.durations: list[float] = []
        self.response_bytes = self.failed = 0

    @property
    def is_busy(self) -> bool:
        """Return True if calls are under way."""
        return bool(self._begun)

    def begin(self, count: int) -> None:
        """Send so many calls."""
        parts, now = [], time.perf_counter()
        for _ in range(count):
            parts.append(_frame(_HEADERS, _END_HEADERS, self._next_id, next(self._blocks)))
            parts.append(_frame(_DATA, _END_STREAM, self._next_id, self._body))
            self._begun[self._next_id] = now
            self._next_id += 2
        self.socket.sendall(b"".join(parts))

    def receive(self) -> int:
        """Read what has come; returns how many calls have ended."""
        data = self._received + self.socket.recv(1 << 18)
        if len(data) == len(self._received):
            raise ConnectionError("the server has closed a connection")
        at = ended = 0
        while len(data) - at >= _FRAME_HEAD.size:
            high, low, kind, flags, stream_id = _FRAME_HEAD.unpack_from(data, at)
            stop = at + _FRAME_HEAD.size + (high << 16 | low)
            if stop > len(data):
                break
            ended += self._take(kind, flags, stream_id, data[at + _FRAME_HEAD.size : stop])
            at = stop
        self._received = data[at:]
        return ended

    def _take(self, kind: int, flags: int, stream_id: int, payload: bytes) -> int:
        if kind == _GOAWAY:
            raise ConnectionError("the server has ended a connection")
        if kind in (_SETTINGS, _PING) and not flags & _ACK:
            self.socket.sendall(_frame(kind, _ACK, 0, payload if kind == _PING else b""))
        elif kind == _DATA:
            self.response_bytes += len(payload)
        has_ended = kind == _RST_STREAM or (kind in (_HEADERS, _DATA) and bool(flags & _END_STREAM))
        if has_ended:
            self.failed += kind == _RST_STREAM
            self.durations.append(time.perf_counter() - self._begun.pop(stream_id))
        return has_ended


def load(url: str, body: bytes, heads: Heads, connections: int, streams: int, seconds: float) -> Sequence[str]:
    """Make calls for a time, and return the lines of figures."""
    parts = urlsplit(url)
    assert parts.hostname
    assert parts.port
    calls = Calls(parts.netloc, parts.path, heads)
    address = parts.hostname, parts.port
    clients = [Connection(address, calls.of_connection(number), body) for number in range(connections)]
    begun = time.perf_counter()
    with selectors.DefaultSelector() as selector:
        for client in clients:
            selector.register(client.socket, selectors.EVENT_READ, client)
            client.begin(streams)
        while any(client.is_busy for client in clients):
            ready = selector.select(_WAIT_SECONDS)
            if not ready:
                raise TimeoutError(f"no response within {_WAIT_SECONDS} seconds")
            for key, _ in ready:
                ended = key.data.receive()
                if ended and time.perf_counter() - begun < seconds:
                    key.data.begin(ended)
    took = time.perf_counter() - begun
    for client in clients:
        client.socket.close()
    durations = [duration * 1e6 for client in clients for duration in client.durations]
    figures = {
        "requests": len(durations),
        "microseconds": round(took * 1e6),
        "bytes": sum(client.response_bytes for client in clients),
        "p50_microseconds": round(find_quantile(durations, 0.5)),
        "p99_microseconds": round(find_quantile(durations, 0.99)),
        "failed": sum(client.failed for client in clients),
    }
    return [f"figure {name} {value}" for name, value in figures.items()]


def main(arguments: Sequence[str]) -> int:
    """Make the calls that the arguments name, and print the figures."""
    url, body, heads, connections, streams, seconds = arguments
    print("\n".join(load(url, Path(body).read_bytes(), Heads(heads), int(connections), int(streams), float(seconds))))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

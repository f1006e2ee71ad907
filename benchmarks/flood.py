"""The attacker: all connections of an attack in one thread, which send prepared bytes."""

from __future__ import annotations

import contextlib
import select
import selectors
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import IO

from benchmarks.attacks import Attack, Mode

_PAUSE_SECONDS = 0.001
_CONNECT_SECONDS = 3.0
_READ_BYTES = 1 << 18


@dataclass(slots=True)
class _Connection:
    socket: socket.socket
    blocks: Iterator[bytes]
    pending: memoryview
    left: int | None


@dataclass(slots=True)
class Flood:
    """An attack on a port of loopback. Use it as a context manager: its connections are open inside.

    Attributes:
        sent_bytes: by all connections, as the kernel accepted them.
        ended: connections that the server ended.
    """

    attack: Attack
    mode: Mode
    port: int
    sent_bytes: int = 0
    ended: int = 0
    _selector: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)
    _held: set[socket.socket] = field(default_factory=set)

    def __enter__(self) -> Flood:
        for _ in range(self.mode.connections):
            self._connect()
        self._wait_until_established()
        return self

    def __exit__(self, *_: object) -> None:
        for each in self._held:
            each.close()
        self._selector.close()

    def run(self, seconds: float, watched: Sequence[IO[bytes]]) -> None:
        """Send for so many seconds; keep the connections until all that is watched can be read."""
        end = time.perf_counter() + seconds
        waiting = set(watched)
        for each in watched:
            self._selector.register(each, selectors.EVENT_READ)
        is_sending = True
        while waiting or is_sending:
            if is_sending and time.perf_counter() > end:
                is_sending = False
                self._stop_all()
            for key, events in self._selector.select(0.05):
                if key.data is None:
                    self._selector.unregister(key.fileobj)
                    waiting.discard(key.fileobj)
                elif not self._serve(key.data, events):
                    self._drop(key.data)
                    self.ended += 1
                    if is_sending and self.mode.most_bytes is None:
                        self._connect()
            if self.attack.piece is not None and is_sending:
                time.sleep(_PAUSE_SECONDS)

    def _connect(self) -> None:
        attack = self.attack
        new = socket.socket()
        new.settimeout(0)
        new.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        new.connect_ex(("127.0.0.1", self.port))
        self._held.add(new)
        most = self.mode.most_bytes
        connection = _Connection(new, attack.blocks(), memoryview(attack.opening), most)
        self._selector.register(
            new, selectors.EVENT_WRITE | (selectors.EVENT_READ if attack.reads else 0), data=connection
        )

    def _wait_until_established(self) -> None:
        """Give up after a time: a server that has stopped accepting leaves connections in its full backlog."""
        end = time.perf_counter() + _CONNECT_SECONDS
        waiting = {each.fileno() for each in self._held}
        poll = select.poll()
        for each in waiting:
            poll.register(each, select.POLLOUT)
        while waiting and time.perf_counter() < end:
            for each, _ in poll.poll(100):
                poll.unregister(each)
                waiting.discard(each)

    def _drop(self, connection: _Connection) -> None:
        with contextlib.suppress(KeyError):
            self._selector.unregister(connection.socket)
        self._held.discard(connection.socket)
        connection.socket.close()

    def _stop_all(self) -> None:
        for key in list(self._selector.get_map().values()):
            if key.data is not None:
                self._stop_sending(key.data)

    def _stop_sending(self, connection: _Connection) -> None:
        if self.attack.reads:
            self._selector.modify(connection.socket, selectors.EVENT_READ, connection)
        else:
            self._selector.unregister(connection.socket)

    def _serve(self, connection: _Connection, events: int) -> bool:
        """Read and write once; False if the server has ended the connection."""
        try:
            if events & selectors.EVENT_READ and not connection.socket.recv(_READ_BYTES):
                return False
            if events & selectors.EVENT_WRITE:
                self._send(connection)
        except (BlockingIOError, InterruptedError):
            pass
        except OSError:
            return False
        return True

    def _send(self, connection: _Connection) -> None:
        if not connection.pending:
            block = next(connection.blocks, b"") if connection.left != 0 else b""
            if not block:
                self._stop_sending(connection)
                return
            connection.pending = memoryview(block)[: connection.left]
            if connection.left is not None:
                connection.left -= len(connection.pending)
        sent = connection.socket.send(connection.pending[: self.attack.piece])
        self.sent_bytes += sent
        connection.pending = connection.pending[sent:]

"""A listening socket and its connections, whatever they speak: taken one at a time, counted, and ended when overdue."""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import logging
import socket
import ssl
from abc import ABC, abstractmethod
from collections import deque
from operator import itemgetter

from seldon_spec.transport.capacity import Capacity

logger = logging.getLogger(__name__)

_SWEEP_SECONDS = 0.5
_PAUSE_SECONDS = 0.2
"""How long no connection is taken after the system had no room for one."""
_RESERVED = 64
"""So many connections may be open beyond the limit, for a probe each; of more, the oldest one is closed.

As many that were idle may take their time to close, as with TLS, where that takes the client's consent.
"""

_MOST_EVICTED = 64
_LOOK_SECONDS = 0.1
"""How many idle connections one look at all of them finds, and how soon the next one is after one that found none."""


class Connection(asyncio.Protocol, ABC):
    """One connection, as its listener knows it; it is a ``Holder``.

    Attributes:
        deadline: when ``expire`` is due, by the loop's clock.
        held: see ``Holder``.
    """

    __slots__ = ("held",)

    deadline: float

    def __init__(self) -> None:
        self.held = 0

    @property
    @abstractmethod
    def idle_since(self) -> float | None:
        """Since when nothing has been received or sent, by the loop's clock; None: something is under way."""

    @abstractmethod
    def evict(self) -> None:
        """Close the connection, which is idle."""

    @abstractmethod
    def shed(self) -> None:
        """See ``Holder``."""

    @abstractmethod
    def expire(self) -> None:
        """The deadline has passed."""

    @abstractmethod
    def retire(self) -> None:
        """Take nothing new after what is under way, or has begun to come."""

    @abstractmethod
    def abort(self) -> None:
        """Cut the connection."""


class Listener(ABC):
    """A listening socket; belongs to the running event loop. What is spoken there is a subclass's.

    Args:
        listening: the socket, which other processes may share.
        max_connections: how many are open at once; one more is told so and closed.
        tls: None: plain text.
        handshake_seconds: how long a client may take for TLS's first words.
        capacity: what all listeners of a worker share.

    Attributes:
        capacity: as above.
        scheme: of the URLs that lead here.
        address: host and port, as requests are told of them.
    """

    def __init__(
        self,
        listening: socket.socket,
        max_connections: int,
        tls: ssl.SSLContext | None = None,
        handshake_seconds: float = 10,
        *,
        capacity: Capacity,
    ) -> None:
        self.capacity = capacity
        self.scheme = "http" if tls is None else "https"
        self.address: tuple[str, int] = listening.getsockname()[:2]
        self._loop = asyncio.get_running_loop()
        self._socket = listening
        self._max_connections = max_connections
        self._tls = tls
        self._handshake_seconds = handshake_seconds
        self._connections: dict[Connection, None] = {}
        self._reserved: dict[Connection, None] = {}
        self._evicted: dict[Connection, None] = {}
        self._idle: deque[tuple[float, Connection]] = deque()
        self._looked = -_LOOK_SECONDS
        self._greetings: set[asyncio.Task[None]] = set()
        self._coming: set[Connection] = set()
        self._sweeping: asyncio.TimerHandle | None = None
        self._resting: asyncio.TimerHandle | None = None
        self._is_listening = False
        self._is_retiring = False
        self._empty = asyncio.Event()

    @abstractmethod
    def make_connection(self) -> Connection:
        """The server's side of a connection that has just been taken."""

    @property
    def is_full(self) -> bool:
        """Whether there are more connections than there may be; the last one may only ask a probe."""
        return len(self._connections) - len(self._evicted) > self._max_connections

    def start(self) -> None:
        """Take connections."""
        self._listen()
        self._sweep()

    async def drain(self) -> None:
        """Take those that wait to be taken, then no more, and wait until all have had their answers."""
        was_listening = self._is_listening
        self._pause_listening()
        most = self._max_connections + _RESERVED  # others may come without end
        while was_listening and most and self._accept():
            most -= 1
        self._socket.close()  # at once: whom the system takes between the last look and this is cut
        self._is_retiring = True
        for connection in list(self._connections):
            connection.retire()
        self._note_empty()
        await self._empty.wait()

    async def close(self) -> None:
        """End everything that is left, once what has been answered is sent."""
        self._pause_listening()
        for connection in list(self._connections):
            connection.retire()
        await asyncio.sleep(0)  # a round of the loop, in which what was answered last is written
        self._end()

    async def abort(self) -> None:
        """Cut all connections; also those that come to light in the next rounds of the loop."""
        self._pause_listening()
        for _ in range(3):
            for connection in list(self._connections):
                connection.abort()
            await asyncio.sleep(0)
        self._end()

    def _end(self) -> None:
        if self._sweeping is not None:
            self._sweeping.cancel()
        for greeting in self._greetings:
            greeting.cancel()

    # What a connection tells and asks

    def add(self, connection: Connection) -> None:
        """A connection begins."""
        self._coming.discard(connection)
        self._connections[connection] = None
        self.capacity.join(connection)
        if self.is_full:
            self._reserved[connection] = None
        if self._is_retiring:
            connection.retire()

    def discard(self, connection: Connection) -> None:
        """A connection has ended."""
        self._connections.pop(connection, None)
        self.capacity.leave(connection)
        self._reserved.pop(connection, None)
        self._evicted.pop(connection, None)
        self._note_empty()

    def now(self) -> float:
        """The loop's clock."""
        return self._loop.time()

    # How connections come, and when they are overdue

    def _listen(self) -> None:
        self._is_listening = True
        self._loop.add_reader(self._socket.fileno(), self._accept)

    def _pause_listening(self) -> None:
        if self._resting is not None:
            self._resting.cancel()
        if self._is_listening:
            self._is_listening = False
            self._loop.remove_reader(self._socket.fileno())

    def _accept(self) -> bool:
        """Take one connection, if there is one: with several workers, a busy one leaves the next to the others."""
        try:
            accepted, _ = self._socket.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):  # another worker was quicker
            return False
        except OSError as error:  # no more file descriptors: those that wait will be taken later
            logger.error("no connection can be taken: %s", error)
            self._pause_listening()
            self._resting = self._loop.call_later(_PAUSE_SECONDS, self._listen)
            return False
        accepted.setblocking(False)  # noqa: FBT003 - the standard library's own signature
        if not self._make_room():
            accepted.close()
            return True
        connection = self.make_connection()
        self._coming.add(connection)
        greeting = self._loop.create_task(self._greet(accepted, connection))
        self._greetings.add(greeting)
        greeting.add_done_callback(self._forget_greeting)
        return True

    def _make_room(self) -> bool:
        """Close a connection for a new one where there are as many as there may be: one that is idle, if any.

        Returns:
            Whether the new one can be taken.
        """
        count = len(self._connections) - len(self._evicted) + len(self._coming)
        if count < self._max_connections or self._evict():
            return True
        if count >= self._max_connections + _RESERVED:
            if not self._reserved:
                return False
            oldest = next(iter(self._reserved))
            del self._reserved[oldest]
            oldest.abort()
        return True

    def _evict(self) -> bool:
        """Close the connection that has been idle the longest; False if none is known."""
        if not self._idle and self.now() - self._looked >= _LOOK_SECONDS:
            idle = [(each.idle_since, each) for each in self._connections]
            known = [(since, each) for since, each in idle if since is not None]
            self._idle.extend(heapq.nsmallest(_MOST_EVICTED, known, key=itemgetter(0)))
            if not known:
                self._looked = self.now()
        while self._idle:
            since, connection = self._idle.popleft()
            if connection in self._connections and connection.idle_since == since:
                connection.evict()
                self._evicted[connection] = None
                if len(self._evicted) > _RESERVED:
                    oldest = next(iter(self._evicted))
                    del self._evicted[oldest]
                    oldest.abort()
                return True
        return False

    async def _greet(self, accepted: socket.socket, connection: Connection) -> None:
        timeout = None if self._tls is None else self._handshake_seconds
        try:
            with contextlib.suppress(OSError, asyncio.TimeoutError):  # the client is gone already, or speaks no TLS
                await self._loop.connect_accepted_socket(
                    lambda: connection, accepted, ssl=self._tls, ssl_handshake_timeout=timeout
                )
        finally:
            self._coming.discard(connection)

    def _forget_greeting(self, greeting: asyncio.Task[None]) -> None:
        self._greetings.discard(greeting)
        self._note_empty()

    def _note_empty(self) -> None:
        if self._is_retiring and not self._connections and not self._greetings:
            self._empty.set()

    def _sweep(self) -> None:
        """End what is overdue; one look at all of them now and then costs less than a timer for each request."""
        self._sweeping = self._loop.call_later(_SWEEP_SECONDS, self._sweep)  # first: it goes on whatever happens
        now = self.now()
        for connection in [each for each in self._connections if each.deadline <= now]:
            connection.expire()

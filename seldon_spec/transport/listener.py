"""A listening socket and its connections, for any protocol: accept, count, evict, and close on timeouts."""

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

from seldon_spec.transport.buffers import POOL
from seldon_spec.transport.capacity import Capacity
from seldon_spec.transport.tcp import has_unread

logger = logging.getLogger(__name__)

FIRST_REQUEST_SECONDS = 1.0
"""A new connection has this long to send a request, even if the server stops or has too many connections."""

_SWEEP_SECONDS = 0.5
_PAUSE_SECONDS = 0.2
"""How long accepting pauses after the operating system had no resources for a connection."""

_RESERVED = 64
"""So many connections beyond the limit may be open, for one probe each; of more, the oldest one is closed.

As many evicted connections may take time to close; closing with TLS requires the client's consent.
"""

_MAX_CANDIDATES = 64
_SEARCH_SECONDS = 0.1
"""A search finds so many connections to evict; after one without a result, the next is this much later."""


class Connection(asyncio.Protocol, ABC):
    """A connection of a listener.

    Attributes:
        deadline: time of the next call of ``expire``, by the loop's clock.
        held: bytes that are buffered, see ``Holder``.
        is_used: there was a request.
    """

    __slots__ = ("_transport", "deadline", "held", "is_used")

    deadline: float
    _transport: asyncio.Transport

    def __init__(self) -> None:
        self.held = 0
        self.is_used = False

    @property
    @abstractmethod
    def idle_since(self) -> float | None:
        """Time of the last activity, by the loop's clock; None: a request is in progress, or it may not be evicted."""

    def has_input(self) -> bool:
        """Return True if the client has sent bytes that are not read yet."""
        return has_unread(self._transport)

    @abstractmethod
    def evict(self) -> None:
        """Close the connection, which is idle."""

    @abstractmethod
    def shed(self) -> None:
        """Release what is buffered, by ending requests or the connection."""

    @abstractmethod
    def expire(self) -> None:
        """Handle the end of a timeout."""

    @abstractmethod
    def retire(self) -> None:
        """Close after the requests that are in progress or have begun to arrive."""

    @abstractmethod
    def abort(self) -> None:
        """Close the connection at once."""


class Listener(ABC):
    """A listening socket of the running event loop; a subclass defines the protocol.

    Args:
        listening: the socket, which other processes may share.
        max_connections: limit of open connections; beyond it, one that is idle is evicted.
        tls: None: plain text.
        handshake_seconds: timeout of the TLS handshake.
        capacity: shared by all listeners of a worker.

    Attributes:
        capacity: as above.
        scheme: of the URLs of this port.
        address: host and port.
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
        self._candidates: deque[tuple[float, Connection]] = deque()
        self._next_search = 0.0
        self._handshakes: set[asyncio.Task[None]] = set()
        self._pending: set[Connection] = set()
        self._sweep_timer: asyncio.TimerHandle | None = None
        self._pause_timer: asyncio.TimerHandle | None = None
        self._is_listening = False
        self._is_retiring = False
        self._empty = asyncio.Event()

    @abstractmethod
    def make_connection(self) -> Connection:
        """Create the server side of an accepted connection."""

    @property
    def is_full(self) -> bool:
        """True if there are more connections than the limit; the last one may only send a probe."""
        return len(self._connections) - len(self._evicted) > self._max_connections

    def start(self) -> None:
        """Start accepting connections."""
        self._listen()
        self._sweep()

    async def drain(self) -> None:
        """Accept what waits in the backlog, then stop accepting, and wait until all requests have responses."""
        was_listening = self._is_listening
        self._pause_listening()
        most = self._max_connections + _RESERVED  # clients may connect without end
        while was_listening and most and self._accept():
            most -= 1
        self._pause_listening()  # it would begin again if the last accept failed
        self._socket.close()  # at once: the system resets what arrives between the last accept and this
        self._is_retiring = True
        for connection in list(self._connections):
            connection.retire()
        self._check_empty()
        await self._empty.wait()

    async def close(self) -> None:
        """Close what is left, once the responses are sent."""
        self._pause_listening()
        for connection in list(self._connections):
            connection.retire()
        await asyncio.sleep(0)  # an iteration of the loop, in which the last responses are written
        self._cancel()

    async def abort(self) -> None:
        """Close all connections at once, also those that appear in the next iterations of the loop."""
        self._pause_listening()
        for _ in range(3):
            for connection in list(self._connections):
                connection.abort()
            await asyncio.sleep(0)
        self._cancel()

    def _cancel(self) -> None:
        if self._sweep_timer is not None:
            self._sweep_timer.cancel()
        for handshake in self._handshakes:
            handshake.cancel()

    # What connections call

    def add(self, connection: Connection) -> None:
        """Register a connection that is established."""
        self._pending.discard(connection)
        self._connections[connection] = None
        self.capacity.join(connection)
        if self.is_full:
            self._reserved[connection] = None
        if self._is_retiring:
            connection.retire()

    def discard(self, connection: Connection) -> None:
        """Remove a connection that is closed."""
        self._connections.pop(connection, None)
        self.capacity.leave(connection)
        self._reserved.pop(connection, None)
        self._evicted.pop(connection, None)
        self._check_empty()

    def now(self) -> float:
        """Return the time of the loop's clock."""
        return self._loop.time()

    # Accepting

    def _listen(self) -> None:
        self._is_listening = True
        self._loop.add_reader(self._socket.fileno(), self._accept)

    def _pause_listening(self) -> None:
        if self._pause_timer is not None:
            self._pause_timer.cancel()
        if self._is_listening:
            self._is_listening = False
            self._loop.remove_reader(self._socket.fileno())

    def _accept(self) -> bool:
        """Accept one connection, if any: with several workers, a busy one leaves the next to the others."""
        try:
            accepted, _ = self._socket.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):  # another worker was quicker
            return False
        except OSError as error:  # no more file descriptors: clients wait in the backlog
            logger.error("cannot accept connections, trying again in %.1f s: %s", _PAUSE_SECONDS, error)
            self._pause_listening()
            self._pause_timer = self._loop.call_later(_PAUSE_SECONDS, self._listen)
            return False
        accepted.setblocking(False)  # noqa: FBT003 - the standard library's own signature
        if not self._make_space():
            accepted.close()
            return True
        connection = self.make_connection()
        self._pending.add(connection)
        handshake = self._loop.create_task(self._connect(accepted, connection))
        self._handshakes.add(handshake)
        handshake.add_done_callback(self._on_handshake_done)
        return True

    async def _connect(self, accepted: socket.socket, connection: Connection) -> None:
        timeout = None if self._tls is None else self._handshake_seconds
        try:
            with contextlib.suppress(OSError, asyncio.TimeoutError):  # the client is gone, or does not use TLS
                await self._loop.connect_accepted_socket(
                    lambda: connection, accepted, ssl=self._tls, ssl_handshake_timeout=timeout
                )
        finally:
            self._pending.discard(connection)

    def _on_handshake_done(self, handshake: asyncio.Task[None]) -> None:
        self._handshakes.discard(handshake)
        self._check_empty()

    # Limits

    def _make_space(self) -> bool:
        """If the limit is reached, evict an idle connection, or use a reserved place; False if there is none."""
        count = len(self._connections) - len(self._evicted) + len(self._pending)
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
        """Close an idle connection; False if there is none."""
        if self._evict_candidate():
            return True
        now = self.now()
        if now < self._next_search:
            return False
        self._candidates.extend(self._find_candidates())
        if self._evict_candidate():
            return True
        self._next_search = now + _SEARCH_SECONDS
        return False

    def _evict_candidate(self) -> bool:
        """Close the first candidate that is still idle; False if there is none."""
        while self._candidates:
            since, connection = self._candidates.popleft()
            is_idle = connection in self._connections and connection.idle_since == since
            if is_idle and not connection.has_input():
                connection.evict()
                self._evicted[connection] = None
                if len(self._evicted) > _RESERVED:
                    oldest = next(iter(self._evicted))
                    del self._evicted[oldest]
                    oldest.abort()
                return True
        return False

    def _find_candidates(self) -> list[tuple[float, Connection]]:
        """Return the connections to evict first, with the time since when they are idle.

        A connection that was just used, or is new, is likely to get a request. So those that have been idle for a
        second come first. If there is none, and many connections never had a request, these come first, since a client
        that keeps opening them must not displace those that are used.
        """
        idle = [(since, each) for each in self._connections if (since := each.idle_since) is not None]
        limit = self.now() - FIRST_REQUEST_SECONDS
        chosen = [pair for pair in idle if pair[0] <= limit]
        if not chosen:
            unused = [pair for pair in idle if not pair[1].is_used]
            chosen = unused if 2 * len(unused) >= self._max_connections else idle
        return heapq.nsmallest(_MAX_CANDIDATES, chosen, key=itemgetter(0))

    def _check_empty(self) -> None:
        if self._is_retiring and not self._connections and not self._handshakes:
            self._empty.set()

    def _sweep(self) -> None:
        """Call ``expire`` of every connection past its deadline; one timer for all costs less than one per request."""
        self._sweep_timer = self._loop.call_later(_SWEEP_SECONDS, self._sweep)  # first: an error must not stop it
        POOL.trim()
        now = self.now()
        for connection in [each for each in self._connections if each.deadline <= now]:
            connection.expire()

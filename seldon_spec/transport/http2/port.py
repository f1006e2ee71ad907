"""The port of an HTTP/2 connection: its limits, and what all connections of the port share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from seldon_spec.transport.capacity import Capacity
from seldon_spec.transport.http2.fields import HeaderBlockCache
from seldon_spec.transport.http2.stream import Open
from seldon_spec.transport.listener import Connection

TOO_MANY_CONNECTIONS = "the server has as many connections as server.max_connections allows"


@dataclass(frozen=True, slots=True)
class H2Limits:
    """The limits of a connection; the timeouts are the keys of ``server`` of the same names.

    Attributes:
        budget_bytes: limit of requests beyond the first windows of the streams; and of responses that the client has
            not read, before its further calls have to wait.
        keep_alive_seconds: a client that is silent for this long gets a PING.
    """

    budget_bytes: int
    header_timeout_seconds: float
    body_timeout_seconds: float
    keep_alive_seconds: float


class Port(Protocol):
    """The port of a connection.

    Attributes:
        limits: of each connection.
        heads: what handles requests, by header blocks that were seen before.
        capacity: shared by all connections of the worker.
    """

    limits: H2Limits
    heads: HeaderBlockCache[Open]
    capacity: Capacity

    @property
    def is_full(self) -> bool:
        """True if there are more connections than the limit; the last one may only send a probe."""

    def now(self) -> float:
        """Return the time of the loop's clock."""

    def call_soon(self, callback: Callable[[], None]) -> Any:
        """Call something in the next iteration of the loop."""

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Any:
        """Call something after a time."""

    def add(self, connection: Connection) -> None:
        """Register a connection that is established."""

    def discard(self, connection: Connection) -> None:
        """Remove a connection that is closed."""

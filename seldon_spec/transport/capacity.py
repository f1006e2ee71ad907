"""Resources that all connections of a worker share: turns on the event loop, and memory for buffers."""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

from seldon_spec.transport.turns import Turns

logger = logging.getLogger(__name__)

_REPORT_SECONDS = 10.0


class Holder(Protocol):
    """A connection that buffers bytes.

    Attributes:
        held: buffered bytes of requests, until they have a response, and of responses, until they are sent. A large
            request counts with its pages until it is complete.
    """

    held: int

    def shed(self) -> None:
        """Release what is buffered, by ending requests or the connection."""


class Capacity:
    """The shared capacity of one event loop.

    Buffered bytes have a limit. Beyond it, the connection that holds the most is closed, so that one client cannot
    block the others.

    Args:
        loop: the event loop.
        max_buffered_bytes: the limit, over all connections.

    Attributes:
        turns: of connections that have received more than one turn allows.
        buffered_bytes: of all connections.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, max_buffered_bytes: int) -> None:
        self.turns = Turns(loop)
        self.buffered_bytes = 0
        self._loop = loop
        self._max_bytes = max_buffered_bytes
        self._holders: set[Holder] = set()
        self._is_shedding = False
        self._reported = -_REPORT_SECONDS

    def join(self, holder: Holder) -> None:
        """Register a connection, which holds nothing yet."""
        self._holders.add(holder)

    def leave(self, holder: Holder) -> None:
        """Remove a connection, and what it holds."""
        self._holders.discard(holder)
        self.hold(holder, -holder.held)

    def hold(self, holder: Holder, size: int) -> None:
        """Count bytes that a connection has buffered, or released if ``size`` is negative."""
        holder.held += size
        self.buffered_bytes += size
        if self.buffered_bytes > self._max_bytes and not self._is_shedding:
            self._is_shedding = True
            self._loop.call_soon(self._shed)  # not within the code that has buffered more

    def _shed(self) -> None:
        self._is_shedding = False
        while self.buffered_bytes > self._max_bytes:
            largest = max(self._holders, key=lambda holder: holder.held)
            self._report(largest.held)
            before = self.buffered_bytes
            largest.shed()
            if self.buffered_bytes >= before:  # it is closed in the next iterations of the loop
                break

    def _report(self, size: int) -> None:
        now = self._loop.time()
        if now - self._reported >= _REPORT_SECONDS:
            self._reported = now
            logger.warning(
                "server.max_buffered_bytes, %d, is reached: the connection that holds the most, %d bytes, is ended",
                self._max_bytes,
                size,
            )

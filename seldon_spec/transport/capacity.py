"""What the connections of a worker share: turns on its event loop, and memory for what they have buffered."""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

from seldon_spec.transport.turns import Turns

logger = logging.getLogger(__name__)

_REPORT_SECONDS = 10.0


class Holder(Protocol):
    """A connection, as far as its memory is concerned.

    Attributes:
        held: bytes that it has buffered: of requests, until they are answered, and of responses, until they are sent.
    """

    held: int

    def shed(self) -> None:
        """Release what is held, by ending requests or the whole connection."""


class Capacity:
    """The shared capacity of one event loop.

    Buffered bytes have a limit. Above it, the connection that holds the most is ended, so one client cannot block
    the others.

    Args:
        loop: the event loop.
        max_buffered_bytes: the limit, over all connections.

    Attributes:
        turns: where connections wait that have received more than one turn allows.
        buffered_bytes: what all of them hold.
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
        """A connection begins; it holds nothing yet."""
        self._holders.add(holder)

    def leave(self, holder: Holder) -> None:
        """A connection has ended; what it held is released."""
        self._holders.discard(holder)
        self.hold(holder, -holder.held)

    def hold(self, holder: Holder, size: int) -> None:
        """A connection has buffered so many bytes more, or fewer where ``size`` is negative."""
        holder.held += size
        self.buffered_bytes += size
        if self.buffered_bytes > self._max_bytes and not self._is_shedding:
            self._is_shedding = True
            self._loop.call_soon(self._shed)  # not in the midst of whatever has buffered more

    def _shed(self) -> None:
        self._is_shedding = False
        while self.buffered_bytes > self._max_bytes:
            largest = max(self._holders, key=lambda holder: holder.held)
            self._report(largest.held)
            before = self.buffered_bytes
            largest.shed()
            if self.buffered_bytes >= before:  # it could not, and is cut off in a moment
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

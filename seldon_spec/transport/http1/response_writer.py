"""Responses of one HTTP/1.1 connection, to its transport."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from seldon_spec.transport.http1.messages import ResponseHead
from seldon_spec.transport.tcp import count_acknowledged, count_unsent

_JOIN_BYTES = 16384
"""Up to this size, head and body are sent in one piece; copying more would cost more than a second piece."""

_TLS_BYTES = 1 << 18
"""With TLS, more is written in pieces: what is written at once counts neither as buffered nor as unread."""

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

CLOSE, KEEP_ALIVE = b"connection: close\r\n", b"connection: keep-alive\r\n"

STATUS_PREFIX = b"HTTP/1.1 "
"""The first bytes of every response.

They are sent as soon as the client has closed its side. A client that waits for the response expects them; one that
has closed its socket resets the connection, and its request is cancelled. Both look alike without them.
"""


class ResponseWriter:
    """Writes the responses of one connection.

    Args:
        date_line: returns the header ``date``, with its line break.
        is_secure: the connection uses TLS.
    """

    __slots__ = ("_acknowledged", "_date_line", "_has_prefix", "_is_secure", "_transport")

    _transport: asyncio.Transport

    def __init__(self, date_line: Callable[[], bytes], *, is_secure: bool) -> None:
        self._date_line = date_line
        self._is_secure = is_secure
        self._has_prefix = False
        self._acknowledged = 0

    def open(self, transport: asyncio.Transport) -> None:
        """Use this transport."""
        self._transport = transport

    def write_continue(self) -> None:
        """Ask the client to send the body."""
        self._transport.write(_CONTINUE)

    def write_prefix(self) -> None:
        """Write the first bytes of the next response."""
        if not self._has_prefix:
            self._has_prefix = True
            self._transport.write(STATUS_PREFIX)

    def write(self, head: ResponseHead, body: bytes | memoryview, length: int, connection: bytes) -> None:
        """Write a response.

        Args:
            head: status and headers.
            body: empty if the response has none.
            length: the ``content-length``.
            connection: the header of this name, with its line break, or nothing.
        """
        measure = b"content-length: %d\r\n" % length if head.has_length else b""
        status_line = head.status_line
        if self._has_prefix:
            status_line, self._has_prefix = status_line.removeprefix(STATUS_PREFIX), False
        if len(body) <= _JOIN_BYTES:
            parts = (status_line, self._date_line(), measure, head.lines, connection, b"\r\n", body)
            self._transport.write(b"".join(parts))
            return
        self._transport.write(b"".join((status_line, self._date_line(), measure, head.lines, connection, b"\r\n")))
        if len(body) <= _TLS_BYTES or not self._is_secure:
            self._transport.write(body)
        else:
            view = memoryview(body)
            for at in range(0, len(body), _TLS_BYTES):
                self._transport.write(view[at : at + _TLS_BYTES])

    def count_from_here(self) -> None:
        """Start counting what the client acknowledges."""
        self._acknowledged = count_acknowledged(self._transport)

    def has_progress(self, min_bytes: float) -> bool:
        """Return True if the client has acknowledged so many bytes since the last count, but not yet all."""
        before = self._acknowledged
        self.count_from_here()
        return count_unsent(self._transport) > 0 and self._acknowledged - before >= min_bytes

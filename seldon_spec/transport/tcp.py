"""Properties of a connection that asyncio does not report; only Linux has all of them."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import socket
import struct
import termios

_CLOSED = 7
"""The state of a socket that has been reset, on Linux."""

_BYTES_ACKED = struct.Struct("120xQ")
"""The position of the number of acknowledged bytes in ``struct tcp_info`` of Linux."""


def count_unsent(transport: asyncio.Transport) -> int:
    """Return how many bytes the client has not acknowledged yet: those in the buffers of asyncio and of the system.

    With TLS, asyncio may have more of them, in a buffer of unknown size.
    """
    return transport.get_write_buffer_size() + _count(transport, termios.TIOCOUTQ)


def count_acknowledged(transport: asyncio.Transport, written: int = 0) -> int:
    """Return how many bytes the client has acknowledged, counted from any point: only differences are meaningful.

    The buffer of the system can have several megabytes, so the progress of a slow reader is visible only here.

    Args:
        transport: of the connection.
        written: bytes that were written; used if the system does not count those that were acknowledged.
    """
    connection = transport.get_extra_info("socket")
    if connection is not None and hasattr(socket, "TCP_INFO"):
        with contextlib.suppress(OSError, struct.error):  # the socket is closed, or the system has fewer counters
            info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _BYTES_ACKED.size)
            (acknowledged,) = _BYTES_ACKED.unpack(info)
            if acknowledged:
                return int(acknowledged)
    return written - count_unsent(transport)


def has_unread(transport: asyncio.Transport) -> bool:
    """Return True if the client has sent more than has been read."""
    return _count(transport, termios.FIONREAD) > 0


def is_reset(transport: asyncio.Transport) -> bool:
    """Return True if the client has reset the connection; asyncio reads nothing more after the client's end."""
    connection = transport.get_extra_info("socket")
    try:
        if hasattr(socket, "TCP_INFO"):
            return bool(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == _CLOSED)
        return bool(connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
    except OSError:
        return True


def _count(transport: asyncio.Transport, request: int) -> int:
    connection = transport.get_extra_info("socket")
    size = bytearray(struct.calcsize("i"))
    if connection is not None:
        with contextlib.suppress(OSError, ValueError):  # the socket is closed, or the system has no counter
            fcntl.ioctl(connection.fileno(), request, size)
    return int(struct.unpack("i", size)[0])

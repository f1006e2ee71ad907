"""A port of HTTP/1.1."""

from __future__ import annotations

import socket
import ssl
import time
from email.utils import formatdate

from seldon_spec.transport.capacity import Capacity
from seldon_spec.transport.http1.connection import HttpConnection, HttpLimits
from seldon_spec.transport.http1.head_cache import HeadCache
from seldon_spec.transport.http1.messages import HttpApp
from seldon_spec.transport.listener import Listener


class HttpPort(Listener):
    """A listening socket of HTTP.

    Args:
        app: handles the requests.
        listening: the socket.
        limits: the timeouts of connections.
        max_connections: limit of open connections.
        tls: None: plain text.
        capacity: shared by all listeners of a worker.

    Attributes:
        heads: the heads that were seen before.
    """

    def __init__(
        self,
        app: HttpApp,
        listening: socket.socket,
        limits: HttpLimits,
        max_connections: int,
        tls: ssl.SSLContext | None = None,
        *,
        capacity: Capacity,
    ) -> None:
        super().__init__(listening, max_connections, tls, limits.header_timeout_seconds, capacity=capacity)
        self.app = app
        self.limits = limits
        self.heads = HeadCache(app)
        self._date_second = 0
        self._date_line = b""

    def make_connection(self) -> HttpConnection:
        return HttpConnection(self)

    def date_line(self) -> bytes:
        """Return the header ``date`` of a response, formatted once a second."""
        now = int(time.time())
        if now != self._date_second:
            self._date_second = now
            self._date_line = b"date: %b\r\n" % formatdate(now, usegmt=True).encode()
        return self._date_line

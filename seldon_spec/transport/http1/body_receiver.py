"""The rest of a large body, from the socket into the memory of the body."""

from __future__ import annotations

import asyncio

from seldon_spec.transport.http1.request_reader import RequestReader


class BodyReceiver(asyncio.BufferedProtocol):
    """Receives the rest of a large body without a copy, as the protocol of the transport until it is complete.

    Args:
        connection: stays in charge of the transport, and continues when the body is complete.
        reader: reads the body.
        transport: of the connection.
        is_secure: the transport uses TLS, which makes a copy; bodies are not received here.
    """

    __slots__ = ("_connection", "_is_secure", "_reader", "_transport")

    def __init__(
        self, connection: asyncio.Protocol, reader: RequestReader, transport: asyncio.Transport, *, is_secure: bool
    ) -> None:
        self._connection = connection
        self._reader = reader
        self._transport = transport
        self._is_secure = is_secure

    def start(self) -> None:
        """Receive what is missing of a body, if it is a large one."""
        if self._reader.free and not self._is_secure and self._transport.get_protocol() is not self:
            self._transport.set_protocol(self)

    def stop(self) -> None:
        """Receive nothing more: the body is complete, or not wanted."""
        if self._reader.free is not None and self._transport.get_protocol() is self:
            self._transport.set_protocol(self._connection)

    def get_buffer(self, _size: int) -> memoryview:
        free = self._reader.free
        assert free is not None
        return free

    def buffer_updated(self, size: int) -> None:
        if self._reader.advance(size):
            if self._reader.is_body_complete:
                self.stop()
            self._connection.data_received(b"")

    def eof_received(self) -> bool | None:
        return self._connection.eof_received()

    def connection_lost(self, error: Exception | None) -> None:
        self._connection.connection_lost(error)

    def pause_writing(self) -> None:
        self._connection.pause_writing()

    def resume_writing(self) -> None:
        self._connection.resume_writing()

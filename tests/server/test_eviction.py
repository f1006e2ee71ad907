"""Which connection is closed if there are too many: real sockets, and a clock that the tests set."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from seldon_spec.errors import RequestError
from seldon_spec.protocols.seldon_v1.errors import describe
from seldon_spec.transport.capacity import Capacity
from seldon_spec.transport.http1.connection import HttpLimits
from seldon_spec.transport.http1.messages import RequestCycle, RequestHead, ResponseHead
from seldon_spec.transport.http1.port import HttpPort
from seldon_spec.transport.listener import Connection

MAX_CONNECTIONS = 8
RENEWALS = 40
WAIT_SECONDS = 20
OK = b"HTTP/1.1 200 OK"
REQUEST = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"


class Ok:
    """An ``HttpApp`` that responds with 200, and refuses as the REST port does."""

    max_body_bytes = 1000

    def find_handler(self, _head: RequestHead) -> Ok:
        return self

    def vary(
        self, _head: RequestHead, _handler: object, _names: Sequence[bytes]
    ) -> Callable[[RequestHead, Sequence[bytes]], Ok]:
        return lambda _head, _values: self

    def begin(self, cycle: RequestCycle) -> None:
        cycle.respond(ResponseHead(200, []), b"")

    def is_probe(self, _head: RequestHead) -> bool:
        return False

    def refuse(self, error: RequestError, _head: RequestHead | None, _path: str = "") -> tuple[ResponseHead, bytes]:
        return ResponseHead(describe(error).http, []), b""


class Port(HttpPort):
    """A port with a clock of its own."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.clock = 100.0
        self.added: asyncio.Queue[Connection] = asyncio.Queue()

    def now(self) -> float:
        return self.clock

    def add(self, connection: Connection) -> None:
        super().add(connection)
        self.added.put_nowait(connection)


class Client:
    """A connection to the port."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def ask(self) -> bytes:
        """Send a request; returns the status line, empty if the connection is closed."""
        with contextlib.suppress(ConnectionError):
            self.writer.write(REQUEST)
            response = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), WAIT_SECONDS)
            return response.split(b"\r\n")[0]
        return b""

    async def is_closed(self) -> bool:
        return await asyncio.wait_for(self.reader.read(1), WAIT_SECONDS) == b""


class Served:
    """A port that is being served, and its clients."""

    def __init__(self, port: Port) -> None:
        self.port = port
        self._clients: list[Client] = []

    async def connect(self) -> Client:
        """Connect, and wait until the port has accepted."""
        client = Client(*await asyncio.open_connection(*self.port.address))
        self._clients.append(client)
        await asyncio.wait_for(self.port.added.get(), WAIT_SECONDS)
        self.port.clock += 0.001  # so that connections have an order
        return client

    async def connect_and_ask(self) -> Client:
        client = await self.connect()
        assert await client.ask() == OK
        return client

    async def close(self) -> None:
        for client in self._clients:
            client.writer.close()
        await self.port.abort()


@asynccontextmanager
async def serve() -> AsyncIterator[Served]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        loop = asyncio.get_running_loop()
        limits = HttpLimits(header_timeout_seconds=1000, body_timeout_seconds=1000, keep_alive_seconds=1000)
        port = Port(Ok(), listening, limits, MAX_CONNECTIONS, capacity=Capacity(loop, 1 << 30))
        port.start()
        served = Served(port)
        try:
            yield served
        finally:
            await served.close()


async def used_while_silent_ones_are_renewed() -> None:
    async with serve() as served:
        kept = await served.connect_and_ask()
        silent = [await served.connect() for _ in range(MAX_CONNECTIONS - 1)]
        for number in range(RENEWALS):
            silent.append(await served.connect())
            assert await silent.pop(0).is_closed()
            if number % 3 == 0:
                assert await kept.ask() == OK


def test_a_used_connection_is_kept_while_silent_ones_are_renewed() -> None:
    asyncio.run(used_while_silent_ones_are_renewed())


async def new_while_silent_ones_are_renewed() -> None:
    async with serve() as served:
        for _ in range(RENEWALS):
            client = await served.connect()
            for _ in range(MAX_CONNECTIONS // 2 - 1):
                await served.connect()
            assert await client.ask() == OK


def test_a_new_connection_has_time_for_its_request_while_silent_ones_are_renewed() -> None:
    asyncio.run(new_while_silent_ones_are_renewed())


async def idle_for_a_second() -> None:
    async with serve() as served:
        idle = [await served.connect_and_ask(), await served.connect()]
        served.port.clock += 1
        others = [await served.connect() for _ in range(MAX_CONNECTIONS - 2)]
        for each in idle:
            await served.connect_and_ask()
            assert await each.is_closed()
        assert await others[0].ask() == OK


def test_a_connection_that_is_idle_for_a_second_is_closed_first() -> None:
    asyncio.run(idle_for_a_second())


async def few_are_silent() -> None:
    async with serve() as served:
        used = [await served.connect_and_ask() for _ in range(MAX_CONNECTIONS // 2 + 1)]
        silent = [await served.connect() for _ in range(MAX_CONNECTIONS - len(used))]
        await served.connect_and_ask()
        assert await used[0].is_closed()
        for each in (*silent, *used[1:]):
            assert await each.ask() == OK


def test_if_few_connections_are_silent_the_one_that_is_idle_the_longest_is_closed() -> None:
    asyncio.run(few_are_silent())

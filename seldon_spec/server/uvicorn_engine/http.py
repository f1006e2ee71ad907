"""HTTP served by uvicorn: an adapter between ASGI and ``HttpApp``, which handles complete requests."""

from __future__ import annotations

import asyncio
import contextlib
import math
import socket
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, MutableMapping
from typing import Any, TypeAlias

import httptools
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from seldon_spec.config.model import ServerSpec
from seldon_spec.errors import RequestError, TooLarge
from seldon_spec.transport.http1.head import find_path, make_head
from seldon_spec.transport.http1.messages import Body, HttpApp, RequestHead, ResponseHead
from seldon_spec.transport.http1.response_writer import STATUS_PREFIX
from seldon_spec.transport.tcp import is_reset
from seldon_spec.transport.tls import TlsFiles

Scope: TypeAlias = MutableMapping[str, Any]
Event: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Event]]
Send: TypeAlias = Callable[[Event], Awaitable[None]]

_CLOSE = (b"connection", b"close")

TARGET = "seldon_spec.target"
"""The key in the ``state`` of a scope for the request target as received."""

_RESET_CHECK_SECONDS = 0.5
"""The interval at which a half-closed connection is checked for a reset."""

_CLOSE_SECONDS = 2.0
"""How long connections may take to close once no request is in flight."""

_LINGER_SECONDS = 2.0
_LINGER_BYTES = 64 << 20
"""After a rejected request, input is read and discarded for this long and up to this size."""


class ClientGone(Exception):
    """The client closed the connection before its request was complete."""


class AsgiCycle:
    """The ``RequestCycle`` of one request that uvicorn has received."""

    def __init__(self, scope: Scope, body: Body, head: RequestHead) -> None:
        self.head = head
        self.scheme: str = scope.get("scheme", "http")
        self.client: str = (scope.get("client") or ("", 0))[0]
        self.server: tuple[str, int] = tuple(scope.get("server") or ("", 0))
        self.on_gone: Callable[[], object] | None = None
        self.outcome: asyncio.Future[tuple[ResponseHead, bytes, int | None]] = (
            asyncio.get_running_loop().create_future()
        )
        self._body = body

    def take_body(self) -> Body:
        """Hand over the body, once."""
        body, self._body = self._body, b""
        return body

    def respond(self, head: ResponseHead, body: bytes | memoryview, length: int | None = None) -> None:
        """Set the response."""
        self.on_gone = None
        if not self.outcome.done():
            self.outcome.set_result((head, bytes(body), length))


class AsgiApp:
    """An ASGI application that runs an ``HttpApp``."""

    def __init__(self, app: HttpApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        head: RequestHead | None = None
        try:
            head = _head_of(scope)
            handler = self._app.find_handler(head)
            body = await self._read_body(head, receive)
        except ClientGone:
            return
        except RequestError as error:
            await self._refuse(error, head, scope, receive, send)
            return
        cycle = AsgiCycle(scope, body, head)
        handler.begin(cycle)
        if not cycle.outcome.done():
            await _wait_for_response(cycle, receive)
        if cycle.outcome.done():
            await _send(send, head, *cycle.outcome.result())

    async def _read_body(self, head: RequestHead, receive: Receive) -> Body:
        if head.content_length > self._app.max_body_bytes:
            raise TooLarge(self._too_large())
        body = bytearray()
        async for chunk in _chunks(receive):
            body += chunk
            if len(body) > self._app.max_body_bytes:
                raise TooLarge(self._too_large())
        return body

    def _too_large(self) -> str:
        return f"the body is larger than server.max_body_bytes, {self._app.max_body_bytes}"

    async def _refuse(
        self, error: RequestError, head: RequestHead | None, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Send an error response, and close the connection after a delay.

        Closing a connection with unread bytes resets it, and the client would not receive the response.
        """
        line = b"%b %b HTTP/1.1\r\n" % (scope["method"].encode(), scope["state"][TARGET])
        response, body = self._app.refuse(error, head, find_path(line))
        closing = ResponseHead(response.status, [*response.headers, _CLOSE])
        await send(_start(closing, len(body)))
        await send({"type": "http.response.body", "body": body, "more_body": True})
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(_discard(receive), _LINGER_SECONDS)
        await send({"type": "http.response.body", "body": b""})


def _head_of(scope: Scope) -> RequestHead:
    return make_head(scope["method"], scope["state"][TARGET], scope["http_version"], scope["headers"])


async def _wait_for_response(cycle: AsgiCycle, receive: Receive) -> None:
    watching = asyncio.ensure_future(receive())  # after a complete body, the only event is a disconnect
    either: list[asyncio.Future[Any]] = [cycle.outcome, watching]
    try:
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    finally:  # also if a server cancels the request
        if not cycle.outcome.done() and cycle.on_gone is not None:
            cycle.on_gone()
        watching.cancel()


async def _send(send: Send, request: RequestHead, head: ResponseHead, body: bytes, length: int | None) -> None:
    if not head.has_body:
        body, length = b"", 0
    start = _start(head, len(body) if length is None else length)
    if not request.is_kept:
        start["headers"].append(_CLOSE)
    await send(start)
    await send({"type": "http.response.body", "body": b"" if request.method == "HEAD" else body})


def _start(head: ResponseHead, length: int) -> Event:
    framing = [(b"content-length", b"%d" % length)] if head.has_length else []
    return {"type": "http.response.start", "status": head.status, "headers": [*framing, *head.headers]}


async def _chunks(receive: Receive) -> AsyncGenerator[bytes, None]:
    more = True
    while more:
        event = await receive()
        if event["type"] == "http.disconnect":
            raise ClientGone
        yield event.get("body", b"")
        more = event.get("more_body", False)


async def _discard(receive: Receive) -> None:
    """Read and discard the rest of a request, up to a limit."""
    size = 0
    with contextlib.suppress(ClientGone):
        async for chunk in _chunks(receive):
            size += len(chunk)
            if size > _LINGER_BYTES:
                return


class UvicornListener:
    """uvicorn on a listening socket, without its own signal handlers and logs.

    Args:
        app: handles the requests.
        listening: the socket.
        server: only the keys that uvicorn supports have an effect.
        tls: None: plain text.
    """

    def __init__(self, app: HttpApp, listening: socket.socket, server: ServerSpec, tls: TlsFiles | None) -> None:
        config = uvicorn.Config(
            AsgiApp(app),
            http=_Protocol,
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=math.ceil(server.keep_alive_seconds),
            **({} if tls is None else _tls_settings(tls)),
        )
        self._server = _SilentServer(config)
        self._socket = listening
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start accepting connections."""
        self._task = asyncio.get_running_loop().create_task(self._server.serve(sockets=[self._socket]))

    async def drain(self) -> None:
        """Stop accepting connections, and wait until all requests have their responses."""
        self._server.should_exit = True
        if self._task is not None:
            await asyncio.wait([self._task])

    async def abort(self) -> None:
        """Close all connections at once."""
        for listener in getattr(self._server, "servers", ()):
            listener.close()
        for _ in range(3):  # iterations of the loop, in which connections that were just accepted appear
            for connection in list(self._server.server_state.connections):
                connection.transport.abort()
            await asyncio.sleep(0)
        self._server.force_exit = True

    async def close(self) -> None:
        """Close what is left, once the responses are sent."""
        if self._task is None:
            return
        self._server.should_exit = True
        _, running = await asyncio.wait([self._task], timeout=_CLOSE_SECONDS)
        if running:
            self._server.force_exit = True
            self._task.cancel()
            await asyncio.wait([self._task], timeout=_CLOSE_SECONDS)


def _tls_settings(tls: TlsFiles) -> dict[str, Any]:
    settings: dict[str, Any] = {"ssl_certfile": tls.certificate, "ssl_keyfile": tls.key}
    if tls.client_ca is not None:
        settings |= {"ssl_ca_certs": str(tls.client_ca), "ssl_cert_reqs": ssl.CERT_REQUIRED}
    return settings


class _Transport:
    """A transport that can send the first bytes of a response before the rest is known."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._is_prefixed = False

    def begin_response(self) -> None:
        """Send the bytes that start every response."""
        if not self._is_prefixed:
            self._is_prefixed = True
            self._transport.write(STATUS_PREFIX)

    def write(self, data: bytes) -> None:
        """Write a response, without the bytes already sent."""
        self._transport.write(data.removeprefix(STATUS_PREFIX) if self._is_prefixed else data)
        self._is_prefixed = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class _Protocol(HttpToolsProtocol):
    """Handle requests as the native engine does, where uvicorn itself does not.

    - The application reads the target of a request, as the first line has it.
    - White space around the value of a header does not belong to it.
    - A client that half-closes the connection after its requests receives the responses.
    - Offers to switch to another protocol (h2c, WebSocket, TLS) are ignored, as RFC 9110 section 7.8 permits. httptools
      skips the body of a request with such an offer, so the application would receive an empty one.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.parser = _NoUpgradeParser(self)
        with contextlib.suppress(AttributeError):  # httptools before 0.6.3
            self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does
        self._is_skipping = self._has_eof = False
        self._running: RequestResponseCycle | None = None

    def connection_made(self, transport: Any) -> None:
        """Handle a new connection."""
        super().connection_made(transport)
        self.transport: Any = _Transport(transport)

    def eof_received(self) -> bool | None:  # type: ignore[override]
        """Handle a half-closed connection: keep it only for the responses to complete requests."""
        if self.cycle is not None and self.cycle.more_body:  # the rest of this request will not arrive
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self._is_over() or self.transport.get_extra_info("sslcontext") is not None:
            return None
        self._has_eof = True
        self._follow_eof()
        self._check_for_reset()
        return True

    def on_response_complete(self) -> None:
        """Start the next request, if there is one."""
        self._running = self.pipeline[-1][0] if self.pipeline else None
        super().on_response_complete()
        if self._has_eof:
            self._follow_eof()

    def _is_over(self) -> bool:
        """Return True if there is no request whose response can be sent."""
        cycle = self.cycle
        return cycle is None or (not self.pipeline and (cycle.response_complete or cycle.disconnected))

    def _follow_eof(self) -> None:
        if self._is_over():
            self.transport.close()
        elif self._running is not None and not self._running.response_started:
            self.transport.begin_response()

    def _check_for_reset(self) -> None:
        """Check periodically for a reset; asyncio stops reading after the client's EOF."""
        if self.transport.is_closing():
            return
        if is_reset(self.transport):
            self.transport.abort()
        else:
            self.loop.call_later(_RESET_CHECK_SECONDS, self._check_for_reset)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Add a header."""
        super().on_header(name, value.rstrip(b" \t"))

    def on_headers_complete(self) -> None:
        """Start the request, unless its body would be skipped."""
        self._is_skipping = self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT"
        if not self._is_skipping:
            self.scope["state"][TARGET] = self.url
            self.url = b"/"  # uvicorn refuses some targets that are valid, and never sees the authority
            super().on_headers_complete()
            if not self.pipeline:
                self._running = self.cycle

    def on_message_complete(self) -> None:
        """End the request's body."""
        if not self._is_skipping:
            super().on_message_complete()

    def write_head(self) -> bytes | None:
        """Return the head of the request whose body was skipped, without the offer; None: no body was skipped."""
        if not self._is_skipping:
            return None
        lines = [b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())]
        lines += [b"%b: %b" % header for header in self.headers if header[0] != b"upgrade"]
        return b"\r\n".join([*lines, b"", b""])


class _NoUpgradeParser(httptools.HttpRequestParser):
    """Parse a request that offers an upgrade again, from a head without the offer."""

    def __init__(self, protocol: _Protocol) -> None:
        super().__init__(protocol)
        self._protocol = protocol

    def feed_data(self, data: Any) -> None:
        """Parse the bytes.

        Raises:
            HttpParserError: they are not HTTP.
            HttpParserUpgrade: a CONNECT request.
        """
        while data:
            data = self._feed(data)

    def _feed(self, data: bytes) -> bytes:
        """Parse up to the end of a head with an offer; return the rest."""
        try:
            super().feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            head = self._protocol.write_head()
            if head is None:
                raise
            super().feed_data(head)
            return data[upgrade.args[0] :]
        return b""


class _SilentServer(uvicorn.Server):
    """A uvicorn server without signal handlers."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield

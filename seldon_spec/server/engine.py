"""The engine: how bytes are read and written on one event loop, by our own protocols or by uvicorn and grpcio.

Everything above knows an engine by the methods of ``Engine``, and that knows a port by those of ``Listener``.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Protocol

from seldon_spec.config.model import Spec
from seldon_spec.inference.component.base import Component
from seldon_spec.inference.dispatcher import Dispatcher
from seldon_spec.observability.request_context import RequestLog
from seldon_spec.server.auth import TokenAuth
from seldon_spec.server.bridge import ExecutorBridge, RequestLimits
from seldon_spec.server.metrics_port import MetricsPage
from seldon_spec.server.rest.rest_app import RestApp
from seldon_spec.server.rest.wsgi import WsgiApp
from seldon_spec.server.sockets import Sockets, port_of
from seldon_spec.transport.buffers import buffered_limit
from seldon_spec.transport.capacity import Capacity
from seldon_spec.transport.http1.messages import HttpApp
from seldon_spec.transport.tls import TlsFiles


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Uvloop's where it is installed, else Python's own."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


class Listener(Protocol):
    """One port of HTTP."""

    def start(self) -> None:
        """Take connections."""

    async def drain(self) -> None:
        """Take no more connections, and wait until those that there are have had their answers."""

    async def abort(self) -> None:
        """Cut all connections."""

    async def close(self) -> None:
        """End everything that is left, once what has been answered is sent."""


class GrpcListener(Listener, Protocol):
    """The port of gRPC."""

    def set_serving(self) -> None:
        """Have the health service say SERVING."""

    def set_not_serving(self) -> None:
        """Have it say NOT_SERVING; calls are answered as before."""


class Engine:
    """The transports of one worker; to be made on the running event loop.

    Args:
        dispatcher: answers the requests.
        notes: takes and ends the requests' notes.
        make_app: makes the Flask app, which has the REST routes.
        sockets: bound, and for HTTP listening.
        spec: bounds and paths.
        bounds: what the requests may take.
        render_metrics: returns the metrics page; called on another thread.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        notes: RequestLog,
        make_app: Callable[[], WsgiApp],
        sockets: Sockets,
        spec: Spec,
        bounds: RequestLimits,
        render_metrics: Callable[[], bytes],
    ) -> None:
        self._lane = ExecutorBridge(dispatcher, bounds)
        self._front = RestApp(dispatcher, self._lane, notes, spec, make_app)
        capacity = Capacity(asyncio.get_running_loop(), buffered_limit(spec.server))
        page = MetricsPage(render_metrics, spec.unit.metrics_path, TokenAuth(spec.server.auth))
        self._rest = _listen(self._front, sockets.http, spec, capacity)
        self._metrics = _listen(page, sockets.metrics, spec, capacity)
        self._grpc = None if sockets.grpc is None else _listen_for_grpc(self._lane, notes, sockets.grpc, spec, capacity)
        self._ports = [self._rest, self._metrics, *([] if self._grpc is None else [self._grpc])]

    def start(self) -> None:
        """Take connections."""
        for port in self._ports:
            port.start()

    def set_serving(self, component: Component) -> None:
        """The component is built."""
        self._front.begin(component)
        if self._grpc is not None:
            self._grpc.set_serving()

    def set_not_serving(self) -> None:
        """The server means to end; it goes on until it is drained."""
        if self._grpc is not None:
            self._grpc.set_not_serving()

    async def drain(self, seconds: float) -> None:
        """Take no more connections, except the metrics', and give what is under way this long to end."""
        draining = [asyncio.ensure_future(port.drain()) for port in self._ports if port is not self._metrics]
        try:
            await asyncio.wait(draining, timeout=seconds)
        finally:
            for task in draining:
                task.cancel()

    async def abort(self) -> None:
        """Close everything at once: the component will never be ready, and nobody gets an answer."""
        self._front.abort()
        await asyncio.gather(*(port.abort() for port in self._ports))
        await self.close()

    async def close(self) -> None:
        """Close everything, whatever is still under way; the dispatcher has been stopped."""
        self._lane.stop()
        await asyncio.gather(*(port.close() for port in self._ports))
        self._front.close()


def _listen(app: HttpApp, listening: socket.socket, spec: Spec, capacity: Capacity) -> Listener:
    server, tls = spec.server, TlsFiles.of(spec)
    if server.engine == "uvicorn":
        from seldon_spec.server.uvicorn_engine.http import UvicornListener

        return UvicornListener(app, listening, server, tls)
    from seldon_spec.transport.http1.connection import HttpLimits
    from seldon_spec.transport.http1.port import HttpPort

    limits = HttpLimits(server.header_timeout_seconds, server.body_timeout_seconds, server.keep_alive_seconds)
    context = None if tls is None else tls.make_context("http/1.1")
    return HttpPort(app, listening, limits, server.max_connections, context, capacity=capacity)


def _listen_for_grpc(
    lane: ExecutorBridge, notes: RequestLog, bound: socket.socket, spec: Spec, capacity: Capacity
) -> GrpcListener:
    tls = TlsFiles.of(spec)
    if spec.server.engine == "uvicorn":
        from seldon_spec.server.uvicorn_engine.grpc import GrpcioServer

        return GrpcioServer(lane, notes, spec, port_of(bound), tls)
    from seldon_spec.server.grpc.port import GrpcPort

    context = None if tls is None else tls.make_context("h2")
    return GrpcPort(lane, notes, spec, bound, context, capacity=capacity)

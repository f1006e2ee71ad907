"""The engine: the ports of one worker on one event loop, served by our own transports or by uvicorn and grpcio."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Sequence
from typing import Protocol

from seldon_spec.config.model import Spec
from seldon_spec.inference.component.base import Component
from seldon_spec.inference.dispatcher import Dispatcher
from seldon_spec.observability.request_context import RequestLog
from seldon_spec.protocols.grpc_protocol import GrpcProtocol
from seldon_spec.protocols.open_inference_v2.grpc_methods import open_inference_v2_grpc
from seldon_spec.protocols.seldon_v1.grpc_methods import seldon_v1_grpc
from seldon_spec.server.auth import TokenAuth
from seldon_spec.server.bridge import ExecutorBridge, RequestLimits
from seldon_spec.server.metrics_port import MetricsPage
from seldon_spec.server.rest.rest_app import RestApp
from seldon_spec.server.rest.wsgi import WsgiApp
from seldon_spec.server.sockets import Sockets, port_of
from seldon_spec.server.transport_settings import buffered_limit, find_tls_files
from seldon_spec.transport.capacity import Capacity
from seldon_spec.transport.http1.messages import HttpApp

logger = logging.getLogger(__name__)

_READINESS_SECONDS = 1.0
_UNREADY_SECONDS = 0.1
"""The intervals at which the readiness of a graph is checked while it is ready and while it is not."""


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Return an event loop of uvloop if it is installed, otherwise of asyncio."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


def import_transports(spec: Spec) -> None:
    """Import what an engine needs, before the process forks; not grpcio, which does not allow that."""
    if spec.server.engine == "native":
        import seldon_spec.server.grpc.port
        import seldon_spec.transport.http1.port  # noqa: F401
    new_event_loop().close()


class Listener(Protocol):
    """A port that is served."""

    def start(self) -> None:
        """Start accepting connections."""

    async def drain(self) -> None:
        """Stop accepting connections, and wait until all requests have their responses."""

    async def abort(self) -> None:
        """Close all connections at once."""

    async def close(self) -> None:
        """Close what is left, once the responses are sent."""


class GrpcListener(Listener, Protocol):
    """The gRPC port."""

    def set_serving(self) -> None:
        """Set the health service to SERVING."""

    def set_not_serving(self) -> None:
        """Set the health service to NOT_SERVING; calls are still handled."""


class Engine:
    """The ports of one worker; created on the running event loop.

    Args:
        dispatcher: of the component.
        request_log: creates and ends the contexts of requests.
        make_app: creates the Flask app, if a request needs it.
        sockets: bound, and listening except for gRPC.
        spec: its limits and paths are used.
        limits: of the requests.
        render_metrics: returns the metrics page; called on another thread.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        request_log: RequestLog,
        make_app: Callable[[], WsgiApp],
        sockets: Sockets,
        spec: Spec,
        limits: RequestLimits,
        render_metrics: Callable[[], bytes],
    ) -> None:
        self._dispatcher = dispatcher
        self._bridge = ExecutorBridge(dispatcher, limits)
        self._rest_app = RestApp(dispatcher, self._bridge, request_log, spec, make_app)
        capacity = Capacity(asyncio.get_running_loop(), buffered_limit(spec.server))
        page = MetricsPage(render_metrics, spec.unit.metrics_path, TokenAuth(spec.server.auth))
        self._rest = _listen(self._rest_app, sockets.http, spec, capacity)
        self._metrics = _listen(page, sockets.metrics, spec, capacity)
        self._grpc: GrpcListener | None = None
        if sockets.grpc is not None:
            protocols = (seldon_v1_grpc(spec, dispatcher), open_inference_v2_grpc(spec, dispatcher))
            self._grpc = _listen_for_grpc(self._bridge, request_log, protocols, sockets.grpc, spec, capacity)
        self._ports = [self._rest, self._metrics, *([] if self._grpc is None else [self._grpc])]
        self._can_become_unready = spec.graph is not None
        self._is_serving: bool | None = None
        self._readiness_timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Start accepting connections."""
        for port in self._ports:
            port.start()

    def set_serving(self, component: Component) -> None:
        """Handle requests: the component is built."""
        self._rest_app.lifecycle.set_component(component)
        if self._can_become_unready:
            self._follow_readiness()
        elif self._grpc is not None:
            self._grpc.set_serving()

    def set_not_serving(self) -> None:
        """Report that the server is about to stop; requests are still handled until ``drain``."""
        self._stop_following()
        if self._grpc is not None:
            self._grpc.set_not_serving()

    def _follow_readiness(self) -> None:
        """Report each change of the component's readiness to the log and the gRPC health service."""
        is_ready, was_ready = self._dispatcher.is_ready, self._is_serving
        if is_ready is not was_ready:
            self._is_serving = is_ready
            if not is_ready:
                level = logging.INFO if was_ready is None else logging.WARNING  # servers may be connected still
                logger.log(level, "not ready: %s", self._dispatcher.describe_state())
            elif was_ready is not None:
                logger.info("ready")
            if self._grpc is not None:
                (self._grpc.set_serving if is_ready else self._grpc.set_not_serving)()
        seconds = _READINESS_SECONDS if is_ready else _UNREADY_SECONDS
        self._readiness_timer = asyncio.get_running_loop().call_later(seconds, self._follow_readiness)

    def _stop_following(self) -> None:
        if self._readiness_timer is not None:
            self._readiness_timer.cancel()

    async def drain(self, seconds: float) -> None:
        """Stop accepting connections except for metrics, and wait this long for the requests in flight."""
        draining = [asyncio.ensure_future(port.drain()) for port in self._ports if port is not self._metrics]
        try:
            await asyncio.wait(draining, timeout=seconds)
        finally:
            for task in draining:
                task.cancel()

    async def abort(self) -> None:
        """Close everything at once, without responses: the component will never be ready."""
        self._rest_app.lifecycle.abort()
        await asyncio.gather(*(port.abort() for port in self._ports))
        await self.close()

    async def close(self) -> None:
        """Close everything, even with requests in flight; the dispatcher has been stopped."""
        self._stop_following()
        self._bridge.stop()
        await asyncio.gather(*(port.close() for port in self._ports))
        self._rest_app.lifecycle.close()


def _listen(app: HttpApp, listening: socket.socket, spec: Spec, capacity: Capacity) -> Listener:
    server, tls = spec.server, find_tls_files(spec)
    if server.engine == "uvicorn":
        from seldon_spec.server.uvicorn_engine.http import UvicornListener

        return UvicornListener(app, listening, server, tls)
    from seldon_spec.transport.http1.connection import HttpLimits
    from seldon_spec.transport.http1.port import HttpPort

    limits = HttpLimits(server.header_timeout_seconds, server.body_timeout_seconds, server.keep_alive_seconds)
    context = None if tls is None else tls.make_context("http/1.1")
    return HttpPort(app, listening, limits, server.max_connections, context, capacity=capacity)


def _listen_for_grpc(
    bridge: ExecutorBridge,
    request_log: RequestLog,
    protocols: Sequence[GrpcProtocol],
    bound: socket.socket,
    spec: Spec,
    capacity: Capacity,
) -> GrpcListener:
    tls = find_tls_files(spec)
    if spec.server.engine == "uvicorn":
        from seldon_spec.server.uvicorn_engine.grpc import GrpcioServer

        return GrpcioServer(bridge, request_log, spec, protocols, port_of(bound), tls)
    from seldon_spec.server.grpc.port import GrpcPort

    context = None if tls is None else tls.make_context("h2")
    return GrpcPort(bridge, request_log, spec, protocols, bound, context, capacity=capacity)

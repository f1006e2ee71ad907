"""The engine: how bytes are read and written. uvicorn for HTTP and grpcio for gRPC, on one event loop.

Everything above knows an engine by ``start``, ``set_serving``, ``drain`` and ``close``; another one would be a class
with these beside this one.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Generator
from typing import Any

import uvicorn

from seldon_spec.dispatch import Dispatcher
from seldon_spec.payload.json_style import JsonStyle
from seldon_spec.server.bridge import Bridge, WsgiApp
from seldon_spec.server.grpc import GrpcServer
from seldon_spec.server.prometheus import MetricsPage
from seldon_spec.server.sockets import Sockets, port_of
from seldon_spec.spec.model import Spec

_CLOSE_SECONDS = 2.0
"""How long connections may take to close once nothing is under way any more."""


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Uvloop's where it is installed, else Python's own."""
    try:
        import uvloop  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


class Engine:
    """The transports of one worker; to be made on the running event loop.

    Args:
        dispatcher: answers the requests.
        app: the Flask app, which has the REST routes.
        sockets: bound, and for HTTP listening.
        spec: bounds and paths.
    """

    def __init__(self, dispatcher: Dispatcher, app: WsgiApp, sockets: Sockets, spec: Spec) -> None:
        style = JsonStyle.from_flask(spec.flask)
        self._bridge = Bridge(app, spec.server.max_body_bytes, style, spec.server.request_timeout_seconds)
        self._rest = _HttpServer(self._bridge, sockets.http)
        self._metrics = _HttpServer(MetricsPage(dispatcher.metrics.render, spec.unit.metrics_path), sockets.metrics)
        self._grpc = None if sockets.grpc is None else GrpcServer(dispatcher, spec, port_of(sockets.grpc))

    async def start(self) -> None:
        """Take connections."""
        self._rest.start()
        self._metrics.start()
        if self._grpc is not None:
            await self._grpc.start()

    async def set_serving(self, app: WsgiApp | None = None) -> None:
        """The component is ready; from now on ``app`` answers, where one is given."""
        self._bridge.begin(app)
        if self._grpc is not None:
            await self._grpc.set_serving()

    async def drain(self, seconds: float) -> None:
        """Take no new requests, except probes and the metrics', and give those under way this long to end."""
        waits = [self._bridge.drain()]
        if self._grpc is not None:
            waits.append(self._grpc.drain(seconds))
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(asyncio.gather(*waits), seconds)

    async def abort(self) -> None:
        """Close everything at once: the component will never be ready, and nobody gets an answer."""
        self._bridge.abort()
        await asyncio.gather(self._rest.abort(), self._metrics.abort())
        await self.close()

    async def close(self) -> None:
        """Close everything, whatever is still under way; the dispatcher has been stopped."""
        await asyncio.gather(self._rest.close(), self._metrics.close())
        if self._grpc is not None:
            await self._grpc.drain(0)
        self._bridge.close()


class _HttpServer:
    """uvicorn on a socket that listens already, without signals and logs of its own."""

    def __init__(self, app: Any, listening: socket.socket) -> None:
        config = uvicorn.Config(
            app, log_config=None, access_log=False, lifespan="off", ws="none", server_header=False, proxy_headers=False
        )
        self._server = _SilentServer(config)
        self._socket = listening
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._server.serve(sockets=[self._socket]))

    async def abort(self) -> None:
        """Cut all connections."""
        for listener in getattr(self._server, "servers", ()):
            listener.close()
        for _ in range(3):  # rounds of the loop, in which connections that were just accepted come to light
            for connection in list(self._server.server_state.connections):
                connection.transport.abort()
            await asyncio.sleep(0)
        self._server.force_exit = True

    async def close(self) -> None:
        if self._task is None:
            return
        self._server.should_exit = True
        _, running = await asyncio.wait([self._task], timeout=_CLOSE_SECONDS)
        if running:
            self._server.force_exit = True
            self._task.cancel()
            await asyncio.wait([self._task], timeout=_CLOSE_SECONDS)


class _SilentServer(uvicorn.Server):
    """A uvicorn server that leaves the process's signals alone."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield

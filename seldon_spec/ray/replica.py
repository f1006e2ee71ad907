"""The component or graph of a replica on the replica's event loop; needs no Ray."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable

from seldon_spec.config.model import Spec
from seldon_spec.config.paths import working_directory
from seldon_spec.errors import SeldonSpecError
from seldon_spec.inference.assembly import dispatcher_for
from seldon_spec.inference.call import Call, FeedbackCopy
from seldon_spec.inference.graph.build import Connect
from seldon_spec.inference.message import Operation, Transport
from seldon_spec.observability.logs import LogHandler
from seldon_spec.observability.metrics import Metrics
from seldon_spec.process.observability import make_tracing, open_request_log
from seldon_spec.protocols.open_inference_v2.grpc_methods import open_inference_v2_grpc
from seldon_spec.protocols.seldon_v1.grpc_methods import seldon_v1_grpc
from seldon_spec.ray.codecs import CODECS
from seldon_spec.ray.copied_metrics import without_copies
from seldon_spec.ray.grpc_services import RayCalls
from seldon_spec.ray.health import HealthCheck
from seldon_spec.ray.part_calls import PartCalls
from seldon_spec.remote import connect_component
from seldon_spec.server.bridge import ExecutorBridge, RequestLimits
from seldon_spec.server.rest.rest_app import RestApp
from seldon_spec.server.rest.wsgi import WsgiApp
from seldon_spec.server.uvicorn_engine.grpc_calls import GrpcCalls
from seldon_spec.server.uvicorn_engine.http import TARGET, AsgiApp, Receive, Scope, Send

logger = logging.getLogger(__name__)


class Replica:
    """A component or graph on the running event loop, and the handlers of its requests.

    Args:
        spec: its secrets are resolved, and its environment is applied.
        log_handler: writes the access log.
        connect: returns the client of a component with a URL.
        share: has feedback applied in the other replicas too; None: there are none.

    Attributes:
        asgi: handles REST requests.
        grpc: handles the calls of gRPC methods.
        calls: handles the calls of the graph that it is a component of.
        metrics: of its requests and its components.

    Raises:
        ComponentFailed: the tracing cannot be set up.
    """

    def __init__(
        self,
        spec: Spec,
        log_handler: LogHandler,
        connect: Connect = connect_component,
        share: Callable[[Call], None] | None = None,
    ) -> None:
        server = spec.server
        self._spec = spec
        self.metrics = Metrics(spec.unit)
        self._closing = contextlib.ExitStack()
        tracing = make_tracing(spec)
        trace, trace_component = None, None
        if tracing is not None:
            self._closing.callback(tracing.close)
            trace, trace_component = tracing.watch, tracing.watch_component
        sink = self.metrics if share is None else without_copies(self.metrics)
        self._dispatcher = dispatcher_for(
            spec, sink, trace, connect=connect, trace_component=trace_component, on_post=share
        )
        on_hung = (lambda: None) if server.on_timeout == "replace" else None
        self._limits = RequestLimits(server.request_timeout_seconds, server.max_queue, on_hung=on_hung)
        self._bridge = ExecutorBridge(self._dispatcher, self._limits)
        request_log = self._closing.enter_context(open_request_log(spec, tracing, log_handler))
        self._rest = RestApp(self._dispatcher, self._bridge, request_log, spec, self._make_flask_app)
        self.asgi = MountedApp(AsgiApp(self._rest))
        protocols = (seldon_v1_grpc(spec, self._dispatcher), open_inference_v2_grpc(spec, self._dispatcher))
        health = HealthCheck(protocols, lambda: self._dispatcher.is_ready)
        self.grpc = RayCalls(GrpcCalls(self._bridge, request_log, spec, protocols), spec, health)
        self.calls = PartCalls(self._bridge, request_log)

    async def start(self) -> None:
        """Build the component on a model thread.

        Raises:
            ComponentFailed: it cannot be built.
        """
        with working_directory(self._spec.folder):
            component = await asyncio.wrap_future(self._dispatcher.start())
        if component.custom_service is not None:
            logger.warning("custom_service of the class is not started: a replica serves no other port")
        self._rest.lifecycle.set_component(component)

    def describe_state(self) -> str | None:
        """Return the reason why it does not accept requests, or None."""
        return None if self._dispatcher.is_ready else self._dispatcher.describe_state()

    async def apply_feedback(self, transport: str, wire: bytes, request_id: str) -> str | None:
        """Apply feedback that another replica has got; return the text of an error."""
        codec = CODECS[Transport(transport)]
        future = self._dispatcher.submit(Operation.FEEDBACK, wire, codec, FeedbackCopy(request_id))
        try:
            await asyncio.wrap_future(future)
        except SeldonSpecError as error:
            return str(error)
        return None

    def check_health(self) -> None:
        """Check that it can process requests; a graph whose other servers are not ready needs no replacement.

        Raises:
            RuntimeError: Ray should replace it.
        """
        if self._limits.is_hung:
            raise RuntimeError("a request timed out in the model, and server.on_timeout is replace")

    def stop(self) -> None:
        """End the requests that are left; do not wait for the model."""
        self._dispatcher.drain()
        self._dispatcher.stop()
        self._bridge.stop()
        self._rest.lifecycle.close()
        self._closing.close()

    def _make_flask_app(self) -> WsgiApp:
        from seldon_spec.server.rest.flask_app import make_app  # few requests need it

        return make_app(self._dispatcher, self._spec)


class MountedApp:
    """An ASGI application for requests from Serve's proxy: below the path of an application, and decoded.

    Args:
        app: gets the targets of requests as the clients sent them.
    """

    def __init__(self, app: AsgiApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request, or the start and the end of the replica."""
        if scope["type"] == "http":
            path = scope["raw_path"].removeprefix(scope.get("root_path", "").encode()) or b"/"
            target = b"?".join(part for part in (path, scope["query_string"]) if part)
            await self._app({**scope, "state": {TARGET: target}}, receive, send)
        elif scope["type"] == "lifespan":
            for event in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{event}.complete"})

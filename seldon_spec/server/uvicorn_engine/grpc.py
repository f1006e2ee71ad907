"""The gRPC port of the engine ``uvicorn``: the server of grpcio, with health and reflection."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2

from seldon_spec.config.model import Spec
from seldon_spec.errors import BindFailed
from seldon_spec.observability.request_context import RequestLog
from seldon_spec.protocols.grpc_protocol import GrpcProtocol
from seldon_spec.server.bridge import ExecutorBridge
from seldon_spec.server.sockets import show_address
from seldon_spec.server.uvicorn_engine.grpc_calls import GrpcCalls
from seldon_spec.transport.grpc.reflection import REFLECTION_SERVICES, DescriptorPools
from seldon_spec.transport.tls import TlsFiles

_DRAIN_SECONDS = 86400.0
"""The engine waits no longer than ``server.shutdown.grace_seconds``."""
_FLUSH_SECONDS = 1.0
"""grpcio sends the last responses in this time."""


class GrpcioServer:
    """A gRPC server on the running event loop.

    Args:
        bridge: to the model threads.
        request_log: creates and ends the contexts of calls.
        spec: its host and its limits are used.
        protocols: whose services are served; the errors of other calls are described by the first one.
        port: the port that has been reserved.
        tls: None: plain text.
    """

    def __init__(
        self,
        bridge: ExecutorBridge,
        request_log: RequestLog,
        spec: Spec,
        protocols: Sequence[GrpcProtocol],
        port: int,
        tls: TlsFiles | None = None,
    ) -> None:
        self._calls = calls = GrpcCalls(bridge, request_log, spec, protocols)
        self._services = [service for protocol in protocols for service in protocol.services]
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self._health = health.aio.HealthServicer()  # type: ignore[attr-defined]
        self._server = grpc.aio.server(
            interceptors=[_AuthInterceptor(calls)],
            options=[
                ("grpc.max_receive_message_length", spec.server.max_message_bytes),
                ("grpc.max_send_message_length", -1),
                ("grpc.so_reuseport", 1),  # beside the reserving socket, and the other workers
            ],
        )
        self._server.add_generic_rpc_handlers(
            tuple(grpc.method_handlers_generic_handler(*service) for service in calls.handlers.items())
        )
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        self._add_reflection(protocols)
        self._bind(spec, port, tls)

    def _add_reflection(self, protocols: Sequence[GrpcProtocol]) -> None:
        servicer = reflection.aio.ReflectionServicer(  # type: ignore[attr-defined]
            (*self._services, health.SERVICE_NAME, *REFLECTION_SERVICES),
            pool=DescriptorPools([protocol.pool for protocol in protocols]),
        )
        method = grpc.stream_stream_rpc_method_handler(
            servicer.ServerReflectionInfo,
            reflection_pb2.ServerReflectionRequest.FromString,
            reflection_pb2.ServerReflectionResponse.SerializeToString,
        )
        self._server.add_generic_rpc_handlers(
            tuple(
                grpc.method_handlers_generic_handler(service, {"ServerReflectionInfo": method})
                for service in REFLECTION_SERVICES
            )
        )

    def _bind(self, spec: Spec, port: int, tls: TlsFiles | None) -> None:
        address = show_address(spec.server.host, port)
        try:
            if tls is None:
                bound = self._server.add_insecure_port(address)
            else:
                bound = self._server.add_secure_port(address, _credentials(tls))
        except RuntimeError as error:
            raise BindFailed("ports.grpc", spec.server.host, port, str(error), spec.origin("ports", "grpc")) from error
        if bound == 0:  # how grpcio before 1.63 reported it
            raise BindFailed("ports.grpc", spec.server.host, port, "gRPC refused it", spec.origin("ports", "grpc"))

    def start(self) -> None:
        """Start accepting connections; the health service is NOT_SERVING until ``set_serving``."""
        self._do(self._start())

    def set_serving(self) -> None:
        """Set the health service to SERVING."""
        self._do(self._set_health(health_pb2.HealthCheckResponse.SERVING))

    def set_not_serving(self) -> None:
        """Set the health service to NOT_SERVING; calls are still handled."""
        self._do(self._set_health(health_pb2.HealthCheckResponse.NOT_SERVING))

    async def drain(self) -> None:
        """Accept no more requests, and wait until those in flight have responses."""
        await asyncio.gather(*self._tasks)
        stopping = asyncio.ensure_future(self._server.stop(_DRAIN_SECONDS))
        try:
            await self._calls.idle.wait()
        finally:
            stopping.cancel()
        await self._server.stop(_FLUSH_SECONDS)  # streams that wait for a message, and watches of the health, end here

    async def abort(self) -> None:
        """Close all connections at once."""
        await self._server.stop(0)

    async def close(self) -> None:
        """Close everything that is left."""
        await self._server.stop(0)

    def _do(self, step: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(step)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _start(self) -> None:
        await self._set_health(health_pb2.HealthCheckResponse.NOT_SERVING)
        await self._server.start()

    async def _set_health(self, status: Any) -> None:
        for service in ("", *self._services):
            await self._health.set(service, status)


class _AuthInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]  # the class is not generic
    """Checks the metadata and the token of every call, before its method is looked up."""

    def __init__(self, calls: GrpcCalls) -> None:
        self._calls = calls

    async def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
        """Return the handler of the call."""
        refused = self._calls.check(handler_call_details.method, handler_call_details.invocation_metadata)
        return await continuation(handler_call_details) if refused is None else refused


def _credentials(tls: TlsFiles) -> grpc.ServerCredentials:
    pair = (tls.key.read_bytes(), tls.certificate.read_bytes())
    client_ca = None if tls.client_ca is None else tls.client_ca.read_bytes()
    return grpc.ssl_server_credentials([pair], client_ca, require_client_auth=client_ca is not None)

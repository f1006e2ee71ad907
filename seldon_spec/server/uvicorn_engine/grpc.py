"""The gRPC port of the engine ``uvicorn``: grpcio's server, bytes in and bytes out, with health and reflection."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2

from seldon_spec.config.model import Spec
from seldon_spec.errors import BindFailed, MalformedRequest, RequestError, SeldonSpecError, Unauthenticated
from seldon_spec.inference.message import EncodedResponse, Operation
from seldon_spec.observability.request_context import (
    ID_HEADER,
    Find,
    RequestContext,
    RequestLog,
    make_context,
    working_on,
)
from seldon_spec.protocols.seldon_v1.errors import describe
from seldon_spec.protocols.seldon_v1.grpc_methods import (
    METHODS,
    REFLECTION_SERVICES,
    SERVICES,
    DescriptorPools,
    refuse_graph_metadata,
)
from seldon_spec.protocols.seldon_v1.proto import PACKAGE
from seldon_spec.protocols.seldon_v1.proto_codec import ProtoCodec
from seldon_spec.server.auth import TokenAuth
from seldon_spec.server.bridge import ExecutorBridge, PendingCall
from seldon_spec.server.sockets import show_address
from seldon_spec.transport.header_fields import check_singular_fields
from seldon_spec.transport.tls import TlsFiles

logger = logging.getLogger(__name__)

Handler = Callable[[bytes, Any], Awaitable[bytes]]


class GrpcioServer:
    """A gRPC server on the running event loop.

    Args:
        lane: answers the operations.
        notes: takes and ends the notes of their calls.
        spec: its host and its bounds are used.
        port: the port that has been reserved for it.
        tls: None: plain text.
    """

    def __init__(
        self, lane: ExecutorBridge, notes: RequestLog, spec: Spec, port: int, tls: TlsFiles | None = None
    ) -> None:
        self._lane = lane
        self._notes = notes
        self._tasks: list[asyncio.Task[None]] = []
        self._loop = asyncio.get_running_loop()
        self._codec = ProtoCodec()
        self._health = health.aio.HealthServicer()  # type: ignore[attr-defined]
        self._server = grpc.aio.server(
            interceptors=[_AuthInterceptor(TokenAuth(spec.server.auth), self._refuse)],
            options=[
                ("grpc.max_receive_message_length", spec.server.max_message_bytes),
                ("grpc.max_send_message_length", -1),
                ("grpc.so_reuseport", 1),  # beside the reserving socket, and the other workers
            ],
        )
        self._server.add_generic_rpc_handlers(
            tuple(
                grpc.method_handlers_generic_handler(
                    f"{PACKAGE}.{service}",
                    {
                        name: grpc.unary_unary_rpc_method_handler(
                            self._handler(operation, f"/{PACKAGE}.{service}/{name}")
                        )
                        for name, operation in methods.items()
                    },
                )
                for service, methods in METHODS.items()
            )
        )
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        self._add_reflection()
        self._bind(spec, port, tls)

    def _add_reflection(self) -> None:
        listed = (*SERVICES, health.SERVICE_NAME, *REFLECTION_SERVICES)
        servicer = reflection.aio.ReflectionServicer(listed, pool=DescriptorPools())  # type: ignore[attr-defined]
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
        if bound == 0:  # how grpcio told of it before 1.63
            raise BindFailed("ports.grpc", spec.server.host, port, "gRPC refused it", spec.origin("ports", "grpc"))

    def start(self) -> None:
        """Take requests; the health service says NOT_SERVING until ``set_serving``."""
        self._do(self._start())

    def set_serving(self) -> None:
        """Have the health service say SERVING."""
        self._do(self._set_health(health_pb2.HealthCheckResponse.SERVING))

    def set_not_serving(self) -> None:
        """Have the health service say NOT_SERVING for good."""
        self._do(self._health.enter_graceful_shutdown())

    async def drain(self) -> None:
        """Take no more requests, and wait until those under way have been answered."""
        await asyncio.gather(*self._tasks)
        await self._server.stop(None)

    async def abort(self) -> None:
        """Cut all connections."""
        await self._server.stop(0)

    async def close(self) -> None:
        """End everything that is left."""
        await self._server.stop(0)

    def _do(self, step: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(self._loop.create_task(step))

    async def _start(self) -> None:
        await self._set_health(health_pb2.HealthCheckResponse.NOT_SERVING)
        await self._server.start()

    async def _set_health(self, status: Any) -> None:
        for service in ("", *SERVICES):
            await self._health.set(service, status)

    def _handler(self, operation: Operation | None, path: str) -> Handler:
        async def handle(request: bytes, context: Any) -> bytes:
            find = _finder(context.invocation_metadata())
            note = make_context(self._notes.plan(find, "grpc", "POST", path))
            try:
                if note is not None:
                    await context.send_initial_metadata(((ID_HEADER.decode(), note.id),))
                body = await self._answer(operation, request, note)
            except asyncio.CancelledError:
                if note is not None:
                    self._notes.abandon(note)
                raise
            except Exception as error:
                if not isinstance(error, SeldonSpecError):
                    with working_on(note):
                        logger.error("unexpected: %s", error, exc_info=error)
                await self._abort(context, error, note)
                raise  # abort has raised already
            if note is not None:
                self._notes.end(note, "OK")
            return body

        return handle

    def _refuse(self, path: str, error: RequestError) -> grpc.RpcMethodHandler[Any, Any]:
        """What handles a refused call; it reads no message, so it suits any kind of method."""

        async def refuse(_requests: Any, context: Any) -> None:
            note = make_context(self._notes.plan(_finder(context.invocation_metadata()), "grpc", "POST", path))
            if note is not None:
                await context.send_initial_metadata(((ID_HEADER.decode(), note.id),))
            await self._abort(context, error, note)

        return grpc.stream_stream_rpc_method_handler(refuse)

    async def _abort(self, context: Any, error: Exception, note: RequestContext | None) -> None:
        """End a call with an error, which raises."""
        failure = describe(error)
        if note is not None:
            self._notes.end(note, failure.grpc)
        await context.abort(grpc.StatusCode[failure.grpc], failure.details)

    async def _answer(self, operation: Operation | None, request: bytes, note: RequestContext | None) -> bytes:
        if operation is None:
            raise refuse_graph_metadata()
        answered: asyncio.Future[EncodedResponse] = self._loop.create_future()
        call = self._lane.submit(operation, request, self._codec, _finish, answered, note)
        del request  # the lane has it, and lets go of it as soon as it is read
        try:
            return (await answered).body
        except asyncio.CancelledError:
            self._lane.cancel(call)
            raise


class _AuthInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]  # the class is not generic
    """Checks the metadata and the token of every call, before its method is looked up."""

    def __init__(self, guard: TokenAuth, refuse: Callable[[str, RequestError], Any]) -> None:
        self._guard = guard
        self._refuse = refuse

    async def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
        """Return what handles the call."""
        path = handler_call_details.method
        metadata = handler_call_details.invocation_metadata
        try:
            check_singular_fields([(key.encode(), value) for key, value in metadata])
            self._guard.check_grpc(path.encode(), _finder(metadata))
        except (MalformedRequest, Unauthenticated) as error:
            return self._refuse(path, error)
        return await continuation(handler_call_details)


def _credentials(tls: TlsFiles) -> grpc.ServerCredentials:
    pair = (tls.key.read_bytes(), tls.certificate.read_bytes())
    client_ca = None if tls.client_ca is None else tls.client_ca.read_bytes()
    return grpc.ssl_server_credentials([pair], client_ca, require_client_auth=client_ca is not None)


def _finder(metadata: Any) -> Find:
    """What finds the metadata of a call."""
    fields = {key.encode(): value for key, value in reversed(metadata)}  # the first one counts

    def find(name: bytes) -> bytes | None:
        value = fields.get(name)
        return value.encode("latin-1", "replace") if isinstance(value, str) else value

    return find


def _finish(call: PendingCall) -> None:
    answered: asyncio.Future[EncodedResponse] = call.owner
    if answered.done():
        return
    if call.response is not None:
        answered.set_result(call.response)
    else:
        assert call.error is not None
        answered.set_exception(call.error)

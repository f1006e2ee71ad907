"""The gRPC port of the engine ``uvicorn``: the server of grpcio, with health and reflection."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from functools import partial
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2

from seldon_spec.config.model import Spec
from seldon_spec.errors import BindFailed, MalformedRequest, RequestError, SeldonSpecError, Unauthenticated
from seldon_spec.inference.message import Operation
from seldon_spec.inference.request import Codec, EncodedResponse
from seldon_spec.observability.request_context import (
    ID_HEADER,
    Find,
    RequestContext,
    RequestLog,
    make_context,
    working_on,
)
from seldon_spec.protocols.grpc_protocol import DirectMethod, GrpcMethod, GrpcProtocol, StreamMethod
from seldon_spec.server.auth import TokenAuth
from seldon_spec.server.bridge import ExecutorBridge, PendingCall
from seldon_spec.server.sockets import show_address
from seldon_spec.transport.grpc.reflection import REFLECTION_SERVICES, DescriptorPools
from seldon_spec.transport.header_fields import check_singular_fields
from seldon_spec.transport.tls import TlsFiles

logger = logging.getLogger(__name__)

Describe = Callable[[BaseException], tuple[str, str]]
Respond = Callable[[bytes, RequestContext | None, Any], Awaitable[bytes]]


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
        self._bridge = bridge
        self._request_log = request_log
        self._services = [service for protocol in protocols for service in protocol.services]
        self._describe = protocols[0].describe
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        open_paths = frozenset(path for protocol in protocols for path in protocol.open_paths)
        self._health = health.aio.HealthServicer()  # type: ignore[attr-defined]
        self._server = grpc.aio.server(
            interceptors=[_AuthInterceptor(TokenAuth(spec.server.auth, open_paths), self._refuse)],
            options=[
                ("grpc.max_receive_message_length", spec.server.max_message_bytes),
                ("grpc.max_send_message_length", -1),
                ("grpc.so_reuseport", 1),  # beside the reserving socket, and the other workers
            ],
        )
        for protocol in protocols:
            self._add_protocol(protocol)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        self._add_reflection(protocols)
        self._bind(spec, port, tls)

    def _add_protocol(self, protocol: GrpcProtocol) -> None:
        codec = protocol.make_codec(None)
        self._server.add_generic_rpc_handlers(
            tuple(
                grpc.method_handlers_generic_handler(
                    service,
                    {
                        name: self._make_handler(method, f"/{service}/{name}", codec, protocol)
                        for name, method in methods.items()
                    },
                )
                for service, methods in protocol.services.items()
            )
        )

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
        await self._server.stop(None)

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

    # Calls

    def _make_handler(
        self, method: GrpcMethod, path: str, codec: Codec, protocol: GrpcProtocol
    ) -> grpc.RpcMethodHandler[Any, Any]:
        if isinstance(method, DirectMethod):
            respond: Respond = partial(self._respond_directly, method)
        else:
            respond = partial(self._call_model, method.operation, codec, protocol)
        describe = protocol.describe
        if isinstance(method, StreamMethod):
            return grpc.stream_stream_rpc_method_handler(partial(self._handle_stream, method, respond, path, describe))
        return grpc.unary_unary_rpc_method_handler(partial(self._handle_unary, respond, path, describe))

    async def _handle_unary(self, respond: Respond, path: str, describe: Describe, request: bytes, rpc: Any) -> bytes:
        context = make_context(self._request_log.plan(_finder(rpc.invocation_metadata()), "grpc", "POST", path))
        await _send_id(rpc, context)
        return await self._respond(respond, describe, request, context, rpc)

    async def _handle_stream(
        self,
        method: StreamMethod,
        respond: Respond,
        path: str,
        describe: Describe,
        requests: AsyncIterator[bytes],
        rpc: Any,
    ) -> AsyncIterator[bytes]:
        """Handle a stream, each of whose messages has its own context."""
        contexts = self._request_log.plan(_finder(rpc.invocation_metadata()), "grpc", "POST", path)
        is_first = True
        async for request in requests:
            context = make_context(contexts)
            if is_first:
                await _send_id(rpc, context)
                is_first = False
            try:
                response = method.wrap(await self._respond(respond, describe, request, context, rpc, method))
            except _EncodedError as error:
                response = error.message
            yield response

    async def _respond(
        self,
        respond: Respond,
        describe: Describe,
        request: bytes,
        context: RequestContext | None,
        rpc: Any,
        method: StreamMethod | None = None,
    ) -> bytes:
        """Return the response to a message; an error ends the call, unless the method encodes errors."""
        try:
            body = await respond(request, context, rpc)
        except asyncio.CancelledError:
            if context is not None:
                self._request_log.abandon(context)
            raise
        except Exception as error:
            if method is not None and method.encode_error is not None:
                self._end(error, describe, context)
                raise _EncodedError(method.encode_error(error, method.identify(request))) from error
            await self._abort(rpc, error, describe, context)
            raise  # abort has raised already
        if context is not None:
            self._request_log.end(context, "OK")
        return body

    def _refuse(self, path: str, error: RequestError) -> grpc.RpcMethodHandler[Any, Any]:
        """Return the handler of a refused call; it reads no message, so it suits any kind of method."""

        async def refuse(_requests: Any, rpc: Any) -> None:
            context = make_context(self._request_log.plan(_finder(rpc.invocation_metadata()), "grpc", "POST", path))
            await _send_id(rpc, context)
            await self._abort(rpc, error, self._describe, context)

        return grpc.stream_stream_rpc_method_handler(refuse)

    def _end(self, error: Exception, describe: Describe, context: RequestContext | None) -> tuple[str, str]:
        """End the context of a call; returns the status and the text of the error."""
        if not isinstance(error, SeldonSpecError):
            with working_on(context):
                logger.error("unexpected error in a gRPC call: %s", error, exc_info=error)
        status, text = describe(error)
        if context is not None:
            self._request_log.end(context, status)
        return status, text

    async def _abort(self, rpc: Any, error: Exception, describe: Describe, context: RequestContext | None) -> None:
        """End a call with an error, which raises."""
        status, text = self._end(error, describe, context)
        await rpc.abort(grpc.StatusCode[status], text)

    async def _respond_directly(
        self, method: DirectMethod, request: bytes, _context: RequestContext | None, _rpc: Any
    ) -> bytes:
        return method.respond(request)

    async def _call_model(
        self,
        operation: Operation,
        codec: Codec,
        protocol: GrpcProtocol,
        request: bytes,
        context: RequestContext | None,
        rpc: Any,
    ) -> bytes:
        if protocol.check_loaded is not None:
            protocol.check_loaded()
        if protocol.bind_codec is not None:
            codec = protocol.bind_codec(codec, _list_metadata(rpc.invocation_metadata()))
        response: asyncio.Future[EncodedResponse] = self._loop.create_future()
        call = self._bridge.submit(operation, request, codec, _finish, response, context)
        remaining_seconds = rpc.time_remaining()
        if remaining_seconds is not None:
            call.deadline = min(call.deadline, time.perf_counter() + remaining_seconds)
        del request  # so that it is released as soon as it is decoded
        try:
            return (await response).body
        except asyncio.CancelledError:
            self._bridge.cancel(call)
            raise


class _EncodedError(Exception):
    """An error that is sent as a message.

    Args:
        message: the response.
    """

    def __init__(self, message: bytes) -> None:
        super().__init__()
        self.message = message


class _AuthInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]  # the class is not generic
    """Checks the metadata and the token of every call, before its method is looked up."""

    def __init__(self, auth: TokenAuth, refuse: Callable[[str, RequestError], Any]) -> None:
        self._auth = auth
        self._refuse = refuse

    async def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
        """Return the handler of the call."""
        path = handler_call_details.method
        metadata = handler_call_details.invocation_metadata
        try:
            check_singular_fields([(key.encode(), value) for key, value in metadata])
            self._auth.check_grpc(path.encode(), _finder(metadata))
        except (MalformedRequest, Unauthenticated) as error:
            return self._refuse(path, error)
        return await continuation(handler_call_details)


async def _send_id(rpc: Any, context: RequestContext | None) -> None:
    if context is not None:
        await rpc.send_initial_metadata(((ID_HEADER.decode(), context.id),))


def _credentials(tls: TlsFiles) -> grpc.ServerCredentials:
    pair = (tls.key.read_bytes(), tls.certificate.read_bytes())
    client_ca = None if tls.client_ca is None else tls.client_ca.read_bytes()
    return grpc.ssl_server_credentials([pair], client_ca, require_client_auth=client_ca is not None)


def _finder(metadata: Any) -> Find:
    """Return what finds the metadata of a call."""
    fields = {key.encode(): value for key, value in reversed(metadata)}  # the first one counts

    def find(name: bytes) -> bytes | None:
        value = fields.get(name)
        return value.encode("latin-1", "replace") if isinstance(value, str) else value

    return find


def _list_metadata(metadata: Any) -> list[tuple[bytes, bytes]]:
    return [
        (key.encode(), value.encode("latin-1", "replace") if isinstance(value, str) else value)
        for key, value in metadata
    ]


def _finish(call: PendingCall) -> None:
    response: asyncio.Future[EncodedResponse] = call.owner
    if response.done():
        return
    if call.response is not None:
        response.set_result(call.response)
    else:
        assert call.error is not None
        response.set_exception(call.error)

"""The calls of the gRPC methods as handlers of grpcio; no port."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from typing import Any

import grpc

from seldon_spec.config.model import Spec
from seldon_spec.errors import MalformedRequest, RequestError, SeldonSpecError, Unauthenticated
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
from seldon_spec.transport.header_fields import check_singular_fields

logger = logging.getLogger(__name__)

Describe = Callable[[BaseException], tuple[str, str]]
Respond = Callable[[bytes, RequestContext | None, Any], Awaitable[bytes]]


class GrpcCalls:
    """The handlers of gRPC methods; their requests and responses are encoded messages.

    Args:
        bridge: to the model threads; its event loop is the running one.
        request_log: creates and ends the contexts of calls.
        spec: its tokens are used.
        protocols: whose services are handled; the errors of other calls are described by the first one.

    Attributes:
        handlers: of the methods of each service, by their names.
        idle: set while no message is processed.
    """

    def __init__(
        self, bridge: ExecutorBridge, request_log: RequestLog, spec: Spec, protocols: Sequence[GrpcProtocol]
    ) -> None:
        self._bridge = bridge
        self._request_log = request_log
        self._describe = protocols[0].describe
        self._loop = asyncio.get_running_loop()
        self._processed = 0
        self.idle = asyncio.Event()
        self.idle.set()
        open_paths = frozenset(path for protocol in protocols for path in protocol.open_paths)
        self._auth = TokenAuth(spec.server.auth, open_paths)
        self.handlers = {
            service: {
                name: self._make_handler(method, f"/{service}/{name}", codec, protocol)
                for name, method in methods.items()
            }
            for protocol, codec in [(protocol, protocol.make_codec(None)) for protocol in protocols]
            for service, methods in protocol.services.items()
        }

    def check(self, path: str, metadata: Any) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Check the metadata and the token of a call; return the handler that refuses it, or None."""
        try:
            check_singular_fields([(key.encode(), value) for key, value in metadata])
            self._auth.check_grpc(path.encode(), _finder(metadata))
        except (MalformedRequest, Unauthenticated) as error:
            return self._refuse(path, error)
        return None

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
        self._processed += 1
        self.idle.clear()
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
        finally:
            self._processed -= 1
            if not self._processed:
                self.idle.set()
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


async def _send_id(rpc: Any, context: RequestContext | None) -> None:
    if context is not None:
        await rpc.send_initial_metadata(((ID_HEADER.decode(), context.id),))


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

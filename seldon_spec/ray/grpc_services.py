"""The gRPC services: a servicer function of Ray Serve, and the calls of their methods in a replica.

Serve chooses the method of a replica by the last part of a call's path, and several services have a method of one name.
Therefore each message is sent to the replica with the path of its call.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import Any, NamedTuple

import grpc

from seldon_spec.config.model import Spec
from seldon_spec.protocols.open_inference_v2.grpc_methods import SERVICE
from seldon_spec.protocols.open_inference_v2.proto import POOL
from seldon_spec.protocols.seldon_v1.grpc_methods import SELDON_V1
from seldon_spec.ray.health import CHECK, CHECK_PATH, HealthCheck
from seldon_spec.server.uvicorn_engine.grpc_calls import GrpcCalls
from seldon_spec.transport.grpc.health import HEALTH_SERVICE
from seldon_spec.transport.grpc.messages import too_large


class CalledMessage(NamedTuple):
    """An encoded request, and the path of the call that it belongs to."""

    path: str
    message: bytes


class EncodedMessage(bytes):
    """An encoded response, in the form that Serve expects."""

    def SerializeToString(self) -> bytes:  # noqa: N802 - as protobuf's messages have it
        """Return the bytes."""
        return bytes(self)


def list_methods() -> Iterator[tuple[str, str, bool]]:
    """Yield the service and the name of each method, and whether it is a stream in both directions."""
    pools = {**dict.fromkeys(SELDON_V1.services, SELDON_V1.pool), SERVICE: POOL}
    for service, pool in pools.items():
        for method in pool.FindServiceByName(service).methods:
            yield service, method.name, method.client_streaming
    yield HEALTH_SERVICE, CHECK, False


def add_services(_servicer: object, server: Any) -> None:
    """Add the services of both protocols, and the health service, to the gRPC server of Serve's proxy.

    It is an entry of ``grpc_options.grpc_servicer_functions``; the proxy replaces what the methods do.
    """
    services: dict[str, dict[str, grpc.RpcMethodHandler[Any, Any]]] = {}
    for service, name, is_stream in list_methods():
        make: Any = grpc.stream_stream_rpc_method_handler if is_stream else grpc.unary_unary_rpc_method_handler
        read = partial(CalledMessage, f"/{service}/{name}")
        services.setdefault(service, {})[name] = make(_not_called, request_deserializer=read)
    for service, handlers in services.items():
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))


def _not_called(_request: object, _rpc: object) -> None:
    """Do nothing: the proxy sends calls of the method to a replica."""


class RayCalls:
    """The calls of one replica.

    Args:
        calls: handle them.
        spec: its limit of messages is used.
        health: handles the calls of the health service.
    """

    def __init__(self, calls: GrpcCalls, spec: Spec, health: HealthCheck) -> None:
        self._calls = calls
        self._max_bytes = spec.server.max_message_bytes
        self._handlers: dict[str, Any] = {
            f"/{service}/{name}": handler
            for service, methods in calls.handlers.items()
            for name, handler in methods.items()
        }
        self._handlers[CHECK_PATH] = grpc.unary_unary_rpc_method_handler(health.respond)

    async def respond(self, request: CalledMessage, context: Any) -> EncodedMessage:
        """Return the response to the message of a unary call; after an error, the context has its status."""
        rpc = _RayRpc(context)
        try:
            path, message = request
            await self._check(path, rpc)
            return EncodedMessage(await self._handlers[path].unary_unary(await self._read(message, rpc), rpc))
        except _Aborted:
            return EncodedMessage()

    async def respond_to_stream(self, requests: AsyncIterator[CalledMessage], context: Any) -> AsyncIterator[Any]:
        """Yield the responses to the messages of a stream; after an error, the context has its status."""
        rpc = _RayRpc(context)
        try:
            async for first in requests:
                await self._check(first.path, rpc)
                messages = self._read_all(first, requests, rpc)
                async for response in self._handlers[first.path].stream_stream(messages, rpc):
                    yield EncodedMessage(response)
        except _Aborted:
            return

    async def _check(self, path: str, rpc: _RayRpc) -> None:
        refused: Any = self._calls.check(path, rpc.invocation_metadata())
        if refused is not None:
            await refused.stream_stream(None, rpc)

    async def _read_all(
        self, first: CalledMessage, others: AsyncIterator[CalledMessage], rpc: _RayRpc
    ) -> AsyncIterator[bytes]:
        yield await self._read(first.message, rpc)
        async for request in others:
            yield await self._read(request.message, rpc)

    async def _read(self, message: bytes, rpc: _RayRpc) -> bytes:
        """Return a message, or end the call if it is too large."""
        if len(message) > self._max_bytes:
            await rpc.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, str(too_large(self._max_bytes)))
        return message


class _Aborted(Exception):
    """The call has ended with an error."""


class _RayRpc:
    """A call, in the form that handlers of grpcio expect.

    Args:
        context: of Serve. It sends metadata after the response only, and has no deadline.
    """

    def __init__(self, context: Any) -> None:
        self._context = context

    def invocation_metadata(self) -> list[tuple[str, Any]]:
        return list(self._context.invocation_metadata())

    async def send_initial_metadata(self, metadata: tuple[tuple[str, str], ...]) -> None:
        self._context.set_trailing_metadata(list(metadata))

    def time_remaining(self) -> None:
        return None

    async def abort(self, code: grpc.StatusCode, details: str) -> None:
        self._context.set_code(code)
        self._context.set_details(details)
        raise _Aborted

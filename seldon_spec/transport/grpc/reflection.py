"""The service of reflection, which describes all services to clients.

The responses are those of grpc_reflection. It imports grpcio, so it is imported at the first request, in another
thread: the event loop serves other clients.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, text_format

from seldon_spec.errors import MalformedRequest
from seldon_spec.transport.grpc.call import CallHandler, StreamCall
from seldon_spec.transport.grpc.health import HEALTH_SERVICE
from seldon_spec.transport.grpc.messages import Message

REFLECTION_SERVICES = ("grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection")
"""The same service under its current name, and under its first one, which older clients use."""


class DescriptorPools:
    """Descriptor pools that are searched one after the other; then protobuf's default one, and that of reflection v1.

    The default pool describes the health service.
    """

    def __init__(self, pools: Sequence[descriptor_pool.DescriptorPool]) -> None:
        self._pools = (*pools, descriptor_pool.Default())

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def find(*args: Any) -> Any:
            for pool in self._pools:
                with contextlib.suppress(KeyError):
                    return getattr(pool, name)(*args)
            return getattr(_reflection_v1_pool(), name)(*args)

        return find


@cache
def _reflection_v1_pool() -> descriptor_pool.DescriptorPool:
    """Describe reflection v1, which grpc_reflection does not have: only the package's name differs from v1alpha."""
    from grpc_reflection.v1alpha import reflection_pb2

    proto = descriptor_pb2.FileDescriptorProto()
    reflection_pb2.DESCRIPTOR.CopyToProto(proto)
    renamed = text_format.MessageToString(proto).replace("v1alpha", "v1")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(text_format.Parse(renamed, descriptor_pb2.FileDescriptorProto()))
    return pool


class Reflection:
    """Responds to requests, in any thread.

    Args:
        services: full names of the services that are listed beside health and reflection.
        pools: describe these services.
    """

    def __init__(self, services: Sequence[str], pools: Sequence[descriptor_pool.DescriptorPool]) -> None:
        self._services = (*services, HEALTH_SERVICE, *REFLECTION_SERVICES)
        self._pools = DescriptorPools(pools)

    @cached_property
    def _servicer(self) -> Any:
        from grpc_health.v1 import health_pb2  # noqa: F401 - adds its description to the default pool
        from grpc_reflection.v1alpha import reflection

        return reflection.ReflectionServicer(self._services, pool=self._pools)

    def respond(self, message: bytes) -> bytes:
        """Return the ServerReflectionResponse to a ServerReflectionRequest.

        Raises:
            MalformedRequest: it cannot be parsed.
        """
        from google.protobuf.message import DecodeError
        from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest

        servicer = self._servicer
        try:
            request = ServerReflectionRequest.FromString(message)
        except DecodeError as error:
            raise MalformedRequest(f"this is not a ServerReflectionRequest: {error}") from None
        response: bytes = next(iter(servicer.ServerReflectionInfo(iter((request,)), None))).SerializeToString()
        return response


@dataclass(slots=True)
class ReflectionHandler(CallHandler):
    """Handles calls of the reflection service.

    Attributes:
        reflection: has the responses.
    """

    reflection: Reflection


class ReflectionCall(StreamCall):
    """A call of the reflection service."""

    __slots__ = ()

    _handler: ReflectionHandler

    def process(self, message: Message) -> None:
        plain = bytes(self.read_plain(message))
        future = asyncio.get_running_loop().run_in_executor(None, self._handler.reflection.respond, plain)
        future.add_done_callback(self._finish)

    def _finish(self, future: asyncio.Future[bytes]) -> None:
        if future.cancelled():
            return
        error = future.exception()
        if error is None:
            self.reply(future.result())
        else:
            self.fail(error)

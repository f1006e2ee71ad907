"""The gRPC server: methods to verbs, bytes in and bytes out, with health and reflection beside them.

Source: contract section 1.3; grpc.health.v1 is ours.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from google.protobuf import descriptor_pool
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from seldon_spec.errors import BindFailed, SeldonSpecError, UnsupportedVerb
from seldon_spec.payload.message import Reply, Verb
from seldon_spec.payload.proto_codec import ProtoCodec
from seldon_spec.proto import PACKAGE, POOL
from seldon_spec.server.lane import Lane, LaneCall
from seldon_spec.server.sockets import show_address
from seldon_spec.server.status import describe
from seldon_spec.spec.model import Spec

logger = logging.getLogger(__name__)

METHODS: dict[str, dict[str, Verb | None]] = {
    "Generic": {
        "TransformInput": Verb.TRANSFORM_INPUT,
        "TransformOutput": Verb.TRANSFORM_OUTPUT,
        "Route": Verb.ROUTE,
        "Aggregate": Verb.AGGREGATE,
        "SendFeedback": Verb.FEEDBACK,
    },
    "Model": {"Predict": Verb.PREDICT, "SendFeedback": Verb.FEEDBACK, "Metadata": Verb.METADATA},
    "Router": {"Route": Verb.ROUTE, "SendFeedback": Verb.FEEDBACK},
    "Transformer": {"TransformInput": Verb.TRANSFORM_INPUT},
    "OutputTransformer": {"TransformOutput": Verb.TRANSFORM_OUTPUT},
    "Combiner": {"Aggregate": Verb.AGGREGATE},
    "Seldon": {
        "Predict": Verb.PREDICT,
        "SendFeedback": Verb.FEEDBACK,
        "ModelMetadata": Verb.METADATA,
        "GraphMetadata": None,
    },
}
"""The verb of each method, by service, whatever the service type; None: a component alone cannot answer it."""

Handler = Callable[[bytes, Any], Awaitable[bytes]]


class GrpcServer:
    """A gRPC server on the running event loop.

    Args:
        lane: answers the verbs.
        spec: its host and its bounds are used.
        port: the port that has been reserved for it.
    """

    def __init__(self, lane: Lane, spec: Spec, port: int) -> None:
        self._lane = lane
        self._loop = asyncio.get_running_loop()
        self._codec = ProtoCodec()
        self._health = health.aio.HealthServicer()  # type: ignore[attr-defined]
        self._services = [f"{PACKAGE}.{service}" for service in METHODS]
        self._server = grpc.aio.server(
            options=[
                ("grpc.max_receive_message_length", spec.server.max_message_bytes),
                ("grpc.max_send_message_length", -1),
                ("grpc.so_reuseport", 1),  # beside the reserving socket, and the other workers
            ]
        )
        self._server.add_generic_rpc_handlers(
            tuple(
                grpc.method_handlers_generic_handler(
                    f"{PACKAGE}.{service}",
                    {name: grpc.unary_unary_rpc_method_handler(self._handler(verb)) for name, verb in methods.items()},
                )
                for service, methods in METHODS.items()
            )
        )
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        listed = (*self._services, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(listed, self._server, pool=_BothPools())  # type: ignore[arg-type]
        self._bind(spec, port)

    def _bind(self, spec: Spec, port: int) -> None:
        try:
            bound = self._server.add_insecure_port(show_address(spec.server.host, port))
        except RuntimeError as error:
            raise BindFailed("ports.grpc", spec.server.host, port, str(error), spec.origin("ports", "grpc")) from error
        if bound == 0:  # how grpcio told of it before 1.63
            raise BindFailed("ports.grpc", spec.server.host, port, "gRPC refused it", spec.origin("ports", "grpc"))

    async def start(self) -> None:
        """Take requests; the health service says NOT_SERVING until ``set_serving``."""
        await self._set_health(health_pb2.HealthCheckResponse.NOT_SERVING)
        await self._server.start()

    async def set_serving(self) -> None:
        """Have the health service say SERVING."""
        await self._set_health(health_pb2.HealthCheckResponse.SERVING)

    async def set_not_serving(self) -> None:
        """Have the health service say NOT_SERVING for good."""
        await self._health.enter_graceful_shutdown()

    async def drain(self, seconds: float) -> None:
        """Say NOT_SERVING, take no more requests, and give those under way this long to end."""
        await self._health.enter_graceful_shutdown()
        await self._server.stop(seconds)

    async def _set_health(self, status: Any) -> None:
        for service in ("", *self._services):
            await self._health.set(service, status)

    def _handler(self, verb: Verb | None) -> Handler:
        async def handle(request: bytes, context: Any) -> bytes:
            try:
                return await self._answer(verb, request)
            except Exception as error:
                if not isinstance(error, SeldonSpecError):
                    logger.error("unexpected: %s", error, exc_info=error)
                failure = describe(error)
                await context.abort(grpc.StatusCode[failure.grpc], failure.details)
                raise  # abort has raised already

        return handle

    async def _answer(self, verb: Verb | None, request: bytes) -> bytes:
        if verb is None:
            raise UnsupportedVerb("GraphMetadata not available on the Model level.")
        answered: asyncio.Future[Reply] = self._loop.create_future()
        call = self._lane.submit(verb, request, self._codec, _finish, answered)
        del request  # the lane has it, and lets go of it as soon as it is read
        try:
            return (await answered).body
        except asyncio.CancelledError:
            self._lane.cancel(call)
            raise


def _finish(call: LaneCall) -> None:
    answered: asyncio.Future[Reply] = call.owner
    if answered.done():
        return
    if call.reply is not None:
        answered.set_result(call.reply)
    else:
        assert call.error is not None
        answered.set_exception(call.error)


class _BothPools:
    """Our descriptor pool, and behind it protobuf's own, where the health service is described."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def find(*args: Any) -> Any:
            try:
                return getattr(POOL, name)(*args)
            except KeyError:
                return getattr(descriptor_pool.Default(), name)(*args)

        return find

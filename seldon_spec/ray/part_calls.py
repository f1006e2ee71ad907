"""The calls of a component by its graph, which runs in another replica."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from typing import Any, TypeAlias

from seldon_spec.errors import SeldonSpecError
from seldon_spec.inference.message import Operation, Transport
from seldon_spec.inference.request import EncodedResponse
from seldon_spec.observability.request_context import RequestLog, make_context, working_on
from seldon_spec.protocols.seldon_v1.errors import describe
from seldon_spec.ray.codecs import CODECS
from seldon_spec.server.bridge import ExecutorBridge, PendingCall

logger = logging.getLogger(__name__)

Failure: TypeAlias = tuple[str, int, str, str, int]
"""The arguments of ``RemoteFailed``."""


class PartCalls:
    """Handles the calls of one replica, on its event loop.

    Args:
        bridge: to the model threads.
        request_log: creates and ends the contexts of calls.
    """

    def __init__(self, bridge: ExecutorBridge, request_log: RequestLog) -> None:
        self._bridge = bridge
        self._request_log = request_log

    async def call(
        self,
        transport: str,
        operation: str,
        wire: bytes | None,
        metadata: Sequence[tuple[str, str]],
        seconds: float | None,
    ) -> tuple[Failure | None, bytes]:
        """Return the error or the response to a request.

        Args:
            transport: of the encoding.
            operation: the value of an ``Operation``.
            wire: the encoded request.
            metadata: headers of the request.
            seconds: how long the caller waits; None: there is no limit.
        """
        codec = CODECS[Transport(transport)]
        fields = {name.encode(): value.encode("latin-1") for name, value in metadata}
        context = make_context(self._request_log.plan(fields.get, transport, "POST", f"/{operation}"))
        response: asyncio.Future[EncodedResponse] = asyncio.get_running_loop().create_future()
        call: PendingCall | None = None
        failure: Failure | None = None
        body, statuses = b"", (200, "OK")
        try:
            call = self._bridge.submit(Operation(operation), wire, codec, _finish, response, context)
            if seconds is not None:
                call.deadline = min(call.deadline, time.perf_counter() + seconds)
            body = (await response).body
        except asyncio.CancelledError:
            if call is not None:
                self._bridge.cancel(call)
            if context is not None:
                self._request_log.abandon(context)
            raise
        except Exception as error:
            if not isinstance(error, SeldonSpecError):
                with working_on(context):
                    logger.error("unexpected error in a call of the graph: %s", error, exc_info=error)
            found = describe(error)
            failure = (found.info, found.http, found.grpc, found.reason, found.code)
            statuses = (found.http, found.grpc)
        if context is not None:
            self._request_log.end(context, statuses[0] if codec.transport is Transport.REST else statuses[1])
        return failure, body


def _finish(call: PendingCall) -> None:
    response: Any = call.owner
    if response.done():
        return
    if call.error is None:
        response.set_result(call.response)
    else:
        response.set_exception(call.error)

"""The gRPC health service of a replica: ``Check`` only.

A call of ``Watch`` would occupy one of the replica's requests until its time limit, and keep the replica from stopping.
Without it, a client that wants to watch considers the server healthy, as the protocol specifies.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import grpc

from seldon_spec.errors import MalformedRequest
from seldon_spec.protocols.grpc_protocol import GrpcProtocol
from seldon_spec.transport.grpc.call import RpcError
from seldon_spec.transport.grpc.health import HEALTH_SERVICE, Health, ServingStatus, read_service

CHECK = "Check"
CHECK_PATH = f"/{HEALTH_SERVICE}/{CHECK}"


class HealthCheck:
    """Handles calls of ``Check``.

    Args:
        protocols: whose services are served; errors are described by the first one.
        is_ready: returns whether requests are accepted.
    """

    def __init__(self, protocols: Sequence[GrpcProtocol], is_ready: Callable[[], bool]) -> None:
        self._health = Health(service for protocol in protocols for service in protocol.services)
        self._describe = protocols[0].describe
        self._is_ready = is_ready

    async def respond(self, message: bytes, rpc: Any) -> bytes:
        """Return the response to a HealthCheckRequest; an error ends the call."""
        self._health.set(ServingStatus.SERVING if self._is_ready() else ServingStatus.NOT_SERVING)
        try:
            return self._health.check(read_service(message))
        except RpcError as error:
            await rpc.abort(grpc.StatusCode[error.status], str(error))
            raise  # abort has raised already
        except MalformedRequest as error:
            status, text = self._describe(error)
            await rpc.abort(grpc.StatusCode[status], text)
            raise

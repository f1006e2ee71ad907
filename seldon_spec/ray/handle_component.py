"""A component of a graph that has a deployment of its own on Ray Serve, as the graph calls it."""

from __future__ import annotations

import json
from typing import Any

from ray.exceptions import RayError
from ray.serve.exceptions import RayServeException

from seldon_spec.config.model import ComponentSpec
from seldon_spec.errors import RemoteFailed
from seldon_spec.inference.message import Operation, Transport
from seldon_spec.ray.codecs import CODECS
from seldon_spec.remote.component import RemoteComponent
from seldon_spec.remote.failures import TimeLimit, unreachable
from seldon_spec.remote.server import Metadata, Server


class HandleComponent(RemoteComponent):
    """Calls a deployment, with the encoding of each request: a component sees the same as in the graph's process.

    Args:
        name: of the component and of its deployment.
        spec: of the component.
        handle: a ``DeploymentHandle``.
    """

    def __init__(self, name: str, spec: ComponentSpec, handle: Any) -> None:
        self._servers = {transport: _HandleServer(name, handle, transport) for transport in CODECS}
        self._polled = self._servers[Transport.REST]
        super().__init__(name, spec, self._polled)

    def close(self) -> None:
        """Cancel the calls in flight, and end the thread that polls the deployment."""
        super().close()
        for server in self._servers.values():
            server.close()

    def _find_server(self, transport: Transport) -> Server:
        """Return the server for requests of one encoding.

        Ray keeps a request until a replica can take it, which may last: none is sent after a readiness check was kept.

        Raises:
            RemoteFailed: it was.
        """
        if self._polled.problem is not None:
            raise unreachable(self._polled.address, self._polled.problem)
        return self._servers[transport]


class _HandleServer:
    """A deployment that is called through a handle, with messages of one encoding; see ``Server``.

    Attributes:
        problem: the reason why no replica has accepted the last readiness check in time; None: one has, or may do so.
    """

    def __init__(self, name: str, handle: Any, transport: Transport) -> None:
        self.address = f"deployment {name}"
        self.codec = CODECS[transport]
        self._handle = handle
        self._responses: set[Any] = set()
        self.problem: str | None = None
        self._is_closed = False

    def send(
        self, operation: Operation, body: bytes | memoryview | None, metadata: Metadata, limit: TimeLimit
    ) -> bytes:
        """Send one request; see ``Server.send``."""
        wire = None if body is None else bytes(body)
        transport, seconds = self.codec.transport.value, limit.remaining()
        response = self._handle.call.remote(transport, operation.value, wire, tuple(metadata), seconds)
        failure, result = self._wait(response, seconds, limit)
        if failure is not None:
            raise RemoteFailed(*failure)
        found: bytes = result
        return found

    def read_metadata(self, metadata: Metadata, limit: TimeLimit) -> Any:
        """Return the metadata of its model; see ``Server.read_metadata``."""
        return json.loads(self.send(Operation.METADATA, None, metadata, limit))

    def check_ready(self, limit: TimeLimit) -> None:
        """Check that a replica accepts requests; see ``Server.check_ready``."""
        try:
            state = self._wait(self._handle.describe_state.remote(), limit.remaining(), limit)
        except RemoteFailed as error:
            if error.grpc == "DEADLINE_EXCEEDED":
                self.problem = str(error)
            raise
        self.problem = None
        if state is not None:
            raise unreachable(self.address, state)

    def close(self) -> None:
        """Cancel the calls in flight."""
        self._is_closed = True
        for response in [*self._responses]:
            response.cancel()

    def _wait(self, response: Any, seconds: float | None, limit: TimeLimit) -> Any:
        """Return the result of a call within the seconds that are left of its limit.

        Raises:
            RemoteFailed: there is none.
        """
        self._responses.add(response)
        if self._is_closed:
            response.cancel()
        try:
            return response.result(timeout_s=seconds)
        except TimeoutError:
            response.cancel()
            raise limit.expired() from None
        except (RayError, RayServeException) as error:
            reason = "the component was closed" if self._is_closed else f"Ray reports {type(error).__name__}"
            raise unreachable(self.address, reason) from None
        finally:
            self._responses.discard(response)

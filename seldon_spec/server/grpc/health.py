"""The service grpc.health.v1.Health: asked once, or watched."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from seldon_spec.errors import MalformedRequest
from seldon_spec.protocols.seldon_v1.fast.proto import Wire
from seldon_spec.protocols.seldon_v1.grpc_methods import SERVICES
from seldon_spec.server.grpc.call import CallHandler, RpcError, SingleCall, write_prefix
from seldon_spec.transport.grpc.headers import HEAD, OK_TAIL
from seldon_spec.transport.http2.stream import Carrier


class ServingStatus(IntEnum):
    """What can be said of a service; the numbers are the protocol's."""

    SERVING = 1
    NOT_SERVING = 2
    SERVICE_UNKNOWN = 3


class Health:
    """How the services are: all the same, for one component is behind them."""

    def __init__(self) -> None:
        self._names = frozenset(("", *SERVICES))
        self._status = ServingStatus.NOT_SERVING
        self._watches: set[WatchCall] = set()

    def find(self, name: str) -> ServingStatus:
        """How a service is."""
        return self._status if name in self._names else ServingStatus.SERVICE_UNKNOWN

    def set(self, status: ServingStatus) -> None:
        """Say how they are from now on, also to those who watch."""
        if status is not self._status:
            self._status = status
            for watch in list(self._watches):
                watch.tell()

    def watch(self, call: WatchCall) -> None:
        """Tell this call of changes."""
        self._watches.add(call)

    def unwatch(self, call: WatchCall) -> None:
        """Tell it no more; it need not have been told."""
        self._watches.discard(call)


@dataclass(slots=True)
class HealthHandler(CallHandler):
    """The plan of the health service's calls.

    Attributes:
        health: what they ask for.
    """

    health: Health


class HealthCall(SingleCall):
    """A call that names a service."""

    __slots__ = ()

    _plan: HealthHandler

    def read_name(self, message: Wire) -> str:
        """The service of a HealthCheckRequest.

        Raises:
            MalformedRequest: it is none.
        """
        from google.protobuf.message import DecodeError
        from grpc_health.v1 import health_pb2  # not at the top: the start of the server does without

        try:
            name: str = health_pb2.HealthCheckRequest.FromString(self.read_plain(message)).service
        except DecodeError as error:
            raise MalformedRequest(f"this is no HealthCheckRequest: {error}") from None
        return name


class CheckCall(HealthCall):
    """Asks once."""

    __slots__ = ()

    is_probe = True

    def begin(self, message: Wire) -> None:
        """See ``SingleCall``."""
        status = self._plan.health.find(self.read_name(message))
        if status is ServingStatus.SERVICE_UNKNOWN:
            raise RpcError("NOT_FOUND", "there is no such service here")
        self.lose()
        self.is_successful = True
        body = _write_response(status)
        self.carrier.respond(self, HEAD, write_prefix(body), body, OK_TAIL)


class WatchCall(HealthCall):
    """Asks, and is told of every change until its client goes."""

    __slots__ = ("_name",)

    def __init__(self, plan: HealthHandler, carrier: Carrier, stream_id: int, window: int) -> None:
        super().__init__(plan, carrier, stream_id, window)
        self._name = ""

    def begin(self, message: Wire) -> None:
        """See ``SingleCall``."""
        self._name = self.read_name(message)
        self._plan.health.watch(self)
        self.carrier.begin(self, HEAD)
        self.tell()

    def tell(self) -> None:
        """Send the status."""
        body = _write_response(self._plan.health.find(self._name))
        self.carrier.send(self, write_prefix(body) + body)

    def retire(self) -> None:
        """See ``Stream``."""
        self.end("UNAVAILABLE", "the server is stopping")

    def lose(self) -> None:
        """See ``Stream``."""
        self._plan.health.unwatch(self)
        super().lose()


def _write_response(status: ServingStatus) -> bytes:
    """A HealthCheckResponse: its only member is the enum with the number 1."""
    return bytes((0x08, status))

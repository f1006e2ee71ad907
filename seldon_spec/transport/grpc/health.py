"""The service grpc.health.v1.Health."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

from seldon_spec.errors import MalformedRequest
from seldon_spec.transport.grpc.call import CallHandler, RpcError, SingleCall
from seldon_spec.transport.grpc.headers import INITIAL_METADATA
from seldon_spec.transport.grpc.messages import Message, write_prefix
from seldon_spec.transport.http2.frame_sender import FrameSender
from seldon_spec.transport.http2.receive_windows import ReceiveWindows

HEALTH_SERVICE = "grpc.health.v1.Health"


class ServingStatus(IntEnum):
    """The status of a service; the numbers are the protocol's."""

    SERVING = 1
    NOT_SERVING = 2
    SERVICE_UNKNOWN = 3


class Health:
    """The status of all services, which is the same: one component serves them.

    Args:
        services: their full names; the empty name is the server as a whole.

    Attributes:
        status: of all services.
    """

    def __init__(self, services: Iterable[str]) -> None:
        self._names = frozenset(("", *services))
        self._watches: set[WatchCall] = set()
        self.status = ServingStatus.NOT_SERVING

    def find(self, name: str) -> ServingStatus:
        """Return the status of a service."""
        return self.status if name in self._names else ServingStatus.SERVICE_UNKNOWN

    def check(self, name: str) -> bytes:
        """Return the response to a ``Check`` of a service.

        Raises:
            RpcError: there is no such service.
        """
        status = self.find(name)
        if status is ServingStatus.SERVICE_UNKNOWN:
            raise RpcError("NOT_FOUND", "there is no such service here")
        return _encode_response(status)

    def set(self, status: ServingStatus) -> None:
        """Set the status, and send it to the calls that watch it."""
        if status is not self.status:
            self.status = status
            for watch in list(self._watches):
                watch.send_status()

    def watch(self, call: WatchCall) -> None:
        """Send changes to this call."""
        self._watches.add(call)

    def unwatch(self, call: WatchCall) -> None:
        """Send no more changes to this call, if it has watched at all."""
        self._watches.discard(call)


@dataclass(slots=True)
class HealthHandler(CallHandler):
    """Handles calls of the health service.

    Attributes:
        health: the status of the services.
    """

    health: Health


class HealthCall(SingleCall):
    """A call that names a service."""

    __slots__ = ()

    _handler: HealthHandler

    def read_name(self, message: Message) -> str:
        """Return the service of a HealthCheckRequest.

        Raises:
            MalformedRequest: it cannot be parsed.
        """
        return read_service(self.read_plain(message))


class CheckCall(HealthCall):
    """Returns the status once."""

    __slots__ = ()

    is_probe = True

    def begin(self, message: Message) -> None:
        self.respond(self._handler.health.check(self.read_name(message)))


class WatchCall(HealthCall):
    """Sends the status, and every change until the client cancels the call."""

    __slots__ = ("_name",)

    def __init__(self, handler: HealthHandler, sender: FrameSender, windows: ReceiveWindows, stream_id: int) -> None:
        super().__init__(handler, sender, windows, stream_id)
        self._name = ""

    def begin(self, message: Message) -> None:
        self._name = self.read_name(message)
        self._handler.health.watch(self)
        self.sender.send_headers(self, INITIAL_METADATA)
        self.send_status()

    def send_status(self) -> None:
        """Send the status of the service."""
        body = _encode_response(self._handler.health.find(self._name))
        self.sender.send_data(self, write_prefix(body) + body)

    def retire(self) -> None:
        self.end("UNAVAILABLE", "the server is stopping")

    def lose(self) -> None:
        self._handler.health.unwatch(self)
        super().lose()


def read_service(message: Message) -> str:
    """Return the service of a HealthCheckRequest.

    Raises:
        MalformedRequest: it cannot be parsed.
    """
    from google.protobuf.message import DecodeError
    from grpc_health.v1 import health_pb2  # not at the top: importing it would delay the start of the server

    try:
        name: str = health_pb2.HealthCheckRequest.FromString(message).service
    except DecodeError as error:
        raise MalformedRequest(f"this is not a HealthCheckRequest: {error}") from None
    return name


def _encode_response(status: ServingStatus) -> bytes:
    """Encode a HealthCheckResponse, whose only member is the enum with the number 1."""
    return bytes((0x08, status))

"""The interface between a client and what runs the model: a server over REST or gRPC, or this process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from seldon_spec.inference.message import Operation
from seldon_spec.remote.failures import TimeLimit

OWNER = "client"
"""What closes the connections, for errors."""

ANY_SIZE = 1 << 40
"""Bytes of a response: a client has no limit of its own."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """An encoded request.

    Attributes:
        operation: of Seldon's protocol; the Open Inference Protocol has PREDICT only.
        body: the bytes.
        request_id: for the server's logs.
        model: its name in the Open Inference Protocol; None: it is a request of Seldon's protocol.
        json_size: the length of the JSON before binary data; None: there is none.
    """

    operation: Operation
    body: bytes
    request_id: str
    model: str | None = None
    json_size: int | None = None

    @property
    def is_v2(self) -> bool:
        """Whether it is a request of the Open Inference Protocol."""
        return self.model is not None


@dataclass(frozen=True, slots=True)
class Incoming:
    """An encoded response; the attributes are those of ``Outgoing``."""

    body: bytes
    request_id: str
    json_size: int | None = None


class Target(Protocol):
    """Runs the model; called from any thread. Every method but ``close`` raises CallFailed."""

    @property
    def address(self) -> str:
        """Where the model runs, for errors."""

    @property
    def is_grpc(self) -> bool:
        """Whether messages are protobuf, not JSON."""

    def send(self, request: Outgoing, limit: TimeLimit) -> Incoming:
        """Send one request, and return its response."""

    def list_models(self, limit: TimeLimit) -> list[str]:
        """Return the names of the models of the Open Inference Protocol; empty: they are not listed."""

    def list_extensions(self, limit: TimeLimit) -> Sequence[str] | None:
        """Return the extensions of the Open Inference Protocol; None: the server does not have the protocol."""

    def read_metadata(self, model: str, limit: TimeLimit, *, is_v2: bool) -> Any:
        """Return the metadata of the model; an empty name means the only one."""

    def check_ready(self, model: str, limit: TimeLimit, *, is_v2: bool) -> None:
        """Check that requests are accepted; an empty name means the whole server."""

    def close(self) -> None:
        """Close what is open; calls in flight fail."""

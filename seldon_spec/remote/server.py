"""The interface between a remote component and the transport to its server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias

from seldon_spec.inference.message import Operation
from seldon_spec.inference.request import Codec
from seldon_spec.remote.failures import TimeLimit

Metadata: TypeAlias = Sequence[tuple[str, str]]
"""Headers of HTTP, or metadata of gRPC; names are in lower case."""


class Server(Protocol):
    """A server of Seldon's protocol; called from any thread."""

    @property
    def address(self) -> str:
        """Host and port."""

    @property
    def codec(self) -> Codec:
        """The codec of its messages."""

    def send(
        self, operation: Operation, body: bytes | memoryview | None, metadata: Metadata, limit: TimeLimit
    ) -> bytes:
        """Send one request and return its response; at most one retry, if no byte of the request was sent.

        Args:
            operation: one with a body, or HEALTH.
            body: None: the operation has none.
            metadata: in addition to the token.
            limit: of the call.

        Raises:
            RemoteFailed: the server cannot be reached, or it returned an error.
            ResultError: the response is no message.
        """

    def read_metadata(self, metadata: Metadata, limit: TimeLimit) -> Any:
        """Return the metadata of its model as a JSON value.

        Raises:
            RemoteFailed, ResultError: as ``send`` does.
        """

    def check_ready(self, limit: TimeLimit) -> None:
        """Check that the server accepts requests.

        Raises:
            RemoteFailed: it does not.
        """

    def close(self) -> None:
        """Close all connections; requests in flight fail."""

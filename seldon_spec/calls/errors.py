"""The exceptions of a failed call, the same for every transport."""

from __future__ import annotations

from seldon_spec.errors import RemoteFailed, SeldonSpecError
from seldon_spec.protocols.seldon_v1.errors import describe as describe_seldon


class CallFailed(SeldonSpecError):
    """A call has no result: the server, or the model in this process, returned an error.

    Attributes:
        info: the text of the error.
        http_status: the HTTP status; on gRPC that of the code.
        grpc_code: the name of the gRPC code; on REST that of the status.
        reason: of Seldon's protocol, such as ``MICROSERVICE_BAD_DATA``; None: the protocol has none.
        code: of Seldon's protocol; -1: the error has none.
        request_id: the ID of the request in the server's logs; None: it was no request for the model.
    """

    def __init__(
        self,
        info: str,
        http_status: int,
        grpc_code: str,
        reason: str | None = None,
        code: int = -1,
        request_id: str | None = None,
    ) -> None:
        super().__init__(info)
        self.info = info
        self.http_status = http_status
        self.grpc_code = grpc_code
        self.reason = reason
        self.code = code
        self.request_id = request_id

    def __str__(self) -> str:
        parts = [f"HTTP {self.http_status}", self.grpc_code, self.reason]
        return f"{self.info} [{', '.join(filter(None, parts))}]"


class NoConnection(CallFailed):
    """The server cannot be reached, or the connection ended before there was a response."""

    def __str__(self) -> str:
        return self.info


class CallTimeout(CallFailed):
    """There was no response within the timeout of the call."""

    def __str__(self) -> str:
        return self.info


def from_remote(error: RemoteFailed, request_id: str | None, *, is_v2: bool) -> CallFailed:
    """Return the exception for the error of a server, or of the connection to it.

    Args:
        error: of the request.
        request_id: that was sent; the server may have sent another one.
        is_v2: whether the request is one of the Open Inference Protocol, whose errors have no reason.
    """
    kind = CallFailed
    if not error.has_response:
        kind = CallTimeout if error.grpc == "DEADLINE_EXCEEDED" else NoConnection
    reason = None if is_v2 else describe_seldon(error).reason
    return kind(str(error), error.http, error.grpc, reason, error.code, error.request_id or request_id)

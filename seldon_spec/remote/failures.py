"""The errors of a server that cannot be used, the same for both transports, and the time limit of a call."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

from seldon_spec.errors import RemoteFailed

_HTTP_STATUSES = {
    "INVALID_ARGUMENT": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ABORTED": 409,
    "FAILED_PRECONDITION": 412,
    "UNIMPLEMENTED": 501,
    "RESOURCE_EXHAUSTED": 503,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
    "CANCELLED": 503,
}

_GRPC_CODES = {
    **{status: code for code, status in _HTTP_STATUSES.items()},
    413: "RESOURCE_EXHAUSTED",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
}


def find_http_status(code: str) -> int:
    """Return the HTTP status for the name of a gRPC code."""
    return _HTTP_STATUSES.get(code, 500)


def find_grpc_code(status: int) -> str:
    """Return the name of the gRPC code for the HTTP status of an error."""
    return _GRPC_CODES.get(status, "FAILED_PRECONDITION" if status < 500 else "UNKNOWN")


def unreachable(address: str, reason: str) -> RemoteFailed:
    """Return the error of a server that sent no response.

    Args:
        address: host and port.
        reason: of the transport.
    """
    text = f"no response from {address}: {reason}"
    failure = RemoteFailed(text, find_http_status("UNAVAILABLE"), "UNAVAILABLE", "MICROSERVICE_UNAVAILABLE")
    failure.has_response = False
    return failure


def too_large(address: str, max_bytes: int) -> RemoteFailed:
    """Return the error of a response that is larger than ``max_bytes``."""
    text = f"the response of {address} is larger than server.max_body_bytes, {max_bytes}"
    return RemoteFailed(text, 502, "RESOURCE_EXHAUSTED", "MICROSERVICE_BAD_DATA")


@dataclass(frozen=True, slots=True)
class TimeLimit:
    """When a call ends.

    Attributes:
        ends_at: by ``time.perf_counter``; inf: never.
        text: of the error when it ends; names the limit.
    """

    ends_at: float = math.inf
    text: str = ""

    def remaining(self) -> float | None:
        """Return the seconds that are left; None: there is no limit.

        Raises:
            RemoteFailed: none are left.
        """
        if self.ends_at == math.inf:
            return None
        seconds = self.ends_at - time.perf_counter()
        if seconds <= 0:
            raise self.expired()
        return seconds

    def has_passed(self) -> bool:
        """Return whether no time is left."""
        return self.ends_at <= time.perf_counter()

    def expired(self) -> RemoteFailed:
        """Return the error of a call that takes longer."""
        failure = RemoteFailed(
            self.text, find_http_status("DEADLINE_EXCEEDED"), "DEADLINE_EXCEEDED", "MICROSERVICE_TIMEOUT"
        )
        failure.has_response = False
        return failure


def limit_seconds(seconds: float, text: str) -> TimeLimit:
    """Return the limit that ends some seconds from now."""
    return TimeLimit(time.perf_counter() + seconds, text)

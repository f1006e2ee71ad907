"""The error format of the Open Inference Protocol: an object with one text, and the status of each error class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from seldon_spec.errors import ComponentFailed, CorruptMessage, RemoteFailed, ResultError, UnsupportedOperation
from seldon_spec.inference.component.failure import is_named
from seldon_spec.protocols.status import (
    MAX_DETAILS,
    STATUSES,
    ErrorStatus,
    describe_error,
    find_by_class,
    name_component,
)

_INTERNAL = ErrorStatus(500, "INTERNAL")

V2_STATUSES: Mapping[type[BaseException], ErrorStatus] = {
    **{
        kind: replace(status, grpc="INTERNAL") if status.grpc == "UNKNOWN" else status
        for kind, status in STATUSES.items()
    },
    UnsupportedOperation: ErrorStatus(501, "UNIMPLEMENTED"),
    CorruptMessage: ErrorStatus(400, "INTERNAL"),  # gRPC's own status for it
    ResultError: _INTERNAL,
}

_OWN_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
"""The gRPC status for the HTTP status of a SeldonMicroserviceException; of others see ``_own_status``."""


@dataclass(frozen=True, slots=True)
class V2Error:
    """An error as the client receives it: HTTP status, name of the gRPC status, and text."""

    http: int
    grpc: str
    text: str

    @property
    def body(self) -> dict[str, str]:
        """The JSON body."""
        return {"error": self.text}

    @property
    def details(self) -> str:
        """The text that accompanies the gRPC status."""
        short = self.text if len(self.text) <= MAX_DETAILS else self.text[:MAX_DETAILS] + "..."
        return short.encode("utf-8", "replace").decode("utf-8")  # a lone surrogate cannot be sent


def describe(error: BaseException) -> V2Error:
    """Describe an error; a SeldonMicroserviceException of the user's class keeps its own status and text.

    So does the error of another server.
    """
    if isinstance(error, RemoteFailed):
        return V2Error(error.http, "INTERNAL" if error.grpc == "UNKNOWN" else error.grpc, describe_error(error))
    cause = error.__cause__
    if isinstance(error, ComponentFailed) and cause is not None and is_named(cause, "SeldonMicroserviceException"):
        status = getattr(cause, "status_code", None)
        status = status if isinstance(status, int) and 400 <= status <= 599 else 500
        text = name_component(error, str(getattr(cause, "message", cause)))
        return V2Error(status, _own_status(status), text)
    found = find_by_class(V2_STATUSES, type(error))
    return V2Error(found.http, found.grpc, describe_error(error))


def _own_status(status: int) -> str:
    return _OWN_STATUSES.get(status, "FAILED_PRECONDITION" if status < 500 else "INTERNAL")


def describe_http(status: int, text: str) -> V2Error:
    """Describe an error of HTTP itself, such as an unknown path."""
    known = {404: "there is no such path", 405: "the path does not accept this method"}
    return V2Error(status, "INTERNAL", known.get(status, text))

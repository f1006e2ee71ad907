"""The error format of Seldon's protocol: the reason of each error class, and the ``status`` object of a response.

Source: contract section 5.
"""

from __future__ import annotations

import http
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from seldon_spec.errors import (
    BadMetadata,
    BadMetric,
    CannotCombine,
    ClientTooSlow,
    ComponentFailed,
    CorruptMessage,
    HeadTooLarge,
    InferUnsupported,
    InvalidRouting,
    MalformedRequest,
    NotServing,
    Overloaded,
    PayloadError,
    RemoteFailed,
    RequestTimeout,
    ResultError,
    TooLarge,
    Unauthenticated,
    UnknownModel,
    UnsupportedMediaType,
    UnsupportedOperation,
    UnwritableResult,
)
from seldon_spec.inference.component.failure import is_named
from seldon_spec.protocols.status import MAX_DETAILS, STATUSES, describe_error, find_by_class, name_component

BAD_DATA = "MICROSERVICE_BAD_DATA"
INTERNAL_ERROR = "MICROSERVICE_INTERNAL_ERROR"

REASONS: Mapping[type[BaseException], str] = {
    PayloadError: BAD_DATA,
    UnsupportedMediaType: BAD_DATA,
    MalformedRequest: BAD_DATA,
    CorruptMessage: BAD_DATA,
    Unauthenticated: "MICROSERVICE_UNAUTHENTICATED",
    ClientTooSlow: "MICROSERVICE_REQUEST_TIMEOUT",
    HeadTooLarge: BAD_DATA,
    Overloaded: "MICROSERVICE_OVERLOADED",
    TooLarge: BAD_DATA,
    UnknownModel: BAD_DATA,
    InferUnsupported: BAD_DATA,
    UnsupportedOperation: BAD_DATA,
    ResultError: BAD_DATA,
    InvalidRouting: "ENGINE_INVALID_ROUTING",
    CannotCombine: "ENGINE_INVALID_COMBINER_RESPONSE",
    UnwritableResult: INTERNAL_ERROR,
    BadMetadata: "MICROSERVICE_BAD_METADATA",
    BadMetric: "MICROSERVICE_BAD_METRIC",
    RequestTimeout: "MICROSERVICE_TIMEOUT",
    NotServing: "MICROSERVICE_UNAVAILABLE",
    ComponentFailed: INTERNAL_ERROR,
    RemoteFailed: INTERNAL_ERROR,
    BaseException: INTERNAL_ERROR,
}

_USUAL_REASONS = {
    STATUSES[kind].http: REASONS[kind] for kind in (PayloadError, Unauthenticated, NotServing, RequestTimeout)
}
"""The reason for the HTTP status of a server that gives none."""


@dataclass(frozen=True, slots=True)
class Failure:
    """An error as the client receives it: HTTP status, name of the gRPC code, and the fields of ``status``."""

    http: int
    grpc: str
    reason: str
    info: str
    code: int = -1

    @property
    def body(self) -> dict[str, Any]:
        """The JSON body; the order of its keys is visible if keys are not sorted."""
        return {"status": {"status": 1, "info": self.info, "code": self.code, "reason": self.reason}}

    @property
    def details(self) -> str:
        """The text that accompanies the gRPC code; an error of the class gets the prefix that grpcio uses."""
        text = f"Exception calling application: {self.info}" if self.grpc == "UNKNOWN" else self.info
        short = text if len(text) <= MAX_DETAILS else text[:MAX_DETAILS] + "..."
        return short.encode("utf-8", "replace").decode("utf-8")  # a lone surrogate cannot be sent


def describe(error: BaseException) -> Failure:
    """Describe an error; a SeldonMicroserviceException of the user's class keeps its own status, reason and text.

    So does the error of another server.
    """
    if isinstance(error, RemoteFailed):
        reason = error.reason or _USUAL_REASONS.get(error.http) or describe_http(error.http, "").reason
        return Failure(error.http, error.grpc, reason, describe_error(error), error.code)
    cause = error.__cause__
    if isinstance(error, ComponentFailed) and cause is not None and is_named(cause, "SeldonMicroserviceException"):
        failure = _describe_seldon_exception(cause)
        return replace(failure, info=name_component(error, failure.info))
    status = find_by_class(STATUSES, type(error))
    return Failure(status.http, status.grpc, find_by_class(REASONS, type(error)), describe_error(error))


def _describe_seldon_exception(cause: BaseException) -> Failure:
    try:
        own = cause.to_dict()["status"]  # type: ignore[attr-defined]
    except Exception:
        own = None
    if not isinstance(own, dict):
        own = {}
    status = getattr(cause, "status_code", None)
    return Failure(
        http=status if isinstance(status, int) and 400 <= status <= 599 else 500,
        grpc=STATUSES[ComponentFailed].grpc,
        reason=str(own.get("reason", getattr(cause, "reason", BAD_DATA))),
        info=str(own.get("info", getattr(cause, "message", cause))),
        code=own["code"] if isinstance(own.get("code"), int) else -1,
    )


def describe_http(status: int, text: str) -> Failure:
    """Describe an error of HTTP itself, such as an unknown path."""
    name = http.HTTPStatus(status).name if status in http.HTTPStatus._value2member_map_ else "HTTP_ERROR"
    reason = BAD_DATA if status in (400, 413, 415) else f"MICROSERVICE_{name}"
    return Failure(status, "UNKNOWN", INTERNAL_ERROR if status == 500 else reason, text)

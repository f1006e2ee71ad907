"""One table: the class of an error to its HTTP status, its gRPC code and its Seldon reason.

Source: contract section 5; the statuses that it does not have (401, 404, 405, 408, 413, 415, 431, 503, 504) are ours.
"""

from __future__ import annotations

import http
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from seldon_spec.errors import (
    BadMetadata,
    BadMetric,
    ClientTooSlow,
    ComponentFailed,
    HeadTooLarge,
    InferUnsupported,
    MalformedRequest,
    NotServing,
    Overloaded,
    PayloadError,
    RequestTimeout,
    ResultError,
    SeldonSpecError,
    TooLarge,
    Unauthenticated,
    UnknownModel,
    UnsupportedMediaType,
    UnsupportedOperation,
    UnwritableResult,
)
from seldon_spec.inference.component.failure import is_named

BAD_DATA = "MICROSERVICE_BAD_DATA"
INTERNAL_ERROR = "MICROSERVICE_INTERNAL_ERROR"
_DETAILS_LIMIT = 2000  # of characters; gRPC carries them in a header, and clients refuse long headers


@dataclass(frozen=True, slots=True)
class Row:
    """How an error is told: HTTP status, name of the gRPC code, reason."""

    http: int
    grpc: str
    reason: str


TABLE: Mapping[type[BaseException], Row] = {
    PayloadError: Row(400, "INVALID_ARGUMENT", BAD_DATA),
    UnsupportedMediaType: Row(415, "INVALID_ARGUMENT", BAD_DATA),
    MalformedRequest: Row(400, "INVALID_ARGUMENT", BAD_DATA),
    Unauthenticated: Row(401, "UNAUTHENTICATED", "MICROSERVICE_UNAUTHENTICATED"),
    ClientTooSlow: Row(408, "DEADLINE_EXCEEDED", "MICROSERVICE_REQUEST_TIMEOUT"),
    HeadTooLarge: Row(431, "RESOURCE_EXHAUSTED", BAD_DATA),
    Overloaded: Row(503, "RESOURCE_EXHAUSTED", "MICROSERVICE_OVERLOADED"),
    TooLarge: Row(413, "RESOURCE_EXHAUSTED", BAD_DATA),
    InferUnsupported: Row(501, "UNIMPLEMENTED", BAD_DATA),
    UnknownModel: Row(404, "NOT_FOUND", BAD_DATA),
    UnsupportedOperation: Row(400, "UNIMPLEMENTED", BAD_DATA),  # 400 and not 501: the contract's
    ResultError: Row(400, "UNKNOWN", BAD_DATA),  # 400 although the class is at fault: the contract's
    UnwritableResult: Row(500, "UNKNOWN", INTERNAL_ERROR),
    BadMetadata: Row(500, "UNKNOWN", "MICROSERVICE_BAD_METADATA"),
    BadMetric: Row(500, "UNKNOWN", "MICROSERVICE_BAD_METRIC"),
    RequestTimeout: Row(504, "DEADLINE_EXCEEDED", "MICROSERVICE_TIMEOUT"),
    NotServing: Row(503, "UNAVAILABLE", "MICROSERVICE_UNAVAILABLE"),
    ComponentFailed: Row(500, "UNKNOWN", INTERNAL_ERROR),
    SeldonSpecError: Row(500, "UNKNOWN", INTERNAL_ERROR),
    BaseException: Row(500, "UNKNOWN", INTERNAL_ERROR),
}


@dataclass(frozen=True, slots=True)
class Failure:
    """An error as a client is told of it."""

    http: int
    grpc: str
    reason: str
    info: str
    code: int = -1

    @property
    def body(self) -> dict[str, Any]:
        """The JSON body; the order of its members is what shows where keys are not sorted."""
        return {"status": {"status": 1, "info": self.info, "code": self.code, "reason": self.reason}}

    @property
    def details(self) -> str:
        """The text beside the gRPC code; the class's own errors stand behind the words that gRPC has for them."""
        text = f"Exception calling application: {self.info}" if self.grpc == "UNKNOWN" else self.info
        short = text if len(text) <= _DETAILS_LIMIT else text[:_DETAILS_LIMIT] + "..."
        return short.encode("utf-8", "replace").decode("utf-8")  # half of a surrogate pair has no form on the wire


def find_row(kind: type[BaseException]) -> Row:
    """The row of an error's class, or of the nearest class above it."""
    return next(TABLE[base] for base in kind.__mro__ if base in TABLE)


def describe(error: BaseException) -> Failure:
    """How an error is told; a SeldonMicroserviceException of the user's keeps its own status, reason and text."""
    cause = error.__cause__
    if isinstance(error, ComponentFailed) and cause is not None and is_named(cause, "SeldonMicroserviceException"):
        return _describe_seldon_exception(cause)
    row = find_row(type(error))
    return Failure(row.http, row.grpc, row.reason, str(error))


def _describe_seldon_exception(cause: BaseException) -> Failure:
    told = _own_status(cause)
    status = getattr(cause, "status_code", None)
    return Failure(
        http=status if isinstance(status, int) and 400 <= status <= 599 else 500,
        grpc=TABLE[ComponentFailed].grpc,
        reason=str(told.get("reason", getattr(cause, "reason", BAD_DATA))),
        info=str(told.get("info", getattr(cause, "message", cause))),
        code=told["code"] if isinstance(told.get("code"), int) else -1,
    )


def _own_status(cause: BaseException) -> Mapping[str, Any]:
    """What the exception's ``to_dict()`` says under ``status``, if it has a sound one."""
    try:
        told = cause.to_dict()["status"]  # type: ignore[attr-defined]
    except Exception:
        return {}
    return told if isinstance(told, dict) else {}


def describe_http(status: int, text: str) -> Failure:
    """How an error of HTTP itself is told, such as an unknown path."""
    name = http.HTTPStatus(status).name if status in http.HTTPStatus._value2member_map_ else "HTTP_ERROR"
    reason = BAD_DATA if status in (400, 413, 415) else f"MICROSERVICE_{name}"
    return Failure(status, "UNKNOWN", INTERNAL_ERROR if status == 500 else reason, text)

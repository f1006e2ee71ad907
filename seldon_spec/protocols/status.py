"""The HTTP status, the gRPC code and the HTTP headers of each error class; a protocol adds its own error format.

Source: contract section 5. The statuses that it does not list (401, 404, 405, 408, 413, 415, 431, 503, 504) are ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

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
    SeldonSpecError,
    TooLarge,
    Unauthenticated,
    UnknownModel,
    UnsupportedMediaType,
    UnsupportedOperation,
    UnwritableResult,
)

T = TypeVar("T")

MAX_DETAILS = 2000
"""Characters of an error's text on gRPC, which sends it in a header; clients reject long headers."""


@dataclass(frozen=True, slots=True)
class ErrorStatus:
    """The HTTP status of an error, the name of its gRPC code, and further headers of its HTTP response."""

    http: int
    grpc: str
    headers: tuple[tuple[str, str], ...] = ()


STATUSES: Mapping[type[BaseException], ErrorStatus] = {
    PayloadError: ErrorStatus(400, "INVALID_ARGUMENT"),
    UnsupportedMediaType: ErrorStatus(415, "INVALID_ARGUMENT"),
    MalformedRequest: ErrorStatus(400, "INVALID_ARGUMENT"),
    CorruptMessage: ErrorStatus(400, "INVALID_ARGUMENT"),
    Unauthenticated: ErrorStatus(401, "UNAUTHENTICATED", (("WWW-Authenticate", "Bearer"),)),
    ClientTooSlow: ErrorStatus(408, "DEADLINE_EXCEEDED"),
    HeadTooLarge: ErrorStatus(431, "RESOURCE_EXHAUSTED"),
    Overloaded: ErrorStatus(503, "RESOURCE_EXHAUSTED", (("Retry-After", "1"),)),
    TooLarge: ErrorStatus(413, "RESOURCE_EXHAUSTED"),
    InferUnsupported: ErrorStatus(501, "UNIMPLEMENTED"),
    UnknownModel: ErrorStatus(404, "NOT_FOUND"),
    UnsupportedOperation: ErrorStatus(400, "UNIMPLEMENTED"),  # 400 and not 501: required by the contract
    ResultError: ErrorStatus(400, "UNKNOWN"),  # 400 although the error is in the class: required by the contract
    InvalidRouting: ErrorStatus(500, "INTERNAL"),
    CannotCombine: ErrorStatus(500, "INTERNAL"),
    UnwritableResult: ErrorStatus(500, "UNKNOWN"),
    BadMetadata: ErrorStatus(500, "UNKNOWN"),
    BadMetric: ErrorStatus(500, "UNKNOWN"),
    RequestTimeout: ErrorStatus(504, "DEADLINE_EXCEEDED"),
    NotServing: ErrorStatus(503, "UNAVAILABLE", (("Retry-After", "1"),)),
    ComponentFailed: ErrorStatus(500, "UNKNOWN"),
    RemoteFailed: ErrorStatus(500, "UNKNOWN"),  # each one has a status of its own
    SeldonSpecError: ErrorStatus(500, "UNKNOWN"),
    BaseException: ErrorStatus(500, "UNKNOWN"),
}


def describe_error(error: BaseException) -> str:
    """Return the text of an error for clients."""
    return name_component(error, str(error))


def name_component(error: BaseException, text: str) -> str:
    """Return the text of an error with the name of the component of a graph that raised it, if one did."""
    component = error.component if isinstance(error, SeldonSpecError) else None
    return text if component is None else f"component {component}: {text}"


def find_by_class(table: Mapping[type[BaseException], T], kind: type[BaseException]) -> T:
    """Return the entry of an error class, or of its nearest base class; the table has one for BaseException."""
    return next(table[base] for base in kind.__mro__ if base in table)

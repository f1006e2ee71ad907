"""Which path asks for what, and the two things that every answer of REST has. Knows no Flask.

Source: contract section 2.
"""

from __future__ import annotations

from collections.abc import Mapping

from seldon_spec.errors import Overloaded, Unauthenticated
from seldon_spec.inference.message import Operation
from seldon_spec.protocols.json_style import JsonStyle, write_json
from seldon_spec.protocols.seldon_v1.errors import Failure

PING = "/health/ping"
PROBES: dict[str, str] = {"/live": "live", "/ready": "ready", PING: "pong"}
"""The paths that never wait for a prediction, and what they answer."""

PROBE_TYPE = "text/html; charset=utf-8"  # the contract's, for /health/ping

MESSAGE_PATHS: dict[Operation, tuple[tuple[str, ...], tuple[str, ...]]] = {
    Operation.PREDICT: (("/predict",), ("/api/v1.0/predictions", "/api/v0.1/predictions")),
    Operation.FEEDBACK: (("/send-feedback",), ("/api/v1.0/feedback", "/api/v0.1/feedback")),
    Operation.TRANSFORM_INPUT: (("/transform-input",), ()),
    Operation.TRANSFORM_OUTPUT: (("/transform-output",), ()),
    Operation.ROUTE: (("/route",), ()),
    Operation.AGGREGATE: (("/aggregate",), ()),
}
"""The paths of the operations that take a message: those that answer GET and POST, and those that answer POST alone."""

READ_PATHS: dict[Operation, tuple[str, ...]] = {
    Operation.HEALTH: ("/health/status", "/api/v1.0/health/status"),
    Operation.METADATA: ("/metadata", "/api/v1.0/metadata"),
}
"""The paths of the operations that take none: they answer GET."""

POSTED: dict[str, Operation] = {
    path: operation for operation, both in MESSAGE_PATHS.items() for paths in both for path in paths
}
"""What a message that is posted to a path asks for."""


def failure_answer(failure: Failure, style: JsonStyle) -> tuple[int, str, bytes]:
    """Status, media type and body that tell of a failure."""
    return failure.http, style.mimetype, write_json(failure.body, style)


FAILURE_HEADERS: Mapping[type[BaseException], list[tuple[str, str]]] = {
    Overloaded: [("Retry-After", "1")],
    Unauthenticated: [("WWW-Authenticate", "Bearer")],
}
"""Further headers of the responses to some errors."""


def preflight_headers(requested: str | None) -> list[tuple[str, str]]:
    """The further headers of the response to a CORS preflight.

    Args:
        requested: its header ``Access-Control-Request-Headers``.
    """
    headers = [("Access-Control-Allow-Methods", "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT")]
    return [*headers, ("Access-Control-Allow-Headers", requested)] if requested else headers


def cors_headers(origin: str | None) -> list[tuple[str, str]]:
    """The headers that let a page of this origin read the answer."""
    if origin is None:
        return [("Access-Control-Allow-Origin", "*")]
    return [("Access-Control-Allow-Origin", origin), ("Vary", "Origin")]

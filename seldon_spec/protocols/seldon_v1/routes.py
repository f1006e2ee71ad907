"""The route table of Seldon's protocol over REST.

Source: contract section 2.1; ``/live`` and ``/ready`` are ours.
"""

from __future__ import annotations

from dataclasses import replace

from seldon_spec.config.model import ServiceType
from seldon_spec.inference.message import Operation
from seldon_spec.inference.request import Codec
from seldon_spec.protocols.json_style import JsonStyle, write_json
from seldon_spec.protocols.route import (
    ANY,
    ANY_JSON,
    FORM,
    JSON,
    MULTIPART,
    Document,
    Page,
    RestProtocol,
    Route,
)
from seldon_spec.protocols.seldon_v1.errors import describe, describe_http
from seldon_spec.protocols.seldon_v1.json_codec import JsonCodec, PassthroughCodec
from seldon_spec.protocols.seldon_v1.openapi import build_openapi

_MESSAGE = (JSON, ANY_JSON, FORM, MULTIPART)


def _message(operation: Operation, path: str, summary: str, aliases: tuple[str, ...] = ()) -> tuple[Route, ...]:
    """Return the routes of an operation that takes a message; only the first path accepts GET."""
    name = operation.value
    route = Route(name, path, ("GET", "POST"), operation, media_types=_MESSAGE, summary=summary)
    more = (Route(f"{name}-post", alias, ("POST",), operation, media_types=_MESSAGE) for alias in aliases)
    return (route, *more)


def _read(operation: Operation, path: str, summary: str) -> tuple[Route, Route]:
    """Return the routes of an operation that takes no message."""
    route = Route(operation.value, path, ("GET",), operation, summary=summary)
    return route, replace(route, path=f"/api/v1.0{path}", summary="")


ROUTES: tuple[Route, ...] = (
    *_message(
        Operation.PREDICT,
        "/predict",
        "Predict.",
        ("/api/v1.0/predictions", "/api/v0.1/predictions"),
    ),
    *_message(Operation.TRANSFORM_INPUT, "/transform-input", "Transform a request before the model gets it."),
    *_message(Operation.TRANSFORM_OUTPUT, "/transform-output", "Transform the response of a model."),
    *_message(Operation.ROUTE, "/route", "Choose the branch of a router."),
    *_message(Operation.AGGREGATE, "/aggregate", "Combine several responses into one."),
    *_message(
        Operation.FEEDBACK,
        "/send-feedback",
        "Send the reward of an earlier response.",
        ("/api/v1.0/feedback", "/api/v0.1/feedback"),
    ),
    *_read(Operation.HEALTH, "/health/status", "Return the health status of the class."),
    *_read(Operation.METADATA, "/metadata", "Return the metadata of the model."),
    Route("ping", "/health/ping", ("GET",), page=Page.PING, is_probe=True),
    Route("live", "/live", ("GET",), page=Page.LIVE, is_probe=True),
    Route("ready", "/ready", ("GET",), page=Page.READY, is_probe=True),
)

OPERATIONS: dict[ServiceType, tuple[Operation, ...]] = {
    ServiceType.MODEL: (Operation.PREDICT,),
    ServiceType.ROUTER: (Operation.ROUTE,),
    ServiceType.TRANSFORMER: (Operation.TRANSFORM_INPUT, Operation.TRANSFORM_OUTPUT),
    ServiceType.COMBINER: (Operation.AGGREGATE,),
    ServiceType.OUTLIER_DETECTOR: (Operation.PREDICT, Operation.TRANSFORM_INPUT),
}
"""The operations of each service type, the usual one first."""

OPERATION_PATHS = tuple(route.path for route in ROUTES if route.operation is not None)


def seldon_v1(style: JsonStyle, title: str, *, is_passthrough: bool = False) -> RestProtocol:
    """Return Seldon's protocol.

    Args:
        style: of JSON.
        title: of the OpenAPI document.
        is_passthrough: whether predict takes and returns the body unchanged (contract section 2.2).
    """
    routes = ROUTES
    if is_passthrough:
        types = (ANY, *_MESSAGE)
        routes = tuple(
            replace(route, media_types=types) if route.operation is Operation.PREDICT else route for route in ROUTES
        )

    def make_codec(route: Route) -> Codec:
        return PassthroughCodec(style) if ANY in route.media_types else JsonCodec(style)

    openapi = Document(
        lambda: write_json(build_openapi(ROUTES, title), style),
        JSON,
        [("Content-Disposition", "inline; filename=seldon.json")],
    )
    document = Route("openapi", "/seldon.json", ("GET",), document=openapi)
    return RestProtocol("Seldon", (*routes, document), style, make_codec, describe, describe_http)

"""The route table of Seldon's protocol over REST.

Source: contract section 2.1; ``/live`` and ``/ready`` are ours.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import cast

from seldon_spec.config.model import ServiceType, Spec
from seldon_spec.inference.message import Operation
from seldon_spec.inference.request import Codec
from seldon_spec.protocols.component_codec import ComponentCodec
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
from seldon_spec.protocols.seldon_v1.graph_routes import make_graph_routes
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


def seldon_v1(spec: Spec) -> RestProtocol:
    """Return Seldon's protocol for the component or the graph of a spec."""
    style = JsonStyle.from_flask(spec.flask)

    def describe_api() -> bytes:
        return write_json(build_openapi(routes, spec.name), style)

    openapi = Document(describe_api, JSON, [("Content-Disposition", "inline; filename=seldon.json")])
    routes = _list_routes(spec, openapi)
    document = Route("openapi", "/seldon.json", ("GET",), document=openapi)
    return RestProtocol("Seldon", (*routes, document), style, partial(_make_codec, style), describe, describe_http)


def list_operation_paths(spec: Spec) -> list[str]:
    """Return the paths of the routes that call the component, or components of the graph."""
    return [route.path for route in seldon_v1(spec).routes if route.operation is not None]


def _list_routes(spec: Spec, document: Document) -> tuple[Route, ...]:
    if spec.graph is not None:
        operations = {
            name: (*OPERATIONS[component.service_type], Operation.FEEDBACK)
            for name, component in spec.components.items()
        }
        return make_graph_routes(ROUTES, operations, document)
    if not spec.unit.is_passthrough:
        return ROUTES
    types = (ANY, *_MESSAGE)  # predict takes and returns the body unchanged (contract section 2.2)
    return tuple(
        replace(route, media_types=types) if route.operation is Operation.PREDICT else route for route in ROUTES
    )


def _make_codec(style: JsonStyle, route: Route) -> Codec:
    codec = PassthroughCodec(style) if ANY in route.media_types else JsonCodec(style)
    return codec if route.component is None else cast("Codec", ComponentCodec(codec, route.component))

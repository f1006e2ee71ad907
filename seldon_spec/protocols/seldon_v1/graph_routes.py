"""The routes that a graph has beside those of a component: the external API of Seldon Core's executor.

They show the graph and its components, and call one component alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from seldon_spec.inference.dispatcher import Dispatcher
from seldon_spec.inference.message import Operation
from seldon_spec.protocols.graph_state import (
    find_component,
    find_graph,
    read_component_metadata,
    read_graph_metadata,
)
from seldon_spec.protocols.route import Body, Document, Route

_VERSIONS = ("/api/v1.0", "/api/v0.1")

Parameters = Mapping[str, str]


def make_graph_routes(
    routes: Iterable[Route], components: Mapping[str, Sequence[Operation]], document: Document
) -> tuple[Route, ...]:
    """Return the routes of a graph.

    Args:
        routes: of a component.
        components: the operations of each component by its name.
        document: describes the API.
    """
    replaced = {f"{version}{path}" for version in _VERSIONS for path in ("/metadata", "/health/status")}
    kept = [route for route in routes if route.path not in replaced]
    status = Route("graph-status", "", ("GET",), state_page=_show_status)
    graph = Route("graph-metadata", "", ("GET",), state_page=_show_graph)
    one_metadata = Route("component-metadata", "", ("GET",), state_page=_show_component_metadata)
    one_status = Route("component-status", "", ("GET",), state_page=_show_component_status)
    shown = {
        "/metadata": replace(graph, summary="Return the metadata of the graph and its components."),
        "/metadata/{component}": replace(one_metadata, summary="Return the metadata of a component."),
        "/status": replace(status, summary="Return whether the graph and its components are ready."),
        "/status/{component}": replace(one_status, summary="Return whether a component is ready."),
    }
    return (
        *kept,
        *(route for name, operations in components.items() for route in _call_component(kept, name, operations)),
        *(
            replace(route, path=version + path, summary=route.summary if version == _VERSIONS[0] else "")
            for version in _VERSIONS
            for path, route in shown.items()
        ),
        replace(status, path="/api/v1.0/health/status"),
        *(Route("doc", f"/api/v1.0/doc{end}", ("GET",), document=document) for end in ("/", "")),
    )


def _call_component(routes: Sequence[Route], name: str, operations: Sequence[Operation]) -> Iterator[Route]:
    """Yield the routes that call one component, one for each operation."""
    for operation in operations:
        route = next(route for route in routes if route.operation is operation)
        yield replace(
            route,
            name=f"component-{name}-{operation.value}",
            path=f"/components/{name}{route.path}",
            methods=("POST",),
            component=name,
            summary=f"Component {name}: {route.summary}",
        )


def _show_graph(dispatcher: Dispatcher, _parameters: Parameters, _body: Body) -> tuple[int, Any]:
    return 200, read_graph_metadata(dispatcher)


def _show_component_metadata(dispatcher: Dispatcher, parameters: Parameters, _body: Body) -> tuple[int, Any]:
    return 200, read_component_metadata(dispatcher, parameters["component"])


def _show_status(dispatcher: Dispatcher, _parameters: Parameters, _body: Body) -> tuple[int, Any]:
    graph, is_ready = find_graph(dispatcher), dispatcher.is_ready
    components = {name: node.component.is_ready for name, node in graph.nodes.items()}
    return 200 if is_ready else 503, {"name": graph.spec.name, "ready": is_ready, "components": components}


def _show_component_status(dispatcher: Dispatcher, parameters: Parameters, _body: Body) -> tuple[int, Any]:
    name = parameters["component"]
    is_ready = find_component(dispatcher, name).is_ready
    return 200 if is_ready else 503, {"name": name, "ready": is_ready}

"""What the protocols show of a graph and its components."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from seldon_spec.errors import BadMetadata, NotServing, SeldonSpecError, UnknownModel
from seldon_spec.inference.component.base import Component
from seldon_spec.inference.dispatcher import Dispatcher
from seldon_spec.inference.graph.graph import Graph


def find_graph(dispatcher: Dispatcher) -> Graph:
    """Return the graph that a dispatcher has built.

    Raises:
        NotServing: it is not built yet.
    """
    component = dispatcher.component
    if component is None:
        raise NotServing(dispatcher.describe_state())
    assert isinstance(component, Graph)
    return component


def find_component(dispatcher: Dispatcher, name: str) -> Component:
    """Return a component of the graph that a dispatcher has built.

    Raises:
        NotServing: the graph is not built yet.
        UnknownModel: it has no such component.
    """
    nodes = find_graph(dispatcher).nodes
    if name not in nodes:
        known = ", ".join(map(repr, nodes))
        raise UnknownModel(f"unknown component {name!r:.200}; the components are {known}")
    return nodes[name].component


def find_raising(component: Component, error: SeldonSpecError) -> Component:
    """Return the component that raised an error: one of a graph, or the given one itself."""
    for name in (error.component or "").split("/"):
        if not isinstance(component, Graph) or name not in component.nodes:
            break
        component = component.nodes[name].component
    return component


def read_component_metadata(dispatcher: Dispatcher, name: str) -> Mapping[str, Any]:
    """Return the metadata of a component of the graph that a dispatcher has built.

    Raises:
        BadMetadata: they are invalid.
        NotServing: the graph is not built yet, or the server of the component is not ready.
        UnknownModel: it has no such component.
    """
    component = find_component(dispatcher, name)
    if component.metadata is not None:
        return component.metadata
    unavailable = "Model metadata unavailable"
    error: SeldonSpecError = BadMetadata(unavailable) if component.is_ready else NotServing(unavailable)
    error.component = name
    raise error


def read_graph_metadata(dispatcher: Dispatcher) -> dict[str, Any]:
    """Return the metadata of the graph that a dispatcher has built, in the executor's format.

    Raises:
        BadMetadata, NotServing: see ``read_component_metadata``; without those of one component there are none.
    """
    graph = find_graph(dispatcher)
    for name in graph.nodes:
        read_component_metadata(dispatcher, name)
    return graph.describe_metadata()

"""What the protocols show of a graph and its components."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, cast

from seldon_spec.config.model import Spec
from seldon_spec.errors import BadMetadata, NotServing, SeldonSpecError, UnknownModel
from seldon_spec.inference.component.base import Component
from seldon_spec.inference.dispatcher import Dispatcher


class Node(Protocol):
    @property
    def component(self) -> Component: ...


class Graph(Component, Protocol):
    @property
    def spec(self) -> Spec: ...

    @property
    def nodes(self) -> Mapping[str, Node]: ...

    def describe_metadata(self) -> dict[str, Any]: ...


def find_graph(dispatcher: Dispatcher) -> Graph:
    """Return the graph of a dispatcher.

    Raises:
        NotServing: it is not built yet.
    """
    component = dispatcher.component
    if component is None:
        raise NotServing(dispatcher.describe_state())
    return cast("Graph", component)


def find_component(dispatcher: Dispatcher, name: str) -> Component:
    """Return a component of the graph of a dispatcher.

    Raises:
        NotServing: the graph is not built yet.
        UnknownModel: it has no such component.
    """
    nodes = find_graph(dispatcher).nodes
    if name not in nodes:
        known = ", ".join(map(repr, nodes))
        raise UnknownModel(f"unknown component {name!r:.200}; the components are {known}")
    return nodes[name].component


def read_component_metadata(dispatcher: Dispatcher, name: str) -> Mapping[str, Any]:
    """Return the metadata of a component of the graph of a dispatcher.

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

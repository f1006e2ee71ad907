"""The specs of the deployments of one application: of the front, and of components with deployments of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from seldon_spec.config.build_spec import select_component
from seldon_spec.config.model import ComponentSpec, Spec
from seldon_spec.deploy.manifest.ray import list_parts
from seldon_spec.inference.component.base import Component
from seldon_spec.inference.graph.build import Connect
from seldon_spec.ray.handle_component import HandleComponent
from seldon_spec.remote import connect_component

_SCHEME = "ray://"
"""Of the URLs of components with deployments of their own, in the spec of the front."""


def make_front(spec: Spec) -> Spec:
    """Return the spec of the front: nothing of components with deployments of their own is loaded there."""
    parts = {part.name for part in list_parts(spec)}
    components = {
        name: replace(each, url=_SCHEME + name) if name in parts else each for name, each in spec.components.items()
    }
    return replace(spec, components=MappingProxyType(components))


def make_part(graph: Spec, name: str) -> Spec:
    """Return the spec of a component with a deployment of its own, which no client calls."""
    spec = select_component(graph, name)
    return replace(spec, server=replace(spec.server, auth=None, tls=None))


def make_connect(handles: Mapping[str, Any]) -> Connect:
    """Return what connects the components of a front.

    Args:
        handles: the ``DeploymentHandle`` of each component with a deployment of its own.
    """

    def connect(name: str, spec: ComponentSpec, graph: Spec) -> Component:
        if spec.url != _SCHEME + name:
            return connect_component(name, spec, graph)
        return HandleComponent(name, spec, handles[name])

    return connect

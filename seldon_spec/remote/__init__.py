"""Components of a graph that are servers of their own: clients over REST and gRPC."""

from __future__ import annotations

from seldon_spec.config.model import ComponentSpec, Spec
from seldon_spec.inference.component.base import Component


def connect_component(name: str, spec: ComponentSpec, graph: Spec) -> Component:
    """Return the client of a component with a URL; see ``remote.component.connect``."""
    from seldon_spec.remote.component import connect  # not at the top: only graphs with URLs need it

    return connect(name, spec, graph.folder, graph.server.max_body_bytes)

"""The way of feedback through a graph."""

from __future__ import annotations

from collections.abc import Mapping

from seldon_spec.inference.graph.nodes import Node
from seldon_spec.inference.graph.steps import Runner


def list_receivers(root: Runner, routing: Mapping[str, int]) -> list[Node]:
    """Return the components that get feedback, in call order, each once.

    Args:
        root: the steps of the graph.
        routing: of the response that the feedback is about; a step that it does not name counts as -1, all branches.

    Raises:
        PayloadError: it names a branch that there is not.
    """
    nodes = {node.name: node for node in root.list_nodes(routing)}
    return [node for node in nodes.values() if node.has_feedback]

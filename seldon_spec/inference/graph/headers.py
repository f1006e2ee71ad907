"""The headers of requests that the components of a graph read."""

from __future__ import annotations

from collections.abc import Iterator

from seldon_spec.config.graph import SplitStep, walk_steps
from seldon_spec.config.model import Spec

TRACE_HEADERS = (b"traceparent", b"tracestate", b"b3")
"""The headers of a trace context, which are sent on to components that are servers of their own."""


def find_kept_headers(spec: Spec) -> frozenset[bytes] | None:
    """Return the names, in lower case, of the headers that each request keeps for the graph and the graphs in it.

    Returns:
        None if the spec is not a graph: a class has no access to the request's context.
    """
    return None if spec.graph is None else frozenset(_headers_of(spec))


def _headers_of(spec: Spec) -> Iterator[bytes]:
    if spec.graph is None:
        return
    for step in walk_steps(spec.graph):
        if isinstance(step, SplitStep) and step.by is not None:
            yield step.by.lower().encode("latin-1")
    for component in spec.components.values():
        if component.url is not None:
            yield from TRACE_HEADERS
        if component.spec is not None:
            yield from _headers_of(component.spec)

"""The spec of a loaded component: with the inputs and outputs that its model files describe."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TypeAlias

from seldon_spec.config.model import Spec
from seldon_spec.inference.component.adapter import Adapter
from seldon_spec.inference.dispatcher import Dispatcher
from seldon_spec.inference.graph.graph import Graph

FindSpec: TypeAlias = Callable[[], Spec]
"""Returns the spec that is served, after its component has been built."""


def find_served_spec(spec: Spec, dispatcher: Dispatcher) -> FindSpec | None:
    """Return what completes a spec once its component is built; None: nothing of it comes from a model file."""
    return partial(_complete, spec, dispatcher) if _has_model(spec) else None


def _has_model(spec: Spec) -> bool:
    if spec.model is not None:
        return True
    return any(_has_model(each.spec) for each in spec.components.values() if each.spec is not None and each.url is None)


def _complete(spec: Spec, dispatcher: Dispatcher) -> Spec:
    component = dispatcher.component
    if isinstance(component, Graph):
        return component.spec
    if isinstance(component, Adapter):
        return replace(spec, inputs=component.inputs, outputs=component.outputs)
    return spec

"""Builds a graph: its components, and its steps as runners."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TypeAlias

from seldon_spec.config.graph import (
    CallStep,
    ChainStep,
    CombineStep,
    Method,
    RouteStep,
    ShadowStep,
    SplitStep,
    Step,
    find_first,
    find_last,
    list_components,
    walk_steps,
)
from seldon_spec.config.model import ComponentSpec, Spec, UnitSpec
from seldon_spec.errors import SeldonSpecError
from seldon_spec.inference.component.adapter import Adapter
from seldon_spec.inference.component.base import Component
from seldon_spec.inference.graph.graph import Graph
from seldon_spec.inference.graph.nodes import Node, TraceComponent
from seldon_spec.inference.graph.shadows import Defer
from seldon_spec.inference.graph.steps import (
    CallRunner,
    ChainRunner,
    CombineRunner,
    RouteRunner,
    Runner,
    ShadowRunner,
    SplitRunner,
)
from seldon_spec.inference.graph.values import add_component
from seldon_spec.inference.message import Operation
from seldon_spec.inference.metrics_sink import ComponentMetrics, MetricsSink

Connect: TypeAlias = Callable[[str, ComponentSpec, Spec], Component]
"""Returns the client of a component that is a server, given its name and the graph that it is a part of."""

_OPERATIONS = {
    Method.PREDICT: Operation.PREDICT,
    Method.TRANSFORM_INPUT: Operation.TRANSFORM_INPUT,
    Method.TRANSFORM_OUTPUT: Operation.TRANSFORM_OUTPUT,
}


@dataclass(frozen=True, slots=True)
class GraphTools:
    """What graphs use of the process.

    Attributes:
        metrics: where measurements go.
        defer: see ``Shadows``.
        build: builds a component of this process.
        connect: None: components with a URL are not supported here.
        trace: None: calls of components are not traced.
    """

    metrics: MetricsSink
    defer: Defer
    build: Callable[[Spec], Component]
    connect: Connect | None = None
    trace: TraceComponent | None = None


def build_graph(spec: Spec, tools: GraphTools) -> Graph:
    """Build the components of a graph one after the other, on this thread, and the graph of them.

    Raises:
        ComponentFailed: a class raised; its ``component`` names it.
    """
    steps = spec.graph
    assert steps is not None
    nodes = {name: _build_node(name, each, spec, tools) for name, each in spec.components.items()}
    spec = _complete(spec, nodes)
    runners = _Runners(nodes, tools.metrics)
    ends = nodes[_find_first(steps)], nodes[_find_last(steps)]
    routers = {
        step.name: step.router for step in walk_steps(steps) if isinstance(step, RouteStep) and step.name != step.router
    }
    return Graph(spec, nodes, runners.make(steps), ends, routers, tools.metrics, tools.defer)


def _complete(spec: Spec, nodes: Mapping[str, Node]) -> Spec:
    """Return the spec of a graph with the inputs and outputs that the model files of its components describe."""
    components = {name: node.spec for name, node in nodes.items()}
    if all(components[name] is each for name, each in spec.components.items()):
        return spec
    assert spec.graph is not None
    first, last = (components[find(spec.graph)].spec for find in (find_first, find_last))
    return replace(
        spec,
        components=MappingProxyType(components),
        inputs=spec.inputs or (() if first is None else first.inputs),
        outputs=spec.outputs or (() if last is None else last.outputs),
    )


def _with_described(spec: ComponentSpec, component: Component) -> ComponentSpec:
    """Return the spec of a component with the inputs and outputs that its model file describes."""
    own = spec.spec
    if isinstance(component, Graph):
        return spec if component.spec is own else replace(spec, spec=component.spec)
    if own is None or own.model is None or not isinstance(component, Adapter):
        return spec
    return replace(spec, spec=replace(own, inputs=component.inputs, outputs=component.outputs))


def _build_node(name: str, spec: ComponentSpec, graph: Spec, tools: GraphTools) -> Node:
    if spec.url is not None:
        if tools.connect is None:
            raise ValueError(f"component {name} has a URL, and this process has no client for it")
        component, has_feedback = tools.connect(name, spec, graph), spec.has_feedback
    else:
        assert spec.spec is not None
        try:
            component = tools.build(spec.spec)
        except SeldonSpecError as error:
            raise add_component(error, name) from error.__cause__
        has_feedback = isinstance(component, (Adapter, Graph)) and component.has_feedback
        spec = _with_described(spec, component)
    composite = component if isinstance(component, Graph) else None
    unit = _describe_unit(name, spec, graph)

    def make_metrics(is_shadow: bool) -> ComponentMetrics:  # noqa: FBT001 - the only argument
        return tools.metrics.for_component(unit, is_shadow=is_shadow)

    trace = None if composite is not None else tools.trace
    return Node(name, spec, component, make_metrics, trace, composite, has_feedback=has_feedback)


def _describe_unit(name: str, spec: ComponentSpec, graph: Spec) -> UnitSpec:
    """Return the labels of a component: its own, with the deployment of the graph."""
    own = UnitSpec() if spec.spec is None else spec.spec.unit
    unit = graph.unit
    return replace(
        own,
        id=name,
        deployment_id=unit.deployment_id,
        predictor_id=unit.predictor_id,
        predictor_version=unit.predictor_version,
    )


class _Runners:
    """Makes the runners of one graph."""

    def __init__(self, nodes: Mapping[str, Node], metrics: MetricsSink) -> None:
        self._nodes = nodes
        self._count = metrics.count_branch

    def make(self, step: Step) -> Runner:
        """Return the runner of a step."""
        if isinstance(step, CallStep):
            return CallRunner(self._nodes[step.component], _OPERATIONS[step.method])
        if isinstance(step, ChainStep):
            return ChainRunner([self.make(each) for each in step.steps])
        if isinstance(step, ShadowStep):
            name = list_components(step.shadow)[0]
            return ShadowRunner(self.make(step.step), self.make(step.shadow), step.percent, name)
        branches = [self.make(branch) for branch in step.branches]
        if isinstance(step, RouteStep):
            return RouteRunner(step.name, self._nodes[step.router], branches, self._count)
        if isinstance(step, SplitStep):
            return SplitRunner(step.name, step.weights, step.by, branches, self._count)
        combiner = None if step.combiner is None else self._nodes[step.combiner]
        return CombineRunner(step.name, combiner, branches, self._count)


def _find_first(step: Step) -> str:
    """Return the component whose inputs are those of a step."""
    return next(_walk(step, 0))


def _find_last(step: Step) -> str:
    """Return the component whose outputs are those of a step."""
    return next(_walk(step, -1))


def _walk(step: Step, end: int) -> Iterator[str]:
    if isinstance(step, CallStep):
        yield step.component
    elif isinstance(step, ChainStep):
        yield from _walk(step.steps[end], end)
    elif isinstance(step, ShadowStep):
        yield from _walk(step.step, end)
    elif isinstance(step, CombineStep) and end and step.combiner is not None:
        yield step.combiner
    else:
        yield from _walk(step.branches[0], end)

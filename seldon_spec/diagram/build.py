"""The nodes and edges of a graph, in the nesting that the drawings need."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import TypeAlias
from urllib.parse import urlsplit

from seldon_spec.config.graph import (
    CallStep,
    ChainStep,
    CombineStep,
    Method,
    RouteStep,
    ShadowStep,
    SplitStep,
    Step,
)
from seldon_spec.config.model import ComponentSpec, Spec
from seldon_spec.inference.message import Operation

Branch: TypeAlias = tuple[str, int]
"""The name of a step, and the index of one of its branches."""

_OPERATIONS = {
    Method.PREDICT: Operation.PREDICT,
    Method.TRANSFORM_INPUT: Operation.TRANSFORM_INPUT,
    Method.TRANSFORM_OUTPUT: Operation.TRANSFORM_OUTPUT,
}


class Shape(str, Enum):
    """What a node shows."""

    REQUEST = "request"
    RESPONSE = "response"
    CALL = "call"
    ROUTE = "route"
    SPLIT = "split"
    ALL = "all"
    COMBINE = "combine"
    AVERAGE = "average"


@dataclass(frozen=True, slots=True)
class Node:
    """A call of a component, a decision, or an end of the graph.

    Attributes:
        key: unique in the diagram; ``n0``, ``n1`` and so on in call order.
        label: the name of the component or of the step.
        detail: what else is known of it, such as the service type; can be empty.
        component: the name of the component that is called; None: none.
        operation: the operation of the component.
        step: the name of the step in ``meta.routing``; None: it is not a step with branches.
        is_shadow: whether its response does not count.
        path: the branches that lead to it, from the outside to the inside.
        is_nested: whether it is inside a nested graph.
    """

    key: str
    shape: Shape
    label: str
    detail: str = ""
    component: str | None = None
    operation: Operation | None = None
    step: str | None = None
    is_shadow: bool = False
    path: tuple[Branch, ...] = ()
    is_nested: bool = False


@dataclass(frozen=True, slots=True)
class Edge:
    """A message from one node to the next.

    Attributes:
        label: the branch and what chooses it; can be empty.
        branch: the branch that begins with this edge; None: none.
        is_copy: whether it carries copies of requests to a shadow.
        is_shadow: whether it leads to a shadow, or is inside one.
        path: the branches that lead over it.
    """

    source: str
    target: str
    label: str = ""
    branch: Branch | None = None
    is_copy: bool = False
    is_shadow: bool = False
    path: tuple[Branch, ...] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """Blocks from left to right."""

    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Stack:
    """Blocks from top to bottom.

    Attributes:
        is_led_by_first: whether the first block is the main line; otherwise all are equal branches.
    """

    blocks: tuple[Block, ...]
    is_led_by_first: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    """A nested graph, which is a component.

    Attributes:
        key: unique in the diagram; ``g0``, ``g1`` and so on.
        component: its name.
        operation: of its calls.
        is_shadow, path, is_nested: as of a node.
    """

    key: str
    component: str
    block: Block
    operation: Operation
    is_shadow: bool = False
    path: tuple[Branch, ...] = ()
    is_nested: bool = False


Block: TypeAlias = "Node | Row | Stack | Group"


@dataclass(frozen=True, slots=True)
class Diagram:
    """The nodes of a graph, nested, and its edges in call order."""

    title: str
    block: Block
    edges: tuple[Edge, ...]


def walk_nodes(block: Block) -> Iterator[Node]:
    """Yield the nodes inside a block in call order."""
    if isinstance(block, Node):
        yield block
    elif isinstance(block, Group):
        yield from walk_nodes(block.block)
    else:
        for each in block.blocks:
            yield from walk_nodes(each)


def walk_groups(block: Block) -> Iterator[Group]:
    """Yield the nested graphs inside a block, each before those in it."""
    if isinstance(block, Group):
        yield block
        yield from walk_groups(block.block)
    elif not isinstance(block, Node):
        for each in block.blocks:
            yield from walk_groups(each)


def build_diagram(spec: Spec) -> Diagram:
    """Return the diagram of a spec; without a graph, a single node."""
    if spec.graph is None:
        node = Node("n0", Shape.CALL, spec.name, spec.service_type.value, component=spec.name)
        return Diagram(spec.name, node, ())
    return _Builder().build(spec)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a step is: the branches that lead to it, and whether it belongs to a shadow or a nested graph."""

    components: Mapping[str, ComponentSpec]
    path: tuple[Branch, ...] = ()
    is_shadow: bool = False
    is_nested: bool = False

    def enter(self, name: str, index: int) -> _Place:
        return replace(self, path=(*self.path, (name, index)))


class _Builder:
    """Adds steps; an edge without a target waits for the node that comes next."""

    def __init__(self) -> None:
        self._nodes = 0
        self._groups = 0
        self._edges: list[Edge] = []

    def build(self, spec: Spec) -> Diagram:
        assert spec.graph is not None
        place = _Place(spec.components)
        request, open_edges = self._add(Shape.REQUEST, "request", "", [], place)
        block, open_edges = self._add_step(spec.graph, open_edges, place)
        response, _ = self._add(Shape.RESPONSE, "response", "", open_edges, place)
        return Diagram(spec.name, _join([request, block, response]), tuple(self._edges))

    def _add(
        self,
        shape: Shape,
        label: str,
        detail: str,
        open_edges: list[Edge],
        place: _Place,
        component: str | None = None,
        operation: Operation | None = None,
        step: str | None = None,
    ) -> tuple[Node, list[Edge]]:
        """Add a node and the edges to it; return it with the edge that leaves it."""
        key = f"n{self._nodes}"
        self._nodes += 1
        more = (place.is_shadow, place.path, place.is_nested)
        node = Node(key, shape, label, detail, component, operation, step, *more)
        self._edges += [replace(edge, target=key) for edge in open_edges]
        return node, [Edge(key, "", is_shadow=place.is_shadow, path=place.path)]

    def _add_step(self, step: Step, open_edges: list[Edge], place: _Place) -> tuple[Block, list[Edge]]:
        if isinstance(step, CallStep):
            return self._add_call(step, open_edges, place)
        if isinstance(step, ChainStep):
            blocks: list[Block] = []
            for each in step.steps:
                block, open_edges = self._add_step(each, open_edges, place)
                blocks.append(block)
            return _join(blocks), open_edges
        if isinstance(step, ShadowStep):
            return self._add_shadow(step, open_edges, place)
        if isinstance(step, CombineStep):
            return self._add_combine(step, open_edges, place)
        return self._add_choice(step, open_edges, place)

    def _add_call(self, step: CallStep, open_edges: list[Edge], place: _Place) -> tuple[Block, list[Edge]]:
        name = step.component
        component = place.components[name]
        if component.spec is not None and component.spec.graph is not None and component.url is None:
            key = f"g{self._groups}"
            self._groups += 1
            inner = replace(place, components=component.spec.components, is_nested=True)
            block, open_edges = self._add_step(component.spec.graph, open_edges, inner)
            return Group(key, name, block, Operation.PREDICT, place.is_shadow, place.path, place.is_nested), open_edges
        method = "" if step.method is Method.PREDICT else step.method.value.removeprefix("transform_")
        detail = describe(component, method)
        return self._add(Shape.CALL, name, detail, open_edges, place, name, _OPERATIONS[step.method])

    def _add_shadow(self, step: ShadowStep, open_edges: list[Edge], place: _Place) -> tuple[Block, list[Edge]]:
        copies = [
            replace(edge, label=_name_copy(edge, step.percent), branch=None, is_copy=True, is_shadow=True)
            for edge in open_edges
        ]
        block, open_edges = self._add_step(step.step, open_edges, place)
        shadow, _ = self._add_step(step.shadow, copies, replace(place, is_shadow=True))
        return Stack((block, shadow), is_led_by_first=True), open_edges

    def _add_choice(
        self, step: RouteStep | SplitStep, open_edges: list[Edge], place: _Place
    ) -> tuple[Block, list[Edge]]:
        if isinstance(step, RouteStep):
            detail = describe(place.components[step.router], _name_step(step.name, step.router))
            names = (step.router, Operation.ROUTE, step.name)
            node, edges = self._add(Shape.ROUTE, step.router, detail, open_edges, place, *names)
            labels = [str(index) for index in range(len(step.branches))]
        else:
            detail = "at random" if step.by is None else f"by {step.by}"
            node, edges = self._add(Shape.SPLIT, step.name, detail, open_edges, place, step=step.name)
            total = sum(step.weights)
            labels = [f"{index}: {_show_percent(100 * each / total)}" for index, each in enumerate(step.weights)]
        return self._add_branches(node, edges[0], step.name, step.branches, labels, place)

    def _add_combine(self, step: CombineStep, open_edges: list[Edge], place: _Place) -> tuple[Block, list[Edge]]:
        node, edges = self._add(Shape.ALL, step.name, "all branches", open_edges, place, step=step.name)
        labels = [str(index) for index in range(len(step.branches))]
        branches, open_edges = self._add_branches(node, edges[0], step.name, step.branches, labels, place)
        if step.combiner is None:
            end, edges = self._add(Shape.AVERAGE, "average", _name_step(step.name), open_edges, place)
        else:
            detail = describe(place.components[step.combiner], _name_step(step.name, step.combiner))
            names = (step.combiner, Operation.AGGREGATE)
            end, edges = self._add(Shape.COMBINE, step.combiner, detail, open_edges, place, *names)
        return _join([branches, end]), edges

    def _add_branches(
        self, node: Node, edge: Edge, name: str, branches: tuple[Step, ...], labels: list[str], place: _Place
    ) -> tuple[Block, list[Edge]]:
        blocks: list[Block] = []
        ends: list[Edge] = []
        for index, (branch, label) in enumerate(zip(branches, labels, strict=True)):
            inner = place.enter(name, index)
            start = replace(edge, label=label, branch=(name, index), path=inner.path)
            block, open_edges = self._add_step(branch, [start], inner)
            blocks.append(block)
            ends += open_edges
        return _join([node, Stack(tuple(blocks))]), ends


def _join(blocks: list[Block]) -> Row:
    """Return the blocks as one row, without rows in it."""
    return Row(tuple(inner for block in blocks for inner in (block.blocks if isinstance(block, Row) else (block,))))


def describe(component: ComponentSpec, *more: str) -> str:
    """Return the service type of a component, more facts, and the host of a remote one."""
    host = "" if component.url is None else f"at {urlsplit(component.url).netloc}"
    return ", ".join(part for part in (component.service_type.value, *more, host) if part)


def _name_copy(edge: Edge, percent: float) -> str:
    """Return the label of an edge beside another one: the branch, and the part of its requests."""
    branch = "" if edge.branch is None else f"{edge.branch[1]}, "
    return f"{branch}shadow {_show_percent(percent)}"


def _name_step(name: str, component: str = "") -> str:
    return "" if name == component else f"step {name}"


def _show_percent(percent: float) -> str:
    return f"{percent:.3g} %"

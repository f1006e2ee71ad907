"""The positions of a diagram's nodes and edges: from left to right in call order, branches below each other."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from seldon_spec.diagram.build import Block, Diagram, Edge, Group, Node, Row, Shape, Stack, walk_nodes

_BOX_HEIGHT = 68.0
_MIN_BOX, _MAX_BOX = 156, 250
_SIZES: dict[Shape, tuple[float, float]] = {Shape.REQUEST: (76, 30), Shape.RESPONSE: (82, 30), Shape.ALL: (22, 22)}
_LOW_HEIGHT = 52.0
"""Of boxes without live values."""

_BETWEEN_BRANCHES = 26
_MIN_GAP = 48
_CURVE = 36
"""The width of the part of an edge that changes its height."""

_GROUP_SIDE, _GROUP_TOP, _GROUP_BOTTOM = 18, 52, 16
_MARGIN = 8
_ABOVE = 20
"""The space above a box, for the number of its errors."""

_SHARE = 7
"""The characters of the share of a branch."""

BOLD, _REGULAR, _LABEL = 7.9, 6.3, 6.2
"""The widths of a character of a name, a detail and an edge's label; the fonts of browsers differ."""

_SIDES = 46
"""The part of a box's width that is not for text: insets, and the points of some shapes."""


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle; ``x`` and ``y`` are its top left corner. The unit is a pixel, as of all sizes here."""

    x: float
    y: float
    width: float
    height: float

    @property
    def middle(self) -> float:
        """The height at which edges arrive and leave."""
        return self.y + self.height / 2

    @property
    def right(self) -> float:
        """The end of the box."""
        return self.x + self.width


@dataclass(frozen=True, slots=True)
class Route:
    """The way of an edge: straight to ``bend``, then a curve of ``CURVE``, then straight to the target."""

    start: tuple[float, float]
    bend: float
    curve_end: float
    end: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Layout:
    """Where everything is.

    Attributes:
        boxes: of nodes by their keys.
        groups: outer ones before inner ones.
        routes: of the diagram's edges, in their order.
    """

    width: float
    height: float
    boxes: dict[str, Box]
    groups: list[tuple[Group, Box]]
    routes: list[Route]


@dataclass(frozen=True, slots=True)
class _Size:
    """Of a block; its main line is at the height ``spine``."""

    width: float
    height: float
    spine: float


def lay_out(diagram: Diagram) -> Layout:
    """Return the positions of everything in a diagram."""
    return _Layouter(diagram).lay_out()


def count_characters(diagram: Diagram, node: Node) -> tuple[int, int]:
    """Return how many characters of a node's label and of its detail fit."""
    inner = (_SIZES[node.shape][0] if node.shape in _SIZES else _choose_width(walk_nodes(diagram.block))) - _SIDES
    return int(inner / BOLD), int(inner / _REGULAR)


def _label_gap(edge: Edge) -> float:
    """Return the space that the texts of an edge need."""
    return math.ceil(_CURVE + 18 + _LABEL * max(len(edge.label), _SHARE)) if edge.label else 0


def _choose_width(nodes: Iterable[Node]) -> float:
    """Return the common width of the boxes, by their longest text."""
    texts = [max(BOLD * len(node.label), _REGULAR * len(node.detail)) for node in nodes if node.shape not in _SIZES]
    return min(_MAX_BOX, max(_MIN_BOX, *(math.ceil(text) + _SIDES for text in texts)))


class _Layouter:
    """Measures blocks from the inside to the outside, then places them from the outside to the inside."""

    def __init__(self, diagram: Diagram) -> None:
        self._diagram = diagram
        self._box_width = _choose_width(walk_nodes(diagram.block))
        self._incoming: dict[str, list[Edge]] = {}
        for edge in diagram.edges:
            self._incoming.setdefault(edge.target, []).append(edge)
        self._keys: dict[int, frozenset[str]] = {}
        self._boxes: dict[str, Box] = {}
        self._groups: list[tuple[Group, Box]] = []
        self._bends: dict[tuple[str, str], float] = {}

    def lay_out(self) -> Layout:
        size = self._measure(self._diagram.block)
        self._place(self._diagram.block, _MARGIN, _ABOVE + size.spine)
        routes = [self._route(edge) for edge in self._diagram.edges]
        width, height = size.width + 2 * _MARGIN, size.height + _ABOVE + _MARGIN
        return Layout(width, height, self._boxes, self._groups, routes)

    def _measure(self, block: Block) -> _Size:
        if isinstance(block, Node):
            height = _LOW_HEIGHT if block.shape in (Shape.SPLIT, Shape.AVERAGE) else _BOX_HEIGHT
            width, height = _SIZES.get(block.shape, (self._box_width, height))
            return _Size(width, height, height / 2)
        if isinstance(block, Group):
            inner = self._measure(block.block)
            width, height = inner.width + 2 * _GROUP_SIDE, inner.height + _GROUP_TOP + _GROUP_BOTTOM
            return _Size(width, height, inner.spine + _GROUP_TOP)
        sizes = [self._measure(each) for each in block.blocks]
        if isinstance(block, Row):
            width = sum(size.width for size in sizes) + sum(self._gaps(block.blocks))
            spine = max(size.spine for size in sizes)
            return _Size(width, spine + max(size.height - size.spine for size in sizes), spine)
        height = sum(size.height for size in sizes) + _BETWEEN_BRANCHES * (len(sizes) - 1)
        spine = sizes[0].spine if block.is_led_by_first else height / 2
        return _Size(max(size.width for size in sizes), height, spine)

    def _gaps(self, blocks: Sequence[Block]) -> list[float]:
        """Return the spaces between the blocks of a row, by the labels of the edges between them."""
        return [
            max([_MIN_GAP, *(_label_gap(edge) for edge in self._between(left, right))])
            for left, right in itertools.pairwise(blocks)
        ]

    def _between(self, left: Block, right: Block) -> list[Edge]:
        sources = self._list_keys(left)
        return [
            edge for key in self._list_keys(right) for edge in self._incoming.get(key, ()) if edge.source in sources
        ]

    def _list_keys(self, block: Block) -> frozenset[str]:
        if id(block) not in self._keys:
            self._keys[id(block)] = frozenset(node.key for node in walk_nodes(block))
        return self._keys[id(block)]

    def _place(self, block: Block, x: float, spine: float) -> None:
        """Place a block with its left edge at ``x`` and its main line at ``spine``."""
        size = self._measure(block)
        top = spine - size.spine
        if isinstance(block, Node):
            self._boxes[block.key] = Box(x, top, size.width, size.height)
        elif isinstance(block, Group):
            self._groups.append((block, Box(x, top, size.width, size.height)))
            self._place(block.block, x + _GROUP_SIDE, spine)
        elif isinstance(block, Stack):
            for each in block.blocks:
                inner = self._measure(each)
                self._place(each, x, top + inner.spine)
                top += inner.height + _BETWEEN_BRANCHES
        else:
            self._place_row(block, x, spine)

    def _place_row(self, row: Row, x: float, spine: float) -> None:
        gaps = [*self._gaps(row.blocks), 0.0]
        for index, (block, gap) in enumerate(zip(row.blocks, gaps, strict=True)):
            self._place(block, x, spine)
            x += self._measure(block).width
            for edge in self._between(block, row.blocks[index + 1]) if index + 1 < len(row.blocks) else ():
                self._bends[edge.source, edge.target] = x
            x += gap

    def _route(self, edge: Edge) -> Route:
        source, target = self._boxes[edge.source], self._boxes[edge.target]
        bend = self._bends[edge.source, edge.target]
        return Route((source.right, source.middle), bend, bend + _CURVE, (target.x, target.middle))

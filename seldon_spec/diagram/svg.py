"""The diagram of a graph as inline SVG, for a page whose style sheet and script know its classes and data attributes.

It has no styles, scripts or references of its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from html import escape

from seldon_spec.diagram.build import Branch, Diagram, Edge, Group, Node, Shape, walk_nodes
from seldon_spec.diagram.layout import BOLD, Box, Route, count_characters, lay_out

_POINT = 14
"""The width of a shape's point."""

_INSET = 16
_HEAD = 7
_PIXELS_PER_REM = 16


def render_svg(diagram: Diagram) -> str:
    """Return the element ``svg``; the same diagram gives the same text."""
    layout = lay_out(diagram)
    width, height = layout.width, layout.height
    count = sum(node.component is not None for node in walk_nodes(diagram.block))
    choices = {node.key for node in walk_nodes(diagram.block) if node.shape in (Shape.ROUTE, Shape.SPLIT)}
    edges = zip(diagram.edges, layout.routes, strict=True)
    return "\n".join(
        [
            f'<svg id="graph" viewBox="0 0 {_number(width)} {_number(height)}" role="group"'
            f' width="{width / _PIXELS_PER_REM:g}rem" height="{height / _PIXELS_PER_REM:g}rem"'
            ' aria-labelledby="graph-name" aria-describedby="graph-text">',
            f'<title id="graph-name">The graph {escape(diagram.title)}</title>',
            f'<desc id="graph-text">Requests pass {count} calls of components from left to right. The table below the'
            " drawing has the same content.</desc>",
            *(_render_group(group, box) for group, box in layout.groups),
            *(_render_edge(edge, route, has_share=edge.source in choices) for edge, route in edges),
            *(_render_node(diagram, node, layout.boxes[node.key]) for node in walk_nodes(diagram.block)),
            "</svg>",
        ]
    )


def _render_group(group: Group, box: Box) -> str:
    header = Box(box.x + 6, box.y + 6, box.width - 12, 26)
    classes = "group shadow" if group.is_shadow else "group"
    count = _text("count", box.x + 34 + BOLD * len(group.component), box.y + 24, "")
    return (
        f'<g class="{classes}">{_rectangle(box, 12)}<g class="title"{_show_called(group, "nested graph")}>'
        f"{_rectangle(header, 8)}{_text('name', box.x + 18, box.y + 24, group.component)}{count}</g></g>"
    )


def _render_node(diagram: Diagram, node: Node, box: Box) -> str:
    classes = f"node {node.shape.value}{' shadow' if node.is_shadow else ''}"
    title = f"<title>{escape(', '.join(filter(None, (node.label, node.detail))))}</title>"
    if node.shape in (Shape.REQUEST, Shape.RESPONSE):
        attributes = title = ""
    else:
        attributes = _show_path(node.path) if node.component is None else _show_called(node, node.detail)
    return f'<g class="{classes}"{attributes}>{title}{_shape(node.shape, box)}{"".join(_texts(diagram, node, box))}</g>'


def show_call(called: Node | Group) -> str:
    """Return the attributes by which the script finds the counts of the calls of a component."""
    operation = "" if called.operation is None else called.operation.value
    shadow = ' data-shadow=""' if called.is_shadow else ""
    return f' data-component="{escape(called.component or "")}" data-operation="{operation}"{shadow}'


def _show_called(called: Node | Group, detail: str) -> str:
    """Return the attributes of a call; a component of a nested graph has no paths of its own, so it is no button."""
    button = (
        f' role="button" tabindex="0" aria-pressed="false" aria-label="Try {escape(called.component or "")}, {detail}"'
    )
    return f"{'' if called.is_nested else button}{show_call(called)}{_show_path(called.path)}"


def _show_path(path: tuple[Branch, ...]) -> str:
    return f' data-path="{escape(json.dumps(path, separators=(",", ":")))}"'


def _texts(diagram: Diagram, node: Node, box: Box) -> Iterator[str]:
    if node.shape in (Shape.REQUEST, Shape.RESPONSE):
        yield _text("end", box.x + box.width / 2, box.middle + 4, node.label)
    elif node.shape is not Shape.ALL:
        label, detail = count_characters(diagram, node)
        yield _text("name", box.x + _INSET, box.y + 22, _shorten(node.label, label))
        yield _text("detail", box.x + _INSET, box.y + 39, _shorten(node.detail, detail))
    if node.component is not None:
        yield _text("count", box.x + _INSET, box.y + 57, "")
        yield _text("failed", box.right - 4, box.y - 5, "")


def _shape(shape: Shape, box: Box) -> str:
    left, top, right, bottom, middle = box.x, box.y, box.right, box.y + box.height, box.middle
    if shape is Shape.ALL:
        return f'<circle cx="{_number(left + box.width / 2)}" cy="{_number(middle)}" r="{_number(box.width / 2)}"/>'
    if shape in (Shape.ROUTE, Shape.SPLIT):
        corners = [(left + _POINT, top), (right - _POINT, top), (right, middle), (right - _POINT, bottom)]
        return _polygon([*corners, (left + _POINT, bottom), (left, middle)])
    if shape in (Shape.COMBINE, Shape.AVERAGE):
        return _polygon([(left, top), (right - _POINT, top), (right, middle), (right - _POINT, bottom), (left, bottom)])
    return _rectangle(box, 10 if shape is Shape.CALL else box.height / 2)


def _render_edge(edge: Edge, route: Route, *, has_share: bool) -> str:
    (x, y), (end, target) = route.start, route.end
    bend, after = route.bend, route.curve_end
    half = (bend + after) / 2
    line = f"M{_number(x)} {_number(y)}"
    if y != target:
        line += f"H{_number(bend)}" if bend != x else ""
        line += f"C{_pair(half, y)} {_pair(half, target)} {_pair(after, target)}"
    line += f"H{_number(end - _HEAD)}"
    head = f"M{_pair(end, target)}l{-_HEAD} -4v8z"
    classes = "edge" + " copy" * edge.is_copy + " shadow" * edge.is_shadow
    branch = "" if edge.branch is None else f' data-step="{escape(edge.branch[0])}" data-branch="{edge.branch[1]}"'
    middle = (after + end - _HEAD) / 2
    label = _text("label", middle, target - 6, edge.label) if edge.label else ""
    share = _text("share", middle, target + 14, "") if has_share and edge.branch is not None else ""
    return (
        f'<g class="{classes}"{branch}{_show_path(edge.path)}><path class="line" d="{line}"/>'
        f'<path class="head" d="{head}"/>{label}{share}</g>'
    )


def _text(style: str, x: float, y: float, text: str) -> str:
    return f'<text class="{style}" x="{_number(x)}" y="{_number(y)}">{escape(text)}</text>'


def _rectangle(box: Box, radius: float) -> str:
    sizes = f'width="{_number(box.width)}" height="{_number(box.height)}" rx="{_number(radius)}"'
    return f'<rect x="{_number(box.x)}" y="{_number(box.y)}" {sizes}/>'


def _polygon(points: list[tuple[float, float]]) -> str:
    return f'<polygon points="{" ".join(_pair(*point, ",") for point in points)}"/>'


def _pair(x: float, y: float, separator: str = " ") -> str:
    return f"{_number(x)}{separator}{_number(y)}"


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _shorten(text: str, length: int) -> str:
    """Return the text, without its middle if it is too long: the end of a name distinguishes it."""
    if len(text) <= length:
        return text
    end = (length - 1) // 2
    return f"{text[: length - 1 - end]}…{text[-end:]}"

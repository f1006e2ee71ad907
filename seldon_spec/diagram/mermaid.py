"""The diagram of a spec as a Mermaid flowchart."""

from __future__ import annotations

from collections.abc import Iterator

from seldon_spec.config.model import Spec
from seldon_spec.diagram.build import Block, Edge, Group, Node, Shape, build_diagram, walk_nodes

_SHAPES = {
    Shape.REQUEST: ("([", "])"),
    Shape.RESPONSE: ("([", "])"),
    Shape.CALL: ("[", "]"),
    Shape.ROUTE: ("{", "}"),
    Shape.SPLIT: ("{", "}"),
    Shape.ALL: ("((", "))"),
    Shape.COMBINE: ("[\\", "/]"),
    Shape.AVERAGE: ("{{", "}}"),
}
_ESCAPED = {**{ord(each): f"#{ord(each)};" for each in '"#&<>`'}, ord("\n"): " ", ord("\r"): " "}


def render_mermaid(spec: Spec) -> str:
    """Return the flowchart of a spec as text; the same spec gives the same text."""
    diagram = build_diagram(spec)
    shadows = [node.key for node in walk_nodes(diagram.block) if node.is_shadow]
    lines = [
        "flowchart LR",
        *_render_block(diagram.block, "    "),
        *(f"    {_render_edge(edge)}" for edge in diagram.edges),
        *(["    classDef shadow stroke-dasharray: 5 5", f"    class {','.join(shadows)} shadow"] if shadows else []),
    ]
    return "\n".join(lines) + "\n"


def _render_block(block: Block, indent: str) -> Iterator[str]:
    if isinstance(block, Node):
        opening, closing = _SHAPES[block.shape]
        yield f'{indent}{block.key}{opening}"{_render_label(block)}"{closing}'
    elif isinstance(block, Group):
        yield f'{indent}subgraph {block.key}["{_escape(block.component)}"]'
        yield f"{indent}    direction LR"
        yield from _render_block(block.block, f"{indent}    ")
        yield f"{indent}end"
    else:
        for each in block.blocks:
            yield from _render_block(each, indent)


def _render_label(node: Node) -> str:
    return "<br>".join(_escape(part) for part in (node.label, node.detail) if part)


def _render_edge(edge: Edge) -> str:
    arrow = "-.->" if edge.is_copy else "-->"
    label = f'|"{_escape(edge.label)}"|' if edge.label else ""
    return f"{edge.source} {arrow}{label} {edge.target}"


def _escape(text: str) -> str:
    return text.translate(_ESCAPED)

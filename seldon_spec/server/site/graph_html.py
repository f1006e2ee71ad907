"""The HTML of a graph: its drawing, and tables with the same content."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from html import escape

from seldon_spec.config.contract import TensorSpec
from seldon_spec.config.graph import CallStep, ChainStep, CombineStep, ShadowStep, Step
from seldon_spec.config.model import ComponentSpec, Spec
from seldon_spec.diagram.build import Diagram, Group, Node, Shape, build_diagram, walk_groups, walk_nodes
from seldon_spec.diagram.svg import render_svg, show_call

_GRAPH = """\
<link rel="stylesheet" href="graph.css">
<section class="card graph" aria-labelledby="graph-title">
<h2 id="graph-title">Graph</h2>
<div class="drawing" tabindex="0" role="region" aria-label="Drawing of the graph">
{drawing}
</div>
<p class="hint">Calls, mean latency and shares since the server started. Choose a component to send requests
to it alone. <span id="chosen" role="status"></span></p>
<details><summary>The graph as tables</summary>
<div class="scroll" tabindex="0" role="region" aria-label="Components of the graph"><table>
<thead><tr><th scope="col">Component</th><th scope="col">Type</th><th scope="col">Reached by</th>\
<th scope="col">Next</th><th scope="col">Calls</th>\
<th scope="col">Mean latency</th><th scope="col">Errors</th></tr></thead>
<tbody>{calls}</tbody></table></div>
{branches}
</details>
</section>
"""

_BRANCHES = """\
<div class="scroll" tabindex="0" role="region" aria-label="Branches of the graph"><table>
<thead><tr><th scope="col">Step</th><th scope="col">Branch</th><th scope="col">Next</th><th scope="col">Requests</th>\
<th scope="col">Share</th></tr></thead>
<tbody>{rows}</tbody></table></div>"""


def fill_tensors(spec: Spec) -> Spec:
    """Return the spec; a graph without declared inputs or outputs has those of its first or last component."""
    if spec.graph is None:
        return spec
    inputs = spec.inputs or _find_inputs(spec.graph, spec.components)
    return replace(spec, inputs=inputs, outputs=spec.outputs or _find_outputs(spec.graph, spec.components))


def _find_inputs(step: Step, components: Mapping[str, ComponentSpec]) -> tuple[TensorSpec, ...]:
    if isinstance(step, CallStep):
        called = components[step.component].spec
        return () if called is None else fill_tensors(called).inputs
    if isinstance(step, (ChainStep, ShadowStep)):
        return _find_inputs(step.steps[0] if isinstance(step, ChainStep) else step.step, components)
    return _find_inputs(step.branches[0], components)


def _find_outputs(step: Step, components: Mapping[str, ComponentSpec]) -> tuple[TensorSpec, ...]:
    if isinstance(step, CombineStep) and step.combiner is not None:
        step = CallStep(step.combiner)
    if isinstance(step, CallStep):
        called = components[step.component].spec
        return () if called is None else fill_tensors(called).outputs
    if isinstance(step, (ChainStep, ShadowStep)):
        return _find_outputs(step.steps[-1] if isinstance(step, ChainStep) else step.step, components)
    return _find_outputs(step.branches[0], components)


def render_graph(spec: Spec) -> str:
    """Return the section with the drawing of a graph."""
    diagram = build_diagram(spec)
    nodes = {node.key: node for node in walk_nodes(diagram.block)}
    branches = "".join(_render_branches(diagram, nodes))
    return _GRAPH.format(
        drawing=render_svg(diagram),
        calls="".join(_render_calls(diagram, nodes)),
        branches=_BRANCHES.format(rows=branches) if branches else "",
    )


def _render_calls(diagram: Diagram, nodes: Mapping[str, Node]) -> Iterator[str]:
    for group in walk_groups(diagram.block):
        yield _render_call(group, "nested graph", "")
    for node in nodes.values():
        if node.component is not None:
            following = [nodes[edge.target].label for edge in diagram.edges if edge.source == node.key]
            yield _render_call(node, node.detail, ", ".join(following))


def _render_call(called: Node | Group, detail: str, following: str) -> str:
    path = ", ".join(f"{step} {index}" for step, index in called.path)
    texts = (f"{detail}, shadow" if called.is_shadow else detail, path or "every request", following)
    return (
        f'<tr{show_call(called)}><th scope="row">{escape(called.component or "")}</th>'
        f"{''.join(f'<td>{escape(text)}</td>' for text in texts)}"
        '<td class="calls"></td><td class="mean"></td><td class="errors"></td></tr>'
    )


def _render_branches(diagram: Diagram, nodes: Mapping[str, Node]) -> Iterator[str]:
    for node in nodes.values():
        if node.step is None or node.shape is Shape.ALL:
            continue
        for edge in diagram.edges:
            if edge.source == node.key and edge.branch is not None:
                yield _render_branch(node.step, edge.branch[1], edge.label, nodes[edge.target].label)
        if node.shape is Shape.ROUTE:
            yield _render_branch(node.step, -1, "all", "")
            yield _render_branch(node.step, -2, "none", "")


def _render_branch(step: str, branch: int, label: str, following: str) -> str:
    return (
        f'<tr data-step="{escape(step)}" data-branch="{branch}"><th scope="row">{escape(step)}</th>'
        f'<td>{escape(label)}</td><td>{escape(following)}</td><td class="count"></td><td class="share"></td></tr>'
    )

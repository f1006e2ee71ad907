"""The drawings of graphs: golden files of both forms, escaping, and that nothing overlaps."""

from __future__ import annotations

import itertools
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seldon_spec.cli.main import run
from seldon_spec.config.graph import (
    CallStep,
    ChainStep,
    CombineStep,
    Method,
    RouteStep,
    ShadowStep,
    SplitStep,
    Step,
    list_components,
    walk_steps,
)
from seldon_spec.config.model import ComponentSpec, ServiceType, Spec
from seldon_spec.diagram.build import build_diagram, walk_groups, walk_nodes
from seldon_spec.diagram.layout import Box, lay_out
from seldon_spec.diagram.mermaid import render_mermaid
from seldon_spec.diagram.svg import render_svg

GOLDEN = Path(__file__).parents[1] / "golden" / "diagram"

BEFORE, AFTER = Method.TRANSFORM_INPUT, Method.TRANSFORM_OUTPUT


def call(name: str, method: Method = Method.PREDICT) -> CallStep:
    return CallStep(name, method)


def chain(*steps: Step) -> ChainStep:
    return ChainStep(steps)


def make_class(name: str, service_type: ServiceType) -> ComponentSpec:
    return ComponentSpec(service_type, Spec("Model", Path(), name, service_type=service_type))


def make_graph(name: str, step: Step, **components: ComponentSpec) -> Spec:
    """Return a spec whose other components are classes with the service types that their steps need."""
    found = {each.replace("_", "-"): component for each, component in components.items()}
    for each in walk_steps(step):
        if isinstance(each, CallStep) and each.component not in found:
            is_model = each.method is Method.PREDICT
            found[each.component] = make_class(
                each.component, ServiceType.MODEL if is_model else ServiceType.TRANSFORMER
            )
        elif isinstance(each, RouteStep):
            found[each.router] = make_class(each.router, ServiceType.ROUTER)
        elif isinstance(each, CombineStep) and each.combiner is not None:
            found[each.combiner] = make_class(each.combiner, ServiceType.COMBINER)
    return Spec(None, Path(), name, graph=step, components={each: found[each] for each in list_components(step)})


BANDIT = make_graph(
    "bandit",
    chain(
        call("scaler", BEFORE),
        RouteStep("bandit-router", "bandit-router", (call("iris-1"), chain(call("encoder", BEFORE), call("iris-2")))),
        call("labels", AFTER),
    ),
)
SPECS = {
    "single": Spec("Model", Path(), "iris", service_type=ServiceType.TRANSFORMER),
    "chain": make_graph("scored", chain(call("scaler", BEFORE), call("iris"), call("scaler", AFTER))),
    "ab": make_graph("iris-ab", SplitStep("split", (90, 10), (call("iris-1"), call("iris-2")), by="X-User")),
    "ensemble": make_graph("vote", CombineStep("vote", "mean", (call("forest"), call("boost"), call("linear")))),
    "average": make_graph("mean", CombineStep("combine", None, (call("a"), chain(call("b"), call("c"))))),
    "bandit": BANDIT,
    "shadow": make_graph(
        "canary",
        chain(
            ShadowStep(SplitStep("split", (2, 1), (call("iris-1"), call("iris-2"))), call("iris-3"), 10),
            call("labels", AFTER),
        ),
    ),
    "nested-and-remote": make_graph(
        "platform",
        SplitStep("canary", (0.5, 0.5), (ShadowStep(call("bandit"), call("old")), call("new"))),
        bandit=ComponentSpec(ServiceType.MODEL, BANDIT),
        old=ComponentSpec(ServiceType.MODEL, url="grpc://iris.prod:5000"),
        new=ComponentSpec(ServiceType.MODEL, url="https://models.example.com"),
    ),
}
GRAPHS = {name: spec for name, spec in SPECS.items() if spec.graph is not None}


def compare(expected: Path, text: str, request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--rewrite-golden"):
        expected.write_text(text, encoding="utf-8")
    assert text == expected.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", SPECS)
def test_the_mermaid_flowchart(name: str, request: pytest.FixtureRequest) -> None:
    compare(GOLDEN / f"{name}.mmd", render_mermaid(SPECS[name]), request)


@pytest.mark.parametrize("name", GRAPHS)
def test_the_svg(name: str, request: pytest.FixtureRequest) -> None:
    compare(GOLDEN / f"{name}.svg", render_svg(build_diagram(SPECS[name])) + "\n", request)


def test_every_golden_file_has_its_spec() -> None:
    assert {path.name for path in GOLDEN.iterdir()} == {f"{name}.mmd" for name in SPECS} | {
        f"{name}.svg" for name in GRAPHS
    }


@pytest.mark.parametrize("name", GRAPHS)
def test_the_svg_is_well_formed_and_has_no_styles_or_scripts(name: str) -> None:
    root = ET.fromstring(render_svg(build_diagram(SPECS[name])))
    assert root.get("role") == "group"
    for element in root.iter():
        assert element.tag not in ("style", "script", "use", "image", "foreignObject")
        assert not [each for each in element.attrib if each.startswith("on") or each in ("style", "href")]


GRAPH = """\
name: scored
graph: [scaler, {split: {near: 3, far: 1}, by: X-User, shadow: old}]
components:
  scaler: {class_name: Parts.Scaler, service_type: TRANSFORMER}
  near: {class_name: Parts.Model}
  far: {url: "http://iris.prod:9000", service_type: MODEL}
  old: {class_name: Parts.Model}
"""
PARTS = """\
class Scaler:
    def transform_input(self, X, names):
        return X


class Model:
    def predict(self, X, names):
        return X
"""
FLOWCHART = """\
flowchart LR
    n0(["request"])
    n1["scaler<br>TRANSFORMER, input"]
    n2{"split<br>by X-User"}
    n3["near<br>MODEL"]
    n4["far<br>MODEL, at iris.prod:9000"]
    n5["old<br>MODEL"]
    n6(["response"])
    n0 --> n1
    n1 --> n2
    n2 -->|"0: 75 %"| n3
    n2 -->|"1: 25 %"| n4
    n1 -.->|"shadow 100 %"| n5
    n3 --> n6
    n4 --> n6
    classDef shadow stroke-dasharray: 5 5
    class n5 shadow
"""


def test_show_prints_the_flowchart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "Parts.py").write_text(PARTS)
    (tmp_path / "seldon.yaml").write_text(GRAPH)
    assert run(["show", "--format", "mermaid", str(tmp_path)]) == 0
    assert capsys.readouterr().out == FLOWCHART


TEXT = 'a<b> & "c" `d` #e;'


def test_texts_are_escaped() -> None:
    spec = make_graph(TEXT, SplitStep(TEXT, (1, 1), (call("a"), call("b")), by=TEXT))
    lines = render_mermaid(spec).splitlines()
    escaped = "a#60;b#62; #38; #34;c#34; #96;d#96; #35;e;"
    assert f'    n1{{"{escaped}<br>by {escaped}"}}' in lines
    root = ET.fromstring(render_svg(build_diagram(spec)))
    assert root.findtext("title") == f"The graph {TEXT}"


def make_steps(names: st.SearchStrategy[str]) -> st.SearchStrategy[Step]:
    def extend(inner: st.SearchStrategy[Step]) -> st.SearchStrategy[Step]:
        branches = st.lists(inner, min_size=1, max_size=3).map(tuple)
        return st.one_of(
            branches.map(ChainStep),
            st.tuples(names, names, branches).map(lambda given: RouteStep(*given)),
            st.tuples(names, branches).map(lambda given: SplitStep(given[0], (1,) * len(given[1]), given[1])),
            st.tuples(names, st.none() | names, branches).map(lambda given: CombineStep(*given)),
            st.tuples(inner, inner, st.sampled_from([0.1, 100.0])).map(lambda given: ShadowStep(*given)),
        )

    return st.recursive(names.map(CallStep), extend, max_leaves=12)


NAMES = st.sampled_from(["a", "a-name", "the-longest-name-of-a-component-that-is-allowed-by-the-grammar-63"])


@given(make_steps(NAMES))
def test_no_two_boxes_overlap_and_edges_point_to_the_right(step: Step) -> None:
    model = ComponentSpec(ServiceType.MODEL, Spec("Model", Path(), "model"))
    diagram = build_diagram(
        Spec(None, Path(), "graph", graph=step, components=dict.fromkeys(list_components(step), model))
    )
    layout = lay_out(diagram)
    assert set(layout.boxes) == {node.key for node in walk_nodes(diagram.block)}
    for one, other in itertools.combinations(layout.boxes.values(), 2):
        assert one.right < other.x or other.right < one.x or is_below(one, other) or is_below(other, one)
    for box in layout.boxes.values():
        assert min(box.x, box.y) >= 0
        assert box.right <= layout.width
        assert box.y + box.height <= layout.height
    for route in layout.routes:
        assert route.start[0] <= route.bend < route.curve_end < route.end[0]
    ET.fromstring(render_svg(diagram))


def is_below(upper: Box, lower: Box) -> bool:
    return upper.y + upper.height < lower.y


@given(make_steps(NAMES))
def test_every_node_is_reached_and_the_main_line_ends_at_the_response(step: Step) -> None:
    model = ComponentSpec(ServiceType.MODEL, Spec("Model", Path(), "model"))
    diagram = build_diagram(
        Spec(None, Path(), "graph", graph=step, components=dict.fromkeys(list_components(step), model))
    )
    first, *others = walk_nodes(diagram.block)
    assert {edge.target for edge in diagram.edges} == {node.key for node in others}
    left = {edge.source for edge in diagram.edges}
    assert all(node.is_shadow for node in others[:-1] if node.key not in left)
    assert first.label == "request"
    assert others[-1].label == "response"
    assert not list(walk_groups(diagram.block))

"""The traversal of Seldon Core's executor: what is called, in which order, and what the client gets."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import pytest

from seldon_spec.config.contract import ColumnSpec, TensorSpec
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
from seldon_spec.config.model import ComponentSpec, ServiceType, Spec
from seldon_spec.errors import (
    CannotCombine,
    ComponentFailed,
    InvalidRouting,
    Origin,
    OriginKind,
    PayloadError,
    RequestTimeout,
    UnsupportedOperation,
)
from seldon_spec.inference.call import BaseContext
from seldon_spec.inference.dispatcher import Dispatcher
from seldon_spec.inference.message import Operation
from seldon_spec.protocols.open_inference_v2.codec import ModelInfo
from seldon_spec.protocols.open_inference_v2.json_codec import V2JsonCodec
from seldon_spec.protocols.seldon_v1.json_codec import JsonCodec

JSON = JsonCodec()
A, B, C = (CallStep(name) for name in ("a", "b", "c"))
IN, OUT = CallStep("t", Method.TRANSFORM_INPUT), CallStep("t", Method.TRANSFORM_OUTPUT)
REQUEST = {"data": {"ndarray": [[1.0, 2.0]]}, "meta": {"puid": "p"}}

MakeComponent = Callable[..., ComponentSpec]
MakeGraph = Callable[..., Spec]
Start = Callable[..., Dispatcher]


@pytest.fixture
def components(make_component: MakeComponent) -> dict[str, ComponentSpec]:
    return {
        "a": make_component("a", factor=2.0),
        "b": make_component("b", factor=3.0, changes=True),
        "c": make_component("c", factor=5.0),
        "t": make_component("t", ServiceType.TRANSFORMER, factor=7.0),
        "r": make_component("r", ServiceType.ROUTER, changes=True),
        "k": make_component("k", ServiceType.COMBINER),
        "n": make_component("n", class_name="Recorder.WithoutFeedback"),
        "raw": make_component("raw", class_name="Recorder.Raw"),
        "rawk": make_component("rawk", ServiceType.COMBINER, class_name="Recorder.Raw"),
    }


def ask(dispatcher: Dispatcher, body: Any, operation: Operation = Operation.PREDICT) -> Any:
    return json.loads(dispatcher.submit(operation, json.dumps(body).encode(), JSON).result(20).body)


def route(*branches: Step, name: str = "r") -> RouteStep:
    return RouteStep(name, "r", branches)


def split(*branches: Step, weights: tuple[float, ...] = (1e-9, 1e9), name: str = "split") -> SplitStep:
    return SplitStep(name, weights, branches)


def combine(*branches: Step, by: str | None = "k", name: str = "k") -> CombineStep:
    return CombineStep(name, by, branches)


GRAPHS: dict[str, tuple[Step, int, str, float, dict[str, int]]] = {
    # steps, the router's branch, the calls in order, the factor of the response, its routing
    "model": (A, 0, "a", 2, {}),
    "chain-of-models": (ChainStep((A, B)), 0, "a b", 6, {}),
    "input-transformer": (ChainStep((IN, A)), 0, "t a", 14, {}),
    "output-transformer": (ChainStep((A, OUT)), 0, "a t", 14, {}),
    "both-methods-of-one-object": (ChainStep((IN, A, OUT)), 0, "t a t", 98, {}),
    "transformer-alone": (OUT, 0, "t", 7, {}),
    "router-first-branch": (route(A, B), 0, "r a", 2, {"r": 0}),
    "router-second-branch": (route(A, B), 1, "r b", 3, {"r": 1}),
    "router-all-branches": (route(A, B), -1, "r a b", 2, {"r": -1}),
    "router-no-branch": (route(A, B), -2, "r", 1, {"r": -2}),
    "router-no-branch-in-a-chain": (ChainStep((IN, route(A, B), OUT)), -2, "t r t", 49, {"r": -2}),
    "router-after-a-transformer": (ChainStep((IN, route(A, ChainStep((B, C))))), 1, "t r b c", 105, {"r": 1}),
    "router-with-a-name": (route(A, B, name="choice"), 1, "r b", 3, {"choice": 1}),
    "combiner": (combine(A, B, C), 0, "a b c k", 10, {"k": -1}),
    "combiner-of-one": (combine(A), 0, "a k", 2, {"k": -1}),
    "step-after-a-combiner": (ChainStep((combine(A, B), OUT)), 0, "a b k t", 35, {"k": -1}),
    "model-after-a-combiner": (ChainStep((combine(A, B), C)), 0, "a b k c", 25, {"k": -1}),
    "mean": (combine(A, B, by=None, name="average"), 0, "a b", 2.5, {"average": -1}),
    "split": (split(A, B), 0, "b", 3, {"split": 1}),
    "split-first": (split(A, B, weights=(9e9, 1e-9)), 0, "a", 2, {"split": 0}),
    "split-of-huge-weights": (split(A, B, weights=(1e308, 1e-308)), 0, "a", 2, {"split": 0}),
    "nested-decisions": (route(A, combine(split(A, B), C)), 1, "r b c k", 8, {"r": 1, "split": 1, "k": -1}),
    "branches-do-not-see-changes": (combine(B, B, B), 0, "b b b k", 9, {"k": -1}),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_the_calls_the_response_and_the_routing(
    name: str,
    components: dict[str, ComponentSpec],
    make_graph: MakeGraph,
    start: Start,
    calls: list[Any],
) -> None:
    step, branch, names, factor, routing = GRAPHS[name]
    body = {**REQUEST, "meta": {"puid": "p", "tags": {"branch of r": branch}}}
    response = ask(start(make_graph(step, components)), body)
    assert [call[0] for call in calls] == names.split()
    assert response["data"]["ndarray"] == [[factor, 2 * factor]]
    assert response["meta"]["routing"] == routing
    assert response["meta"]["puid"] == "p"
    assert response["meta"]["requestPath"] == {each: f"{each}:1" for each in names.split()}


def test_the_tags_and_metrics_of_all_components(
    components: dict[str, ComponentSpec], make_graph: MakeGraph, start: Start
) -> None:
    step = ChainStep((IN, route(A, combine(A, B))))
    meta = ask(start(make_graph(step, components)), {**REQUEST, "meta": {"tags": {"branch of r": 1, "last": "x"}}})[
        "meta"
    ]
    tags = {f"tag of {name}": True for name in ("t", "r", "a", "b", "k")}
    assert meta["tags"] == {"branch of r": 1, "last": "k", **tags}
    keys = [metric["key"] for metric in meta["metrics"]]
    # each branch of a combiner has the metrics of the steps before it
    assert keys == [f"calls_{name}" for name in ("t", "r", "a", "t", "r", "b", "k")]


@pytest.mark.parametrize(
    ("branch", "text"),
    [(2, "there is no branch 2: r has 2, from 0 to 1"), (-3, "there is no branch -3: r has 2, from 0 to 1")],
)
def test_a_branch_out_of_range(
    branch: int, text: str, components: dict[str, ComponentSpec], make_graph: MakeGraph, start: Start
) -> None:
    dispatcher = start(make_graph(route(A, B), components))
    with pytest.raises(InvalidRouting, match=text) as caught:
        ask(dispatcher, {**REQUEST, "meta": {"tags": {"branch of r": branch}}})
    assert caught.value.component == "r"


@pytest.mark.parametrize("name", ["t", "r", "a", "b", "k"])
def test_an_error_has_the_name_of_its_component(
    name: str, components: dict[str, ComponentSpec], make_graph: MakeGraph, start: Start, calls: list[Any]
) -> None:
    dispatcher = start(make_graph(ChainStep((IN, route(combine(A, B)))), components))
    with pytest.raises(ComponentFailed, match=f"{name} fails") as caught:
        ask(dispatcher, {**REQUEST, "meta": {"tags": {"fail": name}}})
    assert caught.value.component == name
    assert calls[-1][0] == name  # what comes after it is not called


def test_a_mean_of_different_shapes(components: dict[str, ComponentSpec], make_graph: MakeGraph, start: Start) -> None:
    step = combine(A, ChainStep((combine(A, B), CallStep("raw"))), by=None, name="average")
    dispatcher = start(make_graph(step, components))
    with pytest.raises(CannotCombine, match="average averages arrays of numbers, not array, text") as caught:
        ask(start(make_graph(combine(A, CallStep("text"), by=None, name="average"), _with_text(components))), REQUEST)
    assert caught.value.component == "average"
    assert ask(dispatcher, REQUEST)["data"]["ndarray"] == [[3.5, 7.0]]


def _with_text(components: dict[str, ComponentSpec]) -> dict[str, ComponentSpec]:
    text = components["raw"]
    assert text.spec is not None
    (text.spec.folder / "Text.py").write_text("class Text:\n    def predict(self, X, names):\n        return 'text'\n")
    spec = replace(text.spec, class_name="Text", parameters=MappingProxyType({}))
    return {**components, "text": replace(text, spec=spec)}


FEEDBACK: dict[str, tuple[Step, dict[str, int], str]] = {
    # steps, the routing of the response, who gets the feedback
    "chain": (ChainStep((IN, A, OUT)), {}, "a t"),
    "branch": (route(A, B), {"r": 1}, "b r"),
    "unknown-branch": (route(A, B), {}, "b a r"),
    "all-branches": (route(A, B), {"r": -1}, "b a r"),
    "no-branch": (route(A, B), {"r": -2}, "r"),
    "combiner": (combine(A, B), {"k": -1}, "k b a"),
    "split": (split(A, B), {"split": 0}, "a"),
    "nested": (route(A, combine(split(A, C), B)), {"r": 1, "split": 1}, "k b c r"),
    "with-a-name": (route(A, B, name="choice"), {"choice": 1}, "b r"),
    "without-a-hook": (ChainStep((CallStep("n"), A)), {}, "a"),
    "no-hook-at-all": (CallStep("n"), {}, ""),
    "shadow": (ShadowStep(A, B), {}, "a"),
}


@pytest.mark.parametrize("name", FEEDBACK)
def test_feedback_follows_the_routing(
    name: str, components: dict[str, ComponentSpec], make_graph: MakeGraph, start: Start, calls: list[Any]
) -> None:
    step, routing, names = FEEDBACK[name]
    dispatcher = start(make_graph(step, components))
    body = {"response": {"meta": {"routing": routing, "puid": "p"}}, "reward": 0.5}
    response = ask(dispatcher, body, Operation.FEEDBACK)
    assert [call[0] for call in calls] == names.split()
    assert all(call[1:] == ("send_feedback", [0.5, _branch_of(call[0], routing)]) for call in calls)
    first = names.split()[-1] if names else None
    assert (response.get("meta") or {}).get("requestPath") == ({first: f"{first}:1"} if first else None)


def _branch_of(name: str, routing: dict[str, int]) -> int | None:
    return routing.get("r", routing.get("choice")) if name == "r" else routing.get(name)


def test_a_stale_branch_of_feedback(components: dict[str, ComponentSpec], make_graph: MakeGraph, start: Start) -> None:
    dispatcher = start(make_graph(route(A, B), components))
    with pytest.raises(PayloadError, match=r"response\.meta\.routing: r has no branch 5; its 2 branches"):
        ask(dispatcher, {"response": {"meta": {"routing": {"r": 5}}}, "reward": 1}, Operation.FEEDBACK)


def test_a_stale_branch_of_feedback_in_a_nested_graph(
    components: dict[str, ComponentSpec], make_graph: MakeGraph, start: Start, calls: list[Any]
) -> None:
    inner = make_graph(route(B, C), components)
    nested = ComponentSpec(ServiceType.MODEL, inner, has_feedback=True)
    dispatcher = start(make_graph(ChainStep((A, CallStep("inner"))), {**components, "inner": nested}))
    body = {"request": REQUEST, "response": {"meta": {"routing": {"r": 2}}}, "reward": 1.0}
    with pytest.raises(PayloadError, match="r has no branch 2"):
        ask(dispatcher, body, Operation.FEEDBACK)
    assert calls == []


def test_raw_hooks_get_the_request_as_it_was_sent(
    components: dict[str, ComponentSpec], make_graph: MakeGraph, start: Start, calls: list[Any]
) -> None:
    body = {"strData": "x", "more": [1, {"y": None}]}
    raw = CallStep("raw")
    response = ask(start(make_graph(combine(raw, ChainStep((raw, raw)), by="rawk"), components)), body)
    assert [call[2] for call in calls[:3]] == [body, body, body]
    assert response["strData"] == "x"
    assert response["meta"]["routing"] == {"k": -1}
    free = {"anything": [1]}
    response = ask(start(make_graph(ChainStep((raw, raw)), components)), free)
    assert response == {**free, "meta": {"routing": {}, "requestPath": {"raw": "raw:1"}}}


def test_other_operations_are_those_of_components(
    components: dict[str, ComponentSpec], make_graph: MakeGraph, start: Start
) -> None:
    dispatcher = start(make_graph(route(A, B), components))
    with pytest.raises(UnsupportedOperation, match="graph is a graph"):
        ask(dispatcher, REQUEST, Operation.ROUTE)
    assert ask(dispatcher, None, Operation.HEALTH)["strData"] == "healthy"


def test_tensors_pass_through(
    components: dict[str, ComponentSpec], make_graph: MakeGraph, start: Start, calls: list[Any]
) -> None:
    codec = V2JsonCodec(ModelInfo("graph"))
    data = {"name": "x", "datatype": "FP64", "shape": [1, 2], "data": [1.0, 2.0]}
    body = {"inputs": [data], "id": "7", "parameters": {"branch of r": 1}}
    step = ChainStep((IN, route(A, combine(A, B))))
    wire = json.dumps(body).encode()
    response = json.loads(start(make_graph(step, components)).submit(Operation.PREDICT, wire, codec).result(20).body)
    assert [call[0] for call in calls] == ["t", "r", "a", "b", "k"]
    assert response["outputs"] == [{"name": "output-0", "datatype": "FP64", "shape": [1, 2], "data": [35.0, 70.0]}]
    assert response["id"] == "7"
    assert response["parameters"]["tag of r"] is True


def test_a_graph_is_a_component(
    components: dict[str, ComponentSpec], make_graph: MakeGraph, start: Start, calls: list[Any]
) -> None:
    inner = make_graph(ChainStep((IN, route(A, B))), components)
    outer = {**components, "inner": ComponentSpec(ServiceType.MODEL, inner, has_feedback=True)}
    dispatcher = start(make_graph(split(C, ChainStep((C, CallStep("inner")))), outer))
    response = ask(dispatcher, {**REQUEST, "meta": {"tags": {"branch of r": 1}}})
    assert [call[0] for call in calls] == ["c", "t", "r", "b"]
    assert response["data"]["ndarray"] == [[105.0, 210.0]]
    assert response["meta"]["routing"] == {"split": 1, "r": 1}
    assert response["meta"]["requestPath"].keys() == {"c", "inner", "t", "r", "b"}
    calls.clear()
    ask(dispatcher, {"response": {"meta": {"routing": {"split": 1, "r": 0}}}, "reward": 1}, Operation.FEEDBACK)
    assert [call[0] for call in calls] == ["a", "r", "t", "c"]
    with pytest.raises(ComponentFailed) as caught:
        ask(dispatcher, {**REQUEST, "meta": {"tags": {"fail": "t"}}})
    assert caught.value.component == "inner/t"


def test_a_shadow_gets_a_copy_and_its_errors_stay_inside(
    components: dict[str, ComponentSpec], make_graph: MakeGraph, start: Start, calls: list[Any]
) -> None:
    dispatcher = start(make_graph(ShadowStep(B, ChainStep((A, C))), components))
    response = ask(dispatcher, {**REQUEST, "meta": {"tags": {"fail": "c"}}})
    assert response["data"]["ndarray"] == [[3.0, 6.0]]
    assert response["meta"]["requestPath"] == {"b": "b:1"}
    ask(dispatcher, REQUEST)  # after the shadow of the first request, on the one model thread
    assert [(name, data) for name, _, data in calls[:4]] == [
        ("b", [[1.0, 2.0]]),
        ("a", [[1.0, 2.0]]),
        ("c", [[2.0, 4.0]]),
        ("b", [[1.0, 2.0]]),
    ]


def test_a_shadow_of_no_requests(
    components: dict[str, ComponentSpec], make_graph: MakeGraph, start: Start, calls: list[Any]
) -> None:
    dispatcher = start(make_graph(ShadowStep(B, A, percent=1e-12), components))
    for _ in range(3):
        ask(dispatcher, REQUEST)
    assert [call[0] for call in calls] == ["b"] * 3


def test_the_metadata_of_a_graph(components: dict[str, ComponentSpec], make_graph: MakeGraph, start: Start) -> None:
    dispatcher = start(make_graph(ChainStep((IN, combine(A, B))), components))
    graph: Any = dispatcher.component
    metadata = graph.describe_metadata()
    assert list(metadata["models"]) == ["t", "a", "b", "k"]
    assert metadata["models"]["a"]["name"] == "a"
    assert (metadata["graphinputs"], metadata["graphoutputs"]) == ([], [])


def test_inputs_that_are_declared_for_the_graph(
    components: dict[str, ComponentSpec], make_graph: MakeGraph, start: Start, calls: list[Any]
) -> None:
    declared = TensorSpec("sizes", "FP64", (-1, 2), columns=(ColumnSpec("width"), ColumnSpec("height")), maximum=9)
    spec = make_graph(ChainStep((A, B)), components)
    origins: dict[tuple[str, ...], Origin] = {("inputs",): Origin(OriginKind.FILE, "seldon.yaml")}
    dispatcher = start(replace(spec, inputs=(declared,), origins=origins))
    with pytest.raises(PayloadError, match="row 0, height: 10 is greater than the maximum 9"):
        ask(dispatcher, {"data": {"ndarray": [[1.0, 10.0]]}})
    assert calls == []
    ask(dispatcher, {"data": {"names": ["height", "width"], "ndarray": [[1.0, 2.0]]}})
    assert calls[0] == ("a", "predict", [[2.0, 1.0]])  # in the declared order


@pytest.mark.parametrize("is_held", [False, True])
def test_nothing_is_called_for_a_client_that_has_gone(
    is_held: bool, components: dict[str, ComponentSpec], make_graph: MakeGraph, start: Start, calls: list[Any]
) -> None:
    leave = components["raw"]
    assert leave.spec is not None
    (leave.spec.folder / "Leave.py").write_text(
        "from seldon_spec.inference.call import WORKED_ON\n\n\nclass Leave:\n    def predict(self, X, names):\n"
        "        call = WORKED_ON.get().call\n        call.is_held, call.is_unwanted = X[0, 0] < 0, True\n        return X\n"
    )
    spec = replace(leave.spec, class_name="Leave", parameters=MappingProxyType({}))
    step = ChainStep((CallStep("leave"), A))
    dispatcher = start(make_graph(step, {**components, "leave": replace(leave, spec=spec)}))
    context = BaseContext("id")
    body = {"data": {"ndarray": [[-1.0 if is_held else 1.0]]}}
    reply = dispatcher.submit(Operation.PREDICT, json.dumps(body).encode(), JSON, context)
    if is_held:  # only calls that have not been started wait for a connection that is too slow
        reply.result(20)
        assert [name for name, *_ in calls] == ["a"]
        return
    with pytest.raises(RequestTimeout, match="the client did not wait until component a was called"):
        reply.result(20)
    assert calls == []


@pytest.mark.parametrize("names", [["width", "height"], None], ids=["named", "unnamed"])
def test_an_array_is_the_columns_of_several_declared_inputs(
    names: list[str] | None,
    components: dict[str, ComponentSpec],
    make_graph: MakeGraph,
    start: Start,
    calls: list[Any],
) -> None:
    model = components["a"]
    assert model.spec is not None
    declared = tuple(TensorSpec(name, "FP64", (-1,)) for name in ("height", "width"))
    first = components["n"]
    assert first.spec is not None
    class_name = "Unnamed" if names is None else "Named"
    (first.spec.folder / f"{class_name}.py").write_text(
        f"class {class_name}:\n    def predict(self, X, names):\n        return X\n"
        + ("" if names is None else f"    class_names = {names}\n")
    )
    named = replace(first.spec, class_name=class_name, parameters=MappingProxyType({}))
    used = {
        "first": replace(first, spec=named),
        "a": replace(model, spec=replace(model.spec, inputs=declared)),
    }
    wire = json.dumps({"inputs": [{"name": "x", "datatype": "FP64", "shape": [1, 2], "data": [1.0, 2.0]}]}).encode()
    dispatcher = start(make_graph(ChainStep((CallStep("first"), A)), used))
    dispatcher.submit(Operation.PREDICT, wire, V2JsonCodec(ModelInfo("graph"))).result(20)
    assert calls == [("a", "predict", [[1.0, 2.0]] if names is None else [[2.0, 1.0]])]

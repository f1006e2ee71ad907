"""Seldon's executor calls the components of a SeldonDeployment as the graph itself does: random graphs.

The executor is a reference written from its semantics; the graph's own reference is that of ``tests.graph``, which the
engine is tested against.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import HealthCheck, assume, event, given, settings
from hypothesis import strategies as st

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
)
from seldon_spec.config.model import ComponentSpec, Spec
from seldon_spec.deploy.manifest.render import build_documents, find_problems
from seldon_spec.deploy.manifest.target import Target
from seldon_spec.deploy.manifest.tree import to_plain
from seldon_spec.errors import Severity
from tests.graph.test_equivalence import FACTORS, TYPES, Reference, Sent, Stop, graphs

# ----- the executor


class Executor(Reference):
    """Traverses a tree of units; ``calls`` and ``routing`` are what the request left."""

    def predict(self, unit: Mapping[str, Any], sent: Sent) -> Sent:
        kind, methods = unit.get("type"), unit.get("methods", ())
        if kind == "TRANSFORMER" or "TRANSFORM_INPUT" in methods:
            sent = self._call(unit, "transform_input", sent)
        elif kind == "MODEL":
            sent = self._call(unit, "predict", sent)
        children = unit.get("children", [])
        branch = self._route(unit, sent) if children else -1
        self.routing[unit["name"]] = branch
        if children and branch != -2:
            chosen = children if branch == -1 else [children[branch]]
            responses = [self.predict(child, sent) for child in chosen]
            sent = self._combine(unit, responses) if kind == "COMBINER" else responses[0]
        if kind == "OUTPUT_TRANSFORMER" or "TRANSFORM_OUTPUT" in methods:
            sent = self._call(unit, "transform_output", sent)
        return sent

    def _call(self, unit: Mapping[str, Any], method: str, sent: Sent) -> Sent:
        return self._respond(unit["name"], method, sent, sent.data * FACTORS[unit["name"]])

    def _route(self, unit: Mapping[str, Any], sent: Sent) -> int:
        if unit.get("implementation") == "RANDOM_ABTEST":
            (ratio,) = unit["parameters"]
            assert (ratio["name"], ratio["type"]) == ("ratioA", "FLOAT")
            return 0 if float(ratio["value"]) >= 0.5 else 1
        if unit.get("type") != "ROUTER":
            return -1
        branch = int(sent.tags.get(f"branch of {unit['name']}", 0))
        self._respond(unit["name"], "route", sent, None)
        if branch >= len(unit["children"]):
            raise Stop(unit["name"])
        return branch

    def _combine(self, unit: Mapping[str, Any], responses: list[Sent]) -> Sent:
        datas = [response.data for response in responses]
        return self._respond(unit["name"], "aggregate", Sent(datas), np.sum(datas, axis=0) * FACTORS[unit["name"]])

    def list_fed(self, unit: Mapping[str, Any]) -> Iterator[str]:
        children = unit.get("children", [])
        branch = self.routing[unit["name"]] if children else -1
        for child in children if branch == -1 else [children[branch]]:
            yield from self.list_fed(child)
        if unit.get("type") in ("MODEL", "ROUTER") or "SEND_FEEDBACK" in unit.get("methods", ()):
            yield unit["name"]


# ----- random graphs, most of which a SeldonDeployment can express


@st.composite
def lowered_graphs(draw: Callable[..., Any]) -> Step:
    """Steps in the positions that a tree of units has, each component once; a split or a shadow may be around all."""
    numbers = count()
    free = {"m": ["m0", "m1", "m2"], "t": ["t0", "t1"], "r": ["r0", "r1"], "k": ["k0", "k1"]}

    def take(kind: str) -> str:
        assume(free[kind])
        return free[kind].pop()

    def chain(*steps: Step | None) -> Step:
        return ChainStep(tuple(step for step in steps if step is not None))

    def make(depth: int) -> Step:
        shapes = ["model", "down", "up", "around", "around model", "route", "combine", "split"]
        shape = draw(st.sampled_from(shapes)) if depth else "model"
        if shape == "model":
            return CallStep(take("m"))
        if shape in ("down", "up", "around", "around model"):
            name = take("m" if shape == "around model" else "t")
            before = CallStep(name, Method.PREDICT if shape == "around model" else Method.TRANSFORM_INPUT)
            after = CallStep(name, Method.TRANSFORM_OUTPUT)
            inner = make(depth - 1) if draw(st.integers(0, 4)) else None
            return chain(None if shape == "up" else before, inner, None if shape == "down" else after)
        size = 2 if shape == "split" else draw(st.integers(1, 3))
        if shape == "route":
            router = take("r")
            return RouteStep(f"step-{router}", router, tuple(make(depth - 1) for _ in range(size)))
        branches = tuple(make(depth - 1) for _ in range(size))
        if shape == "combine":
            return CombineStep("combine", take("k"), branches)
        return SplitStep(f"split-{next(numbers)}", draw(WEIGHTS), branches)

    step = make(draw(st.integers(0, 3)))
    around = draw(st.sampled_from(["nothing", "nothing", "split", "shadow", "both"]))
    if around in ("split", "both"):
        step = SplitStep("split", draw(WEIGHTS), (step, CallStep(take("m"))))
    return ShadowStep(step, CallStep("m1"), 10) if around in ("shadow", "both") else step


WEIGHTS = st.sampled_from([(1.0, 2.0), (9.0, 1.0), (50.0, 50.0), (1e12, 1e-12), (1e-12, 1e12)])
TAGS = st.fixed_dictionaries({"branch of r0": st.integers(-2, 2), "branch of r1": st.integers(-2, 2)})
FEEDBACK = st.sets(st.sampled_from(sorted(FACTORS)))


def make_spec(step: Step, with_feedback: set[str]) -> Spec:
    components = {}
    for name in list_components(step):
        spec = Spec("M.M", Path(), name, TYPES[name[0]])
        components[name] = ComponentSpec(spec.service_type, spec, has_feedback=name in with_feedback)
    return Spec(None, Path(), "graph", graph=step, components=components)


def find_predictor(spec: Spec) -> dict[str, Any]:
    """Return the predictor that gets most of the traffic."""
    document = to_plain(build_documents(spec, Target.SELDON)[0])
    predictors = [each for each in document["spec"]["predictors"] if not each.get("shadow")]
    assert sum(each.get("traffic", 100) for each in predictors) == 100
    best: dict[str, Any] = max(predictors, key=lambda each: each.get("traffic", 100))
    return best


def check_traversal(step: Step, tags: dict[str, Any], with_feedback: set[str]) -> None:
    spec = make_spec(step, with_feedback)
    predictor = find_predictor(spec)
    request = Sent(np.array([[1.0, 2.0]]), tags)
    reference, executor = Reference(), Executor()
    try:
        expected = reference.run(step, replace(request))
    except Stop:
        event("a router's number is out of range")
        expected = None
    try:
        response = executor.predict(predictor["graph"], replace(request))
    except Stop:
        response = None
    assert executor.calls == reference.calls
    assert (response is None) == (expected is None)
    if response is None or expected is None:
        return
    assert np.array_equal(response.data, expected.data)
    if -2 in reference.routing.values():
        event("a router chooses no branch")  # the executor cannot take feedback about it
        return
    receivers = set(reference.list_receivers(step, reference.routing))
    takes = {name for name in receivers if name in with_feedback or name[0] == "r" or _is_model(predictor, name)}
    assert sorted(executor.list_fed(predictor["graph"])) == sorted(takes)


def _is_model(predictor: Mapping[str, Any], name: str) -> bool:
    return any(unit["name"] == name and unit.get("type") == "MODEL" for unit in walk(predictor["graph"]))


def walk(unit: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield unit
    for child in unit.get("children", []):
        yield from walk(child)


SLOW = settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])


@SLOW
@given(step=lowered_graphs(), tags=TAGS, with_feedback=FEEDBACK)
def test_the_executor_calls_the_units_as_the_graph_its_steps(
    step: Step, tags: dict[str, Any], with_feedback: set[str]
) -> None:
    problems = find_problems(make_spec(step, with_feedback), Target.SELDON)
    assert [each.message for each in problems if each.severity is Severity.ERROR] == []
    check_traversal(step, tags, with_feedback)


@SLOW
@given(step=graphs(), tags=TAGS, with_feedback=FEEDBACK)
def test_any_graph_is_traversed_equally_or_reported(step: Step, tags: dict[str, Any], with_feedback: set[str]) -> None:
    problems = find_problems(make_spec(step, with_feedback), Target.SELDON)
    errors = [each for each in problems if each.severity is Severity.ERROR]
    event("reported" if errors else "lowered")
    assert {each.code for each in errors} <= {"graph-not-in-target"}
    if not errors:
        check_traversal(step, tags, with_feedback)

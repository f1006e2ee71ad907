"""The predictors of a SeldonDeployment as the steps of a graph, in the order in which Seldon's executor calls them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

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
from seldon_spec.config.graph_steps import is_label
from seldon_spec.config.layers.parameters import read_boolean
from seldon_spec.migrate.manifest import Tree

_DOWN = {"": Method.PREDICT, "MODEL": Method.PREDICT, "TRANSFORMER": Method.TRANSFORM_INPUT}
_NO_CALL = ("ROUTER", "COMBINER", "OUTPUT_TRANSFORMER", "UNKNOWN_TYPE")
SPLIT, AVERAGE = "RANDOM_ABTEST", "AVERAGE_COMBINER"


class NotAGraph(Exception):
    """A graph of Seldon has no equivalent steps.

    Args:
        tree: the unit or the predictor.
        reason: what has no equivalent.
    """

    def __init__(self, tree: Tree, reason: str) -> None:
        self.tree, self.reason = tree, reason
        super().__init__(reason)


Names = Mapping[tuple[str, str], str]
"""The component of each unit by the names of its predictor and of the unit."""


def read_predictors(predictors: Sequence[Tree], names: Names) -> Step:
    """Return the steps of the predictors of one resource.

    Raises:
        NotAGraph: steps cannot express them.
    """
    served = [each for each in predictors if not read_boolean(each.text("shadow"))]
    shadows = [each for each in predictors if read_boolean(each.text("shadow"))]
    if not served or len(shadows) > 1:
        raise NotAGraph(predictors[0], "the predictors are not one split with at most one shadow")
    steps = tuple(_read_predictor(each, names) for each in served)
    step = steps[0] if len(steps) == 1 else SplitStep("split", _read_traffic(served), steps)
    for shadow in shadows:
        step = ShadowStep(step, _read_predictor(shadow, names), _read_number(shadow.get("traffic")) or 100)
    return _name_decisions(step)


def _read_traffic(predictors: Sequence[Tree]) -> tuple[float, ...]:
    shares = [_read_number(each.get("traffic")) for each in predictors]
    if not any(shares):
        return (1.0,) * len(shares)
    if any(share <= 0 for share in shares):
        wrong = next(each for each, share in zip(predictors, shares, strict=True) if share <= 0)
        raise NotAGraph(wrong, "a predictor gets no traffic")
    return tuple(shares)


def _read_number(tree: Tree | None) -> float:
    value = tree.node.value if tree else 0
    return float(value) if isinstance(value, (int, float)) else 0


def _read_predictor(predictor: Tree, names: Names) -> Step:
    graph = predictor.get("graph")
    if graph is None:
        raise NotAGraph(predictor, "a predictor has no graph")
    name = predictor.text("name")
    return _to_step(_read_unit(graph, {unit: each for (owner, unit), each in names.items() if owner == name}))


def _read_unit(tree: Tree, names: Mapping[str, str]) -> list[Step]:
    """Return the steps of a unit and of the units below it, in call order."""
    children = tree.get("children")
    below = [_read_unit(each, names) for each in (children.items() if children else [])]
    implementation = tree.text("implementation")
    if implementation in (SPLIT, AVERAGE):
        return [_read_built_in(tree, implementation, tuple(map(_to_step, below)))]
    name, kind = names.get(tree.text("name"), tree.text("name")), tree.text("type")
    listed = tree.get("methods")
    methods = {each.text() for each in (listed.items() if listed else ())}
    down = None if kind in _NO_CALL or (kind == "" and methods - {"SEND_FEEDBACK"}) else _DOWN.get(kind)
    if "TRANSFORM_INPUT" in methods:
        down = Method.TRANSFORM_INPUT
    is_router, is_combiner = kind == "ROUTER" or "ROUTE" in methods, kind == "COMBINER" or "AGGREGATE" in methods
    is_up = kind == "OUTPUT_TRANSFORMER" or "TRANSFORM_OUTPUT" in methods
    if is_router or is_combiner:
        if (is_router and is_combiner) or down is not None or is_up:
            raise NotAGraph(tree, f"{name} has methods of several types")
        if not below:
            raise NotAGraph(tree, f"{name} has no children, so that it is never called")
        branches = tuple(map(_to_step, below))
        return [RouteStep(name, name, branches) if is_router else CombineStep("combine", name, branches)]
    if len(below) > 1:
        raise NotAGraph(tree, f"{name} has several children, of which the executor returns the first one's response")
    steps: list[Step] = [CallStep(name, down)] if down is not None else []
    steps += below[0] if below else []
    steps += [CallStep(name, Method.TRANSFORM_OUTPUT)] if is_up else []
    if not steps:
        raise NotAGraph(tree, f"{name} has no method that is called")
    return steps


def _read_built_in(tree: Tree, implementation: str, branches: tuple[Step, ...]) -> Step:
    if implementation == AVERAGE and branches:
        return CombineStep("average", None, branches)
    if len(branches) != 2:
        raise NotAGraph(tree, f"{implementation} has {len(branches)} children")
    share = 0.5
    parameters = tree.get("parameters")
    for entry in parameters.items() if parameters else ():
        if entry.text("name") == "ratioA":
            try:
                share = float(entry.text("value"))
            except ValueError:
                share = 0
    if not 0 < share < 1:
        raise NotAGraph(tree, "ratioA is not between 0 and 1")
    name = tree.text("name")
    weights = (round(100 * share, 10), round(100 - 100 * share, 10))
    return SplitStep(name if is_label(name) else "split", weights, branches)


def _to_step(steps: Sequence[Step]) -> Step:
    return steps[0] if len(steps) == 1 else ChainStep(tuple(steps))


def _name_decisions(step: Step) -> Step:
    """Return a step whose decisions have different names, as the compiler numbers those without one."""
    return _Namer().name(step)


class _Namer:
    def __init__(self) -> None:
        self._used: set[str] = set()

    def name(self, step: Step) -> Step:
        if isinstance(step, ChainStep):
            return ChainStep(tuple(map(self.name, step.steps)))
        if isinstance(step, ShadowStep):
            return replace(step, step=self.name(step.step), shadow=self.name(step.shadow))
        if isinstance(step, CallStep):
            return step
        name, number = step.name, 1
        while name in self._used:
            number += 1
            name = f"{step.name}-{number}"
        self._used.add(name)
        return replace(step, name=name, branches=tuple(map(self.name, step.branches)))

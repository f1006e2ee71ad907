"""Write the steps of a graph as the shortest value of the key ``graph`` that compiles to them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from seldon_spec.config.graph import (
    CallStep,
    ChainStep,
    CombineStep,
    DecisionStep,
    Method,
    RouteStep,
    ShadowStep,
    SplitStep,
    Step,
    walk_steps,
)
from seldon_spec.config.graph_calls import BRANCHING
from seldon_spec.config.model import ServiceType


def shorten_graph(step: Step, service_types: Mapping[str, ServiceType]) -> Any:
    """Return the value of ``graph``: names, lists and mappings, without methods and names that are defaults.

    Args:
        step: the whole graph.
        service_types: of its components.
    """
    if isinstance(step, CallStep) and service_types[step.component] is ServiceType.OUTLIER_DETECTOR:
        return step.component if step.method is Method.PREDICT else {step.method.value: step.component}
    return _Writer(step, service_types).write(step, is_before_model=False)


class _Writer:
    def __init__(self, whole: Step, service_types: Mapping[str, ServiceType]) -> None:
        self._types = service_types
        decisions = [each for each in walk_steps(whole) if isinstance(each, (RouteStep, SplitStep, CombineStep))]
        self._defaults = Counter(each.name for each in decisions if each.name == _default_name(each))

    def write(self, step: Step, *, is_before_model: bool) -> Any:
        if isinstance(step, CallStep):
            is_default = step.method is self._default_method(step.component, is_before_model=is_before_model)
            return step.component if is_default else {step.method.value: step.component}
        if isinstance(step, ChainStep):
            return self._write_chain(step, is_before_model=is_before_model)
        if isinstance(step, ShadowStep):
            return self._write_shadow(step, is_before_model=is_before_model)
        branches = [self.write(each, is_before_model=is_before_model) for each in step.branches]
        name = {} if self._defaults[step.name] == 1 else {"name": step.name}
        return {**_write_decision(step, branches), **name}

    def _default_method(self, component: str, *, is_before_model: bool) -> Method:
        if self._types[component] is ServiceType.MODEL:
            return Method.PREDICT
        return Method.TRANSFORM_INPUT if is_before_model else Method.TRANSFORM_OUTPUT

    def _write_chain(self, step: ChainStep, *, is_before_model: bool) -> Any:
        """Write from the last step to the first: the method of a step depends on those after it."""
        items: list[Any] = []
        for each in reversed(step.steps):
            items.insert(0, self.write(each, is_before_model=is_before_model))
            is_before_model = is_before_model or self._has_model(items[0])
        return items

    def _has_model(self, item: Any) -> bool:
        if isinstance(item, list):
            return any(map(self._has_model, item))
        if isinstance(item, dict):
            return not {*BRANCHING, Method.PREDICT.value}.isdisjoint(item)
        return self._types[item] is ServiceType.MODEL

    def _write_shadow(self, step: ShadowStep, *, is_before_model: bool) -> Any:
        """Write a step with a shadow; only a mapping can have one: a chain becomes the only branch of a split."""
        inner = self.write(step.step, is_before_model=is_before_model)
        if isinstance(step.step, CallStep):
            inner = {step.step.method.value: step.step.component}
        elif not isinstance(inner, dict) or "shadow" in inner:
            inner = {"split": [1], "to": [inner]}
        shadow = self.write(step.shadow, is_before_model=is_before_model)
        percent = {} if step.percent == 100 else {"shadow_percent": _number(step.percent)}
        return {**inner, "shadow": shadow, **percent}


def _default_name(step: DecisionStep) -> str:
    if isinstance(step, RouteStep):
        return step.router
    if isinstance(step, SplitStep):
        return "split"
    return "average" if step.combiner is None else "combine"


def _write_decision(step: DecisionStep, branches: list[Any]) -> dict[str, Any]:
    if isinstance(step, RouteStep):
        return {"route": step.router, "to": branches}
    if isinstance(step, CombineStep):
        return {"average": branches} if step.combiner is None else {"combine": step.combiner, "of": branches}
    weights = [_number(weight) for weight in step.weights]
    by = {} if step.by is None else {"by": step.by}
    if all(isinstance(each, str) for each in branches) and len(set(branches)) == len(branches):
        return {"split": dict(zip(branches, weights, strict=True)), **by}
    return {"split": weights, "to": branches, **by}


def _number(value: float) -> float:
    return int(value) if float(value).is_integer() else value

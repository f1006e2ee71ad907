"""The steps of an inference graph as frozen dataclasses, compiled from the key ``graph``.

Every step takes a message and returns one. Names are unique within a graph and the graphs in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias


class Method(str, Enum):
    """The method of a component that a step calls; the value is the key of a step that names it."""

    PREDICT = "predict"
    TRANSFORM_INPUT = "transform_input"
    TRANSFORM_OUTPUT = "transform_output"


@dataclass(frozen=True, slots=True)
class CallStep:
    """Calls one method of a component."""

    component: str
    method: Method = Method.PREDICT


@dataclass(frozen=True, slots=True)
class ChainStep:
    """Steps, at least one, each of which gets the response of the one before."""

    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class RouteStep:
    """A router chooses a branch by its number; -1: all, and the first one's response counts; -2: none.

    Attributes:
        name: in ``meta.routing`` and in metrics.
        router: the component that chooses.
    """

    name: str
    router: str
    branches: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class SplitStep:
    """One branch at random.

    Attributes:
        name: in ``meta.routing`` and in metrics.
        weights: positive numbers, one for each branch.
        by: the header whose value chooses the branch, so that equal values get the same one; None: every request
            chooses anew.
    """

    name: str
    weights: tuple[float, ...]
    branches: tuple[Step, ...]
    by: str | None = None


@dataclass(frozen=True, slots=True)
class CombineStep:
    """All branches get the request, and a combiner gets their responses.

    Attributes:
        name: in ``meta.routing`` and in metrics.
        combiner: the component that combines; None: the mean of arrays of one shape.
    """

    name: str
    combiner: str | None
    branches: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class ShadowStep:
    """A step, and one that gets a copy of a part of its requests without a response.

    Attributes:
        step: whose response counts.
        shadow: gets the copies.
        percent: of the requests that are copied.
    """

    step: Step
    shadow: Step
    percent: float = 100


Step: TypeAlias = CallStep | ChainStep | RouteStep | SplitStep | CombineStep | ShadowStep

DecisionStep: TypeAlias = RouteStep | SplitStep | CombineStep
"""The steps with branches, which ``meta.routing`` contains."""


def list_children(step: Step) -> tuple[Step, ...]:
    """Return the steps directly inside a step, in call order; a shadow is the last one."""
    if isinstance(step, ChainStep):
        return step.steps
    if isinstance(step, ShadowStep):
        return (step.step, step.shadow)
    return () if isinstance(step, CallStep) else step.branches


def walk_steps(step: Step) -> Iterator[Step]:
    """Yield a step and all steps inside it, each before its children."""
    yield step
    for child in list_children(step):
        yield from walk_steps(child)


def list_components(step: Step) -> list[str]:
    """Return the names of the components of a step in call order, each once."""
    return list(dict.fromkeys(_components_of(step)))


def _components_of(step: Step) -> Iterator[str]:
    if isinstance(step, CallStep):
        yield step.component
    if isinstance(step, RouteStep):
        yield step.router
    for child in list_children(step):
        yield from _components_of(child)
    if isinstance(step, CombineStep) and step.combiner is not None:
        yield step.combiner


def describe_step(step: Step) -> object:
    """Return a step as the value of ``graph`` in a file, with the name of each decision and the method of each call."""
    if isinstance(step, CallStep):
        return step.component if step.method is Method.PREDICT else {step.method.value: step.component}
    if isinstance(step, ChainStep):
        return [describe_step(each) for each in step.steps]
    if isinstance(step, ShadowStep):
        inner = describe_step(step.step)
        tree = inner if isinstance(inner, dict) else {"predict": inner}
        return {**tree, "shadow": describe_step(step.shadow), "shadow_percent": step.percent}
    branches = [describe_step(each) for each in step.branches]
    if isinstance(step, RouteStep):
        return {"route": step.router, "to": branches, "name": step.name}
    if isinstance(step, SplitStep):
        by = {} if step.by is None else {"by": step.by}
        return {"split": list(step.weights), "to": branches, **by, "name": step.name}
    if step.combiner is None:
        return {"average": branches, "name": step.name}
    return {"combine": step.combiner, "of": branches, "name": step.name}


def find_first(step: Step) -> str:
    """Return the component whose inputs are those of a step: the first one that gets the request as it is."""
    if isinstance(step, CallStep):
        return step.component
    return find_first(list_children(step)[0])


def find_last(step: Step) -> str:
    """Return the component whose outputs are those of a step; of branches, that of the first one."""
    if isinstance(step, CallStep):
        return step.component
    if isinstance(step, CombineStep) and step.combiner is not None:
        return step.combiner
    return find_last(step.steps[-1] if isinstance(step, ChainStep) else list_children(step)[0])

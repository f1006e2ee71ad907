"""Lower a graph to the predictors and units of a SeldonDeployment, as Seldon's executor traverses them.

The executor calls a unit downwards, then its children, then the unit upwards. What cannot be lowered to such a tree is
reported as a limit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from seldon_spec.config.checks.class_body import ClassSource
from seldon_spec.config.checks.class_source import read_class
from seldon_spec.config.checks.component_rules import may_take_feedback
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
from seldon_spec.config.graph_calls import list_hooks
from seldon_spec.config.graph_uses import make_role
from seldon_spec.config.model import ComponentSpec, ServiceType, Spec

DEFAULT = "default"
"""The name of the only predictor."""

OTHER_TARGET = "--for kubernetes runs any graph"

_TYPES = {
    Method.PREDICT: "MODEL",
    Method.TRANSFORM_INPUT: "TRANSFORMER",
    Method.TRANSFORM_OUTPUT: "OUTPUT_TRANSFORMER",
}
_WITH_FEEDBACK = ("MODEL", "ROUTER")
"""The types to which the executor sends feedback; other units need a method for it."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A node of the tree that the executor traverses.

    Attributes:
        component: whose container it is; None: the executor itself chooses one of two children.
        type: None: the methods alone determine the calls.
        ratio: the share of the first of two children.
    """

    name: str
    component: str | None = None
    type: str | None = None
    methods: tuple[str, ...] = ()
    ratio: float | None = None
    children: tuple[Unit, ...] = ()


@dataclass(frozen=True, slots=True)
class Predictor:
    """A tree of units, and its part of the traffic.

    Attributes:
        step: that the tree is made of; None: the spec is a class.
        traffic: in percent; of a shadow, of the requests that are copied. None: all.
    """

    name: str
    step: Step | None
    unit: Unit
    traffic: int | None = None
    is_shadow: bool = False


@dataclass(frozen=True, slots=True)
class Limit:
    """A part of a graph that works otherwise in a SeldonDeployment, or that it cannot have.

    Attributes:
        component: whose ``url`` is meant; None: a step of the graph.
        is_error: whether it cannot have it.
    """

    message: str
    help: str
    component: str | None = None
    is_error: bool = True


@dataclass(frozen=True, slots=True)
class Lowered:
    """The predictors of a spec, and its limits; with errors among them, the predictors are incomplete."""

    predictors: tuple[Predictor, ...]
    limits: tuple[Limit, ...] = ()


def walk_units(unit: Unit) -> Iterator[Unit]:
    """Yield a unit and all units below it, each before its children."""
    yield unit
    for child in unit.children:
        yield from walk_units(child)


def lower(spec: Spec) -> Lowered:
    """Return the predictors of a spec."""
    if spec.graph is None:
        return Lowered((Predictor(DEFAULT, None, _lower_class(spec)),))
    return _Lowering(spec.components).lower(spec.graph)


def _lower_class(spec: Spec) -> Unit:
    """Return the unit of a class, of its service type; of one with transform_output only, an output transformer."""
    if spec.class_name is None:  # a model file
        return Unit(spec.name, spec.name, spec.service_type.value, ())
    source = read_class(spec.folder, spec.class_name)
    kind = "MODEL" if spec.service_type is ServiceType.OUTLIER_DETECTOR else spec.service_type.value
    hooks = make_role(spec.service_type, source, {}).hooks
    if spec.service_type is ServiceType.TRANSFORMER and hooks is not None:
        is_input, is_output = (
            bool(hooks & list_hooks(method, spec.service_type))
            for method in (Method.TRANSFORM_INPUT, Method.TRANSFORM_OUTPUT)
        )
        kind = "OUTPUT_TRANSFORMER" if is_output and not is_input else kind
    takes = isinstance(source, ClassSource) and may_take_feedback(source, spec.service_type)
    return Unit(spec.name, spec.name, kind, _feedback_methods(kind, takes=takes))


def _feedback_methods(kind: str | None, *, takes: bool) -> tuple[str, ...]:
    return ("SEND_FEEDBACK",) if takes and kind not in _WITH_FEEDBACK else ()


class _Lowering:
    """Lowers one graph.

    Args:
        components: of the graph.
    """

    def __init__(self, components: Mapping[str, ComponentSpec]) -> None:
        self._components = components
        self._limits: dict[Limit, None] = {}

    def lower(self, step: Step) -> Lowered:
        shadow = step if isinstance(step, ShadowStep) else None
        main = step.step if isinstance(step, ShadowStep) else step
        shares = _split_traffic(main) if isinstance(main, SplitStep) and main.by is None else None
        predictors: list[Predictor] = []
        if isinstance(main, SplitStep) and shares is not None:
            names = _name_predictors(main.branches, "branch")
            for name, branch, share in zip(names, main.branches, shares, strict=True):
                predictors += self._predictor(name, branch, share)
            self._limit(
                f'the mesh chooses the branch of "{main.name}": meta.routing has no entry for it, and feedback goes to'
                " any of its branches",
                "use a route if feedback has to reach the branch that responded",
                is_error=False,
            )
        else:
            predictors += self._predictor(DEFAULT, main, None if shadow is None else 100)
        if shadow is not None:
            predictors += self._shadow(shadow, {each.name for each in predictors})
        return Lowered(tuple(predictors), tuple(self._limits))

    def _limit(self, message: str, remedy: str = OTHER_TARGET, *, is_error: bool = True, at: str | None = None) -> None:
        self._limits[Limit(message, remedy, at, is_error)] = None

    def _predictor(self, name: str, step: Step, traffic: int | None, *, is_shadow: bool = False) -> Iterator[Predictor]:
        unit = self._lower((step,))
        if unit is None:
            return
        units = list(walk_units(unit))
        for each, count in Counter(each.name for each in units).items():
            if count > 1 and any(other.name == each and other.component is None for other in units):
                message = f'"{each}" is the name of a step and of a component, and both would be units'
                self._limit(message, "give the step another name")
            elif count > 1:
                self._limit(f"{each} is called at places that one unit cannot have")
        yield Predictor(name, step, unit, traffic, is_shadow)

    def _shadow(self, step: ShadowStep, names: set[str]) -> Iterator[Predictor]:
        if step.percent != int(step.percent):
            self._limit(
                "the part of the requests that the shadow gets is no whole percent", "set shadow_percent to one"
            )
        (name,) = _name_predictors((step.shadow,), "shadow")
        name = "shadow" if name in names else name
        traffic = None if step.percent == 100 else max(1, int(step.percent))
        yield from self._predictor(name, step.shadow, traffic, is_shadow=True)

    def _lower(self, steps: tuple[Step, ...]) -> Unit | None:
        """Return the unit of a chain, and below it the rest of the chain."""
        steps = tuple(_flatten(steps))
        first, last = steps[0], steps[-1]
        is_down = isinstance(first, CallStep) and first.method is not Method.TRANSFORM_OUTPUT
        if isinstance(last, CallStep) and last.method is Method.TRANSFORM_OUTPUT:
            earlier = [isinstance(each, CallStep) and each.component == last.component for each in steps[:-1]]
            if isinstance(first, CallStep) and is_down and earlier[0]:
                return self._around(first, steps[1:-1])
            if not is_down or True not in earlier:
                return self._unit(last.component, _TYPES[last.method], steps[:-1])
        if isinstance(first, CallStep) and is_down:
            return self._unit(first.component, _TYPES[first.method], steps[1:])
        if len(steps) == 1:
            return self._lower_inner(first)
        if isinstance(first, CallStep):
            self._limit(f"a step follows transform_output of {first.component}")
        elif not isinstance(first, (ChainStep, ShadowStep)):
            self._limit(f'a step other than an output transformer follows "{first.name}"')
        else:
            self._lower_inner(first)
        return None

    def _around(self, first: CallStep, between: tuple[Step, ...]) -> Unit | None:
        """Return the unit of a component that is called before and after the steps between."""
        if first.method is Method.PREDICT:
            return self._unit(first.component, "MODEL", between, ("TRANSFORM_OUTPUT",))
        return self._unit(first.component, None, between, ("TRANSFORM_INPUT", "TRANSFORM_OUTPUT"))

    def _unit(
        self, component: str, kind: str | None, below: tuple[Step, ...], methods: tuple[str, ...] = ()
    ) -> Unit | None:
        child = self._lower(below) if below else None
        if below and child is None:
            return None
        return self._make(component, kind, methods, () if child is None else (child,))

    def _make(self, component: str, kind: str | None, methods: tuple[str, ...], children: tuple[Unit, ...]) -> Unit:
        spec = self._components[component]
        if spec.url is not None:
            self._limit(f"{component} is served at {spec.url}, and a unit has a container", at=component)
        methods = (*methods, *_feedback_methods(kind, takes=spec.has_feedback))
        return Unit(component, component, kind, methods, children=children)

    def _lower_inner(self, step: Step) -> Unit | None:
        """Return the unit of a step with branches."""
        if isinstance(step, ShadowStep):
            self._limit("a shadow is only possible beside the whole graph")
            return self._lower((step.step,))
        assert isinstance(step, (RouteStep, SplitStep, CombineStep))
        units = [self._lower((branch,)) for branch in step.branches]
        children = tuple(unit for unit in units if unit is not None)
        is_whole = len(children) == len(units)
        if isinstance(step, RouteStep):
            if step.name != step.router:
                message = f'the name "{step.name}" is not used: the entry of meta.routing is "{step.router}"'
                self._limit(message, "remove the name", is_error=False)
            return self._make(step.router, "ROUTER", (), children) if is_whole else None
        if isinstance(step, SplitStep):
            return self._lower_split(step, children if is_whole else ())
        if step.combiner is None:
            self._limit(f'the executor has no combiner for the average "{step.name}"', _OWN_COMBINER)
            return None
        return self._make(step.combiner, "COMBINER", (), children) if is_whole else None

    def _lower_split(self, step: SplitStep, children: tuple[Unit, ...]) -> Unit | None:
        if step.by is not None:
            self._limit(f'"{step.name}" chooses a branch by a header, which a SeldonDeployment cannot do')
        elif len(step.branches) != 2:
            count = len(step.branches)
            self._limit(f'the executor chooses between two branches, and "{step.name}" has {count}', _SPLIT)
        elif children:
            share = step.weights[0] / sum(step.weights)
            return Unit(step.name, ratio=share, children=children)
        return None


_OWN_COMBINER = f"combine them by a class, or {OTHER_TARGET.replace('runs', 'which runs')}"
_SPLIT = "nest splits of two; for the whole graph, choose whole percents, e.g. 90, 5 and 5"


def _split_traffic(step: SplitStep) -> list[int] | None:
    """Return the whole percents of the branches; None if the shares are not whole percents."""
    shares = [100 * weight / sum(step.weights) for weight in step.weights]
    is_whole = all(abs(share - round(share)) < 1e-9 and round(share) for share in shares)
    return [round(share) for share in shares] if is_whole else None


def _flatten(steps: tuple[Step, ...]) -> Iterator[Step]:
    for step in steps:
        if isinstance(step, ChainStep):
            yield from _flatten(step.steps)
        else:
            yield step


def _name_predictors(steps: tuple[Step, ...], other: str) -> list[str]:
    """Return a name for the predictor of each step: its component, if it is one and no other has it."""
    own = [step.component if isinstance(step, CallStep) else None for step in steps]
    numbers = [f"{other}-{index}" for index in range(1, len(steps) + 1)] if len(steps) > 1 else [other]
    is_clear = all(name is None or (own.count(name) == 1 and name not in numbers) for name in own)
    return [name if name is not None and is_clear else number for name, number in zip(own, numbers, strict=True)]

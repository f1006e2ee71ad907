"""Compile the key ``graph`` to steps: find the components that it names, choose their methods, name the decisions."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from seldon_spec.config.checks.class_body import ClassSource
from seldon_spec.config.graph import (
    CallStep,
    ChainStep,
    CombineStep,
    Method,
    RouteStep,
    ShadowStep,
    SplitStep,
    Step,
    walk_steps,
)
from seldon_spec.config.model import ServiceType
from seldon_spec.errors import Diagnostic, FieldPath, Origin, Severity

MAX_LEVELS = 16
MAX_COMPONENTS = 200

_METHODS = {method.value: method for method in Method}
_DECISIONS = ("route", "split", "combine", "average")
_PARTNERS = {"to": ("route", "split"), "of": ("combine",), "by": ("split",), "name": _DECISIONS}
"""Keys of a step, with the kinds of steps that have them."""
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_ENDINGS = ("", "_raw", "_rest", "_grpc")
_COUNTS = ("n_branches", "n_children")
"""The parameters of a router that state the number of its branches."""


def is_label(name: str) -> bool:
    """Return whether a name is a DNS label, which variables, URLs and manifests can contain."""
    return _LABEL.fullmatch(name) is not None


@dataclass(frozen=True, slots=True)
class Use:
    """A place of the graph that names a component; ``is_key``: the name is a key of ``split``."""

    name: str
    path: FieldPath
    is_key: bool = False


@dataclass(frozen=True, slots=True)
class Role:
    """The properties of a component that its steps depend on.

    Attributes:
        hooks: the names of the methods of its class; of a graph, only ``predict``; None: they are not known.
        branches: the parameter that states the number of branches of a router, and its value.
        step_names: of the graph that it is.
    """

    service_type: ServiceType
    hooks: frozenset[str] | None = None
    branches: tuple[str, Any] | None = None
    step_names: frozenset[str] = frozenset()


def make_role(service_type: ServiceType, source: object, parameters: Mapping[str, Any]) -> Role:
    """Return the role of a component with a class; ``source`` is the result of reading it."""
    hooks = source.hooks if isinstance(source, ClassSource) and source.is_whole else None
    branches = next(((key, parameters[key]) for key in _COUNTS if key in parameters), None)
    return Role(service_type, hooks, branches)


def find_uses(raw: object, path: FieldPath = ("graph",)) -> Iterator[Use]:
    """Yield every place that names a component, in call order; accepts trees that are no steps."""
    if isinstance(raw, str):
        yield Use(raw, path)
    elif isinstance(raw, list):
        for index, item in enumerate(raw):
            yield from find_uses(item, (*path, str(index)))
    elif isinstance(raw, dict):
        for key in ("route", *_METHODS, "split", "to", "of", "average", "combine", "shadow"):
            if key == "split" and isinstance(raw.get(key), dict):
                yield from (Use(name, (*path, key, name), is_key=True) for name in raw[key])
            elif key != "split" and key in raw:
                yield from find_uses(raw[key], (*path, key))


Locate = Callable[[FieldPath, bool], Origin]
"""Returns the origin of the value at a path of the graph, or of its key."""


class GraphCompiler:
    """Compiles one graph.

    Args:
        raw: the value of ``graph``, which the schema accepts.
        roles: of the components by name, without those that cannot be loaded.
        locate: where the parts of the graph are.

    Attributes:
        problems: the diagnostics so far.
        names: of the steps with branches, those of nested graphs too.
    """

    def __init__(self, raw: object, roles: Mapping[str, Role], locate: Locate) -> None:
        self._raw, self._roles, self._locate = raw, roles, locate
        self.problems: list[Diagnostic] = []
        self.names: set[str] = set()
        only = raw[0] if isinstance(raw, list) and len(raw) == 1 else raw
        self._only = only if isinstance(only, str) else None

    def compile(self) -> Step | None:
        """Return the steps; None if there are problems that leave no step."""
        self._take_nested_names()
        self._take_names(self._raw, ("graph",))
        step = self._step(self._raw, ("graph",), is_before_model=False, level=1)
        calls = [each for each in walk_steps(step) if isinstance(each, CallStep)] if step is not None else []
        if calls and not self.problems and all(call.method is not Method.PREDICT for call in calls):
            self.report("graph-no-model", "no step of the graph predicts", ("graph",), severity=Severity.WARNING)
        return step

    def report(
        self,
        code: str,
        message: str,
        path: FieldPath,
        *,
        is_key: bool = False,
        severity: Severity = Severity.ERROR,
        found: str | None = None,
        allowed: str | None = None,
        help: str | None = None,  # noqa: A002
    ) -> None:
        """Add a diagnostic about the part of the graph at ``path``."""
        origin = self._locate(path, is_key)
        self.problems.append(Diagnostic(code, message, origin, severity, path, found, allowed, help))

    def _take_nested_names(self) -> None:
        seen: set[str] = set()
        for use in find_uses(self._raw):
            role = self._roles.get(use.name)
            if role is None or use.name in seen:
                continue
            seen.add(use.name)
            for name in sorted(self.names & role.step_names):
                message = f'two graphs inside this one have a step "{name}"'
                self.report("graph-name", message, use.path, is_key=use.is_key, help=_RENAME)
            self.names |= role.step_names

    def _take_names(self, raw: object, path: FieldPath) -> None:
        """Reserve the explicit names of steps, so that default names differ from them."""
        if isinstance(raw, list):
            for index, item in enumerate(raw):
                self._take_names(item, (*path, str(index)))
        elif isinstance(raw, dict):
            name = raw.get("name")
            if isinstance(name, str) and not raw.keys().isdisjoint(_DECISIONS):
                self._take_name(name, (*path, "name"))
            for key in ("to", "of", "average", "shadow"):
                self._take_names(raw.get(key), (*path, key))

    def _take_name(self, name: str, path: FieldPath) -> None:
        if not is_label(name):
            self.report("graph-name", f'"{name}" cannot be the name of a step', path, allowed=LABEL)
        elif name in self.names:
            self.report("graph-name", f'two steps have the name "{name}"', path, help=_RENAME)
        self.names.add(name)

    def _name(self, raw: Mapping[str, Any], default: str) -> str:
        if "name" in raw:
            return str(raw["name"])
        name, number = default, 1
        while name in self.names:
            number += 1
            name = f"{default}-{number}"
        self.names.add(name)
        return name

    def _step(self, raw: object, path: FieldPath, *, is_before_model: bool, level: int) -> Step | None:
        if level > MAX_LEVELS:
            self.report("graph-depth", f"the graph has more than {MAX_LEVELS} levels", path, help=_NEST)
            return None
        if isinstance(raw, str):
            return self._call(raw, path, is_before_model=is_before_model)
        if isinstance(raw, list):
            return self._chain(raw, path, is_before_model=is_before_model, level=level)
        assert isinstance(raw, dict)
        if "shadow" not in raw:
            return self._mapping(raw, path, is_before_model=is_before_model, level=level)
        rest = {key: value for key, value in raw.items() if key not in ("shadow", "shadow_percent")}
        step = self._mapping(rest, path, is_before_model=is_before_model, level=level)
        shadow = self._step(raw["shadow"], (*path, "shadow"), is_before_model=is_before_model, level=level + 1)
        if step is None or shadow is None:
            return None
        return ShadowStep(step, shadow, raw.get("shadow_percent", 100))

    def _chain(self, items: Sequence[object], path: FieldPath, *, is_before_model: bool, level: int) -> Step | None:
        if not items:
            self.report("graph-step", "a chain has no steps", path, help="name a component")
            return None
        steps = []
        for index, item in enumerate(items):
            is_before = is_before_model or any(self._has_model(later) for later in items[index + 1 :])
            steps.append(self._step(item, (*path, str(index)), is_before_model=is_before, level=level + 1))
        whole = tuple(step for step in steps if step is not None)
        if len(whole) < len(steps):
            return None
        return whole[0] if len(whole) == 1 else ChainStep(whole)

    def _has_model(self, raw: object) -> bool:
        """Return whether a step is a MODEL or has branches, or a step inside it is."""
        if isinstance(raw, str):
            role = self._roles.get(raw)
            return role is None or role.service_type is ServiceType.MODEL
        if isinstance(raw, list):
            return any(map(self._has_model, raw))
        return isinstance(raw, dict) and not {*_DECISIONS, "predict"}.isdisjoint(raw)

    def _mapping(self, raw: Mapping[str, Any], path: FieldPath, *, is_before_model: bool, level: int) -> Step | None:
        kinds = [key for key in (*_DECISIONS, *_METHODS) if key in raw]
        if len(kinds) != 1:
            found = f"{' and '.join(kinds)} in one step" if kinds else ", ".join(raw) or "an empty mapping"
            message = "a step mixes two kinds" if kinds else "a mapping is no step"
            self.report("graph-step", message, path, found=found, allowed=_ONE_KIND)
            return None
        (kind,) = kinds
        if not self._check_keys(raw, kind, path):
            return None
        if kind in _METHODS:
            return self._explicit_call(raw[kind], _METHODS[kind], (*path, kind))
        return self._decision(raw, kind, path, is_before_model=is_before_model, level=level)

    def _decision(
        self, raw: Mapping[str, Any], kind: str, path: FieldPath, *, is_before_model: bool, level: int
    ) -> Step | None:
        """Return a step with branches."""
        if kind in ("route", "combine"):
            self._check_role(raw[kind], (*path, kind), ServiceType.ROUTER if kind == "route" else ServiceType.COMBINER)
        name = self._name(raw, raw["route"] if kind == "route" else kind)
        weights, key = None, {"route": "to", "combine": "of", "average": "average", "split": "to"}[kind]
        if kind == "split" and isinstance(raw["split"], dict):
            key, weights = "split", list(raw["split"].values())
        elif kind == "split":
            weights = list(raw["split"])
        branches = self._branches(raw[key], (*path, key), is_before_model=is_before_model, level=level)
        self._check_branches(raw, kind, (*path, key), len(raw[key]))
        if weights is not None:
            self._check_weights(weights, (*path, "split"), raw)
        if branches is None:
            return None
        if kind == "route":
            return RouteStep(name, raw["route"], branches)
        if weights is not None:
            return SplitStep(name, tuple(map(float, weights)), branches, raw.get("by"))
        return CombineStep(name, raw.get("combine"), branches)

    def _check_keys(self, raw: Mapping[str, Any], kind: str, path: FieldPath) -> bool:
        """Return whether a step has the keys of its kind and no others."""
        wrong = [key for key in raw if kind not in _PARTNERS.get(key, (kind,))]
        is_mapping = kind == "split" and isinstance(raw["split"], dict)
        if is_mapping and "to" in raw:
            wrong.append("to")
        for key in wrong:
            reason = "which names its branches" if is_mapping and key == "to" else "which has no such key"
            message = f"{key} cannot be used with {kind}, {reason}"
            self.report("graph-step", message, (*path, key), is_key=True, help=f"remove {key}")
        if "shadow_percent" in raw:  # without shadow
            self.report("graph-step", "shadow_percent needs shadow", (*path, "shadow_percent"), is_key=True)
        needed = {"route": "to", "combine": "of", "split": "to"}.get(kind)
        if needed is not None and not is_mapping and needed not in raw:
            self.report("graph-step", f"{kind} has no branches", (*path, kind), is_key=True, help=f"add {needed}: […]")
            return False
        return not wrong and "shadow_percent" not in raw

    def _branches(self, raw: object, path: FieldPath, *, is_before_model: bool, level: int) -> tuple[Step, ...] | None:
        """Return the branches of a step; those of a split may be the keys of a mapping."""
        steps: list[Step | None] = []
        if isinstance(raw, dict):
            steps += [self._call(n, (*path, n), is_before_model=is_before_model, is_key=True) for n in raw]
        elif isinstance(raw, list):
            for index, item in enumerate(raw):
                at = (*path, str(index))
                steps.append(self._step(item, at, is_before_model=is_before_model, level=level + 1))
        whole = tuple(step for step in steps if step is not None)
        return whole if len(whole) == len(steps) > 0 else None

    def _check_branches(self, raw: Mapping[str, Any], kind: str, path: FieldPath, count: int) -> None:
        if count == 0:
            self.report("graph-branches", f"{kind} has no branches", path, is_key=True, help="name its branches")
        elif count == 1:
            message = f"{kind} has only one branch"
            self.report("graph-branches", message, path, is_key=True, severity=Severity.WARNING, help=_ONE_BRANCH)
        role = self._roles.get(raw["route"]) if kind == "route" else None
        if role is not None and role.branches is not None and role.branches[1] != count and count:
            key, value = role.branches
            self.report(
                "graph-branches",
                f"{raw['route']} has another number of branches than this step",
                path,
                is_key=True,
                severity=Severity.WARNING,
                found=f"{count} here; its parameter {key} is {value}",
                help=f"set components.{raw['route']}.parameters.{key} to {count}",
            )

    def _check_weights(self, weights: Sequence[float], path: FieldPath, raw: Mapping[str, Any]) -> None:
        keys = list(raw["split"]) if isinstance(raw["split"], dict) else [str(index) for index in range(len(weights))]
        for key, weight in zip(keys, weights, strict=True):
            if not weight > 0:
                allowed, remedy = "a number above 0, e.g. 90 and 10", "remove the branch if it gets no requests"
                self.report(
                    "graph-weights", "a weight is not positive", (*path, key), found=str(weight), allowed=allowed,
                    help=remedy,
                )  # fmt: skip
        if isinstance(raw["split"], list) and len(weights) != len(raw["to"]):
            found = f"{len(weights)} weights, {len(raw['to'])} branches"
            self.report("graph-weights", "the numbers of weights and branches differ", path, is_key=True, found=found)

    def _call(self, name: str, path: FieldPath, *, is_before_model: bool, is_key: bool = False) -> Step:
        """Return the call of a component whose method depends on its type and its position."""
        role = self._roles.get(name)
        if role is None:  # reported already
            return CallStep(name)
        kind = role.service_type
        if kind in (ServiceType.ROUTER, ServiceType.COMBINER):
            instead = "route: NAME, to: […]" if kind is ServiceType.ROUTER else "combine: NAME, of: […]"
            message = f"{name} is a {kind.value}, which cannot be a step of its own"
            self.report("graph-role", message, path, is_key=is_key, help=f"write {{{instead.replace('NAME', name)}}}")
            return CallStep(name)
        if kind is ServiceType.MODEL or (kind is ServiceType.OUTLIER_DETECTOR and name == self._only):
            method, reason = Method.PREDICT, "as a MODEL"
        elif is_before_model:
            method, reason = Method.TRANSFORM_INPUT, "before a model"
        else:
            method, reason = Method.TRANSFORM_OUTPUT, "without a model after it"
        self._check_method(name, role, method, reason, path, is_key=is_key)
        return CallStep(name, method)

    def _explicit_call(self, name: str, method: Method, path: FieldPath) -> Step:
        role = self._roles.get(name)
        if role is not None and role.service_type in (ServiceType.ROUTER, ServiceType.COMBINER):
            self.report("graph-role", f"{name} is a {role.service_type.value}, which has no {method.value}", path)
        elif role is not None:
            self._check_method(name, role, method, "in this step", path)
        return CallStep(name, method)

    def _check_method(
        self, name: str, role: Role, method: Method, reason: str, path: FieldPath, *, is_key: bool = False
    ) -> None:
        """Report a class without the method that a step calls; a transformer without any has a warning of its own."""
        if role.hooks is None or role.hooks & _hooks_of(method, role.service_type):
            return
        others = [each for each in Method if role.hooks & _hooks_of(each, role.service_type)]
        if not others and role.service_type is ServiceType.TRANSFORMER:
            return
        message = f"{name} is called {reason}, but it has no {method.value}"
        remedy = None
        if others:
            remedy = f"move the step, or write {{{others[0].value}: {name}}}"
        found = f"it has {' and '.join(each.value for each in others)}" if others else None
        self.report("graph-verb", message, path, is_key=is_key, found=found, help=remedy)

    def _check_role(self, name: str, path: FieldPath, wanted: ServiceType) -> None:
        role = self._roles.get(name)
        if role is not None and role.service_type is not wanted:
            message = f"{name} is a {role.service_type.value}, not a {wanted.value}"
            remedy = f"name a component whose service_type is {wanted.value}"
            self.report("graph-role", message, path, help=remedy)


def _hooks_of(method: Method, service_type: ServiceType) -> set[str]:
    """Return the names of the methods of a class, one of which a call needs."""
    names = {f"{method.value}{ending}" for ending in _ENDINGS}
    if method is Method.PREDICT:
        return names | {"infer", "score"}
    if service_type is ServiceType.OUTLIER_DETECTOR and method is Method.TRANSFORM_INPUT:
        return names | {f"predict{ending}" for ending in _ENDINGS} | {"score"}
    return names


LABEL = "lower-case letters, digits and -, at most 63, with a letter or digit at both ends"
_RENAME = "give each its own name: …"
_NEST = "move a part of it into a component with a graph of its own"
_ONE_KIND = f"one of {', '.join((*_DECISIONS, *_METHODS))}"
_ONE_BRANCH = "OK if branches are added later; otherwise write the branch alone"

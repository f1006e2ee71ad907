"""Compile the key ``graph`` to steps: find the components that it names, choose their methods, name the decisions."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence, Set
from typing import Any

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
from seldon_spec.config.graph_calls import BRANCHING, CallCompiler, Locate, Reporter
from seldon_spec.config.graph_uses import Role, find_uses
from seldon_spec.config.model import ServiceType
from seldon_spec.errors import FieldPath, Severity

MAX_LEVELS = 16
MAX_COMPONENTS = 200

_METHODS = {method.value: method for method in Method}
_PARTNERS = {"to": ("route", "split"), "of": ("combine",), "by": ("split",), "name": BRANCHING}
"""Keys of a step, with the kinds of steps that have them."""
_BRANCHES = {"route": "to", "split": "to", "combine": "of", "average": "average"}
"""The keys of the branches by the kind of step."""
_KEYS = {*BRANCHING, *_METHODS, *_PARTNERS, "shadow", "shadow_percent"}
_LABEL = re.compile(r"(?=.{1,63}\Z)[a-z0-9]+(-[a-z0-9]+)*")


def is_label(name: str) -> bool:
    """Return whether a name is a DNS label, which URLs and manifests can contain.

    It has no ``--``, since ``__`` separates the names of keys in variables.
    """
    return _LABEL.fullmatch(name) is not None


class GraphCompiler:
    """Compiles one graph.

    Args:
        raw: the value of ``graph``.
        roles: of the components by name, without those that cannot be loaded.
        locate: where the parts of the graph are.
        wrong: the paths of its parts that the schema rejects, which are reported already, with the correct names of
            misspelt keys.

    Attributes:
        problems: the diagnostics so far.
        names: of the steps with branches, those of nested graphs too.
        misused: the components whose class fits another service type or another place.
    """

    def __init__(
        self, raw: object, roles: Mapping[str, Role], locate: Locate, wrong: Set[FieldPath] = frozenset()
    ) -> None:
        only = raw[0] if isinstance(raw, list) and len(raw) == 1 else raw
        self._raw, self._roles, self._wrong = raw, roles, wrong
        self._reporter = Reporter(locate)
        self._report = self._reporter.report
        self._calls = CallCompiler(roles, self._report, only if isinstance(only, str) else None)
        self.problems, self.misused = self._reporter.problems, self._calls.misused
        self.names: set[str] = set()

    def compile(self) -> Step | None:
        """Return the steps; None if there are problems that leave no step, or if ``wrong`` is not empty."""
        self._take_nested_names()
        self._take_names(self._raw, ("graph",))
        step = self._step(self._raw, ("graph",), is_before_model=False, level=1)
        calls = [each for each in walk_steps(step) if isinstance(each, CallStep)] if step is not None else []
        if self._wrong:
            return None
        if calls and not self.problems and all(call.method is not Method.PREDICT for call in calls):
            self._report("graph-no-model", "no step of the graph predicts", ("graph",), severity=Severity.WARNING)
        return step

    def _take_nested_names(self) -> None:
        seen: set[str] = set()
        for use in find_uses(self._raw):
            role = self._roles.get(use.name)
            if role is None or use.name in seen:
                continue
            seen.add(use.name)
            for name in sorted(self.names & role.step_names):
                message = f'two graphs inside this one have a step "{name}"'
                self._report("graph-name", message, use.path, is_key=use.is_key, help=_RENAME)
            self.names |= role.step_names

    def _take_names(self, raw: object, path: FieldPath) -> None:
        """Reserve the explicit names of steps, so that default names differ from them."""
        if isinstance(raw, list):
            for index, item in enumerate(raw):
                self._take_names(item, (*path, str(index)))
        elif isinstance(raw, dict):
            name = raw.get("name")
            if isinstance(name, str) and not raw.keys().isdisjoint(BRANCHING):
                self._take_name(name, (*path, "name"))
            for key in ("to", "of", "average", "shadow"):
                self._take_names(raw.get(key), (*path, key))

    def _take_name(self, name: str, path: FieldPath) -> None:
        if not is_label(name):
            self._report("graph-name", f'"{name}" cannot be the name of a step', path, allowed=LABEL)
        elif name in self.names:
            self._report("graph-name", f'two steps have the name "{name}"', path, help=_RENAME)
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

    def _step(self, raw: object, path: FieldPath, *, is_before_model: bool | None, level: int) -> Step | None:
        """Return a step; ``is_before_model`` is None if that is not known, since a part of the graph is wrong."""
        if path in self._wrong:
            return None
        if level > MAX_LEVELS:
            if not any(problem.code == "graph-depth" for problem in self.problems):
                self._report("graph-depth", f"the graph has more than {MAX_LEVELS} levels", path, help=_NEST)
            return None
        if isinstance(raw, str):
            return self._calls.compile(raw, path, is_before_model=is_before_model)
        if isinstance(raw, list):
            return self._chain(raw, path, is_before_model=is_before_model, level=level)
        assert isinstance(raw, dict)
        raw = {key: value for key, value in raw.items() if key in _KEYS}
        if "shadow" not in raw:
            return self._mapping(raw, path, is_before_model=is_before_model, level=level)
        step = self._mapping(raw, path, is_before_model=is_before_model, level=level)
        shadow = self._step(raw["shadow"], (*path, "shadow"), is_before_model=is_before_model, level=level + 1)
        if step is None or shadow is None or self._wrong:
            return None
        return ShadowStep(step, shadow, raw.get("shadow_percent", 100))

    def _chain(
        self, items: Sequence[object], path: FieldPath, *, is_before_model: bool | None, level: int
    ) -> Step | None:
        if not items:
            self._report("graph-step", "a chain has no steps", path, help="name a component")
            return None
        steps = []
        for index, item in enumerate(items):
            later = [is_before_model, *map(self._calls.has_model, items[index + 1 :])]
            is_before = True if True in later else None if None in later else False
            steps.append(self._step(item, (*path, str(index)), is_before_model=is_before, level=level + 1))
        whole = tuple(step for step in steps if step is not None)
        if len(whole) < len(steps):
            return None
        return whole[0] if len(whole) == 1 else ChainStep(whole)

    def _mapping(
        self, raw: Mapping[str, Any], path: FieldPath, *, is_before_model: bool | None, level: int
    ) -> Step | None:
        known = (*BRANCHING, *_METHODS)
        kinds = [key for key in known if key in raw] or [key for key in known if (*path, key) in self._wrong]
        if len(kinds) != 1:
            is_reported = not kinds and any(at[:-1] == path for at in self._wrong)
            found = f"{' and '.join(kinds)} in one step" if kinds else ", ".join(raw) or "an empty mapping"
            message = "a step mixes two kinds" if kinds else "a mapping is no step"
            if not is_reported:
                self._report("graph-step", message, path, found=found, allowed=_ONE_KIND)
            return None
        (kind,) = kinds
        if not self._check_keys(raw, kind, path):
            return None
        if kind in BRANCHING:
            return self._decision(raw, kind, path, is_before_model=is_before_model, level=level)
        name = raw.get(kind)
        return self._calls.compile_explicit(name, _METHODS[kind], (*path, kind)) if isinstance(name, str) else None

    def _decision(
        self, raw: Mapping[str, Any], kind: str, path: FieldPath, *, is_before_model: bool | None, level: int
    ) -> Step | None:
        """Return a step with branches."""
        chosen = raw.get(kind)
        named = chosen if kind in ("route", "combine") and isinstance(chosen, str) else None
        if named is not None:
            self._calls.check_role(
                named, (*path, kind), ServiceType.ROUTER if kind == "route" else ServiceType.COMBINER
            )
        name = self._name(raw, named if kind == "route" and named is not None else kind)
        key = "split" if isinstance(chosen, dict) else _BRANCHES[kind]
        branches = self._branches(raw.get(key), (*path, key), is_before_model=is_before_model, level=level)
        if isinstance(raw.get(key), (dict, list)) and (*path, key) not in self._wrong:
            self._check_branches(kind, named, (*path, key), len(raw[key]))
        if kind == "split":
            self._check_weights(raw, path)
        if branches is None or self._wrong:
            return None
        if kind == "route":
            return RouteStep(name, raw["route"], branches)
        if kind == "split":
            weights = chosen.values() if isinstance(chosen, dict) else raw["split"]
            return SplitStep(name, tuple(map(float, weights)), branches, raw.get("by"))
        return CombineStep(name, named, branches)

    def _check_keys(self, raw: Mapping[str, Any], kind: str, path: FieldPath) -> bool:
        """Return whether a step has the keys of its kind and no others."""
        wrong = [key for key in raw if kind not in _PARTNERS.get(key, (kind,))]
        is_mapping = kind == "split" and isinstance(raw.get("split"), dict)
        if is_mapping and "to" in raw:
            wrong.append("to")
        for key in wrong:
            reason = "which names its branches" if is_mapping and key == "to" else "which has no such key"
            message = f"{key} cannot be used with {kind}, {reason}"
            self._report("graph-step", message, (*path, key), is_key=True, help=f"remove {key}")
        lacks_shadow = "shadow_percent" in raw and "shadow" not in raw and (*path, "shadow") not in self._wrong
        if lacks_shadow:
            self._report("graph-step", "shadow_percent needs shadow", (*path, "shadow_percent"), is_key=True)
        needed = {"route": "to", "combine": "of", "split": "to"}.get(kind)
        wrong_keys = {at[-1] for at in self._wrong if at[:-1] == path}
        may_be_wrong = bool(wrong_keys - _KEYS) or not wrong_keys.isdisjoint((kind, needed))
        may_be_wrong |= any(at[:-1] == (*path, kind) for at in self._wrong)
        if needed is not None and not is_mapping and needed not in raw and not may_be_wrong:
            self._report("graph-step", f"{kind} has no branches", (*path, kind), is_key=True, help=f"add {needed}: […]")
            return False
        return not wrong and not lacks_shadow

    def _branches(
        self, raw: object, path: FieldPath, *, is_before_model: bool | None, level: int
    ) -> tuple[Step, ...] | None:
        """Return the branches of a step; those of a split may be the keys of a mapping."""
        steps: list[Step | None] = []
        if path in self._wrong:
            return None
        if isinstance(raw, dict):
            steps += [self._calls.compile(n, (*path, n), is_before_model=is_before_model, is_key=True) for n in raw]
        elif isinstance(raw, list):
            for index, item in enumerate(raw):
                at = (*path, str(index))
                steps.append(self._step(item, at, is_before_model=is_before_model, level=level + 1))
        whole = tuple(step for step in steps if step is not None)
        return whole if len(whole) == len(steps) > 0 else None

    def _check_branches(self, kind: str, router: str | None, path: FieldPath, count: int) -> None:
        if count == 0:
            self._report("graph-branches", f"{kind} has no branches", path, is_key=True, help="name its branches")
        elif count == 1:
            message = f"{kind} has only one branch"
            self._report("graph-branches", message, path, is_key=True, severity=Severity.WARNING, help=_ONE_BRANCH)
        role = self._roles.get(router) if kind == "route" and router is not None else None
        if role is not None and role.branches is not None and role.branches[1] != count and count:
            key, value = role.branches
            self._report(
                "graph-branches",
                f"{router} has another number of branches than this step",
                path,
                is_key=True,
                severity=Severity.WARNING,
                found=f"{count} here; its parameter {key} is {value}",
                help=f"set components.{router}.parameters.{key} to {count}",
            )

    def _check_weights(self, raw: Mapping[str, Any], path: FieldPath) -> None:
        weights, branches, at = raw.get("split"), raw.get("to"), (*path, "split")
        named = (
            weights.items() if isinstance(weights, dict) else enumerate(weights if isinstance(weights, list) else ())
        )
        for key, weight in named:
            if (*at, str(key)) not in self._wrong and not weight > 0:
                allowed, remedy = "a number above 0, e.g. 90 and 10", "remove the branch if it gets no requests"
                where = (*at, str(key))
                self._report(
                    "graph-weights", "a weight is not positive", where, found=str(weight), allowed=allowed, help=remedy
                )
        if isinstance(weights, list) and isinstance(branches, list) and len(weights) != len(branches):
            found = f"{len(weights)} weights, {len(branches)} branches"
            self._report("graph-weights", "the numbers of weights and branches differ", at, is_key=True, found=found)


LABEL = "lower-case letters and digits, with single - between them, at most 63 characters"
_RENAME = "give each its own name: …"
_NEST = "move a part of it into a component with a graph of its own"
_ONE_KIND = f"one of {', '.join((*BRANCHING, *_METHODS))}"
_ONE_BRANCH = "OK if branches are added later; otherwise write the branch alone"

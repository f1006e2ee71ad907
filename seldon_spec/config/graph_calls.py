"""Choose the methods of the components that a graph calls, by their types, classes and positions."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from seldon_spec.config.graph import CallStep, Method, Step
from seldon_spec.config.graph_uses import Role
from seldon_spec.config.model import ServiceType
from seldon_spec.errors import Diagnostic, FieldPath, Origin, Severity

BRANCHING = ("route", "split", "combine", "average")
"""The kinds of steps with branches."""
_ENDINGS = ("", "_raw", "_rest", "_grpc")

Locate = Callable[[FieldPath, bool], Origin]
"""Returns the origin of the value at a path of the graph, or of its key."""


class Reporter:
    """Collects the problems of a graph.

    Args:
        locate: where the parts of the graph are.
    """

    def __init__(self, locate: Locate) -> None:
        self._locate = locate
        self.problems: list[Diagnostic] = []

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


class CallCompiler:
    """Compiles the calls of components.

    Args:
        roles: of the components by name, without those that cannot be loaded.
        report: adds a diagnostic, as :meth:`Reporter.report` does.
        only: the component that is the whole graph, if it is one.

    Attributes:
        misused: the components whose class fits another service type or another place.
    """

    def __init__(self, roles: Mapping[str, Role], report: Callable[..., None], only: str | None) -> None:
        self._roles, self._report, self._only = roles, report, only
        self.misused: set[str] = set()

    def has_model(self, raw: object) -> bool | None:
        """Return whether a step is a MODEL or has branches, or a step inside it is; None: it is not known."""
        if isinstance(raw, list):
            inner = list(map(self.has_model, raw))
            return True if True in inner else None if None in inner else False
        if isinstance(raw, dict):
            has_branches = not {*BRANCHING, "predict"}.isdisjoint(raw)
            return has_branches or (False if not {method.value for method in Method}.isdisjoint(raw) else None)
        role = self._roles.get(raw) if isinstance(raw, str) else None
        return None if role is None else role.service_type is ServiceType.MODEL

    def compile(self, name: str, path: FieldPath, *, is_before_model: bool | None, is_key: bool = False) -> Step:
        """Return the call of a component whose method depends on its type and its position."""
        role = self._roles.get(name)
        if role is None:  # reported already
            return CallStep(name)
        kind = role.service_type
        if kind in (ServiceType.ROUTER, ServiceType.COMBINER):
            instead = "route: NAME, to: […]" if kind is ServiceType.ROUTER else "combine: NAME, of: […]"
            message = f"{name} is a {kind.value}, which cannot be a step of its own"
            self._report("graph-role", message, path, is_key=is_key, help=f"write {{{instead.replace('NAME', name)}}}")
            return CallStep(name)
        if kind is ServiceType.MODEL or (kind is ServiceType.OUTLIER_DETECTOR and name == self._only):
            method, reason = Method.PREDICT, "as a MODEL"
        elif is_before_model is None:
            return CallStep(name, Method.TRANSFORM_INPUT)
        elif is_before_model:
            method, reason = Method.TRANSFORM_INPUT, "before a model"
        else:
            method, reason = Method.TRANSFORM_OUTPUT, "without a model after it"
        self._check_method(name, role, method, reason, path, is_key=is_key)
        return CallStep(name, method)

    def compile_explicit(self, name: str, method: Method, path: FieldPath) -> Step:
        role = self._roles.get(name)
        if role is not None and role.service_type in (ServiceType.ROUTER, ServiceType.COMBINER):
            self._report("graph-role", f"{name} is a {role.service_type.value}, which has no {method.value}", path)
        elif role is not None:
            self._check_method(name, role, method, "in this step", path)
        return CallStep(name, method)

    def _check_method(
        self, name: str, role: Role, method: Method, reason: str, path: FieldPath, *, is_key: bool = False
    ) -> None:
        """Report a class without the method that a step calls; a transformer without any has a warning of its own."""
        if role.hooks is None or role.hooks & list_hooks(method, role.service_type):
            return
        others = [each for each in Method if role.hooks & list_hooks(each, role.service_type)]
        if not others and role.service_type is ServiceType.TRANSFORMER:
            return
        if others:
            self.misused.add(name)
        message = f"{name} is called {reason}, but it has no {method.value}"
        remedy = None
        if others and method is Method.PREDICT and role.service_type is ServiceType.MODEL:
            remedy = f"set components.{name}.service_type to TRANSFORMER"
        elif others:
            remedy = f"move the step, or write {{{others[0].value}: {name}}}"
        found = f"it has {' and '.join(each.value for each in others)}" if others else None
        self._report("graph-verb", message, path, is_key=is_key, found=found, help=remedy)

    def check_role(self, name: str, path: FieldPath, wanted: ServiceType) -> None:
        role = self._roles.get(name)
        if role is not None and role.service_type is not wanted:
            self.misused.add(name)
            message = f"{name} is a {role.service_type.value}, not a {wanted.value}"
            remedy = f"name a component whose service_type is {wanted.value}"
            method = "route" if wanted is ServiceType.ROUTER else "aggregate"
            if role.hooks is not None and not role.hooks.isdisjoint(f"{method}{ending}" for ending in _ENDINGS):
                remedy = f"set components.{name}.service_type to {wanted.value}"
            self._report("graph-role", message, path, help=remedy)


def list_hooks(method: Method, service_type: ServiceType) -> set[str]:
    """Return the names of the methods of a class, one of which a call needs."""
    names = {f"{method.value}{ending}" for ending in _ENDINGS}
    if method is Method.PREDICT:
        return names | {"infer", "score"}
    if service_type is ServiceType.OUTLIER_DETECTOR and method is Method.TRANSFORM_INPUT:
        return names | {f"predict{ending}" for ending in _ENDINGS} | {"score"}
    return names

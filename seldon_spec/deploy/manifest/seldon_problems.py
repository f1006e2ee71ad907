"""What a SeldonDeployment cannot express, and what works otherwise in it."""

from __future__ import annotations

from collections.abc import Iterator

from seldon_spec.config.build_spec import plain
from seldon_spec.config.graph import list_components as list_called
from seldon_spec.config.model import Spec
from seldon_spec.config.schema.lookup import join
from seldon_spec.deploy.manifest.problems import (
    check_name,
    find_literal_problems,
    find_problems,
    report,
    report_literals,
)
from seldon_spec.deploy.manifest.seldon import EXECUTOR_PORTS, LIMITS, find_type
from seldon_spec.deploy.manifest.seldon_tree import lower
from seldon_spec.deploy.manifest.variables import is_outside_image, list_values
from seldon_spec.deploy.manifest.workload import Workload, list_components
from seldon_spec.errors import Diagnostic, Severity

_OF_FRONT_END = ("ports", "flask", "server")
"""The sections of a graph that configure its front end, in whose place the executor runs."""


def check_seldon(spec: Spec, is_complete: bool) -> Iterator[Diagnostic]:  # noqa: FBT001 - the type of a target
    """Yield the diagnostics of a SeldonDeployment."""
    whole, parts = Workload(spec.name, spec, spec), list_components(spec)
    yield from check_name(whole) if spec.graph is not None else ()
    found: dict[tuple[str, str], Diagnostic] = {}
    for part in parts:
        for problem in find_problems(part):
            found.setdefault((problem.code, problem.message), problem)
    yield from found.values()
    yield from _check_limits(whole)
    yield from _check_executor(whole, parts)
    for part in parts:
        yield from _check_literals(part, is_complete=is_complete)
        yield from () if is_complete else _check_parameters(part)
    if spec.graph is not None:
        yield from _check_front_end(whole)
        yield from _check_literals(whole, is_complete=is_complete)


def _check_limits(whole: Workload) -> Iterator[Diagnostic]:
    """Report what the order of the executor's calls cannot express, and what it changes."""
    for limit in lower(whole.spec).limits:
        code = "graph-not-in-target" if limit.is_error else "not-in-target"
        severity = Severity.ERROR if limit.is_error else Severity.WARNING
        path = ("graph",) if limit.component is None else ("components", limit.component, "url")
        yield report(whole, code, limit.message, path, severity, remedy=limit.help)


def _check_executor(whole: Workload, parts: list[Workload]) -> Iterator[Diagnostic]:
    deployment, graph = whole.spec.deployment, whole.spec.graph
    if not deployment.executor:
        if graph is not None:
            message = "the executor calls the components of a graph, and cannot be left out"
            yield report(whole, "not-in-target", message, ("deployment", "executor"), remedy="remove the key")
        return
    kind = whole.spec.service_type.value
    if graph is None and kind in ("ROUTER", "COMBINER"):
        message = f"the executor never calls a {kind} without branches, and returns the request"
        remedy = "set deployment.executor to false, or write a graph around it"
        yield report(whole, "not-in-target", message, ("service_type",), Severity.WARNING, remedy=remedy)
    if graph is None and whole.spec.server.tls is not None:
        message = "the executor sends requests without TLS"
        remedy = "remove server.tls, and encrypt by a mesh"
        yield report(whole, "not-in-target", message, ("server", "tls"), remedy=remedy)
    yield from _check_ports(whole, parts)


def _check_ports(whole: Workload, parts: list[Workload]) -> Iterator[Diagnostic]:
    """Report a port of the executor that the component in the same pod has too, the first one of a predictor."""
    steps = [predictor.step for predictor in lower(whole.spec).predictors]
    firsts = [list_called(step)[0] if step is not None else None for step in steps]
    for part in parts:
        for name in ("http", "grpc", "metrics") if part.component in firsts else ():
            port = getattr(part.spec.ports, name)
            if port in EXECUTOR_PORTS:
                message = f"port {port} is that of the executor in the same pod"
                yield report(part, "not-in-target", message, ("ports", name), remedy="choose another port")


def _check_parameters(part: Workload) -> Iterator[Diagnostic]:
    """Report the parameters that a user cannot edit in the SeldonDeployment."""
    names = [
        name
        for name, value in part.spec.parameters.items()
        if find_type(value) is None and not is_outside_image(part, ("parameters", name))
    ]
    for name in names:
        message = f"parameters.{name} stays in the image: Seldon has no type for it"
        yield report(part, "not-in-target", message, ("parameters", name), Severity.NOTE)


def _check_literals(part: Workload, *, is_complete: bool) -> Iterator[Diagnostic]:
    """Report the literal secrets that are left out; the default manifest has only parameters and the environment."""
    keys = ("parameters", "environment")
    values = [((key, name), plain(value)) for key in keys for name, value in getattr(part.spec, key).items()]
    yield from report_literals(part, (each for each in values if not is_outside_image(part, each[0])))
    if is_complete:
        yield from (each for each in find_literal_problems(part) if each.path[len(part.at)] not in keys)


def _check_front_end(whole: Workload) -> Iterator[Diagnostic]:
    """Report settings of the front end of a graph, which is the executor."""
    for path, _ in list_values(whole.spec):
        if path[0] in _OF_FRONT_END and path not in LIMITS:
            message = f"{join(path)} has no effect: the executor runs in place of the front end"
            yield report(whole, "not-in-target", message, path, Severity.WARNING)
    for key in ("replicas", "resources"):
        if any(path[:2] == ("deployment", key) for path in whole.spec.origins):
            message = f"deployment.{key} has no effect: each component has pods of its own"
            remedy = f"set components.NAME.deployment.{key}"
            yield report(whole, "not-in-target", message, ("deployment", key), Severity.WARNING, remedy=remedy)
    if LIMITS[0] in whole.spec.origins:
        message = "the executor applies the timeout to each call of a component, not to the whole request"
        yield report(whole, "not-in-target", message, LIMITS[0], Severity.NOTE)

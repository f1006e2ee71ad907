"""An InferenceGraph of KServe: the graph of a spec whose components are InferenceServices; and what it cannot express.

KServe's router sends JSON bodies from step to step. Without ``dependency: Hard``, it would send the body of an error to
the next step.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction

from seldon_spec.config.graph import (
    CallStep,
    ChainStep,
    CombineStep,
    RouteStep,
    ShadowStep,
    SplitStep,
    Step,
    find_first,
    walk_steps,
)
from seldon_spec.config.schema.lookup import join
from seldon_spec.deploy.manifest.problems import report
from seldon_spec.deploy.manifest.tree import Tree
from seldon_spec.deploy.manifest.variables import list_values
from seldon_spec.deploy.manifest.workload import Workload
from seldon_spec.errors import Diagnostic, FieldPath, Severity

SUFFIX = "-predictor"
"""What KServe appends to the name of an InferenceService for its Service and Deployment."""

TIMEOUT = ("server", "request_timeout_seconds")
"""The only setting of the front end of a graph that an InferenceGraph has."""

ROOT = "root"
"""The name of the node that gets the request."""

_TARGETS = "use --for kubernetes, which runs any graph, or leave out deployment.apart"


def list_urls(front: Workload, parts: Sequence[Workload]) -> dict[str, str]:
    """Return the URL of each component: of its predictor's Service, which has port 80, or its own."""
    namespace = front.spec.deployment.namespace
    domain = "" if namespace is None else f".{namespace}.svc.cluster.local"
    urls = {name: component.url.rstrip("/") for name, component in front.spec.components.items() if component.url}
    return urls | {part.at[-1]: f"http://{part.name}{SUFFIX}{domain}" for part in parts}


def build_nodes(step: Step, urls: Mapping[str, str]) -> dict[str, Tree]:
    """Return the nodes of an InferenceGraph by name.

    Args:
        step: the whole graph, which ``check_graph`` accepts.
        urls: of its components by name, without a path.
    """
    nodes = _Nodes(urls)
    nodes.add(ROOT, step)
    return nodes.nodes


class _Nodes:
    """The nodes so far."""

    def __init__(self, urls: Mapping[str, str]) -> None:
        self._urls = urls
        self.nodes: dict[str, Tree] = {}

    def add(self, default: str, step: Step) -> str:
        """Add a node that runs a step, and those inside it; return its name."""
        name = _find_unused(default, self.nodes)
        node: dict[str, Tree] = {}
        self.nodes[name] = node  # before those inside it
        if isinstance(step, SplitStep):
            percents = find_percents(step.weights) or ()
            targets = [self._branch(branch) for branch in step.branches]
            node |= {"routerType": "Splitter", "steps": _name(targets)}
            for each, percent in zip(node["steps"], percents, strict=True):
                each["weight"] = percent
        else:
            node |= {"routerType": "Sequence", "steps": _name(list(self._list_sequence(step)))}
            for each in node["steps"][1:]:
                each["data"] = "$response"
        return name

    def _list_sequence(self, step: Step) -> Iterator[tuple[str, Tree]]:
        """Yield the names and targets of the steps that run a step one after the other."""
        if isinstance(step, ChainStep):
            for each in step.steps:
                yield from self._list_sequence(each)
        elif isinstance(step, CombineStep):
            yield self._ensemble(step)
            yield self._call(str(step.combiner), "aggregate")
        else:
            yield self._branch(step)

    def _branch(self, step: Step) -> tuple[str, Tree]:
        if isinstance(step, CallStep):
            return self._call(step.component, step.method.value)
        name = self.add(step.name if isinstance(step, SplitStep) else f"{find_first(step)}-chain", step)
        return name, {"nodeName": name}

    def _ensemble(self, step: CombineStep) -> tuple[str, Tree]:
        name = _find_unused(f"{step.name}-branches", self.nodes)
        node: dict[str, Tree] = {}
        self.nodes[name] = node
        targets = [self._branch(branch) for branch in step.branches]
        width = len(str(len(targets) - 1))
        # the router sorts the responses by these names, and a combiner gets them in the order of the branches
        named = [(f"{index:0{width}}-{each}", target) for index, (each, target) in enumerate(targets)]
        node |= {"routerType": "Ensemble", "steps": _name(named)}
        return name, {"nodeName": name}

    def _call(self, component: str, method: str) -> tuple[str, Tree]:
        return component, {"serviceUrl": f"{self._urls[component]}/{method.replace('_', '-')}"}


def _name(targets: Sequence[tuple[str, Tree]]) -> list[Tree]:
    """Return the steps of a node, whose names have to differ."""
    steps: dict[str, Tree] = {}
    for default, target in targets:
        name = _find_unused(default, steps)
        steps[name] = {"name": name, **target, "dependency": "Hard"}
    return list(steps.values())


def _find_unused(default: str, used: Mapping[str, Tree]) -> str:
    name, number = default, 1
    while name in used:
        number += 1
        name = f"{default}-{number}"
    return name


def find_percents(weights: Sequence[float]) -> list[int] | None:
    """Return weights as percents, or None if they are not whole."""
    exact = [Fraction(repr(weight)) for weight in weights]  # as they are written: 0.7 is seven tenths
    percents = [weight * 100 / sum(exact) for weight in exact]
    return None if any(percent.denominator != 1 for percent in percents) else [int(percent) for percent in percents]


def check_graph(front: Workload, parts: Sequence[Workload]) -> Iterator[Diagnostic]:
    """Yield what an InferenceGraph cannot express, and what its users should know."""
    assert front.spec.graph is not None
    for step in walk_steps(front.spec.graph):
        problem = _find_problem(step)
        if problem is not None:
            yield _refuse(front, f"an InferenceGraph cannot express {problem}", ("graph",))
    for workload in (front, *parts):
        if workload.spec.deployment.transport == "grpc":
            message = "an InferenceGraph has no gRPC"
            yield _refuse(workload, message, ("deployment", "transport"), found="grpc", allowed="rest")
    yield from _check_front_end(front)
    for part in parts:
        yield from _check_part(part)
    yield from _check_remotes(front)
    components = front.spec.components.items()
    taking = [name for name, each in components if each.has_feedback and each.spec is not None]
    if taking:
        message = f"an InferenceGraph has no feedback: {', '.join(taking)} will get none"
        yield report(front, "not-in-target", message, ("graph",), Severity.WARNING, remedy=_TARGETS)


def _refuse(
    workload: Workload, message: str, path: FieldPath, found: str | None = None, allowed: str | None = None
) -> Diagnostic:
    return report(workload, "graph-not-in-target", message, path, found=found, allowed=allowed, remedy=_TARGETS)


def _find_problem(step: Step) -> str | None:
    """Return a description of a step that has no equivalent; None if it has one."""
    if isinstance(step, RouteStep):
        return f'the step "{step.name}": a route by a class'
    if isinstance(step, ShadowStep):
        return f"the shadow {find_first(step.shadow)}"
    if isinstance(step, CombineStep) and step.combiner is None:
        return f'the step "{step.name}": an average'
    if isinstance(step, SplitStep) and step.by is not None:
        return f'the step "{step.name}": a split by a header'
    if isinstance(step, SplitStep) and find_percents(step.weights) is None:
        weights = ", ".join(f"{weight:g}" for weight in step.weights)
        return f'the step "{step.name}": the weights {weights} are not whole percents'
    return None


def _check_front_end(front: Workload) -> Iterator[Diagnostic]:
    """Report settings of the front end of the graph, in whose place KServe's router runs."""
    for path, _ in list_values(front.spec):
        if path[:2] in (("server", "tls"), ("server", "auth")):
            yield _refuse(front, f"KServe's router has no equivalent of {join(path)}", path)
        elif path[0] in ("ports", "flask", "server") and path != TIMEOUT:
            message = f"{join(path)} has no effect: KServe's router runs in place of the front end"
            yield report(front, "not-in-target", message, path, Severity.WARNING)


def _check_part(part: Workload) -> Iterator[Diagnostic]:
    if part.spec.server.auth is not None:
        yield report(
            part,
            "not-in-target",
            f"KServe's router sends no token to {part.component}",
            ("server", "auth"),
            Severity.WARNING,
            remedy='add "Authorization" to headers.propagate of the router in the ConfigMap inferenceservice-config',
        )


def _check_remotes(front: Workload) -> Iterator[Diagnostic]:
    for name, component in front.spec.components.items():
        at = ("components", name)
        if component.url is None:
            continue
        if component.url.startswith("grpc"):
            message = f"an InferenceGraph has no gRPC, and {name} has the URL {component.url}"
            yield _refuse(front, message, (*at, "url"))
        for key in ("token", "ca"):
            if getattr(component, key) is not None:
                yield _refuse(front, f"KServe's router has no {key} for {name}", (*at, key))

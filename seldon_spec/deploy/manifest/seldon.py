"""The target ``seldon``: one SeldonDeployment, whose operator runs an executor and a container for each component."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

from seldon_spec.config.build_spec import plain
from seldon_spec.config.deployment import ReplicasSpec
from seldon_spec.config.graph import list_components as list_called
from seldon_spec.config.layers.environment import generic_variable
from seldon_spec.config.model import Spec
from seldon_spec.deploy.manifest.complete_variables import build_graph_variables, build_reference_variable
from seldon_spec.deploy.manifest.metadata import (
    MANAGER,
    build_annotations,
    build_labels,
    build_metadata,
    build_pod_annotations,
    build_selector,
)
from seldon_spec.deploy.manifest.network import build_pod_monitor, build_rules
from seldon_spec.deploy.manifest.pod import PodStyle, build_pod, escape, escape_value
from seldon_spec.deploy.manifest.scaling import build_metrics, build_replicas, count_pods
from seldon_spec.deploy.manifest.seldon_tree import Predictor, Unit, lower, walk_units
from seldon_spec.deploy.manifest.tree import Tree
from seldon_spec.deploy.manifest.variables import (
    build_all_variables,
    build_plain_variables,
    build_variables,
    has_literal,
    is_outside_image,
    to_text,
)
from seldon_spec.deploy.manifest.workload import Workload, list_components
from seldon_spec.errors import FieldPath

EXECUTOR_PORTS = (8000, 5001)
"""The ports of the executor for REST and gRPC, in the pod of the first component."""

_SLEEP_SECONDS = 10
"""How long the operator's preStop sleeps before SIGTERM."""
_METRICS_PATH = "/prometheus"
"""Where the operator makes containers serve their metrics."""
_TIMEOUT = ("server", "request_timeout_seconds")
_MESSAGE = ("server", "max_message_bytes")
LIMITS: tuple[FieldPath, ...] = (_TIMEOUT, _MESSAGE)
"""The settings of a server that annotations carry."""


def render_seldon(spec: Spec, is_complete: bool) -> Iterator[Tree]:  # noqa: FBT001 - the type of a target
    """Yield the SeldonDeployment of a spec, and what ``deployment`` adds to it.

    Args:
        spec: as ``load`` returns it, without errors of the check of this target.
        is_complete: whether the manifest repeats what the image contains.
    """
    whole = Workload(spec.name, spec, spec)
    parts = {each.component or spec.name: each for each in list_components(spec)}
    annotations = _build_limits(whole)
    predictors = [
        _build_predictor(whole, parts, each, is_complete=is_complete, is_first=index == 0)
        for index, each in enumerate(lower(spec).predictors)
    ]
    yield {
        "apiVersion": "machinelearning.seldon.io/v1",
        "kind": "SeldonDeployment",
        "metadata": build_metadata(whole, annotations=build_annotations(whole)),
        "spec": {**({"annotations": annotations} if annotations else {}), "predictors": predictors},
    }
    selector = build_selector(whole) if spec.graph is None else {"app.kubernetes.io/part-of": spec.name}
    yield from _build_policy(whole, selector, list(parts.values()))
    yield from build_pod_monitor(whole, selector, _METRICS_PATH)


def _build_limits(whole: Workload) -> dict[str, Tree]:
    """Return the annotations of the timeouts, in milliseconds, and of the largest message."""
    server, annotations = whole.spec.server, {}
    if server.request_timeout_seconds is not None:
        text = str(math.ceil(round(1000 * server.request_timeout_seconds, 6)))
        for name in ("seldon.io/rest-timeout", "seldon.io/grpc-timeout"):
            annotations[name] = whole.with_origin(text, *_TIMEOUT, plus="in milliseconds")
    if _MESSAGE in whole.spec.origins:
        annotations["seldon.io/grpc-max-message-size"] = whole.with_origin(str(server.max_message_bytes), *_MESSAGE)
    return annotations


def _build_predictor(
    whole: Workload, parts: Mapping[str, Workload], predictor: Predictor, *, is_complete: bool, is_first: bool
) -> Tree:
    names = [whole.spec.name] if predictor.step is None else list_called(predictor.step)
    own = parts[names[0]] if len(names) == 1 else whole
    version = build_labels(own).get("app.kubernetes.io/version")
    variables = list(_build_executor_variables(whole, predictor, is_complete=is_complete and is_first))
    without = {"seldon.io/no-engine": whole.with_origin("true", "deployment", "executor")}
    annotations = {} if whole.spec.deployment.executor else without
    return {
        "name": predictor.name,
        **({} if predictor.traffic is None else {"traffic": whole.with_origin(predictor.traffic, "graph")}),
        **({"shadow": True} if predictor.is_shadow else {}),
        **({} if version is None else {"labels": {"version": version}}),
        **({"annotations": annotations} if annotations else {}),
        "graph": _build_unit(parts, predictor.unit),
        **({"svcOrchSpec": {"env": [escape_value(each) for each in variables]}} if variables else {}),
        "componentSpecs": [_build_component(whole, parts[name], is_complete=is_complete) for name in names],
    }


def _build_unit(parts: Mapping[str, Workload], unit: Unit) -> Tree:
    if unit.component is None:
        ratio = {"name": "ratioA", "type": "FLOAT", "value": repr(unit.ratio)}
        kind: dict[str, Tree] = {"implementation": "RANDOM_ABTEST", "parameters": [ratio]}
    else:
        kind = {} if unit.type is None else {"type": unit.type}
        kind |= {"methods": list(unit.methods)} if unit.methods else {}
        parameters = list(_build_parameters(parts[unit.component]))
        kind |= {"parameters": parameters} if parameters else {}
    children = [_build_unit(parts, each) for each in unit.children]
    return {"name": unit.name, **kind, **({"children": children} if children else {})}


def _build_parameters(workload: Workload) -> Iterator[Tree]:
    """Yield the parameters that have one of Seldon's types, without literal secrets.

    The operator puts them into a variable of the container.
    """
    for name, value in workload.spec.parameters.items():
        kind = find_type(value)
        if kind is not None and not has_literal(("parameters", name), value):
            text = json.dumps(value) if isinstance(value, bool) else str(value)
            yield {"name": name, "type": kind, "value": workload.with_origin(escape(text), "parameters", name)}


def find_type(value: Any) -> str | None:
    """Return Seldon's type of a parameter; None: it has none, such as that of a list."""
    for python_type, kind in ((bool, "BOOL"), (int, "INT"), (float, "FLOAT"), (str, "STRING")):
        if isinstance(value, python_type):
            return kind
    return None


def build_style(workload: Workload) -> PodStyle:
    """Return how the pods of a component are built."""
    return PodStyle(workload.component or workload.name, drains=False, sleep_seconds=_SLEEP_SECONDS)


def _build_component(whole: Workload, workload: Workload, *, is_complete: bool) -> Tree:
    """Return the pods of a component."""
    labels = {key: value for key, value in build_labels(workload).items() if value != MANAGER}
    annotations = build_pod_annotations(workload)
    if "prometheus.io/path" in annotations:
        annotations["prometheus.io/path"] = _METRICS_PATH
    variables = _build_variables(whole, workload, is_complete=is_complete)
    return {
        "metadata": {"labels": labels, "annotations": annotations},
        **build_replicas(workload),
        **_build_scaling(workload),
        "spec": build_pod(workload, build_style(workload), variables),
    }


def _build_scaling(workload: Workload) -> dict[str, Tree]:
    """Return the autoscaler of the pods of a component, and their disruption budget if there are at least two."""
    replicas, path = workload.spec.deployment.replicas, ("deployment", "replicas")
    scaling: dict[str, Tree] = {}
    if isinstance(replicas, ReplicasSpec):
        bounds = {"minReplicas": replicas.min, "maxReplicas": replicas.max, "metricsv2": build_metrics(replicas)}
        scaling["hpaSpec"] = workload.with_origin(bounds, *path)
    if count_pods(workload) >= 2:
        scaling["pdbSpec"] = {"maxUnavailable": 1}
    return scaling


def _build_variables(whole: Workload, workload: Workload, *, is_complete: bool) -> list[Tree]:
    """Return the variables of a container, each name once; those of the component before those of the graph."""
    untyped = generic_variable(("parameters",))  # the unit has the others
    variables = [
        *(each for each in build_variables(workload, drains=False) if each["name"] != untyped),
        *build_plain_variables(workload),
        *_build_grpc(workload),
        *_build_untyped(workload, is_complete=is_complete),
        *_build_own_limits(workload),
    ]
    if is_complete:
        variables += [*build_graph_variables(workload), *build_reference_variable(workload)]
        skipped: set[FieldPath] = {("parameters",), ("ports",)}
        skipped |= set(LIMITS) if not workload.at else set()
        skipped |= {("name",)} if workload.spec.name == (workload.component or whole.name) else set()
        variables += build_all_variables(workload, frozenset(skipped))
    return list({each["name"]: each for each in reversed(variables)}.values())[::-1]


def _build_grpc(workload: Workload) -> Iterator[Tree]:
    """Yield the variable that disables gRPC; the operator sets a port for it in any case."""
    if workload.spec.ports.grpc is None:
        yield {"name": "GRPC_WORKERS", "value": workload.with_origin("0", "ports", "grpc")}


def _build_untyped(workload: Workload, *, is_complete: bool) -> Iterator[Tree]:
    """Yield one variable with the parameters that have none of Seldon's types, if the image does not have them."""
    values = {
        name: plain(value)
        for name, value in workload.spec.parameters.items()
        if find_type(value) is None and not has_literal(("parameters", name), plain(value))
    }
    if not is_complete:
        values = {n: value for n, value in values.items() if is_outside_image(workload, ("parameters", n))}
    if values:
        yield {"name": generic_variable(("parameters",)), "value": workload.with_origin(to_text(values), "parameters")}


def _build_own_limits(workload: Workload) -> Iterator[Tree]:
    """Yield the limits of a component of a graph; the annotations have those of the graph."""
    for path in LIMITS if workload.at else ():
        if path in workload.spec.origins:
            value = getattr(workload.spec.server, path[-1])
            yield {"name": generic_variable(path), "value": workload.with_origin(to_text(value), *path)}


def _build_executor_variables(whole: Workload, predictor: Predictor, *, is_complete: bool) -> Iterator[Tree]:
    """Yield the variables of the executor: ``meta.routing`` in responses; it ignores the settings of the graph."""
    if any(len(unit.children) > 1 or unit.type in ("ROUTER", "COMBINER") for unit in walk_units(predictor.unit)):
        yield {"name": "SELDON_ENABLE_ROUTING_INJECTION", "value": "true"}
    if is_complete and whole.spec.graph is not None:
        yield from build_all_variables(whole, frozenset({*LIMITS, ("name",)}))
        kept = {
            name: plain(value)
            for name, value in whole.spec.environment.items()
            if not has_literal(("environment", name), plain(value))
        }
        if kept:
            yield {"name": generic_variable(("environment",)), "value": whole.with_origin(to_text(kept), "environment")}


def _build_policy(whole: Workload, selector: dict[str, Tree], parts: list[Workload]) -> Iterator[Tree]:
    """Yield the NetworkPolicy of all pods: clients send requests to the executor, which sends them to components."""
    executor = EXECUTOR_PORTS if whole.spec.deployment.executor else ()
    ports = [each.spec.ports for each in parts]
    served = [port for each in ports for port in (each.http, each.grpc) if port is not None]
    yield from build_rules(whole, selector, sorted({*served, *executor}), sorted({each.metrics for each in ports}))

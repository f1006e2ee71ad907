"""The target ``kserve``: an InferenceService, or one for each component and an InferenceGraph of them.

They use KServe's mode Standard: Deployments, Services and autoscalers without Knative.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from seldon_spec.config.deployment import ReplicasSpec
from seldon_spec.config.model import Spec
from seldon_spec.deploy.manifest.complete_variables import build_environment
from seldon_spec.deploy.manifest.inference_graph import SUFFIX, TIMEOUT, build_nodes, check_graph, list_urls
from seldon_spec.deploy.manifest.metadata import (
    build_annotations,
    build_labels,
    build_metadata,
    build_pod_annotations,
)
from seldon_spec.deploy.manifest.network import build_pod_monitor, build_policy, build_rules
from seldon_spec.deploy.manifest.pod import PodStyle, build_pod, build_resources
from seldon_spec.deploy.manifest.problems import find_problems, report
from seldon_spec.deploy.manifest.scaling import build_budget, count_pods
from seldon_spec.deploy.manifest.tree import Tree
from seldon_spec.deploy.manifest.workload import Workload, list_workloads
from seldon_spec.errors import Diagnostic, Severity

_GROUP = "serving.kserve.io"
_CONTAINER = "kserve-container"
_ROUTER_PORT = 8080
_MAX_NAME = 63 - len(SUFFIX)

_PORTS: Mapping[str, Mapping[str, str]] = MappingProxyType({"rest": {"http": "http1"}, "grpc": {"grpc": "h2c"}})
"""The port for requests by ``deployment.transport``, with the name that KServe and Knative expect.

It has to be the first one: KServe's Service has port 80 for it, and clients outside the cluster reach no other.
"""

_ROUTER_TIMEOUTS = ("serverWrite", "serviceClient")
"""The limits of the router: of a whole request, which is 60 seconds by default, and of one call."""

_ROUTER_KEYS = ("affinity", "nodeName", "nodeSelector", "tolerations")
"""The keys of a pod that an InferenceGraph has."""


def check_kserve(spec: Spec, is_complete: bool) -> Iterator[Diagnostic]:  # noqa: FBT001 - the type of a target
    """Yield the diagnostics of a manifest of KServe's objects."""
    front, *parts = list_workloads(spec)
    for workload in (front, *parts):
        yield from find_problems(workload, is_complete=is_complete)
    for workload in parts if _is_apart(spec) else [front]:
        yield from _check_service(workload)
    if _is_apart(spec):
        yield from check_graph(front, parts)


def _check_service(workload: Workload) -> Iterator[Diagnostic]:
    if _MAX_NAME < len(workload.name) <= _MAX_NAME + len(SUFFIX):
        yield report(
            workload,
            "deployment-name",
            f'"{workload.name}" is too long for an InferenceService: its Service is called NAME{SUFFIX}',
            ("name",),
            allowed=f"at most {_MAX_NAME} characters",
            remedy="set name" if workload.at == () else "use shorter names",
        )
    if workload.spec.deployment.transport == "grpc" and workload.spec.ports.grpc is None:
        yield report(
            workload,
            "not-in-target",
            "the InferenceService would have no port: deployment.transport is grpc, and ports.grpc is null",
            ("ports", "grpc"),
            found="null",
            remedy="set ports.grpc, or use deployment.transport: rest",
        )
    if workload.spec.server.tls is not None and not workload.at:
        yield report(
            workload,
            "not-in-target",
            "KServe's gateway sends plain text to pods: only clients in the cluster can use TLS",
            ("server", "tls"),
            Severity.WARNING,
            remedy="leave out server.tls, or use --for kubernetes",
        )


def render_kserve(spec: Spec, is_complete: bool) -> Iterator[Tree]:  # noqa: FBT001 - the type of a target
    """Yield the objects of a spec.

    Args:
        spec: as ``load`` returns it.
        is_complete: whether the manifest repeats what the image contains.
    """
    front, *parts = list_workloads(spec)
    for workload in parts if _is_apart(spec) else [front]:
        selector = {f"{_GROUP}/inferenceservice": workload.name}
        yield _build_service(workload, is_complete=is_complete)
        yield from _build_budget(workload, selector)
        yield from build_policy(workload, selector)
        yield from build_pod_monitor(workload, selector, workload.spec.unit.metrics_path)
    if _is_apart(spec):
        selector = {f"{_GROUP}/inferencegraph": front.name}
        yield _build_graph(front, parts)
        yield from _build_budget(front, selector)
        yield from build_rules(front, selector, [_ROUTER_PORT], [])


def _is_apart(spec: Spec) -> bool:
    return spec.deployment.apart and spec.graph is not None


def build_style(workload: Workload) -> PodStyle:
    """Return how the pods of an InferenceService are built."""
    has_monitor = workload.graph.deployment.monitoring == "service_monitor"
    ports = {**_PORTS[workload.spec.deployment.transport], **({"metrics": "metrics"} if has_monitor else {})}
    return PodStyle(_CONTAINER, ports=ports)


def _build_service(workload: Workload, *, is_complete: bool) -> Tree:
    variables = build_environment(workload, drains=True, is_complete=is_complete)
    return {
        "apiVersion": f"{_GROUP}/v1beta1",
        "kind": "InferenceService",
        "metadata": build_metadata(workload, annotations=_build_annotations(workload)),
        "spec": {
            "predictor": {
                **_build_bounds(workload),
                **_build_timeout(workload),
                "deploymentStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
                "labels": build_labels(workload),
                "annotations": build_pod_annotations(workload),
                **build_pod(workload, build_style(workload), variables),
            }
        },
    }


def _build_graph(front: Workload, parts: list[Workload]) -> Tree:
    deployment = front.spec.deployment
    account = deployment.service_account
    timeout = _build_timeout(front)
    assert front.spec.graph is not None
    return {
        "apiVersion": f"{_GROUP}/v1alpha1",
        "kind": "InferenceGraph",
        "metadata": build_metadata(front, annotations=_build_annotations(front)),
        "spec": {
            **_build_bounds(front),
            **timeout,
            **(
                {"routerTimeouts": dict.fromkeys(("serverWrite", "serviceClient"), timeout["timeout"])}
                if timeout
                else {}
            ),
            **build_resources(front),
            **({"serviceAccountName": front.with_origin(account, "deployment", "service_account")} if account else {}),
            **{key: value for layer in front.layers("pod") for key, value in layer.items() if key in _ROUTER_KEYS},
            "nodes": front.with_origin(build_nodes(front.spec.graph, list_urls(front, parts)), "graph"),
        },
    }


def _build_annotations(workload: Workload) -> dict[str, Tree]:
    """Return the annotations of the object: how KServe runs it, and the user's."""
    annotations: dict[str, Tree] = {f"{_GROUP}/deploymentMode": "Standard"}
    if workload.spec.deployment.replicas == 0:
        annotations[f"{_GROUP}/stop"] = workload.with_origin("true", "deployment", "replicas")
    return {**annotations, **build_annotations(workload)}


def _build_bounds(workload: Workload) -> dict[str, Tree]:
    """Return the number of pods; an annotation stops an object without pods, because Standard has at least one."""
    replicas, at = workload.spec.deployment.replicas, ("deployment", "replicas")
    if isinstance(replicas, ReplicasSpec):
        return {
            "minReplicas": workload.with_origin(replicas.min, *at, "min"),
            "maxReplicas": workload.with_origin(replicas.max, *at, "max"),
            "scaleMetric": "cpu",
            "scaleTarget": workload.with_origin(replicas.cpu_percent, *at, "cpu_percent"),
        }
    if replicas == 0:
        return {}
    return {"minReplicas": workload.with_origin(replicas, *at), "maxReplicas": replicas}


def _build_timeout(workload: Workload) -> dict[str, Tree]:
    seconds = workload.spec.server.request_timeout_seconds
    return {} if seconds is None else {"timeout": workload.with_origin(math.ceil(seconds), *TIMEOUT)}


def _build_budget(workload: Workload, selector: dict[str, Tree]) -> Iterator[Tree]:
    if count_pods(workload) >= 2:
        yield build_budget(workload, selector)

"""The target ``kuberay``: a RayService, whose cluster runs the Serve config, and a Service for REST and gRPC."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping

from seldon_spec.config.deployment import ReplicasSpec
from seldon_spec.config.model import Spec
from seldon_spec.deploy.manifest.complete_variables import build_environment
from seldon_spec.deploy.manifest.metadata import (
    build_annotations,
    build_labels,
    build_metadata,
    build_pod_annotations,
    build_selector,
)
from seldon_spec.deploy.manifest.network import build_monitor, build_service
from seldon_spec.deploy.manifest.pod import CONTAINER_SECURITY, PodStyle, build_pod, build_ports, build_resources
from seldon_spec.deploy.manifest.problems import find_problems, report
from seldon_spec.deploy.manifest.ray import (
    as_replica,
    build_config,
    find_ray_problems,
    list_parts,
    name_resource,
    read_quantity,
)
from seldon_spec.deploy.manifest.tree import Tree, to_plain
from seldon_spec.deploy.manifest.variables import termination_seconds
from seldon_spec.deploy.manifest.workload import Workload
from seldon_spec.deploy.manifest.writer import write_documents
from seldon_spec.errors import Diagnostic, Severity

RAY_VERSION = "2.60.0"
"""The oldest release that the extra ``ray`` allows."""

_HEAD_RESOURCES = {"requests": {"cpu": "1", "memory": "4Gi"}, "limits": {"memory": "4Gi"}}
"""Of the pod with the cluster's own processes."""

_NODE_MEMORY = "1Gi"
"""The memory of Ray's processes on a node, beside that of the replica."""

_MI = 1 << 20

_OF_PODS = frozenset({"deployment-scaling", "deployment-state"})
"""The codes of problems that Ray does not have: it scales by requests, and replicas pass on feedback."""

_CONTROL_PORTS = {"gcs-server": 6379, "dashboard": 8265, "client": 10001}

_VARIABLES = {"RAY_SERVE_ENABLE_HA_PROXY": "1", "RAY_USAGE_STATS_ENABLED": "0"}
"""Of Ray's processes: HAProxy, which Ray brings, needs a fraction of the time of its own proxy."""


def check_kuberay(spec: Spec, is_complete: bool) -> Iterator[Diagnostic]:  # noqa: FBT001 - the type of a target
    """Yield the diagnostics of a RayService."""
    workload = Workload(spec.name, spec, spec)
    problems = find_problems(as_replica(workload), is_complete=is_complete)
    yield from (each for each in problems if each.code not in _OF_PODS)
    yield from find_ray_problems(workload)
    if spec.deployment.network_policy is not False:
        yield report(
            workload,
            "not-in-target",
            "a NetworkPolicy is left out: the pods of a cluster of Ray need ports that are not known in advance",
            ("deployment", "network_policy"),
            Severity.WARNING,
            remedy="set rayClusterConfig.networkPolicy, which the operator of Ray supports, by an overlay",
        )


def render_kuberay(spec: Spec, is_complete: bool) -> Iterator[Tree]:  # noqa: FBT001 - the type of a target
    """Yield the objects of a spec.

    Args:
        spec: as ``load`` returns it.
        is_complete: whether the variables repeat what the image contains.
    """
    workload = as_replica(Workload(spec.name, spec, spec))
    variables = build_environment(workload, drains=False, is_complete=is_complete)
    selector = {**build_selector(workload), "ray.io/serve": "true"}
    parts = list_parts(spec)
    scaled = [each for each in (workload, *parts) if isinstance(each.spec.deployment.replicas, ReplicasSpec)]
    config = build_config(workload, "0.0.0.0", {}, is_alone=True)  # noqa: S104 - the address in the pod
    yield {
        "apiVersion": "ray.io/v1",
        "kind": "RayService",
        "metadata": build_metadata(workload, annotations=build_annotations(workload)),
        "spec": {
            "serveConfigV2": write_documents([to_plain(config)], (), has_comments=False),
            "rayClusterConfig": {
                "rayVersion": RAY_VERSION,
                "authOptions": {"mode": "token"},
                **_build_autoscaler(scaled),
                "headGroupSpec": _build_head(workload, variables, is_scaled=bool(scaled)),
                "workerGroupSpecs": [
                    _build_workers(workload, each, variables, needs_own=bool(parts)) for each in (workload, *parts)
                ],
            },
        },
    }
    yield _build_service(workload, selector)
    yield from build_monitor(workload, build_selector(workload))


def _build_autoscaler(scaled: list[Workload]) -> dict[str, Tree]:
    if not scaled:
        return {}
    return {
        "enableInTreeAutoscaling": scaled[0].with_origin(True, "deployment", "replicas"),  # noqa: FBT003 - a value
        "autoscalerOptions": {"securityContext": dict(CONTAINER_SECURITY)},
    }


def _build_head(workload: Workload, variables: list[Tree], *, is_scaled: bool) -> Tree:
    """Return the pod of the cluster's own processes: no replica runs there, so that it needs no secrets."""
    ports = [{"name": name, "containerPort": port} for name, port in _CONTROL_PORTS.items()]
    variables = [each for each in variables if "valueFrom" not in each]
    container = {
        "ports": [*ports, *build_ports(workload, _make_style(workload))],
        "resources": _HEAD_RESOURCES,
        "readinessProbe": _probe("/api/gcs_healthz", "dashboard", 5),
        "livenessProbe": _probe("/api/gcs_healthz", "dashboard", 10),
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108
    }
    return _build_group(workload, workload, variables, container, {"num-cpus": "0"}, needs_account=is_scaled)


def _build_workers(workload: Workload, part: Workload, variables: list[Tree], *, needs_own: bool) -> Tree:
    """Return the pods of one deployment.

    Args:
        workload: the whole spec.
        part: it, or a component with a deployment of its own.
        variables: of the container.
        needs_own: whether no other deployment may use the nodes.
    """
    deployment = part.spec.deployment
    replicas = deployment.replicas
    least, most = (replicas.min, replicas.max) if isinstance(replicas, ReplicasSpec) else (replicas, replicas)
    container = {
        "resources": _build_worker_resources(part) or None,
        "readinessProbe": _probe("/-/healthz", "serve", 5),
        "livenessProbe": _probe("/api/local_raylet_healthz", 52365, 10),
    }
    parameters = {"num-cpus": str(math.ceil(read_quantity(deployment.resources.cpu or "1")))}
    if needs_own:  # the operator puts the text into the command of a shell
        parameters["resources"] = json.dumps(json.dumps({name_resource(part.name): 1}))
    return {
        "groupName": part.component or "replicas",
        "replicas": part.with_origin(least, "deployment", "replicas"),
        "minReplicas": least,
        "maxReplicas": most,
        **_build_group(workload, part, variables, container, parameters),
    }


def _build_group(
    workload: Workload,
    part: Workload,
    variables: list[Tree],
    container: Mapping[str, Tree],
    parameters: Mapping[str, Tree],
    *,
    needs_account: bool = False,
) -> dict[str, Tree]:
    """Return the parameters of Ray's nodes and the template of their pods; the operator sets the command."""
    own = [{"name": name, "value": value} for name, value in _VARIABLES.items()]
    pod = build_pod(workload, _make_style(workload), [*own, *variables], {"args": None, **container})
    if part.at:
        pod = {**pod, "terminationGracePeriodSeconds": termination_seconds(part, drains=False)}
    if needs_account:
        pod = {**pod, "automountServiceAccountToken": True}
    metrics = workload.with_origin(str(workload.spec.ports.metrics), "ports", "metrics")
    return {
        "rayStartParams": {**parameters, "metrics-export-port": metrics},
        "template": {
            "metadata": {"labels": build_labels(workload), "annotations": build_pod_annotations(workload)},
            "spec": pod,
        },
    }


def _make_style(workload: Workload) -> PodStyle:
    """Return the style of pods: the operator expects the port of Serve's proxy by its name."""
    return PodStyle(workload.name, drains=False, ports={"http": "serve", "grpc": "grpc", "metrics": "metrics"})


def _build_worker_resources(workload: Workload) -> Tree:
    resources = build_resources(workload).get("resources", {})
    memory = workload.spec.deployment.resources.memory
    if memory is None:
        return resources
    size = f"{math.ceil((read_quantity(memory) + read_quantity(_NODE_MEMORY)) / _MI)}Mi"
    commented = workload.with_origin(size, "deployment", "resources", "memory", plus=f"+ {_NODE_MEMORY} for Ray")
    return {
        "requests": {**resources["requests"], "memory": commented},
        "limits": {**resources["limits"], "memory": size},
    }


def _probe(path: str, port: str | int, seconds: int) -> Tree:
    return {
        "httpGet": {"path": path, "port": port},
        "periodSeconds": seconds,
        "timeoutSeconds": 5,
        "failureThreshold": 6,
    }


def _build_service(workload: Workload, selector: dict[str, Tree]) -> Tree:
    """Return the Service of the pods that serve; that of the operator has no gRPC."""
    service = build_service(workload)
    ports = [
        {**port, "targetPort": {"http": "serve"}.get(port["name"], port["name"])} for port in service["spec"]["ports"]
    ]
    return {**service, "spec": {"selector": selector, "ports": ports}}

"""The number of pods: fixed, or by a HorizontalPodAutoscaler; and how many may be missing at a time."""

from __future__ import annotations

from collections.abc import Iterator

from seldon_spec.config.deployment import ReplicasSpec
from seldon_spec.deploy.manifest.metadata import build_metadata, build_selector
from seldon_spec.deploy.manifest.tree import Tree
from seldon_spec.deploy.manifest.workload import Workload

_AT = ("deployment", "replicas")


def count_pods(workload: Workload) -> int:
    """Return the smallest number of pods of a workload."""
    replicas = workload.spec.deployment.replicas
    return replicas.min if isinstance(replicas, ReplicasSpec) else replicas


def build_replicas(workload: Workload) -> dict[str, Tree]:
    """Return the key ``replicas``; none if an autoscaler sets it."""
    replicas = workload.spec.deployment.replicas
    return {} if isinstance(replicas, ReplicasSpec) else {"replicas": workload.with_origin(replicas, *_AT)}


def build_metrics(replicas: ReplicasSpec) -> list[Tree]:
    """Return the metrics of an autoscaler, in the form of ``autoscaling/v2``."""
    target = {"type": "Utilization", "averageUtilization": replicas.cpu_percent}
    return [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]


def build_scaling(workload: Workload) -> Iterator[Tree]:
    """Yield the autoscaler of a Deployment, and its disruption budget if it has at least two pods."""
    replicas = workload.spec.deployment.replicas
    if isinstance(replicas, ReplicasSpec):
        target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": workload.name}
        bounds = {"minReplicas": replicas.min, "maxReplicas": replicas.max, "metrics": build_metrics(replicas)}
        yield {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": build_metadata(workload),
            "spec": workload.with_origin({"scaleTargetRef": target, **bounds}, *_AT),
        }
    if count_pods(workload) >= 2:
        yield build_budget(workload, build_selector(workload))


def build_budget(workload: Workload, selector: dict[str, Tree]) -> Tree:
    """Return the disruption budget of the pods with the labels of ``selector``: one may be missing at a time."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": build_metadata(workload),
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": selector}},
    }

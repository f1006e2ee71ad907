"""The target ``kubernetes``: a Deployment and a Service, and what ``deployment`` adds to them."""

from __future__ import annotations

from collections.abc import Iterator

from seldon_spec.config.model import Spec
from seldon_spec.deploy.manifest.complete_variables import build_environment
from seldon_spec.deploy.manifest.metadata import (
    build_annotations,
    build_labels,
    build_metadata,
    build_pod_annotations,
    build_selector,
)
from seldon_spec.deploy.manifest.network import build_monitor, build_policy, build_service
from seldon_spec.deploy.manifest.pod import PodStyle, build_pod
from seldon_spec.deploy.manifest.problems import find_problems
from seldon_spec.deploy.manifest.scaling import build_replicas, build_scaling
from seldon_spec.deploy.manifest.tree import Tree
from seldon_spec.deploy.manifest.workload import Workload, list_workloads
from seldon_spec.errors import Diagnostic


def check_kubernetes(spec: Spec, is_complete: bool) -> Iterator[Diagnostic]:  # noqa: FBT001 - the type of a target
    """Yield the diagnostics of a manifest of Kubernetes' own objects."""
    for workload in list_workloads(spec):
        yield from find_problems(workload, is_complete=is_complete)


def render_kubernetes(spec: Spec, is_complete: bool) -> Iterator[Tree]:  # noqa: FBT001 - the type of a target
    """Yield the objects of a spec.

    Args:
        spec: as ``load`` returns it.
        is_complete: whether the manifest repeats what the image contains.
    """
    for workload in list_workloads(spec):
        selector = build_selector(workload)
        yield _build_deployment(workload, selector, is_complete=is_complete)
        yield build_service(workload)
        yield from build_scaling(workload)
        yield from build_policy(workload, selector)
        yield from build_monitor(workload, selector)


def _build_deployment(workload: Workload, selector: dict[str, Tree], *, is_complete: bool) -> Tree:
    variables = build_environment(workload, drains=True, is_complete=is_complete)
    template = {
        "metadata": {"labels": build_labels(workload), "annotations": build_pod_annotations(workload)},
        "spec": build_pod(workload, build_style(workload), variables),
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": build_metadata(workload, annotations=build_annotations(workload)),
        "spec": {
            **build_replicas(workload),
            "selector": {"matchLabels": selector},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "template": template,
        },
    }


def build_style(workload: Workload) -> PodStyle:
    """Return how the pods of a Deployment are built."""
    return PodStyle(workload.component or workload.name)

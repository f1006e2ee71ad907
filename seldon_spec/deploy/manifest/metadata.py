"""Names, labels and annotations of the objects of a workload."""

from __future__ import annotations

import re
from collections.abc import Mapping

from seldon_spec.deploy.manifest.tree import Tree
from seldon_spec.deploy.manifest.workload import Workload

MANAGER = "seldon-spec"
"""The label ``app.kubernetes.io/managed-by`` of every object."""

DIGEST = "seldon-spec.dev/digest"
"""The annotation of pods with the digest of the spec: a change of the file replaces the pods."""

_LABEL = re.compile(r"([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?")


def build_selector(workload: Workload) -> dict[str, Tree]:
    """Return the labels that select the pods of a workload; they never change."""
    return {"app.kubernetes.io/name": workload.name}


def build_labels(workload: Workload) -> dict[str, Tree]:
    """Return the labels of the objects and pods of a workload."""
    spec = workload.spec
    kind = "graph" if spec.graph is not None else spec.service_type.value.lower().replace("_", "-")
    labels: dict[str, Tree] = {**build_selector(workload)}
    if spec.version is not None and _LABEL.fullmatch(spec.version):
        labels["app.kubernetes.io/version"] = workload.with_origin(spec.version, "version")
    labels["app.kubernetes.io/component"] = kind
    if workload.graph.graph is not None:
        labels["app.kubernetes.io/part-of"] = workload.graph.name
    labels["app.kubernetes.io/managed-by"] = MANAGER
    return {key: value for layer in (labels, *workload.layers("labels")) for key, value in layer.items()}


def build_annotations(workload: Workload) -> dict[str, Tree]:
    """Return the user's annotations."""
    return {key: value for layer in workload.layers("annotations") for key, value in layer.items()}


def build_pod_annotations(workload: Workload) -> dict[str, Tree]:
    """Return the annotations of the pods: the digest, that of the metrics, and the user's."""
    annotations: dict[str, Tree] = {DIGEST: workload.spec.digest}
    if workload.graph.deployment.monitoring == "annotations":
        spec = workload.spec
        annotations |= {
            "prometheus.io/scrape": workload.whole.with_origin("true", "deployment", "monitoring"),
            "prometheus.io/port": workload.with_origin(str(spec.ports.metrics), "ports", "metrics"),
            "prometheus.io/path": spec.unit.metrics_path,
        }
        if spec.server.tls is not None:
            annotations["prometheus.io/scheme"] = workload.with_origin("https", "server", "tls")
    return {**annotations, **build_annotations(workload)}


def build_metadata(workload: Workload, name: str | None = None, annotations: Mapping[str, Tree] | None = None) -> Tree:
    """Return the metadata of an object.

    Args:
        workload: the object's.
        name: None: the name of the workload.
        annotations: of the object; None or empty: it has none.
    """
    namespace = workload.graph.deployment.namespace
    return {
        "name": workload.name if name is None else name,
        **(
            {} if namespace is None else {"namespace": workload.whole.with_origin(namespace, "deployment", "namespace")}
        ),
        "labels": build_labels(workload),
        **({"annotations": dict(annotations)} if annotations else {}),
    }

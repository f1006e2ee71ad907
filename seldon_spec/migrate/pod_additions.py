"""The part of a pod that ``seldon-spec manifest`` does not generate: ``deployment.pod``, merged over what it does."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from seldon_spec.deploy.manifest import kserve, kubernetes, seldon
from seldon_spec.deploy.manifest.pod import PodStyle, build_pod
from seldon_spec.deploy.manifest.tree import subtract, to_plain
from seldon_spec.deploy.manifest.workload import Workload
from seldon_spec.migrate.candidates import Gathered, Rank
from seldon_spec.migrate.manifest import DEPLOYMENT, INFERENCE_SERVICE, SELDON
from seldon_spec.migrate.units import Unit

_READ = ("name", "image", "command", "args", "env", "envFrom")
"""The keys of a container that other settings come from."""
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe", "lifecycle")
_POD_DEFAULTS: Mapping[str, Any] = {
    "restartPolicy": "Always",
    "dnsPolicy": "ClusterFirst",
    "schedulerName": "default-scheduler",
    "securityContext": {},
    "terminationGracePeriodSeconds": 30,
    "creationTimestamp": None,
}
_CONTAINER_DEFAULTS: Mapping[str, Any] = {
    "imagePullPolicy": "IfNotPresent",
    "terminationMessagePath": "/dev/termination-log",
    "terminationMessagePolicy": "File",
    "securityContext": {},
}
"""Values that a cluster adds to what it stores."""
_OF_OPERATOR = frozenset({"seldon-podinfo", "podinfo"})
"""Volumes that Seldon's operator adds."""
_OF_PREDICTOR = frozenset(
    (
        "minReplicas",
        "maxReplicas",
        "scaleMetric",
        "scaleTarget",
        "scaleMetricType",
        "timeout",
        "annotations",
        "labels",
        "deploymentStrategy",
    )
)
_LEFT_OUT = ("canaryTrafficPercent", "containerConcurrency", "logger", "batcher")
"""Keys of a predictor of KServe that are not of its pod."""


_STYLES: Mapping[str, Callable[[Workload], PodStyle]] = {
    DEPLOYMENT: kubernetes.build_style,
    INFERENCE_SERVICE: kserve.build_style,
    SELDON: seldon.build_style,
}


def add_pod(unit: Unit, workload: Workload, units: Collection[str], gathered: Gathered) -> None:
    """Add the keys of the pod that are not generated.

    Args:
        unit: whose pod it is.
        workload: of the settings that were read from the unit, with secrets and resources.
        units: the names of the containers that are units themselves.
        gathered: receives the keys.
    """
    if unit.pod is None or unit.container is None:
        return
    style = _STYLES[unit.resource.kind](workload)
    generated: dict[str, Any] = to_plain(build_pod(workload, style, []))
    actual = unit.pod.node.to_json()
    own = unit.container.node.to_json()
    sidecars = [each for each in actual.pop("containers") if each != own and each.get("name") not in units]
    if unit.resource.kind == INFERENCE_SERVICE:
        actual = _without_predictor(unit, actual, gathered)
    (container,) = generated.pop("containers")
    if not unit.is_ours:
        container = {key: container[key] for key in ("name", "resources") if key in container}
        generated = {key: generated[key] for key in ("serviceAccountName",) if key in generated}
        _simplify(actual, own)
        _report_probes(unit, gathered)
    kept = {key: value for key, value in own.items() if key not in _READ}
    known = {key: value for key, value in container.items() if key not in _READ}
    if not unit.is_ours:
        kept.pop("ports", None)
        kept["resources"], known["resources"] = (_to_texts(each.get("resources", {})) for each in (kept, known))
    additions = subtract(actual, generated)
    inner = subtract(kept, known)
    if not unit.is_ours:
        inner = _without_nulls(inner)
    containers = [*([{"name": style.container, **inner}] if inner else []), *sidecars]
    if containers:
        additions["containers"] = containers
    for key, value in additions.items():
        tree = unit.pod.get(key) or unit.pod
        gathered.add(("deployment", "pod", key), value, tree.position(), f"the pod's {key}", Rank.DEPLOYMENT)


def _without_predictor(unit: Unit, pod: Mapping[str, Any], gathered: Gathered) -> dict[str, Any]:
    """Return the keys of a predictor of KServe that are of its pod."""
    for key in _LEFT_OUT:
        tree = unit.predictor_tree.get(key)
        if tree is not None:
            gathered.leave_out(tree.position(), key, "no key of deployment has this meaning")
    return {key: value for key, value in pod.items() if key not in _OF_PREDICTOR and key not in _LEFT_OUT}


def _simplify(pod: dict[str, Any], container: dict[str, Any]) -> None:
    """Remove what a cluster or Seldon's operator added."""
    for tree, defaults in ((pod, _POD_DEFAULTS), (container, _CONTAINER_DEFAULTS)):
        for key, value in defaults.items():
            if key in tree and tree[key] == value:
                del tree[key]
    for key in _PROBES:
        container.pop(key, None)
    for tree, key in ((pod, "volumes"), (container, "volumeMounts")):
        if isinstance(tree.get(key), list):
            tree[key] = [
                each for each in tree[key] if not isinstance(each, dict) or each.get("name") not in _OF_OPERATOR
            ]
            if not tree[key]:
                del tree[key]


def _report_probes(unit: Unit, gathered: Gathered) -> None:
    for key in _PROBES:
        tree = unit.container.get(key) if unit.container else None
        if tree is not None:
            gathered.leave_out(tree.position(), key, "seldon-spec manifest generates probes and a graceful shutdown")


def _to_texts(value: Any) -> Any:
    """Return resources with quantities as texts, since ``1`` and ``"1"`` are the same."""
    return {key: _to_texts(item) for key, item in value.items()} if isinstance(value, dict) else str(value)


def _without_nulls(tree: dict[str, Any]) -> dict[str, Any]:
    """Return a mapping without what is empty: a manifest that is not ours has no keys to remove."""
    values = {key: _without_nulls(item) if isinstance(item, dict) else item for key, item in tree.items()}
    return {key: item for key, item in values.items() if item not in (None, {})}

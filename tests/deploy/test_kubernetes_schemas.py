"""The validator of Kubernetes objects: it accepts a valid object of each kind, and finds what is wrong in others."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tests.deploy.kubernetes_schemas import FOLDER, find_errors

CONTAINER = {
    "name": "iris",
    "image": "iris:1",
    "ports": [{"name": "http", "containerPort": 9000, "protocol": "TCP"}],
    "env": [{"name": "A", "value": "1"}],
    "resources": {"requests": {"cpu": "500m", "memory": 1024}},
    "readinessProbe": {"httpGet": {"path": "/ready", "port": "http"}},
}
TEMPLATE = {"metadata": {"labels": {"app": "iris"}}, "spec": {"containers": [CONTAINER]}}
SELECTOR = {"matchLabels": {"app": "iris"}}
SPECS: dict[str, dict[str, Any]] = {
    "apps/v1 Deployment": {"replicas": 2, "selector": SELECTOR, "template": TEMPLATE},
    "v1 Service": {"selector": {"app": "iris"}, "ports": [{"name": "http", "port": 9000, "targetPort": "http"}]},
    "autoscaling/v2 HorizontalPodAutoscaler": {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "iris"},
        "maxReplicas": 3,
    },
    "policy/v1 PodDisruptionBudget": {"maxUnavailable": 1, "selector": SELECTOR},
    "networking.k8s.io/v1 NetworkPolicy": {"podSelector": SELECTOR, "policyTypes": ["Ingress"]},
    "monitoring.coreos.com/v1 ServiceMonitor": {"selector": SELECTOR, "endpoints": [{"port": "metrics"}]},
    "monitoring.coreos.com/v1 PodMonitor": {"selector": SELECTOR, "podMetricsEndpoints": [{"port": "metrics"}]},
    "machinelearning.seldon.io/v1 SeldonDeployment": {
        "predictors": [
            {
                "name": "default",
                "graph": {"name": "iris", "type": "MODEL", "children": [{"name": "next", "children": []}]},
                "componentSpecs": [{"spec": {"containers": [CONTAINER]}, "pdbSpec": {"maxUnavailable": "50%"}}],
            }
        ]
    },
    "serving.kserve.io/v1beta1 InferenceService": {"predictor": {"minReplicas": 1, "containers": [CONTAINER]}},
    "serving.kserve.io/v1alpha1 InferenceGraph": {
        "nodes": {"root": {"routerType": "Sequence", "steps": [{"serviceUrl": "http://iris/predict"}]}}
    },
    "ray.io/v1 RayService": {
        "serveConfigV2": "applications: []",
        "rayClusterConfig": {"headGroupSpec": {"rayStartParams": {}, "template": TEMPLATE}},
    },
}
KINDS = list(SPECS)
LISTS = {
    "predictors[0].componentSpecs[0].spec.containers[0]": "machinelearning.seldon.io/v1 SeldonDeployment",
    "predictor.containers[0]": "serving.kserve.io/v1beta1 InferenceService",
    "template.spec.containers[0]": "apps/v1 Deployment",
    "rayClusterConfig.headGroupSpec.template.spec.containers[0]": "ray.io/v1 RayService",
}


def make(name: str) -> dict[str, Any]:
    version, kind = name.split()
    return {"apiVersion": version, "kind": kind, "metadata": {"name": "iris"}, "spec": copy.deepcopy(SPECS[name])}


def find_parent(document: Any, path: str) -> tuple[Any, Any]:
    """The mapping or list that has the value at the path, and the key of the value."""
    *parents, last = [
        int(part) if part.isdigit() else part for part in path.replace("[", ".").replace("]", "").split(".")
    ]
    for part in parents:
        document = document[part]
    return document, last


@pytest.mark.parametrize("name", KINDS)
def test_a_valid_object_has_no_errors(name: str) -> None:
    assert find_errors(make(name)) == []


def test_every_schema_of_a_custom_resource_has_a_case() -> None:
    kinds = {name.split()[1].lower() for name in KINDS}
    assert {path.name.split("-")[0] for path in FOLDER.glob("*.json")} <= kinds


def list_places(value: Any, path: str) -> list[tuple[str, Any]]:
    if isinstance(value, dict):
        return [(path, value), *(place for key, item in value.items() for place in list_places(item, f"{path}.{key}"))]
    if isinstance(value, list):
        return [place for index, item in enumerate(value) for place in list_places(item, f"{path}[{index}]")]
    return [(path, value)]


FREE = ("matchLabels", "labels", "selector", "requests", "nodes", "rayStartParams")
"""Mappings with keys of the user."""


@pytest.mark.parametrize("name", KINDS)
def test_an_unknown_key_is_found_in_every_mapping(name: str) -> None:
    for path, value in list_places(make(name)["spec"], "spec"):
        is_free = path.endswith(FREE) and not (path == "spec.selector" and "matchLabels" in value)
        if isinstance(value, dict) and not is_free:
            document = make(name)
            parent, last = find_parent(document, path)
            parent[last] = {**value, "misspelt": 1}
            [error] = find_errors(document)
            assert error.startswith(f"{path}: ")
            assert "misspelt" in error


@pytest.mark.parametrize("name", KINDS)
def test_a_value_of_another_type_is_found_everywhere(name: str) -> None:
    for path, _ in list_places(make(name)["spec"], "spec"):
        document = make(name)
        parent, last = find_parent(document, path)
        parent[last] = [True]
        assert [error for error in find_errors(document) if error.startswith((f"{path}:", f"{path}[0]:"))], path


MISSING = [
    *((name, "spec.selector") for name in ("apps/v1 Deployment", "monitoring.coreos.com/v1 ServiceMonitor")),
    ("apps/v1 Deployment", "spec.template.spec.containers[0].name"),
    ("v1 Service", "spec.ports[0].port"),
    ("autoscaling/v2 HorizontalPodAutoscaler", "spec.maxReplicas"),
    ("monitoring.coreos.com/v1 ServiceMonitor", "spec.endpoints"),
    ("machinelearning.seldon.io/v1 SeldonDeployment", "spec.predictors"),
    ("machinelearning.seldon.io/v1 SeldonDeployment", "spec.predictors[0].graph.children[0].name"),
    ("serving.kserve.io/v1beta1 InferenceService", "spec.predictor"),
    ("serving.kserve.io/v1alpha1 InferenceGraph", "spec.nodes.root.routerType"),
    ("ray.io/v1 RayService", "spec.rayClusterConfig.headGroupSpec.template"),
    *((name, key) for name in KINDS for key in ("apiVersion", "kind", "metadata", "metadata.name")),
]


@pytest.mark.parametrize(("name", "path"), MISSING, ids=[f"{name}-{path}" for name, path in MISSING])
def test_a_missing_key_is_found(name: str, path: str) -> None:
    document = make(name)
    parent, last = find_parent(document, path)
    del parent[last]
    assert len(find_errors(document)) == 1
    assert last in find_errors(document)[0]


@pytest.mark.parametrize("path", LISTS, ids=LISTS.values())
def test_equal_names_in_a_list_are_found(path: str) -> None:
    document = make(LISTS[path])
    parent, last = find_parent(document["spec"], path)
    parent[last]["ports"] *= 2
    [error] = find_errors(document)
    assert error.startswith(f"spec.{path}.ports: ")


VALUES: list[tuple[str, str, Any, bool]] = [
    ("v1 Service", "metadata.name", "1-iris", False),
    ("apps/v1 Deployment", "metadata.name", "1-iris", True),
    ("apps/v1 Deployment", "metadata.name", "Iris", False),
    ("apps/v1 Deployment", "spec.template.metadata.labels", {"a": "x" * 64}, False),
    ("apps/v1 Deployment", "spec.template.metadata.labels", {"a/b/c": "x"}, False),
    ("apps/v1 Deployment", "spec.template.metadata.labels", {"example.com/a": "x_1"}, True),
    ("apps/v1 Deployment", "spec.template.metadata.annotations", {"a": 1}, False),
    ("serving.kserve.io/v1beta1 InferenceService", "metadata.labels", {"a": "b c"}, False),
    ("serving.kserve.io/v1beta1 InferenceService", "metadata.unknown", {}, False),
    (
        "serving.kserve.io/v1beta1 InferenceService",
        "spec.predictor.containers[0].resources.limits",
        {"cpu": 0.1},
        False,
    ),
    (
        "serving.kserve.io/v1beta1 InferenceService",
        "spec.predictor.containers[0].resources.limits",
        {"cpu": "x"},
        False,
    ),
    ("serving.kserve.io/v1beta1 InferenceService", "spec.predictor.containers[0].resources.limits", {"cpu": 2}, True),
    (
        "serving.kserve.io/v1beta1 InferenceService",
        "spec.predictor.containers[0].resources.limits",
        {"cpu": True},
        False,
    ),
    ("serving.kserve.io/v1beta1 InferenceService", "spec.predictor.minReplicas", 1 << 31, False),
    ("serving.kserve.io/v1beta1 InferenceService", "spec.predictor.minReplicas", None, False),
    (
        "machinelearning.seldon.io/v1 SeldonDeployment",
        "spec.predictors[0].componentSpecs[0].metadata",
        {"creationTimestamp": None},
        True,
    ),
    ("serving.kserve.io/v1alpha1 InferenceGraph", "spec.nodes.root.routerType", "sequence", False),
    ("ray.io/v1 RayService", "spec.rayClusterConfig.headGroupSpec.rayStartParams", {"num-cpus": 0}, False),
]


@pytest.mark.parametrize(("name", "path", "value", "is_valid"), VALUES, ids=lambda value: str(value)[-40:])
def test_values(name: str, path: str, value: Any, is_valid: bool) -> None:
    document = make(name)
    parent, last = find_parent(document, path)
    parent[last] = value
    assert (find_errors(document) == []) is is_valid


def test_an_unknown_kind_is_an_error() -> None:
    assert find_errors({"apiVersion": "v1", "kind": "Servce", "metadata": {"name": "a"}}) == [
        ".: no schema of v1 Servce"
    ]

"""The Service of a workload, who may send requests to it, and how Prometheus finds it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from seldon_spec.config.deployment import NetworkPolicySpec
from seldon_spec.config.model import SecretRef
from seldon_spec.deploy.manifest.metadata import build_metadata, build_selector
from seldon_spec.deploy.manifest.secrets import find_secret
from seldon_spec.deploy.manifest.tree import Tree
from seldon_spec.deploy.manifest.workload import Workload

_NAMESPACE_LABEL = "kubernetes.io/metadata.name"


def build_service(workload: Workload) -> Tree:
    """Return the Service, with the ports of the container."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": build_metadata(workload),
        "spec": {"selector": build_selector(workload), "ports": list(_build_ports(workload))},
    }


def _build_ports(workload: Workload) -> Iterator[Tree]:
    is_secure = workload.spec.server.tls is not None
    web = "https" if is_secure else "http"
    protocols = {"http": web, "grpc": None if is_secure else "kubernetes.io/h2c", "metrics": web}
    for name in ("http", "grpc", "metrics"):
        port = getattr(workload.spec.ports, name)
        if port is not None:
            protocol = protocols[name]
            known = {} if protocol is None else {"appProtocol": protocol}
            yield {"name": name, "port": workload.with_origin(port, "ports", name), "targetPort": name, **known}


def build_policy(workload: Workload, selector: dict[str, Tree]) -> Iterator[Tree]:
    """Yield the NetworkPolicy of the pods with the labels of ``selector``, if there is one.

    A component of a graph gets requests from the front end only.
    """
    ports = workload.spec.ports
    yield from build_rules(
        workload, selector, [port for port in (ports.http, ports.grpc) if port is not None], [ports.metrics]
    )


def build_rules(
    workload: Workload, selector: dict[str, Tree], served: Sequence[int], metrics: Sequence[int]
) -> Iterator[Tree]:
    """Yield the NetworkPolicy of pods, if there is one.

    Args:
        workload: whose requests it allows.
        selector: the labels of the pods.
        served: the ports for requests.
        metrics: the ports that everyone may read.
    """
    policy = workload.graph.deployment.network_policy
    if policy is False:
        return
    front = {"app.kubernetes.io/name": workload.graph.name} if workload.at else {}
    peers: list[Tree] = [{"podSelector": {"matchLabels": front} if front else {}}]
    if isinstance(policy, NetworkPolicySpec) and not workload.at:
        peers += [{"namespaceSelector": {"matchLabels": {_NAMESPACE_LABEL: name}}} for name in policy.from_]
    rules: list[Tree] = [{"from": peers, "ports": _list_ports(served)}]
    if metrics:
        rules.append({"ports": _list_ports(metrics)})
    yield {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": build_metadata(workload),
        "spec": workload.whole.with_origin(
            {"podSelector": {"matchLabels": selector}, "policyTypes": ["Ingress"], "ingress": rules},
            "deployment",
            "network_policy",
        ),
    }


def _list_ports(ports: Sequence[int]) -> list[Tree]:
    return [{"protocol": "TCP", "port": port} for port in ports]


def build_monitor(workload: Workload, selector: dict[str, Tree]) -> Iterator[Tree]:
    """Yield the ServiceMonitor of the Service with the labels of ``selector``, if Prometheus's operator is used."""
    if workload.graph.deployment.monitoring != "service_monitor":
        return
    endpoint = _build_endpoint(workload, workload.spec.unit.metrics_path)
    yield {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "ServiceMonitor",
        "metadata": build_metadata(workload),
        "spec": workload.whole.with_origin(
            {"selector": {"matchLabels": selector}, "endpoints": [endpoint]}, "deployment", "monitoring"
        ),
    }


def build_pod_monitor(workload: Workload, selector: dict[str, Tree], path: str) -> Iterator[Tree]:
    """Yield the PodMonitor of pods, where a ServiceMonitor would need a port that an operator's Service does not have.

    Args:
        workload: that runs in the pods.
        selector: the labels of the pods.
        path: of the metrics.
    """
    if workload.graph.deployment.monitoring != "service_monitor":
        return
    spec = {"selector": {"matchLabels": selector}, "podMetricsEndpoints": [_build_endpoint(workload, path)]}
    yield {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PodMonitor",
        "metadata": build_metadata(workload),
        "spec": workload.whole.with_origin(spec, "deployment", "monitoring"),
    }


def _build_endpoint(workload: Workload, path: str) -> Tree:
    """Return how Prometheus's operator reads the metrics of a container, at a path."""
    endpoint: dict[str, Tree] = {"port": "metrics", "path": path}
    if workload.spec.server.tls is not None:
        endpoint["scheme"] = workload.with_origin("https", "server", "tls")
    auth = workload.spec.server.auth
    token = next((each for each in auth.tokens if isinstance(each, SecretRef)), None) if auth is not None else None
    if token is not None:
        secret, key = find_secret(workload, token.from_env or token.from_file or "")
        endpoint["authorization"] = workload.with_origin(
            {"credentials": {"name": secret, "key": key}}, "server", "auth"
        )
    return endpoint

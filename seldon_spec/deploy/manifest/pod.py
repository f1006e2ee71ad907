"""The specification of the pods of a workload: one container that satisfies the policy "restricted"."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from seldon_spec.config.model import SPEC_FILE
from seldon_spec.deploy.manifest.secrets import build_secret_volumes
from seldon_spec.deploy.manifest.tree import Commented, Tree, merge
from seldon_spec.deploy.manifest.variables import termination_seconds
from seldon_spec.deploy.manifest.workload import Workload


def _all_ports() -> Mapping[str, str]:
    return MappingProxyType({name: name for name in ("http", "grpc", "metrics")})


@dataclass(frozen=True, slots=True)
class PodStyle:
    """What a target expects of pods.

    Attributes:
        container: the name of the container.
        drains: whether the server itself has to accept connections for a while after SIGTERM.
        sleep_seconds: how long an operator's preStop sleeps before SIGTERM.
        ports: the name in the container by the key of ``ports``; other ports are not declared. Clients and operators
            depend on the names.
    """

    container: str
    drains: bool = True
    sleep_seconds: int = 0
    ports: Mapping[str, str] = field(default_factory=_all_ports)


CONTAINER_SECURITY: Mapping[str, Tree] = MappingProxyType(
    {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
)
"""The security context of a container."""


def build_pod(
    workload: Workload, style: PodStyle, variables: list[Tree], changes: Mapping[str, Tree] = MappingProxyType({})
) -> Tree:
    """Return the specification of a pod.

    Args:
        workload: that runs in it.
        style: of the target.
        variables: of the container.
        changes: keys of the container that replace those of the server; None removes a key.
    """
    spec, deployment = workload.spec, workload.graph.deployment
    volumes, mounts = build_secret_volumes(workload)
    account = spec.deployment.service_account or deployment.service_account
    owner = workload if spec.deployment.service_account else workload.whole
    container = {**build_container(workload, style, variables, mounts), **changes}
    container = {key: value for key, value in container.items() if value is not None}
    pod = {
        **({"serviceAccountName": owner.with_origin(account, "deployment", "service_account")} if account else {}),
        "automountServiceAccountToken": account is not None,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": termination_seconds(workload, drains=style.drains, sleeps=style.sleep_seconds),
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": workload.user,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": [{"name": "tmp", "emptyDir": {}}, *volumes],
    }
    return functools.reduce(merge, (_rename_container(each, workload, style) for each in workload.layers("pod")), pod)


def _rename_container(layer: dict[str, Tree], workload: Workload, style: PodStyle) -> dict[str, Tree]:
    """Return keys of a pod with the target's name of the container, which a spec calls by the name of its component."""
    containers = layer.get("containers")
    if not isinstance(containers, Commented) or not isinstance(containers.value, (list, tuple)):
        return layer
    names = (workload.component or workload.name, workload.graph.name)
    renamed: list[Tree] = [
        {**each, "name": style.container} if isinstance(each, Mapping) and each.get("name") in names else each
        for each in containers.value
    ]
    return {**layer, "containers": replace(containers, value=renamed)}


def build_container(workload: Workload, style: PodStyle, variables: list[Tree], mounts: list[Tree]) -> Tree:
    """Return the container of a workload."""
    arguments = workload.arguments
    return {
        "name": style.container,
        "image": workload.image,
        **({"args": [escape(each) for each in arguments]} if arguments else {}),
        "ports": list(build_ports(workload, style)),
        **({"env": [escape_value(each) for each in variables]} if variables else {}),
        **build_resources(workload),
        **build_probes(workload, style),
        "securityContext": dict(CONTAINER_SECURITY),
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}, *mounts],  # noqa: S108
    }


def escape(text: str) -> str:
    """Return a text for a variable or an argument of a container, where ``$(NAME)`` is a variable and ``$$`` is $."""
    return re.sub(r"\$(?=[$(])", "$$", text)


def escape_value(variable: Tree) -> Tree:
    """Return a variable of a container with its value escaped."""
    value = variable.get("value")
    if isinstance(value, Commented):
        return {**variable, "value": Commented(escape(value.value), value.comment)}
    return variable if value is None else {**variable, "value": escape(value)}


def build_ports(workload: Workload, style: PodStyle) -> Iterator[Tree]:
    """Yield the ports of the container."""
    for key, name in style.ports.items():
        port = getattr(workload.spec.ports, key)
        if port is not None:
            yield {"name": name, "containerPort": workload.with_origin(port, "ports", key)}


def build_resources(workload: Workload) -> dict[str, Tree]:
    """Return the resources of the container: requests, the memory as a limit too, and GPUs as a limit."""
    resources = workload.spec.deployment.resources
    requests: dict[str, Tree] = {}
    limits: dict[str, Tree] = {}
    if resources.cpu is not None:
        requests["cpu"] = workload.with_origin(resources.cpu, "deployment", "resources", "cpu")
    if resources.memory is not None:
        requests["memory"] = workload.with_origin(resources.memory, "deployment", "resources", "memory")
        limits["memory"] = resources.memory
    if resources.gpu is not None:
        limits["nvidia.com/gpu"] = workload.with_origin(int(resources.gpu), "deployment", "resources", "gpu")
    both = {**({"requests": requests} if requests else {}), **({"limits": limits} if limits else {})}
    return {"resources": both} if both else {}


def build_probes(workload: Workload, style: PodStyle) -> dict[str, Tree]:
    """Return the probes: ready when the model is loaded, alive while the process responds, also during a prediction.

    A kubelet has no client certificate: where one is required, the server checks itself, and there is no liveness
    probe.
    """
    tls = workload.spec.server.tls
    if tls is not None and tls.client_ca is not None:
        check = {"exec": {"command": build_health_command(workload)}}
        return {"readinessProbe": {**check, "periodSeconds": 5, "timeoutSeconds": 5}}
    scheme = {} if tls is None else {"scheme": workload.with_origin("HTTPS", "server", "tls")}
    port = style.ports.get("http", workload.with_origin(workload.spec.ports.http, "ports", "http"))
    return {
        "readinessProbe": {
            "httpGet": {"path": "/ready", "port": port, **scheme},
            "periodSeconds": 5,
            "timeoutSeconds": 2,
        },
        "livenessProbe": {
            "httpGet": {"path": "/live", "port": port, **scheme},
            "periodSeconds": 10,
            "timeoutSeconds": 5,
            "failureThreshold": 6,
        },
    }


def build_health_command(workload: Workload) -> list[str]:
    """Return the command that checks the server of a workload from inside its container."""
    command = ["seldon-spec", "health"]
    if not workload.has_own_image:
        return [*command, *workload.arguments[2:]]
    return [*command, *([] if workload.spec.file == SPEC_FILE else [workload.spec.file])]

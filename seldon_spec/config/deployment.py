"""The key ``deployment`` as frozen dataclasses: what a manifest adds to the rest of a spec."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class ReplicasSpec:
    """A number of pods that follows the use of the CPU.

    Attributes:
        cpu_percent: the average use that the number aims at, in percent of the requested CPU.
    """

    min: int
    max: int
    cpu_percent: int = 70


@dataclass(frozen=True, slots=True)
class ResourcesSpec:
    """What one pod requests, as Kubernetes' quantities.

    Attributes:
        cpu: without a limit.
        memory: also the limit.
        gpu: the number of GPUs; below 1, a share of one.
    """

    cpu: str | None = None
    memory: str | None = None
    gpu: float | None = None


@dataclass(frozen=True, slots=True)
class NetworkPolicySpec:
    """Other namespaces whose pods may send requests; ``from_`` is the key ``from``, a keyword of Python."""

    from_: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DeploymentSpec:
    """What a manifest adds to a spec.

    Attributes:
        image: None: see ``find_image``.
        replicas: the number of pods, or its bounds.
        secrets: ``SECRET/KEY`` by the variable or the absolute path of a reference to a secret.
        namespace: None: that of the command which applies the manifest.
        labels: of every object and of the pods.
        annotations: of the object that runs the pods, and of the pods.
        service_account: None: the pods get no token.
        network_policy: who may send requests; True: the pods of the same namespace; False: everyone.
        pod: merged over the generated pod.
        apart: whether each component of a graph gets pods of its own.
        executor: whether Seldon's executor runs in front of a single component.
        transport: the protocol on the only port of an InferenceService.
    """

    image: str | None = None
    replicas: int | ReplicasSpec = 1
    resources: ResourcesSpec = ResourcesSpec()
    secrets: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    namespace: str | None = None
    labels: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    annotations: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    service_account: str | None = None
    network_policy: bool | NetworkPolicySpec = False
    monitoring: Literal["annotations", "service_monitor", "none"] = "annotations"
    pod: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    apart: bool = False
    executor: bool = True
    transport: Literal["rest", "grpc"] = "rest"

"""The cluster of the command ``ray``: an existing one, or one that lives as long as the command."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import psutil  # Ray brings it
import ray

from seldon_spec.errors import SeldonSpecError

_OBJECT_STORE_BYTES = 200 << 20
"""Of a local cluster: requests and responses between deployments are in it only if they are large."""


class ClusterFailed(SeldonSpecError):
    """The cluster cannot be started or reached, or it has too few resources."""


@dataclass(frozen=True, slots=True)
class OpenPort:
    """A port that a process of Ray listens on, on all addresses of the machine."""

    port: int
    process: str


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster that this process is connected to.

    Attributes:
        is_local: whether this process has started it.
    """

    is_local: bool

    def check_resources(self, required: Mapping[str, float]) -> None:
        """Check the resources of a local cluster; others can grow.

        Args:
            required: the amounts by Ray's names, e.g. ``{"GPU": 1.0}``.

        Raises:
            ClusterFailed: it has too few.
        """
        found = ray.cluster_resources()
        missing = {name: amount for name, amount in required.items() if found.get(name, 0.0) < amount}
        if self.is_local and missing:
            parts = [f"{amount:g} {name}, and there is {found.get(name, 0.0):g}" for name, amount in missing.items()]
            raise ClusterFailed(f"the replicas need {'; '.join(parts)} (deployment.resources, deployment.replicas)")

    def find_metrics_url(self) -> str | None:
        """Return the URL of the metrics of the first node; None if it exports none."""
        for node in ray.nodes():
            if node["Alive"] and node["MetricsExportPort"]:
                return f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics"
        return None

    def list_open_ports(self, others: frozenset[int]) -> list[OpenPort]:
        """Return the ports of a local cluster that are open on all addresses.

        Args:
            others: ports that are not listed: they are open on the address that was asked for.
        """
        if not self.is_local:
            return []
        found = {}
        for process in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):  # it has exited
                for port in _list_wide_ports(process):
                    found[port] = OpenPort(port, process.name().partition(" ")[0])
        for port in _list_wide_ports(psutil.Process()):
            found[port] = OpenPort(port, "this command")
        return sorted((each for each in found.values() if each.port not in others), key=lambda each: each.port)


def _list_wide_ports(process: psutil.Process) -> Iterator[int]:
    for connection in process.net_connections("tcp"):
        if connection.status == psutil.CONN_LISTEN and connection.laddr.ip in ("0.0.0.0", "::"):  # noqa: S104
            yield connection.laddr.port


@contextlib.contextmanager
def open_cluster(address: str | None, cpus: float, runtime_env: Mapping[str, Any]) -> Iterator[Cluster]:
    """Connect to a cluster, or start one of this machine, which ends with the context.

    Args:
        address: of an existing cluster; None: a local one is started.
        cpus: how many the replicas need; a local cluster has at least as many, which limit nothing.
        runtime_env: Ray's description of the files and variables of the replicas.

    Raises:
        ClusterFailed: it cannot be reached, or it cannot be started.
    """
    try:
        if address is None:
            cores = len(os.sched_getaffinity(0))
            ray.init(
                address="local",
                num_cpus=max(cores, int(cpus) + 1),
                include_dashboard=False,
                object_store_memory=_OBJECT_STORE_BYTES,
                logging_level="error",
            )
        else:
            ray.init(address=address, runtime_env=dict(runtime_env), logging_level="error")
    except Exception as error:  # Ray raises this very class if a process does not start in time
        place = "a local cluster cannot be started" if address is None else f"the cluster {address} cannot be reached"
        raise ClusterFailed(f"{place}: {error}") from error
    try:
        yield Cluster(is_local=address is None)
    finally:
        ray.shutdown()

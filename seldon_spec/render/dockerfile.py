"""A spec as a Dockerfile: the ordered steps of the image, dependencies before code.

Of the folder it asks only which files are there. It builds nothing and reads no variable.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping

from seldon_spec.render import baked, quoting
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
        The same bytes for the same spec, version and presence of the requirements file.

    Raises:
        ValueError: a value has a line break, for which a Dockerfile has no escape.
    """
    steps = (
        _header(spec.file, version),
        *_base(spec.image),
        _environment(spec.image.environment),
        f"WORKDIR {WORK_FOLDER}",
        _dependencies(spec, version),
        _code(spec.image.user),
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


def _dependencies(spec: Spec, version: str) -> str:
    """Copy what pip needs, and no code, so that a change of the code does not install everything again."""
    files, words = [], []
    requirements = posixpath.normpath(spec.image.requirements)
    if (spec.folder / requirements).is_file():
        files.append(requirements)
        words += ["-r", quoting.quote_shell(_as_path(requirements), "image.requirements")]
    package = spec.image.seldon_spec or f"seldon-spec=={version}"
    if package.endswith(".whl"):
        files.append(posixpath.normpath(package))
        words.append(quoting.quote_shell(f"./{posixpath.normpath(package)}", "image.seldon_spec"))
    else:
        words.append(quoting.quote_shell(package, "image.seldon_spec"))
    install = "python -m pip install --no-cache-dir --root-user-action=ignore"
    return "\n".join(
        [
            "# Dependencies before code: a change of the code installs nothing again.",
            *(f"COPY {quoting.quote_copy([file], _folder_of(file))}" for file in files),
            f"RUN {install} {' '.join(words)}",
        ]
    )


def _as_path(path: str) -> str:
    return f"./{path}" if path.startswith("-") else path


def _folder_of(path: str) -> str:
    return f"./{posixpath.dirname(path)}".rstrip("/") + "/"


def _code(user: int) -> str:
    """Copy the user's folder so that the image's user owns it and any other uid can read it.

    Platforms that give each project a uid of its own run it with group 0. Only what others cannot read yet is touched:
    a change of mode copies the file into a further layer.
    """
    return "\n".join(
        [
            f"COPY --chown={user}:0 . .",
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

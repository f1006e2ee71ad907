"""The multi-stage Dockerfile of a spec. The layers of the image are ordered by how often they change.

Reads only the requirements files of the folder, and no variables. Builds nothing.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Sequence

from seldon_spec.config.model import Spec
from seldon_spec.deploy.dockerfile import build_environment, finish, quoting
from seldon_spec.deploy.dockerfile.bases import render_base
from seldon_spec.deploy.dockerfile.components import join_images, list_downloads
from seldon_spec.deploy.dockerfile.install import (
    ENV,
    SECRET,
    InstallSteps,
    as_path,
    find_install_steps,
    render_build_stage,
)

_BASE = "base"

_OPEN = "chmod -R a+rX . && chmod 775 ."
"""Readable for any UID, and writable for group 0, which OpenShift assigns to its UIDs."""


def render_dockerfile(spec: Spec, version: str, build_wheel: str | None = None) -> str:
    """Render the Dockerfile that packages and serves a spec, with the components of a graph.

    The build context is the folder of the spec.

    Args:
        spec: as ``load`` returns it; values of variables and flags that override the file are written into the image,
            except for parameters, secrets and variables of the user.
        version: of this package, which the image installs unless ``image.seldon_spec`` is set.
        build_wheel: the path of a wheel of this package, in a folder that exists only during the build.

    Returns:
        The same bytes for the same spec, version and requirements files.

    Raises:
        RequirementsMixed: see ``join_images``.
        ValueError: a value contains a line break, which a Dockerfile cannot escape.
    """
    spec = join_images(spec)
    install = find_install_steps(spec, version, build_wheel)
    steps = (
        finish.render_header(spec.file, version),
        *render_base(spec.image, install.kind, _BASE),
        *render_build_stage(install, _BASE, spec.image.workdir),
        *_models_stage(spec.image.model_files, spec.image.workdir),
        *_downloads_stage(spec),
        *_code_stage(install, spec.image.workdir),
        *_image(spec),
    )
    return "\n\n".join(steps) + "\n"


def _models_stage(files: Sequence[str], workdir: str) -> Iterator[str]:
    """Render the stage of the model files, whose layer does not change with the code."""
    if not files:
        return
    paths = [posixpath.normpath(path) for path in files]
    yield f"# Only the model files: a change of the code does not change their layer.\nFROM {_BASE} AS models"
    yield f"WORKDIR {_stage_folder('models', workdir)}"
    yield "\n".join(f"COPY {quoting.quote_copy([as_path(path)], f'./{path}')}" for path in paths)
    yield f"RUN {_OPEN}"


_CREDENTIALS = (
    (SECRET, "/root/.netrc"),
    ("aws", "/root/.aws/credentials"),
    ("gcloud", "/root/.config/gcloud/application_default_credentials.json"),
)
"""Build secrets with the credentials of a download, and the files where its library looks for them."""


def _downloads_stage(spec: Spec) -> Iterator[str]:
    """Render the stage of the models of URLs, whose layer does not change with the code."""
    found = list_downloads(spec)
    if not found:
        return
    secrets = ", ".join(name for name, _ in _CREDENTIALS)
    yield (
        "# The models of URLs. The builder downloads a URL again only if this step or one before it changes.\n"
        f"# Credentials come from the build secrets {secrets}, if they are set; no layer contains them.\n"
        "FROM build AS downloads"
    )
    yield f"WORKDIR {_stage_folder('downloads', spec.image.workdir)}"
    mounts = "".join(f"--mount=type=secret,id={name},target={file} \\\n    " for name, file in _CREDENTIALS)
    commands = []
    for folder, model in found:
        url = quoting.quote_shell(model.path, "model.path")
        target = quoting.quote_shell(as_path(folder or "."), "a path")
        words = " ".join([url, target, *([] if model.sha256 is None else [model.sha256])])
        commands.append(f"{ENV}/bin/python -m seldon_spec.model_store {words}")
    yield f"RUN {mounts}" + " && \\\n    ".join([*commands, _OPEN])


def _code_stage(install: InstallSteps, workdir: str) -> Iterator[str]:
    """Render the stage of the other files. A chmod in the final image would store them twice."""
    reason = "# Readable for any UID; a chmod in the final image would store the files twice."
    yield f"{reason}\nFROM {_BASE} AS code"
    yield f"WORKDIR {_stage_folder('code', workdir)}"
    yield "COPY . ."
    excluded = [posixpath.normpath(path) for path in install.image.model_files]
    if install.wheel is not None and install.is_build_wheel:
        excluded.append(posixpath.dirname(install.wheel))
    if not excluded:
        yield f"RUN {_OPEN}"
        return
    paths = " ".join(quoting.quote_shell(as_path(path), "a path") for path in excluded)
    yield f"# These have a layer of their own, or are installed.\nRUN rm -rf {paths} && {_OPEN}"


def _stage_folder(stage: str, workdir: str) -> str:
    """Return the folder of a stage that is copied as the working directory, in a parent that contains nothing else."""
    return f"/{stage}/{posixpath.basename(workdir)}"


def _copy_from(stage: str, spec: Spec) -> str:
    parent = posixpath.dirname(spec.image.workdir).rstrip("/")
    return f"COPY --from={stage} --chown={spec.image.user}:0 /{stage}/ {parent}/"


def _image(spec: Spec) -> Iterator[str]:
    """Render the final image, in order of how often the layers change."""
    yield f"# The final image: the layers that change least come first, the code last.\nFROM {_BASE}"
    yield f"COPY --from=build {ENV} {ENV}"
    yield finish.render_environment(spec.image.environment, f"{ENV}/bin")
    yield f"WORKDIR {spec.image.workdir}"
    yield from spec.image.steps.after
    if spec.image.model_files:
        yield _copy_from("models", spec)
    if list_downloads(spec):
        yield _copy_from("downloads", spec)
    yield finish.render_ports(spec.ports)
    yield from finish.render_run(spec)
    yield from build_environment.render_build_environment(spec)
    yield from finish.render_identity(spec)
    yield ("# Last: a change of the code or of seldon.yaml rebuilds only this layer.\n" + _copy_from("code", spec))

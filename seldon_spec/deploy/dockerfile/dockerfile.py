"""A spec as a Dockerfile: stages that install and tidy, and an image of a few layers, what changes most coming last.

Of the folder it reads only the requirements files. It builds nothing and reads no variable.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Sequence

from seldon_spec.config.model import Spec
from seldon_spec.deploy.dockerfile import baked, finish, quoting
from seldon_spec.deploy.dockerfile.bases import render_base
from seldon_spec.deploy.dockerfile.install import ENV, InstallSteps, as_path, make_plan, render_build_stage

_BASE = "base"

_OPEN = "chmod -R a+rX . && chmod 775 ."
"""Readable for any uid; group 0, which OpenShift gives to a uid of its own choice, may add files."""


def render_dockerfile(spec: Spec, version: str, passing_wheel: str | None = None) -> str:
    """Render the Dockerfile that packages and serves what ``spec`` describes; build it with the spec's folder.

    Args:
        spec: as ``load`` returns it; where a value of the environment or a flag stands above the file, it is written
            into the image, but for parameters, secrets and the user's own variables.
        version: of this package; what the image installs unless ``image.seldon_spec`` says otherwise.
        passing_wheel: the path of a wheel of this package that is in the folder, in a folder of its own, for one build.

    Returns:
        The same bytes for the same spec, version and requirements files.

    Raises:
        ValueError: a value has a line break, for which a Dockerfile has no escape.
    """
    plan = make_plan(spec, version, passing_wheel)
    steps = (
        finish.render_header(spec.file, version),
        *render_base(spec.image, plan.kind, _BASE),
        *render_build_stage(plan, _BASE, spec.image.workdir),
        *_models_stage(spec.image.model_files, spec.image.workdir),
        *_code_stage(plan, spec.image.workdir),
        *_image(spec),
    )
    return "\n\n".join(steps) + "\n"


def _models_stage(files: Sequence[str], workdir: str) -> Iterator[str]:
    """The model's files alone, so that their layer is the same whatever the code does."""
    if not files:
        return
    paths = [posixpath.normpath(path) for path in files]
    yield f"# The model's files alone: their layer stays the same whatever the code does.\nFROM {_BASE} AS models"
    yield f"WORKDIR {_stage_folder('models', workdir)}"
    yield "\n".join(f"COPY {quoting.quote_copy([as_path(path)], f'./{path}')}" for path in paths)
    yield f"RUN {_OPEN}"


def _code_stage(plan: InstallSteps, workdir: str) -> Iterator[str]:
    """Everything else of the folder, made readable here: in the image itself that would store it twice."""
    reason = "# The code is made readable for any uid here: in the image itself that would keep it twice."
    yield f"{reason}\nFROM {_BASE} AS code"
    yield f"WORKDIR {_stage_folder('code', workdir)}"
    yield "COPY . ."
    apart = [posixpath.normpath(path) for path in plan.image.model_files]
    if plan.wheel is not None and plan.is_passing:
        apart.append(posixpath.dirname(plan.wheel))
    if not apart:
        yield f"RUN {_OPEN}"
        return
    words = " ".join(quoting.quote_shell(as_path(path), "a path") for path in apart)
    yield f"# What is deleted is in a layer of its own, or is installed.\nRUN rm -rf {words} && {_OPEN}"


def _stage_folder(stage: str, workdir: str) -> str:
    """Where a stage keeps what becomes the working folder: below a folder that holds nothing else."""
    return f"/{stage}/{posixpath.basename(workdir)}"


def _copy_from(stage: str, spec: Spec) -> str:
    parent = posixpath.dirname(spec.image.workdir).rstrip("/")
    return f"COPY --from={stage} --chown={spec.image.user}:0 /{stage}/ {parent}/"


def _image(spec: Spec) -> Iterator[str]:
    """The image itself: what changes least first, so that a change rebuilds no layer but its own and the last."""
    yield f"# The image: what changes least comes first, and the code last.\nFROM {_BASE}"
    yield f"COPY --from=build {ENV} {ENV}"
    yield finish.render_environment(spec.image.environment, f"{ENV}/bin")
    yield f"WORKDIR {spec.image.workdir}"
    yield from spec.image.steps.after
    if spec.image.model_files:
        yield _copy_from("models", spec)
    yield finish.render_ports(spec.ports)
    yield from finish.render_run(spec)
    yield from baked.render_baked(spec)
    yield from finish.render_identity(spec)
    yield (
        "# Last, for it changes most: a change of the code or of seldon.yaml makes this layer anew and no other.\n"
        + _copy_from("code", spec)
    )

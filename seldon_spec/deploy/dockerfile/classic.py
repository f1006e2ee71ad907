"""The one-stage Dockerfile of Seldon's guide to its Python wrapper, for platforms that expect this form.

Every change of the code reinstalls the requirements.
"""

from __future__ import annotations

from collections.abc import Iterator

from seldon_spec.config.checks.requirements import LineKind, kind_of, requirements_files
from seldon_spec.config.model import Spec
from seldon_spec.deploy.dockerfile import build_environment, finish, quoting
from seldon_spec.deploy.dockerfile.bases import render_base, render_packages
from seldon_spec.deploy.dockerfile.components import join_images, list_downloads
from seldon_spec.deploy.dockerfile.install import find_install_steps, render_command
from seldon_spec.errors import SeldonSpecError


class NotClassic(SeldonSpecError):
    """The spec needs more than one stage."""


def render_classic(spec: Spec, version: str) -> str:
    """Render the classic form; the build context is the folder of the spec.

    Args:
        spec: as ``load`` returns it.
        version: of this package, which the image installs unless ``image.seldon_spec`` is set.

    Raises:
        NotClassic: the spec needs more than one stage.
        RequirementsMixed: see ``join_images``.
        ValueError: a value contains a line break, which a Dockerfile cannot escape.
    """
    spec = join_images(spec)
    _refuse_other_installers(spec)
    steps = (
        finish.render_header(spec.file, version),
        *render_base(spec.image, LineKind.PIP, None),
        *render_packages(spec.image.build_packages),
        f"WORKDIR {spec.image.workdir}",
        "COPY . .",
        _install(spec, version),
        finish.render_environment(spec.image.environment),
        *spec.image.steps.after,
        finish.render_ports(spec.ports),
        *_name_class(spec),
        *build_environment.render_build_environment(spec),
        *finish.render_identity(spec),
        f"RUN chown -R {spec.image.user}:0 . && chmod -R a+rX .",
        *finish.render_run(spec),
    )
    return "\n\n".join(steps) + "\n"


def _name_class(spec: Spec) -> Iterator[str]:
    """Render the two variables of Seldon's form; a graph has neither."""
    if spec.class_name is not None:
        yield (
            "# For platforms that read these two; they override seldon.yaml.\n"
            f"ENV MODEL_NAME={quoting.quote_value(spec.class_name, 'class_name')}\n"
            f"ENV SERVICE_TYPE={quoting.quote_value(spec.service_type.value, 'service_type')}"
        )


def _refuse_other_installers(spec: Spec) -> None:
    if list_downloads(spec):
        raise NotClassic("model.download: image needs a separate stage, which --style classic does not have")
    files = requirements_files(spec.image.requirements)
    others = [file for file in files if kind_of(file) is not LineKind.PIP]
    if others or spec.image.installer == "uv":
        what = f"image.requirements: {others[0]}" if others else "image.installer: uv"
        raise NotClassic(f"{what} needs a separate stage, which --style classic does not have")


def _install(spec: Spec, version: str) -> str:
    steps = find_install_steps(spec, version)
    return render_command(steps, "python3 -m pip install --no-cache-dir --root-user-action=ignore")

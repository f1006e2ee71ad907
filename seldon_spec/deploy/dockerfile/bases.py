"""Base images, and the steps that stages share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from seldon_spec.config.checks.requirements import LineKind
from seldon_spec.config.model import ImageSpec
from seldon_spec.deploy.dockerfile import quoting

CONDA_BUILDER = "condaforge/miniforge3:24.11.3-0"
"""Creates the environment of a conda file; only the environment is copied from it."""

CONDA_BASE = "debian:bookworm-slim"
"""Base of an image with a conda environment, which includes Python."""


@dataclass(frozen=True, slots=True)
class GpuBase:
    """An image with CUDA.

    Attributes:
        image: its name and tag.
        packages: Debian packages that it needs to create a virtual environment.
    """

    image: str
    packages: tuple[str, ...] = ()


GPU_BASES = {
    "pytorch": GpuBase("pytorch/pytorch:2.5.1-cuda12.4-cudnn9-runtime"),
    "tensorflow": GpuBase("tensorflow/tensorflow:2.18.0-gpu"),
    "cuda": GpuBase("nvidia/cuda:12.4.1-cudnn-runtime-ubuntu22.04", ("python3", "python3-venv")),
}
"""The base image for each value of ``image.gpu``; a test compares it with the table in the documentation.

The first two contain the framework; the third contains CUDA and cuDNN for others, such as ONNX Runtime or JAX.
"""


def base_image(image: ImageSpec, kind: LineKind) -> str:
    """Return the base image."""
    if image.base is not None:
        return image.base
    if image.gpu is not None:
        return GPU_BASES[image.gpu].image
    return CONDA_BASE if kind is LineKind.CONDA else f"python:{image.python}-slim"


def has_base_packages(image: ImageSpec) -> bool:
    """Return whether the base may contain Python packages that the user's code imports."""
    return image.base is not None or image.gpu in ("pytorch", "tensorflow")


def render_base(image: ImageSpec, kind: LineKind, name: str | None) -> Iterator[str]:
    """Render FROM, the system packages and the user's steps.

    Args:
        image: the section of the spec.
        kind: of the requirements file.
        name: of the stage; None if the image has only one.
    """
    yield f"FROM {base_image(image, kind)}" + (f" AS {name}" if name else "")
    if image.base is not None or image.gpu is not None:
        reason = "# The base may set a user without the rights to install. The final image does not run as root."
        yield f"{reason}\n# hadolint ignore=DL3002\nUSER 0"
    packages = GPU_BASES[image.gpu].packages if image.gpu is not None else ()
    yield from render_packages([*packages, *image.system_packages])
    yield from image.steps.before


def render_packages(packages: Sequence[str]) -> Iterator[str]:
    """Render the installation of Debian packages in one layer, without recommended packages, lists and archives."""
    if not packages:
        return
    names = " ".join(quoting.quote_shell(name, "a package") for name in dict.fromkeys(packages))
    free = [
        "# The newest versions: Debian mirrors remove a version when its next fix is released.",
        "# hadolint ignore=DL3008",
    ]
    is_exact = all("=" in name for name in packages)
    yield "\n".join(
        [
            *([] if is_exact else free),
            "RUN apt-get update && \\",
            f"    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends {names} && \\",
            "    rm -rf /var/lib/apt/lists/* /var/cache/apt/*",
        ]
    )

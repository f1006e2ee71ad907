"""What an image is built on: the table of bases, and the steps that every stage shares."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from seldon_spec.config.checks.requirements import LineKind
from seldon_spec.config.model import ImageSpec
from seldon_spec.deploy.dockerfile import quoting

CONDA_BUILDER = "condaforge/miniforge3:24.11.3-0"
"""Makes the environment of a conda file; nothing of it but the environment stays."""

CONDA_BASE = "debian:bookworm-slim"
"""Carries a conda environment, which brings its own Python."""


@dataclass(frozen=True, slots=True)
class GpuBase:
    """An image with CUDA.

    Attributes:
        image: its name and tag.
        packages: what of Debian's it lacks to make a virtual environment.
    """

    image: str
    packages: tuple[str, ...] = ()


GPU_BASES = {
    "pytorch": GpuBase("pytorch/pytorch:2.5.1-cuda12.4-cudnn9-runtime"),
    "tensorflow": GpuBase("tensorflow/tensorflow:2.18.0-gpu"),
    "cuda": GpuBase("nvidia/cuda:12.4.1-cudnn-runtime-ubuntu22.04", ("python3", "python3-venv")),
}
"""``image.gpu`` and the base that it chooses; the page on the image shows the same table, held to this one by a test.

The first two have the framework installed; the third has CUDA and cuDNN for any other, such as ONNX Runtime or JAX.
"""


def base_image(image: ImageSpec, kind: LineKind) -> str:
    """The image that ``FROM`` names."""
    if image.base is not None:
        return image.base
    if image.gpu is not None:
        return GPU_BASES[image.gpu].image
    return CONDA_BASE if kind is LineKind.CONDA else f"python:{image.python}-slim"


def has_packages_of_its_own(image: ImageSpec) -> bool:
    """Whether the base may have Python packages that the user's code counts on."""
    return image.base is not None or image.gpu in ("pytorch", "tensorflow")


def render_base(image: ImageSpec, kind: LineKind, name: str | None) -> Iterator[str]:
    """The base, as its user wants it: the packages of the system and the user's own steps.

    Args:
        image: the spec's section.
        kind: of the requirements.
        name: of the stage; None where the image has one stage only.
    """
    yield f"FROM {base_image(image, kind)}" + (f" AS {name}" if name else "")
    if image.base is not None or image.gpu is not None:
        reason = "# The base may have left another user, who could not install. The image itself does not run as root."
        yield f"{reason}\n# hadolint ignore=DL3002\nUSER 0"
    packages = GPU_BASES[image.gpu].packages if image.gpu is not None else ()
    yield from render_packages([*packages, *image.system_packages])
    yield from image.steps.before


def render_packages(packages: Sequence[str]) -> Iterator[str]:
    """Install Debian packages in one layer, without what they only recommend, without lists and archives."""
    if not packages:
        return
    names = " ".join(quoting.quote_shell(name, "a package") for name in dict.fromkeys(packages))
    free = [
        "# As new as Debian has them: an exact version vanishes from its mirrors with the next fix.",
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

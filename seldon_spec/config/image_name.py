"""The names of the images of a spec."""

from __future__ import annotations

import re

from seldon_spec.config.model import Spec


def find_image(spec: Spec) -> str:
    """Return the image that a deployment runs: ``deployment.image``, or else the one that ``build`` makes."""
    return spec.deployment.image or find_tag(spec)


def find_tag(spec: Spec) -> str:
    """Return the tag of the image that ``build`` makes: ``image.tag``, or else ``NAME:VERSION``.

    The version has only the characters that a tag allows; without one, it is ``latest``.
    """
    version = re.sub("[^A-Za-z0-9._-]", "-", spec.version or "").lstrip(".-")[:128]
    return spec.image.tag or f"{spec.name}:{version or 'latest'}"

"""The values of options of ``dockerfile`` and ``build``."""

from __future__ import annotations

from enum import Enum


class Style(str, Enum):
    """Styles of a Dockerfile."""

    STAGED = "staged"
    CLASSIC = "classic"


class BuilderName(str, Enum):
    """Supported image builders."""

    DOCKER = "docker"
    PODMAN = "podman"
    BUILDAH = "buildah"

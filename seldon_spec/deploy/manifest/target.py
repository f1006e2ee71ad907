"""The targets of a manifest, by name."""

from __future__ import annotations

from enum import Enum


class Target(str, Enum):
    """What a manifest is for."""

    KUBERNETES = "kubernetes"
    SELDON = "seldon"
    KSERVE = "kserve"
    COMPOSE = "compose"
    RAY = "ray"
    KUBERAY = "kuberay"

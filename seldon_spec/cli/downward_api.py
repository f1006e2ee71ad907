"""What Kubernetes mounts into a pod beside the environment."""

from __future__ import annotations

from pathlib import Path

from seldon_spec.config.paths import Unreadable, decode_text, read_file

ANNOTATIONS_FILE = Path("/etc/podinfo/annotations")
"""Where the operator mounts the pod's annotations. Source: contract sections 7.4 and 7.7."""
MAX_ANNOTATIONS_BYTES = 1024 * 1024
"""Kubernetes itself allows 256 KiB of them, before they are escaped."""


def read_annotations() -> str:
    """The text of the pod's annotations; empty where there is no such file, as outside a pod."""
    try:
        return decode_text(read_file(ANNOTATIONS_FILE, MAX_ANNOTATIONS_BYTES), "replace")
    except Unreadable:
        return ""

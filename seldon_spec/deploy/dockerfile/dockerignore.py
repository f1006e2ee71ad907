"""What of the folder an image is built without, as a .dockerignore."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

from seldon_spec.config.checks.patterns import USUAL_PATTERNS
from seldon_spec.config.model import Spec
from seldon_spec.deploy.dockerfile.finish import render_header
from seldon_spec.deploy.dockerfile.install import make_plan


def render_dockerignore(spec: Spec, version: str) -> str:
    """Render the .dockerignore of the spec's folder.

    Args:
        spec: as ``load`` returns it.
        version: of this package.

    Returns:
        The same bytes for the same spec, version and requirements files.
    """
    lines = [render_header(spec.file, version), *USUAL_PATTERNS, *spec.image.exclude]
    if spec.image.include:
        lines += ["", "# Kept all the same.", *(f"!{pattern}" for pattern in spec.image.include)]
    if spec.image.exclude:
        lines += ["", "# What the Dockerfile and the server need, whatever is left out above.", *_kept(spec, version)]
    return "\n".join(lines) + "\n"


def _kept(spec: Spec, version: str) -> Iterator[str]:
    models = (posixpath.normpath(path) for path in spec.image.model_files)
    for path in dict.fromkeys((spec.file, *make_plan(spec, version).copied, *models)):
        yield f"!{_escape(path)}"


def _escape(path: str) -> str:
    r"""A path as a pattern that means it alone: what would be a wildcard stands in brackets, a backslash is doubled."""
    return "".join(f"[{c}]" if c in "[*?" else "\\\\" if c == "\\" else c for c in path)

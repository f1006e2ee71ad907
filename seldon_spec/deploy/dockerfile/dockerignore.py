"""The .dockerignore of a spec."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

from seldon_spec.config.checks.patterns import USUAL_PATTERNS
from seldon_spec.config.model import Spec
from seldon_spec.deploy.dockerfile.components import join_images, list_files
from seldon_spec.deploy.dockerfile.finish import render_header
from seldon_spec.deploy.dockerfile.install import find_install_steps


def render_dockerignore(spec: Spec, version: str) -> str:
    """Render the .dockerignore of the spec's folder.

    Args:
        spec: as ``load`` returns it.
        version: of this package.

    Returns:
        The same bytes for the same spec, version and requirements files.
    """
    spec = join_images(spec)
    lines = [render_header(spec.file, version), *USUAL_PATTERNS, *spec.image.exclude]
    if spec.image.include:
        lines += ["", "# Included in any case.", *(f"!{pattern}" for pattern in spec.image.include)]
    if spec.image.exclude:
        lines += ["", "# Needed by the Dockerfile and the server, even if excluded above.", *_kept(spec, version)]
    return "\n".join(lines) + "\n"


def _kept(spec: Spec, version: str) -> Iterator[str]:
    models = (posixpath.normpath(path) for path in spec.image.model_files)
    for path in dict.fromkeys((*list_files(spec), *find_install_steps(spec, version).copied, *models)):
        yield f"!{_escape(path)}"


def _escape(path: str) -> str:
    r"""Return a pattern that matches only a path: wildcards in brackets, backslashes doubled."""
    return "".join(f"[{c}]" if c in "[*?" else "\\\\" if c == "\\" else c for c in path)

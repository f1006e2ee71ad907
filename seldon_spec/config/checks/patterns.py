"""Patterns of .dockerignore, which exclude files from an image. Reads no file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

SECRET_PATTERNS = (
    "**/.env",
    "**/.env.*",
    "**/.netrc",
    "**/_netrc",
    "**/.pypirc",
    "**/.git-credentials",
    "**/.aws",
    "**/.ssh",
    "**/.gnupg",
    "**/.kube",
    "**/id_rsa",
    "**/id_dsa",
    "**/id_ecdsa",
    "**/id_ed25519",
)
"""Files that often contain secrets and that no server reads."""

USUAL_PATTERNS = (
    ".git",
    ".gitignore",
    ".dockerignore",
    "**/Dockerfile",
    "**/.venv",
    "**/__pycache__",
    "**/*.py[co]",
    "**/.pytest_cache",
    "**/.mypy_cache",
    "**/.ruff_cache",
    "**/.ipynb_checkpoints",
    "**/.DS_Store",
    "seldon.schema.json",
    *SECRET_PATTERNS,
)
"""The default patterns for a folder without .dockerignore."""


def is_left_out(path: PurePosixPath, patterns: Iterable[str]) -> bool:
    """Return whether patterns exclude a file."""
    return find_pattern(path, patterns) is not None


def find_pattern(path: PurePosixPath, patterns: Iterable[str]) -> int | None:
    """Return the index of the pattern that excludes a file; None if no pattern does.

    The last pattern that matches the file or one of its parent directories applies.

    Args:
        path: the path relative to the folder.
        patterns: the lines of a .dockerignore; ``!`` includes the matching files again. Escaped wildcards are not
            supported.
    """
    found = None
    for index, line in enumerate(patterns):
        pattern = line.strip().removeprefix("!")
        steps = [step for step in pattern.split("/") if step not in ("", ".")]
        if steps and not line.startswith("#") and _matches_any(steps, path):
            found = None if line.strip().startswith("!") else index
    return found


def _matches_any(steps: Sequence[str], path: PurePosixPath) -> bool:
    return any(_matches(steps, path.parts[:length]) for length in range(1, len(path.parts) + 1))


def _matches(steps: Sequence[str], names: Sequence[str]) -> bool:
    if not steps:
        return not names
    if steps[0] == "**":
        return any(_matches(steps[1:], names[start:]) for start in range(len(names) + 1))
    return bool(names) and fnmatchcase(names[0], steps[0]) and _matches(steps[1:], names[1:])

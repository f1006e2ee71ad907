"""Patterns of .dockerignore: whether a file of the folder is left out of an image. Reads no file."""

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
"""Files that often hold secrets, and that no server reads."""

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
"""What is left out of an image where the folder has no .dockerignore."""


def is_left_out(path: PurePosixPath, patterns: Iterable[str]) -> bool:
    """Whether patterns leave a file out; see :func:`find_pattern`."""
    return find_pattern(path, patterns) is not None


def find_pattern(path: PurePosixPath, patterns: Iterable[str]) -> int | None:
    """Return the index of the pattern that leaves a file out; None where it is kept.

    Of the patterns that match the file, or a directory above it, the last one counts.

    Args:
        path: within the folder.
        patterns: the lines of a .dockerignore; one with ``!`` before it keeps what it matches. A backslash before a
            wildcard is not known here.
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

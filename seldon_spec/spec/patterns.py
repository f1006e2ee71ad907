"""Patterns of .dockerignore: whether a file of the folder is left out of an image. Reads no file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import PurePosixPath


def is_left_out(path: PurePosixPath, patterns: Iterable[str]) -> bool:
    """Whether patterns leave a file out; of those that match it, or a folder above it, the last counts.

    Args:
        path: within the folder.
        patterns: the lines of a .dockerignore; one with ``!`` before it keeps what it matches. A backslash before a
            wildcard is not known here.
    """
    is_out = False
    for line in patterns:
        pattern = line.strip().removeprefix("!")
        steps = [step for step in pattern.split("/") if step not in ("", ".")]
        if steps and not line.startswith("#") and _matches_any(steps, path):
            is_out = not line.strip().startswith("!")
    return is_out


def _matches_any(steps: Sequence[str], path: PurePosixPath) -> bool:
    return any(_matches(steps, path.parts[:length]) for length in range(1, len(path.parts) + 1))


def _matches(steps: Sequence[str], names: Sequence[str]) -> bool:
    if not steps:
        return not names
    if steps[0] == "**":
        return any(_matches(steps[1:], names[start:]) for start in range(len(names) + 1))
    return bool(names) and fnmatchcase(names[0], steps[0]) and _matches(steps[1:], names[1:])

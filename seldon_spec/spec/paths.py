"""Whether a path that a user's file names is there, and whether it stays in the folder."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath


def is_file(path: Path) -> bool:
    """Whether there is a file; ``Path.is_file`` raises for some paths where this says no."""
    return os.path.isfile(path)  # noqa: PTH113


def is_folder(path: Path) -> bool:
    """Whether there is a folder."""
    return os.path.isdir(path)  # noqa: PTH112


def exists(path: Path) -> bool:
    """Whether there is anything."""
    return os.path.exists(path)  # noqa: PTH110


def is_inside(folder: Path, text: str) -> bool:
    """Whether a relative path stays within the folder, links followed."""
    if PurePosixPath(text).is_absolute() or "\\" in text or "\0" in text:
        return False
    return not leaves(folder, folder / text)


def leaves(folder: Path, path: Path) -> bool:
    """Whether a path, links followed, is outside the folder; the path itself need not exist."""
    root, target = os.path.realpath(folder), os.path.realpath(path)
    return os.path.commonpath([root, target]) != root


def leaving_link(folder: Path, path: Path) -> Path | None:
    """The link through which a path below the folder leaves it; None where it stays inside."""
    if not leaves(folder, path):
        return None
    below = [each for each in (path, *path.parents) if each.is_relative_to(folder) and each != folder]
    return next((each for each in reversed(below) if each.is_symlink() and leaves(folder, each)), path)

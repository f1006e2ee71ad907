"""Files that a user names: whether they are there and in the folder, and their content, read within a bound."""

from __future__ import annotations

import codecs
import os
import stat
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


class Unreadable(Exception):
    """A file cannot be read; the message gives the reason, in words that follow the file's name."""


class Missing(Unreadable):
    """There is no such file."""


class TooLong(Unreadable):
    """The file has more bytes than are read."""


def read_file(path: Path, limit: int) -> bytes:
    """Read a regular file of at most ``limit`` bytes; a pipe or a device, which could block or never end, is refused.

    Raises:
        Unreadable: it cannot be read, is no regular file, or is too long.
    """
    try:
        # Opening a pipe would wait for its writer, opening a device could act on it: look first, and again once open.
        _require_regular(os.stat(path))  # noqa: PTH116
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as stream:  # noqa: PTH123
            _require_regular(os.fstat(descriptor))
            data = stream.read(limit + 1)
    except FileNotFoundError as error:
        raise Missing(error.strerror) from None
    except (OSError, ValueError) as error:
        raise Unreadable(getattr(error, "strerror", None) or "this is no path") from None
    if len(data) > limit:
        raise TooLong(f"it has more than {limit:,} bytes")
    return data


def _require_regular(status: os.stat_result) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise Unreadable("it is a directory")
    if not stat.S_ISREG(status.st_mode):
        raise Unreadable("it is not a regular file")


_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # begins as UTF-16's does
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def decode_text(data: bytes, errors: str = "strict") -> str:
    """The text of a file: UTF-8, or what its byte order mark says; the mark is no part of the text.

    Raises:
        UnicodeDecodeError: it is not, and ``errors`` is ``strict``.
    """
    return data.decode(next((encoding for mark, encoding in _MARKS if data.startswith(mark)), "utf-8"), errors)


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

"""Paths in a spec: whether they exist and are inside the folder; reads files up to a size limit."""

from __future__ import annotations

import codecs
import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path, PurePosixPath


def is_file(path: Path) -> bool:
    """Return whether a path is a file; unlike ``Path.is_file``, never raises."""
    return os.path.isfile(path)  # noqa: PTH113


def is_folder(path: Path) -> bool:
    """Return whether a path is a folder."""
    return os.path.isdir(path)  # noqa: PTH112


def exists(path: Path) -> bool:
    """Return whether a path exists."""
    return os.path.exists(path)  # noqa: PTH110


class Unreadable(Exception):
    """A file cannot be read; the message is the reason, which follows the file's name."""


class Missing(Unreadable):
    """The file does not exist."""


class TooLong(Unreadable):
    """The file exceeds the size limit."""


def read_file(path: Path, limit: int) -> bytes:
    """Read a regular file of at most ``limit`` bytes.

    Raises:
        Unreadable: the file cannot be read, is too long, or is a pipe or a device, which could block.
    """
    try:
        # Check before opening, since opening a pipe blocks and opening a device can have effects; and again once open.
        _require_regular(os.stat(path))  # noqa: PTH116
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as stream:  # noqa: PTH123
            _require_regular(os.fstat(descriptor))
            data = stream.read(limit + 1)
    except FileNotFoundError as error:
        raise Missing(error.strerror) from None
    except (OSError, ValueError) as error:
        raise Unreadable(getattr(error, "strerror", None) or "this is not a path") from None
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
    (codecs.BOM_UTF32_LE, "utf-32"),  # begins with the mark of UTF-16
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def decode_text(data: bytes, errors: str = "strict") -> str:
    """Decode a file as UTF-8 or by its byte order mark, which is removed.

    Raises:
        UnicodeDecodeError: the file has another encoding, and ``errors`` is ``strict``.
    """
    return data.decode(next((encoding for mark, encoding in _MARKS if data.startswith(mark)), "utf-8"), errors)


def is_inside(folder: Path, text: str) -> bool:
    """Return whether a relative path is inside the folder after resolving links."""
    if PurePosixPath(text).is_absolute() or "\\" in text or "\0" in text:
        return False
    return not leaves(folder, folder / text)


def leaves(folder: Path, path: Path) -> bool:
    """Return whether a path is outside the folder after resolving links; it need not exist."""
    root, target = os.path.realpath(folder), os.path.realpath(path)
    return os.path.commonpath([root, target]) != root


def leaving_link(folder: Path, path: Path) -> Path | None:
    """Return the link that leads a path out of the folder; None if the path is inside."""
    if not leaves(folder, path):
        return None
    below = [each for each in (path, *path.parents) if each.is_relative_to(folder) and each != folder]
    return next((each for each in reversed(below) if each.is_symlink() and leaves(folder, each)), path)


@contextlib.contextmanager
def working_directory(folder: Path) -> Iterator[None]:
    """Change the working directory of the process for the time of a block."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)

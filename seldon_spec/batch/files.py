"""The files of a folder: each is a row of bytes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from seldon_spec.batch.messages import message_of_bytes
from seldon_spec.batch.rows import MAX_REQUEST_BYTES
from seldon_spec.errors import SeldonSpecError
from seldon_spec.inference.message import Message

FILE = "file"
"""The column of the output: the path of the file, relative to the folder."""

MAX_FILE_BYTES = 256 << 20


class FilesReader:
    """Reads the files below a folder, sorted by their paths; each is sent in a request of its own.

    Hidden files and folders are skipped. A link to a file is followed, one to a folder is not.

    Args:
        folder: the folder; the paths are listed once, at the start.

    Raises:
        SeldonSpecError: a folder cannot be read.
    """

    columns: Sequence[str] = ()
    max_rows: int | None = 1

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._paths = sorted(_list_files(folder))
        self.size = len(self._paths)
        self.position = 0

    def seek(self, position: int) -> None:
        self.position = position

    def read(self, count: int) -> FileRows | None:
        found: list[str] = []
        total = 0
        for path in self._paths[self.position : self.position + count]:
            total += _find_size(self._folder / path)
            if found and total > MAX_REQUEST_BYTES:
                break
            found.append(path)
        self.position += len(found)
        return FileRows(self._folder, found) if found else None

    def close(self) -> None:
        self._paths = []


class FileRows:
    """Files of a folder.

    Args:
        folder: the folder.
        paths: relative to it.
    """

    __slots__ = ("_folder", "_paths")

    names = (FILE,)
    lines = None

    def __init__(self, folder: Path, paths: Sequence[str]) -> None:
        self._folder = folder
        self._paths = paths

    def __len__(self) -> int:
        return len(self._paths)

    def part(self, start: int, stop: int) -> FileRows:
        return FileRows(self._folder, self._paths[start:stop])

    def to_numbers(self) -> Sequence[bytes] | None:
        return None

    def to_message(self) -> Message:
        root = self._folder.resolve()
        return message_of_bytes([_read_file(root, self._folder / path) for path in self._paths])

    def to_number_records(self) -> Sequence[bytes] | None:
        return None

    def to_records(self) -> list[list[Any]]:
        return [[os.fsencode(path).decode("utf-8", "replace")] for path in self._paths]


def _list_files(folder: Path) -> Iterator[str]:
    """Yield the paths of the regular files below a folder, and of the links to such files.

    Raises:
        SeldonSpecError: a folder cannot be read.
    """
    folders = [(str(folder), "")]
    while folders:
        current, start = folders.pop()
        try:
            with os.scandir(current) as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        folders.append((entry.path, f"{start}{entry.name}/"))
                    elif entry.is_file():
                        yield f"{start}{entry.name}"
        except OSError as error:
            raise SeldonSpecError(f"{current} cannot be read: {error.strerror}") from None


def _find_size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # the request for it reports why
        return 0


def _read_file(root: Path, path: Path) -> bytes:
    """Return the bytes of a file.

    Raises:
        ValueError: it cannot be read, is too large, or is a link that leaves the folder.
    """
    try:
        target = path.resolve(strict=True)
        if not target.is_relative_to(root):
            raise ValueError(f"column {FILE}: the link leads out of the folder")
        if not target.is_file():
            raise ValueError(f"column {FILE}: it is no regular file")
        with target.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle, up to Python 3.12
        raise ValueError(f"column {FILE}: {getattr(error, 'strerror', None) or error}") from None
    if len(data) > MAX_FILE_BYTES:
        raise ValueError(f"column {FILE}: the file has more than {MAX_FILE_BYTES >> 20} MiB")
    return data

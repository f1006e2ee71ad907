"""A file that is written from its start to its end, and that can be continued after the process was killed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

from seldon_spec.errors import SeldonSpecError

_BUFFER_BYTES = 1 << 20


class OutputFile:
    """An output file; nothing is opened before ``create`` or ``resume``.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None

    def create(self) -> None:
        """Begin an empty file.

        Raises:
            SeldonSpecError: it cannot be written.
        """
        try:
            self._file = self._path.open("wb", _BUFFER_BYTES)
        except OSError as error:
            raise SeldonSpecError(f"{self._path} cannot be written: {error.strerror}") from None

    def resume(self, size: int) -> None:
        """Continue a file behind its first bytes.

        Args:
            size: how many bytes are kept.

        Raises:
            SeldonSpecError: it has fewer, or cannot be written.
        """
        try:
            file = self._path.open("r+b", _BUFFER_BYTES)
            found = file.seek(0, os.SEEK_END)
        except OSError as error:
            raise SeldonSpecError(f"{self._path} cannot be continued: {error.strerror}") from None
        if found < size:
            file.close()
            raise SeldonSpecError(f"{self._path} has {found} bytes, but {size} had been written: start it again")
        file.truncate(size)
        file.seek(size)
        self._file = file

    def write(self, data: bytes) -> None:
        """Add bytes."""
        assert self._file is not None
        self._file.write(data)

    def flush(self) -> int:
        """Write what is buffered to the disk; return the size of the file in bytes."""
        if self._file is None:
            return 0
        self._file.flush()
        os.fsync(self._file.fileno())
        return self._file.tell()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None


class TextOutput:
    """What the writers of all formats of text have in common; see ``Writer``.

    Args:
        path: of the output.
    """

    def __init__(self, path: Path) -> None:
        self._file = OutputFile(path)

    def flush(self) -> int:
        return self._file.flush()

    def finish(self) -> None:
        self._file.close()

    def close(self) -> None:
        self._file.close()

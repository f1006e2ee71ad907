"""The lines of a file, with the position behind each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from seldon_spec.batch.rows import MAX_REQUEST_BYTES
from seldon_spec.errors import SeldonSpecError

MAX_LINE_BYTES = 64 << 20

_CHUNK_BYTES = 1 << 20
_BOM = b"\xef\xbb\xbf"

Join = Callable[[list[bytes]], "tuple[list[bytes], bytes]"]
"""Joins lines that are one record; the second value is the start of a record whose end is missing."""


class LineReader:
    """Reads lines from a file, as many as are wanted.

    Args:
        path: of the file.
        join: of the format; None: each line is a record.
        keeps_blank: whether blank lines are returned too.

    Attributes:
        size: of the file, in bytes.
        position: where the next line begins, in bytes.

    Raises:
        SeldonSpecError: the file cannot be read.
    """

    def __init__(self, path: Path, join: Join | None = None, *, keeps_blank: bool = False) -> None:
        self._path = path
        self._join = join
        self._keeps_blank = keeps_blank
        try:
            self._file = path.open("rb")
            self.size = path.stat().st_size
        except OSError as error:
            raise SeldonSpecError(f"{path} cannot be read: {error.strerror}") from None
        self.seek(0)

    def seek(self, position: int) -> None:
        """Continue at a position; a byte order mark at the start is skipped."""
        if position == 0:
            self._file.seek(0)
            position = len(_BOM) if self._file.read(len(_BOM)) == _BOM else 0
        self._file.seek(position)
        self.position = position
        self._lines: list[bytes] = []
        self._next = 0
        self._rest = b""
        self._is_at_end = False
        self._has_returns = False
        self._unread = 0
        self._damage: SeldonSpecError | None = None

    def take(self, count: int) -> list[bytes] | None:
        """Return the next lines without their ends, at most ``count`` and about MAX_REQUEST_BYTES; None: the end.

        Blank lines are left out, unless the reader keeps them.

        Raises:
            SeldonSpecError: a line is too long, or a record has no end.
        """
        while True:
            while not self._is_at_end and self._needs_more(count):
                self._fill()
            found = self._lines[self._next : self._next + count]
            if not found:
                if self._damage is not None:
                    raise self._damage
                return None
            text = b"\n".join(found)
            if len(text) > MAX_REQUEST_BYTES:
                found = _cut(found)
                text = b"\n".join(found)
            self._next += len(found)
            self._unread -= len(text) + 1
            self.position = min(self.position + len(text) + 1, self.size)
            if self._has_returns:
                found = [line.removesuffix(b"\r") for line in found]
            has_blank = self._has_returns or b"\n\n" in text or text[:1] == b"\n" or text[-1:] in (b"\n", b"")
            if has_blank and not self._keeps_blank:
                found = [line for line in found if line]
            if found:
                return found

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _needs_more(self, count: int) -> bool:
        """Return whether there are fewer lines than wanted, and not enough bytes for a request."""
        found = len(self._lines) - self._next
        return found == 0 or (found < count and self._unread < MAX_REQUEST_BYTES)

    def _fill(self) -> None:
        """Read a part of the file."""
        data = self._file.read(_CHUNK_BYTES)
        self._unread += len(data)
        self._has_returns = self._has_returns or b"\r" in data
        if data:
            *lines, self._rest = (self._rest + data).split(b"\n")
        else:
            self._is_at_end = True
            lines, self._rest = [self._rest] if self._rest else [], b""
        if self._join is not None and lines and (b'"' in lines[0] or b'"' in data):
            lines, start = self._join(lines)
            if start and not data:
                self._end(f"the file ends within a quoted value: {start[:60].decode(errors='replace')!r}")
            elif start:
                self._rest = start + b"\n" + self._rest
        if len(self._rest) > MAX_LINE_BYTES:
            self._end(f"a line has more than {MAX_LINE_BYTES >> 20} MiB")
        self._lines = self._lines[self._next :] + lines
        self._next = 0

    def _end(self, damage: str) -> None:
        """Read no further; the lines before the damage are still returned."""
        self._is_at_end = True
        self._damage = SeldonSpecError(f"{self._path}: {damage}")


def _cut(lines: list[bytes]) -> list[bytes]:
    """Return the first lines, at least one, that together are small enough."""
    size = 0
    for index, line in enumerate(lines):
        size += len(line) + 1
        if index and size > MAX_REQUEST_BYTES:
            return lines[:index]
    return lines

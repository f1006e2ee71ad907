"""The file of the rows that have no prediction, with the reasons."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Protocol

from seldon_spec.batch.output_file import OutputFile
from seldon_spec.batch.rows import Rows


class FailureLog(Protocol):
    """Keeps the rows that have no prediction, in order."""

    def resume(self, size: int) -> None:
        """Continue behind the first ``size`` bytes, as ``flush`` returned it; 0: begin."""

    def add(self, number: int, rows: Rows, reason: str) -> None:
        """Add one row, after ``Writer.write`` had it without predictions.

        Args:
            number: of the row in the input, from 1.
            rows: the row.
            reason: why it has no prediction.
        """

    def flush(self) -> int:
        """Write what is buffered to the disk; return the size in bytes."""

    def close(self) -> None:
        """Close the log."""


class FailedRows:
    """A file of JSON Lines with the number, the reason and the values of each row; it begins with the first row.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = OutputFile(path)
        self._is_open = False

    def resume(self, size: int) -> None:
        """Continue the file, whose first ``size`` bytes are kept; 0: what it has is removed.

        Raises:
            SeldonSpecError: it is shorter, or cannot be written.
        """
        if size:
            self._file.resume(size)
            self._is_open = True
        else:
            self.path.unlink(missing_ok=True)

    def add(self, number: int, rows: Rows, reason: str) -> None:
        """Add one row; see ``FailureLog``."""
        if not self._is_open:
            self._file.create()
            self._is_open = True
        entry = {"row": number, "reason": reason, "data": _describe(rows)}
        self._file.write(json.dumps(entry, ensure_ascii=False, default=str).encode("utf-8", "backslashreplace") + b"\n")

    def flush(self) -> int:
        """Write what is buffered to the disk; return the size of the file in bytes."""
        return self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _describe(rows: Rows) -> Any:
    """Return the values of a row by its columns, or its line if it cannot be read."""
    (record,) = rows.to_records()
    if rows.lines is not None and all(value is None for value in record):
        return rows.lines[0].decode("utf-8", "replace")
    return dict(zip(rows.names, record, strict=True))

"""Lines of JSON, each with its number and an ID of its own."""

from __future__ import annotations

import random
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from seldon_spec.batch.json_lines import JsonLinesRows
from seldon_spec.batch.line_reader import LineReader


class NumberedLines(JsonLinesRows):
    """Consecutive lines; see ``Rows``.

    Args:
        lines: without their ends.
        first: the number of the first one, from 0.
        ids: of each.
        request_id: of a request with all of them.
    """

    __slots__ = ("first", "ids", "request_id")

    def __init__(self, lines: Sequence[bytes], first: int, ids: Sequence[str], request_id: str) -> None:
        super().__init__(lines, None, ())
        self.first = first
        self.ids = ids
        self.request_id = request_id

    def part(self, start: int, stop: int) -> NumberedLines:
        ids = self.ids[start:stop]
        return NumberedLines(
            self.lines[start:stop], self.first + start, ids, ids[0] if len(ids) == 1 else self.request_id
        )

    def list_tags(self, batch_id: str) -> list[dict[str, Any]]:
        """Return what identifies each line in an output."""
        return [
            {"batch_id": batch_id, "batch_instance_id": each, "batch_index": self.first + index}
            for index, each in enumerate(self.ids)
        ]


class NumberedLinesReader:
    """Reads every line of a file, blank ones too; see ``Reader``. The position is one of bytes.

    Args:
        path: of the file.

    Raises:
        SeldonSpecError: the file cannot be read.
    """

    max_rows = None
    columns: Sequence[str] = ()

    def __init__(self, path: Path) -> None:
        self._lines = LineReader(path, keeps_blank=True)
        self._next = 0
        self.size = self._lines.size

    @property
    def position(self) -> int:
        return self._lines.position

    def seek(self, position: int) -> None:
        self._lines.seek(position)

    def number_from(self, number: int) -> None:
        """Give the next line this number."""
        self._next = number

    def read(self, count: int) -> NumberedLines | None:
        lines = self._lines.take(count)
        if lines is None:
            return None
        request_id = str(uuid.UUID(int=random.getrandbits(128), version=4))
        ids = [request_id] if len(lines) == 1 else [f"{request_id}-item-{index}" for index in range(len(lines))]
        first, self._next = self._next, self._next + len(lines)
        return NumberedLines(lines, first, ids, request_id)

    def close(self) -> None:
        self._lines.close()

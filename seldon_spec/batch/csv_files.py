"""CSV files: rows with the types of their columns, and predictions beside the lines of the input."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seldon_spec.batch.columns import select_columns
from seldon_spec.batch.csv_cells import (
    Kind,
    convert,
    find_delimiter,
    find_kind,
    is_number,
    join_quoted,
    kind_of,
    split,
)
from seldon_spec.batch.declared import NOTHING_DECLARED, DeclaredColumns
from seldon_spec.batch.line_reader import LineReader
from seldon_spec.batch.messages import message_of_columns
from seldon_spec.batch.number_text import read_rows
from seldon_spec.batch.output_file import TextOutput
from seldon_spec.batch.predictions import Predictions
from seldon_spec.batch.rows import Rows
from seldon_spec.errors import SeldonSpecError
from seldon_spec.inference.message import Message, PayloadType

_SAMPLE_ROWS = 1000
_NUMBER_BYTES = b"0123456789.-eE"
"""What numbers in JSON consist of."""


@dataclass(frozen=True, slots=True)
class CsvColumns:
    """The columns of a file.

    Attributes:
        delimiter: of the cells.
        names: of all columns.
        kinds: of all columns.
        sent: the positions of those that are sent.
        has_names: whether the file names them.
    """

    delimiter: str
    names: list[str]
    kinds: list[Kind]
    sent: list[int]
    has_names: bool

    @property
    def are_numbers(self) -> bool:
        """Whether the lines are sent as they are."""
        is_whole = self.sent == list(range(len(self.names)))
        return is_whole and self.delimiter == "," and set(self.kinds) == {Kind.NUMBER}


class CsvRows:
    """Rows of a CSV file; see ``Rows``."""

    __slots__ = ("columns", "lines")

    def __init__(self, columns: CsvColumns, lines: list[bytes]) -> None:
        self.columns = columns
        self.lines = lines

    @property
    def names(self) -> Sequence[str]:
        return self.columns.names

    def __len__(self) -> int:
        return len(self.lines)

    def part(self, start: int, stop: int) -> CsvRows:
        return CsvRows(self.columns, self.lines[start:stop])

    def to_numbers(self) -> Sequence[bytes] | None:
        if not self.columns.are_numbers:
            return None
        text = b"\n%b\n" % b"\n".join(self.lines)
        delimiters = (b"," * (len(self.columns.names) - 1) + b"\n") * len(self.lines)
        is_complete = not (b",," in text or b"\n," in text or b",\n" in text)
        return self.lines if is_complete and text.translate(None, _NUMBER_BYTES) == b"\n" + delimiters else None

    def to_number_records(self) -> Sequence[bytes] | None:
        return self.to_numbers()

    def to_message(self) -> Message:
        names = self.columns.names
        sent = [names[index] for index in self.columns.sent] if self.columns.has_names else []
        numbers = self.to_numbers()
        array = None if numbers is None else read_rows(numbers)
        if array is not None:
            return Message(PayloadType.ARRAY, array, sent)
        cells = self._list_cells()
        columns = [convert(cells[index], self.columns.kinds[index], names[index]) for index in self.columns.sent]
        return message_of_columns(sent, columns)

    def to_records(self) -> list[list[Any]]:
        try:
            cells = self._list_cells()
            columns = list(map(convert, cells, self.columns.kinds, self.names))
        except ValueError:
            if len(self.lines) == 1:
                return [[None] * len(self.names)]
            return [record for index in range(len(self)) for record in self.part(index, index + 1).to_records()]
        return [list(record) for record in zip(*columns, strict=True)]

    def _list_cells(self) -> list[tuple[str, ...]]:
        """Return the cells of each column.

        Raises:
            ValueError: a row has more or fewer.
        """
        records = split(self.lines, self.columns.delimiter)
        count = len(self.columns.names)
        for record in records:
            if len(record) != count:
                raise ValueError(f"the row has {len(record)} values for {count} columns")
        return list(zip(*records, strict=True))


class CsvReader:
    """Reads a CSV file; see ``Reader``. The position is one of bytes.

    Args:
        path: of the file; its first 1000 rows decide the types of columns whose datatype is not declared.
        columns: the names of those that are sent; None: all.
        declared: of the model.
        has_header: whether the first row names the columns; None: unless it consists of numbers.

    Raises:
        SeldonSpecError: the file cannot be read, is empty, or has no such column.
    """

    max_rows = None

    def __init__(
        self,
        path: Path,
        *,
        columns: Sequence[str] | None = None,
        has_header: bool | None = None,
        declared: DeclaredColumns = NOTHING_DECLARED,
    ) -> None:
        self._lines = LineReader(path, join_quoted)
        self.size = self._lines.size
        try:
            self._columns = self._read_columns(path, columns, declared, has_header=has_header)
        except BaseException:
            self._lines.close()
            raise
        self.columns = [self._columns.names[index] for index in self._columns.sent] if self._columns.has_names else []

    @property
    def position(self) -> int:
        return self._lines.position

    def seek(self, position: int) -> None:
        self._lines.seek(position)

    def read(self, count: int) -> Rows | None:
        lines = self._lines.take(count)
        return None if lines is None else CsvRows(self._columns, lines)

    def close(self) -> None:
        self._lines.close()

    def _read_columns(
        self, path: Path, columns: Sequence[str] | None, declared: DeclaredColumns, *, has_header: bool | None
    ) -> CsvColumns:
        head = self._lines.take(1)
        if head is None:
            raise SeldonSpecError(f"{path} is empty")
        try:
            first = head[0].decode()
            delimiter = find_delimiter(first)
            (names,) = split(head, delimiter)
            if has_header is None:
                has_header = not all(map(is_number, names))
            start = self._lines.position if has_header else 0
            if not has_header:
                names = [f"x{index}" for index in range(len(names))]
                self._lines.seek(0)
            sample = split(self._lines.take(_SAMPLE_ROWS) or [], delimiter, errors="replace")
        except ValueError as error:
            raise SeldonSpecError(f"{path}: {error}") from None
        self._lines.seek(start)
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise SeldonSpecError(f"{path}: two columns have the name {twice!r:.100}")
        rows = [row for row in sample if len(row) == len(names)]
        sent = select_columns(path, names, columns)
        kinds = [find_kind([row[index] for row in rows]) for index in range(len(names))]
        for index in sent:
            datatype = declared.find_datatype(names[index])
            kinds[index] = kinds[index] if datatype is None else kind_of(datatype)
        return CsvColumns(delimiter, names, kinds, sent, has_header)


class CsvWriter(TextOutput):
    """Writes a CSV file, with tabs if its name ends with ``.tsv``; see ``Writer``.

    The lines of a CSV file are kept as they are.
    """

    def __init__(self, path: Path) -> None:
        self._delimiter = "\t" if path.suffix == ".tsv" else ","
        super().__init__(path)
        self._predicted = 0

    def start(self, names: Sequence[str], predicted: Sequence[str]) -> None:
        self._predicted = len(predicted)
        self._file.create()
        self._file.write(self._format([[*names, *predicted]]))

    def resume(self, names: Sequence[str], predicted: Sequence[str], size: int) -> None:  # noqa: ARG002
        self._predicted = len(predicted)
        self._file.resume(size)

    def write(self, rows: Rows, predictions: Predictions | None) -> None:
        texts = self._write_predictions(len(rows), predictions)
        lines = self._write_rows(rows, is_whole=predictions is not None)
        parts = [b"", self._delimiter.encode(), b"", b"\n"] * len(rows)  # joined faster than row by row
        parts[::4], parts[2::4] = lines, texts
        self._file.write(b"".join(parts))

    def _write_predictions(self, count: int, predictions: Predictions | None) -> list[bytes]:
        """Return the cells of the predictions of each row."""
        delimiter = self._delimiter.encode()
        if predictions is None:
            return [delimiter * (self._predicted - 1)] * count
        texts = predictions.to_texts(missing=b"")
        if texts is None:
            return [self._format([record])[:-1] for record in predictions.to_records()]
        return texts if delimiter == b"," else [text.replace(b",", delimiter) for text in texts]

    def _write_rows(self, rows: Rows, *, is_whole: bool) -> Sequence[bytes]:
        """Return the cells of each row of the input; one with too few cells gets empty ones."""
        if not isinstance(rows, CsvRows) or rows.columns.delimiter != self._delimiter:
            return [self._format([record])[:-1] for record in rows.to_records()]
        if is_whole:
            return rows.lines
        cells = [split([line], self._delimiter, errors="replace")[0] for line in rows.lines]
        return [
            line + self._delimiter.encode() * (len(rows.names) - len(row))
            for line, row in zip(rows.lines, cells, strict=True)
        ]

    def _format(self, records: Sequence[Sequence[Any]]) -> bytes:
        text = io.StringIO()
        writer = csv.writer(text, delimiter=self._delimiter, lineterminator="\n")
        writer.writerows([[_to_cell(value) for value in record] for record in records])
        return text.getvalue().encode("utf-8", "surrogatepass")


def _to_cell(value: Any) -> Any:
    if isinstance(value, (list, dict)):
        return json.dumps(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return value

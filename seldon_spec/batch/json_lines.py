"""JSON Lines: each line is an array, an object with named columns, a number, a truth value or text."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

from seldon_spec.batch.columns import select_columns
from seldon_spec.batch.json_text import write_json
from seldon_spec.batch.line_reader import LineReader
from seldon_spec.batch.messages import message_of_rows, message_of_values
from seldon_spec.batch.number_text import read_rows
from seldon_spec.batch.output_file import TextOutput
from seldon_spec.batch.predictions import Predictions
from seldon_spec.batch.rows import DATA, Rows
from seldon_spec.errors import PayloadError, SeldonSpecError, short_repr
from seldon_spec.inference.arrays import MAX_DEPTH, check_depth
from seldon_spec.inference.message import Message, PayloadType

_FIRST_LINES = 100
"""In how many lines a reader looks for the first valid one, which decides what the rows are."""

_NUMBER = b"0123456789+-.eE \t\r"


class JsonLinesReader:
    """Reads the rows of a file of JSON Lines.

    The first valid line decides what the rows are. An object has the names and the order of the columns. Of any other
    row, the whole value is sent.

    Args:
        path: of the file; it is UTF-8, and blank lines are skipped.
        columns: the members of the objects that are sent, in this order; None: all.

    Raises:
        SeldonSpecError: the file cannot be read, has no valid line among the first ones, or has no such columns.
    """

    max_rows: int | None = None

    def __init__(self, path: Path, *, columns: Sequence[str] | None = None) -> None:
        self._lines = LineReader(path)
        try:
            self._names = self._find_names(path)
            self.columns = _select(path, self._names, columns)
        except BaseException:
            self.close()
            raise
        self.size = self._lines.size

    @property
    def position(self) -> int:
        return self._lines.position

    def seek(self, position: int) -> None:
        self._lines.seek(position)

    def read(self, count: int) -> JsonLinesRows | None:
        while (lines := self._lines.take(count)) is not None:
            if found := _drop_blank(lines):
                return JsonLinesRows(found, self._names, self.columns)
        return None

    def close(self) -> None:
        self._lines.close()

    def _find_names(self, path: Path) -> Sequence[str] | None:
        """Return the members of the first object; None: the rows are no objects, or there are none."""
        start = self.position
        lines: list[bytes] = []
        while len(lines) < _FIRST_LINES and (found := self._lines.take(1)) is not None:
            lines += _drop_blank(found)
            try:
                value = _parse(lines[-1]) if lines else None
            except ValueError:
                continue
            if value is None:
                continue
            if value == {}:
                raise SeldonSpecError(f"{path}: the first object has no members, and these are the columns")
            self.seek(start)
            return list(value) if isinstance(value, dict) else None
        if lines:
            reason = _find_reason(lines[0])
            raise SeldonSpecError(f"{path} is no file of JSON Lines: none of the first lines has a value: {reason}")
        self.seek(start)
        return None


class JsonLinesRows:
    """Consecutive lines.

    Args:
        lines: without their ends.
        members: the names of the columns; None: the rows are no objects.
        columns: those that are sent.
    """

    __slots__ = ("_columns", "_members", "lines")

    def __init__(self, lines: Sequence[bytes], members: Sequence[str] | None, columns: Sequence[str]) -> None:
        self.lines = lines
        self._members = members
        self._columns = columns

    @property
    def names(self) -> Sequence[str]:
        return [DATA] if self._members is None else self._members

    @property
    def has_objects(self) -> bool:
        """Whether the rows are objects."""
        return self._members is not None

    def __len__(self) -> int:
        return len(self.lines)

    def part(self, start: int, stop: int) -> JsonLinesRows:
        return JsonLinesRows(self.lines[start:stop], self._members, self._columns)

    def to_numbers(self) -> Sequence[bytes] | None:
        if self._members is not None:
            return None
        text = b"\n".join(self.lines)
        marks = text.translate(None, _NUMBER)
        first = marks.partition(b"\n")[0]
        if first != b"[%b]" % (b"," * (len(first) - 2)) or not text.startswith(b"[") or not text.endswith(b"]"):
            return None
        if marks != b"\n".join([first] * len(self.lines)):
            return None
        texts = text[1:-1].split(b"]\n[")
        return texts if len(texts) == len(self.lines) and all(texts) else None

    def to_number_records(self) -> Sequence[bytes] | None:
        return None

    def to_message(self) -> Message:
        numbers = self.to_numbers()
        array = None if numbers is None else read_rows(numbers)
        if array is not None:
            return Message(PayloadType.ARRAY, array)
        values = [_parse(line) for line in self.lines]
        if self._members is None:
            for value in values:
                if value is None or isinstance(value, dict):
                    raise ValueError("the row is null" if value is None else "the row is an object, the first is not")
            return message_of_values(values)
        known = frozenset(self._members)
        for value in values:
            if not isinstance(value, dict):
                raise ValueError(f"the row is no object, but the first one is: {short_repr(value, 60)}")
            if not known.issuperset(value):
                unknown = next(name for name in value if name not in known)
                raise ValueError(f"the column {short_repr(unknown, 60)} is not in the first row")
        if len(self._columns) == 1 and all(isinstance(value.get(self._columns[0]), list) for value in values):
            return message_of_values([value[self._columns[0]] for value in values])
        return message_of_rows(self._columns, [[value.get(name) for name in self._columns] for value in values])

    def to_records(self) -> list[list[Any]]:
        return [self._read_record(line) for line in self.lines]

    def _read_record(self, line: bytes) -> list[Any]:
        try:
            value = _parse(line)
        except ValueError:
            value = None
        if self._members is None:
            return [value]
        return [value.get(name) for name in self._members] if isinstance(value, dict) else [None] * len(self._members)


class JsonLinesWriter(TextOutput):
    """Writes a line with an object for each row: the columns of the input, then those of the prediction.

    A line of JSON Lines is kept as it is: the members of its object, or its value as the member ``data``.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._predicted: Sequence[str] = ()
        self._template = b""

    def start(self, names: Sequence[str], predicted: Sequence[str]) -> None:  # noqa: ARG002
        self._set_names(predicted)
        self._file.create()

    def resume(self, names: Sequence[str], predicted: Sequence[str], size: int) -> None:  # noqa: ARG002
        self._set_names(predicted)
        self._file.resume(size)

    def write(self, rows: Rows, predictions: Predictions | None) -> None:
        heads = self._write_heads(rows, is_valid=predictions is not None)
        lines = [head + tail for head, tail in zip(heads, self._write_tails(len(rows), predictions), strict=True)]
        self._file.write(b"".join(lines))

    def _set_names(self, predicted: Sequence[str]) -> None:
        self._predicted = predicted
        self._template = b",".join(map(_name_member, predicted)) + b"}\n"

    def _write_heads(self, rows: Rows, *, is_valid: bool) -> list[bytes]:
        """Return the object of each row up to the members of its prediction.

        Args:
            rows: the rows.
            is_valid: whether each line has a value, as the model returned a prediction for it.
        """
        if not isinstance(rows, JsonLinesRows):
            numbers = rows.to_number_records()
            if numbers is not None:
                template = b"{%b," % b",".join([_name_member(name) for name in rows.names])
                return [template % tuple(text.split(b",")) for text in numbers]
            return [self._write_head(rows.names, record) for record in rows.to_records()]
        if is_valid and not rows.has_objects:
            head = b'{"%b":' % DATA.encode()
            return [head + line + b"," for line in rows.lines]
        if is_valid:
            return [self._splice(line) for line in rows.lines]
        return [self._write_failed(rows.part(index, index + 1)) for index in range(len(rows))]

    def _write_failed(self, row: JsonLinesRows) -> bytes:
        """Return the head of a row whose line may be anything."""
        try:
            value = _parse(row.lines[0])
        except ValueError:
            value = None
        if row.has_objects and isinstance(value, dict) and not any(name in value for name in self._predicted):
            return self._splice(row.lines[0])
        return self._write_head(row.names, row.to_records()[0])

    def _write_head(self, names: Sequence[str], record: Sequence[Any]) -> bytes:
        return self._splice(write_json(dict(zip(names, record, strict=True))))

    def _splice(self, line: bytes) -> bytes:
        """Return an object without its end, for further members."""
        head = line.rstrip()[:-1].rstrip()
        return head if head.endswith(b"{") else head + b","

    def _write_tails(self, count: int, predictions: Predictions | None) -> list[bytes]:
        """Return the members of the predictions, and the end of their objects."""
        width = len(self._predicted)
        if predictions is None:
            return [self._template % ((b"null",) * width)] * count
        texts = predictions.to_texts()
        if texts is None:
            records = predictions.to_records()
            if any(len(record) != width for record in records):
                raise ValueError(f"a prediction has not {width} values")
            return [self._template % tuple(map(write_json, record)) for record in records]
        if width == 1:
            return [self._template % text for text in texts]
        return [self._template % tuple(text.split(b",")) for text in texts]


def _name_member(name: str) -> bytes:
    """Return the template of a member of an object."""
    return orjson.dumps(name).replace(b"%", b"%%") + b":%b"


def _drop_blank(lines: list[bytes]) -> list[bytes]:
    return [line for line in lines if not line.isspace()]


def _parse(line: bytes) -> Any:
    """Return the value of a line; NaN and Infinity are numbers, as Python's own writer has them.

    Raises:
        ValueError: it is not JSON, or nested too deeply.
    """
    try:
        value = _load(line)
        if line.count(b"[") + line.count(b"{") > MAX_DEPTH:
            check_depth(value)
    except (RecursionError, PayloadError):
        raise ValueError(f"the row is nested more than {MAX_DEPTH} levels deep") from None
    except ValueError as error:
        raise ValueError(f"the row is not JSON: {_shorten(error)}") from None
    return value


def _load(line: bytes) -> Any:
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:
        return json.loads(line)


def _shorten(error: ValueError) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at character {error.pos + 1}"
    return "it is not UTF-8" if isinstance(error, UnicodeError) else str(error)


def _find_reason(line: bytes) -> str:
    try:
        _parse(line)
    except ValueError as error:
        return str(error)
    return "the row is null"


def _select(path: Path, names: Sequence[str] | None, wanted: Sequence[str] | None) -> Sequence[str]:
    """Return the names of the columns that are sent.

    Raises:
        SeldonSpecError: the file has no such column.
    """
    if wanted is not None and names is None:
        raise SeldonSpecError(f"{path} has no names of columns: its rows are no objects")
    return [] if names is None else [names[index] for index in select_columns(path, names, wanted)]

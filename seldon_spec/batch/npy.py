"""Files of numpy: an array whose first axis is the rows."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from seldon_spec.batch.messages import write_number_rows
from seldon_spec.batch.output_file import OutputFile
from seldon_spec.batch.predictions import Predictions
from seldon_spec.batch.rows import MAX_REQUEST_BYTES, Rows
from seldon_spec.errors import SeldonSpecError
from seldon_spec.inference.arrays import Array
from seldon_spec.inference.message import Message, PayloadType

ROW = "row"
"""The column of the output for a row of more than one dimension: its number, from 0."""

_TYPES = frozenset("biufSU")
_MAX_NUMBER_BYTES = 8
_MAPPED_BYTES = 64 << 20
"""How much is read before the file is mapped anew, so that the pages behind do not count as this process's memory."""

_MAX_COLUMNS = 2
_ZIP = b"PK\x03\x04"
_HEADER_BYTES = 128
_ITEM_BYTES = 8


class NpyReader:
    """Reads the rows of an array.

    Args:
        path: of the file; its array has at least one dimension, and numbers, truth values or text of fixed width.

    Raises:
        SeldonSpecError: the file cannot be read, or has another array.
    """

    columns: Sequence[str] = ()
    max_rows: int | None = None

    def __init__(self, path: Path) -> None:
        self._path = path
        self._array = self._open()
        if self._array.ndim == 0:
            raise SeldonSpecError(f"{path} has one value without dimensions: the first dimension is that of the rows")
        dtype = self._array.dtype
        is_wide = dtype.kind in "iuf" and dtype.itemsize > _MAX_NUMBER_BYTES
        if dtype.kind not in _TYPES or is_wide:
            raise SeldonSpecError(f"{path} has values of type {dtype}, which cannot be sent")
        self.size = len(self._array)
        self.position = 0
        self._row_bytes = max(1, self._array.nbytes // max(1, self.size))
        self._read_bytes = 0
        width = 1 if self._array.ndim == 1 else self._array.shape[1]
        is_table = self._array.ndim <= _MAX_COLUMNS
        self._names: Sequence[str] = [f"x{index}" for index in range(width)] if is_table else [ROW]

    def seek(self, position: int) -> None:
        self.position = position

    def read(self, count: int) -> NpyRows | None:
        stop = min(self.position + max(1, min(count, MAX_REQUEST_BYTES // self._row_bytes)), self.size)
        if stop <= self.position:
            return None
        part = self._array[self.position : stop]
        values = np.array(part, dtype=part.dtype.newbyteorder("="), order="C", subok=False)
        self._read_bytes += values.nbytes
        if self._read_bytes > _MAPPED_BYTES:
            self._array = self._open()
            self._read_bytes = 0
        rows = NpyRows(self._names, values, self.position)
        self.position = stop
        return rows

    def close(self) -> None:
        self._array = np.empty(0)

    def _open(self) -> Array:
        try:
            with self._path.open("rb") as file:
                start = file.read(len(np.lib.format.MAGIC_PREFIX))
            if start.startswith(_ZIP):
                raise SeldonSpecError(f"{self._path} has several arrays: save one of them with numpy.save, as .npy")
            if start != np.lib.format.MAGIC_PREFIX:
                raise SeldonSpecError(f"{self._path} is no file of numpy")
            found: Array = np.load(self._path, mmap_mode="r", allow_pickle=False)
        except OSError as error:
            raise SeldonSpecError(f"{self._path} cannot be read: {error.strerror or error}") from None
        except (ValueError, EOFError, SyntaxError) as error:
            raise SeldonSpecError(f"{self._path} is damaged, or has no array of numbers or text: {error}") from None
        return found


class NpyRows:
    """Consecutive rows of an array.

    Args:
        names: of the columns of the output.
        values: the rows, in memory of their own.
        start: the number of the first row.
    """

    __slots__ = ("_start", "_values", "names")

    lines = None

    def __init__(self, names: Sequence[str], values: Array, start: int) -> None:
        self.names = names
        self._values = values
        self._start = start

    def __len__(self) -> int:
        return len(self._values)

    def part(self, start: int, stop: int) -> NpyRows:
        return NpyRows(self.names, self._values[start:stop], self._start + start)

    def to_numbers(self) -> Sequence[bytes] | None:
        return write_number_rows(self._values) if self._values.ndim == _MAX_COLUMNS else None

    def to_message(self) -> Message:
        return Message(PayloadType.ARRAY, _decode(self._values) if self._values.dtype.kind == "S" else self._values)

    def to_number_records(self) -> Sequence[bytes] | None:
        return write_number_rows(self._values) if self._values.ndim == _MAX_COLUMNS else None

    def to_records(self) -> list[list[Any]]:
        if self._values.ndim > _MAX_COLUMNS:
            return [[self._start + index] for index in range(len(self))]
        if self._values.dtype.kind == "S":
            texts = np.char.decode(self._values, "utf-8", "replace")
            return texts.reshape(len(self), -1).tolist()
        return self._values.reshape(len(self), -1).tolist()


class NpyWriter:
    """Writes an array of float64 with a row for each prediction; a row without one has NaN.

    The array has one dimension if a prediction is one value, else two. Integers are float64 as well, because only a
    float can be NaN. The columns of the input are not written. ``numpy.load`` reads the file after each ``flush``.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = OutputFile(path)
        self._width = 1

    def start(self, names: Sequence[str], predicted: Sequence[str]) -> None:  # noqa: ARG002
        self._width = len(predicted)
        self._file.create()
        self._file.write(self._write_header(0))

    def resume(self, names: Sequence[str], predicted: Sequence[str], size: int) -> None:  # noqa: ARG002
        self._width = len(predicted)
        self._file.resume(size)

    def write(self, rows: Rows, predictions: Predictions | None) -> None:
        values = np.full((len(rows), self._width), np.nan) if predictions is None else self._read_numbers(predictions)
        self._file.write(values.astype("<f8").tobytes())

    def flush(self) -> int:
        size = self._file.flush()
        if size:  # else it was not started
            self._update_header(size)
        return size

    def finish(self) -> None:
        self.flush()
        self._file.close()

    def close(self) -> None:
        self._file.close()

    def _read_numbers(self, predictions: Predictions) -> Array:
        """Return predictions as an array of the shape (rows, columns).

        Raises:
            ValueError: they are no numbers.
        """
        try:
            records = predictions.to_array()
            if records is None or records.dtype == object:  # with None among the numbers
                rows = predictions.to_records()
                if any(isinstance(value, str) for row in rows for value in row):
                    raise TypeError
                records = np.array(rows, dtype=np.float64)
            return records.astype(np.float64).reshape(len(predictions), self._width)
        except (TypeError, ValueError, OverflowError):
            raise ValueError(
                f"{self._path} holds numbers only, and a prediction has text or lists: write a .csv or .jsonl file"
            ) from None

    def _write_header(self, count: int) -> bytes:
        """Return a header of fixed length; its format is that of ``numpy.lib.format``, version 1.0."""
        shape = f"({count},)" if self._width == 1 else f"({count}, {self._width})"
        text = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}"
        start = np.lib.format.magic(1, 0) + struct.pack("<H", _HEADER_BYTES - 10)
        return start + text.ljust(_HEADER_BYTES - len(start) - 1).encode() + b"\n"

    def _update_header(self, size: int) -> None:
        count = (size - _HEADER_BYTES) // (_ITEM_BYTES * self._width)
        try:
            with self._path.open("r+b") as file:
                file.write(self._write_header(count))
        except OSError as error:
            raise SeldonSpecError(f"{self._path} cannot be written: {error.strerror}") from None


def _decode(values: Array) -> Array:
    """Return bytes of fixed width as text.

    Raises:
        ValueError: they are not UTF-8.
    """
    try:
        return np.char.decode(values, "utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"a text is not UTF-8: {error.object[:60]!r}") from None

"""Rows of Parquet files, and what is sent for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from seldon_spec.batch.arrow import import_arrow, is_bytes, is_list, lists_to_array, to_numbers, to_values
from seldon_spec.batch.messages import message_of_bytes, message_of_columns, message_of_values, write_number_rows
from seldon_spec.inference.arrays import Array
from seldon_spec.inference.message import Message, PayloadType


class ParquetRows:
    """Consecutive rows of a Parquet file.

    Args:
        arrow: the module.
        batch: the rows, with all columns, as a ``pyarrow.RecordBatch``.
        sent: the positions of the columns that are sent.
    """

    __slots__ = ("_arrow", "_sent", "batch")

    lines = None

    def __init__(self, arrow: Any, batch: Any, sent: Sequence[int]) -> None:
        self._arrow = arrow
        self.batch = batch
        self._sent = sent

    def __reduce__(self) -> tuple[Any, ...]:
        sink = self._arrow.BufferOutputStream()
        with self._arrow.ipc.new_stream(sink, self.batch.schema) as stream:
            stream.write_batch(self.batch)  # these rows alone: a pickled batch has those that it is a slice of
        return _restore, (sink.getvalue().to_pybytes(), self._sent)

    @property
    def names(self) -> Sequence[str]:
        return self.batch.schema.names  # type: ignore[no-any-return]

    def __len__(self) -> int:
        return self.batch.num_rows  # type: ignore[no-any-return]

    def part(self, start: int, stop: int) -> ParquetRows:
        return ParquetRows(self._arrow, self.batch.slice(start, stop - start), self._sent)

    def to_numbers(self) -> Sequence[bytes] | None:
        array = self._to_array()
        return None if array is None else write_number_rows(array)

    def to_message(self) -> Message:
        columns = [self.batch.column(index) for index in self._sent]
        names = [self.names[index] for index in self._sent]
        is_alone = len(columns) == 1
        if is_alone and is_bytes(self._arrow, columns[0].type):
            return message_of_bytes(self._list_present(names[0], columns[0].to_pylist()))
        array = self._to_array()
        if is_alone and is_list(self._arrow, columns[0].type):
            if array is not None:
                return Message(PayloadType.ARRAY, array)
            try:
                return message_of_values(self._list_present(names[0], to_values(self._arrow, columns[0])))
            except ValueError as error:
                raise ValueError(f"column {names[0]}: {error}") from None
        if array is not None:
            return Message(PayloadType.ARRAY, array, names)
        return message_of_columns(names, [to_values(self._arrow, column) for column in columns])

    def to_number_records(self) -> Sequence[bytes] | None:
        return None

    def to_records(self) -> list[list[Any]]:
        columns = [to_values(self._arrow, column) for column in self.batch.columns]
        return [list(record) for record in zip(*columns, strict=True)]

    def _to_array(self) -> Array | None:
        """Return the columns that are sent as an array of numbers of two dimensions; None: they are others."""
        columns = [self.batch.column(index) for index in self._sent]
        if len(columns) == 1 and is_list(self._arrow, columns[0].type):
            return lists_to_array(self._arrow, columns[0])
        found = []
        for column in columns:
            numbers = to_numbers(self._arrow, column)
            if numbers is None:
                return None
            found.append(numbers)
        if any(numbers.dtype.kind == "f" for numbers in found):
            return np.stack([numbers.astype(np.float64) for numbers in found], axis=1)
        dtype = np.result_type(np.int64, *found)
        return np.stack(found, axis=1).astype(dtype) if dtype == np.int64 else None

    def _list_present(self, name: str, values: list[Any]) -> list[Any]:
        """Return the values.

        Raises:
            ValueError: one is missing.
        """
        if None in values:
            raise ValueError(f"column {name}: the value is missing")
        return values


def _restore(stream: bytes, sent: Sequence[int]) -> ParquetRows:
    arrow = import_arrow("the input")
    with arrow.ipc.open_stream(stream) as batches:
        return ParquetRows(arrow, batches.read_next_batch(), sent)

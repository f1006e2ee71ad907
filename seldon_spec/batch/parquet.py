"""Parquet files.

A Parquet file has its index at the end, so a run that was killed would leave nothing that can be read or continued.
During a run the rows are therefore in ``OUTPUT.partial``: a sequence of complete streams of Arrow, one for each block.
It can be cut behind any of them. At the end, the file is made of it.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path
from typing import Any

import orjson

from seldon_spec.batch.arrow import import_arrow, is_bytes, is_list
from seldon_spec.batch.columns import select_columns
from seldon_spec.batch.json_text import write_json
from seldon_spec.batch.output_file import OutputFile
from seldon_spec.batch.parquet_rows import ParquetRows
from seldon_spec.batch.predictions import Predictions
from seldon_spec.batch.rows import MAX_REQUEST_BYTES, Rows
from seldon_spec.errors import SeldonSpecError

_BATCH_BYTES = 4 << 20
_MAX_BATCH_ROWS = 8192
_BUFFER_BYTES = 1 << 20

_BLOCK_BYTES = 4 << 20
_GROUP_BYTES = 32 << 20
_GROUP_ROWS = 1 << 20
_MAX_INTEGER = 2**63 - 1
_NULL = type(None)
_RECORDS = b"seldon_spec.records"
"""Marks the column of a block that has the JSON of rows of another format."""


class ParquetReader:
    """Reads the rows of a Parquet file, a part of a row group at a time.

    One column of lists that is sent alone is an array; one of bytes is sent as bytes.

    Args:
        path: of the file.
        columns: the names of the columns that are sent, in this order; None: all.

    Raises:
        SeldonSpecError: pyarrow is not installed, or the file cannot be read, has no such column, or has a column of
            bytes among those that are sent.
    """

    max_rows: int | None = None

    def __init__(self, path: Path, *, columns: Sequence[str] | None = None) -> None:
        self._path = path
        self._arrow = import_arrow(path)
        self._file = self._open()
        try:
            metadata = self._file.metadata
            schema = self._file.schema_arrow
            names = list(schema.names)
            twice = next((name for name in names if names.count(name) > 1), None)
            if twice is not None:
                raise SeldonSpecError(f"{path}: two columns have the name {twice!r:.100}")
            self._sent = select_columns(path, names, columns)
            kinds = [schema.field(index).type for index in self._sent]
            self._check_bytes(names, kinds)
        except BaseException:
            self.close()
            raise
        groups = [metadata.row_group(index) for index in range(metadata.num_row_groups)]
        self._starts = list(accumulate((group.num_rows for group in groups), initial=0))
        self.size = self._starts[-1]
        row_bytes = sum(group.total_byte_size for group in groups) // max(1, self.size)
        self._batch_rows = max(1, min(_MAX_BATCH_ROWS, _BATCH_BYTES // max(1, row_bytes)))
        is_array = len(kinds) == 1 and (is_list(self._arrow, kinds[0]) or is_bytes(self._arrow, kinds[0]))
        self.columns: Sequence[str] = () if is_array else [names[index] for index in self._sent]
        self.seek(0)

    def seek(self, position: int) -> None:
        self.position = position
        group = min(bisect_right(self._starts, position) - 1, len(self._starts) - 2)
        self._skipped = position - self._starts[group] if group >= 0 else 0
        self._batches = self._read_batches(max(0, group))
        self._batch: Any = None

    def read(self, count: int) -> ParquetRows | None:
        while self._batch is None or not self._batch.num_rows:
            batch = next(self._batches, None)
            if batch is None:
                return None
            start = min(self._skipped, batch.num_rows)
            self._skipped -= start
            self._batch = batch.slice(start)
        count = min(count, self._batch.num_rows)
        while count > 1 and self._batch.slice(0, count).nbytes > MAX_REQUEST_BYTES:
            count = (count + 1) // 2
        rows = ParquetRows(self._arrow, self._batch.slice(0, count), self._sent)
        self._batch = self._batch.slice(count)
        self.position += count
        return rows

    def close(self) -> None:
        self._file.close()

    def _open(self) -> Any:
        try:
            return self._arrow.parquet.ParquetFile(str(self._path), buffer_size=_BUFFER_BYTES, pre_buffer=False)
        except OSError as error:
            raise SeldonSpecError(f"{self._path} cannot be read: {error.strerror or error}") from None
        except (self._arrow.ArrowException, ValueError) as error:
            raise SeldonSpecError(f"{self._path} is no Parquet file, or is damaged: {error}") from None

    def _check_bytes(self, names: Sequence[str], kinds: Sequence[Any]) -> None:
        found = [names[index] for index, kind in zip(self._sent, kinds, strict=True) if is_bytes(self._arrow, kind)]
        if found and len(kinds) > 1:
            raise SeldonSpecError(
                f"{self._path}: the column {found[0]!r:.100} has bytes, which are sent alone: select one column"
            )

    def _read_batches(self, group: int) -> Iterator[Any]:
        """Yield the rows from a row group on.

        Raises:
            SeldonSpecError: the file is damaged.
        """
        groups = range(group, len(self._starts) - 1)
        if not groups:
            return
        try:
            yield from self._file.iter_batches(batch_size=self._batch_rows, row_groups=list(groups))
        except (self._arrow.ArrowException, OSError, ValueError) as error:
            raise SeldonSpecError(f"{self._path} is damaged: {error}") from None


class ParquetWriter:
    """Writes the columns of the input, then those of the predictions.

    Columns of a Parquet file keep their types. A column of predictions, or of another input, is int64 if all its
    values are integers, else double, string or bool, if all are numbers, text or truth values. Any other column has
    the JSON text of its values. Missing values are null, and so are NaN and infinity in predictions.

    Args:
        path: of the file; it exists once the output is complete.

    Raises:
        SeldonSpecError: pyarrow is not installed.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._arrow = import_arrow(path)
        self._partial_path = path.with_name(f"{path.name}.partial")
        self._partial = OutputFile(self._partial_path)
        self._names: Sequence[str] | None = None
        self._predicted: Sequence[str] = ()
        self._batches: list[Any] = []
        self._buffered_bytes = 0

    def start(self, names: Sequence[str], predicted: Sequence[str]) -> None:
        self._names, self._predicted = names, predicted
        self._partial.create()

    def resume(self, names: Sequence[str], predicted: Sequence[str], size: int) -> None:
        if self._path.exists() and not self._partial_path.exists():  # killed after the last step of finish
            return
        self._names, self._predicted = names, predicted
        self._partial.resume(size)

    def write(self, rows: Rows, predictions: Predictions | None) -> None:
        arrow = self._arrow
        texts = [None] * len(rows) if predictions is None else self._write_predictions(predictions)
        column = arrow.array(texts, arrow.binary())
        if isinstance(rows, ParquetRows):
            columns = [*rows.batch.columns, column]
            schema = rows.batch.schema.append(arrow.field("", column.type))
        else:
            numbers = rows.to_number_records()
            records = map(write_json, rows.to_records()) if numbers is None else map(b"[%b]".__mod__, numbers)
            columns = [arrow.array(list(records), arrow.binary()), column]
            marked = arrow.field("", column.type, metadata={_RECORDS: b""})
            schema = arrow.schema([marked, arrow.field("", column.type)])
        batch = arrow.RecordBatch.from_arrays(columns, schema=schema)
        self._batches.append(batch)
        self._buffered_bytes += batch.nbytes
        if self._buffered_bytes >= _BLOCK_BYTES:
            self._write_block()

    def flush(self) -> int:
        self._write_block()
        return self._partial.flush()

    def finish(self) -> None:
        if self._names is None:
            return
        self.flush()
        self._partial.close()
        new = self._path.with_name(f"{self._path.name}.new")
        try:
            with self._report_errors(new):
                self._convert(new)
                new.replace(self._path)
                self._partial_path.unlink()
        except BaseException:
            new.unlink(missing_ok=True)
            raise

    def close(self) -> None:
        self._partial.close()

    def _write_predictions(self, predictions: Predictions) -> list[bytes]:
        """Return each prediction as a JSON array.

        Raises:
            ValueError: one has another number of values than there are columns.
        """
        texts = predictions.to_texts()
        if texts is not None:
            return [b"[%b]" % text for text in texts]
        records = predictions.to_records()
        if any(len(record) != len(self._predicted) for record in records):
            raise ValueError(f"a prediction has not {len(self._predicted)} values")
        return list(map(write_json, records))

    def _write_block(self) -> None:
        if not self._batches:
            return
        sink = self._arrow.BufferOutputStream()
        with self._arrow.ipc.new_stream(sink, self._batches[0].schema) as stream:
            for batch in self._batches:
                stream.write_batch(batch)
        self._partial.write(sink.getvalue().to_pybytes())
        self._batches, self._buffered_bytes = [], 0

    def _read_partial(self) -> Iterator[Any]:
        """Yield the record batches of all blocks."""
        with self._arrow.OSFile(str(self._partial_path), "rb") as file:
            size = file.size()
            while file.tell() < size:
                with self._arrow.ipc.open_stream(file) as stream:
                    yield from stream

    def _convert(self, path: Path) -> None:
        """Make the Parquet file of the blocks: one pass finds the types of the columns, another writes them."""
        types: dict[str, set[type]] = {}
        schema = None
        for batch in self._read_partial():
            schema = schema or batch.schema
            for name, values in self._list_read_columns(batch):
                _add_types(types.setdefault(name, set()), values)
        if schema is None:
            types = {name: set() for name in (*(self._names or ()), *self._predicted)}
        kept = [] if schema is None or _has_records(schema) else list(schema)[:-1]
        fields = [*kept, *(self._arrow.field(name, self._find_kind(found)) for name, found in types.items())]
        target = self._arrow.schema(fields, schema.metadata if kept and schema is not None else None)
        with self._arrow.parquet.ParquetWriter(str(path), target) as writer:
            for group in self._join_batches(target, types, len(kept)):
                writer.write_table(group, row_group_size=_GROUP_ROWS)

    def _join_batches(self, target: Any, types: dict[str, set[type]], kept: int) -> Iterator[Any]:
        """Yield the tables of the row groups."""
        arrow = self._arrow
        batches: list[Any] = []
        size = rows = 0
        for batch in self._read_partial():
            made = [self._make_column(types[name], values) for name, values in self._list_read_columns(batch)]
            batches.append(arrow.RecordBatch.from_arrays([*batch.columns[:kept], *made], schema=target))
            size += batches[-1].nbytes
            rows += len(batch)
            if size >= _GROUP_BYTES or rows >= _GROUP_ROWS:
                yield arrow.Table.from_batches(batches)
                batches, size, rows = [], 0, 0
        if batches:
            yield arrow.Table.from_batches(batches)

    def _list_read_columns(self, batch: Any) -> Iterator[tuple[str, list[Any]]]:
        """Yield the name and the values of each column that a batch has as JSON."""
        if _has_records(batch.schema):
            yield from zip(self._names or (), _read_json(batch.column(0), len(self._names or ())), strict=True)
        yield from zip(self._predicted, _read_json(batch.columns[-1], len(self._predicted)), strict=True)

    def _find_kind(self, types: set[type]) -> Any:
        """Return the type of a column whose values have some types."""
        arrow = self._arrow
        found = types - {_NULL}
        if found == {int}:
            return arrow.int64()
        if found <= {int, float}:
            return arrow.float64()
        return arrow.bool_() if found == {bool} else arrow.string()

    def _make_column(self, types: set[type], values: list[Any]) -> Any:
        """Return a column; the values of all its batches have these types."""
        kind = self._find_kind(types)
        if kind == self._arrow.string() and types - {_NULL, str}:
            values = [None if value is None else write_json(value).decode() for value in values]
        elif kind == self._arrow.float64():
            values = [None if value is None else float(value) for value in values]
        try:
            return self._arrow.array(values, kind)
        except UnicodeEncodeError:  # half of a surrogate pair
            return self._arrow.array([value and value.encode("utf-8", "replace").decode() for value in values], kind)

    @contextmanager
    def _report_errors(self, path: Path) -> Iterator[None]:
        try:
            yield
        except (OSError, self._arrow.ArrowException) as error:
            if reason := getattr(error, "strerror", None):
                raise SeldonSpecError(f"{path} cannot be written: {reason}") from None
            raise SeldonSpecError(f"{self._partial_path} cannot be made a Parquet file: {error}") from None


def _has_records(schema: Any) -> bool:
    """Return whether a block has the JSON of rows of another format, not the columns of a Parquet file."""
    return _RECORDS in (schema.field(0).metadata or ())


def _read_json(column: Any, width: int) -> list[list[Any]]:
    """Return the columns of rows that are JSON arrays; a missing row has None in each."""
    missing = [None] * width
    text = b"[%b]" % b",".join([row or b"null" for row in column.to_pylist()])
    try:
        rows = orjson.loads(text)
    except orjson.JSONDecodeError:  # half of a surrogate pair
        rows = json.loads(text)
    return [list(values) for values in zip(*[missing if row is None else row for row in rows], strict=True)]


def _add_types(types: set[type], values: list[Any]) -> None:
    """Add the types of values; an integer that int64 cannot hold counts as a float."""
    types.update(map(type, values))
    if int in types and any(type(value) is int and value > _MAX_INTEGER for value in values):
        types.add(float)

"""Rows of each format of inputs, written in each format of outputs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from seldon_spec.batch.csv_files import CsvReader, CsvWriter
from seldon_spec.batch.files import FilesReader
from seldon_spec.batch.json_lines import JsonLinesReader, JsonLinesWriter
from seldon_spec.batch.npy import NpyReader, NpyWriter
from seldon_spec.batch.parquet import ParquetReader, ParquetWriter
from seldon_spec.batch.predictions import Predictions
from seldon_spec.batch.rows import Reader, Rows
from seldon_spec.batch.writer import Writer


def open_csv(path: Path) -> Reader:
    path.write_text("a,b\n1,2\n3,4\n")
    return CsvReader(path)


def open_objects(path: Path) -> Reader:
    path.write_text('{"a": 1, "b": 2}\n{"a": 3, "b": 4}\n')
    return JsonLinesReader(path)


def open_numbers(path: Path) -> Reader:
    path.write_text("1\n3\n")
    return JsonLinesReader(path)


def open_npy(path: Path) -> Reader:
    with path.open("wb") as file:
        np.save(file, np.array([[1, 2], [3, 4]]))
    return NpyReader(path)


def open_parquet(path: Path) -> Reader:
    pq.write_table(pa.table({"a": [1, 3], "b": [2, 4]}), path)
    return ParquetReader(path)


def open_folder(path: Path) -> Reader:
    path.mkdir()
    (path / "1.png").write_bytes(b"1")
    (path / "2.png").write_bytes(b"2")
    return FilesReader(path)


INPUTS = [
    pytest.param(open_csv, ["a", "b"], [1, 3], id="csv"),
    pytest.param(open_objects, ["a", "b"], [1, 3], id="objects"),
    pytest.param(open_numbers, ["data"], [1, 3], id="numbers"),
    pytest.param(open_npy, ["x0", "x1"], [1, 3], id="npy"),
    pytest.param(open_parquet, ["a", "b"], [1, 3], id="parquet"),
    pytest.param(open_folder, ["file"], ["1.png", "2.png"], id="folder"),
]


def read_row(reader: Reader) -> Rows:
    rows = reader.read(1)
    assert rows is not None
    return rows


def write_all(reader: Reader, writer: Writer) -> None:
    """Write a row with a prediction and one without."""
    first = read_row(reader)
    writer.start(first.names, ["p"])
    writer.write(first, Predictions([], None, texts=[b"0.5"]))
    writer.write(read_row(reader), None)
    writer.finish()
    assert reader.read(1) is None
    reader.close()


@pytest.mark.parametrize(("open_input", "names", "values"), INPUTS)
@pytest.mark.parametrize(
    ("make_writer", "make_reader"),
    [
        pytest.param(CsvWriter, CsvReader, id="csv"),
        pytest.param(JsonLinesWriter, JsonLinesReader, id="jsonl"),
        pytest.param(ParquetWriter, ParquetReader, id="parquet"),
    ],
)
def test_writes_the_columns_of_the_input(
    tmp_path: Path,
    open_input: Callable[[Path], Reader],
    names: list[str],
    values: list[object],
    make_writer: Callable[[Path], Writer],
    make_reader: Callable[[Path], Reader],
) -> None:
    output = tmp_path / "out"
    write_all(open_input(tmp_path / "rows"), make_writer(output))
    reader = make_reader(output)
    rows = reader.read(2)
    assert rows is not None
    assert list(rows.names) == [*names, "p"]
    records = rows.to_records()
    assert [record[0] for record in records] == values
    assert [record[-1] for record in records] == [0.5, None]
    assert reader.read(2) is None
    reader.close()


@pytest.mark.parametrize(("open_input", "names", "values"), INPUTS)
def test_writes_an_array_of_the_predictions(
    tmp_path: Path, open_input: Callable[[Path], Reader], names: list[str], values: list[object]
) -> None:
    output = tmp_path / "out.npy"
    write_all(open_input(tmp_path / "rows"), NpyWriter(output))
    np.testing.assert_array_equal(np.load(output), [0.5, np.nan])


@pytest.mark.parametrize("make_writer", [CsvWriter, JsonLinesWriter, ParquetWriter, NpyWriter])
def test_an_output_that_was_not_started_is_not_written(tmp_path: Path, make_writer: Callable[[Path], Writer]) -> None:
    writer = make_writer(tmp_path / "out")
    writer.finish()
    writer.close()
    assert list(tmp_path.iterdir()) == []

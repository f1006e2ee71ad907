"""Parquet files in batch scoring."""

from __future__ import annotations

import json
import math
import sys
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from seldon_spec.batch import parquet
from seldon_spec.batch.json_lines import JsonLinesRows
from seldon_spec.batch.parquet import ParquetReader, ParquetWriter
from seldon_spec.batch.parquet_rows import ParquetRows
from seldon_spec.batch.predictions import Predictions
from seldon_spec.batch.rows import MAX_REQUEST_BYTES
from seldon_spec.errors import SeldonSpecError
from seldon_spec.inference.message import Message, PayloadType


def save(folder: Path, columns: Any, **options: Any) -> Path:
    path = folder / "rows.parquet"
    pq.write_table(columns if isinstance(columns, pa.Table) else pa.table(columns), path, **options)
    return path


def read_all(path: Path, count: int = 1000, position: int = 0, **options: Any) -> list[ParquetRows]:
    reader = ParquetReader(path, **options)
    reader.seek(position)
    found = []
    while (rows := reader.read(count)) is not None:
        found.append(rows)
    assert reader.position == reader.size
    reader.close()
    return found


def send(folder: Path, columns: Any, selected: list[str] | None = None) -> Message:
    (rows,) = read_all(save(folder, columns), columns=selected)
    return rows.to_message()


NUMBERS = [
    pytest.param({"a": pa.array([1, 2], pa.int32()), "b": [3, 4]}, [[1, 3], [2, 4]], "int64", id="integers"),
    pytest.param({"a": pa.array([1, 2], pa.uint8())}, [[1], [2]], "int64", id="unsigned"),
    pytest.param({"a": [1, 2], "b": pa.array([0.5, 2], pa.float32())}, [[1, 0.5], [2, 2]], "float64", id="mixed"),
    pytest.param({"a": [1, None], "b": [None, 2.5]}, [[1, math.nan], [math.nan, 2.5]], "float64", id="missing"),
    pytest.param({"a": [1], "b": pa.nulls(1)}, [[1, math.nan]], "float64", id="nothing but missing"),
    pytest.param({"a": [Decimal("1.25"), None]}, [[1.25], [math.nan]], "float64", id="decimals"),
    pytest.param({"a": pa.array([7, 7]).dictionary_encode()}, [[7], [7]], "int64", id="dictionary"),
    pytest.param({"a": pa.array(np.array([1, 2], "f2"))}, [[1], [2]], "float64", id="half floats"),
]


@pytest.mark.parametrize(("columns", "expected", "dtype"), NUMBERS)
def test_sends_columns_of_numbers_as_an_array(tmp_path: Path, columns: Any, expected: Any, dtype: str) -> None:
    message = send(tmp_path, columns)
    np.testing.assert_array_equal(message.payload, np.array(expected))
    assert message.payload.dtype == dtype
    assert message.names == list(columns)


MIXED = [
    pytest.param({"a": [1, None], "b": ["x", None]}, [[1, "x"], [None, None]], id="text"),
    pytest.param({"a": [True, None]}, [[True], [None]], id="truth values"),
    pytest.param({"a": ["x", "y"], "b": [[1, 2], [3]]}, [["x", [1, 2]], ["y", [3]]], id="lists beside others"),
    pytest.param({"a": [{"k": date(2020, 1, 2)}]}, [[{"k": "2020-01-02"}]], id="structs"),
    pytest.param({"a": [date(2020, 1, 2)]}, [["2020-01-02"]], id="dates"),
    pytest.param({"a": [datetime(2020, 1, 2, 3, 4, 5, 6)]}, [["2020-01-02T03:04:05.000006"]], id="times"),
    pytest.param(
        {"a": pa.array([1_577_934_245_000_000_007], pa.timestamp("ns"))},
        [["2020-01-02T03:04:05.000000007"]],
        id="nanoseconds",
    ),
    pytest.param({"a": [datetime(2020, 1, 2, tzinfo=timezone.utc)]}, [["2020-01-02T00:00:00.000000Z"]], id="time zone"),
    pytest.param(
        {"a": pa.array([0], pa.timestamp("ms", "Nowhere/Unknown"))}, [["1970-01-01T00:00:00.000Z"]], id="unknown zone"
    ),
    pytest.param({"a": [timedelta(minutes=1)], "b": ["x"]}, [[60.0, "x"]], id="durations"),
    pytest.param({"a": pa.array(["x", "x"]).dictionary_encode()}, [["x"], ["x"]], id="categories"),
    pytest.param(
        {"a": pa.array([2**64 - 1], pa.uint64()), "b": [-1]}, [[2**64 - 1, -1]], id="integers without a common type"
    ),
]


@pytest.mark.parametrize(("columns", "expected"), MIXED)
def test_sends_other_columns_with_their_values(tmp_path: Path, columns: Any, expected: Any) -> None:
    message = send(tmp_path, columns)
    assert message.original == expected
    assert list(message.table.columns) == list(columns)
    (rows,) = read_all(tmp_path / "rows.parquet")
    assert rows.to_records() == expected
    assert rows.to_numbers() is None


LISTS = [
    pytest.param([[1.5, 2], [3, 4]], [[1.5, 2], [3, 4]], id="floats"),
    pytest.param(pa.array([[1, 2], [3, 4]], pa.list_(pa.float32(), 2)), [[1, 2], [3, 4]], id="fixed size"),
    pytest.param([[[1, 2]], [[3, 4]]], [[[1, 2]], [[3, 4]]], id="nested"),
    pytest.param([["a", "b"], ["c", "d"]], [["a", "b"], ["c", "d"]], id="text"),
    pytest.param([[1.0, None]], [[1.0, math.nan]], id="missing number"),
]


@pytest.mark.parametrize(("values", "expected"), LISTS)
def test_sends_one_column_of_lists_as_an_array(tmp_path: Path, values: Any, expected: Any) -> None:
    message = send(tmp_path, {"id": list(range(len(expected))), "embedding": values}, ["embedding"])
    assert message.names == []
    np.testing.assert_array_equal(message.payload.tolist(), expected)
    (rows,) = read_all(tmp_path / "rows.parquet", columns=["embedding"], position=len(expected) - 1)
    np.testing.assert_array_equal(rows.to_message().payload.tolist(), expected[-1:])


def test_a_column_of_lists_has_no_name_of_its_values(tmp_path: Path) -> None:
    path = save(tmp_path, {"id": [1], "embedding": [[1.0, 2.0]]})
    reader = ParquetReader(path, columns=["embedding"])
    assert list(reader.columns) == []
    rows = reader.read(1)
    assert rows is not None
    assert rows.to_numbers() == [b"1.0,2.0"]
    reader.close()


WRONG_LISTS = [
    pytest.param([[1, 2], [3]], "column v: the rows of an array differ in length", id="ragged"),
    pytest.param([[1, 2], None], "column v: the value is missing", id="missing"),
]


@pytest.mark.parametrize(("values", "reason"), WRONG_LISTS)
def test_names_the_column_that_cannot_be_sent(tmp_path: Path, values: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        send(tmp_path, {"v": values})


def test_sends_one_column_of_bytes(tmp_path: Path) -> None:
    path = save(tmp_path, {"id": [1, 2, 3], "image": [b"a\0", b"b", None]})
    (rows,) = read_all(path, columns=["image"])
    assert rows.part(0, 1).to_message().payload_type is PayloadType.BINARY
    assert rows.part(0, 2).to_message().payload.tolist() == [b"a\0", b"b"]
    with pytest.raises(ValueError, match="column image: the value is missing"):
        rows.to_message()
    assert rows.to_records() == [[1, "YQA="], [2, "Yg=="], [3, None]]
    with pytest.raises(SeldonSpecError, match="the column 'image' has bytes"):
        ParquetReader(path)


def test_sends_selected_columns(tmp_path: Path) -> None:
    path = save(tmp_path, {"id": ["x"], "a": [1], "b": [2.5]})
    (rows,) = read_all(path, columns=["b", "a"])
    message = rows.to_message()
    assert (message.names, message.payload.tolist()) == (["b", "a"], [[2.5, 1.0]])
    assert rows.to_numbers() == [b"2.5,1.0"]
    assert list(rows.names) == ["id", "a", "b"]
    with pytest.raises(SeldonSpecError, match="has no column 'c'"):
        ParquetReader(path, columns=["c"])


def test_numbers_with_missing_ones_have_no_text(tmp_path: Path) -> None:
    (rows,) = read_all(save(tmp_path, {"a": [1.0, None]}))
    assert rows.to_numbers() is None
    assert rows.part(0, 1).to_numbers() == [b"1.0"]


@pytest.mark.parametrize("batch_rows", [2, 8192])
def test_continues_at_each_position(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch_rows: int) -> None:
    monkeypatch.setattr(parquet, "_MAX_BATCH_ROWS", batch_rows)
    path = save(tmp_path, {"a": list(range(11)), "b": list("abcdefghijk")}, row_group_size=4)
    for position in range(12):
        for count in (1, 3, 100):
            found = [record for rows in read_all(path, count, position) for record in rows.to_records()]
            assert found == [[number, chr(97 + number)] for number in range(position, 11)]


def test_bounds_the_bytes_of_a_read(tmp_path: Path) -> None:
    texts = ["x" * (300_000 + index) for index in range(20)]
    found = read_all(save(tmp_path, {"a": texts}), 1000)
    assert [value for rows in found for (value,) in rows.to_records()] == texts
    assert max(rows.batch.nbytes for rows in found) <= MAX_REQUEST_BYTES


def test_a_file_without_rows_has_none(tmp_path: Path) -> None:
    assert read_all(save(tmp_path, {"a": pa.array([], pa.int64())})) == []
    with pq.ParquetWriter(tmp_path / "empty.parquet", pa.schema([("a", pa.int64())])):
        pass
    assert read_all(tmp_path / "empty.parquet") == []


def test_rejects_a_damaged_file(tmp_path: Path) -> None:
    path = save(tmp_path, {"a": list(range(100_000))}, compression="none", use_dictionary=False, write_statistics=False)
    data = path.read_bytes()
    for size in (0, 3, 100, len(data) - 1):
        path.write_bytes(data[:size])
        with pytest.raises(SeldonSpecError, match=str(path)):
            ParquetReader(path)
    path.write_bytes(b"PAR1" + b"\xff" * 1000 + data[1004:])
    reader = ParquetReader(path)
    with pytest.raises(SeldonSpecError, match=f"{path} is damaged"):
        reader.read(1000)
    reader.close()


def test_rejects_other_files(tmp_path: Path) -> None:
    with pytest.raises(SeldonSpecError, match="No such file"):
        ParquetReader(tmp_path / "missing.parquet")
    path = save(tmp_path, pa.table([[1], [2]], names=["a", "a"]))
    with pytest.raises(SeldonSpecError, match="two columns have the name 'a'"):
        ParquetReader(path)


def test_names_the_package_that_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path, {"a": [1]})
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(SeldonSpecError, match=r"pip install 'seldon-spec\[parquet\]'"):
        ParquetReader(path)
    with pytest.raises(SeldonSpecError, match=r"pip install 'seldon-spec\[parquet\]'"):
        ParquetWriter(path)


def write(folder: Path, rows: Any, predicted: list[str], *parts: Predictions | None) -> pa.Table:
    writer = ParquetWriter(folder / "out.parquet")
    writer.start(rows.names, predicted)
    size = len(rows) // len(parts)
    for index, predictions in enumerate(parts):
        writer.write(rows.part(index * size, (index + 1) * size), predictions)
    writer.finish()
    assert [path.name for path in folder.glob("out*")] == ["out.parquet"]
    return pq.read_table(folder / "out.parquet")


def test_keeps_the_types_of_columns(tmp_path: Path) -> None:
    source = pa.table(
        {
            "when": pa.array([1, None, 3, 4], pa.timestamp("ms", "UTC")),
            "category": pa.array(["x", "y", None, "x"]).dictionary_encode(),
            "price": [Decimal("1.25"), None, Decimal("2.00"), Decimal("3.10")],
            "bytes": [b"\0", b"", None, b"x"],
            "": pa.array([[1], [], None, [2, 3]], pa.list_(pa.int16())),
        }
    )
    (rows,) = read_all(save(tmp_path, source), columns=["price"])
    predictions = Predictions([], None, values=np.array([0.5, math.nan]))
    found = write(tmp_path, rows, ["p"], predictions, None)
    assert found.drop_columns(["p"]).equals(source)
    assert found["p"].to_pylist() == [0.5, None, None, None]
    assert found.schema.field("p").type == pa.float64()


def test_keeps_the_index_of_pandas(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}, index=pd.Index(["r", "s"], name="key"))
    frame.to_parquet(tmp_path / "rows.parquet")
    (rows,) = read_all(tmp_path / "rows.parquet")
    write(tmp_path, rows, ["p"], Predictions([], None, texts=[b"1.5", b"2.5"]))
    expected = frame.assign(p=[1.5, 2.5])
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "out.parquet"), expected)


BIG = 2**63 - 1
COLUMNS = [
    pytest.param([[BIG], [None], [-1]], "int64", [BIG, None, -1], id="integers"),
    pytest.param([[1], [2.5], [None]], "double", [1.0, 2.5, None], id="numbers"),
    pytest.param([[2**60 + 1], [2.5], [None]], "double", [2.0**60, 2.5, None], id="large integers and floats"),
    pytest.param([[2**64 - 1], [1], [2]], "double", [2.0**64, 1.0, 2.0], id="integers beyond int64"),
    pytest.param([["a"], [None], ["ä"]], "string", ["a", None, "ä"], id="text"),
    pytest.param([["\ud800"], ["a"], [None]], "string", ["?", "a", None], id="half of a surrogate pair"),
    pytest.param([[True], [None], [False]], "bool", [True, None, False], id="truth values"),
    pytest.param([[1], ["a"], [None]], "string", ["1", '"a"', None], id="numbers and text"),
    pytest.param([[[1, 2]], [{"k": None}], [None]], "string", ["[1,2]", '{"k":null}', None], id="lists and objects"),
    pytest.param([[None], [None], [None]], "double", [None] * 3, id="nothing but missing"),
]


@pytest.mark.parametrize(("values", "kind", "expected"), COLUMNS)
def test_finds_the_types_of_columns_after_all_rows(
    tmp_path: Path, values: list[list[Any]], kind: str, expected: list[Any]
) -> None:
    lines = [json.dumps({"x": value}).encode() for (value,) in values]
    rows = JsonLinesRows(lines, ["x"], ["x"])
    found = write(tmp_path, rows, ["p"], *[Predictions([], 1, values=[value]) for value in values])
    for name in ("x", "p"):
        assert str(found.schema.field(name).type) == kind
        assert found[name].to_pylist() == expected


def test_writes_several_columns(tmp_path: Path) -> None:
    rows = JsonLinesRows([b"[1,2]", b"[3,4]"], None, ())
    found = write(tmp_path, rows, ["p", "q"], Predictions([], 2, texts=[b"0.5,1", b"null,2"]))
    assert found.to_pydict() == {"data": ["[1,2]", "[3,4]"], "p": [0.5, None], "q": [1, 2]}


def test_rejects_predictions_of_another_width(tmp_path: Path) -> None:
    rows = JsonLinesRows([b"1"], None, ())
    writer = ParquetWriter(tmp_path / "out.parquet")
    writer.start(rows.names, ["p", "q"])
    with pytest.raises(ValueError, match="has not 2 values"):
        writer.write(rows, Predictions([], None, values=["x"]))
    writer.finish()
    found = pq.read_table(tmp_path / "out.parquet")
    assert (found.column_names, len(found)) == (["data", "p", "q"], 0)


@pytest.mark.parametrize("is_parquet", [True, False], ids=["columns", "records"])
@pytest.mark.parametrize("group_rows", [3, 1000])
def test_continues_behind_each_flush(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_parquet: bool, group_rows: int
) -> None:
    monkeypatch.setattr(parquet, "_GROUP_ROWS", group_rows)
    path = tmp_path / "out.parquet"
    partial = tmp_path / "out.parquet.partial"
    rows: Any
    if is_parquet:
        categories = pa.array([f"c{index}" for index in range(10)]).dictionary_encode()
        (rows,) = read_all(save(tmp_path, {"a": list(range(10)), "c": categories}))
    else:
        rows = JsonLinesRows([b'{"a":%d,"c":"c%d"}' % (index, index) for index in range(10)], ["a", "c"], ["a"])

    def add(writer: ParquetWriter, index: int) -> None:
        part = rows.part(2 * index, 2 * index + 2)
        writer.write(part.part(0, 1), Predictions([], None, texts=[b"%d" % index]))
        writer.write(part.part(1, 2), None if index == 3 else Predictions([], None, values=np.array([0.5])))

    writer = ParquetWriter(path)
    writer.start(rows.names, ["p"])
    sizes = []
    for index in range(5):
        sizes.append(writer.flush())
        add(writer, index)
    sizes.append(writer.flush())
    writer.close()
    assert not path.exists()
    complete = partial.read_bytes()
    assert len(complete) == sizes[-1]
    for index, size in enumerate(sizes):
        partial.write_bytes(complete[:size] + b"half a block")
        writer = ParquetWriter(path)
        writer.resume(rows.names, ["p"], size)
        for rest in range(index, 5):
            add(writer, rest)
        writer.finish()
        found = pq.read_table(path)
        assert found["a"].to_pylist() == list(range(10))
        assert found["c"].to_pylist() == [f"c{number}" for number in range(10)]
        assert found["p"].to_pylist() == [0, 0.5, 1, 0.5, 2, 0.5, 3, None, 4, 0.5]
        assert not partial.exists()
        path.unlink()


def test_a_block_is_written_before_the_flush(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "_BLOCK_BYTES", 1)
    rows = JsonLinesRows([b"1", b"2", b"3"], None, ())
    found = write(tmp_path, rows, ["p"], *[Predictions([], None, texts=[b"1"])] * 3)
    assert found["data"].to_pylist() == [1, 2, 3]


def test_keeps_what_was_written_if_the_file_cannot_be_made(tmp_path: Path) -> None:
    path = tmp_path / "out.parquet"
    writer = ParquetWriter(path)
    writer.start(["data"], ["p"])
    writer.write(JsonLinesRows([b"1"], None, ()), Predictions([], None, texts=[b"1"]))
    path.mkdir()
    with pytest.raises(SeldonSpecError, match="cannot be written: Is a directory"):
        writer.finish()
    assert sorted(found.name for found in tmp_path.iterdir()) == ["out.parquet", "out.parquet.partial"]


def test_reports_a_damaged_partial_output(tmp_path: Path) -> None:
    path = tmp_path / "out.parquet"
    partial = tmp_path / "out.parquet.partial"
    partial.write_bytes(b"\xff" * 100)
    writer = ParquetWriter(path)
    writer.resume(["data"], ["p"], 100)
    with pytest.raises(SeldonSpecError, match=f"{partial} cannot be made a Parquet file"):
        writer.finish()
    with pytest.raises(SeldonSpecError, match="has 100 bytes"):
        ParquetWriter(path).resume(["data"], ["p"], 200)

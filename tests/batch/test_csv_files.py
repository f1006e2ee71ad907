"""CSV files: any file that Python's writer makes is read in parts of any size, and its lines are kept."""

from __future__ import annotations

import csv
import io
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seldon_spec.batch.csv_cells import Kind, find_kind
from seldon_spec.batch.csv_files import CsvReader, CsvRows, CsvWriter
from seldon_spec.batch.line_reader import LineReader
from seldon_spec.batch.predictions import Predictions
from seldon_spec.batch.rows import MAX_REQUEST_BYTES

CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\r\0"), max_size=6)
TABLES = st.integers(1, 4).flatmap(lambda width: st.lists(st.lists(CELLS, min_size=width, max_size=width), max_size=12))


def write(rows: list[list[Any]], end: str = "\n") -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator=end, quoting=csv.QUOTE_MINIMAL).writerows(rows)
    return text.getvalue().encode()


def read_all(reader: CsvReader, count: int) -> list[list[str]]:
    found: list[list[str]] = []
    while (rows := reader.read(count)) is not None:
        assert isinstance(rows, CsvRows)
        assert 0 < len(rows) <= count
        found += csv.reader(io.StringIO(b"\n".join(rows.lines).decode(), newline=""))
    return found


@given(table=TABLES, count=st.integers(1, 5), end=st.sampled_from(["\n", "\r\n"]))
def test_rows_are_read_in_parts_of_any_size(table: list[list[str]], count: int, end: str) -> None:
    width = len(table[0]) if table else 1
    names = [f"column {index}" for index in range(width)]
    rows = [row for row in table if row != [""]]  # one empty cell is a blank line
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "in.csv")
        path.write_bytes(write([names, *rows], end))
        reader = CsvReader(path)
        try:
            positions = [reader.position]
            while reader.read(1) is not None:
                positions.append(reader.position)
            assert positions[-1] == reader.size
            for skipped, position in enumerate(positions):
                reader.seek(position)
                assert read_all(reader, count) == rows[skipped:]
        finally:
            reader.close()


NUMBERS = st.lists(
    st.tuples(st.integers(-(2**53), 2**53), st.floats(allow_nan=False, allow_infinity=False)), min_size=1
)


@given(table=NUMBERS)
def test_numbers_are_the_same_as_text_and_as_an_array(table: list[tuple[int, float]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "in.csv")
        path.write_bytes(write([["a", "b"], *([repr(value) for value in row] for row in table)]))
        reader = CsvReader(path)
        rows = reader.read(len(table))
        reader.close()
    assert rows is not None
    texts = rows.to_numbers()
    expected = np.array(table, dtype=float)
    assert texts is None or [list(map(float, text.split(b","))) for text in texts] == expected.tolist()
    np.testing.assert_array_equal(rows.to_message().payload, expected)


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["1", "-2.5", "1e3", ".5", "+1", "", "NaN"], Kind.NUMBER),
        (["inf", "-Infinity"], Kind.NUMBER),
        (["true", "FALSE", ""], Kind.BOOLEAN),
        (["1", "true"], Kind.TEXT),
        (["007", "1"], Kind.TEXT),
        (["1_000"], Kind.TEXT),
        (["1", "many"], Kind.TEXT),
        (["", "NA"], Kind.NUMBER),
    ],
    ids=lambda value: value.name if isinstance(value, Kind) else ",".join(value),
)
def test_cells_decide_what_a_column_holds(cells: list[str], kind: Kind) -> None:
    assert find_kind(cells) is kind


def test_a_line_that_is_longer_than_a_request_is_read(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    long = b"x" * (MAX_REQUEST_BYTES + 5)
    path.write_bytes(b"\n".join([b"a", long, b"y"]))
    lines = LineReader(path)
    assert [lines.take(10), lines.take(10), lines.take(10)] == [[b"a"], [long], [b"y"]]
    assert lines.take(10) is None
    lines.close()


def test_the_limit_of_the_csv_module_is_not_lowered(tmp_path: Path) -> None:
    before = csv.field_size_limit()
    (tmp_path / "in.csv").write_text('a\n"x"\n')
    reader = CsvReader(tmp_path / "in.csv")
    assert read_all(reader, 10) == [["x"]]
    reader.close()
    assert csv.field_size_limit() >= before


def test_missing_numbers_of_predictions_are_empty_cells(tmp_path: Path) -> None:
    writer = CsvWriter(tmp_path / "out.csv")
    writer.start(["a"], ["p", "q"])
    (tmp_path / "in.csv").write_text("a\nnull\n2\n")
    reader = CsvReader(tmp_path / "in.csv")
    rows = reader.read(2)
    assert rows is not None
    writer.write(rows, Predictions((), 2, values=np.array([[1.0, np.nan], [np.nan, 0.5]])))
    writer.finish()
    reader.close()
    assert (tmp_path / "out.csv").read_text() == "a,p,q\nnull,1.0,\n2,,0.5\n"

"""Files of numpy in batch scoring."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from seldon_spec.batch import npy
from seldon_spec.batch.npy import NpyReader, NpyRows, NpyWriter
from seldon_spec.batch.predictions import Predictions
from seldon_spec.batch.rows import MAX_REQUEST_BYTES
from seldon_spec.errors import SeldonSpecError

PREDICTIONS = Predictions([], None, values=np.array([1.0, 2.0]))


def save(folder: Path, array: Any) -> Path:
    path = folder / "rows.npy"
    np.save(path, array)
    return path


def read_all(path: Path, count: int = 1000, position: int = 0) -> list[NpyRows]:
    reader = NpyReader(path)
    reader.seek(position)
    found = []
    while (rows := reader.read(count)) is not None:
        found.append(rows)
    assert reader.position == reader.size
    reader.close()
    return found


ARRAYS = [
    pytest.param(np.arange(6.0).reshape(3, 2), id="floats"),
    pytest.param(np.arange(6, dtype=">i4").reshape(3, 2), id="other byte order"),
    pytest.param(np.asfortranarray(np.arange(6, dtype="u8").reshape(3, 2)), id="Fortran order"),
    pytest.param(np.arange(3, dtype="f2"), id="one dimension"),
    pytest.param(np.arange(24.0).reshape(3, 2, 4), id="three dimensions"),
    pytest.param(np.array([True, False, True]), id="truth values"),
    pytest.param(np.array([["a", "bä"], ["c", ""], ["d", "e"]]), id="text"),
    pytest.param(np.empty((3, 0)), id="no columns"),
]


@pytest.mark.parametrize("array", ARRAYS)
@pytest.mark.parametrize("count", [1, 2, 1000])
def test_sends_the_rows(tmp_path: Path, array: Any, count: int) -> None:
    found = read_all(save(tmp_path, array), count)
    payloads = [rows.to_message().payload for rows in found]
    np.testing.assert_array_equal(np.concatenate(payloads), array)
    for payload in payloads:
        assert type(payload) is np.ndarray
        assert payload.dtype.isnative
        assert payload.flags.c_contiguous


@pytest.mark.parametrize("array", ARRAYS)
def test_continues_at_each_position(tmp_path: Path, array: Any) -> None:
    path = save(tmp_path, array)
    for position in range(3):
        (rows,) = read_all(path, position=position)
        np.testing.assert_array_equal(rows.to_message().payload, array[position:])
    assert read_all(path, position=3) == []


def test_an_array_without_rows_has_none(tmp_path: Path) -> None:
    assert read_all(save(tmp_path, np.empty((0, 3)))) == []


def test_sends_bytes_of_fixed_width_as_text(tmp_path: Path) -> None:
    (rows,) = read_all(save(tmp_path, np.array([b"a", "ä".encode(), b"\xff"])))
    assert rows.part(0, 2).to_message().payload.tolist() == ["a", "ä"]
    with pytest.raises(ValueError, match="a text is not UTF-8"):
        rows.to_message()
    assert rows.to_records() == [["a"], ["ä"], ["\ufffd"]]


RECORDS = [
    pytest.param(np.array([[1, 2], [3, 4]]), ["x0", "x1"], [[1, 2], [3, 4]], id="two dimensions"),
    pytest.param(np.array([0.5, 2.0]), ["x0"], [[0.5], [2.0]], id="one dimension"),
    pytest.param(np.zeros((2, 2, 2)), ["row"], [[0], [1]], id="three dimensions"),
]


@pytest.mark.parametrize(("array", "names", "records"), RECORDS)
def test_names_the_columns_of_the_output(tmp_path: Path, array: Any, names: list[str], records: Any) -> None:
    (rows,) = read_all(save(tmp_path, array))
    assert list(rows.names) == names
    assert rows.to_records() == records
    assert rows.part(1, 2).to_records() == records[1:]
    (rows,) = read_all(tmp_path / "rows.npy", position=1)
    assert rows.to_records() == records[1:]


def test_bounds_the_bytes_of_a_read(tmp_path: Path) -> None:
    found = read_all(save(tmp_path, np.zeros((40, 50_000))), 1000)
    assert max(rows.to_message().payload.nbytes for rows in found) <= MAX_REQUEST_BYTES
    found = read_all(save(tmp_path, np.zeros((2, 500_000))), 1000)
    assert [len(rows) for rows in found] == [1, 1]


def test_maps_a_large_file_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(npy, "_MAPPED_BYTES", 20)
    array = np.arange(20.0).reshape(10, 2)
    found = read_all(save(tmp_path, array), 1)
    np.testing.assert_array_equal(np.concatenate([rows.to_message().payload for rows in found]), array)


@given(arrays.arrays(np.float32, (3, 2), elements=st.floats(allow_nan=False, allow_infinity=False, width=32)))
def test_the_text_of_numbers_is_that_of_the_message(array: Any) -> None:
    rows = NpyRows(["x0", "x1"], array, 0)
    texts = rows.to_numbers()
    assert texts is not None
    read = [json.loads(b"[" + text + b"]") for text in texts]
    assert read == array.astype(np.float64).tolist()


WITHOUT_TEXT = [
    pytest.param(np.array([[1.0, np.nan]]), id="NaN"),
    pytest.param(np.array([[np.inf]]), id="infinity"),
    pytest.param(np.array([1.0]), id="one dimension"),
    pytest.param(np.zeros((1, 2, 2)), id="three dimensions"),
    pytest.param(np.array([["a"]]), id="text"),
    pytest.param(np.array([[True]]), id="truth value"),
    pytest.param(np.empty((1, 0)), id="no columns"),
]


@pytest.mark.parametrize("array", WITHOUT_TEXT)
def test_other_values_have_no_text_of_numbers(array: Any) -> None:
    assert NpyRows([], array, 0).to_numbers() is None


WRONG_ARRAYS = [
    pytest.param(np.float64(3), "one value without dimensions", id="no dimensions"),
    pytest.param(np.array([1 + 2j]), "type complex128", id="complex"),
    pytest.param(np.zeros(2, dtype=[("a", "i4")]), "cannot be sent", id="structured"),
    pytest.param(np.array(["2020-01-01"], dtype="M8[D]"), r"datetime64\[D\]", id="dates"),
    pytest.param(
        np.zeros(2, dtype="g"),
        "which cannot be sent",
        id="long double",
        marks=pytest.mark.skipif(np.dtype("g").itemsize == 8, reason="it is a double here"),
    ),
    pytest.param(np.array([None, 1]), "no array of numbers or text", id="objects"),
]


@pytest.mark.parametrize(("array", "reason"), WRONG_ARRAYS)
def test_rejects_an_array(tmp_path: Path, array: Any, reason: str) -> None:
    path = save(tmp_path, array)
    with pytest.raises(SeldonSpecError, match=reason) as caught:
        NpyReader(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("size", [0, 3, 9, 50, 128, 500])
def test_rejects_a_file_that_is_cut(tmp_path: Path, size: int) -> None:
    path = save(tmp_path, np.arange(100.0))
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(SeldonSpecError, match=str(path)):
        NpyReader(path)


def test_rejects_other_files(tmp_path: Path) -> None:
    path = tmp_path / "rows.npy"
    with pytest.raises(SeldonSpecError, match="No such file"):
        NpyReader(path)
    path.write_text("1,2,3\n" * 100)
    with pytest.raises(SeldonSpecError, match=r"is no file of numpy$"):
        NpyReader(path)
    np.savez(tmp_path / "rows.npz", a=np.zeros(3))
    with pytest.raises(SeldonSpecError, match="has several arrays"):
        NpyReader(tmp_path / "rows.npz")


def rows_of(count: int) -> NpyRows:
    return NpyRows(["x0"], np.zeros(count), 0)


WRITTEN = [
    pytest.param(Predictions([], None, values=np.array([1, 2])), 1, [1.0, 2.0], id="integers"),
    pytest.param(Predictions([], None, values=np.array([True, False])), 1, [1.0, 0.0], id="truth values"),
    pytest.param(Predictions([], None, texts=[b"0.5", b"null"]), 1, [0.5, np.nan], id="text of numbers"),
    pytest.param(Predictions([], 2, texts=[b"1,2", b"3,4"]), 2, [[1, 2], [3, 4]], id="two columns"),
    pytest.param(Predictions([], 1, values=np.array([[1.0], [2.0]])), 1, [1.0, 2.0], id="one column"),
    pytest.param(Predictions([], 2, values=[[1, None], [2.5, True]]), 2, [[1, np.nan], [2.5, 1]], id="lists"),
    pytest.param(None, 2, [[np.nan, np.nan]] * 2, id="no predictions"),
]


@pytest.mark.parametrize(("predictions", "width", "expected"), WRITTEN)
def test_writes_predictions(tmp_path: Path, predictions: Predictions | None, width: int, expected: Any) -> None:
    path = tmp_path / "out.npy"
    writer = NpyWriter(path)
    writer.start(["x0"], ["p"] * width)
    writer.write(rows_of(2), predictions)
    writer.finish()
    found = np.load(path)
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, np.array(expected))


WITHOUT_NUMBERS = [
    pytest.param(Predictions([], None, values=["a", "b"]), id="text"),
    pytest.param(Predictions([], None, values=["1", "2"]), id="text of numbers"),
    pytest.param(Predictions([], None, values=[[1, 2], [3]]), id="ragged"),
    pytest.param(Predictions([], None, values=[[1, 2], [3, 4]]), id="lists"),
    pytest.param(Predictions([], None, values=[{}, 1]), id="objects"),
]


@pytest.mark.parametrize("predictions", WITHOUT_NUMBERS)
def test_rejects_predictions_without_numbers(tmp_path: Path, predictions: Predictions) -> None:
    path = tmp_path / "out.npy"
    writer = NpyWriter(path)
    writer.start(["x0"], ["p"])
    with pytest.raises(ValueError, match=r"write a \.csv or \.jsonl file"):
        writer.write(rows_of(2), predictions)
    writer.write(rows_of(2), PREDICTIONS)
    writer.finish()
    assert np.load(path).tolist() == [1.0, 2.0]


def test_can_be_read_after_each_flush_and_continued_there(tmp_path: Path) -> None:
    path = tmp_path / "out.npy"
    writer = NpyWriter(path)
    writer.start(["x0"], ["p", "q"])
    sizes = []
    for index in range(4):
        sizes.append(writer.flush())
        assert np.load(path).shape == (index, 2)
        writer.write(rows_of(1), Predictions([], 2, values=np.array([[index, -index]])))
    writer.finish()
    complete = path.read_bytes()
    for index, size in enumerate(sizes):
        path.write_bytes(complete[:size] + b"\0" * 11)
        writer = NpyWriter(path)
        writer.resume(["x0"], ["p", "q"], size)
        for rest in range(index, 4):
            writer.write(rows_of(1), Predictions([], 2, values=np.array([[rest, -rest]])))
        writer.finish()
        assert path.read_bytes() == complete


def test_reads_what_it_wrote(tmp_path: Path) -> None:
    path = tmp_path / "out.npy"
    writer = NpyWriter(path)
    writer.start(["x0"], ["p"])
    writer.write(rows_of(2), PREDICTIONS)
    writer.finish()
    (rows,) = read_all(path)
    assert rows.to_message().payload.tolist() == [1.0, 2.0]

"""JSON Lines of batch scoring: what is sent, what is written, and where a run continues."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seldon_spec.batch import line_reader
from seldon_spec.batch.json_lines import JsonLinesReader, JsonLinesRows, JsonLinesWriter
from seldon_spec.batch.predictions import Predictions
from seldon_spec.batch.rows import MAX_REQUEST_BYTES
from seldon_spec.errors import SeldonSpecError
from seldon_spec.inference.message import Message
from seldon_spec.protocols.seldon_v1.array_encoding import ArrayEncoding


def write(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def read_all(path: Path, **options: Any) -> JsonLinesRows:
    reader = JsonLinesReader(path, **options)
    rows = reader.read(1000)
    assert rows is not None
    assert reader.read(1000) is None
    reader.close()
    return rows


def send(path: Path, text: str | bytes, columns: Sequence[str] | None = None) -> Message:
    return read_all(write(path / "rows.jsonl", text), columns=columns).to_message()


ARRAYS = [
    pytest.param("[1, 2]\n[3, 4]\n", [[1, 2], [3, 4]], "int64", id="integers"),
    pytest.param("[1, 2.5]\n[3, 4]\n", [[1, 2.5], [3, 4]], "float64", id="floats"),
    pytest.param("[1, null]\n[3, 4]\n", [[1, math.nan], [3, 4]], "float64", id="missing number"),
    pytest.param("[NaN, Infinity]\n", [[math.nan, math.inf]], "float64", id="numbers of Python's writer"),
    pytest.param("[[1, 2], [3, 4]]\n[[5, 6], [7, 8]]\n", [[[1, 2], [3, 4]], [[5, 6], [7, 8]]], "int64", id="nested"),
    pytest.param("1\n2.5\n", [1, 2.5], "float64", id="scalars"),
    pytest.param("[true, false]\n", [[True, False]], "bool", id="truth values"),
    pytest.param("[18446744073709551615]\n", [[18446744073709551615]], "uint64", id="unsigned"),
    pytest.param("\ufeff[1]\r\n\r\n  \n[2]", [[1], [2]], "int64", id="BOM, CRLF, blank lines, no last newline"),
]


@pytest.mark.parametrize(("text", "expected", "dtype"), ARRAYS)
def test_sends_an_array(tmp_path: Path, text: str, expected: list[Any], dtype: str) -> None:
    message = send(tmp_path, text)
    np.testing.assert_array_equal(message.payload, np.array(expected))
    assert message.payload.dtype == dtype
    assert message.names == []


def test_sends_values_of_several_types_as_they_are(tmp_path: Path) -> None:
    message = send(tmp_path, '["a", 1, true, null]\n["b", 2.5, false, 3]\n')
    assert message.original == [["a", 1, True, None], ["b", 2.5, False, 3]]
    assert message.payload.tolist() == message.original
    assert message.encoding is ArrayEncoding.NDARRAY
    assert message.table is None


def test_sends_text(tmp_path: Path) -> None:
    message = send(tmp_path, '"good"\n"b\\u00e4d"\n')
    assert message.payload.shape == (2,)
    assert message.original == ["good", "bäd"]


def test_sends_the_members_of_objects_in_the_order_of_the_first(tmp_path: Path) -> None:
    message = send(tmp_path, '{"b": 1, "a": 2}\n{"a": 4, "b": 3}\n{"b": 5}\n')
    assert message.names == ["b", "a"]
    np.testing.assert_array_equal(message.payload, [[1, 2], [3, 4], [5, math.nan]])


def test_sends_members_of_several_types_as_typed_columns(tmp_path: Path) -> None:
    message = send(tmp_path, '{"name": "x", "age": 3}\n{"name": "y", "age": null}\n')
    assert message.original == [["x", 3], ["y", None]]
    assert list(message.table.columns) == ["name", "age"]


def test_sends_selected_members(tmp_path: Path) -> None:
    text = '{"id": "x", "a": 1, "b": 2}\n{"id": "y", "a": 3, "b": 4}\n'
    message = send(tmp_path, text, ["b", "a"])
    assert message.names == ["b", "a"]
    np.testing.assert_array_equal(message.payload, [[2, 1], [4, 3]])
    rows = read_all(tmp_path / "rows.jsonl", columns=["b"])
    assert list(rows.names) == ["id", "a", "b"]
    assert rows.to_records() == [["x", 1, 2], ["y", 3, 4]]


def test_sends_one_selected_member_of_lists_as_an_array(tmp_path: Path) -> None:
    message = send(tmp_path, '{"id": 7, "embedding": [1.5, 2]}\n{"id": 8, "embedding": [3, 4]}\n', ["embedding"])
    np.testing.assert_array_equal(message.payload, [[1.5, 2], [3, 4]])


WRONG_ROWS = [
    pytest.param("[1]\n{}\n", 1, "the row is an object", id="object among arrays"),
    pytest.param("[1]\nnull\n", 1, "the row is null", id="null"),
    pytest.param("[1]\n[1,\n", 1, "not JSON: Expecting value at character 4", id="no JSON"),
    pytest.param(b'["a"]\n["\xff"]\n', 1, "not UTF-8", id="no UTF-8"),
    pytest.param("[1]\n" + "[" * 100_000 + "\n", 1, "nested more than 100 levels", id="deep"),
    pytest.param("[1]\n" + "[" * 101 + "]" * 101 + "\n", 1, "nested more than 100 levels", id="too deep"),
    pytest.param('{"a": 1}\n{"a": 1, "c": 2}\n', 1, "the column 'c' is not in the first row", id="unknown member"),
    pytest.param('{"a": 1}\n[1]\n', 1, "the row is no object", id="array among objects"),
    pytest.param("[[1, 2], [3]]\n", 0, "differ in length", id="ragged"),
]


@pytest.mark.parametrize(("text", "wrong", "reason"), WRONG_ROWS)
def test_names_what_is_wrong_with_a_row(tmp_path: Path, text: str | bytes, wrong: int, reason: str) -> None:
    rows = read_all(write(tmp_path / "rows.jsonl", text))
    with pytest.raises(ValueError, match=reason):
        rows.to_message()
    with pytest.raises(ValueError, match=reason):
        rows.part(wrong, wrong + 1).to_message()
    for index in set(range(len(rows))) - {wrong}:
        rows.part(index, index + 1).to_message()


def test_reads_what_it_can_of_wrong_rows(tmp_path: Path) -> None:
    text = '{"a": 1, "b": 2}\nnonsense\n[5]\n{"b": 3}\n'
    rows = read_all(write(tmp_path / "rows.jsonl", text))
    assert rows.to_records() == [[1, 2], [None, None], [None, None], [None, 3]]


WRONG_FILES = [
    pytest.param("nonsense\n" * 3, None, "no file of JSON Lines.*not JSON", id="no JSON"),
    pytest.param("null\n", None, "the row is null", id="nothing but null"),
    pytest.param("{}\n", None, "has no members", id="empty object"),
    pytest.param("[1]\n", ["a"], "its rows are no objects", id="columns of arrays"),
    pytest.param('{"age": 1}\n', ["agee"], "did you mean 'age'", id="unknown column"),
]


@pytest.mark.parametrize(("text", "columns", "reason"), WRONG_FILES)
def test_rejects_a_file(tmp_path: Path, text: str, columns: list[str] | None, reason: str) -> None:
    path = write(tmp_path / "rows.jsonl", text)
    with pytest.raises(SeldonSpecError, match=reason) as caught:
        JsonLinesReader(path, columns=columns)
    assert str(path) in str(caught.value)


def test_takes_the_columns_from_the_first_valid_line(tmp_path: Path) -> None:
    rows = read_all(write(tmp_path / "rows.jsonl", 'nonsense\n{"a": 1}\n'))
    assert list(rows.names) == ["a"]
    assert len(rows) == 2


def test_an_empty_file_has_no_rows(tmp_path: Path) -> None:
    reader = JsonLinesReader(write(tmp_path / "rows.jsonl", "\n \n"))
    assert reader.read(10) is None
    reader.close()


def test_rejects_a_file_with_too_long_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line_reader, "MAX_LINE_BYTES", 3 << 20)
    path = write(tmp_path / "rows.jsonl", "[1]\n[2]\n" + "[" * (6 << 20))
    with closing(JsonLinesReader(path)) as reader:
        for line in (b"[1]", b"[2]"):
            rows = reader.read(1)
            assert rows is not None
            assert rows.lines == [line]
        with pytest.raises(SeldonSpecError, match="a line has more than 3 MiB"):
            reader.read(1)


def test_reads_a_line_that_is_larger_than_a_request(tmp_path: Path) -> None:
    large = b"[" + b"1," * (2 * MAX_REQUEST_BYTES) + b"1]"
    path = write(tmp_path / "rows.jsonl", b"[1]\n" + large + b"\n[2]\n")
    found: list[bytes] = []
    with closing(JsonLinesReader(path)) as reader:
        while (rows := reader.read(1000)) is not None:
            found += rows.lines
    assert found == [b"[1]", large, b"[2]"]


def test_bounds_the_bytes_of_a_read(tmp_path: Path) -> None:
    line = "[" + "1," * 200_000 + "1]\n"
    reader = JsonLinesReader(write(tmp_path / "rows.jsonl", line * 20))
    sizes = []
    while (rows := reader.read(1000)) is not None:
        sizes.append(sum(map(len, rows.lines)))
    reader.close()
    assert sum(sizes) == 20 * (len(line) - 1)
    assert max(sizes) <= MAX_REQUEST_BYTES


NUMBERS = [
    pytest.param("[1,2]\n[3,4.5e-3]\n", [b"1,2", b"3,4.5e-3"], id="numbers"),
    pytest.param("[ 1, -2 ]\n[3,\t4]\r\n", [b" 1, -2 ", b"3,\t4"], id="spaces"),
    pytest.param("[7]\n", [b"7"], id="one number"),
    pytest.param("[1,2]\n[3]\n", None, id="lengths"),
    pytest.param("[[1,2]]\n", None, id="nested"),
    pytest.param("[1],[2]\n", None, id="two arrays in a line"),
    pytest.param("1[2]\n", None, id="number before the array"),
    pytest.param("[1]2\n", None, id="number behind the array"),
    pytest.param("[1]\n2[3]\n[4]\n", None, id="number before a later array"),
    pytest.param("[1,null]\n", None, id="null"),
    pytest.param("[1,NaN]\n", None, id="NaN"),
    pytest.param('["1"]\n', None, id="text"),
    pytest.param("[]\n", None, id="empty"),
    pytest.param("1\n", None, id="scalar"),
    pytest.param('{"a": 1}\n', None, id="object"),
]


@pytest.mark.parametrize(("text", "expected"), NUMBERS)
def test_copies_the_text_of_numbers(tmp_path: Path, text: str, expected: list[bytes] | None) -> None:
    assert read_all(write(tmp_path / "rows.jsonl", "[0]\n" + text)).part(1, 1000).to_numbers() == expected


@given(st.data(), st.integers(1, 4))
def test_the_text_of_numbers_is_that_of_the_message(data: st.DataObject, width: int) -> None:
    number = st.one_of(st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False, allow_infinity=False))
    values = data.draw(st.lists(st.lists(number, min_size=width, max_size=width), min_size=1, max_size=5))
    rows = JsonLinesRows([json.dumps(row).encode() for row in values], None, ())
    texts = rows.to_numbers()
    assert texts is not None
    read = [json.loads(b"[" + text + b"]") for text in texts]
    assert read == values
    np.testing.assert_array_equal(rows.to_message().payload.tolist(), np.array(read).tolist())


@given(st.lists(st.text("[]{}1,.-eE \t\rnN\"'", min_size=1, max_size=8), min_size=1, max_size=4))
def test_the_text_of_numbers_has_a_part_for_each_line(lines: list[str]) -> None:
    rows = JsonLinesRows([line.encode() for line in lines], None, ())
    texts = rows.to_numbers()
    if texts is not None:
        assert [b"[%b]" % text for text in texts] == list(rows.lines)
        assert len({text.count(b",") for text in texts}) == 1


TEXTS = [
    pytest.param("[1]\n\n[2]\r\n \n[3]\n", id="blank lines"),
    pytest.param("\ufeff[1]\n[2]\n[3]", id="BOM"),
    pytest.param('{"a": 1}\n{"a": 2}\n{"a": "ä"}\n', id="objects"),
]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("count", [1, 2])
def test_continues_at_each_position(tmp_path: Path, text: str, count: int) -> None:
    path = write(tmp_path / "rows.jsonl", text)
    reader = JsonLinesReader(path)
    found: list[tuple[int, list[bytes]]] = []
    position = reader.position
    while (rows := reader.read(count)) is not None:
        found.append((position, list(rows.lines)))
        position = reader.position
    assert position == reader.size
    reader.close()
    for index, (position, _) in enumerate(found):
        reader = JsonLinesReader(path)
        reader.seek(position)
        rest = []
        while (rows := reader.read(count)) is not None:
            rest.append(list(rows.lines))
        reader.close()
        assert rest == [lines for _, lines in found[index:]]


class NamedRows:
    """Rows of another format."""

    names = ("id", "we%ight")
    lines = None

    def __init__(self, records: list[list[Any]]) -> None:
        self._records = records

    def __len__(self) -> int:
        return len(self._records)

    def part(self, start: int, stop: int) -> NamedRows:
        return NamedRows(self._records[start:stop])

    def to_numbers(self) -> None:
        return None

    def to_number_records(self) -> None:
        return None

    def to_message(self) -> Message:
        raise NotImplementedError

    def to_records(self) -> list[list[Any]]:
        return self._records


def objects(*lines: bytes) -> JsonLinesRows:
    return JsonLinesRows(lines, ["a"], ["a"])


def values(*lines: bytes) -> JsonLinesRows:
    return JsonLinesRows(lines, None, ())


BIG = 2**63 - 1
WRITTEN = [
    pytest.param(
        objects(b'{"a":  1.0}', b' { "a" : "x" } '),
        ["p"],
        Predictions([], None, texts=[b"0.5", b"null"]),
        b'{"a":  1.0,"p":0.5}\n { "a" : "x","p":null}\n',
        id="object lines are kept",
    ),
    pytest.param(
        values(b"[1, 2]", b'"x"'),
        ["p", "q%"],
        Predictions([], 2, texts=[b"1,2", b"3,4"]),
        b'{"data":[1, 2],"p":1,"q%":2}\n{"data":"x","p":3,"q%":4}\n',
        id="other lines are data",
    ),
    pytest.param(
        objects(b"{}"), ["p"], Predictions([], None, texts=[b"1"]), b'{"p":1}\n', id="an object without members"
    ),
    pytest.param(
        NamedRows([["x", 1.5], [None, math.nan]]),
        ["p"],
        Predictions([], None, values=np.array([BIG, -1])),
        b'{"id":"x","we%%ight":1.5,"p":%d}\n{"id":null,"we%%ight":null,"p":-1}\n' % BIG,
        id="rows of another format",
    ),
    pytest.param(
        values(b"1", b"2"),
        ["p"],
        Predictions([], None, values=["cät", {"a": [math.nan, 2**70]}]),
        '{"data":1,"p":"cät"}\n{"data":2,"p":{"a": [null, 1180591620717411303424]}}\n'.encode(),
        id="text and objects",
    ),
    pytest.param(
        values(b"1", b"2"),
        ["p", "q"],
        Predictions([], 2, values=np.array([[1.0, math.nan], [0.25, 2]])),
        b'{"data":1,"p":1.0,"q":null}\n{"data":2,"p":0.25,"q":2.0}\n',
        id="NaN is null",
    ),
    pytest.param(
        objects(b'{"a": 1}', b'{"a": 1, "z": 2}', b'{"a": 3, "p": 4}', b"nonsense", b"[1]"),
        ["p"],
        None,
        b'{"a": 1,"p":null}\n{"a": 1, "z": 2,"p":null}\n{"a":3,"p":null}\n{"a":null,"p":null}\n{"a":null,"p":null}\n',
        id="failed objects",
    ),
    pytest.param(
        values(b"[1,2]", b"nonsense"),
        ["p", "q"],
        None,
        b'{"data":[1,2],"p":null,"q":null}\n{"data":null,"p":null,"q":null}\n',
        id="failed values",
    ),
]


@pytest.mark.parametrize(("rows", "predicted", "predictions", "expected"), WRITTEN)
def test_writes_predictions_beside_rows(
    tmp_path: Path, rows: Any, predicted: list[str], predictions: Predictions | None, expected: bytes
) -> None:
    path = tmp_path / "out.jsonl"
    writer = JsonLinesWriter(path)
    writer.start(rows.names, predicted)
    writer.write(rows, predictions)
    writer.finish()
    written = path.read_bytes()
    for line in written.splitlines():
        assert list(json.loads(line, parse_constant=pytest.fail))[-len(predicted) :] == predicted
    assert written == expected


def test_rejects_predictions_of_another_width(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    writer = JsonLinesWriter(path)
    writer.start(["data"], ["p", "q"])
    with pytest.raises(ValueError, match="has not 2 values"):
        writer.write(values(b"1"), Predictions([], None, values=["x"]))
    writer.finish()
    assert path.read_bytes() == b""


def test_continues_behind_each_flush(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    writer = JsonLinesWriter(path)
    writer.start(["data"], ["p"])
    sizes = []
    for index in range(4):
        sizes.append(writer.flush())
        writer.write(values(b"%d" % index), Predictions([], None, texts=[b"%d" % index]))
    writer.finish()
    complete = path.read_bytes()
    for index, size in enumerate(sizes):
        path.write_bytes(complete[:size] + b'{"data": half a li')
        writer = JsonLinesWriter(path)
        writer.resume(["data"], ["p"], size)
        for rest in range(index, 4):
            writer.write(values(b"%d" % rest), Predictions([], None, texts=[b"%d" % rest]))
        writer.finish()
        assert path.read_bytes() == complete


def test_does_not_continue_a_shorter_output(tmp_path: Path) -> None:
    path = write(tmp_path / "out.jsonl", "{}\n")
    with pytest.raises(SeldonSpecError, match="has 3 bytes"):
        JsonLinesWriter(path).resume(["data"], ["p"], 10)


def test_reports_an_output_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(SeldonSpecError, match="No such file or directory"):
        JsonLinesWriter(tmp_path / "missing" / "out.jsonl").start(["data"], ["p"])


def test_reads_what_it_wrote(tmp_path: Path) -> None:
    rows = read_all(write(tmp_path / "rows.jsonl", '{"a": 1, "b": "x"}\n{"a": 9007199254740993, "b": null}\n'))
    writer = JsonLinesWriter(tmp_path / "out.jsonl")
    writer.start(rows.names, ["p"])
    writer.write(rows, Predictions([], None, values=np.array([0.1, 3.0])))
    writer.finish()
    assert read_all(tmp_path / "out.jsonl").to_records() == [[1, "x", 0.1], [9007199254740993, None, 3.0]]

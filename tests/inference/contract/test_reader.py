"""Requests of both protocols, read as the declared inputs say, or rejected with all of their problems."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seldon_spec.config.contract import ColumnSpec, TensorSpec
from seldon_spec.errors import PayloadError
from seldon_spec.inference.contract.reader import ContractReader
from seldon_spec.inference.contract.validation import RequestValidation
from seldon_spec.inference.message import KeepRows, Message, Operation
from seldon_spec.inference.request import Codec
from seldon_spec.protocols.open_inference_v2.codec import ModelInfo
from seldon_spec.protocols.open_inference_v2.json_codec import V2JsonCodec
from seldon_spec.protocols.seldon_v1.json_codec import JsonCodec

IRIS = (
    TensorSpec(
        "flower",
        "FP64",
        (-1, 3),
        columns=(
            ColumnSpec("length", minimum=0, maximum=10),
            ColumnSpec("width", maximum=5),
            ColumnSpec("kind", choices=(1, 2), optional=True),
        ),
        minimum=-1,
    ),
)
PLAIN = (TensorSpec("x", "FP64", (-1, 2), columns=(ColumnSpec("a"), ColumnSpec("b"))),)
WHOLE = (TensorSpec("x", "UINT8", (-1, 2), columns=(ColumnSpec("a"), ColumnSpec("b", maximum=200.5))),)
TABLE = (
    TensorSpec("age", "INT32", (-1,), minimum=0, maximum=150),
    TensorSpec("job", "BYTES", (-1,), content_type="str", choices=("cook", "nurse")),
    TensorSpec("income", "FP32", (-1, 1), optional=True),
    TensorSpec("member", "BOOL", (-1,), optional=True),
)
IMAGE = (TensorSpec("image", "UINT8", (-1, 2, 2), maximum=250),)
TEXT = (TensorSpec("text", "BYTES", (-1,), content_type="str", choices=("a", "b")),)
MIXED = (TensorSpec("x", "FP32", (-1, 2)), TensorSpec("when", "BYTES", (-1,), content_type="datetime", optional=True))


def read(inputs: Sequence[TensorSpec], message: Message) -> dict[str, Any]:
    read = RequestValidation(inputs, "reject").read_tensors(message)
    return {tensor.name: (tensor.array.dtype.name, tensor.array.tolist()) for tensor in read.payload}


def v1(inputs: Sequence[TensorSpec], tree: Any) -> Message:
    return _message(JsonCodec(), tree)


def v2(inputs: Sequence[TensorSpec], **tensors: tuple[str, list[int], list[Any]]) -> Message:
    entries = [{"name": n, "datatype": d, "shape": s, "data": v} for n, (d, s, v) in tensors.items()]
    return _message(V2JsonCodec(ModelInfo("model", inputs=tuple(inputs))), {"inputs": entries})


def _message(codec: Codec, tree: Any) -> Message:
    request = codec.decode(Operation.PREDICT, json.dumps(tree).encode())
    request.keeps_rows = KeepRows.IF_MIXED
    return request.message


def rows(*values: Any, names: list[Any] | None = None) -> dict[str, Any]:
    return {"data": {"ndarray": list(values), **({} if names is None else {"names": names})}}


def problems_of(inputs: Sequence[TensorSpec], message: Message) -> str:
    with pytest.raises(PayloadError) as caught:
        ContractReader(inputs).read(message)
    return str(caught.value)


NAN = float("nan")
RIGHT: dict[str, tuple[tuple[TensorSpec, ...], Any, dict[str, Any]]] = {
    "positional": (PLAIN, rows([1, 2], [3, 4.5]), {"x": ("float64", [[1, 2], [3, 4.5]])}),
    "integers": (PLAIN, rows([1, 2]), {"x": ("float64", [[1, 2]])}),
    "in-order": (PLAIN, rows([1, 2], names=["a", "b"]), {"x": ("float64", [[1, 2]])}),
    "reordered": (PLAIN, rows([1, 2], names=["b", "a"]), {"x": ("float64", [[2, 1]])}),
    "default-names": (PLAIN, rows([1, 2], names=["t:0", "t:1"]), {"x": ("float64", [[1, 2]])}),
    "tensor": (PLAIN, {"data": {"tensor": {"shape": [1, 2], "values": [1, 2]}}}, {"x": ("float64", [[1, 2]])}),
    "no-rows": (PLAIN, {"data": {"tensor": {"shape": [0, 2], "values": []}}}, {"x": ("float64", [])}),
    "columns-by-name": (PLAIN, {"jsonData": {"b": [2, 4], "a": [1, 3]}}, {"x": ("float64", [[1, 2], [3, 4]])}),
    "record": (PLAIN, {"jsonData": {"b": 2, "a": 1}}, {"x": ("float64", [[1, 2]])}),
    "records": (PLAIN, {"jsonData": [{"b": 2, "a": 1}]}, {"x": ("float64", [[1, 2]])}),
    "infinity": (PLAIN, rows([1, float("inf")]), {"x": ("float64", [[1, float("inf")]])}),
    "bounds": (IRIS, rows([0, 5, 1], [10, -1, 2]), {"flower": ("float64", [[0, 5, 1], [10, -1, 2]])}),
    "whole": (WHOLE, rows([255, 200]), {"x": ("uint8", [[255, 200]])}),
    "whole-floats": (WHOLE, rows([255.0, 1.0]), {"x": ("uint8", [[255, 1]])}),
    "table": (
        TABLE,
        rows([30, "cook", 1.5, True], [31, "nurse", None, None]),
        {
            "age": ("int32", [30, 31]),
            "job": ("object", ["cook", "nurse"]),
            "income": ("float32", [[1.5], [pytest.approx(NAN, nan_ok=True)]]),
            "member": ("bool", [True, None]),
        },
    ),
    "table-by-name": (
        TABLE,
        rows(["nurse", 31], names=["job", "age"]),
        {"age": ("int32", [31]), "job": ("object", ["nurse"])},
    ),
    "table-of-numbers": (
        TABLE[:1] + TABLE[2:3],
        rows([1, 2.5]),
        {"age": ("int32", [1]), "income": ("float32", [[2.5]])},
    ),
    "image": (IMAGE, rows([[1, 2], [3, 4]]), {"image": ("uint8", [[[1, 2], [3, 4]]])}),
    "text": (TEXT, {"strData": "a"}, {"text": ("object", ["a"])}),
    "texts": (TEXT, rows("a", "b"), {"text": ("object", ["a", "b"])}),
    "json": (MIXED, {"jsonData": {"x": [[1, 2]]}}, {"x": ("float32", [[1, 2]])}),
}


@pytest.mark.parametrize(("inputs", "tree", "expected"), RIGHT.values(), ids=RIGHT.keys())
def test_requests_of_seldons_protocol(inputs: tuple[TensorSpec, ...], tree: Any, expected: dict[str, Any]) -> None:
    assert read(inputs, v1(inputs, tree)) == expected


V2_RIGHT: dict[str, tuple[tuple[TensorSpec, ...], dict[str, Any], dict[str, Any]]] = {
    "rows": (PLAIN, {"x": ("FP64", [1, 2], [1, 2])}, {"x": ("float64", [[1, 2]])}),
    "any-name": (PLAIN, {"input-0": ("FP32", [1, 2], [1, 2])}, {"x": ("float64", [[1, 2]])}),
    "any-name-exact": (PLAIN, {"input-0": ("FP64", [1, 2], [1, 2])}, {"x": ("float64", [[1, 2]])}),
    "bf16": (PLAIN, {"x": ("BF16", [1, 2], [1.5, 2])}, {"x": ("float64", [[1.5, 2]])}),
    "columns": (
        PLAIN,
        {"b": ("FP64", [2], [2, 4]), "a": ("INT32", [2, 1], [1, 3])},
        {"x": ("float64", [[1, 2], [3, 4]])},
    ),
    "table": (
        TABLE,
        {"job": ("BYTES", [2], ["cook", "nurse"]), "age": ("INT8", [2], [1, 2]), "member": ("BOOL", [2], [True, None])},
        {"age": ("int32", [1, 2]), "job": ("object", ["cook", "nurse"]), "member": ("bool", [True, None])},
    ),
    "tensors": (
        MIXED,
        {"x": ("FP32", [1, 2], [1, 2]), "when": ("BYTES", [2], [None, None])},
        {"x": ("float32", [[1, 2]]), "when": ("object", [None, None])},
    ),
}


@pytest.mark.parametrize(("inputs", "tensors", "expected"), V2_RIGHT.values(), ids=V2_RIGHT.keys())
def test_requests_of_v2(inputs: tuple[TensorSpec, ...], tensors: dict[str, Any], expected: dict[str, Any]) -> None:
    assert read(inputs, v2(inputs, **tensors)) == expected


def test_a_single_input_has_the_names_of_its_columns() -> None:
    assert ContractReader(PLAIN).read(v1(PLAIN, rows([1, 2], names=["b", "a"]))).names == ["a", "b"]
    assert ContractReader(PLAIN).read(v2(PLAIN, x=("FP64", [1, 2], [1, 2]))).names == ["a", "b"]


def test_integers_may_come_as_floats_where_values_may_be_missing() -> None:
    inputs = (TensorSpec("a", "INT64", (-1,), optional=True), TensorSpec("b", "FP64", (-1,)))
    found = read(inputs, v2(inputs, a=("FP64", [2], [1, None]), b=("FP64", [2], [1, 2])))
    assert found["a"] == ("int64", [1, None])
    text = problems_of(inputs, v2(inputs, a=("FP64", [2], [1.5, None]), b=("FP64", [2], [1, 2])))
    assert text == "invalid request: row 0, a: 1.5 is not a whole number"


WRONG: dict[str, tuple[tuple[TensorSpec, ...], Any, str]] = {
    "text": (PLAIN, rows([1, 2], [3, "abc"]), ": row 1, b: 'abc' is not a number"),
    "number-in-quotes": (PLAIN, rows(["1", 2]), ": row 0, a: '1' is not a number"),
    "boolean": (PLAIN, rows([True, 2]), ": row 0, a: true is not a number"),
    "null": (PLAIN, rows([None, 2]), ": row 0, a: a value is missing"),
    "nan": (PLAIN, rows([1, NAN]), ": row 0, b: a value is missing"),
    "list": (PLAIN, rows([1, {"a": 1}]), ": row 0, b: an object is not a number"),
    "width": (PLAIN, rows([1, 2, 3]), ": a row has 3 values, and the columns are 2: a, b"),
    "flat": (PLAIN, rows(1, 2), r": input x: the shape [2] does not match [-1, 2]"),
    "unknown": (
        PLAIN,
        rows([1, 2], names=["a", "bb"]),
        " (2 problems): unknown column 'bb', did you mean 'b'?; missing column 'b'",
    ),
    "missing": (PLAIN, rows([1], names=["a"]), ": missing column 'b'"),
    "missing-and-value": (
        PLAIN,
        rows([1], ["x"], names=["a"]),
        " (2 problems): missing column 'b'; row 1, a: 'x' is not a number",
    ),
    "nothing-known": (
        PLAIN,
        rows([1], names=["c"]),
        " (3 problems): unknown column 'c'; missing column 'a'; missing column 'b'",
    ),
    "more": (PLAIN, rows([1, 2, 3], names=["a", "b", "c"]), ": unknown column 'c'"),
    "more-and-value": (
        PLAIN,
        rows([9, 1, 2], [9, "x", 3], names=["c", "b", "a"]),
        " (2 problems): unknown column 'c'; row 1, b: 'x' is not a number",
    ),
    "twice": (PLAIN, rows([1, 2], names=["a", "a"]), ": two columns have the name 'a'"),
    "names-and-width": (
        PLAIN,
        rows([1, 2, 3], names=["a", "b"]),
        ": a row has 3 values, and there are 2 names of columns",
    ),
    "names-of-numbers": (PLAIN, rows([1, 2], names=[0, 1]), " (4 problems): unknown column '0'"),
    "low": (IRIS, rows([-1, 1, 1]), ": row 0, length: -1 is less than the minimum 0"),
    "high": (IRIS, rows([1, 5.5, 1]), ": row 0, width: 5.5 is greater than the maximum 5"),
    "inherited": (IRIS, rows([1, -2, 1]), ": row 0, width: -2 is less than the minimum -1"),
    "choice": (IRIS, rows([1, 1, 3]), ": row 0, kind: 3 is not one of 1, 2"),
    "several": (
        IRIS,
        rows([11, 1, 1], ["x", 6, None]),
        " (3 problems): row 0, length: 11 is greater than the maximum 10; row 1, length: 'x' is not a number; "
        "row 1, width: 6 is greater than the maximum 5",
    ),
    "range-of-type": (WHOLE, rows([256, 1]), ": row 0, a: 256 is outside the range of UINT8"),
    "fraction": (WHOLE, rows([1.5, 1]), ": row 0, a: 1.5 is not a whole number"),
    "whole-bound": (WHOLE, rows([1, 201]), ": row 0, b: 201 is greater than the maximum 200.5"),
    "huge": (WHOLE, rows([2**70, 1]), ": row 0, a: 1180591620717411303424 is outside the range of UINT8"),
    "huge-float": (PLAIN, rows([10**400, "x"]), " (2 problems): row 0, a: 1000"),
    "table": (
        TABLE,
        rows(["old", "pilot", "x", "yes"], [151, None, 1, 1]),
        " (6 problems): row 0, age: 'old' is not a number; row 0, job: 'pilot' is not one of 'cook', 'nurse'; "
        "row 0, income: 'x' is not a number; row 0, member: 'yes' is not a boolean; "
        "row 1, age: 151 is greater than the maximum 150; row 1, job: a value is missing",
    ),
    "table-unknown-and-value": (
        TABLE,
        rows([-1, "cook", 1], names=["age", "job", "x"]),
        " (2 problems): unknown column 'x'; row 0, age: -1 is less than the minimum 0",
    ),
    "table-missing": (TABLE, rows([1], names=["age"]), ": missing column 'job'"),
    "table-width": (TABLE, rows([1, "cook"]), ": a row has 2 values, and the columns are 4: age, job, income, member"),
    "table-shape": (
        TABLE,
        rows(1, 2),
        ": the shape [2] is not that of rows; send a list for each row, with age, job, income, member",
    ),
    "number-for-text": (TABLE, rows([1, 5, 1, None]), ": row 0, job: 5 is not text"),
    "lengths": (
        TABLE,
        {"jsonData": {"age": [1, 2], "job": ["cook"]}},
        ": the columns differ in length: 'job' has 1, 'age' has 2",
    ),
    "element": (
        IMAGE,
        rows([[1, 2], [251, 4]]),
        ": input image: element [0, 1, 0]: 251 is greater than the maximum 250",
    ),
    "element-type": (IMAGE, rows([[1, 2], ["x", 4]]), ": input image: element [0, 1, 0]: 'x' is not a number"),
    "rank": (IMAGE, rows([1, 2]), ": input image: the shape [1, 2] does not match [-1, 2, 2]"),
    "text-choice": (TEXT, {"strData": "c"}, ": input text: element [0]: 'c' is not one of 'a', 'b'"),
    "text-for-numbers": (PLAIN, {"strData": "c"}, ": the request holds no array; send rows of 2 columns: a, b"),
    "missing-input": (MIXED, {"jsonData": {}}, ": missing input 'x'"),
    "unknown-input-and-value": (
        MIXED,
        {"jsonData": {"x": [[1, "x"]], "y": [1]}},
        " (2 problems): unknown input 'y'; input x: element [0, 1]: 'x' is not a number",
    ),
    "unknown-input": (MIXED, {"jsonData": {"x": [[1, 2]], "y": [1]}}, ": unknown input 'y'"),
    "ragged-input": (MIXED, {"jsonData": {"x": [[1], [1, 2]]}}, ": input x: the rows of an array differ in length"),
    "not-a-date": (
        MIXED,
        {"jsonData": {"x": [[1, 2]], "when": ["2024-01-01", "soon"]}},
        ": input when: element [1]: 'soon' is not a date and time of ISO 8601: ",
    ),
    "array-for-several": (MIXED, {"binData": "AAAA"}, ": the request holds no value of the inputs; they are x, when"),
}


@pytest.mark.parametrize(("inputs", "tree", "text"), WRONG.values(), ids=WRONG.keys())
def test_wrong_requests_of_seldons_protocol(inputs: tuple[TensorSpec, ...], tree: Any, text: str) -> None:
    assert problems_of(inputs, v1(inputs, tree)).startswith(f"invalid request{text}")


V2_WRONG: dict[str, tuple[tuple[TensorSpec, ...], dict[str, Any], str]] = {
    "datatype": (PLAIN, {"x": ("BYTES", [1, 2], ["1", "2"])}, ": input x: the datatype BYTES is not FP64"),
    "unsafe": (WHOLE, {"x": ("INT16", [1, 2], [1, 2])}, ": input x: the datatype INT16 is not UINT8"),
    "shape": (PLAIN, {"x": ("FP64", [2], [1, 2])}, ": input x: the shape [2] does not match [-1, 2]"),
    "bounds": (IRIS, {"flower": ("FP64", [1, 3], [11, 0, 1])}, ": row 0, length: 11 is greater than the maximum 10"),
    "null": (PLAIN, {"x": ("FP64", [1, 2], [None, 1])}, ": row 0, a: a value is missing"),
    "null-integer": (WHOLE, {"x": ("UINT8", [1, 2], [None, 1])}, ": row 0, a: a value is missing"),
    "missing": (TABLE, {"age": ("INT32", [1], [1])}, ": missing input 'job'"),
    "missing-column": (PLAIN, {"a": ("FP64", [2], [1, 2])}, ": missing column 'b'"),
    "missing-column-and-value": (
        PLAIN,
        {"a": ("FP64", [2], [1, None])},
        " (2 problems): missing column 'b'; row 1, a: a value is missing",
    ),
    "unknown-and-value": (
        TABLE,
        {"age": ("INT32", [1], [-1]), "job": ("BYTES", [1], ["cook"]), "jobs": ("BYTES", [1], ["cook"])},
        " (2 problems): unknown input 'jobs'; row 0, age: -1 is less than the minimum 0",
    ),
    "unknown": (
        TABLE,
        {"age": ("INT32", [1], [1]), "jobs": ("BYTES", [1], ["cook"])},
        " (2 problems): unknown input 'jobs', did you mean 'job'?; missing input 'job'",
    ),
    "values": (
        TABLE,
        {"age": ("INT32", [2], [1, -1]), "job": ("BYTES", [2], ["pilot", "cook"])},
        " (2 problems): row 0, job: 'pilot' is not one of 'cook', 'nurse'; row 1, age: -1 is less than the minimum 0",
    ),
    "lengths": (
        TABLE,
        {"age": ("INT32", [2], [1, 1]), "job": ("BYTES", [1], ["cook"])},
        ": the columns differ in length",
    ),
    "boolean": (PLAIN, {"x": ("BOOL", [1, 2], [True, False])}, ": input x: the datatype BOOL is not FP64"),
    "column-datatype": (
        WHOLE,
        {"a": ("FP64", [1], [1]), "b": ("UINT8", [1], [1])},
        ": input a: the datatype FP64 is not UINT8",
    ),
    "texts": (
        PLAIN,
        {"x": ("FP64", [2, 2], [1, "abc", True, "NaN"])},
        " (3 problems): row 0, b: 'abc' is not a number; row 1, a: true is not a number; row 1, b: 'NaN' is not a number",
    ),
    "range": (WHOLE, {"x": ("UINT8", [1, 2], [300, 1])}, ": row 0, a: 300 is outside the range of UINT8"),
    "wrong-text": (
        TABLE,
        {"age": ("INT8", [1], ["old"]), "job": ("BYTES", [1], [5])},
        " (2 problems): row 0, age: 'old' is not a number; row 0, job: 5 is not text",
    ),
    "not-utf-8": (TEXT, {"text": ("BYTES", [1], ["ä"])}, ": input text: element [0]: 'ä' is not one of 'a', 'b'"),
}


@pytest.mark.parametrize(("inputs", "tensors", "text"), V2_WRONG.values(), ids=V2_WRONG.keys())
def test_wrong_requests_of_v2(inputs: tuple[TensorSpec, ...], tensors: dict[str, Any], text: str) -> None:
    assert problems_of(inputs, v2(inputs, **tensors)).startswith(f"invalid request{text}")


def test_the_number_of_shown_problems_is_limited() -> None:
    text = problems_of(IRIS, v1(IRIS, rows(*[[11, 6, 3] for _ in range(1000)])))
    assert text.startswith("invalid request (3000 problems): row 0, length: ")
    assert text.endswith("; and 2980 more")
    assert text.count("; ") == 20


def test_wrong_values_are_refused_where_requests_are_not_rejected() -> None:
    message = v2(PLAIN, x=("FP64", [1, 2], [1, "abc"]))
    for mode in ("off", "warn"):
        with pytest.raises(PayloadError, match="input 'x': 'abc' is not a value of FP64"):
            RequestValidation(PLAIN, mode).read(message)


def test_a_long_value_is_cut() -> None:
    text = problems_of(PLAIN, v1(PLAIN, rows([1, "x" * 5000])))
    assert len(text) < 120


@pytest.mark.parametrize("checks_values", [True, False])
def test_values_need_not_be_checked(*, checks_values: bool) -> None:
    reader = ContractReader(IRIS, checks_values=checks_values)
    message = v1(IRIS, rows([11, NAN, 3]))
    if checks_values:
        with pytest.raises(PayloadError, match="3 problems"):
            reader.read(message)
    else:
        assert reader.read(message).payload[0].array.shape == (1, 3)
    with pytest.raises(PayloadError, match="missing column"):
        reader.read(v1(IRIS, rows([1], names=["length"])))


def test_absent_columns_of_a_table_are_filled_with_missing_values() -> None:
    message = v1(TABLE, rows(["nurse", 31], names=["job", "age"]))
    read = RequestValidation(TABLE, "reject").read_table(message)
    assert read is not None
    assert [(tensor.name, tensor.array.shape) for tensor in read.payload] == [
        ("age", (1,)),
        ("job", (1,)),
        ("income", (1, 1)),
        ("member", (1,)),
    ]
    income, member = read.payload[2].array, read.payload[3].array
    assert np.isnan(income).all()
    assert (member.dtype, member.tolist()) == (np.dtype(bool), [None])


def test_an_image_stays_one_whatever_the_client_calls_it() -> None:
    inputs = (TensorSpec("photo", "BYTES", (-1,), content_type="image/png"),)
    png = "iVBORw0KGgo="
    for content_type in (None, "base64", "image/png", "np"):
        entry: dict[str, Any] = {"name": "photo", "datatype": "BYTES", "shape": [1], "data": [png]}
        if content_type is not None:
            entry["parameters"] = {"content_type": content_type}
        message = _message(V2JsonCodec(ModelInfo("model", inputs=inputs)), {"inputs": [entry]})
        assert ContractReader(inputs).read(message).payload[0].array.tolist() == [b"\x89PNG\r\n\x1a\n"]
    for content_type in ("str", "json", "image/jpeg"):
        entry = {"name": "photo", "datatype": "BYTES", "shape": [1], "data": [png]}
        entry["parameters"] = {"content_type": content_type}
        message = _message(V2JsonCodec(ModelInfo("model", inputs=inputs)), {"inputs": [entry]})
        text = problems_of(inputs, message)
        assert text == f"invalid request: input photo: the content type '{content_type}' is not image/png"


def test_bounds_are_values_of_the_datatype() -> None:
    for datatype in ("FP16", "BF16", "FP32", "FP64"):
        inputs = (TensorSpec("x", datatype, (-1,), minimum=0.1, maximum=0.3),)
        assert len(ContractReader(inputs).read(v2(inputs, x=(datatype, [2], [0.1, 0.3]))).payload) == 1
        assert "less than the minimum 0.1" in problems_of(inputs, v2(inputs, x=(datatype, [1], [0.09])))


def test_the_work_for_a_wrong_request_is_bounded() -> None:
    """Names are compared, and problems collected, in linear time; this would take minutes otherwise."""
    columns = tuple(ColumnSpec(f"column_number_{index}") for index in range(4096))
    inputs = (TensorSpec("x", "FP64", (-1, 4096), columns=columns),)
    names = [f"column_numbr_{index}" for index in range(4096)]
    text = problems_of(inputs, v1(inputs, rows([1.0] * 4096, names=names)))
    assert text.startswith("invalid request (8192 problems): unknown column 'column_numbr_0', did you mean")
    text = problems_of(inputs, v1(inputs, rows(["x"] * 4096, ["y"] * 4096, ["z"] * 4096)))
    assert text.startswith("invalid request (10000 or more problems): row 0, column_number_0: 'x' is not a number")
    records = [{f"key{index}": 1} for index in range(20_000)]
    assert "unknown column 'key0'" in problems_of(PLAIN, v1(PLAIN, {"jsonData": records}))
    text = problems_of(PLAIN, v1(PLAIN, rows([1.0] * 20_000, names=[*map(str, range(19_999)), "5"])))
    assert text == "invalid request: two columns have the name '5'"


def test_names_of_the_client_are_shortened() -> None:
    name = "size\nFAKE" + "x" * 100_000
    text = problems_of(TABLE, v2(TABLE, **{name: ("FP64", [1], [1])}))
    assert "\n" not in text
    assert len(text) < 300


EMPTY: dict[str, tuple[tuple[TensorSpec, ...], Any]] = {
    "matrix": (PLAIN, rows()),
    "matrix-with-names": (PLAIN, rows(names=["b", "a"])),
    "table": (TABLE, rows()),
    "table-with-names": (TABLE, rows(names=["job", "age"])),
    "table-by-name": (TABLE, {"jsonData": {"age": [], "job": []}}),
    "tensor": (IMAGE, rows()),
}


@pytest.mark.parametrize(("inputs", "tree"), EMPTY.values(), ids=EMPTY.keys())
def test_a_request_may_have_no_rows(inputs: tuple[TensorSpec, ...], tree: Any) -> None:
    tensors = ContractReader(inputs).read(v1(inputs, tree)).payload
    assert {len(tensor.array) for tensor in tensors} == {0}


def test_null_is_an_absent_optional_input() -> None:
    assert read(MIXED, v1(MIXED, {"jsonData": {"x": [[1, 2]], "when": None}})) == {"x": ("float32", [[1, 2]])}


def test_default_names_may_be_declared() -> None:
    inputs = (TensorSpec("x", "FP64", (-1, 2), columns=(ColumnSpec("t:1"), ColumnSpec("t:0"))),)
    assert read(inputs, v1(inputs, rows([1, 2], names=["t:1", "t:0"]))) == {"x": ("float64", [[1, 2]])}


def test_modes(caplog: pytest.LogCaptureFixture) -> None:
    wrong = v1(IRIS, rows([11, 1, 1]))
    assert RequestValidation(IRIS, "off").read(wrong) is None
    assert RequestValidation(IRIS, "warn").read(wrong) is None
    assert "server.validate_requests: invalid request: row 0, length: 11 is greater" in caplog.text
    with pytest.raises(PayloadError, match="row 0, length"):
        RequestValidation(IRIS, "reject").read(wrong)
    assert RequestValidation(IRIS, "warn").read_tensors(wrong).payload[0].array.tolist() == [[11, 1, 1]]


numbers = st.floats(allow_nan=True, allow_infinity=True) | st.integers(-(10**6), 10**6)


@given(st.lists(st.tuples(numbers, numbers, numbers), min_size=1, max_size=8))
def test_a_matrix_is_checked_as_its_values_are(values: list[tuple[float, float, float]]) -> None:
    """The vectorised checks find what a comparison of single values finds."""
    limits = [(0, 10, ()), (-1, 5, ()), (-1, None, (1, 2))]
    expected = 0
    for row in values:
        for value, (low, high, choices) in zip(row, limits, strict=True):
            if np.isnan(value):
                expected += 0 if choices else 1
                continue
            is_wrong = value < low or (high is not None and value > high) or (choices and value not in choices)
            expected += bool(is_wrong)
    message = v1(IRIS, {"data": {"tensor": {"shape": [len(values), 3], "values": [v for row in values for v in row]}}})
    if expected:
        text = problems_of(IRIS, message)
        assert text.startswith("invalid request: " if expected == 1 else f"invalid request ({expected} problems): ")
    else:
        assert len(RequestValidation(IRIS, "reject").read_tensors(message).payload[0].array) == len(values)

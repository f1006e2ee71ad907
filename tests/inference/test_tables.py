"""Columns with types of their own: from a request to a table, and from a table to a response."""

from __future__ import annotations

import datetime
import json
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st

from seldon_spec.config.model import UnitSpec
from seldon_spec.inference.component.adapter import Adapter
from seldon_spec.inference.component.tables import Table, make_pandas, make_polars, read_column
from seldon_spec.inference.message import Operation
from seldon_spec.protocols.open_inference_v2.codec import InferBody, ModelInfo
from seldon_spec.protocols.open_inference_v2.json_codec import V2JsonCodec
from seldon_spec.protocols.open_inference_v2.proto import ModelInferResponse
from seldon_spec.protocols.open_inference_v2.proto_codec import V2ProtoCodec
from seldon_spec.protocols.open_inference_v2.proto_message import CONTENTS
from seldon_spec.protocols.seldon_v1.json_codec import JsonCodec
from seldon_spec.protocols.seldon_v1.proto import SeldonMessage
from seldon_spec.protocols.seldon_v1.proto_codec import ProtoCodec

JSON, PROTO = JsonCodec(), ProtoCodec()
V2, V2_PROTO = V2JsonCodec(ModelInfo("m")), V2ProtoCodec(ModelInfo("m"))
TEXT = str(pd.Series([""]).dtype)


class Pandas:
    """Keeps the table that it gets, and returns it."""

    def predict(self, X: pd.DataFrame) -> Any:  # noqa: N803
        self.got = X
        return X


class Polars(Pandas):
    def predict(self, X: pl.DataFrame) -> Any:  # noqa: N803
        self.got = X
        return X


def send(user: object, codec: Any, wire: Any) -> bytes:
    adapter = Adapter(user, UnitSpec())
    request = codec.decode(Operation.PREDICT, wire)
    request.keeps_rows = adapter.keeps_rows
    body: bytes = codec.encode(adapter.call(request, list), request).body  # type: ignore[arg-type]
    return body


FLOATS = st.floats(allow_nan=False, allow_infinity=False)
INTEGERS = st.integers(-(1 << 63), (1 << 63) - 1)
STRINGS = st.text(st.characters(codec="utf-8"), max_size=4)
KINDS: dict[str, tuple[st.SearchStrategy[Any], str, str, str]] = {
    # the values, the type without and with missing ones in pandas, and the type in polars
    "integers": (INTEGERS, "int64", "Int64", "Int64"),
    "floats": (FLOATS, "float64", "float64", "Float64"),
    "texts": (STRINGS, TEXT, TEXT, "String"),
    "booleans": (st.booleans(), "bool", "boolean", "Boolean"),
}


@st.composite
def tables(draw: st.DrawFn) -> list[tuple[str, list[Any]]]:
    """Columns of equal length: the kind of each, and its values, of which at least one is not missing."""
    count = draw(st.integers(1, 5))
    columns = []
    for kind in draw(st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=5)):
        values = draw(st.lists(KINDS[kind][0], min_size=count, max_size=count))
        missing = draw(st.lists(st.booleans(), min_size=count - 1, max_size=count - 1))
        columns.append((kind, [None if gap else v for v, gap in zip(values, [False, *missing], strict=True)]))
    return columns


def values_of(frame: Any) -> list[list[Any]]:
    """The columns of a table of pandas, with None for what is missing."""
    return [[None if pd.isna(value) else value for value in frame[name].tolist()] for name in frame.columns]


def check_pandas(frame: Any, columns: list[tuple[str, list[Any]]]) -> None:
    assert [str(dtype) for dtype in frame.dtypes] == [
        KINDS[kind][2 if None in values else 1] for kind, values in columns
    ]
    assert values_of(frame) == [values for _, values in columns]


@given(tables())
def test_rows_of_json_keep_the_type_of_each_column_and_come_back_the_same(columns: list[tuple[str, list[Any]]]) -> None:
    names = [f"c{index}" for index in range(len(columns))]
    rows = [list(row) for row in zip(*[values for _, values in columns], strict=True)]
    wire = json.dumps({"data": {"names": names, "ndarray": rows}}).encode()
    user = Pandas()
    data = json.loads(send(user, JSON, wire))["data"]
    check_pandas(user.got, columns)
    assert data["names"] == names
    assert same(data["ndarray"], rows)
    other = Polars()
    data = json.loads(send(other, JSON, wire))["data"]
    assert [str(dtype) for dtype in other.got.dtypes] == [KINDS[kind][3] for kind, _ in columns]
    assert other.got.rows() == [tuple(row) for row in rows]
    assert same(data["ndarray"], rows)


def same(found: Any, rows: list[list[Any]]) -> bool:
    """Whether rows are equal, types included; a missing float may be NaN."""

    def is_same(a: Any, b: Any) -> bool:
        return (b is None and (a is None or a != a)) or (type(a) is type(b) and a == b)

    return len(found) == len(rows) and all(
        len(one) == len(other) and all(map(is_same, one, other)) for one, other in zip(found, rows, strict=True)
    )


DATATYPES = {"integers": "INT64", "floats": "FP64", "texts": "BYTES", "booleans": "BOOL"}


@given(tables())
def test_tensors_keep_their_types_and_come_back_the_same(columns: list[tuple[str, list[Any]]]) -> None:
    columns = [(kind, [v for v in values if v is not None] if kind != "floats" else values) for kind, values in columns]
    shortest = min(len(values) for _, values in columns)
    columns = [(kind, values[:shortest]) for kind, values in columns]
    inputs = [
        {"name": f"c{index}", "datatype": DATATYPES[kind], "shape": [shortest], "data": values}
        for index, (kind, values) in enumerate(columns)
    ]
    user = Pandas()
    tree = json.loads(send(user, V2, InferBody(json.dumps({"inputs": inputs}).encode())))
    check_pandas(user.got, columns)
    found = [(output["name"], output["datatype"], output["data"]) for output in tree["outputs"]]
    sent = [(each["name"], each["datatype"], each["data"]) for each in inputs]
    assert found == [(name, kind, ["NaN" if value is None else value for value in data]) for name, kind, data in sent]
    other = Polars()
    assert json.loads(send(other, V2, InferBody(json.dumps({"inputs": inputs}).encode())))["outputs"] == tree["outputs"]
    assert [str(dtype) for dtype in other.got.dtypes] == [KINDS[kind][3] for kind, _ in columns]


def test_protobuf_has_one_type_of_numbers() -> None:
    message = SeldonMessage()
    message.data.names.extend("ntb")
    for row in ([1, "a", True], [None, "b", False]):
        message.data.ndarray.add_list().extend(row)
    user = Pandas()
    answer = SeldonMessage.FromString(send(user, PROTO, message.SerializeToString()))
    assert [str(dtype) for dtype in user.got.dtypes] == ["float64", TEXT, "bool"]
    assert [list(row) for row in answer.data.ndarray] == [[1.0, "a", True], [None, "b", False]]


VALUES: dict[str, tuple[list[Any], str, str]] = {
    "unsigned": ([1 << 63], "uint64", "UInt64"),
    "huge": ([1 << 70, 1], "object", "Object"),
    "huge-with-a-float": ([10**400, 0.5], "object", "Object"),
    "mixed": (["a", 1], "object", "Object"),
    "truth-and-numbers": ([True, 1], "object", "Object"),
    "missing": ([None, None], "object", "Null"),
    "lists": ([[1, 2], [3, 4]], "object", "Object"),
    "objects": ([{"a": 1}, None], "object", "Object"),
    "bytes": ([b"\xff", b"a"], "object", "Binary"),
    "nothing": ([], "object", "Null"),
}


@pytest.mark.parametrize(("values", "of_pandas", "of_polars"), VALUES.values(), ids=VALUES)
def test_columns_of_other_values(values: list[Any], of_pandas: str, of_polars: str) -> None:
    table = Table(["a"], [read_column(values)])
    for frame, expected in ((make_pandas(table), of_pandas), (make_polars(table), of_polars)):
        assert str(frame["a"].dtype) == expected
        assert list(frame["a"]) == values


# Results

DAY = datetime.datetime(2024, 1, 1)
HTTP_DAY = "Mon, 01 Jan 2024 00:00:00 GMT"


def rich_pandas() -> Any:
    return pd.DataFrame(
        {
            "i": pd.array([1, None], dtype="Int32"),
            "b": pd.array([True, None], dtype="boolean"),
            "c": pd.Categorical(["x", None]),
            "s": pd.array(["a", None], dtype="string"),
            "d": [DAY, None],
            "f": [0.5, None],
        }
    )


def rich_polars() -> Any:
    return pl.DataFrame(
        {
            "i": pl.Series([1, None], dtype=pl.Int32),
            "b": [True, None],
            "c": pl.Series(["x", None], dtype=pl.Categorical),
            "s": ["a", None],
            "d": [DAY, None],
            "f": [0.5, None],
        }
    )


RESULTS: dict[str, tuple[Callable[[], Any], list[Any]]] = {
    "integers-and-floats": (lambda: pd.DataFrame({"a": [1, 2], "b": [0.5, 1.0]}), [[1, 0.5], [2, 1.0]]),
    "polars-integers-and-floats": (lambda: pl.DataFrame({"a": [1, 2], "b": [0.5, 1.0]}), [[1, 0.5], [2, 1.0]]),
    "with-text": (lambda: pd.DataFrame({"a": [1], "b": [0.5], "c": ["x"], "d": [True]}), [[1, 0.5, "x", True]]),
    "polars-with-text": (lambda: pl.DataFrame({"a": [1], "b": [0.5], "c": ["x"], "d": [True]}), [[1, 0.5, "x", True]]),
    "nullable": (lambda: pd.DataFrame({"a": pd.array([1, None], dtype="Int64")}), [[1], [None]]),
    "polars-nullable": (lambda: pl.DataFrame({"a": [1, None]}), [[1], [None]]),
    "nullable-without-gaps": (lambda: pd.DataFrame({"a": pd.array([1, 2], dtype="Int64")}), [[1], [2]]),
    "large": (lambda: pd.DataFrame({"a": [(1 << 53) + 1], "b": [0.5]}), [[(1 << 53) + 1, 0.5]]),
    "rich": (rich_pandas, [[1, True, "x", "a", HTTP_DAY, 0.5], [None] * 6]),
    "polars-rich": (rich_polars, [[1, True, "x", "a", HTTP_DAY, 0.5], [None] * 6]),
    "empty": (lambda: pd.DataFrame({"a": [], "b": pd.array([], dtype="Int64")}), []),
    "polars-empty": (lambda: pl.DataFrame({"a": [], "b": []}), []),
    "lists": (lambda: pd.DataFrame({"a": [[1, 2], [3, 4]], "b": [1, 2]}), [[[1, 2], 1], [[3, 4], 2]]),
    "polars-lists": (lambda: pl.DataFrame({"a": [[1, 2], [3, 4]], "b": [1, 2]}), [[[1, 2], 1], [[3, 4], 2]]),
    "polars-arrays": (
        lambda: pl.DataFrame({"a": pl.Series([[1, 2], [3, 4]], dtype=pl.Array(pl.Int64, 2)), "b": [1, 2]}),
        [[[1, 2], 1], [[3, 4], 2]],
    ),
    "polars-durations": (lambda: pl.Series([datetime.timedelta(seconds=1.5), None]), [1.5, None]),
    "series": (lambda: pd.Series(pd.array([1, None], dtype="Int64")), [1, None]),
    "polars-series": (lambda: pl.Series([1, None]), [1, None]),
    "polars-truth": (lambda: pl.Series([True, None]), [True, None]),
    "polars-text": (lambda: pl.Series(["a\0", None]), ["a\0", None]),
    "polars-text-alone": (lambda: pl.DataFrame({"a": ["\0"], "b": [1]}), [["\0", 1]]),
    "polars-floats": (lambda: pl.Series([0.5, None]), [0.5, None]),
    "polars-dates": (lambda: pl.Series([datetime.date(2024, 1, 1), None]), [HTTP_DAY, None]),
}


class Returning:
    def __init__(self, make: Callable[[], Any]) -> None:
        self.make = make

    def predict(self, X: Any) -> Any:  # noqa: ARG002, N803
        return self.make()


@pytest.mark.parametrize(("make", "rows"), RESULTS.values(), ids=RESULTS)
def test_results_keep_the_type_of_each_column_in_json(make: Callable[[], Any], rows: list[Any]) -> None:
    data = json.loads(send(Returning(make), JSON, b'{"data": {"ndarray": [[0]]}}'))["data"]
    assert json.dumps(data["ndarray"]) == json.dumps(rows)
    message = SeldonMessage()
    message.data.ndarray.add_list().extend([0])
    answer = SeldonMessage.FromString(send(Returning(make), PROTO, message.SerializeToString()))
    found = json_format.MessageToDict(answer.data.ndarray)
    assert found == json.loads(json.dumps(rows), parse_int=float)  # it has one type of numbers


OUTPUTS = [
    ("i", "FP64", [1.0, "NaN"]),
    ("b", "FP64", [1.0, "NaN"]),
    ("c", "BYTES", ["x", "null"]),
    ("s", "BYTES", ["a", "null"]),
    ("f", "FP64", [0.5, "NaN"]),
]


@pytest.mark.parametrize("make", [rich_pandas, rich_polars], ids=["pandas", "polars"])
def test_each_column_is_an_output(make: Callable[[], Any]) -> None:
    tree = {"inputs": [{"name": "x", "datatype": "FP64", "shape": [1], "data": [0]}]}
    outputs = json.loads(send(Returning(make), V2, InferBody(json.dumps(tree).encode())))["outputs"]
    assert [(o["name"], o["datatype"], o["data"]) for o in outputs if o["name"] != "d"] == OUTPUTS


def test_types_of_outputs() -> None:
    wide = {"a": np.array([1], np.int8), "b": np.array([0.5], np.float32), "c": [True], "d": ["x"]}
    request = {"inputs": [{"name": "x", "datatype": "FP64", "shape": [1], "data": [0]}]}
    wire = V2.decode(Operation.PREDICT, InferBody(json.dumps(request).encode()))
    for make in (lambda: pd.DataFrame(wide), lambda: pl.DataFrame(wide)):
        response = Adapter(Returning(make), UnitSpec()).call(wire, list)  # type: ignore[arg-type]
        answer = ModelInferResponse.FromString(V2_PROTO.encode(response, wire).body)
        found = [(o.name, o.datatype, list(getattr(o.contents, CONTENTS[o.datatype]))) for o in answer.outputs]
        assert found == [("a", "INT8", [1]), ("b", "FP32", [0.5]), ("c", "BOOL", [True]), ("d", "BYTES", [b"x"])]


@pytest.mark.parametrize("name", ["polars-rich", "polars-series", "polars-integers-and-floats"])
def test_polars_needs_no_pandas(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    test_results_keep_the_type_of_each_column_in_json(*RESULTS[name])

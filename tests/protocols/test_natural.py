"""Results of every type that has a natural form: the same one over REST and gRPC."""

from __future__ import annotations

import datetime
import decimal
import enum
import fractions
import json
import uuid
from collections import UserDict, UserString, deque, namedtuple
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from google.protobuf import json_format

from seldon_spec.config.model import UnitSpec
from seldon_spec.errors import ResultError, UnwritableResult
from seldon_spec.inference.component.adapter import Adapter
from seldon_spec.inference.component.response import build_response_message
from seldon_spec.inference.message import Message, Operation, PayloadType
from seldon_spec.inference.request import Request, Response
from seldon_spec.protocols.json_style import JsonStyle
from seldon_spec.protocols.seldon_v1.array_encoding import ArrayEncoding
from seldon_spec.protocols.seldon_v1.json_codec import JsonCodec
from seldon_spec.protocols.seldon_v1.proto import SeldonMessage
from seldon_spec.protocols.seldon_v1.proto_codec import ProtoCodec

REST, GRPC = JsonCodec(), ProtoCodec()
NEW_YEAR = "Mon, 01 Jan 2024 00:00:00 GMT"


class Label(enum.Enum):
    CAT = "cat"
    ONE = 1


class Level(enum.IntEnum):
    LOW = 1


@dataclass
class Point:
    x: float
    y: Any


Pair = namedtuple("Pair", "a b")


class Dumped:
    """Like a model of pydantic."""

    def model_dump(self) -> Any:
        return {"when": datetime.date(2024, 1, 1), "n": np.int64(1)}


class Interface:
    """An array that only says where its memory is."""

    def __init__(self) -> None:
        self._array = np.array([[1.5, 2.0]])
        self.__array_interface__ = self._array.__array_interface__


class Sparse:
    """Like a sparse matrix of scipy."""

    def toarray(self) -> Any:
        return np.array([[1.5, 2.0]])


class Frame:
    """Like a table of polars."""

    columns = ("a", "b")

    def to_numpy(self) -> Any:
        return np.array([[1.5, 2.0]])


class Tensor:
    """Like a tensor of torch with a gradient."""

    def __array__(self, dtype: object = None, copy: object = None) -> Any:
        raise RuntimeError("Can't call numpy() on Tensor that requires grad.")

    def detach(self) -> Any:
        return self

    def cpu(self) -> Any:
        return np.array([[1.5, 2.0]])


class Eager:
    """Like a tensor of TensorFlow."""

    def numpy(self) -> Any:
        return np.array([[1.5, 2.0]])


def records() -> Any:
    return np.array([("a", 1.5), ("b", 2.0)], dtype=[("name", "U1"), ("score", "f8")])


MASKED = np.ma.array([[1.0, 2.0], [3.0, 4.0]], mask=[[False, True], [True, True]])

# The value of the member "a" of a dict, in the form that clients read it
VALUES: dict[str, tuple[Callable[[], Any], Any]] = {
    "masked": (lambda: MASKED, [[1.0, None], [None, None]]),
    "masked-constant": (lambda: np.ma.masked, None),
    "masked-texts": (lambda: np.ma.array(["a", "b"], mask=[True, False]), [None, "b"]),
    "user-string": (lambda: UserString("a"), "a"),
    "user-strings": (lambda: [UserString("a"), "b"], ["a", "b"]),
    "ragged": (lambda: [[1, 2], [3]], [[1, 2], [3]]),
    "ragged-arrays": (lambda: [np.array([1, 2]), np.array([3])], [[1, 2], [3]]),
    "objects": (lambda: np.array([np.array([1, 2]), "a", None], dtype=object), [[1, 2], "a", None]),
    "numpy-keys": (lambda: dict(zip(np.array([0, 1]), np.array([0.25, 0.75]), strict=True)), {"0": 0.25, "1": 0.75}),
    "numpy-booleans": (lambda: {np.bool_(True): 1, np.bool_(False): 0}, {"true": 1, "false": 0}),
    "mixed-keys": (
        lambda: {1: "a", "b": 2, None: 3, 2.5: 4, True and "t": 5},
        {"1": "a", "b": 2, "null": 3, "2.5": 4, "t": 5},
    ),
    "rare-keys": (
        lambda: {Label.CAT: 1, Label.ONE: 2, uuid.UUID(int=1): 3, datetime.date(2024, 1, 1): 4, PurePosixPath("/a"): 5},
        {"cat": 1, "1": 2, str(uuid.UUID(int=1)): 3, NEW_YEAR: 4, "/a": 5},
    ),
    "moment-keys": (
        lambda: {np.datetime64("2024-01-01", "ns"): 1, pd.Timestamp("2024-01-02"): 2},
        {NEW_YEAR: 1, "Tue, 02 Jan 2024 00:00:00 GMT": 2},
    ),
    "level-keys": (lambda: {Level.LOW: 1, "x": 2}, {"1": 1, "x": 2}),
    **{
        f"datetime64-{unit}": (partial(np.datetime64, "2024-01-01", unit), NEW_YEAR)
        for unit in ("Y", "M", "D", "h", "m", "s", "ms", "us", "ns")
    },
    "datetime64-array": (lambda: np.array(["2024-01-01", "NaT"], "datetime64[ns]"), [NEW_YEAR, None]),
    "nat": (lambda: np.datetime64("NaT"), None),
    "timedelta64": (lambda: np.array([1500, "NaT"], "timedelta64[ms]"), [1.5, None]),
    "timedelta64-one": (lambda: np.timedelta64(90, "m"), 5400.0),
    "timedelta": (lambda: datetime.timedelta(minutes=1.5), 90.0),
    "datetime": (lambda: datetime.datetime(2024, 1, 1), NEW_YEAR),
    "datetime-zone": (
        lambda: datetime.datetime(2024, 1, 1, 2, tzinfo=datetime.timezone(datetime.timedelta(hours=2))),
        NEW_YEAR,
    ),
    "time": (lambda: datetime.time(1, 2, 3), "01:02:03"),
    "path": (lambda: PurePosixPath("/a/b"), "/a/b"),
    "decimal": (lambda: decimal.Decimal("1.50"), "1.50"),
    "fraction": (lambda: fractions.Fraction(1, 4), 0.25),
    "bytes": (lambda: b"caf\xc3\xa9", "café"),
    "bytes-binary": (lambda: b"\x00\xff", "AP8="),
    "bytearray": (lambda: bytearray(b"a"), "a"),
    "memoryview": (lambda: memoryview(b"a"), "a"),
    "bytes-array": (lambda: np.array([b"cat", b"dog"]), ["cat", "dog"]),
    "set": (lambda: {3, 1, 2}, [1, 2, 3]),
    "frozenset": (lambda: frozenset("ba"), ["a", "b"]),
    "set-unsortable": (lambda: {None}, [None]),
    "range": (lambda: range(3), [0, 1, 2]),
    "generator": (lambda: (n for n in (1, 2)), [1, 2]),
    "map-with-keys": (lambda: {1: map(str, [1]), "b": 2}, {"1": ["1"], "b": 2}),
    "deque": (lambda: deque([1, 2]), [1, 2]),
    "dict-values": (lambda: {"x": 1}.values(), [1]),
    "dict-keys": (lambda: {"x": 1}.keys(), ["x"]),
    "mapping": (lambda: MappingProxyType({"x": np.int8(1)}), {"x": 1}),
    "user-dict": (lambda: UserDict({2: 1}), {"2": 1}),
    "dataclass": (lambda: Point(1.5, {1: np.float32(2)}), {"x": 1.5, "y": {"1": 2.0}}),
    "namedtuple": (lambda: Pair(1, 2), [1, 2]),
    "enum": (lambda: Label.CAT, "cat"),
    "int-enum": (lambda: [Level.LOW], [1]),
    "pydantic": (Dumped, {"when": NEW_YEAR, "n": 1}),
    **{
        f"scalar-{name}": (partial(getattr(np, name), 2), 2)
        for name in ("int8", "int16", "int64", "uint64", "float16", "float32", "float64", "longdouble")
    },
    "bool_": (lambda: np.bool_(True), True),
    "str_": (lambda: np.str_("a"), "a"),
    "0-d": (lambda: np.array(1.5), 1.5),
    "0-d-text": (lambda: np.array("a"), "a"),
    "records": (records, [["a", 1.5], ["b", 2.0]]),
    "record": (lambda: records()[0], ["a", 1.5]),
    "float16": (lambda: np.array([0.5], np.float16), [0.5]),
    "longdouble": (lambda: np.array([0.5], np.longdouble), [0.5]),
    "interface": (Interface, [[1.5, 2.0]]),
    "sparse": (Sparse, [[1.5, 2.0]]),
    "polars": (Frame, [[1.5, 2.0]]),
    "torch": (Tensor, [[1.5, 2.0]]),
    "tensorflow": (Eager, [[1.5, 2.0]]),
    "pandas-na": (lambda: pd.NA, None),
    "pandas-nat": (lambda: pd.NaT, None),
    "timestamp": (lambda: pd.Timestamp("2024-01-01", tz="UTC"), NEW_YEAR),
    "pandas-timedelta": (lambda: pd.Timedelta("90s"), 90.0),
    "series": (lambda: pd.Series([1, None], dtype="Int64"), [1, None]),
    "series-texts": (lambda: pd.Series(["a", None]), ["a", None]),
    "series-booleans": (lambda: pd.Series([True, None], dtype="boolean"), [True, None]),
    "series-moments": (lambda: pd.Series(pd.to_datetime(["2024-01-01", None])), [NEW_YEAR, None]),
    "series-zone": (lambda: pd.Series(pd.to_datetime(["2024-01-01", None], utc=True)), [NEW_YEAR, None]),
    "index": (lambda: pd.Index(["a", "b"]), ["a", "b"]),
    "levels": (lambda: pd.MultiIndex.from_tuples([("a", 1)]), [["a", 1]]),
    "categorical": (lambda: pd.Categorical(["a", None]), ["a", None]),
}


def encode(codec: Any, payload: Any, encoding: ArrayEncoding = ArrayEncoding.NDARRAY) -> Any:
    """What a client reads of a result, as JSON."""
    request = Request(Operation.PREDICT, Message(PayloadType.ARRAY, np.zeros(1), encoding=encoding), codec)
    response = Response(build_response_message(payload, Operation.PREDICT, request.message, {}))
    wire = codec.encode(response, request).body
    return json.loads(wire) if codec is not GRPC else json_format.MessageToDict(SeldonMessage.FromString(wire))


@pytest.mark.parametrize(
    "codec", [REST, GRPC, JsonCodec(JsonStyle(sort_keys=False))], ids=["json", "protobuf", "unsorted"]
)
@pytest.mark.parametrize(("make", "expected"), VALUES.values(), ids=VALUES)
def test_a_value_within_an_object(codec: Any, make: Callable[[], Any], expected: Any) -> None:
    assert encode(codec, {"a": make()})["jsonData"] == {"a": expected}


@pytest.mark.parametrize("codec", [REST, GRPC], ids=["json", "protobuf"])
@pytest.mark.parametrize(("make", "expected"), VALUES.values(), ids=VALUES)
def test_a_value_within_a_list(codec: Any, make: Callable[[], Any], expected: Any) -> None:
    found = encode(codec, [make(), "x", None])["data"]["ndarray"]
    assert found == [expected, "x", None]


ARRAYS = [name for name, (_, expected) in VALUES.items() if isinstance(expected, list)]
UNKNOWN = {"set", "frozenset", "set-unsortable", "dict-keys"}  # a set alone is refused, as in the original


@pytest.mark.parametrize("codec", [REST, GRPC], ids=["json", "protobuf"])
@pytest.mark.parametrize("name", [name for name in ARRAYS if name not in UNKNOWN])
def test_a_list_alone(codec: Any, name: str) -> None:
    make, expected = VALUES[name]
    assert encode(codec, make())["data"]["ndarray"] == expected


@pytest.mark.parametrize("name", [name for name, (_, expected) in VALUES.items() if isinstance(expected, dict)])
def test_an_object_alone(name: str) -> None:
    make, expected = VALUES[name]
    assert encode(REST, make())["jsonData"] == expected == encode(GRPC, make())["jsonData"]


def test_a_masked_tensor_has_null_in_json_and_nan_in_protobuf() -> None:
    assert encode(REST, MASKED, ArrayEncoding.TENSOR)["data"]["tensor"] == {
        "shape": [2, 2],
        "values": [1.0, None, None, None],
    }
    assert encode(GRPC, MASKED, ArrayEncoding.TENSOR)["data"]["tensor"]["values"] == [1.0, "NaN", "NaN", "NaN"]
    for codec in (REST, GRPC):
        assert encode(codec, MASKED.astype(int), ArrayEncoding.TFTENSOR)["data"]["tftensor"]["dtype"] == "DT_DOUBLE"


def test_a_mask_that_hides_nothing_changes_nothing() -> None:
    assert encode(REST, np.ma.array([[1, 2]]), ArrayEncoding.TENSOR) == encode(
        REST, np.array([[1, 2]]), ArrayEncoding.TENSOR
    )
    assert encode(GRPC, np.ma.array([[1, 2]])) == encode(GRPC, np.array([[1, 2]]))


def test_masked_arrays_in_a_list() -> None:
    for codec in (REST, GRPC):
        assert encode(codec, [MASKED[0], MASKED[1]])["data"]["ndarray"] == [[1.0, None], [None, None]]
        rows = [np.ma.array([5.0, 6.0]), MASKED[0]]
        assert encode(codec, rows)["data"]["ndarray"] == [[5.0, 6.0], [1.0, None]]


def test_durations_are_numbers() -> None:
    seconds = np.array([[1500]], "timedelta64[ms]")
    assert encode(REST, seconds, ArrayEncoding.TENSOR)["data"]["tensor"]["values"] == [1.5]
    assert encode(GRPC, seconds, ArrayEncoding.TENSOR)["data"]["tensor"]["values"] == [1.5]


TABLES: dict[str, tuple[Callable[[], Any], list[str], list[Any]]] = {
    "missing": (
        lambda: pd.DataFrame(
            {
                "when": pd.to_datetime(["2024-01-01", None]),
                "n": pd.array([1, None], dtype="Int64"),
                "s": ["a", None],
                "f": [1.5, None],
                "d": pd.to_timedelta(["1s", None]),
                "c": pd.Categorical(["x", None]),
            }
        ),
        ["when", "n", "s", "f", "d", "c"],
        [[NEW_YEAR, 1, "a", 1.5, 1.0, "x"], [None] * 6],
    ),
    "moments": (lambda: pd.DataFrame({"a": pd.to_datetime(["2024-01-01", None])}), ["a"], [[NEW_YEAR], [None]]),
    "columns-of-numbers": (lambda: pd.DataFrame([[1.5, 2.0]]), ["0", "1"], [[1.5, 2.0]]),
    "records": (records, ["name", "score"], [["a", 1.5], ["b", 2.0]]),
    "masked-records": (
        lambda: np.ma.array(records(), mask=[(True, False), (False, True)]),
        ["name", "score"],
        [[None, 1.5], ["b", None]],
    ),
    "polars": (Frame, ["a", "b"], [[1.5, 2.0]]),
}


@pytest.mark.parametrize("codec", [REST, GRPC], ids=["json", "protobuf"])
@pytest.mark.parametrize(("make", "names", "rows"), TABLES.values(), ids=TABLES)
def test_tables_name_their_columns(codec: Any, make: Callable[[], Any], names: list[str], rows: list[Any]) -> None:
    assert encode(codec, make())["data"] == {"names": names, "ndarray": rows}


def test_tags_are_encoded_like_results() -> None:
    class Model:
        def predict(self, X: Any, names: Any) -> Any:  # noqa: ARG002, N803
            return X

        def tags(self) -> Any:
            return {np.int64(1): np.datetime64("2024-01-01", "ns"), "b": {1, 2}, "c": {Label.CAT: [[1], [2, 3]]}}

    wires: tuple[tuple[Any, bytes], ...] = (
        (REST, b'{"strData":"x"}'),
        (GRPC, SeldonMessage(strData="x").SerializeToString()),
    )
    for codec, wire in wires:
        request = codec.decode(Operation.PREDICT, wire)
        body = codec.encode(Adapter(Model(), UnitSpec()).call(request, lambda _: []), request).body
        tree = json.loads(body) if codec is REST else json_format.MessageToDict(SeldonMessage.FromString(body))
        assert tree["meta"]["tags"] == {"1": NEW_YEAR, "b": [1, 2], "c": {"cat": [[1], [2, 3]]}}


class Unready:
    def __array__(self, dtype: object = None, copy: object = None) -> Any:
        raise RuntimeError("no memory")


class Shy:
    def __repr__(self) -> str:
        raise ValueError("no text")


def endless() -> Any:
    value: list[Any] = [[1], [2, 3]]
    value.append(value)
    return value


REFUSED: dict[str, tuple[Any, str]] = {
    "object": ({"a": object()}, "object"),
    "type": ({"a": Point}, "type"),
    "complex": ({"a": 1j}, "complex"),
    "complex-array": (np.array([1j], dtype=object), "complex"),
    "tuple-key": ({(1, 2): 3}, "tuple"),
    "frozenset-key": ({frozenset(): 3}, "frozenset"),
    "dataclass-key": ({Pair(1, 2): 3, "a": 1}, "Pair"),
    "same-key": ({1: "a", "1": "b"}, "'1'"),
    "array": ({"a": Unready()}, "Unready cannot be converted to an array: no memory"),
    "array-alone": (Unready(), "Unready cannot be converted to an array: no memory"),
    "far-date": ({"a": np.datetime64("30000-01-01")}, "9999"),
    "loop": (endless(), "."),
}


@pytest.mark.parametrize("codec", [REST, GRPC], ids=["json", "protobuf"])
@pytest.mark.parametrize(("payload", "word"), REFUSED.values(), ids=REFUSED)
def test_what_has_no_form_is_named(codec: Any, payload: Any, word: str) -> None:
    with pytest.raises(UnwritableResult, match=word):
        encode(codec, payload)


@pytest.mark.parametrize("payload", [None, 5, {1}, object(), Shy(), Point], ids=lambda value: type(value).__name__)
def test_what_is_no_result_is_named(payload: Any) -> None:
    for codec in (REST, GRPC):
        with pytest.raises(ResultError, match="Unknown data type returned as payload"):
            encode(codec, payload)


def test_a_generator_is_read_once() -> None:
    def rows() -> Iterator[list[int]]:
        yield [1]
        yield [2]

    assert encode(REST, rows())["data"]["ndarray"] == [[1], [2]]

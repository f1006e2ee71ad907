"""Named tensors as a method with ``X, names`` gets them."""

from __future__ import annotations

import sys
from datetime import datetime, timezone
from typing import Any

import numpy as np
import pytest

from seldon_spec.config.model import UnitSpec
from seldon_spec.errors import ComponentFailed, PayloadError
from seldon_spec.inference.component.adapter import Adapter
from seldon_spec.inference.message import Message, Operation, PayloadType, Tensor, TensorMessage, join_messages
from seldon_spec.inference.request import Request
from seldon_spec.protocols.seldon_v1.json_codec import JsonCodec


class Received(JsonCodec):
    """Stands for a protocol with tensors."""

    def receive(self, message: Message, _keeps_rows: Any = None) -> Message:
        return message


class Model:
    def __init__(self) -> None:
        self.got: Any = None

    def predict(self, X: Any, names: Any, meta: Any) -> Any:  # noqa: N803
        self.got = X, names
        meta["tags"] = {"seen": True}
        return [[1.0]]


def texts(*items: Any) -> Any:
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return array


def got(arrays: dict[str, Any], names: list[str] | None = None) -> tuple[Any, Any]:
    model = Model()
    tensors = [Tensor(name, array) for name, array in arrays.items()]
    message = Message(PayloadType.TENSORS, tensors, names or [], {"puid": "p"})
    request = Request(Operation.PREDICT, message, Received())
    response = Adapter(model, UnitSpec()).call(request, list)  # type: ignore[arg-type]
    assert response.message.meta == {"puid": "p", "tags": {"seen": True}}
    X, found = model.got  # noqa: N806
    return X, found


F4, I4, BOOL = np.float32, np.int32, np.bool_
IMAGE = np.zeros((2, 3, 3), np.uint8)
ARRAYS: dict[str, tuple[dict[str, Any], str, list[Any]]] = {
    "columns": ({"a": np.array([1, 2], I4), "b": np.array([[1.5], [2.5]], F4)}, "float64", [[1, 1.5], [2, 2.5]]),
    "integers": ({"a": np.array([1], np.int8), "b": np.array([300], np.int16)}, "int16", [[1, 300]]),
    "truth": ({"a": np.array([True]), "b": np.array([2.5])}, "float64", [[1, 2.5]]),
    "with-text": ({"a": np.array([1.5]), "b": texts(b"x")}, "object", [[1.5, "x"]]),
    "no-rows": ({"a": np.zeros(0), "b": np.zeros((0, 1))}, "float64", []),
}


@pytest.mark.parametrize(("arrays", "dtype", "rows"), ARRAYS.values(), ids=ARRAYS.keys())
def test_columns_are_one_array_with_their_names(arrays: dict[str, Any], dtype: str, rows: list[Any]) -> None:
    table, names = got(arrays)
    assert (str(table.dtype), table.shape, table.tolist()) == (dtype, (len(rows), 2), rows)
    assert names == ["a", "b"]


SINGLE: dict[str, tuple[Any, Any]] = {
    "image": (IMAGE, IMAGE),
    "scalar": (np.array(1.5), np.array(1.5)),
    "utf-8": (texts("é".encode(), b""), texts("é", "")),
    "bytes": (texts(b"\xff", b"x"), texts(b"\xff", b"x")),
    "text": (texts("x"), texts("x")),
    "no-text": (texts(), texts()),
}


@pytest.mark.parametrize(("array", "expected"), SINGLE.values(), ids=SINGLE.keys())
def test_a_single_tensor_is_the_array(array: Any, expected: Any) -> None:
    X, names = got({"a": array}, ["c1", "c2"])  # noqa: N806
    assert X.dtype == expected.dtype
    assert X.shape == expected.shape
    assert X.tolist() == expected.tolist()
    assert names == ["c1", "c2"]


OTHER: dict[str, dict[str, Any]] = {
    "other-shapes": {"a": IMAGE, "b": np.zeros(2)},
    "other-lengths": {"a": np.zeros(2), "b": np.zeros(3)},
    "tables": {"a": np.zeros((2, 2)), "b": np.zeros((2, 2))},
    "scalars": {"a": np.array(1), "b": np.array(2)},
    "none": {},
}


@pytest.mark.parametrize("arrays", OTHER.values(), ids=OTHER.keys())
def test_other_tensors_are_a_dict(arrays: dict[str, Any]) -> None:
    X, names = got(arrays)  # noqa: N806
    assert names == list(X) == list(arrays)
    assert all(X[name] is array for name, array in arrays.items())


def test_a_combiner_gets_each_message_as_a_model_would() -> None:
    class Combiner:
        def aggregate(self, Xs: Any, names: Any) -> Any:  # noqa: N803
            return {"Xs": Xs, "names": names}

    columns = [Tensor("a", np.array([1.5])), Tensor("b", np.array([2.5]))]
    parts = [Message(PayloadType.TENSORS, columns, meta={"puid": "p"}), Message(PayloadType.TEXT, "x", ["c"])]
    request = Request(Operation.AGGREGATE, join_messages(parts), Received())
    message = Adapter(Combiner(), UnitSpec()).call(request, list).message  # type: ignore[arg-type]
    assert message.payload["Xs"][0].tolist() == [[1.5, 2.5]]
    assert message.payload["Xs"][1] == "x"
    assert message.payload["names"] == [["a", "b"], ["c"]]
    assert message.meta == {"puid": "p"}


def typed(tensors: list[Tensor], content_type: str | None = None, names: list[str] | None = None) -> tuple[Any, Any]:
    model = Model()
    message = TensorMessage(PayloadType.TENSORS, tensors, names or [], {}, content_type=content_type)
    Adapter(model, UnitSpec()).call(Request(Operation.PREDICT, message, Received()), list)  # type: ignore[arg-type]
    X, found = model.got  # noqa: N806
    return X, found


DAY = datetime(2024, 5, 1, 12, tzinfo=timezone.utc)
ELEMENTS: dict[str, tuple[str, bytes, Any]] = {
    "str": ("str", "é".encode(), "é"),
    "bytes": ("bytes", b"a", b"a"),
    "base64": ("base64", b"/w==", b"\xff"),
    "datetime": ("datetime", b"2024-05-01T12:00:00+00:00", DAY),
    "datetime-z": ("datetime", b"2024-05-01T12:00:00Z", DAY),
    "other": ("pillow_image", b"a", "a"),
}


@pytest.mark.parametrize(("content_type", "sent", "expected"), ELEMENTS.values(), ids=ELEMENTS.keys())
def test_a_content_type_decides_the_type_of_elements(content_type: str, sent: bytes, expected: Any) -> None:
    X, _ = typed([Tensor("x", texts(sent, sent), "BYTES", content_type=content_type)])  # noqa: N806
    assert X.tolist() == [expected, expected]


@pytest.mark.parametrize("content_type", ["str", "base64", "datetime", "json"])
def test_elements_that_are_not_of_their_content_type(content_type: str) -> None:
    with pytest.raises(PayloadError, match=f"input 'x': an element is not of content_type {content_type}"):
        typed([Tensor("x", texts(b"\xff"), "BYTES", content_type=content_type)])


def test_json_of_one_element_is_the_value_and_of_several_an_array() -> None:
    assert typed([Tensor("x", texts(b'{"a":[1]}'), "BYTES", content_type="json")])[0] == {"a": [1]}
    X, _ = typed([Tensor("x", texts(b"1", b"[2]"), "BYTES", content_type="json")])  # noqa: N806
    assert X.tolist() == [1, [2]]
    with pytest.raises(PayloadError, match="nested more than 100 levels"):
        typed([Tensor("x", texts(b"[" * 101 + b"]" * 101), "BYTES", content_type="json")])


def test_elements_that_are_not_utf_8_are_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        typed([Tensor("logged-once", texts(b"\xff"), "BYTES")])
    assert caplog.text.count("input 'logged-once' has elements that are not UTF-8") == 1


def test_content_type_dict_is_a_dict_of_arrays() -> None:
    X, names = typed([Tensor("x", np.ones(2))], "dict")  # noqa: N806
    assert (list(X), X["x"].tolist(), names) == (["x"], [1, 1], ["x"])


def test_content_type_pd_is_a_table_that_keeps_the_types() -> None:
    columns = [
        Tensor("i", np.array([1, 2], np.int8)),
        Tensor("t", texts(b"a", b"b"), "BYTES"),
        Tensor("f", np.array([[0.5], [1.5]], np.float32)),
    ]
    X, names = typed(columns, "pd")  # noqa: N806
    assert (names, X.shape) == (["i", "t", "f"], (2, 3))
    assert [str(X[name].dtype) for name in ("i", "f")] == ["int8", "float32"]
    assert X["t"].tolist() == ["a", "b"]
    X, names = typed([Tensor("x", np.ones((1, 2)))], "pd", ["a", "b"])  # noqa: N806
    assert (names, X.shape) == (["a", "b"], (1, 2))
    with pytest.raises(PayloadError, match=r"a table requires inputs of shape \[N\]"):
        typed([Tensor("x", np.ones(2)), Tensor("y", np.ones(3))], "pd")


def test_without_pandas_content_type_pd_is_an_error_that_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ComponentFailed, match="content_type pd requires pandas, which is not installed"):
        typed([Tensor("x", np.ones(2))], "pd")


def test_arrays_belong_to_the_class() -> None:
    sent = np.frombuffer(np.ones(4).tobytes()).reshape(2, 2)
    for tensors in ([Tensor("x", sent)], [Tensor("x", sent), Tensor("y", sent)]):
        X, _ = typed(tensors)  # noqa: N806
        for array in X.values() if isinstance(X, dict) else [X]:
            assert array.flags.writeable
            assert not np.shares_memory(array, sent)


@pytest.mark.parametrize(("offset", "is_copied"), [(0, False), (8, False), (3, True)])
def test_memory_that_no_one_else_has_is_not_copied_if_it_is_aligned(offset: int, is_copied: bool) -> None:
    memory = np.zeros(10)
    sent = np.frombuffer(memory.data.cast("B")[offset : offset + 64])
    for tensors in ([Tensor("x", sent)], [Tensor("x", sent), Tensor("y", sent[:4])]):
        X, _ = typed(tensors)  # noqa: N806
        array = X["x"] if isinstance(X, dict) else X
        assert array.flags.writeable
        assert array.flags.aligned
        assert np.shares_memory(array, memory) is not is_copied

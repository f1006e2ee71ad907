"""Named tensors as a method with ``X, names`` gets them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from seldon_spec.config.model import UnitSpec
from seldon_spec.inference.component.adapter import Adapter
from seldon_spec.inference.message import Message, Operation, PayloadType, Request, Tensor, join_messages
from seldon_spec.protocols.seldon_v1.json_codec import JsonCodec


class Received(JsonCodec):
    """Stands for a protocol with tensors."""

    def receive(self, message: Message) -> Message:
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

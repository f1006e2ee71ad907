"""Rows of several messages in one array, and a result's rows back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from seldon_spec.inference.batch_arrays import concat_rows, find_group, split_rows
from seldon_spec.inference.message import Message, PayloadType
from seldon_spec.protocols.seldon_v1.array_encoding import ArrayEncoding

DTYPES = st.sampled_from(["f8", "f4", "i8", "u1", "?", "U3", "O"])


@given(st.data(), DTYPES, st.lists(st.integers(1, 5), min_size=1, max_size=6), st.lists(st.integers(0, 3), max_size=2))
def test_what_is_joined_is_split_again_exactly(
    data: st.DataObject, dtype: str, counts: list[int], row: list[int]
) -> None:
    elements = st.integers(-9, 9) if dtype == "O" else None
    made = [data.draw(arrays.arrays(dtype, (count, 2, *row), elements=elements)) for count in counts]
    messages = [Message(PayloadType.ARRAY, array, ["a", "b"]) for array in made]
    assert len({find_group(message) for message in messages}) == 1
    joined = concat_rows(messages)
    assert joined.names == ["a", "b"]
    assert joined.meta is None
    parts = split_rows(joined.payload, counts)
    assert parts is not None
    for part, array in zip(parts, made, strict=True):
        assert part.dtype == array.dtype
        np.testing.assert_array_equal(part, array)


def test_the_joined_message_shares_nothing_with_its_parts() -> None:
    message = Message(PayloadType.ARRAY, np.ones((1, 2)), ["a"])
    joined = concat_rows([message, message])
    joined.payload[:] = 0
    joined.names.append("b")
    assert message.payload.tolist() == [[1, 1]]
    assert message.names == ["a"]


TWO = np.ones((1, 2))
APART = {
    "datatype": Message(PayloadType.ARRAY, TWO.astype("f4"), ["a", "b"]),
    "width": Message(PayloadType.ARRAY, np.ones((1, 3)), ["a", "b"]),
    "dimensions": Message(PayloadType.ARRAY, np.ones((1, 2, 1)), ["a", "b"]),
    "names": Message(PayloadType.ARRAY, TWO, ["a", "c"]),
    "no names": Message(PayloadType.ARRAY, TWO, []),
    "text": Message(PayloadType.ARRAY, np.array([["x", "y"]]), ["a", "b"]),
    "wider text": Message(PayloadType.ARRAY, np.array([["x", "yy"]]), ["a", "b"]),
}


def test_messages_that_differ_are_of_different_groups() -> None:
    messages = [Message(PayloadType.ARRAY, TWO, ["a", "b"]), *APART.values()]
    assert len({find_group(message) for message in messages}) == len(messages)
    assert find_group(Message(PayloadType.ARRAY, TWO, ("a", "b"))) == find_group(messages[0])
    assert find_group(Message(PayloadType.ARRAY, TWO, ["a", "b"], encoding=ArrayEncoding.NDARRAY)) == find_group(
        messages[0]
    )


ALONE = {
    "no array": Message(PayloadType.JSON, [[1, 2]]),
    "text": Message(PayloadType.TEXT, "x"),
    "one dimension": Message(PayloadType.ARRAY, np.ones(2)),
    "no rows": Message(PayloadType.ARRAY, np.ones((0, 2))),
    "names that are none": Message(PayloadType.ARRAY, TWO, [1, 2]),
    "names that are text": Message(PayloadType.ARRAY, TWO, "ab"),
    "names in lists": Message(PayloadType.ARRAY, TWO, [["a"]]),
}


@pytest.mark.parametrize("message", ALONE.values(), ids=ALONE.keys())
def test_a_message_without_rows_for_others_is_of_no_group(message: Message) -> None:
    assert find_group(message) is None


class Table:
    """What is known of a table of pandas here: ``table[0:1]`` counts rows, and so does ``iloc``."""

    def __init__(self, rows: list[int]) -> None:
        self.rows, self.shape, self.iloc = rows, (len(rows), 1), rows

    def __array__(self) -> Any:
        return np.array(self.rows)


SPLIT: dict[str, tuple[Any, list[Any]]] = {
    "array": (np.array([[1], [2], [3]]), [[[1], [2]], [[3]]]),
    "flat array": (np.array([1, 2, 3]), [[1, 2], [3]]),
    "list": ([1, "b", None], [[1, "b"], [None]]),
    "tuple": ((1, 2, 3), [(1, 2), (3,)]),
    "table": (Table([1, 2, 3]), [[1, 2], [3]]),
}


@pytest.mark.parametrize(("payload", "wanted"), SPLIT.values(), ids=SPLIT.keys())
def test_a_result_is_split_in_its_own_type(payload: Any, wanted: list[Any]) -> None:
    parts = split_rows(payload, [2, 1])
    assert parts is not None
    assert [part.tolist() if isinstance(part, np.ndarray) else part for part in parts] == wanted


WHOLE = {
    "too few": [1, 2],
    "too many": np.ones((4, 1)),
    "a number": np.float64(3),
    "no dimension": np.array(3),
    "text": "abc",
    "bytes": b"abc",
    "an object": {"a": 1, "b": 2, "c": 3},
    "none": None,
}


@pytest.mark.parametrize("payload", WHOLE.values(), ids=WHOLE.keys())
def test_a_result_without_a_row_for_each_cannot_be_split(payload: Any) -> None:
    assert split_rows(payload, [2, 1]) is None

"""Arrays: what numpy would make, and never much more than the message explains."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seldon_spec.errors import PayloadError
from seldon_spec.inference.arrays import (
    MAX_DIMENSIONS,
    MAX_EMPTY_DIMENSION,
    array_from_nested,
    array_from_tensor,
    check_depth,
)

AS_NUMPY = {
    "ints": [[1, 2], [3, 4]],
    "floats": [[1, 2.5]],
    "bools": [[True, False]],
    "bool-and-int": [True, 2],
    "texts": [["a", "bb"], ["", "ccc"]],
    "number-and-text": [[1, 2.5, "x"]],
    "int-and-text": [1, "x"],
    "large-float-and-text": [1e16, 1.5e-7, "x"],
    "bool-and-text": [[True, "yes"]],
    "null": None,
    "null-and-text": ["a", None],
    "object": {"a": 1},
    "objects": [{"a": 1}, {"b": [2]}],
    "uint64": [[2**63]],
    "huge": [10**30, 1],
    "float-and-huge-int": [1.5, 10**400],
    "scalar": 7,
    "text": "abc",
    "empty": [],
    "empty-rows": [[], []],
    "three": [[[1], [2]], [[3], [4]]],
}


@pytest.mark.parametrize("value", AS_NUMPY.values(), ids=AS_NUMPY.keys())
def test_nested_lists_become_what_numpy_makes_of_them(value: object) -> None:
    array, expected = array_from_nested(value), np.array(value)
    assert array.dtype == expected.dtype
    assert array.shape == expected.shape
    assert array.tolist() == expected.tolist()


def test_an_array_can_be_written() -> None:
    array = array_from_nested([[1.0]])
    array[0, 0] = 2
    assert array.base is None or array.base.flags.owndata


REFUSED = {
    "ragged": [[1, 2], [3]],
    "ragged-empty": [[], [1]],
    "list-beside-scalar": [[1], 2],
    "scalar-beside-list": [1, [2]],
}


@pytest.mark.parametrize("value", REFUSED.values(), ids=REFUSED.keys())
def test_what_is_no_array_is_refused(value: object) -> None:
    with pytest.raises(PayloadError):
        array_from_nested(value)


def _nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


def test_dimensions_are_bounded() -> None:
    assert array_from_nested(_nested(MAX_DIMENSIONS)).ndim == MAX_DIMENSIONS
    with pytest.raises(PayloadError, match="dimensions"):
        array_from_nested(_nested(MAX_DIMENSIONS + 1))
    with pytest.raises(PayloadError, match="dimensions"):
        array_from_nested(_nested(5000))


def test_one_long_text_does_not_widen_the_others() -> None:
    texts = ["x" * 1_000_000] + [""] * 100_000  # 400 GB in numpy's fixed width
    array = array_from_nested(texts)
    assert array.dtype == object
    assert array.tolist() == texts


def test_numbers_beside_text_are_text_however_they_are_stored() -> None:
    array = array_from_nested([1, 2.5, True, "x" * 1_000_000] + [""] * 10_000)
    assert array.dtype == object
    assert array[:3].tolist() == ["1", "2.5", "True"]


leaves = st.one_of(st.integers(), st.floats(), st.booleans(), st.text(max_size=5), st.none())


@given(st.recursive(leaves, lambda inner: st.lists(inner, max_size=4), max_leaves=12))
def test_any_nesting_is_an_array_or_refused(value: object) -> None:
    try:
        array = array_from_nested(value)
    except PayloadError:
        return
    assert array.nbytes <= 1 << 21


TENSORS = {
    "matrix": ([1, 2, 3, 4], [2, 2], (2, 2)),
    "scalar": ([5.5], [], ()),
    "inferred": ([1, 2, 3, 4], [2, -1], (2, 2)),
    "empty": ([], [0], (0,)),
    "no-rows": ([], [0, 3], (0, 3)),
    "longest-empty": ([], [0, MAX_EMPTY_DIMENSION], (0, MAX_EMPTY_DIMENSION)),
    "inferred-empty": ([], [-1, 3], (0, 3)),
}


@pytest.mark.parametrize(("values", "shape", "expected"), TENSORS.values(), ids=TENSORS.keys())
def test_tensors(values: list[Any], shape: list[int], expected: tuple[int, ...]) -> None:
    assert array_from_tensor(values, shape, may_infer=True).shape == expected


NO_TENSORS = {
    "too-few": ([1], [2, 8]),
    "too-many": ([1, 2, 3], [1, 2]),
    "not-a-list": ([1], 1),
    "text": ([1], ["1"]),
    "float": ([1], [1.0]),
    "bool": ([1], [True]),
    "negative": ([1, 2], [-2, -1]),
    "two-inferred": ([1, 2], [-1, -1]),
    "inferred-beside-nothing": ([], [0, -1]),
    "giant-empty": ([], [0, 10**12]),
    "giant-empty-first": ([], [10**30, 0]),
    "giant": ([1], [10**12, 10**12]),
    "many-dimensions": ([1], [1] * 33),
    "many-empty": ([], [0] + [65536] * 31),
}


@pytest.mark.parametrize(("values", "shape"), NO_TENSORS.values(), ids=NO_TENSORS.keys())
def test_shapes_that_do_not_fit_are_refused(values: list[Any], shape: object) -> None:
    with pytest.raises(PayloadError):
        array_from_tensor(values, shape, may_infer=True)


def test_protobuf_tensors_infer_nothing() -> None:
    with pytest.raises(PayloadError, match="negative"):
        array_from_tensor(np.zeros(4), [2, -1], may_infer=False)


@pytest.mark.parametrize("levels", [0, 1, 100])
def test_depth_within_the_limit(levels: int) -> None:
    check_depth(_nested(levels))


def test_depth_beyond_the_limit() -> None:
    with pytest.raises(PayloadError, match="nested"):
        check_depth({"a": _nested(100)})

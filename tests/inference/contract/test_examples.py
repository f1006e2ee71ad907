"""Example values of a contract: those that it declares, or values that it allows."""

from __future__ import annotations

import base64
import io
import math
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from seldon_spec.config.contract import ColumnSpec, TensorSpec
from seldon_spec.inference.contract.examples import (
    ContractKind,
    example_array,
    example_row,
    example_tensor,
    example_value,
    kind_of,
    list_columns,
)
from seldon_spec.inference.datatypes import NAMES, find_datatype


def _column(name: str, datatype: str = "FP64", shape: tuple[int, ...] = (-1,), **more: Any) -> TensorSpec:
    return TensorSpec(name, datatype, shape, **more)


COLUMNS = TensorSpec("x", "FP64", (-1, 2), columns=(ColumnSpec("a"), ColumnSpec("b")))


@pytest.mark.parametrize(
    ("inputs", "kind"),
    [
        pytest.param([], None, id="none"),
        pytest.param([COLUMNS], ContractKind.COLUMNS, id="columns"),
        pytest.param([_column("a"), _column("b", "BYTES", (-1, 1))], ContractKind.TABLE, id="a table"),
        pytest.param([_column("a")], ContractKind.TENSORS, id="one input"),
        pytest.param([_column("a"), _column("b", shape=(-1, 2))], ContractKind.TENSORS, id="several inputs"),
    ],
)
def test_kind_of_inputs(inputs: list[TensorSpec], kind: ContractKind | None) -> None:
    assert kind_of(inputs) is kind


@pytest.mark.parametrize(
    ("tensor", "array"),
    [
        pytest.param(_column("x", shape=(-1, 2)), [[1.0, 1.0]], id="any numbers"),
        pytest.param(_column("x", shape=()), 1.0, id="a scalar"),
        pytest.param(_column("x", shape=(2, 0)), [[], []], id="no elements"),
        pytest.param(_column("x", example=7), [7], id="an example of a row of one"),
        pytest.param(_column("x", shape=(-1, 1), example=7), [[7]], id="an example of a column"),
        pytest.param(_column("x", example=((7, 8),)), [1.0], id="an example of another shape"),
        pytest.param(_column("x", example=(7, 8)), [7], id="an example of the shape"),
        pytest.param(_column("x", shape=(-1, 2), example=(7, 8)), [[7, 8]], id="an example of a row"),
        pytest.param(_column("x", shape=(2, 2), example=((1, 2), (3, 4))), [[1, 2], [3, 4]], id="of a fixed shape"),
        pytest.param(_column("x", shape=(-1, -1), example=(1, 2, 3)), [[1, 2, 3]], id="an example of a free size"),
        pytest.param(_column("x", "BOOL"), [True], id="a boolean"),
        pytest.param(_column("x", "BYTES"), ["text"], id="text"),
        pytest.param(_column("x", "BYTES", choices=("bicycle", "van")), ["bicycle"], id="choices"),
        pytest.param(COLUMNS, [[1.0, 1.0]], id="columns"),
    ],
)
def test_example_array(tensor: TensorSpec, array: Any) -> None:
    assert example_array(tensor) == array


def test_values_of_columns_are_within_their_own_bounds_and_those_of_the_tensor() -> None:
    columns = (
        ColumnSpec("example", example=3),
        ColumnSpec("own", minimum=5, maximum=6),
        ColumnSpec("of the tensor"),
        ColumnSpec("choices", choices=(7, 8)),
    )
    tensor = TensorSpec("x", "FP64", (-1, 4), columns=columns, minimum=0, maximum=1)
    assert example_row([tensor]) == [3, 5.5, 0.5, 7]
    assert [column.maximum for column in list_columns([tensor])] == [1, 6, 1, 1]
    assert example_row([TensorSpec("x", "FP64", (-1, 4), columns=columns, example=(0, 1, 2, 9))]) == [3, 1, 2, 9]


def test_a_row_of_a_table_has_a_value_of_each_type() -> None:
    inputs = [_column("age", "INT64", (-1, 1), example=((40,),)), _column("name", "BYTES"), _column("rate", minimum=2)]
    assert example_row(inputs) == [40, "text", 2]


def test_shape_and_values_in_row_major_order() -> None:
    assert example_tensor(_column("x", shape=(-1, -1), example=(1, 2, 3))) == ([1, 3], [1, 2, 3])
    assert example_tensor(_column("x", shape=())) == ([], [1.0])
    assert example_tensor(_column("x", shape=(0, 3))) == ([0, 3], [])


@given(
    st.sampled_from([name for name in NAMES if name not in ("BOOL", "BYTES", "FP16", "BF16")]),
    st.none() | st.integers(-300, 100),
    st.none() | st.integers(0, 300),
)
def test_generated_numbers_are_within_the_bounds(datatype: str, low: int | None, high: int | None) -> None:
    smallest, largest = find_datatype(datatype).limits or (-math.inf, math.inf)
    assume(low is None or high is None or low <= high)
    value = example_value(_column("x", datatype, minimum=low, maximum=high))
    assert isinstance(value, (int, float))
    assert max(smallest, -math.inf if low is None else low) <= value <= min(largest, math.inf if high is None else high)


@pytest.mark.parametrize("media_type", ["image/png", "image/jpeg"])
def test_an_image_is_a_file_that_readers_accept(media_type: str) -> None:
    image = pytest.importorskip("PIL.Image")
    (text,) = example_array(_column("x", "BYTES", content_type=media_type))
    opened = image.open(io.BytesIO(base64.b64decode(text)))
    opened.load()
    assert (opened.format, opened.mode, opened.getpixel((0, 0))) == ("PNG", "RGB", (128, 128, 128))

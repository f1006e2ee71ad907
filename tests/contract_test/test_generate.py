"""Generated requests match the contract by a check of the tests' own, and violations do not, for every seed."""

from __future__ import annotations

import base64
import math
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seldon_spec.config.contract import ColumnSpec, TensorSpec
from seldon_spec.contract_test.case import Case, Values
from seldon_spec.contract_test.contract import Contract, Layout, find_layout
from seldon_spec.contract_test.domain import list_domains
from seldon_spec.contract_test.encoder import Encoder, Unencodable
from seldon_spec.contract_test.encoders import make_encoders
from seldon_spec.contract_test.generate import generate, make_example
from seldon_spec.contract_test.images import make_image
from seldon_spec.contract_test.invalid import violate
from seldon_spec.contract_test.v2_encoders import make_array

INTEGERS = {f"{sign}INT{bits}": bits for sign in ("", "U") for bits in (8, 16, 32, 64)}
FLOATS = {"FP16": 6e4, "BF16": 3e38, "FP32": 3e38, "FP64": math.inf}


def integer_limits(datatype: str) -> tuple[int, int]:
    bits = INTEGERS[datatype]
    return (0, 2**bits - 1) if datatype.startswith("U") else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def find_problems(case: Case, tensors: tuple[TensorSpec, ...]) -> Iterator[str]:
    """An independent reading of the contract."""
    specs = {tensor.name: tensor for tensor in tensors}
    if tensors[0].columns and list(case.columns) != tensors[0].column_names:
        yield "names of columns"
    for values in case.inputs:
        spec = specs.pop(values.name, None)
        if spec is None:
            yield f"unknown input {values.name}"
            continue
        if values.datatype != spec.datatype:
            yield f"{values.name}: datatype"
        if len(values.shape) != len(spec.shape) or any(
            wanted not in (-1, size) for size, wanted in zip(values.shape, spec.shape, strict=False)
        ):
            yield f"{values.name}: shape"
        assert math.prod(values.shape) == len(values.items)
        for index, item in enumerate(values.items):
            column = spec.columns[index % len(spec.columns)] if spec.columns else None
            yield from (f"{values.name}: {problem}" for problem in find_item_problems(item, spec, column))
    yield from (f"missing {name}" for name, spec in specs.items() if not spec.optional)


def find_item_problems(item: Any, spec: TensorSpec, column: ColumnSpec | None) -> Iterator[str]:
    if item is None:
        if not (spec.optional or (column is not None and column.optional)):
            yield "missing value"
        return
    if not is_of_type(item, spec.datatype):
        yield "no value of the datatype"
        return
    minimum = spec.minimum if column is None or column.minimum is None else column.minimum
    maximum = spec.maximum if column is None or column.maximum is None else column.maximum
    choices = (column.choices if column is not None else ()) or spec.choices
    is_outside = (minimum is not None and item < minimum) or (maximum is not None and item > maximum)
    if item not in choices if choices else is_outside:
        yield "not in the declared range"


def is_of_type(item: Any, datatype: str) -> bool:
    if datatype in INTEGERS:
        low, high = integer_limits(datatype)
        return type(item) is int and low <= item <= high
    if datatype in FLOATS:
        return type(item) is float and abs(item) <= FLOATS[datatype]
    return type(item) in ((bool,) if datatype == "BOOL" else (str, bytes))


@st.composite
def bounds(draw: st.DrawFn, datatype: str) -> dict[str, Any]:
    if datatype == "BOOL":
        return {}
    if datatype == "BYTES":
        return {"choices": draw(st.sampled_from([(), ("a", "é")]))}
    if draw(st.booleans()):
        low, high = (-100, 100) if not datatype.startswith("U") else (0, 100)
        numbers = st.integers(low, high) if datatype in INTEGERS else st.integers(low, high).map(float)
        kind = draw(st.sampled_from(["both", "minimum", "maximum", "choices"]))
        if kind == "choices":
            return {"choices": tuple(draw(st.lists(numbers, min_size=1, max_size=3, unique=True)))}
        first, last = sorted([draw(numbers), draw(numbers)])
        given_bounds = {"minimum": first, "maximum": last}
        return given_bounds if kind == "both" else {kind: given_bounds[kind]}
    return {}


DATATYPES = [*INTEGERS, *FLOATS, "BOOL", "BYTES"]


@st.composite
def contracts(draw: st.DrawFn) -> Contract:
    layout = draw(st.sampled_from(list(Layout)))
    datatype = draw(st.sampled_from(DATATYPES))
    if layout is Layout.COLUMNS:
        columns = tuple(
            ColumnSpec(f"c{index}", optional=draw(st.booleans()), **draw(bounds(datatype)))
            for index in range(draw(st.integers(1, 4)))
        )
        return Contract((TensorSpec("input-0", datatype, (-1, len(columns)), columns=columns),))
    inputs = []
    for index in range(draw(st.integers(2 if layout is Layout.TABLE else 1, 3))):
        datatype = draw(st.sampled_from(DATATYPES))
        shape = draw(
            st.sampled_from([(-1,), (-1, 1)] if layout is Layout.TABLE else [(-1, 2, 2), (3,), (-1, -1), (1,)])
        )
        inputs.append(TensorSpec(f"x{index}", datatype, shape, optional=draw(st.booleans()), **draw(bounds(datatype))))
    return Contract(tuple(inputs))


@settings(max_examples=150)
@given(contract=contracts(), seed=st.integers(0, 1000))
def test_every_valid_request_matches_the_contract(contract: Contract, seed: int) -> None:
    cases = list(generate(contract, random.Random(seed), 20))
    assert len(cases) == 20
    for case in cases:
        assert list(find_problems(case, contract.inputs)) == []
    assert list(generate(contract, random.Random(seed), 20)) == cases


@settings(max_examples=150)
@given(contract=contracts(), seed=st.integers(0, 1000))
def test_every_violation_violates_the_contract(contract: Contract, seed: int) -> None:
    for violation in violate(contract, random.Random(seed)):
        assert list(find_problems(violation.case, contract.inputs)) != [], violation.label
        assert not violation.case.is_valid


@settings(max_examples=100)
@given(contract=contracts(), seed=st.integers(0, 1000))
def test_some_protocol_encodes_every_request(contract: Contract, seed: int) -> None:
    for case in generate(contract, random.Random(seed), 8):
        items = [item for values in case.inputs for item in values.items]
        # only Seldon's protocol has null, and its rows of integers and floats are arrays of doubles
        has_floats = any(values.datatype in ("FP16", "BF16", "FP32", "FP64") for values in case.inputs)
        limit = (1 << 53) + 1 if has_floats else 1 << 63
        if None not in items or all(not isinstance(item, int) or abs(item) < limit for item in items):
            assert any(is_encodable(encoder, case) for encoder in make_encoders("model"))
        for values in case.inputs:
            if None not in values.items:
                assert make_array(values).shape == values.shape


def is_encodable(encoder: Encoder, case: Case) -> bool:
    try:
        return bool(encoder.encode(case).body)
    except Unencodable:
        return False


def contract_of(*inputs: TensorSpec) -> Contract:
    return Contract(inputs)


AGE = TensorSpec("age", "INT64", (-1,), minimum=0, maximum=130)
JOB = TensorSpec("job", "BYTES", (-1,), content_type="str", choices=("nurse", "cook"), optional=True)
PIXELS = TensorSpec("pixels", "UINT8", (-1, 2, 2))


def test_the_edges_of_every_value_are_sent() -> None:
    cases = list(generate(contract_of(AGE, JOB), random.Random(0), 20))
    ages = {item for case in cases for values in case.inputs if values.name == "age" for item in values.items}
    jobs = {item for case in cases for values in case.inputs if values.name == "job" for item in values.items}
    assert {0, 130} <= ages
    assert jobs == {"nurse", "cook", None}
    assert any(len(case.inputs) == 1 for case in cases)
    assert {case.rows for case in cases} == {1, 2, 16}


def test_unbounded_numbers_reach_the_limits_of_their_datatype() -> None:
    cases = generate(contract_of(TensorSpec("x", "INT16", (-1,))), random.Random(0), 12)
    assert {-32768, 32767, 0} <= {item for case in cases for item in case.inputs[0].items}
    floats = generate(contract_of(TensorSpec("x", "FP64", (-1,))), random.Random(0), 12)
    items = [item for case in floats for item in case.inputs[0].items]
    assert any(repr(item) == "-0.0" for item in items)
    assert max(items) >= 1e9
    assert not any(math.isnan(item) for item in items)


@pytest.mark.parametrize(
    ("tensor", "shape", "items"),
    [
        pytest.param(TensorSpec("x", "INT64", (-1,), example=3), (1,), (3,), id="scalar-of-a-column"),
        pytest.param(TensorSpec("x", "INT64", (-1,), example=[3, 4]), (2,), (3, 4), id="several-rows"),
        pytest.param(TensorSpec("x", "FP64", (-1, 2), example=[1, 2]), (1, 2), (1.0, 2.0), id="one-row"),
        pytest.param(
            TensorSpec("x", "FP64", (2, 2), example=[[1, 2], [3, 4]]), (2, 2), (1.0, 2.0, 3.0, 4.0), id="whole"
        ),
        pytest.param(TensorSpec("x", "FP64", (-1, 2), minimum=1), (1, 2), (1.0, 1.0), id="no-example"),
        pytest.param(
            TensorSpec("x", "FP64", (-1, 2), columns=(ColumnSpec("a", example=7), ColumnSpec("b", choices=(5, 6)))),
            (1, 2),
            (7.0, 5),
            id="columns",
        ),
        pytest.param(
            TensorSpec("x", "BYTES", (-1,), content_type="image/png", example=base64.b64encode(b"png").decode()),
            (1,),
            (b"png",),
            id="image",
        ),
    ],
)
def test_the_first_request_is_the_example(tensor: TensorSpec, shape: tuple[int, ...], items: tuple[Any, ...]) -> None:
    case = make_example(Contract((tensor,)))
    assert (case.inputs[0].shape, case.inputs[0].items) == (shape, items)
    assert next(generate(Contract((tensor,)), random.Random(5), 1)) == case


@pytest.mark.parametrize(
    ("datatype", "bound"),
    [("FP16", 0.1), ("BF16", 0.1), ("FP32", 0.1), ("FP32", 1e-30), ("FP64", 0.1), ("FP32", 16777217.0)],
)
def test_rounding_to_a_datatype_does_not_cross_a_bound(datatype: str, bound: float) -> None:
    (domain,) = list_domains(TensorSpec("x", datatype, (-1,), minimum=-bound, maximum=bound))
    rng = random.Random(1)
    for value in (*domain.edges, *(domain.make_random(rng) for _ in range(200))):
        assert -bound <= value <= bound
    assert domain.find_problem(float(np.float32(bound)) if datatype == "FP32" else bound) is None


@pytest.mark.parametrize(
    ("inputs", "layout"),
    [
        ((TensorSpec("x", "FP64", (-1, 1), columns=(ColumnSpec("a"),)),), Layout.COLUMNS),
        ((AGE, JOB), Layout.TABLE),
        ((AGE,), Layout.TENSORS),
        ((AGE, PIXELS), Layout.TENSORS),
    ],
)
def test_the_layout_of_inputs(inputs: tuple[TensorSpec, ...], layout: Layout) -> None:
    assert find_layout(inputs) is layout


def test_a_large_tensor_is_sent_in_one_row() -> None:
    contract = contract_of(TensorSpec("image", "FP32", (-1, 224, 224, 3)))
    for case in generate(contract, random.Random(0), 12):
        assert case.rows == 1
        assert len(case.inputs[0].items) == 150528


def test_an_image_is_a_png_file() -> None:
    png = make_image("image/png", 16, 3)
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    assert png.endswith(b"IEND\xaeB`\x82")
    assert make_image("image/png", 16, 3) == png != make_image("image/png", 16, 4)


@pytest.mark.parametrize(
    ("media_type", "start"),
    [
        ("image/jpeg", b"\xff\xd8\xff"),
        ("image/gif", b"GIF8"),
        ("image/bmp", b"BM"),
        ("image/*", b"\x89PNG"),
        ("image/unknown", b"\x89PNG"),
    ],
)
def test_an_image_of_another_type_needs_pillow(media_type: str, start: bytes) -> None:
    pytest.importorskip("PIL")
    assert make_image(media_type, 16, 0).startswith(start)


def labels(contract: Contract) -> dict[str, Case]:
    return {violation.label: violation.case for violation in violate(contract, random.Random(0))}


def test_the_violations_of_a_table() -> None:
    found = labels(contract_of(AGE, JOB))
    assert list(found) == [
        "age: below the minimum",
        "age: above the maximum",
        "age: a missing value",
        "age: text instead of a number",
        "job: not one of the choices",
        "age: the datatype BYTES",
        "job: the datatype FP64",
        "age: missing",
        "an unknown input",
        "age: a dimension more",
        "job: a dimension more",
    ]
    assert found["age: below the minimum"].inputs[0].items == (-1,)
    assert found["age: above the maximum"].inputs[0].items == (131,)
    assert [values.name for values in found["age: missing"].inputs] == ["job"]


def test_the_violations_of_columns_and_of_tensors() -> None:
    columns = TensorSpec("x", "FP64", (-1, 2), columns=(ColumnSpec("a"), ColumnSpec("b", optional=True)))
    assert list(labels(Contract((columns,)))) == [
        "a: a missing value",
        "a: text instead of a number",
        "b: text instead of a number",
        "x: the datatype BYTES",
        "one column missing",
        "one column more",
        "an unknown column",
        "x: a dimension more",
    ]
    tensors = labels(contract_of(PIXELS))
    assert tensors["pixels: dimension 1 is 3"].inputs[0].shape == (1, 3, 2)
    assert isinstance(tensors["an unknown input"].inputs[1], Values)

"""The parts of a contract test: comparison of results, the smallest request, contract.json, and the formats of a report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from seldon_spec.config.contract import ColumnSpec, TensorSpec
from seldon_spec.contract_test.case import Case, Values
from seldon_spec.contract_test.checks import Problem
from seldon_spec.contract_test.contract import Contract, Layout
from seldon_spec.contract_test.contract_json import BadContract, read_contract
from seldon_spec.contract_test.report import FORMATS, Failure, Group, Report
from seldon_spec.contract_test.result import BadResponse, Output, find_difference, read_tree
from seldon_spec.contract_test.shrink import shrink

NAN = float("nan")


def output(items: Any, shape: tuple[int, ...], name: str | None = None, datatype: str | None = None) -> Output:
    return Output(name, datatype, shape, tuple(items))


@pytest.mark.parametrize(
    ("first", "second", "difference"),
    [
        pytest.param([output([1, 2], (2,))], [output([1.0, 2.0], (2,), "y", "FP64")], None, id="integers-as-doubles"),
        pytest.param([output([1.0], (1,))], [output([1.0 + 1e-9], (1,))], None, id="within-the-tolerance"),
        pytest.param([output([1.0], (1,))], [output([1.001], (1,), "y")], "y: 1.0 and 1.001", id="another-float"),
        pytest.param([output([0.1], (1,))], [output([0.10000002], (1,), "y", "FP32")], None, id="FP32"),
        pytest.param([output([2], (1,))], [output([3], (1,))], "the result: 2 and 3", id="another-integer"),
        pytest.param([output([NAN], (1,))], [output([None], (1,))], None, id="nan"),
        pytest.param([output([NAN], (1,))], [output([0.0], (1,))], "the result: NaN and 0.0", id="nan-and-zero"),
        pytest.param([output(["a"], (1,))], [output(["b"], (1,))], 'the result: "a" and "b"', id="text"),
        pytest.param([output(["1"], (1,))], [output([1.0], (1,))], 'the result: "1" and 1.0', id="text-and-number"),
        pytest.param(
            [output([1, 2, 3, 4], (2, 2))], [output([1, 2, 3, 5], (2, 2))], "the result[1, 1]: 4 and 5", id="place"
        ),
        pytest.param(
            [output([1, 2], (2,))],
            [output([1, 2], (1, 2))],
            "the result: the shape [2] and the shape [1, 2]",
            id="shape",
        ),
        pytest.param([output([1, 2], (2,))], [output([1, 2], (2, 1))], None, id="a-column"),
        pytest.param(
            [output([1, 2, 3, 4], (2, 2))], [output([1, 3], (2,), "a"), output([2, 4], (2, 1), "b")], None, id="table"
        ),
        pytest.param(
            [output([1], (1,), "b"), output([2], (1,), "a")],
            [output([2], (1,), "a"), output([1], (1,), "b")],
            None,
            id="order-of-names",
        ),
        pytest.param(
            [output([1], (1,), "a")],
            [output([1], (1,), "a"), output([1], (1,), "b")],
            "1 outputs and 2 outputs",
            id="another-number",
        ),
        pytest.param([output([{"a": [1, 0.1]}], (1,))], [output([{"a": [1.0, 0.1]}], (1,))], None, id="objects"),
        pytest.param(
            [output([{"a": 1}], (1,))], [output([{"a": 2}], (1,))], 'the result: {"a": 1} and {"a": 2}', id="keys"
        ),
        pytest.param([output([1e9, 1e-3], (2,))], [output([1e9, 1.1e-3], (2,))], None, id="relative-to-the-array"),
    ],
)
def test_results_are_equal_or_differ(first: list[Output], second: list[Output], difference: str | None) -> None:
    assert find_difference(tuple(first), tuple(second)) == difference
    assert (find_difference(tuple(second), tuple(first)) is None) == (difference is None)


@pytest.mark.parametrize(
    ("tree", "expected"),
    [
        ({"data": {"names": ["t:0"], "ndarray": [[1], [2]]}}, Output(None, None, (2, 1), (1, 2))),
        (
            {"data": {"names": ["a"], "tensor": {"shape": [1, 1], "values": [3]}}},
            Output(None, None, (1, 1), (3,), ("a",)),
        ),
        ({"strData": "é"}, Output(None, "BYTES", (1,), ("é",))),
        ({"binData": "/w=="}, Output(None, "BYTES", (1,), (b"\xff",))),
        ({"jsonData": {"y": [[1, 2]]}}, Output("y", None, (1, 2), (1, 2))),
        ({"jsonData": {"y": 1}}, Output(None, None, (1,), ({"y": 1},))),
    ],
)
def test_messages_are_read(tree: Any, expected: Output) -> None:
    assert read_tree(tree) == (expected,)


@pytest.mark.parametrize(
    "tree",
    [[], {}, {"meta": {}}, {"data": 1}, {"binData": "?"}, {"data": {"tensor": {"shape": [2], "values": [1]}}}],
    ids=json.dumps,
)
def test_malformed_messages_are_reported(tree: Any) -> None:
    with pytest.raises(BadResponse):
        read_tree(tree)


AGE = TensorSpec("age", "INT64", (-1,), minimum=1)
NOTE = TensorSpec("note", "BYTES", (-1,), content_type="str", optional=True)


def table(ages: list[int], notes: list[str] | None = None) -> Case:
    inputs = [Values("age", "INT64", (len(ages),), tuple(ages), None, has_rows=True)]
    if notes is not None:
        inputs.append(Values("note", "BYTES", (len(notes),), tuple(notes), "str", has_rows=True))
    return Case(tuple(inputs), Layout.TABLE, is_single=False)


@pytest.mark.parametrize(
    ("fails", "smallest"),
    [
        pytest.param(bool, table([1]), id="any"),
        pytest.param(lambda case: 7 in case.inputs[0].items, table([7]), id="one-value"),
        pytest.param(lambda case: max(case.inputs[0].items) > 7, table([9]), id="a-larger-value"),
        pytest.param(lambda case: len(case.inputs) == 2, table([1], [""]), id="an-optional-input"),
        pytest.param(lambda case: "x" in case.inputs[-1].items, table([1], ["x"]), id="a-text"),
        pytest.param(lambda case: (case.rows or 0) >= 2, table([1, 1]), id="two-rows"),
        pytest.param(lambda case: (case.rows or 0) >= 3, table([1, 1, 1]), id="three-rows"),
        pytest.param(lambda case: sum(v == 7 for v in case.inputs[0].items) == 2, table([7, 7]), id="two-values"),
    ],
)
def test_the_smallest_request_that_fails(fails: Any, smallest: Case) -> None:
    case = table([5, 7, 9, 7], ["a", "x", "", "b"])
    assert shrink(case, fails, Contract((AGE, NOTE))) == smallest


@pytest.mark.parametrize(
    ("value", "limit", "smallest"),
    [(73.25, 1.5, 100.0), (73.25, 0.5, 100.0), (-3.75, -4.0, 0.0)],
)
def test_a_number_is_replaced_by_one_that_is_easier_to_read(value: float, limit: float, smallest: float) -> None:
    contract = Contract((TensorSpec("x", "FP64", (-1,), maximum=100, example=0.0),))
    case = Case((Values("x", "FP64", (1,), (value,), None, has_rows=True),), Layout.TENSORS)
    found = shrink(case, lambda smaller: smaller.inputs[0].items[0] > limit, contract)
    assert found.inputs[0].items == (smallest,)


def test_the_search_ends() -> None:
    sent: list[Case] = []
    large = Case((Values("age", "INT64", (1000,), tuple(range(1000))),), Layout.TENSORS)

    def fails(case: Case) -> bool:
        sent.append(case)
        return False

    assert shrink(large, fails, Contract((AGE,)), attempts=20) == large
    assert len(sent) == 20


CONTRACTS = [
    pytest.param(
        {
            "features": [
                {"name": "age", "ftype": "continuous", "dtype": "FLOAT", "range": [0, 130]},
                {"name": "x", "ftype": "continuous", "dtype": "FLOAT", "range": ["inf", 5], "repeat": 2},
            ],
            "targets": [{"name": "class", "ftype": "continuous", "dtype": "FLOAT", "range": [0, 1], "repeat": 2}],
        },
        (
            TensorSpec(
                "input-0",
                "FP64",
                (-1, 3),
                columns=(ColumnSpec("age", 0, 130), ColumnSpec("x1", None, 5), ColumnSpec("x2", None, 5)),
            ),
        ),
        (TensorSpec("output-0", "FP64", (-1, 2), columns=(ColumnSpec("class:0", 0, 1), ColumnSpec("class:1", 0, 1))),),
        id="floats",
    ),
    pytest.param(
        {
            "features": [
                {"name": "age", "ftype": "continuous", "dtype": "INT", "range": [0, "inf"]},
                {"name": "job", "ftype": "categorical", "values": ["nurse", "cook"]},
            ],
            "targets": [],
        },
        (
            TensorSpec("age", "INT64", (-1,), minimum=0),
            TensorSpec("job", "BYTES", (-1,), content_type="str", choices=("nurse", "cook")),
        ),
        (),
        id="mixed",
    ),
    pytest.param(
        {"features": [{"name": "pixels", "dtype": "FLOAT", "ftype": "continuous", "shape": [4, 4]}], "targets": []},
        (TensorSpec("pixels", "FP64", (-1, 4, 4)),),
        (),
        id="shape",
    ),
    pytest.param(
        {"features": [{"name": "n", "dtype": "INTEGER", "ftype": "continuous", "shape": [2]}], "targets": []},
        (TensorSpec("input-0", "INT64", (-1, 2), columns=(ColumnSpec("n1"), ColumnSpec("n2"))),),
        (),
        id="columns-of-a-shape",
    ),
]


@pytest.mark.parametrize(("tree", "inputs", "outputs"), CONTRACTS)
def test_contract_json_is_read(
    tree: Any, inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...], tmp_path: Path
) -> None:
    (tmp_path / "contract.json").write_text(json.dumps(tree))
    contract = read_contract(tmp_path / "contract.json")
    assert contract.inputs == inputs
    assert contract.outputs == outputs
    assert not contract.is_exact
    assert "the server knows nothing of contract.json" in contract.lenient_reason


def feature(**entry: Any) -> str:
    return json.dumps({"features": [{"name": "x", "ftype": "continuous", "dtype": "FLOAT", **entry}], "targets": []})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("{", "is not JSON", id="not-json"),
        pytest.param("[]", "features is not a list of objects", id="list"),
        pytest.param('{"features": [], "targets": []}', "features is not a list of objects", id="empty"),
        pytest.param(
            '{"features": [{"name": "x", "values": [1]}]}', "targets is not a list of objects", id="no-targets"
        ),
        pytest.param(feature(dtype="DOUBLE"), "x: dtype is 'DOUBLE'; allowed: FLOAT, INT", id="dtype"),
        pytest.param(feature(ftype="ordinal"), "x: ftype is 'ordinal'", id="ftype"),
        pytest.param(feature(range=[0]), "x: range is not a list of two numbers", id="range"),
        pytest.param(feature(range=[0, "max"]), "x: 'max' is not the end of a range", id="range-end"),
        pytest.param(feature(repeat=0), "x: repeat is not a number of columns", id="repeat"),
        pytest.param(feature(shape="4"), "x: shape is not a list of sizes", id="shape"),
        pytest.param(feature(ftype="categorical"), "x: values is not a list", id="values"),
        pytest.param(feature(ftype="categorical", values=[1, "a"]), "are of different types", id="mixed-values"),
    ],
)
def test_a_malformed_contract_json_is_reported(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "contract.json").write_text(text)
    with pytest.raises(BadContract) as caught:
        read_contract(tmp_path / "contract.json")
    assert message in str(caught.value)


def make_report() -> Report:
    failure = Failure(
        Problem("status", "x", "status 200", "500: ValueError: <\x00> & é", "Traceback\n  line"),
        "a valid request",
        "curl -s http://localhost:9000/predict -d '{}'",
        ["valid v1 REST", "valid V2 REST"],
        3,
    )
    warning = Failure(
        Problem("rejects", "y", "status 400", "500: y"), "text instead of a number", "", ["invalid v1 REST"]
    )
    groups = [
        Group("valid v1 REST", count=50, failed=3, seconds=1.5),
        Group("valid v1 REST tensor", skipped=50),
        Group("valid V2 REST", count=49, failed=1, skipped=1),
        Group("equal results", "comparisons", count=48),
        Group("invalid v1 gRPC"),
    ]
    return Report("contract test of iris", 7, 147, 2.25, groups, [failure], [warning], ["a note"])


def test_the_text_of_a_report() -> None:
    assert FORMATS["text"](make_report()) == (
        "contract test of iris\n"
        "valid v1 REST: 50 requests, 3 failed\n"
        "valid v1 REST tensor: not sent, the protocol has no form for the values\n"
        "valid V2 REST: 49 requests, 1 failed (1 not sent, the protocol has no form for their values)\n"
        "equal results: 48 comparisons OK\n"
        "note: a note\n"
        "\n"
        "warning: rejects: text instead of a number\n"
        "  where:    invalid v1 REST\n"
        "  expected: status 400\n"
        "  found:    500: y\n"
        "\n"
        "failure: status: a valid request\n"
        "  where:    valid v1 REST, valid V2 REST\n"
        "  expected: status 200\n"
        "  found:    500: ValueError: <\x00> & é\n"
        "  request:  curl -s http://localhost:9000/predict -d '{}'\n"
        "  | Traceback\n"
        "  |   line\n"
        "\n"
        "147 requests, 1 failure, seed 7\n"
    )


def test_a_long_request_is_whole_in_json_only() -> None:
    report = make_report()
    curl = report.failures[0].curl = f"curl {'x' * 5000} end"
    text = FORMATS["text"](report)
    assert f"x [... {len(curl) - 2000} characters left out; --format json has all ...] x" in text
    assert "x end\n" in text
    assert len(text) < 3000
    assert json.loads(FORMATS["json"](report))["failures"][0]["curl"] == curl


def test_the_json_of_a_report() -> None:
    tree = json.loads(FORMATS["json"](make_report()))
    assert (tree["seed"], tree["requests"], tree["seconds"], tree["ok"]) == (7, 147, 2.25, False)
    assert tree["groups"][0] == {"name": "valid v1 REST", "unit": "requests", "count": 50, "failed": 3, "skipped": 0}
    assert tree["failures"] == [
        {
            "check": "status",
            "label": "a valid request",
            "groups": ["valid v1 REST", "valid V2 REST"],
            "count": 3,
            "expected": "status 200",
            "found": "500: ValueError: <\x00> & é",
            "curl": "curl -s http://localhost:9000/predict -d '{}'",
            "traceback": "Traceback\n  line",
        }
    ]
    assert [warning["check"] for warning in tree["warnings"]] == ["rejects"]
    assert tree["notes"] == ["a note"]


def test_the_junit_of_a_report() -> None:
    suites = ET.fromstring(FORMATS["junit"](make_report()))
    assert suites.tag == "testsuites"
    (suite,) = suites
    totals = {"tests": "4", "failures": "2", "errors": "0", "skipped": "1", "time": "2.250"}
    assert totals.items() <= suites.attrib.items()
    assert {"name": "contract test of iris", **totals} == suite.attrib
    cases = suite.findall("testcase")
    assert [case.attrib for case in cases[:2]] == [
        {"classname": "contract", "name": "valid v1 REST", "time": "1.500"},
        {"classname": "contract", "name": "valid v1 REST tensor", "time": "0.000"},
    ]
    assert [len(case.findall("failure")) for case in cases] == [1, 0, 1, 0]
    assert [len(case.findall("skipped")) for case in cases] == [0, 1, 0, 0]
    failure = cases[0].find("failure")
    assert failure is not None
    assert failure.attrib == {"type": "status", "message": "status: a valid request: 500: ValueError: <\ufffd> & é"}
    assert "curl -s http://localhost:9000/predict" in (failure.text or "")
    properties = {each.get("name"): each.get("value") for each in suite.iter("property")}
    assert properties == {"seed": "7", "requests": "147"}

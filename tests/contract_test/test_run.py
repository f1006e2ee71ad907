"""Contract tests of classes in this process: what passes, what fails, and with which smallest request."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from seldon_spec.app import load
from seldon_spec.contract_test.contract_json import BadContract
from seldon_spec.contract_test.report import Report
from seldon_spec.contract_test.run import Options
from seldon_spec.contract_test.start import parse_duration, run_in_process
from seldon_spec.errors import ComponentFailed
from seldon_spec.testing import check_contract

COLUMNS = """\
inputs:
  - name: x
    datatype: FP64
    shape: [-1, 2]
    columns: [{name: age, minimum: 0, maximum: 130, example: 40}, {name: income, optional: true}]
outputs: [score]
"""
TABLE = """\
inputs:
  - {name: age, datatype: INT64, shape: [-1], minimum: 0, maximum: 130, example: 40}
  - {name: job, datatype: BYTES, shape: [-1], content_type: str, choices: [nurse, cook]}
  - {name: bonus, datatype: FP32, shape: [-1], optional: true}
outputs:
  - {name: score, datatype: FP64, shape: [-1], minimum: 0, maximum: 1000}
  - {name: label, datatype: BYTES, shape: [-1], choices: [low, high]}
"""
TENSORS = """\
inputs: [{name: pixels, datatype: UINT8, shape: [-1, 2, 2]}]
outputs: [{name: mean, datatype: FP32, shape: [-1], minimum: 0, maximum: 255}]
"""
TEXT = """\
inputs: [{name: text, datatype: BYTES, shape: [1], content_type: str}]
outputs: [{name: length, datatype: INT64, shape: [1], minimum: 0}]
"""
UNDECLARED_OUTPUTS = "inputs: [a, b]\n"

SUM = """
    def predict(self, X, names=None):
        return np.nan_to_num(np.asarray(X, float)).sum(axis=1, keepdims=True)
"""
SCORES = """
    def infer(self, inputs):
        score = inputs["age"] * 1.0
        return {"score": score, "label": np.where(score > 50, "high", "low")}
"""
MEAN = """
    def infer(self, inputs):
        return {"mean": inputs["pixels"].mean(axis=(1, 2)).astype("float32")}
"""

Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def make_folder(contract: str, methods: str, more: str = "") -> Path:
        (tmp_path / "seldon.yaml").write_text(f"class_name: Model\nname: model\n{more}{contract}")
        (tmp_path / "Model.py").write_text(f"import numpy as np\n\n\nclass Model:\n{methods}")
        return tmp_path

    return make_folder


def run(folder: Path, **options: Any) -> Report:
    return run_in_process(load(folder, {}), Options(**{"requests": 12, **options}))


def data_of(curl: str) -> Any:
    """Return the JSON body of a curl command."""
    return json.loads(shlex.split(curl)[-1])


@pytest.mark.parametrize(
    ("contract", "methods"),
    [
        pytest.param(COLUMNS, SUM, id="columns"),
        pytest.param(TABLE, SCORES, id="table"),
        pytest.param(TENSORS, MEAN, id="tensors"),
        pytest.param(
            TEXT,
            "\n    def infer(self, inputs):\n        return {'length': np.array([len(inputs['text'][0])])}\n",
            id="text",
        ),
        pytest.param(UNDECLARED_OUTPUTS, SUM, id="no-outputs"),
        pytest.param(
            UNDECLARED_OUTPUTS, "\n    def predict(self, X):\n        return {'sum': X.sum(axis=1)}\n", id="dict"
        ),
        pytest.param(UNDECLARED_OUTPUTS, "\n    def predict(self, X):\n        return f'{len(X)} rows'\n", id="string"),
    ],
)
def test_a_right_class_passes(make: Make, contract: str, methods: str) -> None:
    report = run(make(contract, methods))
    assert report.failures == []
    assert report.is_ok
    assert report.notes == []
    assert report.warnings == []
    by_name = {group.name: group for group in report.groups}
    for transport in ("v1 REST", "v1 gRPC", "V2 REST", "V2 REST binary", "V2 gRPC"):
        assert by_name[f"valid {transport}"].count > 0
        assert by_name[f"invalid {transport}"].count > 0
    assert by_name["equal results"].count > 12
    assert by_name["no state between calls"].count == 13
    assert by_name["the example after invalid requests"].count > 3
    assert report.requests == sum(group.count for group in report.groups if group.name != "equal results")


EVERYWHERE = [
    "valid V2 REST",
    "valid V2 REST binary",
    "valid V2 gRPC",
    "valid v1 REST",
    "valid v1 REST tensor",
    "valid v1 gRPC",
]
FAILURES = [
    pytest.param(
        TABLE,
        """
    def infer(self, inputs):
        if (inputs["age"] == 130).any():
            raise ValueError("too old")
        return {"score": inputs["age"] * 1.0, "label": np.full(len(inputs["age"]), "low")}
""",
        "status",
        ["valid v1 REST", "valid V2 REST", "valid V2 REST binary", "valid v1 gRPC", "valid V2 gRPC"],
        "status 200 or OK",
        "500: ValueError: too old",
        {"data": {"names": ["age", "job"], "ndarray": [[130, "nurse"]]}},
        id="crash-on-an-edge",
    ),
    pytest.param(
        COLUMNS,
        """
    def predict(self, X, names=None):
        if len(X) > 1:
            raise ValueError("one row only")
        return [[0.0]]
""",
        "status",
        [
            "valid v1 REST",
            "valid v1 REST tensor",
            "valid V2 REST",
            "valid V2 REST binary",
            "valid v1 gRPC",
            "valid V2 gRPC",
        ],
        "status 200 or OK",
        "500: ValueError: one row only",
        {"data": {"names": ["age", "income"], "ndarray": [[40.0, 0.0], [40.0, 0.0]]}},
        id="crash-on-several-rows",
    ),
    pytest.param(
        COLUMNS,
        "\n    def predict(self, X, names=None):\n        return np.zeros((len(X), 1), 'float32')\n",
        "datatype",
        ["valid V2 REST", "valid V2 REST binary", "valid V2 gRPC"],
        "output-0: the datatype FP64",
        "the datatype FP32",
        {"inputs": [{"name": "x", "datatype": "FP64", "shape": [1, 2], "data": [40.0, 0.0]}]},
        id="wrong-datatype",
    ),
    pytest.param(
        COLUMNS,
        "\n    def predict(self, X, names=None):\n        return np.zeros((len(X), 2))\n",
        "shape",
        EVERYWHERE,
        "output-0: the shape [-1, 1]",
        "the shape [1, 2]",
        {"data": {"names": ["age", "income"], "ndarray": [[40.0, 0.0]]}},
        id="wrong-shape",
    ),
    pytest.param(
        COLUMNS,
        "\n    def predict(self, X, names=None):\n        return np.zeros((1, 1))\n",
        "rows",
        EVERYWHERE,
        "output-0: 2 rows, as in the request",
        "1 row",
        {"data": {"names": ["age", "income"], "ndarray": [[40.0, 0.0], [40.0, 0.0]]}},
        id="rows-lost",
    ),
    pytest.param(
        TABLE,
        """
    def infer(self, inputs):
        score = np.where(inputs["age"] > 120, -1.0, 1.0)
        return {"score": score, "label": np.full(len(score), "low")}
""",
        "range",
        ["valid v1 REST", "valid V2 REST", "valid V2 REST binary", "valid v1 gRPC", "valid V2 gRPC"],
        "score: at least 0 and at most 1000",
        "-1.0 is less than the minimum 0",
        {"data": {"names": ["age", "job"], "ndarray": [[130, "nurse"]]}},
        id="out-of-range",
    ),
    pytest.param(
        COLUMNS,
        "\n    def predict(self, X, names=None):\n        return np.full((len(X), 1), np.nan)\n",
        "range",
        EVERYWHERE,
        "score: a value",
        "NaN",
        {"data": {"names": ["age", "income"], "ndarray": [[40.0, 0.0]]}},
        id="missing-output",
    ),
    pytest.param(
        UNDECLARED_OUTPUTS,
        """
    def predict(self, X, names=None):
        return np.zeros((len(X), 1))

    def predict_rest(self, request):
        return {"data": {"ndarray": [[1.0]]}}
""",
        "equal results",
        ["equal results"],
        "the result of v1 REST from v1 gRPC",
        "the result: 1.0 and 0.0",
        {"data": {"names": ["a", "b"], "ndarray": [[0.0, 0.0]]}},
        id="depends-on-the-protocol",
    ),
    pytest.param(
        COLUMNS,
        """
    calls = 0

    def predict(self, X, names=None):
        self.calls += 1
        return np.full((len(X), 1), float(self.calls))
""",
        "no state",
        ["no state between calls"],
        None,
        None,
        {"data": {"names": ["age", "income"], "ndarray": [[40.0, 0.0]]}},
        id="state-between-calls",
    ),
]


TWO = "inputs: [a, b]\noutputs: [p]\n"


@pytest.mark.parametrize(
    ("contract", "methods", "found"),
    [
        pytest.param(
            TWO,
            "        return np.repeat(X[:1, :1], len(X), axis=0)",
            r"output-0\[1, 0\]: \S+ and \S+ if the row is sent alone",
            id="first-row",
        ),
        pytest.param(
            TWO,
            "        return X[:, :1] - X[:, :1].mean()",
            r"output-0\[0, 0\]: \S+ and 0.0 if the row is sent alone",
            id="mean",
        ),
        pytest.param(
            TWO,
            "        if len(X) == 1:\n            raise ValueError('one row')\n        return X[:, :1]",
            "row 0 alone fails",
            id="fails-alone",
        ),
        pytest.param(
            "inputs: [a, b]\noutputs: [{name: p, datatype: FP64, shape: [-1, -1]}]\n",
            "        return X @ X.T",
            r"row 0 alone: p\[1, 1\] .*; row 1 alone: p\[1, 1\] .*",
            id="another-shape",
        ),
    ],
)
def test_a_result_that_depends_on_other_rows_fails(make: Make, contract: str, methods: str, found: str) -> None:
    folder = make(contract, f"\n    def predict(self, X, names=None):\n{methods}\n")
    failures = [failure for failure in run(folder, requests=30).failures if failure.problem.check != "status"]
    (failure,) = failures
    assert (failure.problem.check, failure.label, failure.groups) == (
        "rows alone",
        "a request of several rows",
        ["rows alone"],
    )
    assert failure.problem.expected.startswith("each row has the same result alone as in the request: ")
    assert re.fullmatch(found, failure.problem.found)
    assert data_of(failure.curl)["inputs"][0]["shape"] == [2, 2]
    report = run(folder, requests=30, is_stateful=True)
    assert "rows alone" not in {group.name for group in report.groups}
    assert not any(failure.problem.check == "rows alone" for failure in report.failures)


@pytest.mark.parametrize(
    ("contract", "methods", "is_compared"),
    [
        pytest.param(COLUMNS, SUM, True, id="columns"),
        pytest.param(TABLE, SCORES, True, id="table"),
        pytest.param(TENSORS, MEAN, True, id="tensors"),
        pytest.param(UNDECLARED_OUTPUTS, SUM, False, id="no-outputs"),
    ],
)
def test_rows_are_sent_alone(make: Make, contract: str, methods: str, is_compared: bool) -> None:
    report = run(make(contract, methods), requests=50)
    group = next(group for group in report.groups if group.name == "rows alone")
    assert (group.count, group.failed) == (10 if is_compared else 0, 0)


@pytest.mark.parametrize(("contract", "methods", "check", "groups", "expected", "found", "smallest"), FAILURES)
def test_a_wrong_class_fails_with_the_smallest_request(
    make: Make,
    contract: str,
    methods: str,
    check: str,
    groups: list[str],
    expected: str | None,
    found: str | None,
    smallest: Any,
) -> None:
    report = run(make(contract, methods))
    failure = next(failure for failure in report.failures if failure.problem.check == check)
    assert sorted(failure.groups) == sorted(groups)
    if expected is not None:
        assert (failure.problem.expected, failure.problem.found) == (expected, found)
    path = "/v2/models/model/infer" if "inputs" in smallest else "/predict"
    assert failure.curl.startswith(f"curl -s http://localhost:9000{path} -H 'Content-Type: application/json' -d ")
    assert data_of(failure.curl) == smallest
    assert {group.name for group in report.groups if group.failed} >= set(groups)


def test_an_exception_has_the_traceback_of_the_class(make: Make) -> None:
    report = run(make(COLUMNS, "\n    def predict(self, X):\n        return 1 / 0\n"))
    trace = report.failures[0].problem.trace
    assert trace.startswith("Traceback (most recent call last):\n")
    assert "Model.py" in trace.splitlines()[1]
    assert trace.endswith("ZeroDivisionError: division by zero")


STATE = """
    def __init__(self):
        self.calls = 0

    def predict(self, X, names=None):
        self.calls += 1
        return np.full((len(X), 1), float(self.calls))
"""


def test_a_stateful_class_is_not_compared(make: Make) -> None:
    folder = make(COLUMNS, STATE)
    assert [failure.problem.check for failure in run(folder).failures] == ["no state"]
    report = run(folder, is_stateful=True)
    assert report.failures == []
    assert not {"equal results", "no state between calls"} & {group.name for group in report.groups}


ANY = "\n    def predict(self, X, names=None):\n        return [[0.0]] * len(X)\n"


def test_without_validation_a_violation_has_to_be_survived_only(make: Make) -> None:
    folder = make(COLUMNS, SUM, "server: {validate_requests: off}\n")
    report = run(folder)
    assert report.failures == []
    assert report.notes == [
        "server.validate_requests is off: invalid requests need not be rejected, only survived",
    ]
    warned = {failure.label for failure in report.warnings}
    assert "age: text instead of a number" in warned
    assert all(failure.problem.found.startswith(("5", "UNKNOWN", "INTERNAL")) for failure in report.warnings)


def test_an_invalid_request_that_breaks_the_model_fails(make: Make) -> None:
    methods = """
    broken = False

    def predict(self, X, names=None):
        if X.shape[1:] != (2,):
            self.broken = True
        if self.broken:
            raise RuntimeError("broken")
        return np.zeros((len(X), 1))
"""
    report = run(make(COLUMNS, methods, "server: {validate_requests: off}\n"))
    assert [failure.problem.check for failure in report.failures] == ["server up"]
    assert report.failures[0].problem.found == "500: RuntimeError: broken"
    assert report.notes[-1] == "the server does not respond: the other requests were not sent"


@pytest.mark.parametrize(
    ("service_type", "contract", "methods"),
    [
        pytest.param(
            "TRANSFORMER",
            UNDECLARED_OUTPUTS,
            "    def transform_input(self, X, names):\n        return X * 2\n",
            id="input",
        ),
        pytest.param(
            "TRANSFORMER",
            UNDECLARED_OUTPUTS,
            "    def transform_output(self, X, names):\n        return X * 2\n",
            id="output",
        ),
        pytest.param(
            "ROUTER",
            UNDECLARED_OUTPUTS,
            "    def route(self, X, names):\n        return int(X[0, 0] > 1)\n",
            id="router",
        ),
        pytest.param(
            "OUTLIER_DETECTOR",
            UNDECLARED_OUTPUTS,
            "    def score(self, X, names):\n        return X.sum(axis=1).tolist()\n",
            id="detector",
        ),
    ],
)
def test_every_service_type_has_its_own_operation(make: Make, service_type: str, contract: str, methods: str) -> None:
    report = run(make(contract, methods, f"service_type: {service_type}\n"))
    assert report.failures == []
    has_infer = any(group.name == "valid V2 REST" and group.count for group in report.groups)
    assert has_infer == (service_type != "ROUTER")


@pytest.mark.parametrize(
    ("contract", "methods", "more", "message"),
    [
        pytest.param("", SUM, "", "declares no inputs, and there is no contract.json", id="no-contract"),
        pytest.param(
            UNDECLARED_OUTPUTS,
            "    def aggregate(self, X, names):\n        return X[0]\n",
            "service_type: COMBINER\n",
            "a COMBINER cannot be tested by its contract",
            id="combiner",
        ),
    ],
)
def test_what_cannot_be_tested(make: Make, contract: str, methods: str, more: str, message: str) -> None:
    with pytest.raises(BadContract, match=message):
        run(make(contract, methods, more))


def test_a_class_that_cannot_be_built_raises(make: Make) -> None:
    with pytest.raises(ComponentFailed, match="no model"):
        run(make(COLUMNS, "    def __init__(self):\n        raise OSError('no model')\n" + SUM))


def clock_of(step: float) -> Callable[[], float]:
    """A clock that advances by ``step`` seconds each time it is read."""
    times: Iterator[float] = (step * index for index in range(10**9))
    return lambda: next(times)


def test_the_budget_limits_the_requests(make: Make) -> None:
    spec = load(make(COLUMNS, SUM), {})
    whole = run_in_process(spec, Options(requests=20), clock=clock_of(0))
    short = run_in_process(spec, Options(requests=20, budget_seconds=60), clock=clock_of(1))
    assert whole.notes == []
    assert 5 < short.requests < 30 < whole.requests
    assert short.notes == [
        f"the budget of 60s ended before all {kind} requests were sent" for kind in ("valid", "invalid")
    ]
    assert short.failures == []


def test_the_budget_limits_the_search_for_the_smallest_request(make: Make) -> None:
    spec = load(make(COLUMNS, "\n    def predict(self, X):\n        return 1 / 0\n"), {})
    report = run_in_process(spec, Options(budget_seconds=10), clock=clock_of(1))
    assert report.failures[0].curl
    assert report.seconds < 100


def test_a_prediction_that_never_ends_is_a_failure(make: Make) -> None:
    methods = (
        "\n    def predict(self, X):\n        import threading\n        threading.Event().wait(3)\n        return X\n"
    )
    report = run(make(COLUMNS, methods), budget_seconds=0.2)
    assert report.failures[0].problem.found.startswith("no response: the prediction takes longer than 0.2 seconds")
    assert report.requests == 1


def test_the_seed_selects_the_requests(make: Make, tmp_path: Path) -> None:
    methods = """
    def predict(self, X, names=None):
        with open("log.txt", "a") as log:
            log.write(repr(X.tolist()))
        return np.zeros((len(X), 1))
"""
    folder = make(COLUMNS, methods.replace("log.txt", str(tmp_path / "log.txt")))
    logs = []
    for seed in (0, 0, 1):
        report = run(folder, seed=seed, requests=20)
        assert report.seed == seed
        logs.append((tmp_path / "log.txt").read_text())
        (tmp_path / "log.txt").unlink()
    assert logs[0] == logs[1] != logs[2]


def test_the_function_for_tests_raises_the_report(make: Make) -> None:
    check_contract(make(COLUMNS, SUM), requests=5)
    with pytest.raises(AssertionError, match=re.escape("failure: status: a valid request")):
        check_contract(make(COLUMNS, "\n    def predict(self, X):\n        return 1 / 0\n"), requests=5)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("2m", 120), ("500ms", 0.5), ("1.5h", 5400), ("30", None), ("s", None), ("-1s", None), ("", None)],
)
def test_durations(text: str, seconds: float | None) -> None:
    assert parse_duration(text) == seconds

"""``predict`` with the Open Inference Protocol: over REST, over gRPC and in process, the same responses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from seldon_spec.cli.main import run
from seldon_spec.cli.open_inference import make_request

if TYPE_CHECKING:
    from tests.conftest import RunningServer, Serve

SPEC = """\
class_name: Echo
name: echo
version: "2"
"""
DECLARED = """\
inputs: [{name: x, datatype: FP32, shape: [-1, 2], optional: true}]
"""
MODEL = """\
import numpy as np

class Echo:
    def infer(self, inputs: dict, parameters=None):
        if "fail" in parameters:
            raise ValueError("failed")
        if "bytes" in parameters:
            return {"y": np.array([b"\\xff"], dtype=object)}
        return {"y": inputs.get("x", inputs.get("input-0"))}
"""


def make_folder(folder: Path, declared: str) -> Path:
    folder.mkdir()
    (folder / "seldon.yaml").write_text(SPEC + declared)
    (folder / "Echo.py").write_text(MODEL)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folder(tmp_path_factory.mktemp("predict") / "echo", DECLARED)


@pytest.fixture(scope="module")
def server(folder: Path, serve_folder: Serve) -> Iterator[RunningServer]:
    with serve_folder(folder) as running:
        yield running


AT = {
    "rest-server": ["--at", "http://127.0.0.1:{http}", "--protocol", "v2"],
    "rest-v2": ["--at", "http://127.0.0.1:{http}/v2"],
    "rest-model": ["--at", "http://127.0.0.1:{http}/v2/models/echo"],
    "rest-version": ["--at", "http://127.0.0.1:{http}/v2/models/echo/versions/2/"],
    "rest-infer": ["--at", "http://127.0.0.1:{http}/v2/models/echo/infer"],
    "grpc-server": ["--at", "grpc://127.0.0.1:{grpc}", "--protocol", "v2"],
    "grpc-model": ["--at", "grpc://127.0.0.1:{grpc}/v2/models/echo"],
    "in-process": ["--at", "{folder}", "--protocol", "v2"],
}
Y = {"name": "y", "shape": [2, 2], "datatype": "FP32", "data": [1.0, 2.0, 3.5, 4.0]}
WHOLE = {"id": "7", "inputs": [{"name": "x", "datatype": "FP32", "shape": [2, 2], "data": [1, 2, 3.5, 4]}]}
NAN = {
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": ["NaN", "-Infinity"]}],
    "outputs": [{"name": "y"}],
}
HEAD = {"model_name": "echo", "model_version": "2"}
RESPONSES = {
    "rows": ("[[1, 2], [3.5, 4]]", {**HEAD, "outputs": [Y]}),
    "whole": (json.dumps(WHOLE), {**HEAD, "id": "7", "outputs": [Y]}),
    "not-a-number": (json.dumps(NAN), {**HEAD, "outputs": [{**Y, "shape": [1, 2], "data": ["NaN", "-Infinity"]}]}),
}


def predict(data: str, at: str, server: RunningServer, folder: Path) -> int:
    place = {"http": server.http, "grpc": server.grpc, "folder": folder}
    return run(["predict", data, *(word.format(**place) for word in AT[at])])


@pytest.mark.parametrize("at", AT)
@pytest.mark.parametrize(("data", "expected"), RESPONSES.values(), ids=RESPONSES)
def test_the_response_is_the_protocol_s_json(
    data: str, expected: Any, at: str, server: RunningServer, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert predict(data, at, server, folder) == 0
    assert json.loads(capfd.readouterr().out) == expected


FAIL = json.dumps({**WHOLE, "parameters": {"fail": 1}})
TEXT = json.dumps({**WHOLE, "parameters": {"bytes": True}})
ERRORS = {
    "ragged": ("[[1, 2], [3]]", AT, "DATA is not an array: its rows differ in length"),
    "no-inputs": ('{"data": {"ndarray": [[1]]}}', AT, "the request has no list of inputs"),
    "shape": ("[[1, 2, 3]]", AT, "[-1, 2]"),
    "class": (FAIL, AT, "failed"),
    "not-utf-8": (TEXT, AT, "'y'"),
    "model": ("[[1, 2]]", ["rest-other", "grpc-other"], "unknown model 'other'"),
}
AT_OTHER = {
    "rest-other": ["--at", "http://127.0.0.1:{http}/v2/models/other"],
    "grpc-other": ["--at", "grpc://127.0.0.1:{grpc}/v2/models/other"],
}


@pytest.mark.parametrize(
    ("data", "at", "reason"),
    [(data, at, reason) for data, places, reason in ERRORS.values() for at in places],
    ids=[f"{name}-{at}" for name, (_, places, _) in ERRORS.items() for at in places],
)
def test_an_error_is_shown_by_its_reason(
    data: str, at: str, reason: str, server: RunningServer, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    place = {"http": server.http, "grpc": server.grpc, "folder": folder}
    assert run(["predict", data, *(word.format(**place) for word in {**AT, **AT_OTHER}[at])]) == 1
    captured = capfd.readouterr()
    assert captured.out == ""
    assert reason in captured.err
    assert "Traceback" not in captured.err or "ValueError: failed" in captured.err


def test_rows_need_an_only_input(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    two = "inputs: [{name: x, datatype: FP32, shape: [-1]}, {name: z, datatype: FP32, shape: [-1]}]\n"
    folder = make_folder(tmp_path / "two", two)
    assert run(["predict", "[1]", "--at", str(folder), "--protocol", "v2"]) == 1
    assert "the model has several inputs (x, z): write a complete request" in capfd.readouterr().err


def test_v1_of_a_url_of_v2_is_sent_as_asked(server: RunningServer, capfd: pytest.CaptureFixture[str]) -> None:
    url = f"http://127.0.0.1:{server.http}/v2/models/echo/infer"
    assert run(["predict", "[[1, 2]]", "--at", url, "--protocol", "v1"]) == 1
    assert "the request has no list of inputs" in capfd.readouterr().err


DATATYPES = {
    "integers": ([[1, 2]], "INT64", [1, 2]),
    "floats": ([1, 2.5], "FP64", [1, 2.5]),
    "booleans": ([True], "BOOL", [True]),
    "texts": ([["a"], ["b"]], "BYTES", ["a", "b"]),
    "empty": ([], "FP64", []),
}


@pytest.mark.parametrize(("rows", "datatype", "flat"), DATATYPES.values(), ids=DATATYPES)
def test_without_a_declared_input_the_values_determine_the_datatype(
    rows: list[Any], datatype: str, flat: list[Any]
) -> None:
    (tensor,) = json.loads(make_request(rows, ()))["inputs"]
    assert (tensor["name"], tensor["datatype"], tensor["data"]) == ("input-0", datatype, flat)

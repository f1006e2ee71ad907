"""The inputs, outputs and platform of seldon.yaml in the metadata of both protocols."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from seldon_spec.config.loader import load
from seldon_spec.protocols.open_inference_v2.proto import message_class

if TYPE_CHECKING:
    from tests.conftest import Running

MODEL = """\
class Model:
    def init_metadata(self):
        return {"platform": "class", "inputs": [{"messagetype": "strData"}]}

    def predict(self, X, names):
        return [names]
"""
SPEC = "class_name: Model\nname: model\n"
X = {"name": "input-0", "datatype": "FP64", "shape": [-1, 2]}
Y = {"name": "y", "datatype": "BYTES", "shape": [-1, 2]}
CASES: dict[str, tuple[str, dict[str, str], dict[str, Any]]] = {
    "declared": (
        'inputs: [a, b]\noutputs: [{name: y, datatype: BYTES, shape: [-1, 2]}]\nplatform: "file"\n',
        {},
        {"platform": "file", "inputs": [X], "outputs": [Y]},
    ),
    "inputs-only": ("inputs: [a, b]\n", {}, {"platform": "class", "inputs": [X], "outputs": []}),
    "operator": (
        "inputs: [a, b]\nplatform: file\n",
        {"MODEL_METADATA": json.dumps({"platform": "operator", "inputs": [Y]})},
        {"platform": "operator", "inputs": [Y], "outputs": []},
    ),
}


@pytest.mark.parametrize(("text", "environ", "expected"), CASES.values(), ids=CASES)
def test_both_protocols_show_the_same(
    text: str,
    environ: dict[str, str],
    expected: dict[str, Any],
    tmp_path: Path,
    serve_in_thread: Callable[..., AbstractContextManager[Running]],
) -> None:
    (tmp_path / "Model.py").write_text(MODEL)
    (tmp_path / "seldon.yaml").write_text(SPEC + text)
    spec = load(tmp_path, environ)
    declared = {"inputs": spec.inputs, "outputs": spec.outputs, "platform": spec.platform, "unit": spec.unit}
    with serve_in_thread(tmp_path, "Model", **declared) as running:
        for path in ("/metadata", "/v2/models/model"):
            status, _, body = running.rest("GET", path)
            assert status == 200
            assert {key: json.loads(body)[key] for key in expected} == expected, path
        response = message_class("ModelMetadataResponse")()
        response.ParseFromString(running.call(b"", "/inference.GRPCInferenceService/ModelMetadata"))
        for key in ("inputs", "outputs"):
            shown = [{"name": t.name, "datatype": t.datatype, "shape": list(t.shape)} for t in getattr(response, key)]
            assert shown == expected[key]
        assert response.platform == expected["platform"]


def test_columns_are_the_names_of_x_and_the_output_has_the_declared_name(
    tmp_path: Path, serve_in_thread: Callable[..., AbstractContextManager[Running]]
) -> None:
    (tmp_path / "Model.py").write_text(MODEL)
    (tmp_path / "seldon.yaml").write_text(SPEC + CASES["declared"][0])
    spec = load(tmp_path, {})
    with serve_in_thread(tmp_path, "Model", inputs=spec.inputs, outputs=spec.outputs) as running:
        request = {"inputs": [{**X, "shape": [1, 2], "data": [1, 2]}]}
        status, _, body = running.post(json.dumps(request).encode(), "/v2/models/model/infer")
    assert status == 200
    assert json.loads(body)["outputs"] == [
        {**Y, "shape": [1, 2], "parameters": {"content_type": "str"}, "data": ["a", "b"]}
    ]

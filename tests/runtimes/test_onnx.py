"""Models of ONNX: results are those of ONNX Runtime, and the contract is that of the session."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from seldon_spec.app import load
from seldon_spec.calls.client import Client
from seldon_spec.cli.main import run
from seldon_spec.config.model_files.inspect import inspect_model
from seldon_spec.errors import ComponentFailed
from tests.runtimes.conftest import Answers, Data, ServeModel

pytestmark = pytest.mark.runtimes

ROWS = [[5.1, 3.5, 1.4, 0.2], [0.1, -0.3, 0.2, 0.4]]
LABELS = np.array(["setosa", "versicolor", "virginica"])


def _export(estimator: Any, folder: Path, types: Any = None, **options: Any) -> None:
    """Write iris.onnx; ``options`` are those of the converter for the estimator."""
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType

    inputs = types or [("features", FloatTensorType([None, 4]))]
    model = to_onnx(estimator, initial_types=inputs, options={id(estimator): options} if options else None)
    (folder / "iris.onnx").write_bytes(model.SerializeToString())


def _classifier(iris: Data, labels: Any = None) -> Any:
    return LogisticRegression(max_iter=500).fit(iris.rows, iris.classes if labels is None else labels[iris.classes])


def _infer_by_grpc(served: Answers, rows: Any) -> Any:
    """Send rows of FP32 to V2; return the names and the contents of the outputs."""
    from seldon_spec.protocols.open_inference_v2.proto import ModelInferRequest, ModelInferResponse

    request = ModelInferRequest(model_name=served.spec.name)
    tensor = request.inputs.add(name="features", datatype="FP32", shape=np.shape(rows))
    tensor.contents.fp32_contents.extend(np.ravel(rows))
    wire = served.running.call(request.SerializeToString(), "/inference.GRPCInferenceService/ModelInfer")
    return ModelInferResponse.FromString(wire).outputs


ZIPMAP: Any = {"maps": ({}, "output_probability"), "an-array": ({"zipmap": False}, "probabilities")}


@pytest.mark.parametrize(("options", "name"), ZIPMAP.values(), ids=ZIPMAP)
@pytest.mark.parametrize("labels", [None, LABELS], ids=["integers", "texts"])
def test_a_classifier_is_served_by_both_protocols(
    tmp_path: Path, iris: Data, serve_model: ServeModel, options: Any, name: str, labels: Any
) -> None:
    model = _classifier(iris, labels)
    _export(model, tmp_path, **options)
    served = serve_model("iris.onnx")
    expected = model.predict(ROWS).tolist()
    assert served.predict(ROWS)["data"] == {"names": [], "ndarray": expected}
    label, probabilities = served.infer(ROWS, "FP32")["outputs"]
    assert (label["datatype"], label["shape"]) == ("INT64" if labels is None else "BYTES", [2])
    assert label["data"] == expected
    assert (probabilities["name"], probabilities["datatype"], probabilities["shape"]) == (name, "FP32", [2, 3])
    assert probabilities["data"] == pytest.approx(model.predict_proba(ROWS).ravel(), abs=1e-5)
    assert [output.name for output in _infer_by_grpc(served, ROWS)] == [label["name"], name]
    outputs = served.metadata()["outputs"]
    assert [(each["name"], each["shape"]) for each in outputs] == [(label["name"], [-1]), (name, [-1, 3])]
    assert served.metadata()["inputs"] == [{"name": "features", "datatype": "FP32", "shape": [-1, 4]}]
    assert served.get("/metadata")["inputs"] == served.metadata()["inputs"]


@pytest.mark.parametrize(("options", "name"), ZIPMAP.values(), ids=ZIPMAP)
def test_predict_proba_is_the_array_of_probabilities(
    tmp_path: Path, iris: Data, serve_model: ServeModel, options: Any, name: str
) -> None:
    model = _classifier(iris, LABELS)
    _export(model, tmp_path, **options)
    data = serve_model("iris.onnx", method="predict_proba").predict(ROWS)["data"]
    assert np.array(data["ndarray"]) == pytest.approx(model.predict_proba(ROWS), abs=1e-5)
    assert data["names"] == (LABELS.tolist() if name == "output_probability" else ["t:0", "t:1", "t:2"])


@pytest.mark.parametrize("datatype", ["FP64", "FP32", "INT64", "INT32", "UINT8"])
def test_clients_send_numbers_of_any_datatype(
    tmp_path: Path, iris: Data, serve_model: ServeModel, datatype: str
) -> None:
    model = _classifier(iris)
    _export(model, tmp_path)
    label, _ = serve_model("iris.onnx").infer([[5, 3, 1, 0]], datatype)["outputs"]
    assert label["data"] == model.predict([[5, 3, 1, 0]]).tolist()


WRONG: Any = {
    "columns": ([[1.0, 2.0]], "FP64", "input features: the shape [1, 2] does not match [-1, 4]"),
    "range": ([[1e300, 0, 0, 0]], "FP64", "1e+300 is outside the range of FP32"),
    "text": ([["a", "b", "c", "d"]], "BYTES", "input features: the datatype BYTES is not FP32"),
}


@pytest.mark.parametrize(("rows", "datatype", "message"), WRONG.values(), ids=WRONG)
def test_a_request_that_does_not_match_is_rejected(
    tmp_path: Path, iris: Data, serve_model: ServeModel, rows: Any, datatype: str, message: str
) -> None:
    _export(_classifier(iris), tmp_path)
    served = serve_model("iris.onnx")
    assert message in served.infer(rows, datatype, 400)["error"]
    assert message.partition(": the datatype")[0] in served.predict(rows, status=400)["status"]["info"]


def test_a_regressor_predicts_numbers(tmp_path: Path, iris: Data, serve_model: ServeModel) -> None:
    model = LinearRegression().fit(iris.rows, iris.numbers)
    _export(model, tmp_path)
    served = serve_model("iris.onnx", options={"threads": 2, "providers": ["CPUExecutionProvider"]})
    (output,) = served.infer(ROWS)["outputs"]
    assert (output["name"], output["datatype"], output["shape"]) == ("variable", "FP32", [2, 1])
    assert output["data"] == pytest.approx(model.predict(ROWS), abs=1e-4)
    assert np.array(served.predict(ROWS)["data"]["ndarray"]).ravel() == pytest.approx(model.predict(ROWS), abs=1e-4)


def test_a_transformer_transforms(tmp_path: Path, iris: Data, serve_model: ServeModel) -> None:
    model = StandardScaler().fit(iris.rows)
    _export(model, tmp_path)
    served = serve_model("iris.onnx", {"service_type": "TRANSFORMER"})
    assert served.spec.model is not None
    assert served.spec.model.method == "transform"
    found = served.post("/transform-input", {"data": {"ndarray": ROWS}})["data"]["ndarray"]
    assert np.array(found) == pytest.approx(model.transform(ROWS), abs=1e-5)
    (output,) = served.infer(ROWS)["outputs"]
    assert output["data"] == pytest.approx(model.transform(ROWS).ravel(), abs=1e-5)


def _table(iris: Data, folder: Path) -> Any:
    """Write the model of a table with a column of texts and one of numbers."""
    pandas = pytest.importorskip("pandas")
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType

    table = pandas.DataFrame({"city": np.array(["Oslo", "Rome", "Bonn"])[iris.classes], "area": iris.rows[:, 0]})
    encoder = ColumnTransformer([("city", OneHotEncoder(), ["city"])], remainder="passthrough")
    model = make_pipeline(encoder, LogisticRegression(max_iter=500)).fit(table, iris.classes)
    types = [("city", StringTensorType([None, 1])), ("area", FloatTensorType([None, 1]))]
    _export(model, folder, types)
    return model.predict_proba(pandas.DataFrame({"city": ["Rome"], "area": [1.5]}))


def test_several_inputs_are_named_tensors_or_columns(tmp_path: Path, iris: Data, serve_model: ServeModel) -> None:
    expected = _table(iris, tmp_path)
    served = serve_model("iris.onnx", method="predict_proba")
    found = served.predict([[1.5, "Rome"]], ["area", "city"])["data"]
    assert np.array(found["ndarray"]) == pytest.approx(expected, abs=1e-5)
    assert found["names"] == ["0", "1", "2"]
    tensors = [
        {"name": "area", "shape": [1, 1], "datatype": "FP64", "data": [1.5]},
        {"name": "city", "shape": [1, 1], "datatype": "BYTES", "data": ["Rome"]},
    ]
    _, probabilities = served.post("/v2/models/iris/infer", {"inputs": tensors})["outputs"]
    assert probabilities["data"] == pytest.approx(expected.ravel(), abs=1e-5)
    wanted = {"inputs": tensors, "outputs": [{"name": "output_label"}]}
    assert [each["name"] for each in served.post("/v2/models/iris/infer", wanted)["outputs"]] == ["output_label"]
    problem = served.post("/v2/models/iris/infer", {"inputs": tensors[:1]}, 400)
    assert "city" in problem["error"]


def _make_graph(nodes: Any, inputs: Any, outputs: Any, folder: Path, **more: Any) -> None:
    """Write model.onnx with these nodes; inputs and outputs are names with their shapes, of FP32."""
    import onnx
    from onnx import helper

    values = [
        [helper.make_tensor_value_info(name, 1, shape) for name, shape in each.items()] for each in (inputs, outputs)
    ]
    graph = helper.make_graph([helper.make_node(*node) for node in nodes], "graph", *values, **more)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, folder / "model.onnx")


def test_tensors_of_several_dimensions_are_named(tmp_path: Path, serve_model: ServeModel) -> None:
    shapes = {"left": [None, 2, 2], "right": [None, 2, 2]}
    nodes = [("Add", ["left", "right"], ["sum"]), ("Mul", ["left", "right"], ["product"])]
    _make_graph(nodes, shapes, {"sum": [1, 2, 2], "product": None}, tmp_path)
    served = serve_model("model.onnx")
    assert [each["shape"] for each in served.metadata()["outputs"]] == [[-1, 2, 2], [-1, 2, 2]]
    values = {"left": [[[1, 2], [3, 4]]] * 2, "right": [[[5, 6], [7, 8]]] * 2}
    data = served.post("/predict", {"jsonData": values})["data"]
    assert data["tensor"] == {"shape": [2, 2, 2], "values": [6.0, 8.0, 10.0, 12.0] * 2}
    tensors = [
        {"name": name, "datatype": "FP32", "shape": [2, 2, 2], "data": np.ravel(value).tolist()}
        for name, value in values.items()
    ]
    outputs = served.post("/v2/models/iris/infer", {"inputs": tensors})["outputs"]
    assert {each["name"]: each["data"][:4] for each in outputs} == {"sum": [6, 8, 10, 12], "product": [5, 12, 21, 32]}


BATCHED = {"any-rows": (None, True), "one-row": (1, False)}


@pytest.mark.parametrize(("rows", "is_batched"), BATCHED.values(), ids=BATCHED)
def test_requests_share_a_call_if_the_model_takes_any_number_of_rows(
    tmp_path: Path, rows: int | None, is_batched: bool
) -> None:
    from seldon_spec.inference.assembly import dispatcher_for

    _make_graph([("Neg", ["x"], ["y"])], {"x": [rows, 2]}, {"y": [rows, 2]}, tmp_path)
    (tmp_path / "seldon.yaml").write_text("model: {path: model.onnx}\n")
    dispatcher = dispatcher_for(load(tmp_path, {}))
    component = dispatcher.start().result(20)
    dispatcher.stop()
    assert bool(component.batchable) is is_batched


def _weights_beside(folder: Path) -> None:
    """Write model.onnx with its weights in weights.bin."""
    import onnx
    from onnx import numpy_helper

    weights = numpy_helper.from_array(np.full((1, 2), 2.0, np.float32), "weights")
    _make_graph([("Mul", ["x", "weights"], ["y"])], {"x": [None, 2]}, {"y": [None, 2]}, folder, initializer=[weights])
    model = onnx.load(folder / "model.onnx")
    onnx.save(model, folder / "model.onnx", save_as_external_data=True, location="weights.bin", size_threshold=0)


def test_weights_in_another_file_belong_to_the_model(
    tmp_path: Path, serve_model: ServeModel, capsys: pytest.CaptureFixture[str]
) -> None:
    _weights_beside(tmp_path)
    found = inspect_model(tmp_path / "model.onnx")
    assert found is not None
    assert found.files == ("weights.bin",)
    assert serve_model("model.onnx").predict([[1, 2]])["data"]["ndarray"] == [[2.0, 4.0]]
    (tmp_path / "requirements.txt").write_text("onnxruntime\n")
    assert run(["dockerfile", str(tmp_path)]) == 0
    assert "weights.bin" in capsys.readouterr().out
    (tmp_path / "weights.bin").unlink()
    assert run(["validate", str(tmp_path)]) == 1
    assert "model.path: a file with weights of model.onnx is missing [no-such-file]" in capsys.readouterr().err


def test_a_model_without_probabilities_has_no_predict_proba(tmp_path: Path, iris: Data) -> None:
    _export(LinearRegression().fit(iris.rows, iris.numbers), tmp_path)
    (tmp_path / "seldon.yaml").write_text("model: {path: iris.onnx, method: predict_proba}\n")
    with pytest.raises(ComponentFailed, match=r"no predict_proba: its outputs, variable, are not labels"):
        Client(load(tmp_path, {}))


def test_a_provider_that_is_not_installed_is_named(tmp_path: Path, iris: Data) -> None:
    _export(_classifier(iris), tmp_path)
    (tmp_path / "seldon.yaml").write_text("model: {path: iris.onnx, options: {providers: [NoneExecutionProvider]}}\n")
    with pytest.raises(ComponentFailed, match=r"has no NoneExecutionProvider; it has .*CPUExecutionProvider"):
        Client(load(tmp_path, {}))


@pytest.mark.parametrize("keep", [0, 1, 40, -1])
def test_a_damaged_file_cannot_be_loaded(tmp_path: Path, iris: Data, keep: int) -> None:
    _export(_classifier(iris), tmp_path)
    file = tmp_path / "iris.onnx"
    file.write_bytes(file.read_bytes()[:keep])
    (tmp_path / "seldon.yaml").write_text("model: {path: iris.onnx}\n")
    found = inspect_model(file)
    assert found is not None
    assert (found.format, found.is_certain) == ("onnx", False)
    with pytest.raises(ComponentFailed, match=r"^iris\.onnx cannot be loaded: "):
        Client(load(tmp_path, {}))


def test_the_contract_test_compares_the_output_of_each_protocol(
    tmp_path: Path, iris: Data, capsys: pytest.CaptureFixture[str]
) -> None:
    _export(_classifier(iris), tmp_path)
    (tmp_path / "seldon.yaml").write_text("model: {path: iris.onnx}\n")
    assert run(["test", str(tmp_path), "--requests", "5"]) == 0, capsys.readouterr()

"""Models of MLflow: results are those of their function of Python, and the signature is the contract."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression

from seldon_spec.app import load
from seldon_spec.calls.client import Client
from seldon_spec.cli.main import run
from seldon_spec.config.loader import FOR_IMAGE
from seldon_spec.config.loader import load as load_spec
from seldon_spec.config.model_files.inspect import inspect_model
from seldon_spec.errors import ComponentFailed
from tests.runtimes.conftest import Data, ServeModel

pytestmark = [
    pytest.mark.runtimes,
    pytest.mark.filterwarnings("default"),  # of MLflow and of what it imports
]

NAMES = ["a", "b", "c", "d"]


def _save_sklearn(model: Any, folder: Path, inputs: Any = None, **more: Any) -> Any:
    """Save a model of scikit-learn, with the signature of inputs; return what a call with the inputs returns."""
    import mlflow.sklearn
    from mlflow.models import infer_signature

    result = None if inputs is None else getattr(model, more.get("pyfunc_predict_fn", "predict"))(inputs)
    signature = None if inputs is None else infer_signature(inputs, result)
    requirements = ["scikit-learn", "pandas"]
    mlflow.sklearn.save_model(model, folder, signature=signature, pip_requirements=requirements, **more)
    return result


def _save_function(
    function: Any, folder: Path, inputs: Any = None, outputs: Any = None, schema: dict[str, Any] | None = None
) -> None:
    import mlflow.pyfunc
    from mlflow.models import ModelSignature, infer_signature

    class Model(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
        def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]  # noqa: ARG002
            return function(model_input)

    signature = None if inputs is None else infer_signature(inputs, outputs)
    if schema is not None:
        signature = ModelSignature.from_dict(schema)
    mlflow.pyfunc.save_model(folder, python_model=Model(), signature=signature, pip_requirements=["numpy"])


def test_a_model_of_columns_is_served_by_both_protocols(tmp_path: Path, iris: Data, serve_model: ServeModel) -> None:
    import pandas

    table = pandas.DataFrame(iris.rows, columns=NAMES)
    expected = _save_sklearn(LogisticRegression(max_iter=500).fit(table, iris.classes), tmp_path / "iris", table)
    served = serve_model("iris")
    assert served.spec.model is not None
    assert served.spec.model.format == "mlflow"
    assert served.predict(iris.rows.tolist())["data"]["ndarray"] == expected.tolist()
    (output,) = served.infer(iris.rows)["outputs"]
    assert (output["name"], output["datatype"], output["shape"]) == ("output-1", "INT64", [60, 1])
    assert output["data"] == expected.tolist()
    mixed = table[["d", "a", "c", "b"]]
    assert served.predict(mixed.to_numpy().tolist(), list(mixed))["data"]["ndarray"] == expected.tolist()
    assert served.metadata()["inputs"] == [{"name": "input-0", "datatype": "FP64", "shape": [-1, 4]}]
    assert '"d"' in str(served.running.rest("GET", "/openapi.json")[2])
    assert "the columns are 4: a, b, c, d" in served.predict([[1, 2]], status=400)["status"]["info"]


def test_a_model_of_an_array_gets_its_datatype(tmp_path: Path, iris: Data, serve_model: ServeModel) -> None:
    rows = iris.rows.astype(np.float32)
    model = LogisticRegression(max_iter=500).fit(rows, iris.classes)
    expected = _save_sklearn(model, tmp_path / "iris", rows, pyfunc_predict_fn="predict_proba")
    served = serve_model("iris")
    assert np.array(served.predict(rows.tolist())["data"]["ndarray"]) == pytest.approx(expected)
    (output,) = served.infer(rows, "FP32")["outputs"]
    assert (output["name"], output["shape"]) == ("output-1", [60, 3])
    assert output["data"] == pytest.approx(expected.ravel())
    assert served.metadata()["inputs"] == [{"name": "input-0", "datatype": "FP32", "shape": [-1, 4]}]


def test_columns_have_their_datatypes(tmp_path: Path, serve_model: ServeModel) -> None:
    import pandas

    table = pandas.DataFrame(
        {
            "city": ["Rome", "Oslo"],
            "rooms": np.array([2, 3], np.int32),
            "area": np.array([50.5, 70.0], np.float32),
            "new": [True, False],
            "sold": pandas.to_datetime(["2024-01-02", "2024-03-04"]),
        }
    )

    def describe(model_input: Any) -> Any:
        return pandas.DataFrame({"type": [" ".join(f"{each}" for each in model_input.dtypes)] * len(model_input)})

    _save_function(describe, tmp_path / "homes", table, pandas.DataFrame({"type": ["x"]}))
    served = serve_model("homes")
    rows = [["Rome", 2, 50.5, True, "2024-01-02T10:00:00"]]
    found = served.predict(rows, list(table))["data"]
    assert found["names"] == ["type"]
    (types,) = found["ndarray"][0]
    assert types.split()[1:4] == ["int32", "float32", "bool"]
    assert types.split()[4].startswith("datetime64")
    datatypes = ["BYTES", "INT32", "FP32", "BOOL", "BYTES"]
    assert [each["datatype"] for each in served.metadata()["inputs"]] == datatypes
    inputs = [
        {"name": name, "datatype": datatype, "shape": [1], "data": [value]}
        for name, datatype, value in zip(table, datatypes, rows[0], strict=True)
    ]
    (output,) = served.post(f"/v2/models/{served.spec.name}/infer", {"inputs": inputs})["outputs"]
    assert (output["name"], output["data"]) == ("type", [types])


def test_each_column_of_a_table_is_an_output(tmp_path: Path, serve_model: ServeModel) -> None:
    import pandas

    table = pandas.DataFrame({"x": [1.0, 2.0], "y": [3.0, 4.0]})
    result = pandas.DataFrame({"sum": [4.0, 6.0], "count": [2, 2]})

    def add(model_input: Any) -> Any:
        return pandas.DataFrame({"sum": model_input.sum(axis=1), "count": [2] * len(model_input)})

    _save_function(add, tmp_path / "sums", table, result)
    served = serve_model("sums")
    assert served.predict([[1, 3], [2, 4]])["data"] == {"names": ["sum", "count"], "ndarray": [[4.0, 2], [6.0, 2]]}
    outputs = served.infer([[1.0, 3.0], [2.0, 4.0]])["outputs"]
    assert [(each["name"], each["datatype"], each["data"]) for each in outputs] == [
        ("sum", "FP64", [4.0, 6.0]),
        ("count", "INT64", [2, 2]),
    ]


def test_a_model_of_named_tensors_gets_them_by_name(tmp_path: Path, serve_model: ServeModel) -> None:
    inputs = {"left": np.ones((2, 3), np.float32), "right": np.ones((2,), np.int64)}

    def add(model_input: Any) -> Any:
        assert {name: str(array.dtype) for name, array in model_input.items()} == {"left": "float32", "right": "int64"}
        return {"total": model_input["left"].sum(axis=1) + model_input["right"]}

    _save_function(add, tmp_path / "sums", inputs, {"total": np.ones((2,), np.float64)})
    served = serve_model("sums")
    assert [each["name"] for each in served.metadata()["inputs"]] == ["left", "right"]
    tensors = [
        {"name": "left", "datatype": "FP32", "shape": [2, 3], "data": [1, 2, 3, 4, 5, 6]},
        {"name": "right", "datatype": "INT64", "shape": [2], "data": [10, 20]},
    ]
    (output,) = served.post(f"/v2/models/{served.spec.name}/infer", {"inputs": tensors})["outputs"]
    assert (output["name"], output["data"]) == ("total", [16.0, 35.0])


def test_a_model_without_a_signature_gets_a_table(tmp_path: Path, iris: Data, serve_model: ServeModel) -> None:
    _save_sklearn(LinearRegression().fit(iris.rows, iris.numbers), tmp_path / "iris")
    served = serve_model("iris")
    assert served.metadata()["inputs"] == []
    assert np.array(served.predict(iris.rows.tolist())["data"]["ndarray"]) == pytest.approx(iris.numbers)


OTHERS = {
    "array": [{"type": "array", "items": {"type": "double"}, "name": "x", "required": True}],
    "any": [{"type": "any", "name": "x", "required": False}],
}


@pytest.mark.parametrize("schema", OTHERS.values(), ids=OTHERS)
def test_columns_that_seldon_yaml_cannot_declare_are_not_described(
    tmp_path: Path, serve_model: ServeModel, schema: Any
) -> None:
    import json

    _save_function(len, tmp_path / "count", schema={"inputs": json.dumps(schema), "outputs": None, "params": None})
    assert serve_model("count").metadata()["inputs"] == []


def test_seldon_spec_test_runs_against_the_signature(
    tmp_path: Path, iris: Data, capsys: pytest.CaptureFixture[str]
) -> None:
    import pandas

    table = pandas.DataFrame(iris.rows, columns=NAMES)
    _save_sklearn(LogisticRegression(max_iter=500).fit(table, iris.classes), tmp_path / "iris", table)
    (tmp_path / "seldon.yaml").write_text("model: {path: iris}\n")
    assert run(["test", str(tmp_path), "--requests", "5"]) == 0
    assert "0 failures" in capsys.readouterr().out


def test_validate_executes_nothing_and_compares_the_versions(tmp_path: Path, iris: Data) -> None:
    import mlflow
    import sklearn

    model = LogisticRegression(max_iter=500).fit(iris.rows, iris.classes)
    _save_sklearn(model, tmp_path / "iris", iris.rows, serialization_format="cloudpickle")
    other = "3.12" if sys.version_info[:2] == (3, 13) else "3.13"
    (tmp_path / "seldon.yaml").write_text(f"model: {{path: iris}}\nimage: {{python: '{other}'}}\n")
    (tmp_path / "requirements.txt").write_text("mlflow-skinny==1.30.0\nscikit-learn==0.24.2\n")
    (tmp_path / "iris" / "model.pkl").write_bytes(b"damaged")
    found = inspect_model(tmp_path / "iris")
    assert found is not None
    assert found.kind == "a model of MLflow, loaded by mlflow.sklearn"
    assert {"mlflow": mlflow.__version__, "sklearn": sklearn.__version__}.items() <= found.versions.items()
    diagnostics = load_spec(tmp_path, {}, options=FOR_IMAGE).diagnostics
    assert sorted(each.found or "" for each in diagnostics if each.code == "model-version") == [
        f"image.python is {other}",
        "requirements.txt has mlflow-skinny==1.30.0",
        "requirements.txt has scikit-learn==0.24.2",
    ]
    with pytest.raises(ComponentFailed):
        Client(load(tmp_path, {}))

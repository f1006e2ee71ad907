"""Models of scikit-learn: results are those of the estimator, and the contract is what it describes."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from joblib import dump
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC

from seldon_spec.app import load
from seldon_spec.calls.client import Client
from seldon_spec.cli.main import run
from seldon_spec.errors import ComponentFailed
from seldon_spec.runtimes.threads import limit_jobs
from tests.runtimes.conftest import Data, ServeModel

ROWS = [[5.1, 3.5, 1.4, 0.2], [0.1, -0.3, 0.2, 0.4]]


def _labels(data: Data) -> Any:
    return np.array(["setosa", "versicolor", "virginica"])[data.classes]


@pytest.mark.parametrize("compress", [0, 3, ("gzip", 3), ("bz2", 3), ("xz", 3)], ids=str)
def test_a_file_of_joblib_is_served_by_both_protocols(
    tmp_path: Path, iris: Data, serve_model: ServeModel, compress: Any
) -> None:
    model = LogisticRegression(max_iter=500).fit(iris.rows, iris.classes)
    dump(model, tmp_path / "iris.joblib", compress=compress)
    served = serve_model("iris.joblib")
    expected = model.predict(ROWS).tolist()
    assert served.predict(ROWS)["data"] == {"names": [], "ndarray": expected}
    (output,) = served.infer(ROWS)["outputs"]
    assert output == {"name": "predict", "datatype": "INT64", "shape": [2, 1], "data": expected}


METHODS = {
    "predict_proba": (LogisticRegression(max_iter=500), ["setosa", "versicolor", "virginica"]),
    "decision_function": (LinearSVC(), ["t:0", "t:1", "t:2"]),
    "apply": (RandomForestClassifier(3, random_state=0), ["t:0", "t:1", "t:2"]),
    "transform": (StandardScaler(), ["t:0", "t:1", "t:2", "t:3"]),
}


@pytest.mark.parametrize("method", METHODS)
def test_each_method_returns_what_the_estimator_does(
    tmp_path: Path, iris: Data, serve_model: ServeModel, method: str
) -> None:
    estimator, names = METHODS[method]
    model = estimator.fit(iris.rows, _labels(iris))
    (tmp_path / "iris.pkl").write_bytes(pickle.dumps(model))
    served = serve_model("iris.pkl", method=method)
    expected = getattr(model, method)(ROWS)
    assert served.predict(ROWS)["data"] == {"names": names, "ndarray": expected.tolist()}
    (output,) = served.infer(ROWS)["outputs"]
    assert (output["name"], output["shape"], output["data"]) == (
        method,
        list(expected.shape),
        expected.ravel().tolist(),
    )


def test_the_model_describes_its_contract_everywhere(tmp_path: Path, iris: Data, serve_model: ServeModel) -> None:
    dump(LogisticRegression(max_iter=500).fit(iris.rows, _labels(iris)), tmp_path / "iris.joblib")
    served = serve_model("iris.joblib", method="predict_proba")
    tensors = {
        "inputs": [{"name": "input-0", "datatype": "FP64", "shape": [-1, 4]}],
        "outputs": [{"name": "predict_proba", "datatype": "FP64", "shape": [-1, 3]}],
    }
    assert {key: served.metadata()[key] for key in tensors} == tensors
    assert {key: served.get("/metadata")[key] for key in tensors} == tensors
    assert '"x3"' not in str(served.running.rest("GET", "/openapi.json")[2])
    assert "predict_proba" in served.running.rest("GET", "/")[2].decode()
    problem = served.predict([[1, 2]], status=400)
    assert "[-1, 4]" in problem["status"]["info"]
    assert "the shape [1, 2] does not match [-1, 4]" in served.infer([[1.0, 2.0]], status=400)["error"]


def test_a_model_of_arrays_takes_any_names(tmp_path: Path, iris: Data, serve_model: ServeModel) -> None:
    model = LogisticRegression(max_iter=500).fit(iris.rows, iris.classes)
    dump(model, tmp_path / "iris.joblib")
    served = serve_model("iris.joblib")
    assert served.predict(ROWS, ["a", "b", "c", "d"])["data"]["ndarray"] == model.predict(ROWS).tolist()


@pytest.mark.parametrize("datatype", ["FP64", "FP32", "INT64", "INT32", "UINT8"])
def test_clients_send_numbers_of_any_datatype(
    tmp_path: Path, iris: Data, serve_model: ServeModel, datatype: str
) -> None:
    model = LogisticRegression(max_iter=500).fit(iris.rows, iris.classes)
    dump(model, tmp_path / "iris.joblib")
    (output,) = serve_model("iris.joblib").infer([[5, 3, 1, 0]], datatype)["outputs"]
    assert output["data"] == model.predict([[5, 3, 1, 0]]).tolist()


def test_a_declared_contract_overrides_that_of_the_model(
    tmp_path: Path, iris: Data, serve_model: ServeModel, capsys: pytest.CaptureFixture[str]
) -> None:
    dump(LogisticRegression(max_iter=500).fit(iris.rows, iris.classes), tmp_path / "iris.joblib")
    served = serve_model("iris.joblib", {"inputs": ["a", "b", "c", "d", "e"], "outputs": ["label"]})
    assert served.metadata()["outputs"][0]["name"] == "output-0"
    assert served.metadata()["inputs"][0]["shape"] == [-1, 5]
    assert "estimator was fitted with 4 features, and seldon.yaml declares 5 columns" in capsys.readouterr().err


def test_a_model_of_a_table_gets_a_table(tmp_path: Path, iris: Data, serve_model: ServeModel) -> None:
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame({"city": np.array(["Oslo", "Rome", "Bonn"])[iris.classes], "area": iris.rows[:, 0]})
    encoder = ColumnTransformer([("city", OneHotEncoder(), ["city"])], remainder="passthrough")
    model = make_pipeline(encoder, LogisticRegression(max_iter=500)).fit(table, iris.classes)
    dump(model, tmp_path / "iris.joblib")
    served = serve_model("iris.joblib", method="predict_proba")
    row = pandas.DataFrame({"city": ["Rome"], "area": [1.5]})
    expected = model.predict_proba(row).tolist()
    assert served.predict([[1.5, "Rome"]], ["area", "city"])["data"]["ndarray"] == expected
    problem = served.predict([["Paris", 1.5]], ["city", "area"], status=400)
    assert "Paris" in problem["status"]["info"]


def test_missing_values_are_allowed_where_the_model_takes_them(
    tmp_path: Path, iris: Data, serve_model: ServeModel
) -> None:
    model = HistGradientBoostingClassifier(max_iter=3).fit(iris.rows, iris.classes)
    dump(model, tmp_path / "iris.joblib")
    row = [[None, 1.0, 2.0, 3.0]]
    assert serve_model("iris.joblib").predict(row)["data"]["ndarray"] == model.predict(np.array(row, float)).tolist()


def test_missing_values_are_rejected_where_the_model_does_not(
    tmp_path: Path, iris: Data, serve_model: ServeModel
) -> None:
    dump(LogisticRegression(max_iter=500).fit(iris.rows, iris.classes), tmp_path / "iris.joblib")
    assert "missing" in serve_model("iris.joblib").predict([[None, 1.0, 2.0, 3.0]], status=400)["status"]["info"]


def test_a_model_of_texts_describes_no_inputs(tmp_path: Path, serve_model: ServeModel) -> None:
    model = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(["good fine", "bad awful"], ["+", "-"])
    dump(model, tmp_path / "texts.joblib")
    served = serve_model("texts.joblib")
    assert served.metadata()["inputs"] == []
    assert served.predict(["good", "awful"])["data"]["ndarray"] == ["+", "-"]


def test_a_sparse_result_is_an_array(tmp_path: Path, serve_model: ServeModel) -> None:
    dump(OneHotEncoder().fit([["a"], ["b"]]), tmp_path / "encoder.joblib")
    served = serve_model("encoder.joblib", {"service_type": "TRANSFORMER"})
    tree = {"data": {"ndarray": [["b"]]}}
    assert served.post("/transform-input", tree)["data"]["ndarray"] == [[0.0, 1.0]]


def test_a_regressor_predicts_numbers(tmp_path: Path, iris: Data, serve_model: ServeModel) -> None:
    model = LinearRegression().fit(iris.rows, iris.numbers)
    dump(model, tmp_path / "iris.joblib")
    served = serve_model("iris.joblib")
    (output,) = served.infer(ROWS)["outputs"]
    assert (output["name"], output["datatype"]) == ("predict", "FP64")
    assert output["data"] == model.predict(ROWS).tolist()


def test_a_pickle_finds_the_modules_of_the_folder(
    tmp_path: Path, iris: Data, serve_model: ServeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ratios_of_iris.py").write_text("def halve(rows):\n    return rows / 2\n")
    with monkeypatch.context() as patch:
        patch.syspath_prepend(tmp_path)
        import ratios_of_iris  # type: ignore[import-not-found]

        model = make_pipeline(FunctionTransformer(ratios_of_iris.halve), LogisticRegression(max_iter=500))
        dump(model.fit(iris.rows, iris.classes), tmp_path / "iris.joblib")
        patch.delitem(__import__("sys").modules, "ratios_of_iris")
    expected = LogisticRegression(max_iter=500).fit(iris.rows / 2, iris.classes).predict(np.array(ROWS) / 2)
    assert serve_model("iris.joblib").predict(ROWS)["data"]["ndarray"] == expected.tolist()


def test_every_part_of_a_model_uses_the_given_number_of_jobs(iris: Data) -> None:
    forest = RandomForestClassifier(3, n_jobs=-1)
    search = GridSearchCV(make_pipeline(StandardScaler(), forest), {}, n_jobs=1).fit(iris.rows, iris.classes)
    limit_jobs(search, 2)
    assert search.best_estimator_[-1].n_jobs == 2


def test_requests_share_calls_with_batching(tmp_path: Path, iris: Data, serve_model: ServeModel) -> None:
    from concurrent.futures import ThreadPoolExecutor

    model = LogisticRegression(max_iter=500).fit(iris.rows, iris.classes)
    dump(model, tmp_path / "iris.joblib")
    served = serve_model("iris.joblib", {"server": {"batching": {"max_rows": 64, "max_delay_ms": 20}}})
    with ThreadPoolExecutor(8) as pool:
        found = [*pool.map(lambda row: served.predict([row])["data"]["ndarray"], iris.rows.tolist())]
    assert [value for (value,) in found] == model.predict(iris.rows).tolist()
    page = served.running.rest("GET", "/metrics", port=served.running.metrics_port)[2].decode()
    batches = next(line for line in page.splitlines() if "batch" in line and "_count" in line)
    assert 0 < float(batches.rpartition(" ")[2]) < 60


def test_a_graph_has_model_files(tmp_path: Path, iris: Data) -> None:
    scaler = StandardScaler().fit(iris.rows)
    model = LogisticRegression(max_iter=500).fit(scaler.transform(iris.rows), iris.classes)
    dump(scaler, tmp_path / "scaler.joblib")
    dump(model, tmp_path / "iris.joblib")
    (tmp_path / "seldon.yaml").write_text(
        "graph: [scaler, iris]\nname: flowers\ncomponents:\n"
        "  scaler: {model: {path: scaler.joblib}, service_type: TRANSFORMER}\n"
        "  iris: {model: {path: iris.joblib, method: predict_proba}}\n"
    )
    with Client(tmp_path) as client:
        assert client.predict(np.array(ROWS)) == pytest.approx(model.predict_proba(scaler.transform(ROWS)))
        metadata: Any = client.metadata()
        assert [each["name"] for each in metadata["outputs"]] == ["predict_proba"]


FAILURES = [
    (
        "transform",
        "model.method: LogisticRegression has no transform; it has predict, predict_proba, decision_function",
    ),
]


@pytest.mark.parametrize(("method", "problem"), FAILURES, ids=[method for method, _ in FAILURES])
def test_a_method_that_the_estimator_lacks_is_named(
    tmp_path: Path, iris: Data, method: str, problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    dump(LogisticRegression(max_iter=500).fit(iris.rows, iris.classes), tmp_path / "iris.joblib")
    (tmp_path / "seldon.yaml").write_text(f"model: {{path: iris.joblib, method: {method}}}\n")
    with pytest.raises(ComponentFailed) as caught:
        Client(load(tmp_path, {}))
    assert str(caught.value) == problem
    assert caught.value.__cause__ is None


def test_the_contract_of_the_model_is_tested(
    tmp_path: Path, iris: Data, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    dump(LogisticRegression(max_iter=500).fit(iris.rows, _labels(iris)), tmp_path / "iris.joblib")
    (tmp_path / "seldon.yaml").write_text("model: {path: iris.joblib}\n")
    assert run(["test", str(tmp_path), "--requests", "5"]) == 0
    assert "0 failures" in capsys.readouterr().out

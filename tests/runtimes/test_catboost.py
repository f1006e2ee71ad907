"""Models of CatBoost: results are those of its classes. The wheel is large: it is not in the locked environments."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seldon_spec.app import load
from seldon_spec.calls.client import Client
from seldon_spec.config.model_files.inspect import inspect_model
from seldon_spec.errors import ComponentFailed
from tests.runtimes.conftest import Data, ServeModel

catboost = pytest.importorskip("catboost")

pytestmark = pytest.mark.runtimes

QUIET = {"iterations": 5, "verbose": False, "allow_writing_files": False}


def _train(iris: Data, labels: Any, count: int) -> Any:
    rows, classes = iris.rows[: 20 * count], iris.classes[: 20 * count]
    return catboost.CatBoostClassifier(**QUIET).fit(rows, np.array(labels)[classes])


LABELS = {"two-texts": ["a", "b"], "three-texts": ["a", "b", "c"], "two-numbers": [0, 1], "three-numbers": [3, 4, 5]}


@pytest.mark.parametrize("kind", ["cbm", "pickle"])
@pytest.mark.parametrize("method", ["predict", "predict_proba"])
@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
def test_a_classifier_predicts_what_its_class_does(
    tmp_path: Path, iris: Data, serve_model: ServeModel, method: str, labels: list[Any], kind: str
) -> None:
    model = _train(iris, labels, len(labels))
    path = "iris.cbm" if kind == "cbm" else "iris.pkl"
    if kind == "cbm":
        model.save_model(str(tmp_path / path))
    else:
        (tmp_path / path).write_bytes(pickle.dumps(model))
    served = serve_model(path, method=method)
    assert served.spec.model is not None
    assert served.spec.model.format == "catboost"
    expected = getattr(model, method)(iris.rows)
    found = served.predict(iris.rows.tolist())["data"]
    (output,) = served.infer(iris.rows)["outputs"]
    assert (output["name"], output["shape"][0]) == (method, 60)
    if method == "predict":
        assert found["ndarray"] == output["data"] == expected.ravel().tolist()
        assert output["shape"] == [60, 1]
    else:
        assert np.array(found["ndarray"]) == pytest.approx(expected)
        assert found["names"] == list(map(str, labels))
        assert output["shape"] == list(expected.shape)
    assert served.metadata()["inputs"] == [{"name": "input-0", "datatype": "FP64", "shape": [-1, 4]}]


@pytest.mark.parametrize("objective", ["RMSE", "Poisson"])
def test_a_regressor_predicts_numbers_of_its_objective(
    tmp_path: Path, iris: Data, serve_model: ServeModel, objective: str
) -> None:
    numbers = np.abs(iris.numbers)
    model = catboost.CatBoostRegressor(loss_function=objective, **QUIET).fit(iris.rows, numbers)
    model.save_model(str(tmp_path / "iris.cbm"))
    row: list[Any] = [None, *iris.rows[0, 1:].tolist()]
    found = serve_model("iris.cbm").predict([row])["data"]["ndarray"]
    assert found == pytest.approx(model.predict(np.array([row], float)).tolist())


def test_categories_are_found_by_the_names_of_columns(tmp_path: Path, iris: Data, serve_model: ServeModel) -> None:
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame({"city": np.array(["Oslo", "Rome", "Bonn"])[iris.classes], "area": iris.rows[:, 0]})
    model = catboost.CatBoostClassifier(cat_features=["city"], **QUIET).fit(table, iris.classes)
    model.save_model(str(tmp_path / "iris.cbm"))
    served = serve_model("iris.cbm", method="predict_proba")
    expected = model.predict_proba(table[:2])
    rows = table[["area", "city"]][:2].to_numpy().tolist()
    assert np.array(served.predict(rows, ["area", "city"])["data"]["ndarray"]) == pytest.approx(expected)
    assert served.metadata()["inputs"] == []


def test_a_regressor_has_no_probabilities(tmp_path: Path, iris: Data) -> None:
    model = catboost.CatBoostRegressor(**QUIET).fit(iris.rows, iris.numbers)
    model.save_model(str(tmp_path / "iris.cbm"))
    (tmp_path / "seldon.yaml").write_text("model: {path: iris.cbm, method: predict_proba}\n")
    with pytest.raises(ComponentFailed, match=r"of the objective RMSE has no predict_proba"):
        Client(load(tmp_path, {}))


def test_the_file_says_which_version_wrote_it(tmp_path: Path, iris: Data) -> None:
    catboost.CatBoostRegressor(**QUIET).fit(iris.rows, iris.numbers).save_model(str(tmp_path / "iris"))
    found = inspect_model(tmp_path / "iris")
    assert found is not None
    assert (found.format, dict(found.versions)) == ("catboost", {"catboost": catboost.__version__})

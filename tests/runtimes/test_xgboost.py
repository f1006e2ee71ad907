"""Models of XGBoost: results are those of its classes and of its boosters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest

from seldon_spec.app import load
from seldon_spec.calls.client import Client
from seldon_spec.config.model_files.inspect import inspect_model
from seldon_spec.errors import ComponentFailed
from tests.runtimes.conftest import Data, ServeModel

pytestmark = pytest.mark.runtimes

FILES = ["iris.json", "iris.ubj", "iris.joblib"]


def _save(model: Any, path: Path) -> None:
    if path.suffix == ".joblib":
        joblib.dump(model, path)
    else:
        model.save_model(path)


@pytest.mark.parametrize("method", ["predict", "predict_proba", "apply"])
@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("count", [2, 3])
def test_a_classifier_returns_what_its_class_does(
    tmp_path: Path, iris: Data, serve_model: ServeModel, file: str, method: str, count: int
) -> None:
    import xgboost

    rows, classes = iris.rows[: 20 * count], iris.classes[: 20 * count]
    model = xgboost.XGBClassifier(n_estimators=5).fit(rows, classes)
    _save(model, tmp_path / file)
    served = serve_model(file, method=method)
    expected = getattr(model, method)(rows[:5])
    data = served.predict(rows[:5].tolist())["data"]
    assert np.array(data["ndarray"]) == pytest.approx(expected, abs=1e-6)
    (output,) = served.infer(rows[:5])["outputs"]
    assert output["name"] == method
    assert output["data"] == pytest.approx(expected.ravel(), abs=1e-6)
    if method == "predict_proba":
        assert data["names"] == ["0", "1", "2"][:count]
        assert output["datatype"] == "FP32"
    if method == "predict":
        assert (output["datatype"], output["shape"]) == ("INT64", [5, 1])


OBJECTIVES = ["binary:logistic", "reg:squarederror", "multi:softprob", "multi:softmax", "count:poisson"]


@pytest.mark.parametrize("booster", ["gbtree", "gblinear", "dart"])
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_booster_predicts_what_its_objective_defines(
    tmp_path: Path, iris: Data, serve_model: ServeModel, objective: str, booster: str
) -> None:
    import xgboost

    count = 2 if objective.startswith("binary") else 3
    parameters: dict[str, Any] = {"objective": objective, "booster": booster}
    parameters |= {"num_class": 3} if objective.startswith("multi") else {}
    matrix = xgboost.DMatrix(iris.rows[: 20 * count], iris.classes[: 20 * count])
    model = xgboost.train(parameters, matrix, 3)
    model.save_model(tmp_path / "iris.json")
    expected = model.predict(xgboost.DMatrix(iris.rows))
    found = serve_model("iris.json").predict(iris.rows.tolist())["data"]["ndarray"]
    assert np.array(found) == pytest.approx(expected, abs=1e-5)


def test_the_best_trees_of_a_classifier_are_used(tmp_path: Path, iris: Data, serve_model: ServeModel) -> None:
    import xgboost

    model = xgboost.XGBClassifier(n_estimators=60, early_stopping_rounds=2)
    model.fit(iris.rows, iris.classes, eval_set=[(iris.rows[::3] + 1, iris.classes[::3])], verbose=False)
    model.save_model(tmp_path / "iris.json")
    assert model.best_iteration < model.get_booster().num_boosted_rounds() - 1
    found = serve_model("iris.json", method="predict_proba").predict(iris.rows.tolist())["data"]["ndarray"]
    assert np.array(found) == pytest.approx(model.predict_proba(iris.rows), abs=1e-6)


def test_the_names_of_features_are_the_columns(tmp_path: Path, iris: Data, serve_model: ServeModel) -> None:
    import pandas as pd
    import xgboost

    table = pd.DataFrame(iris.rows, columns=["a", "b", "c", "d"])
    xgboost.XGBRegressor(n_estimators=3).fit(table, iris.numbers).save_model(tmp_path / "iris.json")
    served = serve_model("iris.json")
    row, reverse = [[1.0, 2.0, 3.0, 4.0]], [[4.0, 3.0, 2.0, 1.0]]
    expected = served.predict(row)["data"]["ndarray"]
    assert served.predict(reverse, ["d", "c", "b", "a"])["data"]["ndarray"] == expected
    assert served.metadata()["outputs"] == [{"name": "predict", "datatype": "FP32", "shape": [-1, 1]}]


def test_a_value_may_be_missing(tmp_path: Path, iris: Data, serve_model: ServeModel) -> None:
    import xgboost

    model = xgboost.XGBRegressor(n_estimators=3).fit(iris.rows, iris.numbers)
    model.save_model(tmp_path / "iris.json")
    found = serve_model("iris.json").predict([[None, 1.0, 2.0, None]])["data"]["ndarray"]
    assert found == pytest.approx(model.predict(np.array([[np.nan, 1, 2, np.nan]])), abs=1e-6)


def test_a_regressor_has_no_probabilities(tmp_path: Path, iris: Data) -> None:
    import xgboost

    xgboost.XGBRegressor(n_estimators=3).fit(iris.rows, iris.numbers).save_model(tmp_path / "iris.json")
    (tmp_path / "seldon.yaml").write_text("model: {path: iris.json, method: predict_proba}\n")
    with pytest.raises(ComponentFailed, match=r"of the objective reg:squarederror has no predict_proba"):
        Client(load(tmp_path, {}))


@pytest.mark.parametrize("file", FILES)
def test_the_file_says_which_version_wrote_it(tmp_path: Path, iris: Data, file: str) -> None:
    import xgboost

    _save(xgboost.XGBClassifier(n_estimators=3).fit(iris.rows, iris.classes), tmp_path / file)
    found = inspect_model(tmp_path / file)
    assert found is not None
    assert (found.format, found.versions["xgboost"]) == ("xgboost", xgboost.__version__)

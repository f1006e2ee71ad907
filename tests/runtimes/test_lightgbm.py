"""Models of LightGBM: results are those of its boosters and of its classes."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seldon_spec.app import load
from seldon_spec.calls.client import Client
from seldon_spec.errors import ComponentFailed
from tests.runtimes.conftest import Data, ServeModel

pytestmark = pytest.mark.runtimes


def _train(iris: Data, count: int) -> Any:
    import lightgbm

    model = lightgbm.LGBMClassifier(n_estimators=5, min_child_samples=2, verbose=-1)
    return model.fit(iris.rows[: 20 * count], iris.classes[: 20 * count])


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("method", ["predict", "predict_proba"])
def test_a_text_file_predicts_what_its_booster_does(
    tmp_path: Path, iris: Data, serve_model: ServeModel, method: str, count: int
) -> None:
    model = _train(iris, count)
    model.booster_.save_model(tmp_path / "iris.txt")
    served = serve_model("iris.txt", method=method)
    expected = model.booster_.predict(iris.rows) if method == "predict" else model.predict_proba(iris.rows)
    found = served.predict(iris.rows.tolist())["data"]
    assert np.array(found["ndarray"]) == pytest.approx(expected)
    (output,) = served.infer(iris.rows)["outputs"]
    assert (output["name"], output["datatype"]) == (method, "FP64")
    assert output["data"] == pytest.approx(expected.ravel())
    if method == "predict_proba":
        assert found["names"] == ["0", "1", "2"][:count]


@pytest.mark.parametrize("method", ["predict", "predict_proba"])
def test_a_pickle_predicts_what_its_class_does(
    tmp_path: Path, iris: Data, serve_model: ServeModel, method: str
) -> None:
    model = _train(iris, 3)
    (tmp_path / "iris.pkl").write_bytes(pickle.dumps(model))
    served = serve_model("iris.pkl", method=method)
    assert served.spec.model is not None
    assert served.spec.model.format == "lightgbm"
    expected = getattr(model, method)(iris.rows)
    assert np.array(served.predict(iris.rows.tolist())["data"]["ndarray"]) == pytest.approx(expected)


def test_a_value_may_be_missing(tmp_path: Path, iris: Data, serve_model: ServeModel) -> None:
    model = _train(iris, 2)
    model.booster_.save_model(tmp_path / "iris.txt")
    found = serve_model("iris.txt").predict([[None, 1.0, 2.0, None]])["data"]["ndarray"]
    assert found == pytest.approx(model.booster_.predict(np.array([[np.nan, 1, 2, np.nan]])))


def test_a_regressor_has_no_probabilities(tmp_path: Path, iris: Data) -> None:
    import lightgbm

    model = lightgbm.LGBMRegressor(n_estimators=3, verbose=-1).fit(iris.rows, iris.numbers)
    model.booster_.save_model(tmp_path / "iris.txt")
    (tmp_path / "seldon.yaml").write_text("model: {path: iris.txt, method: predict_proba}\n")
    with pytest.raises(ComponentFailed, match=r"of the objective regression has no predict_proba"):
        Client(load(tmp_path, {}))

"""The calculation of the trees of XGBoost without the library: the same results to the last bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seldon_spec.config.model_files.spec import ModelOptions
from seldon_spec.runtimes.boosted_trees import MOST_ROWS, find_margins
from seldon_spec.runtimes.xgboost import XGBoostModel, load_model

pytestmark = pytest.mark.runtimes

COLUMNS = 5
OBJECTIVES: dict[str, dict[str, Any]] = {
    "squared error": {"objective": "reg:squarederror", "base_score": 0.3},
    "absolute error": {"objective": "reg:absoluteerror"},
    "two classes": {"objective": "binary:logistic"},
    "two classes with a base": {"objective": "binary:logistic", "base_score": 0.2},
    "three classes": {"objective": "multi:softprob", "num_class": 3},
    "parallel trees": {"objective": "reg:squarederror", "num_parallel_tree": 3, "subsample": 0.5},
    "stumps": {"objective": "reg:squarederror", "max_depth": 1},
    "no trees": {"objective": "reg:squarederror", "gamma": 1e9},
}


def _train(parameters: dict[str, Any]) -> Any:
    import xgboost

    generator = np.random.default_rng(3)
    rows = generator.standard_normal((200, COLUMNS))
    labels = np.digitize(rows.sum(axis=1), (-1, 1) if "num_class" in parameters else (0,))
    return xgboost.train({"seed": 3, **parameters}, xgboost.DMatrix(rows, labels), 12)


def _make_rows(count: int, scale: float = 1.0) -> Any:
    return scale * np.random.default_rng(4).standard_normal((count, COLUMNS))


@pytest.mark.parametrize("rounds", [0, 5])
@pytest.mark.parametrize("name", OBJECTIVES)
def test_margins_are_those_of_the_booster(name: str, rounds: int) -> None:
    booster = _train(OBJECTIVES[name])

    def predict(rows: Any) -> Any:
        return booster.inplace_predict(rows, iteration_range=(0, rounds), predict_type="margin")

    calculation = find_margins(booster, rounds, predict)
    assert calculation is not None
    for rows in (_make_rows(1), _make_rows(MOST_ROWS), _make_rows(7, 1e-3), _make_rows(7, 1e6).astype(np.float32)):
        np.testing.assert_array_equal(calculation(rows), predict(rows))


OTHER_ROWS: dict[str, Any] = {
    "missing values": np.where(_make_rows(3) > 0, np.nan, 1.0),
    "infinity": np.full((1, COLUMNS), np.inf),
    "larger than FP32": np.full((1, COLUMNS), 1e300),
    "integers": np.ones((1, COLUMNS), int),
    "many rows": _make_rows(MOST_ROWS + 1),
    "no rows": np.empty((0, COLUMNS)),
    "another number of columns": np.ones((1, COLUMNS + 1)),
    "one dimension": np.ones(COLUMNS),
}


@pytest.mark.parametrize("rows", OTHER_ROWS.values(), ids=OTHER_ROWS)
def test_the_booster_processes_other_rows(rows: Any) -> None:
    booster = _train(OBJECTIVES["squared error"])
    calculation = find_margins(booster, 0, lambda rows: booster.inplace_predict(rows, predict_type="margin"))
    assert calculation is not None
    assert calculation(rows) is None


def test_a_difference_of_a_bit_excludes_the_calculation() -> None:
    booster = _train(OBJECTIVES["squared error"])

    def differ(rows: Any) -> Any:
        return np.nextafter(booster.inplace_predict(rows, predict_type="margin"), np.float32(np.inf))

    assert find_margins(booster, 0, differ) is None


def test_dart_is_not_calculated() -> None:
    booster = _train({"booster": "dart"})
    assert find_margins(booster, 0, lambda rows: booster.inplace_predict(rows, predict_type="margin")) is None


def test_categories_are_not_calculated() -> None:
    import xgboost

    rows = np.column_stack((np.arange(200) % 4, np.random.default_rng(3).standard_normal(200)))
    matrix = xgboost.DMatrix(rows, rows[:, 0] % 2, feature_types=["c", "float"], enable_categorical=True)
    booster = xgboost.train({"tree_method": "hist"}, matrix, 3)
    assert find_margins(booster, 0, lambda rows: booster.predict(xgboost.DMatrix(rows), output_margin=True)) is None


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("size", [1, MOST_ROWS, 100])
def test_a_classifier_predicts_the_class_of_its_own_class(tmp_path: Path, count: int, size: int) -> None:
    import xgboost

    rows = np.random.default_rng(5).standard_normal((300, COLUMNS))
    labels = np.digitize(rows.sum(axis=1), (-1, 1)[: count - 1])
    classifier = xgboost.XGBClassifier(n_estimators=8).fit(rows, labels)
    classifier.save_model(tmp_path / "model.json")
    model = load_model(tmp_path / "model.json", "predict", ModelOptions())
    assert isinstance(model, XGBoostModel)
    for start in range(0, 300, size):
        part = rows[start : start + size]
        found = model.predict(part)
        assert found.dtype == np.int64
        np.testing.assert_array_equal(found, classifier.predict(part))

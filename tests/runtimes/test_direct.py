"""The calculations without scikit-learn's checks: the same results to the last bit, and the same errors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from joblib import dump
from sklearn.base import BaseEstimator
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, SGDClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from seldon_spec.runtimes.sklearn import SklearnDirectModel, make_model
from tests.runtimes.conftest import Data, ServeModel

CLASSIFIERS: dict[str, Callable[[], Any]] = {
    "logistic": lambda: LogisticRegression(max_iter=500),
    "support vectors": lambda: LinearSVC(),
    "gradient descent": lambda: SGDClassifier(random_state=0),
    "forest": lambda: RandomForestClassifier(7, random_state=0),
    "extra trees": lambda: ExtraTreesClassifier(7, random_state=0),
    "tree": lambda: DecisionTreeClassifier(random_state=0),
    "pipeline": lambda: make_pipeline(StandardScaler(), LogisticRegression()),
    "pipeline without the mean": lambda: make_pipeline(StandardScaler(with_mean=False), LinearSVC()),
}
REGRESSORS: dict[str, Callable[[], Any]] = {
    "linear": lambda: LinearRegression(),
    "ridge": lambda: Ridge(),
    "forest": lambda: RandomForestRegressor(7, random_state=0),
    "tree": lambda: DecisionTreeRegressor(random_state=0),
}


def _methods(estimator: Any) -> list[str]:
    return [name for name in ("predict", "predict_proba", "decision_function") if hasattr(estimator, name)]


def _check(estimator: Any, rows: Any) -> None:
    for method in _methods(estimator):
        model = make_model(estimator, method, 1)
        assert isinstance(model, SklearnDirectModel)
        for part in (rows, rows[:1]):
            found, expected = model.predict(part), getattr(estimator, method)(part)
            assert found.dtype == expected.dtype
            np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("classes", ["three", "two", "texts"])
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_classifiers(name: str, classes: str, iris: Data) -> None:
    labels: Any = {
        "three": iris.classes,
        "two": iris.classes > 0,
        "texts": np.array(["a", "b", "c"])[iris.classes],
    }[classes]
    _check(CLASSIFIERS[name]().fit(iris.rows, labels), iris.rows)


@pytest.mark.parametrize("name", REGRESSORS)
def test_regressors(name: str, iris: Data) -> None:
    _check(REGRESSORS[name]().fit(iris.rows, iris.numbers), iris.rows)


class OwnRegression(LogisticRegression):  # type: ignore[misc]
    """A subclass may calculate something else."""

    def predict(self, X: Any) -> Any:  # noqa: N803 - the estimator's own name
        return super().predict(X)[::-1]


OTHERS: dict[str, Callable[[], Any]] = {
    "an estimator without a calculation": lambda: GradientBoostingClassifier(n_estimators=2),
    "a step without a calculation": lambda: make_pipeline(MinMaxScaler(), LogisticRegression()),
    "a class of the user": lambda: OwnRegression(max_iter=500),
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_estimators_are_called(name: str, iris: Data) -> None:
    estimator: BaseEstimator = OTHERS[name]().fit(iris.rows, iris.classes)
    model = make_model(estimator, "predict", 1)
    assert not isinstance(model, SklearnDirectModel)
    np.testing.assert_array_equal(model.predict(iris.rows), estimator.predict(iris.rows))


def test_a_calculation_that_differs_is_not_used(iris: Data) -> None:
    estimator = LogisticRegression(max_iter=500).fit(iris.rows, iris.classes)
    estimator.predict_proba = lambda rows: np.full((len(rows), 3), 1 / 3)
    assert not isinstance(make_model(estimator, "predict_proba", 1), SklearnDirectModel)


@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
@pytest.mark.parametrize(
    "rows",
    [
        [[np.nan, 1.0, 2.0, 3.0]],
        [[np.inf, 1.0, 2.0, 3.0]],
        [[1.0, 2.0]],
        [[1e300, 1.0, 2.0, 3.0]],
        [1.0, 2.0, 3.0, 4.0],
        np.empty((0, 4)),
    ],
    ids=["NaN", "infinity", "columns", "too large for a forest", "one dimension", "no rows"],
)
def test_rows_that_need_a_check_get_the_errors_of_the_estimator(rows: Any, iris: Data) -> None:
    estimator = RandomForestClassifier(3, random_state=0).fit(iris.rows, iris.classes)
    model = make_model(estimator, "predict", 1)
    assert isinstance(model, SklearnDirectModel)
    assert _describe(model.predict, rows) == _describe(estimator.predict, rows)


def _describe(call: Callable[[Any], Any], rows: Any) -> Any:
    """Return the result of a call, or its error."""
    try:
        return call(np.asarray(rows)).tolist()
    except ValueError as error:
        return str(error)


def test_numbers_of_other_types_are_converted_by_the_estimator(iris: Data) -> None:
    estimator = LogisticRegression(max_iter=500).fit(iris.rows, iris.classes)
    model = make_model(estimator, "predict_proba", 1)
    for dtype in (np.float32, np.int64):
        rows = iris.rows.astype(dtype)
        np.testing.assert_array_equal(model.predict(rows), estimator.predict_proba(rows))


def test_a_model_of_a_table_takes_arrays_in_its_order_of_columns(
    tmp_path: Path, iris: Data, serve_model: ServeModel
) -> None:
    pandas = pytest.importorskip("pandas")
    names = ["a", "b", "c", "d"]
    table = pandas.DataFrame(iris.rows, columns=names)
    estimator = LogisticRegression(max_iter=500).fit(table, iris.classes)
    assert isinstance(make_model(estimator, "predict_proba", 1), SklearnDirectModel)
    dump(estimator, tmp_path / "iris.joblib")
    served = serve_model("iris.joblib", method="predict_proba")
    expected = estimator.predict_proba(table[:2]).tolist()
    assert served.predict(iris.rows[:2].tolist(), names)["data"]["ndarray"] == expected
    assert served.predict(iris.rows[:2, ::-1].tolist(), names[::-1])["data"]["ndarray"] == expected
    assert served.predict(iris.rows[:2].tolist())["data"]["ndarray"] == expected
    unchecked = serve_model("iris.joblib", {"server": {"validate_requests": "off"}}, method="predict_proba")
    problem = unchecked.predict(iris.rows[:2, ::-1].tolist(), names[::-1], status=500)
    assert "order" in problem["status"]["info"]

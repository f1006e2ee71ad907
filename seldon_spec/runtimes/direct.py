"""The calculations of common estimators of scikit-learn, without the checks around them.

For one row, the checks of scikit-learn take a hundred times as long as a linear model, and as long as a tree for each
tree of a forest. A calculation is used only if its results are those of the estimator to the last bit, which is tried
when the model is loaded, and only for rows that need no check: finite float64 numbers in the right number of columns.
All other rows go to the estimator, with its errors.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from seldon_spec.runtimes.estimators import get_attribute

Array: TypeAlias = npt.NDArray[Any]

Calculation: TypeAlias = Callable[[Array], Array]
"""Takes rows of float64 of shape ``(rows, columns)``; OverflowError: only the estimator can process them."""

_LINEAR_CLASSIFIERS = frozenset(
    {"LinearSVC", "LogisticRegression", "LogisticRegressionCV", "Perceptron", "RidgeClassifier", "SGDClassifier"}
)
_LINEAR_REGRESSORS = frozenset({"ElasticNet", "Lasso", "LinearRegression", "Ridge", "SGDRegressor"})
_FORESTS = frozenset({"ExtraTreesClassifier", "ExtraTreesRegressor", "RandomForestClassifier", "RandomForestRegressor"})
_TREES = frozenset({"DecisionTreeClassifier", "DecisionTreeRegressor"})

_SCALES = (0.1, 1.0, 10.0, 1000.0)
_SAMPLE_ROWS = 32


def find_calculation(estimator: Any, method: str, call: Calculation) -> Calculation | None:
    """Return the calculation of a method; None: it is not known, or its results differ from the estimator's.

    Args:
        estimator: fitted.
        method: its method.
        call: the method.
    """
    count = get_attribute(estimator, "n_features_in_")
    if not isinstance(count, int):
        return None
    try:
        for calculation in _list_candidates(estimator, method):
            if _is_equal(calculation, call, count):
                return calculation
    except Exception:  # of an attribute that another release does not have
        return None
    return None


def is_plain(X: Any, count: int) -> bool:
    """Return whether rows need no check: finite float64 numbers in so many columns."""
    return (
        type(X) is np.ndarray
        and X.dtype == np.float64
        and X.ndim == 2
        and X.shape[1] == count
        and X.shape[0] > 0
        and bool(np.isfinite(X).all())
    )


def _is_equal(calculation: Calculation, call: Calculation, count: int) -> bool:
    """Return whether a calculation has the results of the estimator, to the last bit."""
    generator = np.random.default_rng(0)
    samples = [scale * generator.standard_normal((_SAMPLE_ROWS, count)) for scale in _SCALES]
    for rows in (*samples, *(sample[:1] for sample in samples)):
        found, expected = calculation(rows), call(rows)
        if type(expected) is not np.ndarray or found.dtype != expected.dtype or not np.array_equal(found, expected):
            return False
    return True


def _list_candidates(estimator: Any, method: str) -> list[Calculation]:
    """Return the calculations that a release of scikit-learn may have for a method."""
    kind = type(estimator)
    if not kind.__module__.startswith("sklearn."):
        return []
    if kind.__name__ == "Pipeline":
        first, last = [step for _, step in estimator.steps[:-1]], estimator.steps[-1][1]
        scalers = [_scale(step) for step in first]
        return [_chain(scalers, calculation) for calculation in _list_candidates(last, method)]
    if kind.__name__ in _LINEAR_CLASSIFIERS:
        return _list_linear(estimator, method)
    if kind.__name__ in _LINEAR_REGRESSORS and method == "predict":
        weights, intercept = estimator.coef_.T, estimator.intercept_
        return [lambda X: X @ weights + intercept]
    if kind.__name__ in (_FORESTS | _TREES) and estimator.n_outputs_ == 1:
        return _list_trees(estimator, method)
    return []


def _chain(scalers: list[Calculation], last: Calculation) -> Calculation:
    def calculate(X: Array) -> Array:
        for scale in scalers:
            X = scale(X)  # noqa: N806 - the name of rows
        return last(X)

    return calculate


def _scale(scaler: Any) -> Calculation:
    """Return the calculation of a StandardScaler.

    Raises:
        LookupError: it is another step.
    """
    kind = type(scaler)
    if kind.__name__ != "StandardScaler" or not kind.__module__.startswith("sklearn."):
        raise LookupError(kind.__name__)
    mean = scaler.mean_ if scaler.with_mean else 0.0
    scale = scaler.scale_ if scaler.with_std else 1.0
    return lambda X: (X - mean) / scale


def _list_linear(estimator: Any, method: str) -> list[Calculation]:
    weights, intercept, classes = estimator.coef_.T, estimator.intercept_, estimator.classes_
    is_binary = weights.shape[1] == 1

    def decide(X: Array) -> Array:
        scores: Array = X @ weights + intercept
        return scores.ravel() if is_binary else scores

    if method == "decision_function":
        return [decide]
    if method == "predict":
        return [lambda X: classes[(decide(X) > 0).astype(int) if is_binary else decide(X).argmax(axis=1)]]
    if method != "predict_proba":
        return []
    if is_binary:
        return [lambda X: _split(_expit(decide(X))), lambda X: _softmax(np.c_[-decide(X), decide(X)])]
    return [lambda X: _softmax(decide(X))]


def _split(positive: Array) -> Array:
    both: Array = np.vstack([1 - positive, positive]).T
    return both


def _expit(scores: Array) -> Array:
    from scipy.special import expit  # type: ignore[import-untyped]

    found: Array = expit(scores)
    return found


def _softmax(scores: Array) -> Array:
    scores -= scores.max(axis=1).reshape(-1, 1)
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=1).reshape(-1, 1)
    return scores


def _list_trees(estimator: Any, method: str) -> list[Calculation]:
    """Return the calculations of a tree, or of the trees of a forest one after the other."""
    classes = get_attribute(estimator, "classes_")
    trees = [tree.tree_ for tree in get_attribute(estimator, "estimators_") or [estimator]]
    width = 1 if classes is None else len(classes)
    is_forest = type(estimator).__name__ in _FORESTS

    def add(X: Array) -> Array:
        with np.errstate(over="ignore"):
            narrow = X.astype(np.float32)
        if not np.isfinite(narrow).all():
            raise OverflowError  # the estimator has the error for numbers that are too large
        values: list[Array] = [tree.predict(narrow) for tree in trees]
        if not is_forest:
            return values[0][:, :width]
        total = np.zeros((len(X), width))
        for value in values:
            total += value[:, :width]
        total /= len(trees)
        return total

    if method == "predict_proba" and classes is not None:
        return [add]
    if method == "predict":
        return [lambda X: add(X)[:, 0]] if classes is None else [lambda X: classes.take(add(X).argmax(axis=1), axis=0)]
    return []

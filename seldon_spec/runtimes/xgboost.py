"""Models of XGBoost: files of ``save_model`` (JSON and UBJSON), and pickles of its classes."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from seldon_spec.config.model_files.inspect import inspect_model
from seldon_spec.config.model_files.spec import ModelOptions
from seldon_spec.runtimes.boosted_trees import find_margins
from seldon_spec.runtimes.boosters import describe_booster, split_probabilities
from seldon_spec.runtimes.estimators import ModelFileError
from seldon_spec.runtimes.files import load_object
from seldon_spec.runtimes.sklearn import SklearnModel, make_model
from seldon_spec.runtimes.threads import limit_threads

_BINARY = ("binary:logistic",)
_PROBABILITIES = (*_BINARY, "multi:softprob")
_UNTRANSFORMED = ("reg:squarederror", "reg:absoluteerror", "reg:pseudohubererror")
_LEAST_MARGIN = 1e-3
"""From here on, the rounding of probabilities does not decide which class is the more probable one."""


def load_model(path: Path, method: str, options: ModelOptions) -> XGBoostModel | SklearnModel:
    """Load a model; see the table of formats."""
    import xgboost

    limit_threads(options.threads)
    found = inspect_model(path)
    if found is not None and found.is_pickle:
        loaded = load_object(path)
        if not isinstance(loaded, xgboost.Booster):
            return make_model(loaded, method, options.threads)
    else:
        loaded = xgboost.Booster(model_file=path)
    loaded.set_param({"nthread": options.threads})
    return XGBoostModel(loaded, method)


class XGBoostModel:
    """A booster.

    A file that ``XGBClassifier`` saved predicts classes, as that class does; any other one what its objective defines,
    e.g. probabilities.

    Args:
        booster: loaded.
        method: ``predict``, ``predict_proba`` or ``apply``.
    """

    def __init__(self, booster: Any, method: str) -> None:
        learner = json.loads(booster.save_config())["learner"]
        self._booster = booster
        self._method = method
        self._objective = learner["objective"]["name"]
        self._classes = max(2, int(learner["learner_model_param"]["num_class"]))
        self._is_linear = learner["learner_train_param"]["booster"] == "gblinear"
        saved = json.loads(booster.attr("scikit_learn") or "{}")
        self._is_classifier = saved.get("_estimator_type") == "classifier"
        best = booster.attr("best_iteration") if saved else None
        self._trees = (0, 0) if best is None else (0, int(best) + 1)
        is_known = self._objective in (*_UNTRANSFORMED, *_PROBABILITIES)
        self._sum_trees = find_margins(booster, self._trees[1], self._find_margins) if is_known else None
        self._call = self._find_call()

    def predict(self, X: Any, names: Sequence[str] | None = None) -> Any:
        return self._call(X)

    def contract(self) -> dict[str, Any]:
        """Return its inputs and outputs in the form of seldon.yaml."""
        names, count = self._booster.feature_names, self._booster.num_features()
        labels = list(range(self._classes)) if self._is_classifier or self._method == "predict_proba" else []
        return describe_booster(names, count, self._method, self._call, labels)

    def _find_call(self) -> Callable[[Any], Any]:
        """Return what processes rows, by the method and the objective."""
        if self._method == "apply":
            return self._find_leaves
        if self._method == "predict_proba":
            if self._objective not in _PROBABILITIES:
                raise ModelFileError(f"model.method: a model of the objective {self._objective} has no predict_proba")
            return self._find_probabilities
        return self._find_classes if self._is_classifier else self._find_values

    def _find_margins(self, rows: Any) -> Any:
        """Return the predictions before the objective transforms them."""
        return self._booster.inplace_predict(
            rows, iteration_range=self._trees, predict_type="margin", validate_features=False
        )

    def _find_values(self, rows: Any) -> Any:
        if self._sum_trees is not None and self._objective in _UNTRANSFORMED:
            sums = self._sum_trees(rows)
            if sums is not None:
                return sums
        if self._is_linear:
            from xgboost import DMatrix

            return self._booster.predict(DMatrix(rows), iteration_range=self._trees, validate_features=False)
        return self._booster.inplace_predict(rows, iteration_range=self._trees, validate_features=False)

    def _find_probabilities(self, rows: Any) -> Any:
        values = self._find_values(rows)
        return split_probabilities(values) if self._objective in _BINARY else values

    def _find_classes(self, rows: Any) -> Any:
        if self._sum_trees is not None:
            sums = self._sum_trees(rows)
            if sums is not None and bool((_find_leads(sums) > _LEAST_MARGIN).all()):
                return sums.argmax(axis=1) if sums.ndim == 2 else (sums > 0).astype(np.int64)
        values = self._find_values(rows)
        if values.ndim == 2:
            return values.argmax(axis=1)
        return (values > 0.5).astype(np.int64) if self._objective in _BINARY else values.astype(np.int64)

    def _find_leaves(self, rows: Any) -> Any:
        from xgboost import DMatrix

        matrix = DMatrix(rows)
        return self._booster.predict(matrix, pred_leaf=True, iteration_range=self._trees, validate_features=False)


def _find_leads(margins: Any) -> Any:
    """Return by how much the most probable class of each row leads."""
    if margins.ndim == 1:
        return np.abs(margins)
    ordered = np.sort(margins, axis=1)
    return ordered[:, -1] - ordered[:, -2]

"""Models of LightGBM: text files of ``Booster.save_model``, and pickles of its classes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from seldon_spec.config.model_files.inspect import inspect_model
from seldon_spec.config.model_files.spec import ModelOptions
from seldon_spec.runtimes.boosters import describe_booster, split_probabilities
from seldon_spec.runtimes.estimators import ModelFileError
from seldon_spec.runtimes.files import load_object
from seldon_spec.runtimes.sklearn import SklearnModel, make_model
from seldon_spec.runtimes.threads import limit_threads

_BINARY = ("binary",)
_PROBABILITIES = (*_BINARY, "multiclass", "multiclassova", "cross_entropy")


def load_model(path: Path, method: str, options: ModelOptions) -> LightGBMModel | SklearnModel:
    """Load a model; see the table of formats."""
    import lightgbm

    limit_threads(options.threads)
    found = inspect_model(path)
    if found is not None and found.is_pickle:
        loaded = load_object(path)
        if not isinstance(loaded, lightgbm.Booster):
            return make_model(loaded, method, options.threads)
    else:
        loaded = lightgbm.Booster(model_file=path)
    return LightGBMModel(loaded, method, options.threads)


class LightGBMModel:
    """A booster; it predicts what its objective defines, e.g. the probability of class 1.

    Args:
        booster: loaded.
        method: ``predict`` or ``predict_proba``.
        threads: of one call.
    """

    def __init__(self, booster: Any, method: str, threads: int) -> None:
        self._booster = booster
        self._method = method
        objective = str(booster.params.get("objective", ""))
        if method == "predict_proba" and objective not in _PROBABILITIES:
            raise ModelFileError(f"model.method: a model of the objective {objective or '(none)'} has no predict_proba")
        self._is_split = method == "predict_proba" and objective in _BINARY
        self._call = partial(booster.predict, num_threads=threads)

    def predict(self, X: Any, names: Sequence[str] | None = None) -> Any:
        return split_probabilities(self._call(X)) if self._is_split else self._call(X)

    def contract(self) -> dict[str, Any]:
        """Return its inputs and outputs in the form of seldon.yaml."""
        classes = max(2, self._booster.num_model_per_iteration())
        labels = list(range(classes)) if self._method == "predict_proba" else []
        names, count = self._booster.feature_name(), self._booster.num_feature()
        return describe_booster(names, count, self._method, self.predict, labels)

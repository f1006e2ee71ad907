"""Models of CatBoost: files of ``save_model`` in its binary format, and pickles of its classes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seldon_spec.config.model_files.inspect import inspect_model
from seldon_spec.config.model_files.spec import ModelOptions
from seldon_spec.runtimes.boosters import describe_booster
from seldon_spec.runtimes.estimators import ModelFileError, list_classes
from seldon_spec.runtimes.files import load_object
from seldon_spec.runtimes.threads import limit_threads

if TYPE_CHECKING:
    import pandas

_EXPONENTIAL = ("Poisson", "Tweedie")
"""The objectives of which a regressor returns the exponent of what the trees sum up to."""


def load_model(path: Path, method: str, options: ModelOptions) -> CatBoostModel | CatBoostTableModel:
    """Load a model; see the table of formats."""
    import catboost

    limit_threads(options.threads)
    found = inspect_model(path)
    if found is not None and found.is_pickle:
        loaded = load_object(path)
        if not isinstance(loaded, catboost.CatBoost):
            raise ModelFileError(f"{path.name} holds no model of CatBoost, but {type(loaded).__name__}")
    else:
        loaded = catboost.CatBoost()
        loaded.load_model(str(path))
    others = [
        *loaded.get_cat_feature_indices(),
        *loaded.get_text_feature_indices(),
        *loaded.get_embedding_feature_indices(),
    ]
    return (CatBoostTableModel if others else CatBoostModel)(loaded, method, options.threads)


class CatBoostModel:
    """A model whose features are numbers. A classifier predicts classes, any other model numbers.

    Args:
        model: loaded.
        method: ``predict`` or ``predict_proba``.
        threads: of one call.
    """

    def __init__(self, model: Any, method: str, threads: int) -> None:
        self._model = model
        self._method = method
        self._classes = list_classes(model)
        self._call = partial(model.predict, prediction_type=self._find_type(), thread_count=threads)

    def predict(self, X: Any, names: Sequence[str] | None = None) -> Any:
        return self._find_result(X)

    def contract(self) -> dict[str, Any]:
        """Return its inputs and outputs in the form of seldon.yaml."""
        names = [str(name) for name in self._model.feature_names_]
        is_named = names != [str(index) for index in range(len(names))]
        return describe_booster(names if is_named else None, len(names), self._method, self._find_result, self._classes)

    def _find_type(self) -> str:
        """Return what CatBoost is to predict."""
        objective = str(self._model.get_all_params().get("loss_function", "")).partition(":")[0]
        if self._method == "predict_proba":
            if not self._classes:
                raise ModelFileError(
                    f"model.method: a model of the objective {objective or '(none)'} has no predict_proba"
                )
            return "Probability"
        if self._classes:
            return "Class"
        return "Exponent" if objective in _EXPONENTIAL else "RawFormulaVal"

    def _find_result(self, rows: Any) -> Any:
        values = self._call(rows)
        return values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values


class CatBoostTableModel(CatBoostModel):
    """A model with features that are categories or text, which it finds in a table.

    The file does not say whether a category is text or an integer, so its inputs are not described.
    """

    def predict(self, X: pandas.DataFrame, names: Sequence[str] | None = None) -> Any:
        known = self._model.feature_names_
        return self._find_result(X[known] if set(known) <= set(X.columns) else X)

    def contract(self) -> dict[str, Any]:
        return {}

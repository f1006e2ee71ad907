"""Models of scikit-learn, and all others with its conventions: files of joblib, pickle and skops."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seldon_spec.config.model_files.spec import ModelOptions
from seldon_spec.runtimes.direct import Calculation, find_calculation, is_plain
from seldon_spec.runtimes.estimators import (
    ModelFileError,
    dense,
    describe_result,
    list_columns,
    list_feature_names,
    make_inputs,
    make_unnamed_inputs,
    try_row,
)
from seldon_spec.runtimes.files import load_object
from seldon_spec.runtimes.threads import limit_jobs, limit_threads

if TYPE_CHECKING:
    import pandas

logger = logging.getLogger(__name__)


def load_model(path: Path, method: str, options: ModelOptions) -> SklearnModel:
    """Load a model; see the table of formats."""
    limit_threads(options.threads)  # before and after: only loaded libraries are limited
    estimator = load_object(path, options.trusted)
    limit_threads(options.threads)
    return make_model(estimator, method, options.threads)


def make_model(estimator: Any, method: str, threads: int) -> SklearnModel:
    """Return the class for a fitted estimator.

    Raises:
        ModelFileError: the estimator does not have the method.
    """
    limit_jobs(estimator, threads)
    names = list_feature_names(estimator)
    call = find_method(estimator, method)
    call_array = call if names is None else partial(_call_table, call, names)
    calculation = find_calculation(estimator, method, call_array)
    if calculation is not None:
        return SklearnDirectModel(estimator, method, calculation, call_array)
    return SklearnModel(estimator, method) if names is None else SklearnTableModel(estimator, method)


def _call_table(call: Callable[[Any], Any], names: Sequence[str], X: Any, sent: Sequence[str] = ()) -> Any:
    """Call a method that takes a DataFrame; its columns have these names unless the request names others."""
    import pandas

    return call(pandas.DataFrame(X, columns=list(sent or names)))


class SklearnModel:
    """An estimator that was fitted on arrays.

    Args:
        estimator: fitted.
        method: its method that is called.
    """

    def __init__(self, estimator: Any, method: str) -> None:
        self.estimator = estimator
        self._method = method
        self._call = find_method(estimator, method)

    def predict(self, X: Any, names: Sequence[str] | None = None) -> Any:
        return dense(self._call(X))

    def transform_input(self, X: Any, names: Sequence[str] | None = None) -> Any:
        return self.predict(X, names)

    def contract(self) -> dict[str, Any]:
        """Return its inputs and outputs in the form of seldon.yaml, as far as it describes them."""
        columns = list_columns(self.estimator)
        if not columns:
            return {}
        is_named = list_feature_names(self.estimator) is not None
        result, problem = try_row(self._call, columns, is_named=is_named)
        if problem is not None:
            logger.warning("the model cannot process a row of its own columns: %s", problem)
        outputs = describe_result(self.estimator, self._method, result)
        try:
            inputs = make_inputs(columns) if is_named else make_unnamed_inputs(columns)
            return {"inputs": inputs, "outputs": outputs}
        except ModelFileError as error:
            logger.warning("the inputs of the model are not described: %s", error)
            return {"outputs": outputs}


class SklearnTableModel(SklearnModel):
    """An estimator that was fitted on a DataFrame, whose columns it finds by their names."""

    def predict(self, X: pandas.DataFrame, names: Sequence[str] | None = None) -> Any:
        return dense(self._call(X))

    def transform_input(self, X: pandas.DataFrame, names: Sequence[str] | None = None) -> Any:
        return self.predict(X, names)


class SklearnDirectModel(SklearnModel):
    """An estimator whose calculation is known, so that most rows need no checks of scikit-learn.

    Args:
        estimator, method: those of ``SklearnModel``.
        calculation: of the method.
        call: the method of the estimator, with an array also if it was fitted on a DataFrame.
    """

    def __init__(self, estimator: Any, method: str, calculation: Calculation, call: Callable[..., Any]) -> None:
        super().__init__(estimator, method)
        self._calculation = calculation
        self._call_array = call
        self._columns = list_feature_names(estimator)
        self._count = estimator.n_features_in_

    def predict(self, X: Any, names: Sequence[str] | None = None) -> Any:
        is_renamed = self._columns is not None and bool(names) and list(names or ()) != self._columns
        if not is_renamed and is_plain(X, self._count):
            with suppress(OverflowError):
                return self._calculation(X)
        return dense(self._call_array(X, names) if is_renamed else self._call_array(X))


def find_method(estimator: Any, method: str) -> Any:
    """Return a method of an estimator.

    Raises:
        ModelFileError: the estimator does not have it.
    """
    found = getattr(estimator, method, None)
    if callable(found):
        return found
    known = ("predict", "predict_proba", "transform", "decision_function", "apply")
    others = [name for name in known if callable(getattr(estimator, name, None))]
    raise ModelFileError(
        f"model.method: {type(estimator).__name__} has no {method}; it has {', '.join(others) or 'none of the methods'}"
    )

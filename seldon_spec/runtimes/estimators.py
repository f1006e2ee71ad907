"""What a fitted estimator says of its inputs and outputs, in the form of seldon.yaml.

An estimator is an object with scikit-learn's conventions, such as ``feature_names_in_`` and ``classes_``. This module
imports no package of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from seldon_spec.errors import SeldonSpecError

MAX_COLUMNS = 4096
MAX_INPUTS = 256

Entry = dict[str, Any]
"""An input, an output or a column as in seldon.yaml."""


class ModelFileError(SeldonSpecError):
    """The file is no estimator that can be loaded and described."""


@dataclass(slots=True)
class Column:
    """A column of the inputs, as far as the estimator describes it."""

    name: str
    datatype: str = "FP64"
    choices: list[Any] = field(default_factory=list)
    is_optional: bool = False
    example: Any = None

    def to_rules(self) -> Entry:
        """Return its keys besides the name and the datatype."""
        keys = {"choices": self.choices, "optional": self.is_optional, "example": self.example}
        return {key: value for key, value in keys.items() if value not in (None, [], False)}

    def sample(self) -> Any:
        """Return a valid value."""
        if self.example is not None:
            return self.example
        return self.choices[0] if self.choices else {"BOOL": True, "BYTES": "text", "INT64": 0}.get(self.datatype, 0.0)


def get_attribute(holder: Any, name: str) -> Any:
    """Return an attribute; None if it is missing or raises, as properties of estimators may."""
    try:
        return getattr(holder, name, None)
    except Exception:
        return None


def list_feature_names(model: Any) -> list[str] | None:
    """Return the names of the columns; None: it was fitted without names."""
    names = get_attribute(model, "feature_names_in_")
    return None if names is None else [str(name) for name in names]


def list_steps(model: Any) -> list[Any]:
    """Return the steps of a pipeline, or of the best one of a search; of any other estimator, itself."""
    best = get_attribute(model, "best_estimator_")
    model = model if best is None else best
    steps = get_attribute(model, "steps")
    return [step for _, step in steps] if isinstance(steps, list) and steps else [model]


def list_classes(model: Any) -> list[Any]:
    """Return the classes; none of a regressor or of several outputs."""
    classes = get_attribute(model, "classes_")
    values = classes.tolist() if hasattr(classes, "tolist") else []
    return values if all(isinstance(value, (bool, int, float, str)) for value in values) else []


def describe_columns(model: Any, names: list[str], *, is_named: bool) -> list[Column]:
    """Return the columns that the first step uses."""
    first = list_steps(model)[0]
    parts = get_attribute(first, "transformers_")
    if not isinstance(parts, list):
        return _describe_part(first, names)
    columns: dict[str, Column] = {}
    dropped: set[str] = set()
    for _, transformer, selected in parts:
        chosen = _select(selected, names)
        if transformer == "drop":
            dropped |= set(chosen)
            continue
        for column in _describe_part(transformer, chosen):
            known = columns.setdefault(column.name, column)
            if column.datatype != "FP64":
                columns[column.name] = column
            elif known.example is None:
                known.example = column.example
    # A table may lack dropped columns; an array must have them.
    return [columns.get(name, Column(name)) for name in names if not (is_named and name in dropped - columns.keys())]


def _select(selected: Any, names: list[str]) -> list[str]:
    """Return the columns that a fitted ColumnTransformer passes to a transformer."""
    if isinstance(selected, slice):
        ends = [names.index(end) if isinstance(end, str) else end for end in (selected.start, selected.stop)]
        includes_last = int(isinstance(selected.stop, str))
        return names[ends[0] : None if ends[1] is None else ends[1] + includes_last : selected.step]
    values = selected.tolist() if hasattr(selected, "tolist") else selected
    values = [values] if isinstance(values, (str, int)) else list(values)
    if values and all(isinstance(value, bool) for value in values):
        return [name for name, is_used in zip(names, values, strict=True) if is_used]
    return [names[value] if isinstance(value, int) else str(value) for value in values]


def _describe_part(transformer: Any, names: list[str]) -> list[Column]:
    """Return the columns of a transformer, or of the steps of a pipeline of transformers."""
    columns = [Column(name) for name in names]
    for step in list_steps(transformer):
        categories = get_attribute(step, "categories_")
        means = next((values for key in ("mean_", "center_") if (values := get_attribute(step, key)) is not None), ())
        for index, column in enumerate(columns):
            column.is_optional |= type(step).__name__.endswith("Imputer")
            if isinstance(categories, list) and len(categories) == len(columns):
                is_strict = get_attribute(step, "handle_unknown") == "error"
                _set_categories(column, categories[index].tolist(), is_strict=is_strict)
            elif len(means) == len(columns):
                column.example = float(f"{float(means[index]):.4g}")
    return columns


def _set_categories(column: Column, values: list[Any], *, is_strict: bool) -> None:
    known = [value for value in values if value is not None and value == value]
    column.is_optional |= len(known) < len(values)
    if known and all(isinstance(value, str) for value in known):
        column.datatype = "BYTES"
    elif known and all(isinstance(value, bool) for value in known):
        column.datatype = "BOOL"
    elif known and all(isinstance(value, int) and not isinstance(value, bool) for value in known):
        column.datatype = "INT64"
    elif not all(isinstance(value, float) for value in known):
        return
    if is_strict and column.datatype != "BOOL" and len(known) <= MAX_COLUMNS:
        column.choices = known
    elif known:
        column.example = known[0]


def make_inputs(columns: Sequence[Column]) -> list[Entry]:
    """Return one input with columns; if their datatypes differ, an input for each."""
    if len({column.datatype for column in columns}) == 1:
        tensor = _declare(columns[0].datatype, [-1, len(columns)])
        if len(columns) <= MAX_COLUMNS:
            tensor["columns"] = [{"name": column.name, **column.to_rules()} for column in columns]
        return [{"name": "input-0", **tensor}]
    if len(columns) > MAX_INPUTS:
        raise ModelFileError(
            f"{len(columns)} columns of several types are too many: at most {MAX_INPUTS} can be inputs"
        )
    return [{"name": column.name, **_declare(column.datatype, [-1]), **column.to_rules()} for column in columns]


def make_unnamed_inputs(columns: Sequence[Column]) -> list[Entry]:
    """Return the inputs of a model that was fitted on arrays: clients may send any names for its columns."""
    inputs = make_inputs(columns)
    if len(inputs) == 1:
        inputs[0].pop("columns", None)
        if any(column.is_optional for column in columns):
            inputs[0]["optional"] = True
    return inputs


def _declare(datatype: str, shape: list[int]) -> Entry:
    return {"datatype": datatype, "shape": shape} | ({"content_type": "str"} if datatype == "BYTES" else {})


_DATATYPES = {"float32": "FP32", "int32": "INT32", "int64": "INT64", "bool": "BOOL"}


def make_outputs(classes: list[Any], method: str, result: Any) -> list[Entry]:
    """Return the output: probabilities with a column for each class, labels, or numbers.

    Args:
        result: for one row; None if it is unknown.
    """
    if method == "predict_proba":
        output: Entry = {"name": "probabilities", "datatype": "FP64", "shape": [-1, len(classes)]}
        output |= {"minimum": 0, "maximum": 1}
        return [output | ({"columns": list(map(str, classes))} if len(classes) <= MAX_COLUMNS else {})]
    name = "label" if classes else "prediction"
    shape, columns = [-1], {}
    if result is not None:
        is_flat = result.ndim == 1  # the class returns a column
        shape, columns = [-1, *(result.shape[1:] or [1])], {"columns": [name]} if is_flat else {}
    if classes:
        kinds = {type(value) for value in classes}
        datatype = {str: "BYTES", int: "INT64", bool: "BOOL"}.get(kinds.pop(), "FP64") if len(kinds) == 1 else "BYTES"
        output = {"name": name, **_declare(datatype, shape), **columns}
        return [output | ({"choices": classes} if datatype != "BOOL" and len(classes) <= MAX_COLUMNS else {})]
    datatype = "FP64" if result is None else _DATATYPES.get(str(result.dtype), "FP64")
    return [{"name": name, "datatype": datatype, "shape": shape, **columns}]


def try_row(method: Callable[[Any], Any], columns: Sequence[Column], *, is_named: bool) -> tuple[Any, str | None]:
    """Call a method with one valid row.

    Args:
        method: of an estimator.
        columns: of its inputs.
        is_named: whether it takes a DataFrame.

    Returns:
        The result as an array, None if it is none; and why the call failed, None if it did not.
    """
    import numpy as np  # slow, and not needed to describe inputs

    row = [column.sample() for column in columns]
    table: Any = np.array([row])
    if is_named:
        try:
            import pandas as pd
        except ModuleNotFoundError as error:
            raise ModelFileError(
                "the model was fitted on a DataFrame, but pandas is not installed: install pandas in this environment"
            ) from error
        table = pd.DataFrame([row], columns=[column.name for column in columns])
    try:
        result = method(table)
    except Exception as error:  # of the model
        return None, f"{type(error).__name__}: {error}"
    return None if isinstance(result, list) else np.asarray(dense(result)), None


def dense(result: Any) -> Any:
    """Return a result as an array; transformers of text and categories return sparse matrices."""
    return result.toarray() if hasattr(result, "toarray") else result


def list_columns(model: Any) -> list[Column]:
    """Return the columns of the inputs of an estimator; empty if it does not state their number."""
    names = list_feature_names(model)
    count = len(names) if names is not None else get_attribute(model, "n_features_in_")
    if not isinstance(count, int) or count > MAX_COLUMNS:
        return []
    columns = describe_columns(model, names or [f"x{index}" for index in range(count)], is_named=names is not None)
    if _allows_missing(model):
        for column in columns:
            column.is_optional = True
    return columns


def _allows_missing(model: Any) -> bool:
    """Return whether an estimator of scikit-learn takes missing values, by its tags."""
    tags = get_attribute(model, "__sklearn_tags__")
    try:
        return bool(tags().input_tags.allow_nan)
    except Exception:  # of another library, or of an older release
        return False


def describe_result(model: Any, method: str, result: Any) -> list[Entry]:
    """Return the output of a method, named like the method.

    Args:
        model: the estimator.
        method: its method.
        result: for one row; None: it is unknown.
    """
    if result is None:
        return []
    classes = list_classes(model)
    output: Entry = {"name": method, **_declare(_find_datatype(result), [-1, *(result.shape[1:] or [1])])}
    if method == "predict_proba":
        output |= {"minimum": 0, "maximum": 1}
        if len(classes) == result.shape[-1] and len(classes) <= MAX_COLUMNS and result.ndim == 2:
            output["columns"] = list(map(str, classes))
    elif method == "predict" and classes and output["datatype"] in ("BYTES", "INT64") and len(classes) <= MAX_COLUMNS:
        output["choices"] = classes
    return [output]


def _find_datatype(result: Any) -> str:
    if result.dtype.kind in "OSU":
        return "BYTES"
    return _DATATYPES.get(str(result.dtype), "FP64")


def list_parts(part: Any, depth: int = 8) -> Iterator[Any]:
    """Yield an estimator and the estimators in its attributes, such as the steps of a pipeline."""
    yield part
    if depth == 0 or not callable(get_attribute(part, "get_params")):
        return
    for value in vars(part).values():
        for item in value if isinstance(value, (list, tuple)) else (value,):
            for each in item if isinstance(item, tuple) else (item,):
                if callable(get_attribute(each, "get_params")) and not isinstance(each, type):
                    yield from list_parts(each, depth - 1)

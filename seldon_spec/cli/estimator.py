"""A file of a fitted estimator: load it, and describe its inputs, outputs and packages.

An estimator is an object with scikit-learn's conventions, such as ``feature_names_in_`` and ``classes_``. This module
imports no package of it: unpickling does.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import pickle
import sys
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seldon_spec.config.schema.fast_check import accepts
from seldon_spec.config.schema.lookup import field_schema
from seldon_spec.errors import SeldonSpecError, short_repr

LOADERS: Mapping[str, tuple[str, ...]] = {
    ".joblib": ("joblib",),
    ".pkl": ("pickle", "joblib"),
    ".pickle": ("pickle", "joblib"),
}
"""The modules that may have written a file, by its extension."""

MAX_COLUMNS = 4096
MAX_INPUTS = 256

Entry = dict[str, Any]
"""An input, an output or a column as in seldon.yaml."""


class ModelFileError(SeldonSpecError):
    """The file is no estimator that can be loaded and described."""


@dataclass(frozen=True, slots=True)
class Estimator:
    """A loaded estimator.

    Attributes:
        loader: the module that loads the file: ``joblib`` or ``pickle``.
        name: of its class; of a pipeline, that of the last step.
        method: ``predict_proba`` or ``predict``.
        takes_frame: whether it was fitted on a DataFrame.
        inputs: one 2-D input with columns, or several inputs, one for each column.
        outputs: in the format of seldon.yaml.
        packages: the distributions of its modules with their installed versions.
        row: a valid row of values, in the order of the columns.
        is_flat: whether it predicts one value for a row, not a row of them.
        problem: why it cannot predict that row; None if it can.
    """

    loader: str
    name: str
    method: str
    takes_frame: bool
    inputs: list[Entry]
    outputs: list[Entry]
    packages: dict[str, str]
    row: list[Any]
    is_flat: bool
    problem: str | None = None

    @property
    def names(self) -> list[str]:
        """The names of the columns."""
        columns = self.inputs[0].get("columns", ()) if len(self.inputs) == 1 else ()
        return [column["name"] for column in columns or self.inputs]


@dataclass(slots=True)
class _Column:
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


def read_estimator(path: Path, folder: Path) -> Estimator:
    """Load an estimator and describe it. Unpickling executes code of the file.

    Args:
        path: of the file.
        folder: of the project, whose modules the file may need.

    Raises:
        ModelFileError: the file cannot be loaded, or holds no fitted estimator.
    """
    loader, model = _load(path, folder)
    if not callable(getattr(model, "predict", None)):
        raise ModelFileError(f"{path} holds a {_type_name(model)}, which has no method predict")
    names = _feature_names(model)
    count = len(names) if names is not None else _get(model, "n_features_in_")
    if not isinstance(count, int):
        reason = "neither feature_names_in_ nor n_features_in_"
        raise ModelFileError(f"{path} holds a {_type_name(model)} with {reason}: fit it on a table before you save it")
    _check_names(path, "column", names or [])
    columns = _describe_columns(model, names or [f"x{index}" for index in range(count)], is_named=names is not None)
    inputs = _make_inputs(columns)
    method = "predict_proba" if callable(getattr(model, "predict_proba", None)) and _classes(model) else "predict"
    if method == "predict_proba":
        _check_names(path, "class", list(map(str, _classes(model))))
    row = [column.sample() for column in columns]
    result, problem = _try_row(model, method, columns if names is not None else None, row)
    return Estimator(
        loader,
        type(_steps(model)[-1]).__name__,
        method,
        names is not None,
        inputs,
        _make_outputs(_classes(model), method, result),
        _find_packages(model, loader, takes_frame=names is not None),
        row,
        result is not None and result.ndim == 1,
        problem,
    )


def _load(path: Path, folder: Path) -> tuple[str, Any]:
    """Return the module that can load the file, and the object."""
    loaders = LOADERS.get(path.suffix.lower())
    if loaders is None:
        raise ModelFileError(f"{path} is not supported: the name must end with {', '.join(LOADERS)}")
    if not path.is_file():
        raise ModelFileError(f"there is no file {path}")
    failures: list[Exception] = []
    for loader in loaders:
        sys.path.insert(0, str(folder.absolute()))
        try:
            return loader, _READERS[loader](path)
        except ModuleNotFoundError as error:
            raise ModelFileError(_missing_module(path, error)) from None
        except Exception as error:  # unpickling runs code of the file
            failures.append(error)
        finally:
            sys.path.pop(0)
    raise ModelFileError(f"{path} cannot be loaded with {' or '.join(loaders)}: {short_repr(failures[0])}")


def _missing_module(path: Path, error: ModuleNotFoundError) -> str:
    from seldon_spec.config.checks.distributions import package_of

    module = (error.name or str(error)).partition(".")[0]
    return f"{path} needs the module {module}, which is not installed: install {package_of(module)} in this environment"


def _read_joblib(path: Path) -> Any:
    return importlib.import_module("joblib").load(path)  # an optional package


def _read_pickle(path: Path) -> Any:
    with path.open("rb") as stream:
        return pickle.load(stream)  # noqa: S301 - the user names the file


_READERS: Mapping[str, Callable[[Path], Any]] = {"joblib": _read_joblib, "pickle": _read_pickle}


def _type_name(value: Any) -> str:
    kind = type(value)
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__.partition('.')[0]} {kind.__name__}"


def _get(holder: Any, name: str) -> Any:
    """Return an attribute; None if it is missing or raises, as properties of estimators may."""
    try:
        return getattr(holder, name, None)
    except Exception:
        return None


def _feature_names(model: Any) -> list[str] | None:
    names = _get(model, "feature_names_in_")
    return None if names is None else [str(name) for name in names]


def _check_names(path: Path, what: str, names: Sequence[str]) -> None:
    """Raise an error for the first name of a column, or of a class, that seldon.yaml cannot have."""
    schema = field_schema(("inputs", "0", "name")) or {}
    seen: set[str] = set()
    for index, name in enumerate(names):
        if name in seen:
            problem = "occurs twice"
        elif not accepts(name, schema, {}):
            problem = f"is not {schema['x-allowed']}, which are not all spaces"
        elif any(unicodedata.category(character) in _UNPRINTABLE for character in name):
            problem = "has a line break or a control character"
        else:
            seen.add(name)
            continue
        raise ModelFileError(
            f"{path}: the name {short_repr(name)} of {what} {index} {problem}: rename it, and fit the estimator again"
        )


_UNPRINTABLE = frozenset({"Cc", "Cs", "Zl", "Zp"})


def _steps(model: Any) -> list[Any]:
    """Return the steps of a pipeline, or of the best one of a search; of any other estimator, itself."""
    best = _get(model, "best_estimator_")
    model = model if best is None else best
    steps = _get(model, "steps")
    return [step for _, step in steps] if isinstance(steps, list) and steps else [model]


def _classes(model: Any) -> list[Any]:
    """Return the classes; none of a regressor or of several outputs."""
    classes = _get(model, "classes_")
    values = classes.tolist() if hasattr(classes, "tolist") else []
    return values if all(isinstance(value, (bool, int, float, str)) for value in values) else []


def _describe_columns(model: Any, names: list[str], *, is_named: bool) -> list[_Column]:
    """Return the columns that the first step uses."""
    first = _steps(model)[0]
    parts = _get(first, "transformers_")
    if not isinstance(parts, list):
        return _describe_part(first, names)
    columns: dict[str, _Column] = {}
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
    return [columns.get(name, _Column(name)) for name in names if not (is_named and name in dropped - columns.keys())]


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


def _describe_part(transformer: Any, names: list[str]) -> list[_Column]:
    """Return the columns of a transformer, or of the steps of a pipeline of transformers."""
    columns = [_Column(name) for name in names]
    for step in _steps(transformer):
        categories = _get(step, "categories_")
        means = next((values for key in ("mean_", "center_") if (values := _get(step, key)) is not None), ())
        for index, column in enumerate(columns):
            column.is_optional |= type(step).__name__.endswith("Imputer")
            if isinstance(categories, list) and len(categories) == len(columns):
                is_strict = _get(step, "handle_unknown") == "error"
                _set_categories(column, categories[index].tolist(), is_strict=is_strict)
            elif len(means) == len(columns):
                column.example = float(f"{float(means[index]):.4g}")
    return columns


def _set_categories(column: _Column, values: list[Any], *, is_strict: bool) -> None:
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


def _make_inputs(columns: Sequence[_Column]) -> list[Entry]:
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


def _declare(datatype: str, shape: list[int]) -> Entry:
    return {"datatype": datatype, "shape": shape} | ({"content_type": "str"} if datatype == "BYTES" else {})


_DATATYPES = {"float32": "FP32", "int32": "INT32", "int64": "INT64", "bool": "BOOL"}


def _make_outputs(classes: list[Any], method: str, result: Any) -> list[Entry]:
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


def _try_row(model: Any, method: str, columns: Sequence[_Column] | None, row: list[Any]) -> tuple[Any, str | None]:
    """Return the prediction of one row as an array, and why it failed; ``columns`` are those of a DataFrame."""
    import numpy as np  # slow, and only of this command

    table: Any
    if columns is None:
        table = np.array([row])
    else:
        try:
            import pandas as pd
        except ModuleNotFoundError as error:
            raise ModelFileError(
                "the model was fitted on a DataFrame, but pandas is not installed: install pandas in this environment"
            ) from error
        table = pd.DataFrame([row], columns=[column.name for column in columns])
    try:
        return np.asarray(getattr(model, method)(table)), None
    except Exception as error:  # of the model
        return None, f"{type(error).__name__}: {error}"


def _find_packages(model: Any, loader: str, *, takes_frame: bool) -> dict[str, str]:
    """Return the distributions that provide the classes of the estimator and of its parts, with their versions."""
    modules = {type(part).__module__.partition(".")[0] for part in _parts(model)}
    modules |= {"numpy", *(["joblib"] if loader == "joblib" else []), *(["pandas"] if takes_frame else [])}
    providers = importlib.metadata.packages_distributions()
    names = {names[0] for module in modules if (names := providers.get(module))}
    return {name: importlib.metadata.version(name).partition("+")[0] for name in sorted(names, key=str.lower)}


def _parts(part: Any, depth: int = 8) -> Iterator[Any]:
    """Yield an estimator and the estimators in its attributes, such as the steps of a pipeline."""
    yield part
    if depth == 0 or not callable(_get(part, "get_params")):
        return
    for value in vars(part).values():
        for item in value if isinstance(value, (list, tuple)) else (value,):
            for each in item if isinstance(item, tuple) else (item,):
                if callable(_get(each, "get_params")) and not isinstance(each, type):
                    yield from _parts(each, depth - 1)

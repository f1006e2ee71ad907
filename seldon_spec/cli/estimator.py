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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seldon_spec.config.schema.fast_check import accepts
from seldon_spec.config.schema.lookup import field_schema
from seldon_spec.errors import short_repr
from seldon_spec.runtimes.estimators import (
    Entry,
    ModelFileError,
    describe_columns,
    get_attribute,
    list_classes,
    list_feature_names,
    list_parts,
    list_steps,
    make_inputs,
    make_outputs,
    try_row,
)

LOADERS: Mapping[str, tuple[str, ...]] = {
    ".joblib": ("joblib",),
    ".pkl": ("pickle", "joblib"),
    ".pickle": ("pickle", "joblib"),
}
"""The modules that may have written a file, by its extension."""


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
    names = list_feature_names(model)
    count = len(names) if names is not None else get_attribute(model, "n_features_in_")
    if not isinstance(count, int):
        reason = "neither feature_names_in_ nor n_features_in_"
        raise ModelFileError(f"{path} holds a {_type_name(model)} with {reason}: fit it on a table before you save it")
    _check_names(path, "column", names or [])
    columns = describe_columns(model, names or [f"x{index}" for index in range(count)], is_named=names is not None)
    inputs = make_inputs(columns)
    method = "predict_proba" if callable(getattr(model, "predict_proba", None)) and list_classes(model) else "predict"
    if method == "predict_proba":
        _check_names(path, "class", list(map(str, list_classes(model))))
    row = [column.sample() for column in columns]
    result, problem = try_row(getattr(model, method), columns, is_named=names is not None)
    return Estimator(
        loader,
        type(list_steps(model)[-1]).__name__,
        method,
        names is not None,
        inputs,
        make_outputs(list_classes(model), method, result),
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


def _find_packages(model: Any, loader: str, *, takes_frame: bool) -> dict[str, str]:
    """Return the distributions that provide the classes of the estimator and of its parts, with their versions."""
    modules = {type(part).__module__.partition(".")[0] for part in list_parts(model)}
    modules |= {"numpy", *(["joblib"] if loader == "joblib" else []), *(["pandas"] if takes_frame else [])}
    providers = importlib.metadata.packages_distributions()
    names = {names[0] for module in modules if (names := providers.get(module))}
    return {name: importlib.metadata.version(name).partition("+")[0] for name in sorted(names, key=str.lower)}

"""Load the objects that pickles, joblib and skops have written."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from seldon_spec.config.model_files.inspect import inspect_model
from seldon_spec.runtimes.estimators import ModelFileError


def load_object(path: Path, trusted: Sequence[str] = ()) -> Any:
    """Return the object of a file. Unpickling executes code of the file; skops loads known types only.

    Args:
        path: of the file.
        trusted: the full names of further types that a file of skops may load.

    Raises:
        ModelFileError: the file has types that skops does not know, or needs a package that is not installed.
    """
    found = inspect_model(path)
    try:
        if found is not None and found.is_skops:
            return _load_skops(path, trusted)
        if found is None or found.is_joblib or not found.is_certain:
            import joblib

            return joblib.load(path)
        with path.open("rb") as stream:
            return pickle.load(stream)  # noqa: S301 - the user names the file
    except ModuleNotFoundError as error:
        raise ModelFileError(f"{path.name} needs the module {error.name}, which is not installed") from None


def _load_skops(path: Path, trusted: Sequence[str]) -> Any:
    from skops.io import get_untrusted_types, load

    unknown = sorted(set(get_untrusted_types(file=path)) - set(trusted))
    if unknown:
        raise ModelFileError(
            f"{path.name} has types that skops does not know: {', '.join(unknown)[:500]}; "
            "add those that you trust to model.options.trusted"
        )
    return load(path, trusted=list(trusted))

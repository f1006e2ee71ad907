"""The named inputs of a model for a request of Seldon's protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def name_inputs(X: Any, names: Sequence[str] | None, inputs: Sequence[str]) -> dict[str, Any]:
    """Return the inputs of a request by name.

    Args:
        X: arrays by name, or one array: the first input, or the columns of a table with a name for each.
        names: of the columns; none if the request has none.
        inputs: the names of the model's inputs.
    """
    if isinstance(X, Mapping):
        return dict(X)
    if len(inputs) > 1 and len(names or ()) > 1 and X.ndim == 2:
        return {name: X[:, index] for index, name in enumerate(names or ())}
    return {inputs[0]: X}

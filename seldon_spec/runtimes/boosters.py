"""What the boosters of gradient boosting libraries have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from seldon_spec.runtimes.estimators import Column, Entry, describe_result, make_inputs, make_unnamed_inputs, try_row


def split_probabilities(values: Any) -> Any:
    """Return the probabilities of both classes from those of class 1, of shape ``(rows,)``."""
    return np.column_stack((1 - values, values))


def describe_booster(
    names: Sequence[str] | None, count: int, method: str, call: Callable[[Any], Any], labels: list[Any]
) -> dict[str, Any]:
    """Return the inputs and outputs of a booster in the form of seldon.yaml; every value may be missing.

    Args:
        names: of the features; None: they have none.
        count: the number of features.
        method: the name of the output.
        call: processes rows.
        labels: the classes; empty: the values of the output are none.
    """
    columns = [Column(name) for name in names or [f"x{index}" for index in range(count)]]
    result, _ = try_row(call, columns, is_named=False)
    inputs: list[Entry] = make_inputs(columns) if names else make_unnamed_inputs(columns)
    outputs = describe_result(SimpleNamespace(classes_=np.array(labels)), method, result)
    return {"inputs": [{**entry, "optional": True} for entry in inputs], "outputs": outputs}

"""The contract that a test is generated from: inputs, outputs and what is known about the server."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from seldon_spec.config.contract import TensorSpec

VARIABLE = -1
ROWS = ((VARIABLE,), (VARIABLE, 1))
"""The shapes of the columns of a table."""


class Layout(Enum):
    """How Seldon's protocol holds the inputs or outputs.

    COLUMNS is one array with named columns, TABLE is an array whose columns are tensors, TENSORS is anything else.
    """

    COLUMNS = "columns"
    TABLE = "table"
    TENSORS = "tensors"


def find_layout(tensors: Sequence[TensorSpec]) -> Layout:
    """Return the layout of the inputs or the outputs of a model."""
    if len(tensors) == 1 and tensors[0].columns:
        return Layout.COLUMNS
    if len(tensors) > 1 and all(tensor.shape in ROWS for tensor in tensors):
        return Layout.TABLE
    return Layout.TENSORS


@dataclass(frozen=True, slots=True)
class Contract:
    """Inputs and outputs.

    Attributes:
        inputs: at least one.
        outputs: empty: they are not declared, and are compared between the protocols only.
        is_exact: whether names and datatypes of the outputs are checked, not only shapes and ranges.
        lenient_reason: why a request that violates the contract may be accepted; empty: the server rejects it.
        is_model_file: whether a runtime serves a model file, so that Seldon's protocol may get only one of the outputs.
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...] = ()
    is_exact: bool = True
    lenient_reason: str = ""
    is_model_file: bool = False

    @property
    def layout(self) -> Layout:
        """The layout of the inputs."""
        return find_layout(self.inputs)

"""What a model declares of its inputs, for a file whose columns have no types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from seldon_spec.config.contract import TensorSpec

_TABLE_DIMENSIONS = 2


@dataclass(frozen=True, slots=True)
class DeclaredColumns:
    """The columns of the inputs of a model.

    Attributes:
        names: of the columns; empty: not known.
        datatypes: of the columns with names, in the Open Inference Protocol.
        datatype: of all other columns; None: not known.
        count: of the columns; None: not known.
    """

    names: Sequence[str] = ()
    datatypes: Mapping[str, str] = field(default_factory=dict)
    datatype: str | None = None
    count: int | None = None

    def find_datatype(self, name: str) -> str | None:
        """Return the datatype of a column; None: not known."""
        return self.datatypes.get(name, self.datatype)


NOTHING_DECLARED = DeclaredColumns()


def read_inputs(inputs: Sequence[TensorSpec]) -> DeclaredColumns:
    """Return the columns of the inputs of a spec."""
    if len(inputs) == 1:
        names = [column.name for column in inputs[0].columns]
        return DeclaredColumns(names, datatype=inputs[0].datatype, count=_find_count(inputs[0].shape))
    return DeclaredColumns([each.name for each in inputs], {each.name: each.datatype for each in inputs})


def _find_count(shape: Any) -> int | None:
    """Return the number of columns of a table of any number of rows; None: it is no such shape."""
    is_table = isinstance(shape, (list, tuple)) and len(shape) == _TABLE_DIMENSIONS
    return shape[1] if is_table and isinstance(shape[1], int) and shape[1] > 0 else None


def read_metadata(metadata: Mapping[str, Any]) -> DeclaredColumns:
    """Return the columns of the inputs in the metadata of a model, of either protocol."""
    inputs = metadata.get("inputs")
    entries = [each for each in inputs if isinstance(each, dict)] if isinstance(inputs, list) else []
    datatypes = {str(each.get("name")): str(each["datatype"]) for each in entries if "datatype" in each}
    shape = entries[0].get("shape") if len(entries) == 1 else None
    if isinstance(shape, list) and len(shape) == _TABLE_DIMENSIONS:
        return DeclaredColumns(datatype=next(iter(datatypes.values()), None), count=_find_count(shape))
    return DeclaredColumns(list(datatypes), datatypes) if len(entries) > 1 else DeclaredColumns()

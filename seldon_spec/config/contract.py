"""The declared inputs and outputs of a model as frozen dataclasses. Field names equal the YAML keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

JsonValue: TypeAlias = "bool | int | float | str | Sequence[JsonValue] | Mapping[str, JsonValue] | None"

Scalar: TypeAlias = bool | int | float | str
"""A value of a declared input or output."""


@dataclass(frozen=True, slots=True)
class ColumnSpec:
    """A column of an input or output with two dimensions; its values have the datatype of the tensor.

    Attributes:
        minimum, maximum, choices: override those of the tensor, unless they are None or empty.
        optional: whether values may be missing: null or NaN; only of an input.
        example: a value; only of an input.
        description: text for people.
    """

    name: str
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[Scalar, ...] = ()
    optional: bool = False
    example: Scalar | None = None
    description: str | None = None


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """A named input or output of the model.

    Attributes:
        datatype: a datatype of the Open Inference Protocol, such as ``FP32``.
        shape: -1 for any size.
        content_type: how the elements of BYTES are passed to the class, such as ``str``; None: not declared.
        as_: the key ``as``: what the class gets instead of an array; None: what its argument is annotated as.
        columns: of the only input or output, which has two dimensions.
        optional: whether values may be missing and, if the class can do without it, whether a request may omit it.
        minimum, maximum: the smallest and the largest number.
        choices: the only values; empty: any.
        example: a value of the declared shape, or of one row of it, as nested tuples.
        description: text for people.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    content_type: str | None = None
    as_: Literal["array", "dataframe", "polars"] | None = None
    columns: tuple[ColumnSpec, ...] = ()
    optional: bool = False
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[Scalar, ...] = ()
    example: JsonValue = None
    description: str | None = None

    @property
    def column_names(self) -> list[str]:
        """The names of the columns."""
        return [column.name for column in self.columns]

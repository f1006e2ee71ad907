"""What the values of a declared input may be: datatype, range, choices, and whether they may be missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from seldon_spec.config.contract import ColumnSpec, Scalar, TensorSpec
from seldon_spec.inference.arrays import Array
from seldon_spec.inference.contract.problems import ValueProblems, show
from seldon_spec.inference.datatypes import BOOL, BYTES, Datatype, cast_floats, find_datatype, widen_bf16

_MAX_CHOICES = 10


@dataclass(frozen=True)
class ValueRule:
    """The rule of the values of an input, or of one of its columns.

    Attributes:
        name: of the input or the column.
        optional: whether values may be missing.
        minimum, maximum: None: not limited.
        choices: empty: any.
        content_type: of the elements of BYTES.
    """

    name: str
    datatype: Datatype
    optional: bool = False
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[Scalar, ...] = ()
    content_type: str | None = None

    @property
    def is_float(self) -> bool:
        """Whether values are floats, of which NaN is a missing one."""
        return self.datatype.limits is None and self.datatype is not BYTES and self.datatype is not BOOL

    @cached_property
    def _choice_array(self) -> Array:
        return self._round(self.choices)

    @cached_property
    def bounds(self) -> tuple[float | None, float | None]:
        """The bounds as values of the datatype: 0.1 allows the float32 that is nearest to 0.1."""
        low, high = (None if bound is None else self._round((bound,)).item() for bound in (self.minimum, self.maximum))
        return low, high

    def _round(self, values: Sequence[Any]) -> Array:
        """Return numbers as arrays of the datatype have them; bounds of integers stay as they are."""
        if not self.is_float:
            return np.array(values)
        with np.errstate(over="ignore"):
            if self.datatype.name != "BF16":
                return np.array(values, np.float64).astype(self.datatype.dtype)
            return widen_bf16(cast_floats(np.array(values, np.float64), self.datatype))

    @cached_property
    def _choice_set(self) -> frozenset[Any]:
        return frozenset(self.choices)

    def check(self, array: Array, problems: ValueProblems) -> None:
        """Check values.

        Args:
            array: of any shape, of the rule's datatype; elements of BYTES are text or bytes, and None is a missing one.
                A mask hides missing integers and booleans.
            problems: get a problem for each value that is missing or not allowed.
        """
        flat = array.reshape(-1)
        if self.datatype is BYTES:
            self._check_elements(flat.tolist(), problems)
            return
        if self.datatype.name == "BF16":
            flat = widen_bf16(flat)
        missing: Any = np.isnan(flat) if self.is_float else np.ma.getmaskarray(flat)
        values = np.ma.getdata(flat)
        if not self.optional and missing.any():
            problems.add_where(missing, lambda _index: "a value is missing")
        low, high = self.bounds
        if low is not None:
            text = f"is less than the minimum {self.minimum}"
            problems.add_where((values < low) & ~missing, lambda index: f"{show(values[index])} {text}")
        if high is not None:
            more = f"is greater than the maximum {self.maximum}"
            problems.add_where((values > high) & ~missing, lambda index: f"{show(values[index])} {more}")
        if self.choices:
            is_wrong = ~np.isin(values, self._choice_array) & ~missing
            problems.add_where(is_wrong, lambda index: f"{show(values[index])} is not one of {self._show_choices()}")

    def _check_elements(self, elements: Sequence[Any], problems: ValueProblems) -> None:
        for index, element in enumerate(elements):
            if element is None:
                if not self.optional:
                    problems.add(index, "a value is missing")
            elif self.choices:
                text = element.decode("utf-8", "replace") if isinstance(element, bytes) else element
                if not isinstance(text, str) or text not in self._choice_set:
                    problems.add(index, f"{show(text)} is not one of {self._show_choices()}")

    def _show_choices(self) -> str:
        shown = ", ".join(show(choice) for choice in self.choices[:_MAX_CHOICES])
        more = len(self.choices) - _MAX_CHOICES
        return f"{shown} and {more} more" if more > 0 else shown


def rule_of(tensor: TensorSpec, column: ColumnSpec | None = None) -> ValueRule:
    """Return the rule of an input, or of one of its columns, whose bounds override those of the input."""
    datatype = find_datatype(tensor.datatype)
    if column is None:
        return ValueRule(
            tensor.name, datatype, tensor.optional, tensor.minimum, tensor.maximum, tensor.choices, tensor.content_type
        )
    return ValueRule(
        column.name,
        datatype,
        column.optional or tensor.optional,
        tensor.minimum if column.minimum is None else column.minimum,
        tensor.maximum if column.maximum is None else column.maximum,
        column.choices or tensor.choices,
        tensor.content_type,
    )

"""One request as named arrays, before a protocol encodes it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from seldon_spec.contract_test.contract import Layout

BASE64_TYPES = ("base64", "image/")
"""The content types, or their starts, whose elements are base64 text in JSON."""


@dataclass(frozen=True, slots=True)
class Values:
    """A named array.

    Attributes:
        datatype: of the Open Inference Protocol.
        items: row-major: numbers, truth values, text, bytes, or None for a missing value.
        content_type: of elements of BYTES, as declared.
        has_rows: whether the first dimension is the number of rows of the request.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    items: tuple[Any, ...]
    content_type: str | None = None
    has_rows: bool = False

    @property
    def nested(self) -> Any:
        """The items as nested lists of the shape."""
        return nest(self.items, self.shape)

    def take_rows(self, rows: Sequence[int]) -> Values:
        """Return the rows with these indices."""
        width = math.prod(self.shape[1:])
        items = tuple(item for row in rows for item in self.items[row * width : (row + 1) * width])
        return replace(self, shape=(len(rows), *self.shape[1:]), items=items)


def nest(items: Sequence[Any], shape: Sequence[int]) -> Any:
    """Return flat items as nested lists."""
    if not shape:
        return items[0]
    if len(shape) == 1:
        return list(items)
    width = math.prod(shape[1:])
    return [nest(items[row * width : (row + 1) * width], shape[1:]) for row in range(shape[0])]


@dataclass(frozen=True, slots=True)
class Case:
    """A request.

    Attributes:
        inputs: optional ones may be absent.
        layout: of the contract.
        is_single: whether the contract has one input only.
        columns: the names of the columns of the only input; empty: they are not sent.
        is_valid: whether the request matches the contract.
    """

    inputs: tuple[Values, ...]
    layout: Layout
    is_single: bool = True
    columns: tuple[str, ...] = ()
    is_valid: bool = True

    @property
    def rows(self) -> int | None:
        """The number of rows; None: the inputs have none."""
        return next((values.shape[0] for values in self.inputs if values.has_rows), None)

    def take_rows(self, rows: Sequence[int]) -> Case:
        """Return the same request with the rows with these indices."""
        return replace(
            self, inputs=tuple(values.take_rows(rows) if values.has_rows else values for values in self.inputs)
        )

    def set_item(self, at: int, index: int, value: Any) -> Case:
        """Return the same request with another value at ``index`` of input ``at``."""
        old = self.inputs[at]
        return self.set_input(at, replace(old, items=(*old.items[:index], value, *old.items[index + 1 :])))

    def set_input(self, at: int, values: Values) -> Case:
        """Return the same request with another input at ``at``."""
        return replace(self, inputs=(*self.inputs[:at], values, *self.inputs[at + 1 :]))

    def without_input(self, at: int) -> Case:
        """Return the same request without an input."""
        return replace(self, inputs=(*self.inputs[:at], *self.inputs[at + 1 :]))

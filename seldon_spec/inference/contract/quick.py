"""A check of one numeric input that most requests pass, without a Python object for each of its parts."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from seldon_spec.config.contract import TensorSpec
from seldon_spec.inference.arrays import Array
from seldon_spec.inference.contract.rules import ValueRule
from seldon_spec.inference.datatypes import BOOL, BYTES, Datatype, cast_floats
from seldon_spec.inference.message import Message, PayloadType, Tensor

_FEW_VALUES = 32
"""Up to so many values, a loop is faster than the reductions of numpy."""


class QuickCheck:
    """Accepts requests that match the only input; it does not find out what is wrong with the others.

    Args:
        tensor: the input.
        rules: of its columns, or the only one of all its values.

    Attributes:
        is_usable: whether the input holds numbers without choices, which is all that it can check.
    """

    def __init__(self, tensor: TensorSpec, rules: Sequence[ValueRule]) -> None:
        self._name = tensor.name
        self._datatype = rules[0].datatype
        self._datatype_name = self._datatype.name
        self._dtype = self._datatype.dtype
        self._dimensions = len(tensor.shape)
        self._columns = tensor.column_names
        self._column_names = frozenset(self._columns) - {tensor.name}
        shape = (tensor.shape[0], len(self._columns)) if self._columns else tensor.shape
        self._sizes = [(axis, size) for axis, size in enumerate(shape) if size != -1]
        self.is_usable = _is_plain(self._datatype) and not any(rule.choices for rule in rules)
        self._low: list[float] = []
        self._high: list[float] = []
        if self.is_usable:
            self._low, self._high = _list_bounds(rules, self._datatype)
        self._least, self._most = (np.array(bounds, self._datatype.dtype) for bounds in (self._low, self._high))
        self._has_bounds = any(rule.minimum is not None or rule.maximum is not None for rule in rules)
        self._has_integers = self._datatype.limits is not None

    def accepts(self, message: Message) -> bool:
        """Return whether the request matches the input for certain.

        An array of Seldon's protocol gets the declared datatype, and the names of the columns. A tensor gets the
        declared name.
        """
        if message.payload_type is PayloadType.TENSORS:
            if len(message.payload) != 1:
                return False
            tensor: Tensor = message.payload[0]
            if tensor.datatype != self._datatype_name or tensor.name in self._column_names:
                return False
            if not self._accepts_array(tensor.array):
                return False
            tensor.name = self._name  # whatever the client calls it
            return True
        names = message.names
        if message.payload_type is not PayloadType.ARRAY or message.rows is not None:
            return False
        if names and names != self._columns:
            return False
        array = message.payload
        if array.dtype is not self._dtype:
            array = cast_numbers(array, self._datatype)
        if array is None or not self._accepts_array(array):
            return False
        message.payload = array
        if not names:
            message.names = self._columns.copy()
        return True

    def _accepts_array(self, array: Array) -> bool:
        if type(array) is not np.ndarray or array.dtype != self._dtype:
            return False
        shape = array.shape
        if len(shape) != self._dimensions:
            return False
        for axis, size in self._sizes:
            if shape[axis] != size:
                return False
        if array.size > _FEW_VALUES:
            return self._are_in_range(array)
        if self._has_bounds:
            return self._are_few_in_range(array.ravel().tolist())
        return self._has_integers or not math.isnan(sum(array.ravel().tolist()))

    def _are_few_in_range(self, values: list[float]) -> bool:
        low, high = self._low, self._high
        if len(values) != len(low):
            rows = len(values) // len(low)
            low, high = low * rows, high * rows
        for least, value, most in zip(low, values, high, strict=True):  # noqa: SIM110 - a generator takes longer
            if not least <= value <= most:
                return False
        return True

    def _are_in_range(self, array: Array) -> bool:
        """Return whether no value is missing or outside its bounds."""
        if not self._has_bounds:
            if self._has_integers:
                return True
            if array.flags.c_contiguous:
                flat = array.reshape(-1)
                return not math.isnan(np.dot(flat, flat))  # squares do not cancel: it is NaN only if an element is
        width = len(self._low)
        table = array.reshape(-1, width) if width > 1 else array.reshape(-1)
        # NaN is the smallest and the largest value, and is in no range
        return bool((table.min(axis=0) >= self._least).all() and (table.max(axis=0) <= self._most).all())


def _is_plain(datatype: Datatype) -> bool:
    return datatype is not BYTES and datatype is not BOOL and datatype.name != "BF16"


def _list_bounds(rules: Sequence[ValueRule], datatype: Datatype) -> tuple[list[float], list[float]]:
    """Return the smallest and the largest value of each rule that the datatype can hold; one if they are all equal."""
    if len({(rule.minimum, rule.maximum) for rule in rules}) == 1:
        rules = rules[:1]
    if datatype.limits is not None:
        least, most = datatype.limits
        low = [least if rule.minimum is None else max(least, math.ceil(rule.minimum)) for rule in rules]
        high = [most if rule.maximum is None else min(most, math.floor(rule.maximum)) for rule in rules]
        return [*low], [*high]
    bounds = [rule.bounds for rule in rules]
    return (
        [-math.inf if low is None else low for low, _ in bounds],
        [math.inf if high is None else high for _, high in bounds],
    )


def cast_numbers(array: Array, datatype: Datatype) -> Array | None:
    """Return an array of numbers in a datatype of numbers; None if it holds others, or some have no form in it.

    Args:
        array: the array.
        datatype: not BYTES, BOOL or BF16.
    """
    kind = array.dtype.kind
    if array.dtype == datatype.dtype:
        return array
    if kind not in "iuf":
        return None
    if datatype.limits is None:
        try:
            return cast_floats(array if kind == "f" else array.astype(np.float64), datatype)
        except OverflowError:
            return None
    low, high = datatype.limits
    if kind != "f" and (not array.size or (int(array.min()) >= low and int(array.max()) <= high)):
        return array.astype(datatype.dtype)
    return None

"""The values that an input or an output can have: edges, random ones, the simplest, and whether one is allowed."""

from __future__ import annotations

import base64
import binascii
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeGuard

import numpy as np

from seldon_spec.config.contract import ColumnSpec, Scalar, TensorSpec
from seldon_spec.contract_test.images import make_image
from seldon_spec.inference.datatypes import cast_floats, find_datatype, widen_bf16

_LARGE = {"FP16": 1e3, "BF16": 1e3, "FP32": 1e6, "FP64": 1e9}
"""A large number of each datatype of floats, whose sums and squares are finite."""

_TEXTS = ("", "text", "Grüße, 世界 😀", 'a "quoted"\\text\n', "x" * 300)
_WORDS = ("alpha", "beta", "gamma", "delta", "42", " ", "é")
_DATES = ("2024-02-29T12:30:00", "1970-01-01T00:00:00", "2038-01-19T03:14:08")
_JSON_TEXTS = ('{"a": 1}', "{}", '{"é": [1, 2.5, null]}')


@dataclass(frozen=True)
class Domain:
    """The values of a tensor, or of one of its columns.

    Attributes:
        label: the name of the column or of the tensor.
        datatype: of the Open Inference Protocol.
        minimum, maximum, choices, is_optional: as declared.
        example: a declared value; None: there is none.
    """

    label: str
    datatype: str
    content_type: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[Scalar, ...] = ()
    is_optional: bool = False
    example: Any = None

    @property
    def is_float(self) -> bool:
        """Whether the values are floats."""
        return self.datatype in _LARGE

    @property
    def is_integer(self) -> bool:
        """Whether the values are integers."""
        return find_datatype(self.datatype).limits is not None

    @property
    def is_image(self) -> bool:
        """Whether the values are files of images."""
        return (self.content_type or "").startswith("image/")

    @cached_property
    def bounds(self) -> tuple[float, float]:
        """The smallest and the largest number of the datatype that the contract allows."""
        low, high = self.minimum, self.maximum
        if self.is_integer:
            limits = find_datatype(self.datatype).limits
            assert limits is not None
            return (
                limits[0] if low is None else max(limits[0], math.ceil(low)),
                limits[1] if high is None else min(limits[1], math.floor(high)),
            )
        large = _LARGE[self.datatype]
        first = low if low is not None else min(-large, (high or 0) - large)
        last = high if high is not None else max(large, (low or 0) + large)
        return first, last

    @cached_property
    def edges(self) -> tuple[Any, ...]:
        """The values at which a model is most likely to fail; the example first, and None if values are optional."""
        found: list[Any] = [] if self.example is None else [self.example]
        found += [to_item(choice, self) for choice in self.choices] or self._list_edges()
        if self.is_optional:
            found.append(None)
        seen: list[Any] = []
        for value in found:
            if not any(_is_same(value, other) for other in seen):
                seen.append(value)
        return tuple(seen)

    @cached_property
    def _values(self) -> tuple[Any, ...]:
        return tuple(value for value in self.edges if value is not None)

    def _list_edges(self) -> list[Any]:
        if self.datatype == "BOOL":
            return [False, True]
        if self.datatype == "BYTES":
            return list(self._list_elements())
        low, high = self.bounds
        if self.is_integer:
            return [value for value in (0, low, high, 1, -1) if low <= value <= high]
        inside = [value for value in (0.0, low, high, -0.0, 1.0, -1.0, 0.5, 1e-6) if low <= value <= high]
        return [self._round(value) for value in inside]

    def _list_elements(self) -> Iterator[Any]:
        if self.is_image:
            yield from (
                make_image(str(self.content_type), size, value) for size, value in ((32, 0), (32, 255), (16, 9))
            )
        elif self.content_type in ("bytes", "base64"):
            yield from (b"bytes", b"", bytes(range(65, 91)))
        elif self.content_type == "datetime":
            yield from _DATES
        elif self.content_type == "json":
            yield from _JSON_TEXTS
        else:
            yield from _TEXTS

    @cached_property
    def simplest(self) -> Any:
        """The value that explains least: the example, zero, the minimum, or the first choice."""
        if self.example is not None:
            return self.example
        if self.choices:
            return to_item(self.choices[0], self)
        if self.datatype in ("BOOL", "BYTES"):
            return self._list_edges()[0]
        low, high = self.bounds
        if low <= 0 <= high:
            return 0 if self.is_integer else 0.0
        nearest = low if abs(low) <= abs(high) else high
        return nearest if self.is_integer else self._round(nearest)

    def list_simpler(self, value: Any) -> list[Any]:
        """Return values that are easier to read than a number, simplest first."""
        if not isinstance(value, (int, float)) or isinstance(value, bool) or self.choices:
            return []
        low, high = self.bounds
        declared = [bound for bound in (self.minimum, self.maximum) if bound is not None]
        whole = int(value) if math.isfinite(value) else 0
        found: list[Any] = []
        for candidate in (0, *declared, 1, -1, whole):
            if candidate == value:
                break
            if low <= candidate <= high:
                found.append(int(candidate) if self.is_integer else self._round(float(candidate)))
        return found

    def make_random(self, rng: random.Random, *, has_missing: bool = False) -> Any:
        """Return a value; one of the edges in a third of the cases, but None only if values may be missing here."""
        if self.choices or self.datatype == "BOOL" or self.is_image or rng.random() < 0.3:
            return rng.choice(self.edges if has_missing else self._values)
        if self.datatype == "BYTES":
            if self.content_type in ("bytes", "base64"):
                return bytes(rng.randrange(32, 127) for _ in range(rng.randrange(20)))
            if self.content_type in ("datetime", "json"):
                return rng.choice(self._values)
            return "".join(rng.choice(_WORDS) for _ in range(rng.randrange(6)))
        low, high = self.bounds
        if self.is_integer:
            near = (max(int(low), -1000), min(int(high), 1000))
            return rng.randint(*(near if near[0] <= near[1] else (int(low), int(high))))
        if self.minimum is None or self.maximum is None:
            value = rng.gauss(0, 1) * 10 ** rng.randrange(-2, 4)
            value = value if self.minimum is None and self.maximum is None else self._reflect(value)
        else:
            value = rng.uniform(low, high)
        rounded = round(value, 3)
        return self._round(rounded if low <= rounded <= high else min(max(value, low), high))

    def _reflect(self, value: float) -> float:
        return self.minimum + abs(value) if self.minimum is not None else (self.maximum or 0) - abs(value)

    def _round(self, value: float) -> float:
        """Return the nearest number of the datatype that is within the bounds."""
        found = to_float(value, self.datatype)
        low, high = self.bounds
        if low <= found <= high or self.datatype == "FP64":
            return found
        # the next number of the datatype towards the middle
        step = abs(found) * (2.0**-10 if self.datatype != "BF16" else 2.0**-7)
        if self.datatype == "FP32":
            toward = math.inf if found < low else -math.inf
            return float(np.nextafter(np.float32(found), np.float32(toward)))
        inside = to_float(found + step if found < low else found - step, self.datatype)
        return inside if low <= inside <= high else value

    def find_problem(self, value: Any) -> str | None:
        """Return why the contract does not allow a value; None if it does."""
        if value is None or (isinstance(value, float) and math.isnan(value)):
            if self.is_optional or self.content_type == "json":  # null is JSON
                return None
            return "null" if value is None else "NaN"
        if self.choices:
            return (
                None
                if any(self._is_choice(value, choice) for choice in self.choices)
                else (f"{_show(value)} is not one of {', '.join(map(repr, self.choices))}")
            )
        if isinstance(value, (int, float)):
            if self.minimum is not None and value < to_float(self.minimum, self.datatype) and value < self.minimum:
                return f"{_show(value)} is less than the minimum {self.minimum:g}"
            if self.maximum is not None and value > to_float(self.maximum, self.datatype) and value > self.maximum:
                return f"{_show(value)} is greater than the maximum {self.maximum:g}"
        return None

    def _is_choice(self, value: Any, choice: Scalar) -> bool:
        if isinstance(value, bytes):
            value = value.decode("utf-8", "replace")
        if self.is_float and isinstance(value, (int, float)) and isinstance(choice, (int, float)):
            return to_float(value, self.datatype) == to_float(choice, self.datatype)
        return bool(value == choice)


def to_float(value: float, datatype: str) -> float:
    """Return the nearest number of a datatype of floats; of other datatypes the number itself."""
    if datatype not in _LARGE or datatype == "FP64":
        return float(value)
    found = find_datatype(datatype)
    try:
        array = cast_floats(np.array([value], np.float64), found)
    except OverflowError:
        return float(value)
    return float((widen_bf16(array) if datatype == "BF16" else array)[0])


def _is_same(value: Any, other: Any) -> bool:
    """Return whether two values are the same request; 0.0 and -0.0 are not."""
    return type(value) is type(other) and repr(value) == repr(other)


def _show(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}..."


def list_domains(tensor: TensorSpec) -> tuple[Domain, ...]:
    """Return the domain of each column of a tensor, or the only one of a tensor without columns.

    The domain of the item with index ``i`` is the one with index ``i`` modulo their number.
    """
    own = Domain(
        tensor.name,
        tensor.datatype,
        tensor.content_type,
        tensor.minimum,
        tensor.maximum,
        tensor.choices,
        tensor.optional,
    )
    example = tensor.example
    if tensor.columns:
        row = example if _is_row(example, len(tensor.columns)) else [None] * len(tensor.columns)
        return tuple(_narrow(own, column, value) for column, value in zip(tensor.columns, row, strict=True))
    if example is None or (isinstance(example, (Sequence, Mapping)) and not isinstance(example, str)):
        return (own,)
    return (replace(own, example=to_item(example, own)),)


def _is_row(example: object, width: int) -> TypeGuard[list[Any]]:
    return isinstance(example, (list, tuple)) and len(example) == width and not isinstance(example[0], (list, tuple))


def _narrow(own: Domain, column: ColumnSpec, example: Any) -> Domain:
    """Return the domain of a column of a tensor; what the column declares overrides what the tensor declares."""
    found = example if column.example is None else column.example
    return replace(
        own,
        label=column.name,
        minimum=own.minimum if column.minimum is None else column.minimum,
        maximum=own.maximum if column.maximum is None else column.maximum,
        choices=column.choices or own.choices,
        is_optional=column.optional or own.is_optional,
        example=None if found is None else to_item(found, own),
    )


def to_item(value: Any, domain: Domain) -> Any:
    """Return a declared value as an item of a case."""
    if isinstance(value, str) and domain.datatype == "BYTES":
        if domain.is_image or domain.content_type == "base64":
            try:
                return base64.b64decode(value, validate=True)
            except (binascii.Error, ValueError):
                return value
        return value.encode() if domain.content_type == "bytes" else value
    if domain.is_float and isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    return value

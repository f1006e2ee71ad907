"""Requests that violate the contract: one change each to the simplest valid request."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from seldon_spec.config.contract import TensorSpec
from seldon_spec.contract_test.case import Case, Values
from seldon_spec.contract_test.contract import VARIABLE, Contract, Layout
from seldon_spec.contract_test.domain import Domain, list_domains
from seldon_spec.contract_test.generate import make_example
from seldon_spec.inference.datatypes import find_datatype

_MAX_DOMAINS = 12
"""The number of columns and inputs whose values are changed."""

BOTH = frozenset({"v1", "v2"})
_V1, _V2 = frozenset({"v1"}), frozenset({"v2"})
_UNKNOWN = "unknown_name"


@dataclass(frozen=True, slots=True)
class Violation:
    """A request that violates the contract.

    Attributes:
        label: how, for people.
        protocols: those in which it is a violation.
    """

    label: str
    case: Case
    protocols: frozenset[str] = BOTH


def violate(contract: Contract, rng: random.Random) -> Iterator[Violation]:
    """Yield violations of every kind that the contract allows to express."""
    base = replace(make_example(contract), is_valid=False)
    if base.rows is not None and base.rows > 1:
        base = base.take_rows([0])
    places = [
        (at, index, domain)
        for at, tensor in enumerate(contract.inputs)
        for index, domain in enumerate(list_domains(tensor))
        if index < len(base.inputs[at].items)
    ]
    if len(places) > _MAX_DOMAINS:
        places = sorted(rng.sample(places, _MAX_DOMAINS), key=lambda place: place[:2])
    for at, index, domain in places:
        for label, value in _bad_values(domain):
            yield Violation(f"{domain.label}: {label}", base.set_item(at, index, value))
    for at, tensor in enumerate(contract.inputs):
        yield _change_datatype(base, at, tensor)
    yield from _change_names(contract, base)
    yield from _change_shapes(contract, base)


def _bad_values(domain: Domain) -> Iterator[tuple[str, Any]]:
    is_number = domain.datatype not in ("BYTES", "BOOL")
    if domain.choices:
        yield "not one of the choices", _find_other(domain)
    elif is_number:
        below, above = _outside(domain)
        if below is not None:
            yield "below the minimum", below
        if above is not None:
            yield "above the maximum", above
    if not domain.is_optional:
        yield "a missing value", None
    if domain.datatype != "BYTES":
        yield "text instead of a number", "abc"


def _find_other(domain: Domain) -> Any:
    """Return a value of the datatype that is none of the choices."""
    choices = domain.choices
    if domain.datatype == "BYTES":
        return "not " + " or ".join(map(str, choices))
    if domain.datatype == "BOOL":
        return choices == (False,)
    numbers = [choice for choice in choices if isinstance(choice, (int, float))]
    value = max(numbers) + 1
    limits = find_datatype(domain.datatype).limits
    if limits is not None and value > limits[1]:
        value = next(number for number in range(limits[0], limits[1]) if number not in numbers)
    return value


def _outside(domain: Domain) -> tuple[float | None, float | None]:
    """Return a number below the minimum and one above the maximum; None where there is none of the datatype."""
    low, high = domain.bounds
    limits = find_datatype(domain.datatype).limits
    below: float | None = None
    above: float | None = None
    if limits is not None:
        if domain.minimum is not None and low > limits[0]:
            below = int(low) - 1
        if domain.maximum is not None and high < limits[1]:
            above = int(high) + 1
        return below, above
    if domain.minimum is not None:
        below = domain.minimum - max(1.0, abs(domain.minimum) * 0.1)
    if domain.maximum is not None:
        above = domain.maximum + max(1.0, abs(domain.maximum) * 0.1)
    return below, above


def _change_datatype(base: Case, at: int, tensor: TensorSpec) -> Violation:
    values = base.inputs[at]
    if tensor.datatype == "BYTES":
        changed = replace(values, datatype="FP64", items=tuple(1.0 for _ in values.items), content_type=None)
    else:
        changed = replace(values, datatype="BYTES", items=tuple("abc" for _ in values.items))
    return Violation(f"{tensor.name}: the datatype {changed.datatype}", base.set_input(at, changed), _V2)


def _change_names(contract: Contract, base: Case) -> Iterator[Violation]:
    if contract.layout is Layout.COLUMNS:
        values, count = base.inputs[0], len(base.columns)
        if count > 1:
            fewer = replace(values, shape=(values.shape[0], count - 1), items=values.items[: count - 1])
            yield Violation("one column missing", replace(base.set_input(0, fewer), columns=base.columns[:-1]))
        more = replace(values, shape=(values.shape[0], count + 1), items=(*values.items, values.items[-1]))
        yield Violation("one column more", replace(base.set_input(0, more), columns=(*base.columns, _UNKNOWN)))
        yield Violation("an unknown column", replace(base, columns=(*base.columns[:-1], _UNKNOWN)), _V1)
        return
    for at, tensor in enumerate(contract.inputs):
        if not tensor.optional and len(base.inputs) > 1:
            yield Violation(f"{tensor.name}: missing", base.without_input(at))
    extra = replace(base.inputs[0], name=_UNKNOWN)
    yield Violation(
        "an unknown input", replace(base, inputs=(*base.inputs, extra)), _V2 if len(base.inputs) == 1 else BOTH
    )


def _change_shapes(contract: Contract, base: Case) -> Iterator[Violation]:
    protocols = _V2 if contract.layout is Layout.TABLE else BOTH
    for at, tensor in enumerate(contract.inputs):
        values = base.inputs[at]
        yield Violation(
            f"{tensor.name}: a dimension more",
            base.set_input(at, replace(values, shape=(*values.shape, 1, 1))),
            protocols,
        )
        if contract.layout is Layout.COLUMNS:
            continue
        for axis, size in enumerate(tensor.shape):
            if size != VARIABLE and size * len(values.items) <= 1_000_000:
                yield Violation(
                    f"{tensor.name}: dimension {axis} is {size + 1}",
                    base.set_input(at, _lengthen(values, axis)),
                    protocols,
                )
                break


def _lengthen(values: Values, axis: int) -> Values:
    shape = (*values.shape[:axis], values.shape[axis] + 1, *values.shape[axis + 1 :])
    count = 1
    for size in shape:
        count *= size
    items = (values.items * (count // max(1, len(values.items)) + 1))[:count]
    return replace(values, shape=shape, items=items)

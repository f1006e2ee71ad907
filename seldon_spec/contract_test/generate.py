"""Valid requests of a contract: the example, the edges of every value, absent inputs, and random values."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Any

from seldon_spec.config.contract import TensorSpec
from seldon_spec.contract_test.case import Case, Values
from seldon_spec.contract_test.contract import ROWS, VARIABLE, Contract, Layout
from seldon_spec.contract_test.domain import Domain, list_domains, to_item

BATCH = 16
"""The rows of a large batch."""

_ROWS = (1, 2, BATCH)
_SIZES = (1, 2, 5)
_MAX_ITEMS = 200_000
_MISSING_SHARE = 0.2
_MAX_RANDOM = 2048
"""The number of different values of an array; a larger one repeats them."""

Choose = Callable[[Domain, int], Any]
"""Returns the value for a domain and the index of an item."""


def generate(contract: Contract, rng: random.Random, count: int) -> Iterator[Case]:
    """Yield up to ``count`` requests, the same for the same random numbers."""
    yield from islice(_list_cases(contract, rng), count)


def make_example(contract: Contract) -> Case:
    """Return the declared example; the simplest values where there is none."""
    values = [_make_example(tensor) for tensor in contract.inputs]
    rows = {each.shape[0] for each in values if each.has_rows}
    if len(rows) > 1:  # examples with different numbers of rows
        values = [each.take_rows([0]) if each.has_rows else each for each in values]
    return _make_case(contract, values)


def make_simplest(contract: Contract) -> Case:
    """Return a request of one row with the simplest values."""
    return _make(contract, (1,), lambda domain, _index: domain.simplest)


def _list_cases(contract: Contract, rng: random.Random) -> Iterator[Case]:
    yield make_example(contract)
    yield _make(contract, (1, 1), lambda domain, _index: domain.simplest)
    yield _make(contract, (2, 2), partial(_choose_random, rng))
    domains = [domain for tensor in contract.inputs for domain in list_domains(tensor)]
    for number in range(max(len(domain.edges) for domain in domains)):
        yield _make(contract, (1,), partial(_choose_edge, number))
    if contract.layout is not Layout.COLUMNS:
        yield from _drop_optional(contract, rng)
    while True:
        sizes = (rng.choice(_ROWS), rng.choice(_SIZES), rng.choice(_SIZES))
        # in few requests, because some protocols have no form for a missing value
        has_missing = rng.random() < _MISSING_SHARE
        yield _make(contract, sizes, partial(_choose_random, rng, has_missing=has_missing))


def _choose_edge(number: int, domain: Domain, _index: int) -> Any:
    return domain.edges[number % len(domain.edges)]


def _choose_random(rng: random.Random, domain: Domain, _index: int, *, has_missing: bool = False) -> Any:
    return domain.make_random(rng, has_missing=has_missing)


def _drop_optional(contract: Contract, rng: random.Random) -> Iterator[Case]:
    """Yield requests without one of the optional inputs, and without all of them."""
    optional = {tensor.name for tensor in contract.inputs if tensor.optional}
    if len(optional) == len(contract.inputs):  # a request without inputs has no payload
        optional.discard(contract.inputs[0].name)
    dropped = [{name} for name in sorted(optional)]
    for names in [*dropped, *([optional] if len(optional) > 1 else [])]:
        case = _make(contract, (2,), partial(_choose_random, rng))
        yield _make_case(contract, [values for values in case.inputs if values.name not in names])


def _make(contract: Contract, sizes: Sequence[int], choose: Choose) -> Case:
    """Return a request; a variable dimension has the size with its index in ``sizes``, the last one if it has none."""
    if sum(math.prod(_resolve(tensor.shape, sizes)) for tensor in contract.inputs) > _MAX_ITEMS:
        sizes = (1,)
    return _make_case(contract, [_fill(tensor, _resolve(tensor.shape, sizes), choose) for tensor in contract.inputs])


def _make_case(contract: Contract, values: Sequence[Values]) -> Case:
    columns = tuple(contract.inputs[0].column_names) if contract.layout is Layout.COLUMNS else ()
    return Case(tuple(values), contract.layout, len(contract.inputs) == 1, columns)


def _resolve(shape: Sequence[int], sizes: Sequence[int]) -> tuple[int, ...]:
    return tuple(sizes[min(index, len(sizes) - 1)] if size == VARIABLE else size for index, size in enumerate(shape))


def _fill(tensor: TensorSpec, shape: tuple[int, ...], choose: Choose) -> Values:
    domains = list_domains(tensor)
    count = math.prod(shape)
    few = min(count, _MAX_RANDOM - _MAX_RANDOM % len(domains) or len(domains))
    chosen = [choose(domains[index % len(domains)], index) for index in range(few)]
    items = (chosen * -(-count // few))[:count] if few else []
    return _values(tensor, shape, items)


def _values(tensor: TensorSpec, shape: tuple[int, ...], items: Sequence[Any]) -> Values:
    return Values(
        tensor.name, tensor.datatype, shape, tuple(items), tensor.content_type, tensor.shape[:1] == (VARIABLE,)
    )


def _make_example(tensor: TensorSpec) -> Values:
    domains = list_domains(tensor)
    found = None if tensor.example is None else _flatten(tensor.example)
    if found is not None:
        shape, flat = found
        if tensor.shape in ROWS and not shape:
            shape = tuple(1 for _ in tensor.shape)
        elif len(shape) == len(tensor.shape) - 1:
            shape = (1, *shape)
        if len(shape) == len(tensor.shape):
            items = [to_item(value, domains[index % len(domains)]) for index, value in enumerate(flat)]
            return _values(tensor, shape, items)
    return _fill(tensor, _resolve(tensor.shape, (1,)), lambda domain, _index: domain.simplest)


def _flatten(value: Any) -> tuple[tuple[int, ...], list[Any]] | None:
    """Return the shape and the items of nested lists; None if their lengths differ."""
    if isinstance(value, (str, bytes)) or not isinstance(value, Sequence):
        return (), [value]
    parts = [_flatten(item) for item in value]
    shapes = {part[0] for part in parts if part is not None}
    if None in parts or len(shapes) > 1:
        return None
    return (len(parts), *(shapes.pop() if shapes else ())), [item for part in parts if part for item in part[1]]

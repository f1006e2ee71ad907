"""The smallest request that still fails: fewer rows, fewer inputs, and simpler values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from seldon_spec.contract_test.case import Case
from seldon_spec.contract_test.contract import Contract
from seldon_spec.contract_test.domain import Domain, list_domains

MAX_ATTEMPTS = 200


class _Shrinker:
    """Keeps the smallest request that fails.

    Args:
        case: fails.
        fails: sends a request; returns whether the same check fails.
    """

    def __init__(self, case: Case, fails: Callable[[Case], bool], attempts: int) -> None:
        self.best = case
        self._fails = fails
        self._left = attempts

    def accept(self, case: Case) -> bool:
        """Keep a smaller request if it fails, too; return whether it does."""
        if self._left == 0 or case == self.best:
            return False
        self._left -= 1
        if not self._fails(case):
            return False
        self.best = case
        return True


def shrink(case: Case, fails: Callable[[Case], bool], contract: Contract, attempts: int = MAX_ATTEMPTS) -> Case:
    """Return the smallest request for which ``fails`` is true.

    Args:
        case: fails.
        fails: sends a request; returns whether the same check fails.
        contract: of the model.
        attempts: the largest number of requests.
    """
    shrinker = _Shrinker(case, fails, attempts)
    _shrink_rows(shrinker)
    optional = {tensor.name for tensor in contract.inputs if tensor.optional}
    for name in sorted(optional):
        names = [values.name for values in shrinker.best.inputs]
        if name in names and len(names) > 1:
            shrinker.accept(shrinker.best.without_input(names.index(name)))
    tensors = {tensor.name: list_domains(tensor) for tensor in contract.inputs}
    for at, values in enumerate(shrinker.best.inputs):
        domains = tensors.get(values.name)
        if domains is not None:
            _simplify(shrinker, at, domains, range(len(values.items)))
    return shrinker.best


def _shrink_rows(shrinker: _Shrinker) -> None:
    rows = shrinker.best.rows or 1
    if rows == 1 or any(shrinker.accept(shrinker.best.take_rows([row])) for row in range(rows)):
        return
    # several rows are needed: halve them as long as one half fails, then remove single ones
    while (rows := shrinker.best.rows or 1) > 2:
        whole, middle = shrinker.best, rows // 2
        if not any(shrinker.accept(whole.take_rows(part)) for part in (range(middle), range(middle, rows))):
            break
    row = 0
    while row < (rows := shrinker.best.rows or 1) and rows > 2:
        if not shrinker.accept(shrinker.best.take_rows([other for other in range(rows) if other != row])):
            row += 1


def _simplify(shrinker: _Shrinker, at: int, domains: Sequence[Domain], indices: Sequence[int]) -> None:
    """Replace as many of the items of input ``at`` as possible by simple values, all at once or by halves."""
    values = shrinker.best.inputs[at]
    simplest = {index: domains[index % len(domains)].simplest for index in indices}
    changed = [index for index in indices if repr(values.items[index]) != repr(simplest[index])]
    if not changed:
        return
    chosen = set(changed)
    items = tuple(simplest[index] if index in chosen else item for index, item in enumerate(values.items))
    if shrinker.accept(shrinker.best.set_input(at, replace(values, items=items))):
        return
    if len(changed) == 1:
        index = changed[0]
        simpler = domains[index % len(domains)].list_simpler(values.items[index])
        any(shrinker.accept(shrinker.best.set_item(at, index, value)) for value in simpler)
        return
    middle = len(changed) // 2
    _simplify(shrinker, at, domains, changed[:middle])
    _simplify(shrinker, at, domains, changed[middle:])

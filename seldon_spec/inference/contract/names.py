"""The names of columns and inputs in a request: unknown, missing and reordered ones."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Sequence

from seldon_spec.inference.arrays import default_names
from seldon_spec.inference.contract.problems import Problems, show


def check_names(
    given: Collection[str], declared: Sequence[str], optional: Collection[str], what: str, problems: Problems
) -> bool:
    """Return whether the given names are the declared ones, in any order; otherwise that is a problem.

    Args:
        given: of the request.
        declared: all that are allowed.
        optional: those that may be absent.
        what: they are names of: ``column`` or ``input``.
        problems: get a problem for each unknown and each missing name.
    """
    before = problems.count
    missing = [name for name in declared if name not in given and name not in optional]
    for name in given:
        if name not in declared:
            close = difflib.get_close_matches(name, [each for each in declared if each not in given], n=1)
            hint = f", did you mean {show(close[0])}?" if close else ""
            problems.add(f"unknown {what} {show(name)}{hint}")
    for name in missing:
        problems.add(f"missing {what} {show(name)}")
    return problems.count == before


def order_columns(
    names: object, declared: Sequence[str], optional: Collection[str], width: int, problems: Problems
) -> list[int | None] | None:
    """Return the place in a row of each declared column; None for an optional one that is absent.

    Args:
        names: of the request's columns; none, or the default ones, mean the declared order.
        declared: the names in order.
        optional: those that may be absent.
        width: the number of values in a row; -1: unknown.
        problems: get what is wrong with the names.

    Returns:
        None if there is a problem.
    """
    if not isinstance(names, (list, tuple)) or not names or list(names) == list(default_names(len(names))):
        if width not in (-1, len(declared)):
            found = f"{width} value{'' if width == 1 else 's'}"
            problems.add(f"a row has {found}, and the columns are {len(declared)}: {', '.join(declared[:20])}")
            return None
        return list(range(len(declared)))
    if names == declared and width in (-1, len(declared)):
        return list(range(len(declared)))
    given = [name if isinstance(name, str) else show(name) for name in names]
    if len(set(given)) < len(given):
        twice = next(name for name in given if given.count(name) > 1)
        problems.add(f"two columns have the name {show(twice)}")
        return None
    if not check_names(given, declared, optional, "column", problems):
        return None
    if width not in (-1, len(given)):
        problems.add(f"a row has {width} values, and names has {len(given)}")
        return None
    places = {name: place for place, name in enumerate(given)}
    return [places.get(name) for name in declared]

"""The names of columns and inputs in a request: unknown, missing and reordered ones."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Sequence

from seldon_spec.inference.arrays import default_names
from seldon_spec.inference.contract.problems import MAX_SHOWN, Problems, show

_MAX_HINTS = 3
_MAX_CANDIDATES = 50
_MAX_LENGTH = 64
"""The limits of suggestions, which compare each pair of names."""


def check_names(
    given: Collection[str], declared: Sequence[str], optional: Collection[str], what: str, problems: Problems
) -> list[str]:
    """Return those of the given names that are declared; a problem is added for each of the others.

    Args:
        given: of the request, each once.
        declared: all that are allowed.
        optional: those that may be absent.
        what: they are names of: ``column`` or ``input``.
        problems: get the unknown names and the missing ones.
    """
    known, found = set(declared), set(given)
    absent = [name for name in declared if name not in found]
    unknown = [name for name in given if name not in known]
    missing = [name for name in absent if name not in optional]
    candidates = [name for name in absent if len(name) <= _MAX_LENGTH][:_MAX_CANDIDATES]
    for index, name in enumerate(unknown[:MAX_SHOWN]):
        hint = ""
        if index < _MAX_HINTS and len(name) <= _MAX_LENGTH:
            close = difflib.get_close_matches(name, candidates, n=1)
            hint = f", did you mean {show(close[0])}?" if close else ""
        problems.add(f"unknown {what} {show(name)}{hint}")
    for name in missing[:MAX_SHOWN]:
        problems.add(f"missing {what} {show(name)}")
    problems.add_uncounted(max(0, len(unknown) - MAX_SHOWN) + max(0, len(missing) - MAX_SHOWN))
    return [name for name in given if name in known]


def order_columns(
    names: object, declared: Sequence[str], optional: Collection[str], width: int, problems: Problems
) -> list[int | None] | None:
    """Return the place in a row of each declared column; None for one that is absent.

    Args:
        names: of the request's columns; none, or the default ones, mean the declared order.
        declared: the names in order.
        optional: those that may be absent.
        width: the number of values in a row.
        problems: get what is wrong with the names.

    Returns:
        None if the values of a row cannot be assigned to columns.
    """
    if not isinstance(names, (list, tuple)):
        names = []
    if names and len(names) != width:
        problems.add(f"a row has {_count(width, 'value')}, and there are {_count(len(names), 'name')} of columns")
        return None
    if list(names) == list(declared):
        return list(range(width))
    if not names or list(names) == list(default_names(width)):
        if width == len(declared):
            return list(range(width))
        columns = ", ".join(declared[:MAX_SHOWN]) + (", ..." if len(declared) > MAX_SHOWN else "")
        problems.add(f"a row has {_count(width, 'value')}, and the columns are {len(declared)}: {columns}")
        return None
    given = [name if isinstance(name, str) else show(name) for name in names]
    places = {name: place for place, name in enumerate(given)}
    if len(places) < len(given):
        twice = next(name for place, name in enumerate(given) if places[name] != place)
        problems.add(f"two columns have the name {show(twice)}")
        return None
    check_names(given, declared, optional, "column", problems)
    return [places.get(name) for name in declared]


def _count(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"

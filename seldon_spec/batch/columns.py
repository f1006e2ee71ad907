"""Which columns of an input are sent."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path

from seldon_spec.errors import SeldonSpecError


def select_columns(path: Path, names: Sequence[str], wanted: Sequence[str] | None) -> list[int]:
    """Return the positions of the columns that are sent.

    Args:
        path: of the input, for errors.
        names: of its columns.
        wanted: the names of the columns that are sent, in order; None: all.

    Raises:
        SeldonSpecError: there is no such column.
    """
    if wanted is None:
        return list(range(len(names)))
    problems = []
    for name in wanted:
        if name not in names:
            near = difflib.get_close_matches(name, names, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"the columns are {', '.join(names)[:500]}"
            problems.append(f"{path} has no column {name!r:.100}; {hint}")
    if problems:
        raise SeldonSpecError("\n".join(problems))
    return [list(names).index(name) for name in wanted]

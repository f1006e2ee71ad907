"""The problems of one request, each with its location, limited in number."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from seldon_spec.errors import PayloadError, short_repr
from seldon_spec.inference.arrays import Array

MAX_SHOWN = 20
MAX_VALUE = 40
"""The characters of a value that a problem shows."""

_MAX_KEPT = 400
_MAX_COUNTED = 10_000
"""The number of single problems after which the rest of a request is not read."""

_MAX_EXACT = 1 << 53


class Problems:
    """Collects problems; the first ones are kept.

    Attributes:
        count: of all problems.
    """

    def __init__(self) -> None:
        self.count = 0
        self._kept: list[tuple[int, str]] = []
        self._is_complete = True

    def add(self, text: str, row: int = -1) -> None:
        """Add a problem of a row; -1: of the whole request.

        Raises:
            PayloadError: there are too many.
        """
        self.count += 1
        if len(self._kept) < _MAX_KEPT:
            self._kept.append((row, text))
        if self.count >= _MAX_COUNTED:
            self._is_complete = False
            self.check()

    def add_uncounted(self, count: int) -> None:
        """Add problems that are not shown."""
        self.count += count

    def describe(self) -> str:
        """Return all problems as one text, in the order of the rows."""
        shown = [text for _, text in sorted(self._kept, key=lambda kept: kept[0])[:MAX_SHOWN]]
        count = f"{self.count} problems" if self._is_complete else f"{self.count} or more problems"
        head = "invalid request" if self.count == 1 else f"invalid request ({count})"
        more = [f"and {self.count - len(shown)} more"] if self.count > len(shown) else []
        return f"{head}: {'; '.join([*shown, *more])}"

    def check(self) -> None:
        """Raise the problems, if there are any.

        Raises:
            PayloadError: there are.
        """
        if self.count:
            raise PayloadError(self.describe())


class ValueProblems:
    """The problems of the values of one column or input; a value has one at most.

    Args:
        problems: collects them.
        name: of the column or input.
        shape: of its values; None: they are a column, whose indexes are rows.
    """

    def __init__(self, problems: Problems, name: str, shape: Sequence[int] | None = None) -> None:
        self._problems = problems
        self._name = name
        self._shape = shape
        self._wrong: set[int] = set()
        self._is_wrong: Array | None = None
        self._shown = 0

    def add(self, index: int, text: str) -> None:
        """Add a problem of the value at an index, which counts the values in row-major order."""
        if index in self._wrong:
            return
        self._wrong.add(index)
        self._show(index, text)

    def add_where(self, is_wrong: Array, describe: Callable[[int], str]) -> None:
        """Add a problem for each index at which a flat array is True."""
        is_new = is_wrong if self._is_wrong is None else is_wrong & ~self._is_wrong
        if self._wrong:
            is_new = is_new.copy()
            is_new[list(self._wrong)] = False
        indexes = np.flatnonzero(is_new)
        if not len(indexes):
            return
        self._is_wrong = is_new if self._is_wrong is None else self._is_wrong | is_new
        shown = max(0, MAX_SHOWN - self._shown)
        for index in indexes[:shown].tolist():
            self._show(index, describe(index))
        self._problems.add_uncounted(len(indexes) - min(shown, len(indexes)))

    def _show(self, index: int, text: str) -> None:
        self._shown += 1
        if self._shape is None:
            self._problems.add(f"row {index}, {self._name}: {text}", index)
        elif not self._shape:
            self._problems.add(f"input {self._name}: {text}")
        else:
            place = [int(step) for step in np.unravel_index(index, tuple(self._shape))]
            self._problems.add(f"input {self._name}: element {place}: {text}", place[0])


def show(value: object) -> str:
    """Return a value as a problem shows it: as JSON has it, text in quotes."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, np.generic):
        return show(value.item())
    if isinstance(value, float) and value.is_integer() and abs(value) < _MAX_EXACT:
        value = int(value)  # most were sent so
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, (list, dict)):
        return "a list" if isinstance(value, list) else "an object"
    text = short_repr(value, 10 * MAX_VALUE)
    return text if len(text) <= MAX_VALUE else f"{text[:MAX_VALUE]}..."

"""The calls of a worker: a journal that costs one write a call, and the histograms that it is folded into.

Most of what a request is measured by goes into seven histograms. To find a bucket in each, call by call, costs as much
as reading a small request does; so a call is one row of the journal, and a full journal is folded into the histograms
at once. Whoever reads the slot adds the rows that are not folded yet.

A slot has two copies of these histograms. One cell, the journal's state, says how often the journal has been folded
and how many rows it has; the copy that counts is the first after an even number of folds, else the second. A fold
writes into the other copy and then changes the state, by one store. So a reader in another process never sees half a
fold, and a worker that is killed at any moment leaves what is whole.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from functools import cache
from itertools import accumulate
from typing import TYPE_CHECKING

from seldon_spec.metrics.families import CALLS, DURATION, Kind
from seldon_spec.metrics.series import Series, histogram_size, sort_labels
from seldon_spec.metrics.slots import JOURNAL_COLUMNS, JOURNAL_ROWS, Slots

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_KEY = "calls"  # what the key of a group's entry begins with
_SIZES = tuple(histogram_size(family.edges) for family in CALLS)
_COPY_CELLS = sum(_SIZES)
_GROUP_CELLS = 2 * _COPY_CELLS
_pack = struct.Struct(f"{JOURNAL_COLUMNS}d").pack_into
_ROW_BYTES = JOURNAL_COLUMNS * 8
_FOLD = 1 << 32  # the state is the count of folds times this, and the count of rows
_ROWS = _FOLD - 1


def is_group(key: str) -> bool:
    """Whether the key of an entry is that of a group of calls."""
    return key.startswith(f'["{_KEY}"')


class Journal:
    """Takes a worker's calls, in groups by method and outcome. Safe for threads.

    Args:
        slots: the memory.
        index: the worker's slot; what another process has left there is gone on with.
        lock: is held while the slot is written; whoever adds entries to the slot has to hold it, too.
    """

    def __init__(self, slots: Slots, index: int, lock: AbstractContextManager[object]) -> None:
        self._slots = slots
        self._index = index
        self._lock = lock
        self._bytes = slots.bytes
        state = slots.journal_state(index)
        self._state_cell = slots.words[state : state + 1]
        self._first = slots.journal(index) * 8
        self._end = self._first + JOURNAL_ROWS * _ROW_BYTES
        self._state = self._state_cell[0]
        self._next = self._first + (self._state & _ROWS) * _ROW_BYTES
        self._groups: dict[tuple[str, str], int] = {}
        self._places: list[int] = []
        for key, place, _ in slots.entries(index):
            if is_group(key):
                _, method, outcome = json.loads(key)
                self._groups[method, outcome] = len(self._places)
                self._places.append(place)

    def observe(
        self,
        method: str,
        outcome: str,
        seconds: float,
        queue: float,
        decode: float,
        call: float,
        encode: float,
        rows: float,
        body_bytes: float,
    ) -> None:
        """Count one call; what there was not is NaN.

        Args:
            method: the value of the label ``method``.
            outcome: ``success`` or ``error``.
            seconds: from the request's arrival to its answer.
            queue: seconds that it waited for a model thread.
            decode: seconds that it took to read.
            call: seconds that the model had it.
            encode: seconds that the answer took to write.
            rows: of its data.
            body_bytes: the size of its body.
        """
        with self._lock:
            group = self._groups.get((method, outcome))
            if group is None:
                group = self._add_group(method, outcome)
                if group is None:
                    return
            at = self._next
            if at == self._end:
                at = self._fold()
            _pack(self._bytes, at, group, seconds, queue, decode, call, encode, rows, body_bytes)
            self._next = at + _ROW_BYTES
            self._state = self._state_cell[0] = self._state + 1

    def _add_group(self, method: str, outcome: str) -> int | None:
        """The number of a new group; None: there is no room."""
        place = self._slots.append(self._index, json.dumps([_KEY, method, outcome]), _GROUP_CELLS)
        if place is None:
            return None
        self._groups[method, outcome] = len(self._places)
        self._places.append(place)
        return self._groups[method, outcome]

    def _fold(self) -> int:
        """Add the journal to the histograms and begin it anew; gives the place of its first row."""
        folds = self._state // _FOLD
        added = _tally(_read_rows(self._slots, self._index, JOURNAL_ROWS), len(self._places))
        for place, more in zip(self._places, added, strict=True):
            current, other = _view_copy(self._slots, place, folds), _view_copy(self._slots, place, folds + 1)
            other[:] = current + more
        self._state = self._state_cell[0] = (folds + 1) * _FOLD
        return self._first


def read_calls(slots: Slots, index: int, groups: Sequence[tuple[str, int]]) -> Iterator[tuple[Series, list[float]]]:
    """The histograms of a slot's calls, with all that has been observed before this is asked.

    Args:
        slots: the memory.
        index: the slot.
        groups: the keys and the places of the slot's groups, in their order.
    """
    places = [place for _, place in groups]
    while True:
        state = slots.words[slots.journal_state(index)]
        rows = _read_rows(slots, index, state & _ROWS).copy()
        totals = [_view_copy(slots, place, state // _FOLD).copy() for place in places]
        if slots.words[slots.journal_state(index)] // _FOLD == state // _FOLD:
            break
    rows = rows[rows[:, 0] < len(groups)]  # a group that the list lacks had no call before the page was asked for
    for (key, _), total, more in zip(groups, totals, _tally(rows, len(groups)), strict=True):
        _, method, outcome = json.loads(key)
        cells = (total + more).tolist()
        for family, size in zip(CALLS, _SIZES, strict=True):
            labels = {"method": method, "outcome": outcome} if family.name == DURATION else {"method": method}
            yield Series(Kind.HISTOGRAM, family.name, sort_labels(labels)), cells[:size]
            del cells[:size]


def _tally(rows: Floats, groups: int) -> Floats:
    """The histograms of some rows of a journal.

    Args:
        rows: of shape ``(rows, JOURNAL_COLUMNS)``: the group's number, and the values of one call.
        groups: how many groups there are.

    Returns:
        The cells to add to each group's, of shape ``(groups, cells of a copy)``.
    """
    import numpy as np

    columns = np.ascontiguousarray(rows.T)
    values = columns[1:]
    is_there = ~np.isnan(values)
    all_edges, firsts, sums = _layout()
    cells = np.stack((firsts, sums)) + columns[0].astype(np.intp) * _COPY_CELLS
    for bins, edges, column in zip(cells[0], all_edges, values, strict=True):
        bins += edges.searchsorted(column)
    weights = np.stack((is_there, np.where(is_there, values, 0.0)))
    added = np.bincount(cells.ravel(), weights.ravel(), groups * _COPY_CELLS)
    return added.astype(np.float64, copy=False).reshape(groups, _COPY_CELLS)


def _read_rows(slots: Slots, index: int, count: int) -> Floats:
    """The first rows of a slot's journal, as they stand there."""
    import numpy as np

    rows = np.frombuffer(slots.bytes, np.float64, count * JOURNAL_COLUMNS, slots.journal(index) * 8)
    return rows.reshape(count, JOURNAL_COLUMNS)


def _view_copy(slots: Slots, place: int, folds: int) -> Floats:
    """The copy of a group's histograms that counts after so many folds."""
    import numpy as np

    return np.frombuffer(slots.bytes, np.float64, _COPY_CELLS, (place + folds % 2 * _COPY_CELLS) * 8)


@cache
def _layout() -> tuple[list[Floats], NDArray[np.intp], NDArray[np.intp]]:
    """Of each histogram: its edges, and where in a copy its first cell is, and its last one, the sum; as columns."""
    import numpy as np

    ends = np.array([[end] for end in accumulate(_SIZES)], np.intp)
    sizes = np.array([[size] for size in _SIZES], np.intp)
    return [np.array(family.edges) for family in CALLS], ends - sizes, ends - 1

"""The calls of a worker: a journal that costs one write a call, and the histograms that it is folded into.

Most of what a request is measured by goes into seven histograms. To find a bucket in each, call by call, costs as much
as reading a small request does; so a call is one row of the journal, and a full journal is folded into the histograms
at once. Whoever reads the slot adds the rows that are not folded yet.

A slot has two copies of these histograms. One cell, the journal's state, says how often the journal has been folded
and how many rows it has; the copy that counts is the first after an even number of folds, else the second. A fold
writes into the other copy and then changes the state, by one store. So a reader in another process never sees half a
fold, and a worker that is killed at any moment leaves what is whole.

A processor may make these stores visible to another process in another order. So each row and each copy has a checksum
that includes the state it belongs to; a reader that finds a wrong one reads again.
"""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from functools import cache
from itertools import accumulate
from typing import TYPE_CHECKING
from zlib import crc32

from seldon_spec.observability.metrics.definitions import CALLS, DURATION, MetricKind
from seldon_spec.observability.metrics.segments import JOURNAL_COLUMNS, JOURNAL_ROWS, Segments
from seldon_spec.observability.metrics.series import Series, histogram_size, sort_labels

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_KEY = "calls"  # what the key of a group's entry begins with
_SIZES = tuple(histogram_size(family.edges) for family in CALLS)
_COPY_CELLS = sum(_SIZES)
_SEALED_CELLS = _COPY_CELLS + 1
_GROUP_CELLS = 2 * _SEALED_CELLS
_VALUES = JOURNAL_COLUMNS - 1  # the last column is the checksum
_VALUE_BYTES = _VALUES * 8
_ROW_BYTES = JOURNAL_COLUMNS * 8
_pack_values = struct.Struct(f"{_VALUES}d").pack
_SEALED_ROW = struct.Struct(f"{_VALUE_BYTES}sQ")
_write_row = _SEALED_ROW.pack_into
_FOLD = 1 << 10  # the state is the count of folds times this, and the count of rows
_ROWS = _FOLD - 1

_TRIES = 100
_RETRY_SECONDS = 0.0005


def is_group(key: str) -> bool:
    """Whether the key of an entry is that of a group of calls."""
    return key.startswith(f'["{_KEY}"')


class CallBuffer:
    """Takes a worker's calls, in groups by method and outcome. Safe for threads.

    Args:
        slots: the memory.
        index: the worker's slot; what another process has left there is gone on with.
        lock: is held while the slot is written; whoever adds entries to the slot has to hold it, too.
    """

    def __init__(self, slots: Segments, index: int, lock: AbstractContextManager[object]) -> None:
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
        for entry in slots.own_entries(index):
            if is_group(entry.key):
                _, method, outcome = json.loads(entry.key)
                self._groups[method, outcome] = len(self._places)
                self._places.append(entry.place)
                _seal_copy(
                    slots, entry.place, self._state // _FOLD
                )  # the process that added it may have been killed before

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
            row = _pack_values(group, seconds, queue, decode, call, encode, rows, body_bytes)
            _write_row(self._bytes, at, row, crc32(row, self._state))
            self._next = at + _ROW_BYTES
            self._state = self._state_cell[0] = self._state + 1

    def _add_group(self, method: str, outcome: str) -> int | None:
        """The number of a new group; None: there is no room."""
        place = self._slots.append_own(self._index, json.dumps([_KEY, method, outcome]), _GROUP_CELLS)
        if place is None:
            return None
        _seal_copy(self._slots, place, self._state // _FOLD)
        self._groups[method, outcome] = len(self._places)
        self._places.append(place)
        return self._groups[method, outcome]

    def _fold(self) -> int:
        """Add the journal to the histograms and begin it anew; gives the place of its first row."""
        folds = self._state // _FOLD
        added = _tally(_view_rows(self._slots, self._index), len(self._places))
        for place, more in zip(self._places, added, strict=True):
            current, other = _view_copy(self._slots, place, folds), _view_copy(self._slots, place, folds + 1)
            other[:] = current + more
            _seal_copy(self._slots, place, folds + 1)
        self._state = self._state_cell[0] = (folds + 1) * _FOLD
        return self._first


def read_calls(slots: Segments, index: int, groups: Sequence[tuple[str, int]]) -> Iterator[tuple[Series, list[float]]]:
    """The histograms of a slot's calls, with all that has been observed before this is asked.

    What has no valid checksum after many tries is left out.

    Args:
        slots: the memory.
        index: the slot.
        groups: the keys and the places of the slot's groups, in their order.
    """
    for _ in range(_TRIES):
        state = slots.words[slots.journal_state(index)]
        rows = _copy_rows(slots, index, state)
        totals = [_copy_sealed(slots, place, state // _FOLD) for _, place in groups]
        is_whole = len(rows) == state & _ROWS and None not in totals
        if is_whole and slots.words[slots.journal_state(index)] // _FOLD == state // _FOLD:
            break
        time.sleep(_RETRY_SECONDS)
    values = _as_values(rows)
    values = values[values[:, 0] < len(groups)]  # a group that the list lacks had no call before the page was asked for
    for (key, _), total, more in zip(groups, totals, _tally(values, len(groups)), strict=True):
        if total is None:
            continue
        _, method, outcome = json.loads(key)
        cells = (_as_floats(total) + more).tolist()
        for family, size in zip(CALLS, _SIZES, strict=True):
            labels = {"method": method, "outcome": outcome} if family.name == DURATION else {"method": method}
            yield Series(MetricKind.HISTOGRAM, family.name, sort_labels(labels)), cells[:size]
            del cells[:size]


def _tally(rows: Floats, groups: int) -> Floats:
    """The histograms of some rows of a journal.

    Args:
        rows: of shape ``(rows, values)``: the group's number, and the values of one call.
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


def _copy_rows(slots: Segments, index: int, state: int) -> list[bytes]:
    """The rows that a slot's journal has in a state, without those whose checksum is wrong."""
    first, count = slots.journal(index) * 8, state & _ROWS
    raw = bytes(slots.bytes[first : first + count * _ROW_BYTES])
    begun = state - count
    return [
        row for number, (row, check) in enumerate(_SEALED_ROW.iter_unpack(raw), begun) if crc32(row, number) == check
    ]


def _view_rows(slots: Segments, index: int) -> Floats:
    """The values of all rows of a journal that is full, for its writer."""
    import numpy as np

    cells = np.frombuffer(slots.bytes, np.float64, JOURNAL_ROWS * JOURNAL_COLUMNS, slots.journal(index) * 8)
    return cells.reshape(JOURNAL_ROWS, JOURNAL_COLUMNS)[:, :_VALUES]


def _as_values(rows: Sequence[bytes]) -> Floats:
    """Rows as an array of shape ``(rows, columns)``."""
    import numpy as np

    return np.frombuffer(b"".join(rows), np.float64).reshape(len(rows), _VALUES)


def _find_copy(place: int, folds: int) -> int:
    """The place of the copy of a group's histograms that counts after so many folds; its checksum comes behind it."""
    return place + folds % 2 * _SEALED_CELLS


def _view_copy(slots: Segments, place: int, folds: int) -> Floats:
    import numpy as np

    return np.frombuffer(slots.bytes, np.float64, _COPY_CELLS, _find_copy(place, folds) * 8)


def _seal_copy(slots: Segments, place: int, folds: int) -> None:
    first = _find_copy(place, folds)
    slots.words[first + _COPY_CELLS] = crc32(slots.bytes[first * 8 : (first + _COPY_CELLS) * 8], folds)


def _copy_sealed(slots: Segments, place: int, folds: int) -> bytes | None:
    """The histograms of a group after so many folds; None: their checksum is wrong."""
    first = _find_copy(place, folds)
    content = bytes(slots.bytes[first * 8 : (first + _COPY_CELLS) * 8])
    return content if crc32(content, folds) == slots.words[first + _COPY_CELLS] else None


def _as_floats(content: bytes) -> Floats:
    import numpy as np

    return np.frombuffer(content, np.float64)


@cache
def _layout() -> tuple[list[Floats], NDArray[np.intp], NDArray[np.intp]]:
    """Of each histogram: its edges, and where in a copy its first cell is, and its last one, the sum; as columns."""
    import numpy as np

    ends = np.array([[end] for end in accumulate(_SIZES)], np.intp)
    sizes = np.array([[size] for size in _SIZES], np.intp)
    return [np.array(family.edges) for family in CALLS], ends - sizes, ends - 1

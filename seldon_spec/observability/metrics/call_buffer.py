"""The calls of a worker: a buffer that costs one write per call, and the histograms that it is flushed into.

Each request is measured by seven histograms. Finding a bucket in each of them, call by call, costs as much as decoding
a small request. So a call is one row of the buffer, and a full buffer is added to the histograms at once. A reader of
the segment adds the rows that are not flushed yet.

A segment has two copies of these histograms. One cell, the state of the buffer, holds the number of flushes and the
number of rows; the first copy is current after an even number of flushes, else the second. A flush writes the other
copy and then changes the state by one store. So a reader in another process never sees half a flush, and a worker that
is killed at any moment leaves consistent data.

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
from seldon_spec.observability.metrics.segments import BUFFER_COLUMNS, BUFFER_ROWS, Segments
from seldon_spec.observability.metrics.series import Series, histogram_size, sort_labels

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_KEY = "calls"  # the first item of a group's key
_SIZES = tuple(histogram_size(definition.bounds) for definition in CALLS)
_COPY_CELLS = sum(_SIZES)
_CHECKED_CELLS = _COPY_CELLS + 1
_GROUP_CELLS = 2 * _CHECKED_CELLS
_VALUES = BUFFER_COLUMNS - 1  # the last column is the checksum
_VALUE_BYTES = _VALUES * 8
_ROW_BYTES = BUFFER_COLUMNS * 8
_pack_values = struct.Struct(f"{_VALUES}d").pack
_CHECKED_ROW = struct.Struct(f"{_VALUE_BYTES}sQ")
_write_row = _CHECKED_ROW.pack_into
_FLUSH = 1 << 10  # the state is the number of flushes times this, plus the number of rows
_ROWS = _FLUSH - 1

_TRIES = 100
_RETRY_SECONDS = 0.0005


def is_group(key: str) -> bool:
    """Whether the key of an entry is that of a group of calls."""
    return key.startswith(f'["{_KEY}"')


class CallBuffer:
    """Records a worker's calls, in groups by method and outcome. Thread-safe.

    Args:
        segments: the memory.
        index: the worker's segment; what another process has left there is continued.
        lock: held while the segment is written; other writers of built-in entries of the segment must hold it too.
    """

    def __init__(self, segments: Segments, index: int, lock: AbstractContextManager[object]) -> None:
        self._segments = segments
        self._index = index
        self._lock = lock
        self._bytes = segments.bytes
        state = segments.buffer_state(index)
        self._state_cell = segments.words[state : state + 1]
        self._first = segments.buffer(index) * 8
        self._end = self._first + BUFFER_ROWS * _ROW_BYTES
        self._state = self._state_cell[0]
        self._next = self._first + (self._state & _ROWS) * _ROW_BYTES
        self._groups: dict[tuple[str, str], int] = {}
        self._cells: list[int] = []
        for entry in segments.builtin_entries(index):
            if is_group(entry.key):
                _, method, outcome = json.loads(entry.key)
                self._groups[method, outcome] = len(self._cells)
                self._cells.append(entry.cell)
                # the process that added it may have been killed before it wrote the checksum
                _write_checksum(segments, entry.cell, self._state // _FLUSH)

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
        """Record one call; see ``MetricsSink.observe_call``."""
        with self._lock:
            group = self._groups.get((method, outcome))
            if group is None:
                group = self._add_group(method, outcome)
                if group is None:
                    return
            at = self._next
            if at == self._end:
                at = self._flush()
            row = _pack_values(group, seconds, queue, decode, call, encode, rows, body_bytes)
            _write_row(self._bytes, at, row, crc32(row, self._state))
            self._next = at + _ROW_BYTES
            self._state = self._state_cell[0] = self._state + 1

    def _add_group(self, method: str, outcome: str) -> int | None:
        """Return the number of a new group; None if there is no space."""
        cell = self._segments.append_builtin(self._index, json.dumps([_KEY, method, outcome]), _GROUP_CELLS)
        if cell is None:
            return None
        _write_checksum(self._segments, cell, self._state // _FLUSH)
        self._groups[method, outcome] = len(self._cells)
        self._cells.append(cell)
        return self._groups[method, outcome]

    def _flush(self) -> int:
        """Add the buffer to the histograms and clear it; return the byte offset of its first row."""
        import numpy as np

        flushes = self._state // _FLUSH
        buffer = np.frombuffer(self._bytes, np.float64, BUFFER_ROWS * BUFFER_COLUMNS, self._first)
        added = _sum_up(buffer.reshape(BUFFER_ROWS, BUFFER_COLUMNS)[:, :_VALUES], len(self._cells))
        for cell, more in zip(self._cells, added, strict=True):
            current, other = _view_copy(self._segments, cell, flushes), _view_copy(self._segments, cell, flushes + 1)
            other[:] = current + more
            _write_checksum(self._segments, cell, flushes + 1)
        self._state = self._state_cell[0] = (flushes + 1) * _FLUSH
        return self._first


def read_calls(
    segments: Segments, index: int, groups: Sequence[tuple[str, int]]
) -> Iterator[tuple[Series, list[float]]]:
    """Yield the histograms of a segment's calls, including all calls observed before.

    Data whose checksum is still wrong after many tries is left out.

    Args:
        segments: the memory.
        index: the segment.
        groups: keys and cells of the segment's groups, in their order.
    """
    import numpy as np

    for _ in range(_TRIES):
        state = segments.words[segments.buffer_state(index)]
        rows = _copy_rows(segments, index, state)
        totals = [_read_copy(segments, cell, state // _FLUSH) for _, cell in groups]
        is_complete = len(rows) == state & _ROWS and None not in totals
        if is_complete and segments.words[segments.buffer_state(index)] // _FLUSH == state // _FLUSH:
            break
        time.sleep(_RETRY_SECONDS)
    values = np.frombuffer(b"".join(rows), np.float64).reshape(len(rows), _VALUES)
    values = values[values[:, 0] < len(groups)]  # a group missing in the list had no call before this function's call
    for (key, _), total, more in zip(groups, totals, _sum_up(values, len(groups)), strict=True):
        if total is None:
            continue
        _, method, outcome = json.loads(key)
        cells = (np.frombuffer(total, np.float64) + more).tolist()
        for definition, size in zip(CALLS, _SIZES, strict=True):
            labels = {"method": method, "outcome": outcome} if definition.name == DURATION else {"method": method}
            yield Series(MetricKind.HISTOGRAM, definition.name, sort_labels(labels)), cells[:size]
            del cells[:size]


def _sum_up(rows: Floats, groups: int) -> Floats:
    """Return the histograms of rows of a buffer.

    Args:
        rows: of shape ``(rows, values)``: the group's number, and the values of one call.
        groups: the number of groups.

    Returns:
        The cells to add to each group's, of shape ``(groups, cells of a copy)``.
    """
    import numpy as np

    columns = np.ascontiguousarray(rows.T)
    values = columns[1:]
    is_known = ~np.isnan(values)
    all_bounds, firsts, sums = _layout()
    cells = np.stack((firsts, sums)) + columns[0].astype(np.intp) * _COPY_CELLS
    for bins, bounds, column in zip(cells[0], all_bounds, values, strict=True):
        bins += bounds.searchsorted(column)
    weights = np.stack((is_known, np.where(is_known, values, 0.0)))
    added = np.bincount(cells.ravel(), weights.ravel(), groups * _COPY_CELLS)
    return added.astype(np.float64, copy=False).reshape(groups, _COPY_CELLS)


def _copy_rows(segments: Segments, index: int, state: int) -> list[bytes]:
    """Return the rows that a segment's buffer has in a state, without those whose checksum is wrong."""
    first, count = segments.buffer(index) * 8, state & _ROWS
    raw = bytes(segments.bytes[first : first + count * _ROW_BYTES])
    return [
        row
        for number, (row, checksum) in enumerate(_CHECKED_ROW.iter_unpack(raw), state - count)
        if crc32(row, number) == checksum
    ]


def _copy_cell(group_cell: int, flushes: int) -> int:
    """Return the first cell of the copy that is current after some flushes; its checksum follows it."""
    return group_cell + flushes % 2 * _CHECKED_CELLS


def _view_copy(segments: Segments, group_cell: int, flushes: int) -> Floats:
    import numpy as np

    return np.frombuffer(segments.bytes, np.float64, _COPY_CELLS, _copy_cell(group_cell, flushes) * 8)


def _write_checksum(segments: Segments, group_cell: int, flushes: int) -> None:
    first = _copy_cell(group_cell, flushes)
    segments.words[first + _COPY_CELLS] = crc32(segments.bytes[first * 8 : (first + _COPY_CELLS) * 8], flushes)


def _read_copy(segments: Segments, group_cell: int, flushes: int) -> bytes | None:
    """Return a group's histograms after some flushes; None if their checksum is wrong."""
    first = _copy_cell(group_cell, flushes)
    content = bytes(segments.bytes[first * 8 : (first + _COPY_CELLS) * 8])
    return content if crc32(content, flushes) == segments.words[first + _COPY_CELLS] else None


@cache
def _layout() -> tuple[list[Floats], NDArray[np.intp], NDArray[np.intp]]:
    """Return each histogram's bounds, and the positions of its first cell and its sum in a copy, as columns."""
    import numpy as np

    ends = np.array([[end] for end in accumulate(_SIZES)], np.intp)
    sizes = np.array([[size] for size in _SIZES], np.intp)
    return [np.array(definition.bounds) for definition in CALLS], ends - sizes, ends - 1

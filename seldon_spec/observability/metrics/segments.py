"""The shared memory of the metrics: a segment for each process that writes, and the totals of exited workers."""

from __future__ import annotations

import logging
import math
import mmap
import struct
import time
from collections.abc import Iterator, MutableSequence
from typing import NamedTuple, cast
from zlib import crc32

from seldon_spec.observability.metrics.series import is_gauge

logger = logging.getLogger(__name__)

SERIES_BYTES = 4 << 20
GAUGES = 3
"""The number of built-in gauges, which are at fixed cells of each segment."""
BUFFER_ROWS = 512
BUFFER_COLUMNS = 9
BUILTIN_CELLS = 65536
"""The space for built-in entries: sixteen groups of calls take 5,800 cells, the batches 600, and six series of each of
200 components of a graph 56,000. Pages that are never written take no memory."""

_USED, _BUILTIN_USED, _HELD, _DROPPED, _FIRST_GAUGE = range(5)
_BUFFER_STATE = _FIRST_GAUGE + GAUGES
_BUFFER = _BUFFER_STATE + 1
_FIRST_BUILTIN = _BUFFER + BUFFER_ROWS * BUFFER_COLUMNS
_FIRST_SERIES = _FIRST_BUILTIN + BUILTIN_CELLS

_HEADER = struct.Struct("=IIQQ")
_HEADER_CELLS = _HEADER.size // 8
_RELEASE = 1 << 32  # the first cell of a segment is the number of releases times this, plus the number of used cells

_TRIES = 400
_RETRY_SECONDS = 0.005


class InconsistentSegment(Exception):
    """The metrics cannot be read: another process does not finish what it writes."""


class Entry(NamedTuple):
    """One entry of a segment.

    Attributes:
        key: identifies the series.
        cell: index of its first value, in cells of the memory that it was read from.
        size: number of values.
        held_since: when the process that added it acquired the segment, by ``time.monotonic_ns``.
    """

    key: str
    cell: int
    size: int
    held_since: int


def retry() -> Iterator[None]:
    """Yield until the caller has read consistent data, and sleep in between.

    Raises:
        InconsistentSegment: it never is.
    """
    for _ in range(_TRIES):
        yield
        time.sleep(_RETRY_SECONDS)
    raise InconsistentSegment("the metrics cannot be read: the supervisor does not finish its update")


class Segments:
    """Shared memory of one component: a segment per worker and one for the supervisor; allocated before the fork.

    A segment is a row of 8-byte cells. At fixed cells are: the number of used cells, whether a process holds the
    segment, the built-in gauges, and the buffer of the latest calls with its state. Then come the entries of built-in
    metrics, whose space is reserved, and then those of user series. An entry is a header, the key's UTF-8 text padded
    to whole cells, and the values as doubles. While a process holds the segment, entries are only appended.

    The user series of a worker that exited are moved to the supervisor's segment: its counters and histograms are added
    to the totals there, and its gauges are dropped. So every worker starts with an empty segment, and no counter
    decreases. Totals of series that no running worker has are removed when their space is needed.

    A processor may make stores visible to other processes in another order, so no reader relies on their order. The
    header of an entry has a checksum. The totals have one too, and they list the releases that they include: until the
    list agrees with the segments, a reader retries.

    Args:
        count: the maximum number of workers at one time.
        series_bytes: the size of one worker's user series.

    Attributes:
        count: the number of workers' segments.
        supervisor: the index of the supervisor's segment, which is the last one.
        bytes: all cells.
        values: all cells as doubles.
        words: all cells as unsigned integers.
    """

    def __init__(self, count: int = 1, series_bytes: int = SERIES_BYTES) -> None:
        self.count = count
        self.supervisor = count
        self._cells = _FIRST_SERIES + series_bytes // 8
        self._totals_header = 1 + count  # the checksum, and the releases that the totals include
        totals_cells = _FIRST_SERIES + self._totals_header + count * (series_bytes // 8)
        self._is_full = False
        self._totals: dict[str, int] = {}
        self.bytes = memoryview(mmap.mmap(-1, (count * self._cells + totals_cells) * 8))
        self.values = cast("MutableSequence[float]", self.bytes.cast("d"))
        self.words = self.bytes.cast("Q")
        self._ends = [*((index + 1) * self._cells for index in range(count)), len(self.words)]
        for index in range(count + 1):
            self.words[index * self._cells + _BUILTIN_USED] = _FIRST_BUILTIN
        self._set_used(self.supervisor, self._totals_header)
        self._write_totals_checksum()

    # Ownership

    def hold(self, index: int) -> None:
        """Mark the segment as held by the calling process; its gauges have no value yet."""
        for number in range(GAUGES):
            self.values[self.gauge(index, number)] = math.nan
        self.words[index * self._cells + _HELD] = time.monotonic_ns()

    def release(self, index: int) -> None:
        """Move the series of an exited process to the totals. For the supervisor."""
        start = index * self._cells
        self.words[start + _HELD] = 0
        first, used, releases = start + _FIRST_SERIES, self._used(index), self._releases(index)
        entries = list(_read_entries(self.bytes, first, first + used, releases))
        for entry in entries:
            if not is_gauge(entry.key):
                self._add_to_totals(entry, index)
        self.words[self._totals_cell + 1 + index] = releases + 1
        self._write_totals_checksum()
        self.bytes[first * 8 : (first + used) * 8] = bytes(used * 8)
        self.words[start + _USED] = (releases + 1) * _RELEASE

    def is_held(self, index: int) -> bool:
        """Whether a process holds the segment."""
        return self.words[index * self._cells + _HELD] != 0

    # Fixed cells

    def gauge(self, index: int, number: int) -> int:
        """Return the cell of one of the ``GAUGES`` built-in gauges."""
        return index * self._cells + _FIRST_GAUGE + number

    def buffer_state(self, index: int) -> int:
        """Return the cell of the state of a segment's call buffer."""
        return index * self._cells + _BUFFER_STATE

    def buffer(self, index: int) -> int:
        """Return the first of the ``BUFFER_ROWS`` times ``BUFFER_COLUMNS`` cells of a segment's call buffer."""
        return index * self._cells + _BUFFER

    def count_dropped(self) -> int:
        """Return the number of values dropped because there was no space for their series."""
        return sum(self.words[index * self._cells + _DROPPED] for index in range(self.count + 1))

    # Entries

    def append_builtin(self, index: int, key: str, size: int) -> int | None:
        """Append an entry of a built-in metric to a segment; see ``append``."""
        start = index * self._cells
        first = self.words[start + _BUILTIN_USED]
        end = start + _FIRST_SERIES
        cell = self._write_entry(start + first, end, key, size, held_since=0, releases=0)
        if cell is not None:
            self.words[start + _BUILTIN_USED] = cell + size - start
        return cell

    def append(self, index: int, key: str, size: int) -> int | None:
        """Append an entry of ``size`` zeros to the user series of a segment.

        Returns:
            The cell of its first value; None if there is no space, which is counted and logged once.
        """
        return self._append(index, key, size, self.words[index * self._cells + _HELD])

    def _append(self, index: int, key: str, size: int, held_since: int) -> int | None:
        first = index * self._cells + _FIRST_SERIES
        used = self._used(index)
        cell = self._write_entry(first + used, self._ends[index], key, size, held_since, self._releases(index))
        if cell is None:
            self.words[index * self._cells + _DROPPED] += 1
        else:
            self._set_used(index, cell + size - first)
        return cell

    def builtin_entries(self, index: int, first: int = 0) -> Iterator[Entry]:
        """Return the entries of built-in metrics in a segment from a cell on, oldest first."""
        start = index * self._cells
        end = start + self.words[start + _BUILTIN_USED]
        return _read_entries(self.bytes, max(start + _FIRST_BUILTIN, first), end, releases=0)

    def _write_entry(self, first: int, end: int, key: str, size: int, held_since: int, releases: int) -> int | None:
        text = key.encode()
        cell = first + _HEADER_CELLS + _cells_of(text)
        if cell + size > end:
            if not self._is_full:
                self._is_full = True
                logger.error("no space for another metric series, such as %.200s: new series are dropped", key)
            return None
        text_byte = (first + _HEADER_CELLS) * 8
        self.bytes[text_byte : text_byte + len(text)] = text
        checksum = _checksum(text, size, held_since, releases)
        _HEADER.pack_into(self.bytes, first * 8, len(text), size, held_since, checksum)
        return cell

    def _used(self, index: int) -> int:
        return self.words[index * self._cells + _USED] % _RELEASE

    def _set_used(self, index: int, cells: int) -> None:
        self.words[index * self._cells + _USED] = self._releases(index) * _RELEASE + cells

    def _releases(self, index: int) -> int:
        return self.words[index * self._cells + _USED] // _RELEASE

    # Totals of exited workers

    @property
    def _totals_cell(self) -> int:
        return self.supervisor * self._cells + _FIRST_SERIES

    def _write_totals_checksum(self) -> None:
        first = self._totals_cell
        content = self.bytes[(first + 1) * 8 : (first + self._used(self.supervisor)) * 8]
        self.words[first] = crc32(content)

    def _add_to_totals(self, entry: Entry, index: int) -> None:
        cell = self._totals.get(entry.key)
        if cell is None:
            cell = self._append_total(entry, index)
            if cell is None:
                return
        text = entry.key.encode()
        header_byte = (cell - _cells_of(text) - _HEADER_CELLS) * 8
        checksum = _checksum(text, entry.size, entry.held_since, releases=0)
        _HEADER.pack_into(self.bytes, header_byte, len(text), entry.size, entry.held_since, checksum)
        for number in range(entry.size):
            self.values[cell + number] += self.values[entry.cell + number]

    def _append_total(self, entry: Entry, index: int) -> int | None:
        needed = _HEADER_CELLS + _cells_of(entry.key.encode()) + entry.size
        if self._totals_cell + self._used(self.supervisor) + needed > self._ends[self.supervisor]:
            self._remove_unused_totals(index)
        cell = self._append(self.supervisor, entry.key, entry.size, entry.held_since)
        if cell is not None:
            self._totals[entry.key] = cell
        return cell

    def _remove_unused_totals(self, exiting: int) -> None:
        """Remove the totals of all series that neither a running worker has nor the exiting one."""
        used = set()
        for index in range(self.count):
            if index == exiting or self.is_held(index):
                first = index * self._cells + _FIRST_SERIES
                entries = _read_entries(self.bytes, first, first + self._used(index), self._releases(index))
                used |= {entry.key for entry in entries}
        first, end = self._totals_cell + self._totals_header, self._totals_cell + self._used(self.supervisor)
        kept = [
            (entry, [self.values[entry.cell + number] for number in range(entry.size)])
            for entry in _read_entries(self.bytes, first, end, releases=0)
            if entry.key in used
        ]
        logger.info("metrics: removed %d series that only exited workers had", len(self._totals) - len(kept))
        self.bytes[first * 8 : end * 8] = bytes((end - first) * 8)
        self._set_used(self.supervisor, self._totals_header)
        self._totals.clear()
        for entry, values in kept:
            cell = self._append(self.supervisor, entry.key, entry.size, entry.held_since)
            assert cell is not None, "it had space before"
            self._totals[entry.key] = cell
            for number, value in enumerate(values):
                self.values[cell + number] = value

    # Reading

    def series_entries(self, index: int, first: int = 0) -> Iterator[Entry]:
        """Yield the entries of user series in a segment, oldest first, up to one that is not completely visible yet.

        Args:
            index: the segment; that of the supervisor has the totals.
            first: the cell from which on to read.
        """
        start = index * self._cells + _FIRST_SERIES
        end = start + self._used(index)
        if index == self.supervisor:
            start += self._totals_header
        return _read_entries(self.bytes, max(start, first), end, self._releases(index))

    def count_releases(self) -> list[int]:
        """Return the number of releases of each worker's segment."""
        return [self._releases(index) for index in range(self.count)]

    def is_consistent(self, releases: list[int]) -> bool:
        """Whether each value is there once: the totals include these releases, and there were no others since then."""
        first = self._totals_cell
        content = self.bytes[(first + 1) * 8 : (first + self._used(self.supervisor)) * 8]
        is_valid = self.words[first] == crc32(content)
        return is_valid and content[: self.count * 8].cast("Q").tolist() == releases == self.count_releases()


def _cells_of(text: bytes) -> int:
    return -(-len(text) // 8)


def _checksum(text: bytes, size: int, held_since: int, releases: int) -> int:
    return crc32(text, crc32(struct.pack("=QQQ", size, held_since, releases)))


def _read_entries(content: memoryview, first: int, end: int, releases: int) -> Iterator[Entry]:
    while first < end:
        length, size, held_since, checksum = _HEADER.unpack_from(content, first * 8)
        text_byte = (first + _HEADER_CELLS) * 8
        text = bytes(content[text_byte : text_byte + length])
        if checksum != _checksum(text, size, held_since, releases):
            return
        cell = first + _HEADER_CELLS + _cells_of(text)
        yield Entry(text.decode(), cell, size, held_since)
        first = cell + size

"""The shared memory of the metrics: a slot for each process that writes, and the totals of the workers that ended."""

from __future__ import annotations

import logging
import math
import mmap
import struct
import time
from collections.abc import Iterator, MutableSequence
from dataclasses import dataclass
from typing import cast
from zlib import crc32

from seldon_spec.observability.metrics.series import is_gauge

logger = logging.getLogger(__name__)

SERIES_BYTES = 4 << 20
GAUGES = 3
"""How many gauges of the server's own are at a known place of each slot."""
JOURNAL_ROWS = 512
JOURNAL_COLUMNS = 9
OWN_CELLS = 8192
"""What the server's own entries have: sixteen groups of calls take 5,800 of them, and the batches 600."""

_USED, _OWN_USED, _HELD, _DROPPED, _FIRST_GAUGE = range(5)
_JOURNAL_STATE = _FIRST_GAUGE + GAUGES
_JOURNAL = _JOURNAL_STATE + 1
_FIRST_OWN = _JOURNAL + JOURNAL_ROWS * JOURNAL_COLUMNS
_FIRST_SERIES = _FIRST_OWN + OWN_CELLS

_HEAD = struct.Struct("=IIQQ")
_HEAD_CELLS = _HEAD.size // 8
_RELEASE = 1 << 32  # the first cell of a slot is the number of releases times this, plus the count of used cells

_TRIES = 400
_RETRY_SECONDS = 0.005


class InconsistentSegment(Exception):
    """The metrics cannot be read: another process does not finish what it writes."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a slot.

    Attributes:
        key: what it is.
        place: of its first value, in cells of the memory that it was read from.
        size: how many values it has.
        stamp: when the process that added it took the slot, by ``time.monotonic_ns``.
    """

    key: str
    place: int
    size: int
    stamp: int


@dataclass(frozen=True, slots=True)
class SeriesCopy:
    """A copy of the user's series of one slot.

    Attributes:
        content: the cells.
        releases: how often the slot has been released; where this changes, the entries are others.
    """

    content: bytes
    releases: int

    def entries(self, first: int = 0) -> Iterator[Entry]:
        """The entries from a cell on; an entry whose writer is not visible yet ends them."""
        return _read_entries(memoryview(self.content), first, len(self.content) // 8, self.releases)


class Segments:
    """Shared memory with a slot for each worker, and one for the supervisor; made before the workers are forked.

    A slot is a row of 8-byte cells. At known places are: how many cells are in use, whether a process has the slot, the
    server's own gauges, and the journal of the latest calls with its state. Then come the entries of the server's own
    families, for which there is always room, and then those of the user's series. An entry is a head, the key's UTF-8
    text padded to whole cells, and the values as doubles. While a process has the slot, entries are only added.

    The user's series of a worker that ended are moved to the supervisor's slot: its counters and histograms are added
    to the totals there, and its gauges are dropped. So every worker starts with an empty slot, and no counter falls.
    Totals that no running worker has are removed when there is no room for others.

    A processor may make stores visible to other processes in another order, so no reader relies on their order. The
    head of an entry has a checksum. The totals have one too, and they say which releases they include: until that
    agrees with the slots, a reader tries again.

    Args:
        count: how many workers may have a slot at one time.
        series_bytes: how much memory the user's series of one worker have.

    Attributes:
        count: how many slots are the workers'.
        supervisor: the number of the supervisor's slot, which comes after them.
        bytes: all cells, as they are.
        values: all cells, as doubles.
        words: all cells, as unsigned integers.
    """

    def __init__(self, count: int = 1, series_bytes: int = SERIES_BYTES) -> None:
        self.count = count
        self.supervisor = count
        self._cells = _FIRST_SERIES + series_bytes // 8
        self._totals_head = 1 + count  # the checksum, and the releases that the totals include
        totals_cells = _FIRST_SERIES + self._totals_head + count * (series_bytes // 8)
        self._is_full = False
        self._totals: dict[str, int] = {}
        self.bytes = memoryview(mmap.mmap(-1, (count * self._cells + totals_cells) * 8))
        self.values = cast("MutableSequence[float]", self.bytes.cast("d"))
        self.words = self.bytes.cast("Q")
        self._ends = [*((index + 1) * self._cells for index in range(count)), len(self.words)]
        for index in range(count + 1):
            self.words[index * self._cells + _OWN_USED] = _FIRST_OWN
        self._set_used(self.supervisor, self._totals_head)
        self._seal_totals()

    # Who has a slot

    def hold(self, index: int) -> None:
        """A process has the slot from now on; its gauges have no value yet."""
        for number in range(GAUGES):
            self.values[self.gauge(index, number)] = math.nan
        self.words[index * self._cells + _HELD] = time.monotonic_ns()

    def release(self, index: int) -> None:
        """The process that had the slot has ended: move its series to the totals. For the supervisor."""
        start = index * self._cells
        self.words[start + _HELD] = 0
        first, used, releases = start + _FIRST_SERIES, self._used(index), self._releases(index)
        ended = list(_read_entries(self.bytes, first, first + used, releases))
        for entry in ended:
            if not is_gauge(entry.key):
                self._add_to_totals(entry, index)
        self.words[self._totals_cell + 1 + index] = releases + 1
        self._seal_totals()
        self.bytes[first * 8 : (first + used) * 8] = bytes(used * 8)
        self.words[start + _USED] = (releases + 1) * _RELEASE

    def is_held(self, index: int) -> bool:
        """Whether a process has the slot."""
        return self.words[index * self._cells + _HELD] != 0

    # Known places

    def gauge(self, index: int, number: int) -> int:
        """The place in ``values`` of one of the server's own gauges, of which there are ``GAUGES``."""
        return index * self._cells + _FIRST_GAUGE + number

    def journal_state(self, index: int) -> int:
        """The place in ``words`` of the state of a slot's journal."""
        return index * self._cells + _JOURNAL_STATE

    def journal(self, index: int) -> int:
        """The place in ``values`` of a slot's journal: ``JOURNAL_ROWS`` times ``JOURNAL_COLUMNS`` cells."""
        return index * self._cells + _JOURNAL

    def count_dropped(self) -> int:
        """How many values were dropped because there was no room for their series."""
        return sum(self.words[index * self._cells + _DROPPED] for index in range(self.count + 1))

    # Entries

    def append_own(self, index: int, key: str, size: int) -> int | None:
        """Add an entry of the server's own to a slot; see ``append``."""
        start = index * self._cells
        first = self.words[start + _OWN_USED]
        end = start + _FIRST_SERIES
        place = self._write_entry(start + first, end, key, size, stamp=0, releases=0)
        if place is not None:
            self.words[start + _OWN_USED] = place + size - start
        return place

    def append(self, index: int, key: str, size: int) -> int | None:
        """Add an entry of ``size`` zeros to the user's series of a slot.

        Returns:
            The place of its first value, for ``values``; None if there is no room, which is counted and logged once.
        """
        return self._append(index, key, size, self.words[index * self._cells + _HELD])

    def _append(self, index: int, key: str, size: int, stamp: int) -> int | None:
        first = index * self._cells + _FIRST_SERIES
        used = self._used(index)
        place = self._write_entry(first + used, self._ends[index], key, size, stamp, self._releases(index))
        if place is None:
            self.words[index * self._cells + _DROPPED] += 1
        else:
            self._set_used(index, place + size - first)
        return place

    def own_entries(self, index: int) -> Iterator[Entry]:
        """The entries of the server's own in a slot, oldest first."""
        start = index * self._cells
        return _read_entries(self.bytes, start + _FIRST_OWN, start + self.words[start + _OWN_USED], releases=0)

    def _write_entry(self, cell: int, end: int, key: str, size: int, stamp: int, releases: int) -> int | None:
        text = key.encode()
        place = cell + _HEAD_CELLS + _cells_of(text)
        if place + size > end:
            if not self._is_full:
                self._is_full = True
                logger.error("no room for another metric series, such as %.200s: new ones are dropped", key)
            return None
        offset = (cell + _HEAD_CELLS) * 8
        self.bytes[offset : offset + len(text)] = text
        _HEAD.pack_into(self.bytes, cell * 8, len(text), size, stamp, _checksum(text, size, stamp, releases))
        return place

    def _used(self, index: int) -> int:
        return self.words[index * self._cells + _USED] % _RELEASE

    def _set_used(self, index: int, cells: int) -> None:
        self.words[index * self._cells + _USED] = self._releases(index) * _RELEASE + cells

    def _releases(self, index: int) -> int:
        return self.words[index * self._cells + _USED] // _RELEASE

    # Totals of workers that ended

    @property
    def _totals_cell(self) -> int:
        return self.supervisor * self._cells + _FIRST_SERIES

    def _seal_totals(self) -> None:
        first = self._totals_cell
        content = self.bytes[(first + 1) * 8 : (first + self._used(self.supervisor)) * 8]
        self.words[first] = crc32(content)

    def _add_to_totals(self, entry: Entry, index: int) -> None:
        place = self._totals.get(entry.key)
        if place is None:
            place = self._append_total(entry, index)
            if place is None:
                return
        text = entry.key.encode()
        head = (place - _cells_of(text) - _HEAD_CELLS) * 8
        checksum = _checksum(text, entry.size, entry.stamp, releases=0)
        _HEAD.pack_into(self.bytes, head, len(text), entry.size, entry.stamp, checksum)
        for number in range(entry.size):
            self.values[place + number] += self.values[entry.place + number]

    def _append_total(self, entry: Entry, index: int) -> int | None:
        needed = _HEAD_CELLS + _cells_of(entry.key.encode()) + entry.size
        if self._totals_cell + self._used(self.supervisor) + needed > self._ends[self.supervisor]:
            self._remove_unused_totals(index)
        place = self._append(self.supervisor, entry.key, entry.size, entry.stamp)
        if place is not None:
            self._totals[entry.key] = place
        return place

    def _remove_unused_totals(self, ending: int) -> None:
        """Remove the totals of all series that neither a running worker has, nor the one that is ending."""
        used = set()
        for index in range(self.count):
            if index == ending or self.is_held(index):
                first = index * self._cells + _FIRST_SERIES
                entries = _read_entries(self.bytes, first, first + self._used(index), self._releases(index))
                used |= {entry.key for entry in entries}
        first, end = self._totals_cell + self._totals_head, self._totals_cell + self._used(self.supervisor)
        kept = [
            (entry, [self.values[entry.place + number] for number in range(entry.size)])
            for entry in _read_entries(self.bytes, first, end, releases=0)
            if entry.key in used
        ]
        logger.info("metrics: removed %d series that only ended workers had", len(self._totals) - len(kept))
        self.bytes[first * 8 : end * 8] = bytes((end - first) * 8)
        self._set_used(self.supervisor, self._totals_head)
        self._totals.clear()
        for entry, values in kept:
            place = self._append(self.supervisor, entry.key, entry.size, entry.stamp)
            assert place is not None, "there was room for it before"
            self._totals[entry.key] = place
            for number, value in enumerate(values):
                self.values[place + number] = value

    # Reading

    def copy_series(self) -> list[SeriesCopy]:
        """Copy the user's series of each slot, and last the totals, so that no value is missing or there twice.

        Raises:
            Inconsistent: the supervisor does not finish a release.
        """
        for _ in range(_TRIES):
            copies = [self._copy(index) for index in range(self.count + 1)]
            totals = copies.pop()
            head = memoryview(totals.content)[: self._totals_head * 8].cast("Q").tolist()
            is_sound = head[0] == crc32(memoryview(totals.content)[8:])
            if is_sound and head[1:] == [self._releases(i) for i in range(self.count)] == [c.releases for c in copies]:
                return [*copies, SeriesCopy(totals.content[self._totals_head * 8 :], 0)]
            time.sleep(_RETRY_SECONDS)
        raise InconsistentSegment("the metrics cannot be read: the supervisor does not finish its update")

    def _copy(self, index: int) -> SeriesCopy:
        releases, used = divmod(self.words[index * self._cells + _USED], _RELEASE)
        first = (index * self._cells + _FIRST_SERIES) * 8
        return SeriesCopy(bytes(self.bytes[first : first + used * 8]), releases)


def _cells_of(text: bytes) -> int:
    return -(-len(text) // 8)


def _checksum(text: bytes, size: int, stamp: int, releases: int) -> int:
    return crc32(text, crc32(struct.pack("=QQQ", size, stamp, releases)))


def _read_entries(content: memoryview, first: int, end: int, releases: int) -> Iterator[Entry]:
    while first < end:
        length, size, stamp, checksum = _HEAD.unpack_from(content, first * 8)
        offset = (first + _HEAD_CELLS) * 8
        text = bytes(content[offset : offset + length])
        if checksum != _checksum(text, size, stamp, releases):
            return
        place = first + _HEAD_CELLS + _cells_of(text)
        yield Entry(text.decode(), place, size, stamp)
        first = place + size

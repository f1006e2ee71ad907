"""The shared memory that the metrics stand in: a slot for each process that writes."""

from __future__ import annotations

import logging
import math
import mmap
import struct
from collections.abc import Iterator, MutableSequence
from typing import cast

logger = logging.getLogger(__name__)

SLOT_BYTES = 4 << 20
GAUGES = 3
"""How many gauges of the server's own stand at a known place of each slot."""
JOURNAL_ROWS = 512
JOURNAL_COLUMNS = 8

_USED, _HELD, _FIRST_GAUGE = 0, 1, 2
_JOURNAL_STATE = _FIRST_GAUGE + GAUGES
_JOURNAL = _JOURNAL_STATE + 1
_FIRST_ENTRY = _JOURNAL + JOURNAL_ROWS * JOURNAL_COLUMNS


class Slots:
    """Shared memory with a slot for each worker, and one more for the supervisor; made before the workers are forked.

    A slot is a row of 8-byte cells. At known places stand: how many cells are in use, whether a process has the slot,
    the server's own gauges, and the journal of the latest calls with its state. Then come the entries: a cell with the
    lengths of the key and of the values, the key's UTF-8 text padded to whole cells, and the values as doubles. Entries
    are only ever added, and the count of cells is written last, so a reader in another process sees whole entries.

    Args:
        count: how many workers may have a slot at one time.
        slot_bytes: of each; the journal takes 32 KiB of them.

    Attributes:
        count: how many slots are the workers'.
        supervisor: the number of the supervisor's slot, which comes after them.
        bytes: all cells, as they are.
        values: all cells, as doubles.
        words: all cells, as unsigned integers.
    """

    def __init__(self, count: int = 1, slot_bytes: int = SLOT_BYTES) -> None:
        self.count = count
        self.supervisor = count
        self._cells = slot_bytes // 8
        self._is_full = False
        self.bytes = memoryview(mmap.mmap(-1, (count + 1) * self._cells * 8))
        self.values = cast("MutableSequence[float]", self.bytes.cast("d"))
        self.words = self.bytes.cast("Q")

    def hold(self, index: int) -> None:
        """A process has the slot from now on; its gauges are those of nobody yet."""
        for number in range(GAUGES):
            self.values[self.gauge(index, number)] = math.nan
        self.words[index * self._cells + _HELD] = 1

    def release(self, index: int) -> None:
        """The process that had the slot has ended; another may have it, and goes on with its entries."""
        self.words[index * self._cells + _HELD] = 0

    def is_held(self, index: int) -> bool:
        """Whether a process has the slot."""
        return self.words[index * self._cells + _HELD] == 1

    def gauge(self, index: int, number: int) -> int:
        """The place in ``values`` of one of the server's own gauges, of which there are ``GAUGES``."""
        return index * self._cells + _FIRST_GAUGE + number

    def journal_state(self, index: int) -> int:
        """The place in ``words`` of the state of a slot's journal."""
        return index * self._cells + _JOURNAL_STATE

    def journal(self, index: int) -> int:
        """The place in ``values`` of a slot's journal: ``JOURNAL_ROWS`` times ``JOURNAL_COLUMNS`` cells."""
        return index * self._cells + _JOURNAL

    def append(self, index: int, key: str, size: int) -> int | None:
        """Add an entry of ``size`` zeros to a slot.

        Returns:
            The place of its first value, for ``values``; None if the slot is full, which is told once in the log.
        """
        text = key.encode()
        start = index * self._cells
        entry = max(_FIRST_ENTRY, self.words[start + _USED])
        first = entry + 1 + -(-len(text) // 8)
        if first + size > self._cells:
            self._tell_full(key)
            return None
        struct.pack_into("=II", self.bytes, (start + entry) * 8, len(text), size)
        offset = (start + entry + 1) * 8
        self.bytes[offset : offset + len(text)] = text
        self.words[start + _USED] = first + size
        return start + first

    def _tell_full(self, key: str) -> None:
        if not self._is_full:
            self._is_full = True
            logger.error("no room for another metric series, such as %.200s: new ones are dropped", key)

    def entries(self, index: int) -> Iterator[tuple[str, int, int]]:
        """The entries of a slot, oldest first: key, place of the first value, count of values."""
        start = index * self._cells
        entry, end = _FIRST_ENTRY, self.words[start + _USED]
        while entry < end:
            length, size = struct.unpack_from("=II", self.bytes, (start + entry) * 8)
            offset = (start + entry + 1) * 8
            first = entry + 1 + -(-length // 8)
            yield bytes(self.bytes[offset : offset + length]).decode(), start + first, size
            entry = first + size

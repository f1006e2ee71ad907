"""An LRU cache that floods of new keys cannot empty: a key is added when it is offered for the second time."""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, TypeVar

Value = TypeVar("Value")


class BoundedCache(Generic[Value]):
    """Values by bytes, bounded in entries and in bytes.

    A key that is offered for the first time leaves only its hash, in a bounded list of candidates. So keys that occur
    once neither take memory nor evict anything.

    Args:
        max_entries: of the cache; the number of candidates is four times this.
        max_bytes: of all entries together, as given to ``offer``.
    """

    def __init__(self, max_entries: int, max_bytes: int) -> None:
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._max_candidates = 4 * max_entries
        self._entries: OrderedDict[bytes, tuple[Value, int]] = OrderedDict()
        self._candidates: OrderedDict[int, None] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        """Return the number of entries."""
        return len(self._entries)

    def __contains__(self, key: object) -> bool:
        """Return True if there is an entry, without using it."""
        return key in self._entries

    def get(self, key: bytes) -> Value | None:
        """Return the value of a key, which becomes the most recently used one."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        self._entries.move_to_end(key)
        return entry[0]

    def offer(self, key: bytes, value: Value, size: int) -> bool:
        """Add an entry if its key has been offered before.

        Args:
            key: has no entry.
            value: of the key.
            size: of key and value, in bytes.

        Returns:
            True if there is an entry now.
        """
        digest = hash(key)  # keyed by a secret of the process: a collision cannot be provoked, and would do no harm
        if digest not in self._candidates:
            self._candidates[digest] = None
            if len(self._candidates) > self._max_candidates:
                self._candidates.popitem(last=False)
            return False
        del self._candidates[digest]
        if size > self._max_bytes:
            return False
        self._entries[key] = (value, size)
        self._bytes += size
        while len(self._entries) > self._max_entries or self._bytes > self._max_bytes:
            self._bytes -= self._entries.popitem(last=False)[1][1]
        return True

"""Large blocks of memory: allocated from the system page by page, used again, and returned to it."""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

Buffer: TypeAlias = "bytes | bytearray | memoryview"

LARGE_BYTES = 1 << 20

_HUGE_BYTES = 2 << 20
_FIRST_BYTES = 1 << 19
"""A body is mapped when so much has arrived: a page of 2 MiB is not allocated for less."""

_UNUSED_BYTES = 1 << 18
"""If more than this would be unused of the last page of 2 MiB, small ones are used instead."""

_ALIGNMENT = 64
"""The end of the bytes in a block is a multiple of this: a cache line, and what numpy and libraries align arrays to."""

_IDLE_SECONDS = 10.0
_FREE_REFERENCES = 2  # that of the block, and that of the call

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # the names of glibc's settings
_MAPPED_BYTES = 4 << 20
_KEPT_BYTES = 64 << 20


def configure_malloc() -> None:
    """Have glibc keep what blocks of some megabytes need, and return larger ones to the system.

    By default it raises its threshold when a large block is freed, and keeps large blocks from then on: a growing
    buffer is copied instead of remapped, and a worker permanently uses many times the size of the largest body.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "gnu_get_libc_version"):
        libc.mallopt(_MMAP_THRESHOLD, _MAPPED_BYTES)
        libc.mallopt(_TRIM_THRESHOLD, _KEPT_BYTES)


def _has_huge_pages() -> bool:
    """Return whether the system backs a mapping with pages of 2 MiB on request (transparent huge pages of Linux)."""
    folder = Path("/sys/kernel/mm/transparent_hugepage")
    try:
        is_off = "[never]" in (folder / "enabled").read_text()
        return not is_off and int((folder / "hpage_pmd_size").read_text()) == _HUGE_BYTES
    except (OSError, ValueError):  # another system, or a kernel without them
        return False


_HAS_HUGE_PAGES = _has_huge_pages()


class _Block:
    """Pages of memory, and the time when they were last handed out."""

    __slots__ = ("capacity", "pages", "start", "used_at")

    def __init__(self, size: int) -> None:
        self.capacity = -(-(size + _ALIGNMENT) // _UNUSED_BYTES) * _UNUSED_BYTES
        self.start = 0
        self.used_at = 0.0
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        huge_end = _end_of_huge_pages(size)
        if not huge_end:
            self.pages = mmap.mmap(-1, self.capacity, flags=flags)
            return
        self.pages = mmap.mmap(-1, self.capacity + _HUGE_BYTES, flags=flags)
        self.start = -ctypes.addressof(ctypes.c_char.from_buffer(self.pages)) % _HUGE_BYTES
        with contextlib.suppress(OSError):  # small ones are used
            self.pages.madvise(mmap.MADV_HUGEPAGE, self.start, huge_end)

    def cut(self, size: int) -> memoryview:
        """Return a view of so many bytes."""
        self.used_at = time.monotonic()
        start = self.start + _offset(size)
        return memoryview(self.pages)[start : start + size]

    @property
    def is_free(self) -> bool:
        """True if no view of the pages exists: each refers to them."""
        return sys.getrefcount(self.pages) <= _FREE_REFERENCES


def _end_of_huge_pages(size: int) -> int:
    """Return how many bytes of a block are in pages of 2 MiB."""
    return (size + _UNUSED_BYTES) // _HUGE_BYTES * _HUGE_BYTES if _HAS_HUGE_PAGES else 0


def _offset(size: int) -> int:
    """Return where bytes start in a block: their end is aligned, because that of a message is that of its numbers."""
    return -size % _ALIGNMENT


class PagePool:
    """Blocks of memory that are used again once nothing refers to them, in any thread.

    The system clears every page that it allocates, which takes longer than a copy of as many bytes.

    Args:
        max_bytes: limit of the blocks that are kept; others are returned to the system after their use.
    """

    def __init__(self, max_bytes: int = _KEPT_BYTES) -> None:
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._blocks: list[_Block] = []

    def take(self, size: int) -> memoryview:
        """Return so many bytes, of any content, which belong to the caller as long as there is a view of them."""
        view = self.reuse(size)
        if view is not None:
            return view
        block = _Block(size)
        view = block.cut(size)
        if block.capacity <= self._max_bytes:
            with self._lock:
                if self._count_left() < block.capacity:
                    self._blocks = [each for each in self._blocks if not each.is_free]
                if self._count_left() >= block.capacity:
                    self._blocks.append(block)
        return view

    def reuse(self, size: int) -> memoryview | None:
        """Return what ``take`` returns if there is a block of about that size, whose pages are allocated."""
        with self._lock:
            for block in self._blocks:
                if size <= block.capacity - _ALIGNMENT <= 2 * size and block.is_free:
                    return block.cut(size)
        return None

    def trim(self, idle_seconds: float = _IDLE_SECONDS) -> None:
        """Keep no block that was not handed out for so long; one that is in use is returned to the system after it."""
        if self._blocks:
            limit = time.monotonic() - idle_seconds
            with self._lock:
                self._blocks = [block for block in self._blocks if block.used_at > limit]

    def _count_left(self) -> int:
        return self._max_bytes - sum(block.capacity for block in self._blocks)


def _knows_uses() -> bool:
    """Return whether a block knows that there is a view of it: interpreters may count references in other ways."""
    block = _Block(1)
    view = block.cut(1)
    is_free_with_view = block.is_free
    del view
    return block.is_free and not is_free_with_view


POOL = PagePool(_KEPT_BYTES if _knows_uses() else 0)
"""The blocks of this process."""


def join(parts: Sequence[Buffer]) -> bytes | memoryview:
    """Return the bytes of all parts; many are a read-only view of a block."""
    size = sum(map(len, parts))
    if size <= LARGE_BYTES:
        return b"".join(parts)
    view, at = POOL.take(size), 0
    for part in parts:
        view[at : at + len(part)] = part
        at += len(part)
    return view.toreadonly()


class MmapBuffer:
    """A large body that is being received, in its own pages.

    The system allocates pages as bytes arrive, whatever length was announced: pages of 2 MiB if it has them, because
    hundreds of small ones take longer than the bytes.

    Args:
        size: the length that was announced, more than ``LARGE_BYTES``.
        pool: of the pages.

    Attributes:
        allocated: bytes of memory that are in use for what has arrived, but not more than the length. Pages that are
            used again count like new ones.
    """

    __slots__ = ("_end", "_first", "_huge_end", "_pool", "_size", "_view", "allocated")

    def __init__(self, size: int, pool: PagePool = POOL) -> None:
        self._size = size
        self._pool = pool
        self._end = self.allocated = 0
        self._huge_end = _end_of_huge_pages(size)
        self._first = bytearray()
        self._view = pool.reuse(size)

    def extend(self, data: Buffer) -> None:
        """Append bytes."""
        end = self._end + len(data)
        if self._view is not None:
            self._view[self._end : end] = data
        else:
            self._first += data
            if end >= _FIRST_BYTES:
                self._view = self._pool.take(self._size)
                self._view[:end] = self._first
                self._first = bytearray()
        self.advance(len(data))

    def extend_by(self, parts: Sequence[Buffer], size: int) -> None:
        """Append parts, which have so many bytes together."""
        if self._view is None:
            self.extend(b"".join(parts))
            return
        view, end = self._view, self._end
        for part in parts:
            start, end = end, end + len(part)
            view[start:end] = part
        self.advance(size)

    @property
    def free(self) -> memoryview | None:
        """The part for bytes that have not arrived; None: no pages are allocated yet."""
        return None if self._view is None else self._view[self._end :]

    def advance(self, size: int) -> None:
        """Count bytes that were written to ``free``."""
        self._end = end = self._end + size
        used = end + _offset(self._size)
        if used > self.allocated:
            is_huge = end >= _FIRST_BYTES and used < self._huge_end
            self.allocated = min(-(-used // _HUGE_BYTES) * _HUGE_BYTES, self._size) if is_huge else end

    def view(self) -> memoryview:
        """Return all bytes, which belong to the caller; the pages exist as long as a view."""
        assert self._view is not None
        return self._view

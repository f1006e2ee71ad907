"""Large blocks of memory: allocated from the system page by page, and returned to it."""

from __future__ import annotations

import contextlib
import ctypes
import mmap
from pathlib import Path

LARGE_BYTES = 1 << 20

_HUGE_BYTES = 2 << 20
_FIRST_BYTES = 1 << 19
"""A body is mapped when so much has arrived: a page of 2 MiB is not allocated for less."""

_UNUSED_BYTES = 1 << 18
"""If more than this would be unused of the last page of 2 MiB, small ones are used instead."""

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


class MmapBuffer:
    """A large body that is being received, in its own pages, which are returned to the system with it.

    The system allocates pages as bytes arrive, whatever length was announced: pages of 2 MiB if it has them, because
    hundreds of small ones take longer than the bytes.

    Args:
        size: the length that was announced, more than ``LARGE_BYTES``.

    Attributes:
        allocated: bytes of memory that are in use for what has arrived, but not more than the length.
    """

    __slots__ = ("_end", "_first", "_huge_end", "_size", "_view", "allocated")

    def __init__(self, size: int) -> None:
        self._size = size
        self._end = self.allocated = 0
        self._huge_end = 0  # the pages of 2 MiB end here
        self._first = bytearray()
        self._view: memoryview | None = None

    def extend(self, data: bytes | bytearray | memoryview) -> None:
        """Append bytes."""
        end = self._end + len(data)
        if self._view is not None:
            self._view[self._end : end] = data
        else:
            self._first += data
            if end >= _FIRST_BYTES:
                self._view = self._map()
                self._view[:end] = self._first
                self._first = bytearray()
        self._end = end
        if end > self.allocated:
            self.allocated = min(-(-end // _HUGE_BYTES) * _HUGE_BYTES, self._size) if end < self._huge_end else end

    def view(self) -> memoryview:
        """Return all bytes, read-only; the pages exist as long as the view."""
        assert self._view is not None
        return self._view.toreadonly()

    def _map(self) -> memoryview:
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        if _HAS_HUGE_PAGES:
            self._huge_end = (self._size + _UNUSED_BYTES) // _HUGE_BYTES * _HUGE_BYTES
        if not self._huge_end:
            return memoryview(mmap.mmap(-1, self._size, flags=flags))
        pages = mmap.mmap(-1, max(self._size, self._huge_end) + _HUGE_BYTES, flags=flags)
        start = -ctypes.addressof(ctypes.c_char.from_buffer(pages)) % _HUGE_BYTES
        with contextlib.suppress(OSError):  # small ones are used
            pages.madvise(mmap.MADV_HUGEPAGE, start, self._huge_end)
        return memoryview(pages)[start : start + self._size]

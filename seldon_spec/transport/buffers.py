"""Large blocks of memory: allocated from the system page by page, and returned to it."""

from __future__ import annotations

import ctypes
import mmap

LARGE_BYTES = 1 << 20

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


class MmapBuffer:
    """A large body that is being received, in its own pages.

    The system allocates pages as bytes arrive, whatever length was announced, and they are returned at once.

    Args:
        size: the length that was announced.
    """

    __slots__ = ("_end", "_pages")

    def __init__(self, size: int) -> None:
        self._pages = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self._end = 0

    def extend(self, data: bytes | bytearray | memoryview) -> None:
        """Append bytes."""
        end = self._end + len(data)
        self._pages[self._end : end] = data
        self._end = end

    def view(self) -> memoryview:
        """Return all bytes, read-only; the pages exist as long as the view."""
        return memoryview(self._pages).toreadonly()

"""Large blocks of memory: how a worker takes them from the system, and gives them back."""

from __future__ import annotations

import ctypes
import mmap

LARGE_BYTES = 1 << 20

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # the names of glibc's settings
_MAPPED_BYTES = 4 << 20
_KEPT_BYTES = 64 << 20


def settle_malloc() -> None:
    """Have glibc keep what blocks of some megabytes need, and give the larger ones back.

    By itself it learns to keep the larger ones too, after the first that is freed; then a buffer that grows is copied
    where its pages could be moved, and a worker has many times the largest body's size for ever.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "gnu_get_libc_version"):
        libc.mallopt(_MMAP_THRESHOLD, _MAPPED_BYTES)
        libc.mallopt(_TRIM_THRESHOLD, _KEPT_BYTES)


class Pages:
    """A large body that is still coming, in pages of its own.

    Pages are taken from the system as the bytes come, whatever length was announced, and are given back at once.

    Args:
        size: the length that was announced.
    """

    __slots__ = ("_end", "_pages")

    def __init__(self, size: int) -> None:
        self._pages = mmap.mmap(-1, size)
        self._end = 0

    def extend(self, data: bytes | bytearray | memoryview) -> None:
        """Add what has come."""
        end = self._end + len(data)
        self._pages[self._end : end] = data
        self._end = end

    def view(self) -> memoryview:
        """All of it, read-only; the pages are there as long as somebody has it."""
        return memoryview(self._pages).toreadonly()

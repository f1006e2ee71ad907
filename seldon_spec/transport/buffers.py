"""Large blocks of memory: how a worker takes them from the system, and gives them back."""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
from pathlib import Path

from seldon_spec.config.model import ServerSpec

LARGE_BYTES = 1 << 20

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # the names of glibc's settings
_MAPPED_BYTES = 4 << 20
_KEPT_BYTES = 64 << 20

_CGROUP_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""Where Linux has the limit of a container's memory, by its two interfaces."""

_BUFFERED_SHARE = 4
_MIN_BUFFERED_BYTES = 64 << 20


def configure_malloc() -> None:
    """Have glibc keep what blocks of some megabytes need, and give the larger ones back.

    By itself it learns to keep the larger ones too, after the first that is freed; then a buffer that grows is copied
    where its pages could be moved, and a worker has many times the largest body's size for ever.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "gnu_get_libc_version"):
        libc.mallopt(_MMAP_THRESHOLD, _MAPPED_BYTES)
        libc.mallopt(_TRIM_THRESHOLD, _KEPT_BYTES)


class MmapBuffer:
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


def buffered_limit(server: ServerSpec) -> int:
    """What a worker may buffer for all its connections together, in bytes; see ``server.max_buffered_bytes``."""
    if server.max_buffered_bytes is not None:
        return server.max_buffered_bytes
    share = _memory_bytes() // _BUFFERED_SHARE // server.workers
    return max(share, _MIN_BUFFERED_BYTES, 2 * server.max_body_bytes, 4 * server.max_message_bytes)


def _memory_bytes() -> int:
    """The memory of the machine, or of the container if that has less."""
    sizes = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for path in _CGROUP_LIMITS:
        with contextlib.suppress(OSError, ValueError):  # there is no such interface, or "max"
            sizes.append(int(path.read_text()))
    return min(sizes)

"""The memory of large bodies that are being received."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import numpy as np
import pytest

from seldon_spec.transport.buffers import LARGE_BYTES, Buffer, MmapBuffer, PagePool, join

MIB = 1 << 20
PAGE = os.sysconf("SC_PAGESIZE")
PIECE = 100_003


def count_allocated(view: memoryview, size: int) -> int:
    """Count the bytes, from the first of a view on, for which the system has allocated pages."""
    first = np.frombuffer(view, np.uint8).ctypes.data // PAGE
    with Path("/proc/self/pagemap").open("rb", buffering=0) as pagemap:
        pagemap.seek(8 * first)
        entries = struct.iter_unpack("<Q", pagemap.read(8 * -(-size // PAGE)))
    return PAGE * sum(1 for (entry,) in entries if entry >> 63)


def receive(size: int, data: bytes, piece: int = PIECE) -> MmapBuffer:
    buffer = MmapBuffer(size, PagePool())
    for at in range(0, len(data), piece):
        buffer.extend(data[at : at + piece])
    return buffer


@pytest.mark.parametrize("size", [LARGE_BYTES + 1, 2 * MIB, 2 * MIB + 1, 3 * MIB - 1, 3 * MIB, 4_000_071, 9 * MIB + 5])
@pytest.mark.parametrize("piece", [PIECE, 10 * MIB])
def test_a_large_body_is_what_was_received(size: int, piece: int) -> None:
    data = os.urandom(size)
    view = receive(size, data, piece).view()
    assert view == data


@pytest.mark.parametrize("received", [1, MIB // 4, MIB // 2, MIB, 2 * MIB, 2 * MIB + 1, 5 * MIB, 6 * MIB])
def test_a_body_is_counted_with_what_is_allocated_ahead_of_it(received: int) -> None:
    buffer = receive(100 * MIB, bytes(received))
    assert received <= buffer.allocated <= min(4 * received, received + 2 * MIB)


@pytest.mark.parametrize(
    ("size", "unused"),
    [(7 * MIB, 0), (6 * MIB + 1000, 0), (8 * MIB - 100_000, 100_000)],
    ids=["half", "little", "most"],
)
@pytest.mark.parametrize("received", [MIB // 2, MIB, 2 * MIB + 1, 4 * MIB, 6 * MIB + 1])
def test_the_system_allocates_no_more_than_is_counted(size: int, unused: int, received: int) -> None:
    """The cases differ in how much is used of the last 2 MiB."""
    buffer = receive(size, bytes(received))
    assert buffer.allocated <= size
    assert count_allocated(buffer.view(), size + unused) <= buffer.allocated + unused + PAGE


def address(view: memoryview) -> int:
    return int(np.frombuffer(view, np.uint8).ctypes.data)


def test_pages_are_used_again_once_nothing_refers_to_them() -> None:
    pool = PagePool()
    view = pool.take(3 * MIB)
    first = address(view)
    kept = np.frombuffer(view, np.uint8)[5:]
    del view
    assert address(pool.take(3 * MIB)) != first
    kept[:] = 7
    assert address(pool.take(3 * MIB)) != first
    assert (kept == 7).all()
    del kept
    assert first in {address(view) for view in [pool.take(3 * MIB) for _ in range(3)]}


@pytest.mark.parametrize("size", [MIB, 20 * MIB])
def test_pages_are_not_used_for_bytes_of_another_magnitude(size: int) -> None:
    pool = PagePool()
    pool.take(5 * MIB)
    assert pool.reuse(size) is None
    assert pool.reuse(4 * MIB) is not None


def test_no_more_pages_are_kept_than_the_limit() -> None:
    pool = PagePool(8 * MIB)
    for size in (3 * MIB, 7 * MIB, 9 * MIB):
        pool.take(size)
    assert pool.reuse(3 * MIB) is None
    assert pool.reuse(9 * MIB) is None
    assert pool.reuse(7 * MIB) is not None


def test_pages_that_are_not_used_for_some_time_are_not_kept() -> None:
    pool = PagePool()
    kept = pool.take(3 * MIB)
    pool.take(5 * MIB)
    pool.trim()
    assert pool.reuse(5 * MIB) is not None
    pool.trim(idle_seconds=0)
    kept[:] = bytes(len(kept))
    del kept
    assert pool.reuse(3 * MIB) is None
    assert pool.reuse(5 * MIB) is None


@pytest.mark.parametrize("size", [2 * MIB, 2 * MIB + 1, 3 * MIB + 63])
def test_the_end_of_the_bytes_is_aligned(size: int) -> None:
    pool = PagePool()
    assert (address(pool.take(size)) + size) % 64 == 0
    assert (address(pool.take(size - 8)) + size - 8) % 64 == 0


def test_a_recycled_body_is_counted_like_a_new_one() -> None:
    pool = PagePool()
    pool.take(5 * MIB)
    recycled, new = MmapBuffer(5 * MIB, pool), MmapBuffer(5 * MIB, PagePool())
    assert recycled.free is not None
    assert new.free is None
    for _ in range(5 * MIB // PIECE):
        recycled.extend(bytes(PIECE))
        new.extend(bytes(PIECE))
        assert recycled.allocated == new.allocated


@pytest.mark.parametrize("size", [10, 2 * MIB])
def test_parts_are_joined(size: int) -> None:
    parts: list[Buffer] = [b"abc", memoryview(os.urandom(size)), b""]
    joined = join(parts)
    assert joined == b"".join(parts)
    assert memoryview(joined).readonly

"""The memory of large bodies that are being received."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import numpy as np
import pytest

from seldon_spec.transport.buffers import LARGE_BYTES, MmapBuffer

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
    buffer = MmapBuffer(size)
    for at in range(0, len(data), piece):
        buffer.extend(data[at : at + piece])
    return buffer


@pytest.mark.parametrize("size", [LARGE_BYTES + 1, 2 * MIB, 2 * MIB + 1, 3 * MIB - 1, 3 * MIB, 4_000_071, 9 * MIB + 5])
@pytest.mark.parametrize("piece", [PIECE, 10 * MIB])
def test_a_large_body_is_what_was_received(size: int, piece: int) -> None:
    data = os.urandom(size)
    view = receive(size, data, piece).view()
    assert view.readonly
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

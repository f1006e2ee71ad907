"""Passes blocks of rows, which the driver reads one after another, to Ray Data as the blocks of a dataset."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import Any

import pyarrow
import ray
from ray.data import Datasource
from ray.data.block import BlockMetadata
from ray.data.datasource import ReadTask

NUMBER = "number"
BLOCK = "block"
"""The columns of the dataset: the number of a block, and its rows, pickled."""


class BlockFeed:
    """The blocks that are not written yet, as an actor: the task that reads them may be repeated."""

    def __init__(self) -> None:
        self._blocks: dict[int, bytes] = {}
        self._attempts: Counter[int] = Counter()
        self._loads = 0
        self._first = 0
        self._changed = asyncio.Condition()

    async def put(self, number: int, block: bytes) -> None:
        """Add a block; they are numbered from 0."""
        async with self._changed:
            self._blocks[number] = block
            self._changed.notify_all()

    async def drop(self, number: int) -> None:
        """Forget a block that has ended, and those before it."""
        for each in range(self._first, number + 1):
            self._blocks.pop(each, None)
            self._attempts.pop(each, None)
        self._first = number + 1

    async def get(self, number: int) -> bytes:
        """Wait for a block, and return it; an empty one if it was dropped."""
        async with self._changed:
            while number >= self._first and number not in self._blocks:
                await self._changed.wait()
        return self._blocks.get(number, b"")

    async def begin(self, number: int) -> int:
        """Return how often the prediction of a block has begun: Ray repeats it if the process has exited."""
        self._attempts[number] += 1
        return self._attempts[number]

    async def begin_load(self) -> int:
        """Return how many processes have begun to load the class since one has loaded it."""
        self._loads += 1
        return self._loads

    async def end_load(self) -> None:
        """Count from 0 again, because a process has loaded the class."""
        self._loads = 0


class FeedSource(Datasource):  # type: ignore[misc]  # of a package without types
    """The datasource of the blocks of a feed, which one task reads.

    Args:
        feed: the handle of the actor.
    """

    def __init__(self, feed: Any) -> None:
        super().__init__()
        self._feed = feed

    def get_name(self) -> str:
        return "Rows"

    def estimate_inmemory_data_size(self) -> int | None:
        return None

    def get_read_tasks(self, parallelism: int, *_: Any, **__: Any) -> list[ReadTask]:  # noqa: ARG002 - the interface
        metadata = BlockMetadata(num_rows=None, size_bytes=None, input_files=None, exec_stats=None)
        return [ReadTask(partial(_read_blocks, self._feed), metadata)]


def _read_blocks(feed: Any) -> Iterator[Any]:
    """Yield the blocks until the command ends."""
    for number in itertools.count():
        block = ray.get(feed.get.remote(number))
        yield pyarrow.table({NUMBER: [number], BLOCK: pyarrow.array([block], pyarrow.large_binary())})

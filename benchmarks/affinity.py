"""Which processor cores the load generator and the servers run on."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cores:
    """The cores of this process, divided: the last one is the load generator's, if there is more than one."""

    servers: tuple[int, ...]
    load: tuple[int, ...]

    @property
    def all(self) -> tuple[int, ...]:
        """Return all of them."""
        return tuple(sorted({*self.servers, *self.load}))


def divide_cores() -> Cores:
    """Return the cores that this process may use, in two parts."""
    cores = sorted(os.sched_getaffinity(0))
    return Cores(tuple(cores[:-1] or cores), (cores[-1],))


@contextlib.contextmanager
def pinned(cores: Collection[int]) -> Iterator[None]:
    """Let the processes that are started in the block run on these cores only."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)

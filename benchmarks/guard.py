"""Ends the servers of a killed comparison. The comparison starts it; it waits at the end of a pipe.

Each line of standard input is the ID of a server process, written at its start and again at its end. When the pipe is
closed, an ID that was written an odd number of times is still running.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks import processes


@contextmanager
def guarding() -> Iterator[Callable[[int], None]]:
    """Start the guard, and yield a function that reports the start or the end of a server."""
    # A session of its own, so that a ^C at the terminal does not end the guard before the servers.
    guard = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.guard"],
        stdin=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[1],
        start_new_session=True,
    )
    assert guard.stdin is not None
    pipe = guard.stdin

    def notify(pid: int) -> None:
        pipe.write(f"{pid}\n")
        pipe.flush()

    try:
        yield notify
    finally:
        pipe.close()
        guard.wait()


def main() -> None:
    """Wait for the end of the input, then end what is left."""
    left: set[int] = set()
    for line in sys.stdin:
        left ^= {int(line)}
    for root in left:
        processes.kill(processes.find_tree(root, processes.read_stats()))


if __name__ == "__main__":
    main()

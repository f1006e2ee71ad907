"""What the supervisor reads from the pipes of its processes."""

from __future__ import annotations

import os
import selectors

from seldon_spec.observability.metrics import Segments
from seldon_spec.process.events import MessageReceived
from seldon_spec.process.process_table import ProcessTable
from seldon_spec.process.worker_messages import READY

FOREIGN = [b"5", b"null", b"{}", b'{"message": 1, "traceback": "", "component": null}', b"\xff", b"[" * 60_000]
"""Lines that a class may write to a number that it takes for that of its own file."""


def test_lines_that_no_worker_writes_are_ignored() -> None:
    def fork(pipe: int, _segment: int) -> int:
        os.write(pipe, b"\n".join([*FOREIGN, READY.encode(), b""]))
        return os.getpid()

    with selectors.DefaultSelector() as selector:
        table = ProcessTable(Segments(1), selector)
        pid = table.start_worker(fork)
        assert table.read_messages(pid) == [MessageReceived(pid, READY)]
        (key,) = selector.get_map().values()
        os.close(key.fd)

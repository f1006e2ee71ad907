"""Processes and their cost, from Linux' /proc."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.processes import (
    Memory,
    Stat,
    find_tree,
    kill,
    parse_stat,
    read_memory,
    read_processor_seconds,
    read_stats,
)

pytestmark = pytest.mark.benchmarks

if sys.platform != "linux":
    pytest.skip("processes are read from Linux' /proc", allow_module_level=True)

ROOT = Path(__file__).parents[2]


def test_a_process_s_name_may_hold_anything() -> None:
    text = "7 (a) S 99 (b) R 3 5 6 0 -1 4194560 1 0 0 0 10 20 30 40 20 0 1 0 1 2 3"
    assert parse_stat(text) == Stat(parent=3, session=6, ticks=100)


def test_a_tree_is_a_session_and_all_below_it() -> None:
    stats = {
        10: Stat(1, 10, 0),
        11: Stat(10, 10, 0),
        12: Stat(1, 10, 0),  # orphaned, yet of the session
        13: Stat(11, 13, 0),  # of a session of its own, yet below
        14: Stat(13, 13, 0),
        20: Stat(1, 20, 0),
    }
    assert find_tree(10, stats) == {10, 11, 12, 13, 14}


BUSY = """
import os, sys
child = os.fork()
if child == 0:
    held = b"x" * 50_000_000
    sum(range(10_000_000))
    os._exit(0)
os.waitpid(child, 0)
print("done", flush=True)
sys.stdin.read()
"""


def test_the_time_of_a_child_that_has_ended_is_counted() -> None:
    with subprocess.Popen([sys.executable, "-c", BUSY], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"done\n"
        assert read_processor_seconds(process.pid) >= 0.05
        assert 0 < read_memory(process.pid, Memory.PROPORTIONAL) <= read_memory(process.pid, Memory.RESIDENT)
        kill({process.pid})


GUARDED = """
import os, subprocess, sys
from benchmarks.guard import guarding
with guarding() as notify:
    server = subprocess.Popen([sys.executable, "-c", "import sys, time; time.sleep(600)"], start_new_session=True)
    notify(server.pid)
    print(server.pid, flush=True)
    os.kill(os.getpid(), 9)
"""


def test_the_servers_of_a_killed_comparison_are_ended() -> None:
    """The guard holds the same standard output, so its end is the end of the guard."""
    with subprocess.Popen([sys.executable, "-c", GUARDED], cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        server = int(process.stdout.readline())
        process.stdout.read()
    assert process.returncode == -9
    assert server not in read_stats() or _is_dead(server)


def _is_dead(pid: int) -> bool:
    """There may be no process to reap an orphan."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"

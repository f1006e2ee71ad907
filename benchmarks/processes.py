"""The processes of a server from Linux' /proc: their IDs, processor time and memory; and ending them."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

_PROC = Path("/proc")
_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
_FORGET_PEAK = "5"


class Memory(Enum):
    """A memory figure, and the file that contains it."""

    RESIDENT = ("status", "VmRSS")
    PEAK = ("status", "VmHWM")
    PROPORTIONAL = ("smaps_rollup", "Pss")


@dataclass(frozen=True, slots=True)
class Stat:
    """What ``/proc/PID/stat`` says, as far as it is needed; processor time is in ticks, with that of ended children."""

    parent: int
    session: int
    ticks: int


def parse_stat(text: str) -> Stat:
    """Read one; the name, which may hold anything, ends at the last bracket."""
    words = text.rpartition(")")[2].split()
    return Stat(int(words[1]), int(words[3]), sum(map(int, words[11:15])))


def read_stats() -> dict[int, Stat]:
    """Every process there is now."""
    found = {}
    for entry in _PROC.iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                found[int(entry.name)] = parse_stat((entry / "stat").read_text())
    return found


def find_tree(root: int, stats: Mapping[int, Stat]) -> set[int]:
    """The processes of the session that ``root`` began, and all that descend from any of them."""
    tree = {pid for pid, stat in stats.items() if root in (pid, stat.session)}
    while grown := {pid for pid, stat in stats.items() if stat.parent in tree} - tree:
        tree |= grown
    return tree


def read_processor_seconds(root: int) -> float:
    """What the tree has used until now, user and system, those included that have ended and been waited for."""
    stats = read_stats()
    return sum(stats[pid].ticks for pid in find_tree(root, stats)) / _TICKS_A_SECOND


def read_memory(root: int, kind: Memory) -> int:
    """Bytes, added up over the tree."""
    return sum(_read_memory_of(pid, kind) for pid in find_tree(root, read_stats()))


def _read_memory_of(pid: int, kind: Memory) -> int:
    file, key = kind.value
    with contextlib.suppress(OSError):
        for line in (_PROC / str(pid) / file).read_text().splitlines():
            if line.startswith(f"{key}:"):
                return int(line.split()[1]) * 1024
    return 0


def forget_peak(root: int) -> None:
    """Let each process's peak start anew at what it holds now."""
    for pid in find_tree(root, read_stats()):
        with contextlib.suppress(ProcessLookupError, FileNotFoundError):
            (_PROC / str(pid) / "clear_refs").write_text(_FORGET_PEAK)


def kill(pids: Iterable[int]) -> None:
    """End them at once."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

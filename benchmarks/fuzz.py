"""Send malformed inputs to every parser: ``python -m benchmarks.fuzz``. Exits with 1 if one failed.

A failure is an exception that is not one of ours, a 5xx response, an input that takes too long, a process that dies, or
growing memory; one of each kind is reported. Inputs are mutations of known ones; an input with a new outcome is mutated
further. The same seed and number of processes result in the same inputs.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import logging
import mmap
import multiprocessing
import os
import random
import signal
import struct
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.doors import DOORS, Door, Fault, Knock, shape
from benchmarks.processes import Memory, read_memory

MOST_BYTES = 1 << 16
MOST_KNOWN = 3000
MOST_FAULTS = 20
MOST_GROWTH_BYTES = 64 << 20
"""How much more a process may hold after all of its inputs than after a fifth: one large input leaves a heap behind."""

Change = Callable[[random.Random, bytearray, Door], None]


def _set_byte(chance: random.Random, data: bytearray, _door: Door) -> None:
    data[_place(chance, data)] = chance.randrange(256)


def _flip_bit(chance: random.Random, data: bytearray, _door: Door) -> None:
    data[_place(chance, data)] ^= 1 << chance.randrange(8)


def _cut(chance: random.Random, data: bytearray, _door: Door) -> None:
    begin = _place(chance, data)
    del data[begin : begin + chance.choice((1, 2, 4, 16, 256))]


def _repeat(chance: random.Random, data: bytearray, _door: Door) -> None:
    begin = _place(chance, data)
    piece = data[begin : begin + chance.choice((1, 1, 2, 4, 16))]
    data[begin:begin] = piece * chance.choice((1, 2, 3, 10, 120, 1000))


def _add_word(chance: random.Random, data: bytearray, door: Door) -> None:
    begin = _place(chance, data)
    data[begin:begin] = chance.choice(door.words)


def _overwrite(chance: random.Random, data: bytearray, door: Door) -> None:
    begin = _place(chance, data)
    word = chance.choice(door.words)
    data[begin : begin + len(word)] = word


def _splice(chance: random.Random, data: bytearray, door: Door) -> None:
    other = chance.choice(door.seeds)
    begin, end = sorted((_place(chance, other), _place(chance, other)))
    at = _place(chance, data)
    data[at : at + chance.choice((0, end - begin))] = other[begin:end]


def _set_number(chance: random.Random, data: bytearray, _door: Door) -> None:
    digits = [index for index, byte in enumerate(data[:2000]) if 0x30 <= byte <= 0x39]
    if digits:
        at = chance.choice(digits)
        data[at : at + 1] = str(chance.choice((0, -1, 255, 65536, 2**31, 2**63, 2**64, 10**30, 1e308, 1e-320))).encode()


def _place(chance: random.Random, data: Sequence[int]) -> int:
    return chance.randrange(len(data)) if data else 0


_CHANGES: tuple[Change, ...] = (
    *(_set_byte, _flip_bit, _cut, _repeat, _splice, _set_number),
    *(_add_word, _add_word, _overwrite, _overwrite),
)


def make_input(chance: random.Random, known: Sequence[bytes], door: Door) -> bytes:
    """A known input with a few changes."""
    data = bytearray(chance.choice(known))
    for _ in range(chance.choice((1, 1, 2, 3, 6))):
        if not data:
            data += chance.choice(door.seeds)
        chance.choice(_CHANGES)(chance, data, door)
    return bytes(data[:MOST_BYTES])


class TookTooLong(Exception):
    """An input's time is over."""


@dataclass(slots=True)
class Tally:
    """What became of the inputs of one process at one door.

    Attributes:
        faults: what was wrong, with the first input that did it, by kind.
        begin_bytes: what the process held after a fifth of its inputs.
        end_bytes: and after all.
    """

    inputs: int = 0
    outcomes: int = 0
    slowest_seconds: float = 0.0
    begin_bytes: int = 0
    end_bytes: int = 0
    faults: dict[str, tuple[str, bytes]] = field(default_factory=dict)

    def add_fault(self, kind: str, text: str, given: bytes) -> None:
        """Keep a fault, unless there is one of its kind."""
        self.faults.setdefault(kind, (text, given))


def fuzz_door(name: str, count: int, seed: str, limit_seconds: float, note: Callable[[bytes], None]) -> Tally:
    """Knock at one door, in a process that does nothing else.

    Args:
        name: of the door.
        count: of inputs.
        seed: the same one makes the same inputs.
        limit_seconds: for one input.
        note: is called with an input before it is tried.
    """
    with _quietly():
        return _fuzz(name, count, seed, limit_seconds, note)


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Without what the doors log, and with an alarm that ends an input."""
    before = signal.signal(signal.SIGALRM, _end_input)
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
        signal.signal(signal.SIGALRM, before)


def _fuzz(name: str, count: int, seed: str, limit_seconds: float, note: Callable[[bytes], None]) -> Tally:
    chance, door, tally = random.Random(f"{seed}/{name}"), DOORS[name], Tally()  # noqa: S311 - nothing is secret here
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        knock, known, outcomes = door.open(Path(folder)), list(door.seeds), set[str]()
        for index in range(count):
            given = known[index] if index < len(door.seeds) else make_input(chance, known, door)
            if index % 1000 == 0:  # for C code, which no alarm interrupts
                faulthandler.dump_traceback_later(100 * limit_seconds, exit=True)
            if index == count // 5:
                tally.begin_bytes = _resident()
            note(given)
            outcome = _try(knock, given, limit_seconds, tally)
            if outcome is not None and outcome not in outcomes:
                outcomes.add(outcome)
                if len(known) < MOST_KNOWN:
                    known.append(given)
            if len(tally.faults) >= MOST_FAULTS:
                break
        faulthandler.cancel_dump_traceback_later()
    tally.outcomes = len(outcomes)
    tally.end_bytes = _resident()
    if tally.end_bytes > tally.begin_bytes + MOST_GROWTH_BYTES:
        tally.add_fault("memory", f"memory grew from {tally.begin_bytes} to {tally.end_bytes} bytes", b"")
    return tally


def _resident() -> int:
    return read_memory(os.getpid(), Memory.RESIDENT)


def _end_input(_number: int, _frame: object) -> None:
    raise TookTooLong


def _try(knock: Knock, given: bytes, limit_seconds: float, tally: Tally) -> str | None:
    """Knock once; what became of it, or None if that was a fault."""
    tally.inputs += 1
    began = time.perf_counter()
    signal.setitimer(signal.ITIMER_REAL, limit_seconds)
    try:
        outcome = knock(given)
    except BaseException as error:
        signal.setitimer(signal.ITIMER_REAL, 0)
        tally.add_fault(_kind_of(error), traceback.format_exc(), given)
        return None
    signal.setitimer(signal.ITIMER_REAL, 0)
    tally.slowest_seconds = max(tally.slowest_seconds, time.perf_counter() - began)
    return outcome


def _kind_of(error: BaseException) -> str:
    """Return the text of a wrong response, or the place in the package of an exception."""
    if isinstance(error, Fault):
        return shape(str(error))
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "seldon_spec" in frame.filename]
    return f"{type(error).__name__} {frames[-1].filename}:{frames[-1].lineno}" if frames else repr(error)


@dataclass(frozen=True, slots=True)
class Task:
    """The part of a door's inputs that one process tries."""

    door: str
    count: int
    seed: str


class _Trial:
    """A task in a process of its own; the input that it is at survives it."""

    def __init__(self, task: Task, limit_seconds: float) -> None:
        self.task = task
        self._memory = mmap.mmap(-1, MOST_BYTES + 4)
        self._receiving, sending = multiprocessing.get_context("fork").Pipe(duplex=False)
        self.process = multiprocessing.get_context("fork").Process(
            target=self._run, args=(limit_seconds, sending), daemon=True
        )
        self.process.start()
        sending.close()

    def _run(self, limit_seconds: float, sending: Any) -> None:
        sending.send(fuzz_door(self.task.door, self.task.count, self.task.seed, limit_seconds, self._note))

    def _note(self, given: bytes) -> None:
        self._memory[: len(given) + 4] = struct.pack("=I", len(given)) + given

    def result(self) -> Tally:
        """Wait for the end."""
        tally: Tally
        try:
            tally = self._receiving.recv()
        except EOFError:
            self.process.join()
            (length,) = struct.unpack_from("=I", self._memory)
            tally = Tally()
            tally.add_fault("end", f"the process ended with {self.process.exitcode}", self._memory[4 : 4 + length])
            return tally
        self.process.join()
        return tally


def _plan(names: Sequence[str], count: int, seed: str, processes: int) -> list[list[Task]]:
    """Who tries what: each process has its part of each door, one after the other."""
    shares = {name: DOORS[name].share for name in names}
    parts = {name: -(-count * share // (sum(shares.values()) * processes)) for name, share in shares.items()}
    return [[Task(name, part, f"{seed}/{index}") for name, part in parts.items()] for index in range(processes)]


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fuzz", description=__doc__)
    add = parser.add_argument
    add("--inputs", type=int, default=1_000_000, help="of all doors together; %(default)s")
    add("--seed", default="1", help="the same one makes the same inputs; %(default)s")
    add("--door", action="append", choices=DOORS, help=f"again for more; all of {', '.join(DOORS)} by default")
    add("--processes", type=int, default=2, help="%(default)s")
    add("--seconds", type=float, default=2.0, help="that one input may take; %(default)s")
    add("--keep", type=Path, metavar="DIR", help="write the inputs that were faults there")
    return parser


def main(arguments: Sequence[str]) -> int:
    """Run it; 1 if there was a fault."""
    given = make_parser().parse_args(arguments)
    faults: list[tuple[str, str, bytes]] = []
    for tasks in zip(*_plan(given.door or list(DOORS), given.inputs, given.seed, given.processes), strict=True):
        began = time.monotonic()
        tallies = [trial.result() for trial in [_Trial(task, given.seconds) for task in tasks]]
        _report(tasks[0].door, tallies, time.monotonic() - began)
        faults += [(tasks[0].door, text, data) for tally in tallies for text, data in tally.faults.values()]
    for index, (door, text, data) in enumerate(faults):
        print(f"\n{door}: {data[:300]!r}\n{text}")
        if given.keep:
            given.keep.mkdir(parents=True, exist_ok=True)
            (given.keep / f"{door}-{index}").write_bytes(data)
    return 1 if faults else 0


def _report(door: str, tallies: Sequence[Tally], seconds: float) -> None:
    print(
        f"{door:9} {sum(each.inputs for each in tallies):8} inputs in {seconds:.0f} s,"
        f" {max(each.outcomes for each in tallies)} outcomes,"
        f" slowest {1000 * max(each.slowest_seconds for each in tallies):.0f} ms,"
        f" memory {max(each.begin_bytes for each in tallies) >> 20} to {max(each.end_bytes for each in tallies) >> 20}"
        f" MiB, {sum(len(each.faults) for each in tallies)} faults",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

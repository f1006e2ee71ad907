"""How connections share an event loop, and what they have buffered."""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop

from seldon_spec.transport.capacity import Capacity
from seldon_spec.transport.turns import Turn, Turns


def count_units() -> int:
    turn, count = Turn(), 1
    while turn.take():
        count += 1
    return count


class Work:
    """Takes so many turns, and notes each."""

    def __init__(self, turns: Turns, name: str, count: int, log: list[str], do: Callable[[], object] = str) -> None:
        self.turns = turns
        self.name = name
        self.count = count
        self.log = log
        self.do = do

    def take_turn(self) -> None:
        self.log.append(self.name)
        self.count -= 1
        if self.count:
            self.turns.wait(self)
        self.do()


def test_a_turn_ends_after_a_number_of_units() -> None:
    assert 1 <= max(count_units() for _ in range(100)) <= 256


def test_turns_go_round_and_other_callbacks_run_between_them() -> None:
    async def run() -> list[str]:
        loop = asyncio.get_running_loop()
        turns, log = Turns(loop), list[str]()
        for name in "ab":
            turns.wait(Work(turns, name, 3, log))
        for _ in range(10):
            await asyncio.sleep(0)
            log.append(".")
        return log

    log = asyncio.run(run())
    assert [name for name in log if name != "."] == list("ababab")
    assert "".join(log).rstrip(".").count(".") >= 2


def fail() -> None:
    raise ValueError("as asked")


def test_a_connection_that_raises_does_not_stop_the_others() -> None:
    async def run() -> tuple[list[str], list[object]]:
        loop = asyncio.get_running_loop()
        errors: list[object] = []
        loop.set_exception_handler(lambda _, context: errors.append(context["exception"]))
        turns, log = Turns(loop), list[str]()
        turns.wait(Work(turns, "a", 1, log, fail))
        turns.wait(Work(turns, "b", 2, log))
        for _ in range(10):
            await asyncio.sleep(0)
        return log, errors

    log, errors = asyncio.run(run())
    assert log == list("abb")
    assert [str(error) for error in errors] == ["as asked"]


class Flood:
    """Takes turns without end, and has another thread respond to some requests meanwhile, one after the other."""

    def __init__(self, turns: Turns, requests: int, max_turns: int) -> None:
        self.turns = turns
        self.requests_left = requests
        self.turns_left = max_turns
        self.requests: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self.responses: list[bool] = [True]
        self.ended = asyncio.Event()

    def respond(self) -> None:
        while self.requests.get():
            self.responses.append(True)

    def take_turn(self) -> None:
        count_units()
        self.turns_left -= 1
        if self.responses and self.requests_left:
            self.responses.clear()
            self.requests_left -= 1
            self.requests.put(True)
        elif self.responses or not self.turns_left:
            self.requests.put(False)
            self.ended.set()
            return
        self.turns.wait(self)


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_other_threads_continue_between_turns(run: Callable[[Coroutine[Any, Any, Flood]], Flood]) -> None:
    async def flood() -> Flood:
        turns = Turns(asyncio.get_running_loop())
        flood = Flood(turns, requests=20, max_turns=500)
        thread = threading.Thread(target=flood.respond)
        thread.start()
        turns.wait(flood)
        await flood.ended.wait()
        thread.join()
        return flood

    assert run(flood()).turns_left > 0, "a thread was kept waiting for the interpreter's lock"


class Holder:
    """Holds some bytes until it is shed."""

    def __init__(self, capacity: Capacity, size: int) -> None:
        self.held = 0
        self.capacity = capacity
        self.is_shed = False
        capacity.join(self)
        capacity.hold(self, size)

    def shed(self) -> None:
        self.is_shed = True
        self.capacity.hold(self, -self.held)


@pytest.mark.parametrize(
    ("sizes", "shed"),
    [([50, 40], []), ([50, 51], [51]), ([10, 90, 20, 60], [90]), ([60, 70, 80], [70, 80]), ([101], [101])],
    ids=str,
)
def test_the_largest_holders_are_shed_until_the_rest_fits(
    sizes: list[int], shed: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> tuple[list[int], int]:
        capacity = Capacity(asyncio.get_running_loop(), 100)
        holders = [Holder(capacity, size) for size in sizes]
        await asyncio.sleep(0)
        left = capacity.buffered_bytes
        for holder in holders:
            capacity.leave(holder)
        assert capacity.buffered_bytes == 0
        return [size for size, holder in zip(sizes, holders, strict=True) if holder.is_shed], left

    with caplog.at_level(logging.WARNING):
        gone, left = asyncio.run(run())
    assert gone == shed
    assert left == sum(sizes) - sum(shed)
    assert len(caplog.records) == bool(shed)

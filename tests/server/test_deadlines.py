"""The deadlines of calls: each ends at its time, rounded up a little, and those that have ended leave nothing."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seldon_spec.transport.grpc.deadlines import Deadlines


class Loop:
    """An event loop whose time stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.timers: list[Timer] = []

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Any, *args: Any) -> Timer:
        timer = Timer(self, when, lambda: callback(*args))
        self.timers.append(timer)
        return timer

    def move_to(self, now: float) -> None:
        self.now = now
        for timer in sorted((each for each in self.timers if each.when <= now), key=lambda each: each.when):
            self.timers.remove(timer)
            timer.fire()


class Timer:
    def __init__(self, loop: Loop, when: float, fire: Any) -> None:
        self.loop, self.when, self.fire = loop, when, fire

    def cancel(self) -> None:
        self.loop.timers.remove(self)


class Call:
    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self.ended = math.nan

    def expire_call(self) -> None:
        assert math.isnan(self.ended)
        self.ended = self.loop.now


def make() -> tuple[Loop, Deadlines]:
    loop = Loop()
    typed: Any = loop
    return loop, Deadlines(typed)


@settings(deadline=None)
@given(st.lists(st.one_of(st.integers(0, 10**9), st.integers(0, 10**15)).map(lambda ns: ns / 1e9), min_size=1))
def test_each_call_ends_at_its_time_or_a_little_later(seconds: list[float]) -> None:
    loop, deadlines = make()
    calls = [Call(loop) for _ in seconds]
    for call, timeout in zip(calls, seconds, strict=True):
        deadlines.add(timeout, call)
    while loop.timers:
        loop.move_to(min(timer.when for timer in loop.timers))
    for call, timeout in zip(calls, seconds, strict=True):
        assert -1e-9 <= call.ended - 1000 - timeout <= max(timeout * 0.02, 1.1e-3)


def test_a_call_that_has_ended_does_not_expire() -> None:
    loop, deadlines = make()
    kept, ended = Call(loop), Call(loop)
    deadlines.add(20, kept)
    deadlines.add(20, ended).discard(ended)
    loop.move_to(2000)
    assert not math.isnan(kept.ended)
    assert math.isnan(ended.ended)


def test_calls_that_end_together_share_a_timer() -> None:
    loop, deadlines = make()
    for number in range(1000):
        call = Call(loop)
        deadlines.add(20 + number / 1e6, call).discard(call)
        deadlines.add(20 + number / 1e6, call)
    assert len(loop.timers) <= 2


@pytest.mark.parametrize("seconds", [61, 1e5, 99999999 * 3600])
def test_a_distant_deadline_leaves_nothing_when_its_call_has_ended(seconds: float) -> None:
    loop, deadlines = make()
    first, second = Call(loop), Call(loop)
    slot, same = deadlines.add(seconds, first), deadlines.add(seconds, second)
    slot.discard(first)
    assert len(loop.timers) == 1
    same.discard(second)
    assert loop.timers == []


def test_a_flood_of_different_deadlines_makes_few_timers() -> None:
    loop, deadlines = make()
    for number in range(20_000):
        call = Call(loop)
        deadlines.add(number * 3e-3, call).discard(call)
    assert len(loop.timers) <= 3000


def test_the_loop_itself_ends_a_call() -> None:
    class Waiting:
        def __init__(self) -> None:
            self.has_ended = asyncio.Event()

        def expire_call(self) -> None:
            self.has_ended.set()

    async def run() -> None:
        waiting = Waiting()
        Deadlines(asyncio.get_running_loop()).add(0.01, waiting)
        await asyncio.wait_for(waiting.has_ended.wait(), 20)

    asyncio.run(run())

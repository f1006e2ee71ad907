"""When a request that timed out means that the model hangs."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest

from seldon_spec.inference.call import Call, CallFuture
from seldon_spec.inference.message import Operation
from seldon_spec.protocols.seldon_v1.json_codec import JsonCodec
from seldon_spec.server.bridge import ExecutorBridge, RequestLimits

WAIT_SECONDS = 20


def make_future(state: str) -> Future[Any]:
    """A thread of Flask that works, or a call of the component that waits for the model, or is at it, or has ended."""
    if state == "thread":
        future: Future[Any] = Future()
        future.set_running_or_notify_cancel()
        return future
    future = CallFuture()
    future.call = call = Call(Operation.PREDICT, b"", JsonCodec(), lambda _call: None)
    if state != "waits":
        call.predict_started_at = call.arrived_at
    if state == "ended":
        future.cancel()
    return future


STATES = {
    "no thread": ((), False),
    "a thread works": (("thread",), True),
    "the model has not begun": (("thread", "waits"), False),
    "the model has begun": (("thread", "begun"), True),
    "the thread works on the response": (("thread", "ended"), True),
}


@pytest.mark.parametrize(("states", "is_hung"), STATES.values(), ids=STATES)
def test_a_timeout_means_that_the_model_hangs_if_it_has_begun(states: tuple[str, ...], *, is_hung: bool) -> None:
    async def expire() -> bool:
        limits = RequestLimits(timeout_seconds=0.001, on_hung=lambda: None)
        dispatcher: Any = SimpleNamespace(
            metrics=SimpleNamespace(set_requests=lambda *_: None), count_at_work=lambda: 0
        )
        finished = asyncio.Event()
        bridge = ExecutorBridge(dispatcher, limits)
        call = bridge.track(Operation.PREDICT, b"", JsonCodec(), lambda _call: finished.set(), None)
        for state in states:
            call.add_future(make_future(state))
        await asyncio.wait_for(finished.wait(), WAIT_SECONDS)
        return limits.is_hung

    assert asyncio.run(expire()) == is_hung

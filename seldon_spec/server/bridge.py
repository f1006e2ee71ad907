"""From one event loop to the model threads and back, many requests with one wake of either side.

Everything that is decided of a call (answered, too late, unwanted) is decided here on the loop, so there is nothing to
lock; the model threads only read whether a call is still wanted.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from seldon_spec.errors import NotServing, Overloaded, RequestTimeout
from seldon_spec.inference.call import BaseContext, Call
from seldon_spec.inference.dispatcher import Dispatcher
from seldon_spec.inference.message import Codec, Operation

logger = logging.getLogger(__name__)

_LARGE_BYTES = 1 << 18
_TAKEN_SECONDS = 0.1
"""A model thread waits until the loop has taken a large response, but no longer than this.

The loop holds back the calls of clients that do not read; it would find out too late if the model were far ahead of it.
"""

_MAX_CANCELLED = 1024
"""So many cancelled calls may stay in the queue of the model threads, or as many as there are others."""


@dataclass(slots=True)
class RequestLimits:
    """What a worker's requests may take; counts the requests that it has taken.

    Attributes:
        timeout_seconds: what takes longer ends with RequestTimeout, and is not begun if it has not been.
        max_queue: how many requests may wait for the model; None: any number.
        max_requests: after so many ``on_worn`` is called, once.
        on_hung: called once, when a request that has been begun takes too long.
        is_hung: whether that has been.
    """

    timeout_seconds: float | None = None
    max_queue: int | None = None
    max_requests: int | None = None
    on_worn: Callable[[], object] | None = None
    on_hung: Callable[[], object] | None = None
    is_hung: bool = False
    _taken: int = 0

    def admit(self, under_way: int, count_at_work: Callable[[], int]) -> None:
        """Take one more request.

        Args:
            under_way: how many there are already.
            count_at_work: tells how many of them the model threads can be at.

        Raises:
            Overloaded: too many wait.
        """
        self.check_queue(under_way, count_at_work)
        self._taken += 1
        if self._taken == self.max_requests and self.on_worn is not None:
            self.on_worn()

    def check_queue(self, under_way: int, count_at_work: Callable[[], int]) -> None:
        """Check that one more request may wait; the arguments are those of ``admit``.

        Raises:
            Overloaded: too many wait.
        """
        if self.max_queue is not None and under_way >= self.max_queue + count_at_work():
            raise Overloaded(f"server.max_queue, {self.max_queue}, requests are waiting already")

    def report_late(self) -> None:
        """A request that the model has begun takes too long."""
        if self.on_hung is not None and not self.is_hung:
            self.is_hung = True
            self.on_hung()


def call_on_loop(loop: asyncio.AbstractEventLoop, callback: Callable[..., object], *args: Any) -> None:
    """Run a callback on an event loop, from another thread; do nothing if the loop is closed."""
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(callback, *args)


def late(timeout_seconds: float | None) -> RequestTimeout:
    """Return the error of a request that takes too long."""
    return RequestTimeout(f"no answer within {timeout_seconds} seconds")


class PendingCall(Call):
    """A call that somebody on the loop waits for.

    Args:
        operation, wire, codec, then, note: see ``Call``.
        finish: is called once with this call, on the loop, when it has a ``reply`` or an ``error``.
        owner: whatever ``finish`` needs to know.

    Attributes:
        is_finished: it has been answered, or never will be.
        is_returned: it was held, and no model thread has it; it has to be queued again.
        timer: ends it when it takes too long.
    """

    __slots__ = ("finish", "is_finished", "is_returned", "owner", "timer")

    def __init__(
        self,
        operation: Operation,
        wire: Any,
        codec: Codec,
        then: Callable[[Any], None],
        finish: Callable[[Any], None],
        owner: Any,
        note: BaseContext | None = None,
    ) -> None:
        super().__init__(operation, wire, codec, then, note)
        self.finish = finish
        self.owner = owner
        self.is_finished = self.is_returned = False
        self.timer: asyncio.TimerHandle | None = None


class ExecutorBridge:
    """The calls of one event loop.

    Args:
        dispatcher: answers them.
        bounds: what they may take.
    """

    def __init__(self, dispatcher: Dispatcher, bounds: RequestLimits | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._dispatcher = dispatcher
        self._metrics = dispatcher.metrics
        self._count_at_work = dispatcher.count_at_work
        self._bounds = bounds or RequestLimits()
        self._timeout_seconds = self._bounds.timeout_seconds
        self._leaving: list[PendingCall] = []
        self._answered: deque[PendingCall] = deque()
        self._is_woken = False
        self._is_taken = threading.Event()
        self._cancelled = 0
        self._under_way: set[object] = set()

    def submit(
        self,
        operation: Operation,
        wire: Any,
        codec: Codec,
        finish: Callable[[PendingCall], None],
        owner: Any,
        note: BaseContext | None = None,
        waited_seconds: float = 0.0,
    ) -> PendingCall:
        """Queue a call; all calls of one round of the loop leave together.

        Args:
            operation: what is asked.
            wire: what the transport received.
            codec: the form of the wire.
            finish: is called once, on the loop, with the call and its reply or error.
            owner: kept in the call for ``finish``.
            note: see ``Call``.
            waited_seconds: how long ago the request arrived.

        Raises:
            Overloaded: too many wait already.
        """
        call = PendingCall(operation, wire, codec, self._take_back, finish, owner, note)
        under_way = self._under_way
        self._bounds.admit(len(under_way), self._count_at_work)
        under_way.add(call)
        self._queue(call)
        if self._timeout_seconds is not None:
            call.timer = self._loop.call_later(self._timeout_seconds - waited_seconds, self._expire, call)
        return call

    def enter(self, work: object) -> None:
        """Count what is under way on another way to the same model threads.

        Raises:
            Overloaded: too many wait already.
        """
        self._bounds.admit(len(self._under_way), self._count_at_work)
        self._under_way.add(work)
        self._tell_load()

    def wait(self, work: object) -> None:
        """Count a request that cannot enter yet; it leaves before it does.

        Raises:
            Overloaded: too many wait already.
        """
        self._bounds.check_queue(len(self._under_way), self._count_at_work)
        self._under_way.add(work)
        self._tell_load()

    def leave(self, work: object) -> None:
        """It is under way no more."""
        self._under_way.discard(work)
        self._tell_load()

    def report_late(self) -> None:
        """What is under way on another way takes too long."""
        self._bounds.report_late()

    def cancel(self, call: PendingCall) -> None:
        """Nobody waits for this call any more; it is not begun if it has not been, and never finished."""
        call.give_up()
        call.owner = None  # it may be long until a model thread comes by
        self._settle(call)
        self._tell_load()
        self._cancelled += 1
        if self._cancelled >= _MAX_CANCELLED and self._cancelled > len(self._under_way):
            self._cancelled = 0
            self._dispatcher.remove_unwanted()

    def hold(self, call: PendingCall) -> None:
        """Do not begin a call until it is released; it keeps its timer, and counts among those that wait."""
        call.is_held = True
        call.is_unwanted = True

    def release(self, call: PendingCall) -> None:
        """Let a call that was held begin, behind those that wait."""
        call.is_unwanted = False  # before the look at the next line, for a model thread may return it right now
        if call.is_returned:
            call.is_returned = False
            self._queue(call)

    def _queue(self, call: PendingCall) -> None:
        if not self._leaving:
            self._loop.call_soon(self._leave)
        self._leaving.append(call)

    def stop(self) -> None:
        """End whatever is under way with NotServing; the dispatcher has been stopped."""
        for work in list(self._under_way):
            if isinstance(work, PendingCall):
                self._end(work, NotServing("the server stopped before this was answered"))

    def _leave(self) -> None:
        calls, self._leaving = self._leaving, []
        try:
            self._dispatcher.post(calls)
        except NotServing as error:
            for call in calls:
                self._end(call, error)
        self._tell_load()

    def _tell_load(self) -> None:
        """Set the gauges; once for all calls of a round of the loop."""
        under_way = len(self._under_way)
        self._metrics.set_in_flight(under_way)
        self._metrics.set_queued(max(0, under_way - self._count_at_work()))

    def _take_back(self, call: PendingCall) -> None:
        """Have the loop finish a call; on a model thread."""
        reply = call.response
        is_large = reply is not None and len(reply.body) >= _LARGE_BYTES
        if is_large:
            self._is_taken.clear()
        self._answered.append(call)
        if not self._is_woken:
            self._is_woken = True
            call_on_loop(self._loop, self._finish_answered)
        if is_large:
            self._is_taken.wait(_TAKEN_SECONDS)

    def _finish_answered(self) -> None:
        self._is_woken = False  # first, so that what is answered from now on wakes the loop again
        answered = self._answered
        while answered:
            call = answered.popleft()
            if call.is_finished:
                continue
            if call.response is None and call.error is None:  # it was held when a model thread took it
                call.is_returned = True
                if not call.is_unwanted:
                    self.release(call)
                continue
            self._settle(call)
            try:
                call.finish(call)
            except Exception:
                logger.exception("unexpected")  # and the others get their answers
        self._is_taken.set()
        self._tell_load()

    def _expire(self, call: PendingCall) -> None:
        if not call.is_finished and not math.isnan(call.predict_started_at):  # the model has it
            self._bounds.report_late()
        self._end(call, late(self._timeout_seconds))
        self._tell_load()

    def _end(self, call: PendingCall, error: Exception) -> None:
        if not call.is_finished:
            call.give_up()
            call.error = error
            self._settle(call)
            call.finish(call)

    def _settle(self, call: PendingCall) -> None:
        call.is_finished = True
        self._under_way.discard(call)
        if call.timer is not None:
            call.timer.cancel()

"""The bridge from an event loop to the model threads and back.

All decisions about a call (finished, timed out, cancelled) are made on the loop, so they need no lock; the model
threads only read whether a call is still wanted. Many calls share one wake-up of either side.
"""

from __future__ import annotations

import asyncio
import logging
import math
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from seldon_spec.errors import NotServing, Overloaded, RequestTimeout
from seldon_spec.inference.call import BaseContext, Call
from seldon_spec.inference.dispatcher import Dispatcher
from seldon_spec.inference.message import Operation
from seldon_spec.inference.request import Codec

logger = logging.getLogger(__name__)

_LARGE_BYTES = 1 << 18
_DELIVERY_SECONDS = 0.1
"""A model thread waits until the loop has received a large response, but no longer than this.

The loop holds back the calls of clients that do not read; a model far ahead of the loop would fill the memory first.
"""

_MAX_CANCELLED = 1024
"""The queue of the model threads is purged once it holds this many cancelled calls, and more than other calls."""


@dataclass(slots=True)
class RequestLimits:
    """The limits of a worker's requests, and the number of requests so far.

    Attributes:
        timeout_seconds: after this time a request ends with RequestTimeout; it is not started if it still waits.
        max_queue: how many requests may wait for the model; None: unlimited.
        max_requests: after this many requests, ``on_worn`` is called once.
        on_hung: called once, when a request that the model has started times out.
        is_hung: whether a request that the model had started has timed out.
    """

    timeout_seconds: float | None = None
    max_queue: int | None = None
    max_requests: int | None = None
    on_worn: Callable[[], object] | None = None
    on_hung: Callable[[], object] | None = None
    is_hung: bool = False
    _count: int = 0

    def admit(self, in_flight: int, count_at_work: Callable[[], int]) -> None:
        """Admit one more request.

        Args:
            in_flight: the number of requests already admitted and not finished.
            count_at_work: returns how many of them the model threads can be processing.

        Raises:
            Overloaded: the queue is full.
        """
        if self.max_queue is not None and in_flight >= self.max_queue + count_at_work():
            raise Overloaded(f"queue full (server.max_queue={self.max_queue})")
        self._count += 1
        if self._count == self.max_requests and self.on_worn is not None:
            self.on_worn()

    def report_hung(self) -> None:
        """Report that a request that the model has started timed out."""
        if self.on_hung is not None and not self.is_hung:
            self.is_hung = True
            self.on_hung()


def call_on_loop(loop: asyncio.AbstractEventLoop, callback: Callable[..., object], *args: Any) -> None:
    """Run a callback on an event loop, from another thread; do nothing if the loop is closed."""
    try:  # noqa: SIM105 - the context manager costs more than the call, for every request
        loop.call_soon_threadsafe(callback, *args)
    except RuntimeError:
        pass


def _are_at_work(futures: Sequence[Future[Any]]) -> bool:
    """Return whether threads work on a call; False if one of them waits for the model, which has not begun with it."""
    return any(each.running() for each in futures) and all(each.running() or each.done() for each in futures)


def request_timeout(timeout_seconds: float | None) -> RequestTimeout:
    """Return the error of a request that timed out."""
    return RequestTimeout(f"no response within {timeout_seconds} seconds (server.request_timeout_seconds)")


class PendingCall(Call):
    """A call whose result is needed on the event loop.

    Args:
        operation, wire, codec, then, request_context: see ``Call``.
        finish: called once with this call, on the loop, when it has a ``response`` or an ``error``.
        owner: any object that ``finish`` needs.

    Attributes:
        is_finished: ``finish`` has been called, or never will be.
        is_returned: the call was held when a model thread dequeued it; it has to be queued again.
        timer: ends the call when it times out.
        futures: what threads do for this call outside the model threads; cancelled with it.
    """

    __slots__ = ("finish", "futures", "is_finished", "is_returned", "owner", "timer")

    def __init__(
        self,
        operation: Operation,
        wire: Any,
        codec: Codec,
        then: Callable[[Any], None],
        finish: Callable[[Any], None],
        owner: Any,
        request_context: BaseContext | None = None,
    ) -> None:
        super().__init__(operation, wire, codec, then, request_context)
        self.finish = finish
        self.owner = owner
        self.is_finished = self.is_returned = False
        self.timer: asyncio.TimerHandle | None = None
        self.futures: tuple[Future[Any], ...] = ()

    def add_future(self, future: Future[Any]) -> None:
        """Cancel a future with this call; in any thread."""
        self.futures = (*self.futures, future)
        if self.is_unwanted:
            future.cancel()

    def give_up(self, _cause: object = None) -> None:
        """Cancel the call: a model thread does not start it any more."""
        super().give_up()
        for future in self.futures:
            future.cancel()


class ExecutorBridge:
    """The calls of one event loop.

    Args:
        dispatcher: runs them on the model threads.
        limits: of the requests.
    """

    def __init__(self, dispatcher: Dispatcher, limits: RequestLimits | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._dispatcher = dispatcher
        self._metrics = dispatcher.metrics
        self._count_at_work = dispatcher.count_at_work
        self._limits = limits or RequestLimits()
        self._timeout_seconds = self._limits.timeout_seconds
        self._to_post: list[PendingCall] = []
        self._completed: deque[PendingCall] = deque()
        self._is_woken = False
        self._is_delivered = threading.Event()
        self._cancelled = 0
        self._in_flight: set[PendingCall] = set()

    def submit(
        self,
        operation: Operation,
        wire: Any,
        codec: Codec,
        finish: Callable[[PendingCall], None],
        owner: Any,
        request_context: BaseContext | None = None,
    ) -> PendingCall:
        """Queue a call; all calls of one iteration of the loop are posted together.

        Args:
            operation: the operation of the component.
            wire: the body as the transport received it.
            codec: decodes the body and encodes the response.
            finish: called once, on the loop, with the call and its response or error.
            owner: kept in the call for ``finish``.
            request_context: see ``Call``.

        Raises:
            Overloaded: the queue is full.
        """
        call = self.track(operation, wire, codec, finish, owner, request_context)
        self.queue(call)
        return call

    def track(
        self,
        operation: Operation,
        wire: Any,
        codec: Codec,
        finish: Callable[[PendingCall], None],
        owner: Any,
        request_context: BaseContext | None = None,
        *,
        is_counted: bool = True,
    ) -> PendingCall:
        """Count a call and start its timeout, without queueing it; for the other arguments, see ``submit``.

        Args:
            is_counted: whether the queue limit applies to the call.

        Raises:
            Overloaded: the queue is full.
        """
        call = PendingCall(operation, wire, codec, self._return_to_loop, finish, owner, request_context)
        if is_counted:
            self._limits.admit(len(self._in_flight), self._count_at_work)
            self._in_flight.add(call)
        if self._timeout_seconds is not None:
            call.timer = self._loop.call_later(self._timeout_seconds, self._expire, call)
            call.deadline = call.arrived_at + self._timeout_seconds
        return call

    def queue(self, call: PendingCall) -> None:
        """Queue a call that is tracked."""
        if not self._to_post:
            self._loop.call_soon(self._post)
        self._to_post.append(call)

    def untrack(self, call: PendingCall) -> None:
        """Stop tracking a call that was finished without the model threads."""
        self._complete(call)
        self.update_gauges()

    def cancel(self, call: PendingCall) -> None:
        """Cancel a call: it is not started if it still waits, and never finished."""
        call.give_up()
        call.owner = None  # the call stays in the queue until a model thread dequeues it
        self._complete(call)
        self.update_gauges()
        self._cancelled += 1
        if self._cancelled >= _MAX_CANCELLED and self._cancelled > len(self._in_flight):
            self._cancelled = 0
            self._dispatcher.remove_unwanted()

    def hold(self, call: PendingCall) -> None:
        """Do not start a call until it is released; its timeout and its place in the queue limit stay."""
        call.is_held = True
        call.is_unwanted = True

    def release(self, call: PendingCall) -> None:
        """Let a call that was held start; it is queued again if a model thread has returned it."""
        call.is_unwanted = False  # before the next line, since a model thread may return the call at this moment
        if call.is_returned:
            call.is_returned = False
            self.queue(call)

    def stop(self) -> None:
        """End every call in flight with NotServing; the dispatcher has been stopped."""
        for call in list(self._in_flight):
            self._end(call, NotServing("the server stopped before the request was processed"))

    def update_gauges(self) -> None:
        """Set the gauges of requests in flight and queued."""
        in_flight = len(self._in_flight)
        queued = in_flight - self._count_at_work()
        self._metrics.set_requests(in_flight, queued if queued > 0 else 0)  # max() would add two thirds to the time

    def _post(self) -> None:
        calls, self._to_post = self._to_post, []
        try:
            self._dispatcher.post(calls)
        except NotServing as error:
            for call in calls:
                self._end(call, error)
        self.update_gauges()

    def _return_to_loop(self, call: PendingCall) -> None:
        """Have the loop finish a call; runs on a model thread."""
        response = call.response
        is_large = response is not None and len(response.content) >= _LARGE_BYTES
        if is_large:
            self._is_delivered.clear()
        self._completed.append(call)
        if not self._is_woken:
            self._is_woken = True
            call_on_loop(self._loop, self._finish_completed)
        if is_large:
            self._is_delivered.wait(_DELIVERY_SECONDS)

    def _finish_completed(self) -> None:
        self._is_woken = False  # first, so that a call that completes from now on wakes the loop again
        completed = self._completed
        while completed:
            call = completed.popleft()
            if call.is_finished:
                continue
            if call.response is None and call.error is None:  # it was held when a model thread dequeued it
                call.is_returned = True
                if not call.is_unwanted:
                    self.release(call)
                continue
            self._complete(call)
            try:
                call.finish(call)
            except Exception:
                logger.exception("cannot send the response to %s", call.operation.value)
        if not self._is_delivered.is_set():
            self._is_delivered.set()
        self.update_gauges()

    def _expire(self, call: PendingCall) -> None:
        is_running = not math.isnan(call.predict_started_at) or _are_at_work(call.futures)
        if not call.is_finished and is_running:
            self._limits.report_hung()
        self._end(call, request_timeout(self._timeout_seconds))
        self.update_gauges()

    def _end(self, call: PendingCall, error: Exception) -> None:
        if not call.is_finished:
            call.give_up()
            call.error = error
            self._complete(call)
            call.finish(call)

    def _complete(self, call: PendingCall) -> None:
        call.is_finished = True
        self._in_flight.discard(call)
        if call.timer is not None:
            call.timer.cancel()

"""Several calls as one: whatever waits when a model thread is free is asked of the model at once."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence

from seldon_spec.config.model import BatchingSpec
from seldon_spec.errors import NotServing
from seldon_spec.inference.call import Call
from seldon_spec.inference.executor import ModelThreads
from seldon_spec.inference.processor import DecodedCall, RequestProcessor

_MAX_BYTES = 64 << 20
"""No more is read for one call of the component once its messages are so large, after decompression."""

_TURN = (None,)
"""One task of the model threads: to see what waits."""


class Batcher:
    """Queues calls and answers those that fit together by one call of the component.

    Args:
        threads: where they are answered.
        answering: how.
        batching: how many at once, and how long they may wait for each other.

    Attributes:
        at_work: how many calls are being answered; with several threads, about so many.
    """

    def __init__(self, threads: ModelThreads, answering: RequestProcessor, batching: BatchingSpec) -> None:
        self._threads = threads
        self._answering = answering
        self._max_rows = batching.max_rows
        self._delay_seconds = batching.max_delay_ms / 1000
        self._waiting: deque[Call] = deque()
        self._arrival = threading.Condition()
        self.at_work = 0

    def post(self, calls: Sequence[Call]) -> None:
        """Queue calls.

        Raises:
            NotServing: the threads have been stopped.
        """
        self._waiting.extend(calls)
        self._threads.post(_TURN, self._take_turn)
        if self._delay_seconds:  # else nobody waits for company
            with self._arrival:
                self._arrival.notify()

    def remove_unwanted(self) -> None:
        """Remove cancelled calls from the queue."""
        for call in self._take(len(self._waiting)):
            if call.is_held or not call.is_unwanted:
                self._waiting.append(call)
        if self._waiting:  # a thread may have found none meanwhile
            with contextlib.suppress(NotServing):
                self._threads.post(_TURN, self._take_turn)

    def _take_turn(self, _turn: None) -> None:
        if not self._delay_seconds and len(self._waiting) == 1:  # alone, a call goes the way it always does
            for call in self._take(1):
                self._answering.process(call)
            return
        parts = self._gather()
        if self._waiting:  # before the answers, so that another thread may take it meanwhile
            with contextlib.suppress(NotServing):
                self._threads.post(_TURN, self._take_turn)
        self.at_work += len(parts)
        for group in self._group(parts):
            self._answering.process_batch(group)
            self.at_work -= len(group)

    def _take(self, count: int) -> Iterator[Call]:
        with contextlib.suppress(IndexError):  # another thread was quicker
            for _ in range(count):
                yield self._waiting.popleft()

    def _gather(self) -> list[DecodedCall]:
        """Read what waits, as many as one call of the component may have rows, and what comes within the delay."""
        parts: list[DecodedCall] = []
        rows, size = 0.0, 0.0
        while True:
            for call in self._take(self._max_rows - len(parts)):
                part = self._answering.decode(call)
                if part is not None:
                    parts.append(part)
                    rows += max(1.0, call.rows)  # NaN counts as one
                    size += _size_of(part)
                if rows >= self._max_rows or size >= _MAX_BYTES:
                    return parts
            if not parts or not self._await_more(parts[0].call.arrived_at + self._delay_seconds):
                return parts

    def _await_more(self, deadline: float) -> bool:
        """Wait until there is another call; False: it is too late for one."""
        seconds = deadline - time.perf_counter()
        if seconds <= 0:
            return bool(self._waiting)
        with self._arrival:
            return self._arrival.wait_for(lambda: len(self._waiting) > 0, seconds)

    def _group(self, parts: Sequence[DecodedCall]) -> Iterator[list[DecodedCall]]:
        """The parts that can be answered together, each group in the order in which its calls came."""
        groups: dict[object, list[DecodedCall]] = {}
        rows: dict[object, float] = {}
        for part in parts:
            key = self._answering.find_group(part)
            if key is None:
                yield [part]
                continue
            if key in groups and rows[key] + part.call.rows > self._max_rows:
                yield groups.pop(key)
                rows[key] = 0.0
            groups.setdefault(key, []).append(part)
            rows[key] = rows.get(key, 0.0) + part.call.rows
        yield from groups.values()


def _size_of(part: DecodedCall) -> float:
    """Return about how many bytes a message takes once it is read."""
    payload = part.request.message.payload
    size = getattr(payload, "nbytes", None)
    return float(sys.getsizeof(payload) if size is None else size)

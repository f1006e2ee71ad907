"""Dynamic batching: requests that wait when a model thread becomes free share one call of the model."""

from __future__ import annotations

import contextlib
import math
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence

from seldon_spec.config.model import BatchingSpec
from seldon_spec.errors import NotServing
from seldon_spec.inference.call import Call
from seldon_spec.inference.executor import ModelThreads
from seldon_spec.inference.message import PayloadType
from seldon_spec.inference.processor import DecodedCall, RequestProcessor

_MAX_BYTES = 64 << 20
"""No further request is decoded for a batch whose decoded messages have this size."""

_TURN = (None,)
"""One task of the model threads: process the queue once."""


class Batcher:
    """Queues calls, and processes those that fit together by one call of the component.

    Args:
        threads: on which they are processed.
        processor: processes single calls and batches.
        batching: the maximum batch size and delay.

    Attributes:
        running: number of calls being processed; approximate with several threads.
    """

    def __init__(self, threads: ModelThreads, processor: RequestProcessor, batching: BatchingSpec) -> None:
        self._threads = threads
        self._processor = processor
        self._max_rows = batching.max_rows
        self._delay_seconds = batching.max_delay_ms / 1000
        self._queue: deque[Call] = deque()
        self._arrival = threading.Condition()
        self.running = 0

    def post(self, calls: Sequence[Call]) -> None:
        """Queue calls.

        Raises:
            NotServing: the threads have been stopped.
        """
        self._queue.extend(calls)
        self._threads.post(_TURN, self._process_queue)
        if self._delay_seconds:  # without a delay, no thread waits for further calls
            with self._arrival:
                self._arrival.notify()

    def remove_unwanted(self) -> None:
        """Remove cancelled calls from the queue."""
        for call in self._take(len(self._queue)):
            if call.is_held or not call.is_unwanted:
                self._queue.append(call)
        if self._queue:  # a thread may have found the queue empty meanwhile
            with contextlib.suppress(NotServing):
                self._threads.post(_TURN, self._process_queue)

    def _process_queue(self, _turn: None) -> None:
        if not self._delay_seconds and len(self._queue) == 1:  # a single call takes the path without batching
            for call in self._take(1):
                self._processor.process(call)
            return
        decoded = self._gather()
        if self._queue:  # before processing, so that another thread can start on the rest
            with contextlib.suppress(NotServing):
                self._threads.post(_TURN, self._process_queue)
        self.running += len(decoded)
        for batch in self._split_into_batches(decoded):
            self._processor.process_batch(batch)
            self.running -= len(batch)

    def _take(self, count: int) -> Iterator[Call]:
        with contextlib.suppress(IndexError):  # another thread was faster
            for _ in range(count):
                yield self._queue.popleft()

    def _gather(self) -> list[DecodedCall]:
        """Decode queued calls up to the maximum batch size, and those that arrive within the delay."""
        decoded: list[DecodedCall] = []
        rows, size = 0.0, 0.0
        while True:
            for call in self._take(self._max_rows - len(decoded)):
                one = self._processor.decode(call)
                if one is not None:
                    decoded.append(one)
                    rows += max(1.0, call.rows)  # NaN counts as one
                    size += _size_of(one)
                if rows >= self._max_rows or size >= _MAX_BYTES:
                    return decoded
            if not decoded or not self._await_more(decoded[0].call.arrived_at + self._delay_seconds):
                return decoded

    def _await_more(self, deadline: float) -> bool:
        """Wait for another call; False if none arrives before the deadline."""
        seconds = deadline - time.perf_counter()
        if seconds <= 0:
            return bool(self._queue)
        with self._arrival:
            return self._arrival.wait_for(lambda: len(self._queue) > 0, seconds)

    def _split_into_batches(self, decoded: Sequence[DecodedCall]) -> Iterator[list[DecodedCall]]:
        """Yield batches of calls that can share a call of the component, each in order of arrival."""
        batches: dict[object, list[DecodedCall]] = {}
        rows: dict[object, int] = {}
        for one in decoded:
            group = self._processor.find_group(one)
            if group is None:
                yield [one]
                continue
            key, count = group
            if key in batches and rows[key] + count > self._max_rows:
                yield batches.pop(key)
                rows[key] = 0
            batches.setdefault(key, []).append(one)
            rows[key] = rows.get(key, 0) + count
        yield from batches.values()


def _size_of(decoded: DecodedCall) -> float:
    """Return the approximate size of a decoded call in bytes."""
    if not decoded.request.is_read:  # reading the message would release the body, which this operation needs
        return 0.0 if math.isnan(decoded.call.body_bytes) else decoded.call.body_bytes
    message = decoded.request.message
    payload = message.payload
    if message.payload_type is PayloadType.TENSORS:
        return float(sum(tensor.array.nbytes for tensor in payload))
    size = getattr(payload, "nbytes", None)
    return float(sys.getsizeof(payload) if size is None else size)

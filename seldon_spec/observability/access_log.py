"""The access log: a line for each finished request, written by its own thread."""

from __future__ import annotations

import logging
import math
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import orjson

from seldon_spec.config.model import LogFormat
from seldon_spec.inference.call import Call
from seldon_spec.observability.logs import escape_controls, format_time
from seldon_spec.observability.request_context import RequestContext

logger = logging.getLogger("seldon_spec.access")

_MAX_QUEUED = 10_000
_GATHER_SECONDS = 0.05
"""Lines are written together at this interval, so that the thread is not woken for each request."""

_CHUNK_BYTES = 4096
"""Maximum size of several lines written at once: a pipe writes it atomically."""

_CLOSE_SECONDS = 5.0
"""Time limit for the last lines, in case the reader has stopped reading."""


class Entry(NamedTuple):
    """One finished request; durations are in seconds, and unknown values are NaN.

    Attributes:
        ended: when the response was ready, by ``time.perf_counter``.
        queue, decode, call, encode: durations of the stages of its call.
        rows, body_bytes: of the request.
    """

    context: RequestContext
    status: int | str
    ended: float
    queue: float = math.nan
    decode: float = math.nan
    call: float = math.nan
    encode: float = math.nan
    rows: float = math.nan
    body_bytes: float = math.nan


class AccessLog:
    """Receives finished requests on the event loop, and writes their lines in the same order.

    If the queue is full, lines are dropped and counted.

    Args:
        write: writes whole lines; it may block.
        log_format: format of the lines.
        max_queued: maximum number of lines in the queue.
    """

    def __init__(self, write: Callable[[str], object], log_format: LogFormat, max_queued: int = _MAX_QUEUED) -> None:
        self._write = write
        self._format = format_json if log_format is LogFormat.JSON else format_text
        self._max_queued = max_queued
        self._queue: deque[Entry] = deque()
        self._dropped = 0
        self._is_awake = False
        self._wake, self._end = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="seldon-spec-access", daemon=True)
        self._thread.start()

    def add(self, context: RequestContext, call: Call | None, status: int | str) -> None:
        """Queue the line of a finished request; to be called on the event loop."""
        if len(self._queue) >= self._max_queued:
            self._dropped += 1
            return
        self._queue.append(_make_entry(context, call, status))
        if not self._is_awake:
            self._is_awake = True
            self._wake.set()

    def close(self) -> None:
        """Write the queued lines; to be called after the last ``add``."""
        self._end.set()
        self._wake.set()
        self._thread.join(_CLOSE_SECONDS)

    def _run(self) -> None:
        reported = 0
        is_last = False
        while not is_last:
            self._wake.wait()
            self._wake.clear()
            is_last = self._end.wait(_GATHER_SECONDS)
            self._is_awake = False  # before writing: a request that this round misses wakes the thread again
            self._write_queued()
            dropped = self._dropped
            if dropped > reported:
                logger.warning("dropped %d lines: the queue of the access log was full", dropped - reported)
                reported = dropped

    def _write_queued(self) -> None:
        lines: list[bytes] = []
        size = 0
        while self._queue:
            line = self._format(self._queue.popleft())
            if size + len(line) > _CHUNK_BYTES:
                self._write(b"".join(lines).decode())
                lines, size = [], 0
            lines.append(line)
            size += len(line)
        self._write(b"".join(lines).decode())


def _make_entry(context: RequestContext, call: Call | None, status: int | str) -> Entry:
    """Return the entry of a request; it does not keep the call, which holds the response."""
    ended = time.perf_counter()
    if call is None:
        return Entry(context, status, ended)
    return Entry(
        context,
        status,
        ended,
        call.dequeued_at - call.arrived_at + call.waited_seconds,
        call.decoded_at - call.dequeued_at,
        call.predict_ended_at - call.predict_started_at,
        call.ended_at - call.predict_ended_at,
        call.rows,
        call.body_bytes,
    )


def format_json(entry: Entry) -> bytes:
    """Return the line of a request as JSON; NaN becomes null."""
    context, status, ended, queue, decode, call, encode, rows, body_bytes = entry
    factory, seconds = context.factory, ended - context.arrived
    return orjson.dumps(
        {
            "time": format_time(context.started / 1e9 + seconds),
            "level": "INFO",
            "logger": logger.name,
            "message": f"{factory.method} {factory.route} {status}",
            "process": os.getpid(),
            "puid": context.id,
            "transport": factory.transport,
            "method": factory.method,
            "route": factory.route,
            "status": status,
            "ms": round(seconds * 1e3, 3),
            "rows": rows,
            "bytes": body_bytes,
            "queue_ms": round(queue * 1e3, 3),
            "decode_ms": round(decode * 1e3, 3),
            "call_ms": round(call * 1e3, 3),
            "encode_ms": round(encode * 1e3, 3),
        },
        option=orjson.OPT_APPEND_NEWLINE,
    )


def format_text(entry: Entry) -> bytes:
    """Return the line of a request as text; its time is local, as in lines of ``TextFormatter``."""
    context, factory = entry.context, entry.context.factory
    seconds = entry.ended - context.arrived
    rows = "" if math.isnan(entry.rows) else f" {entry.rows} rows"
    request = f"{factory.method} {escape_controls(factory.route)} {entry.status}"
    line = f"{request} {seconds * 1e3:.2f} ms{rows} [{context.id}]"
    second, rest = divmod(context.started / 1e9 + seconds, 1)
    return f"{_format_local(int(second))},{int(rest * 1000):03d} INFO {logger.name}: {line}\n".encode()


@lru_cache(maxsize=2)
def _format_local(second: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(second))

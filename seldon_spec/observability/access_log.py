"""The access log: a line for each answered request, written by a thread of its own."""

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
from seldon_spec.observability.logs import defuse, show_time
from seldon_spec.observability.request_context import RequestContext

logger = logging.getLogger("seldon_spec.access")

_MAX_WAITING = 10_000
_GATHER_SECONDS = 0.05
"""How long lines may wait for others, so that the thread is woken a few times a second and not for every request."""

_PIECE_BYTES = 4096
"""How much is written at once, if it is more than one line: a pipe takes it whole, whoever else writes to it."""

_LAST_SECONDS = 5.0
"""How long the last lines may take, where nobody reads them."""


class Entry(NamedTuple):
    """One answered request; times are in seconds, and what is unknown or never was is NaN.

    Attributes:
        ended: when the answer was known, by ``time.perf_counter``.
        queue, decode, call, encode: how long the stages of its call took.
        rows, body_bytes: of the request.
    """

    note: RequestContext
    status: int | str
    ended: float
    queue: float = math.nan
    decode: float = math.nan
    call: float = math.nan
    encode: float = math.nan
    rows: float = math.nan
    body_bytes: float = math.nan


class AccessLog:
    """Takes requests on the event loop, and writes their lines in the same order.

    Lines are dropped, and counted, where there are too many to be written.

    Args:
        write: takes whole lines; it may block.
        form: of the lines.
        max_waiting: how many lines may wait to be written.
    """

    def __init__(self, write: Callable[[str], object], form: LogFormat, max_waiting: int = _MAX_WAITING) -> None:
        self._write = write
        self._show = show_json if form is LogFormat.JSON else show_text
        self._max_waiting = max_waiting
        self._waiting: deque[Entry] = deque()
        self._dropped = 0
        self._is_awake = False
        self._wake, self._end = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="seldon-spec-access", daemon=True)
        self._thread.start()

    def add(self, note: RequestContext, call: Call | None, status: int | str) -> None:
        """Take down a request that is answered now; on the event loop."""
        if len(self._waiting) >= self._max_waiting:
            self._dropped += 1
            return
        self._waiting.append(_take_down(note, call, status))
        if not self._is_awake:
            self._is_awake = True
            self._wake.set()

    def close(self) -> None:
        """Write what waits; nothing is added any more."""
        self._end.set()
        self._wake.set()
        self._thread.join(_LAST_SECONDS)

    def _run(self) -> None:
        told = 0
        is_last = False
        while not is_last:
            self._wake.wait()
            self._wake.clear()
            is_last = self._end.wait(_GATHER_SECONDS)
            self._is_awake = False  # first: who is not written in this round wakes the thread for another
            self._write_waiting()
            dropped = self._dropped
            if dropped > told:
                logger.warning("%d lines were dropped: there were too many to be written", dropped - told)
                told = dropped

    def _write_waiting(self) -> None:
        lines: list[bytes] = []
        size = 0
        while self._waiting:
            line = self._show(self._waiting.popleft())
            if size + len(line) > _PIECE_BYTES:
                self._write(b"".join(lines).decode())
                lines, size = [], 0
            lines.append(line)
            size += len(line)
        self._write(b"".join(lines).decode())


def _take_down(note: RequestContext, call: Call | None, status: int | str) -> Entry:
    """The entry of a request; it keeps nothing of the call, which has the reply."""
    ended = time.perf_counter()
    if call is None:
        return Entry(note, status, ended)
    return Entry(
        note,
        status,
        ended,
        call.begun - call.arrived + call.waited_seconds,
        call.read - call.begun,
        call.told - call.asked,
        call.ended - call.told,
        call.rows,
        call.body_bytes,
    )


def show_json(entry: Entry) -> bytes:
    """The line of a request as JSON; what is NaN is null."""
    note, status, ended, queue, decode, call, encode, rows, body_bytes = entry
    seconds = ended - note.arrived
    return orjson.dumps(
        {
            "time": show_time(note.started / 1e9 + seconds),
            "level": "INFO",
            "logger": logger.name,
            "message": f"{note.plan.method} {note.plan.route} {status}",
            "process": os.getpid(),
            "puid": note.id,
            "transport": note.plan.transport,
            "method": note.plan.method,
            "route": note.plan.route,
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


def show_text(entry: Entry) -> bytes:
    """The line of a request for people; as ``TextFormatter`` has them, its time is local."""
    note, seconds = entry.note, entry.ended - entry.note.arrived
    rows = "" if math.isnan(entry.rows) else f" {entry.rows} rows"
    line = f"{note.plan.method} {defuse(note.plan.route)} {entry.status} {seconds * 1e3:.2f} ms{rows} [{note.id}]"
    second, rest = divmod(note.started / 1e9 + seconds, 1)
    return f"{_show_local(int(second))},{int(rest * 1000):03d} INFO {logger.name}: {line}\n".encode()


@lru_cache(maxsize=2)
def _show_local(second: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(second))

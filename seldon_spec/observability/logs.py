"""The process's log on stderr: text lines, or one JSON object per line. Imports no heavy module."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import re
import sys
import threading
from collections.abc import Iterator
from datetime import datetime, timezone
from functools import lru_cache
from typing import TextIO

from seldon_spec.config.model import LogFormat, LogSpec
from seldon_spec.inference.call import find_request_id

logger = logging.getLogger(__name__)

_OURS = "seldon_spec"
_QUIET = ("uvicorn", "uvicorn.error", "grpc", "grpc._cython.cygrpc", "asyncio", "concurrent.futures")
"""Libraries of which only warnings and errors are logged."""

_CONTROLS = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")
_MAX_LINE = 3072
"""A longer printed line becomes several records: a pipe writes up to 4096 bytes atomically."""


class LogHandler(logging.StreamHandler):  # type: ignore[type-arg]  # Python 3.10 cannot subscript it
    """Writes records and complete lines, one at a time."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record; a failure to write is not reported, because the report would go to the same stream."""
        try:
            line = self.format(record)
        except Exception:  # the arguments do not fit the message
            self.handleError(record)
        else:
            self.write(line + self.terminator)

    def write(self, lines: str) -> None:
        """Write whole lines; they are lost if the stream is closed."""
        self.acquire()
        try:
            with contextlib.suppress(OSError, ValueError):
                self.stream.write(lines)
                self.stream.flush()
        finally:
            self.release()


class JsonFormatter(logging.Formatter):
    """Formats a record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": format_time(record.created),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "process": record.process,
        }
        puid = _find_id(record)
        if puid is not None:
            line["puid"] = puid
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


class TextFormatter(logging.Formatter):
    """Formats a record as text; a message of the server cannot look like several records.

    Messages of the server contain input of clients and exceptions of the class. So each is one line, with control
    characters escaped, and the lines of a traceback are indented.
    """

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the library's name
        """Return the first line, with the request's id at its end."""
        line = super().formatMessage(record)
        line = escape_controls(line) if _is_ours(record) else line
        puid = _find_id(record)
        return line if puid is None else f"{line} [{puid}]"

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        return "\n    ".join(map(escape_controls, text.split("\n"))) if _is_ours(record) else text


def _is_ours(record: logging.LogRecord) -> bool:
    return record.name.partition(".")[0] == _OURS


def escape_controls(text: str) -> str:
    """Return text as one line: control characters, except tabs, are escaped."""
    return _CONTROLS.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def format_time(seconds: float) -> str:
    """Return a time of the system's clock in ISO 8601, UTC, with milliseconds."""
    second, rest = divmod(seconds, 1)
    return f"{_format_second(int(second))}.{int(rest * 1000):03d}+00:00"


@lru_cache(maxsize=2)  # one second has many lines
def _format_second(second: int) -> str:
    return datetime.fromtimestamp(second, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")


def _find_id(record: logging.LogRecord) -> str | None:
    """Return the id of the request that a record belongs to; a record made for another thread has its own."""
    puid: str | None = getattr(record, "puid", None)
    return find_request_id() if puid is None else puid


def flush_streams() -> None:
    """Flush stdout and stderr; ignore closed streams."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()


def make_handler(spec: LogSpec) -> LogHandler:
    """Return a handler that writes to stderr in the format of the spec."""
    handler = LogHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if spec.format is LogFormat.JSON else TextFormatter())
    return handler


def configure_logs(spec: LogSpec) -> LogHandler:
    """Send log records to stderr, in the format and from the level of the spec."""
    handler = make_handler(spec)
    logging.basicConfig(level=spec.level.value, handlers=[handler], force=True)
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLevelName(spec.level.value)))
    return handler


@contextlib.contextmanager
def worker_logs(spec: LogSpec, *, is_configured: bool = False) -> Iterator[LogHandler]:
    """Configure the log of a worker in a forked process; see ``configure_logs``.

    In JSON format it also has what Python code prints, warnings, and uncaught exceptions of threads.

    Args:
        spec: the format and the level.
        is_configured: whether the template process has called this, and the class may have added handlers since then.
    """
    handler = make_handler(spec) if is_configured else configure_logs(spec)
    if spec.format is not LogFormat.JSON:
        yield handler
        return
    hook, threading.excepthook = threading.excepthook, _log_uncaught
    logging.captureWarnings(capture=True)
    out, err = PrintedLines(handler, "stdout", sys.stdout), PrintedLines(handler, "stderr", sys.stderr)
    try:
        with contextlib.redirect_stdout(out.stream), contextlib.redirect_stderr(err.stream):
            yield handler
    finally:
        for lines in (out, err):
            lines.end()
        logging.captureWarnings(capture=False)
        threading.excepthook = hook


def _log_uncaught(uncaught: threading.ExceptHookArgs) -> None:
    error = uncaught.exc_value
    if error is not None and uncaught.exc_type is not SystemExit:
        name = "(unknown)" if uncaught.thread is None else uncaught.thread.name
        logger.error("uncaught exception in thread %s: %r", name, error, exc_info=error)


class PrintedLines(io.RawIOBase):
    """A stream that turns lines into log records of the thread that wrote them.

    Records go directly to the handler: a logger could lead them back to this stream.

    Args:
        handler: writes the records.
        name: the logger's name in the records.
        instead_of: the stream that it replaces.

    Attributes:
        stream: this object as a text stream.
    """

    def __init__(self, handler: LogHandler, name: str, instead_of: TextIO) -> None:
        self._handler = handler
        self._name = name
        self._instead_of = instead_of
        self._partial: dict[int, tuple[str | None, bytes]] = {}
        self.stream = io.TextIOWrapper(self, "utf-8", "backslashreplace", write_through=True)  # type: ignore[type-var]

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        """Return that of the replaced stream, for processes that inherit it."""
        return self._instead_of.fileno()

    def write(self, data: object) -> int:
        """Record complete lines; keep an incomplete line until its end arrives."""
        more = bytes(data)  # type: ignore[call-overload]
        thread, puid = threading.get_ident(), find_request_id()
        before, partial = self._partial.pop(thread, (puid, b""))
        if before != puid:  # the line of an earlier request will not be completed
            self._record(partial, before)
            partial = b""
        *lines, rest = (partial + more).split(b"\n")
        for line in lines:
            self._record(line, puid)
        if len(rest) > _MAX_LINE:
            self._record(rest, puid)
        elif rest:
            self._partial[thread] = (puid, rest)
        return len(more)

    def end(self) -> None:
        """Record incomplete lines."""
        while self._partial:
            _, (puid, partial) = self._partial.popitem()
            self._record(partial, puid)

    def _record(self, line: bytes, puid: str | None) -> None:
        text = line.decode(errors="replace").rstrip("\r")
        for start in range(0, len(text), _MAX_LINE):
            record = logging.LogRecord(self._name, logging.INFO, "", 0, text[start : start + _MAX_LINE], None, None)
            record.puid = puid
            self._handler.handle(record)

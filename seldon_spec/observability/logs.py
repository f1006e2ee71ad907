"""The process's log, on stderr: lines for people, or a JSON object a line. Imports nothing heavy."""

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
"""Libraries whose chatter is none of the server's; what they warn of is shown."""

_CONTROLS = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")
_MAX_LINE = 3072
"""A longer line of what is printed becomes several records: a pipe takes 4096 bytes whole, whoever else writes."""


class LogHandler(logging.StreamHandler):  # type: ignore[type-arg]  # Python 3.10 cannot subscript it
    """Writes records, and lines that are made already, one behind the other."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record; that it could not be written is told nowhere, for that would be written here, too."""
        try:
            line = self.format(record)
        except Exception:  # the arguments do not fit the message
            self.handleError(record)
        else:
            self.write(line + self.terminator)

    def write(self, lines: str) -> None:
        """Write whole lines; where nobody can read them they are lost."""
        self.acquire()
        try:
            with contextlib.suppress(OSError, ValueError):
                self.stream.write(lines)
                self.stream.flush()
        finally:
            self.release()


class JsonFormatter(logging.Formatter):
    """A record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line = {
            "time": show_time(record.created),
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
    """A record as a line for people; what the server itself logs cannot pass for several records.

    It tells what clients have sent and what the class has raised, which may hold anything: so its messages are one line
    each, control characters are spelt out, and the lines of a traceback are indented.
    """

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the library's name
        """The first line, with the request's id at its end."""
        line = super().formatMessage(record)
        line = defuse(line) if _is_ours(record) else line
        puid = _find_id(record)
        return line if puid is None else f"{line} [{puid}]"

    def format(self, record: logging.LogRecord) -> str:
        """All lines."""
        text = super().format(record)
        return "\n    ".join(map(defuse, text.split("\n"))) if _is_ours(record) else text


def _is_ours(record: logging.LogRecord) -> bool:
    return record.name.partition(".")[0] == _OURS


def defuse(text: str) -> str:
    """Text as one line: its control characters, but tabs, are spelt out."""
    return _CONTROLS.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def show_time(seconds: float) -> str:
    """A time of the system's clock as logs have it: ISO 8601, UTC, to the millisecond."""
    second, rest = divmod(seconds, 1)
    return f"{_show_second(int(second))}.{int(rest * 1000):03d}+00:00"


@lru_cache(maxsize=2)  # one second has many lines
def _show_second(second: int) -> str:
    return datetime.fromtimestamp(second, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")


def _find_id(record: logging.LogRecord) -> str | None:
    """The id of the request that a record belongs to; a record that was made for another thread brings its own."""
    puid: str | None = getattr(record, "puid", None)
    return find_request_id() if puid is None else puid


def flush_streams() -> None:
    """Flush stdout and stderr, as far as they can be written."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()


def configure_logs(spec: LogSpec) -> LogHandler:
    """Send what is logged to stderr, in the form and from the level that the spec asks for."""
    handler = LogHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if spec.format is LogFormat.JSON else TextFormatter())
    logging.basicConfig(level=spec.level.value, handlers=[handler], force=True)
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLevelName(spec.level.value)))
    return handler


@contextlib.contextmanager
def worker_logs(spec: LogSpec) -> Iterator[LogHandler]:
    """The log of a worker, in a process that was forked; see ``configure_logs``.

    As JSON it has everything that Python code writes: what is printed, warnings, and what threads have died of.
    """
    handler = configure_logs(spec)
    if spec.format is not LogFormat.JSON:
        yield handler
        return
    hook, threading.excepthook = threading.excepthook, _log_end_of_thread
    logging.captureWarnings(capture=True)
    printed, complained = PrintedLines(handler, "stdout", sys.stdout), PrintedLines(handler, "stderr", sys.stderr)
    try:
        with contextlib.redirect_stdout(printed.stream), contextlib.redirect_stderr(complained.stream):
            yield handler
    finally:
        for lines in (printed, complained):
            lines.end()
        logging.captureWarnings(capture=False)
        threading.excepthook = hook


def _log_end_of_thread(end: threading.ExceptHookArgs) -> None:
    if end.exc_type is SystemExit or end.exc_value is None:
        return
    name = "that is gone" if end.thread is None else end.thread.name
    logger.error("the thread %s has ended: %r", name, end.exc_value, exc_info=end.exc_value)


class PrintedLines(io.RawIOBase):
    """A stream whose lines become records, each of the thread that has written it.

    Records go straight to the handler: a logger could lead them back to this stream.

    Args:
        handler: writes them.
        name: of the logger that the records tell.
        instead_of: the stream whose place it takes.

    Attributes:
        stream: this as a stream of text.
    """

    def __init__(self, handler: LogHandler, name: str, instead_of: TextIO) -> None:
        self._handler = handler
        self._name = name
        self._instead_of = instead_of
        self._begun: dict[int, tuple[str | None, bytes]] = {}
        self.stream = io.TextIOWrapper(self, "utf-8", "backslashreplace", write_through=True)  # type: ignore[type-var]

    def writable(self) -> bool:
        """See ``io.RawIOBase``."""
        return True

    def fileno(self) -> int:
        """That of the stream whose place it takes, for processes that inherit it."""
        return self._instead_of.fileno()

    def write(self, data: object) -> int:
        """Take some bytes; the line that they leave unfinished waits for its end."""
        more = bytes(data)  # type: ignore[call-overload]
        thread, puid = threading.get_ident(), find_request_id()
        before, begun = self._begun.pop(thread, (puid, b""))
        if before != puid:  # nobody will finish it
            self._record(begun, before)
            begun = b""
        *lines, rest = (begun + more).split(b"\n")
        for line in lines:
            self._record(line, puid)
        if len(rest) > _MAX_LINE:
            self._record(rest, puid)
        elif rest:
            self._begun[thread] = (puid, rest)
        return len(more)

    def end(self) -> None:
        """Record the lines that were never finished."""
        while self._begun:
            _, (puid, begun) = self._begun.popitem()
            self._record(begun, puid)

    def _record(self, line: bytes, puid: str | None) -> None:
        text = line.decode(errors="replace").rstrip("\r")
        for start in range(0, len(text), _MAX_LINE):
            record = logging.LogRecord(self._name, logging.INFO, "", 0, text[start : start + _MAX_LINE], None, None)
            record.puid = puid
            self._handler.handle(record)

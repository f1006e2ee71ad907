"""The server's log, on stderr: lines for people, or a JSON object a line. Imports nothing heavy."""

from __future__ import annotations

import json
import logging
import sys
from datetime import datetime, timezone

from seldon_spec.spec.model import LogFormat, LogSpec

_QUIET = ("uvicorn", "uvicorn.error", "grpc", "grpc._cython.cygrpc", "asyncio", "concurrent.futures")
"""Libraries whose chatter is none of the server's; what they warn of is shown."""


class JsonFormatter(logging.Formatter):
    """A record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line = {
            "time": datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "process": record.process,
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


def configure_logs(spec: LogSpec) -> None:
    """Send what is logged to stderr, in the form and from the level that the spec asks for."""
    handler = logging.StreamHandler(sys.stderr)
    if spec.format is LogFormat.JSON:
        handler.setFormatter(JsonFormatter())
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=spec.level.value, handlers=[handler], force=True)
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLevelName(spec.level.value)))

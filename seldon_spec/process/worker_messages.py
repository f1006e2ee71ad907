"""The messages that a worker sends to its supervisor, one line each."""

from __future__ import annotations

import json
import traceback

from seldon_spec.errors import ComponentFailed

READY = "ready"
"""The worker serves requests."""
RECYCLE = "recycle"
"""The worker has reached ``server.max_requests``. It serves until its replacement is ready."""
STUCK = "stuck"
"""A call of the model does not return (``server.on_timeout: replace``)."""
EXCLUSIVE = "exclusive"
"""The worker holds a resource that only one process can have. It has to exit before its replacement starts."""

MESSAGES = frozenset({READY, RECYCLE, STUCK, EXCLUSIVE})

_MAX_MESSAGE = 2000
_MAX_TRACEBACK = 8000
"""Together they fit into a pipe's buffer, so a worker can write them although the supervisor does not read."""


class WorkerTraceback(Exception):
    """The exception of a worker's class, as text: an exception cannot leave its process."""

    def __str__(self) -> str:
        return "\n" + super().__str__()  # the traceback starts on a line of its own


def pack_failure(error: ComponentFailed) -> str:
    """Return the last message of a worker whose class could not be built."""
    cause = error.__cause__
    lines = "" if cause is None else "".join(traceback.format_exception(type(cause), cause, cause.__traceback__))
    packed = {"message": str(error)[:_MAX_MESSAGE], "traceback": lines[-_MAX_TRACEBACK:], "component": error.component}
    return json.dumps(packed)


def unpack_failure(line: str) -> ComponentFailed:
    """Return the error that ``pack_failure`` wrote.

    Raises:
        ValueError: the line is not one that it wrote.
    """
    match json.loads(line):
        case {"message": str(message), "traceback": str(trace), "component": str() | None as component}:
            failure = ComponentFailed(message)
            failure.component = component
        case _:
            raise ValueError("this is not the failure of a worker")
    if trace:
        failure.trace = trace.rstrip()
        failure.__cause__ = WorkerTraceback(failure.trace)
    return failure

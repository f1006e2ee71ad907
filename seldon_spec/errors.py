"""Diagnostics and errors: the location of a mistake, the value found and the values allowed.

The lowest layer: depends on no YAML, command line or transport.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

FieldPath = tuple[str, ...]
"""A path in the spec, e.g. ``("server", "workers")``; the index of a list item is decimal text."""


def is_index(step: str) -> bool:
    """Return whether a step of a path can be a list index: at most nine ASCII digits."""
    return step.isascii() and step.isdigit() and len(step) < 10


class Severity(str, Enum):
    """Severity of a diagnostic; only an error stops a command."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


class OriginKind(str, Enum):
    """The four sources of a value, in order of increasing precedence."""

    DEFAULT = "default"
    FILE = "file"
    ENVIRONMENT = "environment"
    FLAG = "flag"


@dataclass(frozen=True, slots=True)
class Position:
    """A range of one line of a file, with the line's text, so that it can be shown without reading the file again.

    ``line`` and ``column`` count from 1; ``width`` counts the characters under the caret, within the line.
    """

    file: str
    line: int
    column: int
    width: int = 1
    text: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"

    def masked(self, start: int, width: int) -> Position:
        """Return the same position with ``width`` characters of its line, from column ``start``, replaced by ``*``."""
        before, after = self.text[: start - 1], self.text[start - 1 + width :]
        return replace(self, text=f"{before}{'*' * width}{after}")


@dataclass(frozen=True, slots=True)
class Origin:
    """The source of a value, and the source that it overrides."""

    kind: OriginKind
    name: str = ""
    """Name of the file, variable or flag; empty for a default."""
    position: Position | None = None
    below: Origin | None = None
    """The origin whose value this one overrides."""
    replaced: object = None
    """The overridden value, if there is one."""

    def __str__(self) -> str:
        if self.position is not None:
            return str(self.position)
        return self.name or self.kind.value


DEFAULT_ORIGIN = Origin(OriginKind.DEFAULT)


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One finding, in the parts that a text report, a machine format or an editor needs."""

    code: str
    message: str
    origin: Origin
    severity: Severity = Severity.ERROR
    path: FieldPath = ()
    found: str | None = None
    allowed: str | None = None
    help: str | None = None
    notes: tuple[str, ...] = ()
    related: tuple[tuple[str, Position], ...] = ()
    """Further positions of the finding, each with a label, e.g. ``("first given", …)``."""


def short_repr(value: object, limit: int = 200) -> str:
    """Return the ``repr`` of a value, cut to ``limit`` characters; the name of its type if ``repr`` fails."""
    try:
        text = repr(value)
    except Exception:  # of the user's own class
        text = f"<{type(value).__name__}>"
    return text if len(text) <= limit else f"{text[:limit]}... ({type(value).__name__})"


class SeldonSpecError(Exception):
    """Base class of this package's errors; the tables of exit codes and statuses cover each subclass.

    Attributes:
        component: the component of a graph that raised it, in a nested graph after the names of the graphs around it
            (``outer/inner``); errors that are sent to clients begin with it.
    """

    component: str | None = None


class Stopped(BaseException):
    """A signal ends the process: raised on the main thread, possibly inside the user's code."""


class SpecError(SeldonSpecError):
    """The file, the environment, the flags or the class are invalid; carries every finding."""

    def __init__(self, diagnostics: tuple[Diagnostic, ...]) -> None:
        self.diagnostics = diagnostics
        errors = (diagnostic for diagnostic in diagnostics if diagnostic.severity is Severity.ERROR)
        super().__init__("\n".join(f"{d.origin}: {d.message}" + (f" ({d.help})" if d.help else "") for d in errors))


class ComponentFailed(SeldonSpecError):
    """The user's code raised an exception, which is ``__cause__``.

    Attributes:
        trace: text of the traceback, if the exception was raised in another process.
    """

    trace: str | None = None


class RequestError(SeldonSpecError):
    """The request cannot be processed; the message is sent to the client."""


class PayloadError(RequestError):
    """The contract does not allow the message of the request."""


class UnsupportedMediaType(RequestError):
    """The media type or encoding of the request body is not supported."""


class TooLarge(RequestError):
    """The request exceeds the configured size limit."""


class MalformedRequest(RequestError):
    """The bytes are not a valid request of the transport protocol."""


class HeadTooLarge(RequestError):
    """The request head exceeds the size limit."""


class ClientTooSlow(RequestError):
    """The rest of the request did not arrive in time."""


class Unauthenticated(RequestError):
    """The request has no valid token."""


class Overloaded(RequestError):
    """A limit of the server is reached, such as ``server.max_queue``."""


class UnsupportedOperation(RequestError):
    """The component has no hook for the requested operation."""


class InferUnsupported(UnsupportedOperation):
    """The component is a router or a combiner, which has no inference of its own."""


class CorruptMessage(MalformedRequest):
    """A message of gRPC cannot be decompressed."""


class UnknownModel(RequestError):
    """The request names a model or a version that is not served here."""


class ResultError(RequestError):
    """The user's code returned a value that no payload type can represent."""


class InvalidRouting(ResultError):
    """A router returned a branch that its graph does not have."""


class CannotCombine(ResultError):
    """The responses of several branches have no mean."""


class UnwritableResult(ResultError):
    """The payload type of the result is right, but a value in it cannot be encoded."""


class BadMetadata(RequestError):
    """The contract does not allow the metadata of the class."""


class BadMetric(RequestError):
    """The user's code returned a metric that the contract does not allow."""


class RequestTimeout(RequestError):
    """The response was not ready within ``server.request_timeout_seconds``."""


class NotServing(RequestError):
    """The server is starting or stopping and accepts no requests."""


class RemoteFailed(RequestError):
    """The server of a component returned an error, or could not be reached; the client gets the same error.

    Args:
        info: the text of the error.
        http: the HTTP status.
        grpc: the name of the gRPC code.
        reason: of Seldon's ``status``; None: the usual one of the HTTP status.
        code: of Seldon's ``status``.

    Attributes:
        has_response: whether the server has returned the error; False: there was no response.
        request_id: the ID that the server has sent with the error.
    """

    has_response = True
    request_id: str | None = None

    def __init__(self, info: str, http: int, grpc: str, reason: str | None = None, code: int = -1) -> None:
        super().__init__(info)
        self.http, self.grpc, self.reason, self.code = http, grpc, reason, code


class BindFailed(SeldonSpecError):
    """A port of the spec cannot be bound.

    Attributes:
        others: errors of further ports, if several failed.
    """

    def __init__(self, key: str, host: str, port: int, reason: str, origin: Origin = DEFAULT_ORIGIN) -> None:
        self.key, self.host, self.port, self.reason, self.origin = key, host, port, reason, origin
        self.others: tuple[BindFailed, ...] = ()
        super().__init__(f"{key}: cannot listen on {host}:{port}: {reason}")

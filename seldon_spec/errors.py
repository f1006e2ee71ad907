"""What can be said of a mistake: where it stands, what was found, what is allowed.

The ground floor: knows no YAML, no command line and no wire.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

FieldPath = tuple[str, ...]
"""A place in the spec, e.g. ``("server", "workers")``; a list's index stands as its decimal text."""


def is_index(step: str) -> bool:
    """Whether a step of a path can be a list's index: ASCII digits, and few enough to be read as a number."""
    return step.isascii() and step.isdigit() and len(step) < 10


class Severity(str, Enum):
    """How much a diagnostic matters: only an error stops a command."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


class OriginKind(str, Enum):
    """The four places a value can come from, weakest first."""

    DEFAULT = "default"
    FILE = "file"
    ENVIRONMENT = "environment"
    FLAG = "flag"


@dataclass(frozen=True, slots=True)
class Position:
    """A stretch of one file's text, complete enough to be shown without reading the file again.

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
        """The same place with ``width`` characters of its line, from column ``start`` on, made unreadable."""
        before, after = self.text[: start - 1], self.text[start - 1 + width :]
        return replace(self, text=f"{before}{'*' * width}{after}")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value comes from, and what it stands above."""

    kind: OriginKind
    name: str = ""
    """The file's name, the variable or the flag; empty for a default."""
    position: Position | None = None
    below: Origin | None = None
    """The origin whose value this one replaced."""
    replaced: object = None
    """The value that ``below`` gave, where there is one."""

    def __str__(self) -> str:
        if self.position is not None:
            return str(self.position)
        return self.name or self.kind.value


DEFAULT_ORIGIN = Origin(OriginKind.DEFAULT)


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One finding, in the parts that a page, a machine format or an editor needs."""

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
    """Other places that belong to the finding, each with its label, e.g. ``("first given", …)``."""


def short_repr(value: object, limit: int = 200) -> str:
    """A value's ``repr``, cut to ``limit`` characters; its type where it has none."""
    try:
        text = repr(value)
    except Exception:  # of the user's own class
        text = f"<{type(value).__name__}>"
    return text if len(text) <= limit else f"{text[:limit]}... ({type(value).__name__})"


class SeldonSpecError(Exception):
    """Anything this package refuses; each child has its row in the tables of exit codes and statuses."""


class Stopped(BaseException):
    """A signal ends the process: raised on the main thread, also out of the user's code."""


class SpecError(SeldonSpecError):
    """The user's file, environment, flags or class are wrong: all findings at once."""

    def __init__(self, diagnostics: tuple[Diagnostic, ...]) -> None:
        self.diagnostics = diagnostics
        errors = (diagnostic for diagnostic in diagnostics if diagnostic.severity is Severity.ERROR)
        super().__init__("\n".join(f"{d.origin}: {d.message}" + (f" ({d.help})" if d.help else "") for d in errors))


class ComponentFailed(SeldonSpecError):
    """The user's own code raised; ``__cause__`` is what it raised.

    Attributes:
        trace: the traceback's text, where the exception itself was left behind in another process.
    """

    trace: str | None = None


class RequestError(SeldonSpecError):
    """A request cannot be answered; the message is meant for the client."""


class PayloadError(RequestError):
    """The request's message is not one that the contract allows."""


class UnsupportedMediaType(RequestError):
    """The request's body is encoded in a way that is not read here."""


class TooLarge(RequestError):
    """The request is larger than the configured limit."""


class MalformedRequest(RequestError):
    """The bytes are no request of the transport's protocol."""


class HeadTooLarge(RequestError):
    """The request's head is longer than anybody needs."""


class ClientTooSlow(RequestError):
    """The rest of the request did not come in time."""


class Unauthenticated(RequestError):
    """The request has no token that the server takes."""


class Overloaded(RequestError):
    """The server has as much to do as it may have."""


class UnsupportedOperation(RequestError):
    """The component has no hook for what was asked."""


class ResultError(RequestError):
    """The user's code returned something that no payload kind can carry."""


class UnwritableResult(ResultError):
    """The result's kind is right, but something in it has no form on the wire."""


class BadMetadata(RequestError):
    """The class's metadata are not what the contract allows."""


class BadMetric(RequestError):
    """The user's code returned a metric that the contract does not allow."""


class RequestTimeout(RequestError):
    """The answer did not come within ``server.request_timeout_seconds``."""


class NotServing(RequestError):
    """The server is starting or stopping and takes no request now."""


class BindFailed(SeldonSpecError):
    """A port of the spec cannot be bound.

    Attributes:
        others: the failures of the other ports, where several failed.
    """

    def __init__(self, key: str, host: str, port: int, reason: str, origin: Origin = DEFAULT_ORIGIN) -> None:
        self.key, self.host, self.port, self.reason, self.origin = key, host, port, reason, origin
        self.others: tuple[BindFailed, ...] = ()
        super().__init__(f"{key}: cannot listen on {host}:{port}: {reason}")

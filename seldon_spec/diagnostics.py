"""Diagnostics: one finding each, with the location of a mistake, the value found and the values allowed.

The lowest layer, with ``errors``: depends on no YAML, command line or transport.
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

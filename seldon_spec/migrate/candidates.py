"""Results of reading the old files: candidate settings, what is left out, and problems.

Data only: independent of every file format.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Any

from seldon_spec.errors import Diagnostic, FieldPath, Position, SeldonSpecError

VARIABLE = "variable"
"""First step of a path that is no key: ``("variable", NAME)`` is a variable of the user's class."""


class Rank(IntEnum):
    """Precedence of a source, lowest first, as it was when the old image ran.

    Source: contract sections 7.1 (a flag overrides its variable, except for the log level; one flag forces the number
    of threads), 7.6 (the graph defines the type of a unit), 7.7 (the operator's variables override the image's).
    """

    WEAK_FLAG = 0
    S2I = 1
    IMAGE = 2
    DEPLOYMENT = 3
    FLAG = 4
    FORCED = 5


@dataclass(frozen=True, slots=True)
class Candidate:
    """A value of the key at ``path``, from one source.

    Attributes:
        position: where the source sets it.
        label: the name of the setting in the source, e.g. ``ENV MODEL_NAME``.
    """

    path: FieldPath
    value: Any
    position: Position
    label: str
    rank: Rank


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A setting that is not migrated unchanged, and the reason; ``what`` names it without its value."""

    position: Position
    what: str
    why: str


@dataclass(frozen=True, slots=True)
class Copy:
    """A path of the folder and its path in the old image; a target that ends with a slash is a directory."""

    source: str
    target: str
    position: Position


@dataclass(slots=True)
class Gathered:
    """The results of all sources."""

    candidates: list[Candidate] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    problems: list[Diagnostic] = field(default_factory=list)
    packages: list[tuple[str, Position]] = field(default_factory=list)
    """Requirements that a RUN installs or a model file needs, each with its position."""
    copies: list[Copy] = field(default_factory=list)
    search_path: list[str] = field(default_factory=list)
    """Directories of the old image from which Python imported the class."""

    def add(self, path: FieldPath, value: Any, position: Position, label: str, rank: Rank) -> None:
        """Add a candidate."""
        self.candidates.append(Candidate(path, value, position, label, rank))

    def add_item(self, path: FieldPath, item: str, position: Position, label: str, rank: Rank) -> None:
        """Add an item of a list; the items of one file are one candidate, at the position of the first."""
        for index, candidate in enumerate(self.candidates):
            is_same_list = candidate.path == path and candidate.position.file == position.file
            if is_same_list and isinstance(candidate.value, list):
                if item not in candidate.value:
                    self.candidates[index] = replace(candidate, value=[*candidate.value, item])
                return
        self.candidates.append(Candidate(path, [item], position, label, rank))

    def extend(self, other: Gathered) -> None:
        """Add the candidates, what is left out, the problems and the packages of another source."""
        self.candidates += other.candidates
        self.packages += other.packages
        self.left_out += other.left_out
        self.problems += other.problems

    def leave_out(self, position: Position, what: str, why: str) -> None:
        """Record a setting that is not migrated."""
        self.left_out.append(LeftOut(position, what, why))


class CannotMigrate(SeldonSpecError):
    """Nothing was written: the folder cannot be read, contains no old files, or is ambiguous."""

"""What the old files say, in the words of our keys: claims, what is left out, and what is wrong.

Data only: knows no file format.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Any

from seldon_spec.errors import Diagnostic, FieldPath, Position, SeldonSpecError

VARIABLE = "variable"
"""The first step of a path that is no field of ours: ``("variable", NAME)`` is a variable of the user's class."""


class Rank(IntEnum):
    """How strong a source is, weakest first: the order in which they stood above each other when the image ran.

    Source: contract sections 7.1 (a flag stands above its variable, but for the log level; one switch forces the
    threads), 7.6 (a unit is called by its type in the graph), 7.7 (the operator's variables stand above the image's).
    """

    WEAK_FLAG = 0
    S2I = 1
    IMAGE = 2
    DEPLOYMENT = 3
    FLAG = 4
    FORCED = 5


@dataclass(frozen=True, slots=True)
class Candidate:
    """One source says that the field at ``path`` has ``value``.

    Attributes:
        position: where it says so.
        label: its own words for it, e.g. ``ENV MODEL_NAME``.
    """

    path: FieldPath
    value: Any
    position: Position
    label: str
    rank: Rank


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Something that no key of ours takes over as it was, and why; ``what`` names it without its value."""

    position: Position
    what: str
    why: str


@dataclass(frozen=True, slots=True)
class Copy:
    """A path of the folder and its place in the old image; a target that ends with a slash is a directory."""

    source: str
    target: str
    position: Position


@dataclass(slots=True)
class Gathered:
    """All that the sources say."""

    claims: list[Candidate] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    problems: list[Diagnostic] = field(default_factory=list)
    packages: list[tuple[str, Position]] = field(default_factory=list)
    """Requirements that a RUN installs, each with its place."""
    copies: list[Copy] = field(default_factory=list)
    search_path: list[str] = field(default_factory=list)
    """Directories of the old image in which Python looked for the class."""

    def claim(self, path: FieldPath, value: Any, position: Position, label: str, rank: Rank) -> None:
        """Add a claim."""
        self.claims.append(Candidate(path, value, position, label, rank))

    def add_item(self, path: FieldPath, item: str, position: Position, label: str, rank: Rank) -> None:
        """Claim one item of a list; items of one file belong together, at the place of the first."""
        for index, claim in enumerate(self.claims):
            if claim.path == path and claim.position.file == position.file and isinstance(claim.value, list):
                if item not in claim.value:
                    self.claims[index] = replace(claim, value=[*claim.value, item])
                return
        self.claims.append(Candidate(path, [item], position, label, rank))

    def leave(self, position: Position, what: str, why: str) -> None:
        """Note what is not taken over."""
        self.left_out.append(LeftOut(position, what, why))


class CannotMigrate(SeldonSpecError):
    """Nothing was written: the folder cannot be read, has nothing to read, or leaves a choice to the user."""

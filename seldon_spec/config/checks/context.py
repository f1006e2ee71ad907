"""What the rules look at: the merged values, where each came from, and the folder. Judges nothing itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from seldon_spec.config.checks.class_source import Finding
from seldon_spec.config.checks.requirements import Line
from seldon_spec.config.layers.layered_values import LayeredValues
from seldon_spec.config.yaml.source import Document
from seldon_spec.errors import Origin, OriginKind


@dataclass(frozen=True, slots=True)
class RuleContext:
    """What the rules look at."""

    merged: LayeredValues
    folder: Path
    document: Document
    class_source: Finding | None
    """What the sources say of the class; None where class_name is not known."""
    checks_build: bool = False
    """Whether an image is meant, so that what only its build needs is checked too."""

    def origin(self, *path: str) -> Origin:
        """Where the value at ``path`` comes from; of a default, the file's first character."""
        return self.merged.origins.get(path) or self.document.origin(self.document.start())

    def key_origin(self, *path: str) -> Origin:
        """The same for a finding about the key itself: in the file, the key's own place."""
        origin = self.origin(*path)
        found = self.document.find(path) if origin.kind is OriginKind.FILE and not self._is_in_list(path) else None
        return self.document.origin(found[0]) if found else origin

    def _is_in_list(self, path: tuple[str, ...]) -> bool:
        """Whether a name stands for an entry of Seldon's list, which the file finds by its index, not by its name."""
        holder = self.document.find(path[:-1])
        return holder is not None and isinstance(holder[1].value, list)

    def item_origin(self, *path: str) -> Origin:
        """Where one item of a list comes from: in the file its own place, else the whole list's origin."""
        origin = self.origin(*path[:-1])
        if origin.kind is not OriginKind.FILE or self.document.find(path) is None:
            return origin
        return self.document.origin(self.document.value_position(path))

    def is_set(self, *path: str) -> bool:
        """Whether the file, a variable or a flag gives a value."""
        return path in self.merged.origins


def line_origin(subject: RuleContext, line: Line) -> Origin:
    """Return the origin of a finding about a line of a requirements file."""
    position = line.position(subject.folder)
    return Origin(OriginKind.FILE, position.file, position)

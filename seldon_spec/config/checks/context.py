"""The input of the rules: the layered values with their origins, the class and the folder."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from seldon_spec.config.checks.class_source import ClassLookup
from seldon_spec.config.checks.requirements import Line
from seldon_spec.config.layers.layered_values import LayeredValues
from seldon_spec.config.yaml.document import Document
from seldon_spec.errors import Origin, OriginKind, Position


@dataclass(frozen=True, slots=True)
class RuleContext:
    """The input of the rules."""

    values: LayeredValues
    folder: Path
    document: Document
    class_source: ClassLookup | None
    """The result of reading the class; None if ``class_name`` is invalid."""
    checks_build: bool = False
    """Whether to check what only the build of an image needs."""
    graph: RuleContext | None = None
    """That of the served graph, for a component of it: they share one image."""
    references: frozenset[str] | None = None
    """The variables and files of all references, also of components; None: not all are known."""

    @property
    def has_graph(self) -> bool:
        """Whether there is a graph, valid or not."""
        return self.is_set("graph") or self.document.find(("graph",)) is not None

    @property
    def has_model(self) -> bool:
        """Whether there is a model file, valid or not."""
        return isinstance(self.values.get(("model",)), dict) or self.document.find(("model",)) is not None

    def origin(self, *path: str) -> Origin:
        """Return the origin of the value at ``path``; of a default, the start of the file."""
        return self.values.origins.get(path) or self.document.origin(self.document.start())

    def key_origin(self, *path: str) -> Origin:
        """Return the origin for a diagnostic about the key: in the file, the position of the key."""
        origin = self.origin(*path)
        found = self.document.find(path) if self._is_here(origin) and not self._is_in_list(path) else None
        return self.document.origin(found[0]) if found else origin

    def _is_here(self, origin: Origin) -> bool:
        """Return whether a value is in the document of this context, not in that of a graph around it."""
        return origin.kind is OriginKind.FILE and origin.name == self.document.file

    def _is_in_list(self, path: tuple[str, ...]) -> bool:
        """Return whether the last step names an entry of Seldon's list, which the document finds by index only."""
        holder = self.document.find(path[:-1])
        return holder is not None and isinstance(holder[1].value, list)

    def item_origin(self, *path: str) -> Origin:
        """Return the origin of a part of a list: in the file, its position, otherwise the origin of the list."""
        lengths = range(len(path), 0, -1)
        set_at = next((path[:length] for length in lengths if path[:length] in self.values.origins), ())
        origin = self.origin(*set_at)
        if not self._is_here(origin) or self.document.find(path) is None:
            return origin
        return self.document.origin(self.document.value_position(path))

    def is_set(self, *path: str) -> bool:
        """Return whether the file, a variable or a flag sets the value."""
        return path in self.values.origins

    def locate(self, position: Position) -> Position:
        """Return a position in a source file, whose name is relative to the folder, with the path of the file."""
        return replace(position, file=str(self.folder / position.file))


def line_origin(context: RuleContext, line: Line) -> Origin:
    """Return the origin of a finding about a line of a requirements file."""
    position = line.position(context.folder)
    return Origin(OriginKind.FILE, position.file, position)

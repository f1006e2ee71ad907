"""A parsed YAML file: its nodes, the positions of its keys and values, and its diagnostics."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from seldon_spec.errors import Diagnostic, FieldPath, Origin, OriginKind, Position, is_index

Scalar: TypeAlias = bool | int | float | str | None


@dataclass(slots=True)
class Node:
    """A value and its position; ``value`` is a scalar, a list of nodes, or a dict of entries."""

    value: Scalar | list[Node] | dict[str, Entry]
    position: Position
    text: str = ""
    """A scalar as it is written, without quotes; empty for collections."""
    is_plain: bool = False
    """Whether a scalar is written without quotes, so that YAML determines its type."""
    size: int = 1
    """The number of nodes in the value with every alias expanded."""
    last_line: int = 0
    """The number of a scalar's last line."""

    def to_json(self) -> Any:
        """Return the value without positions, as ``json.loads`` would return it."""
        if isinstance(self.value, dict):
            return {key: entry.node.to_json() for key, entry in self.value.items()}
        if isinstance(self.value, list):
            return [item.to_json() for item in self.value]
        return self.value


@dataclass(frozen=True, slots=True)
class Entry:
    """A key of a mapping and its value. Entries have positions of their own because aliases share nodes."""

    key: Position
    node: Node
    at: Position
    """The position of the value; of an alias, not of its anchor."""


@dataclass(slots=True)
class Document:
    """A parsed file."""

    file: str
    lines: list[str]
    root: Node | None = None
    problems: list[Diagnostic] = field(default_factory=list)
    seen: list[tuple[FieldPath, Node, Node | None]] = field(default_factory=list)
    """Every scalar and alias with its path and its mapping, including ignored values, e.g. of a duplicate key."""
    masked_lines: dict[int, str] = field(default_factory=dict)
    """The masked text of lines that contain secrets, by line number."""
    secrets: dict[tuple[int, int], str] = field(default_factory=dict)
    """The text of each scalar that is a secret, by line and column."""
    first: Position | None = None
    """The position of the key whose value this is, if it is a part of a file."""

    def part(self, path: FieldPath) -> Document:
        """Return the mapping at ``path`` as a document, without a root if it is not in the file."""
        found = self.find(path)
        root = found[1] if found and isinstance(found[1].value, dict) else None
        first = self.key_position(path)
        return Document(self.file, self.lines, root, masked_lines=self.masked_lines, secrets=self.secrets, first=first)

    def start(self) -> Position:
        """Return the position of the first character, where missing keys are reported."""
        return self.first or Position(self.file, 1, 1, 1, self.lines[0] if self.lines else "")

    def find(self, path: FieldPath) -> tuple[Position, Node] | None:
        """Return the key's position and the node at ``path``; for an item of a list, the position of the item."""
        if self.root is None:
            return None
        key, node = self.start(), self.root
        for step in path:
            if isinstance(node.value, dict) and step in node.value:
                entry = node.value[step]
                key, node = entry.key, entry.node
            elif isinstance(node.value, list) and is_index(step) and int(step) < len(node.value):
                node = node.value[int(step)]
                key = node.position
            else:
                return None
        return key, node

    def key_position(self, path: FieldPath) -> Position:
        """Return the position of the key at ``path``, or of its nearest parent that is in the file."""
        while path:
            found = self.find(path)
            if found:
                return found[0]
            path = path[:-1]
        return self.start()

    def value_position(self, path: FieldPath) -> Position:
        """Return the position of the value at ``path``; for an empty value or a mapping, of its key."""
        found = self.find(path)
        if not found:
            return self.key_position(path)
        key, node = found
        is_empty = node.value is None and not node.text
        if is_empty or isinstance(node.value, dict):
            return key
        holder = self.find(path[:-1]) if path else None
        mapping = holder[1].value if holder else None
        return mapping[path[-1]].at if isinstance(mapping, dict) else node.position

    def written(self, path: FieldPath) -> str | None:
        """Return the text of a scalar as it is written, without quotes."""
        found = self.find(path)
        return found[1].text if found else None

    def origin(self, position: Position) -> Origin:
        """Return the origin of a value at ``position`` of this file."""
        masked = self.masked_lines.get(position.line)
        return Origin(OriginKind.FILE, self.file, position if masked is None else replace(position, text=masked))

    def scalars(self) -> Iterator[tuple[FieldPath, Node]]:
        """Yield every scalar with its path, in file order."""
        stack: list[tuple[FieldPath, Node]] = [((), self.root)] if self.root else []
        while stack:
            path, node = stack.pop()
            if isinstance(node.value, dict):
                stack.extend(((*path, key), entry.node) for key, entry in reversed(node.value.items()))
            elif isinstance(node.value, list):
                stack.extend(((*path, str(i)), item) for i, item in reversed(list(enumerate(node.value))))
            else:
                yield path, node


def shorten(text: str, limit: int = 60) -> str:
    """Return a text, cut to ``limit`` characters."""
    return text if len(text) <= limit else text[: limit - 1] + "…"

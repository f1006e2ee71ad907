"""The parser of SeldonDeployments in YAML or JSON: the units of their graphs, each with its container."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from seldon_spec.config.yaml.document import Node
from seldon_spec.config.yaml.parser import parse_document
from seldon_spec.errors import Diagnostic, Position
from seldon_spec.migrate.candidates import Gathered

MAX_DOCUMENTS = 200
KIND = "SeldonDeployment"

_MARKER = re.compile(rb"^---(?=[ \t\r\n]|\Z)", re.MULTILINE)
_TEMPLATE = re.compile(rb"(^|[:-][ \t])[ \t]*['\"]?\{[{%]", re.MULTILINE)
"""A placeholder of Helm or Jinja, which is not valid YAML."""
_IGNORED_CODES = frozenset({"yaml-surprise"})
"""Findings that are correct for a spec only: in a manifest, ``0644`` is a file mode."""

_NO_IMPLEMENTATION = ("", "UNKNOWN_IMPLEMENTATION")


@dataclass(frozen=True, slots=True)
class Tree:
    """A node of a document, with the number of lines before the document in its file."""

    node: Node
    offset: int

    def get(self, *keys: str) -> Tree | None:
        """Return the node at a path of keys; None if a key is missing or null."""
        node = self.node
        for key in keys:
            entry = node.value.get(key) if isinstance(node.value, dict) else None
            if entry is None or entry.node.value is None:
                return None
            node = entry.node
        return Tree(node, self.offset)

    def items(self) -> list[Tree]:
        """Return the items of a list; none for another node."""
        return [Tree(item, self.offset) for item in self.node.value] if isinstance(self.node.value, list) else []

    def entries(self) -> list[tuple[str, Tree]]:
        """Return the keys and values of a mapping; none for another node."""
        if not isinstance(self.node.value, dict):
            return []
        return [(key, Tree(entry.node, self.offset)) for key, entry in self.node.value.items()]

    def text(self, *keys: str) -> str:
        """Return the source text of the scalar at a path of keys; empty if there is none."""
        found = self.get(*keys) if keys else self
        return found.node.text if found and not isinstance(found.node.value, (dict, list)) else ""

    def position(self) -> Position:
        """Return the position in the file."""
        return _move_down(self.node.position, self.offset)


def _move_down(position: Position, lines: int) -> Position:
    return replace(position, line=position.line + lines)


@dataclass(frozen=True, slots=True)
class Unit:
    """One unit of a graph, with its container.

    Attributes:
        file: relative to the migrated folder.
        deployment: name of the resource.
    """

    file: str
    deployment: str
    predictor: str
    name: str
    graph: Tree
    predictor_tree: Tree
    spec: Tree
    container: Tree | None

    def __str__(self) -> str:
        return "/".join(part for part in (self.deployment, self.predictor, self.name) if part)

    def is_prepackaged(self) -> bool:
        """Return whether the unit is a prepackaged server of Seldon instead of an image with a class."""
        return self.graph.text("implementation") not in _NO_IMPLEMENTATION


def read_manifest(folder: Path, path: Path, data: bytes, gathered: Gathered) -> list[Unit]:
    """Return every unit of every SeldonDeployment in a file; report what cannot be read."""
    units: list[Unit] = []
    file = path.relative_to(folder).as_posix()
    if path.suffix.lower() == ".json":
        data = data.replace(b"\t", b" ")  # JSON may indent with tabs, which YAML does not allow
    for offset, chunk in _split(data):
        if KIND.encode() not in chunk:
            continue
        if template := _TEMPLATE.search(chunk):
            line = offset + chunk.count(b"\n", 0, template.end()) + 1
            gathered.leave_out(Position(str(path), line, 1), file, "it is a template: render it, then migrate again")
            continue
        document = parse_document(chunk, str(path))
        relevant = [problem for problem in document.problems if problem.code not in _IGNORED_CODES]
        gathered.problems += [_move_diagnostic(problem, offset) for problem in relevant]
        if document.root is not None:
            for resource in _resources(Tree(document.root, offset)):
                found = list(_units(file, resource))
                units += found
                if not found:
                    gathered.leave_out(
                        resource.position(), KIND, "no predictor has a graph, so there is nothing to migrate"
                    )
    return units


def _split(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the documents of a file, each with the number of lines before it.

    A line that begins with ``---`` ends a document in any context (YAML 1.1, "c-forbidden").
    """
    starts = [match.start() for match in _MARKER.finditer(data)][:MAX_DOCUMENTS]
    bounds = [0, *starts, len(data)]
    for start, end in itertools.pairwise(bounds):
        chunk = data[start:end]
        if chunk.strip():
            yield data.count(b"\n", 0, start), chunk


def _move_diagnostic(problem: Diagnostic, lines: int) -> Diagnostic:
    origin = problem.origin
    if origin.position is None:
        return problem
    related = tuple((label, _move_down(place, lines)) for label, place in problem.related)
    return replace(problem, origin=replace(origin, position=_move_down(origin.position, lines)), related=related)


def _resources(tree: Tree) -> Iterator[Tree]:
    """Yield the SeldonDeployments of a document: itself, or the items of a list."""
    if tree.text("kind") == KIND:
        yield tree
        return
    listed = tree.get("items") or tree
    for item in listed.items():
        if item.text("kind") == KIND:
            yield item


def _units(file: str, resource: Tree) -> Iterator[Unit]:
    spec = resource.get("spec")
    predictors = spec.get("predictors") if spec else None
    if spec is None or predictors is None:
        return
    name = resource.text("metadata", "name") or spec.text("name")
    for predictor in predictors.items():
        containers = {each.text("name"): each for each in _containers(predictor)}
        for graph in _graph(predictor.get("graph")):
            unit = graph.text("name")
            yield Unit(file, name, predictor.text("name"), unit, graph, predictor, spec, containers.get(unit))


def _graph(tree: Tree | None) -> Iterator[Tree]:
    """Yield a unit, then its descendants; the parser limits the depth."""
    if tree is None:
        return
    yield tree
    children = tree.get("children")
    for child in children.items() if children else ():
        yield from _graph(child)


def _containers(predictor: Tree) -> Iterator[Tree]:
    specs = predictor.get("componentSpecs")
    listed = specs.items() if specs else []
    oldest = predictor.get("componentSpec")  # v1alpha1 has one instead of a list
    for spec in [*listed, *([oldest] if oldest else [])]:
        containers = spec.get("spec", "containers")
        yield from containers.items() if containers else ()

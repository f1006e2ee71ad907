"""SeldonDeployments in YAML or JSON: their graphs' units with the container of each. Says nothing of what they mean."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from seldon_spec.config.yaml.source import Node, parse_document
from seldon_spec.errors import Diagnostic, Position
from seldon_spec.migrate.candidates import Gathered

MAX_DOCUMENTS = 200
KIND = "SeldonDeployment"

_MARKER = re.compile(rb"^---(?=[ \t\r\n]|\Z)", re.MULTILINE)
_TEMPLATE = re.compile(rb"(^|[:-][ \t])[ \t]*['\"]?\{[{%]", re.MULTILINE)
"""A value or a line that Helm or Jinja fills in: no YAML yet."""
_OF_NO_CONCERN = frozenset({"yaml-surprise"})
"""Findings about values that a person means otherwise in a spec: a manifest's file modes are written ``0644``."""

_NO_IMPLEMENTATION = ("", "UNKNOWN_IMPLEMENTATION")


@dataclass(frozen=True, slots=True)
class Tree:
    """A node of a document, with the lines that stand above the document in its file."""

    node: Node
    above: int

    def get(self, *keys: str) -> Tree | None:
        """What stands under the keys; None where one is missing, or its value is nothing."""
        node = self.node
        for key in keys:
            entry = node.value.get(key) if isinstance(node.value, dict) else None
            if entry is None or entry.node.value is None:
                return None
            node = entry.node
        return Tree(node, self.above)

    def items(self) -> list[Tree]:
        """The items of a list; of anything else, none."""
        return [Tree(item, self.above) for item in self.node.value] if isinstance(self.node.value, list) else []

    def entries(self) -> list[tuple[str, Tree]]:
        """The keys of a mapping with their values."""
        if not isinstance(self.node.value, dict):
            return []
        return [(key, Tree(entry.node, self.above)) for key, entry in self.node.value.items()]

    def text(self, *keys: str) -> str:
        """The text of the scalar under the keys, as it is written; empty where there is none."""
        found = self.get(*keys) if keys else self
        return found.node.text if found and not isinstance(found.node.value, (dict, list)) else ""

    def place(self) -> Position:
        """Where it stands in the file."""
        return _lowered(self.node.position, self.above)


def _lowered(position: Position, lines: int) -> Position:
    return replace(position, line=position.line + lines)


@dataclass(frozen=True, slots=True)
class Unit:
    """One unit of a graph, with what belongs to it.

    Attributes:
        file: relative to the folder that is migrated.
        deployment: the resource's name.
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
        """Whether one of Seldon's own servers or units is named instead of an image with a class."""
        return self.graph.text("implementation") not in _NO_IMPLEMENTATION


def read_manifest(folder: Path, path: Path, data: bytes, gathered: Gathered) -> list[Unit]:
    """Every unit of every SeldonDeployment in a file, in its order; what cannot be read is told."""
    units: list[Unit] = []
    file = path.relative_to(folder).as_posix()
    if path.suffix.lower() == ".json":
        data = data.replace(b"\t", b" ")  # JSON may indent with tabs, which YAML does not allow
    for above, chunk in _split(data):
        if KIND.encode() not in chunk:
            continue
        if template := _TEMPLATE.search(chunk):
            line = above + chunk.count(b"\n", 0, template.end()) + 1
            gathered.leave(Position(str(path), line, 1), file, "it is a template: render it, then migrate again")
            continue
        document = parse_document(chunk, str(path))
        serious = [problem for problem in document.problems if problem.code not in _OF_NO_CONCERN]
        gathered.problems += [_told(problem, above) for problem in serious]
        if document.root is not None:
            for resource in _resources(Tree(document.root, above)):
                found = list(_units(file, resource))
                units += found
                if not found:
                    gathered.leave(
                        resource.place(), KIND, "no predictor of it has a graph, so there is nothing to read"
                    )
    return units


def _split(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The documents of a file, each with the number of lines above it.

    A line that begins with ``---`` ends whatever stands above it, in any context (YAML 1.1, "c-forbidden").
    """
    starts = [match.start() for match in _MARKER.finditer(data)][:MAX_DOCUMENTS]
    bounds = [0, *starts, len(data)]
    for start, end in itertools.pairwise(bounds):
        chunk = data[start:end]
        if chunk.strip():
            yield data.count(b"\n", 0, start), chunk


def _told(problem: Diagnostic, above: int) -> Diagnostic:
    origin = problem.origin
    if origin.position is None:
        return problem
    related = tuple((label, _lowered(place, above)) for label, place in problem.related)
    return replace(problem, origin=replace(origin, position=_lowered(origin.position, above)), related=related)


def _resources(tree: Tree) -> Iterator[Tree]:
    """The SeldonDeployments of one document: itself, or the items of a list."""
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
    """A unit, then its children; the parser bounds their depth."""
    if tree is None:
        return
    yield tree
    children = tree.get("children")
    for child in children.items() if children else ():
        yield from _graph(child)


def _containers(predictor: Tree) -> Iterator[Tree]:
    specs = predictor.get("componentSpecs")
    listed = specs.items() if specs else []
    oldest = predictor.get("componentSpec")  # of v1alpha1, which had one
    for spec in [*listed, *([oldest] if oldest else [])]:
        containers = spec.get("spec", "containers")
        yield from containers.items() if containers else ()

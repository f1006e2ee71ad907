"""The parser of manifests in YAML or JSON: the resources that run a server, and those beside them."""

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
SELDON, DEPLOYMENT, INFERENCE_SERVICE = "SeldonDeployment", "Deployment", "InferenceService"
SCALER, POLICY = "HorizontalPodAutoscaler", "NetworkPolicy"
MONITOR, POD_MONITOR = "ServiceMonitor", "PodMonitor"
MANAGED_BY, MANAGER = "app.kubernetes.io/managed-by", "seldon-spec"

_GROUPS = {
    SELDON: "",
    DEPLOYMENT: "apps/",
    INFERENCE_SERVICE: "serving.kserve.io/",
    SCALER: "autoscaling/",
    POLICY: "networking.k8s.io/",
    POD_MONITOR: "monitoring.coreos.com/",
    MONITOR: "monitoring.coreos.com/",
}
"""The kinds of resources that are read, with the beginning of their ``apiVersion``."""

_WORKLOAD = re.compile(rb"\b(Deployment|InferenceService)\b")
_COMPANION = re.compile(rb"\b(HorizontalPodAutoscaler|NetworkPolicy|ServiceMonitor|PodMonitor)\b")
_SERVER = re.compile(rb"seldon-spec|seldon-core-microservice|\bMODEL_NAME\b|\bSELDON_SPEC__")
"""What shows that a Deployment or an InferenceService runs this server or the old one."""

_MARKER = re.compile(rb"^---(?=[ \t\r\n]|\Z)", re.MULTILINE)
_TEMPLATE = re.compile(rb"(^|[:-][ \t])[ \t]*['\"]?\{[{%]", re.MULTILINE)
"""A placeholder of Helm or Jinja, which is not valid YAML."""
_IGNORED_CODES = frozenset({"yaml-surprise"})
"""Findings that are correct for a spec only: in a manifest, ``0644`` is a file mode."""


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
class Resource:
    """A resource of a cluster; ``file`` is relative to the migrated folder."""

    file: str
    kind: str
    tree: Tree

    @property
    def name(self) -> str:
        """The name of the resource; resources of the first versions have it in ``spec``."""
        return self.tree.text("metadata", "name") or self.tree.text("spec", "name")

    @property
    def is_ours(self) -> bool:
        """Whether ``seldon-spec manifest`` rendered it."""
        return self.tree.text("metadata", "labels", MANAGED_BY) == MANAGER


def read_manifest(folder: Path, path: Path, data: bytes, gathered: Gathered) -> list[Resource]:
    """Return the resources of a file that concern this server; report those that cannot be read.

    A resource without a trace of Seldon or of this package is ignored, whatever is wrong with it.
    """
    resources: list[Resource] = []
    file = path.relative_to(folder).as_posix()
    if path.suffix.lower() == ".json":
        data = data.replace(b"\t", b" ")  # JSON may indent with tabs, which YAML does not allow
    for offset, chunk in _split(data):
        is_server = SELDON.encode() in chunk or bool(_WORKLOAD.search(chunk) and _SERVER.search(chunk))
        if not is_server and not _COMPANION.search(chunk):
            continue
        if template := _TEMPLATE.search(chunk):
            line = offset + chunk.count(b"\n", 0, template.end()) + 1
            if is_server:
                why = "it is a template: render it, then migrate again"
                gathered.leave_out(Position(str(path), line, 1), file, why)
            continue
        document = parse_document(chunk, str(path))
        if is_server:
            relevant = [problem for problem in document.problems if problem.code not in _IGNORED_CODES]
            gathered.problems += [_move_diagnostic(problem, offset) for problem in relevant]
        if document.root is not None:
            resources += [Resource(file, each.text("kind"), each) for each in _resources(Tree(document.root, offset))]
    return resources


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
    """Yield the resources of a document: itself, or the items of a list."""
    if _is_known(tree):
        yield tree
        return
    listed = tree.get("items") or tree
    for item in listed.items():
        if _is_known(item):
            yield item


def _is_known(tree: Tree) -> bool:
    kind = tree.text("kind")
    return kind in _GROUPS and tree.text("apiVersion").startswith(_GROUPS[kind])

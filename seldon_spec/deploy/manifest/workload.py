"""The processes that a manifest runs in pods: one for a component or a whole graph, or one for each component."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seldon_spec.config.image_name import find_image
from seldon_spec.config.layers.environment import ENTRY_KEYS, generic_variable
from seldon_spec.config.model import SPEC_FILE, Spec
from seldon_spec.config.schema.lookup import groups_keys, join
from seldon_spec.deploy.manifest.tree import Commented, Tree
from seldon_spec.errors import FieldPath, Origin


@dataclass(frozen=True, slots=True)
class Workload:
    """A process that runs in pods.

    Attributes:
        name: of its objects, a DNS label.
        spec: what it serves.
        at: the path of the component that it is, e.g. ``("components", "iris")``; ``()``: the whole spec.
        graph: the spec that the file describes: of the component's graph, otherwise the same as ``spec``.
        urls: of the components that run elsewhere, by name.
    """

    name: str
    spec: Spec
    graph: Spec
    at: FieldPath = ()
    urls: Mapping[str, str] = field(default_factory=dict)

    @property
    def component(self) -> str | None:
        """The component of the graph that it is; None: it is the whole spec."""
        return self.at[-1] if self.at else None

    @property
    def has_own_image(self) -> bool:
        """Whether its image has its own file; otherwise, it is a component in the image of the graph."""
        return not self.at or self.spec.deployment.image is not None

    @property
    def image(self) -> Tree:
        """The image, with its origin."""
        if not self.has_own_image:
            return _comment_image(self.graph, (), self.graph)
        return _comment_image(self.spec, self.at, self.graph)

    @property
    def user(self) -> Commented:
        """The user of the image, with its origin."""
        at, spec = (self.at, self.spec) if self.has_own_image else ((), self.graph)
        path = ("image", "user")
        return Commented(spec.image.user, describe_origin(spec, path, at, self.graph))

    @property
    def arguments(self) -> list[str]:
        """The command of the image with arguments, if they differ from those of the image; otherwise empty."""
        if self.has_own_image:
            return []
        file = [] if self.graph.file == SPEC_FILE else [self.graph.file]
        return ["seldon-spec", "serve", *file, "--component", self.at[-1]]

    @property
    def whole(self) -> Workload:
        """The whole spec, whose ``deployment`` has the keys that components share, e.g. ``namespace``."""
        return Workload(self.graph.name, self.graph, self.graph) if self.at else self

    def variable(self, path: FieldPath) -> str:
        """Return the variable of a key in the container; a component's own graph has its place in the graph around."""
        is_inside = bool(self.arguments) and path[0] in ("graph", "components")
        return generic_variable((*self.at, *path) if is_inside else path)

    def with_origin(self, value: Tree, *path: str, plus: str = "") -> Commented:
        """Return a value with a comment about its origin: its key, and where that is set.

        Args:
            value: as the manifest has it.
            path: of the key, in the spec of the workload.
            plus: what is added to the value of the key, e.g. ``+ 5``.
        """
        return Commented(value, describe_origin(self.spec, path, self.at, self.graph, plus))

    def layers(self, key: str) -> list[dict[str, Tree]]:
        """Return a mapping of ``deployment`` with comments: that of the graph, then that of the component."""
        whole = [self.whole] if self.at else []
        return [
            {name: each.with_origin(value, "deployment", key, name) for name, value in each._get(key).items()}
            for each in (*whole, self)
        ]

    def _get(self, key: str) -> Mapping[str, Any]:
        values: Mapping[str, Any] = getattr(self.spec.deployment, key)
        return values


def describe_origin(spec: Spec, path: FieldPath, at: FieldPath, graph: Spec, plus: str = "") -> str:
    """Return the comment of a value: its key, and where the key is set.

    Args:
        spec: that has the key.
        path: of the key in it.
        at: the path of the spec in its graph.
        graph: whose folder names of files are relative to.
        plus: what is added to the value.
    """
    origin = _find_origin(spec, path)
    shown = f" {plus}" if plus else ""
    return f"{join((*at, *path))}{shown}, {_show(origin, graph.folder)}"


def find_spec(spec: Spec, path: FieldPath) -> tuple[Spec, FieldPath]:
    """Return the spec of the component that has the value at a path of a graph, and the path in it."""
    while len(path) > 2 and path[0] == "components" and path[2] not in ENTRY_KEYS:
        component = spec.components[path[1]].spec
        if component is None:
            break
        spec, path = component, path[2:]
    return spec, path


def _find_origin(spec: Spec, path: FieldPath) -> Origin:
    """Return the origin of a value, or of the value that it is a part of; a section is not a value."""
    spec, path = find_spec(spec, path)
    wholes = [path[:length] for length in range(len(path), 0, -1)]
    set_at = next((at for at in wholes if at in spec.origins and (at == path or not groups_keys(at))), path)
    return spec.origin(*set_at)


def _show(origin: Origin, folder: Path) -> str:
    """Return where a value is set; the name of a file is relative to the folder of the spec."""
    if origin.position is None:
        return origin.name or origin.kind.value
    file = os.path.relpath(os.path.realpath(origin.position.file), os.path.realpath(folder))
    return f"{Path(file).as_posix()}:{origin.position.line}"


def _comment_image(spec: Spec, at: FieldPath, graph: Spec) -> Commented:
    keys: tuple[tuple[FieldPath, bool], ...] = (
        (("deployment", "image"), spec.deployment.image is not None),
        (("image", "tag"), spec.image.tag is not None),
        (("version",), spec.version is not None),
    )
    path = next((path for path, is_set in keys if is_set), ("name",))
    return Commented(find_image(spec), describe_origin(spec, path, at, graph))


def list_workloads(spec: Spec) -> list[Workload]:
    """Return the workloads of a spec: itself; with ``deployment.apart``, followed by its local components.

    The components then have servers of their own at the names of their Services.
    """
    if not spec.deployment.apart or spec.graph is None:
        return [Workload(spec.name, spec, spec)]
    parts = [
        Workload(f"{spec.name}-{name}", component.spec, spec, ("components", name))
        for name, component in spec.components.items()
        if component.url is None and component.spec is not None
    ]
    urls = {part.at[-1]: f"http://{part.name}:{part.spec.ports.http}" for part in parts}
    return [Workload(spec.name, spec, spec, urls=urls), *parts]


def list_components(spec: Spec) -> list[Workload]:
    """Return a workload for each component of a graph, and of a class for itself."""
    if spec.graph is None:
        return [Workload(spec.name, spec, spec)]
    return [
        Workload(name, component.spec, spec, ("components", name))
        for name, component in spec.components.items()
        if component.spec is not None and component.url is None
    ]


def list_specs(workload: Workload) -> list[tuple[FieldPath, Spec]]:
    """Return the specs in the process of a workload, each with its path from the spec of the workload."""
    return [((), workload.spec), *_list_parts(workload.spec, (), workload.urls)]


def _list_parts(spec: Spec, at: FieldPath, urls: Mapping[str, str]) -> list[tuple[FieldPath, Spec]]:
    parts: list[tuple[FieldPath, Spec]] = []
    for name, component in spec.components.items():
        if component.url is None and component.spec is not None and name not in urls:
            here = (*at, "components", name)
            parts += [(here, component.spec), *_list_parts(component.spec, here, {})]
    return parts

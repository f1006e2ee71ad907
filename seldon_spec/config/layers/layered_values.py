"""The values of all layers merged so far, with the origin of each."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from seldon_spec.errors import Diagnostic, FieldPath, Origin


@dataclass
class LayeredValues:
    """The merged values of the layers that have been applied; a later layer overrides earlier ones."""

    tree: dict[str, Any]
    origins: dict[FieldPath, Origin]
    problems: list[Diagnostic] = field(default_factory=list)

    def get(self, path: FieldPath) -> Any:
        """Return the value at ``path``; None if it is not set."""
        here: Any = self.tree
        for step in path:
            if not isinstance(here, dict) or step not in here:
                return None
            here = here[step]
        return here

    def open(self, path: FieldPath, origin: Origin) -> None:
        """Add an empty section, whose keys are set afterwards."""
        self.set(path, {}, origin)

    def set(self, path: FieldPath, value: object, origin: Origin) -> None:
        """Set a value; its origin records the value that it overrides."""
        here = self.tree
        for step in path[:-1]:
            if not isinstance(here.get(step), dict):
                here[step] = {}
            here = here[step]
        self.origins[path] = _put_above(origin, self.origins.get(path), here.get(path[-1]))
        here[path[-1]] = value


def _put_above(origin: Origin, below: Origin | None, replaced: object) -> Origin:
    """Return an origin that overrides another one, also if it overrides others already."""
    if origin.below is not None:
        return replace(origin, below=_put_above(origin.below, below, replaced))
    return origin if below is None else replace(origin, below=below, replaced=replaced)

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
        self.origins[path] = replace(origin, below=self.origins.get(path), replaced=here.get(path[-1]))
        here[path[-1]] = value

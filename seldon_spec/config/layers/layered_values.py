"""The tree while it grows: plain values, and where each of them comes from."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from seldon_spec.errors import Diagnostic, FieldPath, Origin


@dataclass
class LayeredValues:
    """What file, environment and flags have said so far, the strongest on top."""

    values: dict[str, Any]
    origins: dict[FieldPath, Origin]
    problems: list[Diagnostic] = field(default_factory=list)

    def get(self, path: FieldPath) -> Any:
        """The value at ``path``; None where there is none."""
        here: Any = self.values
        for step in path:
            if not isinstance(here, dict) or step not in here:
                return None
            here = here[step]
        return here

    def open(self, path: FieldPath, origin: Origin) -> None:
        """Put a section there, whose keys are still to be set."""
        self.set(path, {}, origin)

    def set(self, path: FieldPath, value: object, origin: Origin) -> None:
        """Put a value above what stands there, and remember what that was."""
        here = self.values
        for step in path[:-1]:
            if not isinstance(here.get(step), dict):
                here[step] = {}
            here = here[step]
        self.origins[path] = replace(origin, below=self.origins.get(path), replaced=here.get(path[-1]))
        here[path[-1]] = value

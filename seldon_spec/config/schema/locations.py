"""Where checked values are written, for the origins of diagnostics."""

from __future__ import annotations

from collections.abc import Callable

from seldon_spec.errors import FieldPath, Origin


class SourceLocations:
    """The origins of the keys and values in a checked tree, and the text of its scalars as it is written."""

    def __init__(
        self,
        key: Callable[[FieldPath], Origin],
        value: Callable[[FieldPath], Origin],
        written: Callable[[FieldPath], str | None] = lambda _: None,
    ) -> None:
        self.key, self.value, self.written = key, value, written

    @classmethod
    def single(cls, origin: Origin) -> SourceLocations:
        """Return locations that give every key and value the same origin, such as a variable."""
        return cls(lambda _: origin, lambda _: origin)

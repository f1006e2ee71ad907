"""Whether a field takes a value: nobody wrote it there, so one that it does not take is left out, and not a mistake."""

from __future__ import annotations

from typing import Any

from seldon_spec.config.schema.schema import SourceLocations, check, field_schema
from seldon_spec.errors import FieldPath, Origin, OriginKind, Position


def why_refused(path: FieldPath, value: Any, position: Position) -> str | None:
    """What the field at ``path`` takes instead; None where it takes the value."""
    if field_schema(path) is None:
        return "there is no such key"
    origin = Origin(OriginKind.FILE, position.file, position)
    problems = check(value, path, SourceLocations(lambda _: origin, lambda _: origin))
    return (problems[0].allowed or problems[0].message) if problems else None

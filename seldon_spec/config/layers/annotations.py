"""Apply the pod's annotations, which every variable overrides. Reads no file itself."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator

from seldon_spec.config.layers.layered_values import LayeredValues
from seldon_spec.config.layers.variables import ANNOTATIONS, Annotation
from seldon_spec.config.schema.check import check
from seldon_spec.config.schema.describe import describe
from seldon_spec.config.schema.locations import SourceLocations
from seldon_spec.config.schema.lookup import field_schema, join
from seldon_spec.errors import Diagnostic, Origin, OriginKind, Severity


def apply_annotations(values: LayeredValues, text: str) -> None:
    """Set the fields of annotations; an invalid annotation is ignored with a warning.

    Args:
        values: the values of the file.
        text: lines ``key="value"`` with escaped values, as the Downward API writes them.

    Source: contract section 7.4.
    """
    known = {row.name: row for row in ANNOTATIONS}
    for name, value in _read_lines(text):
        if name in known:
            _apply(values, known[name], value)


def _read_lines(text: str) -> Iterator[tuple[str, str]]:
    for line in text.split("\n"):
        name, equals, value = line.partition("=")
        if equals:
            yield name.strip(), _unquote(value.strip())


def _unquote(value: str) -> str:
    try:
        plain = json.loads(value) if value.startswith('"') else value
    except ValueError:
        return value
    return str(plain)


def _apply(values: LayeredValues, row: Annotation, value: str) -> None:
    # An invalid annotation must not stop the server: its author does not see the error.
    origin = Origin(OriginKind.ENVIRONMENT, f"annotation {row.name}")
    schema = field_schema(row.path)
    assert schema is not None
    number = _read_number(value, row.per_unit)
    if number is None or check(number, row.path, SourceLocations.single(origin)):
        values.problems.append(
            Diagnostic(
                "unread-description",
                f"{row.name} is invalid and is ignored",
                origin,
                Severity.WARNING,
                found=json.dumps(value[:80], ensure_ascii=False),
                allowed=describe(schema) + (f", times {row.per_unit}" if row.per_unit > 1 else ""),
            )
        )
    elif _takes_precedence(values, row, number, origin):
        values.set(row.path, number, origin)


def _takes_precedence(values: LayeredValues, row: Annotation, number: float, origin: Origin) -> bool:
    """Return whether a number replaces that of another annotation for the same field: the larger one applies.

    A caller with the shorter timeout stops waiting by itself; the shorter timeout would cancel the other's requests.
    """
    other = values.origins.get(row.path)
    current = values.get(row.path)
    if other is None or other.kind is not OriginKind.ENVIRONMENT or other.name == origin.name or current == number:
        return True
    values.problems.append(
        Diagnostic(
            "shadowed-variable",
            f"{join(row.path)} is set by two annotations",
            origin,
            Severity.NOTE,
            row.path,
            found=f"{current} by {other.name.removeprefix('annotation ')}, {number} by {row.name}",
            help="the larger one applies to REST and gRPC",
        )
    )
    return number > float(current)


def _read_number(value: str, per_unit: int) -> float | None:
    try:
        number = float(value) / per_unit
    except ValueError:
        return None
    if not math.isfinite(number):
        return None
    return int(number) if number.is_integer() else number

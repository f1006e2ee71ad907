"""The pod's annotations, as Kubernetes writes them into a file: weaker than any variable. Reads no file itself."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator

from seldon_spec.config.layers.layered_values import LayeredValues
from seldon_spec.config.layers.variables import ANNOTATIONS, Annotation
from seldon_spec.config.schema.schema import SourceLocations, check, describe, field_schema, join
from seldon_spec.errors import Diagnostic, Origin, OriginKind, Severity


def lay_annotations(merged: LayeredValues, text: str) -> None:
    """Set the fields that annotations name; what cannot be read is left out with a warning.

    Args:
        merged: the tree, with what the file says.
        text: lines ``key="value"``, the value escaped.

    Source: contract section 7.4.
    """
    known = {row.name: row for row in ANNOTATIONS}
    for name, value in _read_lines(text):
        if name in known:
            _lay(merged, known[name], value)


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


def _lay(merged: LayeredValues, row: Annotation, value: str) -> None:
    # A field is an annotation's business only: nobody who writes the pod's manifest sees this server's start fail.
    origin = Origin(OriginKind.ENVIRONMENT, f"annotation {row.name}")
    schema = field_schema(row.path)
    assert schema is not None
    number = _read_number(value, row.per_unit)
    places = SourceLocations(lambda _: origin, lambda _: origin)
    if number is None or check(number, row.path, places):
        merged.problems.append(
            Diagnostic(
                "unread-description",
                f"{row.name} cannot be read and is left out",
                origin,
                Severity.WARNING,
                found=json.dumps(value[:80], ensure_ascii=False),
                allowed=describe(schema) + (f", times {row.per_unit}" if row.per_unit > 1 else ""),
            )
        )
    elif _stands_above(merged, row, number, origin):
        merged.set(row.path, number, origin)


def _stands_above(merged: LayeredValues, row: Annotation, number: float, origin: Origin) -> bool:
    """Whether a number counts against another annotation's of the same field, of which the larger is the bound of both.

    A caller that waits less ends its own waiting; a bound that is less than a caller waits would break its request off.
    """
    other = merged.origins.get(row.path)
    above = merged.get(row.path)
    if other is None or other.kind is not OriginKind.ENVIRONMENT or other.name == origin.name or above == number:
        return True
    merged.problems.append(
        Diagnostic(
            "shadowed-variable",
            f"{join(row.path)} is set by two annotations",
            origin,
            Severity.NOTE,
            row.path,
            found=f"{above} by {other.name.removeprefix('annotation ')}, {number} by {row.name}",
            help="the larger counts, for REST and gRPC alike",
        )
    )
    return number > float(above)


def _read_number(value: str, per_unit: int) -> float | None:
    try:
        number = float(value) / per_unit
    except ValueError:
        return None
    if not math.isfinite(number):
        return None
    return int(number) if number.is_integer() else number

"""Check values against the schema. Imports jsonschema only for a value that the fast check rejects."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from seldon_spec.config.schema.fast_check import accepts
from seldon_spec.config.schema.locations import SourceLocations
from seldon_spec.config.schema.lookup import field_schema, load_schema, own_path, types_of
from seldon_spec.errors import Diagnostic, FieldPath


def check(value: object, path: FieldPath, locations: SourceLocations) -> list[Diagnostic]:
    """Check a value against the schema of the field at ``path``; ``()`` is the whole file.

    Missing keys are reported only for items of lists. Other required keys are checked on the layered values, since a
    variable can supply them.

    Returns:
        At most one diagnostic for each value and each key, in no particular order.
    """
    schema = field_schema(path)
    assert schema is not None
    is_accepted = accepts(value, schema, load_schema())
    not_finite = list(_find_not_finite(value, path))
    if is_accepted and not not_finite:
        return []
    from seldon_spec.config.schema.violations import find_violations, invalid_value

    found = {} if is_accepted else find_violations(value, path, schema, locations)
    for at, number in not_finite:
        found.setdefault((at, ""), invalid_value("range", at, number, field_schema(at) or {}, locations))
    return list(found.values())


def _find_not_finite(value: object, path: FieldPath) -> Iterator[tuple[FieldPath, float]]:
    """Yield NaN and infinities of numeric fields: the comparisons of JSON Schema accept them."""
    if own_path(path)[:1] == ("parameters",):
        return
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _find_not_finite(item, (*path, key))
    elif isinstance(value, float) and not math.isfinite(value):
        schema = field_schema(path)
        if schema and "number" in types_of(schema):
            yield path, value

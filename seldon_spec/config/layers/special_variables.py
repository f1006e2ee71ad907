"""Seldon's variables that are not converted by the type of a field."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace

from seldon_spec.config.layers import parameters as seldon_parameters
from seldon_spec.config.layers.layered_values import LayeredValues
from seldon_spec.config.layers.parameters import set_entry
from seldon_spec.config.layers.variables import Reading, Variable
from seldon_spec.config.schema.check import check
from seldon_spec.config.schema.locations import SourceLocations
from seldon_spec.errors import Diagnostic, Origin, OriginKind, Severity


def _set_forced(values: LayeredValues, row: Variable, text: str) -> None:
    """Set the value of the row if the variable is a number other than 0 (contract section 7.1)."""
    origin = Origin(OriginKind.ENVIRONMENT, row.name)
    value = seldon_parameters.read_boolean(text)
    number = seldon_parameters.read_integer(text)
    if value is None and number is None:
        values.problems.append(
            Diagnostic(
                "type",
                f"{row.name} is neither a number nor a boolean",
                origin,
                path=row.path,
                found=json.dumps(text),
                allowed=seldon_parameters.BOOLEAN_WORDS,
            )
        )
    elif value or (value is None and number):
        values.set(row.path, row.value, origin)


def _set_grpc_workers(values: LayeredValues, row: Variable, text: str) -> None:
    """Disable gRPC if the number of its worker processes is 0 (contract section 3.2)."""
    origin = Origin(OriginKind.ENVIRONMENT, row.name)
    number = seldon_parameters.read_integer(text)
    if number is None or number < 0:
        values.problems.append(
            Diagnostic(
                "type",
                f"{row.name} is not a number of workers",
                origin,
                path=row.path,
                found=json.dumps(text),
                allowed="integer, 0 or more",
            )
        )
    elif number == 0:
        values.set(row.path, None, origin)
    else:
        _report_unused(values, row, text)


def _report_unused(values: LayeredValues, row: Variable, text: str) -> None:
    if is_unsupported(row, text):
        values.problems.append(no_effect(row, Origin(OriginKind.ENVIRONMENT, row.name)))


def is_unsupported(row: Variable, text: str) -> bool:
    """Return whether the value of a variable requests something that this server does not support."""
    return bool(row.instead) and text.strip().lower() not in row.quiet


def no_effect(row: Variable, origin: Origin) -> Diagnostic:
    """Return the note that the setting at ``origin`` has no effect."""
    return Diagnostic("no-effect", f"{origin.name} has no effect", origin, Severity.NOTE, help=row.instead)


def _set_parameters(values: LayeredValues, row: Variable, text: str) -> None:
    """Merge Seldon's parameters over the file's by name; the last of duplicates counts (contract section 7.3)."""
    origin = Origin(OriginKind.ENVIRONMENT, row.name)
    try:
        entries = json.loads(text)
    except (ValueError, RecursionError) as error:
        reason = f" ({error.msg} at character {error.pos + 1})" if isinstance(error, json.JSONDecodeError) else ""
        values.problems.append(
            Diagnostic(
                "parameters-json",
                f"the parameters are not JSON{reason}",
                origin,
                path=("parameters",),
                allowed='a list of {"name": …, "type": …, "value": …}',
            )
        )
        return
    if not isinstance(entries, list):
        values.problems.append(
            Diagnostic(
                "parameters-json",
                "the parameters are not a list",
                origin,
                path=("parameters",),
                allowed='a list of {"name": …, "type": …, "value": …}',
            )
        )
        return
    problems = check(entries, ("parameters",), SourceLocations.single(origin))
    # A value may be a secret, the name of a type is not.
    values.problems.extend(p if p.path[-1] == "type" else replace(p, found=None) for p in problems)
    wrong = {p.path[1] for p in problems if len(p.path) > 1}
    for index, entry in enumerate(entries):
        if str(index) not in wrong:
            set_entry(values, str(index), entry, origin)


SPECIAL: Mapping[Reading, Callable[[LayeredValues, Variable, str], None]] = {
    Reading.FORCE: _set_forced,
    Reading.GRPC_WORKERS: _set_grpc_workers,
    Reading.NOTHING: _report_unused,
    Reading.PARAMETERS: _set_parameters,
}
"""The functions that apply variables by their reading; ``unit`` applies the others."""

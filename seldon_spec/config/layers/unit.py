"""Read the operator's variables that describe the component's position in its graph into ``unit``."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from seldon_spec.config.layers import parameters as seldon_parameters
from seldon_spec.config.layers.layered_values import LayeredValues
from seldon_spec.config.layers.variables import Reading, Variable, rows_of
from seldon_spec.config.yaml.parser import parse_document
from seldon_spec.errors import Diagnostic, Origin, OriginKind, Severity


def set_unit(values: LayeredValues, environ: Mapping[str, str]) -> None:
    """Read every variable of ``unit``; diagnostics are appended to ``values.problems``."""
    for row in rows_of("unit"):
        if row.name in environ and (environ[row.name].strip() or row.reading in _READ_EMPTY):
            try:
                value = _READERS[row.reading](environ[row.name])
            except _InvalidVariable as error:
                values.problems.append(error.diagnostic(row, environ[row.name]))
                continue
            if value is not None:
                values.set(row.path, value, _origin(row))


def _origin(row: Variable) -> Origin:
    return Origin(OriginKind.ENVIRONMENT, row.name)


class _InvalidVariable(Exception):
    """A variable has an invalid text.

    Args:
        complaint: the reason, which follows the name of the variable.
        allowed: a description of valid texts.
        is_needed: whether the server cannot start without it; else it is ignored with a warning.
    """

    def __init__(self, complaint: str, allowed: str, *, is_needed: bool) -> None:
        self.complaint, self.allowed, self.is_needed = complaint, allowed, is_needed
        super().__init__(complaint)

    def diagnostic(self, row: Variable, text: str) -> Diagnostic:
        """Return the diagnostic of the variable."""
        if not self.is_needed:
            return Diagnostic(
                "unread-description",
                f"{row.name} {self.complaint} and is ignored",
                _origin(row),
                Severity.WARNING,
                row.path,
                allowed=self.allowed,
            )
        return Diagnostic(
            "form",
            f"{row.name} {self.complaint}",
            _origin(row),
            path=row.path,
            found=json.dumps(text, ensure_ascii=False),
            allowed=self.allowed,
        )


def _read_text(text: str) -> str:
    return text


def _read_route(text: str) -> str:
    if not text.startswith("/"):
        raise _InvalidVariable("is not a path", "text that starts with /", is_needed=True)
    return text


def _read_boolean(text: str) -> bool:
    value = seldon_parameters.read_boolean(text.strip() or "false")
    if value is None:
        raise _InvalidVariable("is not a boolean", seldon_parameters.BOOLEAN_WORDS, is_needed=True)
    return value


def _read_only_true(text: str) -> bool:
    """Return true only for the word ``true``: ``1`` is false, and no text is invalid (contract section 7.2)."""
    return text.strip().lower() == "true"


def _read_predictor_version(text: str) -> str | None:
    try:
        labels: Any = json.loads(text)
    except (ValueError, RecursionError):
        labels = None
    if not isinstance(labels, dict):
        raise _InvalidVariable("is not a JSON object", 'labels as JSON, e.g. {"version": "v1"}', is_needed=False)
    return None if labels.get("version") is None else str(labels["version"])


def _read_metadata(text: str) -> Mapping[str, Any] | None:
    # Bytes of a variable that are not UTF-8 are surrogates in its text.
    document = parse_document(text.encode("utf-8", "surrogateescape"), "MODEL_METADATA")
    value = document.root.to_json() if document.root and not document.problems else None
    if isinstance(value, dict):
        return value
    if document.root is None and not document.problems:
        return None
    reason = f" ({document.problems[0].message})" if document.problems else ""
    raise _InvalidVariable(
        f"is not a YAML mapping{reason}", 'metadata as YAML or JSON, e.g. {"name": "iris"}', is_needed=False
    )


_READ_EMPTY = (Reading.BOOLEAN, Reading.ONLY_TRUE)
"""The readings for which an empty variable means false; others ignore it."""

_READERS: Mapping[Reading, Callable[[str], object]] = {
    Reading.TEXT: _read_text,
    Reading.ROUTE: _read_route,
    Reading.BOOLEAN: _read_boolean,
    Reading.ONLY_TRUE: _read_only_true,
    Reading.LABELS: _read_predictor_version,
    Reading.METADATA: _read_metadata,
}

"""What the operator says of a component's place, read from its variables into ``unit``. Knows no other section."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from seldon_spec.config.layers import parameters as seldon_parameters
from seldon_spec.config.layers.layered_values import LayeredValues
from seldon_spec.config.layers.variables import Reading, Variable, rows_of
from seldon_spec.config.yaml.source import parse_document
from seldon_spec.errors import Diagnostic, Origin, OriginKind, Severity


def set_unit(merged: LayeredValues, environ: Mapping[str, str]) -> None:
    """Read every variable of the unit; findings go to the tree's ``problems``."""
    for row in rows_of("unit"):
        if row.name in environ and (environ[row.name].strip() or row.reading in _READ_EMPTY):
            try:
                value = _READERS[row.reading](environ[row.name])
            except _Unread as error:
                merged.problems.append(error.tell(row, environ[row.name]))
                continue
            if value is not None:
                merged.set(row.path, value, _origin(row))


def _origin(row: Variable) -> Origin:
    return Origin(OriginKind.ENVIRONMENT, row.name)


class _Unread(Exception):
    """A text cannot be read.

    Args:
        complaint: what is wrong with it, after the variable's name.
        allowed: what could be read.
        is_needed: whether the server cannot do without it; else it only describes, and is left out with a warning.
    """

    def __init__(self, complaint: str, allowed: str, *, is_needed: bool) -> None:
        self.complaint, self.allowed, self.is_needed = complaint, allowed, is_needed
        super().__init__(complaint)

    def tell(self, row: Variable, text: str) -> Diagnostic:
        """The finding."""
        if not self.is_needed:
            return Diagnostic(
                "unread-description",
                f"{row.name} {self.complaint} and is left out",
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
        raise _Unread("is no path", "text that starts with /", is_needed=True)
    return text


def _read_boolean(text: str) -> bool:
    value = seldon_parameters.read_boolean(text.strip() or "false")
    if value is None:
        raise _Unread("is not a boolean", seldon_parameters.BOOLEAN_WORDS, is_needed=True)
    return value


def _read_only_true(text: str) -> bool:
    """Contract section 7.2: ``1`` is not true here, and no word is refused."""
    return text.strip().lower() == "true"


def _read_predictor_version(text: str) -> str | None:
    try:
        labels: Any = json.loads(text)
    except (ValueError, RecursionError):
        labels = None
    if not isinstance(labels, dict):
        raise _Unread("is not a JSON object", 'labels as JSON, e.g. {"version": "v1"}', is_needed=False)
    return None if labels.get("version") is None else str(labels["version"])


def _read_metadata(text: str) -> Mapping[str, Any] | None:
    # a variable's bytes that are not UTF-8 stand as surrogates in its text
    document = parse_document(text.encode("utf-8", "surrogateescape"), "MODEL_METADATA")
    value = document.root.to_json() if document.root and not document.problems else None
    if isinstance(value, dict):
        return value
    if document.root is None and not document.problems:
        return None
    reason = f" ({document.problems[0].message})" if document.problems else ""
    raise _Unread(f"is not a YAML mapping{reason}", 'metadata as YAML or JSON, e.g. {"name": "iris"}', is_needed=False)


_READ_EMPTY = (Reading.BOOLEAN, Reading.ONLY_TRUE)
"""What an empty variable says no to; any other is not set where it is empty."""

_READERS: Mapping[Reading, Callable[[str], object]] = {
    Reading.TEXT: _read_text,
    Reading.ROUTE: _read_route,
    Reading.BOOLEAN: _read_boolean,
    Reading.ONLY_TRUE: _read_only_true,
    Reading.LABELS: _read_predictor_version,
    Reading.METADATA: _read_metadata,
}

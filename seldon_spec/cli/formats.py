"""Machine formats of findings: JSON, GitHub annotations, SARIF 2.1.0."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from seldon_spec import __version__
from seldon_spec.errors import Diagnostic, Position, Severity

SARIF_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/os/schemas/sarif-schema-2.1.0.json"


def render_json(diagnostics: Sequence[Diagnostic]) -> str:
    """Render one JSON object, ``{"diagnostics": [...]}``, and a line break."""
    return _dump({"diagnostics": [_to_json(d) for d in diagnostics]})


def _dump(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _to_json(diagnostic: Diagnostic) -> dict[str, Any]:
    origin = diagnostic.origin
    return {
        "code": diagnostic.code,
        "severity": diagnostic.severity.value,
        "message": diagnostic.message,
        "path": ".".join(diagnostic.path),
        "origin": {"kind": origin.kind.value, "name": origin.name, **_place(origin.position)},
        "found": diagnostic.found,
        "allowed": diagnostic.allowed,
        "help": diagnostic.help,
        "notes": list(diagnostic.notes),
        "related": [{"label": label, **_place(position)} for label, position in diagnostic.related],
    }


def _place(position: Position | None) -> dict[str, Any]:
    if position is None:
        return {}
    return {"file": position.file, "line": position.line, "column": position.column, "width": position.width}


def render_github(diagnostics: Sequence[Diagnostic]) -> str:
    """Render one workflow command per finding; GitHub shows it at the line, if there is one."""
    return "".join(f"{_annotation(d)}\n" for d in diagnostics)


def _annotation(diagnostic: Diagnostic) -> str:
    command = {Severity.NOTE: "notice"}.get(diagnostic.severity, diagnostic.severity.value)
    position = diagnostic.origin.position
    properties: dict[str, object] = {}
    if position is not None:
        properties = {
            "file": position.file,
            "line": position.line,
            "col": position.column,
            "endColumn": position.column + position.width,
        }
    properties["title"] = f"seldon-spec {diagnostic.code}"
    encoded = ",".join(f"{name}={_escape(str(value), in_property=True)}" for name, value in properties.items())
    where = "" if position is not None else f"{diagnostic.origin}: "
    return f"::{command} {encoded}::{_escape(where + _sentences(diagnostic), in_property=False)}"


def _escape(text: str, *, in_property: bool) -> str:
    """Escape %, line breaks and, in properties, colons and commas, as the GitHub runner expects."""
    text = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return text.replace(":", "%3A").replace(",", "%2C") if in_property else text


def _sentences(diagnostic: Diagnostic) -> str:
    """Return message and details, one per line."""
    details = (("found", diagnostic.found), ("allowed", diagnostic.allowed), ("help", diagnostic.help))
    lines = [diagnostic.message, *(f"{name}: {text}" for name, text in details if text)]
    return "\n".join([*lines, *diagnostic.notes])


def render_sarif(diagnostics: Sequence[Diagnostic]) -> str:
    """Render a SARIF 2.1.0 log with one run; columns count from 1, end columns are exclusive."""
    driver = {
        "name": "seldon-spec",
        "version": __version__,
        "rules": [{"id": code} for code in sorted({d.code for d in diagnostics})],
    }
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": [_result(d) for d in diagnostics],
    }
    return _dump({"$schema": SARIF_SCHEMA, "version": "2.1.0", "runs": [run]})


def _result(diagnostic: Diagnostic) -> dict[str, Any]:
    position = diagnostic.origin.position
    where = "" if position is not None else f"{diagnostic.origin}: "
    result: dict[str, Any] = {
        "ruleId": diagnostic.code,
        "level": diagnostic.severity.value,
        "message": {"text": where + _sentences(diagnostic)},
    }
    if position is not None:
        result["locations"] = [_location(position)]
    if diagnostic.related:
        result["relatedLocations"] = [
            {**_location(place), "id": index, "message": {"text": label}}
            for index, (label, place) in enumerate(diagnostic.related)
        ]
    return result


def _location(position: Position) -> dict[str, Any]:
    from urllib.parse import quote

    path = PurePath(position.file)
    uri = path.as_uri() if path.is_absolute() else quote(path.as_posix())
    region = {
        "startLine": position.line,
        "startColumn": position.column,
        "endColumn": position.column + position.width,
    }
    return {"physicalLocation": {"artifactLocation": {"uri": uri}, "region": region}}


FORMATS: Mapping[str, Callable[[Sequence[Diagnostic]], str]] = {
    "json": render_json,
    "github": render_github,
    "sarif": render_sarif,
}
"""The formats of ``validate --format`` other than text."""

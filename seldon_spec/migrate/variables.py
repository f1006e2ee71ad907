"""Variables and annotations as candidates, read by the same rules as by the loader."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any

from seldon_spec.config.layers.annotations import apply_annotations
from seldon_spec.config.layers.environment import PREFIX, overlay
from seldon_spec.config.layers.field_text import ArgumentHints
from seldon_spec.config.layers.layered_values import LayeredValues
from seldon_spec.config.layers.variables import Reading, by_name, flask_variables
from seldon_spec.config.schema.lookup import is_sensitive, own_path
from seldon_spec.errors import Diagnostic, FieldPath, Origin, OriginKind, Position, Severity
from seldon_spec.migrate.candidates import VARIABLE, Candidate, Gathered, Rank

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SECRET_NAME = re.compile(
    r"PASSWD|PASSPHRASE|CREDENTIAL|PRIVATE_?KEY|ACCESS_?KEY|API_?KEY|SECRET|(^|_)PWD$", re.IGNORECASE
)
_SECRET_TEXT = re.compile(r"://[^/\s:@]+:[^/\s@]+@|://[^/\s:@]{12,}@|-----BEGIN [A-Z ]*PRIVATE KEY")

_BOTH = (
    "ignored: REST (ports.http) and gRPC (ports.grpc) are always both served; old images served one of them, "
    "by default on port 5000: check your clients"
)
_OF_S2I = "it configured the s2i builder: use image.index_url and image.extra_index_urls"
_REASONS = {
    "API_TYPE": _BOTH,
    "CONDA_ENV_NAME": "no conda environment is created: set image.requirements to its environment.yml",
    "EXTRA_INDEX_URL": _OF_S2I,
    "PIP_TRUSTED_HOST": _OF_S2I,
}
"""Variables that only the old image reads, and that the loader does not know."""

_NO_EFFECT = "dropped: this value has no effect, and the setting is no longer supported"
_IN_CLUSTER = "the manifest sets it in the cluster, and the server reads it there"


_rows = cache(by_name)


@cache
def _flask_names() -> frozenset[str]:
    return frozenset(flask_variables())


def is_secret(name: str, text: object = "") -> bool:
    """Return whether a value must not appear in files and messages, because of its name or credentials in its text."""
    return is_sensitive((name,)) or bool(_SECRET_NAME.search(name)) or bool(_SECRET_TEXT.search(str(text)))


def add_variable(gathered: Gathered, name: str, text: str, position: Position, label: str, rank: Rank) -> None:
    """Add a variable, or the equivalent flag; report it if it has no effect.

    Args:
        gathered: receives the results.
        name: of the variable, e.g. ``MODEL_NAME``.
        text: its value.
        position: where the source sets it.
        label: its name in the source.
        rank: of the source.
    """
    row = _rows().get(name)
    if name in _REASONS:
        gathered.leave_out(position, label, _REASONS[name])
    elif row is not None and row.reading is Reading.NOTHING:
        is_off = text.strip().lower() in row.quiet
        why = row.instead or row.does.removeprefix("no effect: ")
        gathered.leave_out(position, label, _NO_EFFECT if is_off else why)
    elif row is not None and row.path[0] == "unit":
        _add_description(gathered, name, text, position, label, rank)
    elif row is not None or name in _flask_names() or name.startswith(PREFIX):
        layered = LayeredValues({}, {})
        overlay(layered, {name: text}, (), ArgumentHints)
        is_switch = row is not None and row.reading is Reading.FORCE
        add_layered(gathered, layered, position, label, Rank.FORCED if is_switch else rank)
    elif _NAME.fullmatch(name):
        gathered.candidates.append(Candidate((VARIABLE, name), text, position, label, rank))
    else:
        gathered.leave_out(position, label, "this is not a valid name of a variable")


def _add_description(gathered: Gathered, name: str, text: str, position: Position, label: str, rank: Rank) -> None:
    """Add a variable without an equivalent key that the server reads when it starts: the image keeps it."""
    if rank >= Rank.DEPLOYMENT:
        gathered.leave_out(position, label, _IN_CLUSTER)
    else:
        gathered.candidates.append(Candidate(("image", "environment", name), text, position, label, rank))


def add_annotation(gathered: Gathered, name: str, text: str, position: Position) -> None:
    """Add an annotation of the pod, if the server reads it."""
    layered = LayeredValues({}, {})
    apply_annotations(layered, f"{name}={json.dumps(text)}")
    add_layered(gathered, layered, position, f"annotation {name}", Rank.DEPLOYMENT)


def add_layered(gathered: Gathered, layered: LayeredValues, position: Position, label: str, rank: Rank) -> None:
    """Add the values and problems that the loader's reading of one text gave, at the position of the source."""
    for path in layered.origins:
        value = layered.get(path)
        gathered.add(path, value, position, label, rank)
    for problem in layered.problems:
        if problem.code == "no-effect":
            gathered.leave_out(position, label, problem.help or problem.message)
        else:
            gathered.problems.append(_at_source(problem, position, label))


def _at_source(problem: Diagnostic, position: Position, label: str) -> Diagnostic:
    """Move a finding of the loader about a variable to the position of the source."""
    found = problem.found.removesuffix(" (environment)") if problem.found else None
    severity = Severity.WARNING if problem.severity is Severity.NOTE else problem.severity
    return replace(
        problem,
        origin=Origin(OriginKind.FILE, position.file, position),
        severity=severity,
        found=found,
        notes=(*problem.notes, f"{label} is left out of seldon.yaml"),
    )


def without_secrets(candidates: list[Candidate], gathered: Gathered) -> Iterator[Candidate]:
    """Yield the candidates with references in place of secrets, and report each."""
    for candidate in candidates:
        path = own_path(candidate.path)
        name = path[-1]
        is_free = path[0] in (VARIABLE, "parameters", "environment") or path[:2] == ("image", "environment")
        is_key = path[0] == "flask" and is_sensitive((name,))
        is_label = path[:2] in (("image", "labels"), ("deployment", "labels"), ("deployment", "annotations"))
        is_pod = path[:2] == ("deployment", "pod")
        if (is_free and is_secret(name, candidate.value) and _is_literal(candidate.value)) or is_key:
            yield from _refer(candidate, gathered)
        elif (
            _SECRET_TEXT.search(str(candidate.value))
            or (is_label and is_secret(name))
            or (is_pod and _sets_secret(candidate.value))
        ):
            gathered.leave_out(
                candidate.position, candidate.label, "a secret is not copied, and this key does not accept a reference"
            )
        else:
            yield candidate


def _sets_secret(value: Any) -> bool:
    """Return whether a part of a pod sets a variable with a literal secret."""
    if isinstance(value, dict):
        literal = value.get("value")
        is_set = isinstance(literal, str) and is_secret(str(value.get("name")), literal)
        return is_set or any(map(_sets_secret, value.values()))
    return isinstance(value, list) and any(map(_sets_secret, value))


def _holds_references(value: Any) -> bool:
    """Return whether a value is a list without literal secrets."""
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)


def _is_literal(value: Any) -> bool:
    return isinstance(value, (str, int, float)) and not isinstance(value, bool) and value != ""


def _refer(candidate: Candidate, gathered: Gathered) -> Iterator[Candidate]:
    path: FieldPath = own_path(candidate.path)
    around = candidate.path[: len(candidate.path) - len(path)]
    name = path[-1]
    if isinstance(candidate.value, dict) or _holds_references(candidate.value):
        yield candidate
        return
    if not _is_literal(candidate.value):
        gathered.leave_out(
            candidate.position, candidate.label, "a secret is not copied: use references in flask." + name
        )
        return
    variable = f"FLASK_{name}" if path[0] == "flask" else re.sub(r"[^A-Za-z0-9_]", "_", name).upper()
    if path[0] == "environment":
        variable = name
    elif path[0] in (VARIABLE, "image"):
        variable, path = name, (VARIABLE, name)
    gathered.leave_out(
        candidate.position,
        candidate.label,
        f"a secret is not copied: seldon.yaml refers to the variable {variable}; set it where the server starts",
    )
    yield replace(candidate, path=(*around, *path), value={"from_env": variable})

"""A variable's name and text as claims: read as the loader would read them where the server starts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any

from seldon_spec.config.layers.annotations import lay_annotations
from seldon_spec.config.layers.environment import PREFIX, ArgumentHints, overlay
from seldon_spec.config.layers.layered_values import LayeredValues
from seldon_spec.config.layers.variables import Reading, by_name, flask_variables
from seldon_spec.config.schema.schema import is_sensitive
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
_OF_S2I = "it told the s2i builder where to look: image.index_url and image.extra_index_urls say so here"
_REASONS = {
    "API_TYPE": _BOTH,
    "CONDA_ENV_NAME": "no conda environment is made: image.requirements can name its environment.yml",
    "EXTRA_INDEX_URL": _OF_S2I,
    "PIP_TRUSTED_HOST": _OF_S2I,
}
"""Variables that only the old image read, and that the loader has no row for."""

_NOTHING_ASKED = "dropped: this value has no effect, and the setting is no longer supported"
_IN_CLUSTER = "the SeldonDeployment sets it where the server starts, and it is read there"


_rows = cache(by_name)


@cache
def _flask_names() -> frozenset[str]:
    return frozenset(flask_variables())


def is_secret(name: str, text: object = "") -> bool:
    """Whether a value is to be kept out of files and messages: its name says so, or its text has credentials."""
    return is_sensitive((name,)) or bool(_SECRET_NAME.search(name)) or bool(_SECRET_TEXT.search(str(text)))


def claim_variable(gathered: Gathered, name: str, text: str, position: Position, label: str, rank: Rank) -> None:
    """Turn one variable, or a flag that stands for it, into claims; what has no effect here is left out.

    Args:
        gathered: where claims, what is left out and problems go.
        name: of the variable, e.g. ``MODEL_NAME``.
        text: its value.
        position: where the source gives it.
        label: the source's words for it.
        rank: the source's strength.
    """
    row = _rows().get(name)
    if name in _REASONS:
        gathered.leave(position, label, _REASONS[name])
    elif row is not None and row.reading is Reading.NOTHING:
        asks_nothing = text.strip().lower() in row.quiet
        why = row.instead or row.does.removeprefix("no effect: ")
        gathered.leave(position, label, _NOTHING_ASKED if asks_nothing else why)
    elif row is not None and row.path[0] == "unit":
        _claim_description(gathered, name, text, position, label, rank)
    elif row is not None or name in _flask_names() or name.startswith(PREFIX):
        merged = LayeredValues({}, {})
        overlay(merged, {name: text}, (), ArgumentHints)
        is_switch = row is not None and row.reading is Reading.FORCE
        take(gathered, merged, position, label, Rank.FORCED if is_switch else rank)
    elif _NAME.fullmatch(name):
        gathered.claims.append(Candidate((VARIABLE, name), text, position, label, rank))
    else:
        gathered.leave(position, label, "this is no name that a variable can have")


def _claim_description(gathered: Gathered, name: str, text: str, position: Position, label: str, rank: Rank) -> None:
    """Variables that no key sets, and that the server reads where it starts: an image keeps them as it had them."""
    if rank >= Rank.DEPLOYMENT:
        gathered.leave(position, label, _IN_CLUSTER)
    else:
        gathered.claims.append(Candidate(("image", "environment", name), text, position, label, rank))


def claim_annotation(gathered: Gathered, name: str, text: str, position: Position) -> None:
    """Turn one annotation of the pod into a claim, if it is one that a server reads."""
    merged = LayeredValues({}, {})
    lay_annotations(merged, f"{name}={json.dumps(text)}")
    take(gathered, merged, position, f"annotation {name}", Rank.DEPLOYMENT)


def take(gathered: Gathered, merged: LayeredValues, position: Position, label: str, rank: Rank) -> None:
    """Take over what the loader's own reading of one text gave, at the source's place."""
    for path in merged.origins:
        value = merged.get(path)
        gathered.claim(path, value, position, label, rank)
    for problem in merged.problems:
        if problem.code == "no-effect":
            gathered.leave(position, label, problem.help or problem.message)
        else:
            gathered.problems.append(_placed(problem, position, label))


def _placed(problem: Diagnostic, position: Position, label: str) -> Diagnostic:
    """A finding of the loader's about a variable, told where the source gives it."""
    found = problem.found.removesuffix(" (environment)") if problem.found else None
    severity = Severity.WARNING if problem.severity is Severity.NOTE else problem.severity
    return replace(
        problem,
        origin=Origin(OriginKind.FILE, position.file, position),
        severity=severity,
        found=found,
        notes=(*problem.notes, f"{label} is left out of seldon.yaml"),
    )


def without_secrets(claims: list[Candidate], gathered: Gathered) -> Iterator[Candidate]:
    """Claims in which a secret is referred to instead of written; that it is, goes to what is left out."""
    for claim in claims:
        name = claim.path[-1]
        is_free = claim.path[0] in (VARIABLE, "parameters") or claim.path[:2] == ("image", "environment")
        is_key = claim.path[0] == "flask" and is_sensitive((name,))
        if (is_free and is_secret(name, claim.value) and _is_literal(claim.value)) or is_key:
            yield from _refer(claim, gathered)
        elif _SECRET_TEXT.search(str(claim.value)) or (claim.path[:2] == ("image", "labels") and is_secret(name)):
            gathered.leave(claim.position, claim.label, "a secret is not copied, and no reference can stand here")
        else:
            yield claim


def _is_literal(value: Any) -> bool:
    return isinstance(value, (str, int, float)) and not isinstance(value, bool) and value != ""


def _refer(claim: Candidate, gathered: Gathered) -> Iterator[Candidate]:
    path: FieldPath = claim.path
    name = path[-1]
    if isinstance(claim.value, dict):
        yield claim
        return
    if not _is_literal(claim.value):
        gathered.leave(claim.position, claim.label, "a secret is not copied: write references into flask." + name)
        return
    variable = f"FLASK_{name}" if path[0] == "flask" else re.sub(r"[^A-Za-z0-9_]", "_", name).upper()
    if path[0] in (VARIABLE, "image"):
        variable, path = name, (VARIABLE, name)
    gathered.leave(
        claim.position,
        claim.label,
        f"a secret is not copied: seldon.yaml refers to the variable {variable}, set it where the server starts",
    )
    yield replace(claim, path=path, value={"from_env": variable})

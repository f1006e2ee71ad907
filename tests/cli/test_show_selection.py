"""``show`` with a part of the values: those that differ from the defaults, and those of some keys."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from seldon_spec.cli.main import run

SPEC = "class_name: MyModel\nserver: {workers: 1, threads: 4, log: {level: INFO}}\nparameters: {threshold: 0.5}\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "MyModel.py").write_text(
        "class MyModel:\n    def __init__(self, threshold): ...\n    def predict(self, X, names): ...\n"
    )
    (tmp_path / "seldon.yaml").write_text(SPEC)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PREDICTIVE_UNIT_HTTP_SERVICE_PORT", "8080")
    return tmp_path


CLASS = 'class_name = "MyModel"  <- seldon.yaml:1:13'
PARAMETER = "parameters.threshold = 0.5  <- seldon.yaml:3:25"
HTTP = "ports.http = 8080  <- PREDICTIVE_UNIT_HTTP_SERVICE_PORT"
THREADS = "server.threads = 4  <- seldon.yaml:2:31"
SELECTIONS = [
    (["--changed"], [CLASS, PARAMETER, HTTP, THREADS]),
    (["--changed", "--set", "server.threads=1"], [CLASS, PARAMETER, HTTP]),
    (["--changed", "--only", "server"], [THREADS]),
    (["--changed", "--only", "flask"], []),
    (["--only", "ports"], [HTTP, "ports.grpc = 5000  <- default", "ports.metrics = 6000  <- default"]),
    (["--only", "server.threads", "--only", "parameters.threshold"], [PARAMETER, THREADS]),
    (["--only", "server.log.level"], ['server.log.level = "INFO"  <- seldon.yaml:2:47']),
]


@pytest.mark.parametrize(("options", "lines"), SELECTIONS, ids=[" ".join(options) for options, _ in SELECTIONS])
def test_show_prints_the_chosen_values(
    options: list[str], lines: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["show", *options]) == 0
    assert capsys.readouterr().out.splitlines() == lines


def test_the_json_has_the_same_selection(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["show", "--changed", "--only", "server", "--format", "json"]) == 0
    origin = {"kind": "file", "name": "seldon.yaml", "line": 2, "column": 31}
    shown = json.loads(capsys.readouterr().out)
    assert shown == {"spec": {"server": {"threads": 4}}, "origins": {"server.threads": origin}}


def test_the_values_of_a_component_are_chosen_by_their_whole_path(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = (
        "graph: [iris]\ncomponents:\n  iris: {class_name: MyModel, parameters: {threshold: 1}, service_type: MODEL}\n"
    )
    (folder / "seldon.yaml").write_text(spec)
    assert run(["show", "--changed", "--only", "components.iris"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        'components.iris.class_name = "MyModel"  <- seldon.yaml:3:22',
        "components.iris.parameters.threshold = 1  <- seldon.yaml:3:55",
    ]


WRONG = [
    (["--only", "server.lg"], 'did you mean "server.log"?'),
    (["--only", "sever"], 'did you mean "server"?'),
    (["--only", "qqq"], "one of class_name, service_type, name"),
    (["--only", "graph"], "one of class_name, service_type, name"),
    (["--changed", "--format", "mermaid"], "--format mermaid"),
]


@pytest.mark.parametrize(("options", "message"), WRONG, ids=[" ".join(options) for options, _ in WRONG])
def test_a_key_that_the_spec_does_not_have_is_a_usage_error(
    options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["show", *options]) == 2
    captured = capsys.readouterr()
    assert (captured.out, message in captured.err) == ("", True), captured.err

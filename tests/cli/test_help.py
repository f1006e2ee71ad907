"""``--help``: groups, lines that fit a terminal, and examples that work."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

import seldon_spec.cli.options  # noqa: F401 - registers the commands
from seldon_spec.cli.application import app
from seldon_spec.cli.command_help import COMMAND_HELP, MAIN_PAGE, Group
from seldon_spec.cli.main import run

ROOT = Path(__file__).parents[2]
PROGRAM: Any = typer.main.get_command(app)
EXAMPLES = [(name, line) for name, each in COMMAND_HELP.items() for _, line in each.examples]
RUN_HERE = ("validate", "show", "schema", "explain", "dockerfile", "manifest", "predict", "batch", "test")
"""The commands whose examples run in a test, unless they need a server."""

CLASS = "class MyModel:\n    def predict(self, X, names):\n        return X\n"
SPEC = (
    "class_name: MyModel\ninputs: [a, b, c, d]\noutputs: [a, b, c, d]\n"
    "deployment: {image: 'registry.example.com/iris:1.0', resources: {cpu: 1, memory: 1Gi}}\n"
)


def _read_help(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *words: str) -> str:
    monkeypatch.setenv("COLUMNS", "80")
    assert run([*words, "--help"]) == 0
    return capsys.readouterr().out


def test_the_commands_are_grouped_and_each_has_one_complete_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    page = _read_help(capsys, monkeypatch)
    listed = []
    for group in Group:
        section = re.search(rf"^{group.value}:\n((?:  .+\n)+)", page, re.MULTILINE)
        assert section is not None, group
        lines = [re.fullmatch(r"  (\w+) +(\S.*\.)", line) for line in section[1].splitlines()]
        listed += [line[1] for line in lines if line is not None]
        assert None not in lines, section[0]
    assert sorted(listed) == sorted(PROGRAM.commands)
    assert "..." not in page.partition("\n\n")[2]
    assert f"Documentation: {MAIN_PAGE}" in page


@pytest.mark.parametrize("name", PROGRAM.commands)
def test_the_help_of_a_command_fits_a_terminal(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    page = _read_help(capsys, monkeypatch, name)
    usage = page.splitlines()[0]
    assert re.fullmatch(rf"Usage: seldon-spec {name} \[OPTIONS\]( [A-Z]+| \[[A-Z]+\](\.\.\.)?)*", usage), usage
    assert [line for line in page.splitlines() if len(line) > 80] == []
    arguments = re.search(r"^Arguments:\n((?:  .*\n)+)", page, re.MULTILINE)
    assert arguments is None or "<" not in arguments[1]
    assert "\nExamples:\n  # " in page


@pytest.mark.parametrize("name", COMMAND_HELP)
def test_the_page_of_a_command_exists(name: str) -> None:
    file, _, anchor = COMMAND_HELP[name].page.partition("#")
    headings = re.findall(r"^#+ (.+)$", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE)
    assert not anchor or anchor in [re.sub(r"[^a-z0-9]+", "-", each.lower()) for each in headings]


@pytest.mark.parametrize(("name", "line"), EXAMPLES, ids=[line for _, line in EXAMPLES])
def test_an_example_parses(name: str, line: str) -> None:
    words = _split(line)
    assert words[:2] == ["seldon-spec", name]
    PROGRAM.commands[name].make_context(name, words[2:])


def _split(line: str) -> list[str]:
    """Return the words of a command line without what the shell does with its output."""
    return shlex.split(re.split(r" [>|] ", line)[0])


HERE = [line for name, line in EXAMPLES if name in RUN_HERE and "://" not in line]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for each in (tmp_path, tmp_path / "models" / "iris"):
        each.mkdir(parents=True, exist_ok=True)
        (each / "MyModel.py").write_text(CLASS)
        (each / "seldon.yaml").write_text(SPEC)
        (each / "requirements.txt").write_text("numpy\n")
    pair = tmp_path / "models" / "pair"
    pair.mkdir()
    (pair / "MyModel.py").write_text(CLASS)
    (pair / "seldon.yaml").write_text("graph: [first]\ncomponents: {first: {class_name: MyModel}}\n")
    (tmp_path / "rows.csv").write_text("a,b,c,d\n5.1,3.5,1.4,0.2\n")
    (tmp_path / "request.json").write_text("[[5.1, 3.5, 1.4, 0.2]]")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("line", HERE)
def test_an_example_works(line: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["dockerfile", "--output", "Dockerfile"]) == 0
    assert run(["manifest", "--for", "kubernetes", "--output", "manifest.yaml"]) == 0
    capsys.readouterr()
    assert run(_split(line)[1:]) == 0, capsys.readouterr().err
    assert (folder / "predictions.csv").exists() == ("predictions.csv" in line)


NEW = [line for name, line in EXAMPLES if name == "init" and "--model" not in line]


@pytest.mark.parametrize("line", NEW)
def test_an_example_of_init_makes_a_valid_project(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = _split(line)
    assert run(words[1:]) == 0
    written = capsys.readouterr().err
    assert f"pytest {words[2]}; seldon-spec serve {words[2]}" in written
    assert run(["validate", "--strict", words[2]]) == 0


OPTIONS = [
    (["validate", "--port", "80"], "--set ports.http=VALUE"),
    (["show", "--grpc-port=80"], "--set ports.grpc=VALUE"),
    (["serve", "--threads", "4"], "--set server.threads=VALUE"),
    (["serve", "--log-level", "DEBUG"], "--set server.log.level=VALUE"),
    (["serve", "--timeout", "3"], "--set server.request_timeout_seconds=VALUE"),
    (["serve", "--image", "a"], None),  # a section
    (["serve", "--fast"], None),
    (["explain", "--port", "80"], None),  # a command without --set
    (["--port", "80"], None),
]


@pytest.mark.parametrize(("words", "remedy"), OPTIONS, ids=[" ".join(words) for words, _ in OPTIONS])
def test_an_unknown_option_that_names_a_key_gets_the_flag_for_it(
    words: list[str], remedy: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(words) == 2
    printed = capsys.readouterr().err
    assert "No such option: --" in printed
    assert f"= help: write {remedy}\n" in printed if remedy else "= help" not in printed

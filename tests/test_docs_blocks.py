"""The code blocks of the documentation: files parse, specs are valid, and commands have the options that they are given.

tests/test_readme.py runs the blocks of most pages; this module checks the others too, without running them.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer
import yaml

import seldon_spec.cli.options  # noqa: F401 - registers the commands
from seldon_spec.cli.application import app
from seldon_spec.config.loader import load
from seldon_spec.config.schema.lookup import load_schema
from seldon_spec.errors import SpecError

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^( *)(`{3,})(\w+)?[^\n]*\n(.*?)^\1\2$", re.MULTILINE | re.DOTALL)
NAMED = re.compile(r"(?:#|//) ([\w./-]+\.\w+)\n")
KEYS = frozenset(load_schema()["properties"])
SOURCES = frozenset({"class_name", "model", "graph"})
"""The keys of which a file has exactly one."""
OF_OTHER_FILES = frozenset(
    (
        *("annotation-mismatch", "graph-outside-folder", "missing-argument", "missing-extra", "missing-package"),
        *("missing-requirement", "model-format-unknown", "no-file", "no-hook", "no-such-class", "no-such-file"),
        *("no-such-module", "outside-folder", "unknown-argument", "unknown-component", "unread-secret"),
        *("unread-tls-file", "unused-infer"),
    )
)
"""The codes of diagnostics about files that a page need not show."""
COMMAND = re.compile(r"(?:^|[|;&(] *|&& |exec )(?:[A-Z_]+=\S+ )*seldon-spec((?: [^|;&>)\n]*)?)")


class Block(NamedTuple):
    """A fenced block: its page, the number of its line, its language and its text."""

    page: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def read_blocks() -> Iterator[Block]:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in FENCE.finditer(text):
            indent, _, language, content = match.groups()
            lines = "".join(line.removeprefix(indent) for line in content.splitlines(keepends=True))
            yield Block(page, text.count("\n", 0, match.start()) + 1, language or "", lines)


BLOCKS = list(read_blocks())


def of_language(*languages: str) -> list[Block]:
    return [block for block in BLOCKS if block.language in languages]


@pytest.mark.parametrize("block", of_language("yaml"), ids=str)
def test_yaml_parses(block: Block) -> None:
    assert list(yaml.safe_load_all(block.text)) != [None]


@pytest.mark.parametrize("block", of_language("json"), ids=str)
def test_json_parses(block: Block) -> None:
    json.loads(block.text)


def read_spec(block: Block) -> dict[str, Any] | None:
    """Return the mapping of a block that is a file, or a part of a file, of seldon-spec."""
    try:
        tree = yaml.safe_load(block.text)
    except yaml.YAMLError:
        return None  # several documents, such as a manifest
    return tree if isinstance(tree, dict) and set(tree) <= KEYS else None


SPECS = [block for block in of_language("yaml") if read_spec(block) and block.page.name != "CONTRIBUTING.md"]
"""Its specs have keys that its recipes add; test_contributing.py validates them."""


@pytest.mark.parametrize("block", SPECS, ids=str)
def test_a_spec_is_valid(block: Block, tmp_path: Path) -> None:
    tree = read_spec(block) or {}
    for other in BLOCKS:
        if other.page == block.page and (named := NAMED.match(other.text)) and named[1] != "seldon.yaml":
            (tmp_path / named[1]).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / named[1]).write_text(other.text, encoding="utf-8")
    completed = block.text
    if not SOURCES & set(tree):
        completed += (
            "\nclass_name: MyModel\n" if "components" not in tree else f"\ngraph: {next(iter(tree['components']))}\n"
        )
    (tmp_path / "seldon.yaml").write_text(completed, encoding="utf-8")
    try:
        diagnostics = load(tmp_path, {}).diagnostics
    except SpecError as error:
        diagnostics = error.diagnostics
    found = [each for each in diagnostics if each.severity.value == "error" and each.code not in OF_OTHER_FILES]
    assert [(each.code, each.message) for each in found] == []


def read_commands() -> Iterator[tuple[Block, str]]:
    """Yield the arguments of each seldon-spec command of the pages, as a reader writes them."""
    for block in of_language("console", "sh", "bash"):
        text = block.text.replace("\\\n", " ")
        lines = [
            line.removeprefix("$ ") for line in text.splitlines() if block.language != "console" or line[:2] == "$ "
        ]
        for line in lines:
            for found in COMMAND.finditer(line.partition("  #")[0]):
                yield block, re.sub(r" \d$", "", found[1])  # of a redirection such as 2>


def parse(arguments: list[str]) -> None:
    """Parse the arguments of a command without running it."""
    group: Any = typer.main.get_command(app)
    context = group.context_class(group, info_name="seldon-spec")
    name, command, rest = group.resolve_command(context, arguments)
    command.make_context(name, rest, parent=context)


COMMANDS = list(dict.fromkeys((block.page.name, arguments) for block, arguments in read_commands()))


@pytest.mark.parametrize(("page", "arguments"), COMMANDS)
def test_a_command_has_its_options(page: str, arguments: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = shlex.split(arguments)
    if not words or words[0].startswith("--"):
        assert set(words) <= {"--help", "--version", "--install-completion", "--show-completion"}
        return
    parse(words)


def test_the_pages_have_blocks_of_every_kind() -> None:
    assert len(COMMANDS) > 50
    assert len([block for block in of_language("yaml") if read_spec(block)]) > 40

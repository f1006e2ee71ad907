"""The recipes of CONTRIBUTING.md: applied to a copy of the tree as they are written, they add what they promise."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.test_package_structure import LEVELS, PACKAGE

pytestmark = pytest.mark.pages

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
COPIED = ("benchmarks", "docs", "examples", "schemas", "scripts", "seldon_spec", "tests")
BLOCK = re.compile(
    r"^(?P<indent> *)(?P<fence>`{3,})(?P<kind>\w+)(?: title=\"(?P<title>[^\"]+)\")?\n(?P<text>.*?)^ *(?P=fence)\n",
    re.MULTILINE | re.DOTALL,
)


def _section(title: str) -> str:
    return re.split(r"^## ", PAGE.partition(f"\n## {title}\n")[2], flags=re.MULTILINE)[0]


def _blocks(text: str) -> Iterator[tuple[str, str | None, str]]:
    """Yield kind, title and text of each block."""
    for match in BLOCK.finditer(text):
        yield match["kind"], match["title"], textwrap.dedent(f"{match['indent']}|\n{match['text']}").partition("\n")[2]


def _patch(file: Path, change: str) -> None:
    """Apply a block: its lines with ``+`` are new, those with ``-`` are removed, and the others show the place."""
    lines = change.splitlines()
    old = "".join(f"{line[1:]}\n" for line in lines if line[:1] != "+")
    new = "".join(f"{line[1:]}\n" for line in lines if line[:1] != "-")
    text = file.read_text(encoding="utf-8")
    assert text.count(f"\n{old}") == 1, f"{file}: the place of this change is not unique, or not there:\n{old}"
    file.write_text(text.replace(f"\n{old}", f"\n{new}"), encoding="utf-8")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    ignored = shutil.ignore_patterns("__pycache__", ".hypothesis", "*.joblib", "node_modules")
    for name in COPIED:
        shutil.copytree(ROOT / name, root / name, symlinks=True, ignore=ignored)
    for file in ROOT.iterdir():
        if file.is_file() and file.name != ".git":
            shutil.copy(file, root)
    return root


def _run(command: str, tree: Path) -> str:
    """Run a command of the page in the copy, whose package precedes the installed one."""
    environ = {name: text for name, text in os.environ.items() if not name.startswith(("PYTEST_", "COV_"))}
    environ |= {"PYTHONPATH": str(tree), "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-c", command], cwd=tree, env=environ, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def _follow(title: str, tree: Path) -> dict[str, str]:
    """Apply the blocks of a recipe and run its commands; return what they print."""
    printed = {}
    for kind, file, text in _blocks(_section(title)):
        if kind == "diff":
            assert file is not None
            _patch(tree / file, text)
        elif file is not None:
            (tree / file).parent.mkdir(parents=True, exist_ok=True)
            (tree / file).write_text(text, encoding="utf-8")
        else:
            assert kind == "console"
            for line in text.splitlines():
                printed[line] = _run(line.removeprefix("$ "), tree)
    return printed


def test_the_recipe_of_a_key_adds_it_everywhere(tree: Path) -> None:
    printed = _follow("Add a key", tree)
    assert len(printed) == 5
    case = "tests/cases/valid/log-utc"
    assert printed[f"$ seldon-spec validate --strict {case}"] == f"{case}/seldon.yaml: OK\n"
    shown = printed[f"$ seldon-spec show --changed {case}"]
    assert f"server.log.utc = true  <- {case}/seldon.yaml:3:14\n" in shown
    assert "### server.log.utc\n" in (tree / "docs" / "reference.md").read_text(encoding="utf-8")
    assert '"utc": {' in _run("seldon-spec schema", tree)
    variable = f"SELDON_SPEC__SERVER__LOG__UTC=no seldon-spec show --only server.log.utc {case}"
    assert "server.log.utc = false  <- SELDON_SPEC__SERVER__LOG__UTC" in _run(variable, tree)
    wrong = _run(f"! seldon-spec validate {case} --set server.log.utc=3", tree)
    assert "server.log.utc" in wrong


def test_the_recipe_of_a_diagnostic_adds_it_everywhere(tree: Path) -> None:
    printed = _follow("Add a diagnostic", tree)
    assert len(printed) == 3
    assert printed["$ seldon-spec explain loopback-host"].startswith("loopback-host\n\nserver.host is")
    assert "  loopback-host " in _run("seldon-spec explain", tree)
    expected = (tree / "tests/cases/valid/loopback-host/expected.txt").read_text()
    assert "server.host accepts connections from this machine only [loopback-host]" in expected


@pytest.mark.parametrize("title", ["Add a runtime", "Add a protocol", "Structure"])
def test_the_files_of_a_recipe_exist(title: str) -> None:
    named = re.findall(r"`((?:[a-z_]+/)+[A-Za-z_0-9.]+)`", _section(title))
    assert len(named) > 1
    assert [file for file in named if "NAME" not in file and not (ROOT / file).exists()] == []


def test_the_diagram_has_every_package_and_its_arrows_point_to_lower_layers() -> None:
    drawing = next(text for kind, _, text in _blocks(_section("Structure")) if kind == "mermaid")
    nodes = re.findall(r"^ +(\w+)\[", drawing, re.MULTILINE)
    packages = {folder.name for folder in PACKAGE.iterdir() if (folder / "__init__.py").is_file()}
    assert packages == {node for node in nodes if node != "app"}
    groups = {node: [node] for node in nodes}
    for match in re.finditer(r"subgraph (\w+) .*\n((?: +\w+\[.*\n)+) +end", drawing):
        groups[match[1]] = re.findall(r"(\w+)\[", match[2])
    arrows = re.findall(r"^ +(\w+) --> ([\w &]+)$", drawing, re.MULTILINE)
    for source, targets in arrows:
        for target in targets.split(" & "):
            assert max(map(_level, groups[target])) < max(map(_level, groups[source])), (source, target)


def _level(package: str) -> int:
    return LEVELS.get(package) or max(level for entry, level in LEVELS.items() if entry.startswith(f"{package}."))

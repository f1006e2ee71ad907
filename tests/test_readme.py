"""The README and the quick start, run as they stand: files are written, commands run, and answers are those printed.

A block whose first line is ``# NAME.ext`` is that file. In a console block a line with ``$`` is a command, and the
lines below it are what it prints.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conftest import RunningServer, Serve

ROOT = Path(__file__).parents[1]
PAGES = ["README.md", "docs/quickstart.md"]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"# ([\w.]+\.\w+)\n")
CURL = """\
#!{python}
import argparse, sys, urllib.request
parser = argparse.ArgumentParser()
parser.add_argument("-s", action="store_true")
parser.add_argument("-H", action="append", default=[])
parser.add_argument("-d")
parser.add_argument("url")
asked = parser.parse_args()
headers = dict(header.split(": ", 1) for header in asked.H)
request = urllib.request.Request(asked.url, asked.d.encode(), headers)
sys.stdout.write(urllib.request.urlopen(request).read().decode())
"""
"""What of curl the pages use, for a machine that has none."""


def read_blocks(page: str) -> Iterator[tuple[str, str]]:
    yield from BLOCK.findall((ROOT / page).read_text(encoding="utf-8"))


def read_steps(console: str) -> Iterator[tuple[str, str]]:
    """Each command of a console block with what it prints."""
    for step in re.split(r"^\$ ", console, flags=re.MULTILINE)[1:]:
        command, _, printed = step.partition("\n")
        yield command, printed


def run(command: str, folder: Path, environ: dict[str, str], server: RunningServer | None) -> str:
    if server is not None:
        command = command.replace(":9000", f":{server.http}").replace(":5000", f":{server.grpc}")
        environ = {**server.environ, "PATH": environ["PATH"]}
    ended = subprocess.run(
        ["/bin/sh", "-c", command], cwd=folder, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    return ended.stdout


@pytest.mark.parametrize("page", PAGES)
def test_the_page_does_what_it_shows(
    page: str, tmp_path: Path, command_environ: dict[str, str], serve_folder: Serve
) -> None:
    environ = {**command_environ, "PATH": f"{command_environ['PATH']}:{tmp_path / 'bin'}"}
    if shutil.which("curl") is None:
        (tmp_path / "bin").mkdir()
        (tmp_path / "bin" / "curl").write_text(CURL.format(python=sys.executable))
        (tmp_path / "bin" / "curl").chmod(0o755)
    commands = 0
    with contextlib.ExitStack() as stack:
        server: RunningServer | None = None
        for language, text in read_blocks(page):
            if named := FILE.match(text):
                (tmp_path / named[1]).write_text(text, encoding="utf-8")
            for command, printed in read_steps(text) if language == "console" else ():
                commands += 1
                if command == "seldon-spec serve &":
                    server = stack.enter_context(serve_folder(tmp_path))
                else:
                    assert run(command, tmp_path, environ, server).strip() == printed.strip(), command
    assert server is not None
    assert commands >= 5
    assert (tmp_path / "Dockerfile").read_text(encoding="utf-8").startswith("# Rendered by seldon-spec")


@pytest.mark.parametrize("target", ["demo", "test", "serve"])
def test_the_commands_of_the_readme_are_there(target: str) -> None:
    assert f"make {target}" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)

"""Run the README and the quick start: write their files, run their commands, and compare the output.

A block whose first line is ``# NAME.ext`` is that file. In a console block, a line with ``$`` is a command, and the
lines below it are its output. The commands of a block run as one script, as a reader pastes them.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = ["README.md", "docs/quickstart.md"]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SERVE = "seldon-spec serve &"
RUN_SECONDS = 60
FILE = re.compile(r"# ([\w.]+\.\w+)\n")
CURL = """\
#!{python}
import argparse, sys, time, urllib.error, urllib.request
parser = argparse.ArgumentParser()
parser.add_argument("-s", action="store_true")
parser.add_argument("-H", action="append", default=[])
parser.add_argument("-d")
parser.add_argument("--retry", type=int)
parser.add_argument("--retry-connrefused", action="store_true")
parser.add_argument("url")
arguments = parser.parse_args()
headers = dict(header.split(": ", 1) for header in arguments.H)
request = urllib.request.Request(arguments.url, arguments.d.encode(), headers)
for attempt in range(arguments.retry, -1, -1):
    try:
        sys.stdout.write(urllib.request.urlopen(request).read().decode())
        break
    except urllib.error.URLError:
        if attempt == 0:
            raise
        time.sleep(1)
"""
"""The part of curl that the pages use, for a machine without curl."""


def read_blocks(page: str) -> Iterator[tuple[str, str]]:
    yield from BLOCK.findall((ROOT / page).read_text(encoding="utf-8"))


def read_steps(console: str) -> Iterator[tuple[str, str]]:
    """Yield each command of a console block with its output."""
    for step in re.split(r"^\$ ", console, flags=re.MULTILINE)[1:]:
        command, _, printed = step.partition("\n")
        yield command, printed


def run_block(commands: list[str], folder: Path, environ: dict[str, str]) -> str:
    """Run the commands as one script and return what they print; a server that they start is stopped at the end."""
    script = "\n".join(commands)
    if SERVE in commands:
        script = script.replace(SERVE, f"{SERVE.removesuffix('&')} 2>serve.log &") + "\nkill $!\nwait $!\n"
    process = subprocess.Popen(
        ["/bin/sh", "-c", script],
        cwd=folder,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    with process:
        try:
            return process.communicate(timeout=RUN_SECONDS)[0]
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.parametrize("page", PAGES)
def test_the_page_does_what_it_shows(
    page: str,
    tmp_path: Path,
    command_environ: dict[str, str],
    reserve_ports: Callable[[int], AbstractContextManager[list[int]]],
) -> None:
    environ = {**command_environ, "PATH": f"{command_environ['PATH']}:{tmp_path / 'bin'}"}
    if shutil.which("curl") is None:
        (tmp_path / "bin").mkdir()
        (tmp_path / "bin" / "curl").write_text(CURL.format(python=sys.executable))
        (tmp_path / "bin" / "curl").chmod(0o755)
    seen: list[str] = []
    for language, text in read_blocks(page):
        if named := FILE.match(text):
            (tmp_path / named[1]).write_text(text, encoding="utf-8")
        steps = list(read_steps(text)) if language == "console" else []
        commands = [command for command, _ in steps]
        seen += commands
        with reserve_ports(3) as (http, grpc, metrics):
            ports = {"HTTP": http, "GRPC": grpc, "METRICS": metrics} if SERVE in commands else {}
            variables = {f"PREDICTIVE_UNIT_{name}_SERVICE_PORT": str(port) for name, port in ports.items()}
            moved = [each.replace(":9000", f":{http}").replace(":5000", f":{grpc}") for each in commands]
            printed = run_block(moved, tmp_path, {**environ, **variables})
        assert printed == "".join(printed for _, printed in steps), commands
    assert SERVE in seen
    assert len(seen) >= 5
    assert (tmp_path / "Dockerfile").read_text(encoding="utf-8").startswith("# Rendered by seldon-spec")


@pytest.mark.parametrize("target", ["demo", "test", "serve"])
def test_the_make_targets_of_the_readme_exist(target: str) -> None:
    assert f"make {target}" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)

"""Run the README and the pages: write their files, run their commands, and compare the output.

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

pytestmark = pytest.mark.pages

ReservePorts = Callable[[int], AbstractContextManager[list[int]]]

ROOT = Path(__file__).parents[1]
PAGES = [
    "docs/quickstart.md",
    "docs/protocols.md",
    "docs/model-files.md",
    "docs/model-contract.md",
    "docs/testing.md",
    "docs/client.md",
    "docs/batch.md",
    "docs/browser.md",
    "docs/compose.md",
]
MANIFESTS = {"docs/kubernetes.md": 4, "docs/kserve.md": 1, "docs/docker-compose.md": 1, "docs/ray.md": 1}
"""The pages that render manifests and start no server, with the number of their commands."""
GUIDES = [
    "docs/reference/class.md",
    "docs/reference/requests.md",
    "docs/install.md",
    "docs/tutorials/dataframe.md",
    "docs/tutorials/image-model.md",
    "docs/tutorials/graph-feedback.md",
    "docs/tutorials/migrate-image.md",
    "docs/tutorials/laptop-to-cluster.md",
    "docs/howto/limits.md",
    "docs/howto/tls.md",
    "docs/howto/tokens.md",
    "docs/howto/secrets.md",
    "docs/concepts/precedence.md",
    "docs/migrate/mlserver.md",
    "docs/migrate/bentoml.md",
]
"""The short pages, each about one subject."""
PACKAGING = ["docs/quickstart.md"]
"""The pages that render a Dockerfile."""
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SERVE = re.compile(r"(seldon-spec serve\b.*) &")
RUN_SECONDS = 60
FILE = re.compile(r"(?:#|//) ([\w.]+\.\w+)\n")
TRITON = "python triton_client.py"
"""Runs in the environment of ``make test-clients`` only."""
CURL = """\
#!{python}
import argparse, sys, time, urllib.error, urllib.request
parser = argparse.ArgumentParser()
parser.add_argument("-s", action="store_true")
parser.add_argument("-f", action="store_true")
parser.add_argument("-H", action="append", default=[])
parser.add_argument("-d")
parser.add_argument("--retry", type=int, default=0)
parser.add_argument("--retry-connrefused", action="store_true")
parser.add_argument("url")
arguments = parser.parse_args()
headers = dict(header.split(": ", 1) for header in arguments.H)
request = urllib.request.Request(arguments.url, arguments.d and arguments.d.encode(), headers)
for attempt in range(arguments.retry, -1, -1):
    try:
        sys.stdout.write(urllib.request.urlopen(request).read().decode())
        break
    except urllib.error.URLError as error:
        if isinstance(error, urllib.error.HTTPError) and not arguments.f:
            sys.stdout.write(error.read().decode())
            break
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
    if any(map(SERVE.fullmatch, commands)):
        script = SERVE.sub(r"\1 2>serve.log &", script) + "\nkill $!\nwait $!\n"
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


def add_curl(folder: Path, environ: dict[str, str]) -> dict[str, str]:
    """Return an environment that has curl; on a machine without it, the substitute is written below the folder."""
    if shutil.which("curl") is not None:
        return environ
    (folder / "bin").mkdir()
    (folder / "bin" / "curl").write_text(CURL.format(python=sys.executable))
    (folder / "bin" / "curl").chmod(0o755)
    return {**environ, "PATH": f"{environ['PATH']}:{folder / 'bin'}"}


def run_page(
    page: str,
    folder: Path,
    environ: dict[str, str],
    reserve_ports: ReservePorts,
    is_run: Callable[[list[str]], bool],
) -> list[str]:
    """Write the files of a page, run the console blocks that ``is_run`` selects, and return their commands."""
    environ = add_curl(folder, environ)
    seen: list[str] = []
    for language, text in read_blocks(page):
        steps = list(read_steps(text)) if language == "console" else []
        commands = [command for command, _ in steps]
        with reserve_ports(3) as (http, grpc, metrics):
            ports = {"HTTP": http, "GRPC": grpc, "METRICS": metrics} if any(map(SERVE.fullmatch, commands)) else {}
            variables = {f"PREDICTIVE_UNIT_{name}_SERVICE_PORT": str(port) for name, port in ports.items()}

            def move(text: str, http: int = http, grpc: int = grpc) -> str:
                moved = {"localhost:9000": f"localhost:{http}", "localhost:5000": f"localhost:{grpc}"}
                moved["127.0.0.1:9000"] = f"127.0.0.1:{http}"
                for old, new in moved.items():
                    text = text.replace(old, new)
                return text

            if named := FILE.match(text):
                (folder / named[1]).write_text(text, encoding="utf-8")
            if not commands or not is_run(commands):
                continue
            for script in (command.split()[1] for command in commands if command.startswith(("python ", "node "))):
                (folder / script).write_text(move((folder / script).read_text(encoding="utf-8")), encoding="utf-8")
            printed = run_block(list(map(move, commands)), folder, {**environ, **variables})
        expected = "".join(printed for _, printed in steps)
        assert printed == (move(expected) if ports else expected), commands
        seen += commands
    return seen


@pytest.mark.parametrize("page", PAGES)
def test_the_page_does_what_it_shows(
    page: str, tmp_path: Path, command_environ: dict[str, str], reserve_ports: ReservePorts
) -> None:
    def is_run(commands: list[str]) -> bool:
        needs_node = any(command.startswith("node ") for command in commands)
        return TRITON not in commands and not (needs_node and shutil.which("node") is None)

    seen = run_page(page, tmp_path, command_environ, reserve_ports, is_run)
    assert any(map(SERVE.fullmatch, seen))
    assert len(seen) >= (2 if page == "docs/browser.md" else 5)
    if page in PACKAGING:
        assert (tmp_path / "Dockerfile").read_text(encoding="utf-8").startswith("# Rendered by seldon-spec")


@pytest.mark.parametrize("page", MANIFESTS)
def test_the_manifests_are_what_the_page_shows(
    page: str, tmp_path: Path, command_environ: dict[str, str], reserve_ports: ReservePorts
) -> None:
    seen = run_page(page, tmp_path, command_environ, reserve_ports, lambda _: True)
    assert len(seen) == MANIFESTS[page]


@pytest.mark.parametrize("page", GUIDES)
def test_the_guide_does_what_it_shows(
    page: str, tmp_path: Path, command_environ: dict[str, str], reserve_ports: ReservePorts
) -> None:
    if page == "docs/howto/tls.md" and shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")

    def is_run(commands: list[str]) -> bool:
        return shutil.which("node") is not None or not any(command.startswith("node ") for command in commands)

    assert run_page(page, tmp_path, command_environ, reserve_ports, is_run)


@pytest.mark.clients
def test_the_client_of_triton_does_what_the_page_shows(
    tmp_path: Path, command_environ: dict[str, str], reserve_ports: ReservePorts, pytestconfig: pytest.Config
) -> None:
    clients = Path(pytestconfig.getoption("--clients")).resolve() / ".venv-triton" / "bin"
    environ = {**command_environ, "PATH": f"{clients}:{command_environ['PATH']}"}
    seen = run_page("docs/protocols.md", tmp_path, environ, reserve_ports, lambda commands: TRITON in commands)
    assert TRITON in seen


@pytest.mark.parametrize("target", ["demo", "test", "serve"])
def test_the_make_targets_of_the_readme_exist(target: str) -> None:
    assert f"make {target}" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.clients
def test_the_first_model_of_the_readme_works_in_an_empty_environment(
    tmp_path: Path, reserve_ports: ReservePorts
) -> None:
    section = (ROOT / "README.md").read_text(encoding="utf-8").split("## A first model")[1].split("\n## ")[0]
    (block,) = re.findall(r"^```sh\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    (printed,) = re.findall("It prints `(.*)`", section)
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path / "home"), "LANG": "C.UTF-8"}
    environ |= {name: value for name, value in os.environ.items() if name.startswith("PIP_")}  # of this machine's index
    (tmp_path / "home").mkdir()
    environ = add_curl(tmp_path / "home", environ)
    with reserve_ports(3) as (http, grpc, metrics):
        ports = {"HTTP": http, "GRPC": grpc, "METRICS": metrics}
        environ |= {f"PREDICTIVE_UNIT_{name}_SERVICE_PORT": str(port) for name, port in ports.items()}
        script = block.replace("path/to/clone", str(ROOT)).replace("localhost:9000", f"localhost:{http}")
        script += 'status=$?; kill $!; wait $!; exit "$status"\n'
        done = subprocess.run(
            ["/bin/sh", "-c", script],
            cwd=tmp_path,
            env=environ,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
    assert (done.returncode, done.stdout) == (0, f"{printed}\n"), done.stderr


def test_the_figures_of_the_readme_are_those_of_the_benchmarks() -> None:
    table = (ROOT / "README.md").read_text(encoding="utf-8").split("## Why")[1].split("\n\n")[1]
    measured = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    cells = [cell.strip() for row in table.splitlines()[2:] for cell in row.strip("|").split("|")[1:]]
    assert len(cells) == 18
    assert not [cell for cell in cells if f" {cell} |" not in measured]

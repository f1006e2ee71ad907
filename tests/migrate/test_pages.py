"""Run the commands of the migration and deployment pages, and compare their tables with the loader.

A block with a title is that file. In a console block, a line with ``$`` is a command, and the lines below it are its
output.
"""

from __future__ import annotations

import contextlib
import re
import shlex
import shutil
import subprocess
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from seldon_spec import __version__
from seldon_spec.config.layers.variables import known_variables
from seldon_spec.config.schema.lookup import join
from seldon_spec.migrate.candidates import Gathered
from seldon_spec.migrate.deployment import read_unit
from seldon_spec.migrate.manifest import read_manifest
from seldon_spec.migrate.units import list_units

if TYPE_CHECKING:
    from tests.conftest import RunningServer, Serve

pytestmark = pytest.mark.pages

DOCS = Path(__file__).parents[2] / "docs"
MIGRATION = (DOCS / "migration.md").read_text(encoding="utf-8")
DEPLOYING = (DOCS / "seldon-core.md").read_text(encoding="utf-8")
BLOCK = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)


def _write_files(page: str, folder: Path) -> None:
    for _, title, text in BLOCK.findall(page):
        if title:
            (folder / title).write_text(text, encoding="utf-8")


def _steps(page: str) -> list[tuple[str, str]]:
    """Return each command of every console block with its output."""
    steps = []
    for language, _, text in BLOCK.findall(page):
        if language == "console":
            for step in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
                command, _, printed = step.partition("\n")
                steps.append((command, printed))
    return steps


def _run(command: str, folder: Path, environ: dict[str, str]) -> str:
    ended = subprocess.run(
        ["/bin/sh", "-c", command], cwd=folder, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    return ended.stdout.replace(f"seldon-spec>={__version__}", "seldon-spec>=VERSION")


def _ask(command: str, server: RunningServer) -> str:
    """Return the response to the page's curl command, with the port of the server under test."""
    words = shlex.split(command)
    url = next(word for word in words if word.startswith("http:")).replace(":9000", f":{server.http}")
    body = words[words.index("-d") + 1].encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as response:
        return str(response.read().decode())


def test_the_migration_page_shows_real_output(
    tmp_path: Path, command_environ: dict[str, str], serve_folder: Serve
) -> None:
    _write_files(MIGRATION, tmp_path)
    ran = []
    with contextlib.ExitStack() as stack:
        server: RunningServer | None = None
        for command, printed in _steps(MIGRATION):
            ran.append(command)
            if command.endswith("seldon-spec serve &"):
                server = stack.enter_context(serve_folder(_with_workers_of_one(tmp_path)))
            elif command.startswith("curl "):
                assert server is not None
                assert _ask(command, server).strip() == printed.strip()
            else:
                assert _run(command, tmp_path, command_environ).strip() == printed.strip(), command
    assert len(ran) == 8


def _with_workers_of_one(folder: Path) -> Path:
    """Copy the folder, with one worker and a secret from a file that the test writes."""
    copy = folder.parent / f"{folder.name}-served"
    shutil.copytree(folder, copy)
    text = (copy / "seldon.yaml").read_text().replace("workers: 2", "workers: 1")
    (copy / "password").write_text("secret")
    (copy / "seldon.yaml").write_text(text.replace("{from_env: DB_PASSWORD}", "{from_file: password}"))
    return copy


def test_the_deployment_page_shows_real_output(tmp_path: Path, command_environ: dict[str, str]) -> None:
    _write_files(MIGRATION, tmp_path)
    (tmp_path / "requirements.txt").unlink()
    (tmp_path / "seldon.yaml").write_text("class_name: IrisClassifier\nparameters: {threshold: 0.75}\n")
    steps = _steps(DEPLOYING)
    assert [bool(printed.strip()) for _, printed in steps] == [False, False, True]
    whole = "\n".join(command for command, _ in steps)
    assert _run(whole, tmp_path, command_environ).strip() == steps[-1][1].strip()


def test_the_table_of_what_the_operator_sets_is_the_loader_s() -> None:
    known = known_variables()
    rows = [line.split("|")[1:4] for line in DEPLOYING.splitlines() if line.startswith("| `")]
    assert len(rows) == 7
    for names, _, overrides in rows:
        for name in re.findall(r"`([A-Z_]+)`", names):
            path = known[name]
            if path[0] == "unit":
                assert overrides.strip().startswith("nothing"), name
            else:
                assert overrides.strip().startswith(f"`{join(path)}`"), name


def _find_file(page: str, name: str) -> str:
    return str(next(text for _, title, text in BLOCK.findall(page) if title == name))


def test_the_manifest_is_the_one_of_its_file(tmp_path: Path, command_environ: dict[str, str]) -> None:
    _write_files(MIGRATION, tmp_path)
    (tmp_path / "requirements.txt").unlink()
    (tmp_path / "seldon.yaml").write_text(_find_file(DEPLOYING, "seldon.yaml"))
    command = "seldon-spec manifest --for seldon --no-comments"
    assert command in DEPLOYING
    assert _run(command, tmp_path, command_environ) == _find_file(DEPLOYING, "deployment.yaml")


def test_the_manifest_gives_the_unit_the_ports_of_the_defaults(tmp_path: Path) -> None:
    text = _find_file(DEPLOYING, "deployment.yaml")
    gathered = Gathered()
    resources = read_manifest(tmp_path, tmp_path / "deployment.yaml", text.encode(), gathered)
    [unit] = list_units(resources, gathered)
    read_unit(unit, gathered)
    values = {join(candidate.path): candidate.value for candidate in gathered.candidates}
    assert (values["ports.http"], values["ports.grpc"], values["ports.metrics"]) == (9000, 5000, 6000)
    assert values["parameters.threshold"] == 0.75
    assert values["variable.DB_PASSWORD"] == {"from_env": "DB_PASSWORD"}
    assert gathered.problems == []
    container = yaml.safe_load(text)["spec"]["predictors"][0]["componentSpecs"][0]["spec"]["containers"][0]
    assert container["readinessProbe"]["httpGet"]["path"] == "/ready"

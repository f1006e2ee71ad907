"""The notebook of the examples runs from its first to its last cell, and leaves neither a server nor a process."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

pytestmark = pytest.mark.pages

FILE = Path(__file__).parents[1] / "examples" / "notebook" / "iris.ipynb"

LEFT = """\
import contextlib, os, socket, threading

threads = [thread.name for thread in threading.enumerate() if "seldon" in thread.name]
addresses = [url.partition("://")[2].split(":") for url in (server.url, server.grpc_url)]
sockets = [socket.socket() for _ in addresses]
reached = [s.connect_ex((host, int(port))) == 0 for s, (host, port) in zip(sockets, addresses)]
has_children = False
with contextlib.suppress(ChildProcessError):
    has_children = os.waitpid(-1, os.WNOHANG) is not None
print(threads, reached, has_children)
"""
"""Runs behind the last cell: prints threads of servers, whether a port accepts connections, whether there are processes."""


def read_notebook() -> Any:
    return nbformat.read(FILE, as_version=4)


def read_text(cell: Any) -> str:
    """Return what a cell printed, without its log, and its value as text."""
    shown = [each for each in cell.outputs if each.get("name") != "stderr"]
    return "".join(each.get("text", "") + each.get("data", {}).get("text/plain", "") for each in shown)


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path, Any]:
    """The notebook after its execution, the folder in which it ran, and the manager of its kernel."""
    pytest.importorskip("sklearn", reason="the example's own requirements are not installed")
    folder = tmp_path_factory.mktemp("notebook")
    notebook = read_notebook()
    notebook.cells.append(nbformat.v4.new_code_cell(LEFT, id="left"))
    client = NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(folder)}})
    manager = client.create_kernel_manager()
    client.execute()
    return notebook, folder, manager


def test_the_notebook_is_committed_without_outputs() -> None:
    cells = [cell for cell in read_notebook().cells if cell.cell_type == "code"]
    assert [cell.id for cell in cells if cell.outputs or cell.execution_count] == []


def test_the_notebook_shows_what_its_text_says(executed: tuple[Any, Path, Any]) -> None:
    notebook, folder, _ = executed
    printed = {cell.id: read_text(cell) for cell in notebook.cells if cell.cell_type == "code"}
    assert re.findall(r"setosa|versicolor|virginica|first|second", printed["rest"]) == [
        "setosa", "versicolor", "virginica", "first", "second",
    ]  # fmt: skip
    assert re.findall(r"(?:first|second) +\w+", printed["grpc"]) == ["first        setosa", "second    virginica"]
    assert printed["error"] == "500 a flower has 4 sizes, not 2\n"
    assert printed["validate"] == "()"
    assert printed["use"] == "True"
    sources = {cell.id: cell.source for cell in notebook.cells}
    assert sources["write-class"].partition("class Iris:")[2] == sources["class"].partition("class Iris:")[2]
    assert sorted(path.name for path in (folder / "iris").iterdir() if path.is_file()) == [
        "Iris.py", "requirements.txt", "seldon.yaml",
    ]  # fmt: skip


def test_nothing_is_left_behind(executed: tuple[Any, Path, Any]) -> None:
    notebook, _, manager = executed
    printed = {cell.id: read_text(cell) for cell in notebook.cells if cell.cell_type == "code"}
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+ grpc://127\.0\.0\.1:\d+\n", printed["serve"])
    assert printed["left"] == "[] [False, False] False\n"
    assert not manager.has_kernel

"""Standard streams that are closed, full or broken: every command runs, and no socket takes their numbers."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

REDIRECTIONS = [
    ">&-",
    "2>&-",
    "<&-",
    ">&- 2>&-",
    "<&- >&- 2>&-",
    ">/dev/full",
    "2>/dev/full",
    ">/dev/full 2>/dev/full",
    "2>&- >/dev/full",
]

SERVED = """
import os, sys

class Served:
    def predict(self, X, names):
        print("printed"); print("complained", file=sys.stderr)
        return [os.readlink(f"/proc/self/fd/{number}") for number in range(3)]
"""
"""Prints as classes do. The stream that is full raises, as it does without a server, so it prints nothing there."""


def under_shell(redirection: str, *command: str) -> list[str]:
    return ["sh", "-c", f'exec "$@" {redirection}', "sh", *command]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "Served.py").write_text(SERVED)
    (tmp_path / "seldon.yaml").write_text("class_name: Served\n")
    return tmp_path


def ask(port: int) -> Any:
    body = json.dumps({"strData": "x"}).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}/predict", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=20) as response:
        return json.load(response)


@pytest.mark.parametrize(
    ("redirection", "form"), [*((each, "text") for each in REDIRECTIONS), (">&- 2>&-", "json"), ("2>/dev/full", "json")]
)
def test_a_server_without_streams_serves(folder: Path, serve_folder: Any, redirection: str, form: str) -> None:
    if "full" in redirection:
        (folder / "Served.py").write_text(SERVED.replace("print(", "str(").replace(", file=sys.stderr", ""))
    command = under_shell(redirection, sys.executable, "-m", "seldon_spec", "serve")
    with serve_folder(folder, command, {"SELDON_SPEC__SERVER__LOG__FORMAT": form}) as server:
        opened = ask(server.http)["data"]["ndarray"]
    assert not any(name.startswith("socket:") for name in opened)


def test_a_server_whose_log_has_no_reader_replaces_its_workers(folder: Path, serve_folder: Any) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = under_shell(f"2>/proc/{os.getpid()}/fd/{writing} >&2", sys.executable, "-m", "seldon_spec", "serve")
    (folder / "Served.py").write_text(
        "import os\nclass Served:\n    def predict(self, X, names):\n        return [str(os.getpid())]\n"
    )
    try:
        with serve_folder(folder, command) as server:
            before = ask(server.http)
            os.kill(int(before["data"]["ndarray"][0]), signal.SIGKILL)
            after = None
            while after is None:
                with contextlib.suppress(OSError):
                    after = ask(server.http)
            assert after != before
    finally:
        os.close(writing)


COMMANDS = {"validate": 0, "show": 0, "predict -": 0, "--help": 0, "no-such-command": 2, "validate nowhere": 1}


@pytest.mark.parametrize("redirection", [*REDIRECTIONS, "| true", "2>&1 | true"])
@pytest.mark.parametrize("words", COMMANDS)
def test_a_command_without_streams_ends_as_it_would(
    folder: Path, command_environ: dict[str, str], words: str, redirection: str
) -> None:
    (folder / "Served.py").write_text("class Served:\n    def predict(self, X, names):\n        return X\n")
    script = f"{{ {sys.executable} -m seldon_spec {words}; echo $? >code; }} {redirection}"
    done = subprocess.run(
        ["sh", "-c", script], cwd=folder, env=command_environ, input="[[1]]", capture_output=True, text=True, timeout=60
    )
    is_lost = "|" in redirection or ">/dev/full" in redirection.replace("2>", "")
    closed = {1} if "<&-" in redirection and words == "predict -" else set()  # there is no message
    assert int((folder / "code").read_text()) in {COMMANDS[words], *({1} if is_lost else closed)}
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


def test_too_few_open_files_are_reported(folder: Path, command_environ: dict[str, str]) -> None:
    script = f"ulimit -n 16; exec {sys.executable} -m seldon_spec serve"
    done = subprocess.run(["sh", "-c", script], cwd=folder, env=command_environ, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == "error: the limit of open files is 16 (ulimit -n): a server needs 64 or more\n"

"""The profiling command on its page works."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import urllib.request
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[1] / "docs" / "howto" / "profiling.md"

BURNING = """
import math

class Served:
    def predict(self, X, names):
        return [[burn(value)] for value in X.ravel()]

def burn(value):
    return sum(math.sin(value + i) for i in range(200_000))
"""


def test_the_command_writes_a_flame_graph(
    tmp_path: Path,
    command_environ: dict[str, str],
    reserve_ports: Callable[[int], AbstractContextManager[list[int]]],
) -> None:
    (command,) = re.findall(r"^py-spy record .+$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    (tmp_path / "Served.py").write_text(BURNING)
    with reserve_ports(3) as (http, grpc, metrics):
        ports = f"{{http: {http}, grpc: {grpc}, metrics: {metrics}}}"
        (tmp_path / "seldon.yaml").write_text(f"class_name: Served\nports: {ports}\nserver: {{host: 127.0.0.1}}\n")
        with subprocess.Popen(
            shlex.split(command), cwd=tmp_path, env=command_environ, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            text=True, start_new_session=True,
        ) as profiler:  # fmt: skip
            assert profiler.stderr is not None
            lines: list[str] = []
            while "supervisor: ready in" not in (lines or [""])[-1]:
                line = profiler.stderr.readline()
                lines.append(line)
                if not line:
                    if "ermission" in "".join(lines) or "not permitted" in "".join(lines):
                        pytest.skip("this machine does not allow a process to trace another")
                    pytest.fail("".join(lines))
            headers = {"Content-Type": "application/json"}
            request = urllib.request.Request(
                f"http://127.0.0.1:{http}/predict", b'{"data": {"ndarray": [[1.0, 2.0, 3.0]]}}', headers
            )
            for _ in range(30):  # seconds of work, of which the profiler samples every hundredth
                urllib.request.urlopen(request, timeout=20).close()
            os.killpg(profiler.pid, signal.SIGINT)  # as Ctrl-C does
            lines.append(profiler.stderr.read())
        assert profiler.returncode == 0, "".join(lines)
    assert "<title>burn (" in (tmp_path / "profile.svg").read_text(encoding="utf-8")

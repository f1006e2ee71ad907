"""A cluster with two nodes for replicas, which commands use by its address."""

from __future__ import annotations

import contextlib
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import psutil


@contextlib.contextmanager
def run_nodes(command_environ: Mapping[str, str]) -> Iterator[tuple[Callable[[str], None], dict[str, str]]]:
    """Run a cluster; return a function that adds and removes a node, and the variables of its clients."""
    variables = {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(20),
        "RAY_SERVE_ENABLE_HA_PROXY": "0",  # replicas of two nodes would use the same ports of this machine
        "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "60",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_raylet_start_wait_time_s": "60",
    }
    environ = {**command_environ, **variables}
    script = str(Path(__file__).with_name("nodes.py"))
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            [sys.executable, script], env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
        )
        assert process.stdin is not None
        assert process.stdout is not None

        def do(command: str) -> None:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(f"{command}\n")
            process.stdin.flush()
            while process.stdout.readline().strip() != command:
                assert process.poll() is None

        try:
            address = process.stdout.readline().strip()
            do("add")
            do("add")
            yield do, {**environ, "RAY_ADDRESS": address}
            process.stdin.close()
            assert process.wait(timeout=60) == 0
        except BaseException:
            log.seek(0)
            sys.stderr.write(log.read())
            raise
        finally:
            for each in psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []:
                with contextlib.suppress(psutil.Error):
                    each.kill()
            process.kill()
            process.wait()
            process.stdout.close()
            process.stdin.close()

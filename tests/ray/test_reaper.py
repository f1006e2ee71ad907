"""What ends the processes of a local cluster, even if the command is killed; needs no cluster."""

from __future__ import annotations

import signal
import subprocess
import sys

import psutil
import pytest

CODE = """
import os, signal, subprocess, sys
from seldon_spec.process.signals import ServerSignals
from seldon_spec.ray.reaper import reap_cluster

sleep = ["sleep", "600"]
quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "start_new_session": True}
with ServerSignals() as signals, reap_cluster(("CLUSTER", "this"), signals):
    started = [subprocess.Popen(sleep, env={**os.environ, "CLUSTER": text}, **quiet) for text in ("this", "other")]
    print(*(each.pid for each in started), flush=True)
    if sys.argv[1] == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
"""


TITLED = """
import ctypes, sys, time

variables = ctypes.POINTER(ctypes.c_void_p).in_dll(ctypes.CDLL(None), "environ")
ctypes.memset(variables[0], 0, len(ctypes.string_at(variables[0])))
print("ready", flush=True)
time.sleep(600)
"""


def test_a_process_that_has_written_its_title_over_variables_ends_as_well() -> None:
    environ = {"FIRST": "x" * 100, "CLUSTER": "this"}
    with subprocess.Popen([sys.executable, "-c", TITLED], env=environ, stdout=subprocess.PIPE) as titled:
        try:
            assert titled.stdout is not None
            assert titled.stdout.readline() == b"ready\n"
            code = CODE.replace('sleep = ["sleep", "600"]', 'sleep = ["true"]')
            subprocess.run([sys.executable, "-c", code, "returned"], stdout=subprocess.DEVNULL, timeout=60, check=True)
            assert titled.wait(30) == -signal.SIGKILL
        finally:
            titled.kill()


@pytest.mark.parametrize("end", ["returned", "killed"])
def test_processes_with_the_mark_end_with_the_command(end: str) -> None:
    """A process that is no child of the command any more ends as well; one of another cluster does not."""
    done = subprocess.run([sys.executable, "-c", CODE, end], stdout=subprocess.PIPE, text=True, timeout=60, check=False)
    marked, other = (psutil.Process(int(pid)) if psutil.pid_exists(int(pid)) else None for pid in done.stdout.split())
    assert other is not None
    try:
        assert psutil.wait_procs([marked] if marked else [], timeout=30)[1] == []
        assert other.status() != psutil.STATUS_ZOMBIE
    finally:
        other.kill()

"""Ends what a local cluster leaves behind: Ray does not end HAProxy if its own processes are killed."""

from __future__ import annotations

import contextlib
import os
import select
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import psutil

from seldon_spec.process.signals import ServerSignals

_EXIT_SECONDS = 3.0
"""How long the processes may take to exit by themselves."""
_LOOK_SECONDS = 2.0
"""The interval at which the processes are listed."""


@contextlib.contextmanager
def reap_cluster(mark: tuple[str, str], signals: ServerSignals) -> Iterator[None]:
    """End the processes of a cluster on exit, and if this process is killed.

    A child process waits for that: it is in a session of its own, and ignores signals.

    Args:
        mark: a variable, and its text, that only the processes of the cluster were started with.
        signals: of this process.
    """
    reading, writing = os.pipe()

    def run_child() -> NoReturn:
        os.close(writing)
        _run_reaper(reading, mark)

    pid = signals.fork(run_child)
    os.close(reading)
    try:
        yield
    finally:
        os.close(writing)
        os.waitpid(pid, 0)


def _run_reaper(pipe: int, mark: tuple[str, str]) -> NoReturn:
    try:
        os.setsid()
        started: list[psutil.Process] = []
        while not select.select([pipe], [], [], _LOOK_SECONDS)[0]:  # until the parent has closed it, or has exited
            started = _list_marked(*mark)  # now, because their parents may exit with the parent of this process
        _, alive = psutil.wait_procs({*started, *_list_marked(*mark)}, timeout=_EXIT_SECONDS)
        for process in alive:
            with contextlib.suppress(psutil.Error):
                process.kill()
    finally:
        os._exit(0)


def _list_marked(name: str, text: str) -> list[psutil.Process]:
    """Return the processes that were started with a variable, and those that these have started.

    Some processes of Ray write their titles over all of their variables. Those of other users cannot be read.
    """
    found = {each for each in psutil.process_iter() if _is_marked(each, name, text)}
    for each in list(found):
        with contextlib.suppress(psutil.Error):
            found.update(each.children(recursive=True))
    return list(found)


def _is_marked(process: psutil.Process, name: str, text: str) -> bool:
    """Return whether a process was started with a variable.

    Processes of Ray write their titles over the first variables, and psutil reads none behind these.
    """
    try:
        return os.fsencode(f"{name}={text}") in Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0")
    except OSError:  # it has exited, or belongs to another user, or the system has no such file
        with contextlib.suppress(psutil.Error):
            variables = process.as_dict(["environ"])["environ"] or {}
            return bool(variables.get(name) == text)
    return False

"""The life of a worker process, from the fork to its exit. Imports nothing heavy before the fork."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from seldon_spec.config.build_spec import with_full_paths
from seldon_spec.config.model import Spec
from seldon_spec.errors import ComponentFailed, Stopped
from seldon_spec.observability.metrics import Segments
from seldon_spec.process.events import Start
from seldon_spec.process.signals import ServerSignals
from seldon_spec.process.worker_exit import WorkerExit
from seldon_spec.process.worker_messages import pack_failure
from seldon_spec.server.sockets import Sockets

if TYPE_CHECKING:
    from seldon_spec.inference.assembly import LoadedClasses

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Shared:
    """What a process inherits from the supervisor.

    Attributes:
        spec: what it serves.
        parent_death_pipe: the end of a pipe that reads as closed once the supervisor has exited.
    """

    spec: Spec
    sockets: Sockets
    signals: ServerSignals
    segments: Segments
    parent_death_pipe: int


def run_worker_process(
    shared: Shared, start: Start, pipe: int, segment: int, loaded: LoadedClasses | None = None
) -> NoReturn:
    """Run a worker, and end its process.

    Args:
        shared: with signals that are still blocked.
        start: which worker it is.
        pipe: the end of a pipe to the supervisor.
        segment: its slot of the metrics memory.
        loaded: the classes, if a template process has loaded them.
    """
    code, worker_exit = 1, WorkerExit()
    try:
        shared.signals.be_worker()
        code = _run(shared, start, pipe, segment, worker_exit, loaded)
    except Stopped:
        code = 0
    except BaseException:
        logger.critical("worker %d: unexpected exception", start.slot, exc_info=True)
    finally:
        worker_exit.run(code)


def message_sender(pipe: int) -> Callable[[str], object]:
    """Return a function that sends a message to the supervisor."""

    def send(message: str) -> None:
        with contextlib.suppress(BrokenPipeError):  # the supervisor has exited: see the parent-death pipe
            os.write(pipe, f"{message}\n".encode())

    return send


def _run(
    shared: Shared, start: Start, pipe: int, segment: int, worker_exit: WorkerExit, loaded: LoadedClasses | None
) -> int:
    from seldon_spec.process.worker import WorkerContext, run_worker

    send = message_sender(pipe)
    spec = with_full_paths(shared.spec)
    if loaded is None:  # the class, which may change the folder, finds its relative files there
        os.chdir(spec.folder)
    context = WorkerContext(
        spec,
        shared.sockets,
        shared.signals,
        send,
        slot=start.slot,
        segments=shared.segments,
        segment=segment,
        parent_death_pipe=shared.parent_death_pipe,
        accept_when_ready=start.accept_when_ready,
        exit=worker_exit,
        loaded=loaded,
    )
    try:
        run_worker(context)
    except ComponentFailed as error:
        send(pack_failure(error))
        return 1
    finally:
        if loaded is not None:
            loaded.release()
    return 0

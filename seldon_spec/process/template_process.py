"""A template process: loads the model of a spec and forks the workers, which share what it has imported and loaded."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import logging
import os
import select
import signal
import socket
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NoReturn

from seldon_spec.config.build_spec import with_full_paths
from seldon_spec.errors import ComponentFailed, Stopped
from seldon_spec.inference.assembly import LoadedClasses
from seldon_spec.inference.component.progress import Progress
from seldon_spec.inference.executor import ModelThreads
from seldon_spec.inference.model_loop import name_background_tasks
from seldon_spec.observability.logs import flush_streams, worker_logs
from seldon_spec.process.events import Start
from seldon_spec.process.loading_server import loading_server
from seldon_spec.process.signals import ServerSignals
from seldon_spec.process.worker import close_ports_in_fork
from seldon_spec.process.worker_messages import READY, pack_failure
from seldon_spec.process.worker_process import Shared, message_sender, run_worker_process
from seldon_spec.server.engine import import_transports
from seldon_spec.transport.buffers import configure_malloc

logger = logging.getLogger(__name__)

_PR_SET_PDEATHSIG = 1
_FORK_SECONDS = 8.0
"""The time for a fork and the functions that the class has registered for it; less than the supervisor waits."""
_RESTARTED = "jemalloc_bg_thd"
"""A thread of a memory allocator (of pyarrow), which starts it again in each process."""


def run_template_process(shared: Shared, control: socket.socket, pipe: int, *, is_first: bool) -> NoReturn:
    """Load a model, then fork a worker whenever the supervisor asks for one; end when it closes the socket.

    What the class has left for the exit of its process is not run: the workers, which have it as well, run it.

    Args:
        shared: with signals that are still blocked.
        control: on which the supervisor asks for workers.
        pipe: the end of a pipe to the supervisor.
        is_first: whether there is no worker yet that responds to probes.
    """
    code, send = 0, message_sender(pipe)
    try:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)  # the class may not return from its load
        if select.select([shared.parent_death_pipe], [], [], 0)[0]:  # the supervisor has exited before that
            os._exit(1)
        shared.signals.be_worker()
        loaded, tasks = _load(shared, is_first=is_first)
        shared.signals.stop_writing()  # the socket ends it; a signal to all processes must not interrupt a fork
        send(READY)
        _fork_workers(shared, control, pipe, loaded, tasks)
    except Stopped:
        pass
    except ComponentFailed as error:
        send(pack_failure(error))
        code = 1
    except BaseException:
        logger.critical("template process: unexpected exception", exc_info=True)
        code = 1
    finally:
        flush_streams()
        os._exit(code)


def _load(shared: Shared, *, is_first: bool) -> tuple[LoadedClasses, list[str]]:
    """Load the classes as a worker does; return them, and the names of the tasks that they have started."""
    spec = with_full_paths(shared.spec)
    os.chdir(spec.folder)
    configure_malloc()
    import_transports(spec)
    shared.signals.reset_in_forks(partial(close_ports_in_fork, shared.sockets, shared.sockets.ports()))
    threads, progress = ModelThreads(), Progress()
    future = threads.submit(lambda: (LoadedClasses(spec, progress), name_background_tasks()))
    future.add_done_callback(lambda _: threads.stop())
    with worker_logs(spec.server.log) as handler:
        serving = loading_server(spec, shared.sockets, progress, handler) if is_first else contextlib.nullcontext()
        with serving:
            threads.run()
    if shared.signals.is_stopping:  # the class may have replaced Stopped by an exception of its own
        raise Stopped
    loaded = future.result()
    gc.collect()
    gc.freeze()  # the garbage collector of a worker would write to each object, and so copy its memory
    return loaded


def _fork_workers(shared: Shared, control: socket.socket, pipe: int, loaded: LoadedClasses, tasks: list[str]) -> None:
    is_first = True
    while True:
        request, fds, _, _ = socket.recv_fds(control, 1024, 2)
        if not request:
            return
        for fd in fds:
            os.set_inheritable(fd, False)  # noqa: FBT003
        slot, segment, accept_when_ready = json.loads(request)
        start, (worker_pipe, permission) = Start(slot, accept_when_ready), fds

        def run(run_worker: Callable[[], NoReturn], permission: int) -> NoReturn:
            control.close()
            os.close(pipe)
            if not os.read(permission, 1):  # the supervisor does not wait for this process any more
                os._exit(1)
            os.close(permission)
            numpy_random = sys.modules.get("numpy.random")
            if numpy_random is not None:
                numpy_random.seed()  # as Python does with its own generator
            run_worker()

        run_worker = partial(run_worker_process, shared, start, worker_pipe, segment, loaded)
        pid = _fork_twice(shared.signals, partial(run, run_worker, permission))
        for fd in fds:
            os.close(fd)
        control.send(b"%d" % pid)
        if is_first:
            is_first = False
            _warn_of_missing(tasks)


def _fork_twice(signals: ServerSignals, run_child: Callable[[], NoReturn]) -> int:
    """Fork a process whose parent, once this returns, is the supervisor; return its pid, 0 if there is none."""
    reading, writing = os.pipe()

    def run_grandchild() -> NoReturn:
        os.close(reading)
        os.close(writing)
        run_child()

    def run_middle() -> NoReturn:
        try:
            os.write(writing, b"%d" % signals.fork(run_grandchild))
        finally:
            os._exit(0)

    try:
        middle = signals.fork(run_middle)
    except OSError:
        os.close(reading)
        return 0
    finally:
        os.close(writing)
    with os.fdopen(reading, "rb", buffering=0) as pipe:
        has_answer = select.select([pipe], [], [], _FORK_SECONDS)[0]
        if not has_answer:
            logger.error("no worker in %g s: a function of os.register_at_fork does not return", _FORK_SECONDS)
            os.kill(middle, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):  # the class ignores SIGCHLD
            os.waitpid(middle, 0)
        return int(pipe.read(20) or 0) if has_answer else 0


def _warn_of_missing(tasks: list[str]) -> None:
    """Warn about what the class has started and the workers do not have.

    Called after a fork, before which libraries like OpenBLAS end the threads that both processes start again.
    """
    missing = [f"task {name}" for name in tasks]
    names = {thread.native_id: thread.name for thread in threading.enumerate()}
    for number in map(int, os.listdir("/proc/self/task")):  # noqa: PTH208
        with contextlib.suppress(OSError):  # it has ended
            name = names.get(number) or Path(f"/proc/self/task/{number}/comm").read_text().strip()
            if number != os.getpid() and name != _RESTARTED:
                missing.append(f"thread {name}")
    if missing:
        logger.warning("server.preload: the workers do not have what was started at load: %s", ", ".join(missing))

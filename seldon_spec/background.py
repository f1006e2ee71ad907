"""The public function ``serve``: servers in threads of this process, for notebooks and tests.

A thread needs no fork, which is not safe in a process that has threads, and it serves classes that cannot be imported.
So a server has one worker, and leaves the signals, the log and the event loop of the process alone.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import signal
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from seldon_spec.app import SharedPreparation, check_server, load, load_class
from seldon_spec.config.model import PortsSpec, Spec
from seldon_spec.config.paths import working_directory
from seldon_spec.errors import Stopped
from seldon_spec.process.signals import ServerSignals
from seldon_spec.process.worker import WorkerContext, run_worker
from seldon_spec.process.worker_messages import READY
from seldon_spec.server.sockets import Sockets, bind_sockets, port_of, show_address

if TYPE_CHECKING:
    from seldon_spec.errors import FieldPath

logger = logging.getLogger(__name__)

Ports: TypeAlias = Mapping[str, int | None] | Sequence[int | None]

_LOOPBACK = "127.0.0.1"
_REACHABLE = {"0.0.0.0": _LOOPBACK, "::": "::1"}  # noqa: S104 - compared, not bound
"""The address of this machine by which a client reaches a server that listens on all addresses."""
_CLOSE_SECONDS = 2
"""How long a server may take to close its connections, after its requests have ended."""

_preparation = SharedPreparation()
_starting = threading.Lock()
"""Held while a class is loaded, because the working directory is that of the process."""
_running: set[_Worker] = set()
"""Stopped when the interpreter exits."""


def serve(
    target: str | Path | Spec | type,
    *,
    ports: Ports | None = None,
    background: bool = True,
    environ: Mapping[str, str] | None = None,
    flags: Mapping[FieldPath, str] | None = None,
) -> RunningServer:
    """Serve a model in a thread of this process, and return when it is ready.

    The host is 127.0.0.1 unless ``server.host`` is set. The server has one worker, which is not replaced, no
    ``shutdown.delay_seconds``, and logs with the handlers of this process. The working directory is the spec's folder
    while the class is imported, built and loaded.

    Args:
        target: the folder that contains seldon.yaml, the file, what ``load`` returns, or a class. A class has no file:
            its spec consists of the variables and flags.
        ports: by name, or in the order http, grpc, metrics. 0, and a missing one, is a free port; None disables gRPC.
            None for all: free ports, with gRPC if the spec has it.
        background: False: return when the server has stopped, by SIGINT (KeyboardInterrupt).
        environ: see ``load``; not with a Spec.
        flags: see ``load``; not with a Spec.

    Returns:
        The server. It stops with ``stop``, at the end of a ``with`` block, when the object is garbage, and when the
        interpreter exits.

    Raises:
        SpecError: the spec is invalid, a secret or a certificate cannot be read, or a package is missing.
        BindFailed: a port cannot be bound.
        ComponentFailed: the class cannot be imported or built; ``__cause__`` is the original exception.
        SeldonSpecError: the spec of another server of this process sets a variable to another value.
    """
    spec = _localise(check_server(_read(target, environ, flags)), ports)
    worker = _start(spec, target if isinstance(target, type) else None)
    server = RunningServer(worker)
    if not background:
        with server, contextlib.suppress(KeyboardInterrupt):
            logger.info("REST on %s, gRPC on %s, metrics on %s", server.url, server.grpc_url, server.metrics_url)
            worker.thread.join()
    return server


def _read(target: object, environ: Mapping[str, str] | None, flags: Mapping[FieldPath, str] | None) -> Spec:
    if isinstance(target, Spec):
        if environ is not None or flags is not None:
            raise TypeError("environ and flags do not apply to a Spec: pass them to seldon_spec.load")
        return target
    if isinstance(target, type):
        return load_class(target, environ, flags)
    if isinstance(target, (str, Path)):
        return load(target, environ, flags)
    raise TypeError(f"serve takes a path, a Spec or a class, not {type(target).__name__}")


def _localise(spec: Spec, ports: Ports | None) -> Spec:
    """Return the spec with the ports and the host of a server in this process."""
    if ports is not None and not isinstance(ports, Mapping):
        ports = dict(zip(("http", "grpc", "metrics"), ports, strict=True))
    chosen = {"http": 0, "grpc": None if spec.ports.grpc is None else 0, "metrics": 0, **(ports or {})}
    if chosen["http"] is None or chosen["metrics"] is None:
        raise ValueError("ports: None disables gRPC only")
    host = spec.server.host if ("server", "host") in spec.origins else _LOOPBACK
    server = replace(spec.server, host=host, shutdown=replace(spec.server.shutdown, delay_seconds=0))
    origins = {path: origin for path, origin in spec.origins.items() if path[0] != "ports"}
    return replace(spec, ports=PortsSpec(**chosen), server=server, origins=origins)  # type: ignore[arg-type]


class _Worker:
    """A server in a thread of this process.

    Args:
        spec: prepared.
        user_class: None: the class is imported by its name.
        sockets: the listening sockets.
        release: called when the server has ended.
    """

    def __init__(self, spec: Spec, user_class: type | None, sockets: Sockets, release: Callable[[], object]) -> None:
        self.spec, self.sockets = spec, sockets
        self.is_stopping = False
        self.ready: Future[None] = Future()
        # daemon: a prediction that does not end does not keep the interpreter from exiting
        self.thread = threading.Thread(target=self._run, name="seldon-spec-serve", daemon=True)
        self._user_class, self._release = user_class, release
        self._signals = ServerSignals()

    def _run(self) -> None:
        failure: BaseException | None = None
        try:
            run_worker(
                WorkerContext(
                    self.spec,
                    self.sockets,
                    self._signals,
                    send=lambda message: self.ready.set_result(None) if message == READY else None,
                    configures_logs=False,
                    user_class=self._user_class,
                )
            )
        except BaseException as error:
            failure = error
        self._release()
        _running.discard(self)
        if not self.ready.done():
            self.ready.set_exception(failure or Stopped())
        elif failure is not None:
            logger.error("the server of %s has failed", self.spec.name, exc_info=failure)

    def request_stop(self) -> None:
        """Start the graceful shutdown."""
        if not self.is_stopping:
            self.is_stopping = True
            self._signal()

    def stop(self, seconds: float) -> None:
        """Stop, and end the open requests after some seconds."""
        self.request_stop()
        self.thread.join(seconds)
        if self.thread.is_alive():
            self._signal()
            self.thread.join(_CLOSE_SECONDS)
        if self.thread.is_alive():
            logger.warning("%s: a call of the class has not ended: its thread keeps running", self.spec.name)

    def _signal(self) -> None:
        while self._signals.callback is None and self.thread.is_alive():  # its event loop is starting
            self.thread.join(0.01)
        if self._signals.callback is not None:
            with contextlib.suppress(RuntimeError):  # its event loop has been closed
                self._signals.callback(signal.SIGTERM)


def _start(spec: Spec, user_class: type | None) -> _Worker:
    """Start a server, and wait until it is ready."""
    with _starting, contextlib.ExitStack() as stack:
        prepared, release = _preparation.prepare(spec)
        stack.callback(release)
        sockets = bind_sockets(prepared)
        stack.callback(sockets.close)
        worker = _Worker(prepared, user_class, sockets, stack.pop_all().close)
        _running.add(worker)
        with working_directory(prepared.folder):
            worker.thread.start()
            try:
                worker.ready.result()
            except BaseException:  # such as KeyboardInterrupt during a long load
                worker.request_stop()
                raise
    return worker


class RunningServer:
    """A server in a thread of this process, as ``serve`` returns it.

    Attributes:
        url: of REST, e.g. ``http://127.0.0.1:40001``.
        grpc_url: of gRPC, e.g. ``grpc://127.0.0.1:40002``; None if it is disabled.
        metrics_url: of the metrics in Prometheus format.
    """

    def __init__(self, worker: _Worker) -> None:
        spec, sockets = worker.spec, worker.sockets
        host = _REACHABLE.get(spec.server.host, spec.server.host)
        end = "" if spec.server.tls is None else "s"
        self.url = f"http{end}://{show_address(host, port_of(sockets.http))}"
        self.metrics_url = f"http{end}://{show_address(host, port_of(sockets.metrics))}{spec.unit.metrics_path}"
        self.grpc_url = None if sockets.grpc is None else f"grpc{end}://{show_address(host, port_of(sockets.grpc))}"
        self._worker = worker
        self._finalizer = weakref.finalize(self, worker.request_stop)
        self._finalizer.atexit = False  # then it also waits; see _stop_all

    @property
    def is_running(self) -> bool:
        """Whether it accepts requests: it has not been stopped."""
        return not self._worker.is_stopping and self._worker.thread.is_alive()

    def stop(self, timeout: float | None = None) -> None:
        """Finish the open requests, then close the ports. A stopped server stays stopped.

        Args:
            timeout: the seconds after which open requests are ended; None: ``shutdown.grace_seconds`` of the spec.
        """
        self._worker.stop(self._worker.spec.server.shutdown.grace_seconds if timeout is None else timeout)

    def __enter__(self) -> RunningServer:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<RunningServer {self._worker.spec.name}{f' at {self.url}' if self.is_running else ', stopped'}>"


@atexit.register
def _stop_all() -> None:
    workers = list(_running)
    for worker in workers:
        worker.request_stop()
    for worker in workers:
        worker.stop(worker.spec.server.shutdown.grace_seconds)

"""One serving process: one event loop, one copy of the user's object, every transport.

The calling thread (of a worker process: its main thread) runs the user's code; the event loop has a thread of its own.
Imported only in a process that serves, for it loads all that is heavy.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, Any

from seldon_spec.config.model import LogSpec, ServerSpec, Spec
from seldon_spec.errors import ComponentFailed, Stopped
from seldon_spec.inference.assembly import dispatcher_for
from seldon_spec.inference.component.base import Component
from seldon_spec.inference.component.service import start_service
from seldon_spec.inference.dispatcher import Dispatcher
from seldon_spec.observability.access_log import AccessLog
from seldon_spec.observability.logs import LogHandler, worker_logs
from seldon_spec.observability.metrics import Exposition, Metrics, Segments
from seldon_spec.observability.request_context import RequestLog, Tracer
from seldon_spec.process.signals import REPLACE, STOPPING, ServerSignals
from seldon_spec.process.worker_exit import WorkerExit
from seldon_spec.process.worker_messages import ALONE, HUNG, READY, WORN
from seldon_spec.server.bridge import RequestLimits
from seldon_spec.server.engine import Engine, new_event_loop
from seldon_spec.server.rest.wsgi import WsgiApp
from seldon_spec.server.sockets import Sockets, close_ports
from seldon_spec.transport.buffers import configure_malloc

if TYPE_CHECKING:
    from seldon_spec.observability.tracing import Tracing

logger = logging.getLogger(__name__)


_PIPE, _HANDLER = 0, 1


class StopRequest:
    """What the worker was told: once means to drain, twice to end at once.

    Attributes:
        is_replaced: another worker has taken this one's place, so nobody has to learn first that it ends.
    """

    def __init__(self) -> None:
        self.first = asyncio.Event()
        self.second = asyncio.Event()
        self.is_replaced = False
        self._made = 0.0
        self._counts: dict[int, list[int]] = {}

    def make(self, number: int, way: int = _PIPE) -> None:
        """Handle a signal; those that are none of the server's are the class's own.

        Each comes by two ways, of which the class may block one: by the pipe, unless an event loop of the class's has
        taken its place, and by the handler on the main thread, as soon as that runs Python code.
        """
        ways = self._counts.setdefault(number, [0, 0])
        ways[way] += 1
        if ways[way] <= ways[1 - way]:  # it has come the other way already
            return
        if number == REPLACE:
            self.is_replaced = True
        elif number not in STOPPING:
            return
        elif self.first.is_set():
            self.second.set()
        if not self.first.is_set():
            self._made = time.monotonic()
            self.first.set()

    def seconds_left(self, grace_seconds: float) -> float:
        """What is left of the grace period; nothing after a second signal."""
        if self.second.is_set() or not self.first.is_set():
            return 0.0
        return max(0.0, self._made + grace_seconds - time.monotonic())


def run_worker(
    spec: Spec,
    sockets: Sockets,
    signals: ServerSignals,
    tell: Callable[[str], object],
    slots: Segments | None = None,
    slot: int = 0,
    seat: int = 0,
    lifeline: int | None = None,
    *,
    is_relief: bool = False,
    ending: WorkerExit | None = None,
) -> None:
    """Serve until told to stop.

    Args:
        spec: what to serve.
        sockets: where.
        signals: gets a callback that stops this worker.
        tell: is called with the words that the supervisor knows, as they come true.
        slots: shared memory of the metrics; None: only this process has any.
        slot: this worker's slot.
        seat: this worker's number among those that serve side by side.
        lifeline: a pipe's end at which the supervisor's death shows; the worker then stops.
        is_relief: another serves until this one is ready, so that no connection is taken before.
        ending: ends the process afterwards, and interrupts the user's code for that; None: the caller does not end.

    Raises:
        ComponentFailed: the user's class, or what traces, could not be built.
        BindFailed: gRPC could not have its port.
    """
    configure_malloc()
    if ending is not None:
        signals.reset_in_forks(partial(_leave_to_parent, sockets, sockets.ports()))
    tracing = _make_tracing(spec)
    metrics = Metrics(spec.unit, slots, slot)
    dispatcher = dispatcher_for(spec, metrics, None if tracing is None else tracing.watch)
    served: Future[None] = Future()

    def serve(notes: RequestLog, wakeup: int | None) -> None:
        try:
            coroutine = _serve(
                spec, sockets, dispatcher, metrics, notes, signals, tell, seat, lifeline, wakeup, ending, is_relief
            )
            _run_loop(coroutine)
        except BaseException as error:
            served.set_exception(error)
        else:
            served.set_result(None)
        finally:
            dispatcher.stop()

    try:
        with (
            worker_logs(spec.server.log) as handler,
            _taking_notes(spec.server.log, tracing, handler) as notes,
            _signal_pipe(signals, ending) as wakeup,
        ):
            loop_thread = threading.Thread(target=serve, args=(notes, wakeup), name="seldon-spec-loop")
            loop_thread.start()
            with contextlib.suppress(Stopped):  # the loop thread has got the signal, too
                dispatcher.run(
                    on_end=lambda: None if ending is None else ending.leave_model(),
                    on_first=lambda: None if ending is None else signals.restore(),
                )
            loop_thread.join()
    finally:
        if tracing is not None:
            tracing.close()
    served.result()


def _leave_to_parent(sockets: Sockets, ports: frozenset[int]) -> None:
    """Close, in a process that the class has forked, what must not outlive the worker."""
    sockets.close()
    close_ports(ports)


@contextlib.contextmanager
def _signal_pipe(signals: ServerSignals, ending: WorkerExit | None) -> Iterator[int | None]:
    """A pipe from which the event loop reads the signals of the process, however long the main thread computes."""
    if ending is None:
        yield None
        return
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    os.set_blocking(reading, False)
    try:
        signals.write_to(writing)
        signals.callback = ending.on_signal
        yield reading
    finally:
        signals.write_no_more()
        os.close(writing)
        os.close(reading)


def _run_loop(coroutine: Coroutine[Any, Any, None]) -> None:
    loop = new_event_loop()
    try:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(coroutine)
    finally:
        _cancel_tasks(loop)
        loop.run_until_complete(loop.shutdown_asyncgens())
        asyncio.set_event_loop(None)
        loop.close()


def _make_tracing(spec: Spec) -> Tracing | None:
    if not spec.server.tracing:
        return None
    try:
        # imports the packages of an extra, which read variables
        from seldon_spec.observability.tracing import make_tracing
        from seldon_spec.protocols.seldon_v1.grpc_methods import METHODS
        from seldon_spec.protocols.seldon_v1.proto import PACKAGE
        from seldon_spec.protocols.seldon_v1.routes import POSTED, READ_PATHS
        from seldon_spec.transport.grpc.headers import STATUS

        return make_tracing(
            spec,
            rest_routes=[*POSTED, *(path for paths in READ_PATHS.values() for path in paths)],
            grpc_routes=[f"/{PACKAGE}.{service}/{name}" for service, methods in METHODS.items() for name in methods],
            grpc_status_numbers=STATUS,
        )
    except Exception as error:
        raise ComponentFailed(f"server.tracing: {error}") from None


@contextlib.contextmanager
def _taking_notes(log: LogSpec, tracer: Tracer | None, handler: LogHandler) -> Iterator[RequestLog]:
    """The notes of the worker's requests; at the end the access log has written all that it had."""
    if not log.access:
        yield RequestLog(log, tracer)
        return
    access = AccessLog(handler.write, log.format)
    try:
        yield RequestLog(log, tracer, access)
    finally:
        access.close()


def _ignore(_number: int) -> None:
    """What a signal does while the worker is ending anyway."""


def _cancel_tasks(loop: asyncio.AbstractEventLoop) -> None:
    """End what is left on the loop, as ``asyncio.run`` does."""
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    if tasks:  # else gather asks for the current event loop, which a policy of the class's does not know
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))


async def _serve(
    spec: Spec,
    sockets: Sockets,
    dispatcher: Dispatcher,
    metrics: Metrics,
    notes: RequestLog,
    signals: ServerSignals,
    tell: Callable[[str], object],
    seat: int,
    lifeline: int | None,
    wakeup: int | None,
    ending: WorkerExit | None,
    is_relief: bool,  # noqa: FBT001 - handed on from a keyword
) -> None:
    loop = asyncio.get_running_loop()
    stop = StopRequest()
    if wakeup is None or ending is None:
        signals.callback = lambda number: loop.call_soon_threadsafe(stop.make, number)
    else:
        loop.add_reader(wakeup, _read_signals, wakeup, stop)
        ending.forward = lambda number: loop.call_soon_threadsafe(stop.make, number, _HANDLER)
    if lifeline is not None:
        loop.add_reader(lifeline, _lose_supervisor, loop, lifeline, stop)
    bounds = _bounds(spec.server, tell)
    render = Exposition(metrics).render
    engine = Engine(dispatcher, notes, lambda: _make_flask_app(dispatcher, spec), sockets, spec, bounds, render)
    has_served = False
    try:
        if not is_relief:
            engine.start()
        if await _is_built(asyncio.wrap_future(dispatcher.build()), stop):
            component = dispatcher.component
            assert component is not None
            if ending is not None:
                ending.interrupts = False
            if is_relief:
                engine.start()
            engine.set_serving(component)
            has_served = True
            if component.custom_service is not None and seat == 0:
                tell(ALONE)  # its port can be had only once
                start_service(component.custom_service)
            tell(READY)
            await stop.first.wait()
            await _leave(engine, dispatcher, stop, spec.server, is_hung=bounds.is_hung)
    finally:
        dispatcher.drain()
        dispatcher.stop()
        if ending is None:
            signals.callback = _ignore
        else:
            ending.forward = _ignore
        await (engine.close() if has_served else engine.abort())
        if ending is not None:
            ending.limit(stop.seconds_left(spec.server.shutdown.grace_seconds), 0 if stop.first.is_set() else 1)


def _bounds(server: ServerSpec, tell: Callable[[str], object]) -> RequestLimits:
    # the jitter keeps workers that have started together from being replaced together
    jitter = random.randint(0, server.max_requests_jitter)  # noqa: S311 - nothing is secret here
    return RequestLimits(
        timeout_seconds=server.request_timeout_seconds,
        max_queue=server.max_queue,
        max_requests=None if server.max_requests is None else server.max_requests + jitter,
        on_worn=lambda: tell(WORN),
        on_hung=(lambda: tell(HUNG)) if server.on_timeout == "replace" else None,
    )


def _make_flask_app(dispatcher: Dispatcher, spec: Spec) -> WsgiApp:
    from seldon_spec.server.rest.flask_app import make_app  # a third of the start-up, and most requests do without

    return make_app(dispatcher, spec)


async def _is_built(building: asyncio.Future[Component], stop: StopRequest) -> bool:
    """Wait for the component.

    Returns:
        False if the worker was told to stop before.

    Raises:
        ComponentFailed: it could not be built.
    """
    stopping = asyncio.ensure_future(stop.first.wait())
    either: list[asyncio.Future[Any]] = [building, stopping]
    await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if stop.first.is_set():
        building.add_done_callback(_forget_outcome)
        return False
    building.result()
    return True


def _forget_outcome(building: asyncio.Future[Component]) -> None:
    if not building.cancelled():
        building.exception()


async def _leave(
    engine: Engine, dispatcher: Dispatcher, stop: StopRequest, server: ServerSpec, *, is_hung: bool
) -> None:
    """Say that this worker ends, go on for a while, and then answer what is under way; a second signal hastens it."""
    shutdown = server.shutdown
    dispatcher.drain()
    engine.set_not_serving()
    if is_hung and stop.is_replaced:  # whoever is not taken yet is the successor's
        return
    delay = 0.0 if stop.is_replaced else shutdown.delay_seconds
    if delay:
        logger.info("stopping: not ready, but connections are taken for %g seconds", delay)
        await _unless_hastened(asyncio.sleep(delay), stop)
    seconds = 0.0 if is_hung else shutdown.grace_seconds - delay
    logger.info("stopping: requests under way have %g seconds to end", seconds)
    await _unless_hastened(engine.drain(seconds), stop)


async def _unless_hastened(step: Any, stop: StopRequest) -> None:
    task = asyncio.ensure_future(step)
    hurry = asyncio.ensure_future(stop.second.wait())
    either: list[asyncio.Future[Any]] = [task, hurry]
    await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    for each in either:
        each.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await each


def _read_signals(wakeup: int, stop: StopRequest) -> None:
    for number in os.read(wakeup, 1024):
        stop.make(number)


def _lose_supervisor(loop: asyncio.AbstractEventLoop, lifeline: int, stop: StopRequest) -> None:
    loop.remove_reader(lifeline)
    logger.error("the supervisor is gone: stopping")
    stop.make(REPLACE)

"""A worker: one event loop, one copy of the user's object, and every transport.

The calling thread (the main thread of a worker process) runs the user's code; the event loop has its own thread.
Imported only in a process that serves, because it imports all heavy modules.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Any

from seldon_spec.config.model import ServerSpec, Spec
from seldon_spec.errors import Stopped
from seldon_spec.inference.assembly import LoadedClasses, dispatcher_for
from seldon_spec.inference.component.base import Component
from seldon_spec.inference.component.service import start_service
from seldon_spec.inference.dispatcher import Dispatcher
from seldon_spec.observability.logs import make_handler, worker_logs
from seldon_spec.observability.metrics import Exposition, Metrics, Segments
from seldon_spec.observability.request_context import RequestLog
from seldon_spec.process.observability import make_tracing, open_request_log
from seldon_spec.process.signals import REPLACE, ServerSignals
from seldon_spec.process.stop_request import FROM_HANDLER, StopRequest
from seldon_spec.process.worker_exit import WorkerExit
from seldon_spec.process.worker_messages import EXCLUSIVE, READY, RECYCLE, STUCK
from seldon_spec.remote import connect_component
from seldon_spec.server.bridge import RequestLimits
from seldon_spec.server.engine import Engine, new_event_loop
from seldon_spec.server.rest.wsgi import WsgiApp
from seldon_spec.server.sockets import Sockets, close_ports
from seldon_spec.transport.buffers import configure_malloc

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WorkerContext:
    """What a worker gets from the process that starts it.

    Attributes:
        spec: what to serve.
        sockets: the listening sockets.
        signals: call a callback that stops this worker.
        send: sends the messages of ``worker_messages`` to the supervisor.
        slot: this worker's number, from 0; a replacement has that of the process it replaces.
        segments: the shared memory of the metrics; None: the memory is this process's own.
        segment: this worker's slot of that memory.
        parent_death_pipe: the end of a pipe that reads as closed once the supervisor has exited, which stops the
            worker; None: there is no supervisor.
        accept_when_ready: whether to accept connections only once the model is built, because another process serves
            until then.
        exit: ends the process after the worker has stopped; None: the process is the caller's.
        configures_logs: whether log records are sent to stderr; otherwise, the handlers of the process are kept.
        user_class, loaded: see ``dispatcher_for``.
    """

    spec: Spec
    sockets: Sockets
    signals: ServerSignals
    send: Callable[[str], object]
    slot: int = 0
    segments: Segments | None = None
    segment: int = 0
    parent_death_pipe: int | None = None
    accept_when_ready: bool = False
    exit: WorkerExit | None = None
    configures_logs: bool = True
    user_class: Callable[..., Any] | None = None
    loaded: LoadedClasses | None = None


def run_worker(context: WorkerContext) -> None:
    """Serve until a signal stops the worker.

    Raises:
        ComponentFailed: the user's class, or the tracing, could not be built.
        BindFailed: the gRPC port could not be bound (``engine: uvicorn``).
    """
    configure_malloc()
    spec, signals, worker_exit = context.spec, context.signals, context.exit
    if worker_exit is not None:
        signals.reset_in_forks(partial(close_ports_in_fork, context.sockets, context.sockets.ports()))
    tracing = make_tracing(spec)
    metrics = Metrics(spec.unit, context.segments, context.segment)
    trace, trace_component = (None, None) if tracing is None else (tracing.watch, tracing.watch_component)
    dispatcher = dispatcher_for(
        spec,
        metrics,
        trace,
        connect=connect_component,
        trace_component=trace_component,
        user_class=context.user_class,
        loaded=context.loaded,
    )
    log = spec.server.log
    served: Future[None] = Future()

    def serve(request_log: RequestLog, signal_pipe: int | None) -> None:
        try:
            run_loop(_serve(context, dispatcher, metrics, request_log, signal_pipe))
        except BaseException as error:
            served.set_exception(error)
        else:
            served.set_result(None)
        finally:
            dispatcher.stop()

    try:
        with (
            worker_logs(log, is_configured=context.loaded is not None)
            if context.configures_logs
            else contextlib.nullcontext(make_handler(log)) as handler,
            open_request_log(spec, tracing, handler) as request_log,
            _signal_pipe(signals, worker_exit) as signal_pipe,
        ):
            loop_thread = threading.Thread(target=serve, args=(request_log, signal_pipe), name="seldon-spec-loop")
            loop_thread.start()
            with contextlib.suppress(Stopped):  # the loop thread gets the signal as well
                dispatcher.run(
                    on_end=lambda: None if worker_exit is None else worker_exit.leave_model(),
                    on_first=lambda: None if worker_exit is None else signals.restore(),
                )
            loop_thread.join()
    finally:
        if tracing is not None:
            tracing.close()
    served.result()


def close_ports_in_fork(sockets: Sockets, ports: frozenset[int]) -> None:
    """Close, in a process that the class has forked, the sockets that must not outlive the worker."""
    sockets.close()
    close_ports(ports)


@contextlib.contextmanager
def _signal_pipe(signals: ServerSignals, worker_exit: WorkerExit | None) -> Iterator[int | None]:
    """Open a pipe from which the event loop reads the signals of the process, even while the main thread computes."""
    if worker_exit is None:
        yield None
        return
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    os.set_blocking(reading, False)
    try:
        signals.write_to(writing)
        signals.callback = worker_exit.on_signal
        yield reading
    finally:
        signals.stop_writing()
        os.close(writing)
        os.close(reading)


def run_loop(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine on an event loop of its own, and end the tasks that it leaves."""
    loop = new_event_loop()
    try:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(coroutine)
    finally:
        _cancel_tasks(loop)
        loop.run_until_complete(loop.shutdown_asyncgens())
        asyncio.set_event_loop(None)
        loop.close()


def _ignore(_number: int) -> None:
    """Handle a signal while the worker is stopping already."""


def _cancel_tasks(loop: asyncio.AbstractEventLoop) -> None:
    """Cancel the tasks that are left on the loop, as ``asyncio.run`` does."""
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    if tasks:  # without tasks, gather needs a current event loop, which an event loop policy of the class may not have
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))


async def _serve(
    context: WorkerContext,
    dispatcher: Dispatcher,
    metrics: Metrics,
    request_log: RequestLog,
    signal_pipe: int | None,
) -> None:
    loop = asyncio.get_running_loop()
    stop = StopRequest()
    spec, signals, worker_exit = context.spec, context.signals, context.exit
    if signal_pipe is None or worker_exit is None:
        signals.callback = lambda number: loop.call_soon_threadsafe(stop.on_signal, number)
    else:
        loop.add_reader(signal_pipe, _read_signals, signal_pipe, stop, signals)
        worker_exit.forward = lambda number: loop.call_soon_threadsafe(stop.on_signal, number, FROM_HANDLER)
    if context.parent_death_pipe is not None:
        loop.add_reader(context.parent_death_pipe, _on_parent_death, loop, context.parent_death_pipe, stop)
    limits = _request_limits(spec.server, context.send)
    engine = Engine(
        dispatcher,
        request_log,
        lambda: make_flask_app(dispatcher, spec),
        context.sockets,
        spec,
        limits,
        Exposition(metrics).render,
    )
    has_served = False
    try:
        if not context.accept_when_ready:
            engine.start()
        if await _is_built(asyncio.wrap_future(dispatcher.build()), stop):
            component = dispatcher.component
            assert component is not None
            if worker_exit is not None:
                worker_exit.interrupts = False
            if context.accept_when_ready:
                engine.start()
            engine.set_serving(component)
            has_served = True
            if component.custom_service is not None and context.slot == 0:
                context.send(EXCLUSIVE)  # only one process can bind its port
                start_service(component.custom_service)
            context.send(READY)
            await stop.first.wait()
            await _drain(engine, dispatcher, stop, spec.server, is_stuck=limits.is_hung)
    finally:
        dispatcher.drain()
        dispatcher.stop()
        if worker_exit is None:
            signals.callback = _ignore
        else:
            worker_exit.forward = _ignore
        await (engine.close() if has_served else engine.abort())
        if worker_exit is not None:
            seconds = stop.seconds_left(spec.server.shutdown.grace_seconds)
            worker_exit.limit(seconds, 0 if stop.first.is_set() else 1)


def _request_limits(server: ServerSpec, send: Callable[[str], object]) -> RequestLimits:
    # the jitter prevents that workers that started together are replaced together
    jitter = random.randint(0, server.max_requests_jitter)  # noqa: S311 - not used for security
    return RequestLimits(
        timeout_seconds=server.request_timeout_seconds,
        max_queue=server.max_queue,
        max_requests=None if server.max_requests is None else server.max_requests + jitter,
        on_worn=lambda: send(RECYCLE),
        on_hung=(lambda: send(STUCK)) if server.on_timeout == "replace" else None,
    )


def make_flask_app(dispatcher: Dispatcher, spec: Spec) -> WsgiApp:
    """Return the Flask app of a worker."""
    from seldon_spec.server.rest.flask_app import make_app  # a third of the start-up time; few requests need it

    return make_app(dispatcher, spec)


async def _is_built(building: asyncio.Future[Component], stop: StopRequest) -> bool:
    """Wait for the component.

    Returns:
        False if a stop was requested first.

    Raises:
        ComponentFailed: it could not be built.
    """
    await _until(building, stop.first)
    if stop.first.is_set():
        building.add_done_callback(_retrieve_exception)
        return False
    building.result()
    return True


def _retrieve_exception(building: asyncio.Future[Component]) -> None:
    """Keep asyncio from logging an exception that is of no interest after a stop request."""
    if not building.cancelled():
        building.exception()


async def _drain(
    engine: Engine, dispatcher: Dispatcher, stop: StopRequest, server: ServerSpec, *, is_stuck: bool
) -> None:
    """Report "not ready", serve for ``delay_seconds`` more, then finish the open requests; a second signal ends it."""
    shutdown = server.shutdown
    dispatcher.drain()
    engine.set_not_serving()
    if is_stuck and stop.is_replaced:  # the replacement accepts the waiting connections
        return
    delay = 0.0 if stop.is_replaced else shutdown.delay_seconds
    if delay:
        logger.info("stopping: not ready, but accepting connections for %g seconds", delay)
        await _unless_hastened(asyncio.sleep(delay), stop)
    seconds = 0.0 if is_stuck else shutdown.grace_seconds - delay
    logger.info("stopping: draining open requests for up to %g seconds", seconds)
    await _unless_hastened(engine.drain(seconds), stop)


async def _unless_hastened(step: Coroutine[Any, Any, None], stop: StopRequest) -> None:
    """Wait for a step; a second signal cancels it."""
    task = asyncio.ensure_future(step)
    await _until(task, stop.second)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def _until(future: asyncio.Future[Any], event: asyncio.Event) -> None:
    """Wait until a future is done or an event is set."""
    waiting = asyncio.ensure_future(event.wait())
    either: list[asyncio.Future[Any]] = [future, waiting]
    await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()


def _read_signals(signal_pipe: int, stop: StopRequest, signals: ServerSignals) -> None:
    numbers = os.read(signal_pipe, 1024)
    for number in numbers:
        stop.on_signal(number)
    signals.pass_on(numbers)


def _on_parent_death(loop: asyncio.AbstractEventLoop, parent_death_pipe: int, stop: StopRequest) -> None:
    loop.remove_reader(parent_death_pipe)
    logger.error("the supervisor has exited: stopping")
    stop.on_signal(REPLACE)

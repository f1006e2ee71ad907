"""One serving process: one event loop, one copy of the user's object, every transport.

Imported only in a process that serves, for it loads all that is heavy.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Any

from seldon_spec.component.base import Component
from seldon_spec.component.service import start_service
from seldon_spec.dispatch import Dispatcher
from seldon_spec.metrics import Slots
from seldon_spec.server.assembly import dispatcher_for
from seldon_spec.server.engine import Engine, new_event_loop
from seldon_spec.server.rest import make_app
from seldon_spec.server.signals import StopSignals
from seldon_spec.server.sockets import Sockets
from seldon_spec.spec.model import Spec

logger = logging.getLogger(__name__)


class StopRequest:
    """How often the worker was told to stop: once means to drain, twice to end at once."""

    def __init__(self) -> None:
        self.first = asyncio.Event()
        self.second = asyncio.Event()

    def make(self) -> None:
        """Tell the worker to stop."""
        (self.second if self.first.is_set() else self.first).set()


def run_worker(
    spec: Spec,
    sockets: Sockets,
    signals: StopSignals,
    announce_ready: Callable[[], None],
    slots: Slots | None = None,
    index: int = 0,
    lifeline: int | None = None,
) -> None:
    """Serve until told to stop.

    Args:
        spec: what to serve.
        sockets: where.
        signals: gets a callback that stops this worker.
        announce_ready: called once the component is ready.
        slots: shared memory of the metrics; None: only this process has any.
        index: this worker's slot.
        lifeline: a pipe's end at which the supervisor's death shows; the worker then stops.

    Raises:
        ComponentFailed: the user's class could not be built.
        BindFailed: gRPC could not have its port.
    """
    loop = new_event_loop()
    dispatcher = dispatcher_for(spec, slots, index)
    try:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(_serve(spec, sockets, dispatcher, signals, announce_ready, index, lifeline))
    finally:
        signals.callback = _ignore
        dispatcher.stop()
        _cancel_tasks(loop)
        loop.run_until_complete(loop.shutdown_asyncgens())
        asyncio.set_event_loop(None)
        loop.close()


def _ignore() -> None:
    """What a signal does while the worker is ending anyway."""


def _cancel_tasks(loop: asyncio.AbstractEventLoop) -> None:
    """End what is left on the loop, as ``asyncio.run`` does."""
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))


async def _serve(
    spec: Spec,
    sockets: Sockets,
    dispatcher: Dispatcher,
    signals: StopSignals,
    announce_ready: Callable[[], None],
    index: int,
    lifeline: int | None,
) -> None:
    loop = asyncio.get_running_loop()
    stop = StopRequest()
    signals.callback = lambda: loop.call_soon_threadsafe(stop.make)
    if lifeline is not None:
        loop.add_reader(lifeline, _lose_supervisor, loop, lifeline, stop)
    engine = Engine(dispatcher, make_app(dispatcher, spec), sockets, spec)
    has_served = False
    try:
        await engine.start()
        if await _is_built(asyncio.wrap_future(dispatcher.start()), stop):
            component = dispatcher.component
            assert component is not None
            await engine.set_serving(None if component.error_blueprint is None else make_app(dispatcher, spec))
            has_served = True
            if component.custom_service is not None and index == 0:  # its port can be had only once
                start_service(component.custom_service)
            announce_ready()
            await stop.first.wait()
            await _drain(engine, dispatcher, stop, spec.server.shutdown.grace_seconds)
    finally:
        dispatcher.drain()
        dispatcher.stop()
        await (engine.close() if has_served else engine.abort())


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


async def _drain(engine: Engine, dispatcher: Dispatcher, stop: StopRequest, seconds: float) -> None:
    logger.info("stopping: requests under way have %g seconds to end", seconds)
    dispatcher.drain()
    draining = asyncio.ensure_future(engine.drain(seconds))
    hurry = asyncio.ensure_future(stop.second.wait())
    either: list[asyncio.Future[Any]] = [draining, hurry]
    await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    for task in either:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def _lose_supervisor(loop: asyncio.AbstractEventLoop, lifeline: int, stop: StopRequest) -> None:
    loop.remove_reader(lifeline)
    logger.error("the supervisor is gone: stopping")
    stop.make()

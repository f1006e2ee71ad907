"""The event loop of a model thread: runs the coroutines of the user's class and the tasks that they start."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import selectors
import signal
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from typing_extensions import TypeVarTuple, Unpack

    Ts = TypeVarTuple("Ts")

logger = logging.getLogger(__name__)

T = TypeVar("T")

_local = threading.local()


class ModelLoop(asyncio.SelectorEventLoop):
    """A model thread's current event loop; it exists as long as the thread.

    Args:
        notify: ends the thread's wait for a call; called when another thread schedules a callback here.

    Attributes:
        was_used: whether the user's code has used it; the thread skips an unused loop.
    """

    def __init__(self, notify: Callable[[], object]) -> None:
        self._notify = notify
        self._own_selector = selectors.DefaultSelector()
        self._last_timer = -1.0
        self._run_started_at = 0.0
        self._has_foreign_calls = False
        self._woken: asyncio.Future[None] | None = None
        self.was_used = False
        super().__init__(self._own_selector)
        self._own_entries = len(self._own_selector.get_map())

    @classmethod
    def install(cls, notify: Callable[[], object]) -> ModelLoop:
        """Create a loop and make it the calling thread's current one, until ``finish``."""
        loop = _local.loop = cls(notify)
        asyncio.set_event_loop(loop)
        return loop

    def make_current(self) -> None:
        """Become the thread's current loop again, which ``asyncio.run`` unsets; keep a loop set by the class."""
        # get_event_loop() would create a loop if the class has set another policy, such as uvloop's
        current = getattr(getattr(asyncio.get_event_loop_policy(), "_local", None), "_loop", None)
        if current is None or current.is_closed():
            asyncio.set_event_loop(self)

    def has_background(self) -> bool:
        """Return True if the loop must run: it has tasks, timers, or open transports."""
        return (
            self._has_foreign_calls
            or len(self._own_selector.get_map()) > self._own_entries
            or self._last_timer >= self._run_started_at  # that timer may still be pending
            or bool(asyncio.all_tasks(self))
        )

    def sleep(self, sleepers: deque[ModelLoop], is_idle: Callable[[], bool]) -> None:
        """Run the loop until ``wake``.

        Args:
            sleepers: contains this loop meanwhile, so that ``post`` finds it.
            is_idle: called after the loop was added; False ends the sleep at once.
        """
        self._has_foreign_calls = False
        self._woken = self.create_future()
        sleepers.append(self)
        try:
            if is_idle():
                self.run_until_complete(self._woken)
        finally:
            with contextlib.suppress(ValueError):  # woken
                sleepers.remove(self)

    def wake(self) -> None:
        """End ``sleep``; from any thread."""
        super().call_soon_threadsafe(_end_sleep, self._woken)

    def finish(self) -> None:
        """Cancel the remaining tasks, wait for them, and close the loop."""
        try:
            tasks = asyncio.all_tasks(self)
            for task in tasks:
                task.cancel()
            if tasks:
                self.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
            if self.was_used:
                self.run_until_complete(self.shutdown_asyncgens())
        except Exception:
            logger.exception("cannot end the tasks that the class left on the event loop")
        finally:
            asyncio.set_event_loop(None)
            _local.loop = None
            super().close()

    # The methods below are called by the user's code.

    def close(self) -> None:
        """Do nothing: the next call needs the loop."""

    def run_forever(self) -> None:
        """Run the loop, and remember that it was used."""
        self.was_used = True
        self._run_started_at = self.time()
        super().run_forever()

    def create_task(self, *args: Any, **kwargs: Any) -> Any:
        """Create a task, and remember that the loop was used."""
        self.was_used = True
        return super().create_task(*args, **kwargs)

    def call_at(
        self, when: float, callback: Callable[[Unpack[Ts]], object], *args: Unpack[Ts], context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Schedule a callback, and remember the latest time for which there is one."""
        self.was_used = True
        self._last_timer = max(self._last_timer, when)
        return super().call_at(when, callback, *args, context=context)

    def call_soon_threadsafe(
        self, callback: Callable[[Unpack[Ts]], object], *args: Unpack[Ts], context: Context | None = None
    ) -> asyncio.Handle:
        """Schedule a callback from another thread, also while this thread waits for a call."""
        handle = super().call_soon_threadsafe(callback, *args, context=context)
        if not self.is_running():
            self.was_used = self._has_foreign_calls = True
            self._notify()
        return handle

    def add_signal_handler(self, sig: int, callback: Callable[[Unpack[Ts]], object], *args: Unpack[Ts]) -> None:
        """Handle a signal by a callback, without replacing the wakeup pipe that the server reads signals from."""
        signal.signal(sig, lambda _number, _frame: self.call_soon_threadsafe(callback, *args))

    def remove_signal_handler(self, sig: int) -> bool:
        """Restore a signal's default action; return False if it had it already."""
        return signal.signal(sig, signal.SIG_DFL) is not signal.SIG_DFL


def _end_sleep(woken: asyncio.Future[None] | None) -> None:
    if woken is not None and not woken.done():
        woken.set_result(None)


def run_to_completion(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on the model thread's event loop; in any other thread, on a new loop."""
    loop: ModelLoop | None = getattr(_local, "loop", None)
    return asyncio.run(coroutine) if loop is None else loop.run_until_complete(coroutine)


def name_background_tasks() -> list[str]:
    """Return the names of the tasks that the user's code has started on the calling thread's event loop."""
    loop: ModelLoop | None = getattr(_local, "loop", None)
    return [] if loop is None else sorted(task.get_name() for task in asyncio.all_tasks(loop))

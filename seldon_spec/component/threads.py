"""The model threads: the only ones that ever run the user's code.

With one thread, that thread imports the class, builds the object and makes every call to it; so what is bound to its
thread (a database connection, a CUDA context) works, and no user's class has to be safe for threads.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future, InvalidStateError
from queue import SimpleQueue
from typing import Any, TypeVar

from seldon_spec.errors import NotServing

T = TypeVar("T")

_STOPPED = "the server stopped before this was answered"

_Batch = tuple[Callable[[Any], None], Sequence[Any]]

_local = threading.local()


class ModelThreads:
    """A fixed number of daemon threads with one queue; daemons, so that a stuck model cannot hold up the exit.

    Attributes:
        count: how many there are.
    """

    def __init__(self, count: int = 1) -> None:
        self._queue: SimpleQueue[_Batch | None] = SimpleQueue()
        self._unfinished: set[Future[Any]] = set()
        self._lock = threading.RLock()
        self._stopped = False
        self.count = count
        self._threads = [
            threading.Thread(target=self._run, name=f"seldon-spec-model-{index}", daemon=True) for index in range(count)
        ]

    def start(self) -> None:
        """Start the threads; tasks may have been submitted before."""
        for thread in self._threads:
            thread.start()

    def post(self, items: Sequence[T], do: Callable[[T], None]) -> None:
        """Queue items, which costs one wake of a thread for all of them.

        Args:
            items: what is to be done, in this order where there is one thread. What has not begun when the threads are
                stopped never will, and nobody is told.
            do: does one; must not raise.

        Raises:
            NotServing: the threads have been stopped.
        """
        if self._stopped:
            raise NotServing("the server is stopping")
        if self.count == 1:
            self._queue.put((do, items))
        else:
            for item in items:
                self._queue.put((do, (item,)))

    def submit(self, task: Callable[[], T]) -> Future[T]:
        """Queue a task.

        Returns:
            Its future, which may be cancelled as long as the task has not begun.

        Raises:
            NotServing: the threads have been stopped.
        """
        future: Future[T] = self.promise()
        self.post([(future, task)], self._perform)
        return future

    def promise(self) -> Future[Any]:
        """A future for what is to be posted; ``stop`` ends it with NotServing if nobody has ended it before.

        Raises:
            NotServing: the threads have been stopped.
        """
        future: Future[Any] = Future()
        with self._lock:
            if self._stopped:
                raise NotServing("the server is stopping")
            self._unfinished.add(future)
        future.add_done_callback(self._forget)
        return future

    def stop(self) -> None:
        """End what waits for an answer with NotServing, and the threads as soon as they are free; does not block."""
        with self._lock:
            self._stopped = True
            for future in list(self._unfinished):
                _settle(future, error=NotServing(_STOPPED))
        for _ in self._threads:
            self._queue.put(None)

    def _forget(self, future: Future[Any]) -> None:
        with self._lock:
            self._unfinished.discard(future)

    def _begin(self, future: Future[Any]) -> bool:
        """Whether a task is still wanted: it was neither cancelled nor ended by ``stop``."""
        with self._lock:
            return not future.done() and future.set_running_or_notify_cancel()

    def _run(self) -> None:
        try:
            while (batch := self._queue.get()) is not None:
                do, items = batch
                for item in items:
                    if self._stopped:
                        return
                    do(item)
                del batch, items, item  # a waiting thread must not keep the last request's memory
        finally:
            _close_loop()

    def _perform(self, item: tuple[Future[Any], Callable[[], Any]]) -> None:
        future, task = item
        if not self._begin(future):
            return
        try:
            result = task()
        except BaseException as error:
            _settle(future, error=error)
        else:
            _settle(future, result=result)


def _settle(future: Future[Any], *, result: Any = None, error: BaseException | None = None) -> None:
    try:
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)
    except InvalidStateError:  # stop() was quicker, or a caller's cancel()
        pass


def run_to_completion(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine of the user's on this thread's own event loop, which lives as long as the thread."""
    loop: asyncio.AbstractEventLoop | None = getattr(_local, "loop", None)
    if loop is None:
        loop = _local.loop = asyncio.new_event_loop()
    return loop.run_until_complete(coroutine)


def _close_loop() -> None:
    loop: asyncio.AbstractEventLoop | None = getattr(_local, "loop", None)
    if loop is not None:
        loop.close()

"""The model threads: the only threads that run the user's code.

With one thread, that thread imports the class, builds the object and makes every call to it. So objects that are bound
to a thread (a database connection, a CUDA context) work, and the class need not be thread-safe. A worker makes its main
thread the first model thread: signal handlers, alarms and asyncio work there as in any Python program.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from seldon_spec.errors import NotServing, Stopped
from seldon_spec.inference.component import forks
from seldon_spec.inference.model_loop import ModelLoop

logger = logging.getLogger(__name__)

T = TypeVar("T")

_STOPPED = "the server stopped before the request was processed"

_Batch = tuple[Callable[[Any], None], Sequence[Any]]


class ModelThreads:
    """A fixed number of threads with one queue. Started threads are daemons: a stuck model does not block the exit.

    Attributes:
        count: the number of threads.
    """

    def __init__(self, count: int = 1) -> None:
        self._queue: SimpleQueue[_Batch | None] = SimpleQueue()
        self._unfinished: set[Future[Any]] = set()
        self._lock = threading.RLock()
        self._stopped = False
        self._sleepers: deque[ModelLoop] = deque()
        self.count = count

    def start(self) -> None:
        """Start the threads; tasks may have been submitted before."""
        _start_thread(self.run, 0)

    def run(self, on_end: Callable[[], object] = lambda: None, on_first: Callable[[], object] = lambda: None) -> None:
        """Make the calling thread the first model thread, until ``stop``.

        The first task (building the component) always runs on it: the other threads are started afterwards.

        Args:
            on_end: called after the last call, before the remaining tasks on the event loop are cancelled.
            on_first: called after the first task.
        """
        forks.watch()
        loop = ModelLoop.install(self._notify)
        try:
            if self._work(loop, batches=1):
                on_first()
                for index in range(1, self.count):
                    _start_thread(self._run_other, index)
                self._work(loop)
        finally:
            on_end()
            loop.finish()

    def _run_other(self) -> None:
        loop = ModelLoop.install(self._notify)
        try:
            self._work(loop)
        finally:
            loop.finish()

    def post(self, items: Sequence[T], do: Callable[[T], None]) -> None:
        """Queue items; all of them cost one wake-up of a thread.

        Args:
            items: processed in this order if there is one thread. Items that have not started when the threads are
                stopped are dropped silently.
            do: processes one item; must not raise.

        Raises:
            NotServing: the threads have been stopped.
        """
        if self._stopped:
            raise NotServing("the server is stopping")
        if self.count == 1:
            self._put((do, items))
        else:
            for item in items:
                self._put((do, (item,)))

    def discard(self, do: Callable[[T], None], is_discarded: Callable[[T], bool]) -> None:
        """Remove items from the queue, so that their memory is freed before a thread is free.

        Args:
            do: the function that they were posted with.
            is_discarded: returns True for an item to remove.
        """
        for _ in range(self._queue.qsize()):  # move each batch from the front to the back, in the same order
            try:
                batch = self._queue.get(block=False)
            except Empty:  # a thread was faster
                return
            if batch is not None and batch[0] == do:
                batch = (do, [item for item in batch[1] if not is_discarded(item)])
                if not batch[1]:
                    continue
            self._put(batch)  # a thread may have found the queue empty meanwhile

    def submit(self, task: Callable[[], T]) -> Future[T]:
        """Queue a task.

        Returns:
            Its future, which can be cancelled until the task starts.

        Raises:
            NotServing: the threads have been stopped.
        """
        future: Future[T] = Future()
        self.guard(future)
        self.post([(future, task)], self._perform)
        return future

    def guard(self, future: Future[Any]) -> None:
        """Have ``stop`` end the future of an item to post with NotServing, if it is not done.

        Raises:
            NotServing: the threads have been stopped.
        """
        with self._lock:
            if self._stopped:
                raise NotServing("the server is stopping")
            self._unfinished.add(future)
        future.add_done_callback(self._forget)

    def stop(self) -> None:
        """End unfinished futures with NotServing, and each thread when it is free; do not block."""
        with self._lock:
            self._stopped = True
            for future in list(self._unfinished):
                _settle(future, error=NotServing(_STOPPED))
        for _ in range(self.count):
            self._put(None)

    def _put(self, batch: _Batch | None) -> None:
        self._queue.put(batch)
        if self._sleepers:
            with contextlib.suppress(IndexError):  # another thread was faster
                self._sleepers.popleft().wake()

    def _notify(self) -> None:
        """End a thread's wait for the next batch by queueing an empty one."""
        self._queue.put((_do_nothing, (None,)))

    def _forget(self, future: Future[Any]) -> None:
        with self._lock:
            self._unfinished.discard(future)

    def _begin(self, future: Future[Any]) -> bool:
        """Mark a task as running; False if it was cancelled or ended by ``stop``."""
        with self._lock:
            return not future.done() and future.set_running_or_notify_cancel()

    def _work(self, loop: ModelLoop, batches: int | None = None) -> bool:
        """Process batches; return True after ``batches`` of them, False once the threads are stopped."""
        while batches != 0:
            try:
                batch = self._next(loop)
                if batch is None:
                    return False
                do, items = batch
                loop.make_current()
                for item in items:
                    if self._stopped:
                        return False
                    do(item)
                    if forks.is_child:
                        forks.end_child()
                del batch, items, item  # a waiting thread must not keep the last request's memory
            except Stopped:
                return False
            except BaseException:  # raised by the class's signal handler between two calls
                logger.exception("a signal handler of the class raised an exception outside of its methods")
            if batches is not None:
                batches -= 1
        return True

    def _next(self, loop: ModelLoop) -> _Batch | None:
        """Wait for the next batch; meanwhile run the tasks that the class started on the thread's event loop."""
        while loop.was_used:
            try:
                return self._queue.get(block=False)
            except Empty:
                pass
            if self.count == 1 and not loop.has_background():  # of several threads, another one may take the notice
                break
            loop.sleep(self._sleepers, self._queue.empty)
        return self._queue.get()

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


def _start_thread(target: Callable[[], None], index: int) -> None:
    threading.Thread(target=target, name=f"seldon-spec-model-{index}", daemon=True).start()


def _settle(future: Future[Any], *, result: Any = None, error: BaseException | None = None) -> None:
    try:
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)
    except InvalidStateError:  # stop() was quicker, or a caller's cancel()
        pass


def _do_nothing(_item: None) -> None:
    """Do nothing: the task of an empty batch."""

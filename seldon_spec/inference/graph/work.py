"""Steps as generators: they run one after the other, or those of several branches in turns while servers respond.

A generator yields what it waits for: a call of another server, which returns a response, or futures of which one has to
be done. Components of this process are called directly, so all of them run on the model thread.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from functools import partial
from typing import NamedTuple, TypeAlias

from seldon_spec.errors import NotServing
from seldon_spec.inference.graph.values import Value
from seldon_spec.inference.request import Response

RemoteCall: TypeAlias = Callable[[], Response]

Submit: TypeAlias = Callable[[RemoteCall], "Future[Response]"]
"""Starts a call in a thread of its own."""


class Waiting(NamedTuple):
    """Futures, at least one, of which one has to be done before the generator is resumed."""

    futures: set[Future[Response]]


Work: TypeAlias = "Generator[RemoteCall | Waiting, Response | None, Value]"
"""A step at work: it is sent the response of each call that it yields, and returns the step's value."""

ManyWork: TypeAlias = "Generator[RemoteCall | Waiting, Response | None, list[Value]]"
"""Several steps at work."""


class CallPool:
    """Threads for calls of servers; they are started when they are needed.

    Args:
        count: of the threads.
        name: of the threads.
    """

    def __init__(self, count: int, name: str) -> None:
        self._threads = ThreadPoolExecutor(count, thread_name_prefix=name)

    def submit(self, call: RemoteCall) -> Future[Response]:
        """Start a call, which sees the request that this thread handles.

        Raises:
            NotServing: the pool is closed.
        """
        try:
            return self._threads.submit(partial(copy_context().run, call))
        except RuntimeError:
            raise NotServing("the server is stopping") from None

    def close(self) -> None:
        """End the threads, and calls that have not started; do not wait."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def finish(work: Work) -> Value:
    """Run a step to its end on this thread.

    Raises:
        SeldonSpecError: of a component.
    """
    response: Response | None = None
    try:
        wanted = next(work)
        while True:
            try:
                if isinstance(wanted, Waiting):
                    wait(wanted.futures, return_when=FIRST_COMPLETED)
                else:
                    response = wanted()
            except BaseException as error:  # noqa: PERF203 - the step is resumed with the error
                wanted = work.throw(error)
            else:
                wanted = work.send(response)
                response = None
    except StopIteration as end:
        value: Value = end.value
        return value


class Branch:
    """A step that runs in turns with others.

    Args:
        work: the step.
        submit: starts its calls of servers.

    Attributes:
        futures: what it waits for; empty: it can be resumed, or it has ended.
        value: of the step, once it is done.
        error: that ended it.
    """

    def __init__(self, work: Work, submit: Submit) -> None:
        self._work = work
        self._submit = submit
        self.futures: set[Future[Response]] = set()
        self._is_call = False
        self.value: Value | None = None
        self.error: BaseException | None = None

    def resume(self) -> None:
        """Run until the branch waits or ends."""
        try:
            wanted = self._send()
            self._is_call = not isinstance(wanted, Waiting)
            self.futures = wanted.futures if isinstance(wanted, Waiting) else {self._submit(wanted)}
        except StopIteration as end:
            self.futures, self.value = set(), end.value
        except Exception as error:
            self.futures, self.error = set(), error

    def _send(self) -> RemoteCall | Waiting:
        if not self._is_call:
            return self._work.send(None)
        (future,) = self.futures
        error = future.exception()
        return self._work.send(future.result()) if error is None else self._work.throw(error)

    def close(self) -> None:
        """End the branch: a call that has not started is cancelled, one that has started ends by itself."""
        for future in self.futures if self._is_call else ():
            future.cancel()
        self._work.close()
        self.futures = set()


def run_together(works: Sequence[Work], submit: Submit) -> ManyWork:
    """Run several steps in turns, so that calls of other servers overlap.

    Raises:
        SeldonSpecError: the error of the first step that failed, by the order of the steps. Those after it are ended;
            those that have not started are never started.
    """
    branches: list[Branch] = []
    try:
        for work in works:
            branches.append(Branch(work, submit))
            branches[-1].resume()
            if branches[-1].error is not None:
                break
        while True:
            failed = next((index for index, branch in enumerate(branches) if branch.error is not None), len(branches))
            for branch in branches[failed + 1 :]:
                branch.close()
            waiting = [branch for branch in branches[:failed] if branch.futures]
            if not waiting:
                break
            yield Waiting({future for branch in waiting for future in branch.futures})
            for branch in waiting:
                if any(future.done() for future in branch.futures):
                    branch.resume()
    finally:
        for branch in branches:
            branch.close()
    if failed < len(branches):
        error = branches[failed].error
        assert error is not None
        raise error
    return [branch.value for branch in branches if branch.value is not None]
